import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { cursorTime, decodeCursor, pageOf, pageParams, toPage } from "../kernel/operations/cursor.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { MESSAGE_STATUS, MessageDetailSchema, MessageSchema } from "./schemas.ts";

/** Reading messages, and deciding what no machine can. */

export const timeAndId = z.tuple([cursorTime, z.uuid()]);

export type Row = Record<string, unknown> & { cursor_at: string; id: string };

/** The columns of MessageSchema, in one place for lists and single rows. */
export const columns = (db: Ctx["db"]) => db`
  m.id, m.direction, m.channel, m.status, m.action, m.approval, m.enrollment_id, m.step_id, m.thread_id, m.from_address, m.from_name, m.to_address, m.subject,
  left(m.body_text, 200) as snippet, m.is_auto_reply, m.opt_out, m.attempts, m.provider_message_id, m.error, m.error_code,
  m.due_at, m.sent_at, m.delivered_at, m.opened_at, m.clicked_at, m.replied_at, m.bounced_at, m.unsubscribed_at, m.created_at,
  m.created_at::text as cursor_at,
  case when c.id is not null then jsonb_build_object('id', c.id, 'full_name', c.full_name, 'email', c.email) end as contact,
  case when k.id is not null then jsonb_build_object('id', k.id, 'name', k.name) end as campaign`;

export const joins = (db: Ctx["db"]) => db`
  left join public.contacts c on c.tenant_id = m.tenant_id and c.id = m.contact_id
  left join public.campaigns k on k.tenant_id = m.tenant_id and k.id = m.campaign_id`;

export const toMessage = (row: Row) =>
  Object.fromEntries(Object.entries(row).map(([k, v]) => [k, v instanceof Date ? v.toISOString() : v])) as z.input<
    typeof MessageSchema
  >;

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
  summary: "List messages, newest first",
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
    select ${columns(db)}, m.body_text, m.content, d.html as body_html,
      case when d.message_id is not null then jsonb_build_object('rfc_message_id', d.rfc_message_id, 'headers', d.headers) end as email,
      coalesce((select jsonb_agg(jsonb_build_object('number', a.number, 'started_at', a.started_at, 'finished_at', a.finished_at,
        'outcome', a.outcome, 'code', a.code, 'detail', a.detail) order by a.number)
        from public.attempts a where a.tenant_id = m.tenant_id and a.message_id = m.id), '[]') as attempt_log,
      coalesce((select jsonb_agg(jsonb_build_object('id', e.id, 'kind', e.kind, 'at', e.at, 'is_bot', e.is_bot, 'detail', e.detail) order by e.at, e.id)
        from (
          select id, kind, at, is_bot, detail from public.message_events x where x.tenant_id = m.tenant_id and x.message_id = m.id
          union all select m.id, 'sent', m.sent_at, false, '{}' where m.direction = 'out' and m.sent_at is not null) e), '[]') as events
    from public.messages m ${joins(db)}
    left join public.email_details d on d.tenant_id = (select kernel.tenant()) and d.message_id = m.id
    where m.tenant_id = (select kernel.tenant()) and m.id = ${id}`;
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
  summary: "Read a message with its attempts and events",
  permission: "messages:read",
  input: z.object({ id: z.uuid() }),
  output: MessageDetailSchema,
  handle: (ctx, input) => loadMessage(ctx, input.id),
});

export const decideOptOut = defineOperation({
  id: "messages.opt_out",
  method: "POST",
  path: "/messages/{id}/opt-out",
  summary: "Decide whether a reply is an opt-out",
  description:
    "For received messages with `opt_out` = `asked`: the text contains words of an opt-out, but it is not certain that the contact wants no more messages. `true` suppresses the addresses of the contact on the channel and ends what runs there.",
  permission: "messages:write",
  input: z.object({ id: z.uuid(), opt_out: z.boolean() }),
  output: MessageDetailSchema,
  async handle(ctx, { id, opt_out }) {
    const [row] = await ctx.db<{ done: boolean }[]>`select private.decide_opt_out(${id}, ${opt_out}) as done`;
    // Not found, or nothing to decide: the message says which.
    const message = await loadMessage(ctx, id);
    if (!row!.done)
      throw new AppError(
        "conflict",
        message.opt_out ? "This has been decided already." : "This message does not ask for an opt-out.",
      );
    ctx.audit({ opt_out }, id);
    return message;
  },
});

export const resolveMessage = defineOperation({
  id: "messages.resolve",
  method: "POST",
  path: "/messages/{id}/resolve",
  summary: "Resolve a message with an unknown outcome",
  description:
    "For messages with the status `unknown` that neither an idempotency key nor the provider's search could resolve: check the provider's dashboard and report whether the message was sent.",
  permission: "messages:write",
  input: z.object({ id: z.uuid(), outcome: z.enum(["sent", "failed"]) }),
  output: MessageDetailSchema,
  async handle(ctx, input) {
    const [row] = await ctx.db<{ status: string }[]>`
      select status from public.messages where tenant_id = (select kernel.tenant()) and id = ${input.id} for update`;
    if (!row) throw new AppError("not_found", "There is no such message.");
    if (row.status !== "unknown")
      throw new AppError("conflict", `The message has the status ${row.status}: its outcome is known.`);
    const outcome =
      input.outcome === "sent"
        ? { id: input.id, outcome: "sent", code: "resolved", detail: "A member reported that the message was sent." }
        : {
            id: input.id,
            outcome: "rejected",
            code: "resolved",
            detail: "A member reported that the message was not sent.",
          };
    await ctx.db`select private.settle_messages(${ctx.db.json([outcome])})`;
    return await loadMessage(ctx, input.id);
  },
});
