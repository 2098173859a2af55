import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";

/** What a team sets for its language models; PATCH /tenant takes it. */
export const TeamSettings = z.object({
  model_cache_hours: z
    .number()
    .int()
    .min(0)
    .max(720)
    .describe(
      "For how many hours an answer of a language model is used again for the same request; 24 unless set, 0: never.",
    ),
});

export async function readCacheHours(ctx: Ctx): Promise<number> {
  const [row] = await ctx.db<{ settings: Record<string, unknown> }[]>`
    select settings from public.tenants where id = (select kernel.tenant())`;
  const given = TeamSettings.partial().safeParse(row?.settings ?? {});
  return (given.success ? given.data.model_cache_hours : undefined) ?? 24;
}
