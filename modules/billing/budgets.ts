import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { invalidField } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";

/** Budgets: the most that may be spent. Every call that costs is held against them before it is made. */

const NONE = "00000000-0000-0000-0000-000000000000";

const Budget = z
  .object({
    scope: z.enum(["day", "month", "campaign", "run"]).describe("day and month are the whole team's, in UTC."),
    scope_id: z.uuid().nullable().describe("The campaign or run."),
    cap_micros: z.number().int().nullable().describe("In millionths of a US dollar; null: no limit."),
    spent_micros: z.number().int().describe("Spent and reserved in the period that runs."),
  })
  .meta({ id: "Budget" });

async function readBudgets(ctx: Ctx): Promise<z.input<typeof Budget>[]> {
  return await ctx.db<z.input<typeof Budget>[]>`
    with wanted as (
      select b.scope, b.scope_id from public.budgets b where b.tenant_id = (select kernel.tenant()) and b.scope <> 'run'
      union select 'day', ${NONE}::uuid union select 'month', ${NONE}::uuid
    )
    select w.scope, nullif(w.scope_id, ${NONE}::uuid) as scope_id, b.cap_micros::float8 as cap_micros, coalesce(s.micros, 0)::float8 as spent_micros
    from wanted w
    left join public.budgets b on b.tenant_id = (select kernel.tenant()) and b.scope = w.scope and b.scope_id = w.scope_id
    left join public.spending s on s.tenant_id = (select kernel.tenant()) and s.scope = w.scope and s.scope_id = w.scope_id
      and s.period = case w.scope when 'day' then (kernel.now() at time zone 'UTC')::date
        when 'month' then date_trunc('month', kernel.now() at time zone 'UTC')::date else date '2000-01-01' end
    order by w.scope, w.scope_id`;
}

export const listBudgets = defineOperation({
  id: "budgets.list",
  method: "GET",
  path: "/budgets",
  summary: "List the budgets and what is spent of them",
  permission: "billing:read",
  input: z.object({}),
  output: z.object({ data: z.array(Budget) }),
  handle: async (ctx) => ({ data: await readBudgets(ctx) }),
});

export const putBudget = defineOperation({
  id: "budgets.put",
  method: "PUT",
  path: "/budgets",
  summary: "Set or remove a budget",
  description: "Takes effect before the next call, also in the middle of a run.",
  permission: "billing:write",
  input: z.object({
    scope: z.enum(["day", "month", "campaign"]),
    campaign_id: z.uuid().optional().describe("For the scope campaign."),
    cap_micros: z
      .number()
      .int()
      .min(0)
      .max(1_000_000_000_000)
      .nullable()
      .describe("In millionths of a US dollar; 0: nothing that costs may be called; null: no limit."),
  }),
  output: z.object({ data: z.array(Budget) }),
  async handle(ctx, { scope, campaign_id, cap_micros }) {
    if ((scope === "campaign") !== (campaign_id !== undefined))
      throw invalidField(
        "/campaign_id",
        scope === "campaign" ? "is needed for this scope" : "belongs to the scope campaign",
      );
    const id = campaign_id ?? NONE;
    if (cap_micros === null)
      await ctx.db`delete from public.budgets where tenant_id = (select kernel.tenant()) and scope = ${scope} and scope_id = ${id}`;
    else
      await ctx.db`
        insert into public.budgets (tenant_id, scope, scope_id, cap_micros) values (${ctx.tenantId}, ${scope}, ${id}, ${cap_micros})
        on conflict (tenant_id, scope, scope_id) do update set cap_micros = excluded.cap_micros`;
    ctx.audit({ scope, cap_micros });
    return { data: await readBudgets(ctx) };
  },
});
