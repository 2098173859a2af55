import { z } from "zod";
import { defineManualConsumer, done } from "../kernel/queues/consumer.ts";
import type { ManualCtx } from "../kernel/context.ts";
import { openConnection } from "../providers/connections.ts";
import { sendDue, type Turn } from "./pipeline.ts";

/**
 * Sends what is due for one tenant, a pipeline for each connection. A crash leaves a lease that runs out: what was handed over to a call
 * becomes `unknown`, never a second send, and what was only claimed is due again.
 */

/** A tenant's turn while nobody else waits; then it queues up again behind the other tenants. */
const BUDGET_MS = 15_000;
/** A tenant's turn while others wait, and how often somebody looks whether they do. */
const SHARE_MS = 1_000;

export const messagingSend = defineManualConsumer({
  queue: "messaging_send",
  payload: z.object({ tenant_id: z.uuid() }),
  visibilitySeconds: 60, // four times the budget; kept hidden while a slow provider answers
  maxAttempts: 20, // a wake message carries nothing: losing one costs ten seconds
  batch: 1, // one tenant at a time per loop, so that a big one never holds back the rest of a batch
  concurrency: 8, // providers' answers take most of the time
  async handle(ctx, payload) {
    const turn = { end: performance.now() + BUDGET_MS }; // the date may be set meanwhile
    const connections = await ctx.tx(async (tx) => {
      // Before the look at what is due: what a dropped one announced is then seen.
      await tx.db`select kernel.drop_wakes(${messagingSend.queue})`;
      const rows = await tx.db<{ connection_id: string }[]>`
        select c.id as connection_id from public.connections c
        where c.tenant_id = ${ctx.tenantId} and c.status = 'active' and exists (
          select from public.senders s join public.messages m on m.tenant_id = s.tenant_id and m.sender_id = s.id
          where s.tenant_id = c.tenant_id and s.connection_id = c.id and m.status = 'queued' and m.due_at <= kernel.now())`;
      return rows.map((r) => r.connection_id);
    });
    // Every connection to its end, also when one fails: a stopping worker waits for what is returned here.
    const watch = setInterval(() => void endForOthers(ctx, turn), SHARE_MS);
    const left = await Promise.allSettled(connections.map((id) => drainConnection(ctx, id, turn)));
    clearInterval(watch);
    // Out of time with work left: behind the other tenants again.
    if (left.some((l) => l.status === "fulfilled" && l.value)) await ctx.enqueue(messagingSend, payload);
    const failed = left.find((l) => l.status === "rejected");
    if (failed) throw failed.reason;
    return done();
  },
});

/** Ends the turn when others wait for theirs. */
async function endForOthers(ctx: ManualCtx, turn: Turn): Promise<void> {
  try {
    const [row] = await ctx.tx(
      (tx) => tx.db<{ waits: boolean }[]>`select kernel.others_wait(${messagingSend.queue}) as waits`,
    );
    if (row!.waits) turn.end = Math.min(turn.end, performance.now());
  } catch (error) {
    // The turn ends by itself soon enough.
    ctx.log.warn("it could not be seen whether other tenants wait to send", { error });
  }
}

/** Sends on one connection until nothing is due (false) or the turn is over (true). */
async function drainConnection(ctx: ManualCtx, connectionId: string, turn: Turn): Promise<boolean> {
  const { provider, connection } = await ctx.tx((tx) => openConnection(tx, connectionId));
  const channel = ctx.registry.channels.get(provider.category);
  if (!provider.send || !channel) return false;
  return await sendDue(ctx, { provider, connection, channel, send: provider.send }, turn);
}
