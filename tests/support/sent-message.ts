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
  const [row] = await sql<{ id: string; contact_id: string; enrollment_id: string; campaign_id: string }[]>`
    with sender as (
      insert into public.senders (tenant_id, connection_id, from_email) values (${tenant.id}, ${connectionId}, ${senderEmail}) returning id
    ), contact as (
      insert into public.contacts (tenant_id, email, first_name) values (${tenant.id}, ${email}, 'Pat') returning id
    ), campaign as (
      insert into public.campaigns (tenant_id, name, status, sender_id, connection_id)
      select ${tenant.id}, ${`Campaign ${unique}`}, 'running', id, ${connectionId} from sender returning id, sender_id
    ), steps as (
      insert into public.campaign_steps (tenant_id, campaign_id, position, wait_hours, subject, body)
      select ${tenant.id}, k.id, n, 24, 'Hello', 'Hi' from campaign k, generate_series(1, 2) n returning id, position
    ), enrollment as (
      insert into public.enrollments (tenant_id, campaign_id, contact_id, status, step, next_at)
      select ${tenant.id}, k.id, c.id, ${sent ? "waiting" : "sending"}, 1, ${sent ? tomorrow() : null}::timestamptz from campaign k, contact c returning id
    )
    insert into public.messages (tenant_id, direction, contact_id, campaign_id, enrollment_id, step_id, step, sender_id, connection_id, status,
      from_email, to_email, subject, rfc_message_id, thread_id, provider_message_id, sent_at, attempts, lease_until)
    select ${tenant.id}, 'out', c.id, k.id, e.id, s.id, 1, k.sender_id, ${connectionId}, ${status}, ${senderEmail}, ${email}, 'Hello', ${rfcMessageId},
      gen_random_uuid(), ${sent ? providerMessageId : null}, ${sent ? new Date() : null}::timestamptz, 1, ${sent ? null : tomorrow()}::timestamptz
    from campaign k, contact c, enrollment e, steps s where s.position = 1
    returning id, contact_id, enrollment_id, campaign_id`;
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
