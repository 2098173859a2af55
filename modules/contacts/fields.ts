import { clean, plain } from "../kernel/text.ts";
import type { CustomDef, CustomValue } from "./custom-values.ts";
import { customValue } from "./custom-values.ts";
import {
  type Normalised,
  normaliseCountry,
  normaliseDomain,
  normaliseEmail,
  normaliseLawfulBasis,
  normaliseLinkedinUrl,
  normaliseLocale,
  normalisePhone,
  normaliseStatus,
  normaliseTimeZone,
  parseNumber,
} from "./normalize.ts";

/** The columns of a person: how each is read, and how long it may be. API and import share them, so they agree. */

type Hints = { country: string | null; statuses: readonly string[] | undefined };
type FieldDef = {
  max: number;
  /** Stored as '' instead of null. */ blank?: true;
  read?: (text: string, hints: Hints) => Normalised;
};

export const CONTACT_FIELDS = {
  email: { max: 320, read: normaliseEmail },
  first_name: { max: 120, blank: true },
  last_name: { max: 120, blank: true },
  title: { max: 200, blank: true },
  phone: { max: 60, read: (t, h) => normalisePhone(t, h.country) },
  whatsapp_number: { max: 60, read: (t, h) => normalisePhone(t, h.country) },
  linkedin_url: { max: 500, read: normaliseLinkedinUrl },
  company_name: { max: 200 },
  company_domain: { max: 300, read: normaliseDomain },
  status: { max: 40, read: (t, h) => normaliseStatus(t, h.statuses) },
  pipeline_stage: { max: 80, blank: true },
  time_zone: { max: 64, read: normaliseTimeZone },
  locale: { max: 35, read: normaliseLocale },
  country: { max: 60, read: normaliseCountry },
  deal_value: { max: 40, read: readMoney },
  consent_source: { max: 200 },
  lawful_basis: { max: 40, read: normaliseLawfulBasis },
} as const satisfies Record<string, FieldDef>;

export type ContactField = keyof typeof CONTACT_FIELDS;
export const CONTACT_FIELD_NAMES = Object.keys(CONTACT_FIELDS) as ContactField[];

function readMoney(text: string): Normalised {
  const n = parseNumber(text);
  if (n === null || n < 0 || n >= 1e12) return { fault: `'${text}' is not an amount of money` };
  return { value: n.toFixed(2) };
}

/** What may be given for one person; null (or blank) clears a field. */
export type ContactGiven = { [K in ContactField]?: string | number | null } & {
  full_name?: string | null;
  custom?: Record<string, unknown>;
  tags?: readonly string[];
};

/** A person ready to be written. A key that is absent leaves the column alone. */
export type ContactValues = { [K in ContactField]?: string | null } & {
  custom?: Record<string, CustomValue | null>;
  tags?: string[];
};

/** `field` is a path with slashes, as in a JSON pointer without its first slash. */
export type FieldFault = { field: string; detail: string };

export type ReadOptions = {
  custom: ReadonlyMap<string, CustomDef>;
  /** ISO code under which phone numbers without a country code are read; the person's own country wins. */
  defaultCountry?: string | null;
  /** The statuses that may be given; those that people may set, unless a file brings others. */
  statuses?: readonly string[];
};

/** Reads a person's fields, collecting every fault. Nothing is guessed: a value is normalised or refused. */
export function readContact(
  given: ContactGiven,
  options: ReadOptions,
): { values: ContactValues; faults: FieldFault[] } {
  const values: ContactValues = {};
  const faults: FieldFault[] = [];
  const hints: Hints = { country: options.defaultCountry ?? null, statuses: options.statuses };
  if (typeof given.country === "string") {
    const country = normaliseCountry(clean(given.country));
    if ("value" in country && country.value !== "") hints.country = country.value;
  }

  for (const name of CONTACT_FIELD_NAMES) {
    const raw = given[name];
    if (raw === undefined) continue;
    const def: FieldDef = CONTACT_FIELDS[name];
    const text = raw === null ? "" : clean(String(raw));
    if (text === "") {
      // A person always has a status, so clearing it means the first one.
      values[name] = name === "status" ? "new" : def.blank ? "" : null;
      continue;
    }
    if (text.length > def.max) {
      faults.push({ field: name, detail: `is longer than ${def.max} characters` });
      continue;
    }
    const result = def.read ? def.read(text, hints) : { value: text };
    if ("fault" in result) faults.push({ field: name, detail: result.fault });
    else values[name] = result.value;
  }

  if (given.full_name && given.first_name === undefined && given.last_name === undefined) {
    Object.assign(values, splitName(clean(given.full_name)));
  }
  if (given.custom) readCustom(given.custom, options.custom, values, faults);
  if (given.tags) readTags(given.tags, values, faults);
  return { values, faults };
}

/** Unknown custom fields that are named at most. */
const MAX_UNKNOWN = 20;

function readCustom(
  given: Record<string, unknown>,
  defs: ReadonlyMap<string, CustomDef>,
  values: ContactValues,
  faults: FieldFault[],
): void {
  const custom: Record<string, CustomValue | null> = {};
  const known = [...defs.keys()].join(", ");
  let unknown = 0;
  for (const [key, raw] of Object.entries(given)) {
    const def = defs.get(key);
    if (!def) {
      // A body has room for a hundred thousand keys, and each would list all fields.
      if (++unknown <= MAX_UNKNOWN)
        faults.push({
          field: `custom/${key}`,
          detail: `is not a custom field; ${known ? `there are ${known}` : "none is defined yet"}`,
        });
      continue;
    }
    if (raw === null || raw === undefined || raw === "") {
      custom[key] = null;
      continue;
    }
    const result = customValue(def, raw);
    if ("fault" in result) faults.push({ field: `custom/${key}`, detail: result.fault });
    else custom[key] = result.value;
  }
  if (Object.keys(custom).length > 0) values.custom = custom;
}

export const MAX_TAGS = 50;
export const MAX_TAG_LENGTH = 60;

function readTags(given: readonly string[], values: ContactValues, faults: FieldFault[]): void {
  const tags = [...new Set(given.map((t) => clean(t)).filter((t) => t !== ""))];
  const long = tags.find((t) => t.length > MAX_TAG_LENGTH);
  if (long) faults.push({ field: "tags", detail: `'${plain(long, 20)}…' is longer than ${MAX_TAG_LENGTH} characters` });
  else if (tags.length > MAX_TAGS)
    faults.push({ field: "tags", detail: `has ${tags.length} tags; at most ${MAX_TAGS} are allowed` });
  else values.tags = tags;
}

/** `Lovelace, Ada` and `Ada King Lovelace`: the last word is the last name unless a comma says otherwise. */
export function splitName(full: string): { first_name: string; last_name: string } {
  const comma = full.indexOf(",");
  if (comma > 0)
    return {
      first_name: plain(full.slice(comma + 1).trim(), 120),
      last_name: plain(full.slice(0, comma).trim(), 120),
    };
  const space = full.lastIndexOf(" ");
  if (space < 0) return { first_name: plain(full, 120), last_name: "" };
  return { first_name: plain(full.slice(0, space).trim(), 120), last_name: plain(full.slice(space + 1), 120) };
}
