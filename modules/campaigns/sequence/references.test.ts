import { expect, it } from "vitest";
import { giveList, startedCampaign } from "../../../tests/support/campaigns.ts";
import { testKernel, type TestTenant } from "../../../tests/support/kernel.ts";

const t = testKernel();
const MAIL = { subject: "First", body: "b" };
const NOBODY = "01890000-0000-7000-8000-000000000000";
type Rule = Record<string, unknown>;
const condition = (...rules: Rule[]) => ({ kind: "condition", rules });
const segmentOf = async (tenant: TestTenant) =>
  (
    await tenant.api("POST", "/segments", {
      name: `Segment ${crypto.randomUUID()}`,
      filter: { field: "first_name", op: "eq", value: "Ada" },
    })
  ).body.id as string;

async function draft(steps: unknown[] = [MAIL]) {
  const tenant = await t.tenant();
  const { listId } = await giveList(t, tenant, [{ email: "ada@acme.test" }]);
  const made = await tenant.api("POST", "/campaigns", { name: "Spring", list_id: listId, steps });
  expect([made.status, made.body.errors]).toEqual([201, undefined]);
  const id = made.body.id as string;
  const put = async (next: unknown[]) => {
    const { status, body } = await tenant.api("PUT", `/campaigns/${id}/steps`, { steps: next });
    return { status, body, errors: (body.errors ?? []) as { pointer: string; detail: string }[] };
  };
  const stored = async () => (await tenant.api("GET", `/campaigns/${id}`)).body.steps;
  return { tenant, id, put, stored, steps: made.body.steps as { id: string }[] };
}

it("a condition on a channel, segment or step that is not there is refused on saving, each with its place and the fix", async () => {
  const { tenant, put, stored, steps } = await draft();
  const theirs = await segmentOf(await t.tenant());
  const other = await tenant.api("POST", "/campaigns", { name: "Other", steps: [MAIL] });
  const wrong = await put([
    steps[0],
    condition(
      { if: "has_address", channel: "pigeon" },
      { if: "has_address", channel: "email" },
      { if: "in_segment", segment_id: theirs },
      { if: "in_segment", segment_id: await segmentOf(tenant) },
      { if: "opened", step_id: NOBODY },
      { if: "opened", step_id: steps[0]!.id },
    ),
    {
      ...condition({ if: "opened" }),
      branches: { yes: [condition({ if: "sent", step_id: other.body.steps[0].id })] },
    },
  ]);
  expect(wrong.status).toBe(422);
  expect(wrong.errors).toEqual([
    { pointer: "/steps/1/rules/0/channel", detail: expect.stringMatching(/is no channel; use one of .*email/) },
    { pointer: "/steps/1/rules/2/segment_id", detail: expect.stringMatching(/is no segment .*; .*GET \/segments/) },
    { pointer: "/steps/1/rules/4/step_id", detail: expect.stringMatching(/is no step of this campaign; use/) },
    { pointer: "/steps/2/branches/yes/0/rules/0/step_id", detail: expect.stringMatching(/is no step/) },
  ]);
  expect(await stored()).toEqual(steps);
  const right = [steps[0], condition({ if: "opened", step_id: steps[0]!.id.toUpperCase() })];
  expect((await put(right)).status).toBe(200);
  // A draft forgets a step that is taken out, so a condition cannot ask about it.
  const without = await put([MAIL, (await stored())[1]]);
  expect([without.status, without.errors[0]?.pointer]).toEqual([422, "/steps/1/rules/0/step_id"]);
});

it("a new campaign's conditions are checked too, by POST, PUT and PATCH", async () => {
  const { tenant, id } = await draft();
  const steps = [MAIL, condition({ if: "in_segment", segment_id: NOBODY })];
  for (const [method, path] of [
    ["POST", "/campaigns"],
    ["PUT", `/campaigns/${id}`],
    ["PATCH", `/campaigns/${id}`],
  ] as const) {
    const { status, body } = await tenant.api(method, path, { name: "Summer", steps });
    expect([method, status, body.errors?.[0]?.pointer]).toEqual([method, 422, "/steps/1/rules/0/segment_id"]);
  }
});

it("a step that was taken out of a campaign that began may still be asked about", async () => {
  const tenant = await t.tenant();
  const { id, steps } = await startedCampaign(t, tenant, [{ email: "ada@acme.test" }], {
    steps: [MAIL, { kind: "wait", days: 1 }, { subject: "Second", body: "b" }],
  });
  const asked = condition({ if: "opened", step_id: steps[0]!.id });
  const saved = await tenant.api("PUT", `/campaigns/${id}/steps`, { steps: [...steps.slice(1), asked] });
  expect([saved.status, saved.body.errors]).toEqual([200, undefined]);
  const unknown = condition({ if: "opened", step_id: NOBODY });
  const refused = await tenant.api("PUT", `/campaigns/${id}/steps`, { steps: [...steps.slice(1), unknown] });
  expect([refused.status, refused.body.errors?.[0].pointer]).toEqual([422, "/steps/2/rules/0/step_id"]);
});

it("the launch check names a segment that was deleted since a condition named it", async () => {
  const { tenant, id, put, steps } = await draft();
  const segment = await segmentOf(tenant);
  expect((await put([steps[0], condition({ if: "in_segment", segment_id: segment })])).status).toBe(200);
  const found = async () =>
    ((await tenant.api("GET", `/campaigns/${id}/check`)).body.checks as { id: string; detail: string }[]).filter(
      (c) => c.id === "unknown_segment",
    );
  expect(await found()).toEqual([]);
  expect((await tenant.api("DELETE", `/segments/${segment}`)).status).toBe(204);
  expect(await found()).toEqual([
    {
      id: "unknown_segment",
      level: "error",
      detail: `Step 2: rules/0/segment_id ${segment} is no segment of the workspace any more.`,
      fix: expect.stringContaining("Edit the step"),
    },
  ]);
  const start = await tenant.api("POST", `/campaigns/${id}/start`);
  expect(start.status).toBe(422);
  expect(start.body.errors.map((e: { pointer: string }) => e.pointer)).toContain("/unknown_segment");
});

it("a task is given to a member of the team alone; of one who left since the launch check warns", async () => {
  const { tenant, id, put, steps } = await draft();
  const call = (assignee_id: string | null) => [steps[0], { kind: "task", title: "Call", assignee_id }];
  const stranger = await put(call((await t.tenant()).owner.userId));
  expect([stranger.status, stranger.errors]).toEqual([
    422,
    [{ pointer: "/steps/1/assignee_id", detail: expect.stringMatching(/is no member of the workspace; .*null/) }],
  ]);
  expect((await put(call(null))).status).toBe(200);
  const member = await tenant.member("member");
  expect((await put(call(member.userId))).status).toBe(200);
  expect((await tenant.api("DELETE", `/members/${member.userId}`)).status).toBe(204);
  const { body } = await tenant.api("GET", `/campaigns/${id}/check`);
  expect(body.checks.filter((c: { id: string }) => c.id === "unknown_member")).toMatchObject([
    { level: "warning", detail: expect.stringContaining(member.userId) },
  ]);
});
