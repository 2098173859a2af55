import { z } from "zod";
import type { OpenManualCtx } from "../kernel/context.ts";
import type { Tx } from "../kernel/database/db.ts";
import { bearerOf } from "../kernel/http/bearer.ts";
import { sessionEnded } from "../kernel/operations/auth.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOpenManualOperation } from "../kernel/operations/operation.ts";
import * as auth from "./auth-server.ts";
import { confirmationRequired, noted, throttle } from "./open.ts";
import { Email, NewPassword, PersonName, Session, SessionWithTenant, TenantName } from "./schemas.ts";
import { tenancyConfig } from "./config.ts";
import { Code } from "./second-factor.ts";
import { newTenant, unclaimed } from "./tenants.ts";

/** Signing up, in and out: a façade over Supabase Auth, so that a client needs one API and one kind of error. */

const Registration = z.object({
  email: Email,
  password: NewPassword,
  name: PersonName,
  tenant_name: TenantName,
  code: Code.optional(),
});

/** One sentence for every reason, so that it does not tell whether the e-mail is known. */
const badLogin = () => new AppError("unauthenticated", "The email address or the password is wrong.");

/** The same for an e-mail with another password and for one that has a team: who asks learns no more than "not with this". */
const taken = () =>
  new AppError("conflict", "No account can be created with this email address and password.", {
    suggestion: "If you have an account, sign in.",
  });

async function register(ctx: OpenManualCtx, input: z.output<typeof Registration>, request: Request) {
  if (ctx.configOf(tenancyConfig).OVERTURE_SIGNUP !== "open") {
    throw new AppError("forbidden", "New workspaces can be created by invitation only.", {
      suggestion: "Ask a member to invite you.",
    });
  }
  await throttle(ctx, "register", input.email, request);
  // Only so that no account is made; the database decides below.
  const [installation] = await ctx.tx(({ db }) => db<{ claimed: boolean }[]>`select private.is_claimed() as claimed`);
  if (!installation!.claimed) throw unclaimed();
  const opened = await auth.openAccount(ctx, input.email, input.password, { name: input.name });
  if (!opened) throw taken();
  if (opened.kind === "confirm")
    return confirmationRequired(input.email, "Open the link, then sign in and name your workspace.");
  const { id, email } = opened.session.user;
  /** An account of before without a team is a registration that was cut off; one with a team is simply an account. */
  const refuseTeams = async (db: Tx) => {
    if ((await db`select 1 from private.my_teams(${id})`).length > 0) throw taken();
  };
  await ctx.tx(({ db }) => refuseTeams(db));
  const session = await noted(ctx, opened.session, request, { code: input.code });
  const tenant = await ctx.tx(async (tx) => {
    const { db } = tx;
    // A double click: the second waits here until the first has its team, and then finds it.
    await db`select pg_advisory_xact_lock(hashtextextended(${`register:${id}`}, 0))`;
    await refuseTeams(db);
    return await newTenant(tx, input.tenant_name, { id, email, name: input.name });
  });
  return { ...session, tenant };
}

const registerOperation = (id: string, path: `/${string}`) =>
  defineOpenManualOperation({
    id,
    method: "POST",
    path,
    summary: "Create an account and a tenant",
    description:
      "201 with a session. 202 `confirmation_required` where the installation requires a confirmed email address; then sign in and POST /tenants. An account without a tenant that has a second factor needs its `code` as well: without it 422 with an error at /code, and nothing is made.",
    auth: "public",
    input: Registration,
    output: SessionWithTenant,
    status: 201,
    handle: register,
  });

export const registerAccount = registerOperation("auth.register", "/auth/register");
export const signUp = registerOperation("auth.signup", "/auth/signup");

export const login = defineOpenManualOperation({
  id: "auth.login",
  method: "POST",
  path: "/auth/login",
  summary: "Sign in with email and password",
  description:
    "An account with a second factor needs its `code` as well: without it 422 with an error at /code, once the password fits.",
  auth: "public",
  input: z.object({ email: Email, password: z.string().min(1).max(200), code: Code.optional() }),
  output: Session,
  async handle(ctx, { email, password, code }, request) {
    await throttle(ctx, "login", email, request);
    const opened = await auth.signIn(ctx, email, password);
    if (!opened) throw badLogin();
    // GoTrue says this only when the password fits, so nobody else learns it.
    if (opened.kind === "confirm")
      throw new AppError("forbidden", "Confirm your email address first: we sent you a link.");
    return await noted(ctx, opened.session, request, { code });
  },
});

export const refreshSession = defineOpenManualOperation({
  id: "auth.refresh",
  method: "POST",
  path: "/auth/refresh",
  summary: "Exchange a refresh token for a new session",
  auth: "public",
  input: z.object({ refresh_token: z.string().min(1).max(500) }),
  output: Session,
  async handle(ctx, { refresh_token }, request) {
    const [row] = await ctx.tx(
      ({ db }) => db<{ stolen: boolean }[]>`select private.end_stolen_session(${refresh_token}) as stolen`,
    );
    if (row!.stolen) {
      throw new AppError("unauthenticated", "The session was ended: its refresh token was used twice.", {
        suggestion: "Somebody may have copied it. Sign in again, and change your password if you do not know why.",
      });
    }
    const session = await auth.refresh(ctx, refresh_token);
    if (!session) throw sessionEnded();
    return await noted(ctx, session, request);
  },
});

export const logout = defineOpenManualOperation({
  id: "auth.logout",
  method: "POST",
  path: "/auth/logout",
  summary: "Sign out: end this session",
  auth: "user",
  input: z.object({}),
  output: z.null(),
  status: 204,
  async handle(ctx, _input, request) {
    const token = bearerOf(request.headers);
    if (token) await auth.signOut(ctx, token);
    return null;
  },
});
