import { messagingSend } from "../messaging/send.ts";
import type { Ctx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { sourceOf } from "./audience.ts";
import { checkCampaign, requireReady } from "./check.ts";
import { beginEnrolling } from "./enroll.ts";
import { campaignsPlan } from "./plan.ts";
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
  const [moved] = await ctx.db`
    update public.campaigns set status = ${to}, finished_at = case when ${to} = 'stopped' then kernel.now() else finished_at end
    where tenant_id = ${ctx.tenantId} and id = ${id} and status = any(${from as string[]}::text[]) returning 1`;
  if (!moved) await refuse(ctx, id, from, suggestion);
}

async function refuse(ctx: Ctx, id: string, from: readonly CampaignStatus[], suggestion: string): Promise<never> {
  const { status } = await campaignRow(ctx, id);
  throw new AppError("conflict", `The campaign is ${status}; it must be ${from.join(" or ")} for this.`, {
    suggestion,
  });
}

const transition = (
  name: string,
  summary: string,
  description: string,
  handle: (ctx: Ctx, id: string) => Promise<void>,
  permission = "campaigns:launch",
) =>
  defineOperation({
    id: `campaigns.${name}`,
    method: "POST",
    path: `/campaigns/{id}/${name}`,
    summary,
    description,
    permission,
    input: byId,
    output: CampaignSchema,
    async handle(ctx, { id }) {
      await handle(ctx, id);
      return await loadCampaign(ctx, id);
    },
  });

export const startCampaign = transition(
  "start",
  "Start a draft",
  "Every check must pass. The audience is taken in behind the answer; the campaign keeps the connection it starts with.",
  async (ctx, id) => {
    const { db, tenantId } = ctx;
    const [started] = await db`
      update public.campaigns k set status = 'running', started_at = kernel.now(), connection_id = s.connection_id
      from public.senders s
      where k.tenant_id = ${tenantId} and k.id = ${id} and k.status = 'draft' and s.tenant_id = k.tenant_id and s.id = k.sender_id returning 1`;
    const campaign = await campaignRow(ctx, id);
    if (!started && campaign.status !== "draft")
      await refuse(ctx, id, ["draft"], campaign.status === "paused" ? "Resume it." : "Clone it and start the copy.");
    // After the statement that decides, in its transaction: a fault takes the start back. A draft without sender ends here too.
    const report = await checkCampaign(ctx, campaign);
    requireReady(report);
    // People added by hand while it was a draft begin now.
    await db`
      update public.enrollments e set next_at = kernel.now() + make_interval(secs => coalesce((
        select s.wait_hours * 3600 from public.campaign_steps s where s.tenant_id = ${tenantId} and s.campaign_id = ${id} and s.position = 1), 0)::float8)
      where e.tenant_id = ${tenantId} and e.campaign_id = ${id} and e.status = 'waiting'`;
    const source = sourceOf(campaign);
    if (source) await beginEnrolling(ctx, id, source);
    await ctx.enqueue(campaignsPlan, { tenant_id: tenantId });
    ctx.audit({ audience: report.audience.count });
  },
);

export const pauseCampaign = transition(
  "pause",
  "Pause",
  "Nothing more leaves; messages already planned are held until it resumes.",
  (ctx, id) => move(ctx, id, ["running"], "paused", "Only a running campaign can be paused."),
);

export const resumeCampaign = transition(
  "resume",
  "Resume a paused campaign",
  "Everybody goes on where they were.",
  async (ctx, id) => {
    await move(ctx, id, ["paused"], "running", "Only a paused campaign can be resumed; a draft is started.");
    const { checks } = await checkCampaign(ctx, await campaignRow(ctx, id));
    // Its people are in already; what it needs to go on is somebody who sends, and something to send.
    requireReady({
      ok: false,
      checks: checks.filter((c) => c.id !== "audience"),
      audience: { count: 0, suppressed: 0, without_email: 0, missing_variables: [] },
    });
    await ctx.enqueue(campaignsPlan, { tenant_id: ctx.tenantId });
    await ctx.enqueue(messagingSend, { tenant_id: ctx.tenantId });
  },
);

const stop = transition(
  "stop",
  "Stop for good",
  "Ends everybody's sequence and takes back what has not left.",
  async (ctx, id) => {
    await move(ctx, id, ["running", "paused"], "stopped", "Only a running or paused campaign can be stopped.");
    await ctx.db`
    select private.end_enrollments(array(select e.id from public.enrollments e where e.tenant_id = ${ctx.tenantId} and e.campaign_id = ${id}
      and e.status in ('waiting', 'sending', 'blocked')), 'stopped', 'The campaign was stopped.')`;
  },
);

export const stopCampaign = { ...stop, destructive: true };

export const archiveCampaign = transition(
  "archive",
  "Archive",
  "Hides a campaign that is over, or a draft that came to nothing.",
  (ctx, id) => move(ctx, id, ["draft", "stopped", "done"], "archived", "Stop it first."),
  "campaigns:write",
);
