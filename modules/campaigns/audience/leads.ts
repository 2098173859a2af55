import { z } from "zod";
import { FilterSchema } from "../../contacts/filter.ts";
import { type Fragment, prepare } from "../../contacts/filter-sql.ts";
import type { Ctx } from "../../kernel/context.ts";
import { decodeCursor, pageOf, pageParams, toPage } from "../../kernel/operations/cursor.ts";
import { AppError } from "../../kernel/errors.ts";
import { defineOperation } from "../../kernel/operations/operation.ts";
import { requirePeople, type Source } from "../../contacts/people.ts";
import { enrollBatch } from "./audience.ts";
import { beginEnrolling } from "./enroll.ts";
import { campaignsPlan } from "../plan/plan.ts";
import { campaignRow } from "../read.ts";
import { reasonText } from "../reasons.ts";
import { campaignsRetry, RETRY_BATCH } from "./retry.ts";
import { byId, ENROLLMENT_STATUS, EnrollmentSchema } from "../schemas.ts";

type LeadRow = {
  id: string;
  contact_id: string;
  email: string | null;
  full_name: string;
  status: (typeof ENROLLMENT_STATUS)[number];
  step_id: string | null;
  step_kind: string | null;
  version: number | null;
  next_at: Date | null;
  reason: string | null;
  reason_detail: string | null;
  created_at: Date;
  finished_at: Date | null;
  event_kind: string | null;
  event_at: Date | null;
  /** Of the message on its way, if any. */
  message_status: string | null;
  message_due_at: Date | null;
  message_code: string | null;
  campaign_status: string;
  /** When the campaign's window opens next; null while it is open. */
  opens_at: Date | null;
  /** When the sender's limit begins anew; null while there is room. */
  limit_until: Date | null;
  limit_sender: string | null;
  /** They stand at a step that sends, and no sender of theirs can send. */
  no_sender: boolean;
};

const GUARDED: Readonly<Record<string, "approval" | "window" | "campaign">> = {
  approval_pending: "approval",
  outside_window: "window",
  campaign_paused: "campaign",
};

const NOT_RUNNING: Readonly<Record<string, string>> = { draft: "campaign_draft", paused: "campaign_paused" };

/** What somebody who is active waits for, from when on it goes on, and the reason as a code. */
function waiting(
  r: LeadRow,
  now: Date,
): { waits_for: z.input<typeof EnrollmentSchema>["waits_for"]; next_at: Date | null; code: string | null } {
  const as = (waits_for: z.input<typeof EnrollmentSchema>["waits_for"], next_at: Date | null, code: string | null) => ({
    waits_for,
    next_at,
    code,
  });
  if (r.status === "task") return as("task", null, null);
  if (r.status === "blocked") return as("value", null, r.reason);
  if (r.status !== "waiting" && r.status !== "sending") return as(null, null, r.reason);
  if (r.campaign_status !== "running")
    return as("campaign", null, NOT_RUNNING[r.campaign_status] ?? "campaign_stopped");
  if (r.status === "sending") {
    if (r.message_status === "unknown") return as("message", null, "unknown_outcome");
    if (r.message_status === "held") return as(GUARDED[r.message_code ?? ""] ?? "message", null, r.message_code);
    if (r.no_sender && r.message_status === "queued") return as("sender", null, "sender_inactive");
    if (r.limit_until && r.message_status === "queued") return as("sender_limit", r.limit_until, "sender_limit");
    return as(GUARDED[r.message_code ?? ""] ?? "message", r.message_due_at, r.message_code);
  }
  // Whoever is due waits for whatever keeps the planner from them.
  if (r.next_at && r.next_at.getTime() > now.getTime()) return as("time", r.next_at, null);
  if (r.opens_at) return as("window", r.opens_at, "outside_window");
  if (r.no_sender) return as("sender", null, "sender_inactive");
  if (r.limit_until) return as("sender_limit", r.limit_until, "sender_limit");
  return as("time", r.next_at, null);
}

const toLead =
  (now: Date) =>
  (r: LeadRow): z.input<typeof EnrollmentSchema> => {
    const { waits_for, next_at, code } = waiting(r, now);
    const text = reasonText(code);
    const about =
      code === "sender_limit" && r.limit_sender
        ? ` (${r.limit_sender})`
        : r.reason_detail && code === r.reason
          ? ` ${r.reason_detail}`
          : "";
    return {
      id: r.id,
      contact: { id: r.contact_id, email: r.email, full_name: r.full_name },
      status: r.status,
      step_id: r.step_id,
      step_kind: r.step_kind,
      version: r.version,
      next_at: next_at?.toISOString() ?? null,
      waits_for,
      reason: text === null ? null : `${text}${about}`,
      reason_code: code,
      last_event: r.event_kind && r.event_at ? { kind: r.event_kind, at: r.event_at.toISOString() } : null,
      created_at: r.created_at.toISOString(),
      finished_at: r.finished_at?.toISOString() ?? null,
    };
  };

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
  const actions = [...ctx.registry.steps.values()].flatMap((step) => step.action ?? []);
  const enrolled = db`e.tenant_id = (select kernel.tenant())
    ${id ? db`and e.id = ${id}` : db``} ${status ? db`and e.status = ${status}` : db``} ${after ? db`and e.id < ${after}::uuid` : db``}`;
  const pick = async (enrollments: Fragment, matching: Fragment = db``) =>
    await db<LeadRow[]>`
    with rooms as materialized (select * from private.sender_rooms(${actions}::text[])), page as materialized (
      select e.id, e.contact_id, c.email, c.full_name, e.status, e.node_id, e.version_id, e.campaign_id, e.action, e.sender_id, e.next_at, e.reason,
        e.reason_detail, e.created_at, e.finished_at
      from ${enrollments} e
      -- Each person by their key, whatever the statistics say of how few there may be: as a plain join the planner may look through the
      -- index of the search once for every one of them.
      cross join lateral (select c.* from public.contacts c where c.tenant_id = e.tenant_id and c.id = e.contact_id offset 0) c
      where true ${matching}
      order by e.id desc limit ${limit}
    )
    select p.*, v.kind as event_kind, v.at as event_at, n.step_id, n.kind as step_kind, sv.number as version, k.status as campaign_status,
      case when not private.in_window(k.settings, kernel.now()) then private.next_opening(k.settings, kernel.now()) end as opens_at,
      msg.status as message_status, msg.due_at as message_due_at, msg.error_code as message_code, room.until as limit_until, room.address as limit_sender,
      p.action is not null and room.address is null as no_sender
    from page p
    join public.campaigns k on k.tenant_id = (select kernel.tenant()) and k.id = p.campaign_id
    left join public.sequence_nodes n on n.tenant_id = (select kernel.tenant()) and n.id = p.node_id
    left join public.sequence_versions sv on sv.tenant_id = (select kernel.tenant()) and sv.id = p.version_id
    left join lateral (
      select m.status, m.due_at, m.error_code from public.messages m
      where p.status = 'sending' and m.tenant_id = (select kernel.tenant()) and m.enrollment_id = p.id and m.direction = 'out'
      order by m.created_at desc limit 1) msg on true
    left join lateral (
      -- The sender that has room first; of a person who knows one already, that one. A written message has its place in the queue.
      select l.until, s.address from rooms r
      cross join lateral (select case when p.status = 'sending' then r.opens_at else r.renews_at end as until) l
      join public.campaign_senders cs on cs.tenant_id = (select kernel.tenant()) and cs.campaign_id = p.campaign_id and cs.sender_id = r.sender_id
      join public.senders s on s.tenant_id = (select kernel.tenant()) and s.id = r.sender_id
      where r.action = p.action and (p.sender_id is null or r.sender_id = p.sender_id)
      order by l.until nulls first limit 1) room on true
    left join lateral (
      select ev.kind, ev.at from public.messages m
      cross join lateral (
        select kind, at from public.message_events x where x.tenant_id = m.tenant_id and x.message_id = m.id and not x.is_bot
        union all select 'sent', m.sent_at where m.sent_at is not null) ev
      where m.tenant_id = (select kernel.tenant()) and m.enrollment_id = p.id and m.direction = 'out'
      order by ev.at desc, ev.kind = 'sent' limit 1) v on true
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

/** One person of a campaign as the API tells of them; null when they are not in it. */
export async function loadLead(
  ctx: Ctx,
  campaignId: string,
  id: string,
): Promise<z.input<typeof EnrollmentSchema> | null> {
  const [row] = await loadLeads(ctx, campaignId, { id, limit: 1 });
  return row ? toLead(ctx.now)(row) : null;
}

export const listLeads = defineOperation({
  id: "campaigns.leads.list",
  method: "GET",
  path: "/campaigns/{id}/leads",
  summary: "List the enrollments of a campaign, newest first",
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
    return toPage(rows, limit, (r) => [r.id], toLead(ctx.now));
  },
});

export const addLeads = defineOperation({
  id: "campaigns.leads.add",
  method: "POST",
  path: "/campaigns/{id}/leads",
  summary: "Add contacts to a campaign",
  description:
    "By id, by list or by filter; also while the campaign runs. Contacts that are already in the campaign do not change; with `restart`, contacts that finished, were stopped or replied start again. Each new contact gets an enrollment; a contact that cannot be reached has the status `left_out` and a reason. The first 1,000 contacts of a list or filter are added before the response, the rest in the background.",
  permission: "campaigns:write",
  input: z
    .object({
      id: z.uuid(),
      contact_ids: z.array(z.uuid()).min(1).max(1000).optional(),
      list_id: z.uuid().optional(),
      filter: FilterSchema.optional(),
      restart: z.boolean().default(false).describe("Whether contacts whose enrollment has ended start again."),
    })
    .refine((i) => [i.contact_ids, i.list_id, i.filter].filter((x) => x !== undefined).length === 1, {
      message: "Give exactly one of contact_ids, list_id and filter.",
    }),
  output: z.object({
    added: z.number().int(),
    already_in: z.number().int(),
    left_out: z.record(z.string(), z.number().int()).describe("Number of contacts that were left out, by reason."),
    unknown: z.number().int().describe("Number of ids that belong to no contact."),
    more: z.boolean().describe("Whether more contacts are still being added in the background."),
  }),
  async handle(ctx, { id, contact_ids, list_id, filter, restart }) {
    // Locked: a stop or the campaign's end waits, and then sees who was added.
    const campaign = await campaignRow(ctx, id, "update");
    if (!["draft", "running", "paused"].includes(campaign.status)) {
      throw new AppError("conflict", `The campaign is ${campaign.status}: no contacts can be added.`, {
        suggestion: "Clone the campaign and add the contacts to the copy.",
      });
    }
    if (list_id) await requirePeople(ctx, { list_id });
    const ids = contact_ids ? [...new Set(contact_ids)] : null;
    const source: Source = ids ? { contact_ids: ids } : list_id ? { list_id } : { filter };
    const batch = await enrollBatch(ctx, campaign, source, null, restart);
    // A draft takes its audience in when it starts; large additions to it would have no one to carry them on.
    const more = batch.cursor !== null && ids === null;
    if (more) await beginEnrolling(ctx, id, source, batch.cursor, restart);
    if (campaign.status === "running") await ctx.enqueue(campaignsPlan, { tenant_id: ctx.tenantId });
    return {
      added: batch.added,
      already_in: batch.already_in,
      left_out: batch.left_out,
      unknown: ids ? ids.length - batch.seen : 0,
      more,
    };
  },
});

export const stopLead = defineOperation({
  id: "campaigns.leads.stop",
  method: "POST",
  path: "/campaigns/{id}/leads/{enrollment_id}/stop",
  summary: "End one contact's enrollment",
  destructive: true,
  permission: "campaigns:write",
  input: z.object({ id: z.uuid(), enrollment_id: z.uuid() }),
  output: EnrollmentSchema,
  async handle(ctx, { id, enrollment_id }) {
    const [before] = await ctx.db<{ status: string }[]>`
      select status from public.enrollments where tenant_id = (select kernel.tenant()) and campaign_id = ${id} and id = ${enrollment_id} for update`;
    if (!before) throw new AppError("not_found", "This contact is not in the campaign.");
    const [ended] = await ctx.db<
      { n: number }[]
    >`select private.end_enrollments(array[${enrollment_id}]::uuid[], 'stopped', 'stopped_by_person') as n`;
    if (ended!.n === 0)
      throw new AppError("conflict", `The enrollment has already ended with the status ${before.status}.`);
    return (await loadLead(ctx, id, enrollment_id))!;
  },
});

export const retryBlocked = defineOperation({
  id: "campaigns.leads.retry_blocked",
  method: "POST",
  path: "/campaigns/{id}/leads/retry-blocked",
  summary: "Retry blocked enrollments",
  description:
    "For use after the missing values were filled in. A contact that still has a missing value is blocked again.",
  permission: "campaigns:write",
  input: byId,
  output: z.object({
    retried: z.number().int(),
    more: z.boolean().describe("Whether more enrollments are retried in the background."),
  }),
  async handle(ctx, { id }) {
    const campaign = await campaignRow(ctx, id, "share");
    if (campaign.status !== "running" && campaign.status !== "paused") {
      throw new AppError("conflict", `The campaign is ${campaign.status}: it has no waiting enrollments.`);
    }
    const before = ctx.now.toISOString();
    const [row] = await ctx.db<{ n: number }[]>`select private.retry_blocked(${id}, ${before}::text::timestamptz) as n`;
    if (row!.n === RETRY_BATCH) await ctx.enqueue(campaignsRetry, { tenant_id: ctx.tenantId, campaign_id: id, before });
    if (row!.n > 0) await ctx.enqueue(campaignsPlan, { tenant_id: ctx.tenantId });
    return { retried: row!.n, more: row!.n === RETRY_BATCH };
  },
});
