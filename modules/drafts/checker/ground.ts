import { analyse, type Clause, type Sentence } from "./analyse.ts";
import { type ContactFields, type Finding, isLanguage, type Language, type TenantFact } from "./case.ts";
import { type Fault, faultsOf, type Mode, type Reason } from "./compare.ts";
import { type Evidence, type Passage, readEvidence, type Source } from "./evidence.ts";
import { speaksToMachines } from "./injection.ts";
import { type Kind, kindOf } from "./kinds.ts";
import { lexicon } from "./lexicon.ts";
import { MAX_NUMBERS } from "./quantities.ts";
import { youBefore } from "./roles.ts";
import { talk } from "./words/talk.ts";

/** Maps every sentence of a draft to what backs it, or says what nothing backs. Rules and their limits: docs/concepts/drafts.md. */

export type SentenceVerdict = {
  text: string;
  kind: Kind;
  verdict: "ok" | "unmapped";
  /** Ids of the findings and facts that back it, `contact` for the contact's fields. */
  mapped: string[];
  reason: Reason | null;
  /** The words that nothing backs. */
  misses: string[];
};

export type GroundInput = {
  /** One that is not known is compared word by word. */
  language: string;
  contact: ContactFields;
  findings: readonly Finding[];
  tenant_facts: readonly TenantFact[];
  sentences: readonly { text: string; cites: readonly string[] }[];
};

/** Share of a clause's words that its source need not have: a paraphrase has words of its own. A citation is a hint that it is one. */
const TOLERATED = {
  cited: 0.7,
  uncited: 0.34,
};

type Part = { verdict: "ok"; kind: Kind; mapped: string[] } | { verdict: "unmapped"; fault: Fault };

export function ground(input: GroundInput): SentenceVerdict[] {
  const language: Language = isLanguage(input.language) ? input.language : "en";
  const evidence = readEvidence({ ...input, language, literal: !isLanguage(input.language) });
  const verdicts: SentenceVerdict[] = [];
  let before = new Set<string>();
  input.sentences.forEach(({ text, cites }, place) => {
    const analysed = analyse(text, language, evidence.now);
    const at = { first: place === 0, last: place >= input.sentences.length - 2 };
    const parts = speaksToMachines(text)
      ? [{ verdict: "unmapped" as const, fault: { reason: "instruction" as const, words: [] } }]
      : analysed.flatMap((s) => partsOf(s, cites, evidence, before, at));
    verdicts.push(together(text, parts));
    before = new Set(analysed.flatMap((s) => s.clauses.flatMap((c) => c.folds)));
  });
  return verdicts;
}

function together(text: string, parts: readonly Part[]): SentenceVerdict {
  const bad = parts.filter((p) => p.verdict === "unmapped");
  const good = parts.filter((p) => p.verdict === "ok");
  const kinds = good.map((p) => p.kind);
  const kind: Kind =
    bad.length > 0 || kinds.includes("claim") ? "claim" : (kinds.find((k) => k !== "courtesy") ?? "courtesy");
  return {
    text,
    kind,
    verdict: bad.length > 0 ? "unmapped" : "ok",
    mapped: bad.length > 0 ? [] : [...new Set(good.flatMap((p) => p.mapped))],
    reason: bad[0]?.fault.reason ?? null,
    misses: [...new Set(bad.flatMap((p) => p.fault.words))].slice(0, 20),
  };
}

function partsOf(
  sentence: Sentence,
  cites: readonly string[],
  evidence: Evidence,
  before: Set<string>,
  at: { first: boolean; last: boolean },
): Part[] {
  const kind = kindOf(sentence, evidence, at);
  if (kind === "greeting" || kind === "closing") return [{ verdict: "ok", kind, mapped: [] }];
  if (sentence.long) return [{ verdict: "unmapped", fault: { reason: "too_long", words: [] } }];
  const named = new Set(sentence.clauses.flatMap((c) => c.folds));
  if (!sentence.clauses.some((c) => c.you > 0)) for (const word of before) named.add(word);
  return sentence.clauses.map((clause) => partOf(clause, kind, cites, evidence, named));
}

function partOf(
  clause: Clause,
  kind: Kind,
  cites: readonly string[],
  evidence: Evidence,
  named: ReadonlySet<string>,
): Part {
  const asked =
    (kind === "question" && !takenForGranted(clause)) ||
    kind === "call_to_action" ||
    (cites.length === 0 && isTalk(clause));
  const hard = hardAtoms(clause, evidence, asked);
  if (asked && !hard) return { verdict: "ok", kind, mapped: [] };
  const strict = clause.content.filter((c) => !c.light && !own(c.word, evidence));
  if (!hard && strict.length === 0 && !clause.all)
    return { verdict: "ok", kind: clause.you || clause.we ? "courtesy" : "courtesy", mapped: [] };
  if (!hard && speculation(clause)) return { verdict: "ok", kind: "opinion", mapped: [] };

  if (clause.quantities.length > MAX_NUMBERS || clause.dates.length > MAX_NUMBERS)
    return { verdict: "unmapped", fault: { reason: "too_long", words: [] } };
  const unknown = cites.filter((id) => !evidence.sources.has(id) && !id.startsWith("contact"));
  if (unknown.length > 0) return { verdict: "unmapped", fault: { reason: "unknown_citation", words: unknown } };
  const cited = cites.filter((id) => evidence.sources.has(id));
  const sources = [...evidence.sources.values()];
  const usable = (cited.length > 0 ? sources : likeliest(clause, sources)).filter(
    (s) => s.kind !== "tenant" && (cited.length === 0 || cited.includes(s.id) || s.kind === "contact"),
  );
  const tolerated = evidence.literal ? 0 : cited.length > 0 ? TOLERATED.cited : TOLERATED.uncited;
  let best: Fault[] | null = null;
  const look = (list: readonly Source[], mode: Mode, as: Kind): Part | null => {
    for (const source of list) {
      const foreign = subjectFault(clause, source, named);
      for (const passage of source.passages) {
        evidence.work.left -=
          (clause.content.length + 4) * (passage.clauses.reduce((n, c) => n + c.content.length, 0) + 4);
        if (evidence.work.left < 0) return { verdict: "unmapped", fault: { reason: "too_long", words: [] } };
        const share = source.kind === "contact" ? Math.min(tolerated, TOLERATED.uncited) : tolerated;
        const own = faultsOf(clause, source, passage, evidence, mode, share);
        const faults = foreign ? [foreign, ...own] : own;
        if (faults.length === 0) return { verdict: "ok", kind: as, mapped: [source.id] };
        // What is cited tells more of what went wrong than the contact does.
        if (best === null || (source.kind !== "contact" && weight(faults) < weight(best))) best = faults;
      }
    }
    return null;
  };
  const several = cited.length > 1 ? joined(usable.filter((s) => cited.includes(s.id))) : null;
  const found = look(several ? [...usable, several] : usable, asked ? "atoms" : "claim", asked ? kind : "claim");
  if (found) return found;
  const citesFact = cited.some((id) => evidence.sources.get(id)!.kind === "tenant");
  if (speaksOfSender(clause, evidence) || citesFact) {
    const facts = sources.filter((s) => s.kind === "tenant" && (!citesFact || cited.includes(s.id)));
    const whole = joined(facts);
    const offer = look(whole ? [...facts, whole] : facts, asked ? "atoms" : "offer", asked ? kind : "offer");
    if (offer) return offer;
  }
  return {
    verdict: "unmapped",
    fault: best?.[0] ? worst(best) : { reason: "no_source", words: strict.map((c) => c.raw) },
  };
}

/** Sources beyond this are compared only where a sentence cites them. */
const MAX_SOURCES = 12;

/** The contact, what is cited, and the findings that share most words with the clause. */
function likeliest(clause: Clause, sources: readonly Source[]): Source[] {
  const findings = sources.filter((s) => s.kind === "finding");
  if (findings.length <= MAX_SOURCES) return [...sources];
  const shared = (s: Source) => clause.folds.reduce((n, f) => n + (s.words.has(f) ? 1 : 0), 0);
  const near = new Set([...findings].sort((a, b) => shared(b) - shared(a)).slice(0, MAX_SOURCES));
  return sources.filter((s) => s.kind !== "finding" || near.has(s));
}

/** Several sources as one, for a sentence that puts two of them together. Numbers still stand beside their own words. */
function joined(facts: readonly Source[]): Source | null {
  if (facts.length < 2) return null;
  const clauses = facts.flatMap((f) => f.passages.flatMap((p) => p.clauses));
  const passage: Passage = { parts: [clauses], clauses, language: clauses[0]?.language ?? "en" };
  return { ...facts[0]!, passages: [passage] };
}

/** `Since you closed …, would you …?` claims its first part. */
const takenForGranted = (clause: Clause): boolean => clause.given && clause.you > 0;

/** The writer of the letter about what they would do: no claim, unless they say what they learned. */
function isTalk(clause: Clause): boolean {
  return (
    talk("self", clause.language).find(clause.folds) >= 0 &&
    talk("perceive", clause.language).find(clause.folds) < 0 &&
    !clause.superlative
  );
}

const weight = (faults: readonly Fault[]) => faults.reduce((n, f) => n + Math.max(1, f.words.length), 0);
/** The reason that tells most: what was changed comes before which words are strange. */
const worst = (faults: readonly Fault[]): Fault => faults.find((f) => f.reason !== "words_not_in_source") ?? faults[0]!;

const own = (word: string, evidence: Evidence) => evidence.own.has(word);

/** Numbers, dates and names that must be true even in a question. Minutes and the dates of a proposed call are none. */
function hardAtoms(clause: Clause, evidence: Evidence, asked: boolean): boolean {
  const weekday = talk("weekday", clause.language);
  const names = clause.content.some(
    (c) =>
      c.name &&
      !own(c.word, evidence) &&
      !evidence.sender.has(c.word) &&
      !(asked && weekday.has(c.word)) &&
      !(asked && /^(zoom|teams|calendly|google|meet|linkedin)$/.test(c.word)),
  );
  const quantities = clause.quantities.some(
    (q) => !(asked && q.unit === "count" && q.value <= 120) && !(asked && q.unit === "ordinal"),
  );
  return (
    names ||
    quantities ||
    (!asked && clause.dates.length > 0) ||
    (asked &&
      clause.dates.some(
        (d) => d.year !== undefined && (evidence.now === null || d.year < evidence.now.getUTCFullYear()),
      ))
  );
}

/** The writer's guess, or what is said of people in general: it claims nothing of the recipient. */
function speculation(clause: Clause): boolean {
  const events = clause.content.some((c) => c.events.length > 0 && youBefore(clause, c.at));
  return (clause.guess && !events) || (clause.general && clause.you === 0);
}

const speaksOfSender = (clause: Clause, evidence: Evidence): boolean => {
  const { is } = lexicon(clause.language);
  const named = clause.folds.some((f) => evidence.sender.has(f));
  if (clause.we === 0 && !named) return false;
  // `I read that you opened …` speaks of the recipient.
  return !clause.content.some((c) => c.events.length > 0 && youBefore(clause, c.at) && !is.guess.has(c.word));
};

/** A finding about somebody else backs only a sentence that names them. */
function subjectFault(clause: Clause, source: Source, named: ReadonlySet<string>): Fault | null {
  if (source.about !== "other") return null;
  const fault: Fault = { reason: "other_subject", words: source.subject };
  const head = source.subject[0]!;
  const told = source.subject.some((w) => named.has(w)) && (named.has(head) || source.subject.length > 1);
  if (!told) return fault;
  const event = clause.content.find((c) => c.events.length > 0);
  return event &&
    youBefore(clause, event.at) &&
    !clause.folds.slice(Math.max(0, event.at - 3), event.at).some((f) => source.subject.includes(f))
    ? fault
    : null;
}
