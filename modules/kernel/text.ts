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
