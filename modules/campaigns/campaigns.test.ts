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
} from "../../tests/support/campaigns.ts";
import { testKernel } from "../../tests/support/kernel.ts";

const t = testKernel();
const TWO = [
  { email: "ada@acme.test", first_name: "Ada" },
  { email: "bob@acme.test", first_name: "Bob" },
];
const ONE_EMAIL = [{ subject: "s", body: "b" }];
const AFTER_AN_HOUR = [{ kind: "wait", hours: 1 }, ...ONE_EMAIL];

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

it("a draft is created with its steps, read, listed, changed, cloned and deleted", async () => {
  const { tenant, id, campaign, listId, senderId } = await draft();
  expect(campaign).toMatchObject({
    status: "draft",
    version: 1,
    audience: { list_id: listId },
    senders: [{ id: senderId, channel: "email", address: "sam@us.test" }],
    settings: { time_zone: "UTC", window: null, track_opens: true, exclusive: true },
    steps: [
      { kind: "email", position: 1 },
      { kind: "wait", position: 2, days: 3 },
      { kind: "email", position: 3, subject: "" },
    ],
  });
  expect((await tenant.api("GET", "/campaigns?limit=1")).body).toMatchObject({ data: [{ id }], has_more: false });
  const changed = await tenant.api("PATCH", `/campaigns/${id}`, { name: "Summer", settings: { track_opens: false } });
  expect(changed.body).toMatchObject({ name: "Summer", settings: { track_opens: false, track_clicks: true } });
  const back = await tenant.api("PATCH", `/campaigns/${id}`, { settings: { track_opens: null } });
  expect(back.body.settings).toMatchObject({ track_opens: true, track_clicks: true });
  const refused = await tenant.api("PATCH", `/campaigns/${id}`, {
    settings: { track_opens: "yes", track_thoughts: true },
  });
  expect([refused.status, refused.body.errors.map((e: { pointer: string }) => e.pointer).sort()]).toEqual([
    422,
    ["/settings/track_opens", "/settings/track_thoughts"],
  ]);
  const put = await tenant.api("PUT", `/campaigns/${id}`, { name: "Autumn", sender_ids: [senderId], list_id: listId });
  expect(put.body).toMatchObject({ name: "Autumn", settings: { track_opens: true }, steps: campaign.steps });
  const copy = await tenant.api("POST", `/campaigns/${id}/clone`);
  expect(copy.status).toBe(201);
  expect(copy.body).toMatchObject({
    name: "Autumn (copy)",
    status: "draft",
    senders: [{ id: senderId }],
    steps: [{ subject: TWO_EMAILS[0]!.subject }, { days: 3 }, { body: TWO_EMAILS[2]!.body }],
  });
  const ids = (c: { steps: { id: string }[] }) => c.steps.map((s) => s.id);
  expect(ids(copy.body).filter((s) => ids(campaign).includes(s))).toEqual([]);
  expect((await tenant.api("DELETE", `/campaigns/${id}`)).status).toBe(204);
  expect((await tenant.api("GET", `/campaigns/${id}`)).status).toBe(404);
});

it("a clone copies branches with what stands in them", async () => {
  const steps = [
    ONE_EMAIL[0],
    {
      kind: "condition",
      rules: [{ if: "opened" }],
      branches: {
        yes: [
          { kind: "task", title: "Call" },
          { kind: "end", goal: "Called" },
        ],
        no: [{ kind: "wait", days: 2 }],
      },
    },
    { subject: "", body: "Again" },
  ];
  const { tenant, id } = await draft({ steps });
  const copy = await tenant.api("POST", `/campaigns/${id}/clone`);
  expect(copy.body.steps).toMatchObject([
    { kind: "email" },
    {
      kind: "condition",
      branches: {
        yes: [
          { kind: "task", title: "Call" },
          { kind: "end", goal: "Called" },
        ],
        no: [{ kind: "wait", days: 2 }],
      },
    },
    { kind: "email", body: "Again" },
  ]);
  const [row] = await t.sql`
    select (select count(*)::int from public.sequence_edges x join public.sequence_versions v on v.id = x.version_id where v.campaign_id = ${id}) as before,
      (select count(*)::int from public.sequence_edges x join public.sequence_versions v on v.id = x.version_id where v.campaign_id = ${copy.body.id}) as after`;
  expect(row!.after).toBe(row!.before);
  expect(row!.after).toBeGreaterThan(3);
});

it("422 names the field and the fix", async () => {
  const { tenant, id, campaign } = await draft();
  const errors = async (body: unknown) => {
    const answer = await tenant.api("PATCH", `/campaigns/${id}`, body);
    expect(answer.status, JSON.stringify(body)).toBe(422);
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
  const branching = {
    kind: "condition",
    rules: [{ if: "opened" }],
    branches: { yes: [{ ...step, id: crypto.randomUUID() }] },
  };
  expect((await errors({ steps: [step, branching] }))[0]).toMatchObject({ pointer: "/steps/1/branches/yes/0/id" });
  // Short names: Postgres knows no AET, has no summer time in CET, and takes IST for Israel's.
  for (const time_zone of ["Mars/Olympus", "+02:00", "", "AET", "CET", "IST"])
    expect((await errors({ settings: { time_zone } }))[0]).toMatchObject({ pointer: "/settings/time_zone" });
  expect((await errors({ settings: { window: { days: [8], start: "09:00", end: "17:00" } } }))[0]!.pointer).toBe(
    "/settings/window/days/0",
  );
  expect((await errors({ settings: { window: { days: [1], start: "17:00", end: "09:00" } } }))[0]!.pointer).toBe(
    "/settings/window/end",
  );
  expect((await errors({ settings: { skip_dates: ["2026-02-30"] } }))[0]!.pointer).toBe("/settings/skip_dates/0");
  expect((await errors({ sender_ids: [campaign.senders[0].id, crypto.randomUUID()] }))[0]!.pointer).toBe(
    "/sender_ids/1",
  );
  expect((await errors({ list_id: crypto.randomUUID() }))[0]!.pointer).toBe("/list_id");
  expect((await errors({ segment_id: crypto.randomUUID(), list_id: null }))[0]!.pointer).toBe("/segment_id");
  // Nothing of a refused change stays.
  expect((await tenant.api("GET", `/campaigns/${id}`)).body).toMatchObject({
    steps: campaign.steps,
    senders: campaign.senders,
    version: 1,
  });
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

it("a draft's steps are replaced; a change of a running campaign's makes the next version; the same steps change nothing", async () => {
  const { tenant, id, campaign } = await draft();
  const versions = async () =>
    (
      await t.sql<
        { number: number }[]
      >`select number from public.sequence_versions where campaign_id = ${id} order by number`
    ).map((v) => v.number);
  const put = (steps: unknown) => tenant.api("PUT", `/campaigns/${id}/steps`, { steps });
  expect((await put([{ ...campaign.steps[0], subject: "Other" }])).body.steps).toHaveLength(1);
  // A step that a draft lost is gone: its id is not taken back.
  expect((await put(campaign.steps)).body.errors[0]).toMatchObject({ pointer: "/steps/1/id" });
  const rewritten = (await put([{ ...campaign.steps[0] }, { kind: "wait", days: 1 }])).body;
  expect(await versions()).toEqual([1]);
  expect((await tenant.api("POST", `/campaigns/${id}/start`)).status).toBe(200);
  expect((await put(rewritten.steps)).body.version).toBe(1);
  const next = (await put([...rewritten.steps, { subject: "", body: "Again" }])).body;
  expect(next).toMatchObject({
    version: 2,
    steps: [{ id: rewritten.steps[0].id }, { id: rewritten.steps[1].id }, { body: "Again" }],
  });
  expect(await versions()).toEqual([1, 2]);
  expect((await put([])).body.errors[0]).toMatchObject({ pointer: "/steps" });
});

it("two starts at once: one wins, one conflicts, nobody is in twice", async () => {
  const { tenant, id, connectionId } = await draft();
  const answers = await Promise.all([1, 2, 3].map(() => tenant.api("POST", `/campaigns/${id}/start`)));
  expect(answers.map((a) => a.status).sort()).toEqual([200, 409, 409]);
  const [row] = await t.sql`
    select k.status, cs.connection_id, k.enrolling from public.campaigns k join public.campaign_senders cs on cs.campaign_id = k.id where k.id = ${id}`;
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
  const refusals = async (input: object) => {
    const made = await tenant.api("POST", "/campaigns", { name: "Bare", ...input });
    const refused = await tenant.api("POST", `/campaigns/${made.body.id}/start`);
    expect(refused.status).toBe(422);
    return refused.body.errors.map((e: { pointer: string }) => e.pointer).sort();
  };
  expect(await refusals({})).toEqual(["/audience", "/steps"]);
  expect(await refusals({ steps: ONE_EMAIL })).toEqual(["/audience", "/sender"]);
  expect(await refusals({ steps: [{ kind: "wait", days: 1 }] })).toEqual(["/audience", "/steps"]);
});

it("409 with the reason for what a state does not allow", async () => {
  const tenant = await t.tenant();
  const { id, steps } = await startedCampaign(t, tenant, TWO);
  const expect409 = async (method: string, path: string, body: unknown, why: RegExp) => {
    const answer = await tenant.api(method, `/campaigns/${id}${path}`, body);
    expect([path, body, answer.status]).toEqual([path, body, 409]);
    expect(answer.body.detail).toMatch(why);
  };
  await expect409("PATCH", "", { list_id: null }, /fixed/);
  await expect409("PATCH", "", { sender_ids: [] }, /sam@us\.test/);
  await expect409("DELETE", "", undefined, /running/);
  await expect409("POST", "/resume", undefined, /running/);
  await expect409("POST", "/archive", undefined, /running/);
  expect((await tenant.api("PATCH", `/campaigns/${id}`, { name: "Renamed" })).body.name).toBe("Renamed");
  expect((await tenant.api("POST", `/campaigns/${id}/stop`)).status).toBe(200);
  await expect409("PUT", "/steps", { steps }, /stopped/);
  await expect409("PATCH", "", { settings: { track_opens: false } }, /stopped/);
  await expect409("POST", "/start", undefined, /stopped/);
  await expect409("POST", "/pause", undefined, /stopped/);
  await expect409("POST", "/leads", { contact_ids: [crypto.randomUUID()] }, /stopped/);
  expect((await tenant.api("PATCH", `/campaigns/${id}`, { name: "Again" })).body.name).toBe("Again");
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
  expect(stopped.body).toMatchObject({ status: "stopped", counts: { sent: 1 } });
  await settlePlans(t, tenant);
  expect((await tenant.api("GET", `/campaigns/${id}`)).body).toMatchObject({
    status: "stopped",
    counts: { pending: 0, sent: 1 },
  });
  expect((await messagesOf(t, id)).map((m) => [m.to_address, m.status])).toEqual([
    ["ada@acme.test", "sent"],
    ["bob@acme.test", "cancelled"],
  ]);
  expect((await enrollmentsOf(t, id)).map((e) => [e.status, e.reason])).toEqual([
    ["stopped", "campaign_stopped"],
    ["stopped", "campaign_stopped"],
  ]);
  expect((await tenant.api("POST", `/campaigns/${id}/archive`)).body.status).toBe("archived");
  expect((await tenant.api("DELETE", `/campaigns/${id}`)).status).toBe(204);
});

it("a pause says how many a provider has already, holds the rest where the queue meets them, and a resume puts them back", async () => {
  const tenant = await t.tenant();
  const { id, connectionId } = await startedCampaign(t, tenant, [...TWO, { email: "cy@acme.test" }]);
  await settlePlans(t, tenant);
  // One is at the provider when the campaign is paused.
  const taken = await tenant.run(async (ctx) => [
    ...(await ctx.db<{ id: string }[]>`select id from private.claim_messages(1, 60, ${connectionId})`),
  ]);
  const paused = await tenant.api("POST", `/campaigns/${id}/pause`);
  expect(paused.body).toMatchObject({ in_flight: 1, campaign: { id, status: "paused" } });
  await tenant.run((ctx) => ctx.db`select private.apply_guards()`);
  const held = (await messagesOf(t, id)).filter((m) => m.id !== taken[0]!.id);
  expect(held.map((m) => [m.status, m.error_code, m.due_at])).toEqual([
    ["held", "campaign_paused", null],
    ["held", "campaign_paused", null],
  ]);
  for (const lead of (await tenant.api("GET", `/campaigns/${id}/leads`)).body.data)
    expect(lead).toMatchObject({
      waits_for: "campaign",
      next_at: null,
      reason_code: "campaign_paused",
      reason: "The campaign is paused.",
    });
  // What was at the provider settles as usual.
  await tenant.run(
    (ctx) =>
      ctx.db`select private.settle_messages(${ctx.db.json([{ id: taken[0]!.id, outcome: "sent", provider_message_id: "p" }])})`,
  );
  await settlePlans(t, tenant);
  expect(await sendAll(tenant, connectionId)).toBe(0);
  expect((await tenant.api("POST", `/campaigns/${id}/resume`)).body.status).toBe("running");
  await settlePlans(t, tenant);
  expect((await messagesOf(t, id)).map((m) => m.status).sort()).toEqual(["queued", "queued", "sent"]);
  expect(await sendAll(tenant, connectionId)).toBe(2);
  expect((await messagesOf(t, id)).map((m) => m.status)).toEqual(["sent", "sent", "sent"]);
});

it("a stop ends people in portions behind the answer, and nothing leaves meanwhile", async () => {
  const tenant = await t.tenant();
  const people = Array.from({ length: 1300 }, (_, i) => ({ email: `p${i}@stop.test` }));
  const { id, connectionId } = await startedCampaign(t, tenant, people, { steps: AFTER_AN_HOUR });
  await settlePlans(t, tenant);
  expect((await tenant.api("POST", `/campaigns/${id}/stop`)).body.status).toBe("stopped");
  expect(await sendAll(tenant, connectionId)).toBe(0);
  await settlePlans(t, tenant);
  const rows =
    await t.sql`select status, reason, count(*)::int as n from public.enrollments where campaign_id = ${id} group by 1, 2`;
  expect([...rows]).toEqual([{ status: "stopped", reason: "campaign_stopped", n: 1300 }]);
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
  const { id, connectionId } = await startedCampaign(t, tenant, TWO, { steps: ONE_EMAIL });
  await settlePlans(t, tenant);
  expect(await sendAll(tenant, connectionId)).toBe(2);
  await settlePlans(t, tenant);
  await t.sql`update public.campaigns set enrolling = 1 where id = ${id}`;
  await t.sql`select private.finish_campaigns()`;
  expect((await tenant.api("GET", `/campaigns/${id}`)).body).toMatchObject({ status: "running", enrolling: true });
  await t.sql`update public.campaigns set enrolling = 0 where id = ${id}`;
  await t.sql`select private.finish_campaigns()`;
  expect((await tenant.api("GET", `/campaigns/${id}`)).body.status).toBe("done");
  const { contactIds } = await giveList(t, tenant, [{ email: "late@acme.test" }]);
  expect((await tenant.api("POST", `/campaigns/${id}/leads`, { contact_ids: contactIds })).status).toBe(409);
});

it("a campaign in which somebody has a task to do, or lacks a value, is not over", async () => {
  const tenant = await t.tenant();
  const { id } = await startedCampaign(t, tenant, [TWO[0]!, { email: "nameless@acme.test" }], {
    steps: [
      {
        kind: "condition",
        rules: [{ if: "matches", filter: { field: "first_name", op: "eq", value: "Ada" } }],
        branches: { yes: [{ kind: "task", title: "Call" }, { kind: "end" }] },
      },
      { subject: "Hello {{firstName}}", body: "b" },
    ],
  });
  await settlePlans(t, tenant);
  expect((await enrollmentsOf(t, id)).map((e) => e.status)).toEqual(["task", "blocked"]);
  await t.sql`select private.finish_campaigns()`;
  expect((await tenant.api("GET", `/campaigns/${id}`)).body).toMatchObject({
    status: "running",
    counts: { pending: 2, blocked: 1, tasks: 1 },
  });
});

it("people added at the moment a campaign ends are in a running campaign, or are refused", async () => {
  const tenant = await t.tenant();
  const { id, connectionId } = await startedCampaign(t, tenant, TWO, { steps: ONE_EMAIL });
  await settlePlans(t, tenant);
  await sendAll(tenant, connectionId);
  await settlePlans(t, tenant);
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
  const { id } = await startedCampaign(t, tenant, TWO, { steps: AFTER_AN_HOUR });
  await settlePlans(t, tenant);
  await tenant.api("POST", `/campaigns/${id}/pause`);
  await t.sql`update public.enrollments set next_at = kernel.now() where campaign_id = ${id}`;
  const otherDay = new Date(Date.now() + 3 * 86_400_000).getUTCDay() || 7;
  const closed = { time_zone: "UTC", window: { days: [otherDay], start: "09:00", end: "17:00" } };
  // In one transaction, so that no other suite's schedule or worker sees it.
  const wakes = (status: string, times: number, settings = {}) =>
    t.sql.begin(async (tx) => {
      const [before] = await tx<{ settings: object }[]>`select settings from public.campaigns where id = ${id}`;
      await tx`update public.campaigns set status = ${status}, settings = ${tx.json({ ...before!.settings, ...settings } as never)} where id = ${id}`;
      for (let i = 0; i < times; i++) await tx`select private.wake_planning()`;
      const [row] = await tx<{ n: number }[]>`
        select count(*)::int as n from pgmq.q_campaigns_plan q where q.message ->> 'tenant_id' = ${tenant.id}`;
      await tx`update public.campaigns set status = 'paused', settings = ${tx.json(before!.settings as never)} where id = ${id}`;
      return row!.n;
    });
  expect(await wakes("paused", 1)).toBe(0);
  expect(await wakes("running", 1, closed)).toBe(0);
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
  const [first, ...others] = campaign.steps;
  const url = `/campaigns/${id}`;

  const bad = await tenant.api("PATCH", url, {
    name: "Renamed",
    steps: [{ ...first, subject: "Hi {{nosuch}}" }, ...others],
  });
  expect(bad.status).toBe(422);
  expect(bad.body.errors[0].pointer).toBe("/steps/0/subject");
  expect((await tenant.api("GET", url)).body.name).toBe("Spring");

  const key = { "idempotency-key": crypto.randomUUID() };
  const body = { name: "Summer", steps: [...campaign.steps, { kind: "email", body: "Once more" }] };
  const saved = await tenant.api("PATCH", url, body, key);
  expect(saved.status, JSON.stringify(saved.body)).toBe(200);
  const again = await tenant.api("PATCH", url, body, key);
  expect(again.headers.get("idempotency-replayed")).toBe("true");
  expect(again.body).toEqual(saved.body);
  const ids = campaign.steps.map((s: { id: string }) => ({ id: s.id }));
  expect(saved.body).toMatchObject({ name: "Summer", steps: [...ids, { body: "Once more" }] });

  expect((await tenant.api("POST", `${url}/start`)).status).toBe(200);
  const { steps, version } = saved.body;
  const renamed = await tenant.api("PATCH", url, { name: "Autumn", steps });
  expect(renamed.status, JSON.stringify(renamed.body)).toBe(200);
  expect(renamed.body).toMatchObject({ name: "Autumn", version });
  const rewritten = await tenant.api("PATCH", url, {
    steps: [{ ...steps[0], body: "Other words" }, ...steps.slice(1)],
  });
  expect(rewritten.body).toMatchObject({ name: "Autumn", version: version + 1 });
});
