import { z } from "zod";
import { ENCODINGS } from "./imports/encoding.ts";
import { CUSTOM_TYPES } from "./custom-values.ts";
import { LAWFUL_BASES, STATUSES } from "./normalize.ts";
import { MAX_TAGS } from "./fields.ts";

/** What the module's operations take and give, once. */

export const id = z.uuid();

/** Postgres gives a Date; JSON carries RFC 3339 in UTC. */
export const timestamp = z
  .date()
  .transform((at) => at.toISOString())
  .pipe(z.iso.datetime());

export const Contact = z
  .object({
    id,
    email: z.string().nullable().describe("In lower case."),
    first_name: z.string(),
    last_name: z.string(),
    full_name: z.string(),
    title: z.string().describe("Job title."),
    phone: z.string().nullable().describe("E.164, e.g. +4930123456."),
    linkedin_url: z.string().nullable(),
    whatsapp_number: z.string().nullable().describe("E.164."),
    company: z.object({ id, name: z.string(), domain: z.string().nullable() }).nullable(),
    status: z.enum(STATUSES),
    pipeline_stage: z.string(),
    deal_value: z.number().nullable(),
    warmth_score: z.number().int().min(0).max(100),
    time_zone: z.string().nullable().describe("IANA name, e.g. Europe/Berlin."),
    locale: z.string().nullable().describe("BCP 47, e.g. en-GB."),
    country: z.string().nullable().describe("ISO 3166 alpha-2 where the country was recognised."),
    custom: z.record(z.string(), z.unknown()).describe("Values of custom fields by key."),
    tags: z.array(z.string()),
    last_interaction_at: timestamp.nullable(),
    consent_source: z.string().nullable().describe("Source of the permission to write to the contact."),
    lawful_basis: z.enum(LAWFUL_BASES).nullable().describe("Lawful basis under GDPR article 6."),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "Contact" });

const text = (max: number) => z.string().max(max).nullish();

/** Fields of a person as callers give them. Values are normalised by readContact, which also names what is wrong. */
export const contactFields = {
  email: text(320).describe("Trimmed and stored in lower case."),
  first_name: text(200),
  last_name: text(200),
  title: text(400).describe("Job title."),
  phone: text(60).describe(
    "Any common notation; stored as E.164. A number without country code is read as a number of `country`.",
  ),
  whatsapp_number: text(60),
  linkedin_url: text(500).describe("Profile URL, e.g. https://www.linkedin.com/in/name."),
  company_name: text(400).describe("The company is found or created by domain, else by name."),
  company_domain: text(300),
  status: text(40),
  pipeline_stage: text(200),
  deal_value: z.number().min(0).max(999_999_999_999).nullish(),
  time_zone: text(64),
  locale: text(35),
  country: text(100).describe("ISO code or name."),
  custom: z
    .record(z.string(), z.union([z.string().max(5000), z.number(), z.boolean(), z.null()]))
    .optional()
    .describe("Custom fields by key; null removes a value."),
  tags: z.array(z.string().max(200)).max(MAX_TAGS).optional(),
  consent_source: text(400),
  lawful_basis: text(40).describe(LAWFUL_BASES.join(", ")),
};

export const ContactInput = z.object({
  ...contactFields,
  lists: z.array(id).max(50).optional().describe("Lists to add the contact to."),
});
export type ContactInput = z.output<typeof ContactInput>;

export const OnDuplicate = z.enum(["skip", "update"]);

export const Company = z
  .object({
    id,
    name: z.string(),
    domain: z.string().nullable(),
    size: z.string().nullable(),
    industry: z.string().nullable(),
    country: z.string().nullable(),
    contact_count: z.number().int().describe("Number of contacts of this company, counted up to 1,000."),
    contact_count_exact: z.boolean().describe("False: at least so many."),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "Company" });

export const List = z
  .object({
    id,
    name: z.string(),
    description: z.string(),
    contact_count: z.number().int(),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "List" });

export const Tag = z.object({ tag: z.string(), contact_count: z.number().int() }).meta({ id: "Tag" });

export const CustomField = z
  .object({
    id,
    key: z.string(),
    label: z.string(),
    type: z.enum(CUSTOM_TYPES),
    options: z.array(z.string()),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "CustomField" });

export const Interaction = z
  .object({
    id,
    kind: z.string().describe("e.g. email_sent, email_opened, replied, note."),
    channel: z.string(),
    direction: z.enum(["in", "out", "none"]),
    content: z.string(),
    ref_table: z.string().nullable(),
    ref_id: id.nullable(),
    at: timestamp,
  })
  .meta({ id: "Interaction" });

export const Detected = z
  .object({
    delimiter: z.string(),
    encoding: z
      .enum(ENCODINGS)
      .describe("Detected, or chosen with PUT /imports/{id}/encoding. Names as of the WHATWG."),
    encoding_warning: z
      .string()
      .nullable()
      .default(null)
      .describe(
        "Why the text may be read wrongly. Show it, with the preview and the choice, before the import starts.",
      ),
    encoding_examples: z
      .array(z.object({ encoding: z.enum(ENCODINGS), text: z.string() }))
      .default([])
      .describe("Some words of the file as other likely encodings read them."),
    preamble_rows: z
      .int()
      .min(0)
      .default(0)
      .describe("Rows before the header that are not data: `sep=;`, a title, a note. They are skipped."),
    has_header: z.boolean().describe("False: the first row is data, and the headers are generated."),
    headers: z.array(z.string()),
    preview_rows: z.array(z.array(z.string())).describe("The first rows, at most 10."),
    suggested_mapping: z
      .record(z.string(), z.string().nullable())
      .describe("Header → field, suggested from headers and values."),
  })
  .meta({ id: "DetectedCsv" });
export type Detected = z.output<typeof Detected>;

export const ImportOptions = z
  .object({
    on_duplicate: z
      .enum(["skip", "update", "create_new"])
      .default("skip")
      .describe(
        "What to do with rows whose contact exists. `skip` leaves the contact unchanged but still adds it to the list. `create_new` needs duplicate_key linkedin_url, because an email address belongs to one contact.",
      ),
    duplicate_key: z.enum(["email", "linkedin_url"]).default("email"),
    list_id: id.nullish().describe("List to add all imported contacts to."),
    tags: z
      .array(z.string().max(200))
      .max(20)
      .default([])
      .describe("Tags for all contacts that are created or updated."),
    consent_source: z.string().max(200).nullish().describe("Default for rows without a value."),
    lawful_basis: z.enum(LAWFUL_BASES).nullish().describe("Default for rows without a value."),
    default_country: z
      .string()
      .regex(/^[A-Z]{2}$/, "must be an ISO 3166 code such as DE")
      .nullish()
      .describe("Country of phone numbers without country code, for rows without a country."),
    invalid_values: z
      .enum(["reject", "drop"])
      .default("drop")
      .describe(
        "Whether an invalid value rejects its row, or is left out with a warning. A row with an invalid duplicate key is always rejected.",
      ),
    create_custom_fields: z
      .boolean()
      .default(false)
      .describe("Create the custom fields of the mapping that do not exist, with the type text."),
  })
  .meta({ id: "ImportOptions" });
export type ImportOptions = z.output<typeof ImportOptions>;

export const ImportIssue = z
  .object({
    rejected: z.boolean().describe("True: these rows were not imported. False: the value was left out."),
    field: z.string().describe("Field of the contact, custom.<key>, or empty for the row itself."),
    reason: z.string(),
    count: z.number().int(),
    examples: z.array(z.object({ row: z.number().int(), value: z.string() })).describe("The first rows, at most 3."),
  })
  .meta({ id: "ImportIssue" });

export const IMPORT_STATUSES = ["uploading", "uploaded", "ready", "running", "done", "cancelled", "failed"] as const;

export const Import = z
  .object({
    id,
    file_name: z.string(),
    file_bytes: z.number().int(),
    status: z.enum(IMPORT_STATUSES),
    rows_total: z
      .number()
      .int()
      .nullable()
      .describe("An estimate from the line ends until the import is done, then exact."),
    rows_done: z.number().int(),
    created: z.number().int(),
    updated: z.number().int(),
    skipped: z.number().int(),
    rejected: z.number().int(),
    warnings: z
      .number()
      .int()
      .describe("Values that could not be read and were left out of contacts that were imported."),
    error: z.string().nullable(),
    detected: z.record(z.string(), z.unknown()).describe("A DetectedCsv; empty while uploading."),
    mapping: z.record(z.string(), z.string().nullable()),
    options: z.record(z.string(), z.unknown()),
    created_at: timestamp,
    started_at: timestamp.nullable(),
    finished_at: timestamp.nullable(),
  })
  .meta({ id: "Import" });
