import { type CountryCode, getCountries, parsePhoneNumberFromString } from "libphonenumber-js";
import { zoneOf } from "../kernel/operations/zones.ts";
import { plain } from "../kernel/text.ts";
import { asciiDomain, readEmailAddress } from "./email-address.ts";

/** One written form per value, so that equal things compare equal; and a sentence that says why a value is refused. */

export type Normalised = { value: string } | { fault: string };

const ok = (value: string): Normalised => ({ value });
const fault = (message: string): Normalised => ({ fault: message });
/** A value in a sentence about it: in quotes, cut where it is long. */
export const shown = (text: string): string => `'${text.length > 60 ? `${plain(text, 60)}…` : text}'`;

export function normaliseEmail(text: string): Normalised {
  const read = readEmailAddress(text);
  if ("value" in read) return ok(read.value);
  switch (read.fault) {
    case "several":
      return fault(`${shown(text)} contains several email addresses; a contact has one`);
    case "too_long":
      return fault("is longer than the 254 characters that an email address may have, or than the 64 before its @");
    default:
      return fault(`${shown(text)} is not an email address`);
  }
}

/** Mexico dropped the 1 of mobile numbers in 2019; address books still have it, and networks still put it in front of who writes. */
const OLD_MEXICAN_MOBILE = /^(\s*(?:\+|00)\s*52)[\s().-]*1(?=(?:[\s().-]*\d){10}\s*$)/;

/** E.164, e.g. `+4930123456`. Without a country code the number is read as one of `country` (ISO 3166 alpha-2). */
export function normalisePhone(text: string, country?: string | null): Normalised {
  const region = country && /^[A-Z]{2}$/.test(country) ? (country as CountryCode) : undefined;
  const written = text.replace(OLD_MEXICAN_MOBILE, "$1");
  // `00` is the international prefix of most of the world; without a region the parser knows only `+`.
  const number = parsePhoneNumberFromString(region ? written : written.replace(/^\s*00/, "+"), region);
  if (!number || !number.isPossible()) {
    return fault(
      `${shown(text)} is not a phone number${region ? ` of ${region}` : "; write it with the country code, like +49 30 123456"}`,
    );
  }
  return ok(number.number);
}

/** `https://www.linkedin.com/in/<slug>`; company pages and other sites are refused. */
export function normaliseLinkedinUrl(text: string): Normalised {
  const withScheme = /^https?:\/\//i.test(text) ? text : `https://${text.replace(/^\/+/, "")}`;
  const refused = fault(`${shown(text)} is not a LinkedIn profile; it looks like https://www.linkedin.com/in/name`);
  let url: URL;
  try {
    url = new URL(withScheme);
  } catch {
    return refused;
  }
  if (!/(^|\.)linkedin\.com$/i.test(url.hostname)) return refused;
  const match = /^\/(in|pub|sales\/lead)\/([^/]+)/i.exec(url.pathname);
  if (!match) return refused;
  return ok(`https://www.linkedin.com/${match[1]!.toLowerCase()}/${match[2]!.toLowerCase()}`);
}

/** `example.com` out of `https://www.Example.com/about`, as DNS has it: `müller.example` becomes `xn--mller-kva.example`. */
export function normaliseDomain(text: string): Normalised {
  const host = text
    .trim()
    .toLowerCase()
    .replace(/^[a-z]+:\/\//, "")
    .replace(/^[^/@]*@/, "")
    .split(/[/?#:]/)[0]!
    .replace(/^www\./, "")
    .replace(/\.$/, "");
  const ascii = host.length > 253 ? null : asciiDomain(host);
  return ascii === null ? fault(`${shown(text)} is not a domain; it looks like example.com`) : ok(ascii);
}

let countryNames: Map<string, string> | undefined;

/** Country names in the languages address books are kept in → ISO code. */
function countries(): Map<string, string> {
  if (countryNames) return countryNames;
  const names = new Map<string, string>();
  for (const language of ["en", "de", "fr", "es", "it", "pt", "nl", "pl", "sv", "da", "nb", "fi", "cs", "tr"]) {
    const display = new Intl.DisplayNames([language], { type: "region" });
    for (const code of getCountries()) names.set((display.of(code) ?? code).toLowerCase(), code);
  }
  for (const [alias, code] of [
    ["uk", "GB"],
    ["great britain", "GB"],
    ["england", "GB"],
    ["usa", "US"],
    ["u.s.a.", "US"],
    ["u.s.", "US"],
    ["united states of america", "US"],
    ["holland", "NL"],
    ["uae", "AE"],
    ["czech republic", "CZ"],
    ["south korea", "KR"],
    ["russia", "RU"],
  ] as const) {
    names.set(alias, code);
  }
  for (const code of getCountries()) names.set(code.toLowerCase(), code);
  return (countryNames = names);
}

/** ISO 3166 alpha-2 where the country is known, else the text as it came: an unknown name is still worth keeping. */
export function normaliseCountry(text: string): Normalised {
  const code = countries().get(text.toLowerCase());
  if (code) return ok(code);
  return text.length <= 60 ? ok(text) : fault("is longer than 60 characters");
}

export function normaliseTimeZone(text: string): Normalised {
  const zone = zoneOf(text);
  return zone === null ? fault(`${shown(text)} is not a time zone; it looks like Europe/Berlin`) : ok(zone);
}

let languageNames: Map<string, string> | undefined;

/** Names of languages, in the languages address books are kept in and in their own → ISO 639 code. */
function languages(): Map<string, string> {
  if (languageNames) return languageNames;
  const names = new Map<string, string>();
  const letters = "abcdefghijklmnopqrstuvwxyz";
  const known = new Intl.DisplayNames(["en"], { type: "language", fallback: "none" });
  const codes = [...letters]
    .flatMap((a) => [...letters].map((b) => a + b))
    .filter((code) => known.of(code) !== undefined);
  for (const language of [
    "en",
    "de",
    "fr",
    "es",
    "it",
    "pt",
    "nl",
    "pl",
    "sv",
    "da",
    "nb",
    "fi",
    "cs",
    "tr",
    ...codes,
  ]) {
    const display = new Intl.DisplayNames([language], { type: "language", fallback: "none" });
    for (const code of IN_ALL.has(language) ? codes : [language]) {
      const name = display.of(code)?.toLowerCase();
      if (name !== undefined && !names.has(name)) names.set(name, code);
    }
  }
  return (languageNames = names);
}
const IN_ALL = new Set(["en", "de", "fr", "es", "it", "pt", "nl", "pl", "sv", "da", "nb", "fi", "cs", "tr"]);

/** A language tag (BCP 47) whose language exists, out of a tag or a language's name. */
export function normaliseLocale(text: string): Normalised {
  const named = languages().get(text.toLowerCase());
  if (named) return ok(named);
  const refused = fault(`${shown(text)} is not a language tag; it looks like de or en-GB`);
  try {
    const locale = new Intl.Locale(text.replaceAll("_", "-"));
    const isKnown =
      new Intl.DisplayNames(["en"], { type: "language", fallback: "none" }).of(locale.language) !== undefined;
    return isKnown ? ok(locale.toString()) : refused;
  } catch {
    return refused;
  }
}

export const LAWFUL_BASES = [
  "consent",
  "contract",
  "legal_obligation",
  "vital_interests",
  "public_task",
  "legitimate_interests",
] as const;

export function normaliseLawfulBasis(text: string): Normalised {
  const key = text
    .toLowerCase()
    .replace(/[\s-]+/g, "_")
    .replace(/^legitimate_interest$/, "legitimate_interests");
  if ((LAWFUL_BASES as readonly string[]).includes(key)) return ok(key);
  return fault(`${shown(text)} is not a lawful basis; use one of ${LAWFUL_BASES.join(", ")}`);
}

/** What people may set; the other statuses are facts about deliveries and opt-outs, which a file may bring along. */
export const SETTABLE_STATUSES = [
  "new",
  "researching",
  "enriched",
  "personalized",
  "approved",
  "contacted",
  "replied",
  "interested",
  "not_interested",
  "customer",
] as const;
/** Facts about deliveries and opt-outs: who has one of these is not written to. */
const STOPPED_STATUSES = ["bounced", "unsubscribed", "suppressed"] as const;
export const STATUSES = [...SETTABLE_STATUSES, ...STOPPED_STATUSES] as const;
export const isStopped = (status: string | null | undefined): boolean =>
  (STOPPED_STATUSES as readonly (string | null | undefined)[]).includes(status);

export function normaliseStatus(text: string, allowed: readonly string[] = SETTABLE_STATUSES): Normalised {
  const key = text.toLowerCase().replace(/[\s-]+/g, "_");
  if (allowed.includes(key)) return ok(key);
  return fault(`${shown(text)} is not a status that can be set; use one of ${allowed.join(", ")}`);
}

/** Characters of a number at most: 1e308 written out has 309 digits. */
const MAX_NUMBER = 400;

/** A number with a decimal point or comma; `1.234,5` and `1,234.5` are both read when the grouping is plain. */
export function parseNumber(text: string): number | null {
  // Digits alone would be cut in two at every place by the last expression, and nobody's number is longer.
  if (text.length > MAX_NUMBER) return null;
  let bare = text.replace(/[\s'’€$£]/g, "");
  if (/^[+-]?\d{1,3}(\.\d{3})+(,\d+)?$/.test(bare) && bare.includes(","))
    bare = bare.replaceAll(".", "").replace(",", ".");
  else if (/^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$/.test(bare)) bare = bare.replaceAll(",", "");
  else if (/^[+-]?\d+,\d+$/.test(bare)) bare = bare.replace(",", ".");
  return /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(bare) && Number.isFinite(Number(bare)) ? Number(bare) : null;
}

/** `YYYY-MM-DD` out of an ISO date or time, `31.12.2026` or `12/31/2026` where only one reading exists; else null. */
export function parseDate(text: string): string | null {
  const build = (y: number, m: number, d: number): string | null => {
    const date = new Date(Date.UTC(y, m - 1, d));
    const real = y >= 1000 && y <= 9999 && date.getUTCMonth() === m - 1 && date.getUTCDate() === d;
    return real ? date.toISOString().slice(0, 10) : null;
  };
  const iso = /^(\d{4})-(\d{2})-(\d{2})([T ].*)?$/.exec(text);
  if (iso)
    return iso[4] !== undefined && Number.isNaN(Date.parse(text.replace(" ", "T")))
      ? null
      : build(Number(iso[1]), Number(iso[2]), Number(iso[3]));
  const dotted = /^(\d{1,2})\.(\d{1,2})\.(\d{4})$/.exec(text);
  if (dotted) return build(Number(dotted[3]), Number(dotted[2]), Number(dotted[1]));
  const slashed = /^(\d{1,2})[/-](\d{1,2})[/-](\d{4})$/.exec(text);
  if (!slashed) return null;
  const [a, b, y] = [Number(slashed[1]), Number(slashed[2]), Number(slashed[3])];
  if (a === b || b > 12) return build(y, a, b);
  return a > 12 ? build(y, b, a) : null;
}

const YES = new Set(["true", "yes", "y", "1", "ja", "oui", "si", "sí", "sim", "x", "wahr", "vrai"]);
const NO = new Set(["false", "no", "n", "0", "nein", "non", "não", "nao", "nee", "falsch", "faux"]);

export const parseBoolean = (text: string): boolean | null =>
  YES.has(text.toLowerCase()) ? true : NO.has(text.toLowerCase()) ? false : null;
