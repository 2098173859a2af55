import { describe, expect, test } from "vitest";
import { enrollmentsOf, messagesOf, sendAll, settlePlans, startedCampaign } from "../../tests/support/campaigns.ts";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { until } from "../../tests/support/until.ts";

/** Messages that wait for a person's yes: what holds them, who decides, and that none leaves before. */

const t = testKernel();

const email = (n: number) => `p${n}-${crypto.randomUUID().slice(0, 8)}@example.com`;
const people = (n: number) => Array.from({ length: n }, (_, i) => ({ email: email(i), first_name: `Pat${i}` }));

const claimed = (tenant: TestTenant, connectionId: string) =>
  tenant.run(
    async (ctx) =>
      (await ctx.db<{ id: string }[]>`select id from private.claim_messages(500, 60, ${connectionId})`).length,
  );
const waiting = async (tenant: TestTenant, query = "") =>
  (await tenant.api("GET", `/approvals${query}`)).body.data as { id: string; rule: string; [key: string]: any }[];

/** A running campaign of so many people whose first messages are planned. */
async function planned(
  {
    settings = {},
    team = {},
    count = 1,
    steps,
  }: { settings?: object; team?: object; count?: number; steps?: unknown[] } = {},
  tenant?: TestTenant,
) {
  tenant ??= await t.tenant();
  if (Object.keys(team).length > 0) expect((await tenant.api("PATCH", "/tenant", { settings: team })).status).toBe(200);
  const campaign = await startedCampaign(t, tenant, people(count), { settings, ...(steps ? { steps } : {}) });
  await settlePlans(t, tenant);
  return { tenant, campaign };
}

/** The schedule wakes every team; other suites' workers may take the message. */
async function settleDue(tenant: TestTenant): Promise<void> {
  await t.sql`select private.wake_approvals()`;
  await until(
    async () => {
      await t.drain("approvals_due");
      const [row] = await t.sql<{ n: number }[]>`
        select count(*)::int as n from pgmq.q_approvals_due q where q.message ->> 'tenant_id' = ${tenant.id}`;
      return row!.n === 0;
    },
    { what: "what is due to be settled" },
  );
}

describe("a message that waits", () => {
  test("never leaves before somebody approved it, and then once", async () => {
    const { tenant, campaign } = await planned({ settings: { approval: "every" } });
    expect(await claimed(tenant, campaign.connectionId)).toBe(0);
    const [message] = await messagesOf(t, campaign.id);
    expect(message).toMatchObject({ status: "held", error_code: "approval_pending", due_at: null });
    // Also where somebody puts it back on the queue without a yes.
    await t.sql`update public.messages set status = 'queued', due_at = kernel.now() where id = ${message!.id}`;
    expect(await claimed(tenant, campaign.connectionId)).toBe(0);

    const [request] = await waiting(tenant);
    expect(request).toMatchObject({
      rule: "every",
      rules: ["every"],
      state: "pending",
      message: { id: message!.id, to_address: message!.to_address },
      campaign: { id: campaign.id, name: "Spring" },
      step: { kind: "email", position: 1 },
    });
    expect((await tenant.api("GET", `/campaigns/${campaign.id}`)).body.approvals).toMatchObject({ waiting: 1 });
    const yes = await tenant.api("POST", `/approvals/${request!.id}/approve`);
    expect(yes.body).toMatchObject({ state: "approved", decided_by: tenant.owner.email });
    expect((await tenant.api("GET", `/campaigns/${campaign.id}`)).body.approvals).toEqual({ waiting: 0, since: null });
    expect(await sendAll(tenant, campaign.connectionId)).toBe(1);
    expect(await claimed(tenant, campaign.connectionId)).toBe(0);
    const summary = (await tenant.api("GET", "/approvals/summary")).body;
    expect(summary).toMatchObject({ waiting: 0, since: null, decided: 1 });
    expect(summary.median_decision_seconds).toBeGreaterThan(0);
    expect(summary.median_sending_seconds).not.toBeNull();
  });

  test("that is rejected never leaves, and the person goes on to the next step", async () => {
    const { tenant, campaign } = await planned({ settings: { approval: "every" } });
    const [request] = await waiting(tenant);
    const without = await tenant.api("POST", `/approvals/${request!.id}/reject`, {});
    expect([without.status, without.body.errors[0].pointer]).toEqual([422, "/reason"]);
    const no = await tenant.api("POST", `/approvals/${request!.id}/reject`, { reason: "Wrong person" });
    expect(no.body).toMatchObject({ state: "rejected", reason: "Wrong person" });
    await settlePlans(t, tenant);
    expect((await messagesOf(t, campaign.id))[0]).toMatchObject({
      status: "cancelled",
      error_code: "approval_rejected",
    });
    expect(await claimed(tenant, campaign.connectionId)).toBe(0);
    expect((await enrollmentsOf(t, campaign.id))[0]).toMatchObject({ status: "waiting", kind: "wait" });
  });

  test("is withdrawn where its sequence ends before anybody decided", async () => {
    const { tenant, campaign } = await planned({ settings: { approval: "every" } });
    const [request] = await waiting(tenant);
    const [lead] = await enrollmentsOf(t, campaign.id);
    expect((await tenant.api("POST", `/campaigns/${campaign.id}/stop`)).status).toBe(200);
    await settlePlans(t, tenant);
    // Told or not yet told: nothing is left to decide.
    const late = await tenant.api("POST", `/approvals/${request!.id}/approve`);
    expect([200, 409]).toContain(late.status);
    expect((await tenant.api("GET", `/approvals/${request!.id}`)).body).toMatchObject({ state: "withdrawn" });
    expect(await claimed(tenant, campaign.connectionId)).toBe(0);
    expect(lead).toBeDefined();
  });

  test("is decided by an approver, and by no viewer", async () => {
    const { tenant } = await planned({ settings: { approval: "every" }, count: 2 });
    const [one, two] = await waiting(tenant);
    const viewer = await tenant.member("viewer");
    expect((await viewer.api("GET", "/approvals")).body.data).toHaveLength(2);
    expect((await viewer.api("POST", `/approvals/${one!.id}/approve`)).status).toBe(403);
    const approver = await tenant.member("approver");
    expect((await approver.api("POST", `/approvals/${one!.id}/approve`)).body.state).toBe("approved");
    expect((await approver.api("POST", `/approvals/${two!.id}/reject`, { reason: "No" })).body.state).toBe("rejected");
  });
});

test("of two approvers who decide at once one wins, and the other is told who was faster", async () => {
  const { tenant, campaign } = await planned({ settings: { approval: "every" }, count: 8 });
  const [ada, bob] = [await tenant.member("approver"), await tenant.member("approver")];
  for (const { id } of await waiting(tenant)) {
    const answers = await Promise.all([
      ada.api("POST", `/approvals/${id}/approve`),
      bob.api("POST", `/approvals/${id}/reject`, { reason: "No" }),
    ]);
    expect(answers.map((a) => a.status).sort()).toEqual([200, 409]);
    const winner = answers[0]!.status === 200 ? ada.email : bob.email;
    expect(answers.find((a) => a.status === 409)!.body.detail).toContain(`${winner} was faster`);
    const state = answers[0]!.status === 200 ? "approved" : "rejected";
    const [message] = await t.sql<{ approval: string; state: string }[]>`
      select m.approval, a.state from public.approvals a join public.messages m on m.id = a.message_id where a.id = ${id}`;
    expect(message).toEqual({ approval: state, state });
  }
  const approved = (await messagesOf(t, campaign.id)).filter((m) => m.status === "queued").length;
  expect(await claimed(tenant, campaign.connectionId)).toBe(approved);
});

describe("editing", () => {
  test("writes the message anew: tracked links, the footer and its headers stay right, and the diff is kept", async () => {
    const { tenant, campaign } = await planned({ settings: { approval: "every" } });
    const [request] = await waiting(tenant);
    const before = (await messagesOf(t, campaign.id))[0]!;
    const read = (await tenant.api("GET", `/approvals/${request!.id}`)).body;
    expect(read.template).toEqual({
      subject: "Hello {{firstName|there}}",
      body: "Dear {{firstName|friend}}, see https://us.test/a",
    });
    const approver = await tenant.member("approver");
    const template = {
      subject: "For {{firstName}}",
      body: "See [this](https://us.test/new) & <b>that</b>, or https://us.test/b.",
    };
    const edited = await approver.api("POST", `/approvals/${request!.id}/edit`, { template });
    expect(edited.body).toMatchObject({
      state: "pending",
      is_edited: true,
      template,
      original: { subject: "Hello Pat0" },
      edited: { subject: "For Pat0", by: approver.email },
    });
    const after = (await messagesOf(t, campaign.id))[0]!;
    expect(after).toMatchObject({ status: "held", subject: "For Pat0", rfc_message_id: before.rfc_message_id });
    expect(after.headers["List-Unsubscribe"]).toBe(before.headers["List-Unsubscribe"]);
    expect(after.html).toMatch(/links\/c\/1"/);
    expect(after.html).toMatch(/links\/c\/2"/);
    expect(after.html).toMatch(/links\/u\/0"[^>]*>unsubscribe here/);
    expect(after.html).toMatch(/links\/o\/0"/);
    expect(after.html).not.toContain('href="https://us.test/');
    expect(after.html).not.toContain("<b>");
    expect(after.body_text).toContain("unsubscribe here");
    const links = await t.sql<
      { url: string }[]
    >`select url from public.tracked_links where message_id = ${after.id} order by number`;
    expect(links.map((l) => l.url)).toEqual(["https://us.test/new", "https://us.test/b"]);
    await approver.api("POST", `/approvals/${request!.id}/approve`);
    expect(await sendAll(tenant, campaign.connectionId)).toBe(1);
    // What left is not changed any more.
    expect((await approver.api("POST", `/approvals/${request!.id}/edit`, { template })).status).toBe(409);
  });

  test("names the field that is wrong and changes nothing", async () => {
    const { tenant, campaign } = await planned({ settings: { approval: "every" } });
    const [request] = await waiting(tenant);
    const before = await messagesOf(t, campaign.id);
    const put = (template: object) => tenant.api("POST", `/approvals/${request!.id}/edit`, { template });
    expect((await put({ subject: "x", body: "" })).body.errors[0].pointer).toBe("/template/body");
    expect((await put({ subject: "", body: "x" })).body.errors[0].pointer).toBe("/template/subject");
    expect((await put({ subject: "x", body: "{{lastName}}" })).body.errors[0]).toEqual({
      pointer: "/template",
      detail: "Missing: lastName",
    });
    expect((await put({ subject: "x", body: "{{nonsense}}" })).status).toBe(422);
    expect(await messagesOf(t, campaign.id)).toEqual(before);
  });
});

describe("delayed messages", () => {
  const later = (tenant: TestTenant) =>
    t.sql`update public.approvals set auto_at = kernel.now() - interval '1 second' where tenant_id = ${tenant.id} and auto_at is not null`;

  test("leave by themselves when their time is over, and not before", async () => {
    const { tenant, campaign } = await planned({ settings: { approval: "delayed", approval_minutes: 30 } });
    const [request] = await waiting(tenant);
    const minutes = (Date.parse(request!.auto_at) - Date.parse(request!.requested_at)) / 60_000;
    expect([request!.rule, minutes]).toEqual(["delayed", 30]);
    await settleDue(tenant);
    expect(await claimed(tenant, campaign.connectionId)).toBe(0);
    await later(tenant);
    await settleDue(tenant);
    expect((await tenant.api("GET", `/approvals/${request!.id}`)).body).toMatchObject({
      state: "approved",
      decided_by: "",
      reason: "delay_over",
    });
    expect(await claimed(tenant, campaign.connectionId)).toBe(1);
    const late = await tenant.api("POST", `/approvals/${request!.id}/undo`);
    expect([late.status, late.body.detail]).toEqual([409, expect.stringContaining("its delay was over")]);
  });

  test("that somebody stopped wait for a decision", async () => {
    const { tenant, campaign } = await planned({ settings: { approval: "delayed" } });
    const [request] = await waiting(tenant);
    expect((await tenant.api("POST", `/approvals/${request!.id}/undo`)).body).toMatchObject({
      state: "pending",
      auto_at: null,
    });
    await later(tenant);
    await settleDue(tenant);
    expect(await claimed(tenant, campaign.connectionId)).toBe(0);
    expect((await tenant.api("POST", `/approvals/${request!.id}/undo`)).status).toBe(409);
    await tenant.api("POST", `/approvals/${request!.id}/approve`);
    expect(await claimed(tenant, campaign.connectionId)).toBe(1);
  });
});

test("a delayed message that was edited waits for a decision, and expires as the others do", async () => {
  const { tenant } = await planned({ settings: { approval: "delayed" }, team: { approval_expiry_hours: 5 } });
  const [request] = await waiting(tenant);
  expect(request!.expires_at).toBeNull();
  const edited = await tenant.api("POST", `/approvals/${request!.id}/edit`, {
    template: { subject: "Other", body: "Words" },
  });
  expect(edited.body).toMatchObject({ state: "pending", auto_at: null });
  expect(Date.parse(edited.body.expires_at) - Date.now()).toBeGreaterThan(4 * 3_600_000);
});

describe("requests that nobody decides", () => {
  const expire = (tenant: TestTenant) =>
    t.sql`update public.approvals set expires_at = kernel.now() - interval '1 second' where tenant_id = ${tenant.id} and expires_at is not null`;

  test("are rejected for that reason, and the person goes on", async () => {
    const { tenant, campaign } = await planned({
      settings: { approval: "every" },
      team: { approval_expiry_hours: 48 },
    });
    const [request] = await waiting(tenant);
    expect((Date.parse(request!.expires_at) - Date.parse(request!.requested_at)) / 3_600_000).toBe(48);
    await settleDue(tenant);
    expect(await waiting(tenant)).toHaveLength(1);
    await expire(tenant);
    await settleDue(tenant);
    await settlePlans(t, tenant);
    expect((await waiting(tenant, "?state=expired")).map((r) => r.reason)).toEqual(["expired"]);
    expect((await messagesOf(t, campaign.id))[0]).toMatchObject({
      status: "cancelled",
      error_code: "approval_expired",
    });
    expect((await enrollmentsOf(t, campaign.id))[0]).toMatchObject({ status: "waiting", kind: "wait" });
    expect((await tenant.api("POST", `/approvals/${request!.id}/approve`)).status).toBe(409);
  });

  test("go on waiting where the admins are to be told, by an alert", async () => {
    const { tenant, campaign } = await planned({
      settings: { approval: "every" },
      team: { approval_expiry_hours: 1, approval_on_expiry: "escalate" },
    });
    await expire(tenant);
    await settleDue(tenant);
    const [request] = await waiting(tenant);
    expect(request!.escalated_at).not.toBeNull();
    expect(await claimed(tenant, campaign.connectionId)).toBe(0);
    await t.sql`select private.evaluate_alerts()`;
    const alerts = async () =>
      (await tenant.api("GET", "/alerts?status=open")).body.data as { kind: string; href: string }[];
    expect(await alerts()).toMatchObject([{ kind: "approvals_overdue", href: "/approvals" }]);
    // Decided, it is no alert's subject any more.
    expect((await tenant.api("POST", `/approvals/${request!.id}/approve`)).body.state).toBe("approved");
    const [found] =
      await t.sql`select from private.team_findings() f where f.tenant_id = ${tenant.id} and f.kind = 'approvals_overdue'`;
    expect(found).toBeUndefined();
  });
});

test("many are decided at once: named ones, or all like one", async () => {
  const { tenant, campaign } = await planned({ settings: { approval: "every" }, count: 6 });
  const all = await waiting(tenant);
  expect((await tenant.api("GET", `/approvals/${all[0]!.id}`)).body.similar).toBe(5);
  const bulk = (body: object) => tenant.api("POST", "/approvals/bulk", body);
  expect((await bulk({ verdict: "approve" })).status).toBe(422);
  expect((await bulk({ verdict: "reject", ids: [all[0]!.id] })).body.errors[0].pointer).toBe("/reason");
  expect((await bulk({ verdict: "reject", reason: "No", ids: [all[0]!.id, crypto.randomUUID()] })).body).toEqual({
    decided: 1,
    withdrawn: 0,
    left: 0,
  });
  expect((await bulk({ verdict: "approve", similar_to: all[1]!.id })).body).toEqual({
    decided: 5,
    withdrawn: 0,
    left: 0,
  });
  expect(await claimed(tenant, campaign.connectionId)).toBe(5);
  expect(await waiting(tenant)).toEqual([]);
  expect(await waiting(tenant, "?state=approved&limit=2")).toHaveLength(2);
});
