import type { Fragment } from "../../contacts/filter-sql.ts";
import { pageOfPeople, peopleCondition, type Source } from "../../contacts/people.ts";
import type { Ctx } from "../../kernel/context.ts";
import type { VariableUse } from "../../kernel/channel.ts";
import { variableSql } from "../../channels/variables.ts";

/** Who a campaign writes to, and taking them in. */

export const sourceOf = (campaign: { list_id: string | null; segment_id: string | null }): Source | null =>
  campaign.list_id ? { list_id: campaign.list_id } : campaign.segment_id ? { segment_id: campaign.segment_id } : null;

/** The channels that a version's messages go out on; of a sequence without any, all there are. */
export async function channelsOf(ctx: Ctx, versionId: string | null): Promise<{ id: string; consent: boolean }[]> {
  const rows = await ctx.db<{ id: string }[]>`
    select distinct split_part(n.action, '.', 1) as id from public.sequence_nodes n
    where n.tenant_id = (select kernel.tenant()) and n.version_id = ${versionId}::uuid and n.action is not null`;
  const ids = rows.length > 0 ? rows.map((r) => r.id) : versionId ? [] : [...ctx.registry.channels.keys()];
  return ids.map((id) => ({ id, consent: ctx.registry.channels.get(id)?.requires_consent ?? false }));
}

/** Why nobody is reached, from what is hardest to mend to what is nearest to it. */
const NEARNESS = ["no_address", "address_invalid", "suppressed", "opted_out", "no_consent"];

/**
 * Why a contact `c` can be reached on none of these channels, as a code; null when one is open. Of several reasons the one that is
 * nearest to being mended counts.
 */
export const unreachable = (ctx: Ctx, channels: readonly { id: string; consent: boolean }[]): Fragment =>
  channels.length === 0
    ? ctx.db`null::text`
    : ctx.db`(
        select case when bool_or(v.reason is null) then null else (array_agg(v.reason order by v.rank desc))[1] end
        from unnest(${channels.map((ch) => ch.id)}::text[]) ch (id)
        left join lateral (
          select a.id, a.address, a.state from public.contact_addresses a
          where a.tenant_id = c.tenant_id and a.contact_id = c.id and a.channel is not distinct from ch.id and a.is_primary limit 1) a on true
        left join public.consents g on g.tenant_id = c.tenant_id and g.contact_id = c.id and g.channel = ch.id
        cross join lateral (select case
            when a.id is null then 'no_address'
            when g.state = 'withdrawn' then 'opted_out'
            when exists (select from public.suppressions x where x.tenant_id = c.tenant_id and x.channel = ch.id and x.address = a.address) then 'suppressed'
            when a.state = 'invalid' then 'address_invalid'
            when ch.id = any(${channels.filter((ch) => ch.consent).map((ch) => ch.id)}::text[]) and coalesce(g.state, '') <> 'granted' then 'no_consent' end as reason) r
        cross join lateral (select r.reason, array_position(${NEARNESS}::text[], r.reason) as rank) v)`;

/** People per statement: large enough to be quick, small enough that its locks and its broadcast stay short. */
export const ENROLL_BATCH = 1000;
/** The first people of an audience: few, so that they are written to at once, and so that other tenants' audiences begin soon. */
export const FIRST_BATCH = 100;

export type Enrolled = {
  added: number;
  already_in: number;
  /** People with a row that says why they were not taken in, by reason. */
  left_out: Record<string, number>;
  seen: number;
  cursor: string | null;
};

/**
 * Takes in the next people of a source, in id order after `cursor`. Everybody gets a row: who cannot be reached, or is active in another
 * campaign, is left out with the reason. Whoever is in the campaign already stays as they are; who was left out before is looked at anew,
 * and with `restart` who finished or was stopped begins again. `cursor` in the answer is null at the end.
 */
export async function enrollBatch(
  ctx: Ctx,
  campaign: { id: string; status: string; version_id: string | null; settings: { exclusive?: boolean } },
  source: Source,
  cursor: string | null,
  restart = false,
  quantity = ENROLL_BATCH,
): Promise<Enrolled> {
  const { db, tenantId } = ctx;
  const { ids } = await pageOfPeople(ctx, source, cursor, quantity);
  const channels = await channelsOf(ctx, campaign.version_id);
  // As the schema of the settings has it, for rows that say nothing.
  const exclusive = campaign.settings.exclusive ?? true;
  const [entry] = await db<{ node_id: string | null; action: string | null }[]>`
    select v.entry_node_id as node_id, n.action from public.sequence_versions v
    left join public.sequence_nodes n on n.tenant_id = v.tenant_id and n.id = v.entry_node_id
    where v.tenant_id = (select kernel.tenant()) and v.id = ${campaign.version_id}::uuid`;
  // A draft's version is replaced when it is edited: its people get their place when the planner first sees them.
  const begun = entry && campaign.status !== "draft" ? entry : undefined;
  const start = {
    version_id: begun ? campaign.version_id : null,
    node_id: begun?.node_id ?? null,
    action: begun?.action ?? null,
  };
  type Row = { seen: number; added: number; already_in: number; left_out: Record<string, number>; last: string | null };
  const take = async (tx: Ctx["db"]): Promise<Row[]> =>
    await tx<Row[]>`
    with next as materialized (${ids}), page as materialized (
      select c.id, ${unreachable(ctx, channels)} as reason
      from (select n.id, (select kernel.tenant()) as tenant_id from next n) c
    ), elsewhere as materialized (
      select distinct e.contact_id from public.enrollments e
      where ${exclusive} and e.tenant_id = (select kernel.tenant()) and e.contact_id = any(array(select p.id from page p)) and e.campaign_id <> ${campaign.id}
        and e.exclusive and e.status in ('waiting', 'sending', 'task', 'blocked')
    ), judged as materialized (
      select p.id, coalesce(p.reason, case when x.contact_id is not null then 'in_other_campaign' end) as reason,
        e.id as enrollment_id, e.status as before
      from page p
      left join elsewhere x on x.contact_id = p.id
      left join lateral (
        -- By person, never by campaign: see "A tenant that is missing from the statistics" in docs/concepts/tenancy.md.
        select e.id, e.status from public.enrollments e
        where e.tenant_id = (select kernel.tenant()) and e.contact_id = p.id and e.campaign_id is not distinct from ${campaign.id} limit 1) e on true
    ), again as (
      -- Looked at anew, or begun again.
      update public.enrollments e set updated_at = (select kernel.now()), status = 'waiting', reason = null, reason_detail = null, exclusive = ${exclusive},
        version_id = ${start.version_id}::uuid, node_id = ${start.node_id}::uuid, action = ${start.action}::text, sender_id = null,
        next_at = (select kernel.now()), entered_at = (select kernel.now()), started_at = (select kernel.now()), finished_at = null,
        run = e.run + case when e.status = 'left_out' then 0 else 1 end
      from judged j
      where e.tenant_id = (select kernel.tenant()) and e.id = j.enrollment_id and j.reason is null
        and (j.before = 'left_out' or ${restart} and j.before in ('finished', 'stopped', 'failed', 'replied'))
      returning e.id, e.contact_id, j.before
    ), fresh as (
      -- The index on exclusive enrollments decides between two campaigns that want a person at the same moment.
      insert into public.enrollments (tenant_id, campaign_id, contact_id, version_id, node_id, action, next_at, exclusive, entered_at, started_at,
        created_at, updated_at)
      select ${tenantId}::uuid, ${campaign.id}::uuid, j.id, ${start.version_id}::uuid, ${start.node_id}::uuid, ${start.action}::text, t.now, ${exclusive},
        t.now, t.now, t.now, t.now
      from judged j, (select kernel.now() as now offset 0) t where j.enrollment_id is null and j.reason is null order by j.id
      on conflict do nothing returning contact_id
    ), left_out as (
      insert into public.enrollments (tenant_id, campaign_id, contact_id, status, reason, finished_at)
      select ${tenantId}::uuid, ${campaign.id}::uuid, j.id, 'left_out', coalesce(j.reason, 'in_other_campaign'), kernel.now()
      from judged j
      where j.enrollment_id is null and (j.reason is not null or not exists (select from fresh f where f.contact_id = j.id))
      order by j.id
      on conflict do nothing returning reason
    ), still_out as (
      update public.enrollments e set reason = j.reason from judged j
      where e.tenant_id = (select kernel.tenant()) and e.id = j.enrollment_id and j.before = 'left_out' and j.reason is not null
      returning j.reason
    ), told as (
      select kernel.decide(coalesce(jsonb_agg(jsonb_build_object('subject_id', a.id, 'source', 'enroll', 'verdict', 'started', 'reason', 'restarted')), '[]')) as n
      from again a
    )
    select (select count(*)::int from page) as seen,
      (select count(*)::int from fresh) + (select count(*)::int from again) as added,
      (select count(*)::int from judged j where j.enrollment_id is not null and j.before <> 'left_out')
        - (select count(*)::int from again a where a.before <> 'left_out') as already_in,
      coalesce((select jsonb_object_agg(x.reason, x.n) from (
        select o.reason, count(*)::int as n from (select reason from left_out union all select reason from still_out) o group by 1) x), '{}') as left_out,
      (select q.id from page q order by q.id desc limit 1) as last
    from (select count(*) from told) t`;
  // Two campaigns that begin somebody again at the same moment: the second sees the first, and leaves them out.
  const [row] = (await db
    .savepoint((inner) => take(inner))
    .catch((error: unknown) => {
      if ((error as { constraint_name?: string }).constraint_name !== "enrollments_exclusive") throw error;
      return take(db);
    })) as Row[];
  const { seen, last, ...counts } = row!;
  return { ...counts, seen, cursor: seen === quantity ? last : null };
}

/**
 * The contacts of a campaign's list or segment, and those in the campaign besides, as two queries. A list's contacts are looked up by key
 * one by one: a team that is missing from the statistics has one contact and one entry for the planner, and comparing all with all would
 * look as cheap (docs/concepts/tenancy.md).
 */
async function audienceRows(
  ctx: Ctx,
  campaign: { id: string; list_id: string | null; segment_id: string | null },
): Promise<{ everybody: Fragment; others: Fragment }> {
  const { db } = ctx;
  const source = sourceOf(campaign);
  const contact = (id: Fragment) =>
    db`lateral (select c.* from public.contacts c where c.tenant_id = (select kernel.tenant()) and c.id = ${id} limit 1) c`;
  const enrolled = db`
    (select e.contact_id from public.enrollments e
      where e.tenant_id = (select kernel.tenant()) and e.campaign_id = ${campaign.id} offset 0) e`;
  if (source && "list_id" in source) {
    const { list_id } = source;
    return {
      everybody: db`
        select c.* from (select lc.contact_id from public.list_contacts lc
          where lc.tenant_id = (select kernel.tenant()) and lc.list_id = ${list_id} offset 0) l
        cross join ${contact(db`l.contact_id`)}`,
      others: db`
        select c.* from ${enrolled} cross join ${contact(db`e.contact_id`)}
        where not coalesce((select true from public.list_contacts lc
          where lc.tenant_id = (select kernel.tenant()) and lc.list_id = ${list_id} and lc.contact_id = e.contact_id limit 1), false)`,
    };
  }
  const { people } = await peopleCondition(ctx, source);
  return {
    everybody: db`select c.* from public.contacts c where c.tenant_id = (select kernel.tenant()) and ${people}`,
    others: db`
      select c.* from ${enrolled} cross join ${contact(db`e.contact_id`)} where not coalesce(${people}, false)`,
  };
}

export type AudienceReport = {
  count: number;
  /** Number of contacts that cannot be reached on any channel of the sequence, by reason. */
  left_out: Record<string, number>;
  /** People who can be reached, but not on this channel of the sequence. */
  unreached: { channel: string; reason: string; count: number }[];
  missing_variables: { variable: string; count: number }[];
};

/**
 * Counts over the whole audience in one statement: one aggregate per variable that has no fallback, whatever the number of
 * people. People in the campaign already (added by hand) count as audience too.
 */
export async function audienceReport(
  ctx: Ctx,
  campaign: { id: string; version_id: string | null; list_id: string | null; segment_id: string | null },
  uses: readonly VariableUse[],
): Promise<AudienceReport> {
  const { db } = ctx;
  const personal = [...new Set(uses.map((u) => u.name))].flatMap((name) => {
    const sql = variableSql(name);
    return sql ? [{ name, sql }] : [];
  });
  const value = (sql: (typeof personal)[number]["sql"]): Fragment =>
    "customKey" in sql ? db`(c.custom ->> ${sql.customKey}::text)` : (db.unsafe(sql.text) as unknown as Fragment);
  const channels = await channelsOf(ctx, campaign.version_id);
  const column = (prefix: string, i: number) => db.unsafe(`${prefix}${i}`) as unknown as Fragment;
  const join = (parts: Fragment[]) => parts.reduce((a, b) => db`${a}${b}`, db``);
  // One column for each channel: null where it is open.
  const reasons = join(channels.map((ch, i) => db`, ${unreachable(ctx, [ch])} as ${column("r", i)}`));
  const groups = join(channels.map((_, i) => db`, p.${column("r", i)}`));
  const reached =
    channels.length > 0
      ? db`num_nulls(${join(channels.map((_, i) => db`${i > 0 ? db`, ` : db``}p.${column("r", i)}`))}) > 0`
      : db`true`;
  const counted = personal.map(
    (_, i) =>
      db`, (count(*) filter (where ${reached} and coalesce(btrim(${column("v", i)}), '') = ''))::int as ${column("m", i)}`,
  );
  const values = personal.map(({ sql }, i) => db`, ${value(sql)} as ${column("v", i)}`);
  const { everybody, others } = await audienceRows(ctx, campaign);
  const rows = await db<({ n: number } & Record<`m${number}`, number> & Record<`r${number}`, string | null>)[]>`
    select count(*)::int as n ${groups} ${join(counted)}
    from (
      select c.id ${reasons} ${join(values)}
      from (
        -- Two questions, not one with «or», which would have everybody looked at.
        ${everybody}
        union all
        ${others}
      ) c left join public.companies o on o.tenant_id = c.tenant_id and o.id = c.company_id
    ) p group by ${channels.length > 0 ? join(channels.map((_, i) => db`${i > 0 ? db`, ` : db``}p.${column("r", i)}`)) : db`()`}`;

  const left_out: Record<string, number> = {};
  const unreached = channels.map(() => ({}) as Record<string, number>);
  for (const row of rows) {
    const closed = channels.map((_, i) => row[`r${i}`] ?? null);
    const nearest = NEARNESS.findLast((reason) => closed.includes(reason));
    if (nearest === undefined) continue;
    if (closed.includes(null)) {
      for (const [i, reason] of closed.entries())
        if (reason) unreached[i]![reason] = (unreached[i]![reason] ?? 0) + row.n;
    } else left_out[nearest] = (left_out[nearest] ?? 0) + row.n;
  }
  return {
    count: rows.reduce((sum, r) => sum + r.n, 0),
    left_out,
    unreached: channels.flatMap(({ id }, i) =>
      Object.entries(unreached[i]!).map(([reason, count]) => ({ channel: id, reason, count })),
    ),
    missing_variables: personal
      .map(({ name }, i) => ({ variable: name, count: rows.reduce((sum, r) => sum + r[`m${i}`]!, 0) }))
      .filter((m) => m.count > 0),
  };
}
