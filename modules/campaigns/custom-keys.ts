import type { Ctx } from "../kernel/context.ts";

/** Keys of the team's custom fields, which templates may name. */
export const customKeysOf = async (ctx: Ctx): Promise<Set<string>> => {
  const rows = await ctx.db<{ key: string }[]>`select key from public.custom_fields where tenant_id = ${ctx.tenantId}`;
  return new Set(rows.map((r) => r.key));
};
