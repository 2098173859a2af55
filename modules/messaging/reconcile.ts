import { z } from "zod";
import { defineManualConsumer, done } from "../kernel/queues/consumer.ts";
import type { ManualCtx } from "../kernel/context.ts";
import { plain } from "../kernel/text.ts";
import { openConnection } from "../providers/connections.ts";
import { scrubError } from "../providers/credentials.ts";
import { messagingSend } from "./send.ts";

/**
 * Settles outcomes nobody knows: the provider timed out after the call, or the worker died before it wrote the answer down.
 * By idempotency key (asking again cannot send again), by the provider's search, or not at all: then a webhook or a person tells.
 */

/** By how much a jump of the wall clock may show on the slow one, by which the age of an attempt is told. */
const CLOCK_MARGIN_SECONDS = 15;
/** Keys are asked again only well before the provider forgets them: the claim and the call need their time too. */
const KEY_MARGIN_SECONDS = 1800;
/** Searches of one connection per round, one after the other, so that reconciling never floods a provider in trouble. */
const BATCH = 50;

type Unknown = { id: string; attempts: number; age_seconds: number };
/** What is left at a connection: nothing to ask, more to ask now, or something to ask in so many seconds. */
type Left = "nothing" | "more" | number;

export const messagingReconcile = defineManualConsumer({
  queue: "messaging_reconcile",
  payload: z.object({ tenant_id: z.uuid() }),
  visibilitySeconds: 120, // fifty searches of a slow provider
  maxAttempts: 5,
  batch: 1,
  async handle(ctx, payload) {
    const connections = await ctx.tx(async (tx) => {
      // An event that overtook the answer (delivered while still sending) proves the send as well as any search.
      await tx.db`
        select private.settle_messages(coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'outcome', 'sent', 'detail', 'Proved by an event.')), '[]'))
        from public.messages m
        where m.tenant_id = ${ctx.tenantId} and m.status = 'unknown' and exists (
          select from public.message_events e where e.tenant_id = m.tenant_id and e.message_id = m.id and e.kind not in ('failed', 'sent'))`;
      const rows = await tx.db<{ id: string }[]>`
        select distinct connection_id as id from public.messages
        where tenant_id = ${ctx.tenantId} and status = 'unknown' and connection_id is not null order by 1`;
      return rows.map((r) => r.id);
    });
    // Each by itself: one in trouble, or one whose messages only a person can settle, must not hold back the others.
    const left: Left[] = [];
    for (const id of connections) {
      if (ctx.signal.aborted) break;
      try {
        left.push(await reconcileConnection(ctx, id));
      } catch (error) {
        ctx.log.warn("the provider could not be asked about messages with an unknown outcome", {
          connection: id,
          error,
        });
      }
    }
    const later = left.filter((l) => typeof l === "number");
    if (left.includes("more")) await ctx.enqueue(messagingReconcile, payload);
    else if (later.length > 0) await ctx.enqueue(messagingReconcile, payload, { delaySeconds: Math.min(...later) });
    return done();
  },
});

async function reconcileConnection(ctx: ManualCtx, connectionId: string): Promise<Left> {
  const { provider, connection } = await ctx.tx((tx) => openConnection(tx, connectionId));
  const rule = provider.send?.reconcile;
  const find = provider.send?.find;
  if (!rule || rule.by === "none" || (rule.by === "search" && !find)) return "nothing";
  if (rule.by === "key") {
    // The same key again: the provider answers with what it did the first time, or sends it now, once.
    return await ctx.tx(async (tx): Promise<Left> => {
      const [row] = await tx.db<{ n: number }[]>`
        select private.ask_again(array(select m.id from public.messages m
          where m.tenant_id = ${ctx.tenantId} and m.connection_id = ${connectionId} and m.status = 'unknown'),
          ${rule.window_hours * 3600 - KEY_MARGIN_SECONDS}) as n`;
      if (row!.n > 0) await tx.enqueue(messagingSend, { tenant_id: ctx.tenantId });
      return "nothing";
    });
  }
  const unknown = await ctx.tx(
    (tx) => tx.db<Unknown[]>`
      select m.id, m.attempts, extract(epoch from kernel.slow_clock() - coalesce(a.slow_at, a.started_at))::float8 as age_seconds
      from public.messages m
      join public.attempts a on a.tenant_id = m.tenant_id and a.message_id = m.id and a.number = m.attempts
      where m.tenant_id = ${ctx.tenantId} and m.connection_id = ${connectionId} and m.status = 'unknown'
      order by a.started_at limit ${BATCH}`,
  );
  // A search that lags behind what the provider took could miss a message, which would then be sent twice.
  const after = rule.after_seconds + CLOCK_MARGIN_SECONDS;
  const outcomes: Record<string, unknown>[] = [];
  let left: Left = unknown.length === BATCH ? "more" : "nothing";
  try {
    for (const { id, attempts: attempt, age_seconds } of unknown) {
      // Oldest first: the others are younger still.
      if (age_seconds < after) left = after;
      if (ctx.signal.aborted || left === after) break;
      const found = await find!(id, connection, ctx.http).catch((error: unknown) => {
        throw scrubError(error, provider, connection.credentials);
      });
      outcomes.push(
        found
          ? { id, attempt, outcome: "sent", provider_message_id: plain(found.provider_message_id, 300) }
          : {
              id,
              attempt,
              outcome: "retry",
              code: "not_found",
              detail: "The provider did not receive the message.",
              after_seconds: 0,
            },
      );
    }
  } finally {
    // What was found out counts, also when the provider stops answering half-way.
    if (outcomes.length > 0) await ctx.tx((tx) => tx.db`select private.settle_messages(${tx.db.json(outcomes)})`);
  }
  return left;
}
