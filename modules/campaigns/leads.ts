import { z } from "zod";
import { FilterSchema } from "../contacts/filter.ts";
import { type Fragment, prepare } from "../contacts/filter-sql.ts";
import type { Ctx } from "../kernel/context.ts";
import { decodeCursor, pageOf, pageParams, toPage } from "../kernel/operations/cursor.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { enrollBatch, requireAudience, type Source } from "./audience.ts";
import { beginEnrolling } from "./enroll.ts";
import { campaignsPlan } from "./plan.ts";
import { campaignRow } from "./read.ts";
import { byId, ENROLLMENT_STATUS, EnrollmentSchema } from "./schemas.ts";

type LeadRow = {
  id: string;
  contact_id: string;
  email: string | null;
  full_name: string;
  status: (typeof ENROLLMENT_STATUS)[number];
  step: number;
  next_at: Date | null;
  reason: string | null;
  created_at: Date;
  finished_at: Date | null;
  event_kind: string | null;
  event_at: Date | null;
};

const toLead = (r: LeadRow): z.input<typeof EnrollmentSchema> => ({
  id: r.id,
  contact: { id: r.contact_id, email: r.email, full_name: r.full_name },
  status: r.status,
  step: r.step,
  next_at: r.next_at?.toISOString() ?? null,
  reason: r.reason,
  last_event: r.event_kind && r.event_at ? { kind: r.event_kind, at: r.event_at.toISOString() } : null,
  created_at: r.created_at.toISOString(),
  finished_at: r.finished_at?.toISOString() ?? null,
});

type LeadFilter = {
  id?: string | undefined;
  status?: string | undefined;
  search?: string | undefined;
  after?: string | undefined;
  limit: number;
};

/** Enrollments read in list order before an index is asked who has that name. */
const FIRST_STRIDE = 1000;

/** Enrollments of a campaign, newest first. The last event is looked up for the page alone, after it was cut. */
async function loadLeads(
  ctx: Ctx,
  campaignId: string,
  { id, status, search, after, limit }: LeadFilter,
): Promise<LeadRow[]> {
  const { db, tenantId } = ctx;
  const enrolled = db`e.tenant_id = (select kernel.tenant())
    ${id ? db`and e.id = ${id}` : db``} ${status ? db`and e.status = ${status}` : db``} ${after ? db`and e.id < ${after}::uuid` : db``}`;
  const pick = async (enrollments: Fragment, matching: Fragment = db``) =>
    await db<LeadRow[]>`
    with page as materialized (
      select e.id, e.contact_id, c.email, c.full_name, e.status, e.step, e.next_at, e.reason, e.created_at, e.finished_at
      from ${enrollments} e join public.contacts c on c.tenant_id = e.tenant_id and c.id = e.contact_id
      where true ${matching}
      order by e.id desc limit ${limit}
    )
    select p.*, v.kind as event_kind, v.at as event_at from page p
    left join lateral (
      select ev.kind, ev.at from public.messages m
      join public.message_events ev on ev.tenant_id = m.tenant_id and ev.message_id = m.id and not ev.is_bot
      where m.tenant_id = (select kernel.tenant()) and m.enrollment_id = p.id and m.direction = 'out' order by ev.at desc, ev.id desc limit 1) v on true
    order by p.id desc`;
  // The campaign as a range and in the order: said as equal, the planner may well read the whole team's enrollments in id order
  // and throw away those of newer campaigns. With a status its own index is the obvious one.
  const newest = (most: number) =>
    status
      ? db`(select * from public.enrollments e where ${enrolled} and e.campaign_id = ${campaignId} order by e.id desc limit ${most})`
      : db`(select * from public.enrollments e where ${enrolled} and e.campaign_id between ${campaignId} and ${campaignId}
          order by e.campaign_id, e.id desc limit ${most})`;
  if (!search) return await pick(newest(limit));

  const people = await prepare(db, tenantId, { search, defer: true });
  const matching = db`and ${people.search(search)}`;
  // Whatever many match is among the newest; the rest is found from the people's side.
  const rows = await pick(newest(FIRST_STRIDE), matching);
  if (rows.length >= limit) return rows;
  // Found inside the statement: there may be hundreds of thousands.
  const found = db`(select private.find_contacts(${JSON.stringify(people.required)}::text::jsonb, 'created_at', true, null, null, null))::uuid[]`;
  return await pick(
    db`(select * from public.enrollments e where ${enrolled} and e.campaign_id = ${campaignId} and e.contact_id = any(${found}) offset 0)`,
    matching,
  );
}

export const listLeads = defineOperation({
  id: "campaigns.leads.list",
  method: "GET",
  path: "/campaigns/{id}/leads",
  summary: "People in a campaign, newest first",
  permission: "campaigns:read",
  input: z.object({
    ...pageParams,
    id: z.uuid(),
    status: z.enum(ENROLLMENT_STATUS).optional(),
    search: z.string().trim().max(200).optional().describe("As in GET /contacts."),
  }),
  output: pageOf(EnrollmentSchema),
  async handle(ctx, { id, limit, cursor, status, search }) {
    await campaignRow(ctx, id);
    const after = decodeCursor(cursor, z.tuple([z.uuid()]))?.[0];
    const rows = await loadLeads(ctx, id, { status, search, after, limit: limit + 1 });
    return toPage(rows, limit, (r) => [r.id], toLead);
  },
});

export const addLeads = defineOperation({
  id: "campaigns.leads.add",
  method: "POST",
  path: "/campaigns/{id}/leads",
  summary: "Add people to a campaign",
  description:
    "By id, by list or by filter; also while it runs. Whoever is in it already stays as they are; suppressed people and those without an address are left out. Beyond the first 1,000 people of a list or filter, the rest follows behind the answer.",
  permission: "campaigns:write",
  input: z
    .object({
      id: z.uuid(),
      contact_ids: z.array(z.uuid()).min(1).max(1000).optional(),
      list_id: z.uuid().optional(),
      filter: FilterSchema.optional(),
    })
    .refine((i) => [i.contact_ids, i.list_id, i.filter].filter((x) => x !== undefined).length === 1, {
      message: "Give exactly one of contact_ids, list_id and filter.",
    }),
  output: z.object({
    added: z.number().int(),
    already_in: z.number().int(),
    suppressed: z.number().int(),
    without_email: z.number().int(),
    unknown: z.number().int().describe("Ids that are no contacts."),
    more: z.boolean().describe("Whether the rest is still being added."),
  }),
  async handle(ctx, { id, contact_ids, list_id, filter }) {
    // Locked: a stop or the campaign's end waits, and then sees who was added.
    const campaign = await campaignRow(ctx, id, "update");
    if (!["draft", "running", "paused"].includes(campaign.status)) {
      throw new AppError("conflict", `The campaign is ${campaign.status}: nobody can be added.`, {
        suggestion: "Clone it and add them to the copy.",
      });
    }
    if (list_id) await requireAudience(ctx, { list_id });
    const ids = contact_ids ? [...new Set(contact_ids)] : null;
    const source: Source = ids ? { contact_ids: ids } : list_id ? { list_id } : { filter };
    const batch = await enrollBatch(ctx, id, source, null);
    // A draft takes its audience in when it starts; large additions to it would have no one to carry them on.
    const more = batch.cursor !== null && ids === null;
    if (more) await beginEnrolling(ctx, id, source, batch.cursor);
    if (campaign.status === "running") await ctx.enqueue(campaignsPlan, { tenant_id: ctx.tenantId });
    return {
      added: batch.added,
      already_in: batch.seen - batch.suppressed - batch.without_email - batch.added,
      suppressed: batch.suppressed,
      without_email: batch.without_email,
      unknown: ids ? ids.length - batch.seen : 0,
      more,
    };
  },
});

export const stopLead = defineOperation({
  id: "campaigns.leads.stop",
  method: "POST",
  path: "/campaigns/{id}/leads/{enrollment_id}/stop",
  summary: "End one person's sequence",
  destructive: true,
  permission: "campaigns:write",
  input: z.object({ id: z.uuid(), enrollment_id: z.uuid() }),
  output: EnrollmentSchema,
  async handle(ctx, { id, enrollment_id }) {
    const [before] = await ctx.db<{ status: string }[]>`
      select status from public.enrollments where tenant_id = (select kernel.tenant()) and campaign_id = ${id} and id = ${enrollment_id} for update`;
    if (!before) throw new AppError("not_found", "This person is not in the campaign.");
    const [ended] = await ctx.db<
      { n: number }[]
    >`select private.end_enrollments(array[${enrollment_id}]::uuid[], 'stopped', 'Stopped by a person.') as n`;
    if (ended!.n === 0) throw new AppError("conflict", `The sequence is over already: ${before.status}.`);
    const [row] = await loadLeads(ctx, id, { id: enrollment_id, limit: 1 });
    return toLead(row!);
  },
});

export const retryBlocked = defineOperation({
  id: "campaigns.leads.retry_blocked",
  method: "POST",
  path: "/campaigns/{id}/leads/retry-blocked",
  summary: "Try the blocked people again",
  description: "After their missing values were filled in. Who still lacks one is blocked again.",
  permission: "campaigns:write",
  input: byId,
  output: z.object({ retried: z.number().int() }),
  async handle(ctx, { id }) {
    const campaign = await campaignRow(ctx, id, "share");
    if (campaign.status !== "running" && campaign.status !== "paused") {
      throw new AppError("conflict", `The campaign is ${campaign.status}: nobody waits in it.`);
    }
    const rows = await ctx.db`
      update public.enrollments set status = 'waiting', next_at = kernel.now(), reason = null
      where tenant_id = (select kernel.tenant()) and campaign_id = ${id} and status = 'blocked' returning 1`;
    if (rows.length > 0) await ctx.enqueue(campaignsPlan, { tenant_id: ctx.tenantId });
    return { retried: rows.length };
  },
});
