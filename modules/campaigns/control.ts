import { z } from "zod";
import { messagingRelease } from "../messaging/release.ts";
import type { Ctx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { type AnyConsumer, defineConsumer, done } from "../kernel/queues/consumer.ts";
import { sourceOf } from "./audience/audience.ts";
import { beginEnrolling } from "./audience/enroll.ts";
import { checkCampaign, requireReady } from "./check.ts";
import { campaignsPlan } from "./plan/plan.ts";
import { campaignRow, loadCampaign } from "./read.ts";
import { byId, CampaignSchema, type CampaignStatus } from "./schemas.ts";

/** Moves a campaign in one statement, which alone decides who wins when two people press at once. */
async function move(
  ctx: Ctx,
  id: string,
  from: readonly CampaignStatus[],
  to: CampaignStatus,
  suggestion: string,
): Promise<void> {
  await ctx.db`select private.hold_campaign(${id})`;
  const [moved] = await ctx.db`
    update public.campaigns set status = ${to}, finished_at = case when ${to} = 'stopped' then kernel.now() else finished_at end
    where tenant_id = ${ctx.tenantId} and id = ${id} and status = any(${from as string[]}::text[]) returning 1`;
  if (!moved) await refuse(ctx, id, from, suggestion);
}

async function refuse(ctx: Ctx, id: string, from: readonly CampaignStatus[], suggestion: string): Promise<never> {
  const { status } = await campaignRow(ctx, id);
  throw new AppError("conflict", `The campaign is ${status}; this is possible only while it is ${from.join(" or ")}.`, {
    suggestion,
  });
}

export const startCampaign = defineOperation({
  id: "campaigns.start",
  method: "POST",
  path: "/campaigns/{id}/start",
  summary: "Start a draft campaign",
  description:
    "No check may have an error. The audience is enrolled in the background after the response. The campaign keeps the connections that its senders have now.",
  permission: "campaigns:launch",
  input: byId,
  output: CampaignSchema,
  async handle(ctx, { id }) {
    const { db, tenantId } = ctx;
    const [started] = await db`
      update public.campaigns set status = 'running', started_at = kernel.now()
      where tenant_id = ${tenantId} and id = ${id} and status = 'draft' returning 1`;
    const campaign = await campaignRow(ctx, id);
    if (!started)
      await refuse(
        ctx,
        id,
        ["draft"],
        campaign.status === "paused" ? "Resume the campaign." : "Clone the campaign and start the copy.",
      );
    // After the statement that decides, in its transaction: a fault takes the start back.
    const report = await checkCampaign(ctx, campaign);
    requireReady(report);
    await db`
      update public.campaign_senders cs set connection_id = s.connection_id from public.senders s
      where cs.tenant_id = ${tenantId} and cs.campaign_id = ${id} and s.tenant_id = cs.tenant_id and s.id = cs.sender_id`;
    const source = sourceOf(campaign);
    if (source) await beginEnrolling(ctx, id, source);
    // People added by hand while it was a draft begin now: the planner puts who stands nowhere at the entry.
    await ctx.enqueue(campaignsPlan, { tenant_id: tenantId });
    ctx.audit({ audience: report.audience.count });
    return await loadCampaign(ctx, id);
  },
});

export const pauseCampaign = defineOperation({
  id: "campaigns.pause",
  method: "POST",
  path: "/campaigns/{id}/pause",
  summary: "Pause a campaign",
  description:
    "No more messages are sent; messages that are already planned are held until the campaign is resumed. `in_flight` is the number of messages already handed to a provider: they cannot be cancelled.",
  permission: "campaigns:launch",
  input: byId,
  output: z.object({ campaign: CampaignSchema, in_flight: z.number().int() }),
  async handle(ctx, { id }) {
    await move(ctx, id, ["running"], "paused", "Only a running campaign can be paused.");
    const [row] = await ctx.db<{ n: number }[]>`
      select count(*)::int as n from public.messages
      where tenant_id = ${ctx.tenantId} and campaign_id = ${id} and status in ('sending', 'unknown')`;
    return { campaign: await loadCampaign(ctx, id), in_flight: row!.n };
  },
});

export const resumeCampaign = defineOperation({
  id: "campaigns.resume",
  method: "POST",
  path: "/campaigns/{id}/resume",
  summary: "Resume a paused campaign",
  description:
    "Every enrollment continues at its step; held messages return to the queue in the background after the response.",
  permission: "campaigns:launch",
  input: byId,
  output: CampaignSchema,
  async handle(ctx, { id }) {
    await move(ctx, id, ["paused"], "running", "Only a paused campaign can be resumed; a draft is started.");
    const { checks } = await checkCampaign(ctx, await campaignRow(ctx, id));
    // Its people are in already; what it needs to go on is somebody who sends, and something to send.
    requireReady({
      ok: false,
      checks: checks.filter((c) => c.id !== "audience"),
      audience: { count: 0, left_out: {}, unreached: [], missing_variables: [] },
    });
    await ctx.enqueue(messagingRelease, {
      tenant_id: ctx.tenantId,
      campaign_id: id,
      message_ids: [],
      deferred_as: "outside_window",
    });
    await ctx.enqueue(campaignsPlan, { tenant_id: ctx.tenantId });
    return await loadCampaign(ctx, id);
  },
});

const StopPayload = z.object({ tenant_id: z.uuid(), campaign_id: z.uuid() });
type StopPayload = z.output<typeof StopPayload>;

/** Ends everybody's sequence in a stopped campaign, a portion a transaction. Nothing leaves meanwhile: a guard sees to that. */
export const campaignsStop: AnyConsumer<StopPayload> = defineConsumer<StopPayload>({
  queue: "campaigns_stop",
  payload: StopPayload,
  visibilitySeconds: 60, // a portion takes well under a second
  maxAttempts: 10,
  async handle(ctx, payload) {
    // Shared: an audience that is being taken in holds the row, and the stop then finds who it added.
    const [campaign] = await ctx.db`
      select from public.campaigns where tenant_id = ${ctx.tenantId} and id = ${payload.campaign_id} and status in ('stopped', 'archived') for share`;
    if (!campaign) return done();
    const [row] = await ctx.db<{ n: number }[]>`select private.end_campaign(${payload.campaign_id}) as n`;
    if (row!.n > 0) await ctx.enqueue(campaignsStop, payload);
    return done();
  },
});

export const stopCampaign = defineOperation({
  id: "campaigns.stop",
  method: "POST",
  path: "/campaigns/{id}/stop",
  summary: "Stop a campaign permanently",
  description:
    "No more messages are sent. In the background, all enrollments are ended and messages that are not sent yet are cancelled.",
  permission: "campaigns:launch",
  destructive: true,
  input: byId,
  output: CampaignSchema,
  async handle(ctx, { id }) {
    await move(ctx, id, ["running", "paused"], "stopped", "Only a running or paused campaign can be stopped.");
    await ctx.enqueue(campaignsStop, { tenant_id: ctx.tenantId, campaign_id: id });
    return await loadCampaign(ctx, id);
  },
});

export const archiveCampaign = defineOperation({
  id: "campaigns.archive",
  method: "POST",
  path: "/campaigns/{id}/archive",
  summary: "Archive a campaign",
  description: "Hides a campaign that has ended, or a draft that is not needed.",
  permission: "campaigns:write",
  input: byId,
  output: CampaignSchema,
  async handle(ctx, { id }) {
    await move(ctx, id, ["draft", "stopped", "done"], "archived", "Stop the campaign first.");
    return await loadCampaign(ctx, id);
  },
});
