import type { Ctx, ManualCtx } from "../kernel/context.ts";
import { uuid7 } from "../kernel/database/ids.ts";
import { pause } from "../kernel/pause.ts";
import type { AnyProvider, Connection, LookupOutcome, SearchCapability, SearchHit } from "../kernel/provider.ts";
import { scrub, toOpenConnection } from "../providers/credentials.ts";
import { ratePerSecond } from "../providers/rate.ts";
import type { ConnectionRow } from "../providers/schemas.ts";
import { type Draft, normal } from "./finding.ts";
import { speaksToMachines } from "./page.ts";
import { signalIn, signalInTitle } from "./signals.ts";
import { isRefused } from "./site.ts";

/** News of a company from the team's search providers, in the order they were connected: the next is asked when one cannot answer. */

const HITS = 10;
const DAYS = 180;

type Searcher = {
  provider: AnyProvider;
  connection: Connection<Record<string, unknown>>;
  search: SearchCapability<Record<string, unknown>>;
};

export async function openSearchers(ctx: Ctx): Promise<Searcher[]> {
  const rows = await ctx.db<Pick<ConnectionRow, "id" | "provider" | "credentials" | "settings" | "base_url">[]>`
    select id, provider, credentials, settings, base_url from public.connections
    where tenant_id = (select kernel.tenant()) and category = 'search' and status = 'active'
      and coalesce(circuit_open_until, '-infinity') <= kernel.now() order by created_at, id`;
  const searchers: Searcher[] = [];
  for (const row of rows) {
    const provider = ctx.registry.providers.find((p) => p.id === row.provider);
    if (!provider?.search) continue;
    searchers.push({
      provider,
      search: provider.search as Searcher["search"],
      connection: await toOpenConnection(ctx, ctx.tenantId, provider, row),
    });
  }
  return searchers;
}

type Outcome = LookupOutcome<readonly SearchHit[]>;
/** `added`: new findings. */
export type Searched = { added: number; micros: number; reason: "budget" | "provider" | null };

export type SearchRound = {
  run_id: string;
  deadline: number;
  goesOn(ctx: Ctx): Promise<boolean>;
  /** Keeps what an answer told, in the transaction that settles its price; returns how much is new. */
  keep(tx: Ctx, drafts: readonly Draft[]): Promise<number>;
};

/** Asks for news that name the company. What it costs is reserved before the call and written down after it. */
export async function searchNews(
  ctx: ManualCtx,
  searchers: readonly Searcher[],
  company: { name: string },
  round: SearchRound,
): Promise<Searched> {
  const keep = async (tx: Ctx, outcome: Outcome, provider: string): Promise<number> =>
    await round.keep(tx, outcome.outcome === "found" ? newsOf(outcome.found, company.name, provider) : []);
  let micros = 0;
  let reason: Searched["reason"] = null;
  for (const searcher of searchers) {
    const asked = await askOne(ctx, searcher, `"${company.name.replaceAll('"', " ")}" news`, round, keep);
    if (asked === "stopped") return { added: 0, micros, reason: null };
    if (asked === "budget" || asked === "busy") {
      reason = asked === "budget" ? "budget" : "provider";
      continue;
    }
    micros += asked.micros;
    if (asked.answered) return { added: asked.added, micros, reason: null };
    reason = "provider";
  }
  return { added: 0, micros, reason };
}

type Keep = (tx: Ctx, outcome: Outcome, provider: string) => Promise<number>;
type Asked = { answered: boolean; added: number; micros: number };

async function askOne(
  ctx: ManualCtx,
  { provider, connection, search }: Searcher,
  text: string,
  round: SearchRound,
  keep: Keep,
): Promise<Asked | "budget" | "busy" | "stopped"> {
  const most = Math.ceil(search.units * search.unit_micros);
  const rate = ratePerSecond(connection, search.per_second);
  const id = uuid7();
  for (;;) {
    const got = await ctx.tx(async (tx): Promise<"stopped" | "budget" | number | null> => {
      if (!(await round.goesOn(tx))) return "stopped";
      const [token] = await tx.db<{ taken: boolean; retry_after: number }[]>`
        select taken, retry_after from kernel.take_tokens(${`connection:${connection.id}`}, ${Math.max(1, rate)}, ${rate})`;
      if (!token!.taken) return Math.max(0.05, token!.retry_after);
      const wanted = [
        { id, kind: "search", provider: provider.id, connection_id: connection.id, run_id: round.run_id, micros: most },
      ];
      const [entry] = await tx.db<{ refused_by: string | null }[]>`
        select refused_by from private.reserve_costs(${tx.db.json(wanted)})`;
      return entry!.refused_by === null ? null : "budget";
    });
    if (got === null) break;
    if (typeof got === "string") return got;
    if (performance.now() + got * 1000 >= round.deadline) return "busy";
    await pause(got * 1000, ctx.signal);
  }
  const started = performance.now();
  let outcome: Outcome;
  try {
    outcome = await search.search({ text, kind: "news", limit: HITS, days: DAYS }, connection, ctx.http);
  } catch (error) {
    ctx.log.error("a provider's adapter failed", { provider: provider.id, connection: connection.id, error });
    outcome = { outcome: "unknown", code: "adapter_error", detail: "The adapter failed during the request." };
  }
  const ms = Math.round(performance.now() - started);
  const units = "units" in outcome ? outcome.units : 0;
  // What may have been charged counts as charged.
  const micros = outcome.outcome === "unknown" ? most : Math.ceil(units * search.unit_micros);
  const detail = "detail" in outcome ? scrub(outcome.detail, provider, connection.credentials).slice(0, 300) : "";
  const answered = outcome.outcome === "found" || outcome.outcome === "miss";
  const added = await ctx.tx(async (tx) => {
    const told = [
      {
        id,
        state: outcome.outcome === "unknown" ? "unknown" : "settled",
        outcome: outcome.outcome,
        units,
        micros,
        latency_ms: ms,
        detail,
      },
    ];
    await tx.db`select private.settle_costs(${tx.db.json(told)})`;
    const health = {
      connection_id: connection.id,
      ok: ["found", "miss", "refused"].includes(outcome.outcome) ? 1 : 0,
      bad: ["retry", "unknown"].includes(outcome.outcome) ? 1 : 0,
      rejected: 0,
      broken: outcome.outcome === "broken",
      error: detail || null,
    };
    await tx.db`select private.note_health(${tx.db.json([health])})`;
    if (outcome.outcome === "retry" && outcome.after_seconds)
      await tx.db`select kernel.block_bucket(${`connection:${connection.id}`}, ${outcome.after_seconds})`;
    return answered ? await keep(tx, outcome, provider.id) : 0;
  });
  return { answered, added, micros };
}

/** Hits that name the company. A network that forbids automated use is no source, and a page is not opened: its hit is what is quoted. */
export function newsOf(hits: readonly SearchHit[], name: string, provider: string): Draft[] {
  const about = ` ${normal(name)} `;
  const now = Date.now();
  return hits.flatMap((hit): Draft[] => {
    if (isRefused(new URL(hit.url).hostname.toLowerCase())) return [];
    if (speaksToMachines(hit.title) || speaksToMachines(hit.snippet)) return [];
    const inTitle = ` ${normal(hit.title)} `.includes(about);
    if (!inTitle && !` ${normal(hit.snippet)} `.includes(about)) return [];
    const signal = signalInTitle(hit.title) ?? signalIn(hit.snippet);
    const at = hit.published_at && Date.parse(hit.published_at) <= now ? hit.published_at : null;
    return [
      {
        kind: signal?.kind ?? "news",
        statement: hit.title,
        quote: hit.snippet || hit.title,
        url: hit.url,
        confidence: inTitle ? 65 : 50,
        provider,
        published_at: at,
        ...(signal ? { data: signal.data } : {}),
      },
    ];
  });
}
