import { describe, expect, it } from "vitest";
import type { AnyStep } from "../../kernel/step.ts";
import { email } from "../../channels/email/channel.ts";
import { sms as smsChannel } from "../../channels/sms/channel.ts";
import { campaigns } from "../module.ts";
import { messageStep } from "../steps/message.ts";
import { branchOf, contentFaults, MAX_STEPS, parseSteps, type StepInput, StepsInput, toGraph, toTree } from "./tree.ts";

const kinds = [
  messageStep(email, "email.send"),
  messageStep(smsChannel, "sms.send"),
  ...(campaigns.steps ?? []),
] as AnyStep[];
const registry = { steps: new Map(kinds.map((s) => [s.kind, s])) };
const parse = (input: unknown) => {
  const { steps, errors } = parseSteps(registry, StepsInput.parse(input));
  return { steps, errors: [...errors, ...[...contentFaults(steps, { customKeys: new Set(["plan"]) })].flat()] };
};
const faults = (input: unknown) => parse(input).errors;
const pointers = (input: unknown) => faults(input).map((e) => e.pointer);

const mail = (subject = "Hello") => ({ kind: "email", subject, body: "Text" });
const sms = { kind: "sms", body: "Text" };
const wait = { kind: "wait", days: 1 };
const opened = (branches: Record<string, unknown> = {}) => ({ kind: "condition", rules: [{ if: "opened" }], branches });
const task = (branches: Record<string, unknown> = {}) => ({
  kind: "task",
  title: "Call",
  outcomes: ["reached", "no_answer"],
  branches,
});

describe("faults name the step and its field", () => {
  it("in branches of branches", () => {
    const errors = faults([
      mail(),
      opened({
        yes: [
          wait,
          task({
            reached: [{ kind: "email", subject: "s", body: "Hi {{fristName}}" }],
            no_answer: [{ kind: "wait", days: -1 }],
          }),
        ],
        no: [{ kind: "fax" }],
      }),
    ]);
    expect(errors.map((e) => e.pointer).sort()).toEqual([
      "/steps/1/branches/no/0/kind",
      "/steps/1/branches/yes/1/branches/no_answer/0/days",
      "/steps/1/branches/yes/1/branches/reached/0/body",
    ]);
    expect(errors.find((e) => e.pointer.endsWith("body"))!.detail).toContain("{{firstName}}");
    expect(errors.find((e) => e.pointer.endsWith("kind"))!.detail).toContain(
      "use one of email, sms, wait, condition, task, end",
    );
  });

  it("a field that its kind does not have is refused, also inside a rule", () => {
    expect(faults([{ ...mail(), wait_hours: 3 }])).toEqual([
      { pointer: "/steps/0", detail: "A step of kind email has no field wait_hours." },
    ]);
    expect(faults([{ ...wait, subject: "s" }])).toMatchObject([{ pointer: "/steps/0" }]);
    expect(faults([mail(), { kind: "condition", rules: [{ if: "opened", within_day: 3 }] }])).toMatchObject([
      { pointer: "/steps/1/rules/0" },
    ]);
    expect(faults([{ kind: "wait", until: { time: "09:00", day: 1 } }])).toMatchObject([{ pointer: "/steps/0/until" }]);
  });

  it("a branch that its kind does not have is refused, and the ones it has are named", () => {
    expect(faults([mail(), opened({ maybe: [wait] })])).toEqual([
      {
        pointer: "/steps/1/branches/maybe",
        detail: "A step of kind condition has no branch maybe; its branches are yes, no.",
      },
    ]);
    expect(pointers([{ ...mail(), branches: { next: [wait] } }])).toEqual(["/steps/0/branches/next"]);
    expect(pointers([task({ done: [wait] })])).toEqual(["/steps/0/branches/done"]);
    expect(pointers([task({ reached: [wait], skipped: [wait] })])).toEqual([]);
  });

  it("a step that stands twice in a tree is refused where it stands again", () => {
    const id = crypto.randomUUID();
    expect(pointers([{ ...mail(), id }, opened({ no: [{ ...mail(), id }] })])).toEqual(["/steps/1/branches/no/0/id"]);
  });

  it("too many steps and too deep branches are refused, branches included", () => {
    const many = Array.from({ length: 30 }, () => wait);
    // Before any is read: what a step costs to read, a body of thousands would cost thousands of times.
    for (const steps of [
      [mail(), opened({ yes: many, no: many })],
      [...many, ...many],
    ])
      expect(StepsInput.safeParse(steps).error?.issues.map((i) => i.path)).toEqual([[]]);
    expect(pointers([mail(), opened({ yes: many.slice(0, MAX_STEPS - 2) })])).toEqual([]);
    let deep: Record<string, unknown> = opened({ yes: [wait] });
    for (let i = 0; i < 3; i++) deep = opened({ yes: [deep] });
    expect(pointers([mail(), deep])).toEqual([]);
    expect(pointers([mail(), opened({ yes: [deep] })])).toEqual([
      "/steps/1" + "/branches/yes/0".repeat(4) + "/branches",
    ]);
  });

  it("an outcome of a task is a name of its own", () => {
    expect(pointers([{ kind: "task", title: "Call", outcomes: ["skipped"] }])).toEqual(["/steps/0/outcomes/0"]);
    expect(pointers([{ kind: "task", title: "Call", outcomes: ["a", "a"] }])).toEqual(["/steps/0/outcomes"]);
    expect(pointers([{ kind: "task", title: "Call", outcomes: [] }])).toEqual(["/steps/0/outcomes"]);
    expect(pointers([{ kind: "task", title: " " }])).toEqual(["/steps/0/title"]);
  });

  it("a condition on a custom field that is not there is refused", () => {
    const on = (field: string) => [
      mail(),
      {
        kind: "condition",
        rules: [{ if: "opened" }, { if: "matches", filter: { all: [{ not: { field, op: "is_empty" } }] } }],
      },
    ];
    expect(faults(on("custom.plan"))).toEqual([]);
    expect(faults(on("custom.gone"))).toEqual([
      { pointer: "/steps/1/rules/1/filter", detail: "There is no custom field custom.gone." },
    ]);
    expect(pointers([mail(), { kind: "condition", rules: [] }])).toEqual(["/steps/1/rules"]);
  });
});

describe("the first e-mail to a person needs a subject", () => {
  const missing = (input: unknown) => pointers(input).filter((p) => p.endsWith("/subject"));

  it("wherever none can precede it on any way", () => {
    expect(missing([mail("")])).toEqual(["/steps/0/subject"]);
    expect(missing([sms, wait, mail("")])).toEqual(["/steps/2/subject"]);
    const byAddress = (yes: unknown[], no: unknown[]) => ({
      kind: "condition",
      rules: [{ if: "has_address", channel: "sms" }],
      branches: { yes, no },
    });
    expect(missing([byAddress([mail("")], [sms, mail("")])])).toEqual([
      "/steps/0/branches/yes/0/subject",
      "/steps/0/branches/no/1/subject",
    ]);
    expect(missing([byAddress([sms], []), mail("")])).toEqual(["/steps/1/subject"]);
    // What was sent on a way that ends there does not precede what follows.
    expect(missing([byAddress([mail(), { kind: "end" }], [sms]), mail("")])).toEqual(["/steps/1/subject"]);
  });

  it("and a follow-up none, however it is reached", () => {
    expect(missing([mail(), wait, mail("")])).toEqual([]);
    expect(missing([mail(), opened({ yes: [mail("")], no: [sms, mail("")] }), mail("")])).toEqual([]);
    expect(missing([opened({ yes: [mail()], no: [mail()] }), mail("")])).toEqual([]);
    // Some come with an e-mail before it: the launch check warns of the others.
    expect(missing([opened({ yes: [mail()], no: [sms] }), mail("")])).toEqual([]);
  });
});

it("a way may have the name of what every object has", () => {
  const call = { ...task({ no_answer: [wait] }), outcomes: ["constructor", "no_answer"] };
  const { nodes } = toGraph(parse([call]).steps);
  const [step] = toTree(nodes, registry);
  expect(branchOf(step!, "constructor")).toEqual([]);
  expect(branchOf(step!, "no_answer")).toHaveLength(1);
});

it("what an author writes comes back as it was written, through the graph", () => {
  const written = [
    mail(),
    opened({ yes: [task({ reached: [{ kind: "end", goal: "Meeting" }], skipped: [wait] })], no: [wait, mail("")] }),
    sms,
    wait,
  ];
  const { steps, errors } = parse(written);
  expect(errors).toEqual([]);
  const { nodes, edges, entry } = toGraph(steps);
  const tree = toTree(nodes, registry);
  expect(parse(tree as StepInput[]).errors).toEqual([]);
  const shape = (list: readonly { kind: string; branches?: Record<string, never[]> }[]): unknown =>
    list.map((s) => [
      s.kind,
      Object.fromEntries(Object.entries(s.branches ?? {}).map(([b, inner]) => [b, shape(inner)])),
    ]);
  expect(shape(tree as never)).toEqual(shape(written as never));
  const places = (list: typeof tree): number[] =>
    list.flatMap((s) => [s.position, ...Object.values(s.branches ?? {}).flatMap(places)]);
  expect(places(tree).sort((a, b) => a - b)).toEqual(Array.from({ length: nodes.length }, (_, i) => i + 1));

  const kindOf = new Map(nodes.map((n) => [n.id, n.kind]));
  const to = (from: string, branch = "next") => edges.find((e) => e.from_node === from && e.branch === branch)?.to_node;
  expect(kindOf.get(entry!)).toBe("email");
  const condition = to(entry!)!;
  const call = to(condition, "yes")!;
  expect(kindOf.get(call)).toBe("task");
  // A way without steps, and the last step of a branch, lead behind the step that branched; an end leads nowhere.
  const after = nodes.find((n) => n.kind === "sms")!.id;
  expect(to(call, "no_answer")).toBe(after);
  expect(to(to(call, "skipped")!)).toBe(after);
  expect(to(to(to(condition, "no")!)!)).toBe(after);
  expect(edges.filter((e) => e.from_node === to(call, "reached"))).toEqual([]);
  expect(new Set(edges.map((e) => `${e.from_node}/${e.branch}`)).size).toBe(edges.length);
});
