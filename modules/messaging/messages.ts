import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { cursorTime, decodeCursor, pageOf, pageParams, toPage } from "../kernel/operations/cursor.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { MESSAGE_STATUS, MessageDetailSchema, MessageSchema, ThreadSchema } from "./schemas.ts";

/** Reading messages and conversations, and deciding what no machine can. */

const timeAndId = z.tuple([cursorTime, z.uuid()]);

type Row = Record<string, unknown> & { cursor_at: string; id: string };

/** The columns of MessageSchema, in one place for lists and single rows. */
const columns = (db: Ctx["db"]) => db`
  m.id, m.direction, m.channel, m.status, m.enrollment_id, m.step, m.thread_id, m.from_email, m.from_name, m.to_email, m.subject,
  left(m.body_text, 200) as snippet, m.is_auto_reply, m.attempts, m.provider_message_id, m.error,
  m.due_at, m.sent_at, m.delivered_at, m.opened_at, m.clicked_at, m.replied_at, m.bounced_at, m.unsubscribed_at, m.created_at,
  m.created_at::text as cursor_at,
  case when c.id is not null then jsonb_build_object('id', c.id, 'full_name', c.full_name, 'email', c.email) end as contact,
  case when k.id is not null then jsonb_build_object('id', k.id, 'name', k.name) end as campaign`;

const joins = (db: Ctx["db"]) => db`
  left join public.contacts c on c.tenant_id = m.tenant_id and c.id = m.contact_id
  left join public.campaigns k on k.tenant_id = m.tenant_id and k.id = m.campaign_id`;

const toMessage = <T = z.input<typeof MessageSchema>>(row: Row): T =>
  Object.fromEntries(Object.entries(row).map(([k, v]) => [k, v instanceof Date ? v.toISOString() : v])) as T;

/**
 * A campaign's messages by id, in which they were made: a few of each status from the index, and the newest of those. By time the
 * planner would read either all of the campaign or all that is newer than it.
 */
async function ofCampaign(
  { db }: Ctx,
  {
    campaign_id,
    status,
    direction,
  }: { campaign_id: string; status?: string | undefined; direction?: string | undefined },
  after: string | undefined,
  wanted: number,
): Promise<Row[]> {
  const statuses = MESSAGE_STATUS.filter(
    (s) => (!status || s === status) && (!direction || (s === "received") === (direction === "in")),
  );
  return await db<Row[]>`
    select ${columns(db)} from unnest(${statuses}::text[]) s
    cross join lateral (
      select x.* from public.messages x
      where x.tenant_id = (select kernel.tenant()) and x.campaign_id = ${campaign_id} and x.status = s ${after ? db`and x.id < ${after}::uuid` : db``}
      order by x.id desc limit ${wanted}) m ${joins(db)}
    order by m.id desc limit ${wanted}`;
}

export const listMessages = defineOperation({
  id: "messages.list",
  method: "GET",
  path: "/messages",
  summary: "Messages, newest first",
  permission: "messages:read",
  input: z.object({
    ...pageParams,
    campaign_id: z.uuid().optional(),
    contact_id: z.uuid().optional(),
    status: z.enum(MESSAGE_STATUS).optional(),
    direction: z.enum(["out", "in"]).optional(),
  }),
  output: pageOf(MessageSchema),
  async handle(ctx, input) {
    const after = decodeCursor(input.cursor, timeAndId);
    const { db } = ctx;
    const start = after ? db`and (m.created_at, m.id) < (${after[0]}::text::timestamptz, ${after[1]}::uuid)` : db``;
    // Only what came in is received, and has an index of its own.
    const direction = input.status === "received" ? (input.direction ?? "in") : input.direction;
    const wanted = input.limit + 1;
    const rows =
      input.campaign_id && !input.contact_id
        ? await ofCampaign(ctx, { ...input, campaign_id: input.campaign_id }, after?.[1], wanted)
        : await db<Row[]>`
            select ${columns(db)} from public.messages m ${joins(db)}
            where m.tenant_id = (select kernel.tenant())
              ${input.campaign_id ? db`and m.campaign_id = ${input.campaign_id}` : db``}
              ${input.contact_id ? db`and m.contact_id = ${input.contact_id}` : db``}
              ${input.status ? db`and m.status = ${input.status}` : db``}
              ${direction ? db`and m.direction = ${direction}` : db``} ${start}
            order by m.created_at desc, m.id desc limit ${wanted}`;
    return toPage(rows, input.limit, (r) => [r.cursor_at, r.id], toMessage);
  },
});

async function loadMessage(ctx: Ctx, id: string) {
  const { db } = ctx;
  const [row] = await db<(Row & { body_html: string | null; direction: string })[]>`
    select ${columns(db)}, m.body_text, m.body_html, m.headers, m.rfc_message_id,
      coalesce((select jsonb_agg(jsonb_build_object('number', a.number, 'started_at', a.started_at, 'finished_at', a.finished_at,
        'outcome', a.outcome, 'code', a.code, 'detail', a.detail) order by a.number)
        from public.attempts a where a.tenant_id = m.tenant_id and a.message_id = m.id), '[]') as attempt_log,
      coalesce((select jsonb_agg(jsonb_build_object('id', e.id, 'kind', e.kind, 'at', e.at, 'is_bot', e.is_bot, 'detail', e.detail) order by e.at, e.id)
        from public.message_events e where e.tenant_id = m.tenant_id and e.message_id = m.id), '[]') as events
    from public.messages m ${joins(db)} where m.tenant_id = (select kernel.tenant()) and m.id = ${id}`;
  if (!row) throw new AppError("not_found", "There is no such message.");
  return withIsoTimes(toMessage({ ...row, body_html: row.direction === "out" ? row.body_html : null })) as z.input<
    typeof MessageDetailSchema
  >;
}

/** jsonb prints timestamps with an offset; the API speaks UTC with Z. */
function withIsoTimes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withIsoTimes);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([k, v]) => [
      k,
      /(^|_)at$/.test(k) && typeof v === "string" ? new Date(v).toISOString() : withIsoTimes(v),
    ]),
  );
}

export const getMessage = defineOperation({
  id: "messages.get",
  method: "GET",
  path: "/messages/{id}",
  summary: "A message with its attempts and events",
  permission: "messages:read",
  input: z.object({ id: z.uuid() }),
  output: MessageDetailSchema,
  handle: (ctx, input) => loadMessage(ctx, input.id),
});

export const resolveMessage = defineOperation({
  id: "messages.resolve",
  method: "POST",
  path: "/messages/{id}/resolve",
  summary: "Say what became of a message whose outcome nobody knows",
  description:
    "For `unknown` messages that neither an idempotency key nor the provider's search could settle: look at the provider's dashboard and decide.",
  permission: "messages:write",
  input: z.object({ id: z.uuid(), outcome: z.enum(["sent", "failed"]) }),
  output: MessageDetailSchema,
  async handle(ctx, input) {
    const [row] = await ctx.db<{ status: string }[]>`
      select status from public.messages where tenant_id = (select kernel.tenant()) and id = ${input.id} for update`;
    if (!row) throw new AppError("not_found", "There is no such message.");
    if (row.status !== "unknown")
      throw new AppError("conflict", `The message is ${row.status}: there is nothing to decide.`);
    const outcome =
      input.outcome === "sent"
        ? { id: input.id, outcome: "sent", code: "resolved", detail: "A person said it was sent." }
        : { id: input.id, outcome: "rejected", code: "resolved", detail: "A person said it was not sent." };
    await ctx.db`select private.settle_messages(${ctx.db.json([outcome])})`;
    return await loadMessage(ctx, input.id);
  },
});

export const listThreads = defineOperation({
  id: "threads.list",
  method: "GET",
  path: "/threads",
  summary: "Conversations somebody answered, newest answer first",
  permission: "messages:read",
  input: z.object({ ...pageParams, include_auto_replies: z.stringbool().default(true) }),
  output: pageOf(ThreadSchema),
  async handle(ctx, input) {
    const after = decodeCursor(input.cursor, timeAndId);
    const { db } = ctx;
    // The newest answer stands for its thread: an older one has a newer sibling.
    const rows = await db<Row[]>`
      select m.thread_id as id, m.id as message_id, m.created_at::text as cursor_at, m.subject, left(m.body_text, 200) as snippet, m.is_auto_reply,
        m.created_at as last_received_at,
        case when c.id is not null then jsonb_build_object('id', c.id, 'full_name', c.full_name, 'email', c.email) end as contact,
        case when k.id is not null then jsonb_build_object('id', k.id, 'name', k.name) end as campaign,
        (select count(*)::int from public.messages x where x.tenant_id = m.tenant_id and x.thread_id = m.thread_id and x.status in ('sent', 'received')) as messages
      from public.messages m ${joins(db)}
      where m.tenant_id = (select kernel.tenant()) and m.direction = 'in'
        ${input.include_auto_replies ? db`` : db`and not m.is_auto_reply`}
        and not exists (select from public.messages n where n.tenant_id = m.tenant_id and n.thread_id = m.thread_id and n.direction = 'in'
          and (n.created_at, n.id) > (m.created_at, m.id))
        ${after ? db`and (m.created_at, m.id) < (${after[0]}::text::timestamptz, ${after[1]}::uuid)` : db``}
      order by m.created_at desc, m.id desc limit ${input.limit + 1}`;
    return toPage(
      rows,
      input.limit,
      (r) => [r.cursor_at, String(r.message_id)],
      toMessage<z.input<typeof ThreadSchema>>,
    );
  },
});

export const getThread = defineOperation({
  id: "threads.get",
  method: "GET",
  path: "/threads/{id}",
  summary: "A conversation, oldest message first",
  permission: "messages:read",
  input: z.object({ id: z.uuid() }),
  output: z.object({ id: z.uuid(), messages: z.array(MessageSchema.extend({ body_text: z.string() })) }),
  async handle(ctx, input) {
    const { db } = ctx;
    const rows = await db<Row[]>`
      select ${columns(db)}, m.body_text from public.messages m ${joins(db)}
      where m.tenant_id = (select kernel.tenant()) and m.thread_id = ${input.id} order by m.created_at, m.id limit 200`;
    if (rows.length === 0) throw new AppError("not_found", "There is no such conversation.");
    return { id: input.id, messages: rows.map(toMessage<z.input<typeof MessageSchema> & { body_text: string }>) };
  },
});
