/**
 * Which encoding a file without a mark probably has: every candidate decodes the file's words that are not ASCII, and the one whose words
 * look most like words wins. Guesses are said to be guesses: a person sees the text and chooses before anything is imported.
 */

/** In order of preference where texts look alike. All are names that TextDecoder knows (WHATWG Encoding). */
export const ENCODINGS = [
  "utf-8",
  "windows-1252",
  "windows-1251",
  "windows-1250",
  "windows-1254",
  "windows-1253",
  "shift_jis",
  "gb18030",
  "euc-kr",
  "big5",
  "windows-1255",
  "windows-1256",
  "koi8-r",
  "koi8-u",
  "euc-jp",
  "windows-1257",
  "windows-874",
  "windows-1258",
  "ibm866",
  "macintosh",
  "x-mac-cyrillic",
  "iso-8859-2",
  "iso-8859-3",
  "iso-8859-4",
  "iso-8859-5",
  "iso-8859-6",
  "iso-8859-7",
  "iso-8859-8",
  "iso-8859-10",
  "iso-8859-13",
  "iso-8859-14",
  "iso-8859-15",
  "iso-8859-16",
  "iso-2022-jp",
  "utf-16le",
  "utf-16be",
] as const;
export type Encoding = (typeof ENCODINGS)[number];

/** Those that a file is tried with; the rest are old or alike, and are there to be chosen. */
const CANDIDATES: readonly Encoding[] = ENCODINGS.slice(0, 20);

/** Letters beside ASCII per language that is written in Latin letters, and how much a text of them weighs. */
const LATIN: readonly (readonly [letters: string, weight: number])[] = [
  ["äöüß", 1],
  ["éèêëàâçîïôûùüœæ", 1],
  ["áéíóúñü", 1],
  ["áâãàçéêíóôõú", 1],
  ["àèéìíòóù", 1],
  ["åäöæøé", 1],
  ["éëïóöèü", 1],
  ["ąćęłńóśźż", 1],
  ["áčďéěíňóřšťúůýž", 1],
  ["áäčďéíĺľňóôŕšťúýž", 1],
  ["áéíóöőúüű", 1],
  ["čćđšž", 1],
  ["çğıiöşüâîi̇", 1],
  ["ăâîşţșț", 0.9],
  ["áéíóúýþðæö", 0.8],
  ["āčēģīķļņšūžąęėįų", 0.9],
  ["äöõüšž", 0.9],
];
/** Letters of other scripts: common ones and, after the bar, those that a text has few of. All others are rarer still. */
const LETTERS: readonly (readonly [script: RegExp, common: ReadonlySet<string>, rest: ReadonlySet<string>])[] = (
  [
    [/\p{Script=Cyrillic}/u, "оеаинтсрвлкмдпуяьгбзчйы|хжшюцщэфъёіїєґўјљњћџђ"],
    [/\p{Script=Greek}/u, "αοιετσνηυρπκμλςίόάέήύώω|γδχθφβξζψϊΐϋ"],
    [/\p{Script=Hebrew}/u, "יוהלאמרתבשנםדקעחפגכ|טסצזןךףץ"],
    [/\p{Script=Arabic}/u, "اليمنوترهبدعسقفكحةشج|صخىطذزءأئضغثؤظإآپچگژ"],
    [/\p{Script=Thai}/u, "านรอกเงมยลวดทตสปบคแจหพใไชธโนขั่ี้ิ์็ะุูึื|ผศถซณฉภฐฟฎญฌฒฑฤำ"],
  ] as const
).map(([script, letters]) => {
  const [common, rest] = letters.split("|") as [string, string];
  return [script, new Set(common), new Set(rest)];
});
/** Of encodings with characters of two bytes, the first bytes of those characters that texts are made of. */
const COMMON: Partial<Record<Encoding, readonly [from: number, to: number]>> = {
  gb18030: [0xb0, 0xd7],
  shift_jis: [0x88, 0x97],
  big5: [0xa4, 0xc6],
  "euc-kr": [0xb0, 0xc8],
  "euc-jp": [0xb0, 0xcf],
};
const commonOf = new Map<Encoding, ReadonlySet<string>>();

function commonCharacters(encoding: Encoding): ReadonlySet<string> | null {
  const range = COMMON[encoding];
  if (!range) return null;
  let found = commonOf.get(encoding);
  if (!found) {
    const bytes: number[] = [];
    for (let a = range[0]; a <= range[1]; a++)
      for (let b = 0x40; b <= 0xfe; b++) if (b !== 0x7f) bytes.push(a, b, 0x0a);
    found = new Set(new TextDecoder(encoding).decode(new Uint8Array(bytes)));
    commonOf.set(encoding, found);
  }
  return found;
}

// oxlint-disable-next-line no-control-regex -- control characters are what a wrong encoding makes of letters
const BROKEN = /[\ufffd\u0080-\u009f\p{Cn}\p{Co}]/u;
const ASIAN = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}ー々]/u;
const PUNCTUATION = /^[’‘“”„«»–—…€£§°©®™·•´ªº№「」、。・（）　]$/;

/** 0 for what is no word, 1 for what looks like one; and for Latin letters by language. */
function scoreOf(word: string, encoding: Encoding): { score: number; latin: number[] | null } {
  const none = { score: 0, latin: null };
  if (BROKEN.test(word)) return none;
  const special = [...word].filter((c) => c > "\u007f");
  const letters = special.filter((c) => /[\p{L}\p{M}]/u.test(c) && !"ªº".includes(c));
  if (special.some((c) => !/[\p{L}\p{M}]/u.test(c) && !PUNCTUATION.test(c))) return none;
  if (/\p{L}[^\p{L}\p{M}’·ー・\u0000-\u007f]\p{L}/u.test(word)) return none;
  if (letters.length === 0) return { score: 0.7, latin: null };
  const latinLetters = letters.filter((c) => /\p{Script=Latin}/u.test(c));
  if (latinLetters.length > 0) {
    if (latinLetters.length < letters.length || /\p{Ll}\p{Lu}/u.test(word.replace(/M[a]?c(?=\p{Lu})/u, "")))
      return none;
    const lower = latinLetters.map((c) => c.toLowerCase());
    const latin = LATIN.map(([set, weight]) => (lower.every((c) => set.includes(c)) ? weight : 0));
    return { score: Math.max(...latin), latin };
  }
  // Letters of another script beside Latin ones are a wrong reading; a word of several is too.
  if (/[A-Za-z]/.test(word)) return none;
  if (letters.every((c) => ASIAN.test(c))) {
    const common = commonCharacters(encoding);
    // Hangul fits less by chance than the thousands of common Chinese characters; kana is for Japanese alone.
    const usual = encoding === "euc-kr" ? 1 : 0.9;
    const kana = encoding === "shift_jis" || encoding === "euc-jp" || encoding === "utf-8" ? 1 : 0.2;
    const weights: number[] = letters.map((c) => {
      if (/[\uff61-\uff9f]/.test(c)) return 0.2;
      if (/[\p{Script=Hiragana}\p{Script=Katakana}ー]/u.test(c)) return kana;
      return !common || common.has(c) ? usual : 0.3;
    });
    return { score: mean(weights), latin: null };
  }
  for (const [script, common, rest] of LETTERS) {
    if (!letters.every((c) => script.test(c) || /\p{M}/u.test(c))) continue;
    if (/\p{Ll}\p{Lu}/u.test(word)) return { score: 0.1, latin: null };
    const weights: number[] = letters.map((c) => {
      const lower = c.toLowerCase();
      return common.has(lower) ? 1 : rest.has(lower) ? 0.5 : 0;
    });
    // Names begin with a capital letter where a script has them.
    return { score: mean(weights) * (/^\p{Ll}/u.test(letters[0]!) ? 0.8 : 1), latin: null };
  }
  return none;
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / Math.max(1, values.length);

/** How well words fit together: one language for all of them counts more than one for each. */
function scoreWords(words: readonly string[], encoding: Encoding): number {
  const scores = words.map((word) => scoreOf(word, encoding));
  const each = mean(scores.map((s) => s.score));
  const one = Math.max(...LATIN.map((_, i) => mean(scores.map((s) => s.latin?.[i] ?? s.score))));
  return 0.7 * one + 0.3 * each;
}

const MAX_WORDS = 400;
/** Bytes of a word at most; what is longer is left out. */
const MAX_WORD = 200;
/** Below, the text looks like no language. */
const DOUBTFUL = 0.6;
/** Two readings whose scores are closer than this cannot be told apart. */
const CLOSE = 0.1;
/** A word in an encoding that a person may take instead. */
export type Example = { encoding: Encoding; text: string };
export type Guess = { encoding: Encoding; examples: Example[]; warning: string | null };

/** Words of the file with bytes beside ASCII: what an encoding is guessed from. */
export class Evidence {
  #words: Uint8Array[] = [];
  #seen = new Set<string>();
  /** A word that the next piece may continue. */
  #open = new Uint8Array();

  /** Looks at the next piece of the file. `last` ends it. */
  add(piece: Uint8Array, last = false): void {
    if (this.#words.length >= MAX_WORDS) return;
    const data = this.#open.length === 0 ? piece : new Uint8Array([...this.#open, ...piece]);
    this.#open = new Uint8Array();
    for (let i = 0; i < data.length && this.#words.length < MAX_WORDS; i++) {
      if (data[i]! < 0x80) continue;
      let start = i;
      // Second bytes of two-byte characters may be ASCII letters; digits, blanks and separators are none.
      while (start > 0 && i - start < MAX_WORD && data[start - 1]! >= 0x40) start -= 1;
      while (i < data.length && data[i]! >= 0x40) i += 1;
      if (i - start > MAX_WORD) continue;
      const word = data.slice(start, i);
      if (i === data.length && !last) this.#open = word;
      else if (!this.#seen.has(String(word))) {
        this.#seen.add(String(word));
        this.#words.push(word);
      }
    }
  }

  decode(encoding: Encoding): string[] {
    const decoder = new TextDecoder(encoding);
    return this.#words.map((word) => decoder.decode(word));
  }

  /** The likeliest encoding, what the likely ones make of the first words, and a warning where it is unsure. */
  guess(): Guess {
    if (this.#words.length === 0) return { encoding: "windows-1252", examples: [], warning: null };
    const readings = CANDIDATES.map((encoding, order) => {
      const words = this.decode(encoding);
      return { encoding, words, order, score: scoreWords(words, encoding) };
    });
    const byScore = readings.toSorted((a, b) => Math.round((b.score - a.score) * 50) || a.order - b.order);
    const best = byScore[0]!;
    const others = byScore.slice(1).filter((r) => r.words.join() !== best.words.join());
    const close = others.filter((r) => best.score - r.score < CLOSE);
    const examples: Example[] = [];
    for (const { encoding, words, score } of byScore) {
      const text = words.slice(0, 3).join(" · ");
      if (score > 0.3 && examples.length < 6 && !examples.some((e) => e.text === text))
        examples.push({ encoding, text });
    }
    return { encoding: best.encoding, examples, warning: best.score < DOUBTFUL || close.length > 0 ? UNSURE : null };
  }

  /** What speaks against an encoding that a person chose, or null. */
  doubt(encoding: Encoding): string | null {
    if (this.#words.length === 0) return null;
    return scoreWords(this.decode(encoding), encoding) < DOUBTFUL ? UNLIKELY : null;
  }
}

const UNSURE =
  "The encoding of this file is a guess. Look at the first rows: if letters are wrong, choose another encoding.";

const UNLIKELY = "In this encoding the text does not look like words. If letters are wrong, choose another encoding.";

/** UTF-8 that was read as Windows-1252 and written again, as `MÃ¼ller` and `Ð˜Ð²Ð°Ð½` show. */
const TWICE_ENCODED = /(?:[ÃÂÐÑ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|â€[™œ“”˜¦])/gu;

/** What is wrong with a text however it is decoded now: it was damaged before. Null when nothing shows. */
export function damage(text: string): string | null {
  if (text.includes("\ufffd"))
    return "Some characters of this file cannot be read and would be imported as �. Choose another encoding, or export the file again.";
  const found = text.match(TWICE_ENCODED) ?? [];
  return found.length > 0
    ? `Letters such as ${found.slice(0, 3).join(" ")} show that the text was decoded wrongly before it was written to this file. Export it again as UTF-8 where it comes from.`
    : null;
}
