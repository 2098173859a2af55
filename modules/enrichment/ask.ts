import type { Ctx, ManualCtx } from "../kernel/context.ts";
import { uuid7 } from "../kernel/database/ids.ts";
import { pause } from "../kernel/pause.ts";
import type { Found } from "../providers/enrichment/vocabulary.ts";
import { ratePerSecond } from "../providers/rate.ts";
import { callAll } from "./calls.ts";
import {
  type Answered,
  type Ask,
  digest,
  type Entry,
  ledgerKind,
  mostOf,
  none,
  type Round,
  type Source,
  type Told,
} from "./question.ts";

/** One provider asked with many questions: answers of the cache first, then calls, each within the budgets and written down with its price. */

/** Calls that are reserved together, where a call carries one question: what a crash leaves reserved. */
const MOST_CALLS = 50;
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
    const size =
      batch *
      (batch > 1
        ? round.concurrency
        : Math.min(MOST_CALLS, Math.max(1, Math.floor(ratePerSecond(source.connection, source.lookup.per_second)))));
    for (let i = 0; i < open.length && performance.now() < round.deadline; i += size) {
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

/** Reserves in one transaction, calls, and writes down as answers come. No transaction is open during a call. */
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
    return [...refused, ...(await callAll(ctx, source, may, entries, round))];
  }
}

type Reserved = { stopped: true } | { wait: number } | { entries: Map<string, Entry> };

async function reserve(tx: Ctx, source: Source, group: readonly Ask[], calls: number, round: Round): Promise<Reserved> {
  if (!(await round.goesOn(tx))) return { stopped: true };
  const { connection, provider } = source;
  const rate = ratePerSecond(source.connection, source.lookup.per_second);
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
