import { describe, expect, test } from "vitest";
import { enrollmentsOf, messagesOf, settlePlans, startedCampaign, TWO_EMAILS } from "../support/campaigns.ts";
import { testKernel, type TestTenant } from "../support/kernel.ts";

/**
 * What stops a message that is due: each rule alone keeps the claim from taking it, from the moment the rule's change is committed, before
 * anybody has heard of it. What is swept off the queue says why. No provider is called.
 */

const t = testKernel({ OVERTURE_DB_POOL: "16" });

type World = {
  tenant: TestTenant;
  campaign: Awaited<ReturnType<typeof startedCampaign>>;
  message: { id: string; enrollment_id: string; contact_id: string; to_address: string };
};

/** One person with one message that is due. */
async function due(input: Record<string, unknown> = {}): Promise<World> {
  const tenant = await t.tenant();
  const campaign = await startedCampaign(t, tenant, [{ email: `p-${crypto.randomUUID()}@example.com` }], input);
  await settlePlans(t, tenant);
  const [message] = (await messagesOf(t, campaign.id)) as unknown as World["message"][];
  return { tenant, campaign, message: message! };
}

const claim = (tenant: TestTenant, connectionId: string, n = 10) =>
  tenant.run(
    async (ctx) =>
      (await ctx.db<{ id: string }[]>`select id from private.claim_messages(${n}, 120, ${connectionId})`).length,
  );
const sweep = (tenant: TestTenant) =>
  tenant.run(async (ctx) => (await ctx.db<{ n: number }[]>`select private.apply_guards() as n`)[0]!.n);
const answer = ({ tenant, message }: World, kind: string) =>
  tenant.run(
    (ctx) => ctx.db`
      insert into public.messages (tenant_id, direction, channel, action, contact_id, status, from_address, to_address, thread_id, is_auto_reply, is_answer)
      values (${tenant.id}, 'in', 'email', 'email.send', ${message.contact_id}, 'received', ${message.to_address}, 'sam@us.test', gen_random_uuid(), ${kind === "auto"}, ${kind === "reply"})`,
  );
/** Three days from now, for an hour. */
const otherDay = () => ({ days: [((new Date().getUTCDay() + 2) % 7) + 1], start: "09:00", end: "10:00" });

type Case = {
  stop: (world: World) => Promise<unknown>;
  /** The message after the sweep. */
  status: "cancelled" | "held" | "queued";
  reason: string;
};

const CASES: Record<string, Case> = {
  "a campaign that is paused": {
    stop: ({ tenant, campaign }) => tenant.api("POST", `/campaigns/${campaign.id}/pause`),
    status: "held",
    reason: "campaign_paused",
  },
  "a campaign that is stopped": {
    stop: ({ tenant, campaign }) => tenant.api("POST", `/campaigns/${campaign.id}/stop`),
    status: "cancelled",
    reason: "campaign_stopped",
  },
  "a campaign whose window is closed": {
    stop: ({ tenant, campaign }) =>
      tenant.api("PATCH", `/campaigns/${campaign.id}`, { settings: { window: otherDay() } }),
    status: "queued",
    reason: "outside_window",
  },
  "a person whose sequence is over": {
    stop: ({ message }) =>
      t.sql`update public.enrollments set status = 'stopped', next_at = null, finished_at = kernel.now() where id = ${message.enrollment_id}`,
    status: "cancelled",
    reason: "sequence_ended",
  },
  "a person who answered": { stop: (world) => answer(world, "reply"), status: "cancelled", reason: "replied" },
  "an address that is suppressed": {
    stop: ({ tenant, message }) =>
      t.sql`insert into public.suppressions (tenant_id, channel, address, reason) values (${tenant.id}, 'email', ${message.to_address}, 'manual')`,
    status: "cancelled",
    reason: "suppressed",
  },
  "a person who opted out, whatever their address": {
    stop: ({ tenant, message }) =>
      t.sql`insert into public.consents (tenant_id, contact_id, channel, state) values (${tenant.id}, ${message.contact_id}, 'email', 'withdrawn')`,
    status: "cancelled",
    reason: "opted_out",
  },
  "a channel that demands consent, without it": {
    stop: ({ message }) => t.sql`update public.messages set requires_consent = true where id = ${message.id}`,
    status: "cancelled",
    reason: "no_consent",
  },
  "a message that waits for approval": {
    stop: ({ message }) => t.sql`update public.messages set approval = 'pending' where id = ${message.id}`,
    status: "held",
    reason: "approval_pending",
  },
  "a message that was rejected": {
    stop: ({ message }) => t.sql`update public.messages set approval = 'rejected' where id = ${message.id}`,
    status: "cancelled",
    reason: "approval_rejected",
  },
};

describe("nothing is claimed of", () => {
  test.each(Object.keys(CASES))("%s", async (name) => {
    const { stop, status, reason } = CASES[name]!;
    const world = await due();
    const { tenant, campaign, message } = world;
    await stop(world);
    expect(await claim(tenant, campaign.connectionId)).toBe(0);
    expect(await sweep(tenant)).toBe(1);
    const [after] = await messagesOf(t, campaign.id);
    expect(after).toMatchObject({ status, error_code: reason });
    if (status === "queued") expect(after!.due_at!.getTime()).toBeGreaterThan(Date.now() + 3_600_000);
    expect(await claim(tenant, campaign.connectionId)).toBe(0);
    const decisions = await t.sql`
      select verdict, reason from public.decisions where tenant_id = ${tenant.id} and subject_id = ${message.enrollment_id} and source = 'claim'
        -- The sequence ends when the campaign hears of it, which other suites' workers may do meanwhile.
        and verdict <> 'ended'`;
    expect([...decisions]).toEqual([{ verdict: status === "cancelled" ? "cancel" : "defer", reason }]);
    // What was swept once is out of the way.
    expect(await sweep(tenant)).toBe(0);
  });

  test("nothing else: a machine's answer, another person's, and consent that is granted stop nobody", async () => {
    const world = await due();
    const { tenant, campaign, message } = world;
    await answer(world, "auto");
    await t.sql`insert into public.consents (tenant_id, contact_id, channel, state) values (${tenant.id}, ${message.contact_id}, 'email', 'granted')`;
    await t.sql`insert into public.suppressions (tenant_id, channel, address, reason) values (${tenant.id}, 'sms', ${message.to_address}, 'manual')`;
    await t.sql`update public.messages set requires_consent = true, approval = 'approved' where id = ${message.id}`;
    expect(await sweep(tenant)).toBe(0);
    expect(await claim(tenant, campaign.connectionId)).toBe(1);
  });
});

test("what a pause held leaves after the resume, once", async () => {
  const { tenant, campaign } = await due();
  await tenant.api("POST", `/campaigns/${campaign.id}/pause`);
  expect(await sweep(tenant)).toBe(1);
  expect((await tenant.api("POST", `/campaigns/${campaign.id}/resume`)).status).toBe(200);
  await settlePlans(t, tenant);
  expect((await messagesOf(t, campaign.id)).map((m) => m.status)).toEqual(["queued"]);
  expect(await claim(tenant, campaign.connectionId)).toBe(1);
  expect(await claim(tenant, campaign.connectionId)).toBe(0);
});

test.each(["hour", "day", "week"])(
  "any number of workers keep to the limit per %s, and the smallest limit counts",
  async (per) => {
    const tenant = await t.tenant();
    const campaign = await startedCampaign(
      t,
      tenant,
      Array.from({ length: 12 }, (_, i) => ({ email: `p${i}-${crypto.randomUUID()}@example.com` })),
    );
    await settlePlans(t, tenant);
    await t.sql`update public.sender_limits set cap = 11 where sender_id = ${campaign.senderId}`;
    await t.sql`
    insert into public.sender_limits (tenant_id, sender_id, action, per, cap) values (${tenant.id}, ${campaign.senderId}, 'email.send', ${per}, 5)
    on conflict (tenant_id, sender_id, action, per) do update set cap = excluded.cap`;
    const taken = await Promise.all(Array.from({ length: 6 }, () => claim(tenant, campaign.connectionId, 2)));
    const more = await Promise.all(Array.from({ length: 6 }, () => claim(tenant, campaign.connectionId, 12)));
    expect([...taken, ...more].reduce((a, b) => a + b, 0)).toBe(5);
    // The next window begins at zero.
    const back = { hour: "hour = hour - interval '1 hour'", day: "day = day - 1", week: "week = week - 7" }[per]!;
    await t.sql.unsafe(`update public.sender_usage set ${back} where sender_id = '${campaign.senderId}'`);
    expect(await claim(tenant, campaign.connectionId, 12)).toBe(5);
  },
);

test("a task is finished once, however many press at the same moment, and the sequence goes on once", async () => {
  const tenant = await t.tenant();
  const campaign = await startedCampaign(t, tenant, [{ email: `p-${crypto.randomUUID()}@example.com` }], {
    steps: [{ kind: "task", title: "Call {{firstName|them}}" }, TWO_EMAILS[0]],
  });
  await settlePlans(t, tenant);
  const tasks = (await tenant.api("GET", "/tasks")).body.data as { id: string }[];
  expect(tasks).toHaveLength(1);
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => tenant.api("POST", `/tasks/${tasks[0]!.id}/finish`, { outcome: "done" })),
  );
  expect(answers.map((a) => a.status).toSorted()).toEqual([200, ...Array.from({ length: 7 }, () => 409)]);
  await settlePlans(t, tenant);
  expect((await enrollmentsOf(t, campaign.id)).map((e) => [e.status, e.kind])).toEqual([["sending", "email"]]);
  expect(await messagesOf(t, campaign.id)).toHaveLength(1);
});
