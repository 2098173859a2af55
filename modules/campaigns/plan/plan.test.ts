import { expect, it } from "vitest";
import {
  enrollmentsOf,
  messagesOf,
  sendAll,
  settlePlans,
  startedCampaign,
  wakePlanner,
} from "../../../tests/support/campaigns.ts";
import { testKernel } from "../../../tests/support/kernel.ts";
import { campaignsPlan } from "./plan.ts";

const t = testKernel();
const TWO = [
  { email: "ada@acme.test", first_name: "Ada" },
  { email: "bob@acme.test", first_name: "Bob" },
];
const wake = (tenantId: string, n = 1) =>
  t.sql`select kernel.enqueue('campaigns_plan', array(select jsonb_build_object('tenant_id', ${tenantId}::text) from generate_series(1, ${n})))`;
/** Makes the next steps due, as time would. */
const letWaitsPass = (campaignId: string) =>
  t.sql`update public.enrollments set next_at = kernel.now() where campaign_id = ${campaignId} and status = 'waiting'`;

it("a started campaign takes its list in and plans one message per person", async () => {
  const tenant = await t.tenant();
  const { id } = await startedCampaign(t, tenant, [...TWO, { email: null, first_name: "Nobody" }]);
  await settlePlans(t, tenant);
  const messages = await messagesOf(t, id);
  expect(messages.map((m) => [m.to_email, m.subject, m.status, m.step])).toEqual([
    ["ada@acme.test", "Hello Ada", "queued", 1],
    ["bob@acme.test", "Hello Bob", "queued", 1],
  ]);
  expect(messages[0]!.body_text).toContain("Dear Ada, see https://us.test/a");
  expect(messages[0]!.headers).toMatchObject({ "List-Unsubscribe-Post": "List-Unsubscribe=One-Click" });
  expect(messages[0]!.rfc_message_id).toBe(`<${messages[0]!.id}@us.test>`);
  const links = await t.sql`select url from public.tracked_links where message_id = ${messages[0]!.id}`;
  expect(links.map((l) => l.url)).toEqual(["https://us.test/a"]);
  const [campaign] = await t.sql`select enrolling from public.campaigns where id = ${id}`;
  expect(campaign!.enrolling).toBe(0);
});

it("an audience larger than a batch is taken in whole, and a redelivered batch adds nobody", async () => {
  const tenant = await t.tenant();
  const people = Array.from({ length: 1203 }, (_, i) => ({ email: `p${i}@many.test` }));
  const { id, listId } = await startedCampaign(t, tenant, people, {}, 5);
  await settlePlans(t, tenant);
  await t.sql`update public.campaigns set enrolling = 1 where id = ${id}`;
  await t.sql`select kernel.enqueue('campaigns_enroll', array[jsonb_build_object('tenant_id', ${tenant.id}::text, 'campaign_id', ${id}::text,
    'source', jsonb_build_object('list_id', ${listId}::text), 'cursor', null)])`;
  await settlePlans(t, tenant);
  const [row] =
    await t.sql`select count(*)::int as n, count(distinct contact_id)::int as people from public.enrollments where campaign_id = ${id}`;
  expect(row).toMatchObject({ n: 1203, people: 1203 });
  const [campaign] = await t.sql`select enrolling from public.campaigns where id = ${id}`;
  expect(campaign!.enrolling).toBe(0);
  // Rendering ahead of the sender's day would only make stale messages.
  expect(await messagesOf(t, id)).toHaveLength(5);
});

it("planners side by side and again plan each person once", async () => {
  const tenant = await t.tenant();
  const people = Array.from({ length: 450 }, (_, i) => ({ email: `p${i}@twice.test` }));
  const { id } = await startedCampaign(t, tenant, people);
  await t.drain("campaigns_enroll");
  const scope = { actor: { kind: "job", name: "test" } as const, tenantId: tenant.id };
  const plan = () =>
    t.kernel.run(scope, (ctx) =>
      (campaignsPlan as unknown as { handle(c: unknown, p: unknown): Promise<unknown> }).handle(ctx, {
        tenant_id: tenant.id,
      }),
    );
  await Promise.all([plan(), plan(), plan(), plan()]);
  await wake(tenant.id, 3);
  await settlePlans(t, tenant);
  const messages = await messagesOf(t, id);
  expect(messages).toHaveLength(450);
  expect(new Set(messages.map((m) => m.enrollment_id)).size).toBe(450);
});

it("who lacks a value is blocked with its name, and goes on after it was filled in", async () => {
  const tenant = await t.tenant();
  const { id, contactIds } = await startedCampaign(
    t,
    tenant,
    [{ email: "a@x.test", first_name: "Ann" }, { email: "b@x.test" }],
    {
      steps: [{ subject: "Hello {{firstName}}", body: "Your {{title}}{{companyName|}}" }],
    },
  );
  await settlePlans(t, tenant);
  expect((await enrollmentsOf(t, id)).map((e) => [e.email, e.status, e.reason])).toEqual([
    ["a@x.test", "blocked", "Missing: title"],
    ["b@x.test", "blocked", "Missing: firstName, title"],
  ]);
  const fixed = await tenant.api("PATCH", `/contacts/${contactIds[1]}`, { first_name: "Bea", title: "CEO" });
  expect(fixed.status).toBe(200);
  expect((await tenant.api("POST", `/campaigns/${id}/leads/retry-blocked`)).body).toEqual({ retried: 2 });
  await settlePlans(t, tenant);
  expect((await enrollmentsOf(t, id)).map((e) => [e.email, e.status])).toEqual([
    ["a@x.test", "blocked"],
    ["b@x.test", "sending"],
  ]);
});

it("follow-ups wait, then thread under the first message; the campaign ends after the last", async () => {
  const tenant = await t.tenant();
  const { id, connectionId } = await startedCampaign(t, tenant, TWO.slice(0, 1));
  await settlePlans(t, tenant);
  expect(await sendAll(tenant, connectionId)).toBe(1);
  await wakePlanner(t, tenant);
  expect(await messagesOf(t, id)).toHaveLength(1);
  const [waiting] = await enrollmentsOf(t, id);
  expect(waiting!.status).toBe("waiting");
  const [{ hours }] =
    (await t.sql`select extract(epoch from (e.next_at - m.sent_at))::int / 3600 as hours from public.enrollments e
    join public.messages m on m.enrollment_id = e.id where e.campaign_id = ${id}`) as unknown as [{ hours: number }];
  expect(hours).toBe(72);
  await letWaitsPass(id);
  await wakePlanner(t, tenant);
  const [first, second] = await messagesOf(t, id);
  expect(second).toMatchObject({
    step: 2,
    subject: "Re: Hello Ada",
    in_reply_to: first!.rfc_message_id,
    thread_id: first!.thread_id,
  });
  expect(second!.headers).toMatchObject({ "In-Reply-To": first!.rfc_message_id, References: first!.rfc_message_id });
  expect(await sendAll(tenant, connectionId)).toBe(1);
  await t.sql`select private.finish_campaigns()`;
  expect((await tenant.api("GET", `/campaigns/${id}`)).body).toMatchObject({
    status: "done",
    counts: { enrolled: 1, pending: 0, sent: 2 },
  });
});

it("suppressed after enrollment: nothing is planned", async () => {
  const tenant = await t.tenant();
  const { id } = await startedCampaign(t, tenant, TWO);
  await t.drain("campaigns_enroll");
  await t.sql`insert into public.suppressions (tenant_id, address, reason) values (${tenant.id}, 'ada@acme.test', 'manual')`;
  await wake(tenant.id);
  await settlePlans(t, tenant);
  // Where the planner was quicker than the suppression, the sender's own check holds it back; here only what was not planned counts.
  const ada = (await enrollmentsOf(t, id))[0]!;
  expect(["suppressed", "sending"]).toContain(ada.status);
  await tenant.run((ctx) => ctx.db`select private.cancel_unsendable()`);
  expect((await enrollmentsOf(t, id)).map((e) => e.status)).toEqual(["suppressed", "sending"]);
});

it("a paused campaign and a closed window plan nothing", async () => {
  const tenant = await t.tenant();
  const { id } = await startedCampaign(t, tenant, TWO, { steps: [{ subject: "s", body: "b", wait_hours: 1 }] });
  await settlePlans(t, tenant);
  expect((await tenant.api("POST", `/campaigns/${id}/pause`)).body.status).toBe("paused");
  await letWaitsPass(id);
  await wake(tenant.id);
  await settlePlans(t, tenant);
  expect(await messagesOf(t, id)).toHaveLength(0);
  const day = new Date(Date.now() + 2 * 86_400_000).getUTCDay() || 7;
  expect(
    (
      await tenant.api("PATCH", `/campaigns/${id}`, {
        settings: { window: { days: [day], start: "09:00", end: "17:00" } },
      })
    ).status,
  ).toBe(200);
  expect((await tenant.api("POST", `/campaigns/${id}/resume`)).status).toBe(200);
  await wake(tenant.id);
  await settlePlans(t, tenant);
  expect(await messagesOf(t, id)).toHaveLength(0);
  expect((await enrollmentsOf(t, id)).map((e) => e.status)).toEqual(["waiting", "waiting"]);
});

it("steps edited while paused: what was planned is written again, people keep their place, a moved step keeps its id", async () => {
  const tenant = await t.tenant();
  const { id, steps, connectionId } = await startedCampaign(t, tenant, TWO);
  await settlePlans(t, tenant);
  const [ada] = await messagesOf(t, id);
  // Ada's first message has left; Bob's is still queued.
  await t.sql`update public.messages set due_at = kernel.now() + interval '1 hour' where campaign_id = ${id} and id <> ${ada!.id}`;
  expect(await sendAll(tenant, connectionId)).toBe(1);
  await tenant.api("POST", `/campaigns/${id}/pause`);
  const [one, two] = steps;
  const edited = await tenant.api("PUT", `/campaigns/${id}/steps`, {
    steps: [
      { ...one, subject: "New {{firstName}}" },
      { subject: "Between", body: "x" },
      { ...two, wait_hours: 24 },
    ],
  });
  expect(edited.status).toBe(200);
  expect([edited.body.steps[0].id, edited.body.steps[2].id]).toEqual([one!.id, two!.id]);
  await tenant.api("POST", `/campaigns/${id}/resume`);
  await letWaitsPass(id);
  await wakePlanner(t, tenant);
  expect((await messagesOf(t, id)).map((m) => [m.to_email, m.step, m.subject, m.status])).toEqual([
    ["ada@acme.test", 1, "Hello Ada", "sent"],
    ["bob@acme.test", 1, "New Bob", "queued"],
    ["ada@acme.test", 2, "Between", "queued"],
  ]);
});

it("a step removed while paused moves everybody's place with it, and a new wait counts from the last message", async () => {
  const tenant = await t.tenant();
  const { id, steps, connectionId } = await startedCampaign(t, tenant, TWO.slice(0, 1), {
    steps: [
      { subject: "A", body: "a" },
      { subject: "B", body: "b" },
      { subject: "C", body: "c", wait_hours: 48 },
    ],
  });
  for (let i = 0; i < 2; i++) {
    await wakePlanner(t, tenant);
    expect(await sendAll(tenant, connectionId)).toBe(1);
  }
  await tenant.api("POST", `/campaigns/${id}/pause`);
  const edited = await tenant.api("PUT", `/campaigns/${id}/steps`, {
    steps: [steps[1], { ...steps[2], wait_hours: 10 }],
  });
  expect(edited.status).toBe(200);
  const [ada] = await enrollmentsOf(t, id);
  expect(ada).toMatchObject({ status: "waiting", step: 1 });
  const [row] = await t.sql`
    select extract(epoch from ${ada!.next_at}::timestamptz - max(m.sent_at))::float8 / 3600 as hours from public.messages m where m.campaign_id = ${id}`;
  expect(row!.hours).toBeCloseTo(10, 3);
  await tenant.api("POST", `/campaigns/${id}/resume`);
  await letWaitsPass(id);
  await wakePlanner(t, tenant);
  expect((await messagesOf(t, id)).filter((m) => m.status === "queued").map((m) => m.subject)).toEqual(["C"]);
});

it("a deleted contact's queued message never leaves", async () => {
  const tenant = await t.tenant();
  const { id, connectionId, contactIds } = await startedCampaign(t, tenant, TWO.slice(0, 1));
  await settlePlans(t, tenant);
  expect((await tenant.api("DELETE", `/contacts/${contactIds[0]}`)).status).toBe(204);
  expect(await sendAll(tenant, connectionId)).toBe(0);
  await tenant.run((ctx) => ctx.db`select private.cancel_unsendable()`);
  expect((await messagesOf(t, id)).map((m) => m.status)).toEqual(["cancelled"]);
});

it("a custom field removed after saving blocks instead of leaving a gap", async () => {
  const tenant = await t.tenant();
  await t.sql`insert into public.custom_fields (tenant_id, key, label, type) values (${tenant.id}, 'plan', 'Plan', 'text')`;
  const { id } = await startedCampaign(t, tenant, TWO.slice(0, 1), {
    steps: [{ subject: "s", body: "Your {{custom.plan|free}} plan", wait_hours: 1 }],
  });
  await settlePlans(t, tenant);
  await t.sql`delete from public.custom_fields where tenant_id = ${tenant.id}`;
  await letWaitsPass(id);
  await wakePlanner(t, tenant);
  expect((await enrollmentsOf(t, id))[0]).toMatchObject({
    status: "blocked",
    reason: expect.stringContaining("{{custom.plan}}"),
  });
});
