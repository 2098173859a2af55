/** Merge variables: what `{{…}}` may name, where each value comes from, and what was probably meant by a wrong name. */

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
  sender_email: string;
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
  senderEmail: { column: "sender_email", sql: null },
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
};

export const VARIABLE_NAMES = Object.keys(VARIABLES) as VariableName[];
const variable = (name: string): Variable => VARIABLES[name as VariableName];

/** A resolved name: a built-in variable or a custom field. `name` is what people see. */
export type VariableRef = { kind: "field"; name: string } | { kind: "custom"; name: string; key: string };

const plain = (name: string) => name.toLowerCase().replaceAll("_", "");
const BY_PLAIN = new Map([...VARIABLE_NAMES.map((n) => [plain(n), n] as const), ...Object.entries(ALIASES)]);

/** Finds what a name in braces means. camelCase and snake_case are the same; custom fields are `custom.<key>`. */
export function resolveVariable(given: string, customKeys: ReadonlySet<string>): VariableRef | null {
  const custom = /^custom\.(.+)$/i.exec(given);
  if (custom) {
    const key = customKeys.has(custom[1]!) ? custom[1]! : custom[1]!.toLowerCase();
    return customKeys.has(key) ? { kind: "custom", name: `custom.${key}`, key } : null;
  }
  const name = BY_PLAIN.get(plain(given));
  return name ? { kind: "field", name } : null;
}

/** At most three known names that look like the given one, the likeliest first. */
export function nearVariables(given: string, customKeys: ReadonlySet<string>): string[] {
  const all = [...VARIABLE_NAMES, ...[...customKeys].map((k) => `custom.${k}`)];
  const wanted = plain(given).replace(/^custom\./, "");
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

/** A person's value as one line of text; null when there is none. */
export function variableValue(ref: VariableRef, row: MergeRow): string | null {
  const raw =
    ref.kind === "custom"
      ? Object.hasOwn(row.custom, ref.key)
        ? row.custom[ref.key]
        : null
      : row[variable(ref.name).column];
  if (raw === null || raw === undefined || typeof raw === "object") return null;
  // Control characters and line breaks have no place inside a sentence, a subject or a header.
  // oxlint-disable-next-line no-control-regex
  const text = String(raw)
    .toWellFormed()
    .replace(/[\s\u0000-\u001f\u007f-\u009f\u2028\u2029\ue000-\ue004]+/g, " ")
    .trim();
  if (text === "") return null;
  return ref.kind === "field" && variable(ref.name).firstWord ? text.split(" ")[0]! : text;
}

/** The variable as SQL over contacts `c` left join companies `o`; null when it does not depend on the person. */
export const variableSql = (ref: VariableRef): { text: string } | { customKey: string } | null => {
  if (ref.kind === "custom") return { customKey: ref.key };
  const { sql } = variable(ref.name);
  return sql === null ? null : { text: sql };
};
