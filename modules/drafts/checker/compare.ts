import type { Clause, Content } from "./analyse.ts";
import type { Evidence, Passage, Source } from "./evidence.ts";
import { lexicon } from "./lexicon.ts";
import type { DateMark, Quantity } from "./quantities.ts";
import { rolesDiffer } from "./roles.ts";

/** Whether a passage of a source says what a clause of the draft says. */

export type Reason =
  | "no_source"
  | "unknown_citation"
  | "other_subject"
  | "number_differs"
  | "date_differs"
  | "name_not_in_source"
  | "event_not_in_source"
  | "superlative_not_in_source"
  | "words_not_in_source"
  | "negation_differs"
  | "plan_told_as_done"
  | "done_told_as_plan"
  | "opinion_told_as_fact"
  | "source_says_less"
  | "wider_than_source"
  | "cause_not_in_source"
  | "roles_differ"
  | "comparison_differs"
  | "direction_differs"
  | "instruction";
export type Fault = { reason: Reason; words: string[] };

/** The ends of two words may differ, as inflected words do. */
export function sameWord(a: string, b: string): boolean {
  if (a === b) return true;
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  let n = 0;
  while (n < short.length && short[n] === long[n]) n++;
  return n >= 4 && n >= short.length - (short.length < 8 ? 1 : 2) && long.length - n <= 4;
}

/** Names are inflected in Polish, and take an s in the genitive. */
const sameName = (a: string, b: string, inflects: boolean): boolean =>
  a === b ||
  `${a}s` === b ||
  `${b}s` === a ||
  (inflects && a.length > 3 && b.length > 3 && Math.abs(a.length - b.length) <= 3 && sameWord(a, b));

export function sameContent(a: Content, b: Content, inflects: boolean): boolean {
  if (a.concepts.length > 0 && a.concepts.some((c) => b.concepts.includes(c))) return true;
  return a.name && b.name ? sameName(a.word, b.word, inflects) : sameWord(a.word, b.word);
}

const sameDate = (d: DateMark, e: DateMark, now: Date | null): boolean => {
  let year = e.year;
  // A source that names a month alone means the last one that has begun.
  if (year === undefined && d.year !== undefined && now && e.month)
    year = now.getUTCFullYear() - (e.month > now.getUTCMonth() + 1 ? 1 : 0);
  const quarter = e.quarter ?? (e.month ? Math.ceil(e.month / 3) : undefined);
  return (
    (d.year === undefined || d.year === year) &&
    (d.month === undefined || d.month === e.month) &&
    (d.day === undefined || d.day === e.day) &&
    (d.quarter === undefined || d.quarter === quarter) &&
    (d.recent === undefined || e.recent === true)
  );
};

/** Whether what the draft says of a number follows from what the source says of it. */
export function sameQuantity(d: Quantity, e: Quantity): boolean {
  if (d.way && e.way && d.way !== e.way) return false;
  const near = Math.abs(d.value - e.value) <= Math.abs(e.value) * 1e-9;
  if (near) {
    if (d.bound === e.bound) return true;
    if (d.bound === "about") return true;
    if (d.bound === "exact") return e.bound === "min";
    if (d.bound === "max") return e.bound === "exact" && d.unit !== "ordinal";
    return false;
  }
  if (e.bound === "about" || e.bound === "max" || d.unit === "ordinal") return false;
  if (d.bound === "about") return e.bound === "exact" && Math.abs(d.value - e.value) <= e.value * 0.1;
  if (d.bound === "min") return e.value > d.value && e.value <= d.value * 1.25;
  return d.bound === "max" && e.bound === "exact" && e.value < d.value && e.value >= d.value * 0.75;
}

/** Money may be told without its currency, nothing else without its unit. */
const sameUnit = (d: Quantity, e: Quantity) =>
  d.unit === e.unit || (d.unit === "count" && e.unit.startsWith("money:") && d.value >= 1000);

/** The words that a number counts or measures: those after it, up to a comma, a conjunction or the next number. */
function counted(clause: Clause, q: Quantity): { after: Content[]; around: Content[] } {
  const { is } = lexicon(clause.language);
  const others = clause.quantities.filter((o) => o !== q);
  const stops = (i: number) =>
    /^[,;()]$/.test(clause.folds[i] ?? "") ||
    is.and.has(clause.folds[i] ?? "") ||
    others.some((o) => i >= o.at && i < o.end);
  let from = q.at;
  while (from > 0 && !stops(from - 1)) from--;
  let to = q.end;
  while (to < clause.tokens.length && !stops(to)) to++;
  const around = clause.content.filter((c) => c.at >= from && c.at < to);
  return { after: around.filter((c) => c.at >= q.end).slice(0, 3), around };
}

function quantityFault(clause: Clause, q: Quantity, passage: Passage, inflects: boolean): Fault | null {
  const fault: Fault = { reason: "number_differs", words: [q.text] };
  const mine = counted(clause, q);
  const scored = passage.parts.map((part) =>
    part.flatMap((c) =>
      c.quantities
        .filter((e) => sameUnit(q, e))
        .map((e) => {
          const theirs = counted(c, e);
          const shared = (a: Content[], b: Content[]) =>
            a.filter((x) => b.some((y) => sameContent(x, y, inflects))).length;
          return { e, theirs, score: 2 * shared(mine.after, theirs.after) + shared(mine.around, theirs.around) };
        }),
    ),
  );
  const fits = (list: (typeof scored)[number]): boolean => {
    const best = Math.max(...list.map((s) => s.score));
    return list.some(({ e, theirs, score }) => {
      if (score < best || !sameQuantity(q, e)) return false;
      if (q.unit !== "count" && q.unit !== "ordinal") return true;
      const [a, b] = [mine.after.filter((c) => !c.light), theirs.after.filter((c) => !c.light)];
      if (a.length === 0 || b.length === 0) return true;
      return (
        clause.language !== passage.language ||
        b.some((y) => sameContent(a[0]!, y, inflects)) ||
        a.some((x) => sameContent(x, b[0]!, inflects))
      );
    });
  };
  const told = scored.filter((list) => list.length > 0);
  // A number that both statement and quote tell must be the same in both.
  return told.length > 0 && told.every(fits) ? null : fault;
}

/** How much of a clause another one speaks of. */
export function overlap(clause: Clause, other: Clause, inflects: boolean): number {
  let sum = 0;
  for (const c of clause.content)
    if (other.content.some((e) => sameContent(c, e, inflects)))
      sum += c.light ? 0.25 : c.events.length > 0 ? 2 : c.name ? 1.5 : 1;
  for (const q of clause.quantities) if (other.quantities.some((e) => sameUnit(q, e) && sameQuantity(q, e))) sum += 2;
  for (const d of clause.dates) if (other.dates.some((e) => sameDate(d, e, null))) sum += 1;
  return sum;
}

export type Mode = "claim" | "atoms" | "offer";

/** Everything that the passage does not back. Empty: it backs the clause. */
export function faultsOf(clause: Clause, source: Source, passage: Passage, evidence: Evidence, mode: Mode): Fault[] {
  const inflects = clause.language === "pl" || passage.language === "pl";
  const foreign = clause.language !== passage.language;
  const faults: Fault[] = [];
  const words = lexicon(clause.language);

  const loose: Content[] = [];
  let strict = 0;
  for (const c of clause.content) {
    if (c.light || (mode === "atoms" && !c.name)) continue;
    strict++;
    if (backed(c, passage, source, evidence, inflects)) continue;
    if (c.name) faults.push({ reason: "name_not_in_source", words: [c.raw] });
    else if (c.events.length > 0 && mode !== "offer") faults.push({ reason: "event_not_in_source", words: [c.raw] });
    else if (words.is.superlative.has(c.word)) faults.push({ reason: "superlative_not_in_source", words: [c.raw] });
    else loose.push(c);
  }
  const allowed = mode === "offer" ? strict * 0.5 : foreign ? strict * 0.34 : 0;
  if (loose.length > allowed) faults.push({ reason: "words_not_in_source", words: loose.map((c) => c.raw) });

  for (const q of clause.quantities) {
    const fault = quantityFault(clause, q, passage, inflects);
    if (fault) faults.push(fault);
  }

  const aligned = passage.parts
    .map((part) => {
      const scores = part.map((c) => overlap(clause, c, inflects));
      const best = Math.max(...scores);
      return { best, clauses: part.filter((_, i) => scores[i] === best) };
    })
    .filter(({ best }) => best > 0);
  const most = Math.max(0, ...aligned.map((a) => a.best));
  const groups = aligned.filter((a) => a.best >= most * 0.6).map((a) => a.clauses);

  for (const d of clause.dates) {
    const near = groups.flat().flatMap((c) => c.dates);
    const all = near.length > 0 ? near : passage.clauses.flatMap((c) => c.dates);
    if (!all.some((e) => sameDate(d, e, evidence.now))) faults.push({ reason: "date_differs", words: [d.text] });
  }
  if (mode === "atoms") return faults;

  if (words.is.recent.find(clause.folds) >= 0 && evidence.now) {
    const year = Math.max(...groups.flat().flatMap((c) => c.dates.map((d) => d.year ?? Infinity)));
    if (Number.isFinite(year) && year < evidence.now.getUTCFullYear() - 1)
      faults.push({ reason: "date_differs", words: [String(year)] });
  }
  for (const clauses of groups) {
    const found = clauses.map((e) => flagFaults(clause, e, source, evidence, inflects, mode));
    if (!found.some((f) => f.length === 0)) faults.push(...found[0]!);
  }
  return faults;
}

function backed(c: Content, passage: Passage, source: Source, evidence: Evidence, inflects: boolean): boolean {
  if (source.subject.includes(c.word)) return true;
  if (
    c.events.length === 0 &&
    [...evidence.own].some((w) => (c.name ? sameName(c.word, w, inflects) : sameWord(c.word, w)))
  )
    return true;
  if (source.kind === "tenant" && evidence.sender.has(c.word)) return true;
  return passage.clauses.some(
    (e) => e.content.some((x) => sameContent(c, x, inflects)) || (c.events.length === 0 && e.folds.includes(c.word)),
  );
}

/** What turns a sentence into another one without changing its nouns. */
function flagFaults(d: Clause, e: Clause, source: Source, evidence: Evidence, inflects: boolean, mode: Mode): Fault[] {
  const faults: Fault[] = [];
  const add = (reason: Reason) => faults.push({ reason, words: [] });
  if (d.negated !== e.negated && mode === "claim") add("negation_differs");
  if (e.plan && !d.plan) add("plan_told_as_done");
  if (!e.plan && d.plan && mode === "claim") add("done_told_as_plan");
  if (e.hedge && !d.hedge && !d.guess) add("opinion_told_as_fact");
  if (d.limits.size === 0 && limits(e, d, inflects)) add("source_says_less");
  if (d.all && !e.all) add("wider_than_source");
  if (d.cause && !e.cause && d.we === 0 && mode === "claim") add("cause_not_in_source");
  const roles = rolesDiffer(d, e, source, evidence, inflects);
  if (roles) add(roles);
  return faults;
}

/** Whether the source limits something that the draft speaks of. */
function limits(e: Clause, d: Clause, inflects: boolean): boolean {
  for (const place of e.limits) {
    const next = e.content.find((c) => c.at > place && c.at <= place + 5);
    if (next && d.content.some((c) => sameContent(c, next, inflects))) return true;
    const number = e.quantities.find((q) => q.at > place && q.at <= place + 3);
    if (number && d.quantities.some((q) => q.value === number.value)) return true;
  }
  return false;
}
