import { setTimeout as timer } from "node:timers";
import type { Database } from "../database/db.ts";

/**
 * What the service levels are computed from. Each process counts in memory and adds its counts to the database every few seconds,
 * in one statement, so that they outlive it and merge with those of the others.
 */

export type SampleKind = "http" | "query" | "pool";

/** Upper bounds, the last bucket open. Stored counts have no bounds: changing these makes old samples wrong. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 2.5, 5, 10];
/** The pool's is a share of it. */
export const BOUNDS: Readonly<Record<SampleKind, readonly number[]>> = {
  http: SECONDS,
  query: SECONDS,
  pool: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1],
};

/** Loss when a process is killed; also how late a number may be. */
const FLUSH_MS = 10_000;

export type Samples = {
  /** `value` in the kind's unit; `failed` counts against availability. */
  record(kind: SampleKind, name: string, value: number, failed?: boolean): void;
  /** Adds what was counted to the database. What cannot be written is kept for the next time. */
  flush(): Promise<void>;
  /** Flushes a last time and stops. */
  close(): Promise<void>;
};

type Row = { kind: SampleKind; name: string; n: number; errors: number; total: number; buckets: number[] };

export function createSamples(database: Pick<Database, "once">, onError: (error: unknown) => void): Samples {
  let rows = new Map<string, Row>();
  let waiting: ReturnType<typeof timer> | undefined;
  let closed = false;

  const add = (into: Map<string, Row>, row: Row) => {
    const key = `${row.kind} ${row.name}`;
    const there = into.get(key);
    if (!there) return void into.set(key, row);
    there.n += row.n;
    there.errors += row.errors;
    there.total += row.total;
    row.buckets.forEach((n, i) => (there.buckets[i]! += n));
  };

  const flush = async () => {
    clearTimeout(waiting);
    waiting = undefined;
    if (rows.size === 0) return;
    const taken = rows;
    rows = new Map();
    try {
      await database.once((sql) => sql`select kernel.add_samples(${sql.json([...taken.values()])})`);
    } catch (error) {
      onError(error);
      for (const row of taken.values()) add(rows, row);
      wake();
    }
  };
  // Started by the first sample: an idle process writes nothing. Unreferenced: it keeps no process alive.
  const wake = () => {
    if (!closed) waiting ??= timer(() => void flush(), FLUSH_MS).unref();
  };

  return {
    record(kind, name, value, failed = false) {
      const bounds = BOUNDS[kind];
      const at = bounds.findIndex((bound) => value <= bound);
      const key = `${kind} ${name}`;
      let row = rows.get(key);
      if (!row) {
        const buckets = Array.from({ length: bounds.length + 1 }, () => 0);
        rows.set(key, (row = { kind, name, n: 0, errors: 0, total: 0, buckets }));
      }
      row.n++;
      row.total += value;
      if (failed) row.errors++;
      row.buckets[at < 0 ? bounds.length : at]!++;
      wake();
    },
    flush,
    async close() {
      closed = true;
      await flush();
      clearTimeout(waiting);
    },
  };
}

/**
 * The value below which the share `q` lies, as Prometheus' histogram_quantile does it: linear inside a bucket, the last bound
 * for what lies beyond. Null without samples.
 */
export function quantile(bounds: readonly number[], buckets: readonly number[], q: number): number | null {
  const all = buckets.reduce((sum, n) => sum + n, 0);
  if (all === 0) return null;
  const rank = q * all;
  let below = 0;
  for (let i = 0; i < bounds.length; i++) {
    const n = buckets[i] ?? 0;
    if (n > 0 && below + n >= rank) {
      const from = i === 0 ? 0 : bounds[i - 1]!;
      return from + (bounds[i]! - from) * Math.max(0, (rank - below) / n);
    }
    below += n;
  }
  return bounds.at(-1)!;
}
