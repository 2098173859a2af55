import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { invalidField } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { DEFAULT_POLICY, employeesOf, FACTS, type Facts, type Policy, type Rule } from "./route.ts";

/** The team's rules of routing, and the facts they are asked about. */

export const Alias = z
  .string()
  .regex(
    /^[a-z][a-z0-9_]{0,39}$/,
    "begins with a small letter and has small letters, digits and underscores, at most 40",
  );

const RuleSchema = z.object({
  fact: z
    .enum(FACTS)
    .describe(
      "company_employees: of the contact's company. deal_value: of the contact. campaign_tier: of the campaign.",
    ),
  above: z
    .number()
    .min(0)
    .max(999_999_999_999)
    .nullable()
    .default(null)
    .describe("Holds for numbers strictly greater."),
  equals: z.string().trim().min(1).max(40).nullable().default(null).describe("Holds for this text, for campaign_tier."),
  alias: Alias,
  cache: z.boolean().default(true).describe("Have the provider keep the stable part of the prompt."),
});

const PolicyFields = {
  rules: z.array(RuleSchema).max(50).describe("The first one that holds decides."),
  default_alias: Alias.describe("Used when no rule holds."),
  default_cache: z.boolean().default(false),
  share_cap: z
    .number()
    .int()
    .min(0)
    .max(100)
    .nullable()
    .default(null)
    .describe("The most that rules may send to other aliases, in per cent of the latest 1,000 routed calls."),
};
const PolicyOut = z
  .object({
    ...PolicyFields,
    is_own: z.boolean().describe("False: the product's rules, as long as the team has none."),
  })
  .meta({ id: "ModelRouting" });

/** The policy that holds now. */
export async function readPolicy(ctx: Ctx): Promise<Policy & { is_own: boolean }> {
  const [own] = await ctx.db<Omit<Policy, "rules">[]>`
    select default_alias, default_cache, share_cap from public.model_routing where tenant_id = (select kernel.tenant())`;
  if (!own) return { ...DEFAULT_POLICY, is_own: false };
  const rules = await ctx.db<Rule[]>`
    select fact, above::float8 as above, equals, alias, cache from public.model_rules
    where tenant_id = (select kernel.tenant()) order by position`;
  return { ...own, rules: [...rules], is_own: true };
}

const toOutput = ({ rules, ...policy }: Policy & { is_own: boolean }) => ({ ...policy, rules: [...rules] });

export const getRouting = defineOperation({
  id: "models.routing",
  method: "GET",
  path: "/models/routing",
  summary: "Read which contacts get which model",
  permission: "models:read",
  input: z.object({}),
  output: PolicyOut,
  handle: async (ctx) => toOutput(await readPolicy(ctx)),
});

export const putRouting = defineOperation({
  id: "models.put_routing",
  method: "PUT",
  path: "/models/routing",
  summary: "Set which contacts get which model",
  description: "Replaces all rules. An alias must be one of GET /models.",
  permission: "models:write",
  input: z.object(PolicyFields),
  output: PolicyOut,
  async handle(ctx, { rules, ...policy }) {
    const known = await ctx.db<{ alias: string }[]>`
      select distinct alias from public.models where tenant_id = (select kernel.tenant())`;
    const isKnown = (alias: string) => known.some((k) => k.alias === alias);
    const unknown = (at: string, alias: string) =>
      invalidField(at, `There is no model with the alias ${alias}.`, "Add it with PUT /models.");
    if (!isKnown(policy.default_alias)) throw unknown("/default_alias", policy.default_alias);
    for (const [i, rule] of rules.entries()) {
      if (!isKnown(rule.alias)) throw unknown(`/rules/${i}/alias`, rule.alias);
      const wanted = rule.fact === "campaign_tier" ? "equals" : "above";
      const other = wanted === "equals" ? "above" : "equals";
      if (rule[wanted] === null) throw invalidField(`/rules/${i}/${wanted}`, `is needed for ${rule.fact}`);
      if (rule[other] !== null) throw invalidField(`/rules/${i}/${other}`, `does not go with ${rule.fact}`);
    }
    await ctx.db`
      insert into public.model_routing (tenant_id, default_alias, default_cache, share_cap)
      values (${ctx.tenantId}, ${policy.default_alias}, ${policy.default_cache}, ${policy.share_cap})
      on conflict (tenant_id) do update set default_alias = excluded.default_alias, default_cache = excluded.default_cache,
        share_cap = excluded.share_cap`;
    await ctx.db`delete from public.model_rules where tenant_id = (select kernel.tenant())`;
    if (rules.length > 0)
      await ctx.db`
        insert into public.model_rules (tenant_id, position, fact, above, equals, alias, cache)
        select ${ctx.tenantId}::uuid, r.position, r.fact, r.above, r.equals, r.alias, r.cache
        from jsonb_to_recordset(${ctx.db.json(rules.map((r, i) => ({ position: i + 1, ...r })))}) as r(position int, fact text,
          above numeric, equals text, alias text, cache boolean)`;
    ctx.audit({ rules: rules.length, default_alias: policy.default_alias });
    return toOutput(await readPolicy(ctx));
  },
});

/** The facts of a contact and a campaign; those that nobody knows are null. */
export async function factsOf(ctx: Ctx, contactId: string | null, campaignId: string | null): Promise<Facts> {
  const [row] = await ctx.db<
    { employees: number | null; size: string | null; deal: number | null; tier: string | null }[]
  >`
    select (select case when jsonb_typeof(v.value) = 'number' then (v.value #>> '{}')::float8 end from public.enriched_values v
        where v.tenant_id = (select kernel.tenant()) and v.company_id = c.company_id and v.field = 'company_employees' and v.state = 'used'
        limit 1) as employees,
      o.size, c.deal_value::float8 as deal,
      (select k.tier from public.campaigns k where k.tenant_id = (select kernel.tenant()) and k.id = ${campaignId}::uuid) as tier
    from (select) one
    left join public.contacts c on c.tenant_id = (select kernel.tenant()) and c.id = ${contactId}::uuid
    left join public.companies o on o.tenant_id = (select kernel.tenant()) and o.id = c.company_id`;
  return {
    company_employees: row?.employees ?? employeesOf(row?.size),
    deal_value: row?.deal ?? null,
    campaign_tier: row?.tier ?? null,
  };
}
