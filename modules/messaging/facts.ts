import { z } from "zod";
import { defineFact } from "../kernel/queues/fact.ts";

/** What the ledger tells the other modules: one item per message. */

const about = {
  message_id: z.uuid(),
  enrollment_id: z.uuid().nullable(),
  step_run_id: z.uuid().nullable(),
  contact_id: z.uuid().nullable(),
  campaign_id: z.uuid().nullable(),
  channel: z.string(),
  /** The other side's address. */
  address: z.string(),
  /** The moment it happened, as Postgres prints it. */
  at: z.string(),
};
const settled = z.object({
  ...about,
  code: z.string().nullable(),
});
const reported = z.object({
  ...about,
  /** Of a bounce or failure: permanent, transient or block. */
  bounce: z.string().nullable(),
  url: z.string().nullable(),
});

/** The provider accepted it. */
export const messageSent = defineFact({ name: "message.sent", payload: settled });
/** The provider will never accept it. */
export const messageFailed = defineFact({ name: "message.failed", payload: settled });
/** A guard or a person stopped it before it left; `code` is the reason. */
export const messageCancelled = defineFact({ name: "message.cancelled", payload: settled });

export const messageDelivered = defineFact({ name: "message.delivered", payload: reported });
export const messageOpened = defineFact({ name: "message.opened", payload: reported });
export const messageClicked = defineFact({ name: "message.clicked", payload: reported });
export const messageBounced = defineFact({ name: "message.bounced", payload: reported });
/** Accepted by the provider, then reported as failed. */
export const messageUndelivered = defineFact({ name: "message.undelivered", payload: reported });
export const messageComplained = defineFact({ name: "message.complained", payload: reported });
export const messageUnsubscribed = defineFact({ name: "message.unsubscribed", payload: reported });

/** A message came in. */
export const messageReceived = defineFact({
  name: "message.received",
  payload: z.object({
    message_id: z.uuid(),
    kind: z.enum(["reply", "auto_reply", "delivery_report", "opt_out", "opt_in", "help"]),
    /** A person wrote it, in more than a keyword: what sequences end at. Also an opt-out in words. */
    is_answer: z.boolean(),
    /** Our message that it answers. */
    answers: z.uuid().nullable(),
    /** It names that message. Otherwise it was found by the addresses, and the answer may be meant for another of ours from there. */
    by_reference: z.boolean(),
    /** Where it was sent to. */
    our_address: z.string(),
    enrollment_id: z.uuid().nullable(),
    contact_id: z.uuid().nullable(),
    campaign_id: z.uuid().nullable(),
    channel: z.string(),
    address: z.string(),
    at: z.string(),
    /** The first 2,000 characters. */
    text: z.string(),
  }),
});

export const messageFacts = [
  messageSent,
  messageFailed,
  messageCancelled,
  messageDelivered,
  messageOpened,
  messageClicked,
  messageBounced,
  messageUndelivered,
  messageComplained,
  messageUnsubscribed,
  messageReceived,
] as const;
