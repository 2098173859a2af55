import type { Language } from "./case.ts";
import { fold } from "./words/phrases.ts";

/** Numbers written in words: `two hundred and ten`, `zwölftausend`, `soixante-quinze`, `trecentodiecimila`, `nine out of ten`. */

/** 0 to 20, the tens, hundreds and thousands, with inflected forms after a slash. */
const ATOMS: Record<Language, string> = {
  en: "0 zero, 1 one, 2 two, 3 three, 4 four, 5 five, 6 six, 7 seven, 8 eight, 9 nine, 10 ten, 11 eleven, 12 twelve/dozen, 13 thirteen, 14 fourteen, 15 fifteen, 16 sixteen, 17 seventeen, 18 eighteen, 19 nineteen, 20 twenty, 30 thirty, 40 forty, 50 fifty, 60 sixty, 70 seventy, 80 eighty, 90 ninety, 100 hundred, 1000 thousand, 1000000 million, 1000000000 billion",
  de: "0 null, 1 eins/ein/eine/einer/einem/einen, 2 zwei/zweier/beide/beiden, 3 drei/dreier, 4 vier, 5 fünf, 6 sechs/sech, 7 sieben/sieb, 8 acht, 9 neun, 10 zehn, 11 elf, 12 zwölf/dutzend, 13 dreizehn, 14 vierzehn, 15 fünfzehn, 16 sechzehn, 17 siebzehn, 18 achtzehn, 19 neunzehn, 20 zwanzig, 30 dreißig, 40 vierzig, 50 fünfzig, 60 sechzig, 70 siebzig, 80 achtzig, 90 neunzig, 100 hundert, 1000 tausend, 1000000 million/millionen, 1000000000 milliarde/milliarden",
  fr: "0 zéro, 1 un/une, 2 deux, 3 trois, 4 quatre, 5 cinq, 6 six, 7 sept, 8 huit, 9 neuf, 10 dix, 11 onze, 12 douze/douzaine, 13 treize, 14 quatorze, 15 quinze, 16 seize, 20 vingt/vingts, 30 trente, 40 quarante, 50 cinquante, 60 soixante, 100 cent/cents, 1000 mille, 1000000 million/millions, 1000000000 milliard/milliards",
  es: "0 cero, 1 un/uno/una, 2 dos, 3 tres, 4 cuatro, 5 cinco, 6 seis, 7 siete, 8 ocho, 9 nueve, 10 diez, 11 once, 12 doce/docena, 13 trece, 14 catorce, 15 quince, 16 dieciséis, 17 diecisiete, 18 dieciocho, 19 diecinueve, 20 veinte, 21 veintiuno/veintiún/veintiuna, 22 veintidós, 23 veintitrés, 24 veinticuatro, 25 veinticinco, 26 veintiséis, 27 veintisiete, 28 veintiocho, 29 veintinueve, 30 treinta, 40 cuarenta, 50 cincuenta, 60 sesenta, 70 setenta, 80 ochenta, 90 noventa, 100 cien/ciento, 200 doscientos/doscientas, 300 trescientos/trescientas, 400 cuatrocientos/cuatrocientas, 500 quinientos/quinientas, 600 seiscientos/seiscientas, 700 setecientos/setecientas, 800 ochocientos/ochocientas, 900 novecientos/novecientas, 1000 mil, 1000000 millón/millones",
  it: "0 zero, 1 uno/un/una, 2 due, 3 tre, 4 quattro, 5 cinque, 6 sei, 7 sette, 8 otto, 9 nove, 10 dieci, 11 undici, 12 dodici/dozzina, 13 tredici, 14 quattordici, 15 quindici, 16 sedici, 17 diciassette, 18 diciotto, 19 diciannove, 20 venti/vent, 30 trenta/trent, 40 quaranta/quarant, 50 cinquanta/cinquant, 60 sessanta/sessant, 70 settanta/settant, 80 ottanta/ottant, 90 novanta/novant, 100 cento/cent, 1000 mille/mila, 1000000 milione/milioni, 1000000000 miliardo/miliardi",
  nl: "0 nul, 1 een, 2 twee/beide, 3 drie, 4 vier, 5 vijf, 6 zes, 7 zeven, 8 acht, 9 negen, 10 tien, 11 elf, 12 twaalf/dozijn, 13 dertien, 14 veertien, 15 vijftien, 16 zestien, 17 zeventien, 18 achttien, 19 negentien, 20 twintig, 30 dertig, 40 veertig, 50 vijftig, 60 zestig, 70 zeventig, 80 tachtig, 90 negentig, 100 honderd, 1000 duizend, 1000000 miljoen, 1000000000 miljard",
  pl: "0 zero, 1 jeden/jedna/jedno/jednego/jednej/jednym, 2 dwa/dwie/dwóch/dwu/dwoma/dwiema/dwaj, 3 trzy/trzech/trzema/trzej, 4 cztery/czterech/czterema/czterej, 5 pięć/pięciu, 6 sześć/sześciu, 7 siedem/siedmiu, 8 osiem/ośmiu, 9 dziewięć/dziewięciu, 10 dziesięć/dziesięciu, 11 jedenaście/jedenastu, 12 dwanaście/dwunastu/tuzin, 13 trzynaście/trzynastu, 14 czternaście/czternastu, 15 piętnaście/piętnastu, 16 szesnaście/szesnastu, 17 siedemnaście/siedemnastu, 18 osiemnaście/osiemnastu, 19 dziewiętnaście/dziewiętnastu, 20 dwadzieścia/dwudziestu, 30 trzydzieści/trzydziestu, 40 czterdzieści/czterdziestu, 50 pięćdziesiąt/pięćdziesięciu, 60 sześćdziesiąt/sześćdziesięciu, 70 siedemdziesiąt/siedemdziesięciu, 80 osiemdziesiąt/osiemdziesięciu, 90 dziewięćdziesiąt/dziewięćdziesięciu, 100 sto/stu, 200 dwieście/dwustu, 300 trzysta/trzystu, 400 czterysta/czterystu, 500 pięćset/pięciuset, 600 sześćset/sześciuset, 700 siedemset/siedmiuset, 800 osiemset/ośmiuset, 900 dziewięćset/dziewięciuset, 1000 tysiąc/tysiące/tysięcy/tysiącach, 1000000 milion/miliony/milionów",
};
/** Between parts of one number, as words and inside one word. */
const JOINERS: Record<Language, string> = {
  en: "and -",
  de: "und -",
  fr: "et -",
  es: "y -",
  it: "e -",
  nl: "en -",
  pl: "-",
};
/** Parts of a whole: numerator 1 stands before as an article. */
const FRACTIONS: Record<Language, string> = {
  en: "half 2, third 3, thirds 3, quarter 4, quarters 4, fifth 5, fifths 5, sixth 6, eighth 8, tenth 10, tenths 10",
  de: "halfte 2, drittel 3, viertel 4, funftel 5, sechstel 6, achtel 8, zehntel 10",
  fr: "moitie 2, tiers 3, quart 4, quarts 4, cinquieme 5, dixieme 10",
  es: "mitad 2, tercio 3, tercios 3, cuarto 4, cuartos 4, quinto 5, quinta 5, decima 10",
  it: "meta 2, terzo 3, terzi 3, quarto 4, quarti 4, quinto 5, decimo 10",
  nl: "helft 2, derde 3, kwart 4, vijfde 5, tiende 10",
  pl: "polowa 2, polowe 2, polowy 2, trzecia 3, trzecie 3, czwarta 4, czwarte 4, cwierc 4, piata 5, dziesiata 10",
};
/** A fraction and an ordinal share their word: a fraction is of something, or more or less of it. */
const OF_WHOLE =
  /^(of|less|more|lower|higher|fewer|der|des|von|vom|weniger|mehr|niedriger|de|du|des|d|del|di|dei|degli|delle|della|dell|van|minder|meer|lager|hoger|menos|mas|meno|piu|moins|plus|mniej|wiecej|z|ze|ihrer|seiner|your|vos|su|sus|uw|waszych|panstwa)$/;
const ALWAYS =
  /^(half|halfte|drittel|viertel|funftel|sechstel|achtel|zehntel|moitie|tiers|quart|quarts|mitad|tercio|tercios|meta|helft|kwart|polow\w|cwierc|thirds|fifths|quarters|tenths|terzi|quarti)$/;
const HOUR = /^(hours?|stunden?|heures?|horas?|or[ae]|uur|uren|godzin\w*|kwadrans\w*)$/;
const OUT_OF: Record<Language, RegExp> = {
  en: /^(out of|in)$/,
  de: /^(von|aus)$/,
  fr: /^sur$/,
  es: /^(de cada|de)$/,
  it: /^su$/,
  nl: /^(van de|op de|op|van)$/,
  pl: /^na$/,
};

type Table = { atoms: Map<string, number>; joiners: Set<string>; fractions: Map<string, number>; glued: boolean };
const tables = new Map<Language, Table>();

function table(language: Language): Table {
  let found = tables.get(language);
  if (found) return found;
  const atoms = new Map<string, number>();
  for (const entry of ATOMS[language].split(", ")) {
    const [value, forms] = entry.split(" ");
    for (const form of forms!.split("/")) atoms.set(fold(form), Number(value));
  }
  const fractions = new Map(
    FRACTIONS[language].split(", ").map((entry) => {
      const [word, n] = entry.split(" ");
      return [word!, Number(n)] as const;
    }),
  );
  found = {
    atoms,
    fractions,
    joiners: new Set(JOINERS[language].split(" ")),
    glued: ["de", "nl", "it"].includes(language),
  };
  tables.set(language, found);
  return found;
}

const MAX_GLUED = 60;

/** A word such as `zwölftausend` as its parts, or null. Work: the square of at most 60 letters. */
function glued(word: string, { atoms, joiners }: Table): (number | "+")[] | null {
  if (word.length < 6 || word.length > MAX_GLUED) return null;
  const from: ((number | "+")[] | null)[] = Array(word.length + 1).fill(null);
  from[word.length] = [];
  for (let i = word.length - 1; i >= 0; i--)
    for (let n = Math.min(12, word.length - i); n >= 2; n--) {
      const rest = from[i + n];
      if (!rest) continue;
      const part = word.slice(i, i + n);
      const value = atoms.get(part) ?? (joiners.has(part) && i > 0 ? ("+" as const) : undefined);
      if (value === undefined) continue;
      from[i] = [value, ...rest];
      break;
    }
  return from[0] && from[0].length > 1 ? from[0] : null;
}

export type Spelt = { value: number; end: number; unit: "count" | "percent"; rough: boolean };

/** The number in words that begins at `at`, or null. One alone is left out: mostly it is the article. */
export function speltNumber(folds: readonly string[], at: number, language: Language): Spelt | null {
  const words = table(language);
  const fraction = fractionAt(folds, at, language, words);
  if (fraction) return fraction;
  const whole = wholeAt(folds, at, words);
  if (!whole) return null;
  const out = outOf(folds, at, whole, language, words);
  if (out) return out;
  if (whole.value <= 1 || (language === "it" && whole.value === 6 && whole.end === at + 1)) return null;
  return { ...whole, unit: "count", rough: false };
}

function wholeAt(folds: readonly string[], at: number, words: Table): { value: number; end: number } | null {
  let total = 0;
  let current = 0;
  let any = false;
  let end = at;
  let last = Infinity;
  let joined = false;
  const take = (v: number): boolean => {
    if (v >= 1000) {
      if (total > 0 && v >= last) return false;
      total += Math.max(1, current) * v;
      [current, last] = [0, v];
    } else if (v === 100) current = Math.max(1, current) * 100;
    else if (v === 20 && current === 4) current = 80;
    else if (any && current > 0) {
      const room = current % 100 === 0 ? 100 : current % 10 === 0 ? 10 : 0;
      const french = (current % 100 === 60 || current % 100 === 80) && v < 20 && words.atoms.has("soixante");
      if (v < room || french) current += v;
      else if (current < 10 && v >= 20 && v % 10 === 0 && joined) current += v;
      else return false;
    } else current = v;
    any = true;
    return true;
  };
  for (let i = at; i < folds.length && i < at + 14; i++) {
    const fold = folds[i]!;
    const atom = words.atoms.get(fold);
    if (atom !== undefined) {
      joined = false;
      if (!take(atom)) break;
      end = i + 1;
      continue;
    }
    if (any && words.joiners.has(fold) && words.atoms.has(folds[i + 1] ?? "") && (current % 100 === 0 || current >= 20))
      continue;
    const parts = words.glued ? glued(fold, words) : null;
    if (!parts) break;
    for (const part of parts) if (part === "+") joined = true; else take(part); // prettier-ignore
    end = i + 1;
  }
  return any ? { value: total + current, end } : null;
}

function fractionAt(folds: readonly string[], at: number, language: Language, words: Table): Spelt | null {
  const numerator = /^(a|an|one|the|ein|eine|einem|einen|die|der|un|une|la|le|uno|una|een|de|het|il|jedna|jedną)$/.test(
    folds[at]!,
  )
    ? 1
    : words.atoms.get(folds[at]!);
  for (const [n, i] of [
    [numerator, at + 1],
    [1, at],
  ] as const) {
    // prettier-ignore
    if (n === undefined) continue;
    const part = words.fractions.get(folds[i] ?? "");
    if (part === undefined) continue;
    if (language === "en" && folds[i + 1] === "a" && folds[i] === "half" && folds[i + 2] !== "million")
      return folds[i + 2] === "dozen" ? { value: 6, end: i + 3, unit: "count", rough: false } : null;
    if (!ALWAYS.test(folds[i]!) && !OF_WHOLE.test(folds[i + 1] ?? "")) continue;
    if (folds[i] === "quarter" && !/^(of|less|more|lower|higher|fewer)$/.test(folds[i + 1] ?? "")) continue;
    if (folds[i] === "quarter" && folds[i + 1] === "of" && folds[i + 2] === "a" && folds[i + 3] === "million")
      return { value: 250_000, end: i + 4, unit: "count", rough: false };
    // `half an hour` is a time, not a share.
    if (HOUR.test(folds[i + 1] ?? "") || HOUR.test(folds[i + 2] ?? "") || HOUR.test(folds[i + 3] ?? "")) return null;
    if (folds[i + 1] === "a" && folds[i + 2] === "million")
      return { value: 500_000, end: i + 3, unit: "count", rough: false };
    if (folds[i + 1] === "million") return { value: 500_000, end: i + 2, unit: "count", rough: false };
    if (n >= part) continue;
    return { value: (100 * n) / part, end: i + 1, unit: "percent", rough: true };
  }
  return null;
}

function outOf(
  folds: readonly string[],
  at: number,
  whole: { value: number; end: number },
  language: Language,
  words: Table,
): Spelt | null {
  for (const n of [2, 1]) {
    if (!OUT_OF[language].test(folds.slice(whole.end, whole.end + n).join(" "))) continue;
    const base = wholeAt(folds, whole.end + n, words);
    if (base && [3, 4, 5, 10, 20, 100].includes(base.value) && base.value > whole.value && base.end - at < 8)
      return { value: (100 * whole.value) / base.value, end: base.end, unit: "percent", rough: true };
  }
  return null;
}
