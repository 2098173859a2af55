import type { Clause } from "./analyse.ts";
import type { Evidence, Source } from "./evidence.ts";
import { lexicon } from "./lexicon.ts";
import { sameWord } from "./same-word.ts";

/** Who did what to whom: whether a draft turns the parties of an event, a comparison or a change around. */

type Roles = { agent: string | null; patient: string | null };
type Party = { at: number; end: number; key: string };

const DIRECTED = new Set([
  "acquire",
  "sue",
  "invest",
  "sell_unit",
  "win",
  "lose",
  "hire",
  "appoint",
  "layoff",
  "merge",
]);
const NOUNS =
  /^(acqui(?!r(ed|es|ing|e)$)\w*(tion|sition|sicion|sizione|sitie)\w*|takeover\w*|ubernahme\w*|rachat\w*|reprise|adquisicion\w*|compra|acquisizione|overname\w*|przejeci\w*|zakup\w*|purchase|sale|lawsuit|investment)$/;

const SELF = "@recipient";

/** Names in a row are one party; so are the words for the recipient. */
function parties(clause: Clause, source: Source, evidence: Evidence): Party[] {
  const { is, language } = lexicon(clause.language);
  const found: Party[] = [];
  clause.tokens.forEach((token, i) => {
    if (token.kind !== "word") return;
    const you = is.you.has(token.fold) && !(language === "de" && token.fold === "sie" && !token.capital);
    const content = clause.content.find((c) => c.at === i);
    const own = evidence.self.has(token.fold) || (source.about === "recipient" && source.subject.includes(token.fold));
    if (
      !you &&
      !own &&
      !(
        token.capital &&
        content &&
        !content.light &&
        content.events.length === 0 &&
        (content.name || (i === 0 && content.concepts.length === 0) || language === "de")
      ) &&
      !source.subject.includes(token.fold)
    )
      return;
    const key = you || own ? SELF : token.fold;
    const last = found.at(-1);
    if (last && last.end === i && (last.key === SELF) === (key === SELF)) last.end = i + 1;
    else found.push({ at: i, end: i + 1, key });
  });
  return found;
}

function rolesAround(clause: Clause, all: readonly Party[], at: number): Roles {
  const { is } = lexicon(clause.language);
  const before = all.filter((p) => p.end <= at);
  const after = all.filter((p) => p.at > at);
  const led = (p: Party | undefined, list: "by" | "of") =>
    p !== undefined && [1, 2].some((n) => is[list].has(clause.folds[p.at - n] ?? ""));
  const by = all.find((p) => led(p, "by"));
  if (NOUNS.test(clause.folds[at]!)) {
    const patient = after.find((p) => led(p, "of") && p !== by) ?? null;
    const agent = by ?? (patient ? before.at(-1) : undefined) ?? null;
    return { agent: agent?.key ?? null, patient: patient?.key ?? null };
  }
  const passive = is.passive.find(clause.folds.slice(Math.max(0, at - 6), at)) >= 0;
  if (by && passive) return { agent: by.key, patient: all.find((p) => p !== by)?.key ?? null };
  if (passive && clause.language === "en" && after.length === 0)
    return { agent: null, patient: before.at(-1)?.key ?? null };
  if (after.length === 0 && before.length > 1) return { agent: before[0]!.key, patient: before.at(-1)!.key };
  return { agent: before.at(-1)?.key ?? null, patient: after[0]?.key ?? null };
}

export function rolesDiffer(
  d: Clause,
  e: Clause,
  source: Source,
  evidence: Evidence,
  inflects: boolean,
): "roles_differ" | "comparison_differs" | "direction_differs" | "other_subject" | null {
  const [mine, theirs] = [parties(d, source, evidence), parties(e, source, evidence)];
  const same = (a: string | null, b: string | null) =>
    a !== null &&
    b !== null &&
    (a === b || (inflects && a.length > 4 && b.slice(0, a.length - 2) === a.slice(0, a.length - 2)));
  const swapped = (a: Roles, b: Roles) =>
    a.agent !== a.patient &&
    b.agent !== b.patient &&
    (same(a.agent, b.patient) || same(a.patient, b.agent)) &&
    !same(a.agent, b.agent) &&
    !same(a.patient, b.patient);

  for (const c of d.content)
    for (const event of c.events) {
      const other = e.content.find((x) => x.events.includes(event));
      if (!other) continue;
      const a = rolesAround(d, mine, c.at);
      const b = rolesAround(e, theirs, other.at);
      if (b.agent === null && source.kind === "finding" && b.patient !== null)
        b.agent = source.about === "recipient" ? SELF : (source.subject[0] ?? null);
      const both = same(a.agent, b.patient) && same(a.patient, b.agent);
      if (DIRECTED.has(event) && swapped(a, b) && (both || event === "acquire")) return "roles_differ";
      // `Globex raised`: the name beside the verb did it, not the recipient.
      const beside = theirs.find((p) => other.at - p.end >= 0 && other.at - p.end <= 1 && p.end <= other.at);
      if (
        beside &&
        beside.key !== SELF &&
        source.about === "recipient" &&
        a.agent === SELF &&
        !NOUNS.test(c.word) &&
        youBefore(d, c.at) &&
        !theirs.some((p) => p.key === SELF && p.end <= other.at)
      )
        return "other_subject";
    }

  // Any word with the same two parties on its two sides, the other way around.
  for (const c of d.content) {
    if (c.light || c.name || c.events.length > 0) continue;
    const other = e.content.find(
      (x) => x.word === c.word || (c.concepts.length > 0 && x.concepts.some((k) => c.concepts.includes(k))),
    );
    if (!other) continue;
    const [a, b] = [sides(d, mine, c.at), sides(e, theirs, other.at)];
    if (a && b && d.passive === e.passive && same(a.agent, b.patient) && same(a.patient, b.agent))
      return "roles_differ";
  }

  const [x, y] = [compared(d), compared(e)];
  if (x && y && comparisonTurned(x, y)) return "comparison_differs";
  const [from, to] = [ways(d), ways(e)];
  if (from && to && (from.from === to.to || from.to === to.from)) return "direction_differs";
  return null;
}

function sides(clause: Clause, all: readonly Party[], at: number): Roles | null {
  const { is } = lexicon(clause.language);
  // `A's partner B` and `B of A` have no order.
  if (all.some((p) => is.of.has(clause.folds[p.at - 1] ?? ""))) return null;
  const [before, after] = [all.filter((p) => p.end <= at), all.filter((p) => p.at > at)];
  return before.length === 1 && after.length >= 1 ? { agent: before[0]!.key, patient: after[0]!.key } : null;
}

/** Whether the recipient is named as who did it: the pronoun stands just before the verb. */
export function youBefore(clause: Clause, at: number): boolean {
  const { is } = lexicon(clause.language);
  return clause.folds.slice(Math.max(0, at - 3), at).some((f) => is.you.has(f));
}

type Compared = { before: string[]; after: string[]; less: boolean };

/** The words on the two sides of `than`, those on both left out, and the direction. */
export function compared(clause: Clause): Compared | null {
  const { is } = lexicon(clause.language);
  const than = clause.folds.findIndex(
    (f, i) => is.than.has(f) && clause.tokens.slice(Math.max(0, i - 7), i).some((t) => direction(clause, t.fold) !== 0),
  );
  if (than < 0) return null;
  const words = (from: number, to: number) =>
    clause.content
      .filter((c) => c.at >= from && c.at < to && !c.light && direction(clause, c.word) === 0)
      .map((c) => c.word);
  const [before, after] = [words(0, than), words(than + 1, clause.folds.length)];
  const less = clause.tokens.slice(Math.max(0, than - 7), than).some((t) => direction(clause, t.fold) < 0);
  return { before: before.filter((w) => !after.includes(w)), after: after.filter((w) => !before.includes(w)), less };
}

function direction(clause: Clause, word: string): number {
  const concepts = lexicon(clause.language).concepts(word);
  return concepts.includes("less")
    ? -1
    : concepts.includes("more") || concepts.includes("fast") || concepts.includes("better")
      ? 1
      : 0;
}

/** Whether one says that A exceeds B and the other that B exceeds A. */
function comparisonTurned(d: Compared, e: Compared): boolean {
  const meet = (a: string[], b: string[]) => a.some((x) => b.some((y) => sameWord(x, y)));
  const turned = meet(d.before, e.after) && meet(d.after, e.before);
  const straight = meet(d.before, e.before) && meet(d.after, e.after);
  if (turned === straight) return false;
  return turned === (d.less === e.less);
}

/** `from A to B`, where both are told. */
function ways(clause: Clause): { from: string; to: string } | null {
  const { is } = lexicon(clause.language);
  const led = (list: "from" | "to") =>
    clause.content.find((c) => !c.light && c.events.length === 0 && is[list].has(clause.folds[c.at - 1] ?? ""))?.word;
  const [from, to] = [led("from"), led("to")];
  return from && to && from !== to ? { from, to } : null;
}
