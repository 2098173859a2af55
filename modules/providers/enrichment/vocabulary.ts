import { defineProvider, type LookupOutcome } from "../../kernel/provider.ts";

/** What providers of category `enrichment` are asked and what they answer, in one vocabulary for all of them. */

/** Kinds of question: a person's data, a company's data, whether an e-mail address takes messages. */
export const KINDS = ["person", "company", "email"] as const;
export type Kind = (typeof KINDS)[number];

export const PERSON_FIELDS = [
  "email",
  "first_name",
  "last_name",
  "title",
  "seniority",
  "department",
  "phone",
  "linkedin_url",
  "country",
  "city",
] as const;
export const COMPANY_FIELDS = [
  "company_name",
  "company_domain",
  "company_industry",
  "company_employees",
  "company_size",
  "company_country",
  "company_city",
  "company_founded",
  "company_revenue",
  "company_linkedin_url",
  "company_phone",
  "company_description",
  "company_technologies",
] as const;
/** Whether messages to the address arrive. */
export const EMAIL_FIELDS = ["email_status"] as const;
export const FIELDS = [...PERSON_FIELDS, ...COMPANY_FIELDS, ...EMAIL_FIELDS] as const;
export type Field = (typeof FIELDS)[number];

/**
 * valid: it takes messages. invalid: it takes none. catch_all: its domain takes every address, so nobody can tell. risky: disposable, a role,
 * or likely to bounce. unknown: the provider could not tell.
 */
export const EMAIL_STATUSES = ["valid", "invalid", "catch_all", "risky", "unknown"] as const;
export type EmailStatus = (typeof EMAIL_STATUSES)[number];

/** What is known of the subject; which of it a kind needs is said by the provider. All in normal form. */
export type Question = {
  email?: string;
  first_name?: string;
  last_name?: string;
  /** The company's. */
  domain?: string;
  company_name?: string;
  linkedin_url?: string;
  /** ISO 3166 alpha-2 of the person. */
  country?: string;
};

/**
 * An answer as the provider wrote it, by field: the engine brings every value into its normal form and drops what is none, so adapters only
 * pick. Texts, whole numbers, and lists of texts (technologies).
 */
export type Found = {
  values: Partial<Record<Field, string | number | readonly string[] | null | undefined>>;
  /** How sure the provider is that this is the subject, 0 to 1; the adapter says how it reads the provider's own measure. */
  confidence: number;
  /** Where the provider says so for a field by itself. */
  confidences?: Partial<Record<Field, number>>;
  /** ISO 8601: when the provider itself last saw the data, if it says. */
  seen_at?: string;
};

export type Answer = LookupOutcome<Found>;

/** `defineLookupProvider({…})`: a provider of category `enrichment`. */
export const defineLookupProvider = defineProvider<never, Question, Found>();
