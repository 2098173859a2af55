import { of, type Mutation } from "./mutation.ts";

const AUDIENCE = "modules/campaigns/audience/audience.test.ts";
const REFERENCES = "modules/campaigns/sequence/references.test.ts";
const CONDITION = "modules/campaigns/steps/condition.test.ts";
const CONFLICT = "modules/campaigns/sequence/edit-conflict.test.ts";
const SENDERS = "modules/campaigns/plan/senders.test.ts";
const TASKS = "modules/campaigns/tasks/tasks.test.ts";
const PLAN = "modules/campaigns/plan/plan.test.ts";

export const sequences: readonly Mutation[] = of("sending", [
  {
    promise: "The first e-mail to a person has a subject, on every way",
    file: "modules/campaigns/sequence/tree.ts",
    find: 'first: before.get(step) === "none"',
    replace: "first: false",
    test: "modules/campaigns/sequence/tree.test.ts",
    name: "wherever none can precede it on any way",
  },
  {
    promise: "A campaign's time zone is one that the database knows: by an unknown one everybody's planning would stop",
    file: "modules/kernel/operations/time.ts",
    find: "await ctx.db`select kernel.now() at time zone ${zone}`;",
    replace: "",
    test: "modules/kernel/operations/zones.test.ts",
    name: "a zone that the database is too old to know is refused, naming the field, before anything calculates in it",
  },
  {
    promise: "A condition that cannot be evaluated stops those who stand there, and nobody else of the team",
    file: "modules/campaigns/steps/condition.ts",
    find: 'if (!(error instanceof AppError) || error.code !== "invalid") throw error;',
    replace: "throw error;",
    test: CONDITION,
    name: "a condition on a field that was removed holds back who stands there, with the fault, and nobody else of the team",
  },
  {
    promise: "A person is active in one exclusive campaign, whoever takes them in at the same moment",
    file: "migrations/20261130000800_campaigns.sql",
    find: "create unique index enrollments_exclusive",
    replace: "create index enrollments_exclusive",
    test: AUDIENCE,
    name: "two campaigns that take the same people in at the same moment: each person is in one of them, and left out of the other with the reason",
  },
  {
    promise: "A task is finished once",
    file: "modules/campaigns/tasks/tasks.ts",
    find: "and id = ${id} and status = 'open' returning step_run_id",
    replace: "and id = ${id} returning step_run_id",
    test: TASKS,
    name: "two people who finish a task at once: one says what came of it, the other is told, and the sequence goes on once",
  },
  {
    promise: "A person keeps the sender they know",
    file: "modules/campaigns/steps/message.ts",
    find: "return known ?? senders.reduce(",
    replace: "return (known && undefined) ?? senders.reduce(",
    test: SENDERS,
    name: "several senders share the people evenly, and each person keeps theirs",
  },
  {
    promise:
      "A step that a person had does not happen again when it is moved before them, and they take the way they took",
    file: "modules/campaigns/plan/plan.ts",
    find: "go(t, wayBehind(t.node!, t.had.get(t.node!.step_id)!), ctx.now, graph, next);",
    replace: 'go(t, "next", ctx.now, graph, next);',
    test: PLAN,
    name: "a step that a person had and that lies ahead again does not happen twice, and they take the way they took",
  },
  {
    promise: "A condition names a channel, a segment and a step that are there",
    file: "modules/campaigns/sequence/store.ts",
    find: "if (errors.length === 0) errors.push(",
    replace: "if (errors.length < 0) errors.push(",
    test: REFERENCES,
    name: "a condition on a channel, segment or step that is not there is refused on saving, each with its place and the fix",
  },
  {
    promise: "… and the launch check names a segment that was deleted since",
    file: "modules/campaigns/check.ts",
    find: "await referenceChecks(ctx, campaign, steps)",
    replace: "[]",
    test: REFERENCES,
    name: "the launch check names a segment that was deleted since a condition named it",
  },
  {
    promise: "A task is given to a member of the team",
    file: "modules/campaigns/steps/task.ts",
    find: "assignee_id === null ? []",
    replace: 'assignee_id !== "" ? []',
    test: REFERENCES,
    name: "a task is given to a member of the team alone; of one who left since the launch check warns",
  },
  {
    promise: "Of two people who edit the steps at once, the second is told and the first one's steps stay",
    file: "modules/campaigns/write.ts",
    find: "if (read === undefined || read === row.version_id) return row;",
    replace: "return row;",
    test: CONFLICT,
    name: "every way to save compares the version it is given: nothing of what came too late is written",
  },
  {
    promise: "… also where both save in the same moment",
    file: "modules/campaigns/write.ts",
    find: 'const row = await campaignRow(ctx, id, "update");',
    replace: "const row = await campaignRow(ctx, id);",
    test: CONFLICT,
    name: "two people who save the steps of %s at once: one is saved, the other is told, and the first one's steps stay",
  },
]);
