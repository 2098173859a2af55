import { z } from "zod";
import type { Ctx, ManualCtx } from "../kernel/context.ts";
import { pause } from "../kernel/pause.ts";
import type { CompletionRequest, CompletionUsage } from "../kernel/provider.ts";
import { type Candidate, openCandidates } from "./aliases.ts";
import { judge, parseAnswer } from "./answer.ts";
import { type Belongs, callModel, noteCached } from "./call.ts";
import { pickPrompt } from "./prompts.ts";
import { repairPrompt } from "./prompts/repair.ts";
import { type Facts, type Policy, type Route, routeOf } from "./route.ts";
import { readPolicy } from "./routing.ts";
import { readCacheHours } from "./settings.ts";

/**
 * The one way to have a language model answer: a rule or the caller chooses the alias, its vendors are asked in their order, every call is
 * held against the budgets before it is made, and an answer that does not fit its form is asked for once more.
 */

export type CompleteInput<T> = {
  /** What asks: a step of a graph, such as `write`. At most 60 characters. */
  node: string;
  /** Such as `write@2`; `pickPrompt` gives it. */
  prompt_version: string;
  run_id: string;
  contact_id?: string | null;
  campaign_id?: string | null;
  /** The alias itself, or the facts that choose one. */
  alias?: string;
  facts?: Facts;
  /** The same from call to call. */
  system: string;
  messages: CompletionRequest["messages"];
  /** The answer is JSON of this shape, and `value` is what it parses to. */
  schema?: z.ZodType<T>;
  /** Tokens, thinking included; 1,024 unless given. */
  max_output_tokens?: number;
  /** Milliseconds for everything, other vendors and the repair included; 60,000 unless given. */
  timeout_ms?: number;
  /** Past the cache of answers. */
  fresh?: boolean;
};

/** What it took, all calls together. `tokens` are the sum of what the vendors count. */
export type Spent = { cost_micros: number; saved_micros: number; tokens: CompletionUsage; calls: number };

/**
 * budget: no budget has room for any of the models. no_model: none can be asked. invalid: the answer did not fit its form, also not after the
 * repair. length: JSON that was cut off. declined: the model does not want to answer. unavailable: no vendor answered. time: it is over.
 */
export type FailReason = "budget" | "no_model" | "invalid" | "length" | "declined" | "unavailable" | "time";

export type Completed<T> = Spent & { route: Route } & (
    | { ok: true; text: string; value: T; stop: "end" | "length"; provider: string; model: string; cached: boolean }
    | { ok: false; reason: FailReason; detail: string }
  );

const TIMEOUT_MS = 60_000;
const MAX_OUTPUT = 1024;
/** How often the whole order is asked; rounds in which nothing was called, because token limits have no room, do not count. */
const ROUNDS = 3;
/** A vendor gets at least so much of the time, in milliseconds. */
const LEAST_MS = 5000;
/** Routed calls that the share of better models is taken of. */
const SHARE_OF = 1000;

type Prepared = { route: Route; candidates: Candidate[]; hours: number; repair: (faults: string) => string };

export async function complete<T = undefined>(ctx: ManualCtx, input: CompleteInput<T>): Promise<Completed<T>> {
  const deadline = performance.now() + (input.timeout_ms ?? TIMEOUT_MS);
  const left = () => deadline - performance.now();
  const { system, messages, schema } = input;
  const contact_id = input.contact_id ?? null;
  const form = schema && { name: "answer", schema: z.toJSONSchema(schema, { io: "input" }) as Record<string, unknown> };
  const requestFor = (model: string, cache: boolean): CompletionRequest => ({
    model,
    system,
    messages,
    max_output_tokens: input.max_output_tokens ?? MAX_OUTPUT,
    ...(form ? { schema: form } : {}),
    cache,
  });
  const spent: Spent = {
    cost_micros: 0,
    saved_micros: 0,
    tokens: { input: 0, cached: 0, written: 0, output: 0 },
    calls: 0,
  };

  const { route, candidates, hours, repair } = await ctx.tx((tx) => prepare(tx, input));
  const belongs: Belongs = {
    run_id: input.run_id,
    contact_id,
    campaign_id: input.campaign_id ?? null,
    node: input.node,
    prompt_version: input.prompt_version,
    alias: route.alias,
    route: route.because,
  };
  const fail = (reason: FailReason, detail: string): Completed<T> => ({ ...spent, route, ok: false, reason, detail });
  if (candidates.length === 0)
    return fail(
      "no_model",
      `No model of the alias ${route.alias} can be asked: connect a provider and add it with PUT /models.`,
    );

  const keys = new Map<Candidate, string>();
  for (const c of candidates) keys.set(c, await keyOf(ctx.tenantId, c, requestFor(c.model, route.cache)));
  const kept = input.fresh || hours === 0 ? null : await fromCache(ctx, keys, belongs, schema);
  if (kept) return { ...spent, route, ok: true, stop: "end", cached: true, ...kept };

  const out = new Set<Candidate>();
  let repaired = false;
  let failure = fail("time", "The time was over before a model answered.");

  /** One call, and what it took added up. */
  const one = async (candidate: Candidate, request: CompletionRequest, others: number, is_repair: boolean) => {
    const called = await callModel<T>(ctx, {
      candidate,
      request,
      belongs,
      is_repair,
      ms: Math.max(Math.min(LEAST_MS, left()), left() / (others + 1)),
      judge: (told) => judge(told, schema),
      keep: (tx, text, micros) => keep(tx, keys.get(candidate)!, text, micros, contact_id, hours),
    });
    if (!("judged" in called)) return called;
    spent.calls++;
    spent.cost_micros += called.micros;
    for (const name of ["input", "cached", "written", "output"] as const) spent.tokens[name] += called.usage[name];
    return called;
  };

  for (let round = 0; round < ROUNDS;) {
    const before = spent.calls;
    // Seconds until one of them may answer.
    let wait = Number.POSITIVE_INFINITY;
    for (const [i, candidate] of candidates.entries()) {
      if (out.has(candidate)) continue;
      if (left() <= 0 || ctx.signal.aborted) return fail("time", failure.ok ? "" : failure.detail);
      const request = requestFor(candidate.model, route.cache);
      const others = candidates.slice(i + 1).filter((c) => !out.has(c)).length;
      let called = await one(candidate, request, others, false);
      if ("judged" in called && called.judged.outcome === "invalid" && !repaired && left() > 0) {
        repaired = true;
        const { text, faults } = called.judged;
        const again: CompletionRequest["messages"] = [
          ...messages,
          { role: "assistant", content: text.trim() || "(nothing)" },
          { role: "user", content: repair(faults) },
        ];
        called = await one(candidate, { ...request, messages: again }, others, true);
      }
      if ("budget" in called) {
        failure = fail("budget", `The budget of the ${called.budget} has no room for the call.`);
        out.add(candidate);
        continue;
      }
      if ("wait" in called) {
        wait = Math.min(wait, called.wait);
        failure = fail("unavailable", "The token limit of the connection leaves no room in time.");
        continue;
      }
      const { judged } = called;
      switch (judged.outcome) {
        case "completed": {
          const { text, value, stop } = judged;
          const { provider, model } = candidate;
          return { ...spent, route, ok: true, text, value, stop, provider: provider.id, model, cached: false };
        }
        case "invalid":
          return fail("invalid", judged.faults);
        case "length":
        case "declined":
          return fail(judged.outcome, judged.detail);
        case "refused":
        case "broken":
          // Another vendor may take it.
          out.add(candidate);
          break;
        case "retry":
          wait = Math.min(wait, judged.after_seconds ?? 2 ** round);
          break;
        case "unknown":
          // A completion changes nothing anywhere, so asking again is safe; what may have been charged is in the ledger.
          wait = Math.min(wait, 2 ** round);
      }
      failure = fail("unavailable", judged.detail);
    }
    if (spent.calls > before) round++;
    if (round === ROUNDS || wait * 1000 >= left()) break;
    await pause(wait * 1000, ctx.signal);
  }
  return { ...failure, ...spent };
}

/** All that is read before the first call. */
async function prepare<T>(tx: Ctx, input: CompleteInput<T>): Promise<Prepared> {
  const policy = await readPolicy(tx);
  let route: Route = input.alias
    ? { alias: input.alias, cache: policy.default_cache, because: "chosen" }
    : routeOf(policy, input.facts ?? {});
  const byDefault = { alias: policy.default_alias, cache: policy.default_cache };
  if (route.because !== "chosen" && route.alias !== policy.default_alias && (await isOverShare(tx, policy)))
    route = { ...byDefault, because: "share_cap" };
  let candidates = await openCandidates(tx, [route.alias]);
  // A team without such a model uses what it has; one whose vendors are all down waits for them.
  if (candidates.length === 0 && route.because !== "chosen" && !(await hasAlias(tx, route.alias))) {
    route = { ...byDefault, because: "alias_missing" };
    candidates = await openCandidates(tx, [route.alias]);
  }
  const { user } = await pickPrompt(tx, repairPrompt, input.contact_id ?? null);
  return { route, candidates, hours: await readCacheHours(tx), repair: (faults) => user({ faults }) };
}

async function hasAlias(tx: Ctx, alias: string): Promise<boolean> {
  const rows = await tx.db`
    select from public.models where tenant_id = (select kernel.tenant()) and alias = ${alias} and is_enabled limit 1`;
  return rows.length > 0;
}

/** Whether one more call elsewhere than to the default would be over the team's share. Calls at the same time do not see each other. */
async function isOverShare(tx: Ctx, { share_cap, default_alias }: Policy): Promise<boolean> {
  if (share_cap === null) return false;
  const [row] = await tx.db<{ n: number; others: number }[]>`
    select count(*)::int as n, count(*) filter (where x.alias <> ${default_alias})::int as others
    from (select m.alias from public.model_calls m
      where m.tenant_id = (select kernel.tenant()) and m.route <> 'chosen' and m.at > kernel.now() - interval '30 days'
      order by m.at desc, m.id desc limit ${SHARE_OF}) x`;
  return (row!.others + 1) * 100 > share_cap * (row!.n + 1);
}

/** SHA-256 of the tenant, the model and the whole request, as hexadecimal. */
async function keyOf(
  tenantId: string,
  { provider, connection }: Candidate,
  request: CompletionRequest,
): Promise<string> {
  const { model, system, messages, max_output_tokens, schema } = request;
  const content = [
    tenantId,
    provider.id,
    connection.base_url,
    model,
    system,
    messages,
    max_output_tokens,
    schema?.schema,
  ];
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify(content)));
  return [...new Uint8Array(bytes)].map((b) => b.toString(16).padStart(2, "0")).join("");
}

/** The kept answer of the first model in the order that has one; null: none has. */
async function fromCache<T>(
  ctx: ManualCtx,
  keys: ReadonlyMap<Candidate, string>,
  belongs: Belongs,
  schema: z.ZodType<T> | undefined,
): Promise<{ text: string; value: T; provider: string; model: string; saved_micros: number } | null> {
  return await ctx.tx(async (tx) => {
    const rows = await tx.db<{ key: string; answer: string; cost_micros: number }[]>`
      select encode(c.key, 'hex') as key, c.answer, c.cost_micros::float8 as cost_micros
      from public.model_cache c
      where c.tenant_id = (select kernel.tenant()) and c.expires_at > kernel.now()
        and c.key in (select decode(k, 'hex') from unnest(${[...keys.values()]}::text[]) k)`;
    for (const [candidate, key] of keys) {
      const row = rows.find((r) => r.key === key);
      const read = row && (schema ? parseAnswer(row.answer, schema) : { ok: true as const, value: undefined as T });
      if (!row || !read?.ok) continue;
      await noteCached(tx, candidate, belongs, row.cost_micros);
      const { provider, model } = candidate;
      return { text: row.answer, value: read.value, provider: provider.id, model, saved_micros: row.cost_micros };
    }
    return null;
  });
}

async function keep(
  tx: Ctx,
  key: string,
  answer: string,
  micros: number,
  contactId: string | null,
  hours: number,
): Promise<void> {
  if (hours === 0) return;
  await tx.db`
    insert into public.model_cache as c (tenant_id, key, answer, cost_micros, contact_id, fetched_at, expires_at)
    select ${tx.tenantId}::uuid, decode(${key}, 'hex'), ${answer}, ${micros}, (select x.id from public.contacts x
        where x.tenant_id = (select kernel.tenant()) and x.id = ${contactId}::uuid), kernel.now(),
      kernel.now() + make_interval(hours => ${hours})
    on conflict (tenant_id, key) do update set answer = excluded.answer, cost_micros = excluded.cost_micros, contact_id = excluded.contact_id,
      fetched_at = excluded.fetched_at, expires_at = excluded.expires_at`;
}
