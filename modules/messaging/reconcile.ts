import { z } from "zod";
import { defineManualConsumer, done, retry } from "../kernel/consumer.ts";
import { openConnection } from "../providers/connections.ts";
import { messagingSend } from "./send.ts";

/**
 * Settles outcomes nobody knows: the provider timed out after the call, or the worker died before it wrote the answer down.
 * By idempotency key (asking again cannot send again), by the provider's search, or not at all: then a webhook or a person tells.
 */

/** A provider's search index lags behind its own accepts; asking earlier could miss a message and send it twice. */
const SEARCH_AFTER_SECONDS = 60;
/** Provider searches one after the other, so that reconciling never floods a provider in trouble. */
const BATCH = 50;

type Unknown = { id: string; connection_id: string | null; age_seconds: number };

export const messagingReconcile = defineManualConsumer({
  queue: "messaging_reconcile",
  payload: z.object({ tenant_id: z.uuid() }),
  visibilitySeconds: 120, // fifty searches of a slow provider
  maxAttempts: 5,
  batch: 1,
  async handle(ctx) {
    const unknown = await ctx.tx(async (tx) => {
      // An event that overtook the answer (delivered while still sending) proves the send as well as any search.
      await tx.db`
        select private.settle_messages(coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'outcome', 'sent', 'detail', 'Proved by an event.')), '[]'))
        from public.messages m
        where m.tenant_id = ${ctx.tenantId} and m.status = 'unknown' and exists (
          select from public.message_events e where e.tenant_id = m.tenant_id and e.message_id = m.id and e.kind not in ('failed', 'sent'))`;
      return await tx.db<Unknown[]>`
        select m.id, m.connection_id, extract(epoch from clock_timestamp() - a.started_at)::float8 as age_seconds
        from public.messages m
        join public.attempts a on a.tenant_id = m.tenant_id and a.message_id = m.id and a.number = m.attempts
        where m.tenant_id = ${ctx.tenantId} and m.status = 'unknown' and m.connection_id is not null
        order by m.updated_at limit ${BATCH}`;
    });
    const byConnection = Map.groupBy(unknown, (m) => m.connection_id!);
    let tooYoung = 0;
    for (const [connectionId, messages] of byConnection) {
      const { provider, connection } = await ctx.tx((tx) => openConnection(tx, connectionId));
      const rule = provider.reconcile;
      if (rule.by === "key") {
        const fresh = messages.filter((m) => m.age_seconds < rule.window_hours * 3600 - 600).map((m) => m.id);
        if (fresh.length === 0) continue;
        // The same key again: the provider answers with what it did the first time, or sends it now, once.
        await ctx.tx(async (tx) => {
          await tx.db`
            update public.messages set status = 'queued', due_at = kernel.now()
            where tenant_id = ${ctx.tenantId} and id = any(${fresh}::uuid[]) and status = 'unknown'`;
          await tx.enqueue(messagingSend, { tenant_id: ctx.tenantId });
        });
      } else if (rule.by === "search" && provider.findMessage) {
        for (const m of messages) {
          if (ctx.signal.aborted) return retry(0);
          if (m.age_seconds < SEARCH_AFTER_SECONDS) {
            tooYoung++;
            continue;
          }
          const found = await provider.findMessage(m.id, connection, ctx.http);
          const outcome = found
            ? { id: m.id, outcome: "sent", provider_message_id: found.provider_message_id }
            : { id: m.id, outcome: "retry", code: "not_found", detail: "The provider never got it.", after_seconds: 0 };
          await ctx.tx((tx) => tx.db`select private.settle_messages(${tx.db.json([outcome])})`);
        }
      }
    }
    if (tooYoung > 0)
      await ctx.enqueue(messagingReconcile, { tenant_id: ctx.tenantId }, { delaySeconds: SEARCH_AFTER_SECONDS });
    return done();
  },
});
