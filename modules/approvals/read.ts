import { z } from "zod";
import { templateOf } from "../campaigns/steps/rewrite.ts";
import type { Ctx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { decodeCursor, pageOf, pageParams, toPage } from "../kernel/operations/cursor.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { APPROVAL_RULES, APPROVAL_STATES, ApprovalDetailSchema, ApprovalSchema, byId } from "./schemas.ts";

/** Requests for approval as people see them. */

type Row = Record<string, unknown> & { id: string };

const columns = ({ db }: Ctx) => db`
  a.id, a.state, a.rule, a.rules, a.risk, a.risk_parts, a.requested_at, a.expires_at, a.auto_at, a.escalated_at, a.decided_by, a.decided_at, a.reason,
  a.edited_template is not null as is_edited,
  jsonb_build_object('id', m.id, 'channel', m.channel, 'status', m.status, 'from_address', m.from_address, 'from_name', m.from_name,
    'to_address', m.to_address, 'subject', m.subject, 'snippet', left(m.body_text, 200)) as message,
  case when c.id is not null then jsonb_build_object('id', c.id, 'full_name', c.full_name, 'email', c.email, 'title', c.title, 'company', o.name) end as contact,
  case when k.id is not null then jsonb_build_object('id', k.id, 'name', k.name) end as campaign,
  case when n.id is not null then jsonb_build_object('id', n.step_id, 'kind', n.kind, 'position', n.position) end as step`;

const joins = ({ db }: Ctx) => db`
  join public.messages m on m.tenant_id = (select kernel.tenant()) and m.id = a.message_id
  left join public.contacts c on c.tenant_id = (select kernel.tenant()) and c.id = a.contact_id
  left join public.companies o on o.tenant_id = (select kernel.tenant()) and o.id = c.company_id
  left join public.campaigns k on k.tenant_id = (select kernel.tenant()) and k.id = a.campaign_id
  left join public.step_runs r on r.tenant_id = (select kernel.tenant()) and r.id = m.step_run_id
  left join lateral (
    select x.id, x.step_id, x.kind, (select count(*) from public.sequence_nodes y
      where y.tenant_id = (select kernel.tenant()) and y.version_id = x.version_id and y.position <= x.position)::int as position
    from public.sequence_nodes x where x.tenant_id = (select kernel.tenant()) and x.id = r.node_id) n on true`;

const toApproval = (row: Row) =>
  Object.fromEntries(Object.entries(row).map(([k, v]) => [k, v instanceof Date ? v.toISOString() : v])) as z.input<
    typeof ApprovalSchema
  >;

export const listApprovals = defineOperation({
  id: "approvals.list",
  method: "GET",
  path: "/approvals",
  summary: "List messages that wait for approval, or waited",
  description: "Waiting ones oldest first, decided ones newest first.",
  permission: "approvals:read",
  input: z.object({
    ...pageParams,
    state: z.enum(APPROVAL_STATES).default("pending"),
    campaign_id: z.uuid().optional(),
    rule: z.enum(APPROVAL_RULES).optional(),
  }),
  output: pageOf(ApprovalSchema),
  async handle(ctx, { state, campaign_id, rule, limit, cursor }) {
    const { db } = ctx;
    const after = decodeCursor(cursor, z.tuple([z.uuid()]))?.[0];
    const oldestFirst = state === "pending";
    const order = oldestFirst ? db`asc` : db`desc`;
    // Ids are UUIDv7: in their order requests were made.
    const rows = await db<Row[]>`
      select ${columns(ctx)} from (
        select x.* from public.approvals x
        where x.tenant_id = (select kernel.tenant()) and x.state = ${state}
          ${campaign_id ? db`and x.campaign_id = ${campaign_id}` : db``} ${rule ? db`and x.rule = ${rule}` : db``}
          ${after ? (oldestFirst ? db`and x.id > ${after}::uuid` : db`and x.id < ${after}::uuid`) : db``}
        order by x.id ${order} limit ${limit + 1}) a ${joins(ctx)}
      order by a.id ${order}`;
    return toPage(rows, limit, (r) => [r.id], toApproval);
  },
});

const seconds = z.number().nullable();

export const approvalsSummary = defineOperation({
  id: "approvals.summary",
  method: "GET",
  path: "/approvals/summary",
  summary: "Count what waits, since when, and how long decisions take",
  permission: "approvals:read",
  input: z.object({ campaign_id: z.uuid().optional() }),
  output: z.object({
    waiting: z.number().int(),
    since: z.iso.datetime().nullable().describe("When the oldest waiting request was made."),
    delayed: z.number().int().describe("Of `waiting`, messages that leave by themselves."),
    rules: z.array(z.object({ rule: z.enum(APPROVAL_RULES), waiting: z.number().int() })),
    decided: z.number().int().describe("Requests that people decided in the last 30 days."),
    median_decision_seconds: seconds.describe("Of these: from the request to the decision."),
    median_sending_seconds: seconds.describe("Of these, where the message left: from the decision to its sending."),
  }),
  async handle(ctx, { campaign_id }) {
    const { db } = ctx;
    const only = campaign_id ? db`and a.campaign_id = ${campaign_id}` : db``;
    const rules = await db<{ rule: (typeof APPROVAL_RULES)[number]; waiting: number; since: Date }[]>`
      select a.rule, count(*)::int as waiting, min(a.requested_at) as since from public.approvals a
      where a.tenant_id = (select kernel.tenant()) and a.state = 'pending' ${only} group by 1 order by 2 desc, 1`;
    const [took] = await db<{ decided: number; decision: number | null; sending: number | null }[]>`
      select count(*)::int as decided,
        percentile_cont(0.5) within group (order by extract(epoch from a.decided_at - a.requested_at)) as decision,
        percentile_cont(0.5) within group (order by extract(epoch from m.sent_at - a.decided_at)) as sending
      from public.approvals a
      join public.messages m on m.tenant_id = (select kernel.tenant()) and m.id = a.message_id
      where a.tenant_id = (select kernel.tenant()) and a.decided_at > kernel.now() - interval '30 days' and a.decided_by <> '' ${only}`;
    const first = rules.map((r) => r.since.getTime());
    return {
      waiting: rules.reduce((sum, r) => sum + r.waiting, 0),
      since: first.length > 0 ? new Date(Math.min(...first)).toISOString() : null,
      delayed: rules.find((r) => r.rule === "delayed")?.waiting ?? 0,
      rules: rules.map(({ rule, waiting }) => ({ rule, waiting })),
      decided: took!.decided,
      median_decision_seconds: took!.decision,
      median_sending_seconds: took!.sending,
    };
  },
});

export const noApproval = () => new AppError("not_found", "There is no such request for approval.");

export async function loadApproval(ctx: Ctx, id: string): Promise<z.input<typeof ApprovalDetailSchema>> {
  const { db } = ctx;
  type Detail = Row & {
    message_id: string;
    edited_template: Record<string, unknown> | null;
    original_subject: string;
    original_body: string;
    edited_subject: string | null;
    edited_body: string | null;
    edited_by: string;
    text: string;
    html: string | null;
    similar: number;
  };
  const [row] = await db<Detail[]>`
    select ${columns(ctx)}, a.message_id, a.edited_template, a.original_subject, a.original_body, a.edited_subject, a.edited_body, a.edited_by,
      m.body_text as text, d.html, (
        select count(*)::int from (select from public.approvals x
          where x.tenant_id = (select kernel.tenant()) and x.campaign_id = a.campaign_id and x.state = 'pending' and x.step_id = a.step_id
            and x.rule = a.rule and x.id <> a.id limit 1000) y) as similar
    from public.approvals a ${joins(ctx)}
    left join public.email_details d on d.tenant_id = (select kernel.tenant()) and d.message_id = m.id
    where a.tenant_id = (select kernel.tenant()) and a.id = ${id}`;
  if (!row) throw noApproval();
  const {
    message_id,
    edited_template,
    original_subject,
    original_body,
    edited_subject,
    edited_body,
    edited_by,
    text,
    html,
    similar,
    ...rest
  } = row;
  return {
    ...toApproval(rest as Row),
    text,
    html,
    similar,
    template: edited_template ?? (await templateOf(ctx, message_id)),
    original: { subject: original_subject, body: original_body },
    edited: edited_template ? { subject: edited_subject ?? "", body: edited_body ?? "", by: edited_by } : null,
  };
}

export const getApproval = defineOperation({
  id: "approvals.get",
  method: "GET",
  path: "/approvals/{id}",
  summary: "Read a request with the whole message",
  permission: "approvals:read",
  input: byId,
  output: ApprovalDetailSchema,
  handle: (ctx, { id }) => loadApproval(ctx, id),
});
