/** Concepts that exclude each other: a source that tells one does not back a sentence that tells the other. */
const PAIRS: readonly (readonly [string, string])[] = [
  ["open", "close_site"],
  ["launch", "stop"],
  ["launch", "close_site"],
  ["grow", "shrink"],
  ["double", "halve"],
  ["grow", "halve"],
  ["double", "shrink"],
  ["hire", "layoff"],
  ["join", "leave"],
  ["appoint", "leave"],
  ["win", "lose"],
  ["more", "less"],
  ["grow", "less"],
  ["shrink", "more"],
  ["expand", "close_site"],
  ["fast", "slow"],
  ["early", "late"],
  ["best", "worst"],
  ["profit", "loss"],
  ["before", "after"],
];

const OF = new Map<string, Set<string>>();
for (const [a, b] of PAIRS)
  for (const [x, y] of [
    [a, b],
    [b, a],
  ] as const)
    OF.set(x, new Set([...(OF.get(x) ?? []), y]));

/** Whether a word of the draft says the contrary of a word of the source. */
export const contrary = (a: readonly string[], b: readonly string[]): boolean =>
  a.some((x) => b.some((y) => OF.get(x)?.has(y) === true)) && !a.some((x) => b.includes(x));
