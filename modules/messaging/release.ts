import { z } from "zod";
import { defineConsumer, done } from "../kernel/queues/consumer.ts";
import { messagingSend } from "./send.ts";

const Payload = z.object({
  tenant_id: z.uuid(),
  campaign_id: z.uuid().nullable().default(null),
  message_ids: z.array(z.uuid()).max(1000).default([]),
  /** Also messages of the campaign that were deferred for this reason, as far as it holds no longer. */
  deferred_as: z.string().nullable().default(null),
});

/** Puts held messages back on the queue, a portion a transaction: of a campaign that goes on, or named ones. */
export const messagingRelease = defineConsumer<z.output<typeof Payload>>({
  queue: "messaging_release",
  payload: Payload as z.ZodType<z.output<typeof Payload>>,
  visibilitySeconds: 60, // a portion takes well under a second
  maxAttempts: 10,
  async handle(ctx, payload) {
    const [row] = await ctx.db<{ n: number }[]>`
      select private.release_messages(${payload.campaign_id}::uuid, ${payload.message_ids}::uuid[], ${payload.deferred_as}) as n`;
    if (row!.n === 0) return done();
    await ctx.enqueue(messagingSend, { tenant_id: ctx.tenantId });
    await ctx.enqueue(messagingRelease, payload);
    return done();
  },
});
