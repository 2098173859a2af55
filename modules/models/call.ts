import type { Ctx, ManualCtx } from "../kernel/context.ts";
import { uuid7 } from "../kernel/database/ids.ts";
import type { CompletionOutcome, CompletionRequest, CompletionUsage } from "../kernel/provider.ts";
import { scrub } from "../providers/credentials.ts";
import type { Candidate } from "./aliases.ts";
import type { Judged } from "./answer.ts";
import { costOf, mostOf } from "./prices.ts";

/** One call of one model: reserved before, written down after, in a transaction each and none open meanwhile. */

/** What a call belongs to, for the ledger and the list of calls. */
export type Belongs = {
  run_id: string;
  contact_id: string | null;
  campaign_id: string | null;
  node: string;
  prompt_version: string;
  alias: string;
  route: string;
};

/** `budget`: the one that has no room. `wait`: seconds until the connection's token limit has room; nothing was called. */
export type Called<T> =
  { budget: string } | { wait: number } | { judged: Judged<T>; micros: number; usage: CompletionUsage };

export type Call<T> = {
  candidate: Candidate;
  request: CompletionRequest;
  belongs: Belongs;
  is_repair: boolean;
  /** Milliseconds that the vendor may take. */
  ms: number;
  judge(told: CompletionOutcome): Judged<T>;
  /** Keeps a good answer, in the transaction that writes the call down. */
  keep(tx: Ctx, text: string, micros: number): Promise<void>;
};

const NONE: CompletionUsage = { input: 0, cached: 0, written: 0, output: 0 };
/** What vendors put around every message. */
const FRAME_BYTES = 64;
/** What they say to the model about a schema, besides the schema. */
const SCHEMA_BYTES = 1024;

/** Bytes that are sent: the most tokens that can be read. */
export function bytesOf({ system, messages, schema }: CompletionRequest): number {
  const size = (text: string) => new TextEncoder().encode(text).byteLength;
  return (
    size(system) +
    messages.reduce((n, m) => n + size(m.content) + FRAME_BYTES, FRAME_BYTES) +
    (schema ? size(JSON.stringify(schema.schema)) + SCHEMA_BYTES : 0)
  );
}

/** Takes the transaction back with what it reserved. */
class NoRoom extends Error {
  readonly wait: number;
  constructor(wait: number) {
    super("the token limit has no room");
    this.wait = wait;
  }
}

export async function callModel<T>(ctx: ManualCtx, call: Call<T>): Promise<Called<T>> {
  const id = uuid7();
  const most = mostOf(call.candidate.prices, bytesOf(call.request), call.request.max_output_tokens);
  let refusedBy: string | null;
  try {
    refusedBy = await ctx.tx((tx) => reserve(tx, call, id, most));
  } catch (error) {
    if (error instanceof NoRoom) return { wait: error.wait };
    throw error;
  }
  if (refusedBy !== null) return { budget: refusedBy };
  const { told, ms } = await ask(ctx, call);
  const judged = call.judge(told);
  const usage = "usage" in judged ? judged.usage : NONE;
  // What may have been charged counts as charged.
  const micros = judged.outcome === "unknown" ? most : costOf(call.candidate.prices, usage);
  await ctx.tx((tx) => settle(tx, call, id, judged, usage, micros, ms));
  return { judged, micros, usage };
}

const bucket = ({ connection }: Candidate) => `tokens:${connection.id}`;

/** The budget that has no room, or null: the most it may cost is reserved, its tokens are taken, and the call is noted. */
async function reserve<T>(tx: Ctx, call: Call<T>, id: string, most: number): Promise<string | null> {
  const { candidate, belongs, request } = call;
  const { connection, provider, complete, model } = candidate;
  const { run_id, contact_id, campaign_id } = belongs;
  const entry = {
    id,
    kind: "model",
    provider: provider.id,
    connection_id: connection.id,
    contact_id,
    campaign_id,
    run_id,
    micros: most,
  };
  const [row] = await tx.db<{ refused_by: string | null }[]>`
    select refused_by from private.reserve_costs(${tx.db.json([entry])})`;
  if (row!.refused_by !== null) return row!.refused_by;
  const own = Number(connection.settings.tokens_per_minute);
  const perMinute = Number.isFinite(own) && own > 0 ? own : complete.tokens_per_minute;
  // As vendors reckon before a call: four bytes a token, and all that may be written.
  const tokens = Math.ceil(bytesOf(request) / 4) + request.max_output_tokens;
  const [room] = await tx.db<{ taken: boolean; retry_after: number }[]>`
    select taken, retry_after from kernel.take_tokens(${bucket(candidate)}, ${Math.max(perMinute, tokens)}, ${perMinute / 60}, ${tokens})`;
  if (!room!.taken) throw new NoRoom(Math.max(0.05, room!.retry_after));
  const noted = {
    id,
    ...belongs,
    provider: provider.id,
    connection_id: connection.id,
    model,
    is_repair: call.is_repair,
  };
  await tx.db`select private.begin_model_call(${tx.db.json(noted)})`;
  return null;
}

/** Whatever an adapter throws is an outcome, because a call was made. */
async function ask<T>(
  ctx: ManualCtx,
  { candidate, request, ms }: Call<T>,
): Promise<{ told: CompletionOutcome; ms: number }> {
  const { complete, connection, provider } = candidate;
  const started = performance.now();
  let told: CompletionOutcome;
  try {
    const http = ctx.http.with({ headersMs: ms, idleMs: ms, totalMs: ms });
    told = await complete.complete(request, connection, http);
  } catch (error) {
    ctx.log.error("a provider's adapter failed", { provider: provider.id, connection: connection.id, error });
    told = { outcome: "unknown", code: "adapter_error", detail: "The adapter failed during the request." };
  }
  const took = Math.round(performance.now() - started);
  const labels = { provider: provider.id, outcome: told.outcome };
  ctx.metrics.observe("overture_model_seconds", "Time of a call of a language model", took / 1000, {
    provider: provider.id,
  });
  ctx.metrics.count("overture_model_calls_total", "Calls of language models by outcome", labels);
  return { told, ms: took };
}

/** Ledger, list of calls, kept answer and health together: an answer that was paid for is written down before anything is made of it. */
async function settle<T>(
  tx: Ctx,
  call: Call<T>,
  id: string,
  judged: Judged<T>,
  usage: CompletionUsage,
  micros: number,
  ms: number,
): Promise<void> {
  const { provider, connection } = call.candidate;
  const words = judged.outcome === "invalid" ? judged.faults : "detail" in judged ? judged.detail : "";
  const detail = scrub(words, provider, connection.credentials).slice(0, 300);
  const { outcome } = judged;
  const entry = {
    id,
    state: outcome === "unknown" ? "unknown" : "settled",
    outcome,
    units: usage.input + usage.output,
    micros,
    latency_ms: ms,
    detail,
  };
  await tx.db`select private.settle_costs(${tx.db.json([entry])})`;
  const ended = { id, outcome, ...tokenColumns(usage), cost_micros: micros, saved_micros: 0, latency_ms: ms, detail };
  await tx.db`select private.end_model_call(${tx.db.json(ended)})`;
  if (judged.outcome === "completed" && judged.stop === "end") await call.keep(tx, judged.text, micros);
  if (judged.outcome === "retry" && judged.after_seconds)
    await tx.db`select kernel.block_bucket(${bucket(call.candidate)}, ${judged.after_seconds})`;
  const failed = outcome === "retry" || outcome === "unknown";
  const health = {
    connection_id: connection.id,
    ok: failed || outcome === "broken" ? 0 : 1,
    bad: failed ? 1 : 0,
    rejected: 0,
    broken: outcome === "broken",
    error: failed || outcome === "broken" ? detail : null,
  };
  await tx.db`select private.note_health(${tx.db.json([health])})`;
}

export const tokenColumns = (usage: CompletionUsage) => ({
  tokens_in: usage.input,
  tokens_cached: usage.cached,
  tokens_written: usage.written,
  tokens_out: usage.output,
});

/** An answer of the cache: a row of its own, with what it saved. */
export async function noteCached(tx: Ctx, candidate: Candidate, belongs: Belongs, saved: number): Promise<void> {
  const { provider, connection, model } = candidate;
  const { run_id, contact_id, campaign_id } = belongs;
  const connection_id = connection.id;
  const entry = {
    kind: "model",
    outcome: "cached",
    provider: provider.id,
    connection_id,
    contact_id,
    campaign_id,
    run_id,
    saved_micros: saved,
  };
  await tx.db`select private.note_free_answers(${tx.db.json([entry])})`;
  const id = uuid7();
  const noted = { id, ...belongs, provider: provider.id, connection_id, model, is_repair: false };
  await tx.db`select private.begin_model_call(${tx.db.json(noted)})`;
  const ended = {
    id,
    outcome: "cached",
    ...tokenColumns(NONE),
    cost_micros: 0,
    saved_micros: saved,
    latency_ms: 0,
    detail: "",
  };
  await tx.db`select private.end_model_call(${tx.db.json(ended)})`;
}
