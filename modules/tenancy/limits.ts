import type { OpenManualCtx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";

/** `capacity` at once, and `perSecond` after that. */
export type Bucket = { key: string; capacity: number; perSecond: number };
export type Limited = Pick<OpenManualCtx, "actor" | "tx">;

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
