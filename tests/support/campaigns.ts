import { uuid7 } from "../../modules/kernel/database/ids.ts";
import type { TestKernel, TestTenant } from "./kernel.ts";
import { until } from "./until.ts";

/** What campaign tests start from: a sender that may send, people, and a provider played by the ledger's own functions. */

/** An active connection and sender; nothing is ever sent through them. */
export async function giveSender(
  t: TestKernel,
  tenant: TestTenant,
  dailyCap = 10_000,
): Promise<{ senderId: string; connectionId: string }> {
  const [connectionId, senderId] = [uuid7(), uuid7()];
  await t.sql`
    insert into public.connections (tenant_id, id, provider, category, name, status, credentials, webhook_registered)
    values (${tenant.id}, ${connectionId}, 'smtp', 'email', ${`Mail ${connectionId}`}, 'active', 'v1.unused', true)`;
  await t.sql`
    insert into public.senders (tenant_id, id, channel, connection_id, address, display_name)
    values (${tenant.id}, ${senderId}, 'email', ${connectionId}, 'sam@us.test', 'Sam Jones')`;
  await t.sql`
    insert into public.sender_limits (tenant_id, sender_id, action, per, cap) values (${tenant.id}, ${senderId}, 'email.send', 'day', ${dailyCap})`;
  return { senderId, connectionId };
}

export type NewPerson = { email?: string | null; phone?: string; first_name?: string; company?: string };

/** A list with these people on it, in their order. */
export async function giveList(
  t: TestKernel,
  tenant: TestTenant,
  people: NewPerson[],
): Promise<{ listId: string; contactIds: string[] }> {
  const listId = uuid7();
  await t.sql`insert into public.lists (tenant_id, id, name) values (${tenant.id}, ${listId}, ${`List ${listId}`})`;
  const rows = await t.sql<{ id: string }[]>`
    insert into public.contacts (tenant_id, email, phone, first_name)
    select ${tenant.id}::uuid, p.email, p.phone, coalesce(p.first_name, '')
    from jsonb_to_recordset(${t.sql.json(people as never)}) as p(email text, phone text, first_name text)
    returning id`;
  await t.sql`insert into public.list_contacts (tenant_id, list_id, contact_id) select ${tenant.id}::uuid, ${listId}::uuid, unnest(${rows.map((r) => r.id)}::uuid[])`;
  return { listId, contactIds: rows.map((r) => r.id) };
}

/** Two e-mails with three days between them. */
export const TWO_EMAILS = [
  { kind: "email", subject: "Hello {{firstName|there}}", body: "Dear {{firstName|friend}}, see https://us.test/a" },
  { kind: "wait", days: 3 },
  { kind: "email", subject: "", body: "Just following up, {{firstName|friend}}." },
];

/** A started campaign with its audience taken in, and nothing planned yet. */
export async function startedCampaign(
  t: TestKernel,
  tenant: TestTenant,
  people: NewPerson[],
  input: Record<string, unknown> = {},
  dailyCap?: number,
) {
  const { senderId, connectionId } = await giveSender(t, tenant, dailyCap);
  const { listId, contactIds } = await giveList(t, tenant, people);
  const made = await tenant.api("POST", "/campaigns", {
    name: "Spring",
    sender_ids: [senderId],
    list_id: listId,
    steps: TWO_EMAILS,
    ...input,
  });
  if (made.status !== 201) throw new Error(JSON.stringify(made.body));
  const id: string = made.body.id;
  const started = await tenant.api("POST", `/campaigns/${id}/start`);
  if (started.status !== 200) throw new Error(JSON.stringify(started.body));
  return {
    id,
    senderId,
    connectionId,
    listId,
    contactIds,
    steps: made.body.steps as { id: string; kind: string; position: number; [field: string]: unknown }[],
  };
}

/** Claims what is due and settles it as sent, as the sender does after the provider accepted it. Returns how many left. */
export async function sendAll(tenant: TestTenant, connectionId: string): Promise<number> {
  return await tenant.run(async (ctx) => {
    const claimed = await ctx.db<{ id: string }[]>`select id from private.claim_messages(500, 60, ${connectionId})`;
    if (claimed.length === 0) return 0;
    const outcomes = claimed.map((m) => ({ id: m.id, outcome: "sent", provider_message_id: `p-${m.id}` }));
    await ctx.db`select private.settle_messages(${ctx.db.json(outcomes)})`;
    return claimed.length;
  });
}

/** Messages of a campaign, by the place of their step in the sequence and their address. */
export const messagesOf = (t: TestKernel, campaignId: string) =>
  t.sql<
    {
      id: string;
      status: string;
      channel: string;
      /** The place among the e-mails of the sequence, from 1. */
      nth: number;
      step_id: string;
      enrollment_id: string;
      sender_id: string;
      to_address: string;
      subject: string;
      html: string;
      body_text: string;
      headers: Record<string, string>;
      rfc_message_id: string;
      in_reply_to: string | null;
      thread_id: string;
      error: string | null;
      error_code: string | null;
      due_at: Date | null;
    }[]
  >`
    select m.*, d.html, d.headers, d.rfc_message_id, d.in_reply_to, coalesce(p.nth, 0)::int as nth from public.messages m
    left join public.email_details d on d.tenant_id = m.tenant_id and d.message_id = m.id
    left join lateral (
      select count(*) as nth from public.sequence_nodes n join public.sequence_nodes o on o.version_id = n.version_id and o.action is not null and o.position <= n.position
      where n.step_id = m.step_id and n.version_id = (select k.version_id from public.campaigns k where k.id = m.campaign_id)) p on true
    where m.campaign_id = ${campaignId} order by nth, m.to_address`;

/** Everybody's place, with the kind of the step they stand at. */
export const enrollmentsOf = (t: TestKernel, campaignId: string) =>
  t.sql<
    {
      id: string;
      contact_id: string;
      status: string;
      step_id: string | null;
      kind: string | null;
      next_at: Date | null;
      reason: string | null;
      reason_detail: string | null;
      email: string | null;
    }[]
  >`
    select e.*, n.step_id, n.kind, c.email from public.enrollments e join public.contacts c on c.id = e.contact_id
    left join public.sequence_nodes n on n.tenant_id = e.tenant_id and n.id = e.node_id
    where e.campaign_id = ${campaignId} order by c.email`;

const CAMPAIGN_QUEUES = [
  "campaigns_enroll",
  "campaigns_plan",
  "campaigns_message_facts",
  "campaigns_move",
  "campaigns_stop",
  "campaigns_delete",
  "campaigns_retry",
  "messaging_release",
];

/** Takes in audiences, hears what happened and plans until nothing of this tenant waits. Other suites share the queues, so it polls. */
export async function settlePlans(t: TestKernel, tenant: TestTenant): Promise<void> {
  await until(
    async () => {
      await t.drain(...CAMPAIGN_QUEUES, "contacts_message_facts");
      const left = await Promise.all(
        [...CAMPAIGN_QUEUES, "contacts_message_facts"].map(async (queue) => {
          const [row] = await t.sql<{ n: number }[]>`
            select count(*)::int as n from ${t.sql(`pgmq.q_${queue}`)} q where q.message ->> 'tenant_id' = ${tenant.id}`;
          return row!.n;
        }),
      );
      return left.every((n) => n === 0);
    },
    { what: "the planner to come to rest" },
  );
}

/** As the schedule does every ten seconds. */
export async function wakePlanner(t: TestKernel, tenant: TestTenant): Promise<void> {
  await t.sql`select private.wake_planning()`;
  await settlePlans(t, tenant);
}
