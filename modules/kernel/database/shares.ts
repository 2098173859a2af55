import { AppError } from "../errors.ts";

/**
 * Lets each owner (a tenant, a caller) hold at most `most` connections at once: one whose requests are slow waits for itself and leaves the
 * others theirs. First come, first served within an owner; throws `rate_limited` when `mostWaiting` wait already.
 */
export function createShares(
  most: number,
  mostWaiting = 1_000,
): <T>(owner: string, fn: () => Promise<T>) => Promise<T> {
  const owners = new Map<string, { running: number; waiting: (() => void)[] }>();

  return async (owner, fn) => {
    let share = owners.get(owner);
    if (!share) owners.set(owner, (share = { running: 0, waiting: [] }));
    if (share.waiting.length >= mostWaiting)
      throw new AppError("rate_limited", "Too many requests wait already. Try again later.", { retryAfter: 5 });
    // Whoever ends hands the place on, so that nobody who comes meanwhile overtakes.
    if (share.running >= most) await new Promise<void>((go) => share.waiting.push(go));
    else share.running++;
    try {
      return await fn();
    } finally {
      const next = share.waiting.shift();
      if (next) next();
      else if (--share.running === 0) owners.delete(owner);
    }
  };
}
