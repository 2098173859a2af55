import { z } from "zod";
import { analyseSentence } from "./analyse.ts";
import type { Language } from "./case.ts";
import { isAction } from "./kinds.ts";
import { languageOf } from "./lexicon.ts";
import { spamWords, toneWords } from "./spam.ts";
import { tokens } from "./tokens.ts";

/** Checks of a draft's form. None of them reads a source. */

export const Rules = z.object({
  min_words: z.number().int().min(0).max(2000).default(100),
  max_words: z.number().int().min(1).max(2000).default(150),
  calls_to_action: z.number().int().min(0).max(5).default(1).describe("Exactly so many."),
  min_reading_ease: z
    .number()
    .min(0)
    .max(100)
    .default(40)
    .describe("Flesch, with the language's own constants: 100 is easy, 0 is hard."),
  max_spam_words: z.number().int().min(0).max(50).default(0),
  min_quality: z.number().min(0).max(10).default(8).describe("Below it the draft is to be written again."),
});
export type Rules = z.output<typeof Rules>;

export const CHECKS = ["length", "call_to_action", "tone", "spam", "reading_ease", "slots", "language"] as const;
export type Check = {
  check: (typeof CHECKS)[number];
  ok: boolean;
  value: number | string | null;
  wanted: string;
  found: string[];
};

/** Constants of the Flesch formula: base, per word of a sentence, per syllable of a word. */
const FLESCH: Record<Language, readonly [number, number, number]> = {
  en: [206.835, 1.015, 84.6],
  de: [180, 1, 58.5],
  fr: [207, 1.015, 73.6],
  es: [206.84, 1.02, 60],
  it: [217, 1.3, 60],
  nl: [206.84, 0.93, 77],
  pl: [206.835, 1.015, 60],
};

/** 0 to 100. Syllables are counted as groups of vowels, which is near enough for a limit. */
export function readingEase(texts: readonly string[], language: Language): number {
  let words = 0;
  let syllables = 0;
  for (const text of texts)
    for (const token of tokens(text, language)) {
      if (token.kind !== "word") continue;
      words++;
      const groups = token.fold.match(/[aeiouy]+/g)?.length ?? 0;
      const silent = language === "en" && /[^aeiouyl]e$/.test(token.fold) ? 1 : 0;
      syllables += Math.max(1, groups - silent);
    }
  if (words === 0 || texts.length === 0) return 0;
  const [base, perWord, perSyllable] = FLESCH[language];
  return Math.round(
    Math.min(100, Math.max(0, base - (perWord * words) / texts.length - (perSyllable * syllables) / words)),
  );
}

export const wordCount = (text: string): number => text.match(/[\p{L}\p{N}][\p{L}\p{M}\p{N}'’.-]*/gu)?.length ?? 0;

const SLOTS =
  /\{\{[^{}]{0,80}\}\}|\{%[^{}]{0,80}%\}|<<[^<>]{1,40}>>|%[A-Z_]{3,30}%|\$\{[^{}]{0,80}\}|\[[\p{L}_][\p{L}\p{N} _'-]{1,40}\]|\{[\p{L}_][\p{L}\p{N} _.]{0,40}\}|\blorem ipsum\b|\b(?:TO[D]O|TBD|X{3,9})\b|\b(?:undefined|null|NaN)\b/gu;

export function styleChecks(subject: string, sentences: readonly string[], language: Language, rules: Rules): Check[] {
  const body = sentences.join(" ");
  const words = wordCount(body);
  const actions = sentences.filter((s) => isAction(analyseSentence(s, language, null)));
  const tone = [...toneWords(body, language), ...shouting(`${subject} ${body}`)];
  const spam = spamWords(`${subject} ${body}`, language);
  const ease = readingEase(sentences, language);
  const slots = [...new Set(`${subject}\n${body}`.match(SLOTS) ?? [])];
  const seen = languageOf(tokens(body, language).map((t) => t.fold), language); // prettier-ignore
  const check = (
    name: Check["check"],
    ok: boolean,
    value: Check["value"],
    wanted: string,
    found: string[] = [],
  ): Check => ({ check: name, ok, value, wanted, found: found.slice(0, 20) });
  return [
    check(
      "length",
      words >= rules.min_words && words <= rules.max_words,
      words,
      `${rules.min_words} to ${rules.max_words} words`,
    ),
    check(
      "call_to_action",
      actions.length === rules.calls_to_action,
      actions.length,
      `exactly ${rules.calls_to_action}`,
      actions,
    ),
    check("tone", tone.length === 0, tone.length, "no pressure, no reproach, no shouting", tone),
    check("spam", spam.length <= rules.max_spam_words, spam.length, `at most ${rules.max_spam_words} spam words`, spam),
    check("reading_ease", ease >= rules.min_reading_ease, ease, `at least ${rules.min_reading_ease}`),
    check("slots", slots.length === 0, slots.length, "no unfilled slot", slots),
    check("language", seen === language, seen, language),
  ];
}

/** Words in capitals beyond abbreviations, and more than one exclamation mark in a row. */
function shouting(text: string): string[] {
  const loud = text.match(/\p{Lu}{6,}/gu) ?? [];
  const marks = text.match(/!{2,}|\?{2,}/g) ?? [];
  const exclaimed = (text.match(/!/g)?.length ?? 0) > 2 ? ["!"] : [];
  return [...new Set([...loud, ...marks, ...exclaimed])];
}
