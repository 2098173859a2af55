import { expect, it } from "vitest";
import { messagesOf, sendAll, settlePlans, startedCampaign } from "../../../tests/support/campaigns.ts";
import { testKernel } from "../../../tests/support/kernel.ts";

const t = testKernel();
const ADA = [{ email: "ada@acme.test", first_name: "Ada" }];

type Entry = {
  at: string;
  kind: string;
  verdict: string;
  reason_code: string | null;
  reason: string | null;
  step_id: string | null;
  step_kind: string | null;
  message_id: string | null;
  until: string | null;
};

it("a person's way is told in order: taken in, each step with its message, each decision with its reason, and where they stand", async () => {
  const tenant = await t.tenant();
  const { id, connectionId, steps } = await startedCampaign(t, tenant, ADA, {
    steps: [
      { subject: "First", body: "b" },
      {
        kind: "condition",
        rules: [{ if: "opened" }],
        branches: { no: [{ kind: "task", title: "Call", branches: { done: [{ kind: "end", goal: "Called" }] } }] },
      },
      { subject: "", body: "b" },
    ],
  });
  await settlePlans(t, tenant);
  const [lead] = (await tenant.api("GET", `/campaigns/${id}/leads`)).body.data;
  const why = async () => {
    const { body, status } = await tenant.api("GET", `/campaigns/${id}/leads/${lead.id}/why`);
    expect(status, JSON.stringify(body)).toBe(200);
    return body as { lead: { status: string }; history: Entry[] };
  };
  // A pause meets the message on the queue: held until somebody resumes.
  await tenant.api("POST", `/campaigns/${id}/pause`);
  await tenant.run((ctx) => ctx.db`select private.apply_guards()`);
  await tenant.api("POST", `/campaigns/${id}/resume`);
  await settlePlans(t, tenant);
  expect(await sendAll(tenant, connectionId)).toBe(1);
  await settlePlans(t, tenant);
  const [task] = (await tenant.api("GET", "/tasks")).body.data;
  expect((await tenant.api("POST", `/tasks/${task.id}/finish`)).status).toBe(200);
  await settlePlans(t, tenant);

  const { history, lead: now } = await why();
  expect(now).toMatchObject({ status: "finished" });
  const [message] = await messagesOf(t, id);
  const told = history.map((h) => [h.kind, h.verdict, h.reason_code, h.step_kind]);
  expect(told).toContainEqual(["enrolled", "enrolled", null, null]);
  expect(told).toContainEqual(["decision", "defer", "campaign_paused", null]);
  expect(told).toContainEqual(["step", "sent", null, "email"]);
  expect(told).toContainEqual(["step", "no", null, "condition"]);
  expect(told).toContainEqual(["decision", "branched", "condition", "condition"]);
  expect(told).toContainEqual(["step", "done", null, "task"]);
  expect(told).toContainEqual(["step", "goal", null, "end"]);
  expect(told).toHaveLength(7);
  expect(history.map((h) => h.at)).toEqual(history.map((h) => h.at).sort());
  expect([history[0]!.kind, history.at(-1)!.step_kind]).toEqual(["enrolled", "end"]);
  const sent = history.find((h) => h.verdict === "sent")!;
  expect([sent.message_id, sent.step_id]).toEqual([message!.id, steps[0]!.id]);
  const deferred = history.find((h) => h.verdict === "defer")!;
  expect([deferred.message_id, deferred.until, deferred.reason]).toEqual([
    message!.id,
    null,
    "The campaign is paused.",
  ]);
});

it("who was left out is told why, and nothing else happened to them", async () => {
  const tenant = await t.tenant();
  const { id } = await startedCampaign(t, tenant, [...ADA, { email: null }]);
  await settlePlans(t, tenant);
  const [lead] = (await tenant.api("GET", `/campaigns/${id}/leads?status=left_out`)).body.data;
  const { body } = await tenant.api("GET", `/campaigns/${id}/leads/${lead.id}/why`);
  expect(body).toMatchObject({
    lead: { status: "left_out", reason_code: "no_address" },
    history: [
      {
        kind: "enrolled",
        verdict: "left_out",
        reason_code: "no_address",
        reason: "The contact has no address for this channel.",
      },
    ],
  });
  expect(body.history).toHaveLength(1);
});

it("a sequence that was ended says by what", async () => {
  const tenant = await t.tenant();
  const { id } = await startedCampaign(t, tenant, ADA);
  await settlePlans(t, tenant);
  await tenant.run(
    (ctx) => ctx.db`select private.suppress('email', array['ada@acme.test'], 'complaint', 'feedback loop')`,
  );
  await settlePlans(t, tenant);
  const [lead] = (await tenant.api("GET", `/campaigns/${id}/leads`)).body.data;
  expect(lead).toMatchObject({ status: "unsubscribed", reason_code: "complained", next_at: null, waits_for: null });
  const { history } = (await tenant.api("GET", `/campaigns/${id}/leads/${lead.id}/why`)).body;
  expect(history.map((h: Entry) => [h.kind, h.verdict, h.reason_code])).toContainEqual([
    "decision",
    "ended",
    "complained",
  ]);
});

it("only of people who are in the campaign, and only to their own team", async () => {
  const tenant = await t.tenant();
  const { id } = await startedCampaign(t, tenant, ADA);
  await settlePlans(t, tenant);
  const [lead] = (await tenant.api("GET", `/campaigns/${id}/leads`)).body.data;
  const other = (await tenant.api("POST", "/campaigns", { name: "Other" })).body.id;
  expect((await tenant.api("GET", `/campaigns/${other}/leads/${lead.id}/why`)).status).toBe(404);
  expect((await tenant.api("GET", `/campaigns/${id}/leads/${crypto.randomUUID()}/why`)).status).toBe(404);
  const stranger = await t.tenant();
  expect((await stranger.api("GET", `/campaigns/${id}/leads/${lead.id}/why`)).status).toBe(404);
  const viewer = await tenant.member("viewer");
  expect((await viewer.api("GET", `/campaigns/${id}/leads/${lead.id}/why`)).status).toBe(200);
});
