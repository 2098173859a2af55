/**
 * Internationalised domains as people read them: `xn--mller-kva.example` as `müller.example`. What could pass for another name stays in
 * its ASCII form: a label of several scripts, of letters that look Latin, or with anything unusual.
 */

/** The domain for people to read. Never for sending, comparing or links. */
export function shownDomain(domain: string): string {
  if (!/(^|\.)xn--/i.test(domain)) return domain;
  const labels = domain.split(".");
  const decoded = labels.map((label) => (/^xn--/i.test(label) ? decodeLabel(label.slice(4).toLowerCase()) : label));
  const last = decoded.at(-1) ?? labels.at(-1)!;
  const isSafe = labels.every((label, i) => {
    const text = decoded[i];
    return text === label || (text && isPlain(text, last) && isSame(text, label));
  });
  return isSafe ? decoded.join(".") : domain;
}

/** The address for people to read. */
export function shownAddress<T extends string | null | undefined>(address: T): T | string {
  if (!address) return address;
  const at = address.lastIndexOf("@");
  return at < 0 ? address : `${address.slice(0, at + 1)}${shownDomain(address.slice(at + 1))}`;
}

const SCRIPTS = [
  "Latin",
  "Cyrillic",
  "Greek",
  "Armenian",
  "Georgian",
  "Hebrew",
  "Arabic",
  "Devanagari",
  "Bengali",
  "Gurmukhi",
  "Gujarati",
  "Tamil",
  "Telugu",
  "Kannada",
  "Malayalam",
  "Sinhala",
  "Thai",
  "Lao",
  "Khmer",
  "Myanmar",
  "Ethiopic",
  "Han",
  "Hiragana",
  "Katakana",
  "Hangul",
  "Bopomofo",
].map((name) => ({ name, test: new RegExp(`\\p{Script=${name}}`, "u") }));
/** Scripts that are written together, as of Unicode's "highly restrictive" profile (UTS 39). */
const TOGETHER = [
  ["Latin", "Han", "Hiragana", "Katakana"],
  ["Latin", "Han", "Hangul"],
  ["Latin", "Han", "Bopomofo"],
];
/** Letters that look like Latin ones: a label of these alone is only believed under a domain of its own script. */
const LOOKALIKE: readonly (readonly [script: RegExp, letters: RegExp])[] = [
  [/\p{Script=Cyrillic}/u, /^[асеорхуѕіјԁһӏԛԝвкмнтгпбьꙅѵ0-9-]+$/u],
  [/\p{Script=Greek}/u, /^[ονυαρτικχγηβσωεμπ0-9-]+$/u],
  [/\p{Script=Armenian}/u, /^[օսոհքցզյգեւ0-9-]+$/u],
];

function isPlain(label: string, last: string): boolean {
  if (label !== label.normalize("NFC") || !/^[\p{L}\p{M}\p{N}ー・·-]+$/u.test(label) || /^\p{M}|\p{M}{3}/u.test(label))
    return false;
  // Letters of phonetics and Latin ones that differ from i, k, n and s by little; the Turkish ı where it is at home.
  if (/[\u0250-\u02ff\u1d00-\u1dff\u0138\u014b\u017f\u0180-\u024f\ua720-\ua7ff]/u.test(label)) return false;
  if (/ı/u.test(label) && !/^(tr|az)$/.test(last)) return false;
  const found = new Set<string>();
  for (const letter of label) {
    if (!/\p{L}/u.test(letter) || /[ー・·]/.test(letter)) continue;
    const script = SCRIPTS.find(({ test }) => test.test(letter));
    if (!script) return false;
    found.add(script.name);
  }
  if (found.size > 1 && !TOGETHER.some((set) => [...found].every((name) => set.includes(name)))) return false;
  return !LOOKALIKE.some(([script, letters]) => letters.test(label) && script.test(label) && !script.test(last));
}

/** Whether the browser makes the ASCII form of it again. */
function isSame(text: string, label: string): boolean {
  try {
    return new URL(`http://${text}.example`).hostname === `${label.toLowerCase()}.example`;
  } catch {
    return false;
  }
}

const [BASE, T_MIN, T_MAX, SKEW, DAMP] = [36, 1, 26, 38, 700];

/** Punycode (RFC 3492) of one label, or null for what is none. */
function decodeLabel(input: string): string | null {
  const split = input.lastIndexOf("-");
  const output = [...input.slice(0, Math.max(0, split))].map((c) => c.codePointAt(0)!);
  let [n, i, bias] = [128, 0, 72];
  for (let at = split + 1; at < input.length;) {
    const before = i;
    for (let weight = 1, k = BASE; ; k += BASE) {
      const code = input.charCodeAt(at++);
      const digit = code >= 97 && code <= 122 ? code - 97 : code >= 48 && code <= 57 ? code - 22 : -1;
      if (digit < 0) return null;
      i += digit * weight;
      const threshold = k <= bias ? T_MIN : k >= bias + T_MAX ? T_MAX : k - bias;
      if (digit < threshold) break;
      weight *= BASE - threshold;
      if (i > 0x7fffffff || weight > 0x7fffffff) return null;
    }
    const length = output.length + 1;
    let delta = Math.floor((i - before) / (before === 0 ? DAMP : 2));
    delta += Math.floor(delta / length);
    let k = 0;
    for (; delta > ((BASE - T_MIN) * T_MAX) / 2; k += BASE) delta = Math.floor(delta / (BASE - T_MIN));
    bias = k + Math.floor(((BASE - T_MIN + 1) * delta) / (delta + SKEW));
    n += Math.floor(i / length);
    i %= length;
    if (n > 0x10ffff || (n >= 0xd800 && n <= 0xdfff)) return null;
    output.splice(i++, 0, n);
  }
  return String.fromCodePoint(...output);
}
