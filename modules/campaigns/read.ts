import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { decodeCursor, pageOf, pageParams, searchParam, toPage } from "../kernel/operations/cursor.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { type CampaignCounts, campaignCounts } from "./counts.ts";
import {
  byId,
  type Campaign,
  CAMPAIGN_STATUS,
  CampaignSchema,
  type CampaignStatus,
  type Settings,
  SettingsSchema,
} from "./schemas.ts";
import { nodesOf } from "./sequence/nodes.ts";
import { toTree } from "./sequence/tree.ts";

export type CampaignRow = {
  id: string;
  name: string;
  status: CampaignStatus;
  tier: string;
  version_id: string | null;
  list_id: string | null;
  segment_id: string | null;
  settings: Settings;
  enrolling: number;
  started_at: Date | null;
  finished_at: Date | null;
  created_at: Date;
  updated_at: Date;
};

export const noCampaign = () => new AppError("not_found", "There is no such campaign.");

/** The campaign's own row. `lock: "update"` for whoever changes it, `"share"` for whoever adds people to it meanwhile. */
export async function campaignRow(ctx: Ctx, id: string, lock?: "update" | "share"): Promise<CampaignRow> {
  const { db } = ctx;
  if (lock === "update") await db`select private.hold_campaign(${id})`;
  if (lock === "share") await db`select private.share_campaigns(array[${id}]::uuid[])`;
  const [row] = await db<CampaignRow[]>`
    select id, name, status, tier, version_id, list_id, segment_id, settings, enrolling, started_at, finished_at, created_at, updated_at
    from public.campaigns where tenant_id = ${ctx.tenantId} and id = ${id}
    ${lock === "update" ? db`for update` : lock === "share" ? db`for share` : db``}`;
  if (!row) throw noCampaign();
  return row;
}

const iso = (at: Date | null) => at?.toISOString() ?? null;

type FullRow = CampaignRow & {
  senders: Campaign["senders"];
  version: number | null;
  audience_name: string | null;
  waiting: number;
  waiting_since: Date | null;
};

const countsOf = ({ people, enrolled, pending, messages }: CampaignCounts): Campaign["counts"] => ({
  enrolled,
  pending,
  blocked: people.blocked ?? 0,
  tasks: people.task ?? 0,
  left_out: people.left_out ?? 0,
  // People, where the rest are messages.
  replied: people.replied ?? 0,
  sent: messages.sent,
  delivered: messages.delivered,
  opened: messages.opened,
  clicked: messages.clicked,
  bounced: messages.bounced,
});

/** Whole campaigns by id, newest first, in one statement: everything about them is aggregated once per set, not per campaign. */
async function loadMany(ctx: Ctx, ids: string[]): Promise<Campaign[]> {
  if (ids.length === 0) return [];
  const rows = await ctx.db<FullRow[]>`
    select k.id, k.name, k.status, k.tier, k.version_id, k.list_id, k.segment_id, k.settings, k.enrolling,
      k.started_at, k.finished_at, k.created_at, k.updated_at, v.number as version,
      coalesce(l.name, g.name) as audience_name, coalesce(sd.senders, '[]') as senders, w.n as waiting, w.since as waiting_since
    from public.campaigns k
    left join public.sequence_versions v on v.tenant_id = k.tenant_id and v.id = k.version_id
    left join public.lists l on l.tenant_id = k.tenant_id and l.id = k.list_id
    left join public.segments g on g.tenant_id = k.tenant_id and g.id = k.segment_id
    left join (
      select x.campaign_id, jsonb_agg(jsonb_build_object('id', s.id, 'channel', s.channel, 'address', s.address, 'display_name', s.display_name,
        'status', s.status, 'connection', jsonb_build_object('id', c.id, 'name', c.name, 'provider', c.provider, 'status', c.status)) order by x.position) as senders
      from public.campaign_senders x
      join public.senders s on s.tenant_id = x.tenant_id and s.id = x.sender_id
      -- What it started with, even if the sender has moved since.
      join public.connections c on c.tenant_id = x.tenant_id and c.id = coalesce(x.connection_id, s.connection_id)
      where x.tenant_id = ${ctx.tenantId} and x.campaign_id = any(${ids}::uuid[]) group by 1) sd on sd.campaign_id = k.id
    join private.waiting_approvals(${ids}::uuid[]) w on w.campaign = k.id
    where k.tenant_id = ${ctx.tenantId} and k.id = any(${ids}::uuid[]) order by k.id desc`;
  const nodes = Map.groupBy(
    await nodesOf(
      ctx,
      rows.flatMap((r) => r.version_id ?? []),
    ),
    (n) => n.version_id,
  );
  const all = await campaignCounts(ctx, ids);
  return rows.map((r) => ({
    id: r.id,
    name: r.name,
    status: r.status,
    senders: r.senders,
    version: r.version,
    version_id: r.version_id,
    audience: { list_id: r.list_id, segment_id: r.segment_id, name: r.audience_name },
    tier: r.tier,
    settings: SettingsSchema.parse(r.settings),
    steps: toTree(nodes.get(r.version_id ?? "") ?? [], ctx.registry),
    counts: countsOf(all.get(r.id)!),
    approvals: { waiting: r.waiting, since: iso(r.waiting_since) },
    enrolling: r.enrolling > 0,
    started_at: iso(r.started_at),
    finished_at: iso(r.finished_at),
    created_at: r.created_at.toISOString(),
    updated_at: r.updated_at.toISOString(),
  }));
}

export async function loadCampaign(ctx: Ctx, id: string): Promise<Campaign> {
  const [campaign] = await loadMany(ctx, [id]);
  if (!campaign) throw noCampaign();
  return campaign;
}

export const listCampaigns = defineOperation({
  id: "campaigns.list",
  method: "GET",
  path: "/campaigns",
  summary: "List campaigns, newest first",
  permission: "campaigns:read",
  input: z.object({
    ...pageParams,
    ...searchParam,
    status: z.enum(CAMPAIGN_STATUS).optional(),
  }),
  output: pageOf(CampaignSchema),
  async handle(ctx, { limit, cursor, status, search }) {
    const { db } = ctx;
    const after = decodeCursor(cursor, z.tuple([z.uuid()]));
    // Ids are UUIDv7: in their order campaigns were made.
    const rows = await db<{ id: string }[]>`
      select k.id from public.campaigns k where k.tenant_id = ${ctx.tenantId}
        ${status ? db`and k.status = ${status}` : db`and k.status not in ('archived', 'deleting')`}
        ${search ? db`and position(kernel.fold(${search}::text) in kernel.fold(k.name)) > 0` : db``}
        ${after ? db`and k.id < ${after[0]}::uuid` : db``}
      order by k.id desc limit ${limit + 1}`;
    const campaigns = new Map(
      (
        await loadMany(
          ctx,
          rows.slice(0, limit).map((r) => r.id),
        )
      ).map((c) => [c.id, c]),
    );
    return toPage(
      rows,
      limit,
      (r) => [r.id],
      (r) => campaigns.get(r.id)!,
    );
  },
});

export const getCampaign = defineOperation({
  id: "campaigns.get",
  method: "GET",
  path: "/campaigns/{id}",
  summary: "Read a campaign with its steps and counters",
  permission: "campaigns:read",
  input: byId,
  output: CampaignSchema,
  handle: (ctx, { id }) => loadCampaign(ctx, id),
});
