import { z } from "zod";
import type { Actor, OpenCtx, OpenManualCtx } from "../kernel/context.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { bearerOf } from "../kernel/http/bearer.ts";
import { callerAddress, sessionEnded } from "../kernel/operations/auth.ts";
import { defineOpenManualOperation, defineOpenOperation } from "../kernel/operations/operation.ts";
import * as auth from "./auth-server.ts";
import { noted, throttleSession } from "./open.ts";
import { instant, NewPassword, Session } from "./schemas.ts";

/** A person's own account. An access token alone changes nothing here that it could keep: whoever copied one has an hour, not the account. */

export const CurrentPassword = z.string().min(1, "give your current password").max(200);

const person = ({ actor }: Pick<OpenCtx, "actor">) => {
  if (actor.kind !== "user") throw new AppError("unauthenticated", "Sign in first.");
  return actor;
};

type Signed = OpenManualCtx & { actor: Extract<Actor, { kind: "user" }>; address: string };

/** The signed-in person with the address they call from, and who the auth server says they are now. */
export async function signedIn(ctx: OpenManualCtx, request: Request): Promise<{ ctx: Signed; email: string }> {
  const token = bearerOf(request.headers);
  const signed = { ...ctx, actor: person(ctx), address: callerAddress(request.headers) };
  // The address in the token may be one of before.
  const now = token && (await auth.userOf(signed, token));
  if (!now) throw sessionEnded();
  return { ctx: signed, email: now.email };
}

const notYours = () => invalidField("/current_password", "This is not your current password.");

/**
 * A fresh session of the person, made with their password: proof that they are there, not only their token. Guesses are counted by
 * session, so that whoever copied one token does not hold up the owner in another session. Throws `invalid` at /current_password.
 */
export async function proven(ctx: Signed, email: string, password: string): Promise<z.output<typeof Session>> {
  await throttleSession(ctx, "password");
  const opened = await auth.signIn(ctx, email, password);
  if (opened?.kind !== "session") throw notYours();
  return opened.session;
}

/**
 * The order matters: proof, the change, then in one transaction the end of all sessions and links and the notice, then a session made with
 * the new password. What follows the change may fail: the new password counts already, and its owner signs in with it.
 */
export const changePassword = defineOpenManualOperation({
  id: "auth.password",
  method: "POST",
  path: "/auth/password",
  summary: "Change your password",
  description:
    "Needs the current password. Every session of the account ends, also the one that calls; the answer is a new one.",
  auth: "user",
  secretAnswer: true,
  input: z.object({ current_password: CurrentPassword, password: NewPassword }),
  output: Session,
  async handle(outside, input, request) {
    if (input.password === input.current_password)
      throw invalidField("/password", "Choose another password than the current one.");
    const { ctx, email } = await signedIn(outside, request);
    await proven(ctx, email, input.current_password);
    await auth.setAccount(ctx, ctx.actor.userId, { password: input.password });
    await ctx.tx(({ db }) => db`select private.password_changed(${ctx.actor.userId})`);
    const opened = await auth.signIn(ctx, email, input.password);
    if (opened?.kind !== "session") throw new AppError("unavailable", "The password was changed. Sign in with it.");
    // The caller's session was made with the second factor, where there is one.
    return await noted(ctx, opened.session, request, { proven: true });
  },
});

const AccountSession = z
  .object({
    id: z.uuid(),
    created_at: instant,
    last_used_at: instant.describe("When it last got a new access token."),
    user_agent: z.string().nullable().describe("The browser or program that signed in, as it names itself."),
    address: z.string().nullable().describe("The IP address that it signed in from."),
    current: z.boolean().describe("Whether this is the session of the request."),
  })
  .meta({ id: "AccountSession" });

type SessionRow = {
  id: string;
  created_at: Date;
  last_used_at: Date;
  user_agent: string | null;
  address: string | null;
};

export const listSessions = defineOpenOperation({
  id: "auth.sessions",
  method: "GET",
  path: "/auth/sessions",
  summary: "List the sessions of your account",
  description: "Where the account is signed in, the last used first; 200 at most.",
  auth: "user",
  input: z.object({}),
  output: z.object({ data: z.array(AccountSession) }),
  async handle(ctx) {
    const { userId, sessionId } = person(ctx);
    const rows = await ctx.db<SessionRow[]>`select * from private.my_sessions(${userId})`;
    return { data: rows.map((row) => ({ ...row, current: row.id === sessionId })) };
  },
});

export const endSession = defineOpenOperation({
  id: "auth.session_end",
  method: "DELETE",
  path: "/auth/sessions/{id}",
  summary: "End a session of your account",
  description: "Its refresh token and its access tokens are refused from now on.",
  auth: "user",
  input: z.object({ id: z.uuid() }),
  output: z.null(),
  status: 204,
  async handle(ctx, { id }) {
    const [row] = await ctx.db<{ ended: boolean }[]>`
      select private.end_session(${person(ctx).userId}, ${id}) as ended`;
    if (!row!.ended) throw new AppError("not_found", "Your account has no such session.");
    return null;
  },
});

export const endOtherSessions = defineOpenOperation({
  id: "auth.sessions_end",
  method: "DELETE",
  path: "/auth/sessions",
  summary: "End all other sessions of your account",
  auth: "user",
  input: z.object({}),
  output: z.null(),
  status: 204,
  async handle(ctx) {
    const { userId, sessionId } = person(ctx);
    await ctx.db`select private.end_other_sessions(${userId}, ${sessionId ?? null})`;
    return null;
  },
});
