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

it("resume needs a sender that can send, and changes nothing without one", async () => {
  const tenant = await t.tenant();
  const { id, connectionId } = await startedCampaign(t, tenant, TWO);
  await tenant.api("POST", `/campaigns/${id}/pause`);
  await t.sql`update public.connections set status = 'issue' where id = ${connectionId}`;
  const refused = await tenant.api("POST", `/campaigns/${id}/resume`);
  expect([refused.status, refused.body.errors?.[0].pointer]).toEqual([422, "/connection"]);
  expect((await tenant.api("GET", `/campaigns/${id}`)).body.status).toBe("paused");
});

it("a campaign is not over while an audience is being taken in, and is when nobody waits", async () => {
  const tenant = await t.tenant();
  const { id, connectionId } = await startedCampaign(t, tenant, TWO, { steps: [{ subject: "s", body: "b" }] });
  await settlePlans(t, tenant);
  expect(await sendAll(tenant, connectionId)).toBe(2);
  await t.sql`update public.campaigns set enrolling = 1 where id = ${id}`;
  await t.sql`select private.finish_campaigns()`;
  expect((await tenant.api("GET", `/campaigns/${id}`)).body).toMatchObject({ status: "running", enrolling: true });
  await t.sql`update public.campaigns set enrolling = 0 where id = ${id}`;
  await t.sql`select private.finish_campaigns()`;
  expect((await tenant.api("GET", `/campaigns/${id}`)).body.status).toBe("done");
  const { contactIds } = await giveList(t, tenant, [{ email: "late@acme.test" }]);
  expect((await tenant.api("POST", `/campaigns/${id}/leads`, { contact_ids: contactIds })).status).toBe(409);
});

it("people added at the moment a campaign ends are in a running campaign, or are refused", async () => {
  const tenant = await t.tenant();
  const { id, connectionId } = await startedCampaign(t, tenant, TWO, { steps: [{ subject: "s", body: "b" }] });
  await settlePlans(t, tenant);
  await sendAll(tenant, connectionId);
  const { contactIds } = await giveList(t, tenant, [{ email: "late@acme.test" }]);
  const [added] = await Promise.all([
    tenant.api("POST", `/campaigns/${id}/leads`, { contact_ids: contactIds }),
    t.sql`select private.finish_campaigns()`,
    t.sql`select private.finish_campaigns()`,
  ]);
  const { status } = (await tenant.api("GET", `/campaigns/${id}`)).body;
  expect([
    [200, "running"],
    [409, "done"],
  ]).toContainEqual([added.status, status]);
});

it("only campaigns that run and are in their window wake the planner", async () => {
  const tenant = await t.tenant();
  const { id } = await startedCampaign(t, tenant, TWO, { steps: [{ subject: "s", body: "b", wait_hours: 1 }] });
  await settlePlans(t, tenant);
  await tenant.api("POST", `/campaigns/${id}/pause`);
  await t.sql`update public.enrollments set next_at = kernel.now() where campaign_id = ${id}`;
  // In one transaction, so that no other suite's schedule or worker sees it.
  const wakes = (status: string, times: number) =>
    t.sql.begin(async (tx) => {
      await tx`update public.campaigns set status = ${status} where id = ${id}`;
      for (let i = 0; i < times; i++) await tx`select private.wake_planning()`;
      const [row] = await tx<{ n: number }[]>`
        select count(*)::int as n from pgmq.q_campaigns_plan q where q.message ->> 'tenant_id' = ${tenant.id}`;
      await tx`update public.campaigns set status = 'paused' where id = ${id}`;
      return row!.n;
    });
  expect(await wakes("paused", 1)).toBe(0);
  // A tenant that is awake is not woken again.
  expect(await wakes("running", 3)).toBe(1);
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

it("fields and steps are saved in one act: all or nothing, once per key, and steps sent along untouched are no change", async () => {
  const { tenant, id, campaign } = await draft();
  const [first, second] = campaign.steps;
  const url = `/campaigns/${id}`;

  const bad = await tenant.api("PATCH", url, {
    name: "Renamed",
    steps: [{ ...first, subject: "Hi {{nosuch}}" }, second],
  });
  expect(bad.status).toBe(422);
  expect(bad.body.errors[0].pointer).toBe("/steps/0/subject");
  expect((await tenant.api("GET", url)).body.name).toBe("Spring");

  const key = { "idempotency-key": crypto.randomUUID() };
  const body = { name: "Summer", steps: [first, second, { wait_hours: 1 / 3, body: "Once more" }] };
  const saved = await tenant.api("PATCH", url, body, key);
  expect(saved.status).toBe(200);
  const again = await tenant.api("PATCH", url, body, key);
  expect(again.headers.get("idempotency-replayed")).toBe("true");
  expect(again.body).toEqual(saved.body);
  expect(saved.body).toMatchObject({
    name: "Summer",
    steps: [{ id: first.id }, { id: second.id }, { body: "Once more" }],
  });

  expect((await tenant.api("POST", `${url}/start`)).status).toBe(200);
  const steps = saved.body.steps.map((s: { wait_hours: number }, i: number) => ({
    ...s,
    ...(i === 2 ? { wait_hours: 1 / 3 } : {}),
  }));
  const renamed = await tenant.api("PATCH", url, { name: "Autumn", steps });
  expect(renamed.status, JSON.stringify(renamed.body)).toBe(200);
  expect(renamed.body.name).toBe("Autumn");
  steps[0].body = "Other words";
  expect((await tenant.api("PATCH", url, { steps })).status).toBe(409);
});
