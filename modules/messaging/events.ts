import { z } from "zod";
import { dead, defineConsumer, done, type Outcome, retry } from "../kernel/queues/consumer.ts";
import type { Ctx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import type { DeliveryContext, ProviderEvent } from "../kernel/provider.ts";
import { sha256Hex } from "../kernel/secrets/signatures.ts";
import { fetchInbound, receive } from "./inbound.ts";
import { plain } from "../kernel/text.ts";
import { isMachineAgent } from "./machines.ts";

/** Works through stored webhooks: one read, one call per connection, one write, whatever the size of the batch. */

/** Rounds (2 + 4 + 8 + 16 + 32 s) in which an event may wait for the send it speaks of to be recorded. */
const UNMATCHED_ROUNDS = 5;

type Delivery = {
  id: string;
  connection_id: string;
  provider: string;
  body: Uint8Array;
  context: DeliveryContext;
  processed: boolean;
  attempts: number;
};
type MessageEvent = Exclude<ProviderEvent, { kind: "inbound" | "inbound_ref" }>;
type Keyed = { delivery: string; key: string; event: MessageEvent };
type Finished = { id: string; error: string | null };

export const webhooksIn = defineConsumer({
  queue: "webhooks_in",
  payload: z.object({ tenant_id: z.uuid(), id: z.uuid() }),
  visibilitySeconds: 60, // a batch takes well under a second; the kernel extends what takes longer
  maxAttempts: 12, // above UNMATCHED_ROUNDS: those end here, the rest of the attempts is for a database in trouble
  batch: 100,
  concurrency: 2,
  gatherMs: 100, // a batch of ten costs what one does, and providers tell in bursts
  handle: async (ctx, payload) => (await process(ctx, [payload.id]))[0]!,
  handleBatch: (ctx, payloads) =>
    process(
      ctx,
      payloads.map((p) => p.id),
    ),
});

async function process(ctx: Ctx, ids: string[]): Promise<Outcome[]> {
  const rows = await ctx.db<Delivery[]>`
    select d.id, d.connection_id, c.provider, d.body, d.context, d.processed_at is not null as processed, d.attempts
    from public.webhook_deliveries d join public.connections c on c.tenant_id = d.tenant_id and c.id = d.connection_id
    where d.tenant_id = ${ctx.tenantId} and d.id = any(${ids}::uuid[])`;
  const deliveries = new Map(rows.map((r) => [r.id, r]));
  const outcomes = new Map<string, Outcome>();
  const finished = new Map<string, Finished>();
  const byConnection = new Map<string, Keyed[]>();

  for (const delivery of rows) {
    if (delivery.processed) continue;
    const parsed = read(ctx, delivery);
    if ("error" in parsed) {
      finished.set(delivery.id, { id: delivery.id, error: parsed.error });
      outcomes.set(delivery.id, dead(parsed.error));
      continue;
    }
    finished.set(delivery.id, { id: delivery.id, error: null });
    for (const event of parsed.events) {
      if (event.kind === "inbound") await receive(ctx, delivery.connection_id, parsed.category, event.message);
      else if (event.kind === "inbound_ref") {
        await ctx.enqueue(fetchInbound, {
          tenant_id: ctx.tenantId,
          connection_id: delivery.connection_id,
          ref: event.ref,
        });
      } else {
        const list = byConnection.get(delivery.connection_id) ?? [];
        list.push({ delivery: delivery.id, key: await eventKey(delivery.provider, event.event_id), event });
        byConnection.set(delivery.connection_id, list);
      }
    }
  }

  const reported: Keyed[] = [];
  for (const [connectionId, keyed] of byConnection) {
    const unmatched = await apply(ctx, connectionId, keyed);
    for (const item of keyed.filter((k) => unmatched.has(k.key))) {
      // A person may unsubscribe from an account without naming a message; that needs no match.
      if (aboutAddressOnly(item.event)) reported.push(item);
      else if (deliveries.get(item.delivery)!.attempts >= UNMATCHED_ROUNDS) {
        reported.push(item);
        finished.set(item.delivery, { id: item.delivery, error: "No message of this installation matches the event." });
      } else {
        finished.delete(item.delivery);
        outcomes.set(item.delivery, retry(undefined, "No message matches the event yet."));
      }
    }
  }
  await suppressReported(ctx, reported);
  await record(
    ctx,
    [...finished.values()],
    [...outcomes].flatMap(([id, o]) => (o.kind === "retry" ? [id] : [])),
  );
  return ids.map((id) => outcomes.get(id) ?? done());
}

/** The bytes as events, or the reason why they are none. Nothing a provider sends may throw out of the batch. */
function read(ctx: Ctx, delivery: Delivery): { events: ProviderEvent[]; category: string } | { error: string } {
  const provider = ctx.registry.providers.find((p) => p.id === delivery.provider);
  if (!provider?.webhook) return { error: `There is no webhook parser for the provider ${delivery.provider}.` };
  try {
    return { events: provider.webhook.parse(delivery.body, delivery.context), category: provider.category };
  } catch (error) {
    const why = error instanceof AppError ? error.message : `The body cannot be read: ${(error as Error).message}`;
    return { error: plain(why, 500) };
  }
}

/** Deterministic, so that a redelivered fact is the same row. Ids that carry URLs can be long. */
async function eventKey(provider: string, eventId: string): Promise<string> {
  const key = `${provider}:${plain(eventId, 4000)}`;
  return key.length <= 250 ? key : `${provider}:${await sha256Hex(new TextEncoder().encode(key))}`;
}

/** One call for all events of a connection. Returns the keys that match no message. */
async function apply(ctx: Ctx, connectionId: string, keyed: Keyed[]): Promise<Set<string>> {
  const events = keyed.map(({ key, event }) => ({
    kind: event.kind,
    event_key: key,
    provider_message_id: event.provider_message_id && plain(event.provider_message_id, 300),
    message_id: event.message_id && plain(event.message_id, 100),
    rfc_message_id: event.rfc_message_id ? plain(event.rfc_message_id, 998) : null,
    recipient: event.recipient && plain(event.recipient, 320),
    at: event.at,
    bounce: "bounce" in event ? event.bounce : null,
    is_bot: "user_agent" in event && event.user_agent !== undefined && isMachineAgent(event.user_agent),
    detail: detailOf(event),
  }));
  const [row] = await ctx.db<{ unmatched: string[] }[]>`
    select private.apply_events(${connectionId}, ${ctx.db.json(events)}) as unmatched`;
  return new Set(row!.unmatched);
}

function detailOf(event: MessageEvent): Record<string, string> {
  const detail: Record<string, string> = {};
  if ("bounce" in event) Object.assign(detail, { bounce: event.bounce, detail: plain(event.detail, 1000) });
  if ("url" in event && event.url) detail.url = plain(event.url, 2000);
  if ("user_agent" in event && event.user_agent) detail.user_agent = plain(event.user_agent, 500);
  return detail;
}

const aboutAddressOnly = (event: MessageEvent): boolean =>
  event.provider_message_id === null && event.message_id === null;

/** What an event says about an address stands even if the message was not ours: the account heard it from this person. */
async function suppressReported(ctx: Ctx, items: Keyed[]): Promise<void> {
  if (items.length === 0) return;
  const rows = await ctx.db<{ id: string; category: string }[]>`
    select distinct d.id, c.category from public.webhook_deliveries d join public.connections c on c.tenant_id = d.tenant_id and c.id = d.connection_id
    where d.tenant_id = ${ctx.tenantId} and d.id = any(${items.map((i) => i.delivery)}::uuid[])`;
  const channelOf = new Map(rows.map((r) => [r.id, r.category]));
  for (const channelId of new Set(channelOf.values())) {
    const channel = ctx.registry.channels.get(channelId);
    if (!channel) continue;
    const addresses = (keep: (event: MessageEvent) => boolean) => [
      ...new Set(
        items.flatMap(({ delivery, event }) => {
          if (channelOf.get(delivery) !== channelId || !event.recipient || !keep(event)) return [];
          return channel.address.normalise(plain(event.recipient, 320)) ?? [];
        }),
      ),
    ];
    const left = addresses((e) => e.kind === "unsubscribed");
    const complained = addresses((e) => e.kind === "complained");
    const gone = addresses((e) => "bounce" in e && e.bounce === "permanent");
    if (left.length > 0)
      await ctx.db`select private.opt_out(${channelId}, '{}', ${left}::text[], 'unsubscribe', 'The contact unsubscribed.')`;
    if (complained.length > 0)
      await ctx.db`select private.opt_out(${channelId}, '{}', ${complained}::text[], 'complaint', 'The contact reported a message as spam.')`;
    if (gone.length > 0)
      await ctx.db`select private.suppress(${channelId}, ${gone}::text[], 'bounce', 'The provider reported that the address takes no messages.')`;
  }
}

async function record(ctx: Ctx, finished: Finished[], waiting: string[]): Promise<void> {
  if (finished.length === 0 && waiting.length === 0) return;
  await ctx.db`select private.finish_deliveries(${ctx.db.json(finished)}, ${waiting}::uuid[])`;
}
