import type { Clause } from "./analyse.ts";
import type { Quantity } from "./quantities.ts";
import { talk } from "./words/talk.ts";

/** Numbers that follow from those of the source: a difference, a sum of two, a share, a span of years, another unit of time. */

const MINUTES: Record<string, number> = { minute: 1, hour: 60, day: 1440, week: 10_080, month: 43_800, year: 525_600 };

const timeUnit = (clause: Clause, q: Quantity): string | undefined => {
  const next = clause.content.find((c) => c.at >= q.end && c.at <= q.end + 2);
  return next?.concepts.find((c) => c in MINUTES);
};

/** `24 hours` and `one day`: both numbers must count a unit of time. */
export function sameTime(d: Clause, q: Quantity, e: Clause, p: Quantity): boolean {
  const [a, b] = [timeUnit(d, q), timeUnit(e, p)];
  return (
    a !== undefined &&
    b !== undefined &&
    a !== b &&
    Math.abs(q.value * MINUTES[a]! - p.value * MINUTES[b]!) < 1e-6 &&
    q.bound === p.bound
  );
}

const close = (a: number, b: number, part: number) => Math.abs(a - b) <= Math.abs(b) * part + 1e-9;

/** Whether the number follows from two numbers of one sentence of the source. */
export function follows(clause: Clause, q: Quantity, source: readonly Clause[]): boolean {
  const years = source.flatMap((c) => c.dates.flatMap((d) => (d.year ? [d.year] : [])));
  if (timeUnit(clause, q) === "year" && q.unit === "count" && years.some((a) => years.some((b) => b - a === q.value)))
    return true;
  const words = talk("difference", clause.language);
  const compares = [-2, -1, 0, 1, 2].some((n) => words.at(clause.folds, (n < 0 ? q.at : q.end) + n) > 0);
  const numbers = source.flatMap((c) => c.quantities);
  // A number that the source tells of something else is no sum of two others.
  if (numbers.some((n) => n.value === q.value)) return false;
  for (const a of numbers)
    for (const b of numbers) {
      if (a === b || a.unit !== b.unit || a.value <= b.value || a.bound !== "exact" || b.bound !== "exact") continue;
      const points = a.unit === "percent" && (q.unit === "points" || q.unit === "count");
      if (compares && (points || q.unit === a.unit) && close(q.value, a.value - b.value, 0)) return true;
      if (
        q.unit === "percent" &&
        q.bound !== "exact" &&
        a.unit === "count" &&
        close(q.value, (100 * b.value) / a.value, 0.03)
      )
        return true;
      if (q.unit === "times" && close(q.value, a.value / b.value, 0)) return true;
      if (
        q.unit === "count" &&
        a.unit === "count" &&
        numbers.length <= 4 &&
        source.length <= 2 &&
        q.value < 100 &&
        close(q.value, a.value + b.value, 0)
      )
        return true;
    }
  return false;
}
