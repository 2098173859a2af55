import { z } from "zod";
import { defineOperation } from "../kernel/operation.ts";
import { audienceCondition, sourceOf } from "./audience.ts";
import { campaignRow } from "./read.ts";

const counters = {
  sent: z.number().int(),
  delivered: z.number().int(),
  opened: z.number().int(),
  clicked: z.number().int(),
  replied: z.number().int(),
  bounced: z.number().int(),
};
const more = {
  unsubscribed: z.number().int(),
  complained: z.number().int(),
  failed: z.number().int(),
  unknown: z.number().int(),
  queued: z.number().int(),
};

const StatsSchema = z.object({
  audience: z.number().int().describe("People the list or segment selects now, and whoever else is in the campaign."),
  enrolled: z.number().int(),
  pending: z.number().int().describe("People still on their way: waiting, sending or blocked."),
  blocked: z.number().int(),
  ...counters,
  ...more,
  per_step: z.array(
    z.object({ step_id: z.uuid().nullable(), position: z.number().int(), subject: z.string(), ...counters, ...more }),
  ),
  resolution: z.enum(["hour", "day"]),
  series: z.array(z.object({ at: z.iso.datetime(), ...counters })),
});

type Counts = Record<keyof typeof counters | keyof typeof more, number>;
const KEYS = [...Object.keys(counters), ...Object.keys(more)] as (keyof Counts)[];

export const campaignStats = defineOperation({
  id: "campaigns.stats",
  method: "GET",
  path: "/campaigns/{id}/stats",
  summary: "What became of a campaign",
  description:
    "Totals, per step, and a series: the last 24 hours by hour or the last 14 days by day. Counts are messages; prefetches by machines are not opens.",
  permission: "campaigns:read",
  input: z.object({
    id: z.uuid(),
    range: z.enum(["24h", "14d"]).optional().describe("Default: 24h in a campaign's first day, then 14d."),
  }),
  output: StatsSchema,
  async handle(ctx, { id, range }) {
    const { db, tenantId } = ctx;
    const campaign = await campaignRow(ctx, id);
    const hourly = range
      ? range === "24h"
      : campaign.started_at === null || ctx.now.getTime() - campaign.started_at.getTime() < 86_400_000;
    const { people } = await audienceCondition(ctx, sourceOf(campaign));
    const [enrolled] = await db<{ audience: number; enrolled: number; pending: number; blocked: number }[]>`
      select (select count(*)::int from public.contacts c where c.tenant_id = ${tenantId} and (${people} or exists (
          select from public.enrollments e where e.tenant_id = c.tenant_id and e.campaign_id = ${id} and e.contact_id = c.id))) as audience,
        count(*)::int as enrolled, (count(*) filter (where e.status in ('waiting', 'sending', 'blocked')))::int as pending,
        (count(*) filter (where e.status = 'blocked'))::int as blocked
      from public.enrollments e where e.tenant_id = ${tenantId} and e.campaign_id = ${id}`;
    // Steps without messages too, and messages whose step was removed.
    const perStep = await db<(Counts & { step_id: string | null; position: number; subject: string })[]>`
      with told as (
        select m.step_id, min(m.step) as step, count(m.sent_at)::int as sent, count(m.delivered_at)::int as delivered, count(m.opened_at)::int as opened,
          count(m.clicked_at)::int as clicked, count(m.replied_at)::int as replied, count(m.bounced_at)::int as bounced,
          count(m.unsubscribed_at)::int as unsubscribed, count(m.complained_at)::int as complained,
          (count(*) filter (where m.status = 'failed'))::int as failed, (count(*) filter (where m.status = 'unknown'))::int as unknown,
          (count(*) filter (where m.status in ('queued', 'sending')))::int as queued
        from public.messages m where m.tenant_id = ${tenantId} and m.campaign_id = ${id} and m.direction = 'out' group by 1
      ), steps as (
        select s.id, s.position, s.subject from public.campaign_steps s where s.tenant_id = ${tenantId} and s.campaign_id = ${id}
      )
      select coalesce(s.id, t.step_id) as step_id, coalesce(s.position, t.step, 0) as position, coalesce(s.subject, '(removed)') as subject,
        coalesce(t.sent, 0) as sent, coalesce(t.delivered, 0) as delivered, coalesce(t.opened, 0) as opened, coalesce(t.clicked, 0) as clicked,
        coalesce(t.replied, 0) as replied, coalesce(t.bounced, 0) as bounced, coalesce(t.unsubscribed, 0) as unsubscribed,
        coalesce(t.complained, 0) as complained, coalesce(t.failed, 0) as failed, coalesce(t.unknown, 0) as unknown, coalesce(t.queued, 0) as queued
      from steps s full join told t on t.step_id = s.id order by s.position nulls last, t.step`;
    const unit = hourly ? ("hour" as const) : ("day" as const);
    const series = await db<({ at: Date } & Record<keyof typeof counters, number>)[]>`
      with slots as (
        select generate_series(date_trunc(${unit}::text, kernel.now(), 'UTC') - ${hourly ? "23 hours" : "13 days"}::text::interval,
          date_trunc(${unit}::text, kernel.now(), 'UTC'), ${`1 ${unit}`}::text::interval) as at
      ), facts as (
        select date_trunc(${unit}::text, f.at, 'UTC') as at, f.kind, count(*)::int as n
        from public.messages m cross join lateral (values ('sent', m.sent_at), ('delivered', m.delivered_at), ('opened', m.opened_at),
          ('clicked', m.clicked_at), ('replied', m.replied_at), ('bounced', m.bounced_at)) f(kind, at)
        where m.tenant_id = ${tenantId} and m.campaign_id = ${id} and m.direction = 'out' and f.at >= (select min(s.at) from slots s) group by 1, 2
      )
      select s.at, coalesce(sum(f.n) filter (where f.kind = 'sent'), 0)::int as sent, coalesce(sum(f.n) filter (where f.kind = 'delivered'), 0)::int as delivered,
        coalesce(sum(f.n) filter (where f.kind = 'opened'), 0)::int as opened, coalesce(sum(f.n) filter (where f.kind = 'clicked'), 0)::int as clicked,
        coalesce(sum(f.n) filter (where f.kind = 'replied'), 0)::int as replied, coalesce(sum(f.n) filter (where f.kind = 'bounced'), 0)::int as bounced
      from slots s left join facts f on f.at = s.at group by 1 order by 1`;
    const totals = Object.fromEntries(KEYS.map((k) => [k, perStep.reduce((sum, s) => sum + s[k], 0)])) as Counts;
    return {
      ...enrolled!,
      ...totals,
      per_step: [...perStep],
      resolution: unit,
      series: series.map((s) => ({ ...s, at: s.at.toISOString() })),
    };
  },
});
