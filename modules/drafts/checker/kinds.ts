import type { Sentence } from "./analyse.ts";
import type { Evidence } from "./evidence.ts";
import { lexicon } from "./lexicon.ts";

/** What a sentence of a letter is for. Greetings and closings are read no further; of questions and calls to action only numbers and names are. */

export const KINDS = [
  "greeting",
  "closing",
  "question",
  "call_to_action",
  "offer",
  "opinion",
  "courtesy",
  "claim",
] as const;
export type Kind = (typeof KINDS)[number];

export function kindOf(sentence: Sentence, evidence: Evidence, at: { first: boolean; last: boolean }): Kind {
  const tokens = sentence.clauses.flatMap((c) => c.tokens.filter((t) => t.kind !== "symbol"));
  const folds = tokens.map((t) => t.fold);
  const { is } = lexicon(sentence.clauses[0]?.language ?? "en");
  const events = sentence.clauses.some(
    (c) => c.content.some((x) => x.events.length > 0) || c.quantities.length > 0 || c.dates.length > 0,
  );
  if (is.greeting.at(folds, 0) > 0 && folds.length <= 7 && !events && !sentence.question) return "greeting";
  const ends = is.closing.at(folds, 0) || is.closing.at(folds, 1);
  if (
    ends > 0 &&
    folds.length <= ends + 4 &&
    sentence.clauses.every((c) => c.quantities.length === 0 && c.dates.length === 0)
  )
    return "closing";
  if (at.last && folds.length <= 4 && !events && tokens.every((t) => t.capital)) return "closing";
  if (isAction(sentence)) return "call_to_action";
  return sentence.question ? "question" : "claim";
}

/** Asks for an act: a question with a word of meeting or answering, an imperative, or an offer of the writer to do something. */
export function isAction(sentence: Sentence): boolean {
  const { is } = lexicon(sentence.clauses[0]?.language ?? "en");
  const folds = sentence.clauses.flatMap((c) => c.folds.filter((f) => /[\p{L}\p{N}]/u.test(f)));
  if (is.action.find(folds) < 0) return false;
  if (sentence.question) return true;
  if (is.action.at(folds, 0) > 0 || is.action.at(folds, 1) > 0) return true;
  return sentence.clauses.every(
    (c) =>
      (c.we > 0 || c.guess) &&
      c.quantities.every((q) => q.unit === "count" && q.value <= 120) &&
      c.content.every((x) => x.events.length === 0),
  );
}
