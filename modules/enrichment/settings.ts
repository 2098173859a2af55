import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";

/** What a team sets for its enrichment; PATCH /tenant takes it. */
export const TeamSettings = z.object({
  enrichment_contact_cap_micros: z
    .number()
    .int()
    .min(0)
    .max(100_000_000)
    .describe(
      "The most that enriching one contact may cost, in millionths of a US dollar; 150,000 ($0.15) unless set.",
    ),
  enrichment_cache_days: z
    .number()
    .int()
    .min(0)
    .max(365)
    .describe("For how many days an answer of a data provider is used again; 30 unless set."),
  enrichment_on_create: z.boolean().describe("Whether new contacts are enriched by themselves; false unless set."),
  enrichment_min_score: z
    .number()
    .int()
    .min(0)
    .max(100)
    .describe("New contacts with a lower warmth score are not enriched by themselves; 0 unless set."),
});

export type EnrichmentSettings = {
  contact_cap_micros: number;
  cache_days: number;
  on_create: boolean;
  min_score: number;
};

/** A provider that knew nothing is asked again sooner: it may have learned. */
export const MISS_DAYS = 7;

export async function readSettings(ctx: Ctx): Promise<EnrichmentSettings> {
  const [row] = await ctx.db<{ settings: Record<string, unknown> }[]>`
    select settings from public.tenants where id = (select kernel.tenant())`;
  const given = TeamSettings.partial().safeParse(row?.settings ?? {});
  const own = given.success ? given.data : {};
  return {
    contact_cap_micros: own.enrichment_contact_cap_micros ?? 150_000,
    cache_days: own.enrichment_cache_days ?? 30,
    on_create: own.enrichment_on_create ?? false,
    min_score: own.enrichment_min_score ?? 0,
  };
}
