import { expect, it } from "vitest";
import {
  giveList,
  giveSender,
  messagesOf,
  sendAll,
  settlePlans,
  startedCampaign,
  TWO_STEPS,
} from "../../../tests/support/campaigns.ts";
import { testKernel } from "../../../tests/support/kernel.ts";

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
    sender_id: senderId,
    list_id: listId,
    steps: TWO_STEPS,
    ...input,
  });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  return { tenant, senderId, connectionId, listId, contactIds, id: made.body.id as string, campaign: made.body };
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
  await t.sql`insert into public.suppressions (tenant_id, address, reason) values (${tenant.id}, 'd@c.test', 'unsubscribe')`;
  await t.sql`update public.contacts set custom = '{"plan": "pro"}' where id = ${contactIds[0]!}`;
  const made = await tenant.api("POST", "/campaigns", {
    name: "C",
    sender_id: senderId,
    list_id: listId,
    steps: [{ subject: "{{firstName}}", body: "{{custom.plan}} {{companyName|your firm}} {{senderName}} {{email}}" }],
    settings: { time_zone: "Europe/Berlin", window: { days: [5, 1, 1], start: "09:00", end: "17:00" } },
  });
  const { body } = await tenant.api("GET", `/campaigns/${made.body.id}/check`);
  expect(body.audience).toEqual({
    count: 4,
    suppressed: 1,
    without_email: 1,
    missing_variables: [
      { variable: "firstName", count: 1 },
      { variable: "custom.plan", count: 1 },
    ],
  });
  expect(body.ok).toBe(true);
  expect(body.checks.find((c: { id: string }) => c.id === "window").detail).toContain("2 days a week");
  expect(body.checks.find((c: { id: string }) => c.id === "pace").detail).toContain("Up to 2 messages");
});

it("a segment is an audience too", async () => {
  const { tenant, senderId } = await draft();
  const [segment] = await t.sql<{ id: string }[]>`insert into public.segments (tenant_id, name, filter)
    values (${tenant.id}, 'Adas', ${t.sql.json({ all: [{ field: "first_name", op: "eq", value: "ada" }] })}) returning id`;
  const made = await tenant.api("POST", "/campaigns", {
    name: "S",
    sender_id: senderId,
    segment_id: segment!.id,
    steps: TWO_STEPS,
  });
  expect(made.body.audience).toMatchObject({ segment_id: segment!.id, name: "Adas" });
  expect((await tenant.api("POST", `/campaigns/${made.body.id}/start`)).status).toBe(200);
  await settlePlans(t, tenant);
  expect((await messagesOf(t, made.body.id)).map((m) => m.to_email)).toEqual(["ada@acme.test"]);
});

it("leads are added, listed page by page, and stopped one by one", async () => {
  const tenant = await t.tenant();
  const { id, contactIds } = await startedCampaign(t, tenant, TWO);
  await settlePlans(t, tenant);
  const { listId, contactIds: more } = await giveList(t, tenant, [{ email: "cy@acme.test" }, { email: null }]);
  const added = await tenant.api("POST", `/campaigns/${id}/leads`, {
    contact_ids: [more[0], contactIds[0], crypto.randomUUID()],
  });
  expect(added.body).toEqual({ added: 1, already_in: 1, suppressed: 0, without_email: 0, unknown: 1, more: false });
  expect((await tenant.api("POST", `/campaigns/${id}/leads`, { list_id: listId })).body).toMatchObject({
    added: 0,
    already_in: 1,
    without_email: 1,
  });
  expect(
    (
      await tenant.api("POST", `/campaigns/${id}/leads`, {
        filter: { field: "email", op: "eq", value: "cy@acme.test" },
      })
    ).body,
  ).toMatchObject({ already_in: 1 });
  expect((await tenant.api("POST", `/campaigns/${id}/leads`, {})).status).toBe(422);
  await settlePlans(t, tenant);
  const seen: string[] = [];
  for (let cursor: string | null = ""; cursor !== null;) {
    const page: { data: { contact: { email: string } }[]; next_cursor: string | null } = (
      await tenant.api("GET", `/campaigns/${id}/leads?limit=2&cursor=${cursor}`)
    ).body;
    seen.push(...page.data.map((l) => l.contact.email));
    cursor = page.next_cursor;
  }
  expect(seen.sort()).toEqual(["ada@acme.test", "bob@acme.test", "cy@acme.test"]);
  const [lead] = (await tenant.api("GET", `/campaigns/${id}/leads?search=ADA`)).body.data;
  const stopped = await tenant.api("POST", `/campaigns/${id}/leads/${lead.id}/stop`);
  expect(stopped.body).toMatchObject({ status: "stopped", reason: "Stopped by a person." });
  expect((await tenant.api("POST", `/campaigns/${id}/leads/${lead.id}/stop`)).status).toBe(409);
  expect((await messagesOf(t, id)).find((m) => m.to_email === "ada@acme.test")!.status).toBe("cancelled");
  expect((await tenant.api("GET", `/campaigns/${id}/leads?status=sending`)).body.data).toHaveLength(2);
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
  expect(body.per_step.map((s: { position: number; sent: number }) => [s.position, s.sent])).toEqual([
    [1, 2],
    [2, 0],
  ]);
  expect(body.series).toHaveLength(24);
  expect(body.series.reduce((n: number, s: { sent: number }) => n + s.sent, 0)).toBe(2);
  const days = (await tenant.api("GET", `/campaigns/${id}/stats?range=14d`)).body.series;
  expect(days).toHaveLength(14);
  expect(days.reduce((n: number, s: { sent: number }) => n + s.sent, 0)).toBe(2);
  const lead = (await tenant.api("GET", `/campaigns/${id}/leads?search=ada`)).body.data[0];
  expect(lead.last_event.kind).toMatch(/delivered|clicked/);
  // What a removed step sent stays sent, behind the steps there are.
  await t.sql`delete from public.campaign_steps where tenant_id = ${tenant.id} and campaign_id = ${id} and position = 1`;
  const without = (await tenant.api("GET", `/campaigns/${id}/stats`)).body;
  expect(without.sent).toBe(2);
  expect(without.per_step).toMatchObject([
    { position: 2, sent: 0 },
    { step_id: body.per_step[0].step_id, position: 3, subject: "(removed)", sent: 2, delivered: 1 },
  ]);
});

it("the preview shows what one person would get, with its gaps", async () => {
  const { tenant, id, contactIds } = await draft({
    steps: [
      { subject: "Hi {{firstName}}", body: "About {{companyName}}" },
      { subject: "", body: "Again" },
    ],
  });
  const { body } = await tenant.api("POST", `/campaigns/${id}/preview`, { contact_id: contactIds[1] });
  expect(body).toMatchObject({
    contact: { email: "bob@acme.test" },
    steps: [
      { subject: "Hi Bob", html: "<p>About {{companyName}}</p>", missing: ["companyName"] },
      { subject: "Re: Hi Bob" },
    ],
  });
  expect((await tenant.api("POST", `/campaigns/${id}/preview`, {})).body.contact).not.toBeNull();
});
