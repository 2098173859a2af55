import type { Ctx } from "../kernel/context.ts";
import { hear, type Heard } from "../kernel/queues/fact.ts";
import { addressSuppressed, contactOptedIn, contactOptedOut } from "../compliance/facts.ts";
import {
  messageBounced,
  messageClicked,
  messageComplained,
  messageDelivered,
  messageOpened,
  messageReceived,
  messageSent,
  messageUnsubscribed,
} from "../messaging/facts.ts";

/** What messages and people do stands in the contact's timeline, status and addresses. Written once, however often it is told. */
const facts = [
  messageSent,
  messageDelivered,
  messageOpened,
  messageClicked,
  messageBounced,
  messageComplained,
  messageUnsubscribed,
  messageReceived,
  addressSuppressed,
  contactOptedOut,
  contactOptedIn,
] as const;
type Item = Heard<(typeof facts)[number]>;

export const messageHearing = hear(facts, {
  queue: "contacts_message_facts",
  optional: true,
  async handle(ctx, items) {
    await ctx.db`select private.note_messages(${ctx.db.json(timeline(items) as never)})`;
    const delivered = items.flatMap((i) => (i.fact === "message.delivered" ? [i.payload] : []));
    for (const [channel, group] of Map.groupBy(delivered, (m) => m.channel))
      await ctx.db`select private.mark_addresses(${channel}, ${[...new Set(group.map((m) => m.address))]}::text[], 'valid', 'delivered')`;
    // After the deliveries: what bounced later is dead, whatever arrived before.
    const suppressed = items.flatMap((i) => (i.fact === "address.suppressed" ? [i.payload] : []));
    for (const [key, group] of Map.groupBy(suppressed, (p) => `${p.channel}/${p.reason}`)) {
      const [channel, reason] = key.split("/") as [string, string];
      await markAddresses(ctx, channel, [...new Set(group.map((p) => p.address))], reason);
    }
    const left = items.flatMap((i) => (i.fact === "contact.opted_out" ? [i.payload.contact_id] : []));
    if (left.length > 0) await ctx.db`select private.set_contact_status(${left}::uuid[], 'unsubscribed')`;
    const back = items.flatMap((i) => (i.fact === "contact.opted_in" ? [i.payload.contact_id] : []));
    if (back.length > 0) await ctx.db`select private.set_contact_status(${back}::uuid[], 'contacted')`;
  },
});

/** What happened to a person, on which channel. What we sent is no entry: it stands in the ledger. */
const timeline = (items: readonly Item[]) =>
  items.flatMap((item) => {
    switch (item.fact) {
      case "message.sent":
        return [entry(item.payload, "sent", null)];
      case "message.opened":
      case "message.clicked":
      case "message.bounced":
      case "message.complained":
      case "message.unsubscribed":
        return [entry(item.payload, item.fact.slice("message.".length), item.payload.url)];
      case "message.received":
        return [entry(item.payload, item.payload.kind, item.payload.text)];
      default:
        return [];
    }
  });

const entry = (
  m: { message_id: string; contact_id: string | null; channel: string; at: string },
  what: string,
  content: string | null,
) => ({
  message_id: m.message_id,
  contact_id: m.contact_id,
  channel: m.channel,
  at: m.at,
  what,
  content: content ?? "",
});

/** Of an opt-out or a complaint `contact.opted_out` tells, person by person. */
async function markAddresses(ctx: Ctx, channel: string, addresses: string[], reason: string): Promise<void> {
  if (reason === "bounce")
    await ctx.db`select private.mark_addresses(${channel}, ${addresses}::text[], 'invalid', 'bounced')`;
  if (reason === "manual") await ctx.db`select private.mark_suppressed(${channel}, ${addresses}::text[])`;
}
