import { z } from "zod";
import type { EmailInbound } from "../../../channels/email/content.ts";
import { AppError } from "../../../kernel/errors.ts";
import type { InboundMessage, ProviderEvent } from "../../../kernel/provider.ts";
import { isoDate, jsonBody, shaped } from "../../answers.ts";
import { htmlToText } from "../html-text.ts";
import { headerMap, MESSAGE_ID_KEY } from "../shared.ts";

/** Postmark's webhook payloads (https://postmarkapp.com/developer/webhooks/webhooks-overview) in our vocabulary. */

const Common = z.object({
  MessageID: z.string().nullish(),
  Metadata: z.record(z.string(), z.string()).nullish(),
  Recipient: z.string().nullish(),
});
const Delivery = Common.extend({ DeliveredAt: z.string() });
const Bounce = Common.extend({
  ID: z.number(),
  Type: z.string(),
  Email: z.string(),
  BouncedAt: z.string(),
  Description: z.string().nullish(),
  Details: z.string().nullish(),
  Inactive: z.boolean().nullish(),
});
const Open = Common.extend({
  ReceivedAt: z.string(),
  UserAgent: z.string().nullish(),
  Geo: z.object({ IP: z.string().nullish() }).nullish(),
});
const Click = Open.extend({ OriginalLink: z.string() });
const Subscription = Common.extend({
  ChangedAt: z.string(),
  Origin: z.string(),
  SuppressSending: z.boolean(),
  SuppressionReason: z.string().nullish(),
});
const Mailbox = z.object({ Email: z.string(), Name: z.string().nullish() });
const Inbound = z.object({
  MessageID: z.string().min(1),
  FromFull: Mailbox,
  ToFull: z.array(Mailbox),
  OriginalRecipient: z.string().nullish(),
  Subject: z.string().nullish(),
  Date: z.string().nullish(),
  TextBody: z.string().nullish(),
  HtmlBody: z.string().nullish(),
  StrippedTextReply: z.string().nullish(),
  Headers: z.array(z.object({ Name: z.string(), Value: z.string() })).default([]),
  Attachments: z.array(z.object({ ContentType: z.string().nullish(), Content: z.string().nullish() })).nullish(),
});

/** Parts of delivery reports; Postmark hands them on as attachments. */
const REPORT_PART = /^(?:message\/(?:global-)?delivery-status|message\/rfc822|message\/global|text\/rfc822-headers)\b/i;
/** Base64 characters that are read of one: what is asked of it stands at its beginning. */
const PART_START = 80_000;

function reportParts(attachments: z.infer<typeof Inbound>["Attachments"]): string[] {
  return (attachments ?? []).flatMap(({ ContentType, Content }) => {
    if (!REPORT_PART.test(ContentType ?? "")) return [];
    const start = (Content ?? "").slice(0, PART_START);
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(start)) return [];
    const bytes = Uint8Array.from(atob(start.slice(0, start.length - (start.length % 4))), (c) => c.charCodeAt(0));
    return [new TextDecoder().decode(bytes)];
  });
}

/**
 * Bounce types, https://postmarkapp.com/developer/api/bounce-api#bounce-types, all of them. Only a mailbox that is not there condemns the
 * address: what a server refuses for its content, its sender or a policy may arrive tomorrow, and nobody complained about it.
 */
export const BOUNCE_TYPES = {
  HardBounce: "permanent",
  BadEmailAddress: "permanent",
  // Delivered, then taken for spam or bulk mail, or its content was refused: by a filter, not by the person.
  SpamNotification: "block",
  Blocked: "block",
  DMARCPolicy: "block",
  VirusNotification: "block",
  // The team's own decision at Postmark: the message did not leave, the mailbox may well be there.
  ManuallyDeactivated: "block",
  SoftBounce: "transient",
  Unknown: "transient",
  Transient: "deferred",
  DnsError: "deferred",
  SpamComplaint: "complained",
  Unsubscribe: "unsubscribed",
  SMTPApiError: "failed",
  TemplateRenderingFailed: "failed",
  // A mailbox that answered by itself did receive the mail.
  AutoResponder: "ignore",
  AddressChange: "ignore",
  ChallengeVerification: "ignore",
  OpenRelayTest: "ignore",
  Subscribe: "ignore",
  InboundError: "ignore",
  Unconfirmed: "ignore",
} as const;

const parse = <T>(schema: z.ZodType<T>, value: unknown, what: string): T => shaped(schema, value, `Postmark ${what}`);

function base(
  type: string,
  data: z.infer<typeof Common>,
  recipient: string | null | undefined,
  when: string,
  key = "",
) {
  const at = isoDate(when);
  if (!at) throw new AppError("invalid", `Not a Postmark ${type} webhook: ${JSON.stringify(when)} is not a date.`);
  return {
    event_id: [type, data.MessageID ?? "", recipient ?? "", when, key].join(":"),
    provider_message_id: data.MessageID || null,
    message_id: data.Metadata?.[MESSAGE_ID_KEY] ?? null,
    recipient: recipient || null,
    at,
  };
}

function parseBounce(body: unknown): ProviderEvent[] {
  const data = parse(Bounce, body, "bounce");
  const event = { ...base("Bounce", data, data.Email, data.BouncedAt), event_id: `Bounce:${data.ID}` };
  const detail = data.Details || data.Description || data.Type;
  const known = Object.hasOwn(BOUNCE_TYPES, data.Type) ? BOUNCE_TYPES[data.Type as keyof typeof BOUNCE_TYPES] : null;
  const meaning = known ?? (data.Inactive ? "permanent" : "transient");
  switch (meaning) {
    case "ignore":
      return [];
    case "deferred":
    case "complained":
    case "unsubscribed":
      return [{ ...event, kind: meaning }];
    case "failed":
      return [{ ...event, kind: "failed", bounce: "block", detail }];
    default:
      return [{ ...event, kind: "bounced", bounce: meaning, detail }];
  }
}

function parseInbound(body: unknown): ProviderEvent[] {
  const mail = parse(Inbound, body, "inbound mail");
  const headers = headerMap(mail.Headers.map((h) => [h.Name, h.Value] as const));
  const to = mail.ToFull.map((t) => t.Email);
  if (mail.OriginalRecipient && !to.includes(mail.OriginalRecipient)) to.push(mail.OriginalRecipient);
  const message: InboundMessage<EmailInbound> = {
    provider_inbound_id: mail.MessageID,
    from: { address: mail.FromFull.Email, name: mail.FromFull.Name || null },
    to,
    text: mail.TextBody || (mail.HtmlBody ? htmlToText(mail.HtmlBody) : (mail.StrippedTextReply ?? "")),
    details: {
      subject: mail.Subject ?? "",
      html: mail.HtmlBody || null,
      headers,
      rfc_message_id: headers["message-id"] ?? null,
      parts: reportParts(mail.Attachments),
    },
  };
  // Senders do write unreadable dates; the moment of arrival is the better truth then.
  const at = isoDate(mail.Date ?? "") ?? new Date().toISOString();
  return [{ kind: "inbound", event_id: `inbound:${mail.MessageID}`, at, message }];
}

export function parsePostmarkEvent(bytes: Uint8Array): ProviderEvent[] {
  const body = jsonBody(bytes);
  const type = parse(z.object({ RecordType: z.string().optional() }), body, "webhook");
  // Inbound mail is the one payload without a RecordType.
  if (type.RecordType === undefined || type.RecordType === "Inbound") return parseInbound(body);
  switch (type.RecordType) {
    case "Delivery": {
      const data = parse(Delivery, body, "delivery");
      return [{ ...base("Delivery", data, data.Recipient, data.DeliveredAt), kind: "delivered" }];
    }
    case "Bounce":
      return parseBounce(body);
    case "SpamComplaint": {
      const data = parse(Bounce, body, "spam complaint");
      return [
        {
          ...base("SpamComplaint", data, data.Email, data.BouncedAt),
          event_id: `SpamComplaint:${data.ID}`,
          kind: "complained",
        },
      ];
    }
    case "Open":
    case "Click": {
      const data = parse(type.RecordType === "Click" ? Click : Open, body, type.RecordType.toLowerCase());
      const url = "OriginalLink" in data ? String(data.OriginalLink) : undefined;
      return [
        {
          ...base(type.RecordType, data, data.Recipient, data.ReceivedAt, url),
          kind: type.RecordType === "Click" ? "clicked" : "opened",
          ...(url ? { url } : {}),
          ...(data.UserAgent ? { user_agent: data.UserAgent } : {}),
          ...(data.Geo?.IP ? { ip: data.Geo.IP } : {}),
        },
      ];
    }
    case "SubscriptionChange": {
      const data = parse(Subscription, body, "subscription change");
      // It also reports bounces and complaints (which have their own events), reactivations, and what our side did.
      const byRecipient =
        data.Origin === "Recipient" && data.SuppressSending && data.SuppressionReason === "ManualSuppression";
      return byRecipient
        ? [{ ...base("SubscriptionChange", data, data.Recipient, data.ChangedAt), kind: "unsubscribed" }]
        : [];
    }
    default:
      return [];
  }
}
