import type { Clause } from "./analyse.ts";
import type { Quantity } from "./quantities.ts";
import { SHORT } from "./unit-names.ts";

/** Units of measure behind a number, so that a gigawatt is no megawatt. */

const PREFIX: Record<string, number> = {
  milli: 1e-3,
  centi: 1e-2,
  kilo: 1e3,
  hecto: 1e2,
  mega: 1e6,
  giga: 1e9,
  tera: 1e12,
  peta: 1e15,
};
const BASE: [RegExp, string][] = [
  [/^(watt(heure|hour|stunde|uur|ora|godzin)\w*|vatiohora\w*|wattora|watogodzin\w*)/, "watthour"],
  [/^(watt\w*|vatio\w*|wat|watow)$/, "watt"],
  [/^(gramm?\w*|gramo\w*)$/, "gram"],
  [/^(met(er|re|ro|ri|ros|res|ers|row|ry|rach)\w*|mètre\w*)$/, "metre"],
  [/^(lit(er|re|ro|ri|ros|res|ers|row|ry)\w*)$/, "litre"],
  [/^(byte\w*|octets?|bajt\w*)$/, "byte"],
  [/^bits?$/, "bit"],
  [/^(tonn?e?s?|tonnen|toneladas?|tonnellat[ae]|ton|tony)$/, "ton"],
  [/^(hectar\w*|hektar\w*|ettar\w*)$/, "hectare"],
  [/^(miles?|meile\w*|millas?|miglia|mijl\w*|mile)$/, "mile"],
];

function unitOf(clause: Clause, q: Quantity): [string, number] | null {
  const word = clause.folds[q.end] ?? "";
  if (Object.hasOwn(SHORT, word)) return SHORT[word]!;
  for (const [prefix, factor] of [...Object.entries(PREFIX), ["", 1] as const]) {
    if (!word.startsWith(prefix)) continue;
    const base = BASE.find(([form]) => form.test(word.slice(prefix.length)))?.[1];
    if (base) return [base, factor];
  }
  return null;
}

/** False where both numbers have a unit and the units do not make them equal. */
export function unitsAgree(d: Clause, q: Quantity, e: Clause, p: Quantity): boolean {
  const [a, b] = [unitOf(d, q), unitOf(e, p)];
  return a === null || b === null || (a[0] === b[0] && a[1] === b[1]);
}
