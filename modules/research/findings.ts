import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { cursorTime, decodeCursor, pageOf, pageParams, toPage, withoutSortKey } from "../kernel/operations/cursor.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { FINDING_KINDS } from "./finding.ts";
import { FindingOut, Intent } from "./schemas.ts";
import { intentScore, type Score, WEIGHTS } from "./score.ts";

/** What was found about a contact or a company, newest first, and the score made of it. */

const input = z.object({ id: z.uuid(), kind: z.enum(FINDING_KINDS).optional(), ...pageParams });
const output = pageOf(FindingOut).extend({ intent: Intent });

type About = { contact_id: string | null; company_id: string | null };

async function readFindings(
  ctx: Ctx,
  { contact_id, company_id }: About,
  { kind, limit, cursor }: z.output<typeof input>,
) {
  const { db } = ctx;
  const after = decodeCursor(cursor, z.tuple([cursorTime, z.uuid()]));
  const rows = await db<(z.input<typeof FindingOut> & { sort_key: string })[]>`
    select f.id, case when f.contact_id is null then 'company' else 'contact' end as about, f.kind, f.statement, f.quote, f.url, f.data,
      f.confidence, f.provider, f.published_at, f.fetched_at, f.seen_at, coalesce(f.published_at, f.fetched_at)::text as sort_key
    from public.findings f
    where f.tenant_id = (select kernel.tenant()) and (f.contact_id = ${contact_id} or f.company_id = ${company_id})
      ${kind ? db`and f.kind = ${kind}` : db``}
      ${after ? db`and (coalesce(f.published_at, f.fetched_at), f.id) < (${after[0]}::text::timestamptz, ${after[1]}::text::uuid)` : db``}
    order by coalesce(f.published_at, f.fetched_at) desc, f.id desc limit ${limit + 1}`;
  const page = toPage(
    rows,
    limit,
    (r) => [r.sort_key, r.id],
    (r) => withoutSortKey(r) as z.input<typeof FindingOut>,
  );
  return { ...page, intent: await readIntent(ctx, { contact_id, company_id }) };
}

/** Older signals count for nothing: four half-lives of the slowest. */
const LOOK_BACK_DAYS = 720;
const MOST_SIGNALS = 2000;

/** Of a contact: its own signals and its company's. Of a company: its own, and what all its people did. */
export async function readIntent(ctx: Ctx, { contact_id, company_id }: About): Promise<Score> {
  const kinds = Object.keys(WEIGHTS);
  const found = await ctx.db<{ kind: string; confidence: number; at: Date }[]>`
    select kind, confidence, coalesce(published_at, fetched_at) as at from public.findings
    where tenant_id = (select kernel.tenant()) and (contact_id = ${contact_id} or company_id = ${company_id}) and kind = any(${kinds})
      and coalesce(published_at, fetched_at) > kernel.now() - make_interval(days => ${LOOK_BACK_DAYS})
    order by 3 desc limit ${MOST_SIGNALS}`;
  const whose =
    contact_id === null
      ? ctx.db`i.contact_id in (select c.id from public.contacts c where c.tenant_id = (select kernel.tenant()) and c.company_id = ${company_id})`
      : ctx.db`i.contact_id = ${contact_id}`;
  const acts = await ctx.db<{ kind: string; at: Date }[]>`
    select case when i.kind like '%\\_reply' then 'reply' else 'click' end as kind, i.at from public.interactions i
    where i.tenant_id = (select kernel.tenant()) and ${whose} and (i.kind like '%\\_reply' or i.kind like '%\\_clicked')
      and i.at > kernel.now() - make_interval(days => ${LOOK_BACK_DAYS})
    order by i.at desc limit ${MOST_SIGNALS}`;
  return intentScore([...found, ...acts.map((a) => ({ ...a, confidence: 100 }))], ctx.now);
}

export const contactFindings = defineOperation({
  id: "research.contact_findings",
  method: "GET",
  path: "/contacts/{id}/findings",
  summary: "List what was found about a contact and its company, newest first",
  permission: "research:read",
  input,
  output,
  async handle(ctx, given) {
    const [row] = await ctx.db<{ company_id: string | null }[]>`
      select company_id from public.contacts where tenant_id = (select kernel.tenant()) and id = ${given.id}`;
    if (!row) throw new AppError("not_found", "There is no such contact.");
    return await readFindings(ctx, { contact_id: given.id, company_id: row.company_id }, given);
  },
});

export const companyFindings = defineOperation({
  id: "research.company_findings",
  method: "GET",
  path: "/companies/{id}/findings",
  summary: "List what was found about a company, newest first",
  permission: "research:read",
  input,
  output,
  async handle(ctx, given) {
    const [row] =
      await ctx.db`select from public.companies where tenant_id = (select kernel.tenant()) and id = ${given.id}`;
    if (!row) throw new AppError("not_found", "There is no such company.");
    return await readFindings(ctx, { contact_id: null, company_id: given.id }, given);
  },
});
