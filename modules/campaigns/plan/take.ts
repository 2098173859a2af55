import type { Ctx } from "../../kernel/context.ts";
import type { Settings } from "../schemas.ts";

/**
 * People per transaction, and at most one more for each sender: some hundred renders take well under a second, and a redelivery repeats no
 * more than these.
 */
export const PLAN_BATCH = 200;

/** One person who is due, locked. */
export type Due = {
  id: string;
  campaign_id: string;
  contact_id: string;
  /** Null for people who were added before anything was written: they begin at the campaign's entry. */
  node_id: string | null;
  version_id: string | null;
  entered_at: Date;
  next_at: Date;
  run: number;
  vars: { senders?: Record<string, string> };
  settings: Settings;
  /** The version that new people follow, and where it begins. */
  current_version: string | null;
  entry_node: string | null;
};

/**
 * Locks the next due people of campaigns that run and whose window is open. Who stands at a step that sends is taken only up to what
 * their sender may still be given: what is rendered long before it leaves would be stale when it does, and who waits for a limit costs
 * nothing. `more` says whether others may be due.
 */
export async function takeDue(ctx: Ctx): Promise<{ due: Due[]; more: boolean }> {
  const { db } = ctx;
  const awaited = await db<{ id: string }[]>`
    select k.id from public.campaigns k
    where k.tenant_id = (select kernel.tenant()) and k.status = 'running' and private.in_window(k.settings, kernel.now())
      and private.anybody_due(k.tenant_id, k.id, kernel.now())`;
  if (awaited.length === 0) return { due: [], more: false };
  const shared = awaited.map((k) => k.id);
  await db`select private.share_campaigns(${shared}::uuid[])`;
  // Shared for the transaction: a pause or stop waits for it and then finds every message planned here.
  const campaigns = await db<{ id: string }[]>`
    select k.id from public.campaigns k
    where k.tenant_id = (select kernel.tenant()) and k.id = any(${shared}::uuid[]) and k.status = 'running'
      and private.in_window(k.settings, kernel.now())
    order by k.id for share of k`;
  if (campaigns.length === 0) return { due: [], more: false };
  const ids = campaigns.map((c) => c.id);
  const actions = [...ctx.registry.steps.values()].flatMap((s) => s.action ?? []);
  const rows = await db<(Due & { full: boolean })[]>`
    with open as materialized (
      select k.id from public.campaigns k where k.tenant_id = (select kernel.tenant()) and k.id = any(${ids}::uuid[])
    ), rooms as materialized (
      select cs.campaign_id, r.action, r.sender_id, r.room
      from private.sender_rooms(${actions}::text[]) r
      join public.campaign_senders cs on cs.tenant_id = (select kernel.tenant()) and cs.sender_id = r.sender_id
      where cs.campaign_id = any(${ids}::uuid[]) and r.room > 0
    ), ways as (
      -- Who stands at a step that sends nothing.
      select 'free' as way, o.id as campaign_id, null::text as action, null::uuid as sender_id, 1000000 as room from open o
      union all
      -- Who has no sender on the channel yet: whatever the campaign's senders may be given together.
      select 'new', r.campaign_id, r.action, null, least(sum(r.room), 1000000)::int from rooms r group by 2, 3
      union all
      -- Who knows a sender already.
      select 'known', r.campaign_id, r.action, r.sender_id, r.room from rooms r
      union all
      -- Who stands at a step for whose channel the campaign names no sender: they are told so, once, by becoming blocked.
      select 'unserved', o.id, a.action, null, 1000000 from open o cross join unnest(${actions}::text[]) a (action)
      where not exists (select from public.campaign_senders cs
        join public.senders s on s.tenant_id = (select kernel.tenant()) and s.id = cs.sender_id
        where cs.tenant_id = (select kernel.tenant()) and cs.campaign_id = o.id and s.channel = split_part(a.action, '.', 1))
    ), taken as materialized (
      -- Ways on which somebody is due share the batch evenly: no big one hides another, and however many senders a campaign has, no more
      -- people are read than are planned. As a value, not as exists, which the planner may turn into a join that reads whole tables.
      select w.*, ceil(${PLAN_BATCH}::numeric / count(*) over ())::int as share from ways w
      where coalesce((
        select true from public.enrollments x where w.way = 'free' and x.tenant_id = (select kernel.tenant()) and x.campaign_id = w.campaign_id
          and x.action is null and x.sender_id is null and x.status = 'waiting' and x.next_at <= kernel.now() limit 1), (
        select true from public.enrollments x where w.way = 'new' and x.tenant_id = (select kernel.tenant()) and x.campaign_id = w.campaign_id
          and x.action = w.action and x.sender_id is null and x.status = 'waiting' and x.next_at <= kernel.now() limit 1), (
        select true from public.enrollments x where w.way = 'known' and x.tenant_id = (select kernel.tenant()) and x.campaign_id = w.campaign_id
          and x.action = w.action and x.sender_id = w.sender_id and x.status = 'waiting' and x.next_at <= kernel.now() limit 1), (
        select true from public.enrollments x where w.way = 'unserved' and x.tenant_id = (select kernel.tenant()) and x.campaign_id = w.campaign_id
          and x.action = w.action and x.status = 'waiting' and x.next_at <= kernel.now()
        -- In the order of the index, so that no other is read.
        order by x.sender_id, x.next_at, x.id limit 1), false)
    ), due as materialized (
      -- Skip locked: two planners take different people.
      select e.*, w.way, w.room, w.share, w.action as way_action, w.sender_id as way_sender from taken w cross join lateral (
        select x.* from public.enrollments x
        where w.way = 'free' and x.tenant_id = (select kernel.tenant()) and x.campaign_id = w.campaign_id and x.action is null and x.sender_id is null
          and x.status = 'waiting' and x.next_at <= kernel.now()
        order by x.next_at, x.id limit w.share for update skip locked) e
      union all
      select e.*, w.way, w.room, w.share, w.action, w.sender_id from taken w cross join lateral (
        select x.* from public.enrollments x
        where w.way = 'new' and x.tenant_id = (select kernel.tenant()) and x.campaign_id = w.campaign_id and x.action = w.action and x.sender_id is null
          and x.status = 'waiting' and x.next_at <= kernel.now()
        order by x.next_at, x.id limit least(w.room, w.share) for update skip locked) e
      union all
      select e.*, w.way, w.room, w.share, w.action, w.sender_id from taken w cross join lateral (
        select x.* from public.enrollments x
        where w.way = 'known' and x.tenant_id = (select kernel.tenant()) and x.campaign_id = w.campaign_id and x.action = w.action
          and x.sender_id = w.sender_id and x.status = 'waiting' and x.next_at <= kernel.now()
        order by x.next_at, x.id limit least(w.room, w.share) for update skip locked) e
      union all
      select e.*, w.way, w.room, w.share, w.action, w.sender_id from taken w cross join lateral (
        select x.* from public.enrollments x
        where w.way = 'unserved' and x.tenant_id = (select kernel.tenant()) and x.campaign_id = w.campaign_id and x.action = w.action
          and x.status = 'waiting' and x.next_at <= kernel.now()
        order by x.sender_id, x.next_at, x.id limit w.share for update skip locked) e
    )
    select d.id, d.campaign_id, d.contact_id, d.node_id, d.version_id, d.entered_at, d.next_at, d.run, d.vars, k.settings,
      k.version_id as current_version, v.entry_node_id as entry_node,
      count(*) over (partition by d.way, d.campaign_id, d.way_action, d.way_sender) = d.share and d.share < d.room as full
    from due d
    join public.campaigns k on k.tenant_id = (select kernel.tenant()) and k.id = d.campaign_id
    left join public.sequence_versions v on v.tenant_id = (select kernel.tenant()) and v.id = k.version_id
    order by d.next_at, d.id`;
  return { due: [...rows], more: rows.some((r) => r.full) };
}
