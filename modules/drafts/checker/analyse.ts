import type { Language } from "./case.ts";
import { TECHNOLOGIES } from "./names.ts";
import { talk } from "./words/talk.ts";
import { EVENTS, type Lexicon, lexicon } from "./lexicon.ts";
import { type DateMark, measure, type Quantity } from "./quantities.ts";
import { isUnit } from "./unit-names.ts";
import { sentences, type Token, tokens } from "./tokens.ts";

/** What a sentence says, in parts that can be compared with what another one says. */

export type Content = {
  at: number;
  raw: string;
  word: string;
  concepts: readonly string[];
  events: readonly string[];
  /** Looks like a name, so it is compared letter by letter. */
  name: boolean;
  /** What must be backed; general words are only looked at as evidence. */
  light: boolean;
};

export type Clause = {
  text: string;
  language: Language;
  tokens: Token[];
  folds: string[];
  content: Content[];
  quantities: Quantity[];
  dates: DateMark[];
  you: number;
  we: number;
  negated: boolean;
  plan: boolean;
  hedge: boolean;
  guess: boolean;
  general: boolean;
  /** Places of words that say less than all, or all. */
  limits: Set<number>;
  all: boolean;
  superlative: boolean;
  cause: boolean;
  passive: boolean;
  /** Begins as `since you …` does. */
  given: boolean;
};

export type Sentence = { text: string; clauses: Clause[]; question: boolean; long: boolean };

/** No sentence of a letter is longer; what stands behind it backs nothing. */
const MAX_TOKENS = 120;

const NAME = /^\p{Lu}\p{Lu}|\p{Ll}\p{Lu}|^\p{L}+\d/u;

export function analyse(text: string, language: Language, now: Date | null): Sentence[] {
  return sentences(text).map((s) => analyseSentence(s, language, now));
}

export function analyseSentence(text: string, language: Language, now: Date | null): Sentence {
  const words = lexicon(language);
  const read = tokens(text, language);
  const all = read.slice(0, MAX_TOKENS);
  const parts = split(all, words);
  const clauses = parts.map((part, i) => clauseOf(part, words, now, i === 0));
  // What is planned, doubted or denied holds for a verb that follows without a subject of its own.
  for (let i = 1; i < clauses.length; i++) {
    const [before, after] = [clauses[i - 1]!, clauses[i]!];
    if (ownSubject(after, words)) continue;
    after.plan ||= before.plan;
    after.hedge ||= before.hedge;
    after.guess ||= before.guess;
    if (!after.negated && before.negated && words.is.and.has(after.folds[0] ?? "")) after.negated = true;
  }
  return { text, clauses, long: read.length > MAX_TOKENS, question: /[?]["'”»)\s]*$/.test(text) };
}

function ownSubject(clause: Clause, words: Lexicon): boolean {
  const first = clause.content.find((c) => c.events.length > 0)?.at ?? clause.tokens.length;
  for (let i = 0; i < first; i++) {
    const token = clause.tokens[i]!;
    if (words.is.you.has(token.fold) || words.is.we.has(token.fold) || words.is.done.has(token.fold)) return true;
    if (clause.content.some((c) => c.at === i && (c.name || (token.capital && i > 0)))) return true;
  }
  return false;
}

const eventAt = (words: Lexicon, token: Token) =>
  token.kind === "word" && !words.is.stop.has(token.fold) && words.concepts(token.fold).some((c) => EVENTS.has(c));

/** At semicolons and dashes, at `but` and the like, and at commas and `and` where another event follows. */
function split(all: readonly Token[], words: Lexicon): Token[][] {
  const parts: Token[][] = [];
  let part: Token[] = [];
  let events = false;
  const eventFrom: boolean[] = [];
  for (let i = all.length - 1, within = false; i >= 0; i--) {
    if (/^[;:–—,]$/.test(all[i]!.raw)) within = false;
    within ||= eventAt(words, all[i]!);
    eventFrom[i] = within;
  }
  const close = () => {
    if (part.some((t) => t.kind !== "symbol")) parts.push(part);
    part = [];
    events = false;
  };
  for (let i = 0; i < all.length; i++) {
    const token = all[i]!;
    const next = eventFrom[i + 1] ?? false;
    if (/^[;–—]$/.test(token.raw) || (token.raw === ":" && events)) close();
    else if (
      token.raw === "," &&
      ((events && next) ||
        (part[0] && talk("given", words.language).at([part[0].fold, part[1]?.fold ?? ""], 0) > 0) ||
        turns(all, i + 1, words))
    )
      close();
    else if (turns(all, i, words) && part.length > 3 && all.length - i > 3) close();
    else if (
      token.kind === "word" &&
      events &&
      next &&
      !token.capital &&
      (words.is.but.has(token.fold) || andWord(token, words))
    )
      close();
    part.push(token);
    events ||= eventAt(words, token);
  }
  close();
  return parts;
}

/** Whether `but`, `while` and the like stand at a place. */
const turns = (all: readonly Token[], at: number, words: Lexicon): boolean =>
  talk("although", words.language).at([all[at]?.fold ?? "", all[at + 1]?.fold ?? ""], 0) > 0;

/** `è` is a verb in Italian, `e` a conjunction; folding makes them one. */
const andWord = (token: Token, words: Lexicon) => words.is.and.has(token.fold) && token.raw.toLowerCase() !== "è";

function clauseOf(part: Token[], words: Lexicon, now: Date | null, opens: boolean): Clause {
  const { is } = words;
  const folds = part.map((t) => t.fold);
  const { quantities, dates, used } = measure(part, words, now);
  const idle = is_idiom(words, folds);
  const free = folds.map((f, i) => (idle.has(i) ? "" : f));
  const has = (list: keyof Lexicon["is"]) => is[list].find(free) >= 0;
  const bounds = new Set<number>();
  for (const q of quantities) for (let n = q.at - 3; n < q.at; n++) bounds.add(n);
  const limits = new Set(
    [...is.limit.places(folds)].filter((p) => !bounds.has(p) || !q_bound(is, free, p, quantities)),
  );
  const future = words.future;
  const until = talk("until", words.language);
  // `until March next year` holds now.
  const later =
    now !== null &&
    dates.some((d) => after(d, now) && ![1, 2, 3].some((n) => d.at - n >= 0 && until.at(folds, d.at - n) > 0));
  const content: Content[] = [];
  let starts = opens;
  for (let i = 0; i < part.length; i++) {
    const token = part[i]!;
    if (token.kind !== "word") continue;
    const first = starts;
    starts = false;
    // `12 MW`: the unit is compared with the number.
    if (used.has(i) || (used.has(i - 1) && isUnit(token.fold))) continue;
    const name =
      NAME.test(token.raw) ||
      (token.capital && TECHNOLOGIES.has(token.fold)) ||
      (token.capital && !first && words.language !== "de" && !is.you.has(token.fold) && token.raw.length > 1);
    if ((is.stop.has(token.fold) || token.fold.length < 2) && !(name && NAME.test(token.raw))) continue;
    if (is.you.has(token.fold) || is.we.has(token.fold)) continue;
    const concepts = words.concepts(token.fold);
    const events = name && !first ? [] : concepts.filter((c) => EVENTS.has(c));
    const light = events.length === 0 && !name && (is.light.has(token.fold) || idle.has(i));
    content.push({ at: i, raw: token.raw, word: token.fold, concepts, events, name, light });
  }
  const count = (list: "you" | "we") =>
    folds.filter((f, i) => is[list].has(f) && !idle.has(i) && !(f.length === 1 && f !== "i" && f !== "u" && f !== "j"))
      .length;
  return {
    text: part.map((t) => (t.joined ? "" : " ") + t.raw).join("").trim(), // prettier-ignore
    language: words.language,
    tokens: part,
    folds,
    content,
    quantities,
    dates,
    you: count("you"),
    we: count("we"),
    negated: has("negation"),
    plan:
      later ||
      has("plan") ||
      (future !== undefined &&
        part.some((t, i) => (!t.capital || i === 0) && t.raw.length > 4 && future.test(t.raw.toLowerCase()))) ||
      germanFuture(words, part),
    hedge: has("hedge"),
    guess: has("guess"),
    general: has("general"),
    limits,
    all: has("all") || has("superlative"),
    superlative: has("superlative"),
    cause: has("causal"),
    passive: has("passive"),
    given: talk("given", words.language).at(folds, 0) > 0,
  };
}

const is_idiom = (words: Lexicon, folds: readonly string[]) => words.idiom.places(folds);

/** Whether a limiting word is the bound of a number, which is compared with the number. */
const q_bound = (is: Lexicon["is"], folds: readonly string[], place: number, quantities: readonly Quantity[]) =>
  quantities.some(
    (q) =>
      q.bound !== "exact" &&
      place < q.at &&
      place >= q.at - 3 &&
      (is.about.at(folds, place) > 0 ||
        is.atMost.at(folds, place) > 0 ||
        is.atLeast.at(folds, place) > 0 ||
        place === q.at - 1),
  );

const after = (date: DateMark, now: Date): boolean => {
  if (date.year === undefined) return false;
  if (date.year !== now.getUTCFullYear()) return date.year > now.getUTCFullYear();
  const month = date.month ?? (date.quarter ? date.quarter * 3 - 2 : 0);
  return month > now.getUTCMonth() + 1;
};

/** `wird … eröffnen` is to come, `wird … genutzt` is now. */
function germanFuture(words: Lexicon, part: readonly Token[]): boolean {
  if (words.language !== "de") return false;
  const at = part.findIndex((t) => /^werde[nt]$|^wird$/.test(t.fold));
  const last = part.findLastIndex((t) => t.kind === "word");
  if (at < 0 || last <= at || part[last]!.capital) return false;
  const word = part[last]!.fold;
  return word.length > 4 && /(en|ern|eln)$/.test(word) && !/^ge|ge\w+en$|worden$/.test(word);
}
