import type { EmailDetails } from "../kernel/channel.ts";
import type { Ctx } from "../kernel/context.ts";
import type { SendOutcome } from "../kernel/provider.ts";
import type { Claimed } from "./call.ts";

/** The ledger's statements about messages on their way to a provider, each for many messages. */

/**
 * Takes due messages of a connection for so many seconds, each with what its channel keeps of it. That is read by a statement of its own:
 * the claim sees messages that were written after the statement around it began, and their details would be missing there.
 */
export async function claim(
  tx: Ctx,
  { size, lease, connectionId }: { size: number; lease: number; connectionId: string },
): Promise<Claimed[]> {
  const claimed = await tx.db<Omit<Claimed, "email">[]>`
    select m.id, m.action, m.attempts, m.from_address, m.from_name, m.to_address, m.subject, m.body_text, m.content
    from private.claim_messages(${size}, ${lease}, ${connectionId}) m`;
  if (claimed.length === 0) return [];
  const details = await tx.db<(EmailDetails & { message_id: string })[]>`
    select d.message_id, d.rfc_message_id, d.in_reply_to, d.reply_to, d.headers, d.html from public.email_details d
    where d.tenant_id = (select kernel.tenant()) and d.message_id = any(${claimed.map((m) => m.id)}::uuid[])`;
  const emails = new Map(details.map(({ message_id, ...email }) => [message_id, email]));
  return claimed.map((m) => ({ ...m, email: emails.get(m.id) ?? null }));
}

/** Writes the attempts of calls that begin once this is committed. The ids of the messages that may be called with. */
export async function handOver(
  tx: Ctx,
  claimed: readonly Claimed[],
  { connectionId, leaseLeft }: { connectionId: string; leaseLeft: number },
): Promise<Set<string>> {
  const rows = await tx.db<{ id: string }[]>`
    select id from private.hand_over(${ids(claimed)}::uuid[], ${claims(claimed)}::int[], ${connectionId}, ${leaseLeft}) id`;
  return new Set(rows.map((r) => r.id));
}

/** Puts messages back on the queue that no call was made with. */
export async function giveBack(tx: Ctx, claimed: readonly Claimed[]): Promise<void> {
  await tx.db`select private.return_messages(${ids(claimed)}::uuid[], ${claims(claimed)}::int[])`;
}

/** Outcomes of calls, by their messages. */
export type Settled = { message: Claimed; outcome: SendOutcome };

/** Writes outcomes. Where the provider said how long to wait, nobody takes a token of `bucket` before that. */
export async function settle(tx: Ctx, bucket: string, settled: readonly Settled[]): Promise<void> {
  const rows = settled.map(({ message, outcome }) => ({ id: message.id, attempt: message.attempts, ...outcome }));
  await tx.db`select private.settle_messages(${tx.db.json(rows)})`;
  const block = pauseOf(settled.map((s) => s.outcome));
  if (block > 0) await tx.db`select kernel.block_bucket(${bucket}, ${Math.min(block, 3600)})`;
}

/** Seconds for which the provider wants no more calls: its own Retry-After outranks our arithmetic. */
export const pauseOf = (outcomes: readonly SendOutcome[]): number =>
  Math.max(0, ...outcomes.map((o) => (o.outcome === "retry" && o.after_seconds ? o.after_seconds : 0)));

/** Whether the values of a statement cannot be stored, so that trying it again will not help. */
export const isUnstorable = (error: unknown): boolean => /^(22|23|54)/.test(String((error as { code?: unknown }).code));

const ids = (claimed: readonly Claimed[]) => claimed.map((m) => m.id);
const claims = (claimed: readonly Claimed[]) => claimed.map((m) => m.attempts);

/** An outcome without what the provider said of it, which can always be stored. */
export function withoutWords(outcome: SendOutcome): SendOutcome {
  const unsaid = { code: "unstorable", detail: "The provider's answer cannot be stored." };
  if (outcome.outcome === "sent") return { outcome: "sent", provider_message_id: "" };
  if (outcome.outcome === "rejected") return { outcome: "rejected", ...unsaid, recipient: outcome.recipient };
  return { outcome: outcome.outcome, ...unsaid };
}
