import { z } from "zod";
import { defineOperation } from "../kernel/operations/operation.ts";
import { FIELDS } from "../providers/enrichment/vocabulary.ts";

/** How well the providers do: what they answer and cost, what of the contacts is known, and how much of it people corrected. */

const rate = z.number().nullable().describe("0 to 1; null where there is nothing to measure.");

const ProviderStatus = z
  .object({
    connection_id: z.uuid(),
    name: z.string(),
    provider: z.string(),
    status: z.string(),
    last_error: z.string().nullable(),
    questions: z.number().int().describe("In the last 30 days, the cache's answers left out."),
    found: z.number().int(),
    misses: z.number().int(),
    errors: z.number().int(),
    hit_rate: rate,
    cached: z.number().int(),
    median_ms: z.number().int().nullable(),
    p95_ms: z.number().int().nullable(),
    cost_micros: z.number().int(),
    saved_micros: z.number().int(),
    corrected: z
      .number()
      .int()
      .describe("Values of this provider that stood in a contact or company and that people changed since."),
    accuracy: rate.describe("Share of its values that people did not correct. 0 to 1; null below 20 values."),
  })
  .meta({ id: "EnrichmentProviderStatus" });

export const providerStatus = defineOperation({
  id: "enrichment.providers",
  method: "GET",
  path: "/enrichment/providers",
  summary: "Report how the data providers do",
  description: "Answers, errors, speed and cost of the last 30 days, and how much people corrected.",
  permission: "enrichment:read",
  input: z.object({}),
  output: z.object({
    data: z.array(ProviderStatus),
    cache_hit_rate: rate,
    cost_per_contact_micros: z.number().int().nullable(),
  }),
  async handle(ctx) {
    const data = await ctx.db<z.input<typeof ProviderStatus>[]>`
      with calls as materialized (
        select k.connection_id, k.outcome, k.state, k.latency_ms, k.amount_micros, k.saved_micros from public.costs k
        where k.tenant_id = (select kernel.tenant()) and k.kind in ('enrichment', 'verification') and k.at > kernel.now() - interval '30 days'
      ), sums as (
        select c.connection_id, count(*) filter (where coalesce(c.outcome, '') <> 'cached')::int as questions,
          count(*) filter (where c.outcome = 'found')::int as found, count(*) filter (where c.outcome = 'miss')::int as misses,
          count(*) filter (where c.outcome in ('retry', 'unknown', 'broken', 'lost'))::int as errors,
          count(*) filter (where c.outcome = 'cached')::int as cached,
          percentile_disc(0.5) within group (order by c.latency_ms) as median_ms, percentile_disc(0.95) within group (order by c.latency_ms) as p95_ms,
          coalesce(sum(c.amount_micros), 0)::float8 as cost_micros, coalesce(sum(c.saved_micros), 0)::float8 as saved_micros
        from calls c group by 1
      ), standing as (
        -- A used value is corrected when something else stands in its place now.
        select v.provider, count(*)::int as used, count(*) filter (where x.stands is not null and lower(x.stands) <> lower(v.value #>> '{}'))::int as corrected
        from public.enriched_values v
        left join public.contacts c on c.tenant_id = (select kernel.tenant()) and c.id = v.contact_id
        left join public.companies o on o.tenant_id = (select kernel.tenant()) and o.id = v.company_id
        cross join lateral (select case when v.contact_id is not null then nullif(to_jsonb(c) ->> v.field, '')
          else nullif(to_jsonb(o) ->> substr(v.field, 9), '') end as stands) x
        where v.tenant_id = (select kernel.tenant()) and v.state in ('used', 'rejected') group by 1
      )
      select c.id as connection_id, c.name, c.provider, c.status, c.last_error, coalesce(s.questions, 0) as questions, coalesce(s.found, 0) as found,
        coalesce(s.misses, 0) as misses, coalesce(s.errors, 0) as errors, s.found::float8 / nullif(s.found + s.misses, 0) as hit_rate,
        coalesce(s.cached, 0) as cached, s.median_ms, s.p95_ms, coalesce(s.cost_micros, 0) as cost_micros, coalesce(s.saved_micros, 0) as saved_micros,
        coalesce(t.corrected, 0) as corrected, case when t.used >= 20 then 1 - t.corrected::float8 / t.used end as accuracy
      from public.connections c
      left join sums s on s.connection_id = c.id
      left join standing t on t.provider = c.provider
      where c.tenant_id = (select kernel.tenant()) and c.category = 'enrichment' order by c.name`;
    const sum = (pick: (row: (typeof data)[number]) => number) => data.reduce((n, row) => n + pick(row), 0);
    const answered = sum((r) => r.cached) + sum((r) => r.found) + sum((r) => r.misses);
    const [contacts] = await ctx.db<{ n: number }[]>`
      select count(distinct contact_id)::int as n from public.costs
      where tenant_id = (select kernel.tenant()) and kind in ('enrichment', 'verification') and at > kernel.now() - interval '30 days'`;
    return {
      data: [...data],
      cache_hit_rate: answered === 0 ? null : sum((r) => r.cached) / answered,
      cost_per_contact_micros: contacts!.n === 0 ? null : Math.round(sum((r) => r.cost_micros) / contacts!.n),
    };
  },
});

const Coverage = z
  .object({
    contacts: z.number().int(),
    companies: z.number().int(),
    fields: z.array(
      z.object({
        field: z.string(),
        of: z.enum(["contacts", "companies"]),
        known: z.number().int().describe("How many have a value, whoever entered it."),
        share: rate,
        by_provider: z
          .array(z.object({ provider: z.string(), n: z.number().int() }))
          .describe("Values in use, by provider."),
      }),
    ),
  })
  .meta({ id: "EnrichmentCoverage" });

export const coverage = defineOperation({
  id: "enrichment.coverage",
  method: "GET",
  path: "/enrichment/coverage",
  summary: "Report which fields of contacts and companies are known, and from whom",
  permission: "enrichment:read",
  input: z.object({ list_id: z.uuid().optional().describe("Only contacts of this list and their companies.") }),
  output: Coverage,
  async handle(ctx, { list_id }) {
    const { db } = ctx;
    const scope = list_id
      ? db`and c.id in (select lc.contact_id from public.list_contacts lc where lc.tenant_id = (select kernel.tenant()) and lc.list_id = ${list_id})`
      : db``;
    const [known] = await db<{ contacts: number; companies: number; counts: Record<string, number> }[]>`
      with people as materialized (
        select c.id, c.company_id, c.email, c.first_name, c.last_name, c.title, c.phone, c.linkedin_url, c.country from public.contacts c
        where c.tenant_id = (select kernel.tenant()) ${scope}
      ), firms as materialized (
        select o.* from public.companies o where o.tenant_id = (select kernel.tenant()) and o.id in (select p.company_id from people p)
      ), kept as (
        select v.field, count(distinct coalesce(v.contact_id, v.company_id))::int as n from public.enriched_values v
        where v.tenant_id = (select kernel.tenant()) and v.state = 'used'
          and (v.contact_id in (select p.id from people p) or v.company_id in (select f.id from firms f)) group by 1
      )
      select (select count(*)::int from people) as contacts, (select count(*)::int from firms) as companies,
        coalesce((select jsonb_object_agg(k.field, k.n) from kept k), '{}') || (
          select jsonb_build_object('email', count(email), 'first_name', count(nullif(first_name, '')), 'last_name', count(nullif(last_name, '')),
            'title', count(nullif(title, '')), 'phone', count(phone), 'linkedin_url', count(linkedin_url), 'country', count(country)) from people) || (
          select jsonb_build_object('company_name', count(name), 'company_domain', count(domain), 'company_size', count(size),
            'company_industry', count(industry), 'company_country', count(country)) from firms) as counts`;
    const by = await db<{ field: string; provider: string; n: number }[]>`
      select v.field, v.provider, count(*)::int as n from public.enriched_values v
      where v.tenant_id = (select kernel.tenant()) and v.state = 'used' group by 1, 2 order by 3 desc`;
    const { contacts, companies, counts } = known!;
    return {
      contacts,
      companies,
      fields: FIELDS.map((field) => {
        const of = field.startsWith("company_") ? ("companies" as const) : ("contacts" as const);
        const all = of === "companies" ? companies : contacts;
        const n = counts[field] ?? 0;
        return {
          field,
          of,
          known: n,
          share: all === 0 ? null : n / all,
          by_provider: by.filter((b) => b.field === field).map(({ provider, n }) => ({ provider, n })),
        };
      }),
    };
  },
});
