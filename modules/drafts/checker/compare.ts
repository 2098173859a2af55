import type { Clause, Content } from "./analyse.ts";
import type { Evidence, Passage, Source } from "./evidence.ts";
import { follows, sameTime } from "./arithmetic.ts";
import { contrary } from "./contraries.ts";
import { lexicon } from "./lexicon.ts";
import type { DateMark, Quantity } from "./quantities.ts";
import { compared, rolesDiffer } from "./roles.ts";
import { sameWord } from "./same-word.ts";
import { unitsAgree } from "./units.ts";
import { talk } from "./words/talk.ts";

/** Whether a passage of a source says what a clause of the draft says. */

/** Why a sentence is refused. */
export const REASONS = [
  "no_source",
  "unknown_citation",
  "other_subject",
  "number_differs",
  "date_differs",
  "name_not_in_source",
  "event_not_in_source",
  "superlative_not_in_source",
  "words_not_in_source",
  "negation_differs",
  "plan_told_as_done",
  "done_told_as_plan",
  "opinion_told_as_fact",
  "source_says_less",
  "wider_than_source",
  "cause_not_in_source",
  "roles_differ",
  "comparison_differs",
  "direction_differs",
  "role_not_in_source",
  "quote_not_in_source",
  "out_of_date",
  "too_long",
  "instruction",
] as const;
export type Reason = (typeof REASONS)[number];
export type Fault = { reason: Reason; words: string[] };

/** Names are inflected in Polish, and take an s in the genitive. */
const sameName = (a: string, b: string, inflects: boolean): boolean =>
  a === b ||
  `${a}s` === b ||
  `${b}s` === a ||
  (inflects && a.length > 3 && b.length > 3 && Math.abs(a.length - b.length) <= 3 && sameWord(a, b));

/** `Pani Ewo`: a first name in Polish changes its end when it is called. */
const vocative = (c: Content, own: string, inflects: boolean) =>
  inflects &&
  c.name &&
  c.word.length > 2 &&
  Math.abs(c.word.length - own.length) <= 2 &&
  c.word.slice(0, 2) === own.slice(0, 2) &&
  c.word.slice(0, -1) === own.slice(0, c.word.length - 1);

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
  (d.bare && (e.unit === "percent" || e.unit === "ordinal")) ||
  d.unit === e.unit ||
  (d.unit === "count" && e.unit.startsWith("money:") && d.value >= 1000);

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

type Measured = { e: Quantity; theirs: ReturnType<typeof counted> };

/** Whether the first words after two numbers are the same thing. */
function samePrimary(a: readonly Content[], b: readonly Content[], inflects: boolean): boolean {
  const [x, y] = [a.find((c) => !c.light), b.find((c) => !c.light)];
  return x !== undefined && y !== undefined && sameContent(x, y, inflects);
}

/** Whether the draft has a word that stands beside this number of the source and beside no other. */
const distinct = (mine: readonly Content[], s: Measured, all: readonly Measured[], inflects: boolean): boolean =>
  s.theirs.around.some(
    (x) =>
      mine.some((m) => sameContent(m, x, inflects)) &&
      !all.some((o) => o.e.value !== s.e.value && o.theirs.around.some((y) => sameContent(x, y, inflects))),
  );

function quantityFault(clause: Clause, q: Quantity, passage: Passage, inflects: boolean): Fault | null {
  const fault: Fault = { reason: "number_differs", words: [q.text] };
  const mine = counted(clause, q);
  const fits = (part: readonly Clause[]): boolean | null => {
    const list = part.flatMap((c) =>
      c.quantities
        .filter((e) => sameUnit(q, e))
        .map((e) => {
          const theirs = counted(c, e);
          return { e, c, theirs };
        }),
    );
    if (list.length === 0) return null;
    const equal = list.filter(
      (s) => sameTime(clause, q, s.c, s.e) || (sameQuantity(q, s.e) && unitsAgree(clause, q, s.c, s.e)),
    );
    const others = list.filter((s) => !equal.includes(s));
    const speaks = (s: (typeof list)[number]) =>
      q.unit === "count" || q.unit === "ordinal"
        ? samePrimary(mine.after, s.theirs.after, inflects)
        : distinct(mine.around, s, list, inflects);
    // The thing that the draft counts or measures has another number in the source.
    if (others.some(speaks) && !equal.some(speaks)) return false;
    if (equal.length === 0) return null;
    if (q.unit !== "count" && q.unit !== "ordinal") return true;
    return equal.some((s) => {
      const [a, b] = [mine.after.find((x) => !x.light), s.theirs.after.find((x) => !x.light)];
      if (!a || !b || a.concepts.length === 0 || b.concepts.length === 0) return true;
      return (
        s.theirs.after.some((y) => sameContent(a, y, inflects)) || mine.after.some((x) => sameContent(x, b, inflects))
      );
    });
  };
  const told = passage.parts.map(fits).filter((f) => f !== null);
  // A number that both statement and quote tell must be the same in both.
  if (told.length > 0 && told.every(Boolean)) return null;
  return passage.parts.some((part) => follows(clause, q, part)) ? null : fault;
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
export function faultsOf(
  clause: Clause,
  source: Source,
  passage: Passage,
  evidence: Evidence,
  mode: Mode,
  tolerated: number,
): Fault[] {
  const inflects = clause.language === "pl" || passage.language === "pl";
  const faults: Fault[] = [];
  const words = lexicon(clause.language);

  const loose: Content[] = [];
  let held = 0;
  for (const c of clause.content) {
    if (mode === "atoms" && !c.name && !strictPlace(clause, c, mode)) continue;
    if (strictPlace(clause, c, mode) && ownTitle(clause, c, evidence) === false)
      faults.push({ reason: "role_not_in_source", words: [c.raw] });
    if (backed(c, passage, source, evidence, inflects)) {
      held += c.light ? 0.25 : c.events.length > 0 || c.name ? 1.5 : 1;
      continue;
    }
    if (c.light) continue;
    if (c.name) faults.push({ reason: "name_not_in_source", words: [c.raw] });
    else if (words.is.superlative.has(c.word)) faults.push({ reason: "superlative_not_in_source", words: [c.raw] });
    else if (strictPlace(clause, c, mode)) faults.push({ reason: "role_not_in_source", words: [c.raw] });
    else loose.push(c);
  }

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
  const closest = Math.max(0, ...aligned.map((a) => a.best));
  const groups = aligned.filter((a) => a.best >= closest * 0.6).map((a) => a.clauses);

  for (const d of clause.dates) {
    const near = groups.flat().flatMap((c) => c.dates);
    const all = near.length > 0 ? near : passage.clauses.flatMap((c) => c.dates);
    if (!all.some((e) => sameDate(d, e, evidence.now))) faults.push({ reason: "date_differs", words: [d.text] });
  }
  if (mode === "atoms") return faults;

  // Numbers and dates that are backed hold a sentence as words do.
  held +=
    1.5 * clause.quantities.length +
    clause.dates.length -
    1.5 * faults.filter((f) => f.reason === "number_differs").length;
  const share = loose.length / Math.max(1, loose.length + held);
  // A cause is told by every word beside it.
  const most = clause.cause && clause.we === 0 && mode === "claim" ? Math.min(tolerated, 0.25) : tolerated;
  if (share > most) faults.push({ reason: "words_not_in_source", words: loose.map((c) => c.raw) });
  faults.push(...wordFaults(clause, loose, passage, mode, inflects));
  for (const c of loose)
    if (
      groups
        .flat()
        .some((e) =>
          e.content.some(
            (x) => contrary(c.concepts, x.concepts) && !clause.content.some((y) => sameContent(x, y, inflects)),
          ),
        )
    )
      faults.push({ reason: "event_not_in_source", words: [c.raw] });

  if (words.is.recent.find(clause.folds) >= 0 && evidence.now) {
    const year = Math.max(...groups.flat().flatMap((c) => c.dates.map((d) => d.year ?? Infinity)));
    if (Number.isFinite(year) && year < evidence.now.getUTCFullYear() - 1)
      faults.push({ reason: "date_differs", words: [String(year)] });
  }
  const everywhere = passage.clauses.some((e) => e.all || e.negated || ALL.test(e.folds.join(" ")));
  if (clause.all && !everywhere && (mode === "claim" || clause.superlative))
    faults.push({ reason: "wider_than_source", words: [] });
  if (compared(clause) && mode === "claim" && !passage.clauses.some(compares))
    faults.push({ reason: "comparison_differs", words: [] });
  for (const clauses of groups) {
    const found = clauses.map((e) => flagFaults(clause, e, source, evidence, inflects, mode));
    if (!found.some((f) => f.length === 0)) faults.push(...found[0]!);
  }
  return faults;
}

const as = new Set(["as", "als", "comme", "como", "come", "jako", "en"]);
const TITLES = new Set(["head", "ceo", "cfo", "founder", "board"]);

/** Beside a title every word counts: a head of sales is no head of marketing. */
function strictPlace(clause: Clause, c: Content, mode: Mode): boolean {
  if (clause.you === 0 || mode === "offer") return false;
  return clause.content.some(
    (t) => t.concepts.some((k) => TITLES.has(k)) && Math.abs(t.at - c.at) <= (t === c ? 0 : 2),
  );
}

/** Of `as head of sales you …`: whether the contact's own title says so; undefined where the clause does not speak of it. */
function ownTitle(clause: Clause, c: Content, evidence: Evidence): boolean | undefined {
  if (evidence.title.length === 0 || !as.has(clause.folds[0] ?? "") || c.at > 6) return undefined;
  if (c.light || c.at > clause.folds.findIndex((f) => lexicon(clause.language).is.you.has(f))) return undefined;
  return evidence.title.some((t) => sameContent(c, t, true)) || evidence.self.has(c.word);
}

function backed(c: Content, passage: Passage, source: Source, evidence: Evidence, inflects: boolean): boolean {
  if (source.subject.includes(c.word)) return true;
  if (
    c.events.length === 0 &&
    [...evidence.own].some(
      (w) => (c.name ? sameName(c.word, w, inflects) : sameWord(c.word, w)) || vocative(c, w, inflects),
    )
  )
    return true;
  if (source.place.has(c.word) || (c.name && c.word.length > 3 && [...source.place].some((w) => w.includes(c.word))))
    return true;
  if (source.kind === "tenant" && evidence.sender.has(c.word)) return true;
  return passage.clauses.some(
    (e) => e.content.some((x) => sameContent(c, x, inflects)) || (c.events.length === 0 && e.folds.includes(c.word)),
  );
}

/** Words that say all in some way; nearly all of them count as such only in a source. */
const ALL =
  /\b(only|each|both|exclusiv\w*|always|whole|first|nur|ausschliesslich|jede\w*|einzige\w*|erste\w*|seul\w*|unique\w*|chaque|premier\w*|solo|unic\w*|cada|primer\w*|ogni|primo|prima|alleen|elke?|ieder\w*|enige|eerste|tylko|kazd\w*|jedyn\w*|pierwsz\w*|100)\b/;

const COMPARING = new Set(["more", "less", "better", "fast", "grow", "shrink", "double", "triple", "halve"]);
/** Whether a source compares at all, in words or by two numbers. */
const compares = (e: Clause) =>
  e.quantities.length > 1 ||
  e.content.some((c) => c.concepts.some((k) => COMPARING.has(k))) ||
  e.folds.some((f) => /^(more|less|plus|moins|mas|menos|piu|meno|mehr|weniger|meer|minder|wiecej|mniej)$/.test(f));

/** Events that are never a matter of words: a source must tell them. */
const STRICT = new Set([
  "merge",
  "raise",
  "win",
  "lose",
  "certify",
  "sue",
  "layoff",
  "list_ipo",
  "fail",
  "double",
  "triple",
  "halve",
]);

/** Faults of single words: a strict event that is not told, a cause told in other words, and what the source only denies. */
function wordFaults(
  clause: Clause,
  loose: readonly Content[],
  passage: Passage,
  mode: Mode,
  inflects: boolean,
): Fault[] {
  if (mode !== "claim") return [];
  const faults: Fault[] = [];
  const words = lexicon(clause.language);
  for (const c of loose) {
    if (c.events.length > 0 && c.events.every((e) => STRICT.has(e)))
      faults.push({ reason: "event_not_in_source", words: [c.raw] });
    const beside = [-3, -2, -1, 1, 2, 3].some((n) => words.is.causal.at(clause.folds, c.at + n) > 0);
    if (clause.cause && clause.we === 0 && beside) faults.push({ reason: "cause_not_in_source", words: [c.raw] });
  }
  if (clause.negated || talk("without", clause.language).find(clause.folds) >= 0) return faults;
  for (const c of clause.content) {
    if (c.light) continue;
    const told = passage.clauses.flatMap((e) =>
      e.content.filter((x) => sameContent(c, x, inflects)).map((x) => denied(e, x.at)),
    );
    if (told.length > 0 && told.every(Boolean)) faults.push({ reason: "negation_differs", words: [c.raw] });
  }
  return faults;
}

const denied = (e: Clause, at: number): boolean =>
  e.negated || [1, 2].some((n) => at - n >= 0 && talk("without", e.language).at(e.folds, at - n) > 0);

/** What turns a sentence into another one without changing its nouns. */
function flagFaults(d: Clause, e: Clause, source: Source, evidence: Evidence, inflects: boolean, mode: Mode): Fault[] {
  const faults: Fault[] = [];
  const add = (reason: Reason) => faults.push({ reason, words: [] });
  if (mode === "claim" && negationDiffers(d, e)) add("negation_differs");
  if (e.plan && !d.plan && mode === "claim" && !(d.negated && e.negated)) add("plan_told_as_done");
  if (!e.plan && d.plan && mode === "claim" && lexicon(e.language).is.done.find(e.folds) >= 0) add("done_told_as_plan");
  if (ended(e, d.dates, evidence.now) && !mentionsEnd(d)) add("out_of_date");
  if (e.hedge && !d.hedge && !d.guess && mode === "claim") add("opinion_told_as_fact");
  if (d.limits.size === 0 && mode === "claim" && limits(e, d, inflects)) add("source_says_less");
  if (d.cause && !e.cause && d.we === 0 && mode === "claim") add("cause_not_in_source");
  const roles = rolesDiffer(d, e, source, evidence, inflects);
  if (roles) add(roles);
  return faults;
}

/** `without agency staff` is said in other words by `uses no agency staff`; a denial of the writer's own is none. */
function negationDiffers(d: Clause, e: Clause): boolean {
  if (d.negated === e.negated) return false;
  const free = (c: Clause) => talk("without", c.language).find(c.folds) >= 0;
  if (d.negated && d.we > 0) return false;
  if (d.negated && e.plan && talk("notYet", d.language).find(d.folds) >= 0) return false;
  return !(d.negated ? free(e) : free(d));
}

const mentionsEnd = (c: Clause) => talk("until", c.language).find(c.folds) >= 0;

/** Whether the source tells what held until a day that is past. */
function ended(e: Clause, told: readonly DateMark[], now: Date | null): boolean {
  const until = talk("until", e.language);
  return e.dates.some((d) => {
    if (d.year === undefined || (now !== null && d.year > now.getUTCFullYear())) return false;
    if (told.some((t) => t.year === d.year)) return false;
    const ranged = e.dates.some(
      (x) =>
        x.at < d.at &&
        d.at - x.end <= 2 &&
        x.year !== undefined &&
        lexicon(e.language).is.to.has(e.folds[d.at - 1] ?? ""),
    );
    return ranged || [1, 2, 3].some((n) => d.at - n >= 0 && until.at(e.folds, d.at - n) > 0);
  });
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
