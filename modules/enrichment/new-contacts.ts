import { z } from "zod";
import { type AnyConsumer, defineConsumer, done } from "../kernel/queues/consumer.ts";
import { readSettings } from "./settings.ts";
import { openSources } from "./sources.ts";
import { enrichmentRun } from "./work.ts";

/** Contacts of a run that nobody started; what is more waits for the next one. */
const MOST = 1000;

/** Starts a run over the contacts of the last day that are in none yet, for tenants that want so. */
export const enrichmentNew: AnyConsumer<{ tenant_id: string }> = defineConsumer<{ tenant_id: string }>({
  queue: "enrichment_new",
  payload: z.object({ tenant_id: z.uuid() }),
  visibilitySeconds: 60, // two statements
  maxAttempts: 5, // the schedule asks again
  async handle(ctx) {
    const { db, tenantId } = ctx;
    const settings = await readSettings(ctx);
    if (!settings.on_create || (await openSources(ctx)).length === 0) return done();
    // One at a time: two would start a run each over the same contacts.
    await db`select pg_advisory_xact_lock(hashtextextended(${`enrich-new:${tenantId}`}, 0))`;
    const rows = await db<{ id: string }[]>`
      select c.id from public.contacts c
      where c.tenant_id = (select kernel.tenant()) and c.created_at > kernel.now() - interval '1 day' and c.warmth_score >= ${settings.min_score}
        and not exists (select from public.enrichment_items i where i.tenant_id = (select kernel.tenant()) and i.contact_id = c.id)
      order by c.created_at limit ${MOST}`;
    if (rows.length === 0) return done();
    const ids = rows.map((r) => r.id);
    // With its items, so that the next look finds them in a run.
    const [run] = await db<{ id: string }[]>`
      insert into public.enrichment_runs (tenant_id, name, source, contact_cap_micros, status, total, created_by)
      values (${tenantId}, 'New contacts', ${db.json({ contact_ids: [] })}, ${settings.contact_cap_micros}, 'running', ${ids.length}, 'Overture')
      returning id`;
    await db`
      insert into public.enrichment_items (tenant_id, run_id, contact_id)
      select ${tenantId}::uuid, ${run!.id}::uuid, u.id from unnest(${ids}::uuid[]) as u(id)`;
    await ctx.enqueue(enrichmentRun, { tenant_id: tenantId, run_id: run!.id });
    return done();
  },
});
