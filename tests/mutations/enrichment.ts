import { of, type Mutation } from "./mutation.ts";

const COSTS = "modules/billing/sql/costs.sql";
const ASK = "modules/enrichment/ask.ts";
const SETTLE = "modules/enrichment/settle.ts";
const ENRICH = "modules/enrichment/enrich.test.ts";
const RUNS = "modules/enrichment/runs.test.ts";

/** What data providers are asked, paid and believed. */
export const enrichment: readonly Mutation[] = of("operations", [
  {
    promise: "No call is made that a budget has no room for",
    file: COSTS,
    find: "w.micros > 0 and s.micros + c.so_far > b.cap_micros",
    replace: "false",
    test: ENRICH,
    name: "no call is made that the contact's limit, the day's budget or the month's has no room for",
  },
  {
    promise: "… also when many ask at once",
    file: COSTS,
    find: "order by s.scope, s.scope_id, s.period for update;\n\n  return query",
    replace: "order by s.scope, s.scope_id, s.period;\n\n  return query",
    test: "modules/billing/costs.test.ts",
    name: "twenty transactions that reserve at once get no more than the budget has",
  },
  {
    promise: "An answer that was lost counts as spent",
    file: SETTLE,
    find: 'outcome.outcome === "unknown" ? most : ',
    replace: "",
    test: ENRICH,
    name: "an answer that was lost counts as spent, because it may have been charged",
  },
  {
    promise: "Stopping a run takes effect before the next call",
    file: ASK,
    find: "if (!(await round.goesOn(tx))) return { stopped: true };",
    replace: "",
    test: RUNS,
    name: "a stop between two providers takes effect before the next call",
  },
  {
    promise: "A worker that dies pays for no answer again",
    file: SETTLE,
    find: "if (kept.length > 0)",
    replace: "if (false)",
    test: RUNS,
    name: "a worker that dies after the calls leaves answers that nobody pays for again",
  },
  {
    promise: "What a person entered is not overwritten by what a provider says",
    file: "modules/enrichment/merge.ts",
    find: "!subject.entered.has(field) && best.confidence > standingSure",
    replace: "true",
    test: ENRICH,
    name: "what a person entered stays; the other value is offered, and used when somebody accepts it",
  },
  {
    promise: "… nor is what somebody edits at the same moment",
    file: "modules/contacts/enriched.ts",
    find: "where coalesce(to_jsonb(c) ->> x.key, '') = coalesce(x.value ->> 0, '')\n      group by w.id\n    ), written as (\n      update public.contacts c",
    replace: "where true\n      group by w.id\n    ), written as (\n      update public.contacts c",
    test: "modules/contacts/enriched.test.ts",
    name: "a column that changed since the decision keeps what somebody wrote, the others are written",
  },
]);
