import { expect, test } from "vitest";
import type { Step } from "../api/types.ts";
import type { Catalogue } from "../catalogue.ts";
import { adoptIds, flat, newStep, outline, summaryOf, toDrafts, toWritten, waysOf } from "./sequence.ts";
import { waitText } from "./wait.ts";

const email = {
  type: "object",
  properties: { subject: { type: "string", default: "" }, body: { type: "string" } },
  required: ["body"],
};
const catalogue: Catalogue = {
  pages: [],
  list: () => [],
  options: () => [],
  form: (name) => (name === "step.email" ? email : undefined),
  entry: (_, value) => ({ value, label: value === "opened" ? "Opened a message" : value }),
};
const stored = [
  { id: "a", kind: "email", position: 1, subject: "Hi", body: "Hello" },
  {
    id: "b",
    kind: "condition",
    position: 2,
    match: "all",
    rules: [{ if: "opened" }],
    branches: { yes: [{ id: "c", kind: "task", position: 3, title: "Call", outcomes: ["reached"] }] },
  },
] as unknown as Step[];

test("a stored sequence comes back as it was, branches and unknown fields included", () => {
  const written = toWritten(toDrafts(stored));
  expect(written).toEqual([
    { id: "a", kind: "email", subject: "Hi", body: "Hello" },
    {
      id: "b",
      kind: "condition",
      match: "all",
      rules: [{ if: "opened" }],
      branches: { yes: [{ id: "c", kind: "task", title: "Call", outcomes: ["reached"] }] },
    },
  ]);
});

test("steps that are read again keep their keys, so that the page is not made anew", () => {
  const first = toDrafts(stored);
  expect(flat(toDrafts(stored, first)).map((s) => s.key)).toEqual(flat(first).map((s) => s.key));
  expect(flat(toDrafts(stored)).map((s) => s.key)).not.toEqual(flat(first).map((s) => s.key));
});

test("new steps take over the ids the server gave, at the same places, in branches too", () => {
  const drafts = toDrafts(stored);
  for (const step of flat(drafts)) delete step.id;
  adoptIds(drafts, stored);
  expect(flat(drafts).map((s) => s.id)).toEqual(["a", "b", "c"]);
});

test("steps of an outcome that was taken out are neither counted nor sent", () => {
  const [, condition] = toDrafts(stored);
  const task = condition!.branches["yes"]![0]!;
  task.branches = { reached: [newStep("email", catalogue)], gone: [newStep("email", catalogue)] };
  expect(waysOf(task)).toEqual(["reached", "skipped"]);
  expect(flat([task])).toHaveLength(2);
  expect(Object.keys(toWritten([task])[0]!.branches!)).toEqual(["reached"]);
});

test("a new step starts from its form's defaults", () => {
  expect(newStep("email", catalogue).config).toEqual({ subject: "", body: "" });
  expect(newStep("wait", catalogue).config).toEqual({ days: 3 });
});

test("the outline gives every step its depth, and the branch it begins", () => {
  expect(outline(stored).map(({ step, depth, branch }) => [step.id, depth, branch])).toEqual([
    ["a", 0, null],
    ["b", 0, null],
    ["c", 1, "yes"],
  ]);
  expect(outline(stored).map(({ step }) => summaryOf(step, catalogue))).toEqual(["Hi", "Opened a message", "Call"]);
  expect(summaryOf({ kind: "email", subject: " ", body: "And?" }, catalogue)).toBe("In the same thread");
  expect(summaryOf({ kind: "sms", body: "Hi there\nBye" }, catalogue)).toBe("Hi there");
});

test.each([
  [{ days: 3 }, "Wait 3 days"],
  [{ hours: 1 / 60 }, "Wait 1 minute"],
  [{ business_days: 2, until: { weekday: 1, time: "09:00" } }, "Wait 2 business days, then until Mon 09:00"],
  [{ until: { weekday: null, time: "09:00" } }, "Wait until 09:00"],
  [{}, "No wait"],
])("a wait of %j reads %s", (config, text) => expect(waitText(config)).toBe(text));
