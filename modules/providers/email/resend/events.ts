import { z } from "zod";
import { AppError } from "../../../kernel/errors.ts";
import type { ProviderEvent } from "../../../kernel/provider.ts";
import { isoDate, jsonBody, shaped } from "../../answers.ts";
import { MESSAGE_ID_KEY, parseAddress } from "../shared.ts";

/** Resend's webhook payloads (https://resend.com/docs/webhooks/event-types) in our vocabulary. */

const Hook = z.object({ type: z.string().min(1), created_at: z.string(), data: z.record(z.string(), z.unknown()) });

const Outbound = z.object({
  email_id: z.string().min(1),
  message_id: z.string().optional(),
  to: z.array(z.string()).optional(),
  tags: z.record(z.string(), z.string()).nullish(),
  bounce: z
    .object({
      type: z.string(),
      subType: z.string().optional(),
      message: z.string().optional(),
      diagnosticCode: z.array(z.string()).optional(),
    })
    .optional(),
  click: z.object({ link: z.string(), ipAddress: z.string().optional(), userAgent: z.string().optional() }).optional(),
  failed: z.object({ reason: z.string() }).optional(),
  suppressed: z.object({ type: z.string().optional(), message: z.string().optional() }).optional(),
});

const Contact = z.object({
  id: z.string(),
  email: z.string(),
  unsubscribed: z.boolean(),
  updated_at: z.string().optional(),
});
const Inbound = z.object({ email_id: z.string().min(1) });

const SIMPLE = {
  "email.delivered": "delivered",
  "email.delivery_delayed": "deferred",
  "email.complained": "complained",
  "email.opened": "opened",
} as const;

/**
 * Bounces by type and subtype (https://resend.com/docs/dashboard/emails/email-bounces), all of them; an unknown subtype counts as General.
 * What is refused for its content says nothing about the address, whatever the type.
 */
const BOUNCE_TYPES: Record<string, Record<string, "permanent" | "transient" | "block">> = {
  Permanent: {
    General: "permanent",
    NoEmail: "permanent",
    Suppressed: "permanent",
    OnAccountSuppressionList: "permanent",
    MailboxFull: "transient",
    MessageTooLarge: "block",
    ContentRejected: "block",
    AttachmentRejected: "block",
  },
  Transient: {
    General: "transient",
    MailboxFull: "transient",
    MessageTooLarge: "block",
    ContentRejected: "block",
    AttachmentRejected: "block",
  },
  Undetermined: { General: "transient", Undetermined: "transient" },
};

/** A permanent refusal for a policy (RFC 3463: 5.7.x) is one of the sender or the content, not of the address. */
const POLICY = /(?:^|[^\d.])5\.7\.\d{1,3}(?!\d)/;

function bounceOf({ type, subType = "General", diagnosticCode = [] }: NonNullable<z.infer<typeof Outbound>["bounce"]>) {
  const known = Object.hasOwn(BOUNCE_TYPES, type) ? BOUNCE_TYPES[type]! : BOUNCE_TYPES.Undetermined!;
  const bounce = (Object.hasOwn(known, subType) ? known[subType] : known.General)!;
  const blocked = bounce === "permanent" && subType === "General" && diagnosticCode.some((d) => POLICY.test(d));
  return blocked ? "block" : bounce;
}

export function parseResendEvent(body: Uint8Array): ProviderEvent[] {
  const hook = shaped(Hook, jsonBody(body), "Resend webhook");
  const at = isoDate(hook.created_at);
  if (!at) throw new AppError("invalid", "Not a Resend webhook: created_at is not a date.");

  if (hook.type === "email.received") {
    const { email_id } = shaped(Inbound, hook.data, "Resend received email");
    return [{ kind: "inbound_ref", event_id: `inbound:${email_id}`, at, ref: email_id }];
  }
  if (hook.type === "contact.updated") {
    const contact = shaped(Contact, hook.data, "Resend contact");
    if (!contact.unsubscribed) return [];
    const event_id = `${hook.type}:${contact.id}:${contact.updated_at ?? at}`;
    return [
      { kind: "unsubscribed", event_id, provider_message_id: null, message_id: null, recipient: contact.email, at },
    ];
  }

  const known =
    hook.type in SIMPLE || ["email.clicked", "email.bounced", "email.failed", "email.suppressed"].includes(hook.type);
  if (!known) return [];
  const data = shaped(Outbound, hook.data, `Resend ${hook.type} event`);
  const base = {
    event_id: `${hook.type}:${data.email_id}:${hook.created_at}`,
    provider_message_id: data.email_id,
    message_id: data.tags?.[MESSAGE_ID_KEY] ?? null,
    recipient: data.to?.length === 1 ? parseAddress(data.to[0]!).address : null,
    at,
    // Resend's own Message-ID, which a reply's In-Reply-To names.
    ...(data.message_id ? { rfc_message_id: data.message_id } : {}),
  };

  switch (hook.type) {
    case "email.bounced": {
      const given = data.bounce ?? { type: "Undetermined" };
      const detail = given.message || `${given.type} ${given.subType ?? ""}`.trim();
      return [{ ...base, kind: "bounced", bounce: bounceOf(given), detail }];
    }
    case "email.failed":
      return [{ ...base, kind: "failed", bounce: "block", detail: data.failed?.reason ?? "Resend could not send it." }];
    case "email.suppressed":
      return [
        { ...base, kind: "failed", bounce: "permanent", detail: data.suppressed?.message ?? "Suppressed by Resend." },
      ];
    case "email.clicked":
      return [
        {
          ...base,
          kind: "clicked",
          ...(data.click ? { url: data.click.link } : {}),
          ...(data.click?.userAgent ? { user_agent: data.click.userAgent } : {}),
          ...(data.click?.ipAddress ? { ip: data.click.ipAddress } : {}),
        },
      ];
    default:
      return [{ ...base, kind: SIMPLE[hook.type as keyof typeof SIMPLE] }];
  }
}
