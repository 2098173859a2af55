import { z } from "zod";
import { isRealTime } from "../../kernel/operations/time.ts";

/** What the checker reads, and the form of an evaluation case. Every text has a limit, so the work for one draft has one too. */

const id = z.string().min(1).max(100);
const text = (max: number) => z.string().max(max);

/** The languages whose rules the checker knows, as ISO 639-1. */
export const LANGUAGES = ["en", "de", "fr", "es", "it", "nl", "pl"] as const;
export type Language = (typeof LANGUAGES)[number];
export const isLanguage = (language: string): language is Language => LANGUAGES.some((l) => l === language);
export const LanguageSchema = z.enum(LANGUAGES);

export const Finding = z
  .object({
    id,
    subject: text(300).describe("Whom it is about: the name of a company or a person."),
    kind: text(60).default("fact").describe("funding, hiring, technology, news, … The checker does not read it."),
    statement: text(1000).describe("What was found, in one or two sentences."),
    quote: text(2000).default("").describe("The words of the source."),
    url: text(2000).default(""),
    fetched_at: text(40)
      .refine(isRealTime, "must be a date or time that exists, in ISO 8601")
      .optional()
      .describe("ISO 8601; `last year` and the like are counted from it."),
  })
  .meta({ id: "DraftFinding" });
export type Finding = z.output<typeof Finding>;

/** Fields of the contact by name: first_name, last_name, title, company_name, company_domain, country, … */
export const ContactFields = z
  .record(text(60), z.union([text(500), z.number(), z.boolean(), z.null(), z.array(text(200)).max(50)]))
  .refine((fields) => Object.keys(fields).length <= 60, "at most 60 fields");
export type ContactFields = z.output<typeof ContactFields>;

/** What the sender may say of itself. A plain text gets the ids t1, t2, … by its place. */
export const TenantFact = z.union([text(1000), z.object({ id, statement: text(1000) })]);
export const TenantFacts = z
  .array(TenantFact)
  .max(50)
  .default([])
  .transform((facts) => facts.map((f, i) => (typeof f === "string" ? { id: `t${i + 1}`, statement: f } : f)));
export type TenantFact = { id: string; statement: string };

export const Cites = z
  .array(id)
  .max(20)
  .default([])
  .describe(
    "Ids of findings or tenant facts, or `contact` for its fields. Empty: any of them about the same subject may back the sentence.",
  );

export const EvaluationCase = z.object({
  id,
  language: z
    .string()
    .regex(/^[a-z]{2}$/)
    .describe("One that the checker does not know is compared word by word, so a paraphrase in it is refused."),
  findings: z.array(Finding).max(50),
  contact: ContactFields.default({}),
  tenant_facts: TenantFacts,
  draft: z.object({
    subject: text(300).optional(),
    sentences: z
      .array(
        z.object({
          text: text(1000).min(1),
          cites: Cites,
          expected: z.enum(["ok", "unmapped"]).describe("ok: backed, or no claim. unmapped: says what nothing backs."),
          trap: text(100).optional().describe("The kind of fault that was planted; `injection` is counted apart."),
        }),
      )
      .min(1)
      .max(60),
  }),
});
export type EvaluationCase = z.output<typeof EvaluationCase>;

/** A file of cases is a JSON list of them, or one case. */
export const EvaluationFile = z.union([z.array(EvaluationCase), EvaluationCase.transform((one) => [one])]);
