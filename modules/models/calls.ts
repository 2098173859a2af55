import { z } from "zod";
import { timestamp } from "../contacts/schemas.ts";
import { cursorTime, decodeCursor, pageOf, pageParams, toPage, withoutSortKey } from "../kernel/operations/cursor.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { OUTCOMES } from "./answer.ts";

/** What the models were asked, what they took and what they did cost. */

const tokens = {
  tokens_in: z.number().int().describe("All that was read, cached and written ones included."),
  tokens_cached: z.number().int().describe("Read from the provider's cache."),
  tokens_written: z.number().int().describe("Put into the provider's cache."),
  tokens_out: z.number().int(),
  cost_micros: z.number().int().describe("In millionths of a US dollar."),
  saved_micros: z.number().int().describe("What answers that were kept would have cost."),
};

const ModelCall = z
  .object({
    id: z.uuid(),
    at: timestamp,
    run_id: z.uuid(),
    contact_id: z.uuid().nullable(),
    campaign_id: z.uuid().nullable(),
    node: z.string(),
    prompt_version: z.string(),
    alias: z.string(),
    route: z
      .string()
      .describe("Why this alias: the fact of the rule that held, default, chosen, share_cap or alias_missing."),
    provider: z.string(),
    model: z.string(),
    is_repair: z.boolean(),
    outcome: z.enum(OUTCOMES).nullable().describe("Null: under way."),
    ...tokens,
    latency_ms: z.number().int().nullable(),
    detail: z.string(),
  })
  .meta({ id: "ModelCall" });

const narrow = {
  run_id: z.uuid().optional(),
  contact_id: z.uuid().optional(),
  node: z.string().max(60).optional(),
  model: z.string().max(200).optional(),
  outcome: z.enum(OUTCOMES).optional(),
};

export const listCalls = defineOperation({
  id: "models.calls",
  method: "GET",
  path: "/models/calls",
  summary: "List the calls of language models, newest first",
  description: "Prompts and answers are not kept here.",
  permission: "models:read",
  input: z.object({ ...narrow, ...pageParams }),
  output: pageOf(ModelCall),
  async handle({ db }, { limit, cursor, ...wanted }) {
    const after = decodeCursor(cursor, z.tuple([cursorTime, z.uuid()]));
    const rows = await db<(z.input<typeof ModelCall> & { sort_key: string })[]>`
      select m.id, m.at, m.run_id, m.contact_id, m.campaign_id, m.node, m.prompt_version, m.alias, m.route, m.provider, m.model, m.is_repair,
        m.outcome, m.tokens_in, m.tokens_cached, m.tokens_written, m.tokens_out, m.cost_micros::float8 as cost_micros,
        m.saved_micros::float8 as saved_micros, m.latency_ms, m.detail, m.at::text as sort_key
      from public.model_calls m where m.tenant_id = (select kernel.tenant())
        ${wanted.run_id ? db`and m.run_id = ${wanted.run_id}` : db``} ${wanted.contact_id ? db`and m.contact_id = ${wanted.contact_id}` : db``}
        ${wanted.node ? db`and m.node = ${wanted.node}` : db``} ${wanted.model ? db`and m.model = ${wanted.model}` : db``}
        ${wanted.outcome ? db`and m.outcome = ${wanted.outcome}` : db``}
        ${after ? db`and (m.at, m.id) < (${after[0]}::text::timestamptz, ${after[1]}::text::uuid)` : db``}
      order by m.at desc, m.id desc limit ${limit + 1}`;
    return toPage(rows, limit, (r) => [r.sort_key, r.id], withoutSortKey);
  },
});

const share = z.number().nullable().describe("0 to 1; null where there are no calls.");
const Usage = z.object({
  calls: z.number().int(),
  cached: z.number().int().describe("Answered from the cache."),
  ...tokens,
});

export const modelUsage = defineOperation({
  id: "models.usage",
  method: "GET",
  path: "/models/usage",
  summary: "Report the mix of models and what they cost, by day and by step",
  permission: "models:read",
  input: z.object({
    days: z.coerce.number().int().min(1).max(366).default(30).describe("How many days back."),
    run_id: z.uuid().optional().describe("Only calls of this run."),
  }),
  output: z.object({
    total: Usage,
    mix: z.array(
      Usage.extend({
        alias: z.string(),
        provider: z.string(),
        model: z.string(),
        share,
        failed: z.number().int().describe("Calls without a good answer."),
        p95_ms: z.number().int().nullable(),
      }),
    ),
    nodes: z.array(Usage.extend({ node: z.string() })).describe("By the step that asked."),
    days: z.array(Usage.extend({ day: z.string(), provider: z.string(), model: z.string() })),
  }),
  async handle({ db }, { days, run_id }) {
    const sums = db`
      count(*) filter (where coalesce(m.outcome, '') <> 'cached')::int as calls, count(*) filter (where m.outcome = 'cached')::int as cached,
      coalesce(sum(m.tokens_in), 0)::float8 as tokens_in, coalesce(sum(m.tokens_cached), 0)::float8 as tokens_cached,
      coalesce(sum(m.tokens_written), 0)::float8 as tokens_written, coalesce(sum(m.tokens_out), 0)::float8 as tokens_out,
      coalesce(sum(m.cost_micros), 0)::float8 as cost_micros, coalesce(sum(m.saved_micros), 0)::float8 as saved_micros`;
    const since = db`
      from public.model_calls m where m.tenant_id = (select kernel.tenant()) and m.at > kernel.now() - make_interval(days => ${days})
        ${run_id ? db`and m.run_id = ${run_id}` : db``}`;
    type Sums = z.input<typeof Usage>;
    const [total] = await db<Sums[]>`select ${sums} ${since}`;
    const mix = await db<
      (Sums & { alias: string; provider: string; model: string; failed: number; p95_ms: number | null })[]
    >`
      select m.alias, m.provider, m.model, ${sums}, count(*) filter (where m.outcome not in ('completed', 'cached'))::int as failed,
        percentile_disc(0.95) within group (order by m.latency_ms) filter (where coalesce(m.outcome, '') <> 'cached') as p95_ms
      ${since} group by 1, 2, 3 order by calls desc, 1, 2, 3`;
    const nodes = await db<(Sums & { node: string })[]>`select m.node, ${sums} ${since} group by 1 order by 1`;
    const byDay = await db<(Sums & { day: string; provider: string; model: string })[]>`
      select to_char(m.at at time zone 'UTC', 'YYYY-MM-DD') as day, m.provider, m.model, ${sums}
      ${since} group by 1, 2, 3 order by 1, 2, 3`;
    return {
      total: total!,
      mix: mix.map((m) => ({ ...m, share: total!.calls === 0 ? null : m.calls / total!.calls })),
      nodes: [...nodes],
      days: [...byDay],
    };
  },
});
