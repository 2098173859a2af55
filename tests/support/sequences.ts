import { messagesOf, sendAll, settlePlans, startedCampaign, wakePlanner } from "./campaigns.ts";
import { uuid7 } from "../../modules/kernel/database/ids.ts";
import type { TestKernel, TestTenant } from "./kernel.ts";

/** What tests of sequences tell stories with: steps in a word each, time that passes for one campaign, answers, and providers' outcomes. */

export const email = (subject: string, more: Record<string, unknown> = {}) => ({
  kind: "email",
  subject,
  body: `Text of ${subject}`,
  ...more,
});
export const hours = (n: number) => ({ kind: "wait", hours: n });

/** A sender of text messages on a connection of its own, beside the one for e-mail. */
export async function giveSmsSender(
  t: TestKernel,
  tenant: TestTenant,
): Promise<{ smsSenderId: string; smsConnectionId: string }> {
  const [smsConnectionId, smsSenderId] = [uuid7(), uuid7()];
  await t.sql`
    insert into public.connections (tenant_id, id, provider, category, name, status, credentials, webhook_registered)
    values (${tenant.id}, ${smsConnectionId}, 'smtp', 'sms', ${`Phone ${smsConnectionId}`}, 'active', 'v1.unused', true)`;
  await t.sql`
    insert into public.senders (tenant_id, id, channel, connection_id, address, display_name)
    values (${tenant.id}, ${smsSenderId}, 'sms', ${smsConnectionId}, '+4915112345678', 'Sam')`;
  return { smsSenderId, smsConnectionId };
}

/** A step as the API tells of it. */
export type Step = { id: string; kind: string; branches?: Record<string, Step[]>; [field: string]: unknown };

/** A started campaign with people named by their addresses; `go` lets it run until everybody waits for time or a person. */
export async function story(
  t: TestKernel,
  tenant: TestTenant,
  steps: unknown[],
  people: string[] = ["ada@acme.test"],
  input: Record<string, unknown> = {},
) {
  const campaign = await startedCampaign(
    t,
    tenant,
    people.map((address) => ({ email: address, first_name: address.split("@")[0]! })),
    { name: `Story ${crypto.randomUUID().slice(0, 8)}`, steps, ...input },
  );
  const { id, connectionId } = campaign;
  const lead = async (address = people[0]!) => {
    const { body } = await tenant.api("GET", `/campaigns/${id}/leads?limit=100`);
    const found = body.data.find((l: { contact: { email: string } }) => l.contact.email === address);
    if (!found) throw new Error(`${address} is not in the campaign: ${JSON.stringify(body).slice(0, 500)}`);
    return found as {
      id: string;
      status: string;
      step_id: string;
      next_at: string | null;
      waits_for: string | null;
      reason: string | null;
      reason_code: string | null;
    };
  };
  return {
    ...campaign,
    steps: campaign.steps as Step[],
    lead,
    /** Plans, sends and hears until nothing moves. */
    async go() {
      do await wakePlanner(t, tenant);
      while ((await sendAll(tenant, connectionId)) > 0);
      await settlePlans(t, tenant);
    },
    /** Plans only: messages stay queued. */
    plan: () => wakePlanner(t, tenant),
    pass: (n: number) => passTime(t, id, n),
    edit: async (next: unknown[], how: "move" | "stay" = "move") => {
      const answer = await tenant.api("PUT", `/campaigns/${id}/steps`, { steps: next, people: how });
      if (answer.status !== 200) throw new Error(JSON.stringify(answer.body));
      await settlePlans(t, tenant);
      return answer.body.steps as Step[];
    },
    /** Subjects that left, in their order. */
    sent: async (address?: string) =>
      (await messagesOf(t, id))
        .filter((m) => m.status === "sent" && (!address || m.to_address === address))
        .sort((a, b) => (a.id < b.id ? -1 : 1))
        .map((m) => m.subject),
    messages: () => messagesOf(t, id),
    async why(address?: string) {
      const { body } = await tenant.api("GET", `/campaigns/${id}/leads/${(await lead(address)).id}/why`);
      return body.history as { verdict: string; reason_code: string | null; step_id: string | null }[];
    },
  };
}

/** Lets time pass for one campaign: everything of it happened that many hours earlier. */
export async function passTime(t: TestKernel, campaignId: string, n: number): Promise<void> {
  const by = t.sql`make_interval(secs => ${n * 3600})`;
  await t.sql`
    update public.enrollments set next_at = next_at - ${by}, entered_at = entered_at - ${by}, started_at = started_at - ${by}, created_at = created_at - ${by}
    where campaign_id = ${campaignId}`;
  await t.sql`
    update public.messages set sent_at = sent_at - ${by}, created_at = created_at - ${by}, due_at = due_at - ${by}, opened_at = opened_at - ${by},
      replied_at = replied_at - ${by}
    where campaign_id = ${campaignId}`;
}

/** Hours from now, to two places. */
export const hoursUntil = (at: string | null): number =>
  Math.round(((at ? Date.parse(at) : NaN) - Date.now()) / 36_000) / 100;

/** Takes what is due to the provider, whose answer is still to come. */
export const claim = (
  tenant: TestTenant,
  connectionId: string,
): Promise<{ id: string; subject: string; enrollment_id: string; to_address: string }[]> =>
  tenant.run(async (ctx) => [
    ...(await ctx.db<{ id: string; subject: string; enrollment_id: string; to_address: string }[]>`
    select id, subject, enrollment_id, to_address from private.claim_messages(500, 60, ${connectionId})`),
  ]);

/** The provider's answer: sent, rejected, unknown or retry. */
export const settle = (
  tenant: TestTenant,
  ids: readonly string[],
  outcome: string,
  after_seconds = 0,
): Promise<unknown> =>
  tenant.run((ctx) => {
    const answers = ids.map((id) => ({
      id,
      outcome,
      after_seconds,
      detail: outcome,
      ...(outcome === "sent" ? { provider_message_id: `p-${id}` } : {}),
    }));
    return ctx.db`select private.settle_messages(${ctx.db.json(answers)})`;
  });

/** A person's answer to whatever we wrote to this address last. */
export const reply = (
  tenant: TestTenant,
  connectionId: string,
  from: string,
  kind: "reply" | "opt_out" | "help" = "reply",
): Promise<unknown> =>
  tenant.run((ctx) => {
    const read = {
      kind,
      provider_inbound_id: crypto.randomUUID(),
      from_address: from,
      to_address: "sam@us.test",
      subject: "Re",
      text: { reply: "Tell me more", opt_out: "STOP", help: "HELP" }[kind],
      references: [],
      email: null,
    };
    return ctx.db`select private.receive_message(${connectionId}, 'email', ${ctx.db.json(read as never)})`;
  });

/** What the claim leaves behind because a guard stops it is moved out of its way, as the sender does. */
export const applyGuards = (tenant: TestTenant): Promise<unknown> =>
  tenant.run((ctx) => ctx.db`select private.apply_guards()`);
