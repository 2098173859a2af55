import ipaddr from "ipaddr.js";
import { decodeJwt } from "jose";
import type { z } from "zod";
import type { OpenManualCtx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { signInDigest } from "../kernel/http/addresses.ts";
import { callerAddress } from "../kernel/operations/auth.ts";
import { sha256Hex } from "../kernel/secrets/signatures.ts";
import { signOut } from "./auth-server.ts";
import { type Limited, take } from "./limits.ts";
import type { Session } from "./schemas.ts";
import { requireCode } from "./second-factor.ts";

/** 202: the account is there, but its owner must confirm the e-mail first; then the same call finishes the work. */
export const confirmationRequired = (email: string, next: string): Response =>
  Response.json(
    { status: "confirmation_required", email, detail: `We sent a confirmation link to ${email}. ${next}` },
    { status: 202 },
  );

/** Attempts at once, and one more per so many seconds. An office behind one address must still get in. */
const PER_ADDRESS = { capacity: 60, perSecond: 1 };
/**
 * A person who mistypes needs a handful; a guesser gets 4 a minute, whatever addresses they come from. Where an account has signed in
 * from before has a budget of its own: strangers who use up theirs do not lock the owner out.
 */
const PER_ACCOUNT = { capacity: 15, perSecond: 1 / 15 };

type Noting = Limited & Pick<OpenManualCtx, "vault" | "http" | "config" | "log">;

/**
 * Counts an attempt with a password or a token, by address and by account, in a transaction of its own: it stays counted whatever
 * follows, and its locks are gone before anything slow begins. Throws `rate_limited` when there were too many.
 */
export async function throttle(ctx: Limited, what: string, email: string | null, request: Request): Promise<void> {
  const address = ctx.actor.kind === "user" ? ctx.actor.userId : callerAddress(request.headers);
  const buckets = [{ key: `${what}:address:${address}`, ...PER_ADDRESS }];
  if (email !== null) {
    const known = await signInDigest(email, callerAddress(request.headers));
    const [row] =
      known === null
        ? []
        : await ctx.tx(({ db }) => db<{ known: boolean }[]>`select private.knows_address(${known}) as known`);
    // Hashed: buckets are no place for people's addresses.
    const key = row?.known ? `${what}:known:${known}` : `${what}:email:${await sha256Hex(email)}`;
    buckets.push({ key, ...PER_ACCOUNT });
  }
  await take(ctx, buckets);
}

/** The same for somebody signed in: counted by session, so that whoever copied one token does not hold up the others. */
export async function throttleSession(ctx: Limited, what: string): Promise<void> {
  if (ctx.actor.kind !== "user") throw new AppError("unauthenticated", "Sign in first.");
  const session = ctx.actor.sessionId ?? ctx.actor.userId;
  await take(ctx, [{ key: `${what}:session:${session}`, ...PER_ACCOUNT }]);
}

/** How a session came about: `code` as the person gave it; `proven` where the second factor was shown just now, or by the caller's session. */
export type Shown = { code?: string | undefined; proven?: true };

/**
 * After a sign-in, a registration or a refresh: asks for the second factor where the session was made without it, remembers the address
 * for the account's own limit, and what the list of sessions shows of this one. Returns the session; one without the factor is ended.
 */
export async function noted(
  ctx: Noting,
  session: z.output<typeof Session>,
  request: Request,
  shown: Shown = {},
): Promise<z.output<typeof Session>> {
  const { session_id: id } = claimsOf(session.access_token);
  const { user } = session;
  const [row] = await ctx.tx(({ db }) => db<{ open: boolean }[]>`select kernel.session_open(${id}) as open`);
  if (!row!.open) {
    try {
      if (!shown.proven) await requireCode(ctx, user, shown.code, request);
      await ctx.tx(({ db }) => db`select private.prove_session(${user.id}, ${id})`);
    } catch (error) {
      await signOut(ctx, session.access_token);
      throw error;
    }
  }
  const email = user.email.toLowerCase();
  const [address, known] = [addressOf(request), await signInDigest(email, callerAddress(request.headers))];
  const agent =
    request.headers
      .get("user-agent")
      ?.replaceAll(/[^\x20-\x7e]/g, "")
      .slice(0, 500) || null;
  await ctx.tx(
    async ({ db }) => db`
    select private.note_sign_in(${id}, ${agent}, ${address}::inet, ${await sha256Hex(email)}, ${known})`,
  );
  return session;
}

/** What the auth server put into an access token that it has just given us. */
function claimsOf(accessToken: string): { session_id: string | null } {
  try {
    const { session_id } = decodeJwt(accessToken);
    return { session_id: typeof session_id === "string" ? session_id : null };
  } catch {
    return { session_id: null };
  }
}

const addressOf = (request: Request): string | null => {
  const address = callerAddress(request.headers);
  return ipaddr.isValid(address) ? address : null;
};
