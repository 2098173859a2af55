import { z } from "zod";
import { type AnyConsumer, defineConsumer, done } from "../../kernel/queues/consumer.ts";
import type { Ctx } from "../../kernel/context.ts";
import { AppError } from "../../kernel/errors.ts";
import { type Source, SourceSchema } from "../../contacts/people.ts";
import { enrollBatch, ENROLL_BATCH, FIRST_BATCH, type Enrolled } from "./audience.ts";
import { campaignsPlan } from "../plan/plan.ts";

const Payload = z.object({
  tenant_id: z.uuid(),
  campaign_id: z.uuid(),
  source: SourceSchema,
  cursor: z.uuid().nullable().default(null),
  restart: z.boolean().default(false),
  /** All of it is taken in; only that is left to be written down. */
  end: z.boolean().optional(),
});

/**
 * Takes in an audience batch by batch, each in one transaction with its successor, and wakes the planner after each: the
 * first people are written to while the last are still being taken in.
 */
export const campaignsEnroll: AnyConsumer<z.output<typeof Payload>> = defineConsumer<z.output<typeof Payload>>({
  queue: "campaigns_enroll",
  payload: Payload as z.ZodType<z.output<typeof Payload>>,
  visibilitySeconds: 120, // one batch takes well under a second; a filter over a million people a few
  maxAttempts: 10,
  batch: 1, // in turn: whoever begins waits for a batch of those who began before, not for all of theirs
  async handle(ctx, { campaign_id, source, cursor, restart, end }) {
    // A transaction of its own: it waits for all that share the campaign, and two batches that share it would wait for each other.
    if (end) {
      await endEnrolling(ctx, campaign_id);
      return done();
    }
    // One batch of a campaign at a time: two that add the same people would wait for each other.
    await ctx.db`select pg_advisory_xact_lock(hashtextextended(${`enroll:${campaign_id}`}, 0))`;
    await ctx.db`select private.share_campaigns(array[${campaign_id}]::uuid[])`;
    // Shared with the planner, which need not wait then: a stop waits for this batch and ends it with the rest.
    const [campaign] = await ctx.db<
      { id: string; status: string; version_id: string | null; settings: { exclusive: boolean } }[]
    >`
      select id, status, version_id, settings from public.campaigns where tenant_id = ${ctx.tenantId} and id = ${campaign_id} for share`;
    const ended = () =>
      ctx.enqueue(campaignsEnroll, { tenant_id: ctx.tenantId, campaign_id, source, cursor, restart, end: true });
    if (!campaign || !["draft", "running", "paused"].includes(campaign.status)) {
      await ended();
      return done();
    }
    let batch: Enrolled;
    try {
      batch = await enrollBatch(
        ctx,
        campaign,
        source as Source,
        cursor,
        restart,
        cursor === null ? FIRST_BATCH : ENROLL_BATCH,
      );
    } catch (error) {
      // The segment or a field of its filter is gone: nothing more can be taken in, and the campaign must not wait for it.
      if (!(error instanceof AppError) || (error.code !== "invalid" && error.code !== "not_found")) throw error;
      ctx.log.warn("an audience could not be enrolled", { campaign: campaign_id, error });
      await ctx.db`select kernel.decide(${ctx.db.json([
        {
          subject_id: campaign_id,
          source: "enroll",
          verdict: "ended",
          reason: "audience_fault",
          detail: { detail: error.message },
        },
      ])})`;
      await ended();
      return done();
    }
    if (batch.cursor)
      await ctx.enqueue(campaignsEnroll, {
        tenant_id: ctx.tenantId,
        campaign_id,
        source,
        cursor: batch.cursor,
        restart,
      });
    else await ended();
    if (batch.added > 0) await ctx.enqueue(campaignsPlan, { tenant_id: ctx.tenantId });
    return done();
  },
});

/** Hands an audience to the consumer; the campaign does not end before all of it is taken in. */
export async function beginEnrolling(
  ctx: Ctx,
  campaignId: string,
  source: Source,
  cursor: string | null = null,
  restart = false,
): Promise<void> {
  await ctx.db`update public.campaigns set enrolling = enrolling + 1 where tenant_id = ${ctx.tenantId} and id = ${campaignId}`;
  await ctx.enqueue(campaignsEnroll, {
    tenant_id: ctx.tenantId,
    campaign_id: campaignId,
    source: source as z.output<typeof SourceSchema>,
    cursor,
    restart,
  });
}

async function endEnrolling(ctx: Ctx, campaignId: string): Promise<void> {
  await ctx.db`select private.hold_campaign(${campaignId})`;
  await ctx.db`
    update public.campaigns set enrolling = greatest(0, enrolling - 1) where tenant_id = ${ctx.tenantId} and id = ${campaignId}`;
}
