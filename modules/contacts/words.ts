import { type Catalogue, type CatalogueEntry, entriesOf } from "../kernel/catalogue.ts";
import { CUSTOM_TYPES } from "./custom-values.ts";
import { customKind } from "./filter-sql.ts";
import { FIELD_KINDS, type Kind, KIND_OPS, type Op } from "./filter.ts";
import { TARGETS } from "./imports/mapping.ts";
import { LAWFUL_BASES, SETTABLE_STATUSES, STATUSES } from "./normalize.ts";
import { ENCODINGS } from "./imports/encoding.ts";
import { IMPORT_STATUSES } from "./schemas.ts";

/** What may be asked about a contact and what a column of a file can become, with words for both. */
const WORDS: Record<string, string> = {
  email: "Email",
  full_name: "Full name",
  first_name: "First name",
  last_name: "Last name",
  title: "Job title",
  phone: "Phone",
  linkedin_url: "LinkedIn URL",
  whatsapp_number: "WhatsApp number",
  company_name: "Company",
  company_domain: "Company domain",
  country: "Country",
  locale: "Language",
  time_zone: "Time zone",
  tags: "Tags",
  consent_source: "Consent source",
  lawful_basis: "Lawful basis",
  pipeline_stage: "Pipeline stage",
  deal_value: "Deal value",
  status: "Status",
  tag: "Tag",
  list: "List",
  "company.name": "Company",
  "company.domain": "Company domain",
  "company.industry": "Company industry",
  "company.size": "Company size",
  "company.country": "Company country",
  warmth_score: "Warmth score",
  created_at: "Added",
  updated_at: "Changed",
  last_interaction_at: "Last interaction",
};
const OPTIONS: Record<string, string> = { status: "contact.status", lawful_basis: "contact.lawful_basis" };

const names = [...new Set([...Object.keys(WORDS), ...TARGETS, ...Object.keys(FIELD_KINDS)])];
const fields = names.map((value): CatalogueEntry => {
  const label = WORDS[value];
  if (!label) throw new Error(`The catalogue has no label for the contact field ${value}.`);
  return {
    value,
    label,
    type: FIELD_KINDS[value] ?? "text",
    ...(OPTIONS[value] ? { options: OPTIONS[value] } : {}),
    traits: [...(TARGETS.includes(value) ? ["importable"] : []), ...(value in FIELD_KINDS ? ["filterable"] : [])],
  };
});

const OP_WORDS: Record<Op, string> = {
  eq: "is",
  neq: "is not",
  contains: "contains",
  starts_with: "starts with",
  ends_with: "ends with",
  gt: "is greater than",
  gte: "is at least",
  lt: "is less than",
  lte: "is at most",
  in: "is one of",
  is_empty: "is empty",
  is_not_empty: "is not empty",
  before: "is before",
  after: "is after",
  within_days: "is within the last days",
};
/** Where the plain words would read wrong for a kind. */
const KIND_WORDS: Partial<Record<Kind, Partial<Record<Op, string>>>> = {
  number: { eq: "=", neq: "≠", gt: ">", gte: "≥", lt: "<", lte: "≤" },
  tag: { eq: "includes", neq: "does not include", in: "includes one of" },
  list: { eq: "includes", neq: "does not include", in: "includes one of" },
};
const TAKES: Partial<Record<Op, CatalogueEntry["takes"]>> = {
  in: "values",
  within_days: "days",
  is_empty: "nothing",
  is_not_empty: "nothing",
};
const operators = (Object.keys(KIND_OPS) as Kind[]).flatMap((type) =>
  KIND_OPS[type].map((value): CatalogueEntry => ({
    value,
    label: KIND_WORDS[type]?.[value] ?? OP_WORDS[value],
    type,
    takes: TAKES[value] ?? "value",
  })),
);

const statuses = entriesOf(STATUSES, {
  new: { label: "New", tone: "neutral" },
  researching: { label: "Researching", tone: "neutral" },
  enriched: { label: "Enriched", tone: "neutral" },
  personalized: { label: "Personalized", tone: "neutral" },
  approved: { label: "Approved", tone: "info" },
  contacted: { label: "Contacted", tone: "info" },
  replied: { label: "Replied", tone: "good" },
  interested: { label: "Interested", tone: "good" },
  not_interested: { label: "Not interested", tone: "neutral" },
  customer: { label: "Customer", tone: "good" },
  bounced: { label: "Bounced", tone: "bad" },
  unsubscribed: { label: "Unsubscribed", tone: "warn" },
  suppressed: { label: "Suppressed", tone: "warn" },
});

export const contactsWords: Catalogue = {
  "contact.field": fields,
  "contact.status": statuses.map((s) =>
    (SETTABLE_STATUSES as readonly string[]).includes(s.value) ? { ...s, traits: ["settable"] } : s,
  ),
  "contact.lawful_basis": entriesOf(LAWFUL_BASES, {
    consent: "Consent",
    contract: "Contract",
    legal_obligation: "Legal obligation",
    vital_interests: "Vital interests",
    public_task: "Public task",
    legitimate_interests: "Legitimate interests",
  }),
  // `type` is the kind a filter takes such a field for.
  "custom_field.type": entriesOf(CUSTOM_TYPES, {
    text: "Text",
    number: "Number",
    date: "Date",
    boolean: "Yes or no",
    select: "Choice",
    url: "Web address",
  }).map((entry) => ({ ...entry, type: customKind({ type: entry.value as (typeof CUSTOM_TYPES)[number] }) })),
  "filter.operator": operators,
  "import.encoding": entriesOf(ENCODINGS, {
    "utf-8": "UTF-8",
    "windows-1252": "Western European (Windows-1252)",
    "windows-1251": "Cyrillic (Windows-1251)",
    "windows-1250": "Central European (Windows-1250)",
    "windows-1254": "Turkish (Windows-1254)",
    "windows-1253": "Greek (Windows-1253)",
    shift_jis: "Japanese (Shift_JIS)",
    gb18030: "Chinese, simplified (GB18030, GBK)",
    "euc-kr": "Korean (EUC-KR)",
    big5: "Chinese, traditional (Big5)",
    "windows-1255": "Hebrew (Windows-1255)",
    "windows-1256": "Arabic (Windows-1256)",
    "koi8-r": "Russian (KOI8-R)",
    "koi8-u": "Ukrainian (KOI8-U)",
    "euc-jp": "Japanese (EUC-JP)",
    "windows-1257": "Baltic (Windows-1257)",
    "windows-874": "Thai (Windows-874)",
    "windows-1258": "Vietnamese (Windows-1258)",
    ibm866: "Cyrillic (DOS 866)",
    macintosh: "Western European (Mac)",
    "x-mac-cyrillic": "Cyrillic (Mac)",
    "iso-8859-2": "Central European (ISO 8859-2)",
    "iso-8859-3": "South European (ISO 8859-3)",
    "iso-8859-4": "Baltic (ISO 8859-4)",
    "iso-8859-5": "Cyrillic (ISO 8859-5)",
    "iso-8859-6": "Arabic (ISO 8859-6)",
    "iso-8859-7": "Greek (ISO 8859-7)",
    "iso-8859-8": "Hebrew (ISO 8859-8)",
    "iso-8859-10": "Nordic (ISO 8859-10)",
    "iso-8859-13": "Baltic (ISO 8859-13)",
    "iso-8859-14": "Celtic (ISO 8859-14)",
    "iso-8859-15": "Western European (ISO 8859-15)",
    "iso-8859-16": "Romanian (ISO 8859-16)",
    "iso-2022-jp": "Japanese (ISO-2022-JP)",
    "utf-16le": "UTF-16, little endian",
    "utf-16be": "UTF-16, big endian",
  }),
  "import.status": entriesOf(IMPORT_STATUSES, {
    uploading: { label: "Uploading", tone: "accent" },
    uploaded: { label: "Uploaded", tone: "info" },
    ready: { label: "Ready", tone: "info" },
    running: { label: "Running", tone: "accent", traits: ["moving"] },
    done: { label: "Done", tone: "good" },
    cancelled: { label: "Cancelled", tone: "neutral" },
    failed: { label: "Failed", tone: "bad" },
  }),
};
