import type { Ctx, ManualCtx } from "../kernel/context.ts";
import { uuid7 } from "../kernel/database/ids.ts";
import type { AnyProvider, Connection, LookupCapability, LookupOutcome } from "../kernel/provider.ts";
import { pause } from "../kernel/pause.ts";
import { scrub } from "../providers/credentials.ts";
import type { Field, Found, Kind, Question } from "../providers/enrichment/vocabulary.ts";

/** One provider asked with many questions: answers of the cache first, then calls, each within the budgets and written down with its price. */

export type Source = {
  id: string;
  kind: Kind;
  provider: AnyProvider;
  connection: Connection<Record<string, unknown>>;
  lookup: LookupCapability<Record<string, unknown>, Question, Found>;
  /** What is taken from it. */
  fields: ReadonlySet<Field>;
  /** Millionths of a US dollar. */
  unit_micros: number;
};

export type Ask = { contact_id: string; question: Question; key: string };

/** What came of a question. `found` is null where there is no answer. `micros`: what it cost; `saved`: what the cache saved. */
export type Answered = {
  status: "found" | "miss" | "refused" | "retry" | "later" | "unknown" | "broken" | "budget" | "stopped" | "busy";
  found: Found | null;
  micros: number;
  saved: number;
  cached: boolean;
  /** Milliseconds of the call, 0 from the cache. */
  ms: number;
  /** When the answer was fetched. */
  at: Date;
  detail: string;
};

/** What a round of questions belongs to, and how far it may go. */
export type Round = {
  run_id: string;
  campaign_id: string | null;
  concurrency: number;
  /** Answers of the cache that are older are not used; null: all are. */
  since: Date | null;
  /** By performance.now(): nothing is begun after it. */
  deadline: number;
  /** The longest wait for a provider's rate, in seconds. */
  patience: number;
  cache_days: number;
  miss_days: number;
  /** Whether the run still goes on; asked before each call, in the transaction that reserves it. */
  goesOn(ctx: Ctx): Promise<boolean>;
};

/** Ten years. */
const FORGET_DAYS = 3650;
/** An answer that is being prepared is asked for so often. */
const LATER_TRIES = 4;

/** Answers by question key. Questions with one key are asked once. */
export async function askAll(
  ctx: ManualCtx,
  source: Source,
  asks: readonly Ask[],
  round: Round,
): Promise<Map<string, Answered>> {
  const byKey = new Map(asks.map((a) => [a.key, a]));
  const answers = await fromCache(ctx, source, [...byKey.values()], round);
  let open = [...byKey.values()].filter((a) => !answers.has(a.key));
  for (let tries = 0; open.length > 0; tries++) {
    const later: { ask: Ask; after: number }[] = [];
    const { batch } = source.lookup.kinds[source.kind]!;
    const size = batch * (batch > 1 ? Math.max(1, Math.floor(round.concurrency / batch)) : round.concurrency);
    for (let i = 0; i < open.length; i += size) {
      const group = open.slice(i, i + size);
      for (const [ask, answered, after] of await askGroup(ctx, source, group, round)) {
        answers.set(ask.key, answered);
        if (after !== undefined) later.push({ ask, after });
      }
      // Nobody else would be answered either.
      if ([...answers.values()].some((a) => a.status === "broken" || a.status === "stopped")) break;
    }
    const wait = Math.max(0, ...later.map((l) => l.after));
    if (later.length === 0 || tries + 1 >= LATER_TRIES || performance.now() + wait * 1000 >= round.deadline) break;
    await pause(wait * 1000, ctx.signal);
    open = later.map((l) => l.ask);
  }
  return answers;
}

const none = (status: Answered["status"], detail: string, at: Date): Answered => ({
  status,
  found: null,
  micros: 0,
  saved: 0,
  cached: false,
  ms: 0,
  at,
  detail,
});

/** Price of the most that one question can cost. */
export const mostOf = ({ lookup, kind, unit_micros }: Source): number =>
  Math.ceil(lookup.kinds[kind]!.units * unit_micros);

/** SHA-256 of tenant and question, as hexadecimal. */
async function digest(tenantId: string, key: string): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`${tenantId}|${key}`));
  return [...new Uint8Array(bytes)].map((b) => b.toString(16).padStart(2, "0")).join("");
}

async function fromCache(
  ctx: ManualCtx,
  source: Source,
  asks: readonly Ask[],
  round: Round,
): Promise<Map<string, Answered>> {
  const keys = await Promise.all(asks.map(async (a) => ({ key: a.key, digest: await digest(ctx.tenantId, a.key) })));
  const { connection, provider, kind, unit_micros } = source;
  return await ctx.tx(async (tx) => {
    const rows = await tx.db<{ key: string; found: Found | null; units: number; fetched_at: Date }[]>`
      select k.key, c.found, c.units::float8 as units, c.fetched_at
      from jsonb_to_recordset(${tx.db.json(keys)}) as k(key text, digest text)
      join public.enrichment_cache c on c.tenant_id = (select kernel.tenant()) and c.connection_id = ${connection.id}
        and c.kind = ${kind} and c.key = decode(k.digest, 'hex')
      where c.expires_at > kernel.now() and c.fetched_at >= coalesce(${round.since}::timestamptz, '-infinity')`;
    if (rows.length === 0) return new Map();
    const answers = new Map(
      rows.map((r): [string, Answered] => [
        r.key,
        {
          ...none(r.found ? "found" : "miss", "", r.fetched_at),
          found: r.found,
          saved: Math.ceil(r.units * unit_micros),
          cached: true,
        },
      ]),
    );
    const entries = asks.flatMap((a) => {
      const answered = answers.get(a.key);
      if (!answered) return [];
      const { campaign_id, run_id } = round;
      const whose = { contact_id: a.contact_id, campaign_id, run_id, connection_id: connection.id };
      return [
        { kind: ledgerKind(kind), outcome: "cached", provider: provider.id, saved_micros: answered.saved, ...whose },
      ];
    });
    await tx.db`select private.note_free_answers(${tx.db.json(entries)})`;
    return answers;
  });
}

const ledgerKind = (kind: Kind): string => (kind === "email" ? "verification" : "enrichment");

type Told = readonly [ask: Ask, answered: Answered, laterAfter: number | undefined];

/** Reserves, calls, writes down: two transactions for a group, none open during the calls. */
async function askGroup(ctx: ManualCtx, source: Source, group: readonly Ask[], round: Round): Promise<Told[]> {
  const all = (status: Answered["status"], detail: string): Told[] =>
    group.map((ask) => [ask, none(status, detail, new Date()), undefined] as const);
  const { batch } = source.lookup.kinds[source.kind]!;
  const calls = Math.ceil(group.length / batch);
  for (;;) {
    const reserved = await ctx.tx((tx) => reserve(tx, source, group, calls, round));
    if ("stopped" in reserved) return all("stopped", "");
    if ("wait" in reserved) {
      const over = performance.now() + reserved.wait * 1000 >= round.deadline || reserved.wait > round.patience;
      if (over || ctx.signal.aborted) return all("busy", "The provider's rate limit leaves no room in time.");
      await pause(reserved.wait * 1000, ctx.signal);
      continue;
    }
    const { entries } = reserved;
    const may = group.filter((a) => entries.get(a.key)!.refused_by === null);
    const refused = group.flatMap((ask): Told[] => {
      const by = entries.get(ask.key)!.refused_by;
      return by === null ? [] : [[ask, none("budget", by, new Date()), undefined]];
    });
    if (may.length === 0) return refused;
    const outcomes = await callAll(ctx, source, may);
    return [...refused, ...(await ctx.tx((tx) => settle(tx, source, may, outcomes, entries, round)))];
  }
}

type Entry = { id: string; refused_by: string | null };
type Reserved = { stopped: true } | { wait: number } | { entries: Map<string, Entry> };

async function reserve(tx: Ctx, source: Source, group: readonly Ask[], calls: number, round: Round): Promise<Reserved> {
  if (!(await round.goesOn(tx))) return { stopped: true };
  const { connection, lookup, provider } = source;
  const own = Number(connection.settings.per_second);
  const rate = Number.isFinite(own) && own > 0 ? own : lookup.per_second;
  const [token] = await tx.db<{ taken: boolean; retry_after: number }[]>`
    select taken, retry_after from kernel.take_tokens(${`connection:${connection.id}`}, ${Math.max(rate, calls)}, ${rate}, ${calls})`;
  if (!token!.taken) return { wait: Math.max(0.05, token!.retry_after) };
  const micros = mostOf(source);
  const wanted = group.map((a) => ({
    id: uuid7(),
    kind: ledgerKind(source.kind),
    provider: provider.id,
    connection_id: connection.id,
    contact_id: a.contact_id,
    campaign_id: round.campaign_id,
    run_id: round.run_id,
    micros,
  }));
  const rows = await tx.db<Entry[]>`select id, refused_by from private.reserve_costs(${tx.db.json(wanted)})`;
  const byId = new Map(rows.map((r) => [r.id, r]));
  return { entries: new Map(group.map((a, i) => [a.key, byId.get(wanted[i]!.id)!])) };
}

type Outcome = { outcome: LookupOutcome<Found>; ms: number };

/** Calls side by side; whatever an adapter throws is an outcome, because a call was made. */
async function callAll(ctx: ManualCtx, source: Source, asks: readonly Ask[]): Promise<Outcome[]> {
  const { lookup, connection, provider, kind } = source;
  const { batch } = lookup.kinds[kind]!;
  const parts = Array.from({ length: Math.ceil(asks.length / batch) }, (_, i) =>
    asks.slice(i * batch, (i + 1) * batch),
  );
  const answered = await Promise.all(
    parts.map(async (part): Promise<Outcome[]> => {
      const started = performance.now();
      const call = async (some: readonly Ask[]) => {
        const got = await lookup.lookup(
          kind,
          some.map((a) => a.question),
          connection,
          ctx.http,
        );
        if (got.length !== some.length)
          throw new Error(`${provider.id} gave ${got.length} answers to ${some.length} questions`);
        return got;
      };
      let outcomes: LookupOutcome<Found>[];
      try {
        outcomes = await call(part);
        // One bad question had them all refused: each is asked by itself. A refused call is not charged.
        if (part.length > 1 && outcomes.every((o) => o.outcome === "refused")) {
          outcomes = [];
          for (const ask of part) outcomes.push(...(await call([ask])));
        }
      } catch (error) {
        ctx.log.error("a provider's adapter failed", { provider: provider.id, connection: connection.id, error });
        outcomes = part.map(() => ({
          outcome: "unknown",
          code: "adapter_error",
          detail: "The adapter failed during the request.",
        }));
      }
      const ms = Math.round(performance.now() - started);
      ctx.metrics.observe("overture_lookup_seconds", "Time of a lookup call", ms / 1000, { provider: provider.id });
      for (const [outcome, some] of Map.groupBy(outcomes, (o) => o.outcome))
        ctx.metrics.count(
          "overture_lookups_total",
          "Questions by outcome",
          { provider: provider.id, outcome },
          some.length,
        );
      return outcomes.map((outcome) => ({ outcome, ms }));
    }),
  );
  return answered.flat();
}

/** Ledger, cache and health in one transaction with each other: an answer that was paid for is kept before anything is made of it. */
async function settle(
  tx: Ctx,
  source: Source,
  asks: readonly Ask[],
  outcomes: readonly Outcome[],
  entries: ReadonlyMap<string, Entry>,
  round: Round,
): Promise<Told[]> {
  const { connection, provider, unit_micros, kind } = source;
  const most = mostOf(source);
  const words = (o: LookupOutcome<Found>) =>
    "detail" in o ? scrub(o.detail, provider, connection.credentials).slice(0, 300) : "";
  const told = asks.map((ask, i) => {
    const { outcome, ms } = outcomes[i]!;
    const units = "units" in outcome ? outcome.units : 0;
    return {
      ask,
      outcome,
      ms,
      units,
      // What may have been charged counts as charged.
      micros: outcome.outcome === "unknown" ? most : Math.ceil(units * unit_micros),
      detail: words(outcome),
    };
  });
  await tx.db`select private.settle_costs(${tx.db.json(
    told.map((t) => ({
      id: entries.get(t.ask.key)!.id,
      state: t.outcome.outcome === "unknown" ? "unknown" : "settled",
      outcome: t.outcome.outcome,
      units: t.units,
      micros: t.micros,
      latency_ms: t.ms,
      detail: t.detail,
    })),
  )})`;
  // Also a refusal is kept: the same question would be refused again.
  const kept = await Promise.all(
    told
      .filter((t) => ["found", "miss", "refused"].includes(t.outcome.outcome))
      .map(async (t) => ({
        digest: await digest(tx.tenantId, t.ask.key),
        found: t.outcome.outcome === "found" ? t.outcome.found : null,
        units: t.units,
        days:
          t.outcome.outcome === "found"
            ? round.cache_days
            : // Who asked the provider not to be looked up is not asked about there again.
              "forget" in t.outcome && t.outcome.forget
              ? FORGET_DAYS
              : round.miss_days,
      })),
  );
  if (kept.length > 0)
    await tx.db`
      insert into public.enrichment_cache as c (tenant_id, connection_id, kind, key, found, units, fetched_at, expires_at)
      select ${tx.tenantId}::uuid, ${connection.id}::uuid, ${kind}, decode(k.digest, 'hex'), nullif(k.found, 'null'::jsonb), k.units, kernel.now(),
        kernel.now() + make_interval(days => k.days)
      from jsonb_to_recordset(${tx.db.json(kept as never)}) as k(digest text, found jsonb, units numeric, days int)
      order by 4
      on conflict (tenant_id, connection_id, kind, key) do update
        set found = excluded.found, units = excluded.units, fetched_at = excluded.fetched_at, expires_at = excluded.expires_at`;
  await noteHealth(tx, source, told);
  const pauses = told.flatMap(({ outcome }) => (outcome.outcome === "retry" ? [outcome.after_seconds ?? 0] : []));
  const wait = Math.max(0, ...pauses);
  if (wait > 0) await tx.db`select kernel.block_bucket(${`connection:${connection.id}`}, ${wait})`;
  return told.map(({ ask, outcome, ms, micros, detail }) => [
    ask,
    {
      ...none(outcome.outcome, detail, tx.now),
      found: outcome.outcome === "found" ? outcome.found : null,
      micros,
      ms,
    },
    outcome.outcome === "later" ? outcome.after_seconds : undefined,
  ]);
}

async function noteHealth(
  tx: Ctx,
  { connection }: Source,
  told: readonly { outcome: LookupOutcome<Found>; detail: string }[],
): Promise<void> {
  const count = (...kinds: string[]) => told.filter((t) => kinds.includes(t.outcome.outcome)).length;
  const bad = told.find((t) => ["broken", "retry", "unknown"].includes(t.outcome.outcome));
  const health = {
    connection_id: connection.id,
    ok: count("found", "miss", "refused", "later"),
    bad: count("retry", "unknown"),
    rejected: 0,
    broken: count("broken") > 0,
    error: bad?.detail ?? null,
  };
  await tx.db`select private.note_health(${tx.db.json([health])})`;
}
