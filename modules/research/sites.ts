import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { uuid7 } from "../kernel/database/ids.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { decodeCursor, pageOf, pageParams, toPage } from "../kernel/operations/cursor.ts";
import { defineManualOperation, defineOperation } from "../kernel/operations/operation.ts";
import { researchCompany } from "./research.ts";
import { OUTCOMES, pages, SITE_STATES, SiteOut } from "./schemas.ts";
import { hostOf } from "./site.ts";

/** A company's website as research knows it: read now, feeds, and what waits for a person. */

type SiteRow = z.input<typeof SiteOut>;

const columns = (ctx: Ctx) => ctx.db`
  o.id as company_id, coalesce(s.feeds, '{}') as feeds, coalesce(s.state, 'open') as state, s.why, s.url, s.task_id, coalesce(s.pages, 0) as pages,
  s.researched_at, s.searched_at`;

async function readSite(ctx: Ctx, companyId: string): Promise<SiteRow> {
  const [row] = await ctx.db<SiteRow[]>`
    select ${columns(ctx)} from public.companies o
    left join public.research_sites s on s.tenant_id = (select kernel.tenant()) and s.company_id = o.id
    where o.tenant_id = (select kernel.tenant()) and o.id = ${companyId}`;
  if (!row) throw new AppError("not_found", "There is no such company.");
  return row;
}

export const getSite = defineOperation({
  id: "research.site",
  method: "GET",
  path: "/companies/{id}/research",
  summary: "Read the research state of a company's website",
  permission: "research:read",
  input: z.object({ id: z.uuid() }),
  output: SiteOut,
  handle: (ctx, { id }) => readSite(ctx, id),
});

const Feed = z.url().max(500).describe("Address of an RSS or Atom feed, http or https.");

export const updateSite = defineOperation({
  id: "research.update_site",
  method: "PATCH",
  path: "/companies/{id}/research",
  summary: "Name a company's news feeds, or open its website for research again",
  description:
    "`state: open` says that a person looked at a site that asked for a human; the next research reads it again.",
  permission: "research:run",
  input: z.object({
    id: z.uuid(),
    feeds: z.array(Feed).max(10).optional(),
    state: z.literal("open").optional(),
  }),
  output: SiteOut,
  async handle(ctx, { id, feeds, state }) {
    await readSite(ctx, id);
    for (const [i, feed] of (feeds ?? []).entries()) {
      const url = new URL(feed);
      if (!["http:", "https:"].includes(url.protocol) || url.port !== "" || hostOf(url.hostname) === null)
        throw invalidField(`/feeds/${i}`, "must be a public http or https address whose site may be read");
    }
    await ctx.db`
      insert into public.research_sites as s (tenant_id, company_id, feeds) values (${ctx.tenantId}, ${id}, ${feeds ?? []})
      on conflict (tenant_id, company_id) do update set
        feeds = case when ${feeds !== undefined} then excluded.feeds else s.feeds end,
        state = case when ${state !== undefined} then 'open' else s.state end,
        why = case when ${state !== undefined} then null else s.why end,
        -- What was not read to its end is read again at once.
        researched_at = case when ${state !== undefined} and s.state = 'waits' then null else s.researched_at end, updated_at = kernel.now()`;
    ctx.audit({ feeds: feeds?.length ?? null, state: state ?? null }, id);
    return await readSite(ctx, id);
  },
});

const Waiting = SiteOut.extend({ company_name: z.string() }).meta({ id: "ResearchSiteWaiting" });

export const listSites = defineOperation({
  id: "research.sites",
  method: "GET",
  path: "/research/sites",
  summary: "List companies whose website was researched, such as those that wait for a person",
  permission: "research:read",
  input: z.object({ state: z.enum(SITE_STATES).optional(), ...pageParams }),
  output: pageOf(Waiting),
  async handle(ctx, { state, limit, cursor }) {
    const after = decodeCursor(cursor, z.tuple([z.uuid()]));
    const rows = await ctx.db<z.input<typeof Waiting>[]>`
      select ${columns(ctx)}, o.name as company_name from public.research_sites s
      join public.companies o on o.tenant_id = (select kernel.tenant()) and o.id = s.company_id
      where s.tenant_id = (select kernel.tenant()) ${state ? ctx.db`and s.state = ${state}` : ctx.db``}
        ${after ? ctx.db`and s.company_id > ${after[0]}::text::uuid` : ctx.db``}
      order by s.company_id limit ${limit + 1}`;
    return toPage(
      rows,
      limit,
      (r) => [r.company_id],
      (r) => r,
    );
  },
});

/** A request is answered within it, with what is found by then. */
const NOW_MS = 10_000;
/** Left for writing what was found. */
const WRITE_MS = 1_000;

export const researchNow = defineManualOperation({
  id: "research.company",
  method: "POST",
  path: "/companies/{id}/research",
  summary: "Research one company now",
  description: `Answers within ${NOW_MS / 1000} seconds: what is found by then is kept. Pages are fetched at a pace, so that a large site is read in part.`,
  permission: "research:run",
  input: z.object({
    id: z.uuid(),
    search: z.boolean().default(true).describe("Ask the search providers, too."),
    max_pages: pages.default(8),
  }),
  output: z
    .object({
      company_id: z.uuid(),
      run_id: z.uuid().describe("The rows of the cost ledger carry it."),
      outcome: z.enum(OUTCOMES),
      reason: z.string().nullable(),
      pages: z.number().int(),
      findings: z.number().int().describe("New ones; GET /companies/{id}/findings lists all."),
      cost_micros: z.number().int(),
    })
    .meta({ id: "ResearchResult" }),
  async handle(ctx, { id, search, max_pages }) {
    const deadline = performance.now() + NOW_MS - WRITE_MS;
    await ctx.tx((tx) => readSite(tx, id));
    const run_id = uuid7();
    const told = await researchCompany(ctx, id, {
      run_id,
      since: new Date(),
      refresh: true,
      search,
      max_pages,
      deadline,
      goesOn: () => Promise.resolve(true),
    });
    return { company_id: id, run_id, ...told, outcome: told.outcome ?? "failed" };
  },
});
