import { z } from "zod";
import { timestamp } from "../contacts/schemas.ts";
import { FIELDS } from "../providers/enrichment/vocabulary.ts";

export const RUN_STATUS = ["preparing", "running", "done", "stopped"] as const;
export const OUTCOMES = ["complete", "partial", "nothing", "failed"] as const;
export const VALUE_STATES = ["used", "known", "offered", "rejected"] as const;

export const FieldName = z.enum(FIELDS);
export const Fields = z.array(FieldName).min(1).max(FIELDS.length);
export const micros = z.number().int().min(0).max(1_000_000_000_000);

/** A value as providers give it: a text, a whole number, or a list of texts. */
export const ValueSchema = z.union([z.string(), z.number(), z.array(z.string())]);

export const EnrichedValue = z
  .object({
    id: z.uuid(),
    field: FieldName,
    value: ValueSchema,
    provider: z.string(),
    confidence: z.number().int().describe("Per cent, of this provider alone."),
    state: z
      .enum(VALUE_STATES)
      .describe(
        "used: it stands in the contact or company. known: kept beside it. offered: a person entered something else, so a person decides. rejected: a person said no.",
      ),
    seen_at: timestamp.nullable().describe("When the provider itself last saw it, if it says."),
    fetched_at: timestamp,
  })
  .meta({ id: "EnrichedValue" });

export const Run = z
  .object({
    id: z.uuid(),
    name: z.string(),
    status: z.enum(RUN_STATUS),
    stop_reason: z.string().nullable(),
    fields: Fields.nullable(),
    refresh: z.boolean(),
    min_score: z.number().int().nullable(),
    concurrency: z.number().int(),
    contact_cap_micros: z.number().int(),
    cap_micros: z.number().int().nullable().describe("The most that the run may cost; null: no limit of its own."),
    counts: z
      .object({
        total: z.number().int(),
        done: z.number().int(),
        complete: z.number().int(),
        partial: z.number().int(),
        nothing: z.number().int(),
        failed: z.number().int(),
      })
      .describe("Contacts of the run, by what came of them."),
    filled: z.number().int().describe("Fields that were filled or replaced."),
    calls: z.number().int().describe("Questions put to providers."),
    cached: z.number().int().describe("Questions answered from the cache."),
    cost_micros: z.number().int(),
    saved_micros: z.number().int().describe("What the answers of the cache would have cost."),
    created_by: z.string(),
    created_at: timestamp,
    finished_at: timestamp.nullable(),
  })
  .meta({ id: "EnrichmentRun" });
