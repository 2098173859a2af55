import type { Kernel } from "./kernel.ts";

/** A call for several items at once: a result each, in order. Safe to repeat, because a call that fails is made again item by item. */
type Call<I, O> = (kernel: Kernel, items: readonly I[]) => Promise<O[]>;

type Limits<I> = {
  /** Items in one call; default 100. */
  most?: number;
  /** What an item weighs, and how much one call carries; a single item may weigh more. */
  weight?: { of(item: I): number; most: number };
};

type Waiting<I, O> = { item: I; resolve(result: O): void; reject(error: unknown): void };

/**
 * Makes a call for one item out of a call for several: what comes while one is under way goes together in the next. An item that comes
 * alone goes at once, so nobody waits for company; under load a statement and its commit are shared. One call at a time per kernel.
 * When a call for several fails, each is tried alone, so that only those at fault fail.
 */
export function gather<I, O>(call: Call<I, O>, { most = 100, weight }: Limits<I> = {}) {
  const states = new WeakMap<Kernel, { waiting: Waiting<I, O>[]; busy: boolean }>();

  const take = (waiting: Waiting<I, O>[]): Waiting<I, O>[] => {
    if (!weight) return waiting.splice(0, most);
    let [n, sum] = [0, 0];
    while (n < Math.min(most, waiting.length)) {
      sum += weight.of(waiting[n]!.item);
      if (n > 0 && sum > weight.most) break;
      n++;
    }
    return waiting.splice(0, n);
  };

  const settle = async (kernel: Kernel, batch: readonly Waiting<I, O>[]): Promise<void> => {
    try {
      const results = await call(
        kernel,
        batch.map((w) => w.item),
      );
      if (results.length !== batch.length) throw new Error(`${results.length} results for ${batch.length} items`);
      batch.forEach((w, i) => w.resolve(results[i]!));
    } catch (error) {
      if (batch.length === 1) batch[0]!.reject(error);
      else for (const w of batch) await settle(kernel, [w]);
    }
  };

  return (kernel: Kernel, item: I): Promise<O> =>
    new Promise<O>((resolve, reject) => {
      let state = states.get(kernel);
      if (!state) states.set(kernel, (state = { waiting: [], busy: false }));
      const { waiting } = state;
      waiting.push({ item, resolve, reject });
      if (state.busy) return;
      state.busy = true;
      void (async () => {
        while (waiting.length > 0) await settle(kernel, take(waiting));
        state.busy = false;
      })();
    });
}
