/** Text from outside, made storable: Postgres takes neither U+0000 nor half a surrogate pair. */

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
