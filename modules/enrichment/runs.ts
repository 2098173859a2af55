import { z } from "zod";
import { peopleCondition, requirePeople, type Source as People } from "../contacts/people.ts";
import { FilterSchema } from "../contacts/filter.ts";
import type { Ctx } from "../kernel/context.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { cursorTime, decodeCursor, pageOf, pageParams, toPage, withoutSortKey } from "../kernel/operations/cursor.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import type { Field } from "../providers/enrichment/vocabulary.ts";
import { mostOf } from "./question.ts";
import { Fields, micros, OUTCOMES, Run } from "./schemas.ts";
import { readSettings } from "./settings.ts";
import { fieldsOf, requireSources } from "./sources.ts";
import { enrichmentRun } from "./work.ts";

/** Runs: the waterfall over many contacts. Started, watched, stopped. */

const whom = {
  list_id: z.uuid().optional(),
  segment_id: z.uuid().optional(),
  contact_ids: z.array(z.uuid()).min(1).max(10_000).optional(),
  filter: FilterSchema.optional().describe("{all: []} selects all contacts."),
};
const what = {
  fields: Fields.optional().describe("Wanted fields; all that the providers give unless set."),
  refresh: z.boolean().default(false).describe("Ask again for what is known, and past the cache."),
  min_score: z.number().int().min(0).max(100).optional().describe("Leave out contacts with a lower warmth score."),
};

type Whom = { [K in keyof typeof whom]?: z.output<(typeof whom)[K]> | undefined };

async function peopleOf(ctx: Ctx, given: Whom): Promise<People> {
  const named = (["list_id", "segment_id", "contact_ids", "filter"] as const).filter((k) => given[k] !== undefined);
  if (named.length !== 1)
    throw invalidField(`/${named[1] ?? "list_id"}`, "Give one of list_id, segment_id, contact_ids and filter.");
  await requirePeople(ctx, given);
  const [name] = named as [keyof typeof whom];
  const people = { [name]: given[name] } as People;
  // A filter's faults are told now, not when the run begins.
  await peopleCondition(ctx, people);
  return people;
}

const Estimate = z
  .object({
    contacts: z.number().int().describe("Contacts that are selected."),
    missing: z
      .number()
      .int()
      .describe("Of these, contacts of which something wanted is missing. From a sample where there are many."),
    most_micros: z
      .number()
      .int()
      .describe(
        "The most that the run can cost: every provider asked about everybody, within the limit for a contact.",
      ),
    likely_micros: z
      .number()
      .int()
      .describe("What it will probably cost, from what the team's questions found and cost in the last 90 days."),
    sampled: z.boolean(),
    providers: z.array(
      z.object({
        provider: z.string(),
        kind: z.string(),
        price_micros: z.number().int(),
        hit_rate: z.number().nullable(),
      }),
    ),
  })
  .meta({ id: "EnrichmentEstimate" });

/** Contacts that are looked at for an estimate. */
const SAMPLE = 2000;

export const estimateRun = defineOperation({
  id: "enrichment.estimate",
  method: "POST",
  path: "/enrichment/estimate",
  summary: "Estimate what a run would cost",
  description: "Asks no provider and changes nothing.",
  permission: "enrichment:run",
  input: z.object({ ...whom, ...what }),
  output: Estimate,
  async handle(ctx, input) {
    const people = await peopleOf(ctx, input);
    const sources = await requireSources(ctx);
    const wanted = input.fields ?? fieldsOf(sources);
    const { people: where } = await peopleCondition(ctx, people);
    const score = input.min_score === undefined ? ctx.db`` : ctx.db`and c.warmth_score >= ${input.min_score}`;
    const [count] = await ctx.db<{ n: number }[]>`
      select count(*)::int as n from public.contacts c where c.tenant_id = (select kernel.tenant()) and ${where} ${score}`;
    const persons = wanted.filter((f) => PERSON_COLUMNS.has(f));
    const companies = wanted.some((f) => f.startsWith("company_"));
    const [sample] = await ctx.db<{ n: number; missing: number }[]>`
      select count(*)::int as n, count(*) filter (where ${input.refresh} or lacks)::int as missing from (
        select exists (select from unnest(${persons}::text[]) f where coalesce(to_jsonb(c) ->> f, '') = '')
            or (${companies} and (o.id is null or o.industry is null or o.size is null))
            or (${wanted.includes("email_status")} and exists (select from public.contact_addresses a where a.tenant_id = (select kernel.tenant())
              and a.contact_id = c.id and a.channel = 'email' and a.is_primary and a.verified_at is null)) as lacks
        from public.contacts c left join public.companies o on o.tenant_id = (select kernel.tenant()) and o.id = c.company_id
        where c.tenant_id = (select kernel.tenant()) and ${where} ${score} limit ${SAMPLE}) x`;
    const missing = sample!.n === 0 ? 0 : Math.round((count!.n * sample!.missing) / sample!.n);
    const history = await ctx.db<{ provider: string; kind: string; found: number; asked: number }[]>`
      select provider, kind, count(*) filter (where outcome = 'found')::int as found, count(*)::int as asked from (
        select provider, kind, outcome from public.costs
        where tenant_id = (select kernel.tenant()) and kind in ('enrichment', 'verification') and state = 'settled'
          and outcome in ('found', 'miss') and at > kernel.now() - interval '90 days' order by at desc limit 20000) x
      group by 1, 2`;
    const { contact_cap_micros } = await readSettings(ctx);
    const asked = sources
      .filter((s) => wanted.some((f) => s.fields.has(f)))
      .map((s) => {
        const known = history.find(
          (h) => h.provider === s.provider.id && h.kind === (s.kind === "email" ? "verification" : "enrichment"),
        );
        return {
          provider: s.provider.label,
          kind: s.kind,
          price_micros: mostOf(s),
          hit_rate: known && known.asked >= 20 ? known.found / known.asked : null,
        };
      });
    let each = 0;
    let still: Record<string, number> = { person: 1, company: 1, email: 1 };
    for (const { kind, price_micros, hit_rate } of asked) {
      // Without a history half of the questions are taken to be answered, and only answers to cost.
      const hit = hit_rate ?? 0.5;
      each += still[kind]! * hit * price_micros;
      still = { ...still, [kind]: still[kind]! * (1 - hit) };
    }
    const most = Math.min(
      contact_cap_micros,
      asked.reduce((sum, a) => sum + a.price_micros, 0),
    );
    return {
      contacts: count!.n,
      missing,
      most_micros: missing * most,
      likely_micros: Math.round(missing * Math.min(most, each)),
      sampled: count!.n > SAMPLE,
      providers: asked,
    };
  },
});

const PERSON_COLUMNS = new Set<Field>([
  "email",
  "first_name",
  "last_name",
  "title",
  "phone",
  "linkedin_url",
  "country",
]);

export const startRun = defineOperation({
  id: "enrichment.start",
  method: "POST",
  path: "/enrichment/runs",
  summary: "Enrich many contacts",
  description:
    "Runs in the background. Providers are asked in the team's order, each only for what is still missing. Before each call its price is reserved; no budget is exceeded.",
  permission: "enrichment:run",
  input: z.object({
    name: z.string().trim().min(1).max(120).optional(),
    ...whom,
    ...what,
    concurrency: z.number().int().min(1).max(50).default(10).describe("Calls side by side."),
    cap_micros: micros.optional().describe("The most that the run may cost, in millionths of a US dollar."),
    contact_cap_micros: micros
      .optional()
      .describe("The most that one contact may cost; the team's setting unless given."),
  }),
  output: Run,
  status: 201,
  async handle(ctx, input) {
    const people = await peopleOf(ctx, input);
    await requireSources(ctx);
    const settings = await readSettings(ctx);
    const by = ctx.actor.kind === "user" ? ctx.actor.email : ctx.actor.kind === "api_key" ? "API key" : "Overture";
    const [row] = await ctx.db<{ id: string }[]>`
      insert into public.enrichment_runs (tenant_id, name, source, fields, refresh, min_score, concurrency, contact_cap_micros, created_by)
      values (${ctx.tenantId}, ${input.name ?? (await nameOf(ctx, people))}, ${ctx.db.json(people as never)}, ${input.fields ?? null}, ${input.refresh},
        ${input.min_score ?? null}, ${input.concurrency}, ${input.contact_cap_micros ?? settings.contact_cap_micros}, ${by})
      returning id`;
    const id = row!.id;
    if (input.cap_micros !== undefined) await ctx.db`select private.put_run_budget(${id}, ${input.cap_micros})`;
    await ctx.enqueue(enrichmentRun, { tenant_id: ctx.tenantId, run_id: id });
    ctx.audit({ source: Object.keys(people)[0], cap_micros: input.cap_micros ?? null }, id);
    return await readRun(ctx, id);
  },
});

/** What a run is called unless somebody says so. */
async function nameOf(ctx: Ctx, people: People): Promise<string> {
  if ("list_id" in people) {
    const [list] = await ctx.db<{ name: string }[]>`
      select name from public.lists where tenant_id = (select kernel.tenant()) and id = ${people.list_id}`;
    return list!.name;
  }
  if ("segment_id" in people) {
    const [segment] = await ctx.db<{ name: string }[]>`
      select name from public.segments where tenant_id = (select kernel.tenant()) and id = ${people.segment_id}`;
    return segment!.name;
  }
  return "contact_ids" in people ? `${people.contact_ids.length} contacts` : "Filtered contacts";
}

type RunRow = Omit<z.input<typeof Run>, "counts"> & Omit<z.input<typeof Run>["counts"], "done">;

const columns = (ctx: Ctx) => ctx.db`
  r.id, r.name, r.status, r.stop_reason, r.fields, r.refresh, r.min_score, r.concurrency, r.contact_cap_micros::float8 as contact_cap_micros,
  b.cap_micros::float8 as cap_micros, r.total, r.complete, r.partial, r.nothing, r.failed, r.filled, r.calls, r.cached,
  r.cost_micros::float8 as cost_micros, r.saved_micros::float8 as saved_micros, r.created_by, r.created_at, r.finished_at`;
const joinBudget = (ctx: Ctx) =>
  ctx.db`left join public.budgets b on b.tenant_id = (select kernel.tenant()) and b.scope = 'run' and b.scope_id = r.id`;

const toRun = ({ total, complete, partial, nothing, failed, ...rest }: RunRow): z.input<typeof Run> => ({
  ...rest,
  counts: { total, complete, partial, nothing, failed, done: complete + partial + nothing + failed },
});

async function readRun(ctx: Ctx, id: string): Promise<z.input<typeof Run>> {
  const [row] = await ctx.db<RunRow[]>`
    select ${columns(ctx)} from public.enrichment_runs r ${joinBudget(ctx)} where r.tenant_id = (select kernel.tenant()) and r.id = ${id}`;
  if (!row) throw new AppError("not_found", "There is no such enrichment run.");
  return toRun(row);
}

export const listRuns = defineOperation({
  id: "enrichment.runs",
  method: "GET",
  path: "/enrichment/runs",
  summary: "List enrichment runs, newest first",
  permission: "enrichment:read",
  input: z.object(pageParams),
  output: pageOf(Run),
  async handle(ctx, input) {
    const after = decodeCursor(input.cursor, z.tuple([cursorTime, z.uuid()]));
    const rows = await ctx.db<(RunRow & { sort_key: string })[]>`
      select ${columns(ctx)}, r.created_at::text as sort_key from public.enrichment_runs r ${joinBudget(ctx)}
      where r.tenant_id = (select kernel.tenant())
        ${after ? ctx.db`and (r.created_at, r.id) < (${after[0]}::text::timestamptz, ${after[1]}::text::uuid)` : ctx.db``}
      order by r.created_at desc, r.id desc limit ${input.limit + 1}`;
    return toPage(
      rows,
      input.limit,
      (r) => [r.sort_key, r.id],
      (r) => toRun(withoutSortKey(r) as RunRow),
    );
  },
});

export const getRun = defineOperation({
  id: "enrichment.run",
  method: "GET",
  path: "/enrichment/runs/{id}",
  summary: "Read an enrichment run and its progress",
  permission: "enrichment:read",
  input: z.object({ id: z.uuid() }),
  output: Run,
  handle: (ctx, { id }) => readRun(ctx, id),
});

const ItemOut = z
  .object({
    contact: z.object({
      id: z.uuid(),
      full_name: z.string(),
      email: z.string().nullable(),
      title: z.string(),
      company: z.string().nullable(),
    }),
    state: z.enum(["waiting", "working", "done"]),
    outcome: z.enum(OUTCOMES).nullable(),
    reason: z.string().nullable(),
    filled: z.array(z.string()),
    missing: z.array(z.string()),
    cost_micros: z.number().int(),
    values: z
      .array(z.object({ field: z.string(), value: z.unknown(), provider: z.string(), confidence: z.number().int() }))
      .describe("What stands in the contact and its company and came from providers, each with its source."),
  })
  .meta({ id: "EnrichmentItem" });

export const listItems = defineOperation({
  id: "enrichment.items",
  method: "GET",
  path: "/enrichment/runs/{id}/items",
  summary: "List the contacts of a run with what was found",
  permission: "enrichment:read",
  input: z.object({ id: z.uuid(), outcome: z.enum(OUTCOMES).optional(), ...pageParams }),
  output: pageOf(ItemOut),
  async handle(ctx, input) {
    const after = decodeCursor(input.cursor, z.tuple([z.uuid()]));
    await readRun(ctx, input.id);
    const rows = await ctx.db<z.input<typeof ItemOut>[]>`
      with page as materialized (
        select i.* from public.enrichment_items i
        where i.tenant_id = (select kernel.tenant()) and i.run_id = ${input.id}
          ${input.outcome ? ctx.db`and i.state = 'done' and i.outcome = ${input.outcome}` : ctx.db``}
          ${after ? ctx.db`and i.contact_id > ${after[0]}::text::uuid` : ctx.db``}
        order by i.contact_id limit ${input.limit + 1}
      )
      select jsonb_build_object('id', c.id, 'full_name', c.full_name, 'email', c.email, 'title', c.title, 'company', o.name) as contact,
        p.state, p.outcome, p.reason, p.filled, p.missing, p.cost_micros::float8 as cost_micros, coalesce(v.values, '[]') as values
      from page p
      join public.contacts c on c.tenant_id = (select kernel.tenant()) and c.id = p.contact_id
      left join public.companies o on o.tenant_id = (select kernel.tenant()) and o.id = c.company_id
      left join lateral (
        select jsonb_agg(jsonb_build_object('field', e.field, 'value', e.value, 'provider', e.provider, 'confidence', e.confidence)
          order by e.field, e.confidence desc) as values
        from public.enriched_values e
        where e.tenant_id = (select kernel.tenant()) and e.state = 'used' and (e.contact_id = c.id or e.company_id = c.company_id)) v on true
      order by p.contact_id`;
    return toPage(
      rows,
      input.limit,
      (r) => [r.contact.id],
      (r) => r,
    );
  },
});

export const stopRun = defineOperation({
  id: "enrichment.stop",
  method: "POST",
  path: "/enrichment/runs/{id}/stop",
  summary: "Stop an enrichment run",
  description: "Takes effect before the next call to a provider. What was found stays.",
  permission: "enrichment:run",
  input: z.object({ id: z.uuid() }),
  output: Run,
  async handle(ctx, { id }) {
    await ctx.db`
      update public.enrichment_runs set status = 'stopped', stop_reason = 'member', finished_at = kernel.now()
      where tenant_id = (select kernel.tenant()) and id = ${id} and status in ('preparing', 'running')`;
    const run = await readRun(ctx, id);
    ctx.audit({ name: run.name }, id);
    return run;
  },
});
