import type { Language } from "./case.ts";
import { fold } from "./words/phrases.ts";

/** Sentences and tokens. Every pattern here reads its text once: none can be made to go back over it. */

export type Token = {
  raw: string;
  fold: string;
  kind: "word" | "number" | "date" | "symbol";
  /** Begins with a capital letter. */
  capital: boolean;
  /** Nothing stands between it and the token before. */
  joined: boolean;
};

const TOKEN =
  /\d{4}-\d{2}-\d{2}|\d{1,2}[./]\d{1,2}[./]\d{4}|\d+(?:[.,'’]\d+)*|\p{L}[\p{L}\p{M}\p{N}]*[+#]*|[^\s\p{L}\p{N}]/gu;

/** Blanks between groups of three digits, and the contracted `not` of English, are taken out first. */
function tidy(text: string, language: Language): string {
  let tidied = text
    .normalize("NFC")
    .replace(
      /(?<![\d.,])(\d{1,3})((?:[ \u00a0\u202f\u2009]\d{3})+)(?!\d)/g,
      (_, head: string, rest: string) => head + rest.replace(/\D/g, ""),
    );
  if (language === "en")
    tidied = tidied
      .replace(/\bcan['’]t\b/gi, "can not")
      .replace(/\bwon['’]t\b/gi, "will not")
      .replace(/n['’]t\b/gi, " not");
  return tidied.replace(/['’]s\b/g, "");
}

export function tokens(text: string, language: Language): Token[] {
  const found: Token[] = [];
  let end = -1;
  for (const match of tidy(text, language).matchAll(TOKEN)) {
    const raw = match[0];
    const first = raw[0]!;
    const kind = /^\d/.test(raw)
      ? /^\d{4}-\d\d-\d\d$|^\d{1,2}[./]\d{1,2}[./]\d{4}$/.test(raw)
        ? "date"
        : "number"
      : /^\p{L}/u.test(raw)
        ? "word"
        : "symbol";
    found.push({
      raw,
      fold: fold(raw),
      kind,
      capital: first !== first.toLowerCase(),
      joined: match.index === end,
    });
    end = match.index + raw.length;
  }
  return found;
}

/** Ends with a full stop and does not end a sentence. */
const ABBREVIATIONS = new Set(
  "mr mrs ms dr prof inc ltd co corp st vs etc eg ie no approx ca z.b zb bzw usw evtl ggf inkl nr str hr fr mio mrd tsd sr sra srta ud uds dott sig avv ing spa srl mme mlle m bv nv dhr mevr drs jl ul tys mln mld np tzn al godz ok jan feb mar apr jun jul aug sep sept oct okt nov dec dez u.s us u.k uk e.v a.m p.m am pm d.h dh z.o.o o.o sp gmbh sp.z".split(
    " ",
  ),
);

const MAX_SENTENCES = 80;

/** Sentences of a text: at line ends, and at . ! ? … where what follows begins anew. */
export function sentences(text: string): string[] {
  const found: string[] = [];
  for (const line of text.split(/[\r\n]+/)) {
    let start = 0;
    for (let i = 0; i < line.length; i++) {
      const c = line[i]!;
      if (c !== "." && c !== "!" && c !== "?" && c !== "…") continue;
      let end = i + 1;
      while (end < line.length && /[.!?…"'”’»)\]]/.test(line[end]!)) end++;
      const next = /^\s+["'“„«¿¡(]{0,2}(\S)/.exec(line.slice(end, end + 8));
      const last = end >= line.length || line.slice(end).trim() === "";
      if (!last && !next) continue;
      if (c === "." && !last && !endsSentence(line, start, i, next![1]!)) continue;
      found.push(line.slice(start, end));
      start = end;
      i = end - 1;
    }
    found.push(line.slice(start));
  }
  return found
    .map((s) => s.trim())
    .filter((s) => /[\p{L}\p{N}]/u.test(s))
    .slice(0, MAX_SENTENCES);
}

function endsSentence(line: string, start: number, dot: number, next: string): boolean {
  const before = line.slice(Math.max(start, dot - 12), dot);
  const word = /(\S*)$/.exec(before)![1]!.replace(/^["'“„«(]+/, "");
  if (next === next.toLowerCase() && next !== next.toUpperCase()) return false;
  if (ABBREVIATIONS.has(fold(word)) || /^\p{L}$/u.test(word)) return false;
  // `12. März`: an ordinal before a word with a capital is part of a date or a row.
  return !/^\d{1,2}$/.test(word);
}
