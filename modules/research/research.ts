import type { Ctx, ManualCtx } from "../kernel/context.ts";
import { crawl, type Crawled, type Subject } from "./crawl.ts";
import { type Draft, fit, keyOf } from "./finding.ts";
import { openSearchers, searchNews } from "./search.ts";
import { readSettings } from "./settings.ts";

/** Research of one company: its website, its feeds and the team's search provider, and what is kept of them. */

export type Told = {
  outcome: "found" | "nothing" | "skipped" | "waits" | "failed" | null;
  reason: string | null;
  pages: number;
  /** New ones. */
  findings: number;
  cost_micros: number;
};

export type Options = {
  run_id: string;
  /** Since when a search of this company counts as done: a worker that takes over asks nobody again. */
  since: Date;
  refresh: boolean;
  search: boolean;
  max_pages: number;
  /** By performance.now(). */
  deadline: number;
  goesOn(ctx: Ctx): Promise<boolean>;
};

/** People of a company who are looked for on its pages. */
const PEOPLE = 500;

type Row = {
  name: string;
  domain: string | null;
  feeds: string[] | null;
  state: "open" | "waits" | null;
  researched_at: Date | null;
  searched_at: Date | null;
};

async function load(ctx: Ctx, companyId: string) {
  const [row] = await ctx.db<Row[]>`
    select o.name, o.domain, s.feeds, s.state, s.researched_at, s.searched_at from public.companies o
    left join public.research_sites s on s.tenant_id = (select kernel.tenant()) and s.company_id = o.id
    where o.tenant_id = (select kernel.tenant()) and o.id = ${companyId}`;
  if (!row) return null;
  const people = await ctx.db<{ id: string; name: string }[]>`
    select id, full_name as name from public.contacts
    where tenant_id = (select kernel.tenant()) and company_id = ${companyId} and full_name like '% %' limit ${PEOPLE}`;
  return { row, people, searchers: await openSearchers(ctx), settings: await readSettings(ctx) };
}

/** Researches one company. Never throws for what a site or provider does. */
export async function researchCompany(given: ManualCtx, companyId: string, options: Options): Promise<Told> {
  const ctx = inTime(given, options.deadline);
  const nothing = (outcome: Told["outcome"], reason: string | null): Told => ({
    outcome,
    reason,
    pages: 0,
    findings: 0,
    cost_micros: 0,
  });
  const loaded = await ctx.tx((tx) => load(tx, companyId));
  if (loaded === null) return nothing("skipped", "gone");
  const { row, people, searchers, settings } = loaded;
  const fresh =
    row.researched_at !== null && Date.now() - row.researched_at.getTime() < settings.interval_days * 86_400_000;
  if (fresh && !options.refresh) return nothing("skipped", "fresh");
  const mayCrawl = row.domain !== null && row.state !== "waits";
  const subject: Subject = {
    company_id: companyId,
    name: row.name,
    domain: row.domain ?? "",
    feeds: row.feeds ?? [],
    people,
  };
  const reading: Promise<Crawled> = mayCrawl
    ? crawl(ctx, subject, {
        pages: options.max_pages,
        deadline: options.deadline,
        goesOn: () => ctx.tx((tx) => options.goesOn(tx)),
      })
    : Promise.resolve({ drafts: [], pages: 0, stop: null, url: null });
  const mayAsk =
    options.search && searchers.length > 0 && (row.searched_at === null || row.searched_at < options.since);
  const asking = mayAsk
    ? searchNews(ctx, searchers, subject, {
        run_id: options.run_id,
        deadline: options.deadline,
        goesOn: (tx) => options.goesOn(tx),
        async keep(tx, drafts) {
          await tx.db`
            insert into public.research_sites as s (tenant_id, company_id, searched_at)
            values (${tx.tenantId}, ${companyId}, kernel.now())
            on conflict (tenant_id, company_id) do update set searched_at = kernel.now()`;
          return await keepFindings(tx, companyId, options.run_id, drafts);
        },
      })
    : Promise.resolve({ added: 0, micros: 0, reason: null });
  const [read, asked] = await Promise.allSettled([reading, asking]);
  if (read.status === "rejected") throw read.reason;
  if (asked.status === "rejected") throw asked.reason;
  const crawled = read.value;
  const added = await ctx.tx((tx) => write(tx, companyId, row, options, crawled, mayCrawl));
  const findings = added + asked.value.added;
  const told = { pages: crawled.pages, findings, cost_micros: asked.value.micros };
  const reason =
    row.domain === null ? "no_domain" : row.state === "waits" ? "waits" : (crawled.stop ?? asked.value.reason);
  return { ...told, ...verdict(reason, findings, crawled.pages) };
}

function verdict(reason: string | null, findings: number, pages: number): Pick<Told, "outcome" | "reason"> {
  if (reason === "stopped") return { outcome: null, reason: null };
  if (reason === "captcha" || reason === "waits") return { outcome: "waits", reason: "captcha" };
  if (findings > 0) return { outcome: "found", reason };
  if (pages > 0 && (reason === null || reason === "time")) return { outcome: "nothing", reason };
  if (["unreachable", "busy", "time", "provider", "budget"].includes(reason ?? ""))
    return { outcome: "failed", reason };
  return reason === null ? { outcome: "nothing", reason } : { outcome: "skipped", reason };
}

/** Findings, the state of the site, and the task for a person, in one transaction. Returns how many findings are new. */
async function write(
  tx: Ctx,
  companyId: string,
  row: Row,
  options: Options,
  { drafts, pages, stop, url }: Crawled,
  crawled: boolean,
): Promise<number> {
  if (!crawled) return 0;
  const waits = stop === "captcha";
  // Read to its end, or not to be read: both are an answer for a while. What ended early is tried again.
  const over = stop === null || ["robots", "delay", "no_page"].includes(stop);
  const [site] = await tx.db<{ task_id: string | null }[]>`
    insert into public.research_sites as s (tenant_id, company_id, state, why, url, pages, researched_at, updated_at)
    select ${tx.tenantId}::uuid, o.id, ${waits ? "waits" : "open"}, ${stop}, ${url}, ${pages}, ${over ? tx.now : null}, kernel.now()
    from public.companies o where o.tenant_id = (select kernel.tenant()) and o.id = ${companyId}
    on conflict (tenant_id, company_id) do update set state = excluded.state, why = excluded.why, url = excluded.url, pages = excluded.pages,
      researched_at = coalesce(excluded.researched_at, s.researched_at), updated_at = kernel.now()
    returning s.task_id`;
  // Deleted while it was read.
  if (!site) return 0;
  if (waits) await giveTask(tx, companyId, row.name, url);
  return await keepFindings(tx, companyId, options.run_id, drafts);
}

/** A person looks at the site instead of us: one task, with the contact of the company whom the team knows best. */
async function giveTask(tx: Ctx, companyId: string, name: string, url: string | null): Promise<void> {
  await tx.db`
    with open as (
      select from public.research_sites s join public.tasks t on t.tenant_id = (select kernel.tenant()) and t.id = s.task_id
      where s.tenant_id = (select kernel.tenant()) and s.company_id = ${companyId} and t.status = 'open'
    ), who as (
      select c.id from public.contacts c
      where c.tenant_id = (select kernel.tenant()) and c.company_id = ${companyId} order by c.warmth_score desc, c.id limit 1
    )
    update public.research_sites s set task_id = private.add_task(who.id, ${`Look at the website of ${name}`.slice(0, 200)},
      ${`Why: the site asks for a human (CAPTCHA) at ${url ?? "its home page"}. It is not read by Overture until a member opens it again in the company's research.`})
    from who
    where s.tenant_id = (select kernel.tenant()) and s.company_id = ${companyId} and not exists (select from open)`;
}

async function keepFindings(tx: Ctx, companyId: string, runId: string, drafts: readonly Draft[]): Promise<number> {
  const fitting = drafts.flatMap((d) => fit(d) ?? []);
  if (fitting.length === 0) return 0;
  const rows = await Promise.all(
    fitting.map(async (d) => ({
      contact_id: d.contact_id ?? null,
      company_id: d.contact_id ? null : companyId,
      kind: d.kind,
      statement: d.statement,
      quote: d.quote,
      url: d.url,
      data: d.data ?? {},
      confidence: d.confidence,
      provider: d.provider,
      published_at: d.published_at ?? null,
      run_id: runId,
      key: await keyOf(d),
    })),
  );
  const [kept] = await tx.db<{ n: number }[]>`select private.keep_findings(${tx.db.json(rows as never)}) as n`;
  return kept!.n;
}

/** Calls of providers end when the time is over. */
function inTime(ctx: ManualCtx, end: number): ManualCtx {
  const { http } = ctx;
  const within = <R extends { timeoutMs?: number }>(r: R): R => ({
    ...r,
    timeoutMs: Math.max(1, Math.min(r.timeoutMs ?? 15_000, Math.ceil(end - performance.now()))),
  });
  return { ...ctx, http: { ...http, request: (r) => http.request(within(r)), json: (r) => http.json(within(r)) } };
}
