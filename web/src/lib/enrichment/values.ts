import type { EnrichedValue } from "../api/types.ts";
import type { Catalogue } from "../catalogue.ts";
import { compact, humanise, number } from "../format.ts";

/** What data providers said, in words and by field. */

export type Value = EnrichedValue["value"];
type Said = { field: string; value: unknown; provider: string; confidence: number };

/** A field whose values are a choice: their words are in the catalogue. */
const CHOICES: Record<string, string> = {
  email_status: "enrichment.email_status",
  seniority: "enrichment.seniority",
  department: "enrichment.department",
};

let regions: Intl.DisplayNames | undefined;
function country(code: string): string {
  regions ??= new Intl.DisplayNames(undefined, { type: "region" });
  return /^[A-Z]{2}$/.test(code) ? (regions.of(code) ?? code) : code;
}

/** A value as one reads it: codes as words, numbers grouped, lists joined. */
export function valueText(catalogue: Pick<Catalogue, "entry">, field: string, value: unknown): string {
  if (Array.isArray(value)) return value.join(", ");
  const choices = CHOICES[field];
  if (choices) return catalogue.entry(choices, String(value)).label;
  if (field === "country" || field === "company_country") return country(String(value));
  if (isWeb(value)) return value.replace(/^https?:\/\/(www\.)?/i, "").replace(/\/$/, "");
  if (field === "company_employees") return number(Number(value));
  if (field === "company_revenue") return `$${compact(Number(value))}`;
  return String(value);
}

/** Only web addresses become links: providers' words are data. */
export const isWeb = (value: unknown): value is string => typeof value === "string" && /^https?:\/\//i.test(value);

/** One line per field: the surest value first, and everybody who says the same. Fields keep their order. */
export function byField<T extends Said>(values: readonly T[]): { field: string; best: T; sources: T[] }[] {
  return [...Map.groupBy(values, (v) => v.field)].map(([field, said]) => {
    const sources = said.toSorted((a, b) => b.confidence - a.confidence);
    return { field, best: sources[0]!, sources };
  });
}

/** Who said it and how sure they are: "People Data Labs, 80%". */
export const sourceText = (name: (id: string) => string, { provider, confidence }: Omit<Said, "value" | "field">) =>
  `${name(provider)}, ${confidence}%`;

export const fieldLabel = (catalogue: Pick<Catalogue, "entry">, field: string): string =>
  catalogue.entry("enrichment.field", field).label;

/** Fields by the catalogue's groups, as pickers and facts show them. */
export function fieldGroups(
  catalogue: Pick<Catalogue, "list">,
  among?: readonly string[],
): { group: string; fields: { value: string; label: string }[] }[] {
  const entries = catalogue.list("enrichment.field").filter((e) => !among || among.includes(e.value));
  return [...Map.groupBy(entries, (e) => e.group ?? "")].map(([group, fields]) => ({
    group: humanise(group),
    fields: fields.map(({ value, label }) => ({ value, label })),
  }));
}
