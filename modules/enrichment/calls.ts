import type { ManualCtx } from "../kernel/context.ts";
import { pause } from "../kernel/pause.ts";
import type { LookupOutcome } from "../kernel/provider.ts";
import type { Found } from "../providers/enrichment/vocabulary.ts";
import type { Ask, Entry, Round, Source, Told } from "./question.ts";
import { type Made, settle } from "./settle.ts";

/** How often it is asked during calls whether the run goes on. */
const WATCH_MS = 500;
/** Answers are written when there are this many: what a crash loses of answers that were paid for. */
const WRITE_SIZE = 10;
/** Tries at writing answers, over some seven seconds: a database that comes back meanwhile loses none. */
const WRITE_TRIES = 4;

/**
 * Calls that are reserved, as many side by side as the round allows, written down as they come. Once the run is stopped no further call
 * begins; what was reserved for it is given back.
 */
export async function callAll(
  ctx: ManualCtx,
  source: Source,
  asks: readonly Ask[],
  entries: ReadonlyMap<string, Entry>,
  round: Round,
): Promise<Told[]> {
  const { batch } = source.lookup.kinds[source.kind]!;
  const parts = Array.from({ length: Math.ceil(asks.length / batch) }, (_, i) =>
    asks.slice(i * batch, (i + 1) * batch),
  );
  const told: Told[] = [];
  let waiting: Made[] = [];
  let written: Promise<void> = Promise.resolve();
  /** Why no further call begins. */
  let over: "stopped" | "busy" | null = null;
  let fault: unknown;
  const write = () => {
    const some = waiting;
    waiting = [];
    if (some.length === 0) return;
    written = written
      .then(() => surely(ctx, () => ctx.tx((tx) => settle(tx, source, some, entries, round))))
      .then((rows) => void told.push(...rows))
      .catch((error: unknown) => {
        // What cannot be written down must not be added to.
        over ??= "busy";
        fault ??= error;
      });
  };
  const watch = setInterval(() => {
    ctx
      .tx((tx) => round.goesOn(tx))
      .then((goesOn) => void (goesOn || (over ??= "stopped")))
      .catch((error: unknown) =>
        ctx.log.warn("it could not be seen whether a run goes on", { run: round.run_id, error }),
      );
  }, WATCH_MS);
  const lane = async () => {
    for (let part = parts.shift(); part; part = parts.shift()) {
      if (ctx.signal.aborted) over ??= "stopped";
      if (over !== null) {
        const outcome = { outcome: over };
        waiting.push(...part.map((ask) => ({ ask, outcome, ms: 0 })));
        continue;
      }
      const made = await callOne(ctx, source, part);
      waiting.push(...made);
      if (made.some((m) => m.outcome.outcome === "broken")) over ??= "busy";
      if (waiting.length >= WRITE_SIZE) write();
    }
  };
  await Promise.all(Array.from({ length: Math.min(round.concurrency, parts.length) }, lane));
  clearInterval(watch);
  write();
  await written;
  if (fault !== undefined) throw fault;
  return told;
}

/** Tries again while the database is away. Settling is safe to repeat: an entry is settled once. */
async function surely<T>(ctx: ManualCtx, act: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await act();
    } catch (error) {
      if (tries >= WRITE_TRIES) throw error;
      ctx.log.warn("answers of a provider could not be saved; it will be tried again", { error });
      await pause(2 ** (tries - 1) * 1000, AbortSignal.timeout(60_000));
    }
  }
}

/** One call; whatever an adapter throws is an outcome, because a call was made. */
async function callOne(
  ctx: ManualCtx,
  { lookup, connection, provider, kind }: Source,
  part: readonly Ask[],
): Promise<Made[]> {
  const started = performance.now();
  const call = async (some: readonly Ask[]) => {
    const got = await lookup.lookup(
      kind,
      some.map((a) => a.question),
      connection,
      ctx.http,
    );
    if (got.length !== some.length)
      throw new Error(`${provider.id} gave ${got.length} answers to ${some.length} questions`);
    return got;
  };
  let outcomes: LookupOutcome<Found>[];
  try {
    outcomes = await call(part);
    // One bad question had them all refused: each is asked by itself. A refused call is not charged.
    if (part.length > 1 && outcomes.every((o) => o.outcome === "refused")) {
      outcomes = [];
      for (const ask of part) outcomes.push(...(await call([ask])));
    }
  } catch (error) {
    ctx.log.error("a provider's adapter failed", { provider: provider.id, connection: connection.id, error });
    outcomes = part.map(() => ({
      outcome: "unknown",
      code: "adapter_error",
      detail: "The adapter failed during the request.",
    }));
  }
  const ms = Math.round(performance.now() - started);
  ctx.metrics.observe("overture_lookup_seconds", "Time of a lookup call", ms / 1000, { provider: provider.id });
  for (const [outcome, some] of Map.groupBy(outcomes, (o) => o.outcome))
    ctx.metrics.count(
      "overture_lookups_total",
      "Questions by outcome",
      { provider: provider.id, outcome },
      some.length,
    );
  return part.map((ask, i) => ({ ask, outcome: outcomes[i]!, ms }));
}
