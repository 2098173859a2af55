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
    insert into public.senders (tenant_id, id, connection_id, from_email, from_name, daily_cap)
    values (${tenant.id}, ${senderId}, ${connectionId}, 'sam@us.test', 'Sam Jones', ${dailyCap})`;
  return { senderId, connectionId };
}

export type NewPerson = { email: string | null; first_name?: string; company?: string };

/** A list with these people on it, in their order. */
export async function giveList(
  t: TestKernel,
  tenant: TestTenant,
  people: NewPerson[],
): Promise<{ listId: string; contactIds: string[] }> {
  const listId = uuid7();
  await t.sql`insert into public.lists (tenant_id, id, name) values (${tenant.id}, ${listId}, ${`List ${listId}`})`;
  const rows = await t.sql<{ id: string }[]>`
    insert into public.contacts (tenant_id, email, first_name)
    select ${tenant.id}::uuid, p.email, coalesce(p.first_name, '') from jsonb_to_recordset(${t.sql.json(people as never)}) as p(email text, first_name text)
    returning id`;
  await t.sql`insert into public.list_contacts (tenant_id, list_id, contact_id) select ${tenant.id}::uuid, ${listId}::uuid, unnest(${rows.map((r) => r.id)}::uuid[])`;
  return { listId, contactIds: rows.map((r) => r.id) };
}

export const TWO_STEPS = [
  { subject: "Hello {{firstName|there}}", body: "Dear {{firstName|friend}}, see https://us.test/a" },
  { wait_hours: 72, subject: "", body: "Just following up, {{firstName|friend}}." },
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
    sender_id: senderId,
    list_id: listId,
    steps: TWO_STEPS,
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
    steps: made.body.steps as { id: string; position: number; subject: string; body: string; wait_hours: number }[],
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

export const messagesOf = (t: TestKernel, campaignId: string) =>
  t.sql<
    {
      id: string;
      status: string;
      step: number;
      enrollment_id: string;
      to_email: string;
      subject: string;
      body_html: string;
      body_text: string;
      headers: Record<string, string>;
      rfc_message_id: string;
      in_reply_to: string | null;
      thread_id: string;
      error: string | null;
    }[]
  >`select * from public.messages where campaign_id = ${campaignId} order by step, to_email`;

export const enrollmentsOf = (t: TestKernel, campaignId: string) =>
  t.sql<
    {
      id: string;
      contact_id: string;
      status: string;
      step: number;
      next_at: Date | null;
      reason: string | null;
      email: string | null;
    }[]
  >`select e.*, c.email from public.enrollments e join public.contacts c on c.id = e.contact_id where e.campaign_id = ${campaignId} order by c.email`;

/** Takes in audiences and plans until nobody of this tenant waits to be taken in or is due. Other suites share the queues, so it polls. */
export async function settlePlans(t: TestKernel, tenant: TestTenant): Promise<void> {
  await until(
    async () => {
      await t.drain("campaigns_enroll", "campaigns_plan");
      const [left] = await t.sql<{ n: number }[]>`
        select (select count(*) from pgmq.q_campaigns_enroll q where q.message ->> 'tenant_id' = ${tenant.id})::int
             + (select count(*) from pgmq.q_campaigns_plan q where q.message ->> 'tenant_id' = ${tenant.id})::int as n`;
      return left!.n === 0;
    },
    { what: "the planner to come to rest" },
  );
}

/** As the schedule does every ten seconds. */
export async function wakePlanner(t: TestKernel, tenant: TestTenant): Promise<void> {
  await t.sql`select private.wake_planning()`;
  await settlePlans(t, tenant);
}
