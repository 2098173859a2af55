import { z } from "zod";
import { COUNT_MOST } from "../contacts/contact-query.ts";
import type { Fragment } from "../contacts/filter-sql.ts";
import type { Ctx } from "../kernel/context.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { audienceCondition, sourceOf } from "./audience/audience.ts";
import { addOutcomes, campaignCounts, noOutcomes, type StepCounts } from "./counts.ts";
import { type CampaignRow, campaignRow } from "./read.ts";
import { nodesOf } from "./sequence/store.ts";
import { type StepOutput, toTree } from "./sequence/tree.ts";

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
  audience_exact: z.boolean().describe("False: at least so many."),
  enrolled: z.number().int(),
  pending: z.number().int().describe("People still on their way: waiting, sending or blocked."),
  blocked: z.number().int(),
  ...counters,
  ...more,
  per_step: z.array(
    z.object({
      step_id: z.uuid().nullable(),
      kind: z.string().nullable().describe("Null for a step that the present version does not have."),
      position: z.number().int(),
      label: z.string().describe("The step's subject, title or first words."),
      ...counters,
      ...more,
    }),
  ),
  resolution: z.enum(["hour", "day"]),
  series: z.array(z.object({ at: z.iso.datetime(), ...counters })),
});

const SERIES = Object.keys(counters) as (keyof typeof counters)[];
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

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
    const { db } = ctx;
    const campaign = await campaignRow(ctx, id);
    const hourly = range
      ? range === "24h"
      : campaign.started_at === null || ctx.now.getTime() - campaign.started_at.getTime() < 86_400_000;
    const counts = (await campaignCounts(ctx, [id])).get(id)!;
    const { audience, exact } = await audienceSize(ctx, campaign, counts.enrolled);
    const steps = flat(toTree(campaign.version_id ? await nodesOf(ctx, [campaign.version_id]) : [], ctx.registry));
    const unit = hourly ? ("hour" as const) : ("day" as const);
    const facts = hourly
      ? await db<{ at: number; kind: string; n: number }[]>`
          select split_part(key, '@', 2)::bigint * 1000 as at, split_part(key, '@', 1) as kind, n from private.tally(array['hour'], array[${id}]::uuid[])`
      : await db<{ at: number; kind: string; n: number }[]>`
          select (extract(epoch from day) * 1000)::bigint as at, kind, n
          from private.daily_totals_of(${id}, ${new Date(ctx.now.getTime() - 13 * DAY_MS).toISOString().slice(0, 10)}::date)`;
    return {
      audience,
      audience_exact: exact,
      enrolled: counts.enrolled,
      pending: counts.pending,
      blocked: counts.people.blocked ?? 0,
      ...counts.messages,
      per_step: perStep(steps, counts.steps),
      resolution: unit,
      series: seriesOf(facts, ctx.now, unit),
    };
  },
});

/** A tree's steps in their order, branches after the step they belong to. */
const flat = (steps: readonly StepOutput[]): StepOutput[] =>
  steps.flatMap((s) => [s, ...Object.values(s.branches ?? {}).flatMap(flat)]);

/** What people call a step by: its subject, title or first words. */
const labelOf = (step: StepOutput): string =>
  [step.subject, step.title, step.goal, step.body].find((t): t is string => typeof t === "string" && t.trim() !== "")?.slice(0, 80) ?? step.kind;

/** Steps that sent nothing too, and at the end those that the present version does not have any more. */
function perStep(steps: readonly StepOutput[], told: readonly StepCounts[]) {
  const rows = new Map(
    steps.map((s) => [
      s.id as string | null,
      { step_id: s.id as string | null, kind: s.kind as string | null, position: s.position, label: labelOf(s), ...noOutcomes() },
    ]),
  );
  for (const { step_id, ...outcomes } of told) {
    let row = rows.get(step_id);
    if (!row) rows.set(step_id, (row = { step_id, kind: null, position: rows.size + 1, label: "(removed)", ...noOutcomes() }));
    addOutcomes(row, outcomes);
  }
  return [...rows.values()];
}

/** The last 24 hours or 14 days, whether or not anything happened in them. */
function seriesOf(facts: readonly { at: number; kind: string; n: number }[], now: Date, unit: "hour" | "day") {
  const [length, slots] = unit === "hour" ? [HOUR_MS, 24] : [DAY_MS, 14];
  const last = Math.floor(now.getTime() / length) * length;
  const of = new Map(facts.map((f) => [`${f.kind} ${f.at}`, f.n]));
  return Array.from({ length: slots }, (_, i) => {
    const at = last - (slots - 1 - i) * length;
    const n = (kind: string) => of.get(`${kind} ${at}`) ?? 0;
    return {
      at: new Date(at).toISOString(),
      ...(Object.fromEntries(SERIES.map((kind) => [kind, n(kind)])) as Record<keyof typeof counters, number>),
    };
  });
}

/**
 * Whom the list or segment selects, and whoever else is in the campaign. Where either is large nobody compares them person by
 * person: at least so many.
 */
async function audienceSize(
  ctx: Ctx,
  campaign: CampaignRow,
  enrolled: number,
): Promise<{ audience: number; exact: boolean }> {
  const { db } = ctx;
  const source = sourceOf(campaign);
  if (source === null) return { audience: enrolled, exact: true };
  const [selected, isMember] =
    "list_id" in source
      ? await sizeOfList(ctx, source.list_id)
      : await sizeOfPeople(ctx, (await audienceCondition(ctx, source)).people);
  const known = Math.min(selected.n, selected.most);
  if (selected.n > selected.most || enrolled > COUNT_MOST) return { audience: Math.max(known, enrolled), exact: false };
  const [others] = await db<{ n: number }[]>`
    select count(*)::int as n from (
      select c.* from public.enrollments e join public.contacts c on c.tenant_id = e.tenant_id and c.id = e.contact_id
      where e.tenant_id = (select kernel.tenant()) and e.campaign_id = ${campaign.id} offset 0) c
    where not coalesce(${isMember}, false)`;
  return { audience: known + others!.n, exact: true };
}

type Size = [size: { n: number; most: number }, isMember: Fragment];

async function sizeOfList({ db }: Ctx, listId: string): Promise<Size> {
  const [row] = await db<
    { n: number }[]
  >`select coalesce(sum(n), 0)::int as n from private.tally(array['list'], array[${listId}]::uuid[])`;
  const isMember = db`exists (select from public.list_contacts lc where lc.tenant_id = (select kernel.tenant()) and lc.list_id = ${listId} and lc.contact_id = c.id)`;
  return [{ n: row!.n, most: Number.POSITIVE_INFINITY }, isMember];
}

async function sizeOfPeople({ db }: Ctx, people: Fragment): Promise<Size> {
  const [row] = await db<{ n: number }[]>`
    select count(*)::int as n from (select from public.contacts c where c.tenant_id = (select kernel.tenant()) and ${people} limit ${COUNT_MOST + 1}) x`;
  return [{ n: row!.n, most: COUNT_MOST }, people];
}
