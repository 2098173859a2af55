import { expect, it } from "vitest";
import {
  enrollmentsOf,
  giveList,
  giveSender,
  messagesOf,
  sendAll,
  settlePlans,
  startedCampaign,
  TWO_STEPS,
} from "../../tests/support/campaigns.ts";
import { testKernel } from "../../tests/support/kernel.ts";

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

it("a draft is created with its steps, read, listed, changed, cloned and deleted", async () => {
  const { tenant, id, campaign, listId } = await draft();
  expect(campaign).toMatchObject({
    status: "draft",
    audience: { list_id: listId },
    settings: { time_zone: "UTC", window: null, track_opens: true },
    steps: [
      { position: 1, wait_hours: 0 },
      { position: 2, wait_hours: 72 },
    ],
  });
  expect((await tenant.api("GET", "/campaigns?limit=1")).body).toMatchObject({ data: [{ id }], has_more: false });
  const changed = await tenant.api("PATCH", `/campaigns/${id}`, { name: "Summer", settings: { track_opens: false } });
  expect(changed.body).toMatchObject({ name: "Summer", settings: { track_opens: false, track_clicks: true } });
  const put = await tenant.api("PUT", `/campaigns/${id}`, {
    name: "Autumn",
    sender_id: campaign.sender.id,
    list_id: listId,
  });
  expect(put.body).toMatchObject({ name: "Autumn", settings: { track_opens: true }, steps: campaign.steps });
  const copy = await tenant.api("POST", `/campaigns/${id}/clone`);
  expect(copy.status).toBe(201);
  expect(copy.body).toMatchObject({
    name: "Autumn (copy)",
    status: "draft",
    steps: [{ subject: TWO_STEPS[0]!.subject }, { body: TWO_STEPS[1]!.body }],
  });
  expect((await tenant.api("DELETE", `/campaigns/${id}`)).status).toBe(204);
  expect((await tenant.api("GET", `/campaigns/${id}`)).status).toBe(404);
});

it("422 names the field and the fix", async () => {
  const { tenant, id, campaign } = await draft();
  const errors = async (body: unknown) => {
    const answer = await tenant.api("PATCH", `/campaigns/${id}`, body);
    expect(answer.status).toBe(422);
    return answer.body.errors as { pointer: string; detail: string }[];
  };
  const [step] = campaign.steps;
  expect((await errors({ steps: [{ ...step, body: "Hi {{fristName}}" }] }))[0]).toMatchObject({
    pointer: "/steps/0/body",
    detail: expect.stringContaining("{{firstName}}"),
  });
  expect((await errors({ steps: [{ body: "x" }] }))[0]).toMatchObject({ pointer: "/steps/0/subject" });
  expect((await errors({ steps: [step, step] }))[0]).toMatchObject({ pointer: "/steps/1/id" });
  expect((await errors({ steps: [{ ...step, id: crypto.randomUUID() }] }))[0]).toMatchObject({
    pointer: "/steps/0/id",
  });
  for (const time_zone of ["Mars/Olympus", "+02:00", ""])
    expect((await errors({ settings: { time_zone } }))[0]).toMatchObject({ pointer: "/settings/time_zone" });
  expect((await errors({ settings: { window: { days: [8], start: "09:00", end: "17:00" } } }))[0]!.pointer).toBe(
    "/settings/window/days/0",
  );
  expect((await errors({ settings: { window: { days: [1], start: "17:00", end: "09:00" } } }))[0]!.pointer).toBe(
    "/settings/window/end",
  );
  expect((await errors({ sender_id: crypto.randomUUID() }))[0]!.pointer).toBe("/sender_id");
  expect((await errors({ list_id: crypto.randomUUID() }))[0]!.pointer).toBe("/list_id");
});

it("a subject cannot carry a header", async () => {
  const { tenant, id, campaign } = await draft();
  const answer = await tenant.api("PUT", `/campaigns/${id}/steps`, {
    steps: [{ ...campaign.steps[0], subject: "Hi\r\nBcc: all@evil.test" }],
  });
  expect(answer.body.steps[0].subject).toBe("Hi Bcc: all@evil.test");
});

it("steps that swap places keep their ids", async () => {
  const { tenant, id, campaign } = await draft({
    steps: [
      { subject: "A", body: "a" },
      { subject: "B", body: "b" },
    ],
  });
  const [a, b] = campaign.steps;
  const answer = await tenant.api("PUT", `/campaigns/${id}/steps`, { steps: [b, a] });
  expect(answer.status).toBe(200);
  expect(answer.body.steps.map((s: { id: string; subject: string }) => [s.id, s.subject])).toEqual([
    [b.id, "B"],
    [a.id, "A"],
  ]);
});

it("two starts at once: one wins, one conflicts, nobody is in twice", async () => {
  const { tenant, id, connectionId } = await draft();
  const answers = await Promise.all([1, 2, 3].map(() => tenant.api("POST", `/campaigns/${id}/start`)));
  expect(answers.map((a) => a.status).sort()).toEqual([200, 409, 409]);
  const [row] = await t.sql`select status, connection_id, enrolling from public.campaigns where id = ${id}`;
  expect(row).toMatchObject({ status: "running", connection_id: connectionId });
  await settlePlans(t, tenant);
  expect(await messagesOf(t, id)).toHaveLength(2);
});

it("a start that a check stands against changes nothing and says what to do", async () => {
  const { tenant, id, connectionId } = await draft();
  await t.sql`update public.connections set status = 'paused' where id = ${connectionId}`;
  const answer = await tenant.api("POST", `/campaigns/${id}/start`);
  expect(answer.status).toBe(422);
  expect(answer.body.errors).toEqual([{ pointer: "/connection", detail: expect.stringContaining("is paused") }]);
  expect((await tenant.api("GET", `/campaigns/${id}`)).body).toMatchObject({ status: "draft", started_at: null });
  const bare = await tenant.api("POST", "/campaigns", { name: "Bare" });
  const refused = await tenant.api("POST", `/campaigns/${bare.body.id}/start`);
  expect(refused.body.errors.map((e: { pointer: string }) => e.pointer).sort()).toEqual([
    "/audience",
    "/sender",
    "/steps",
  ]);
});

it("409 with the reason for what a state does not allow", async () => {
  const tenant = await t.tenant();
  const { id, steps } = await startedCampaign(t, tenant, TWO);
  const expect409 = async (method: string, path: string, body?: unknown) => {
    const answer = await tenant.api(method, `/campaigns/${id}${path}`, body);
    expect([path, answer.status]).toEqual([path, 409]);
    expect(answer.body.detail).toMatch(/running|fixed/);
  };
  await expect409("PUT", "/steps", { steps });
  await expect409("PATCH", "", { settings: { track_opens: false } });
  await expect409("PATCH", "", { list_id: null });
  await expect409("DELETE", "");
  await expect409("POST", "/resume");
  await expect409("POST", "/archive");
  expect((await tenant.api("PATCH", `/campaigns/${id}`, { name: "Renamed" })).body.name).toBe("Renamed");
});

it("pause holds queued messages, resume lets them go, stop takes them back", async () => {
  const tenant = await t.tenant();
  const { id, connectionId } = await startedCampaign(t, tenant, TWO);
  await settlePlans(t, tenant);
  await tenant.api("POST", `/campaigns/${id}/pause`);
  expect(await sendAll(tenant, connectionId)).toBe(0);
  await tenant.api("POST", `/campaigns/${id}/resume`);
  const [ada] = await messagesOf(t, id);
  await t.sql`update public.messages set due_at = kernel.now() + interval '1 hour' where campaign_id = ${id} and id <> ${ada!.id}`;
  expect(await sendAll(tenant, connectionId)).toBe(1);
  const stopped = await tenant.api("POST", `/campaigns/${id}/stop`);
  expect(stopped.body).toMatchObject({ status: "stopped", counts: { pending: 0, sent: 1 } });
  expect((await messagesOf(t, id)).map((m) => [m.to_email, m.status])).toEqual([
    ["ada@acme.test", "sent"],
    ["bob@acme.test", "cancelled"],
  ]);
  expect((await enrollmentsOf(t, id)).map((e) => e.status)).toEqual(["stopped", "stopped"]);
  expect((await tenant.api("POST", `/campaigns/${id}/archive`)).body.status).toBe("archived");
  expect((await tenant.api("DELETE", `/campaigns/${id}`)).status).toBe(204);
});

it("a stop that races the planner leaves nothing that could be sent", async () => {
  const tenant = await t.tenant();
  const people = Array.from({ length: 300 }, (_, i) => ({ email: `p${i}@race.test` }));
  const { id, connectionId } = await startedCampaign(t, tenant, people);
  const [stopped] = await Promise.all([tenant.api("POST", `/campaigns/${id}/stop`), settlePlans(t, tenant)]);
  expect(stopped.status).toBe(200);
  await settlePlans(t, tenant);
  expect(await sendAll(tenant, connectionId)).toBe(0);
  expect((await messagesOf(t, id)).filter((m) => m.status !== "cancelled")).toEqual([]);
  expect((await enrollmentsOf(t, id)).filter((e) => e.status !== "stopped")).toEqual([]);
});

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
  expect((await tenant.api("GET", `/campaigns/${id}/stats?range=14d`)).body.series).toHaveLength(14);
  const lead = (await tenant.api("GET", `/campaigns/${id}/leads?search=ada`)).body.data[0];
  expect(lead.last_event.kind).toMatch(/delivered|clicked/);
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

it("403 for a viewer who writes or launches; another team sees nothing", async () => {
  const { tenant, id } = await draft();
  const viewer = await tenant.member("viewer");
  expect((await viewer.api("GET", `/campaigns/${id}`)).status).toBe(200);
  expect((await viewer.api("POST", `/campaigns/${id}/start`)).status).toBe(403);
  expect((await viewer.api("PATCH", `/campaigns/${id}`, { name: "x" })).status).toBe(403);
  const other = await t.tenant();
  for (const path of ["", "/check", "/leads", "/stats"])
    expect((await other.api("GET", `/campaigns/${id}${path}`)).status).toBe(404);
  for (const act of ["start", "clone", "stop"])
    expect((await other.api("POST", `/campaigns/${id}/${act}`)).status).toBe(404);
});
