import { z } from "zod";
import { pageOfPeople, type Source as People } from "../contacts/people.ts";
import type { Ctx, ManualCtx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { type AnyConsumer, defineManualConsumer, done } from "../kernel/queues/consumer.ts";
import type { Field } from "../providers/enrichment/vocabulary.ts";
import type { Round, Source } from "./question.ts";
import { MISS_DAYS, readSettings } from "./settings.ts";
import { fieldsOf, openSources } from "./sources.ts";
import { loadSubjects } from "./subjects.ts";
import { type Item, itemOf, outcomeOf, pour } from "./waterfall.ts";

/**
 * Works through a run portion by portion: claims contacts, takes them through the waterfall, writes what came of them. A worker that dies
 * leaves a lease that runs out; whoever takes over finds the answers in the cache and pays for none again.
 */

/** Contacts taken in per transaction. */
const TAKE_IN = 2000;
/** Contacts of a portion. Large enough that providers with batches get full ones. */
const PORTION = 100;
/** How long a portion may take: what is not asked by then waits for the next one. */
const PORTION_MS = 60_000;
/** Far above a portion and the slowest call after its end. */
const LEASE_SECONDS = 180;
/** Portions a contact may be part of without an end before it counts as failed. */
const TRIES = 5;

type RunRow = {
  status: string;
  source: People;
  fields: Field[] | null;
  refresh: boolean;
  min_score: number | null;
  concurrency: number;
  contact_cap_micros: string;
  cursor: string | null;
  created_at: Date;
};

export const enrichmentRun: AnyConsumer<{ tenant_id: string; run_id: string }> = defineManualConsumer({
  queue: "enrichment_run",
  payload: z.object({ tenant_id: z.uuid(), run_id: z.uuid() }),
  visibilitySeconds: 120, // a portion and its last calls
  maxAttempts: 20, // a portion that fails is tried again by its lease; the message only says that the run goes on
  batch: 1, // in turn: a tenant waits for a portion of the others, not for their runs
  concurrency: 4, // providers' answers take most of the time
  async handle(ctx, payload) {
    const { run_id } = payload;
    const run = await ctx.tx((tx) => takeIn(tx, run_id));
    if (run === null) return done();
    const worked = await workPortion(ctx, run_id, run);
    const over = await ctx.tx(async (tx) => {
      const [row] = await tx.db<{ over: boolean; status: string }[]>`
        select private.end_enrichment(${run_id}) as over, r.status from public.enrichment_runs r
        where r.tenant_id = (select kernel.tenant()) and r.id = ${run_id}`;
      const goesOn = row && !row.over && ["preparing", "running"].includes(row.status);
      // Others may hold the last contacts: looked at again when their leases are over, or when they are done with them.
      if (goesOn)
        await tx.enqueue(enrichmentRun, payload, { delaySeconds: worked > 0 || row.status === "preparing" ? 0 : 5 });
      return !goesOn;
    });
    if (over) ctx.log.info("an enrichment run is over", { run: run_id });
    return done();
  },
});

/** What a contact of a run has behind it: portions it was in, this one included, and what they cost. */
type Before = { id: string; attempts: number; cost_micros: number };

/** Takes the next contacts in, while there are any, and gives the run; null: it does not go on. */
async function takeIn(ctx: Ctx, runId: string): Promise<RunRow | null> {
  const [run] = await ctx.db<RunRow[]>`
    select status, source, fields, refresh, min_score, concurrency, contact_cap_micros, cursor, created_at from public.enrichment_runs
    where tenant_id = (select kernel.tenant()) and id = ${runId} and status in ('preparing', 'running') for update`;
  if (!run) return null;
  if (run.status === "running") return run;
  let ids: { id: string }[];
  try {
    const page = await pageOfPeople(ctx, run.source, run.cursor, TAKE_IN);
    ids = await ctx.db<{ id: string }[]>`select p.id from (${page.ids}) p`;
  } catch (error) {
    // The segment or a field of its filter is gone.
    if (!(error instanceof AppError)) throw error;
    await ctx.db`
      update public.enrichment_runs set status = 'stopped', stop_reason = 'source_gone', finished_at = kernel.now()
      where tenant_id = (select kernel.tenant()) and id = ${runId}`;
    return null;
  }
  const list = ids.map((i) => i.id);
  await ctx.db`
    with added as (
      insert into public.enrichment_items (tenant_id, run_id, contact_id)
      select ${ctx.tenantId}::uuid, ${runId}::uuid, c.id from public.contacts c
      where c.tenant_id = (select kernel.tenant()) and c.id = any(${list}::uuid[])
        and c.warmth_score >= ${run.min_score ?? 0}
      on conflict do nothing returning 1)
    update public.enrichment_runs set total = total + (select count(*) from added), cursor = ${list.at(-1) ?? run.cursor}::uuid,
      status = case when ${list.length < TAKE_IN} then 'running' else status end
    where tenant_id = (select kernel.tenant()) and id = ${runId}`;
  return run;
}

/** Returns how many contacts were worked on. */
async function workPortion(ctx: ManualCtx, runId: string, run: RunRow): Promise<number> {
  const begun = await ctx.tx(async (tx) => {
    const claimed = await tx.db<{ id: string }[]>`
      select private.claim_enrichment(${runId}, ${PORTION}, ${LEASE_SECONDS}) as id`;
    if (claimed.length === 0) return null;
    const ids = claimed.map((c) => c.id);
    const before = await tx.db<Before[]>`
      select contact_id as id, attempts, cost_micros::float8 as cost_micros from public.enrichment_items
      where tenant_id = (select kernel.tenant()) and run_id = ${runId} and contact_id = any(${ids}::uuid[])`;
    return {
      subjects: await loadSubjects(tx, ids),
      sources: await openSources(tx),
      settings: await readSettings(tx),
      before: new Map(before.map((b) => [b.id, b])),
    };
  });
  if (begun === null) return 0;
  const { subjects, sources, settings, before } = begun;
  const limits = { contact_cap_micros: Number(run.contact_cap_micros), refresh: run.refresh };
  const wanted = run.fields ?? fieldsOf(sources);
  const items = subjects.map((s) => itemOf(s, wanted, limits, before.get(s.contact_id)!.cost_micros));
  const round: Round = {
    run_id: runId,
    campaign_id: null,
    concurrency: run.concurrency,
    // Asked anew, and by a portion that goes on after a crash not once more.
    since: run.refresh ? run.created_at : null,
    deadline: performance.now() + PORTION_MS,
    patience: PORTION_MS / 1000,
    cache_days: settings.cache_days,
    miss_days: Math.min(MISS_DAYS, settings.cache_days),
    goesOn: async (tx) => {
      const [row] = await tx.db`
        select from public.enrichment_runs
        where tenant_id = (select kernel.tenant()) and id = ${runId} and status in ('preparing', 'running')`;
      return row !== undefined;
    },
  };
  try {
    await pour(ctx, sources, items, round, limits);
  } finally {
    await ctx.tx((tx) => finish(tx, runId, items, before, sources));
  }
  return items.length;
}

async function finish(
  ctx: Ctx,
  runId: string,
  items: readonly Item[],
  before: ReadonlyMap<string, Before>,
  sources: readonly Source[],
): Promise<void> {
  const told = items.map((item) => {
    const attempt = before.get(item.subject.contact_id)!.attempts;
    // Not asked to the end: they wait for the next portion, with what was found.
    const open = item.missing.size > 0 && ["interrupted", "stopped"].includes(item.reason ?? "");
    const reason = item.missing.size === 0 ? null : sources.length === 0 ? "no_provider" : item.reason;
    return {
      contact_id: item.subject.contact_id,
      outcome: !open ? outcomeOf(item) : attempt < TRIES ? null : "failed",
      reason,
      filled: [...item.filled],
      missing: [...item.missing],
      cost_micros: item.cost_micros,
      saved_micros: item.saved_micros,
      calls: item.calls,
      cached: item.cached,
      attempt,
    };
  });
  await ctx.db`select private.finish_enrichment(${runId}, ${ctx.db.json(told)})`;
}
