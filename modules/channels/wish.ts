import { fold, keyword } from "./sms/opt-out.ts";
import { AROUND, CLEAR, MODAL, UNSURE } from "./wish-words.ts";

/**
 * Whether a reply asks for no more messages, in words of its own. A short, plain wish is an opt-out. A text that only contains such words,
 * or that comes close, is unsure: a member decides. Read of what the person wrote, never of what they quote. Expressions see one short
 * sentence as `fold` leaves it.
 */

export type Wish = {
  /** False: a member is asked. */
  sure: boolean;
  /** The sentence, for the record. */
  words: string;
};

/** The same as `fold`, and leaves the signs of an expression. */
const softly = (source: string): string =>
  source
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .replace(/[ßøæœłđðþı]/g, (c) => fold(c));
const CLEAR_FORMS = Object.values(CLEAR).flatMap((forms) =>
  forms.map((form) => new RegExp(`^(?:${softly(form)})$`, "u")),
);
const UNSURE_FORM = new RegExp(`(?<![\\p{L}\\p{N}])(?:${UNSURE.map(softly).join("|")})(?![\\p{L}\\p{N}])`, "u");
const longestFirst = (words: readonly string[]): string[] =>
  [...new Set(words.map(fold))].sort((a, b) => b.length - a.length);
const AROUND_WORDS = longestFirst(AROUND);
const MODAL_WORDS = longestFirst(MODAL);

/** A closing line: what follows is a signature. As `fold` leaves them. */
const CLOSING =
  /^(?:(?:thanks|thank you|many thanks|kind|best|warm|with kind|with best)? ?(?:regards|wishes)|best|cheers|sincerely|yours(?: \p{L}+)?|thanks|thank you|mit freundlichen grussen|freundliche grusse|viele grusse|beste grusse|mfg|vg|lg|cordialement|bien a vous|salutations|saludos|un saludo|atentamente|cordiali saluti|distinti saluti|saluti|atenciosamente|cumprimentos|met vriendelijke groet(?:en)?|groet(?:en)?|pozdrawiam|med vanlig halsning|mvh|hilsen|venlig hilsen|terveisin|saygilarimla|s pozdravem|udvozlettel|cu stima|с уважением|з повагою)$/u;
const GREETING =
  /^(?:hi|hello|hey|dear|good (?:morning|afternoon|day|evening)|hallo|guten (?:tag|morgen)|sehr geehrter?|liebe[rs]?|bonjour|cher|chere|hola|estimad[oa]|buenos dias|buongiorno|gentile|salve|ola|prezad[oa]|bom dia|beste|geachte|dag|dzien dobry|hej|hei|kara|merhaba|sayin|dobry den|tisztelt|buna ziua|здравствуите|добрыи день|уважаем\p{L}*|добрии день|καλημερα|שלום|مرحبا)(?: |$)/u;

/** Longest answer that is a plain wish, and how far into a text a wish is looked for, in UTF-16 units. */
const SHORT = 300;
const LOOK = 1_500;
/** Longest sentence that is compared. */
const SENTENCE = 200;

/** What stands in a person's own lines: no quotes, no addresses of pages (footers of senders and companies hold "unsubscribe" with one). */
function ownLines(visible: string): string[] {
  const lines: string[] = [];
  for (const raw of visible.slice(0, LOOK).split("\n")) {
    const line = raw.trim();
    if (/^(?:>|\|)/.test(line) || /https?:|www\.|\[https?/i.test(line)) continue;
    if (CLOSING.test(fold(line)) && lines.some((l) => l !== "")) {
      lines.push(line);
      break;
    }
    if (/^(?:--|__)/.test(line)) break;
    lines.push(line);
  }
  return lines;
}

type Sentence = { text: string; asks: boolean };
const sentencesOf = (text: string): Sentence[] =>
  [...text.matchAll(/([^.!?;…。！？；؟\n]+)([.!?;…。！？；؟]*)/gu)].map(([, words, end]) => ({
    text: words!.trim(),
    asks: /[?？؟]/.test(end!),
  }));

/** The sentence, and what is left of it as words around the wish are taken off; and whether it was asked for politely. */
function bare(folded: string): { forms: string[]; modal: boolean } {
  const forms = [folded];
  let modal = false;
  let rest = folded;
  const take = (next: string) => {
    rest = next;
    forms.push(rest);
  };
  for (let before = ""; before !== rest;) {
    before = rest;
    for (const word of AROUND_WORDS) {
      if (rest.startsWith(`${word} `)) take(rest.slice(word.length + 1));
      if (rest.endsWith(` ${word}`)) take(rest.slice(0, -word.length - 1));
    }
    for (const word of MODAL_WORDS) {
      if (!rest.startsWith(`${word} `)) continue;
      take(rest.slice(word.length + 1));
      modal = true;
    }
  }
  return { forms, modal };
}

/** "unsure" for a question that may be a real one. */
function readSentence({ text, asks }: Sentence): "clear" | "unsure" | null {
  // "Hi Sam, please …": what the greeting names is a name.
  const comma = text.search(/[,،，]/);
  const said = comma > 0 && comma < 40 && GREETING.test(fold(text.slice(0, comma))) ? text.slice(comma + 1) : text;
  if (said.length > SENTENCE) return null;
  const { forms, modal } = bare(fold(said));
  if (!forms.some((words) => CLEAR_FORMS.some((form) => form.test(words)))) return null;
  return asks && !modal ? "unsure" : "clear";
}

/** Words of lists and of leaving them, as `fold` leaves them: such a wish stands whatever is said beside it. */
const LEAVES_A_LIST =
  /(?:^| )(?:(?:mailing|e ?mail)?list(?:e|a|en|an|ene|asi)?|lists|lijst|unsubscribe|opt(?:ed)? ?out|database|datenbank|verteiler|abmelden|austragen|desinscri\p{L}*|desabonn\p{L}*|baja|lista\p{L}*|disiscri\p{L}*|descadastr\p{L}*|uitschrijven|afmelden|wypis\p{L}*|avregistrera|avprenumerera|afmeld|avmeld\p{L}*|postituslista\p{L}*|liste\p{L}*|seznamu|odhlas\p{L}*|leiratkoz\p{L}*|dezabon\p{L}*|отпис\p{L}*|отпиш\p{L}*|рассылк\p{L}*|спис\p{L}*|розсилк\p{L}*|відпи\p{L}*|λιστα\p{L}*)(?= |$)|リスト|配信|列表|名单|名單|메일링|수신|قائمة|רשימ/u;

/** A line of a signature: a name, a position, a number; every word begins large but those that join others. */
const isSignature = (line: string): boolean =>
  line.length <= 60 &&
  /\p{Lu}|\d/u.test(line) &&
  line
    .split(/[\s,|/·•–-]+/)
    .every(
      (word) =>
        !/^\p{Ll}/u.test(word) || /@|^(?:of|and|for|at|the|de|des|du|la|le|von|und|der|di|y|e|i|og|och)$/.test(word),
    );

/** Whether a sentence beside a wish changes nothing of it: a greeting, words around a wish, another wish, a line of a signature. */
function isHarmless(sentence: Sentence): boolean {
  const folded = fold(sentence.text);
  if (folded === "" || isSignature(sentence.text)) return true;
  if (GREETING.test(folded) && folded.split(" ").length <= 4) return true;
  return bare(folded).forms.some((form) => AROUND_WORDS.includes(form)) || readSentence(sentence) === "clear";
}

/**
 * What the visible part of a reply asks for; null for an ordinary answer. `visible` is what the person wrote, without history; of an empty
 * one the subject counts, as mail programs write it for a List-Unsubscribe address.
 */
export function wishOf(visible: string, subject = ""): Wish | null {
  const lines = ownLines(visible);
  const words = (text: string) => text.replace(/\s+/g, " ").trim().slice(0, 200);
  const whole = lines.join("\n").trim();
  if (whole === "")
    return visible.trim() === "" && keyword(subject) === "opt_out" ? { sure: true, words: words(subject) } : null;

  const core = lines
    .filter((line) => line !== "" && !CLOSING.test(fold(line)) && !/^[^.!?]{0,40},$/.test(line))
    .join(" ");
  if (keyword(core) === "opt_out") return { sure: !/[?？؟]\s*$/.test(core), words: words(core) };
  // Mail programs break lines within a sentence; people end one without a full stop.
  const texts = [whole, whole.replace(/(\S)\n(?=\S)/g, "$1 ")].map(sentencesOf);
  const candidates = texts.flat();
  const read = candidates.map((sentence) => [readSentence(sentence), sentence.text] as const);
  const clear = read.find(([kind]) => kind === "clear");
  // "Don't email me. Call me.": unless it leaves a list, only a text that says nothing else leaves nothing open.
  const plain = () => LEAVES_A_LIST.test(fold(clear![1])) || texts.some((sentences) => sentences.every(isHarmless));
  if (clear) return { sure: whole.length <= SHORT && plain(), words: words(clear[1]) };
  const near =
    read.find(([kind]) => kind === "unsure") ??
    candidates.map((s) => [s, s.text] as const).find(([, text]) => UNSURE_FORM.test(fold(text)));
  return near ? { sure: false, words: words(near[1]) } : null;
}
