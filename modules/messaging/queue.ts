import type { Ctx } from "../kernel/context.ts";
import type { PreparedMessage } from "../kernel/channel.ts";
import { messagingSend } from "./send.ts";

/** How other modules put messages on the ledger: whoever writes one names whose it is; the ledger sees to the rest. */

export type QueuedMessage = {
  id: string;
  channel: string;
  action: string;
  contact_id: string;
  campaign_id: string | null;
  enrollment_id: string | null;
  step_id: string | null;
  /** The run of the step that wrote it: a second message of the same run is refused by the database. */
  step_run_id: string | null;
  sender_id: string;
  connection_id: string;
  from_address: string;
  from_name: string;
  to_address: string;
  thread_id: string;
  requires_consent: boolean;
  /** Null: at once. */
  due_at: Date | null;
  prepared: PreparedMessage;
};

/**
 * Queues messages and wakes the sender, in the caller's transaction: three statements for a batch, however large, and one for each hold.
 * What a hold keeps is written as held until a person decides. The time is asked for once a statement; as a column's default it would be
 * asked for once a row.
 */
export async function queueMessages(ctx: Ctx, messages: readonly QueuedMessage[]): Promise<void> {
  if (messages.length === 0) return;
  const { db, tenantId } = ctx;
  const waiting = new Set<string>();
  for (const hold of ctx.registry.holds) for (const id of await hold(ctx, messages)) waiting.add(id);
  const rows = messages.map(({ prepared, ...m }) => ({
    ...m,
    waits: waiting.has(m.id),
    due_at: m.due_at?.toISOString() ?? null,
    subject: prepared.subject,
    body_text: prepared.text,
    content: prepared.content,
  }));
  await db`
    insert into public.messages (tenant_id, id, direction, channel, action, contact_id, campaign_id, enrollment_id, step_id, step_run_id, sender_id,
      connection_id, status, approval, error_code, requires_consent, due_at, from_address, from_name, to_address, subject, body_text, content, thread_id,
      created_at, updated_at)
    select ${tenantId}::uuid, m.id, 'out', m.channel, m.action, m.contact_id, m.campaign_id, m.enrollment_id, m.step_id, m.step_run_id, m.sender_id,
      m.connection_id, case when m.waits then 'held' else 'queued' end, case when m.waits then 'pending' else 'not_required' end,
      case when m.waits then 'approval_pending' end, m.requires_consent, case when not m.waits then coalesce(m.due_at, t.now) end, m.from_address, m.from_name, m.to_address, m.subject,
      m.body_text, m.content, m.thread_id, t.now, t.now
    from (select kernel.now() as now offset 0) t, jsonb_to_recordset(${db.json(rows as never)}) as m(id uuid, channel text, action text, contact_id uuid, campaign_id uuid, enrollment_id uuid,
      step_id uuid, step_run_id uuid, sender_id uuid, connection_id uuid, waits boolean, requires_consent boolean, due_at timestamptz,
      from_address text, from_name text, to_address text, subject text, body_text text, content jsonb, thread_id uuid)`;
  const emails = messages.flatMap(({ id, prepared }) =>
    prepared.email ? [{ message_id: id, ...prepared.email }] : [],
  );
  if (emails.length > 0)
    await db`
      insert into public.email_details (tenant_id, message_id, rfc_message_id, in_reply_to, reply_to, headers, html)
      select ${tenantId}::uuid, d.message_id, d.rfc_message_id, d.in_reply_to, d.reply_to, d.headers, d.html
      from jsonb_to_recordset(${db.json(emails as never)}) as d(message_id uuid, rfc_message_id text, in_reply_to text, reply_to text, headers jsonb, html text)`;
  const links = messages.flatMap(({ id, prepared }) => prepared.links.map((link) => ({ message_id: id, ...link })));
  if (links.length > 0)
    await db`
      insert into public.tracked_links (tenant_id, message_id, number, url)
      select ${tenantId}::uuid, l.message_id, l.number, l.url
      from jsonb_to_recordset(${db.json(links as never)}) as l(message_id uuid, number int, url text)`;
  if (waiting.size < messages.length) await ctx.enqueue(messagingSend, { tenant_id: tenantId });
}

/**
 * Puts another text into a message that waits for approval; `prepared` is what the channel made of it, under the same id. Returns false
 * where the message waits no more.
 */
export async function rewriteMessage(ctx: Ctx, id: string, prepared: PreparedMessage): Promise<boolean> {
  const [row] = await ctx.db<{ done: boolean }[]>`
    select private.rewrite_message(${id}, ${ctx.db.json(prepared as never)}) as done`;
  return row!.done;
}
