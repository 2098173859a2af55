/**
 * How a text message is coded and cut: 3GPP TS 23.038 (GSM 7-bit default alphabet with its extension table, else UCS-2) and
 * TS 23.040 (140 octets a segment, of which a header takes 6 when there is more than one).
 */

const BASIC = new Set(
  "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà",
);
/** Behind an escape: two septets each. */
const EXTENSION = new Set("\f^{}\\[~]|€");

const GSM7 = { single: 160, part: 153 };
const UCS2 = { single: 70, part: 67 };

export type Encoding = "GSM-7" | "UCS-2";
export type Measured = {
  encoding: Encoding;
  segments: number;
  /** Characters as people count them (code points). */
  characters: number;
  /** Septets or UTF-16 units: what the segments are filled with. */
  units: number;
  /** Units that still fit without another segment. */
  left: number;
};

const isGsm = (character: string): boolean => BASIC.has(character) || EXTENSION.has(character);

/** Segments as networks count them. A pair of units (escape and character, or two surrogates) never lies in two segments. */
export function measureText(text: string): Measured {
  const characters = [...text];
  const encoding: Encoding = characters.every(isGsm) ? "GSM-7" : "UCS-2";
  const size = encoding === "GSM-7" ? GSM7 : UCS2;
  const cost = (c: string) => (encoding === "GSM-7" ? (EXTENSION.has(c) ? 2 : 1) : c.length);
  const units = characters.reduce((sum, c) => sum + cost(c), 0);
  if (units <= size.single) {
    return { encoding, segments: units === 0 ? 0 : 1, characters: characters.length, units, left: size.single - units };
  }
  let segments = 1;
  let filled = 0;
  for (const c of characters) {
    if (filled + cost(c) > size.part) {
      segments++;
      filled = 0;
    }
    filled += cost(c);
  }
  return { encoding, segments, characters: characters.length, units, left: size.part - filled };
}

/** What programs type instead of characters of the alphabet, with what to write. */
const REPLACEMENTS = new Map<string, string>([
  ...[..."‘’‚‛′`´ʼ"].map((c) => [c, "'"] as const),
  ...[..."“”„‟″«»"].map((c) => [c, '"'] as const),
  ...[..."‐‑‒–—―−"].map((c) => [c, "-"] as const),
  ...[..."\u00a0\u2007\u2009\u202f\u2002\u2003\u200a\t"].map((c) => [c, " "] as const),
  ...[..."\u200b\u200c\u2060\ufeff\u00ad"].map((c) => [c, ""] as const),
  ["…", "..."],
  ["•", "-"],
  ["·", "."],
  ["‹", "<"],
  ["›", ">"],
  ["×", "x"],
  ["¢", "c"],
]);

/** Characters that force UCS-2, each once in order of appearance, with what the GSM alphabet has instead (null: nothing). */
export function ucs2Characters(text: string): { character: string; replacement: string | null }[] {
  return [...new Set(text)].filter((c) => !isGsm(c)).map((c) => ({ character: c, replacement: replacementOf(c) }));
}

function replacementOf(character: string): string | null {
  const known = REPLACEMENTS.get(character);
  if (known !== undefined) return known;
  // A letter without its accent: readable, and for the author to decide.
  const bare = character.normalize("NFKD").replace(/\p{M}/gu, "");
  return bare !== "" && bare !== character && [...bare].every(isGsm) ? bare : null;
}
