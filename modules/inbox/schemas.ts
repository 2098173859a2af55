import { z } from "zod";
import { THREAD_STATUS } from "../messaging/threads.ts";

/** What providers and recipients report about a message. */
export const EVENT_KINDS = [
  "sent",
  "delivered",
  "deferred",
  "opened",
  "clicked",
  "replied",
  "auto_replied",
  "bounced",
  "complained",
  "unsubscribed",
  "failed",
] as const;
/** What came of one call to a provider; null while it is open. */
export const ATTEMPT_OUTCOMES = ["sent", "rejected", "retry", "unknown", "broken"] as const;
export const MESSAGE_STATUS = [
  "queued",
  "held",
  "sending",
  "sent",
  "failed",
  "unknown",
  "cancelled",
  "received",
] as const;

const at = z.iso.datetime().nullable();

export const MessageSchema = z
  .object({
    id: z.uuid(),
    direction: z.enum(["out", "in"]),
    channel: z.string(),
    status: z.enum(MESSAGE_STATUS),
    contact: z.object({ id: z.uuid(), full_name: z.string(), email: z.string().nullable() }).nullable(),
    campaign: z.object({ id: z.uuid(), name: z.string() }).nullable(),
    enrollment_id: z.uuid().nullable(),
    step_id: z.uuid().nullable(),
    action: z.string().describe("The action on the channel, such as `email.send`."),
    approval: z.enum(["not_required", "pending", "approved", "rejected"]),
    thread_id: z.uuid(),
    from_address: z.string(),
    from_name: z.string(),
    to_address: z.string(),
    subject: z.string(),
    snippet: z.string().describe("The first 200 characters of the text."),
    is_auto_reply: z.boolean(),
    opt_out: z
      .enum(["asked", "yes", "no"])
      .nullable()
      .describe(
        "Of a received message: `yes` if its words are an opt-out, `asked` if they may be one and a member has to decide, `no` if a member decided that they are not.",
      ),
    attempts: z.number().int(),
    provider_message_id: z.string().nullable(),
    error: z.string().nullable(),
    error_code: z
      .string()
      .nullable()
      .describe("Why the message failed, is held or was cancelled: a code of the catalogue's list `reason`."),
    due_at: at,
    sent_at: at,
    delivered_at: at,
    opened_at: at,
    clicked_at: at,
    replied_at: at,
    bounced_at: at,
    unsubscribed_at: at,
    created_at: z.iso.datetime(),
  })
  .meta({ id: "Message" });

export const MessageDetailSchema = MessageSchema.extend({
  body_text: z.string(),
  body_html: z
    .string()
    .nullable()
    .describe("Only for outgoing messages. The HTML of received mail is never given out: show body_text."),
  email: z
    .object({ rfc_message_id: z.string().nullable(), headers: z.record(z.string(), z.unknown()) })
    .nullable()
    .describe("Fields that only email has; null on other channels."),
  content: z.record(z.string(), z.unknown()).describe("Fields that only the message's channel has."),
  attempt_log: z.array(
    z.object({
      number: z.number().int(),
      started_at: z.iso.datetime(),
      finished_at: at,
      outcome: z.string().nullable(),
      code: z.string().nullable(),
      detail: z.string().nullable(),
    }),
  ),
  events: z.array(
    z.object({
      id: z.uuid(),
      kind: z.string(),
      at: z.iso.datetime(),
      is_bot: z.boolean(),
      detail: z.record(z.string(), z.unknown()),
    }),
  ),
}).meta({ id: "MessageDetail" });

/** A message as a conversation shows it: with its whole text. */
export const ThreadMessageSchema = MessageSchema.extend({
  body_text: z.string().describe("Of a reply, what the person wrote, without the quoted history."),
  full_text: z
    .string()
    .nullable()
    .describe("The text as received, with history and signature; null if `body_text` is all of it."),
}).meta({ id: "ThreadMessage" });

export const ThreadSchema = z
  .object({
    id: z.uuid(),
    channel: z.string(),
    status: z.enum(THREAD_STATUS),
    address: z.string().describe("The contact's address."),
    subject: z.string(),
    snippet: z.string(),
    contact: MessageSchema.shape.contact,
    campaign: MessageSchema.shape.campaign,
    last_message_at: z.iso.datetime(),
    last_received_at: z.iso.datetime().nullable(),
    is_auto_reply: z.boolean().describe("Whether the newest received message is an automatic reply."),
    asks_opt_out: z.boolean().describe("Whether a reply may be an opt-out and waits for a member's decision."),
    messages: z.number().int(),
  })
  .meta({ id: "Thread", description: "A thread in which a contact replied." });

export const ThreadDetailSchema = ThreadSchema.pick({
  id: true,
  channel: true,
  subject: true,
  contact: true,
  campaign: true,
})
  .extend({
    status: z.enum(THREAD_STATUS).nullable().describe("Null until the contact replies."),
    assignee_id: z.uuid().nullable().describe("The member to whom the thread is assigned."),
  })
  .meta({ id: "ThreadDetail" });
