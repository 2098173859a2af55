import { z } from "zod";
import { type AnyConsumer, defineConsumer, done } from "../../kernel/queues/consumer.ts";
import { campaignsPlan } from "../plan/plan.ts";

/** People per portion; as in private.retry_blocked. */
export const RETRY_BATCH = 1000;

const Payload = z.object({
  tenant_id: z.uuid(),
  campaign_id: z.uuid(),
  /** Who was blocked before this moment: those who are blocked again wait for the next time. */
  before: z.iso.datetime(),
});
type Payload = z.output<typeof Payload>;

/** Lets blocked people try again, a portion a transaction. */
export const campaignsRetry: AnyConsumer<Payload> = defineConsumer<Payload>({
  queue: "campaigns_retry",
  payload: Payload,
  visibilitySeconds: 60, // a portion takes well under a second
  maxAttempts: 10,
  async handle(ctx, payload) {
    const [row] = await ctx.db<
      { n: number }[]
    >`select private.retry_blocked(${payload.campaign_id}, ${payload.before}::text::timestamptz) as n`;
    if (row!.n > 0) await ctx.enqueue(campaignsPlan, { tenant_id: ctx.tenantId });
    if (row!.n === RETRY_BATCH) await ctx.enqueue(campaignsRetry, payload);
    return done();
  },
});
