import { describe, expect, it } from "vitest";
import { enrollmentsOf, giveList, sendAll, settlePlans, wakePlanner } from "../../../tests/support/campaigns.ts";
import { testKernel } from "../../../tests/support/kernel.ts";
import {
  applyGuards,
  claim,
  email,
  giveSmsSender,
  hours,
  hoursUntil,
  reply,
  settle,
  story,
} from "../../../tests/support/sequences.ts";

/** What becomes of people when sending, answers and other campaigns interfere. docs/concepts/sequences.md tells the same in words. */

const t = testKernel();
const opened = (branches: Record<string, unknown[]>) => ({ kind: "condition", rules: [{ if: "opened" }], branches });
const open = (campaignId: string, address: string) =>
  t.sql`update public.messages set opened_at = kernel.now() where campaign_id = ${campaignId} and to_address = ${address}`;

describe("a condition", () => {
  it("is asked after the wait, with what is true then", async () => {
    const tenant = await t.tenant();
    const k = await story(
      t,
      tenant,
      [email("A"), hours(24), opened({ yes: [email("Yes")], no: [email("No")] })],
      ["ada@acme.test", "bob@acme.test"],
    );
    await k.go();
    await k.pass(23);
    // The last hour of the wait counts as the first did.
    await open(k.id, "ada@acme.test");
    await k.pass(2);
    await k.go();
    expect(await k.sent("ada@acme.test")).toEqual(["A", "Yes"]);
    expect(await k.sent("bob@acme.test")).toEqual(["A", "No"]);
    // Opened after it was asked: the answer stands.
    await open(k.id, "bob@acme.test");
    await k.go();
    expect(await k.sent("bob@acme.test")).toEqual(["A", "No"]);
  });

  it("leads to waits that count from when the wait before it was over, on each branch", async () => {
    const tenant = await t.tenant();
    const branches = { yes: [hours(10), email("Yes")], no: [hours(20), email("No")] };
    const k = await story(
      t,
      tenant,
      [email("A"), hours(24), opened(branches), hours(5), email("End")],
      ["ada@acme.test", "bob@acme.test"],
    );
    await k.go();
    await open(k.id, "ada@acme.test");
    // The planner comes two hours late: nobody's dates move by that.
    await k.pass(26);
    await k.go();
    expect(hoursUntil((await k.lead("ada@acme.test")).next_at)).toBeCloseTo(8, 1);
    expect(hoursUntil((await k.lead("bob@acme.test")).next_at)).toBeCloseTo(18, 1);
    await k.pass(9);
    await k.go();
    // Behind the branches, a wait counts from when the message left.
    expect(await k.sent("ada@acme.test")).toEqual(["A", "Yes"]);
    expect(hoursUntil((await k.lead("ada@acme.test")).next_at)).toBeCloseTo(5, 1);
  });
});

describe("on a branch, a send", () => {
  const start = async (more: unknown[] = []) => {
    const tenant = await t.tenant();
    const asked = {
      kind: "condition",
      rules: [{ if: "has_address", channel: "email" }],
      branches: { yes: [email("A"), hours(5), email("B")] },
    };
    const k = await story(t, tenant, [asked, hours(1)]);
    if (more.length > 0) {
      const { smsSenderId } = await giveSmsSender(t, tenant);
      await tenant.api("PATCH", `/campaigns/${k.id}`, { sender_ids: [k.senderId, smsSenderId] });
      await k.edit([...k.steps, ...more]);
    }
    await k.plan();
    const [message] = await claim(tenant, k.connectionId);
    return { tenant, k, message: message! };
  };

  it("that the provider refuses ends the sequence, and says so", async () => {
    const { tenant, k, message } = await start();
    await settle(tenant, [message.id], "rejected");
    await settlePlans(t, tenant);
    expect(await k.lead()).toMatchObject({ status: "failed", reason_code: "refused", waits_for: null });
  });

  it("that the provider refuses is left out where the sequence has another channel, and they go on", async () => {
    const { tenant, k, message } = await start([{ kind: "sms", body: "Hi" }]);
    await settle(tenant, [message.id], "rejected");
    await settlePlans(t, tenant);
    expect(await k.lead()).toMatchObject({ status: "waiting", waits_for: "time" });
    expect((await k.why()).map((h) => h.verdict)).toContain("refused");
  });

  it("with an unknown outcome waits for it, says so, and goes on by itself when it is known", async () => {
    const { tenant, k, message } = await start();
    await settle(tenant, [message.id], "unknown");
    await settlePlans(t, tenant);
    expect(await k.lead()).toMatchObject({ status: "sending", waits_for: "message", reason_code: "unknown_outcome" });
    await settle(tenant, [message.id], "sent");
    await settlePlans(t, tenant);
    expect(await k.lead()).toMatchObject({ status: "waiting", waits_for: "time" });
    expect(hoursUntil((await k.lead()).next_at)).toBeCloseTo(5, 1);
  });

  it("that is to be tried again is tried again as the same message", async () => {
    const { tenant, k, message } = await start();
    await settle(tenant, [message.id], "retry");
    await settlePlans(t, tenant);
    expect((await k.lead()).waits_for).toBe("message");
    await k.go();
    expect((await k.messages()).map((m) => [m.id, m.status])).toEqual([[message.id, "sent"]]);
  });

  it("whose sender was paused waits for the sender, says so, and goes on with it", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A")]);
    await t.sql`update public.senders set status = 'paused' where id = ${k.senderId}`;
    await k.go();
    expect(await k.lead()).toMatchObject({ status: "waiting", waits_for: "sender", reason_code: "sender_inactive" });
    await t.sql`update public.senders set status = 'active' where id = ${k.senderId}`;
    await k.go();
    expect(await k.sent()).toEqual(["A"]);
  });

  it("past its sender's limit says whose limit it is and when it goes on", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A")], ["ada@acme.test", "bob@acme.test"]);
    await t.sql`update public.sender_limits set cap = 1 where sender_id = ${k.senderId}`;
    await k.go();
    const waiting = [await k.lead("ada@acme.test"), await k.lead("bob@acme.test")].find((l) => l.status === "waiting")!;
    expect(waiting).toMatchObject({ waits_for: "sender_limit", reason: expect.stringContaining("sam@us.test") });
    expect(hoursUntil(waiting.next_at)).toBeGreaterThan(0);
  });
});

describe("an answer that arrives while a message is at the provider", () => {
  for (const outcome of ["sent", "retry", "unknown", "rejected"])
    it(`ends the sequence; the message then comes back as ${outcome}, and nothing more leaves`, async () => {
      const tenant = await t.tenant();
      const k = await story(t, tenant, [email("A"), email("B"), email("C")]);
      await k.plan();
      for (const m of await claim(tenant, k.connectionId)) await settle(tenant, [m.id], "sent");
      await k.plan();
      const [second] = await claim(tenant, k.connectionId);
      await reply(tenant, k.connectionId, "ada@acme.test");
      await settle(tenant, [second!.id], outcome);
      expect(await claim(tenant, k.connectionId)).toEqual([]);
      await applyGuards(tenant);
      await settlePlans(t, tenant);
      await k.go();
      expect(await k.lead()).toMatchObject({ status: "replied", reason_code: "replied" });
      expect(
        (await k.messages())
          .filter((m) => m.step_id !== null)
          .map((m) => m.subject)
          .sort(),
      ).toEqual(["A", "B"]);
      const runs =
        await t.sql`select r.state from public.step_runs r join public.enrollments e on e.id = r.enrollment_id where e.campaign_id = ${k.id} and r.state = 'open'`;
      expect(runs).toHaveLength(outcome === "unknown" ? 1 : 0);
      expect(
        await t.sql`select 1 from public.messages where campaign_id = ${k.id} and direction = 'out' and status in ('queued', 'held', 'sending')`,
      ).toHaveLength(0);
    });
});

describe("two campaigns want the same person", () => {
  it("in the same moment: one gets them, the other leaves them out and says why; added again later they begin there too", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A")], ["zoe@acme.test"]);
    const person = await tenant.api("POST", "/contacts", { email: "ada@acme.test" });
    const other = await tenant.api("POST", "/campaigns", {
      name: "Other",
      sender_ids: [k.senderId],
      list_id: k.listId,
      steps: [email("X")],
    });
    expect((await tenant.api("POST", `/campaigns/${other.body.id}/start`)).status).toBe(200);
    await k.plan();
    const add = (id: string) => tenant.api("POST", `/campaigns/${id}/leads`, { contact_ids: [person.body.id] });
    const answers = await Promise.all([add(k.id), add(other.body.id)]);
    expect(answers.map((a) => a.status)).toEqual([200, 200]);
    expect(answers.map((a) => a.body.added).sort()).toEqual([0, 1]);
    const [winner, loser] = answers[0]!.body.added === 1 ? [k.id, other.body.id] : [other.body.id, k.id];
    expect((await enrollmentsOf(t, loser)).find((e) => e.email === "ada@acme.test")).toMatchObject({
      status: "left_out",
      reason: "in_other_campaign",
    });
    await k.go();
    expect((await enrollmentsOf(t, winner)).find((e) => e.email === "ada@acme.test")!.status).toBe("finished");
    expect((await add(loser)).body.added).toBe(1);
    await k.go();
    const sent =
      await t.sql`select subject from public.messages where tenant_id = ${tenant.id} and to_address = 'ada@acme.test' and status = 'sent' order by sent_at`;
    expect(sent).toHaveLength(2);
  });

  it("who was left out by both and is added to both at once is taken in by one", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [hours(5), email("A")], ["zoe@acme.test"]);
    const person = await tenant.api("POST", "/contacts", { first_name: "Ada" });
    const other = await tenant.api("POST", "/campaigns", {
      name: "Other",
      sender_ids: [k.senderId],
      list_id: k.listId,
      steps: [hours(5), email("X")],
    });
    await tenant.api("POST", `/campaigns/${other.body.id}/start`);
    await k.plan();
    const add = (id: string) => tenant.api("POST", `/campaigns/${id}/leads`, { contact_ids: [person.body.id] });
    await add(k.id);
    await add(other.body.id);
    await tenant.api("PATCH", `/contacts/${person.body.id}`, { email: "ada@acme.test" });
    const answers = await Promise.all([add(k.id), add(other.body.id)]);
    expect(answers.map((a) => a.status)).toEqual([200, 200]);
    expect(answers.map((a) => a.body.added).sort()).toEqual([0, 1]);
  });

  it("that are not exclusive both write", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A")], ["ada@acme.test"], { settings: { exclusive: false } });
    const other = await tenant.api("POST", "/campaigns", {
      name: "Other",
      sender_ids: [k.senderId],
      list_id: k.listId,
      steps: [email("X")],
      settings: { exclusive: false },
    });
    await tenant.api("POST", `/campaigns/${other.body.id}/start`);
    await k.go();
    const sent = await t.sql`select subject from public.messages where tenant_id = ${tenant.id} and status = 'sent'`;
    expect(sent.map((m) => m.subject).sort()).toEqual(["A", "X"]);
  });
});

describe("a contact", () => {
  it("erased midway: what is planned never leaves, what is at the provider settles, nobody waits", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A"), hours(5), email("B")], ["ada@acme.test", "bob@acme.test"]);
    await k.plan();
    await t.sql`update public.messages set due_at = kernel.now() + interval '1 hour' where campaign_id = ${k.id} and to_address = 'bob@acme.test'`;
    const [ada] = await claim(tenant, k.connectionId);
    for (const id of k.contactIds) expect((await tenant.api("DELETE", `/contacts/${id}`)).status).toBe(204);
    await settle(tenant, [ada!.id], "sent");
    await t.sql`update public.messages set due_at = kernel.now() where campaign_id = ${k.id} and to_address = 'bob@acme.test' and status = 'queued'`;
    expect(await claim(tenant, k.connectionId)).toEqual([]);
    await applyGuards(tenant);
    await k.go();
    expect((await k.messages()).filter((m) => m.status === "sent").map((m) => m.subject)).toEqual(["A"]);
    expect(await enrollmentsOf(t, k.id)).toEqual([]);
    const dead = await t.sql`select reason from kernel.dead_letters where tenant_id = ${tenant.id}`;
    expect(dead).toEqual([]);
  });

  it("merged by hand into another that is in the campaign too: the address gets every step once", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A"), hours(5), email("B")], ["ada@acme.test", "ada@home.test"]);
    await k.go();
    const [keep, double] = k.contactIds;
    expect((await tenant.api("DELETE", `/contacts/${double}`)).status).toBe(204);
    expect((await tenant.api("PATCH", `/contacts/${keep}`, { email: "ada@home.test" })).status).toBe(200);
    await k.pass(6);
    await k.go();
    expect(await k.sent("ada@home.test")).toEqual(["A", "B"]);
    expect(await k.sent("ada@acme.test")).toEqual(["A"]);
  });

  it("moved to another company: a colleague's answer counts where they work now, and says whose it was", async () => {
    const tenant = await t.tenant();
    const k = await story(
      t,
      tenant,
      [email("A"), hours(5), email("B")],
      ["ada@acme.test", "bob@acme.test", "cyd@acme.test"],
    );
    await tenant.api("PATCH", "/tenant", { settings: { reply_stops: "company" } });
    await t.sql`update public.tenants set settings = settings || '{"reply_stops":"company"}' where id = ${tenant.id}`;
    const company = async (name: string) =>
      (await t.sql`insert into public.companies (tenant_id, name) values (${tenant.id}, ${name}) returning id`)[0]!
        .id as string;
    const [acme, other] = [await company("Acme"), await company("Other")];
    await t.sql`update public.contacts set company_id = ${acme} where tenant_id = ${tenant.id}`;
    await k.go();
    await t.sql`update public.contacts set company_id = ${other} where id = ${k.contactIds[2]!}`;
    await k.pass(6);
    await k.plan();
    // Bob's message is planned when Ada answers: the guard stops it before anybody has heard of the answer.
    await reply(tenant, k.connectionId, "ada@acme.test");
    await applyGuards(tenant);
    const stopped = await t.sql`
      select to_address, error_code from public.messages where tenant_id = ${tenant.id} and status = 'cancelled' order by 1`;
    expect([...stopped]).toEqual([
      { to_address: "ada@acme.test", error_code: "replied" },
      { to_address: "bob@acme.test", error_code: "colleague_replied" },
    ]);
    await k.go();
    expect(await k.lead("ada@acme.test")).toMatchObject({ status: "replied", reason_code: "replied" });
    expect(await k.lead("bob@acme.test")).toMatchObject({ status: "stopped", reason_code: "colleague_replied" });
    expect(await k.sent("bob@acme.test")).toEqual(["A"]);
    expect(await k.sent("cyd@acme.test")).toEqual(["A", "B"]);
  });
});

it("a number that several contacts have gets each step once, also when one of them comes later", async () => {
  const tenant = await t.tenant();
  const { smsSenderId, smsConnectionId } = await giveSmsSender(t, tenant);
  const number = { phone: "+4915112340000" };
  const people = ["ada", "bob", "cy"].map((first_name) => ({ first_name, ...number }));
  const { listId, contactIds } = await giveList(t, tenant, [...people, { first_name: "dan", phone: "+4915112340001" }]);
  await tenant.api("POST", "/consents", { channel: "sms", contact_ids: contactIds, source: "form" });
  const [, , cy] = contactIds;
  await t.sql`delete from public.list_contacts where list_id = ${listId} and contact_id = ${cy!}`;
  const made = await tenant.api("POST", "/campaigns", {
    name: "Texts",
    sender_ids: [smsSenderId],
    list_id: listId,
    steps: [
      { kind: "sms", body: "First" },
      { kind: "sms", body: "Second" },
    ],
  });
  expect((await tenant.api("POST", `/campaigns/${made.body.id}/start`)).status).toBe(200);
  const go = async () => {
    do await wakePlanner(t, tenant);
    while ((await sendAll(tenant, smsConnectionId)) > 0);
    const rows = await t.sql<{ to_address: string; body_text: string }[]>`
      select to_address, body_text from public.messages where campaign_id = ${made.body.id} order by to_address, body_text`;
    return rows.map((m) => `${m.to_address} ${m.body_text}`);
  };
  const once = ["+4915112340000 First", "+4915112340000 Second", "+4915112340001 First", "+4915112340001 Second"];
  expect(await go()).toEqual(once);
  await tenant.api("POST", `/campaigns/${made.body.id}/leads`, { contact_ids: [cy] });
  expect(await go()).toEqual(once);
  const ends = await t.sql<{ status: string; reason: string | null }[]>`
    select status, reason from public.enrollments where campaign_id = ${made.body.id} order by status`;
  expect(ends).toMatchObject([
    { status: "failed", reason: "address_shared" },
    { status: "failed", reason: "address_shared" },
    { status: "finished", reason: null },
    { status: "finished", reason: null },
  ]);
});
