import { z } from "zod";
import { defineManualConsumer, done } from "../kernel/queues/consumer.ts";
import type { Ctx, ManualCtx } from "../kernel/context.ts";
import type { AnyChannel, EmailDetails } from "../kernel/channel.ts";
import type { AnyProvider, Connection, OutboundMessage, SendCapability, SendOutcome } from "../kernel/provider.ts";
import { openConnection } from "../providers/connections.ts";
import { scrub } from "../providers/credentials.ts";

/**
 * Sends what is due for one tenant. Each round: a token of the provider's rate, a claim (which reserves and records), the call,
 * the settlement. A crash between claim and settlement leaves an expired lease, which becomes `unknown`, never a second send.
 */

/**
 * How long a claim is held: the slowest lawful call, with room for a pause before it and the settlement after it. Past it the worker
 * is taken for dead. One claim is one round: one batch, or single calls side by side, so calls do not add up.
 */
export const leaseSeconds = ({ call_seconds }: Pick<SendCapability<unknown, unknown>, "call_seconds">): number =>
  Math.ceil(2 * call_seconds) + 30;

/** Seconds after the claim by which its calls must have begun; a worker that stood still for longer sends nothing. */
export const latestStart = (lease: number): number => lease / 4;
/** One message's share of the worker; then it queues up again behind the other tenants. */
const BUDGET_MS = 15_000;
/** Batches of a connection under way at once: while one is at the provider, the next is claimed and the one before settled. */
const LANES = 2;
/** Calls side by side at a provider that takes one message a call; more would only wait for each other. */
const MAX_CALLS = 100;
/** Tries at writing a batch's outcomes, over some seven seconds: a database that comes back meanwhile leaves none in doubt. */
const SETTLE_TRIES = 5;
/** Waiting for a rate longer than this is left to the next wake. */
const MAX_WAIT_SECONDS = 3;

type Claimed = {
  id: string;
  action: string;
  /** Which attempt this claim is. */
  attempts: number;
  from_address: string;
  from_name: string;
  to_address: string;
  subject: string;
  body_text: string;
  content: Record<string, unknown>;
  email: EmailDetails | null;
};

const TOO_LATE: SendOutcome = {
  outcome: "retry",
  code: "too_late",
  detail: "The worker paused for too long after it took the message, so the message was not sent.",
  after_seconds: 0,
};

type Opened = {
  provider: AnyProvider;
  connection: Connection<Record<string, unknown>>;
  channel: AnyChannel;
  send: SendCapability<Record<string, unknown>, unknown>;
};

export const messagingSend = defineManualConsumer({
  queue: "messaging_send",
  payload: z.object({ tenant_id: z.uuid() }),
  visibilitySeconds: 60, // four times the budget; kept hidden while a slow provider answers
  maxAttempts: 20, // a wake message carries nothing: losing one costs ten seconds
  batch: 1, // one tenant at a time per loop, so that a big one never holds back the rest of a batch
  concurrency: 4, // providers' answers take most of the time
  async handle(ctx, payload) {
    const end = performance.now() + BUDGET_MS; // the date may be set meanwhile
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
    const left = await Promise.allSettled(connections.map((id) => drainConnection(ctx, id, end)));
    // Out of time with work left: behind the other tenants again.
    if (left.some((l) => l.status === "fulfilled" && l.value)) await ctx.enqueue(messagingSend, payload);
    const failed = left.find((l) => l.status === "rejected");
    if (failed) throw failed.reason;
    return done();
  },
});

/** Sends on one connection until nothing is due (false) or the time is up (true). */
async function drainConnection(ctx: ManualCtx, connectionId: string, end: number): Promise<boolean> {
  const { provider, connection } = await ctx.tx((tx) => openConnection(tx, connectionId));
  const channel = ctx.registry.channels.get(provider.category);
  if (!provider.send || !channel) return false;
  const opened: Opened = { provider, connection, channel, send: provider.send };
  const lanes = await Promise.allSettled(Array.from({ length: LANES }, () => drainLane(ctx, opened, end)));
  const failed = lanes.find((l) => l.status === "rejected");
  if (failed) throw failed.reason;
  return lanes.some((l) => l.status === "fulfilled" && l.value);
}

async function drainLane(ctx: ManualCtx, opened: Opened, end: number): Promise<boolean> {
  const { batch } = opened.send;
  const connectionId = opened.connection.id;
  const lease = leaseSeconds(opened.send);
  const perSecond = ratePerSecond(opened);
  // One call carries a whole batch; without batches, a second's worth of calls goes out side by side.
  const size = batch > 1 ? batch : Math.min(MAX_CALLS, Math.max(1, Math.floor(perSecond)));
  const calls = batch > 1 ? 1 : size;
  const bucket = `connection:${connectionId}`;
  let wait = 0;

  while (performance.now() < end && !ctx.signal.aborted) {
    if (wait > 0) await pause(wait, ctx.signal);
    if (ctx.signal.aborted) return true;
    const began = { date: Date.now(), monotonic: performance.now() };
    // A transaction of its own: the bucket's row would otherwise be locked for as long as a claim takes, in every worker.
    wait = await ctx.tx(async (tx) => {
      const [token] = await tx.db<{ taken: boolean; retry_after: number }[]>`
        select taken, retry_after from kernel.take_tokens(${bucket}, ${Math.max(perSecond, calls)}, ${perSecond}, ${calls})`;
      return token!.taken ? 0 : token!.retry_after;
    });
    if (wait > MAX_WAIT_SECONDS) return false;
    if (wait > 0) continue;
    const claimed = await ctx.tx((tx) => claim(tx, size, lease, connectionId));
    if (claimed.length === 0) {
      // Nothing that may leave: what a guard stops is moved out of the way, and what stood behind it may be next.
      const [swept] = await ctx.tx((tx) => tx.db<{ n: number }[]>`select private.apply_guards() as n`);
      if (swept!.n === 0) return false;
      continue;
    }
    // Frozen since the claim? The lease may be over, and somebody else at it. The date goes on while a machine sleeps, the
    // monotonic clock when the date is set back.
    const passed = Math.max(Date.now() - began.date, performance.now() - began.monotonic);
    const late = passed > latestStart(lease) * 1000;
    const outcomes = late ? claimed.map(() => TOO_LATE) : await deliver(ctx, opened, claimed);
    await settleSurely(ctx, bucket, claimed, outcomes);
    if (outcomes.some((o) => o.outcome === "broken")) return false;
  }
  return true;
}

/** The provider's documented rate, unless the connection says otherwise (a bigger plan). */
function ratePerSecond({ send, connection }: Opened): number {
  const own = Number(connection.settings.per_second);
  return Number.isFinite(own) && own > 0 ? own : send.per_second;
}

/**
 * Takes due messages, each with what its channel keeps of it. That is read by a statement of its own: the claim sees messages that were
 * written after the statement around it began, and their details would be missing there.
 */
const claim = async (tx: Ctx, size: number, lease: number, connectionId: string): Promise<Claimed[]> => {
  const claimed = await tx.db<Omit<Claimed, "email">[]>`
    select m.id, m.action, m.attempts, m.from_address, m.from_name, m.to_address, m.subject, m.body_text, m.content
    from private.claim_messages(${size}, ${lease}, ${connectionId}) m`;
  if (claimed.length === 0) return [];
  const details = await tx.db<(EmailDetails & { message_id: string })[]>`
    select d.message_id, d.rfc_message_id, d.in_reply_to, d.reply_to, d.headers, d.html from public.email_details d
    where d.tenant_id = (select kernel.tenant()) and d.message_id = any(${claimed.map((m) => m.id)}::uuid[])`;
  const emails = new Map(details.map(({ message_id, ...email }) => [message_id, email]));
  return claimed.map((m) => ({ ...m, email: emails.get(m.id) ?? null }));
};

/** Calls the provider. Whatever goes wrong in here is an outcome: an exception must not hide that a call was made. */
async function deliver(ctx: ManualCtx, opened: Opened, claimed: Claimed[]): Promise<SendOutcome[]> {
  const { provider, connection, channel, send } = opened;
  const byId = new Map<string, SendOutcome>();
  const read = await Promise.all(
    claimed.map(async (m): Promise<OutboundMessage[]> => {
      try {
        const stored = { subject: m.subject, text: m.body_text, content: m.content, email: m.email };
        const whose = { services: ctx, tenantId: ctx.tenantId, messageId: m.id };
        const content = channel.content(channel.complete ? await channel.complete(stored, whose) : stored);
        const from = { address: m.from_address, name: m.from_name || null };
        return [{ id: m.id, action: m.action, from, to: { address: m.to_address }, content }];
      } catch (error) {
        // What is stored cannot be read: this one fails before any call, and those beside it leave.
        ctx.log.error("a stored message cannot be read", { message: m.id, channel: channel.id, error });
        byId.set(m.id, {
          outcome: "rejected",
          code: "content_unreadable",
          detail: "The stored message cannot be read.",
        });
        return [];
      }
    }),
  );
  const messages = read.flat();
  if (messages.length === 0) return claimed.map((m) => byId.get(m.id)!);
  const batches = send.batch > 1 ? [messages] : messages.map((m) => [m]);
  const started = performance.now();
  const outcomes = await Promise.all(
    batches.map(async (batch): Promise<SendOutcome[]> => {
      try {
        const answers = await send.send(batch, connection, ctx.http);
        if (answers.length === batch.length) return answers;
        throw new Error(`${provider.id} gave ${answers.length} outcomes for ${batch.length} messages`);
      } catch (error) {
        ctx.log.error("a provider's adapter failed", { provider: provider.id, connection: connection.id, error });
        return batch.map(() => ({
          outcome: "unknown",
          code: "adapter_error",
          detail: "The adapter failed during the request to the provider.",
        }));
      }
    }),
  );
  // What providers say is stored and shown: without the secrets they like to quote, and without characters that cannot be stored, for
  // which the whole batch would be left in doubt.
  const clean = (outcome: SendOutcome): SendOutcome =>
    Object.fromEntries(
      Object.entries(outcome).map(([field, value]) => [
        field,
        typeof value === "string" ? scrub(value, provider, connection.credentials) : value,
      ]),
    ) as SendOutcome;
  for (const [i, outcome] of outcomes.flat().entries()) byId.set(messages[i]!.id, clean(outcome));
  const flat = claimed.map((m) => byId.get(m.id)!);
  ctx.metrics.observe("overture_provider_call_seconds", "Time of a send call", (performance.now() - started) / 1000, {
    provider: provider.id,
  });
  for (const kind of new Set(flat.map((o) => o.outcome))) {
    ctx.metrics.count(
      "overture_sends_total",
      "Messages by outcome",
      { provider: provider.id, outcome: kind },
      flat.filter((o) => o.outcome === kind).length,
    );
  }
  return flat;
}

/** Writing what is known may be tried again, unlike the call: a settlement names its attempt and changes a message once. */
async function settleSurely(
  ctx: ManualCtx,
  bucket: string,
  claimed: Claimed[],
  outcomes: SendOutcome[],
): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await ctx.tx((tx) => settle(tx, bucket, claimed, outcomes));
    } catch (error) {
      if (tries === SETTLE_TRIES) throw error;
      ctx.log.warn("outcomes of sends could not be saved; they will be tried again", {
        messages: claimed.length,
        error,
      });
      await new Promise((resolve) => setTimeout(resolve, 250 * 2 ** tries));
    }
  }
}

async function settle(ctx: Ctx, bucket: string, claimed: Claimed[], outcomes: SendOutcome[]): Promise<void> {
  const rows = claimed.map((m, i) => ({ id: m.id, attempt: m.attempts, ...outcomes[i]! }));
  await ctx.db`select private.settle_messages(${ctx.db.json(rows)})`;
  // The provider's own Retry-After outranks our arithmetic, for every worker at once.
  const block = Math.max(0, ...outcomes.map((o) => (o.outcome === "retry" && o.after_seconds ? o.after_seconds : 0)));
  if (block > 0) await ctx.db`select kernel.block_bucket(${bucket}, ${Math.min(block, 3600)})`;
}

/** Waits, but not past a shutdown. */
const pause = (seconds: number, signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, seconds * 1000);
    signal.addEventListener("abort", end);
  });
