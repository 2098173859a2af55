import { expect, it } from "vitest";
import {
  enrollmentsOf,
  giveList,
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
/** Makes the waits be over, as time would: a wait counts from when its people came to it. */
const letWaitsPass = (campaignId: string) =>
  t.sql`update public.enrollments set next_at = kernel.now(), entered_at = entered_at - interval '30 days' where campaign_id = ${campaignId} and status = 'waiting'`;
const WAIT_AN_HOUR = { kind: "wait", hours: 1 };

it("a started campaign takes its list in and plans one message per person", async () => {
  const tenant = await t.tenant();
  const { id } = await startedCampaign(t, tenant, [...TWO, { email: null, first_name: "Nobody" }]);
  await settlePlans(t, tenant);
  const dead = await t.sql`select queue, reason from kernel.dead_letters where tenant_id = ${tenant.id}`;
  expect([...dead]).toEqual([]);
  const messages = await messagesOf(t, id);
  expect(messages.map((m) => [m.to_address, m.subject, m.status, m.nth])).toEqual([
    ["ada@acme.test", "Hello Ada", "queued", 1],
    ["bob@acme.test", "Hello Bob", "queued", 1],
  ]);
  expect(messages[0]!.body_text).toContain("Dear Ada, see https://us.test/a");
  expect(messages[0]!.headers).toMatchObject({ "List-Unsubscribe-Post": "List-Unsubscribe=One-Click" });
  expect(messages[0]!.rfc_message_id).toBe(`<${messages[0]!.id}@us.test>`);
  const links = await t.sql`select url from public.tracked_links where message_id = ${messages[0]!.id}`;
  expect(links.map((l) => l.url)).toEqual(["https://us.test/a"]);
  expect((await enrollmentsOf(t, id)).map((e) => [e.email, e.status, e.kind, e.reason])).toEqual([
    ["ada@acme.test", "sending", "email", null],
    ["bob@acme.test", "sending", "email", null],
    [null, "left_out", null, "no_address"],
  ]);
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
  expect((await enrollmentsOf(t, id)).map((e) => [e.email, e.status, e.reason, e.reason_detail])).toEqual([
    ["a@x.test", "blocked", "missing_value", "Missing: title"],
    ["b@x.test", "blocked", "missing_value", "Missing: firstName, title"],
  ]);
  const leads = (await tenant.api("GET", `/campaigns/${id}/leads?search=a@x.test`)).body.data;
  expect(leads).toMatchObject([
    {
      waits_for: "value",
      next_at: null,
      reason_code: "missing_value",
      reason: expect.stringMatching(/no value.*title/),
    },
  ]);
  const fixed = await tenant.api("PATCH", `/contacts/${contactIds[1]}`, { first_name: "Bea", title: "CEO" });
  expect(fixed.status).toBe(200);
  expect((await tenant.api("POST", `/campaigns/${id}/leads/retry-blocked`)).body).toEqual({ retried: 2, more: false });
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
  await wakePlanner(t, tenant);
  const [waiting] = await enrollmentsOf(t, id);
  expect(waiting).toMatchObject({ status: "waiting", kind: "wait" });
  const [{ hours }] =
    (await t.sql`select extract(epoch from (e.next_at - m.sent_at))::int / 3600 as hours from public.enrollments e
    join public.messages m on m.enrollment_id = e.id where e.campaign_id = ${id}`) as unknown as [{ hours: number }];
  expect(hours).toBe(72);
  await letWaitsPass(id);
  await wakePlanner(t, tenant);
  const [first, second] = await messagesOf(t, id);
  expect(second).toMatchObject({
    nth: 2,
    subject: "Re: Hello Ada",
    in_reply_to: first!.rfc_message_id,
    thread_id: first!.thread_id,
  });
  expect(second!.headers).toMatchObject({ "In-Reply-To": first!.rfc_message_id, References: first!.rfc_message_id });
  expect(await sendAll(tenant, connectionId)).toBe(1);
  await settlePlans(t, tenant);
  await t.sql`select private.finish_campaigns()`;
  expect((await tenant.api("GET", `/campaigns/${id}`)).body).toMatchObject({
    status: "done",
    counts: { enrolled: 1, pending: 0, sent: 2 },
  });
});

it("suppressed after enrollment: nothing leaves to the address, whether it was planned by then or not", async () => {
  const tenant = await t.tenant();
  const { id, connectionId } = await startedCampaign(t, tenant, TWO);
  await t.drain("campaigns_enroll");
  await tenant.run((ctx) => ctx.db`select private.suppress('email', array['ada@acme.test'], 'manual', 'by hand')`);
  await settlePlans(t, tenant);
  expect((await enrollmentsOf(t, id)).map((e) => [e.status, e.reason])).toEqual([
    ["suppressed", "suppressed"],
    ["sending", null],
  ]);
  await tenant.run((ctx) => ctx.db`select private.suppress('email', array['bob@acme.test'], 'unsubscribe', 'by link')`);
  // The claim asks the suppression itself: what follows from it may still wait on a queue.
  expect(await sendAll(tenant, connectionId)).toBe(0);
  await settlePlans(t, tenant);
  expect((await enrollmentsOf(t, id)).map((e) => e.status)).toEqual(["suppressed", "unsubscribed"]);
  expect((await messagesOf(t, id)).filter((m) => m.status !== "cancelled")).toEqual([]);
});

it("a suppression that only the claim's guard saw ends the sequence too, with its reason", async () => {
  const tenant = await t.tenant();
  const { id } = await startedCampaign(t, tenant, TWO);
  await settlePlans(t, tenant);
  await t.sql`insert into public.suppressions (tenant_id, channel, address, reason) values (${tenant.id}, 'email', 'ada@acme.test', 'manual')`;
  await tenant.run((ctx) => ctx.db`select private.apply_guards()`);
  await settlePlans(t, tenant);
  expect((await messagesOf(t, id)).map((m) => [m.status, m.error_code])).toEqual([
    ["cancelled", "suppressed"],
    ["queued", null],
  ]);
  expect((await enrollmentsOf(t, id)).map((e) => [e.status, e.reason])).toEqual([
    ["suppressed", "suppressed"],
    ["sending", null],
  ]);
});

it("a paused campaign and a closed window plan nothing", async () => {
  const tenant = await t.tenant();
  const { id } = await startedCampaign(t, tenant, TWO, { steps: [WAIT_AN_HOUR, { subject: "s", body: "b" }] });
  await settlePlans(t, tenant);
  expect((await tenant.api("POST", `/campaigns/${id}/pause`)).body.campaign.status).toBe("paused");
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
  for (const lead of (await tenant.api("GET", `/campaigns/${id}/leads`)).body.data) {
    expect(lead).toMatchObject({ waits_for: "window", reason_code: "outside_window" });
    expect([new Date(lead.next_at).getUTCDay() || 7, lead.next_at.slice(11, 16)]).toEqual([day, "09:00"]);
  }
});

it("steps edited while paused: what was planned is written again, people keep their place, a moved step keeps its id", async () => {
  const tenant = await t.tenant();
  const { id, steps, connectionId } = await startedCampaign(t, tenant, TWO);
  await settlePlans(t, tenant);
  const [ada] = await messagesOf(t, id);
  // Ada's first message has left; Bob's is still queued.
  await t.sql`update public.messages set due_at = kernel.now() + interval '1 hour' where campaign_id = ${id} and id <> ${ada!.id}`;
  expect(await sendAll(tenant, connectionId)).toBe(1);
  await settlePlans(t, tenant);
  await tenant.api("POST", `/campaigns/${id}/pause`);
  const [one, wait, two] = steps;
  const edited = await tenant.api("PUT", `/campaigns/${id}/steps`, {
    steps: [
      { ...one, subject: "New {{firstName}}" },
      { subject: "Before where Ada stands", body: "x" },
      { ...wait, days: 1 },
      { subject: "Between", body: "x" },
      { kind: "wait", days: 1 },
      two,
    ],
  });
  expect(edited.status).toBe(200);
  expect([edited.body.version, edited.body.steps[0].id, edited.body.steps[2].id, edited.body.steps[5].id]).toEqual([
    2,
    one!.id,
    wait!.id,
    two!.id,
  ]);
  await settlePlans(t, tenant);
  await tenant.api("POST", `/campaigns/${id}/resume`);
  await settlePlans(t, tenant);
  await letWaitsPass(id);
  await wakePlanner(t, tenant);
  // Ada waited behind the first step: she gets what was put after the wait, and not what was put before it.
  expect((await messagesOf(t, id)).map((m) => [m.to_address, m.nth, m.subject, m.status])).toEqual([
    ["ada@acme.test", 1, "Hello Ada", "sent"],
    ["bob@acme.test", 1, "New Bob", "queued"],
    ["ada@acme.test", 3, "Between", "queued"],
  ]);
  const why = (await tenant.api("GET", `/campaigns/${id}/leads/${(await enrollmentsOf(t, id))[0]!.id}/why`)).body;
  expect(why.lead.version).toBe(2);
  expect(
    why.history.map((h: { verdict: string; reason_code: string | null }) => [h.verdict, h.reason_code]),
  ).toContainEqual(["moved", "moved"]);
});

it("with people: stay, those on the way finish the version they follow, and new people follow the next", async () => {
  const tenant = await t.tenant();
  const { id, steps, connectionId } = await startedCampaign(t, tenant, TWO.slice(0, 1));
  await settlePlans(t, tenant);
  const edited = await tenant.api("PUT", `/campaigns/${id}/steps`, {
    steps: [{ ...steps[0], subject: "New {{firstName}}" }],
    people: "stay",
  });
  expect(edited.body.version).toBe(2);
  const { contactIds } = await giveList(t, tenant, TWO.slice(1));
  expect((await tenant.api("POST", `/campaigns/${id}/leads`, { contact_ids: contactIds })).body.added).toBe(1);
  await settlePlans(t, tenant);
  expect((await messagesOf(t, id)).map((m) => [m.to_address, m.subject])).toEqual([
    ["ada@acme.test", "Hello Ada"],
    ["bob@acme.test", "New Bob"],
  ]);
  expect(await sendAll(tenant, connectionId)).toBe(2);
  await settlePlans(t, tenant);
  await letWaitsPass(id);
  await wakePlanner(t, tenant);
  expect((await enrollmentsOf(t, id)).map((e) => [e.email, e.status, e.kind])).toEqual([
    ["ada@acme.test", "sending", "email"],
    ["bob@acme.test", "finished", "email"],
  ]);
  expect((await messagesOf(t, id)).filter((m) => m.status === "queued").map((m) => m.subject)).toEqual([
    "Re: Hello Ada",
  ]);
});

it("a step removed while paused moves everybody's place with it, and a new wait counts from the last message", async () => {
  const tenant = await t.tenant();
  const { id, steps, connectionId } = await startedCampaign(t, tenant, TWO.slice(0, 1), {
    steps: [
      { subject: "A", body: "a" },
      { subject: "B", body: "b" },
      { kind: "wait", hours: 48 },
      { subject: "C", body: "c" },
    ],
  });
  for (let i = 0; i < 2; i++) {
    await wakePlanner(t, tenant);
    expect(await sendAll(tenant, connectionId)).toBe(1);
  }
  await settlePlans(t, tenant);
  await tenant.api("POST", `/campaigns/${id}/pause`);
  const edited = await tenant.api("PUT", `/campaigns/${id}/steps`, {
    steps: [steps[1], { ...steps[2], hours: 10 }, steps[3]],
  });
  expect(edited.status).toBe(200);
  await settlePlans(t, tenant);
  await tenant.api("POST", `/campaigns/${id}/resume`);
  await wakePlanner(t, tenant);
  const [ada] = await enrollmentsOf(t, id);
  expect(ada).toMatchObject({ status: "waiting", kind: "wait", step_id: steps[2]!.id });
  const [row] = await t.sql`
    select extract(epoch from ${ada!.next_at}::timestamptz - max(m.sent_at))::float8 / 3600 as hours from public.messages m where m.campaign_id = ${id}`;
  expect(row!.hours).toBeCloseTo(10, 3);
  await letWaitsPass(id);
  await wakePlanner(t, tenant);
  expect((await messagesOf(t, id)).filter((m) => m.status === "queued").map((m) => m.subject)).toEqual(["C"]);
});

it("a step removed under the people who wait at it lets them go on at what comes next", async () => {
  const tenant = await t.tenant();
  const { id, steps, connectionId } = await startedCampaign(t, tenant, TWO.slice(0, 1));
  await settlePlans(t, tenant);
  expect(await sendAll(tenant, connectionId)).toBe(1);
  await settlePlans(t, tenant);
  expect((await tenant.api("PUT", `/campaigns/${id}/steps`, { steps: [steps[0], steps[2]] })).status).toBe(200);
  await settlePlans(t, tenant);
  await wakePlanner(t, tenant);
  expect((await messagesOf(t, id)).map((m) => [m.nth, m.status])).toEqual([
    [1, "sent"],
    [2, "queued"],
  ]);
});

it("a step that a person had and that lies ahead again does not happen twice, and they take the way they took", async () => {
  const tenant = await t.tenant();
  const { id, steps, connectionId } = await startedCampaign(t, tenant, TWO.slice(0, 1), {
    steps: [
      {
        kind: "condition",
        rules: [{ if: "has_address", channel: "email" }],
        branches: { yes: [{ subject: "Yes", body: "b" }], no: [{ subject: "No", body: "b" }] },
      },
      { kind: "wait", days: 1 },
      { subject: "Last", body: "b" },
    ],
  });
  await settlePlans(t, tenant);
  expect(await sendAll(tenant, connectionId)).toBe(1);
  await settlePlans(t, tenant);
  // The condition and its e-mails are put behind the wait at which Ada stands.
  const [condition, wait, last] = steps;
  expect((await tenant.api("PUT", `/campaigns/${id}/steps`, { steps: [wait, condition, last] })).status).toBe(200);
  await settlePlans(t, tenant);
  await letWaitsPass(id);
  await wakePlanner(t, tenant);
  expect((await messagesOf(t, id)).map((m) => [m.subject, m.status]).sort()).toEqual([
    ["Last", "queued"],
    ["Yes", "sent"],
  ]);
  const [run] =
    await t.sql`select count(*)::int as n from public.step_runs r join public.enrollments e on e.id = r.enrollment_id where e.campaign_id = ${id} and r.step_id = ${condition!.id}`;
  expect(run!.n).toBe(1);
});

it("a deleted contact's queued message never leaves", async () => {
  const tenant = await t.tenant();
  const { id, connectionId, contactIds } = await startedCampaign(t, tenant, TWO.slice(0, 1));
  await settlePlans(t, tenant);
  expect((await tenant.api("DELETE", `/contacts/${contactIds[0]}`)).status).toBe(204);
  expect(await sendAll(tenant, connectionId)).toBe(0);
  await tenant.run((ctx) => ctx.db`select private.apply_guards()`);
  expect((await messagesOf(t, id)).map((m) => [m.status, m.error_code])).toEqual([["cancelled", "contact_removed"]]);
});

it("a custom field removed after saving blocks instead of leaving a gap", async () => {
  const tenant = await t.tenant();
  await t.sql`insert into public.custom_fields (tenant_id, key, label, type) values (${tenant.id}, 'plan', 'Plan', 'text')`;
  const { id } = await startedCampaign(t, tenant, TWO.slice(0, 1), {
    steps: [WAIT_AN_HOUR, { subject: "s", body: "Your {{custom.plan|free}} plan" }],
  });
  await settlePlans(t, tenant);
  await t.sql`delete from public.custom_fields where tenant_id = ${tenant.id}`;
  await letWaitsPass(id);
  await wakePlanner(t, tenant);
  expect((await enrollmentsOf(t, id))[0]).toMatchObject({
    status: "blocked",
    reason: "template_fault",
    reason_detail: expect.stringContaining("{{custom.plan}}"),
  });
});

it("a step that fails blocks those who stand at it, with the reason, and nobody else, at the same kind of step or another", async () => {
  const tenant = await t.tenant();
  const asks = [
    WAIT_AN_HOUR,
    {
      kind: "condition",
      rules: [{ if: "has_address", channel: "email" }],
      branches: { yes: [{ kind: "email", subject: "Hello", body: "b" }], no: [] },
    },
  ];
  const broken = await startedCampaign(t, tenant, TWO, { steps: asks });
  const alike = await startedCampaign(t, tenant, [{ email: "bo@acme.test" }], { steps: asks });
  const other = await startedCampaign(t, tenant, [{ email: "cy@acme.test" }], {
    steps: [WAIT_AN_HOUR, { kind: "email", subject: "Hello", body: "b" }],
  });
  await settlePlans(t, tenant);
  // As a fault in the step's code would: it asks for rules, and there are none.
  await t.sql`
    update public.sequence_nodes n set config = '{}' from public.campaigns k
    where k.id = ${broken.id} and n.version_id = k.version_id and n.kind = 'condition'`;
  for (const { id } of [broken, alike, other]) await letWaitsPass(id);
  await wakePlanner(t, tenant);
  expect((await enrollmentsOf(t, broken.id)).map((e) => [e.status, e.kind, e.reason])).toEqual([
    ["blocked", "condition", "step_fault"],
    ["blocked", "condition", "step_fault"],
  ]);
  for (const [campaign, address] of [
    [alike, "bo@acme.test"],
    [other, "cy@acme.test"],
  ] as const)
    expect((await messagesOf(t, campaign.id)).map((m) => [m.to_address, m.status])).toEqual([[address, "queued"]]);
  expect(await t.sql`select 1 from kernel.dead_letters where tenant_id = ${tenant.id}`).toEqual([]);
});
