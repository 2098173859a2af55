import { createHash } from "node:crypto";
import { signWebhook } from "../kernel/secrets/signatures.ts";
import type { Hooks } from "./hooks.ts";
import { format } from "./resend-mail.ts";
import type { Account } from "./store.ts";
import type { EventKind, Voice } from "./world.ts";

const TYPES: Record<EventKind, string> = {
  delivered: "email.delivered",
  bounced: "email.bounced",
  softbounced: "email.bounced",
  complained: "email.complained",
  opened: "email.opened",
  suppressed: "email.suppressed",
};

/** Resend's webhooks: one event per POST, signed as Svix does. */
export function resendVoice(hooks: () => Hooks): Voice {
  function tell(account: Account, type: string, data: Record<string, unknown>, id: string) {
    const body = JSON.stringify({ type, created_at: new Date().toISOString(), data });
    for (const hook of account.hooks) {
      if (!hook.enabled || !hook.events.includes(type)) continue;
      const svixId = `msg_${createHash("sha256").update(`${hook.id}|${id}`).digest("base64url").slice(0, 27)}`;
      hooks().send({
        account: account.id,
        id: svixId,
        url: hook.url,
        body,
        stopOn403: false,
        headers: async () => {
          const timestamp = Math.floor(Date.now() / 1000);
          const signature = await signWebhook(hook.secret, svixId, timestamp, new TextEncoder().encode(body));
          return { "svix-id": svixId, "svix-timestamp": String(timestamp), "svix-signature": signature };
        },
      });
    }
  }
  return {
    event(message, kind, recipient, account) {
      const data: Record<string, unknown> = {
        email_id: message.id,
        message_id: message.rfc_message_id,
        created_at: message.accepted_at,
        from: format(message.from),
        to: [recipient],
        subject: message.subject,
        tags: message.tags,
      };
      if (kind === "bounced") {
        data.bounce = {
          type: "Permanent",
          subType: "NoEmail",
          message: "550 5.1.1 The email account does not exist.",
          diagnosticCode: ["smtp; 550 5.1.1 user unknown"],
        };
      }
      if (kind === "softbounced") {
        data.bounce = {
          type: "Transient",
          subType: "MailboxFull",
          message: "452 4.2.2 The mailbox is full.",
          diagnosticCode: ["smtp; 452 4.2.2 mailbox full"],
        };
      }
      if (kind === "suppressed") {
        data.suppressed = {
          type: "OnAccountSuppressionList",
          reason: "previous_bounce",
          message: "The address is on the suppression list.",
          diagnosticCode: [],
        };
      }
      tell(account, TYPES[kind], data, `${message.id}|${kind}|${recipient}`);
    },
    inbound(mail, account) {
      const data = {
        email_id: mail.id,
        created_at: mail.received_at,
        from: format(mail.from),
        to: mail.to,
        bcc: [],
        cc: [],
        received_for: mail.to,
        message_id: mail.rfc_message_id,
        subject: mail.subject,
        attachments: [],
      };
      tell(account, "email.received", data, mail.id);
    },
  };
}
