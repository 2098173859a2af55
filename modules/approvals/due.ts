import { z } from "zod";
import { type AnyConsumer, defineConsumer, done } from "../kernel/queues/consumer.ts";
import { hear } from "../kernel/queues/fact.ts";
import { messageCancelled } from "../messaging/facts.ts";
import { messagingSend } from "../messaging/send.ts";

type Wake = { tenant_id: string };

const PORTION = 500;

/** Lets delayed messages go whose time is over, and ends requests that nobody decided in time; a portion a transaction. */
export const approvalsDue: AnyConsumer<Wake> = defineConsumer<Wake>({
  queue: "approvals_due",
  payload: z.object({ tenant_id: z.uuid() }),
  visibilitySeconds: 60, // a portion takes well under a second
  maxAttempts: 10,
  async handle(ctx) {
    await ctx.db`select kernel.drop_wakes(${approvalsDue.queue})`;
    const [row] = await ctx.db<{ released: number; expired: number }[]>`
      select released, expired from private.settle_due_approvals(${PORTION})`;
    const { released, expired } = row!;
    if (released > 0) await ctx.enqueue(messagingSend, { tenant_id: ctx.tenantId });
    if (released === PORTION || expired === PORTION) await ctx.enqueue(approvalsDue, { tenant_id: ctx.tenantId });
    return done();
  },
});

/** A message that was cancelled for another reason (an answer, a stop, an opt-out) needs no decision any more. */
export const cancelledHearing = hear(messageCancelled, {
  queue: "approvals_message_facts",
  async handle(ctx, items) {
    const ids = items.map((i) => i.payload.message_id);
    await ctx.db`
      update public.approvals set state = 'withdrawn', decided_at = (select kernel.now()), reason = 'message_gone', auto_at = null, expires_at = null
      where tenant_id = (select kernel.tenant()) and message_id = any(${ids}::uuid[]) and state = 'pending'`;
  },
});
