import { z } from "zod";
import type { SmsInbound } from "../../../channels/sms/content.ts";
import { AppError } from "../../../kernel/errors.ts";
import type { DeliveryContext, InboundMessage, ProviderEvent, RefusedRecipient } from "../../../kernel/provider.ts";
import * as answers from "../../answers.ts";
import { MESSAGE_ID_PARAM } from "./signature.ts";

/** Status callbacks and incoming messages, both forms: https://www.twilio.com/docs/messaging/guides/webhook-request. */

const Status = z.object({
  MessageSid: z.string().min(1).max(64),
  MessageStatus: z.string().min(1),
  To: z.string().min(1),
  ErrorCode: z.string().optional(),
  ErrorMessage: z.string().optional(),
});

const Incoming = z.object({
  MessageSid: z.string().min(1).max(64),
  From: z.string().min(1),
  To: z.string().min(1),
  Body: z.string().default(""),
  NumSegments: z.string().optional(),
  NumMedia: z.coerce.number().int().min(0).max(10).catch(0),
  OptOutType: z.string().optional(),
});

type Failure = { kind: "bounced" | "failed"; bounce: "permanent" | "transient" | "block" };

/** The number will never take a text: unknown (30005), a landline (30006, 21614), not a number (21211). */
const DEAD = new Set(["21211", "21614", "30005", "30006"]);
/** The phone was off or out of reach (30003): about this number, and may work later. */
const UNREACHABLE = new Set(["30003"]);
/** Nobody's fault that lasts: the queue was full (30001), the carrier gave no reason (30008), a part was lost (30009), too late (30036). */
const PASSING = new Set(["30001", "30008", "30009", "30036"]);
/** The person answered STOP to this sender earlier. */
const OPTED_OUT = "21610";

/** What an error code says about the number. All others (30004, 30007, 30034, 63xxx …) are policy: filters, registration, the account. */
export function failureOf(code: string): Failure {
  if (DEAD.has(code)) return { kind: "bounced", bounce: "permanent" };
  if (UNREACHABLE.has(code)) return { kind: "bounced", bounce: "transient" };
  if (PASSING.has(code) || code === "") return { kind: "failed", bounce: "transient" };
  return { kind: "failed", bounce: "block" };
}

/** What the error code of a refused send says about the recipient; undefined where the reason is something else. */
export function recipientOf(code: string): RefusedRecipient | undefined {
  if (code === OPTED_OUT) return "opted_out";
  return failureOf(code).bounce === "permanent" ? "gone" : undefined;
}

/** Pure: a form body to events. Throws `invalid` when it is none of Twilio's. */
export function parseTwilioEvent(body: Uint8Array, context: DeliveryContext): ProviderEvent[] {
  const form = Object.fromEntries(new URLSearchParams(answers.textBody(body)));
  const at = context.at && answers.isoDate(context.at);
  if (form.MessageStatus !== undefined) {
    const status = answers.shaped(Status, form, "Twilio status callback");
    return statusEvents(status, requireTime(at), context[MESSAGE_ID_PARAM] ?? null);
  }
  const incoming = answers.shaped(Incoming, form, "Twilio webhook");
  const message: InboundMessage<SmsInbound> = {
    provider_inbound_id: incoming.MessageSid,
    from: { address: incoming.From, name: null },
    to: [incoming.To],
    text: withMedia(incoming.Body, incoming.NumMedia, form),
    details: { opt_out: optOut(incoming.OptOutType), segments: Number(incoming.NumSegments) || null },
  };
  return [{ kind: "inbound", event_id: `inbound:${incoming.MessageSid}`, at: requireTime(at), message }];
}

function requireTime(at: string | null | undefined): string {
  if (at) return at;
  throw new AppError("invalid", "The webhook delivery was stored without the time of its arrival.");
}

function statusEvents(status: z.output<typeof Status>, at: string, messageId: string | null): ProviderEvent[] {
  const { MessageSid, MessageStatus, To, ErrorCode = "", ErrorMessage = "" } = status;
  const base = (kind: string) => ({
    event_id: `${kind}:${MessageSid}`,
    provider_message_id: MessageSid,
    message_id: messageId,
    recipient: To,
    at,
  });
  const detail =
    [ErrorCode && `Twilio error ${ErrorCode}`, ErrorMessage].filter(Boolean).join(": ") || `Twilio: ${MessageStatus}.`;
  switch (MessageStatus) {
    // Each proves that Twilio has the message, which settles a send whose answer was lost.
    case "accepted":
    case "queued":
    case "sending":
    case "sent":
      return [{ ...base("sent"), kind: "sent" }];
    case "delivered":
      return [{ ...base("delivered"), kind: "delivered" }];
    // RCS only; text messages have no receipts for reading.
    case "read":
      return [{ ...base("opened"), kind: "opened" }];
    case "undelivered":
    case "failed": {
      const failure = failureOf(ErrorCode);
      const failed = { ...base(failure.kind), ...failure, detail };
      return ErrorCode === OPTED_OUT ? [failed, { ...base("unsubscribed"), kind: "unsubscribed" }] : [failed];
    }
    case "canceled":
      return [{ ...base("failed"), kind: "failed", bounce: "block", detail: "The message was canceled at Twilio." }];
    default:
      return [];
  }
}

/** Advanced Opt-Out names what Twilio did with the message. */
function optOut(type: string | undefined): SmsInbound["opt_out"] {
  const word = type?.toLowerCase();
  return word === "stop" || word === "start" || word === "help" ? word : null;
}

/** Pictures are kept as links, so that an answer without words is not an empty one. */
function withMedia(text: string, count: number, form: Record<string, string>): string {
  const links = Array.from({ length: count }, (_, i) => form[`MediaUrl${i}`]).filter((url) => url !== undefined);
  return [...(text ? [text] : []), ...links.map((url) => `Attachment: ${url}`)].join("\n");
}
