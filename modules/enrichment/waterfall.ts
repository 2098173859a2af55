import type { Ctx, ManualCtx } from "../kernel/context.ts";
import { type Field, KINDS } from "../providers/enrichment/vocabulary.ts";
import { askAll } from "./ask.ts";
import { type Answered, mostOf, type Round, type Source } from "./question.ts";
import { absorb, type News } from "./merge.ts";
import { normaliseFound } from "./normalise.ts";
import { questionOf, type Subject } from "./subjects.ts";

/**
 * The waterfall: for each kind of question its providers in their order, each only about what is still missing. What one of them answers
 * is written before the next is asked, so that rows fill while a run goes on and nothing that was paid for is lost.
 */

/** A contact on its way through the waterfall. */
export type Item = {
  subject: Subject;
  /** Only these are taken from answers. */
  wanted: ReadonlySet<Field>;
  /** Wanted and not known. */
  missing: Set<Field>;
  filled: Set<Field>;
  spent_micros: number;
  cost_micros: number;
  saved_micros: number;
  calls: number;
  cached: number;
  /** Milliseconds that providers took for it. */
  ms: number;
  /** Why no more is asked; null: everything was. */
  reason: Reason | null;
  trace: {
    provider: string;
    kind: string;
    status: Answered["status"];
    cached: boolean;
    micros: number;
    ms: number;
    detail: string;
  }[];
};
/**
 * budget: a budget has no room. contact_cap: the most for one contact is reached. time: its ten seconds are over. stopped: somebody stopped the
 * run. provider: a provider could not answer. interrupted: the portion's time is over, or the process stops; it goes on later.
 */
export type Reason = "budget" | "contact_cap" | "time" | "stopped" | "provider" | "interrupted";

/** What a contact may take of providers' time. */
export const CONTACT_MS = 10_000;

export type Limits = { contact_cap_micros: number; refresh: boolean };

/** `spent_micros`: what earlier portions of the run cost for it. */
export function itemOf(
  subject: Subject,
  wanted: readonly Field[],
  { refresh }: Pick<Limits, "refresh">,
  spent_micros = 0,
): Item {
  const known = (field: Field) =>
    field === "email_status" ? isVerified(subject) : subject.current[field] !== undefined;
  return {
    subject,
    wanted: new Set(wanted),
    missing: new Set(refresh ? wanted : wanted.filter((f) => !known(f))),
    filled: new Set(),
    spent_micros,
    cost_micros: 0,
    saved_micros: 0,
    calls: 0,
    cached: 0,
    ms: 0,
    reason: null,
    trace: [],
  };
}

const isVerified = (subject: Subject): boolean =>
  subject.email_verified_at !== null || subject.current.email_status !== undefined;

/** Takes all items through all sources. Items end with what is missing and why, also when it throws. */
export async function pour(
  ctx: ManualCtx,
  sources: readonly Source[],
  items: readonly Item[],
  round: Round,
  limits: Limits,
): Promise<void> {
  try {
    await askSources(ctx, sources, items, round, limits);
  } catch (error) {
    // What was answered is in the cache: whoever goes on pays for none of it again.
    for (const item of items) if (item.missing.size > 0) item.reason = "interrupted";
    throw error;
  }
}

async function askSources(
  ctx: ManualCtx,
  sources: readonly Source[],
  items: readonly Item[],
  round: Round,
  limits: Limits,
): Promise<void> {
  for (const kind of KINDS)
    for (const source of sources.filter((s) => s.kind === kind)) {
      if (ctx.signal.aborted || performance.now() >= round.deadline) {
        for (const item of items) if (item.missing.size > 0) item.reason ??= "interrupted";
        return;
      }
      await askSource(ctx, source, items, round, limits);
    }
}

async function askSource(
  ctx: ManualCtx,
  source: Source,
  items: readonly Item[],
  round: Round,
  limits: Limits,
): Promise<void> {
  const { needs } = source.lookup.kinds[source.kind]!;
  const most = mostOf(source);
  const asking = items.flatMap((item) => {
    if (item.reason === "stopped" || ![...item.missing].some((f) => source.fields.has(f))) return [];
    // An address is verified only where there is one, and its own.
    const asked = questionOf(source.kind, item.subject, needs);
    if (!asked) return [];
    if (item.ms >= CONTACT_MS) {
      item.reason ??= "time";
      return [];
    }
    if (most > 0 && item.spent_micros + item.cost_micros + most > limits.contact_cap_micros) {
      item.reason ??= "contact_cap";
      return [];
    }
    return [{ item, contact_id: item.subject.contact_id, ...asked }];
  });
  if (asking.length === 0) return;
  const answers = await askAll(ctx, source, asking, round);
  const paid = new Set<string>();
  const news: News[] = [];
  for (const { item, key } of asking) {
    const answered = answers.get(key);
    if (!answered) {
      // Not asked any more: the portion's time is over, or the connection is unusable.
      item.reason ??= performance.now() >= round.deadline ? "interrupted" : "provider";
      continue;
    }
    // One question of several contacts is paid by the first.
    note(item, source, answered, !paid.has(key));
    paid.add(key);
    const heard = newsOf(item, source, answered, ctx);
    if (heard) news.push(heard);
  }
  if (news.length === 0) return;
  const filled = await ctx.tx((tx: Ctx) => absorb(tx, news, round.run_id));
  const byContact = new Map(items.map((i) => [i.subject.contact_id, i]));
  for (const n of news) {
    const item = byContact.get(n.subject.contact_id)!;
    // Answered is answered, also where a person's own entry stays.
    for (const field of Object.keys(n.values) as Field[])
      if (field !== "email_status" || n.values.email_status !== "unknown") item.missing.delete(field);
    for (const field of filled.get(n.subject.contact_id) ?? []) item.filled.add(field);
  }
}

function note(item: Item, source: Source, answered: Answered, pays: boolean): void {
  const micros = pays ? answered.micros : 0;
  item.cost_micros += micros;
  if (pays) item.saved_micros += answered.saved;
  item.ms += answered.ms;
  if (answered.cached) item.cached++;
  else if (pays && !["budget", "stopped", "busy"].includes(answered.status)) item.calls++;
  if (answered.status === "budget") item.reason ??= "budget";
  else if (answered.status === "stopped") item.reason = "stopped";
  else if (["retry", "later", "unknown", "broken", "busy"].includes(answered.status)) item.reason ??= "provider";
  const { status, cached, ms, detail } = answered;
  item.trace.push({ provider: source.provider.id, kind: source.kind, status, cached, micros, ms, detail });
}

function newsOf(item: Item, source: Source, { found, at }: Answered, ctx: ManualCtx): News | null {
  if (!found) return null;
  const country = item.subject.current.country;
  const values = normaliseFound(found, {
    country: typeof country === "string" ? country : null,
    year: at.getUTCFullYear(),
  });
  for (const field of Object.keys(values) as Field[])
    if (!source.fields.has(field) || !item.wanted.has(field)) delete values[field];
  // A verifier speaks of the address; a finder's word on it counts only while it is the contact's.
  if (
    source.kind === "person" &&
    values.email_status !== undefined &&
    values.email !== item.subject.current.email &&
    item.subject.current.email
  )
    delete values.email_status;
  if (Object.keys(values).length === 0) return null;
  const seen = found.seen_at ? new Date(found.seen_at) : null;
  if (seen && Number.isNaN(seen.getTime()))
    ctx.log.warn("a provider names a moment that is none", { provider: source.provider.id });
  return {
    subject: item.subject,
    provider: source.provider.id,
    connection_id: source.connection.id,
    values,
    confidence: (field) => found.confidences?.[field] ?? found.confidence,
    seen_at: seen && !Number.isNaN(seen.getTime()) && seen < at ? seen : null,
    fetched_at: at,
  };
}

/** What became of a contact: everything wanted, some of it, or nothing. */
export function outcomeOf({ missing, filled, reason }: Item): "complete" | "partial" | "nothing" {
  if (missing.size === 0 && reason !== "stopped") return "complete";
  return filled.size > 0 ? "partial" : "nothing";
}
