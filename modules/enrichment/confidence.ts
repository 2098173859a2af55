import type { Value } from "./normalise.ts";

/**
 * How sure a value is, when several providers spoke of it. Published in docs/concepts/enrichment.md:
 *
 *   fresh(c)  = c × ½ ^ (age in days / 365)             age: since the provider saw it, else since it was fetched
 *   agreed(v) = 1 − ∏ (1 − fresh(cᵢ))                   over the providers that say v
 *   sure(v)   = agreed(v) × (1 − ½ × max agreed(w))     over the other values w
 *
 * at most 0.99: nobody is certain of somebody else's data.
 */

export type Claim = { value: Value; /** 0 to 1. */ confidence: number; /** When it was seen. */ at: Date };
export type Weighed = { value: Value; /** 0 to 0.99. */ confidence: number };

const HALF_LIFE_DAYS = 365;
const DAY_MS = 86_400_000;

/** Equal for values that say the same: letters' case and accents make no difference, nor does the order of a list. */
export const keyOf = (value: Value): string =>
  Array.isArray(value) ? value.map(folded).sort().join("\n") : folded(String(value));

const folded = (text: string): string => text.normalize("NFKD").replaceAll(/\p{M}/gu, "").toLowerCase().trim();

/** The values that were claimed, the surest first. Of equally sure ones the first claimed is first. */
export function weigh(claims: readonly Claim[], now: Date): Weighed[] {
  const groups = [...Map.groupBy(claims, (c) => keyOf(c.value)).values()];
  const agreed = groups.map((group) => 1 - group.reduce((doubt, c) => doubt * (1 - fresh(c, now)), 1));
  return groups
    .map((group, i) => {
      const rival = Math.max(0, ...agreed.filter((_, j) => j !== i));
      return { value: group[0]!.value, confidence: Math.min(0.99, agreed[i]! * (1 - rival / 2)) };
    })
    .sort((a, b) => b.confidence - a.confidence);
}

function fresh({ confidence, at }: Claim, now: Date): number {
  const days = Math.max(0, (now.getTime() - at.getTime()) / DAY_MS);
  return Math.min(1, Math.max(0, confidence)) * 0.5 ** (days / HALF_LIFE_DAYS);
}
