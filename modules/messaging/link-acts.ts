import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { defineConsumer, done } from "../kernel/queues/consumer.ts";

/** Works through opens and clicks in batches: one by one each would cost what a batch of them does. */

const act = z.object({
  tenant_id: z.uuid(),
  kind: z.enum(["opened", "clicked"]),
  message_id: z.uuid(),
  /** The same for what counts once. */
  event_key: z.string(),
  is_bot: z.boolean(),
  /** When it happened, as Postgres prints it. */
  at: z.string(),
  /** Of a click: where it led. */
  url: z.string().optional(),
});
export type LinkAct = z.infer<typeof act>;

export const messagingLinkActs = defineConsumer({
  queue: "messaging_link_acts",
  payload: act,
  visibilitySeconds: 60, // a batch takes well under a second; the kernel extends what takes longer
  maxAttempts: 12, // nothing in an act can be wrong: the attempts are for a database in trouble
  batch: 200,
  gatherMs: 200, // opens come in bursts, and nobody waits for the count
  handle: async (ctx, payload) => (await apply(ctx, [payload]), done()),
  handleBatch: async (ctx, payloads) => (await apply(ctx, payloads), payloads.map(done)),
});

/** An act on a message that was deleted since is dropped: there is nothing left to note it on. */
async function apply(ctx: Ctx, acts: readonly LinkAct[]): Promise<void> {
  const events = acts.map(({ tenant_id: _, url, ...event }) => ({
    ...event,
    detail: url === undefined ? {} : { url },
  }));
  await ctx.db`select private.apply_events(null, ${ctx.db.json(events)})`;
}
