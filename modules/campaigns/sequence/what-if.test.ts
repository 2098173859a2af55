import { describe, expect, it } from "vitest";
import { enrollmentsOf, settlePlans } from "../../../tests/support/campaigns.ts";
import { testKernel } from "../../../tests/support/kernel.ts";
import { applyGuards, claim, email, hours, hoursUntil, settle, story } from "../../../tests/support/sequences.ts";

/** What happens to people on the way when their sequence is changed, and to people who are added again. docs/concepts/sequences.md tells the same in words. */

const t = testKernel();

describe("a person is added again", () => {
  it("while on the way: they stay where they are, with and without restart", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A"), hours(24), email("B")]);
    await k.go();
    const before = await k.lead();
    for (const restart of [false, true]) {
      const { body } = await tenant.api("POST", `/campaigns/${k.id}/leads`, { contact_ids: k.contactIds, restart });
      expect(body).toMatchObject({ added: 0, already_in: 1 });
    }
    await k.go();
    expect(await k.lead()).toMatchObject({
      id: before.id,
      status: "waiting",
      step_id: before.step_id,
      next_at: before.next_at,
    });
    expect(await k.sent()).toEqual(["A"]);
  });

  it("after they finished: nothing without restart; with it they begin anew and get every step once more", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A"), email("B")]);
    await k.go();
    expect((await k.lead()).status).toBe("finished");
    const again = (restart: boolean) =>
      tenant.api("POST", `/campaigns/${k.id}/leads`, { contact_ids: k.contactIds, restart });
    expect((await again(false)).body).toMatchObject({ added: 0, already_in: 1 });
    await k.go();
    expect(await k.sent()).toEqual(["A", "B"]);
    expect((await again(true)).body).toMatchObject({ added: 1, already_in: 0 });
    await k.go();
    expect(await k.sent()).toEqual(["A", "B", "A", "B"]);
    expect((await k.why()).map((h) => h.reason_code)).toContain("restarted");
  });

  it("after they were stopped: nothing without restart; with it they begin anew, and what the first run left behind moves nobody", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A"), hours(24), email("B")]);
    await k.plan();
    // The first run's message is at the provider while they are stopped and started again.
    const [first] = await claim(tenant, k.connectionId);
    expect((await tenant.api("POST", `/campaigns/${k.id}/leads/${(await k.lead()).id}/stop`)).status).toBe(200);
    expect((await tenant.api("POST", `/campaigns/${k.id}/leads`, { contact_ids: k.contactIds })).body).toMatchObject({
      added: 0,
      already_in: 1,
    });
    expect(
      (await tenant.api("POST", `/campaigns/${k.id}/leads`, { contact_ids: k.contactIds, restart: true })).body,
    ).toMatchObject({ added: 1 });
    await k.plan();
    await settle(tenant, [first!.id], "sent");
    await settlePlans(t, tenant);
    expect(await k.lead()).toMatchObject({ status: "sending", step_id: k.steps[0]!.id, waits_for: "message" });
    await k.go();
    expect(await k.lead()).toMatchObject({ status: "waiting", step_id: k.steps[1]!.id, waits_for: "time" });
    const open =
      await t.sql`select 1 from public.step_runs r join public.enrollments e on e.id = r.enrollment_id where e.campaign_id = ${k.id} and r.state = 'open'`;
    expect(open).toHaveLength(0);
  });

  it("a message of the first run that the provider gives back does not leave in the second", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A"), hours(24), email("B")]);
    await k.plan();
    const [first] = await claim(tenant, k.connectionId);
    await tenant.api("POST", `/campaigns/${k.id}/leads/${(await k.lead()).id}/stop`);
    await tenant.api("POST", `/campaigns/${k.id}/leads`, { contact_ids: k.contactIds, restart: true });
    await k.plan();
    await settle(tenant, [first!.id], "retry");
    const taken = await claim(tenant, k.connectionId);
    expect(taken.map((m) => m.id)).not.toContain(first!.id);
    await settle(
      tenant,
      taken.map((m) => m.id),
      "sent",
    );
    await applyGuards(tenant);
    await settlePlans(t, tenant);
    expect((await k.messages()).map((m) => [m.subject, m.status]).sort()).toEqual([
      ["A", "cancelled"],
      ["A", "sent"],
    ]);
    expect((await k.lead()).status).toBe("waiting");
  });

  it("after they were left out: they are looked at anew, and begin when the reason is gone", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A"), hours(9), email("B")], ["ada@acme.test", "bob@acme.test"]);
    await k.go();
    const made = await tenant.api("POST", "/contacts", { first_name: "Eve" });
    const add = () => tenant.api("POST", `/campaigns/${k.id}/leads`, { contact_ids: [made.body.id] });
    expect((await add()).body).toMatchObject({ added: 0, left_out: { no_address: 1 } });
    expect((await add()).body).toMatchObject({ added: 0, left_out: { no_address: 1 } });
    await tenant.api("PATCH", `/contacts/${made.body.id}`, { email: "eve@acme.test" });
    expect((await add()).body).toMatchObject({ added: 1, left_out: {} });
    await k.go();
    expect(await k.sent("eve@acme.test")).toEqual(["A"]);
  });

  it("while it was a draft: they follow the sequence as it was started, however often it was edited", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A")]);
    const draft = await tenant.api("POST", "/campaigns", {
      name: "Draft",
      sender_ids: [k.senderId],
      steps: [email("Old")],
      settings: { exclusive: false },
    });
    const person = await tenant.api("POST", "/contacts", { email: "zoe@acme.test" });
    await tenant.api("POST", `/campaigns/${draft.body.id}/leads`, { contact_ids: [person.body.id] });
    const [waiting] = (await tenant.api("GET", `/campaigns/${draft.body.id}/leads`)).body.data;
    expect(waiting).toMatchObject({ waits_for: "campaign", reason_code: "campaign_draft" });
    await tenant.api("PUT", `/campaigns/${draft.body.id}/steps`, { steps: [email("New")] });
    expect((await tenant.api("POST", `/campaigns/${draft.body.id}/start`)).status).toBe(200);
    await k.go();
    const sent =
      await t.sql`select subject from public.messages where campaign_id = ${draft.body.id} and status = 'sent'`;
    expect(sent.map((m) => m.subject)).toEqual(["New"]);
  });
});

describe("a step is inserted", () => {
  it("before where people stand: they do not get it; who comes later does", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A"), hours(24), email("B")]);
    await k.go();
    await k.edit([k.steps[0], email("New"), k.steps[1], k.steps[2]]);
    const late = await tenant.api("POST", "/contacts", { email: "late@acme.test" });
    await tenant.api("POST", `/campaigns/${k.id}/leads`, { contact_ids: [late.body.id] });
    await k.pass(25);
    await k.go();
    expect(await k.sent("ada@acme.test")).toEqual(["A", "B"]);
    expect(await k.sent("late@acme.test")).toEqual(["A", "New"]);
  });

  it("in front of the step they stand at: the step they stand at comes first all the same", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A"), hours(24), email("B")]);
    await k.plan();
    // A is planned and not sent: it is written again from the new version, and what was put before it is passed over.
    await k.edit([email("Front"), k.steps[0], k.steps[1], k.steps[2]]);
    await k.go();
    expect(await k.sent()).toEqual(["A"]);
  });

  it("after where they stand: they get it in its turn", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A"), hours(24), email("B")]);
    await k.go();
    await k.edit([k.steps[0], k.steps[1], email("New"), k.steps[2]]);
    await k.pass(25);
    await k.go();
    expect(await k.sent()).toEqual(["A", "New", "B"]);
  });

  it("with `stay` they finish the version they follow, and only new people get it", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A"), hours(24), email("B")]);
    await k.go();
    await k.edit([k.steps[0], k.steps[1], email("New"), k.steps[2]], "stay");
    await k.pass(25);
    await k.go();
    expect(await k.sent()).toEqual(["A", "B"]);
    expect((await k.lead()).status).toBe("finished");
  });
});

describe("a step is moved or deleted under people who wait for it", () => {
  it("moved to the front of what they had: they go on behind it, and get no step twice", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A"), email("B"), hours(24), email("C")]);
    await k.go();
    const [a, b, wait, c] = k.steps;
    // They stand at the wait, which now comes first of all: A and B lie ahead of them again.
    await k.edit([wait, a, b, c]);
    await k.pass(25);
    await k.go();
    expect(await k.sent()).toEqual(["A", "B", "C"]);
    expect((await k.why()).filter((h) => h.reason_code === "had_already").map((h) => h.step_id)).toEqual([
      a!.id,
      b!.id,
    ]);
  });

  it("a condition that lies ahead again leads the way it led before", async () => {
    const tenant = await t.tenant();
    const asked = {
      kind: "condition",
      rules: [{ if: "has_address", channel: "email" }],
      branches: { yes: [email("Yes")], no: [email("No")] },
    };
    const k = await story(t, tenant, [asked, hours(24), email("End")]);
    await k.go();
    expect(await k.sent()).toEqual(["Yes"]);
    const [condition, wait, end] = k.steps;
    await k.edit([
      wait,
      {
        ...condition,
        branches: { yes: [...condition!.branches!.yes!, email("Yes, too")], no: condition!.branches!.no! },
      },
      end,
    ]);
    await k.pass(25);
    await k.go();
    expect(await k.sent()).toEqual(["Yes", "Yes, too", "End"]);
  });

  it("a wait deleted under them is over at once", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A"), hours(24), email("B")]);
    await k.go();
    await k.edit([k.steps[0], k.steps[2]]);
    await k.go();
    expect(await k.sent()).toEqual(["A", "B"]);
    expect((await k.why()).some((h) => h.verdict === "moved" && h.reason_code === "step_removed")).toBe(true);
  });

  it("an e-mail deleted while it is planned is taken back, and they go on at the next step that is left", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A"), hours(5), email("B")]);
    await k.plan();
    await k.edit([k.steps[1], k.steps[2]]);
    await k.go();
    expect(await k.lead()).toMatchObject({ status: "waiting", step_id: k.steps[1]!.id });
    expect(hoursUntil((await k.lead()).next_at)).toBeCloseTo(5, 1);
    await k.pass(6);
    await k.go();
    expect(await k.sent()).toEqual(["B"]);
  });

  it("an e-mail deleted while it is at the provider: its outcome is kept, moves nobody, and if given back it does not leave", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A"), email("B")], ["ada@acme.test", "bob@acme.test"]);
    await k.plan();
    const taken = await claim(tenant, k.connectionId);
    await k.edit([k.steps[1]]);
    await settle(tenant, [taken[0]!.id], "sent");
    await settle(tenant, [taken[1]!.id], "retry");
    await applyGuards(tenant);
    await k.go();
    expect(await k.sent(taken[0]!.to_address)).toEqual(["A", "B"]);
    expect(await k.sent(taken[1]!.to_address)).toEqual(["B"]);
    expect((await enrollmentsOf(t, k.id)).map((e) => e.status)).toEqual(["finished", "finished"]);
    const runs =
      await t.sql`select r.state from public.step_runs r join public.enrollments e on e.id = r.enrollment_id where e.campaign_id = ${k.id} and r.state = 'open'`;
    expect(runs).toHaveLength(0);
  });

  it("everything behind them deleted: their sequence is over, and says why", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A"), hours(24), email("B")]);
    await k.go();
    await k.edit([k.steps[0]]);
    expect(await k.lead()).toMatchObject({ status: "finished", reason_code: "step_removed" });
  });

  it("a task deleted under them is cancelled with its run, and they go on", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [{ kind: "task", title: "Call" }, email("A")]);
    await k.go();
    expect((await k.lead()).waits_for).toBe("task");
    await k.edit([k.steps[1]]);
    await k.go();
    expect(await k.sent()).toEqual(["A"]);
    expect(await t.sql`select status from public.tasks where campaign_id = ${k.id}`).toMatchObject([
      { status: "cancelled" },
    ]);
    const runs =
      await t.sql`select r.state from public.step_runs r join public.enrollments e on e.id = r.enrollment_id where e.campaign_id = ${k.id} and r.state = 'open'`;
    expect(runs).toHaveLength(0);
  });
});

describe("a wait is changed while people wait", () => {
  it("shortened: it counts from when they came to it, so that it may be over at once", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A"), hours(48), email("B")]);
    await k.go();
    await k.pass(20);
    const to = (n: number) => k.edit([k.steps[0], { ...k.steps[1], hours: n }, k.steps[2]]);
    await to(30);
    await k.go();
    expect(hoursUntil((await k.lead()).next_at)).toBeCloseTo(10, 1);
    await to(12);
    await k.go();
    expect(await k.sent()).toEqual(["A", "B"]);
  });

  it("lengthened: they wait the longer time, from when they came to it", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A"), hours(24), email("B")]);
    await k.go();
    await k.pass(20);
    await k.edit([k.steps[0], { ...k.steps[1], hours: 72 }, k.steps[2]]);
    await k.pass(5);
    await k.go();
    expect(await k.sent()).toEqual(["A"]);
    expect(hoursUntil((await k.lead()).next_at)).toBeCloseTo(47, 1);
  });
});

it("a copy of a campaign asks about its own steps", async () => {
  const tenant = await t.tenant();
  const k = await story(t, tenant, [email("A"), hours(1), email("B")]);
  const asked = {
    kind: "condition",
    rules: [{ if: "sent", step_id: k.steps[0]!.id }],
    branches: { yes: [email("Yes")] },
  };
  await k.edit([...k.steps, asked]);
  const { body } = await tenant.api("POST", `/campaigns/${k.id}/clone`);
  expect(body.steps[3].rules[0].step_id).toBe(body.steps[0].id);
});
