import type {
  CompleteInput,
  EmailDetails,
  PreparedMessage,
  PrepareInput,
  StoredMessage,
} from "../../kernel/channel.ts";
import type { EmailContent } from "./content.ts";
import type { EmailDraft } from "./template.ts";
import { baseOfStored, storedLink, withTokens } from "./tokens.ts";

/** Turns a written mail into what is sent: document, tracked links, pixel, unsubscribe line and headers. */

/** RFC 8058 headers; both are needed for one-click, and the mailbox providers want them on every bulk mail. */
const unsubscribeHeaders = (url: string): Record<string, string> => ({
  "List-Unsubscribe": `<${url}>`,
  "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
});

export async function prepare(input: PrepareInput<EmailDraft>): Promise<PreparedMessage> {
  const { services, messageId, from, rendered, options } = input;
  const base = services.config.publicUrl;
  const unsubscribe = storedLink(base, "unsubscribe", 0);
  const links: { number: number; url: string }[] = [];

  let { html } = rendered.draft;
  if (options.track_clicks === true) {
    const targets = [...new Set([...html.matchAll(/<a\s+href="(https?:\/\/[^"]+)"/g)].map((m) => m[1]!))];
    const tracked = new Map<string, string>();
    for (const target of targets) {
      const number = links.length + 1;
      links.push({ number, url: unescapeAttribute(target) });
      tracked.set(target, storedLink(base, "click", number));
    }
    html = html.replace(/<a\s+href="(https?:\/\/[^"]+)"/g, (_, target: string) => `<a href="${tracked.get(target)}"`);
  }

  const pixel =
    options.track_opens === true
      ? `<img src="${storedLink(base, "open", 0)}" width="1" height="1" alt="" style="display:block;border:0">`
      : "";
  const footer = `<p style="margin-top:24px;font-size:12px;color:#6b7280">If you would rather not hear from me, <a href="${unsubscribe}" style="color:#6b7280">unsubscribe here</a>.</p>`;
  const replyTo = from.profile.reply_to;
  return {
    subject: rendered.subject,
    text: `${rendered.text.trimEnd()}\n\n--\nIf you would rather not hear from me, unsubscribe here: ${unsubscribe}\n`,
    content: {},
    email: {
      rfc_message_id: `<${messageId}@${from.address.slice(from.address.lastIndexOf("@") + 1)}>`,
      in_reply_to: rendered.draft.in_reply_to,
      reply_to: typeof replyTo === "string" && replyTo !== "" ? replyTo : null,
      headers: { ...unsubscribeHeaders(unsubscribe), ...rendered.draft.headers },
      html: `<!doctype html><html><body style="font-family:system-ui,-apple-system,'Segoe UI',sans-serif;font-size:15px;line-height:1.5;color:#111827">${html}${footer}${pixel}</body></html>`,
    },
    links,
  };
}

/** Puts the recipient's tokens into the stored links, which have the base URL that the installation had when the message was prepared. */
export async function complete(stored: StoredMessage, input: CompleteInput): Promise<StoredMessage> {
  const { email } = stored;
  const base = baseOfStored(email?.headers["List-Unsubscribe"] ?? "");
  if (!email || base === null) return stored;
  const { services, ...message } = input;
  const names = Object.keys(email.headers);
  const [text, html, ...values] = await withTokens(services.vault, base, message, [
    stored.text,
    email.html ?? "",
    ...names.map((name) => email.headers[name]!),
  ]);
  return {
    ...stored,
    text: text!,
    email: {
      ...email,
      headers: Object.fromEntries(names.map((name, i) => [name, values[i]!])),
      html: email.html === null ? null : html!,
    },
  };
}

/** What e-mail providers take. Throws when the ledger's row lacks its details: such a message was never prepared. */
export function content({ subject, text, email }: StoredMessage): EmailContent {
  if (!email?.rfc_message_id) throw new Error("A stored email has no details.");
  const { rfc_message_id, reply_to, headers, html }: EmailDetails = email;
  return { subject, text, html: html ?? "", reply_to, message_id: rfc_message_id!, headers };
}

const unescapeAttribute = (text: string): string =>
  text
    .replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&amp;", "&");
