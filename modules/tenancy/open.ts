import type { OpenManualCtx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { sha256Hex } from "../kernel/secrets/signatures.ts";

/** 202: the account is there, but its owner must confirm the e-mail first; then the same call finishes the work. */
export const confirmationRequired = (email: string, next: string): Response =>
  Response.json(
    { status: "confirmation_required", email, detail: `We sent a confirmation link to ${email}. ${next}` },
    { status: 202 },
  );

/** Attempts at once, and one more per so many seconds. An office behind one address must still get in. */
const PER_ADDRESS = { capacity: 60, perSecond: 1 };
/** A person who mistypes needs a handful; a guesser gets 4 a minute, whatever addresses they come from. */
const PER_EMAIL = { capacity: 15, perSecond: 1 / 15 };

/**
 * Counts an attempt with a password or a token, in a transaction of its own: it stays counted whatever follows, and its
 * locks are gone before anything slow begins. Throws `rate_limited` when there were too many.
 */
export async function throttle(
  ctx: Pick<OpenManualCtx, "actor" | "tx">,
  what: string,
  email: string | null,
): Promise<void> {
  const address =
    ctx.actor.kind === "anonymous" ? ctx.actor.address : ctx.actor.kind === "user" ? ctx.actor.userId : "";
  const buckets = [{ key: `${what}:address:${address}`, ...PER_ADDRESS }];
  // Hashed: buckets are no place for people's addresses.
  if (email !== null) buckets.push({ key: `${what}:email:${await sha256Hex(email)}`, ...PER_EMAIL });
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
