import { z } from "zod";
import { timestamp } from "../contacts/schemas.ts";
import { cursorTime, decodeCursor, pageOf, pageParams, toPage, withoutSortKey } from "../kernel/operations/cursor.ts";
import { defineOperation } from "../kernel/operations/operation.ts";

/** Reading the cost ledger. Amounts are millionths of a US dollar. */

export const COST_STATES = ["reserved", "settled", "unknown"] as const;

const Cost = z
  .object({
    id: z.uuid(),
    at: timestamp,
    kind: z.string(),
    state: z
      .enum(COST_STATES)
      .describe(
        "reserved: the call is under way. settled: its price is known. unknown: its answer was lost, and it may have been charged.",
      ),
    outcome: z.string().nullable(),
    provider: z.string(),
    contact_id: z.uuid().nullable(),
    campaign_id: z.uuid().nullable(),
    run_id: z.uuid().nullable(),
    units: z.number(),
    amount_micros: z.number().int(),
    saved_micros: z.number().int().describe("What the answer of the cache would have cost."),
    latency_ms: z.number().int().nullable(),
    detail: z.string(),
  })
  .meta({ id: "Cost" });

const narrow = {
  contact_id: z.uuid().optional(),
  campaign_id: z.uuid().optional(),
  run_id: z.uuid().optional(),
  provider: z.string().max(60).optional(),
  kind: z.string().max(40).optional(),
};

export const listCosts = defineOperation({
  id: "costs.list",
  method: "GET",
  path: "/costs",
  summary: "List what calls did cost, newest first",
  permission: "billing:read",
  input: z.object({ ...narrow, ...pageParams }),
  output: pageOf(Cost),
  async handle(ctx, { limit, cursor, ...wanted }) {
    const { db } = ctx;
    const after = decodeCursor(cursor, z.tuple([cursorTime, z.uuid()]));
    const rows = await db<(z.input<typeof Cost> & { sort_key: string })[]>`
      select k.id, k.at, k.kind, k.state, k.outcome, k.provider, k.contact_id, k.campaign_id, k.run_id, k.units::float8 as units,
        k.amount_micros::float8 as amount_micros, k.saved_micros::float8 as saved_micros, k.latency_ms, k.detail, k.at::text as sort_key
      from public.costs k where k.tenant_id = (select kernel.tenant())
        ${wanted.contact_id ? db`and k.contact_id = ${wanted.contact_id}` : db``}
        ${wanted.campaign_id ? db`and k.campaign_id = ${wanted.campaign_id}` : db``}
        ${wanted.run_id ? db`and k.run_id = ${wanted.run_id}` : db``}
        ${wanted.provider ? db`and k.provider = ${wanted.provider}` : db``} ${wanted.kind ? db`and k.kind = ${wanted.kind}` : db``}
        ${after ? db`and (k.at, k.id) < (${after[0]}::text::timestamptz, ${after[1]}::text::uuid)` : db``}
      order by k.at desc, k.id desc limit ${limit + 1}`;
    return toPage(rows, limit, (r) => [r.sort_key, r.id], withoutSortKey);
  },
});

const Sum = z.object({
  key: z.string().nullable(),
  calls: z.number().int(),
  found: z.number().int(),
  cached: z.number().int(),
  amount_micros: z.number().int(),
  saved_micros: z.number().int(),
});

export const costSummary = defineOperation({
  id: "costs.summary",
  method: "GET",
  path: "/costs/summary",
  summary: "Sum up what calls did cost",
  permission: "billing:read",
  input: z.object({
    by: z.enum(["kind", "provider", "day", "campaign"]).default("kind"),
    days: z.coerce.number().int().min(1).max(366).default(30).describe("How many days back."),
  }),
  output: z.object({
    total: Sum.omit({ key: true }),
    data: z.array(Sum),
    contacts: z.number().int().describe("Contacts that something was spent on or asked about."),
    per_contact_micros: z.number().int().nullable(),
  }),
  async handle(ctx, { by, days }) {
    const { db } = ctx;
    const key = {
      kind: db`k.kind`,
      provider: db`k.provider`,
      day: db`to_char(k.at at time zone 'UTC', 'YYYY-MM-DD')`,
      campaign: db`k.campaign_id::text`,
    }[by];
    type Row = z.input<typeof Sum> & { is_total: boolean };
    const rows = await db<Row[]>`
      select ${key} as key, grouping(${key}) = 1 as is_total, count(*) filter (where coalesce(k.outcome, '') <> 'cached')::int as calls,
        count(*) filter (where k.outcome = 'found')::int as found, count(*) filter (where k.outcome = 'cached')::int as cached,
        coalesce(sum(k.amount_micros), 0)::float8 as amount_micros, coalesce(sum(k.saved_micros), 0)::float8 as saved_micros
      from public.costs k where k.tenant_id = (select kernel.tenant()) and k.at > kernel.now() - make_interval(days => ${days})
      group by grouping sets ((${key}), ()) order by 2, ${by === "day" ? db`1` : db`6 desc`}`;
    const [people] = await db<{ n: number }[]>`
      select count(distinct k.contact_id)::int as n from public.costs k
      where k.tenant_id = (select kernel.tenant()) and k.at > kernel.now() - make_interval(days => ${days})`;
    const strip = ({ is_total: _, ...row }: Row) => row;
    const { key: _, ...total } = strip(rows.find((r) => r.is_total)!);
    const contacts = people!.n;
    return {
      total,
      data: rows.filter((r) => !r.is_total).map(strip),
      contacts,
      per_contact_micros: contacts === 0 ? null : Math.round(total.amount_micros / contacts),
    };
  },
});
