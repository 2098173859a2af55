import type { FindingKind } from "./finding.ts";

/**
 * The intent score: how much speaks for writing now, 0 to 100. Each signal counts `weight × confidence × 0.5^(age / half-life)`; together they
 * are 1 − Π(1 − signal), so that many weak signals do not pass for a strong one. docs/concepts/research.md publishes it.
 */

export type Weight = { weight: number; half_life_days: number };

export const WEIGHTS: Readonly<Partial<Record<FindingKind | Act, Weight>>> = {
  funding: { weight: 0.45, half_life_days: 90 },
  leadership: { weight: 0.3, half_life_days: 60 },
  hiring: { weight: 0.2, half_life_days: 45 },
  launch: { weight: 0.25, half_life_days: 60 },
  technology: { weight: 0.05, half_life_days: 180 },
  news: { weight: 0.08, half_life_days: 30 },
  reply: { weight: 0.5, half_life_days: 30 },
  click: { weight: 0.15, half_life_days: 14 },
};
/** What people did themselves. */
export type Act = "reply" | "click";

/** Of one kind so many count, the strongest first: ten open positions are not ten reasons. */
export const MOST_OF_A_KIND = 3;

export type Signal = { kind: string; confidence: number; at: Date };

export type Score = {
  score: number;
  parts: { kind: string; count: number; points: number }[];
};

const DAY_MS = 86_400_000;

export function intentScore(signals: readonly Signal[], now: Date): Score {
  const byKind = new Map<string, number[]>();
  for (const { kind, confidence, at } of signals) {
    const rule = Object.hasOwn(WEIGHTS, kind) ? WEIGHTS[kind as FindingKind | Act]! : null;
    if (rule === null) continue;
    const age = Math.max(0, now.getTime() - at.getTime()) / DAY_MS;
    const strength = rule.weight * (confidence / 100) * 0.5 ** (age / rule.half_life_days);
    byKind.set(kind, [...(byKind.get(kind) ?? []), strength]);
  }
  let rest = 1;
  const parts = [...byKind].map(([kind, all]) => {
    const counted = all.toSorted((a, b) => b - a).slice(0, MOST_OF_A_KIND);
    const left = counted.reduce((product, s) => product * (1 - s), 1);
    rest *= left;
    return { kind, count: all.length, points: Math.round((1 - left) * 100) };
  });
  return {
    score: Math.round((1 - rest) * 100),
    parts: parts.filter((p) => p.points > 0).toSorted((a, b) => b.points - a.points || a.kind.localeCompare(b.kind)),
  };
}
