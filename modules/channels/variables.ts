import type { ValueOf } from "../kernel/channel.ts";

/**
 * Merge variables, the same on every channel: what `{{…}}` may name, where each value comes from, and what was probably meant by a
 * wrong name. A variable's canonical name is what people see: `firstName`, `custom.<key>`.
 */

/** Everything a message may be filled with: a person, their company, the sender. */
export type MergeRow = {
  email: string | null;
  first_name: string;
  last_name: string;
  full_name: string;
  title: string;
  phone: string | null;
  whatsapp_number: string | null;
  linkedin_url: string | null;
  country: string | null;
  time_zone: string | null;
  deal_value: number | null;
  company_name: string | null;
  company_domain: string | null;
  company_size: string | null;
  company_industry: string | null;
  company_country: string | null;
  custom: Record<string, unknown>;
  sender_name: string;
  /** In the channel's normal form: an e-mail address, a number. */
  sender_address: string;
};

type Column = Exclude<keyof MergeRow, "custom">;
type Variable = {
  column: Column;
  /** SQL over contacts `c` and companies `o`; null for values that are the sender's. */
  sql: string | null;
  /** Another part of the value: the sender's first name. */
  firstWord?: true;
};

const VARIABLES = {
  firstName: { column: "first_name", sql: "c.first_name" },
  lastName: { column: "last_name", sql: "c.last_name" },
  fullName: { column: "full_name", sql: "c.full_name" },
  email: { column: "email", sql: "c.email" },
  title: { column: "title", sql: "c.title" },
  phone: { column: "phone", sql: "c.phone" },
  whatsappNumber: { column: "whatsapp_number", sql: "c.whatsapp_number" },
  linkedinUrl: { column: "linkedin_url", sql: "c.linkedin_url" },
  country: { column: "country", sql: "c.country" },
  timeZone: { column: "time_zone", sql: "c.time_zone" },
  dealValue: { column: "deal_value", sql: "c.deal_value::text" },
  companyName: { column: "company_name", sql: "o.name" },
  companyDomain: { column: "company_domain", sql: "o.domain" },
  companySize: { column: "company_size", sql: "o.size" },
  companyIndustry: { column: "company_industry", sql: "o.industry" },
  companyCountry: { column: "company_country", sql: "o.country" },
  senderName: { column: "sender_name", sql: null },
  senderFirstName: { column: "sender_name", sql: null, firstWord: true },
  senderAddress: { column: "sender_address", sql: null },
} as const satisfies Record<string, Variable>;

export type VariableName = keyof typeof VARIABLES;

/** Names people bring from other tools. */
const ALIASES: Record<string, string> = {
  name: "fullName",
  jobtitle: "title",
  company: "companyName",
  organization: "companyName",
  domain: "companyDomain",
  website: "companyDomain",
  industry: "companyIndustry",
  linkedin: "linkedinUrl",
  senderemail: "senderAddress",
  senderphone: "senderAddress",
};

export const VARIABLE_NAMES = Object.keys(VARIABLES) as VariableName[];
const variable = (name: string): Variable => VARIABLES[name as VariableName];

const CUSTOM = "custom.";
const plain = (name: string) => name.toLowerCase().replaceAll("_", "");
const BY_PLAIN = new Map([...VARIABLE_NAMES.map((n) => [plain(n), n] as const), ...Object.entries(ALIASES)]);

/** The canonical name of what stands in braces, or null. camelCase and snake_case are the same; custom fields are `custom.<key>`. */
export function resolveVariable(given: string, customKeys: ReadonlySet<string>): string | null {
  if (given.toLowerCase().startsWith(CUSTOM)) {
    const key = given.slice(CUSTOM.length);
    const known = customKeys.has(key) ? key : key.toLowerCase();
    return customKeys.has(known) ? CUSTOM + known : null;
  }
  return BY_PLAIN.get(plain(given)) ?? null;
}

/** At most three known names that look like the given one, the likeliest first. */
export function nearVariables(given: string, customKeys: ReadonlySet<string>): string[] {
  const all = [...VARIABLE_NAMES, ...[...customKeys].map((k) => CUSTOM + k)];
  // Nobody's slip is longer than this, and the distance costs length times length.
  const wanted = plain(given.slice(0, 80)).replace(/^custom\./, "");
  return all
    .map((name) => {
      const bare = plain(name).replace(/^custom\./, "");
      const part = wanted.length >= 3 && (bare.includes(wanted) || wanted.includes(bare));
      return { name, distance: part ? 1 : editDistance(wanted, bare) };
    })
    .filter((c) => c.distance <= Math.max(2, Math.floor(wanted.length / 3)))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map((c) => c.name);
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}

/**
 * A person's values. Each is one line of text: control characters and line breaks have no place in a sentence or a header, and
 * characters that turn the direction of writing or hide would let a value disguise what stands around it.
 */
export const valuesOf =
  (row: MergeRow): ValueOf =>
  (name) => {
    const key = name.startsWith(CUSTOM) ? name.slice(CUSTOM.length) : null;
    const known = key === null && Object.hasOwn(VARIABLES, name) ? variable(name) : undefined;
    const raw =
      key !== null ? (Object.hasOwn(row.custom, key) ? row.custom[key] : null) : known ? row[known.column] : null;
    if (raw === null || raw === undefined || typeof raw === "object") return null;
    const text = String(raw)
      .toWellFormed()
      .replace(/[\u200b\u202a-\u202e\u2060\u2066-\u2069\ufeff]/g, "")
      // oxlint-disable-next-line no-control-regex
      .replace(/[\s\u0000-\u001f\u007f-\u009f\u2028\u2029\ue000-\ue004]+/g, " ")
      .trim();
    if (text === "") return null;
    return known?.firstWord ? text.split(" ")[0]! : text;
  };

/** The variable as SQL over contacts `c` left join companies `o`; null when it does not depend on the person. */
export const variableSql = (name: string): { text: string } | { customKey: string } | null => {
  if (name.startsWith(CUSTOM)) return { customKey: name.slice(CUSTOM.length) };
  const sql = Object.hasOwn(VARIABLES, name) ? variable(name).sql : null;
  return sql === null ? null : { text: sql };
};
