import { z } from "zod";
import type { Ctx } from "../../kernel/context.ts";
import { type AnyConsumer, defineConsumer, done } from "../../kernel/queues/consumer.ts";
import { campaignsPlan } from "../plan/plan.ts";

/**
 * Moves people who follow an older version of a sequence to a newer one, a portion a transaction. Each goes on at the step they stand
 * at, or, where that was removed, at the next step of their old version that is still there.
 */

const BATCH = 500;

const Payload = z.object({ tenant_id: z.uuid(), campaign_id: z.uuid(), version_id: z.uuid() });
type Payload = z.output<typeof Payload>;

export const campaignsMove: AnyConsumer<Payload> = defineConsumer<Payload>({
  queue: "campaigns_move",
  payload: Payload,
  visibilitySeconds: 120, // a portion takes well under a second
  maxAttempts: 10,
  async handle(ctx, payload) {
    // A pause waits for it. Of two moves the later version's is where people end, in whichever order they run.
    await ctx.db`select private.hold_campaign(${payload.campaign_id})`;
    const [campaign] = await ctx.db`
      select 1 from public.campaigns where tenant_id = ${ctx.tenantId} and id = ${payload.campaign_id}
        and status in ('running', 'paused') for share`;
    const [row] = campaign
      ? await ctx.db<{ n: number }[]>`
          select private.move_enrollments(${payload.campaign_id}, ${payload.version_id}, ${BATCH}) as n`
      : [{ n: 0 }];
    if (row!.n > 0) {
      await ctx.enqueue(campaignsMove, payload);
      await ctx.enqueue(campaignsPlan, { tenant_id: ctx.tenantId });
    } else await endMoving(ctx, payload.campaign_id);
    return done();
  },
});

/** Begins a move; the campaign does not end before all are moved. */
export async function beginMoving(ctx: Ctx, campaignId: string, versionId: string): Promise<void> {
  await ctx.db`update public.campaigns set enrolling = enrolling + 1 where tenant_id = ${ctx.tenantId} and id = ${campaignId}`;
  await ctx.enqueue(campaignsMove, { tenant_id: ctx.tenantId, campaign_id: campaignId, version_id: versionId });
}

const endMoving = (ctx: Ctx, campaignId: string) =>
  ctx.db`update public.campaigns set enrolling = greatest(0, enrolling - 1) where tenant_id = ${ctx.tenantId} and id = ${campaignId}`;
