/**
 * Lets each tenant hold at most `most` of the connections at once: one whose requests are slow waits for itself and leaves the others
 * theirs. First come, first served within a tenant.
 */
export function createShares(most: number): <T>(tenantId: string, fn: () => Promise<T>) => Promise<T> {
  const tenants = new Map<string, { running: number; waiting: (() => void)[] }>();

  return async (tenantId, fn) => {
    let share = tenants.get(tenantId);
    if (!share) tenants.set(tenantId, (share = { running: 0, waiting: [] }));
    // Whoever ends hands the place on, so that nobody who comes meanwhile overtakes.
    if (share.running >= most) await new Promise<void>((go) => share.waiting.push(go));
    else share.running++;
    try {
      return await fn();
    } finally {
      const next = share.waiting.shift();
      if (next) next();
      else if (--share.running === 0) tenants.delete(tenantId);
    }
  };
}
