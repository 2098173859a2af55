import { z } from "zod";
import { requirePeople } from "../contacts/people.ts";
import type { Ctx } from "../kernel/context.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { cursorTime, decodeCursor, pageOf, pageParams, toPage, withoutSortKey } from "../kernel/operations/cursor.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { micros, OUTCOMES, pages, Run } from "./schemas.ts";
import { type Companies, researchRun } from "./work.ts";

/** Runs: research of many companies. Started, watched, stopped. */

const ids = z.array(z.uuid()).min(1).max(10_000);

async function whose(
  ctx: Ctx,
  given: { list_id?: string | undefined; contact_ids?: string[] | undefined; company_ids?: string[] | undefined },
): Promise<Companies> {
  const named = (["list_id", "contact_ids", "company_ids"] as const).filter((k) => given[k] !== undefined);
  const [name, second] = named;
  if (name === undefined || second !== undefined)
    throw invalidField(`/${second ?? "list_id"}`, "Give one of list_id, contact_ids and company_ids.");
  await requirePeople(ctx, given);
  return { [name]: given[name] } as Companies;
}

export const startRun = defineOperation({
  id: "research.start",
  method: "POST",
  path: "/research/runs",
  summary: "Research many companies",
  description:
    "Runs in the background. Contacts stand for the companies they work for; each company is read once. Websites are read politely, a page per second and host.",
  permission: "research:run",
  input: z.object({
    name: z.string().trim().min(1).max(120).optional(),
    list_id: z.uuid().optional(),
    contact_ids: ids.optional(),
    company_ids: ids.optional(),
    refresh: z.boolean().default(false).describe("Read again what was read within the team's interval."),
    search: z.boolean().default(true).describe("Ask the search providers, too."),
    max_pages: pages.default(8).describe("The most pages of one site."),
    cap_micros: micros.optional().describe("The most that the run may cost, in millionths of a US dollar."),
  }),
  output: Run,
  status: 201,
  async handle(ctx, input) {
    const source = await whose(ctx, input);
    const by = ctx.actor.kind === "user" ? ctx.actor.email : ctx.actor.kind === "api_key" ? "API key" : "Overture";
    const [row] = await ctx.db<{ id: string }[]>`
      insert into public.research_runs (tenant_id, name, source, refresh, search, max_pages, created_by)
      values (${ctx.tenantId}, ${input.name ?? (await nameOf(ctx, source))}, ${ctx.db.json(source as never)}, ${input.refresh}, ${input.search},
        ${input.max_pages}, ${by})
      returning id`;
    const id = row!.id;
    if (input.cap_micros !== undefined) await ctx.db`select private.put_run_budget(${id}, ${input.cap_micros})`;
    await ctx.enqueue(researchRun, { tenant_id: ctx.tenantId, run_id: id });
    ctx.audit({ source: Object.keys(source)[0], cap_micros: input.cap_micros ?? null }, id);
    return await readRun(ctx, id);
  },
});

/** What a run is called unless somebody says so. */
async function nameOf(ctx: Ctx, source: Companies): Promise<string> {
  if ("company_ids" in source) return `${source.company_ids.length} companies`;
  if ("contact_ids" in source) return `Companies of ${source.contact_ids.length} contacts`;
  const [list] = await ctx.db<{ name: string }[]>`
    select name from public.lists where tenant_id = (select kernel.tenant()) and id = ${source.list_id}`;
  return list!.name.slice(0, 120);
}

type RunRow = Omit<z.input<typeof Run>, "counts"> & Omit<z.input<typeof Run>["counts"], "done">;

const columns = (ctx: Ctx) => ctx.db`
  r.id, r.name, r.status, r.stop_reason, r.refresh, r.search, r.max_pages, b.cap_micros::float8 as cap_micros, r.total, r.found, r.nothing,
  r.skipped, r.waits, r.failed, r.findings, r.pages, r.cost_micros::float8 as cost_micros, r.created_by, r.created_at, r.finished_at`;
const joinBudget = (ctx: Ctx) =>
  ctx.db`left join public.budgets b on b.tenant_id = (select kernel.tenant()) and b.scope = 'run' and b.scope_id = r.id`;

const toRun = ({ total, found, nothing, skipped, waits, failed, ...rest }: RunRow): z.input<typeof Run> => ({
  ...rest,
  counts: { total, found, nothing, skipped, waits, failed, done: found + nothing + skipped + waits + failed },
});

async function readRun(ctx: Ctx, id: string): Promise<z.input<typeof Run>> {
  const [row] = await ctx.db<RunRow[]>`
    select ${columns(ctx)} from public.research_runs r ${joinBudget(ctx)} where r.tenant_id = (select kernel.tenant()) and r.id = ${id}`;
  if (!row) throw new AppError("not_found", "There is no such research run.");
  return toRun(row);
}

export const listRuns = defineOperation({
  id: "research.runs",
  method: "GET",
  path: "/research/runs",
  summary: "List research runs, newest first",
  permission: "research:read",
  input: z.object(pageParams),
  output: pageOf(Run),
  async handle(ctx, input) {
    const after = decodeCursor(input.cursor, z.tuple([cursorTime, z.uuid()]));
    const rows = await ctx.db<(RunRow & { sort_key: string })[]>`
      select ${columns(ctx)}, r.created_at::text as sort_key from public.research_runs r ${joinBudget(ctx)}
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
  id: "research.run",
  method: "GET",
  path: "/research/runs/{id}",
  summary: "Read a research run and its progress",
  permission: "research:read",
  input: z.object({ id: z.uuid() }),
  output: Run,
  handle: (ctx, { id }) => readRun(ctx, id),
});

const ItemOut = z
  .object({
    company: z.object({ id: z.uuid(), name: z.string(), domain: z.string().nullable() }),
    state: z.enum(["waiting", "working", "done"]),
    outcome: z.enum(OUTCOMES).nullable(),
    reason: z.string().nullable(),
    pages: z.number().int(),
    findings: z.number().int(),
    cost_micros: z.number().int(),
  })
  .meta({ id: "ResearchItem" });

export const listItems = defineOperation({
  id: "research.items",
  method: "GET",
  path: "/research/runs/{id}/items",
  summary: "List the companies of a run with what came of them",
  permission: "research:read",
  input: z.object({ id: z.uuid(), outcome: z.enum(OUTCOMES).optional(), ...pageParams }),
  output: pageOf(ItemOut),
  async handle(ctx, input) {
    await readRun(ctx, input.id);
    const after = decodeCursor(input.cursor, z.tuple([z.uuid()]));
    const rows = await ctx.db<z.input<typeof ItemOut>[]>`
      select jsonb_build_object('id', o.id, 'name', o.name, 'domain', o.domain) as company, i.state, i.outcome, i.reason, i.pages, i.findings,
        i.cost_micros::float8 as cost_micros
      from public.research_items i join public.companies o on o.tenant_id = (select kernel.tenant()) and o.id = i.company_id
      where i.tenant_id = (select kernel.tenant()) and i.run_id = ${input.id}
        ${input.outcome ? ctx.db`and i.outcome = ${input.outcome}` : ctx.db``}
        ${after ? ctx.db`and i.company_id > ${after[0]}::text::uuid` : ctx.db``}
      order by i.company_id limit ${input.limit + 1}`;
    return toPage(
      rows,
      input.limit,
      (r) => [r.company.id],
      (r) => r,
    );
  },
});

export const stopRun = defineOperation({
  id: "research.stop",
  method: "POST",
  path: "/research/runs/{id}/stop",
  summary: "Stop a research run",
  description: "Takes effect before the next page is fetched or provider is called. What was found stays.",
  permission: "research:run",
  input: z.object({ id: z.uuid() }),
  output: Run,
  async handle(ctx, { id }) {
    await ctx.db`
      update public.research_runs set status = 'stopped', stop_reason = 'member', finished_at = kernel.now()
      where tenant_id = (select kernel.tenant()) and id = ${id} and status in ('preparing', 'running')`;
    const run = await readRun(ctx, id);
    ctx.audit({ name: run.name }, id);
    return run;
  },
});
