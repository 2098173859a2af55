import type { Language } from "./case.ts";
import type { Lexicon } from "./lexicon.ts";
import { speltNumber } from "./numbers.ts";
import type { Token } from "./tokens.ts";

/** Numbers with their units, and dates, as they stand in a row of tokens. */

export type Bound = "exact" | "about" | "min" | "max";
export type Quantity = {
  at: number;
  end: number;
  value: number;
  /** `percent`, `points`, `times`, `ordinal`, `count`, or `money:EUR`. */
  unit: string;
  bound: Bound;
  way: "from" | "to" | null;
  text: string;
  /** No word follows that it could count. */
  bare?: boolean;
};
export type DateMark = {
  at: number;
  end: number;
  year?: number;
  month?: number;
  day?: number;
  quarter?: number;
  recent?: true;
  text: string;
};
export type Measured = { quantities: Quantity[]; dates: DateMark[]; used: Set<number> };

/** More numbers than this in a clause are a table, not a sentence: each is compared with each of the source. */
export const MAX_NUMBERS = 20;

const MAGNITUDES: [RegExp, number][] = [
  [/^(k|tsd|tausend|thousand|thousands|mille|mila|mil|duizend|tys|tysiac\w*|tysiec\w*)$/, 1e3],
  [/^(m|mm|mn|mio|mln|million\w*|millon\w*|milion\w*|miljoen\w*)$/, 1e6],
  [/^(b|bn|mrd|mld|md|mds|milliard\w*|miliard\w*|miljard\w*|millardo\w*)$/, 1e9],
];
function magnitude(token: string, language: Language): number | null {
  if (/^(billion|billions)$/.test(token)) return language === "en" ? 1e9 : 1e12;
  if (/^(billones|billon|billionen|biljoen|bilion\w*|trillion\w*)$/.test(token)) return 1e12;
  return MAGNITUDES.find(([form]) => form.test(token))?.[1] ?? null;
}

const CURRENCIES: [RegExp, string][] = [
  [/^(\$|usd|dollar|dollars|dolar\w*|dollari|dollaro|us\$)$/, "USD"],
  [/^(€|eur|euro|euros)$/, "EUR"],
  [/^(£|gbp|pound|pounds|pfund|livres|libras|sterlin\w*|sterling|pond|funt\w*)$/, "GBP"],
  [/^(zl|pln|zloty|zlotys|zlotych|zlote)$/, "PLN"],
  [/^(chf|franken|francs|franchi|francos|frank\w*)$/, "CHF"],
  [/^(¥|jpy|yen|jen\w*)$/, "JPY"],
  [/^(sek|kronor)$/, "SEK"],
  [/^(czk|koron|koruna)$/, "CZK"],
  [/^(inr|₹|rupees)$/, "INR"],
];
const currency = (token: string | undefined) =>
  token === undefined ? null : (CURRENCIES.find(([form]) => form.test(token))?.[1] ?? null);

/** A number as the language writes it: `1.200` is 1200 in German and 1.2 in English. */
export function numberValue(raw: string, language: Language): number {
  const text = raw.replace(/['’]/g, "");
  const dots = text.split(".").length - 1;
  const commas = text.split(",").length - 1;
  const groups = (mark: string) =>
    text
      .split(mark)
      .slice(1)
      .every((part) => part.length === 3);
  const decimal =
    dots > 0 && commas > 0
      ? text.lastIndexOf(".") > text.lastIndexOf(",")
        ? "."
        : ","
      : dots > 1 || commas > 1
        ? null
        : dots === 1
          ? groups(".") && language !== "en"
            ? null
            : "."
          : commas === 1
            ? groups(",") && language === "en"
              ? null
              : ","
            : null;
  const plain =
    decimal === null ? text.replace(/[.,]/g, "") : text.replaceAll(decimal === "." ? "," : ".", "").replace(",", ".");
  return Number(plain);
}

/** `now`: the day that `last year` is counted from, or null. */
export function measure(tokens: readonly Token[], words: Lexicon, now: Date | null): Measured {
  const folds = tokens.map((t) => t.fold);
  const used = new Set<number>();
  const quantities: Quantity[] = [];
  const dates = readDates(tokens, folds, words, now, used);
  for (let i = 0; i < tokens.length && quantities.length <= MAX_NUMBERS; i++) {
    if (used.has(i)) continue;
    const found = readQuantity(tokens, folds, i, words, used, quantities.at(-1));
    if (!found) continue;
    quantities.push(found);
    for (let n = found.at; n < found.end; n++) used.add(n);
    i = found.end - 1;
  }
  for (const q of quantities)
    if (q.unit === "count") q.bare = tokens[q.end]?.kind !== "word" || words.is.stop.has(folds[q.end]!);
  // `92 against 85 percent`, `from eight to eleven million`: unit and magnitude stand once.
  for (let i = quantities.length - 2; i >= 0; i--) {
    const [a, b] = [quantities[i]!, quantities[i + 1]!];
    if (a.unit !== "count" || b.at - a.end > 2 || b.at === a.end || /^[,;]$/.test(folds[a.end] ?? "")) continue;
    const size = folds
      .slice(b.at, b.end)
      .reduce((n, f) => n * (f.length > 1 ? (magnitude(f, words.language) ?? 1) : 1), 1);
    if (
      (words.is.to.has(folds[a.end] ?? "") || /^[-–]$/.test(folds[a.end] ?? "")) &&
      a.value < b.value / size &&
      size > 1
    )
      a.value *= size;
    if (b.unit === "percent" || b.unit.startsWith("money:")) a.unit = b.unit;
  }
  return { quantities, dates, used };
}

const isYear = (raw: string) => /^(19[5-9]|20[0-9])\d$/.test(raw);

function readDates(
  tokens: readonly Token[],
  folds: readonly string[],
  words: Lexicon,
  now: Date | null,
  used: Set<number>,
): DateMark[] {
  const dates: DateMark[] = [];
  const add = (at: number, end: number, rest: Omit<DateMark, "at" | "end" | "text">) => {
    dates.push({ at, end, ...rest, text: tokens.slice(at, end).map((t) => t.raw).join(" ") }); // prettier-ignore
    for (let n = at; n < end; n++) used.add(n);
  };
  const year = now?.getUTCFullYear();
  for (let i = 0; i < tokens.length && dates.length <= MAX_NUMBERS; i++) {
    const token = tokens[i]!;
    if (token.kind === "date") {
      const iso = /^(\d{4})-(\d\d)-(\d\d)$/.exec(token.raw);
      const local = /^(\d{1,2})([./])(\d{1,2})[./](\d{4})$/.exec(token.raw);
      if (iso) add(i, i + 1, { year: +iso[1]!, month: +iso[2]!, day: +iso[3]! });
      // 03/04 is the third of April or the fourth of March: only the year is sure.
      else if (local && words.language === "en" && local[2] === "/") add(i, i + 1, { year: +local[4]! });
      else if (local) add(i, i + 1, { day: +local[1]!, month: +local[3]!, year: +local[4]! });
      continue;
    }
    const relative = (
      [
        ["lastYear", -1],
        ["thisYear", 0],
        ["nextYear", 1],
      ] as const
    )
      .map(([list, by]) => [words.is[list].at(folds, i), by] as const)
      .find(([n]) => n > 0);
    if (relative) {
      add(i, i + relative[0], year === undefined ? { recent: true } : { year: year + relative[1] });
      i += relative[0] - 1;
      continue;
    }
    const quarter = /^(?:q|t|k|kw)([1-4])$/.exec(token.fold)?.[1];
    const ordinal = words.ordinalOf.get(token.fold) ?? (/^[1-4]$/.test(token.raw) ? Number(token.raw) : undefined);
    const next = /^(st|nd|rd|th|er|e|\.)$/.test(folds[i + 1] ?? "") ? i + 2 : i + 1;
    if (quarter || (ordinal && ordinal <= 4 && words.is.quarter.has(folds[next] ?? "") && folds[next] !== "quart")) {
      let end = quarter ? i + 1 : next + 1;
      let y: number | undefined;
      for (let n = end; n < Math.min(end + 3, tokens.length); n++)
        if (isYear(tokens[n]!.raw)) {
          y = Number(tokens[n]!.raw);
          end = n + 1;
          break;
        }
      add(i, end, { quarter: Number(quarter ?? ordinal), ...(y ? { year: y } : {}) });
      i = end - 1;
      continue;
    }
    const month = words.monthOf.get(token.fold);
    // `may` and `mar` are months only beside a number, `March` and `august` by themselves.
    const sure =
      (month === 5 && words.language !== "en") ||
      (token.fold.length > 3 && token.fold !== "sept") ||
      (beside(tokens, i) && token.fold !== "sept") ||
      tokens[i - 1]?.kind === "number";
    if (
      token.kind === "word" &&
      month &&
      sure &&
      token.raw.toLowerCase() !== "mają" &&
      !(token.fold === "may" && !token.capital)
    ) {
      const { at, end, day, year: y } = around(tokens, folds, i);
      add(at, end, { month: ((month - 1) % 12) + 1, ...(day ? { day } : {}), ...(y ? { year: y } : {}) });
      i = end - 1;
      continue;
    }
    if (token.kind === "number" && isYear(token.raw) && !yearIsCount(tokens, folds, i))
      add(i, i + 1, { year: +token.raw });
  }
  return dates;
}

const beside = (tokens: readonly Token[], i: number) =>
  [i - 2, i - 1, i + 1, i + 2].some((n) => tokens[n]?.kind === "number");

const yearIsCount = (tokens: readonly Token[], folds: readonly string[], i: number) =>
  currency(folds[i - 1]) !== null ||
  currency(folds[i + 1]) !== null ||
  folds[i + 1] === "%" ||
  /^(ISO|DIN|EN)$/.test(tokens[i - 1]?.raw ?? "");

/** Day and year that stand with a month: `12. März 2026`, `March 12, 2026`, `12 de marzo de 2026`. */
function around(tokens: readonly Token[], folds: readonly string[], i: number) {
  let at = i;
  let end = i + 1;
  let day: number | undefined;
  let year: number | undefined;
  const isDay = (n: number) => tokens[n]?.kind === "number" && /^([1-9]|[12]\d|3[01])$/.test(tokens[n]!.raw);
  let before = i - 1;
  while (before > i - 4 && /^(\.|de|di|d|of|st|nd|rd|th|er)$/.test(folds[before] ?? "")) before--;
  if (isDay(before)) {
    day = Number(tokens[before]!.raw);
    at = before;
  } else if (isDay(i + 1) && tokens[i + 2]?.raw !== "%") {
    day = Number(tokens[i + 1]!.raw);
    end = i + 2;
    if (/^(st|nd|rd|th)$/.test(folds[end] ?? "")) end++;
  }
  let after = end;
  while (after < end + 2 && /^(,|de|del|\.|of|roku|r)$/.test(folds[after] ?? "")) after++;
  if (tokens[after] && isYear(tokens[after]!.raw)) {
    year = Number(tokens[after]!.raw);
    end = after + 1;
  }
  return { at, end, day, year };
}

function readQuantity(
  tokens: readonly Token[],
  folds: readonly string[],
  i: number,
  words: Lexicon,
  used: ReadonlySet<number>,
  last: Quantity | undefined,
): Quantity | null {
  const token = tokens[i]!;
  let value: number;
  let end = i + 1;
  let unit = "count";
  let rough = false;
  const spelt = token.kind === "word" ? speltNumber(folds, i, words.language) : null;
  if (token.kind === "number") value = numberValue(token.raw, words.language);
  else if (spelt) {
    ({ value, end, unit, rough } = spelt);
  } else if (words.is.twice.at(folds, i) > 0) [value, unit] = [2, "times"];
  else if (words.is.thrice.at(folds, i) > 0) [value, unit] = [3, "times"];
  else if (words.ordinalOf.has(token.fold) && words.ordinalOf.get(token.fold)! > 1 && folds[i + 1] !== "half")
    [value, unit] = [words.ordinalOf.get(token.fold)!, "ordinal"];
  else return null;
  if (!Number.isFinite(value)) return null;
  let at = i;
  if (unit === "count") {
    if (token.kind === "number" && /^(st|nd|rd|th|er|eme|e|ste|de)$/.test(folds[end] ?? "") && tokens[end]!.joined) {
      return { at, end: end + 1, value, unit: "ordinal", bound: "exact", way: null, text: token.raw };
    }
    let money = currency(folds[i - 1]) && tokens[i]!.joined ? currency(folds[i - 1]) : null;
    if (!money && i > 0 && !used.has(i - 1)) money = currency(folds[i - 1]);
    if (money) at = i - 1;
    for (let by = magnitude(folds[end] ?? "", words.language), n = 0; by !== null && n < 2; n++) {
      const letter = folds[end]!.length === 1;
      if (letter && !tokens[end]!.joined && !money && !currency(folds[end + 1])) break;
      value *= by;
      end++;
      if (folds[end] === "." && tokens[end]!.joined && currency(folds[end + 1])) end++;
      by = magnitude(folds[end] ?? "", words.language);
    }
    if (/^(percent|prozent|procent\w*|proc)$/.test(folds[end] ?? "") || folds[end] === "%")
      [unit, end] = ["percent", end + 1];
    else if (/^(per|pour|por|per)$/.test(folds[end] ?? "") && /^(cent|cento|ciento)$/.test(folds[end + 1] ?? ""))
      [unit, end] = ["percent", end + 2];
    else if (/^(prozentpunkt\w*|procentpunt\w*|pp|pkt)$/.test(folds[end] ?? "")) [unit, end] = ["points", end + 1];
    else if (/^(x|times|fach|mal|fois|veces|volte|keer|razy)$/.test(folds[end] ?? "")) [unit, end] = ["times", end + 1];
    if (unit === "percent" && /^(points?|punkt\w*|punten)$/.test(folds[end] ?? "")) [unit, end] = ["points", end + 1];
    if (
      unit === "count" &&
      /^(puntos|punti|points|punkt\w*)$/.test(folds[end] ?? "") &&
      /^(porcentual|percentual|de|procentow)/.test(folds[end + 1] ?? "")
    )
      [unit, end] = ["points", end + 2];
    if (unit === "count") {
      const skip = /^(de|di|d|of|us)$/.test(folds[end] ?? "") && currency(folds[end + 1]) ? 1 : 0;
      const after = currency(folds[end + skip]);
      if (!money && after) [money, end] = [after, end + skip + 1];
      if (money) unit = `money:${money}`;
    }
  }
  let { bound, way } = boundOf(tokens, folds, at, end, words, last);
  // A third is said of 32 per cent, and of 35.
  if (rough && bound === "exact") bound = "about";
  return { at, end, value, unit, bound, way, text: tokens.slice(at, end).map((t) => t.raw).join(" ") }; // prettier-ignore
}

function boundOf(
  tokens: readonly Token[],
  folds: readonly string[],
  at: number,
  end: number,
  words: Lexicon,
  last: Quantity | undefined,
): { bound: Bound; way: "from" | "to" | null } {
  const endsAt = (list: "about" | "atLeast" | "atMost") =>
    [1, 2, 3].some((n) => at - n >= 0 && words.is[list].at(folds, at - n) === n);
  const before = folds[at - 1] ?? "";
  const ranged = last !== undefined && last.way === "from" && at - last.end <= 3;
  const way = words.is.from.has(before) ? "from" : words.is.to.has(before) ? "to" : null;
  if (ranged && way !== "from") return { bound: "exact", way: "to" };
  if (folds[end] === "+" || (folds[end] === "-" && /^(plus)$/.test(folds[end + 1] ?? ""))) return { bound: "min", way };
  // `eine Runde über 12 Millionen` is of twelve, `mit über 12 Millionen` of more.
  const of = words.language === "de" && before === "uber" && tokens[at - 2]?.kind === "word" && tokens[at - 2]!.capital;
  if (!of && endsAt("atLeast")) return { bound: "min", way: null };
  if (endsAt("about")) return { bound: "about", way: null };
  if (endsAt("atMost")) return { bound: "max", way: null };
  return { bound: "exact", way };
}
