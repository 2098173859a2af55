import { hostile, type Mutation, of } from "./mutation.ts";

const RULES = "supabase/embedded/auth-rules.ts";
const SESSIONS = "modules/tenancy/sql/sessions.sql";
const ACCOUNT = hostile("account");
const KEPT = "changes neither password nor address, at the API or at the auth server";
const LOCKED = "from many addresses are limited together, and do not lock the owner out where they signed in before";

export const accounts: readonly Mutation[] = of("hostile input", [
  {
    promise: "A copied access token changes no password",
    file: RULES,
    find: "    if (!fits) {",
    replace: "    if (false) {",
    test: ACCOUNT,
    name: KEPT,
  },
  {
    promise: "… and no address",
    file: RULES,
    find: "if (body.email !== undefined || body.phone !== undefined) {",
    replace: "if (false) {",
    test: ACCOUNT,
    name: KEPT,
  },
  {
    promise: "… and asks for no code that would do instead",
    file: RULES,
    find: "    if (CLOSED.test(pathname)) {",
    replace: "    if (false) {",
    test: ACCOUNT,
    name: "asks for no code that would do instead of a password, and no code is taken",
  },
  {
    promise: "… and its guesses hold up no other session",
    file: "modules/tenancy/open.ts",
    find: "const session = ctx.actor.sessionId ?? ctx.actor.userId;",
    replace: "const session = ctx.actor.userId;",
    test: ACCOUNT,
    name: "guesses the password a few times; the owner's other session is not held up by it",
  },
  {
    promise: "A changed password ends every session",
    file: "supabase/embedded/platform/20-auth.sql",
    find: "  delete from auth.sessions s where s.user_id = new.id;\n",
    replace: "",
    test: ACCOUNT,
    name: "also when it is changed at the auth server, and a refused change ends nothing",
  },
  {
    promise: "An ended session's access token is refused at once",
    file: "modules/kernel/sql/tenant-wall.sql",
    find: "return session is null or exists (select from auth.sessions s where s.id = session);",
    replace: "return true;",
    test: ACCOUNT,
    name: "ends every other session at once: refresh tokens, access tokens, and what the database shows",
  },
  {
    promise: "… by the database as well",
    file: "modules/kernel/sql/tenant-wall.sql",
    find: "\n    and kernel.session_open((token.claims ->> 'session_id')::uuid)",
    replace: "",
    test: ACCOUNT,
    name: "signing out ends the access token as well, everywhere",
  },
  {
    promise: "Nobody ends a stranger's session",
    file: SESSIONS,
    find: "where s.id = session and s.user_id = person;",
    replace: "where s.id = session;",
    test: ACCOUNT,
    name: "is one's own: a stranger's session cannot be seen, nor ended",
  },
  {
    promise: "A refresh token one step behind ends its session",
    file: SESSIONS,
    find: "where r.token = refresh_token and r.revoked and",
    replace: "where false and",
    test: ACCOUNT,
    name: "that is used again %s is a theft: the session ends for thief and owner",
  },
  {
    promise: "… at the auth server as well",
    file: RULES,
    find: 'if (typeof token === "string" && (await endStolen(token))) {',
    replace: "if (false) {",
    test: ACCOUNT,
    name: "is noticed under any name of the grant, and where the thief was first",
  },
  {
    promise: "Guesses of strangers do not lock the owner out",
    file: "modules/tenancy/open.ts",
    find: "const key = row?.known ?",
    replace: "const key = row?.known && false ?",
    test: ACCOUNT,
    name: LOCKED,
  },
  {
    promise: "… nor at the auth server",
    file: "supabase/embedded/guard.ts",
    find: "if (stranger === 0 || !(await this.#knows(email, address))) return stranger;",
    replace: "if (stranger >= 0) return stranger;",
    test: ACCOUNT,
    name: LOCKED,
  },
  {
    promise: "… and an address is known for the account that signed in there",
    file: "modules/kernel/http/addresses.ts",
    find: "`${email}\\n${network}`",
    replace: "network",
    test: ACCOUNT,
    name: "make no address known: that takes the password",
  },
]);
