import type { Ctx } from "../kernel/context.ts";
import type { AnyProvider, Connection, LookupCapability } from "../kernel/provider.ts";
import type { Field, Found, Kind, Question } from "../providers/enrichment/vocabulary.ts";

/** Questions to a provider and what came of them, as the parts of asking share them. */

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

/** A reserved entry of the ledger; `refused_by`: the budget that has no room for it. */
export type Entry = { id: string; refused_by: string | null };

export const ledgerKind = (kind: Kind): string => (kind === "email" ? "verification" : "enrichment");

export type Told = readonly [ask: Ask, answered: Answered, laterAfter: number | undefined];

/** What came of a question that got no answer. */
export const none = (status: Answered["status"], detail: string, at: Date): Answered => ({
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
export async function digest(tenantId: string, key: string): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`${tenantId}|${key}`));
  return [...new Uint8Array(bytes)].map((b) => b.toString(16).padStart(2, "0")).join("");
}
