import ipaddr from "ipaddr.js";
import { decodeJwt } from "jose";
import type { z } from "zod";
import type { OpenManualCtx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { signInDigest } from "../kernel/http/addresses.ts";
import { callerAddress } from "../kernel/operations/auth.ts";
import { sha256Hex } from "../kernel/secrets/signatures.ts";
import type { Session } from "./schemas.ts";

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

export type Bucket = { key: string; capacity: number; perSecond: number };
export type Limited = Pick<OpenManualCtx, "actor" | "tx">;

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

/** Takes a token of each bucket in turn, in a transaction of its own. Throws `rate_limited` at the first that has none. */
export async function take(ctx: Limited, buckets: readonly Bucket[]): Promise<void> {
  const wait = await ctx.tx(async ({ db }) => {
    for (const b of buckets) {
      const [row] = await db<{ taken: boolean; retry_after: number }[]>`
        select taken, retry_after from kernel.take_tokens(${b.key}, ${b.capacity}, ${b.perSecond})`;
      if (row && !row.taken) return Math.max(1, Math.ceil(row.retry_after));
    }
    return 0;
  });
  // Thrown only here: inside, it would take back what the other bucket has counted.
  if (wait > 0) {
    throw new AppError("rate_limited", "Too many attempts.", {
      retryAfter: wait,
      suggestion: `Try again in ${wait} seconds.`,
    });
  }
}

/**
 * After a sign-in, a registration or a refresh: remembers the address for the account's own limit, and what the list of sessions shows
 * of this one. Returns the session.
 */
export async function noted(
  ctx: Limited,
  session: z.output<typeof Session>,
  request: Request,
): Promise<z.output<typeof Session>> {
  const { session_id: id } = claimsOf(session.access_token);
  const email = session.user.email.toLowerCase();
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
