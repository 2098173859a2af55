import type { PreparedMessage } from "./channel.ts";

/** A message that is about to be written to the ledger. */
export type PlannedMessage = {
  id: string;
  channel: string;
  contact_id: string;
  campaign_id: string | null;
  enrollment_id: string | null;
  step_id: string | null;
  sender_id: string;
  prepared: PreparedMessage;
};

/**
 * Decides which of these messages wait for a person's yes, in the transaction that writes them and before they are written. Returns the
 * ids of those that wait. `X` is the context: kept open here, so that the context itself can list the holds.
 */
export type MessageHold<X> = (ctx: X, messages: readonly PlannedMessage[]) => Promise<ReadonlySet<string>>;
