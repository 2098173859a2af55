import { z } from "zod";
import { type Fragment, prepare } from "../../contacts/filter-sql.ts";
import { FilterSchema, type Filter } from "../../contacts/filter.ts";
import type { Ctx } from "../../kernel/context.ts";
import { AppError } from "../../kernel/errors.ts";
import { defineStep, type StepReference, type StepResult, type StepRun } from "../../kernel/step.ts";
import { plain } from "../../kernel/text.ts";

const ABOUT_MESSAGES = ["opened", "clicked", "replied", "delivered", "sent"] as const;
/** What a condition can ask. */
export const RULES = [...ABOUT_MESSAGES, "has_address", "in_segment", "matches"] as const;

const Within = z
  .number()
  .int()
  .min(1)
  .max(365)
  .nullable()
  .default(null)
  .meta({ title: "Within days", description: "Null: since the contact was added." });

const Rule = z.discriminatedUnion("if", [
  z.strictObject({ if: z.enum(ABOUT_MESSAGES), step_id: z.uuid().nullable().default(null), within_days: Within }),
  z.strictObject({ if: z.literal("has_address"), channel: z.string().max(40) }),
  z.strictObject({ if: z.literal("in_segment"), segment_id: z.uuid() }),
  z.strictObject({ if: z.literal("matches"), filter: FilterSchema }),
]);
type Rule = z.output<typeof Rule>;

/** Two ways, by what is true of the person when they come here: after a wait, that is, by what is true then. */
export const conditionStep = defineStep({
  kind: "condition",
  label: "Condition",
  description: "Branches by the contact's activity or fields.",
  action: null,
  config: z.object({
    match: z.enum(["all", "any"]).default("all").meta({ title: "Match" }),
    rules: z.array(Rule).min(1, "name at least one rule").max(10).meta({ title: "Rules", widget: "rules" }),
  }),
  branches: () => ["yes", "no"],
  check: ({ rules }, { customKeys }) =>
    rules.flatMap((rule, i) =>
      rule.if === "matches"
        ? unknownFields(rule.filter as Filter, customKeys).map((field) => ({
            field: `rules/${i}/filter`,
            level: "error" as const,
            id: "unknown_field",
            detail: `There is no custom field ${field}.`,
          }))
        : [],
    ),
  references: ({ rules }) =>
    rules.flatMap((rule, i): StepReference[] => {
      if (rule.if === "matches") return [];
      const at = `rules/${i}`;
      if (rule.if === "has_address") return [{ to: "channel", id: rule.channel, field: `${at}/channel` }];
      if (rule.if === "in_segment") return [{ to: "segment", id: rule.segment_id, field: `${at}/segment_id` }];
      return rule.step_id === null ? [] : [{ to: "step", id: rule.step_id, field: `${at}/step_id` }];
    }),
  async plan(runs, ctx) {
    // One configuration, one question for all its people.
    const results = new Map<string, StepResult>();
    for (const group of byConfig(runs)) {
      const { match, rules } = group[0]!.config;
      try {
        const verdicts = await Promise.all(rules.map((rule) => peopleFor(ctx, rule, group)));
        for (const run of group) {
          const holds = verdicts.map((people) => people.has(run.enrollment_id));
          const way = (match === "all" ? holds.every(Boolean) : holds.some(Boolean)) ? "yes" : "no";
          results.set(run.enrollment_id, { do: "next", branch: way, outcome: way });
        }
      } catch (error) {
        // A filter may name a field that was removed since it was saved. It stops who stands at this step, and nobody else.
        if (!(error instanceof AppError) || error.code !== "invalid") throw error;
        const faults = error.errors?.map((e) => e.detail).join(" ") ?? error.message;
        for (const run of group)
          results.set(run.enrollment_id, { do: "block", reason: "condition_fault", detail: plain(faults, 500) });
      }
    }
    return runs.map((run) => results.get(run.enrollment_id)!);
  },
});

/** Custom fields that a filter names and the team has not. */
const unknownFields = (filter: Filter, known: ReadonlySet<string>): string[] =>
  "all" in filter
    ? filter.all.flatMap((f) => unknownFields(f, known))
    : "any" in filter
      ? filter.any.flatMap((f) => unknownFields(f, known))
      : "not" in filter
        ? unknownFields(filter.not, known)
        : filter.field.startsWith("custom.") && !known.has(filter.field.slice("custom.".length))
          ? [filter.field]
          : [];

type Runs = StepRun<z.output<(typeof conditionStep)["config"]>>[];

function byConfig(runs: readonly StepRun<{ match: "all" | "any"; rules: Rule[] }>[]) {
  const groups = new Map<string, (typeof runs)[number][]>();
  for (const run of runs) groups.set(run.node_id, [...(groups.get(run.node_id) ?? []), run]);
  return groups.values();
}

/** The enrollments of these for which a rule holds. */
async function peopleFor(ctx: Ctx, rule: Rule, runs: readonly Runs[number][]): Promise<Set<string>> {
  const { db } = ctx;
  const ids = runs.map((r) => r.enrollment_id);
  const matching = (contacts: Fragment) => db<{ id: string }[]>`
    select e.id from public.enrollments e join public.contacts c on c.tenant_id = e.tenant_id and c.id = e.contact_id
    where e.tenant_id = (select kernel.tenant()) and e.id = any(${ids}::uuid[]) and ${contacts}`;
  let rows: readonly { id: string }[];
  switch (rule.if) {
    case "has_address":
      rows = await matching(db`exists (select from public.contact_addresses a
        where a.tenant_id = c.tenant_id and a.contact_id = c.id and a.channel = ${rule.channel} and a.is_primary and a.state <> 'invalid')`);
      break;
    case "in_segment": {
      const [segment] = await db<{ filter: unknown }[]>`
        select filter from public.segments where tenant_id = ${ctx.tenantId} and id = ${rule.segment_id}`;
      // A segment that was deleted contains nobody.
      if (!segment) return new Set();
      rows = await matching(
        (await prepare(db, ctx.tenantId, { filters: [{ filter: segment.filter, pointer: "/segment" }] })).filter(
          segment.filter as Filter,
        ),
      );
      break;
    }
    case "matches":
      rows = await matching(
        (await prepare(db, ctx.tenantId, { filters: [{ filter: rule.filter, pointer: "/filter" }] })).filter(
          rule.filter as Filter,
        ),
      );
      break;
    default:
      rows = await db<{ id: string }[]>`
        select distinct m.enrollment_id as id from public.messages m
        join public.enrollments e on e.tenant_id = m.tenant_id and e.id = m.enrollment_id
        where m.tenant_id = (select kernel.tenant()) and m.enrollment_id = any(${ids}::uuid[]) and m.direction = 'out'
          and ${db(`m.${rule.if}_at`)} >= ${
            rule.within_days === null
              ? db`e.started_at`
              : db`greatest(e.started_at, kernel.now() - make_interval(days => ${rule.within_days}))`
          }
          ${rule.step_id ? db`and m.step_id = ${rule.step_id}` : db``}`;
  }
  return new Set(rows.map((r) => r.id));
}
