import type { Ctx } from "../../kernel/context.ts";
import type { Settings } from "../schemas.ts";

/** People per transaction: some hundred renders take well under a second, and a redelivery repeats no more than these. */
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
  // Shared for the transaction: a pause or stop waits for it and then finds every message planned here.
  const campaigns = await db<{ id: string }[]>`
    select k.id from public.campaigns k
    where k.tenant_id = (select kernel.tenant()) and k.status = 'running' and private.in_window(k.settings, kernel.now())
      and private.anybody_due(k.tenant_id, k.id, kernel.now())
    order by k.id for share of k`;
  if (campaigns.length === 0) return { due: [], more: false };
  const ids = campaigns.map((c) => c.id);
  const actions = [...ctx.registry.steps.values()].flatMap((s) => s.action ?? []);
  const rows = await db<(Due & { total: number })[]>`
    with open as materialized (
      select k.id from public.campaigns k where k.tenant_id = (select kernel.tenant()) and k.id = any(${ids}::uuid[])
    ), rooms as materialized (
      select cs.campaign_id, r.action, r.sender_id, r.room
      from private.sender_rooms(${actions}::text[]) r
      join public.campaign_senders cs on cs.tenant_id = (select kernel.tenant()) and cs.sender_id = r.sender_id
      where cs.campaign_id = any(${ids}::uuid[])
    ), due as materialized (
      -- Skip locked: two planners take different people. The limit stands in each campaign, so that a big one hides no other.
      -- Who stands at a step that sends nothing.
      select e.* from open o cross join lateral (
        select x.* from public.enrollments x
        where x.tenant_id = (select kernel.tenant()) and x.campaign_id = o.id and x.action is null and x.sender_id is null
          and x.status = 'waiting' and x.next_at <= kernel.now()
        order by x.next_at, x.id limit ${PLAN_BATCH} for update skip locked) e
      union all
      -- Who has no sender on the channel yet: whatever the campaign's senders may be given together.
      select e.* from (select r.campaign_id, r.action, least(sum(r.room), ${PLAN_BATCH})::int as room from rooms r group by 1, 2) g cross join lateral (
        select x.* from public.enrollments x
        where x.tenant_id = (select kernel.tenant()) and x.campaign_id = g.campaign_id and x.action = g.action and x.sender_id is null
          and x.status = 'waiting' and x.next_at <= kernel.now()
        order by x.next_at, x.id limit g.room for update skip locked) e
      union all
      -- Who knows a sender already.
      select e.* from rooms g cross join lateral (
        select x.* from public.enrollments x
        where x.tenant_id = (select kernel.tenant()) and x.campaign_id = g.campaign_id and x.action = g.action and x.sender_id = g.sender_id
          and x.status = 'waiting' and x.next_at <= kernel.now()
        order by x.next_at, x.id limit least(g.room, ${PLAN_BATCH}) for update skip locked) e
      union all
      -- Who stands at a step for whose channel the campaign names no sender: they are told so, once, by becoming blocked.
      select e.* from open o cross join unnest(${actions}::text[]) a (action) cross join lateral (
        select x.* from public.enrollments x
        where x.tenant_id = (select kernel.tenant()) and x.campaign_id = o.id and x.action = a.action and x.status = 'waiting' and x.next_at <= kernel.now()
          and not exists (select from public.campaign_senders cs join public.senders s on s.tenant_id = cs.tenant_id and s.id = cs.sender_id
            where cs.tenant_id = (select kernel.tenant()) and cs.campaign_id = o.id and s.channel = split_part(a.action, '.', 1))
        order by x.next_at, x.id limit ${PLAN_BATCH} for update skip locked) e
    )
    select t.id, t.campaign_id, t.contact_id, t.node_id, t.version_id, t.entered_at, t.next_at, t.run, t.vars, k.settings,
      k.version_id as current_version, v.entry_node_id as entry_node, t.total
    from (select d.*, count(*) over ()::int as total from due d order by d.next_at, d.id limit ${PLAN_BATCH}) t
    join public.campaigns k on k.tenant_id = (select kernel.tenant()) and k.id = t.campaign_id
    left join public.sequence_versions v on v.tenant_id = (select kernel.tenant()) and v.id = k.version_id`;
  return { due: [...rows], more: rows.length > 0 && (rows[0]!.total > rows.length || rows.length === PLAN_BATCH) };
}
