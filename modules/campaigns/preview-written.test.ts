import { expect, it } from "vitest";
import { giveList, giveSender } from "../../tests/support/campaigns.ts";
import { testKernel } from "../../tests/support/kernel.ts";

const t = testKernel();

it("steps that are not saved are previewed with their places; one that does not fit its kind yet is left out", async () => {
  const tenant = await t.tenant();
  const { senderId } = await giveSender(t, tenant);
  const { listId } = await giveList(t, tenant, [{ email: "ada@acme.test", first_name: "Ada" }]);
  const made = await tenant.api("POST", "/campaigns", {
    name: "Spring",
    sender_ids: [senderId],
    list_id: listId,
    steps: [{ kind: "email", subject: "Saved", body: "Saved" }],
  });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  const answer = await tenant.api("POST", `/campaigns/${made.body.id}/preview`, {
    steps: [
      { kind: "email", subject: "", body: "" },
      {
        kind: "condition",
        rules: [{ if: "opened" }],
        branches: { yes: [{ kind: "wait" }, { kind: "sms", body: `Hi {{firstName}}${" and more".repeat(20)}` }] },
      },
    ],
  });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  expect(answer.body.steps).toMatchObject([
    { step_id: null, pointer: "/steps/1/branches/yes/1", kind: "sms", channel: "sms", measure: { segments: 2 } },
  ]);
  expect(answer.body.steps[0].text).toMatch(/^Hi Ada and more/);
  // Branches come in the order of their kind, whatever the order they were written in: numbers mean the same everywhere.
  const stored = await tenant.api("PATCH", `/campaigns/${made.body.id}`, {
    steps: [
      {
        kind: "condition",
        rules: [{ if: "opened" }],
        branches: { no: [{ kind: "end" }], yes: [{ kind: "email", subject: "Saved", body: "Saved" }] },
      },
    ],
  });
  expect(stored.status, JSON.stringify(stored.body)).toBe(200);
  const { yes, no } = stored.body.steps[0].branches;
  expect([yes[0].position, no[0].position]).toEqual([2, 3]);
  // Nothing was saved by looking.
  const saved = await tenant.api("POST", `/campaigns/${made.body.id}/preview`, {});
  expect(saved.body.steps).toMatchObject([{ pointer: "/steps/0/branches/yes/0", subject: "Saved" }]);
});
