import { expect, it } from "vitest";
import {
  enrollmentsOf,
  giveList,
  giveSender,
  messagesOf,
  sendAll,
  settlePlans,
  wakePlanner,
} from "../../../tests/support/campaigns.ts";
import { type TestTenant, testKernel } from "../../../tests/support/kernel.ts";

const t = testKernel();
const FOLLOW_UP = [
  { subject: "First", body: "b" },
  { kind: "wait", days: 1 },
  { subject: "", body: "b" },
];

type Limit = { per: "hour" | "day" | "week"; cap: number };

/** A started campaign with a sender for each set of limits, and so many people. */
async function shared(senders: Limit[][], people: number, input: Record<string, unknown> = {}) {
  const tenant = await t.tenant();
  const made: { senderId: string; connectionId: string; address: string }[] = [];
  for (const [i, limits] of senders.entries()) {
    const sender = await giveSender(t, tenant);
    const address = `s${i + 1}@us.test`;
    await t.sql`update public.senders set address = ${address} where id = ${sender.senderId}`;
    await t.sql`delete from public.sender_limits where sender_id = ${sender.senderId}`;
    for (const { per, cap } of limits)
      await t.sql`insert into public.sender_limits (tenant_id, sender_id, action, per, cap) values (${tenant.id}, ${sender.senderId}, 'email.send', ${per}, ${cap})`;
    made.push({ ...sender, address });
  }
  const { listId } = await giveList(
    t,
    tenant,
    Array.from({ length: people }, (_, i) => ({ email: `p${String(i).padStart(3, "0")}@many.test` })),
  );
  const campaign = await tenant.api("POST", "/campaigns", {
    name: "Shared",
    sender_ids: made.map((s) => s.senderId),
    list_id: listId,
    steps: FOLLOW_UP,
    ...input,
  });
  const id = campaign.body.id as string;
  const started = await tenant.api("POST", `/campaigns/${id}/start`);
  expect(started.status, JSON.stringify(started.body)).toBe(200);
  await settlePlans(t, tenant);
  return { tenant, id, senders: made };
}

const sendFromAll = async (tenant: TestTenant, senders: { connectionId: string }[]) => {
  let n = 0;
  for (const { connectionId } of senders) n += await sendAll(tenant, connectionId);
  await settlePlans(t, tenant);
  return n;
};

it("several senders share the people evenly, and each person keeps theirs", async () => {
  const { tenant, id, senders } = await shared(
    [[{ per: "day", cap: 1000 }], [{ per: "day", cap: 1000 }], [{ per: "day", cap: 1000 }]],
    90,
  );
  const count = async () => Map.groupBy(await messagesOf(t, id), (m) => m.sender_id);
  expect([...(await count()).values()].map((m) => m.length)).toEqual([30, 30, 30]);
  expect(await sendFromAll(tenant, senders)).toBe(90);
  // Whoever chose anew would now choose the one with the most room.
  await t.sql`update public.sender_limits set cap = 100000 where sender_id = ${senders[0]!.senderId}`;
  await t.sql`update public.enrollments set next_at = kernel.now(), entered_at = entered_at - interval '9 days' where campaign_id = ${id}`;
  await wakePlanner(t, tenant);
  const pairs = Map.groupBy(await messagesOf(t, id), (m) => m.enrollment_id);
  expect(pairs.size).toBe(90);
  for (const [first, second] of pairs.values()) {
    expect(second).toMatchObject({
      nth: 2,
      sender_id: first!.sender_id,
      thread_id: first!.thread_id,
      status: "queued",
    });
  }
});

it("a person whose sender's limit is reached waits for it, though another sender has room", async () => {
  const { tenant, id, senders } = await shared([[{ per: "day", cap: 1 }], [{ per: "day", cap: 1000 }]], 2);
  expect(await sendFromAll(tenant, senders)).toBe(2);
  const [of] = (await messagesOf(t, id)).filter((m) => m.sender_id === senders[0]!.senderId);
  // The sender with the most room gets both; give one of them to the other.
  const kept = of ?? (await messagesOf(t, id))[0]!;
  await t.sql`update public.enrollments set vars = jsonb_set(vars, '{senders,email}', to_jsonb(${senders[0]!.senderId}::text)) where id = ${kept.enrollment_id}`;
  await t.sql`
    insert into public.sender_usage (tenant_id, sender_id, action, hour, hour_reserved, day, day_reserved, week, week_reserved)
    select ${tenant.id}, s.id, 'email.send', date_trunc('hour', kernel.now()), 1, (kernel.now() at time zone s.time_zone)::date, 1, date_trunc('week', kernel.now() at time zone s.time_zone)::date, 1
    from public.senders s where s.id = ${senders[0]!.senderId} on conflict (tenant_id, sender_id, action) do update set day = excluded.day, day_reserved = 1`;
  await t.sql`update public.enrollments set next_at = kernel.now(), entered_at = entered_at - interval '9 days' where campaign_id = ${id}`;
  await wakePlanner(t, tenant);
  await wakePlanner(t, tenant);
  const waiting = (await enrollmentsOf(t, id)).find((e) => e.id === kept.enrollment_id)!;
  expect(waiting).toMatchObject({ status: "waiting", kind: "email" });
  expect((await enrollmentsOf(t, id)).filter((e) => e.status === "sending")).toHaveLength(1);
  const lead = (await tenant.api("GET", `/campaigns/${id}/leads?limit=10`)).body.data.find(
    (l: { id: string }) => l.id === kept.enrollment_id,
  );
  expect(lead).toMatchObject({
    waits_for: "sender_limit",
    reason_code: "sender_limit",
    reason: "The sender's limit is reached. (s1@us.test)",
  });
});

it.each([
  ["hour", 3_600_000],
  ["day", 86_400_000],
  ["week", 7 * 86_400_000],
] as const)("a limit per %s holds, and who waits for it is told until when", async (per, length) => {
  const { tenant, id, senders } = await shared([[{ per, cap: 3 }]], 5);
  expect(await messagesOf(t, id)).toHaveLength(3);
  const renewed = async () => {
    const [row] = await t.sql<
      { at: Date }[]
    >`select date_trunc(${per}, kernel.now() at time zone 'UTC') at time zone 'UTC' as at`;
    return new Date(row!.at.getTime() + length).toISOString();
  };
  const leads = async () =>
    (await tenant.api("GET", `/campaigns/${id}/leads?status=waiting`)).body.data.filter(
      (l: { step_kind: string }) => l.step_kind === "email",
    );
  // What waits in the queue has its place under the limit: whoever comes later waits already.
  const expected = {
    waits_for: "sender_limit",
    next_at: await renewed(),
    reason_code: "sender_limit",
    reason: "The sender's limit is reached. (s1@us.test)",
  };
  expect(await leads()).toMatchObject([expected, expected]);
  for (const lead of (await tenant.api("GET", `/campaigns/${id}/leads?status=sending`)).body.data)
    expect(lead.waits_for).toBe("message");
  expect(await sendFromAll(tenant, senders)).toBe(3);
  expect(await leads()).toMatchObject([expected, expected]);
  expect(await sendFromAll(tenant, senders)).toBe(0);
  // The next period begins: the others are written to, and no more than it allows.
  await t.sql`update public.sender_usage set hour = hour - interval '1 hour', day = day - 1, week = week - 7 where tenant_id = ${tenant.id}`;
  await t.sql`update public.enrollments set next_at = kernel.now() + interval '9 days' where campaign_id = ${id} and action is null and status = 'waiting'`;
  await wakePlanner(t, tenant);
  expect(await sendFromAll(tenant, senders)).toBe(2);
});

it("of several limits the one that is reached first holds", async () => {
  const { tenant, id, senders } = await shared(
    [
      [
        { per: "hour", cap: 2 },
        { per: "day", cap: 3 },
        { per: "week", cap: 100 },
      ],
    ],
    6,
  );
  expect(await messagesOf(t, id)).toHaveLength(2);
  expect(await sendFromAll(tenant, senders)).toBe(2);
  // An hour later, on the same day, one more may leave.
  await t.sql`update public.sender_usage set hour = hour - interval '1 hour' where tenant_id = ${tenant.id}`;
  await wakePlanner(t, tenant);
  expect(await sendFromAll(tenant, senders)).toBe(1);
  await wakePlanner(t, tenant);
  expect(await sendFromAll(tenant, senders)).toBe(0);
  const [row] = await t.sql<
    { at: Date }[]
  >`select (date_trunc('day', kernel.now() at time zone 'UTC') + interval '1 day') at time zone 'UTC' as at`;
  const leads = (await tenant.api("GET", `/campaigns/${id}/leads?status=waiting`)).body.data.filter(
    (l: { step_kind: string }) => l.step_kind === "email",
  );
  expect(leads).toHaveLength(3);
  for (const lead of leads) expect(lead).toMatchObject({ waits_for: "sender_limit", next_at: row!.at.toISOString() });
});

it("a sender without limits has room for everybody", async () => {
  const { tenant, id, senders } = await shared([[]], 260);
  expect(await messagesOf(t, id)).toHaveLength(260);
  expect(await sendFromAll(tenant, senders)).toBe(260);
});

it("who comes to a step on a channel that no sender of the campaign sends on is held back with the reason", async () => {
  const { tenant, id, senders } = await shared([[]], 1);
  await sendFromAll(tenant, senders);
  const { steps } = (await tenant.api("GET", `/campaigns/${id}`)).body;
  await t.sql`update public.contacts set phone = '+4915735990009' where tenant_id = ${tenant.id}`;
  expect(
    (await tenant.api("PUT", `/campaigns/${id}/steps`, { steps: [steps[0], steps[1], { kind: "sms", body: "Hello" }] }))
      .status,
  ).toBe(200);
  await settlePlans(t, tenant);
  await t.sql`update public.enrollments set next_at = kernel.now(), entered_at = entered_at - interval '9 days' where campaign_id = ${id}`;
  await wakePlanner(t, tenant);
  const [lead] = (await tenant.api("GET", `/campaigns/${id}/leads`)).body.data;
  expect(lead).toMatchObject({ status: "blocked", step_kind: "sms", reason_code: "no_sender", waits_for: "value" });
});
