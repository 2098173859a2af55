import { sha256Hex } from "../kernel/secrets/signatures.ts";
import { plain } from "../kernel/text.ts";

/** What a finding is before it is kept. */

export const FINDING_KINDS = [
  "fact",
  "news",
  "hiring",
  "funding",
  "launch",
  "leadership",
  "technology",
  "product",
  "mention",
] as const;
export type FindingKind = (typeof FINDING_KINDS)[number];

export type Draft = {
  kind: FindingKind;
  statement: string;
  /** The words of the source as they stand there. */
  quote: string;
  url: string;
  data?: Record<string, string | number>;
  /** Per cent. */
  confidence: number;
  /** website, feed, or the id of a search provider. */
  provider: string;
  /** ISO 8601. */
  published_at?: string | null;
  /** What makes it the same finding; kind and statement unless given. */
  same?: string;
  /** A contact of the company whom it is about; else it is about the company. */
  contact_id?: string;
};

/** Text without what differs between two copies of one headline: case, punctuation, blanks, quotation marks. */
export const normal = (text: string): string =>
  text
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}€$£%]+/gu, " ")
    .trim();

/** The key of a finding, as hexadecimal. News of one title are one, whoever tells it and whatever kind they count as. */
export const keyOf = (draft: Draft): Promise<string> => sha256Hex(draft.same ?? `said|${normal(draft.statement)}`);

/** Cut to what a row holds; null where nothing is left. */
export function fit(draft: Draft): Draft | null {
  const statement = plain(draft.statement, 500).trim();
  const quote = plain(draft.quote, 1000).trim();
  return statement && quote && draft.url.length <= 2000 ? { ...draft, statement, quote } : null;
}
