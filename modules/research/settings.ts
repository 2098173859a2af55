import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";

/** What a team sets for its research; PATCH /tenant takes it. */
export const TeamSettings = z.object({
  research_interval_days: z
    .number()
    .int()
    .min(0)
    .max(365)
    .describe("For how many days a company's website is not read again; 7 unless set."),
});

export async function readSettings(ctx: Ctx): Promise<{ interval_days: number }> {
  const [row] = await ctx.db<{ settings: Record<string, unknown> }[]>`
    select settings from public.tenants where id = (select kernel.tenant())`;
  const given = TeamSettings.partial().safeParse(row?.settings ?? {});
  return { interval_days: (given.success ? given.data.research_interval_days : undefined) ?? 7 };
}
