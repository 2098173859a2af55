import type { AnyChannel, EmailDetails } from "../kernel/channel.ts";
import type { ManualCtx } from "../kernel/context.ts";
import type { AnyProvider, Connection, OutboundMessage, SendCapability, SendOutcome } from "../kernel/provider.ts";
import { scrub } from "../providers/credentials.ts";

/** One call of a provider with claimed messages. */

export type Claimed = {
  id: string;
  action: string;
  /** Which claim this is; an attempt has the number of its claim. */
  attempts: number;
  from_address: string;
  from_name: string;
  to_address: string;
  subject: string;
  body_text: string;
  content: Record<string, unknown>;
  email: EmailDetails | null;
};

/** A connection with what is needed to send on it. */
export type Opened = {
  provider: AnyProvider;
  connection: Connection<Record<string, unknown>>;
  channel: AnyChannel;
  send: SendCapability<Record<string, unknown>, unknown>;
};

const UNREADABLE: SendOutcome = {
  outcome: "rejected",
  code: "content_unreadable",
  detail: "The stored message cannot be read.",
};
/** Somebody may have been called. */
export const ADAPTER_ERROR: SendOutcome = {
  outcome: "unknown",
  code: "adapter_error",
  detail: "The adapter failed during the request to the provider.",
};

/** Calls the provider. Whatever goes wrong in here is an outcome: an exception must not hide that a call was made. */
export async function call(ctx: ManualCtx, opened: Opened, claimed: readonly Claimed[]): Promise<SendOutcome[]> {
  const { provider, connection, send } = opened;
  const read = await Promise.all(claimed.map((m) => readStored(ctx, opened, m)));
  const messages = read.filter((m) => m !== null);
  if (messages.length === 0) return claimed.map(() => UNREADABLE);

  const started = performance.now();
  let outcomes: SendOutcome[];
  try {
    outcomes = await send.send(messages, connection, ctx.http);
    if (outcomes.length !== messages.length)
      throw new Error(`${provider.id} gave ${outcomes.length} outcomes for ${messages.length} messages`);
  } catch (error) {
    ctx.log.error("a provider's adapter failed", { provider: provider.id, connection: connection.id, error });
    outcomes = messages.map(() => ADAPTER_ERROR);
  }
  ctx.metrics.observe("overture_provider_call_seconds", "Time of a send call", (performance.now() - started) / 1000, {
    provider: provider.id,
  });
  const byId = new Map(messages.map((m, i) => [m.id, clean(outcomes[i]!, opened)]));
  const all = claimed.map((m) => byId.get(m.id) ?? UNREADABLE);
  for (const [outcome, some] of Map.groupBy(all, (o) => o.outcome))
    ctx.metrics.count("overture_sends_total", "Messages by outcome", { provider: provider.id, outcome }, some.length);
  return all;
}

/** Null: what is stored cannot be read. That one fails before any call, and those beside it leave. */
async function readStored(ctx: ManualCtx, { channel }: Opened, m: Claimed): Promise<OutboundMessage<unknown> | null> {
  try {
    const stored = { subject: m.subject, text: m.body_text, content: m.content, email: m.email };
    const whose = { services: ctx, tenantId: ctx.tenantId, messageId: m.id };
    const content = channel.content(channel.complete ? await channel.complete(stored, whose) : stored);
    const from = { address: m.from_address, name: m.from_name || null };
    return { id: m.id, action: m.action, from, to: { address: m.to_address }, content };
  } catch (error) {
    ctx.log.error("a stored message cannot be read", { message: m.id, channel: channel.id, error });
    return null;
  }
}

/**
 * What providers say is stored and shown: without the secrets they like to quote, and without characters that cannot be stored, for which
 * a whole batch would be left in doubt.
 */
const clean = (outcome: SendOutcome, { provider, connection }: Opened): SendOutcome =>
  Object.fromEntries(
    Object.entries(outcome).map(([field, value]) => [
      field,
      typeof value === "string" ? scrub(value, provider, connection.credentials) : value,
    ]),
  ) as SendOutcome;
