/** Text from outside, made storable: Postgres takes neither U+0000 nor half a surrogate pair. */

/**
 * Why JSON cannot be stored, or null: the JSON pointer of the first text that Postgres refuses, and the reason in a sentence. A value
 * nested deeper than `maxDepth` is refused at the place where it is too deep.
 */
export function unstorable(value: unknown, maxDepth = 32): { pointer: string; detail: string; deep: boolean } | null {
  const visit = (at: unknown, depth: number, pointer: string): ReturnType<typeof unstorable> => {
    if (depth > maxDepth) return { pointer, detail: `is nested deeper than ${maxDepth} levels.`, deep: true };
    if (typeof at === "string") return textFault(at, pointer);
    if (typeof at !== "object" || at === null) return null;
    for (const [key, inner] of Object.entries(at)) {
      const fault = textFault(key, pointer || "/") ?? visit(inner, depth + 1, `${pointer}/${segment(key)}`);
      if (fault) return fault;
    }
    return null;
  };
  return visit(value, 0, "");
}

function textFault(text: string, pointer: string): ReturnType<typeof unstorable> {
  if (text.includes("\u0000")) return { pointer, detail: "Text contains U+0000, which cannot be stored.", deep: false };
  if (text.isWellFormed()) return null;
  return { pointer, detail: "Text contains half of a surrogate pair, which is not a valid character.", deep: false };
}

/** One step of a JSON pointer (RFC 6901). */
export const segment = (key: PropertyKey): string => String(key).replaceAll("~", "~0").replaceAll("/", "~1");

/** At most `max` UTF-16 units, never cut within a character, without U+0000 and lone surrogates. */
export const plain = (text: string, max: number): string => {
  const cut = text.length > max && /[\ud800-\udbff]/.test(text[max - 1] ?? "") ? max - 1 : max;
  return text.slice(0, cut).toWellFormed().replaceAll("\u0000", "");
};

/** The same on one line: control characters and line breaks become blanks, ends are trimmed. */
export const oneLine = (text: string, max: number): string =>
  // Cut first, so that a huge text costs no more than a long one.
  plain(
    text
      .slice(0, max * 4)
      .replace(/[\p{Cc}\u2028\u2029]+/gu, " ")
      .trim(),
    max,
  ).trimEnd();

/** Characters beside which a joiner changes the written form: scripts that join or stack their letters. */
const JOINING =
  /[\p{Script=Arabic}\p{Script=Syriac}\p{Script=Nko}\p{Script=Mongolian}\p{Script=Devanagari}\p{Script=Bengali}\p{Script=Gurmukhi}\p{Script=Gujarati}\p{Script=Oriya}\p{Script=Tamil}\p{Script=Telugu}\p{Script=Kannada}\p{Script=Malayalam}\p{Script=Sinhala}\p{Script=Khmer}\p{Script=Myanmar}\p{Script=Tibetan}]/u;
/** Format characters that show: signs before numbers, and those that arrange hieroglyphs. */
const SHOWN_FORMAT = /[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{110bd}\u{110cd}\u{13430}-\u{1343f}]/u;
const INVISIBLE = /[\p{Cf}\u034f\u3164\uffa0]/gu;

/**
 * Text as people read it: composed (NFC), without control characters and what is invisible, every blank a plain one, ends trimmed. Line
 * feeds and tabs stay. Joiners stay where they change how a word or an emoji is written.
 */
export function clean(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text.trim();
  return (
    text
      // deno-lint-ignore no-control-regex
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g, "")
      .normalize("NFC")
      .replace(INVISIBLE, (character, at: number, whole: string) => (isMeant(character, at, whole) ? character : ""))
      .replace(/\p{Zs}/gu, " ")
      .replace(/[\u2028\u2029]/g, "\n")
      .trim()
  );
}

/** Whether a format character changes what people see. */
function isMeant(character: string, at: number, whole: string): boolean {
  if (SHOWN_FORMAT.test(character)) return true;
  const before = lastCharacter(whole.slice(Math.max(0, at - 2), at));
  const after = String.fromCodePoint(whole.codePointAt(at + character.length) ?? 0);
  if (character === "\u200c") return JOINING.test(before) && JOINING.test(after);
  if (character === "\u200d")
    return (
      (JOINING.test(before) && !/\s/.test(after)) ||
      (/[\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f]/u.test(before) && /\p{Extended_Pictographic}/u.test(after))
    );
  // Flags of regions: a black flag and tag characters.
  return /[\u{e0020}-\u{e007f}]/u.test(character) && /[\u{1f3f4}\u{e0020}-\u{e007e}]/u.test(before);
}

const lastCharacter = (text: string): string => [...text].at(-1) ?? "";
