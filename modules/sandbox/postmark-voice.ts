import type { Hooks } from "./hooks.ts";
import { hash } from "./personas.ts";
import type { Account } from "./store.ts";
import type { Voice } from "./world.ts";

/** Postmark's webhooks: one JSON object per POST, protected by Basic auth only; inbound mail goes to InboundHookUrl. */

const basic = (username: string, password: string) => `Basic ${btoa(`${username}:${password}`)}`;

export function postmarkVoice(hooks: () => Hooks): Voice {
  function tell(account: Account, stream: string | null, type: string, payload: Record<string, unknown>, id: string) {
    const body = JSON.stringify({ RecordType: type, ServerID: 1, ...payload });
    for (const hook of account.hooks) {
      if (!hook.events.includes(type) || hook.stream !== stream) continue;
      const { auth } = hook;
      const extra = Object.fromEntries(
        ((hook.extra.headers ?? []) as { Name: string; Value: string }[]).map((h) => [h.Name, h.Value]),
      );
      const headers = { ...extra, ...(auth ? { authorization: basic(auth.username, auth.password) } : {}) };
      hooks().send({
        account: account.id,
        id: `${hook.id}|${id}`,
        url: hook.url,
        body,
        stopOn403: true,
        headers: async () => headers,
      });
    }
  }

  return {
    event(message, kind, recipient, account) {
      const id = `${message.id}|${kind}|${recipient}`;
      const at = new Date().toISOString();
      const common = { MessageID: message.id, MessageStream: message.stream, Tag: "", Metadata: message.tags };
      const bounce = (Type: string, TypeCode: number, Name: string, Details: string, Inactive: boolean) => ({
        ...common,
        ID: hash(id),
        Type,
        TypeCode,
        Name,
        Description: Name,
        Details,
        Email: recipient,
        From: message.from.email,
        BouncedAt: at,
        DumpAvailable: false,
        Inactive,
        CanActivate: Type !== "SpamComplaint",
        Subject: message.subject,
      });
      const send = (type: string, payload: Record<string, unknown>) =>
        tell(account, message.stream, type, payload, `${id}|${type}`);
      const change = (reason: string) =>
        send("SubscriptionChange", {
          ...common,
          Recipient: recipient,
          ChangedAt: at,
          Origin: "Recipient",
          SuppressSending: true,
          SuppressionReason: reason,
        });
      switch (kind) {
        case "delivered":
          return send("Delivery", { ...common, Recipient: recipient, DeliveredAt: at, Details: "smtp;250 2.0.0 OK" });
        case "bounced":
          send(
            "Bounce",
            bounce("HardBounce", 1, "Hard bounce", "smtp;550 5.1.1 The email account does not exist", true),
          );
          return change("HardBounce");
        case "softbounced":
          return send("Bounce", bounce("SoftBounce", 4096, "Soft bounce", "smtp;452 4.2.2 The mailbox is full", false));
        case "complained":
          send(
            "SpamComplaint",
            bounce("SpamComplaint", 100001, "Spam complaint", "The recipient marked it as spam.", true),
          );
          return change("SpamComplaint");
        case "opened":
          return send("Open", {
            ...common,
            FirstOpen: true,
            Recipient: recipient,
            ReceivedAt: at,
            UserAgent: "Mozilla/5.0",
            Platform: "Desktop",
            ReadSeconds: 5,
            Client: { Name: "Chrome", Company: "Google", Family: "Chrome" },
            OS: { Name: "OS X", Company: "Apple", Family: "OS X" },
            Geo: { IP: "192.0.2.1" },
          });
        case "suppressed":
          // Postmark refuses inactive recipients at the door (406), so this never follows an accepted message.
          return;
      }
    },
    inbound(mail, account) {
      const target = account.server.InboundHookUrl;
      if (typeof target !== "string" || target === "") return;
      const full = (email: string, name = "") => ({
        Email: email,
        Name: name,
        MailboxHash: /\+([^@]+)@/.exec(email)?.[1] ?? "",
      });
      const body = JSON.stringify({
        FromName: mail.from.name,
        MessageStream: "inbound",
        From: mail.from.email,
        FromFull: full(mail.from.email, mail.from.name),
        To: mail.to.join(", "),
        ToFull: mail.to.map((to) => full(to)),
        Cc: "",
        CcFull: [],
        Bcc: "",
        BccFull: [],
        OriginalRecipient: mail.to[0] ?? "",
        Subject: mail.subject,
        MessageID: mail.id,
        ReplyTo: "",
        MailboxHash: full(mail.to[0] ?? "").MailboxHash,
        Date: mail.received_at,
        TextBody: mail.text,
        HtmlBody: mail.html ?? "",
        StrippedTextReply: mail.text.split(/\nOn .* wrote:\n/)[0]!.trim(),
        Tag: "",
        Headers: mail.headers.map(([Name, Value]) => ({ Name, Value })),
        Attachments: [],
      });
      hooks().send({
        account: account.id,
        id: `inbound|${mail.id}`,
        url: target,
        body,
        stopOn403: true,
        headers: async () => ({}),
      });
    },
  };
}
