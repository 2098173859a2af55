import type { Filter } from "../contacts/filter.ts";
import { type Fragment, prepare } from "../contacts/filter-sql.ts";
import type { Ctx } from "../kernel/context.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import type { VariableUse } from "./render.ts";
import { variableSql } from "./variables.ts";

/** Who a campaign writes to, and taking them in. */

/** Where people come from: a list, a saved segment, a filter of the moment, or ids. */
export type Source = { list_id: string } | { segment_id: string } | { filter: unknown } | { contact_ids: string[] };

export const sourceOf = (campaign: { list_id: string | null; segment_id: string | null }): Source | null =>
  campaign.list_id ? { list_id: campaign.list_id } : campaign.segment_id ? { segment_id: campaign.segment_id } : null;

/**
 * The people of a source as a condition over contacts `c`; null: nobody. In an object, because a fragment is a thenable:
 * returned bare from an async function it would be run instead of passed on.
 */
export async function audienceCondition(ctx: Ctx, source: Source | null): Promise<{ people: Fragment }> {
  const { db } = ctx;
  if (source === null) return { people: db`false` };
  if ("contact_ids" in source) return { people: db`c.id = any(${source.contact_ids}::uuid[])` };
  if ("list_id" in source) {
    return {
      people: db`c.id in (select lc.contact_id from public.list_contacts lc where lc.tenant_id = (select kernel.tenant()) and lc.list_id = ${source.list_id})`,
    };
  }
  if ("filter" in source) return await filtered(ctx, source.filter, "/filter");
  const [segment] = await db<
    { filter: unknown }[]
  >`select filter from public.segments where tenant_id = (select kernel.tenant()) and id = ${source.segment_id}`;
  if (!segment) throw new AppError("not_found", "The campaign's segment no longer exists.");
  return await filtered(ctx, segment.filter, "/segment");
}

const filtered = async (ctx: Ctx, filter: unknown, pointer: string) => ({
  people: (await prepare(ctx.db, ctx.tenantId, { filters: [{ filter, pointer }] })).filter(filter as Filter),
});

/** Refuses a list or segment that is not there, naming the field. */
export async function requireAudience(
  ctx: Ctx,
  input: { list_id?: string | null | undefined; segment_id?: string | null | undefined },
): Promise<void> {
  if (input.list_id && input.segment_id)
    throw invalidField(
      "/segment_id",
      "A campaign writes to a list or to a segment, not to both.",
      "Leave one of them out.",
    );
  if (input.list_id) {
    const [row] =
      await ctx.db`select from public.lists where tenant_id = (select kernel.tenant()) and id = ${input.list_id}`;
    if (!row) throw invalidField("/list_id", "There is no such list.");
  }
  if (input.segment_id) {
    const [row] =
      await ctx.db`select from public.segments where tenant_id = (select kernel.tenant()) and id = ${input.segment_id}`;
    if (!row) throw invalidField("/segment_id", "There is no such segment.");
  }
}

export const isSuppressed = (ctx: Ctx): Fragment => ctx.db`
  exists (select from public.suppressions x where x.tenant_id = c.tenant_id and x.channel = 'email' and x.address = c.email)`;

/** People per statement: large enough to be quick, small enough that its locks and its broadcast stay short. */
export const ENROLL_BATCH = 1000;

/**
 * Takes in the next people of a source, in id order after `cursor`: those with an address that is not suppressed. One
 * statement; whoever is in the campaign already stays as they are. `cursor` in the answer is null at the end.
 */
export async function enrollBatch(
  ctx: Ctx,
  campaignId: string,
  source: Source,
  cursor: string | null,
): Promise<{ added: number; seen: number; suppressed: number; without_email: number; cursor: string | null }> {
  const { db, tenantId } = ctx;
  const { people } = await audienceCondition(ctx, source);
  const [row] = await db<
    { seen: number; suppressed: number; without_email: number; added: number; last: string | null }[]
  >`
    with page as materialized (
      select c.id, c.email is null as without_email, c.email is not null and ${isSuppressed(ctx)} as suppressed
      from public.contacts c
      where c.tenant_id = (select kernel.tenant()) and ${people} ${cursor ? db`and c.id > ${cursor}::uuid` : db``}
      order by c.id limit ${ENROLL_BATCH}
    ), added as (
      insert into public.enrollments (tenant_id, campaign_id, contact_id, next_at)
      select ${tenantId}::uuid, ${campaignId}::uuid, p.id, kernel.now() + make_interval(secs => coalesce((
        select s.wait_hours * 3600 from public.campaign_steps s where s.tenant_id = (select kernel.tenant()) and s.campaign_id = ${campaignId} and s.position = 1), 0)::float8)
      from page p where not p.without_email and not p.suppressed
      order by p.id
      on conflict (tenant_id, campaign_id, contact_id) do nothing
      returning 1
    )
    select count(*)::int as seen, (count(*) filter (where p.suppressed))::int as suppressed, (count(*) filter (where p.without_email))::int as without_email,
      (select count(*)::int from added) as added, (select q.id from page q order by q.id desc limit 1) as last
    from page p`;
  const { seen, suppressed, without_email, added, last } = row!;
  return { seen, suppressed, without_email, added, cursor: seen === ENROLL_BATCH ? last : null };
}

export type AudienceReport = {
  count: number;
  suppressed: number;
  without_email: number;
  missing_variables: { variable: string; count: number }[];
};

/**
 * Counts over the whole audience in one statement: one aggregate per variable that has no fallback, whatever the number of
 * people. People in the campaign already (added by hand) count as audience too.
 */
export async function audienceReport(
  ctx: Ctx,
  campaign: { id: string; list_id: string | null; segment_id: string | null },
  uses: VariableUse[],
): Promise<AudienceReport> {
  const { db } = ctx;
  const byName = new Map(uses.map((u) => [u.ref.name, u.ref]));
  const personal = [...byName.values()].flatMap((ref) => {
    const sql = variableSql(ref);
    return sql ? [{ name: ref.name, sql }] : [];
  });
  const value = (sql: (typeof personal)[number]["sql"]): Fragment =>
    "customKey" in sql ? db`(c.custom ->> ${sql.customKey}::text)` : db.unsafe(sql.text);
  const counted = personal.map(
    (_, i) =>
      db`, (count(*) filter (where writable and coalesce(btrim(v${db.unsafe(String(i))}), '') = ''))::int as m${db.unsafe(String(i))}`,
  );
  const values = personal.map(({ sql }, i) => db`, ${value(sql)} as v${db.unsafe(String(i))}`);
  const join = (parts: Fragment[]) => parts.reduce((a, b) => db`${a}${b}`, db``);
  const { people } = await audienceCondition(ctx, sourceOf(campaign));
  const [row] = await db<Record<string, number>[]>`
    select count(*)::int as count, (count(*) filter (where suppressed))::int as suppressed, (count(*) filter (where without_email))::int as without_email
      ${join(counted)}
    from (
      select p.*, not p.suppressed and not p.without_email as writable from (
        select c.email is null as without_email, c.email is not null and ${isSuppressed(ctx)} as suppressed ${join(values)}
        from (
          -- Two questions, not one with «or», which would have everybody looked at.
          select c.* from public.contacts c where c.tenant_id = (select kernel.tenant()) and ${people}
          union all
          select c.* from public.enrollments e join public.contacts c on c.tenant_id = e.tenant_id and c.id = e.contact_id
          where e.tenant_id = (select kernel.tenant()) and e.campaign_id = ${campaign.id} and not coalesce(${people}, false)
        ) c left join public.companies o on o.tenant_id = c.tenant_id and o.id = c.company_id
      ) p
    ) a`;
  return {
    count: row!.count!,
    suppressed: row!.suppressed!,
    without_email: row!.without_email!,
    missing_variables: personal
      .map(({ name }, i) => ({ variable: name, count: row![`m${i}`]! }))
      .filter((m) => m.count > 0),
  };
}
