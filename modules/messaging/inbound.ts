import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import type { ReadMessage } from "../kernel/channel.ts";
import type { InboundMessage } from "../kernel/provider.ts";
import { defineManualConsumer, done } from "../kernel/queues/consumer.ts";
import { openConnection } from "../providers/connections.ts";
import { scrubError } from "../providers/credentials.ts";

/**
 * Stores a received message in its conversation, read by its channel. A person's answer stops the sequence, a machine's does not; an
 * opt-out word holds at once. Once per message, however often it is told.
 */
export async function receive(
  ctx: Ctx,
  connectionId: string,
  channelId: string,
  message: InboundMessage,
): Promise<void> {
  const channel = ctx.registry.channels.get(channelId);
  if (!channel) throw new AppError("invalid", `No enabled module has the channel ${channelId}.`);
  const read = channel.readInbound(message);
  if (read.from_address === "" || read.provider_inbound_id === "") {
    ctx.log.warn("a received message has no sender address", {
      connection: connectionId,
      inbound_id: read.provider_inbound_id,
    });
    return;
  }
  const stored =
    read.email && read.full_text
      ? { ...read, email: { ...read.email, headers: { ...read.email.headers, full_text: read.full_text } } }
      : read;
  const [row] = await ctx.db<{ id: string | null }[]>`
    select private.receive_message(${connectionId}, ${channelId}, ${ctx.db.json(stored as never)}) as id`;
  if (row!.id && read.reports.length > 0) await applyReports(ctx, channelId, read, row!.id);
}

/**
 * A delivery report is an event of the message that it names by its id. Without one it counts only where exactly one message can be
 * meant: to this address, from where the report came back to, within the last week. Of other addresses than ours (a forwarding behind it)
 * it says that this message did not arrive, and nothing against the address. Nor does one without our id, which anybody could write.
 */
async function applyReports(ctx: Ctx, channel: string, read: ReadMessage, inboundId: string): Promise<void> {
  const recipients = read.reports.flatMap((r) => r.recipients);
  const [message] = await ctx.db<{ id: string; to_address: string; named: boolean }[]>`
    select m.id, m.to_address, exists (select from public.email_details d where d.tenant_id = (select kernel.tenant())
      and d.message_id = m.id and array[d.rfc_message_id, d.provider_rfc_id] && ${read.references}::text[]) as named
    from private.reported_message(${channel}, ${read.references}::text[], ${recipients}::text[], ${read.to_address}) m
    where m.id is not null`;
  if (!message) return;
  const ours = read.reports.find((r) => r.recipients.includes(message.to_address));
  const report = ours ?? (read.reports.length === 1 ? read.reports[0]! : null);
  if (!report) return;
  const isAboutUs = message.named && (ours !== undefined || report.recipients.length === 0);
  const bounce = report.outcome === "permanent" && !isAboutUs ? "block" : report.outcome;
  const event = {
    event_key: `report:${inboundId}`,
    message_id: message.id,
    at: ctx.now.toISOString(),
    recipient: message.to_address,
    ...(bounce === "deferred" ? { kind: "deferred" } : { kind: "bounced", bounce }),
    detail: { detail: report.detail, ...(bounce === "deferred" ? {} : { bounce }) },
  };
  await ctx.db`select private.apply_events(null, ${ctx.db.json([event] as never)})`;
}

/** For providers whose webhook only announces a message: fetches it without a transaction open, then stores it. */
export const fetchInbound = defineManualConsumer({
  queue: "providers_inbound",
  payload: z.object({ tenant_id: z.uuid(), connection_id: z.uuid(), ref: z.string().min(1).max(500) }),
  visibilitySeconds: 60, // four times the outbound client's deadline
  maxAttempts: 10, // with backoff about a quarter of an hour: the provider keeps the message longer than that
  concurrency: 2, // a call each; more would only meet the provider's rate
  async handle(ctx, { connection_id, ref }) {
    const opened = await ctx
      .tx((tx) => openConnection(tx, connection_id))
      .catch((error) => {
        // The connection was removed meanwhile: nobody is left to receive the message.
        if (error instanceof AppError && error.code === "not_found") return null;
        throw error;
      });
    if (!opened?.provider.inbound) return done();
    const { provider, connection } = opened;
    const message = await provider.inbound!.fetch(ref, connection, ctx.http).catch((error: unknown) => {
      throw scrubError(error, provider, connection.credentials);
    });
    await ctx.tx((tx) => receive(tx, connection_id, provider.category, message));
    return done();
  },
});
