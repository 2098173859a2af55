import { z } from "zod";
import { pageOfPeople } from "../contacts/people.ts";
import type { Ctx, ManualCtx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { type AnyConsumer, defineManualConsumer, done } from "../kernel/queues/consumer.ts";
import { researchCompany, type Told } from "./research.ts";

/**
 * Works through a run portion by portion: claims companies, researches them side by side, writes what came of them. A worker that dies leaves
 * a lease that runs out; whoever takes over reads the site again and asks no search provider twice.
 */

export type Companies = { list_id: string } | { contact_ids: string[] } | { company_ids: string[] };

/** Contacts taken in per transaction. */
const TAKE_IN = 2000;
/** Companies of a portion, read side by side: each is another host. */
const PORTION = 6;
/** Time for one company: pages come at a pace, so that the limit of pages is reached well before. */
const COMPANY_MS = 45_000;
const LEASE_SECONDS = 120;
/** Times that a company may be begun before it counts as failed. */
const TRIES = 3;

type RunRow = {
  status: string;
  source: Companies;
  refresh: boolean;
  search: boolean;
  max_pages: number;
  cursor: string | null;
  created_at: Date;
};

export const researchRun: AnyConsumer<{ tenant_id: string; run_id: string }> = defineManualConsumer({
  queue: "research_run",
  payload: z.object({ tenant_id: z.uuid(), run_id: z.uuid() }),
  visibilitySeconds: 120, // a portion
  maxAttempts: 20, // a portion that fails is tried again by its lease; the message only says that the run goes on
  batch: 1, // in turn: a tenant waits for a portion of the others, not for their runs
  concurrency: 4, // websites take most of the time
  async handle(ctx, payload) {
    const { run_id } = payload;
    const run = await ctx.tx((tx) => takeIn(tx, run_id));
    if (run === null) return done();
    const worked = await workPortion(ctx, run_id, run);
    const over = await ctx.tx(async (tx) => {
      const [row] = await tx.db<{ over: boolean; status: string }[]>`
        select private.end_research(${run_id}) as over, r.status from public.research_runs r
        where r.tenant_id = (select kernel.tenant()) and r.id = ${run_id}`;
      const goesOn = row && !row.over && ["preparing", "running"].includes(row.status);
      // Others may hold the last companies: looked at again when they are done with them, or their leases are over.
      if (goesOn)
        await tx.enqueue(researchRun, payload, { delaySeconds: worked > 0 || row.status === "preparing" ? 0 : 5 });
      return !goesOn;
    });
    if (over) ctx.log.info("a research run is over", { run: run_id });
    return done();
  },
});

/** Takes the next companies in, while there are any, and gives the run; null: it does not go on. */
async function takeIn(ctx: Ctx, runId: string): Promise<RunRow | null> {
  const [run] = await ctx.db<RunRow[]>`
    select status, source, refresh, search, max_pages, cursor, created_at from public.research_runs
    where tenant_id = (select kernel.tenant()) and id = ${runId} and status in ('preparing', 'running') for update`;
  if (!run) return null;
  if (run.status === "running") return run;
  const { source } = run;
  let contacts: string[] = [];
  if (!("company_ids" in source)) {
    try {
      const page = await pageOfPeople(ctx, source, run.cursor, TAKE_IN);
      contacts = (await ctx.db<{ id: string }[]>`select p.id from (${page.ids}) p`).map((c) => c.id);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      await ctx.db`
        update public.research_runs set status = 'stopped', stop_reason = 'source_gone', finished_at = kernel.now()
        where tenant_id = (select kernel.tenant()) and id = ${runId}`;
      return null;
    }
  }
  const companies = "company_ids" in source ? source.company_ids : [];
  await ctx.db`
    with added as (
      insert into public.research_items (tenant_id, run_id, company_id)
      select ${ctx.tenantId}::uuid, ${runId}::uuid, o.id from public.companies o
      where o.tenant_id = (select kernel.tenant()) and (o.id = any(${companies}::uuid[]) or o.id in (
        select c.company_id from public.contacts c where c.tenant_id = (select kernel.tenant()) and c.id = any(${contacts}::uuid[])))
      order by o.id on conflict do nothing returning 1)
    update public.research_runs set total = total + (select count(*) from added), cursor = ${contacts.at(-1) ?? run.cursor}::uuid,
      status = case when ${contacts.length < TAKE_IN} then 'running' else status end
    where tenant_id = (select kernel.tenant()) and id = ${runId}`;
  return run;
}

const goesOn = (runId: string) => async (tx: Ctx) => {
  const [row] = await tx.db`
    select from public.research_runs
    where tenant_id = (select kernel.tenant()) and id = ${runId} and status in ('preparing', 'running')`;
  return row !== undefined;
};

/** Returns how many companies were worked on. */
async function workPortion(ctx: ManualCtx, runId: string, run: RunRow): Promise<number> {
  const claimed = await ctx.tx(
    (tx) => tx.db<{ company_id: string; attempt: number }[]>`
      select company_id, attempt from private.claim_research(${runId}, ${PORTION}, ${LEASE_SECONDS})`,
  );
  await Promise.all(
    claimed.map(async ({ company_id, attempt }) => {
      let told: Told;
      try {
        told = await researchCompany(ctx, company_id, {
          run_id: runId,
          since: run.created_at,
          refresh: run.refresh,
          search: run.search,
          max_pages: run.max_pages,
          deadline: performance.now() + COMPANY_MS,
          goesOn: goesOn(runId),
        });
      } catch (error) {
        ctx.log.error("research of a company failed", { company: company_id, error });
        const outcome = attempt < TRIES ? null : "failed";
        told = { outcome, reason: "error", pages: 0, findings: 0, cost_micros: 0 };
      }
      await ctx.tx(
        (tx) => tx.db`select private.finish_research(${runId}, ${tx.db.json({ company_id, attempt, ...told })})`,
      );
    }),
  );
  return claimed.length;
}
