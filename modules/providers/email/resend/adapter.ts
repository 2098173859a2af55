import { z } from "zod";
import type { EmailContent, EmailInbound } from "../../../channels/email/content.ts";
import { AppError } from "../../../kernel/errors.ts";
import type { HttpClient, HttpResponse } from "../../../kernel/http/client.ts";
import { defineProvider } from "../../../kernel/provider.ts";
import type { Connection, InboundMessage, OutboundMessage, SendOutcome } from "../../../kernel/provider.ts";
import { verifyWebhook } from "../../../kernel/secrets/signatures.ts";
import * as answers from "../../answers.ts";
import { htmlToText } from "../html-text.ts";
import { formatAddress, headerMap, MESSAGE_ID_KEY, parseAddress } from "../shared.ts";
import { parseResendEvent } from "./events.ts";

const BASE = "https://api.resend.com";

const Credentials = z.object({
  api_key: z
    .string()
    .regex(/^re_\S+$/, "A Resend API key starts with re_")
    .meta({
      title: "API key",
      description: "With full access, webhooks and replies are set up for you.",
      secret: true,
      placeholder: "re_…",
    }),
  webhook_secret: z
    .string()
    .regex(/^whsec_\S+$/, "A Resend signing secret starts with whsec_")
    .optional()
    .meta({
      title: "Webhook signing secret",
      description: "Filled in when the webhook is registered. Enter it only if the API key is limited to sending.",
      secret: true,
      placeholder: "whsec_…",
    }),
});
type Credentials = z.infer<typeof Credentials>;

const ErrorBody = z.object({ name: z.string(), message: z.string() });
const Sent = z.object({ id: z.string().min(1) });
const Domains = z.object({ data: z.array(z.object({ name: z.string(), status: z.string() })) });
const Webhooks = z.object({ data: z.array(z.object({ id: z.string(), endpoint: z.string() })) });
const Webhook = z.object({ id: z.string(), signing_secret: z.string() });
const Received = z.object({
  id: z.string(),
  from: z.string(),
  to: z.array(z.string()),
  subject: z.string().nullish(),
  html: z.string().nullish(),
  text: z.string().nullish(),
  headers: z.record(z.string(), z.string()).nullish(),
  message_id: z.string().nullish(),
});

/** The outbound client's own deadline; every message is one call. */
const CALL_SECONDS = 15;

/** Opens and clicks are ours (signed links), so the provider's own are not asked for: they would count twice. */
const EVENTS = [
  "email.delivered",
  "email.delivery_delayed",
  "email.bounced",
  "email.complained",
  "email.failed",
  "email.suppressed",
  "email.received",
  "contact.updated",
];

const api = (connection: Connection<Credentials>, http: HttpClient) =>
  answers.caller(http, connection.base_url ?? BASE, { authorization: `Bearer ${connection.credentials.api_key}` });

function errorOf(response: HttpResponse): { name: string; message: string } {
  const parsed = ErrorBody.safeParse(answers.jsonOrNull(response));
  return parsed.success
    ? parsed.data
    : { name: `http_${response.status}`, message: `Resend answered ${response.status}.` };
}

/** Answers that concern the account or the sender's domain, not this message: going on would burn the whole audience. */
const BROKEN = new Set([
  "missing_api_key",
  "invalid_api_key",
  "restricted_api_key",
  "invalid_access",
  "invalid_from_address",
  "monthly_quota_exceeded",
  "security_error",
]);

function outcomeOf(response: HttpResponse): SendOutcome {
  if (response.status >= 200 && response.status < 300) {
    const sent = Sent.safeParse(answers.jsonOrNull(response));
    if (sent.success) return { outcome: "sent", provider_message_id: sent.data.id };
    return { outcome: "unknown", code: "bad_answer", detail: "Resend accepted the request but returned no id." };
  }
  const { name, message } = errorOf(response);
  const after = answers.retryAfterSeconds(response.headers);
  if (name === "daily_quota_exceeded") return answers.retry(name, message, after ?? 3600);
  if (BROKEN.has(name) || response.status === 401 || response.status === 403)
    return { outcome: "broken", code: name, detail: message };
  if (response.status === 429) return answers.retry(name, message, after);
  // 409: another call with this key is running or has run; 5xx: it may have been taken. The key makes asking again safe.
  if (response.status === 409 || response.status >= 500) return { outcome: "unknown", code: name, detail: message };
  return { outcome: "rejected", code: name, detail: message };
}

/**
 * Resend replaces the Message-ID (it relays through Amazon SES) but keeps References. Our id therefore goes into
 * References, where follow-ups share it and a reply's client repeats it: that is what keeps the thread together.
 */
function headersOf(email: EmailContent): Record<string, string> {
  const headers: Record<string, string> = {};
  let references = "";
  for (const [name, value] of Object.entries(email.headers)) {
    if (name.toLowerCase() === "references") references = value;
    else headers[name] = value;
  }
  const chain = references.split(/\s+/).filter(Boolean);
  headers.References = [...chain.filter((id) => id !== email.message_id), email.message_id].join(" ");
  return headers;
}

async function sendOne(
  { id, from, to, content }: OutboundMessage<EmailContent>,
  connection: Connection<Credentials>,
  http: HttpClient,
): Promise<SendOutcome> {
  const body = {
    from: formatAddress(from),
    to: [formatAddress(to)],
    subject: content.subject,
    html: content.html,
    text: content.text,
    ...(content.reply_to ? { reply_to: content.reply_to } : {}),
    headers: headersOf(content),
    tags: [{ name: MESSAGE_ID_KEY, value: id }],
  };
  try {
    return outcomeOf(await api(connection, http)("POST", "/emails", body, { "idempotency-key": id }));
  } catch (error) {
    return answers.outcomeOfError(error);
  }
}

const upstream = (response: HttpResponse, doing: string): AppError => {
  const { name, message } = errorOf(response);
  return new AppError("upstream", `Resend refused ${doing}: ${message} (${name})`, {
    suggestion:
      name === "restricted_api_key"
        ? "Use an API key with full access, or set the webhook up in Resend and enter its secret."
        : undefined,
  });
};

/**
 * Resend, https://resend.com/docs/api-reference.
 *
 * Exactly-once: every message is its own call, keyed by our message id. The batch endpoint (100 per call) takes ONE key
 * for the whole list, so a message whose batch outcome is unknown could only be asked for again inside the very same
 * batch; alone, or in a batch that lost a member, it would be a new key and a second e-mail. Calls are cheap, duplicates are not.
 */
export const resend = defineProvider<EmailContent>()({
  id: "resend",
  label: "Resend",
  category: "email",
  docs_url: "https://resend.com/docs/api-reference",
  setup:
    "Create an API key with full access at resend.com/api-keys and verify your sending domain at resend.com/domains. " +
    "Webhooks are registered for you. To receive replies, enable receiving for a domain and send from or reply to an address on it.",
  credentials: Credentials,
  settings: z.object({}),
  default_base_url: BASE,
  runs_in: "anywhere",

  async check(connection, http) {
    const response = await api(connection, http)("GET", "/domains");
    if (response.status === 200) {
      const domains = Domains.safeParse(answers.jsonOrNull(response));
      const verified = domains.success
        ? domains.data.data.filter((d) => d.status === "verified").map((d) => d.name)
        : [];
      if (verified.length > 0) return { ok: true, detail: `Connected. Verified domains: ${verified.join(", ")}.` };
      return {
        ok: false,
        code: "no_verified_domain",
        detail: "The key works, but no sending domain is verified.",
        suggestion: "Verify your domain at resend.com/domains.",
      };
    }
    const { name, message } = errorOf(response);
    if (name === "restricted_api_key") {
      return {
        ok: true,
        detail: "Connected with a key limited to sending. Set the webhook up in Resend and enter its secret.",
      };
    }
    return { ok: false, code: name, detail: message, suggestion: "Create a new key at resend.com/api-keys." };
  },

  send: {
    per_second: 5,
    batch: 1,
    call_seconds: CALL_SECONDS,
    reconcile: { by: "key", window_hours: 24 },
    send: ([message], connection, http) => sendOne(message!, connection, http).then((outcome) => [outcome]),
  },

  webhook: {
    async register(url, connection, http) {
      const call = api(connection, http);
      const list = await call("GET", "/webhooks?limit=100");
      if (list.status !== 200) throw upstream(list, "to list webhooks");
      const known = Webhooks.parse(list.json()).data.find((w) => w.endpoint === url);
      if (!known) {
        const created = await call("POST", "/webhooks", { endpoint: url, events: EVENTS });
        if (created.status >= 300) throw upstream(created, "to create a webhook");
        return {
          credentials: { webhook_secret: Webhook.parse(created.json()).signing_secret },
          detail: "Webhook registered.",
        };
      }
      const change = { endpoint: url, events: EVENTS, status: "enabled" };
      const updated = await call("PATCH", `/webhooks/${known.id}`, change);
      if (updated.status >= 300) throw upstream(updated, "to update the webhook");
      const full = await call("GET", `/webhooks/${known.id}`);
      if (full.status !== 200) throw upstream(full, "to read the webhook");
      return {
        credentials: { webhook_secret: Webhook.parse(full.json()).signing_secret },
        detail: "The webhook is already registered.",
      };
    },
    verify: (request, connection) => verifyWebhook(request, connection.credentials.webhook_secret),
    parse: parseResendEvent,
  },

  inbound: {
    fetch: async (ref, connection, http): Promise<InboundMessage<EmailInbound>> => {
      const response = await api(connection, http)("GET", `/emails/receiving/${encodeURIComponent(ref)}`);
      if (response.status !== 200) throw upstream(response, "to return a received email");
      const mail = Received.parse(response.json());
      const headers = headerMap(Object.entries(mail.headers ?? {}));
      return {
        provider_inbound_id: mail.id,
        from: parseAddress(mail.from),
        to: mail.to.map((to) => parseAddress(to).address),
        text: mail.text || (mail.html ? htmlToText(mail.html) : ""),
        details: {
          subject: mail.subject ?? "",
          html: mail.html ?? null,
          headers,
          rfc_message_id: mail.message_id ?? headers["message-id"] ?? null,
        },
      };
    },
  },
});
