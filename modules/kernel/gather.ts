import type { Kernel } from "./kernel.ts";

/** A call for several items at once: a result each, in order. Safe to repeat, because a call that fails is made again item by item. */
type Call<I, O> = (kernel: Kernel, items: readonly I[]) => Promise<O[]>;

type Limits<I> = {
  /** Items in one call; default 100. */
  most?: number;
  /** What an item weighs, and how much one call carries; a single item may weigh more. */
  weight?: { of(item: I): number; most: number };
};

/** Milliseconds after which those who wait no longer do so for the call under way: it may be waiting itself, for another tenant's lock. */
const PATIENCE_MS = 50;
/** Calls at once at most, of one kernel. */
const MOST_CALLS = 8;

type Waiting<I, O> = { item: I; since: number; resolve(result: O): void; reject(error: unknown): void };

/**
 * Makes a call for one item out of a call for several: what comes while one is under way goes together in the next. An item that comes
 * alone goes at once, so nobody waits for company; under load a statement and its commit are shared. One call at a time per kernel, and
 * further ones beside it while it takes long. When a call for several fails, each is tried alone, so that only those at fault fail.
 */
export function gather<I, O>(call: Call<I, O>, { most = 100, weight }: Limits<I> = {}) {
  type State = { waiting: Waiting<I, O>[]; calls: number; timer: ReturnType<typeof setTimeout> | null };
  const states = new WeakMap<Kernel, State>();

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

  const work = async (kernel: Kernel, state: State): Promise<void> => {
    state.calls++;
    while (state.waiting.length > 0) {
      const batch = take(state.waiting);
      watch(kernel, state);
      await settle(kernel, batch);
    }
    state.calls--;
  };

  /** Looks after those who wait for a call under way. */
  const watch = (kernel: Kernel, state: State): void => {
    const [first] = state.waiting;
    if (state.timer !== null || !first) return;
    const left = state.calls < MOST_CALLS ? first.since + PATIENCE_MS - performance.now() : PATIENCE_MS;
    state.timer = setTimeout(() => {
      state.timer = null;
      const [oldest] = state.waiting;
      const isLate = oldest !== undefined && performance.now() - oldest.since >= PATIENCE_MS;
      if (isLate && state.calls < MOST_CALLS) void work(kernel, state);
      else watch(kernel, state);
    }, left);
  };

  return (kernel: Kernel, item: I): Promise<O> =>
    new Promise<O>((resolve, reject) => {
      let state = states.get(kernel);
      if (!state) states.set(kernel, (state = { waiting: [], calls: 0, timer: null }));
      state.waiting.push({ item, since: performance.now(), resolve, reject });
      if (state.calls === 0) void work(kernel, state);
      else watch(kernel, state);
    });
}
