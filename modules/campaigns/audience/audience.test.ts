import { expect, it } from "vitest";
import {
  enrollmentsOf,
  giveList,
  giveSender,
  messagesOf,
  sendAll,
  settlePlans,
  startedCampaign,
  TWO_EMAILS,
} from "../../../tests/support/campaigns.ts";
import { type TestTenant, testKernel } from "../../../tests/support/kernel.ts";
import { uuid7 } from "../../kernel/database/ids.ts";
import { enrollBatch } from "./audience.ts";

const t = testKernel();
const TWO = [
  { email: "ada@acme.test", first_name: "Ada" },
  { email: "bob@acme.test", first_name: "Bob" },
];

async function draft(input: Record<string, unknown> = {}) {
  const tenant = await t.tenant();
  const { senderId, connectionId } = await giveSender(t, tenant);
  const { listId, contactIds } = await giveList(t, tenant, TWO);
  const made = await tenant.api("POST", "/campaigns", {
    name: "Spring",
    sender_ids: [senderId],
    list_id: listId,
    steps: TWO_EMAILS,
    ...input,
  });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  return { tenant, senderId, connectionId, listId, contactIds, id: made.body.id as string, campaign: made.body };
}

/** A sender of text messages that may send. */
async function smsSender(tenant: TestTenant): Promise<string> {
  const [connectionId, senderId] = [uuid7(), uuid7()];
  await t.sql`
    insert into public.connections (tenant_id, id, provider, category, name, status, credentials)
    values (${tenant.id}, ${connectionId}, 'twilio', 'sms', ${`Text ${connectionId}`}, 'active', 'v1.unused')`;
  await t.sql`
    insert into public.senders (tenant_id, id, channel, connection_id, address) values (${tenant.id}, ${senderId}, 'sms', ${connectionId}, '+4915735980000')`;
  return senderId;
}

/** People with a number each, in the order of their names. */
async function withPhones(tenant: TestTenant, names: string[]) {
  const { listId, contactIds } = await giveList(
    t,
    tenant,
    names.map((first_name) => ({ email: `${first_name}@phone.test`, first_name })),
  );
  await t.sql`
    update public.contacts c set phone = '+491573599' || lpad(x.n::text, 4, '0')
    from unnest(${contactIds}::uuid[]) with ordinality x (id, n) where c.id = x.id`;
  return { listId, contactIds, numberOf: (i: number) => `+491573599${String(i + 1).padStart(4, "0")}` };
}

it("the check counts the audience: suppressed, without address, missing values", async () => {
  const { tenant, senderId } = await draft();
  await t.sql`insert into public.custom_fields (tenant_id, key, label, type) values (${tenant.id}, 'plan', 'Plan', 'text')`;
  const { listId, contactIds } = await giveList(t, tenant, [
    { email: "a@c.test", first_name: "A" },
    { email: "b@c.test" },
    { email: null, first_name: "C" },
    { email: "d@c.test", first_name: "D" },
  ]);
  await t.sql`insert into public.suppressions (tenant_id, channel, address, reason) values (${tenant.id}, 'email', 'd@c.test', 'unsubscribe')`;
  await t.sql`update public.contacts set custom = '{"plan": "pro"}' where id = ${contactIds[0]!}`;
  const made = await tenant.api("POST", "/campaigns", {
    name: "C",
    sender_ids: [senderId],
    list_id: listId,
    steps: [{ subject: "{{firstName}}", body: "{{custom.plan}} {{companyName|your firm}} {{senderName}} {{email}}" }],
    settings: { time_zone: "Europe/Berlin", window: { days: [5, 1, 1], start: "09:00", end: "17:00" } },
  });
  const { body } = await tenant.api("GET", `/campaigns/${made.body.id}/check`);
  expect(body.audience).toEqual({
    count: 4,
    left_out: { suppressed: 1, no_address: 1 },
    unreached: [],
    missing_variables: [
      { variable: "firstName", count: 1 },
      { variable: "custom.plan", count: 1 },
    ],
  });
  expect(body.ok).toBe(true);
  expect(body.checks.find((c: { id: string }) => c.id === "window").detail).toContain("2 days a week");
  expect(body.checks.find((c: { id: string }) => c.id === "pace").detail).toContain("up to 2 messages");
});

it("the check warns where a step may be somebody's first e-mail and has no subject, and knows the kinds that are switched off", async () => {
  const { tenant, id } = await draft({
    steps: [
      {
        kind: "condition",
        rules: [{ if: "has_address", channel: "sms" }],
        branches: { yes: [{ subject: "s", body: "b" }], no: [{ kind: "task", title: "Call" }] },
      },
      { subject: "", body: "b" },
    ],
  });
  const checks = (await tenant.api("GET", `/campaigns/${id}/check`)).body.checks;
  expect(checks.filter((c: { id: string }) => c.id === "subject_empty")).toEqual([
    { id: "subject_empty", level: "warning", detail: expect.stringMatching(/^Step 4: .*needs a subject/) },
  ]);
  await t.sql`
    update public.sequence_nodes n set kind = 'fax' from public.sequence_versions v
    where v.campaign_id = ${id} and n.version_id = v.id and n.kind = 'task'`;
  const after = (await tenant.api("GET", `/campaigns/${id}/check`)).body;
  expect(after.checks).toContainEqual(
    expect.objectContaining({ id: "step_kind", level: "error", detail: expect.stringContaining("fax") }),
  );
  expect(after.ok).toBe(false);
});

it("a segment is an audience too", async () => {
  const { tenant, senderId } = await draft();
  const [segment] = await t.sql<{ id: string }[]>`insert into public.segments (tenant_id, name, filter)
    values (${tenant.id}, 'Adas', ${t.sql.json({ all: [{ field: "first_name", op: "eq", value: "ada" }] })}) returning id`;
  const made = await tenant.api("POST", "/campaigns", {
    name: "S",
    sender_ids: [senderId],
    segment_id: segment!.id,
    steps: TWO_EMAILS,
  });
  expect(made.body.audience).toMatchObject({ segment_id: segment!.id, name: "Adas" });
  expect((await tenant.api("POST", `/campaigns/${made.body.id}/start`)).status).toBe(200);
  await settlePlans(t, tenant);
  expect((await messagesOf(t, made.body.id)).map((m) => m.to_address)).toEqual(["ada@acme.test"]);
});

it("leads are added, listed page by page, and stopped one by one", async () => {
  const tenant = await t.tenant();
  const { id, contactIds } = await startedCampaign(t, tenant, TWO);
  await settlePlans(t, tenant);
  const { listId, contactIds: more } = await giveList(t, tenant, [{ email: "cy@acme.test" }, { email: null }]);
  const added = await tenant.api("POST", `/campaigns/${id}/leads`, {
    contact_ids: [more[0], contactIds[0], crypto.randomUUID()],
  });
  expect(added.body).toEqual({ added: 1, already_in: 1, left_out: {}, unknown: 1, more: false });
  expect((await tenant.api("POST", `/campaigns/${id}/leads`, { list_id: listId })).body).toMatchObject({
    added: 0,
    already_in: 1,
    left_out: { no_address: 1 },
  });
  const filter = { field: "email", op: "eq", value: "cy@acme.test" };
  expect((await tenant.api("POST", `/campaigns/${id}/leads`, { filter })).body).toMatchObject({ already_in: 1 });
  expect((await tenant.api("POST", `/campaigns/${id}/leads`, {})).status).toBe(422);
  await settlePlans(t, tenant);
  const seen: (string | null)[] = [];
  for (let cursor: string | null = ""; cursor !== null;) {
    const page: { data: { contact: { email: string | null } }[]; next_cursor: string | null } = (
      await tenant.api("GET", `/campaigns/${id}/leads?limit=2&cursor=${cursor}`)
    ).body;
    seen.push(...page.data.map((l) => l.contact.email));
    cursor = page.next_cursor;
  }
  expect(seen.sort()).toEqual(["ada@acme.test", "bob@acme.test", "cy@acme.test", null]);
  expect((await tenant.api("GET", `/campaigns/${id}/leads?status=left_out`)).body.data).toMatchObject([
    {
      contact: { email: null },
      reason_code: "no_address",
      reason: "The contact has no address for this channel.",
      waits_for: null,
    },
  ]);
  const [lead] = (await tenant.api("GET", `/campaigns/${id}/leads?search=ADA`)).body.data;
  const stopped = await tenant.api("POST", `/campaigns/${id}/leads/${lead.id}/stop`);
  expect(stopped.body).toMatchObject({ status: "stopped", reason: "A member stopped the enrollment." });
  expect((await tenant.api("POST", `/campaigns/${id}/leads/${lead.id}/stop`)).status).toBe(409);
  expect((await messagesOf(t, id)).find((m) => m.to_address === "ada@acme.test")!.status).toBe("cancelled");
  expect((await tenant.api("GET", `/campaigns/${id}/leads?status=sending`)).body.data).toHaveLength(2);
  expect((await tenant.api("GET", `/campaigns/${id}`)).body.counts).toMatchObject({
    enrolled: 3,
    left_out: 1,
    pending: 2,
  });
});

it("everybody of an audience has a row, and who is not taken in a reason", async () => {
  const tenant = await t.tenant();
  const { senderId: _, ...first } = await startedCampaign(t, tenant, [{ email: "busy@acme.test" }]);
  await settlePlans(t, tenant);
  const { listId, contactIds } = await giveList(t, tenant, [
    { email: "free@acme.test" },
    { email: null },
    { email: "suppressed@acme.test" },
    { email: "out@acme.test" },
    { email: "dead@acme.test" },
  ]);
  await t.sql`insert into public.list_contacts (tenant_id, list_id, contact_id) values (${tenant.id}, ${listId}, ${first.contactIds[0]!})`;
  await tenant.run(async (ctx) => {
    await ctx.db`select private.suppress('email', array['suppressed@acme.test'], 'manual', 'by hand')`;
    await ctx.db`select private.set_consent('email', array[${contactIds[3]!}]::uuid[], 'withdrawn', 'phone call')`;
  });
  await t.sql`update public.contact_addresses set state = 'invalid' where contact_id = ${contactIds[4]!} and channel = 'email'`;
  const { senderId } = await giveSender(t, tenant);
  const made = await tenant.api("POST", "/campaigns", {
    name: "Second",
    sender_ids: [senderId],
    list_id: listId,
    steps: TWO_EMAILS,
  });
  expect((await tenant.api("GET", `/campaigns/${made.body.id}/check`)).body.audience.left_out).toEqual({
    no_address: 1,
    suppressed: 1,
    opted_out: 1,
    address_invalid: 1,
  });
  expect((await tenant.api("POST", `/campaigns/${made.body.id}/start`)).status).toBe(200);
  await settlePlans(t, tenant);
  expect((await enrollmentsOf(t, made.body.id)).map((e) => [e.email, e.status, e.reason])).toEqual([
    ["busy@acme.test", "left_out", "in_other_campaign"],
    ["dead@acme.test", "left_out", "address_invalid"],
    ["free@acme.test", "sending", null],
    ["out@acme.test", "left_out", "opted_out"],
    ["suppressed@acme.test", "left_out", "suppressed"],
    [null, "left_out", "no_address"],
  ]);
  expect((await messagesOf(t, made.body.id)).map((m) => m.to_address)).toEqual(["free@acme.test"]);
  expect((await tenant.api("GET", `/campaigns/${made.body.id}`)).body.counts).toMatchObject({
    enrolled: 1,
    left_out: 5,
  });
  // Added again, people are looked at anew: who can be reached by now is taken in, the others keep their place and reason.
  await t.sql`delete from public.suppressions where tenant_id = ${tenant.id}`;
  expect((await tenant.api("POST", `/campaigns/${first.id}/stop`)).status).toBe(200);
  await settlePlans(t, tenant);
  expect((await tenant.api("POST", `/campaigns/${made.body.id}/leads`, { list_id: listId })).body).toMatchObject({
    added: 2,
    already_in: 1,
    left_out: { no_address: 1, opted_out: 1, address_invalid: 1 },
  });
  await settlePlans(t, tenant);
  expect((await messagesOf(t, made.body.id)).map((m) => m.to_address)).toEqual([
    "busy@acme.test",
    "free@acme.test",
    "suppressed@acme.test",
  ]);
});

it("on a channel that demands consent only those who gave it are taken in; with a second channel they are reached there", async () => {
  const tenant = await t.tenant();
  const sms = await smsSender(tenant);
  const { senderId } = await giveSender(t, tenant);
  const { listId, contactIds, numberOf } = await withPhones(tenant, ["granted", "nothing", "withdrawn", "barred"]);
  await tenant.run(async (ctx) => {
    await ctx.db`select private.set_consent('sms', array[${contactIds[0]!}, ${contactIds[3]!}]::uuid[], 'granted', 'form')`;
    await ctx.db`select private.opt_out('sms', array[${contactIds[2]!}]::uuid[], array[]::text[], 'unsubscribe', 'STOP')`;
    await ctx.db`select private.suppress('sms', array[${numberOf(3)}], 'complaint', 'carrier')`;
  });
  const made = await tenant.api("POST", "/campaigns", {
    name: "Text",
    sender_ids: [sms],
    list_id: listId,
    steps: [{ kind: "sms", body: "Hello {{firstName}}" }],
  });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  expect((await tenant.api("POST", `/campaigns/${made.body.id}/start`)).status).toBe(200);
  await settlePlans(t, tenant);
  expect((await enrollmentsOf(t, made.body.id)).map((e) => [e.email, e.status, e.reason])).toEqual([
    ["barred@phone.test", "left_out", "suppressed"],
    ["granted@phone.test", "sending", null],
    ["nothing@phone.test", "left_out", "no_consent"],
    ["withdrawn@phone.test", "left_out", "opted_out"],
  ]);
  expect((await messagesOf(t, made.body.id)).map((m) => [m.channel, m.to_address, m.body_text])).toEqual([
    ["sms", numberOf(0), "Hello granted"],
  ]);
  const both = await tenant.api("POST", "/campaigns", {
    name: "Both",
    sender_ids: [sms, senderId],
    list_id: listId,
    steps: [
      { subject: "s", body: "b" },
      { kind: "sms", body: "b" },
    ],
    settings: { exclusive: false },
  });
  const check = (await tenant.api("GET", `/campaigns/${both.body.id}/check`)).body;
  const reasons = check.audience.unreached.map((u: { reason: string }) => u.reason);
  expect(reasons.sort()).toEqual(["no_consent", "opted_out", "suppressed"]);
  expect(check.checks).toContainEqual({
    id: "unreached",
    level: "warning",
    detail: "SMS: 1 contact of 4 will not get its messages: No consent is recorded for this channel.",
    fix: expect.stringContaining("Record their consent"),
  });
  expect((await tenant.api("POST", `/campaigns/${both.body.id}/start`)).status).toBe(200);
  await settlePlans(t, tenant);
  const states = (await enrollmentsOf(t, both.body.id)).map((e) => e.status);
  expect(states).toEqual(["sending", "sending", "sending", "sending"]);
});

it("a campaign that is not exclusive takes people who are active elsewhere, and keeps nobody from others", async () => {
  const tenant = await t.tenant();
  const first = await startedCampaign(t, tenant, TWO, { settings: { exclusive: false } });
  await settlePlans(t, tenant);
  const start = async (settings: object) => {
    const { senderId } = await giveSender(t, tenant);
    const made = await tenant.api("POST", "/campaigns", {
      name: "C",
      sender_ids: [senderId],
      list_id: first.listId,
      steps: TWO_EMAILS,
      settings,
    });
    expect((await tenant.api("POST", `/campaigns/${made.body.id}/start`)).status).toBe(200);
    await settlePlans(t, tenant);
    return (await enrollmentsOf(t, made.body.id)).map((e) => e.reason ?? e.status);
  };
  expect(await start({ exclusive: true })).toEqual(["sending", "sending"]);
  expect(await start({ exclusive: true })).toEqual(["in_other_campaign", "in_other_campaign"]);
  expect(await start({ exclusive: false })).toEqual(["sending", "sending"]);
});

it("two campaigns that take the same people in at the same moment: each person is in one of them, and left out of the other with the reason", async () => {
  const tenant = await t.tenant();
  const { listId } = await giveList(
    t,
    tenant,
    Array.from({ length: 600 }, (_, i) => ({ email: `p${i}@both.test` })),
  );
  const campaigns = await Promise.all(
    [1, 2, 3].map(
      async () =>
        (await tenant.api("POST", "/campaigns", { name: "C", list_id: listId, steps: TWO_EMAILS })).body.id as string,
    ),
  );
  const enroll = (id: string) =>
    tenant.run(async (ctx) => {
      const [row] = await ctx.db<
        { id: string; status: string; version_id: string; settings: { exclusive: boolean } }[]
      >`select id, status, version_id, settings from public.campaigns where id = ${id}`;
      return await enrollBatch(ctx, row!, { list_id: listId }, null);
    });
  const taken = await Promise.all(campaigns.map(enroll));
  expect(taken.reduce((n, b) => n + b.added, 0)).toBe(600);
  expect(taken.reduce((n, b) => n + (b.left_out.in_other_campaign ?? 0), 0)).toBe(1200);
  const rows = await t.sql`
    select count(*) filter (where status = 'waiting')::int as active, count(*) filter (where status = 'left_out' and reason = 'in_other_campaign')::int as out
    from public.enrollments where tenant_id = ${tenant.id} group by contact_id`;
  expect(rows).toHaveLength(600);
  expect(rows.filter((r) => r.active !== 1 || r.out !== 2)).toEqual([]);
});

it("people who were left out of two campaigns and are added to both again at the same moment are active in one of them", async () => {
  const tenant = await t.tenant();
  const first = await startedCampaign(
    t,
    tenant,
    Array.from({ length: 20 }, (_, i) => ({ email: `p${i}@again.test` })),
  );
  await settlePlans(t, tenant);
  const add = (id: string) => tenant.api("POST", `/campaigns/${id}/leads`, { contact_ids: first.contactIds });
  const others = await Promise.all(
    [1, 2].map(
      async () => (await tenant.api("POST", "/campaigns", { name: "C", steps: TWO_EMAILS })).body.id as string,
    ),
  );
  for (const id of others) expect((await add(id)).body.left_out).toEqual({ in_other_campaign: 20 });
  expect((await tenant.api("POST", `/campaigns/${first.id}/stop`)).status).toBe(200);
  await settlePlans(t, tenant);
  const answers = await Promise.all(others.map(add));
  // Whoever comes second either sees the first, or is told to try again.
  for (const answer of answers) expect([200, 409]).toContain(answer.status);
  expect(answers.some((a) => a.status === 200 && a.body.added === 20)).toBe(true);
  const rows = await t.sql`
    select count(*) filter (where status = 'waiting')::int as active from public.enrollments where tenant_id = ${tenant.id} group by contact_id`;
  expect(rows.map((r) => r.active)).toEqual(Array.from({ length: 20 }, () => 1));
  const again = await Promise.all(others.map(add));
  expect(again.map((a) => [a.status, a.body.added])).toEqual([
    [200, 0],
    [200, 0],
  ]);
});

it("with restart, people whose sequence is over begin again, and get every step again", async () => {
  const tenant = await t.tenant();
  const { id, connectionId, contactIds } = await startedCampaign(t, tenant, TWO, {
    steps: [
      { subject: "s", body: "b" },
      { kind: "wait", days: 1 },
    ],
  });
  await settlePlans(t, tenant);
  expect(await sendAll(tenant, connectionId)).toBe(2);
  await settlePlans(t, tenant);
  const add = async (restart: boolean) =>
    (await tenant.api("POST", `/campaigns/${id}/leads`, { contact_ids: contactIds, restart })).body;
  const [ada] = (await tenant.api("GET", `/campaigns/${id}/leads?search=ada`)).body.data;
  await tenant.api("POST", `/campaigns/${id}/leads/${ada.id}/stop`);
  expect(await add(false)).toMatchObject({ added: 0, already_in: 2 });
  // Bob is on his way still: nothing begins again for him.
  expect(await add(true)).toMatchObject({ added: 1, already_in: 1 });
  await settlePlans(t, tenant);
  expect((await messagesOf(t, id)).map((m) => `${m.to_address} ${m.status}`).sort()).toEqual([
    "ada@acme.test queued",
    "ada@acme.test sent",
    "bob@acme.test sent",
  ]);
});

it("statistics add up, in total, per step and over time", async () => {
  const tenant = await t.tenant();
  const { id, connectionId } = await startedCampaign(t, tenant, TWO);
  await settlePlans(t, tenant);
  await sendAll(tenant, connectionId);
  const [ada] = await messagesOf(t, id);
  await tenant.run(
    (ctx) =>
      ctx.db`select private.apply_events(${connectionId}, ${ctx.db.json([
        { kind: "delivered", event_key: `d:${ada!.id}`, message_id: ada!.id, at: new Date().toISOString() },
        { kind: "clicked", event_key: `c:${ada!.id}`, message_id: ada!.id, at: new Date().toISOString() },
      ])})`,
  );
  const { body, status } = await tenant.api("GET", `/campaigns/${id}/stats`);
  expect(status, JSON.stringify(body)).toBe(200);
  expect(body).toMatchObject({
    audience: 2,
    enrolled: 2,
    pending: 2,
    sent: 2,
    delivered: 1,
    opened: 1,
    clicked: 1,
    replied: 0,
    bounced: 0,
    resolution: "hour",
  });
  expect(
    body.per_step.map((s: { position: number; kind: string; sent: number }) => [s.position, s.kind, s.sent]),
  ).toEqual([
    [1, "email", 2],
    [2, "wait", 0],
    [3, "email", 0],
  ]);
  expect(body.series).toHaveLength(24);
  expect(body.series.reduce((n: number, s: { sent: number }) => n + s.sent, 0)).toBe(2);
  const days = (await tenant.api("GET", `/campaigns/${id}/stats?range=14d`)).body.series;
  expect(days).toHaveLength(14);
  expect(days.reduce((n: number, s: { sent: number }) => n + s.sent, 0)).toBe(2);
  const lead = (await tenant.api("GET", `/campaigns/${id}/leads?search=ada`)).body.data[0];
  expect(lead.last_event.kind).toMatch(/delivered|clicked/);
});

it("a step that was removed keeps its statistics", async () => {
  const tenant = await t.tenant();
  const { id, connectionId, steps } = await startedCampaign(t, tenant, TWO);
  await settlePlans(t, tenant);
  await sendAll(tenant, connectionId);
  await settlePlans(t, tenant);
  expect(
    (await tenant.api("PUT", `/campaigns/${id}/steps`, { steps: [{ subject: "New", body: "b" }, steps[1]] })).status,
  ).toBe(200);
  await settlePlans(t, tenant);
  const { per_step } = (await tenant.api("GET", `/campaigns/${id}/stats`)).body;
  expect(per_step.map((s: { label: string; sent: number }) => [s.label, s.sent])).toEqual([
    ["New", 0],
    ["wait", 0],
    ["(removed)", 2],
  ]);
});

it("the preview shows what one person would get, with its gaps", async () => {
  const { tenant, id, contactIds } = await draft({
    steps: [
      { subject: "Hi {{firstName}}", body: "About {{companyName}}" },
      {
        kind: "condition",
        rules: [{ if: "opened" }],
        branches: { yes: [{ kind: "sms", body: "Text {{firstName}}" }] },
      },
      { subject: "", body: "Again" },
    ],
  });
  const { body } = await tenant.api("POST", `/campaigns/${id}/preview`, { contact_id: contactIds[1] });
  expect(body).toMatchObject({
    contact: { email: "bob@acme.test" },
    steps: [
      {
        kind: "email",
        channel: "email",
        subject: "Hi Bob",
        html: "<p>About {{companyName}}</p>",
        missing: ["companyName"],
      },
      { kind: "sms", channel: "sms", html: null, text: "Text Bob", missing: [] },
      { subject: "Re: Hi Bob" },
    ],
  });
  expect((await tenant.api("POST", `/campaigns/${id}/preview`, {})).body.contact).not.toBeNull();
});
