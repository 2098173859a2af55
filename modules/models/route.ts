/** Which model answers: rules over facts of the contact, the deal and the campaign. Pure. */

export const FACTS = ["company_employees", "deal_value", "campaign_tier"] as const;
export type Facts = {
  company_employees?: number | null;
  /** In the currency of the deal; the rules compare the number. */
  deal_value?: number | null;
  campaign_tier?: string | null;
};

/** `above`: strictly greater. `equals`: the same text, whatever the case. One of the two. */
export type Rule = {
  fact: (typeof FACTS)[number];
  above: number | null;
  equals: string | null;
  alias: string;
  cache: boolean;
};

export type Policy = {
  rules: readonly Rule[];
  default_alias: string;
  default_cache: boolean;
  /** Per cent of the latest calls that rules may send to other aliases; null: no limit. */
  share_cap: number | null;
};

/** Why an alias: the fact of the rule that holds, or one of the other words. */
export const REASONS = [...FACTS, "default", "chosen", "share_cap", "alias_missing"] as const;
export type Route = { alias: string; cache: boolean; because: (typeof REASONS)[number] };

/** What holds until a team sets its own: big companies, big deals and enterprise campaigns get the better model. */
export const DEFAULT_POLICY: Policy = {
  rules: [
    { fact: "company_employees", above: 1000, equals: null, alias: "premium", cache: true },
    { fact: "deal_value", above: 50_000, equals: null, alias: "premium", cache: true },
    { fact: "campaign_tier", above: null, equals: "enterprise", alias: "premium", cache: true },
  ],
  default_alias: "standard",
  default_cache: false,
  share_cap: null,
};

function holds(rule: Rule, facts: Facts): boolean {
  const value = facts[rule.fact];
  if (value === null || value === undefined) return false;
  if (rule.above !== null) return Number(value) > rule.above;
  return String(value).trim().toLowerCase() === rule.equals?.trim().toLowerCase();
}

/** The first rule that holds decides. */
export function routeOf(policy: Policy, facts: Facts): Route {
  const rule = policy.rules.find((r) => holds(r, facts));
  return rule
    ? { alias: rule.alias, cache: rule.cache, because: rule.fact }
    : { alias: policy.default_alias, cache: policy.default_cache, because: "default" };
}

/**
 * The least number of employees that a size such as "1001-5000", "5000+" or "1,200" says; null where it says none. The least, because a rule
 * that asks for more must not hold for a company that may have fewer.
 */
export function employeesOf(size: string | null | undefined): number | null {
  const first = /\d[\d,.' ]*/.exec(size ?? "")?.[0].replace(/\D/g, "");
  if (!first) return null;
  return Number(first) + (/\d\s*\+/.test(size!) ? 1 : 0);
}
