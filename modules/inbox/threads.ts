import { z } from "zod";
import { decodeCursor, pageOf, pageParams, toPage } from "../kernel/operations/cursor.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { columns, joins, type Row, timeAndId, toMessage } from "./messages.ts";
import { THREAD_STATUS } from "../messaging/threads.ts";
import { ThreadDetailSchema, ThreadMessageSchema, ThreadSchema } from "./schemas.ts";

/** Conversations: what people answered, on every channel. */

const noThread = () => new AppError("not_found", "There is no such conversation.");

export const listThreads = defineOperation({
  id: "threads.list",
  method: "GET",
  path: "/threads",
  summary: "List threads, newest message first",
  permission: "messages:read",
  input: z.object({
    ...pageParams,
    channel: z.string().max(40).optional(),
    status: z.enum(THREAD_STATUS).optional(),
    include_auto_replies: z
      .stringbool()
      .default(true)
      .describe("Whether threads with automatic replies only are listed too."),
  }),
  output: pageOf(ThreadSchema),
  async handle(ctx, input) {
    const after = decodeCursor(input.cursor, timeAndId);
    const { db } = ctx;
    const rows = await db<Row[]>`
      with page as materialized (
        select t.* from public.threads t
        where t.tenant_id = (select kernel.tenant())
          ${input.channel ? db`and t.channel = ${input.channel}` : db``} ${input.status ? db`and t.status = ${input.status}` : db``}
          ${
            input.include_auto_replies
              ? db``
              : db`and exists (select from public.messages r where r.tenant_id = (select kernel.tenant()) and r.thread_id = t.id
                  and r.direction = 'in' and not r.is_auto_reply)`
          }
          ${after ? db`and (t.last_message_at, t.id) < (${after[0]}::text::timestamptz, ${after[1]}::uuid)` : db``}
        order by t.last_message_at desc, t.id desc limit ${input.limit + 1}
      )
      select t.id, t.channel, t.status, t.external_key as address, t.subject, t.last_message_at, t.last_message_at::text as cursor_at,
        coalesce(left(r.body_text, 200), '') as snippet, coalesce(r.is_auto_reply, false) as is_auto_reply, r.created_at as last_received_at,
        case when c.id is not null then jsonb_build_object('id', c.id, 'full_name', c.full_name, 'email', c.email) end as contact,
        case when k.id is not null then jsonb_build_object('id', k.id, 'name', k.name) end as campaign,
        exists (select from public.messages x
          where x.tenant_id = (select kernel.tenant()) and x.thread_id = t.id and x.opt_out = 'asked') as asks_opt_out,
        (select count(*)::int from public.messages x
          where x.tenant_id = (select kernel.tenant()) and x.thread_id = t.id and x.status in ('sent', 'received')) as messages
      from page t
      left join public.contacts c on c.tenant_id = (select kernel.tenant()) and c.id = t.contact_id
      left join public.campaigns k on k.tenant_id = (select kernel.tenant()) and k.id = t.campaign_id
      left join lateral (
        select m.body_text, m.is_auto_reply, m.created_at from public.messages m
        where m.tenant_id = (select kernel.tenant()) and m.thread_id = t.id and m.direction = 'in' order by m.created_at desc limit 1) r on true
      order by t.last_message_at desc, t.id desc`;
    return toPage(rows, input.limit, (r) => [r.cursor_at, r.id], toMessage as never);
  },
});

export const getThread = defineOperation({
  id: "threads.get",
  method: "GET",
  path: "/threads/{id}",
  summary: "Read a thread: subject, contact, status and assignee",
  description: "Also for threads without a reply. The messages are a separate list.",
  permission: "messages:read",
  input: z.object({ id: z.uuid() }),
  output: ThreadDetailSchema,
  async handle({ db }, { id }) {
    // By its first message, which every conversation has; a row of threads it has from the first answer on.
    const [row] = await db<z.output<typeof ThreadDetailSchema>[]>`
      select m.thread_id as id, m.channel, m.subject, t.status, t.assignee_id,
        case when c.id is not null then jsonb_build_object('id', c.id, 'full_name', c.full_name, 'email', c.email) end as contact,
        case when k.id is not null then jsonb_build_object('id', k.id, 'name', k.name) end as campaign
      from (
        select x.* from public.messages x where x.tenant_id = (select kernel.tenant()) and x.thread_id = ${id}
        order by x.created_at, x.id limit 1) m
      left join public.threads t on t.tenant_id = (select kernel.tenant()) and t.id = m.thread_id
      left join public.contacts c on c.tenant_id = (select kernel.tenant()) and c.id = coalesce(t.contact_id, m.contact_id)
      left join public.campaigns k on k.tenant_id = (select kernel.tenant()) and k.id = coalesce(t.campaign_id, m.campaign_id)`;
    if (!row) throw noThread();
    return row;
  },
});

export const listThreadMessages = defineOperation({
  id: "threads.messages",
  method: "GET",
  path: "/threads/{id}/messages",
  summary: "List the messages of a thread, newest first",
  permission: "messages:read",
  input: z.object({ id: z.uuid(), ...pageParams }),
  output: pageOf(ThreadMessageSchema),
  async handle({ db }, { id, limit, cursor }) {
    const after = decodeCursor(cursor, timeAndId);
    const rows = await db<Row[]>`
      select ${columns(db)}, m.body_text, d.headers ->> 'full_text' as full_text from public.messages m ${joins(db)}
      left join public.email_details d on d.tenant_id = (select kernel.tenant()) and d.message_id = m.id and m.direction = 'in'
      where m.tenant_id = (select kernel.tenant()) and m.thread_id = ${id}
        ${after ? db`and (m.created_at, m.id) < (${after[0]}::text::timestamptz, ${after[1]}::uuid)` : db``}
      order by m.created_at desc, m.id desc limit ${limit + 1}`;
    // A conversation has a message at least; the page after the last one may be empty.
    if (rows.length === 0 && !after) throw noThread();
    return toPage(rows, limit, (r) => [r.cursor_at, r.id], toMessage as never);
  },
});
