import { z } from "zod";
import { decodeCursor, pageOf, pageParams, toPage } from "../kernel/operations/cursor.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { columns, joins, type Row, timeAndId, toMessage } from "./messages.ts";
import { THREAD_STATUS } from "../messaging/threads.ts";
import { MessageSchema, ThreadSchema } from "./schemas.ts";

/** Conversations: what people answered, on every channel. */

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
  summary: "Read a thread, oldest message first",
  permission: "messages:read",
  input: z.object({ id: z.uuid() }),
  output: z.object({ id: z.uuid(), messages: z.array(MessageSchema.extend({ body_text: z.string() })) }),
  async handle(ctx, input) {
    const { db } = ctx;
    const rows = await db<Row[]>`
      select ${columns(db)}, m.body_text from public.messages m ${joins(db)}
      where m.tenant_id = (select kernel.tenant()) and m.thread_id = ${input.id} order by m.created_at, m.id limit 200`;
    if (rows.length === 0) throw new AppError("not_found", "There is no such thread.");
    return { id: input.id, messages: rows.map(toMessage) as never };
  },
});
