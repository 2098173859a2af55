import type { Ctx } from "../kernel/context.ts";
import type { LookupOutcome } from "../kernel/provider.ts";
import { scrub } from "../providers/credentials.ts";
import type { Found } from "../providers/enrichment/vocabulary.ts";
import { type Ask, digest, type Entry, mostOf, none, type Round, type Source, type Told } from "./question.ts";

/**
 * A question and what came of it. Reserved and not called: `stopped`, because the run was; `busy`, because the connection turned out to be
 * unusable.
 */
export type Made = { ask: Ask; outcome: LookupOutcome<Found> | { outcome: "stopped" | "busy" }; ms: number };

/** Ten years. */
const FORGET_DAYS = 3650;

/** Ledger, cache and health in one transaction with each other: an answer that was paid for is kept before anything is made of it. */
export async function settle(
  tx: Ctx,
  source: Source,
  made: readonly Made[],
  entries: ReadonlyMap<string, Entry>,
  round: Round,
): Promise<Told[]> {
  const { connection, provider, unit_micros, kind } = source;
  const most = mostOf(source);
  const words = (o: Made["outcome"]) =>
    "detail" in o ? scrub(o.detail, provider, connection.credentials).slice(0, 300) : "";
  const told = made.map(({ ask, outcome, ms }) => {
    const units = "units" in outcome ? outcome.units : 0;
    return {
      ask,
      outcome,
      ms,
      units,
      // What may have been charged counts as charged.
      micros: outcome.outcome === "unknown" ? most : Math.ceil(units * unit_micros),
      detail: words(outcome),
    };
  });
  await tx.db`select private.settle_costs(${tx.db.json(
    told.map((t) => ({
      id: entries.get(t.ask.key)!.id,
      state: t.outcome.outcome === "unknown" ? "unknown" : "settled",
      outcome: t.outcome.outcome,
      units: t.units,
      micros: t.micros,
      latency_ms: t.ms,
      detail: t.detail,
    })),
  )})`;
  // Also a refusal is kept: the same question would be refused again.
  const kept = await Promise.all(
    told
      .filter((t) => ["found", "miss", "refused"].includes(t.outcome.outcome))
      .map(async (t) => ({
        digest: await digest(tx.tenantId, t.ask.key),
        found: t.outcome.outcome === "found" ? t.outcome.found : null,
        units: t.units,
        days:
          t.outcome.outcome === "found"
            ? round.cache_days
            : // Who asked the provider not to be looked up is not asked about there again.
              "forget" in t.outcome && t.outcome.forget
              ? FORGET_DAYS
              : round.miss_days,
      })),
  );
  if (kept.length > 0)
    await tx.db`
      insert into public.enrichment_cache as c (tenant_id, connection_id, kind, key, found, units, fetched_at, expires_at)
      select ${tx.tenantId}::uuid, ${connection.id}::uuid, ${kind}, decode(k.digest, 'hex'), nullif(k.found, 'null'::jsonb), k.units, kernel.now(),
        kernel.now() + make_interval(days => k.days)
      from jsonb_to_recordset(${tx.db.json(kept as never)}) as k(digest text, found jsonb, units numeric, days int)
      order by 4
      on conflict (tenant_id, connection_id, kind, key) do update
        set found = excluded.found, units = excluded.units, fetched_at = excluded.fetched_at, expires_at = excluded.expires_at`;
  await noteHealth(tx, source, told);
  const pauses = told.flatMap(({ outcome }) => (outcome.outcome === "retry" ? [outcome.after_seconds ?? 0] : []));
  const wait = Math.max(0, ...pauses);
  if (wait > 0) await tx.db`select kernel.block_bucket(${`connection:${connection.id}`}, ${wait})`;
  return told.map(({ ask, outcome, ms, micros, detail }) => [
    ask,
    {
      ...none(outcome.outcome, detail, tx.now),
      found: outcome.outcome === "found" ? outcome.found : null,
      micros,
      ms,
    },
    outcome.outcome === "later" ? outcome.after_seconds : undefined,
  ]);
}

async function noteHealth(
  tx: Ctx,
  { connection }: Source,
  told: readonly { outcome: Made["outcome"]; detail: string }[],
): Promise<void> {
  const count = (...kinds: string[]) => told.filter((t) => kinds.includes(t.outcome.outcome)).length;
  const bad = told.find((t) => ["broken", "retry", "unknown"].includes(t.outcome.outcome));
  const health = {
    connection_id: connection.id,
    ok: count("found", "miss", "refused", "later"),
    bad: count("retry", "unknown"),
    rejected: 0,
    broken: count("broken") > 0,
    error: bad?.detail ?? null,
  };
  await tx.db`select private.note_health(${tx.db.json([health])})`;
}
