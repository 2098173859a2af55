import { z } from "zod";
import { COUNT_MOST } from "../contacts/contact-query.ts";
import type { Fragment } from "../contacts/filter-sql.ts";
import type { Ctx } from "../kernel/context.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { peopleCondition } from "../contacts/people.ts";
import { sourceOf } from "./audience/audience.ts";
import { addOutcomes, campaignCounts, noOutcomes, type StepCounts } from "./counts.ts";
import { type CampaignRow, campaignRow } from "./read.ts";
import { nodesOf } from "./sequence/nodes.ts";
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
  audience: z
    .number()
    .int()
    .describe("Number of contacts that the list or segment selects now, and of other contacts in the campaign."),
  audience_exact: z.boolean().describe("False: `audience` is a lower bound."),
  enrolled: z.number().int(),
  pending: z.number().int().describe("Enrollments that are waiting, sending or blocked."),
  blocked: z.number().int(),
  ...counters,
  ...more,
  per_step: z.array(
    z.object({
      step_id: z.uuid().nullable(),
      kind: z.string().nullable().describe("Null for a step that the current version does not have."),
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
type Unit = "hour" | "day";
const LENGTH_MS = { hour: 3_600_000, day: 86_400_000 };
const SLOTS = { hour: 24, day: 14 };
const prefix = (unit: Unit) => (unit === "hour" ? "hourly_" : "daily_");
/** The bucket of the counters that a moment lies in: 2026-11-30T08 or 2026-11-30, in UTC. */
const bucketOf = (unit: Unit, at: number) => new Date(at).toISOString().slice(0, unit === "hour" ? 13 : 10);

export const campaignStats = defineOperation({
  id: "campaigns.stats",
  method: "GET",
  path: "/campaigns/{id}/stats",
  summary: "Read a campaign's statistics",
  description:
    "Totals, counts per step, and a time series: the last 24 hours by hour or the last 14 days by day. Counts are messages; automatic opens by software are not counted.",
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
    const facts = await db<{ bucket: string; kind: string; n: number }[]>`
      select bucket, substr(metric, ${prefix(unit).length + 1}::int) as kind, n
      from kernel.counts(${SERIES.map((kind) => prefix(unit) + kind)}::text[], 'campaign', array[${id}]::uuid[],
        ${bucketOf(unit, ctx.now.getTime() - (SLOTS[unit] - 1) * LENGTH_MS[unit])})`;
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
  [step.subject, step.title, step.goal, step.body]
    .find((t): t is string => typeof t === "string" && t.trim() !== "")
    ?.slice(0, 80) ?? step.kind;

/** Steps that sent nothing too, and at the end those that the present version does not have any more. */
function perStep(steps: readonly StepOutput[], counted: readonly StepCounts[]) {
  const rows = new Map(
    steps.map((s) => [
      s.id as string | null,
      {
        step_id: s.id as string | null,
        kind: s.kind as string | null,
        position: s.position,
        label: labelOf(s),
        ...noOutcomes(),
      },
    ]),
  );
  for (const { step_id, ...outcomes } of counted) {
    let row = rows.get(step_id);
    if (!row)
      rows.set(step_id, (row = { step_id, kind: null, position: rows.size + 1, label: "(removed)", ...noOutcomes() }));
    addOutcomes(row, outcomes);
  }
  return [...rows.values()];
}

/** The last 24 hours or 14 days, whether or not anything happened in them. */
function seriesOf(facts: readonly { bucket: string; kind: string; n: number }[], now: Date, unit: Unit) {
  const length = LENGTH_MS[unit];
  const last = Math.floor(now.getTime() / length) * length;
  const of = new Map(facts.map((f) => [`${f.kind} ${f.bucket}`, f.n]));
  return Array.from({ length: SLOTS[unit] }, (_, i) => {
    const at = last - (SLOTS[unit] - 1 - i) * length;
    const n = (kind: string) => of.get(`${kind} ${bucketOf(unit, at)}`) ?? 0;
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
      : await sizeOfPeople(ctx, (await peopleCondition(ctx, source)).people);
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
  >`select coalesce(sum(n), 0)::int as n from kernel.counts(array['list_contacts'], 'list', array[${listId}]::uuid[])`;
  const isMember = db`exists (select from public.list_contacts lc where lc.tenant_id = (select kernel.tenant()) and lc.list_id = ${listId} and lc.contact_id = c.id)`;
  return [{ n: row!.n, most: Number.POSITIVE_INFINITY }, isMember];
}

async function sizeOfPeople({ db }: Ctx, people: Fragment): Promise<Size> {
  const [row] = await db<{ n: number }[]>`
    select count(*)::int as n from (select from public.contacts c where c.tenant_id = (select kernel.tenant()) and ${people} limit ${COUNT_MOST + 1}) x`;
  return [{ n: row!.n, most: COUNT_MOST }, people];
}
