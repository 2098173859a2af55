export interface Rate {
  /** Attempts at once. */
  capacity: number;
  /** And per second after that. */
  perSecond: number;
}

/** Buckets kept; beyond, the ones longest unused are forgotten. */
const MOST_BUCKETS = 50_000;

/** Token buckets of this process, one per key: an address, an account, a caller. */
export class Buckets {
  readonly #buckets = new Map<string, { tokens: number; at: number }>();
  readonly #now: () => number;

  /** `now` in milliseconds of a clock that is never set back. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Seconds until the next attempt is allowed; 0 takes one. */
  take(key: string, { capacity, perSecond }: Rate): number {
    const now = this.#now();
    const before = this.#buckets.get(key) ?? { tokens: capacity, at: now };
    const tokens = Math.min(capacity, before.tokens + ((now - before.at) / 1000) * perSecond);
    if (tokens < 1) return Math.ceil((1 - tokens) / perSecond);
    // Set anew, so that the map stays ordered by last use and the first are the ones to forget.
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: tokens - 1, at: now });
    if (this.#buckets.size > MOST_BUCKETS) this.#buckets.delete(this.#buckets.keys().next().value!);
    return 0;
  }
}
