import type { Language } from "./case.ts";
import { CONCEPTS } from "./words/concepts.ts";
import { de } from "./words/de.ts";
import { en } from "./words/en.ts";
import { es } from "./words/es.ts";
import { fr } from "./words/fr.ts";
import { it } from "./words/it.ts";
import { nl } from "./words/nl.ts";
import { fold, phrases, type Phrases } from "./words/phrases.ts";
import { pl } from "./words/pl.ts";
import type { Words } from "./words/words.ts";

/** The words of a language, ready to be looked up. Made once for each language, when it is first needed. */

const WORDS: Record<Language, Words> = { en, de, fr, es, it, nl, pl };
const ORDER: readonly Language[] = ["en", "de", "fr", "es", "it", "nl", "pl"];

/** Turns of speech whose words mean something else: `all the best` claims nothing of all. */
const IDIOMS: Record<Language, string> = {
  en: "no doubt, not only, no wonder, no small, no surprise, no easy, no mean, why not, not just, all the best, first of all, at all, after all, above all, all about, all the more, first place, at first, most likely, as well as, as far as, no obligation, no pressure, not sure, if not, not due before, not before, not until, none further, no further than, no more than, on top of, in all, behind all, with all, all in all, not to mention, no time, no later than, not far, in no time, all right, all set, no strings, no problem, no worries",
  de: "nicht nur, kein wunder, keine kleinigkeit, kein zweifel, alles gute, vor allem, zuerst, allerdings, in erster linie, warum nicht, nicht selbstverständlich, nicht vor, nicht weiter als, nicht mehr als, auf alle fälle, alles in allem, aller art, unverbindlich, kein problem",
  fr: "non seulement, pas seulement, pas rien, sans doute, tout d abord, en tout cas, tout à fait, avant tout, pourquoi pas, n hésitez pas, pas étonnant, tout en, tout de suite, en premier lieu, pas avant, en tout, tout neuf, pas plus de",
  es: "no solo, no sólo, sin duda, ante todo, sobre todo, por qué no, no es poca, nada menos, en todo caso, en primer lugar, no antes, no más de, en total, no dude, no dudes",
  it: "non solo, non soltanto, senza dubbio, prima di tutto, soprattutto, perché no, non è poco, non esiti, non esitare, niente male, non prima, non più di, in tutto",
  nl: "niet alleen, niet niks, zonder twijfel, vooral, waarom niet, niet zomaar, in de eerste plaats, geen wonder, allereerst, geen probleem, niet voor, niet eerder dan, niet meer dan, al met al",
  pl: "nie tylko, nie lada, bez wątpienia, przede wszystkim, dlaczego nie, nic dziwnego, wszystkiego dobrego, po pierwsze, nie ma problemu, nie przed, nie wcześniej niż, nie więcej niż, w sumie",
};

type Lists = Exclude<keyof Words, "future" | "months" | "ordinals">;

export type Lexicon = {
  language: Language;
  is: Record<Lists, Phrases>;
  idiom: Phrases;
  future?: RegExp;
  ordinalOf: Map<string, number>;
  monthOf: Map<string, number>;
  concepts(token: string): readonly string[];
};

const made = new Map<Language, Lexicon>();

export function lexicon(language: Language): Lexicon {
  let found = made.get(language);
  if (!found) made.set(language, (found = make(language)));
  return found;
}

function make(language: Language): Lexicon {
  const words = WORDS[language];
  const is = Object.fromEntries(
    Object.entries(words)
      .filter(([key, value]) => typeof value === "string" && !["months", "ordinals"].includes(key))
      .map(([key, value]) => [key, phrases(value as string)]),
  ) as Record<Lists, Phrases>;
  const ordinalOf = new Map<string, number>();
  words.ordinals.split(" ").forEach((forms, i) => {
    for (const form of forms.split("/")) ordinalOf.set(fold(form), i + 1);
  });
  const monthOf = new Map<string, number>();
  for (const list of words.months.split(","))
    list
      .trim()
      .split(/\s+/)
      .forEach((name, i) => monthOf.set(fold(name), i + 1));
  return {
    language,
    is,
    idiom: phrases(IDIOMS[language]),
    ...(words.future ? { future: words.future } : {}),
    ordinalOf,
    monthOf,
    concepts: conceptsOf(language),
  };
}

type Row = { name: string; event: boolean; by: Record<Language, string[]> };

const rows: Row[] = CONCEPTS.trim()
  .split("\n")
  .map((line) => {
    const [name, ...lists] = line.split("|");
    const by = Object.fromEntries(
      ORDER.map((language, i) => [
        language,
        (lists[i] ?? "")
          .trim()
          .split(/\s+/)
          .filter(Boolean)
          .map((w) => fold(w).split(/[-']/)[0]!),
      ]),
    ) as Record<Language, string[]>;
    return { name: name!.replace("!", ""), event: name!.startsWith("!"), by };
  });

export const EVENTS: ReadonlySet<string> = new Set(rows.filter((r) => r.event).map((r) => r.name));

function conceptsOf(language: Language): (token: string) => readonly string[] {
  const exact = new Map<string, string[]>();
  const starts = new Map<string, [string, string][]>();
  for (const { name, by } of rows)
    for (const word of by[language]) {
      if (word.endsWith("*")) {
        const start = word.slice(0, -1);
        const key = start.slice(0, 2);
        starts.set(key, [...(starts.get(key) ?? []), [start, name]]);
      } else exact.set(word, [...(exact.get(word) ?? []), name]);
    }
  return (token) => {
    const found = [...(exact.get(token) ?? [])];
    for (const [start, name] of starts.get(token.slice(0, 2)) ?? [])
      if (token.startsWith(start) && !found.includes(name)) found.push(name);
    return found;
  };
}

/** The language of a text by its small words; `otherwise` where they do not tell. */
export function languageOf(tokens: readonly string[], otherwise: Language): Language {
  const hits = (language: Language) => {
    const { stop } = lexicon(language).is;
    return tokens.reduce((sum, token) => sum + (token.length > 1 && stop.has(token) ? 1 : 0), 0);
  };
  // Languages share small words: another one must be told clearly.
  let best = otherwise;
  let most = hits(otherwise) + 1;
  for (const language of ORDER) {
    const n = language === otherwise ? 0 : hits(language);
    if (n > most) [best, most] = [language, n];
  }
  return best;
}
