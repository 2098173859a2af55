import type { TestKernel, TestTenant } from "./kernel.ts";

/** A message that has left in a running sequence with a second step to come: what webhooks and replies speak of. */
export type SentMessage = {
  id: string;
  contactId: string;
  enrollmentId: string;
  campaignId: string;
  senderEmail: string;
  email: string;
  rfcMessageId: string;
  providerMessageId: string;
};

/**
 * Writes the rows the campaign and messaging modules would have written. `sending`: the provider was called and its answer
 * is not recorded yet, so neither the provider's id nor the moment is known.
 */
export async function sentMessage(
  { sql }: TestKernel,
  tenant: TestTenant,
  connectionId: string,
  { status = "sent" }: { status?: "sent" | "sending" } = {},
): Promise<SentMessage> {
  const unique = crypto.randomUUID();
  const email = `person-${unique}@example.com`;
  const senderEmail = `sales-${unique}@sandbox.test`;
  const rfcMessageId = `<${unique}@sandbox.test>`;
  const providerMessageId = `prov-${unique}`;
  const sent = status === "sent";
  const [row] = await sql<
    { id: string; contact_id: string; enrollment_id: string; campaign_id: string; version_id: string }[]
  >`
    with sender as (
      insert into public.senders (tenant_id, channel, connection_id, address) values (${tenant.id}, 'email', ${connectionId}, ${senderEmail}) returning id
    ), contact as (
      insert into public.contacts (tenant_id, email, first_name) values (${tenant.id}, ${email}, 'Pat') returning id
    ), campaign as (
      insert into public.campaigns (tenant_id, name, status) values (${tenant.id}, ${`Campaign ${unique}`}, 'running') returning id
    ), writes as (
      insert into public.campaign_senders (tenant_id, campaign_id, sender_id, position, connection_id)
      select ${tenant.id}, k.id, s.id, 1, ${connectionId} from campaign k, sender s
    ), version as (
      insert into public.sequence_versions (tenant_id, campaign_id, number) select ${tenant.id}, k.id, 1 from campaign k returning id, campaign_id
    ), steps as (
      insert into public.campaign_steps (tenant_id, campaign_id) select ${tenant.id}, k.id from campaign k, generate_series(1, 3) n returning id
    ), nodes as (
      insert into public.sequence_nodes (tenant_id, version_id, step_id, kind, action, config, position)
      select ${tenant.id}, v.id, s.id, case s.n when 2 then 'wait' else 'email' end, case s.n when 2 then null else 'email.send' end,
        case s.n when 2 then '{"days": 1}' else '{"subject": "Hello", "body": "Hi"}' end::jsonb, s.n
      from version v, (select id, row_number() over ()::int as n from steps) s returning id, step_id, position, version_id
    ), edges as (
      insert into public.sequence_edges (tenant_id, version_id, from_node, to_node)
      select ${tenant.id}, a.version_id, a.id, b.id from nodes a join nodes b on b.position = a.position + 1
    ), enrollment as (
      insert into public.enrollments (tenant_id, campaign_id, contact_id, version_id, node_id, status, next_at)
      select ${tenant.id}, k.id, c.id, n.version_id, n.id, ${sent ? "waiting" : "sending"}, ${sent ? tomorrow() : null}::timestamptz
      from campaign k, contact c, nodes n where n.position = ${sent ? 2 : 1} returning id, node_id
    ), run as (
      insert into public.step_runs (tenant_id, enrollment_id, node_id, step_id, state, outcome, finished_at)
      select ${tenant.id}, e.id, n.id, n.step_id, ${sent ? "done" : "open"}, ${sent ? "sent" : null}, ${sent ? new Date() : null}::timestamptz
      from enrollment e, nodes n where n.position = 1 returning id, step_id
    ), message as (
      insert into public.messages (tenant_id, direction, channel, action, contact_id, campaign_id, enrollment_id, step_id, step_run_id, sender_id, connection_id,
        status, from_address, to_address, subject, thread_id, provider_message_id, sent_at, attempts, lease_until)
      select ${tenant.id}, 'out', 'email', 'email.send', c.id, k.id, e.id, r.step_id, r.id, s.id, ${connectionId}, ${status}, ${senderEmail}, ${email}, 'Hello',
        gen_random_uuid(), ${sent ? providerMessageId : null}, ${sent ? new Date() : null}::timestamptz, 1, ${sent ? null : tomorrow()}::timestamptz
      from campaign k, contact c, enrollment e, run r, sender s
      returning id, contact_id, enrollment_id, campaign_id
    ), details as (
      insert into public.email_details (tenant_id, message_id, rfc_message_id) select ${tenant.id}, m.id, ${rfcMessageId} from message m
    )
    select m.id, m.contact_id, m.enrollment_id, m.campaign_id, v.id as version_id from message m, version v`;
  await sql`update public.campaigns set version_id = ${row!.version_id} where id = ${row!.campaign_id}`;
  return {
    id: row!.id,
    contactId: row!.contact_id,
    enrollmentId: row!.enrollment_id,
    campaignId: row!.campaign_id,
    senderEmail,
    email,
    rfcMessageId,
    providerMessageId,
  };
}

const tomorrow = () => new Date(Date.now() + 86_400_000);
