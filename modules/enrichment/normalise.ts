import {
  type Normalised,
  normaliseCountry,
  normaliseDomain,
  normaliseEmail,
  normaliseLinkedinUrl,
  normalisePhone,
} from "../contacts/normalize.ts";
import { clean, plain } from "../kernel/text.ts";
import { EMAIL_STATUSES, type Field, type Found } from "../providers/enrichment/vocabulary.ts";
import { departmentOf, seniorityOf, sizeOf, sizeRange } from "./taxonomy.ts";

/** What providers answer, brought to one form for each value; what has none is dropped, because nothing is guessed. */

export type Value = string | number | readonly string[];
/** Values by field, in normal form. */
export type Values = Partial<Record<Field, Value>>;

const MAX_TECHNOLOGIES = 200;
const LENGTHS: Partial<Record<Field, number>> = {
  first_name: 120,
  last_name: 120,
  title: 200,
  city: 120,
  company_city: 120,
  company_name: 200,
  company_industry: 120,
  company_description: 1000,
};

/** Lower case inside a name, unless it begins with one. */
const PARTICLES = new Set([
  "van",
  "von",
  "der",
  "den",
  "de",
  "da",
  "di",
  "du",
  "del",
  "della",
  "la",
  "le",
  "ter",
  "ten",
  "zu",
  "bin",
  "al",
]);
/** Written in capitals in a job title, or small. */
const ACRONYMS = new Set(
  "ceo cto cfo coo cmo cio cpo cro ciso cso vp svp evp avp it hr pr ux ui qa ai ml bi seo sem crm erp r&d b2b pdg emea dach uk us eu".split(
    " ",
  ),
);
const SMALL = new Set(["of", "and", "for", "the", "in", "at", "to", "und", "für", "et", "e", "y"]);

/** Letters' case mended only where somebody stored all of them the same: `ada LOVELACE` stays as it is written. */
const isFlat = (text: string): boolean =>
  text === text.toLowerCase() || (text === text.toUpperCase() && text.length > 3);
const capital = (text: string): string =>
  text
    .toLowerCase()
    .replaceAll(/(^|[\s\-'’.(/&])(\p{L})/gu, (_, before: string, letter: string) => before + letter.toUpperCase());

export function nameCase(text: string): string {
  if (!isFlat(text)) return text;
  return capital(text)
    .split(" ")
    .map((word, i) => (i > 0 && PARTICLES.has(word.toLowerCase()) ? word.toLowerCase() : word))
    .join(" ");
}

export function titleCase(text: string): string {
  if (!isFlat(text)) return text;
  return capital(text)
    .split(" ")
    .map((word, i) => {
      const bare = word.toLowerCase().replaceAll(/[^\p{L}&0-9]/gu, "");
      if (ACRONYMS.has(bare)) return word.toUpperCase();
      return i > 0 && SMALL.has(bare) ? word.toLowerCase() : word;
    })
    .join(" ");
}

const taken = (result: Normalised): string | null => ("value" in result && result.value !== "" ? result.value : null);

function companyPage(text: string): string | null {
  const slug = /(?:^|\/\/|\.)linkedin\.com\/(company|school|showcase)\/([^/?#\s]+)/i.exec(text);
  return slug ? `https://www.linkedin.com/${slug[1]!.toLowerCase()}/${slug[2]!.toLowerCase()}` : null;
}

const whole = (value: unknown, least: number, most: number): number | null => {
  const n =
    typeof value === "number"
      ? value
      : typeof value === "string" && /^\d+$/.test(value.trim())
        ? Number(value)
        : Number.NaN;
  return Number.isInteger(n) && n >= least && n <= most ? n : null;
};

/** The answer in normal form. `country` (ISO 3166) is the subject's as far as known: under it phone numbers without a prefix are read. */
export function normaliseFound(
  { values: raw }: Found,
  { country, year }: { country: string | null; year: number },
): Values {
  const out: Values = {};
  const text = (field: Field): string | null => {
    const value = raw[field];
    if (typeof value !== "string") return null;
    return clean(plain(value, (LENGTHS[field] ?? 500) + 1)) || null;
  };
  const put = (field: Field, value: Value | null) => {
    const most = LENGTHS[field];
    if (value === null || value === "") return;
    if (most !== undefined && String(value).length > most) return;
    out[field] = value;
  };
  const iso = (field: Field): string | null => {
    const given = text(field);
    const code = given === null ? null : taken(normaliseCountry(given));
    return code !== null && /^[A-Z]{2}$/.test(code) ? code : null;
  };
  const read = (field: Field, how: (text: string) => Normalised): string | null => {
    const given = text(field);
    return given === null ? null : taken(how(given));
  };

  put("country", iso("country"));
  put("company_country", iso("company_country"));
  const region = (out.country as string | undefined) ?? country;
  put("email", read("email", normaliseEmail));
  for (const field of ["first_name", "last_name", "city", "company_city"] as const)
    put(field, nullable(text(field), nameCase));
  put("title", nullable(text("title"), titleCase));
  put(
    "phone",
    read("phone", (t) => normalisePhone(t, region)),
  );
  put("linkedin_url", read("linkedin_url", normaliseLinkedinUrl));
  const title = text("title");
  put("seniority", seniorityOf(text("seniority"), title));
  put("department", departmentOf(text("department"), title));

  put("company_name", nullable(text("company_name"), nameCase));
  put("company_domain", read("company_domain", normaliseDomain));
  put(
    "company_industry",
    nullable(text("company_industry"), (t) => t.charAt(0).toUpperCase() + t.slice(1)),
  );
  put(
    "company_phone",
    read("company_phone", (t) => normalisePhone(t, (out.company_country as string | undefined) ?? region)),
  );
  put("company_linkedin_url", nullable(text("company_linkedin_url"), companyPage));
  put("company_description", text("company_description"));
  const employees = whole(raw.company_employees, 1, 5_000_000);
  put("company_employees", employees);
  const range = text("company_size");
  put("company_size", employees !== null ? sizeOf(employees) : range === null ? null : sizeRange(range));
  put("company_founded", whole(raw.company_founded, 1500, year));
  put(
    "company_revenue",
    whole(typeof raw.company_revenue === "number" ? Math.round(raw.company_revenue) : raw.company_revenue, 0, 1e13),
  );
  if (Array.isArray(raw.company_technologies)) {
    const names = raw.company_technologies.flatMap((t: unknown) =>
      typeof t === "string" ? [clean(plain(t, 80))] : [],
    );
    const unique = [...new Map(names.filter(Boolean).map((n) => [n.toLowerCase(), n])).values()];
    if (unique.length > 0) out.company_technologies = unique.sort().slice(0, MAX_TECHNOLOGIES);
  }
  const status = text("email_status");
  if (status !== null && (EMAIL_STATUSES as readonly string[]).includes(status)) out.email_status = status;
  return out;
}

const nullable = (text: string | null, fn: (text: string) => string | null): string | null =>
  text === null ? null : fn(text);
