import { z } from "zod";
import type { EmailContent } from "../../../channels/email/content.ts";
import { AppError } from "../../../kernel/errors.ts";
import type { HttpClient, HttpResponse } from "../../../kernel/http/client.ts";
import { defineProvider } from "../../../kernel/provider.ts";
import type { Connection, OutboundMessage, SendOutcome } from "../../../kernel/provider.ts";
import { randomToken, sha256Hex, verifyBasicAuth } from "../../../kernel/secrets/signatures.ts";
import * as answers from "../../answers.ts";
import { formatAddress, MESSAGE_ID_KEY } from "../shared.ts";
import { parsePostmarkEvent } from "./events.ts";

const BASE = "https://api.postmarkapp.com";

const Credentials = z.object({
  server_token: z.string().min(1).meta({
    title: "Server API token",
    description: "Servers → your server → API Tokens.",
    secret: true,
    placeholder: "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
  }),
  webhook_username: z
    .string()
    .min(1)
    .regex(/^[^:]*$/, "must not have a colon, which separates the name from the password")
    .optional()
    .meta({ title: "Webhook user name", description: "Generated when the webhook is registered." }),
  webhook_password: z
    .string()
    .min(16, "must have at least 16 characters, because it is the only protection of the webhook")
    .optional()
    .meta({ title: "Webhook password", description: "Generated when the webhook is registered.", secret: true }),
});
type Credentials = z.infer<typeof Credentials>;

const Settings = z.object({
  message_stream: z.string().min(1).default("outbound").meta({
    title: "Message stream",
    description: "The id of a transactional or broadcast stream.",
    placeholder: "outbound",
  }),
});

/** Postmark takes 50 MB per batch; the rest is room for what JSON and their side add. */
const MAX_BATCH_BYTES = 40 * 1024 * 1024;

/** One call may carry 500 messages. */
const CALL_MS = 30_000;
/** Cutting a refused batch takes many calls: none begins later than this, so that all are over within `call_seconds`. */
const CUTTING_MS = 60_000;

const Item = z.object({ ErrorCode: z.number(), Message: z.string(), MessageID: z.string().optional() });
const ErrorBody = z.object({ ErrorCode: z.number(), Message: z.string() });
const Server = z.object({
  Name: z.string(),
  DeliveryType: z.string().optional(),
  InboundAddress: z.string().optional(),
});
const Search = z.object({
  TotalCount: z.number(),
  Messages: z.array(z.object({ MessageID: z.string(), Metadata: z.record(z.string(), z.string()).nullish() })),
});
const Webhooks = z.object({ Webhooks: z.array(z.object({ ID: z.number(), Url: z.string() })) });

const api = (connection: Connection<Credentials>, http: HttpClient) =>
  answers.caller(http, connection.base_url ?? BASE, { "x-postmark-server-token": connection.credentials.server_token });

const streamOf = (connection: Connection<Credentials>) => Settings.parse(connection.settings).message_stream;

function errorOf(response: HttpResponse): { code: number; name: string; message: string } {
  const parsed = ErrorBody.safeParse(answers.jsonOrNull(response));
  return parsed.success
    ? { code: parsed.data.ErrorCode, name: `postmark_${parsed.data.ErrorCode}`, message: parsed.data.Message }
    : { code: 0, name: `http_${response.status}`, message: `Postmark answered ${response.status}.` };
}

/**
 * Error codes, https://postmarkapp.com/developer/api/overview#error-codes. These concern the account, the sender or the
 * stream, never one recipient: token, sender signature (400, 401), credits, allowed domain of a pending account, stream.
 */
const BROKEN = new Set([10, 400, 401, 405, 412, 413, 1226, 1235, 1236]);
const MAINTENANCE = new Set([100, 429]);

function outcomeOfItem(item: unknown): SendOutcome {
  const parsed = Item.safeParse(item);
  if (!parsed.success)
    return { outcome: "unknown", code: "bad_answer", detail: "Postmark's response for this message cannot be read." };
  const { ErrorCode, Message, MessageID } = parsed.data;
  if (ErrorCode === 0 && MessageID) return { outcome: "sent", provider_message_id: MessageID };
  if (ErrorCode === 0)
    return { outcome: "unknown", code: "bad_answer", detail: "Postmark accepted the message but returned no id." };
  const code = `postmark_${ErrorCode}`;
  // Deactivated after a hard bounce, a complaint or by hand; the answer does not say which.
  if (ErrorCode === 406) return { outcome: "rejected", code: "inactive_recipient", detail: Message, recipient: "gone" };
  if (ErrorCode === 500) return { outcome: "unknown", code, detail: Message };
  if (MAINTENANCE.has(ErrorCode)) return answers.retry(code, Message);
  if (BROKEN.has(ErrorCode)) return { outcome: "broken", code, detail: Message };
  return { outcome: "rejected", code, detail: Message };
}

/** The whole call failed. `null`: it was refused for one of several messages, so it must be cut in two to find which. */
function outcomeOfCall(response: HttpResponse, count: number): SendOutcome | null {
  const { code, name, message } = errorOf(response);
  const after = answers.retryAfterSeconds(response.headers);
  if (response.status === 429) return answers.retry(name, message, after);
  // A planned outage answers in Postmark's own words. A 503 without them is a proxy's, which may have passed the call on.
  if (response.status === 503 && code !== 0) return answers.retry(name, message, after);
  // Postmark has no idempotency keys, and a 500 may have sent some of the batch.
  if (response.status >= 500) return { outcome: "unknown", code: name, detail: message };
  if (response.status === 401 || response.status === 403 || BROKEN.has(code))
    return { outcome: "broken", code: name, detail: message };
  return count > 1 ? null : { outcome: "rejected", code: name, detail: message };
}

const toMessage = ({ id, from, to, content: email }: OutboundMessage<EmailContent>, stream: string) => ({
  From: formatAddress(from),
  To: formatAddress(to),
  ...(email.reply_to ? { ReplyTo: email.reply_to } : {}),
  Subject: email.subject,
  HtmlBody: email.html,
  TextBody: email.text,
  MessageStream: stream,
  TrackOpens: false,
  TrackLinks: "None",
  Metadata: { [MESSAGE_ID_KEY]: id },
  Headers: [
    ...Object.entries(email.headers).map(([Name, Value]) => ({ Name, Value })),
    { Name: "Message-ID", Value: email.message_id },
    // Without it Postmark replaces the Message-ID by its own.
    { Name: "X-PM-KeepID", Value: "true" },
  ],
});

async function sendBatch(
  emails: OutboundMessage<EmailContent>[],
  connection: Connection<Credentials>,
  http: HttpClient,
  deadline = Date.now() + CUTTING_MS,
): Promise<SendOutcome[]> {
  if (Date.now() > deadline)
    return emails.map(() =>
      answers.retry("out_of_time", "No time was left to try the message again in a smaller batch."),
    );
  const stream = streamOf(connection);
  const body = JSON.stringify(emails.map((email) => toMessage(email, stream)));
  const halves = async () => {
    const middle = Math.ceil(emails.length / 2);
    return [
      ...(await sendBatch(emails.slice(0, middle), connection, http, deadline)),
      ...(await sendBatch(emails.slice(middle), connection, http, deadline)),
    ];
  };
  if (emails.length > 1 && new TextEncoder().encode(body).byteLength > MAX_BATCH_BYTES) return halves();

  let response: HttpResponse;
  try {
    response = await http.request({
      method: "POST",
      url: answers.joinUrl(connection.base_url ?? BASE, "/email/batch"),
      headers: {
        accept: "application/json",
        "content-type": "application/json",
        "x-postmark-server-token": connection.credentials.server_token,
      },
      body,
      timeoutMs: CALL_MS,
    });
  } catch (error) {
    const outcome = answers.outcomeOfError(error);
    return emails.map(() => outcome);
  }
  if (response.status === 200) {
    const items = answers.jsonOrNull(response);
    if (Array.isArray(items) && items.length === emails.length) return items.map(outcomeOfItem);
    const detail = "Postmark accepted the request, but its response does not have one entry per message.";
    return emails.map(() => ({ outcome: "unknown", code: "bad_answer", detail }));
  }
  const outcome = outcomeOfCall(response, emails.length);
  return outcome ? emails.map(() => outcome) : halves();
}

const upstream = (response: HttpResponse, doing: string) => {
  const { name, message } = errorOf(response);
  return new AppError("upstream", `Postmark refused ${doing}: ${message} (${name})`);
};

/** Postmark, https://postmarkapp.com/developer. No signatures and no idempotency keys: Basic auth and metadata stand in. */
export const postmark = defineProvider<EmailContent>()({
  id: "postmark",
  label: "Postmark",
  category: "email",
  docs_url: "https://postmarkapp.com/developer",
  setup:
    "Copy the Server API token from your server's «API Tokens» tab and confirm a sender signature or domain. Webhooks for " +
    "delivery, bounces, complaints, unsubscribes and inbound mail are registered for you, protected by a generated password. " +
    "Postmark allows only email that recipients expect: sending to purchased lists leads to suspension.",
  credentials: Credentials,
  settings: Settings,
  default_base_url: BASE,
  runs_in: "anywhere",

  async check(connection, http) {
    const response = await api(connection, http)("GET", "/server");
    if (response.status !== 200) {
      const { name, message } = errorOf(response);
      return {
        ok: false,
        code: name,
        detail: message,
        suggestion: "Copy the Server API token again; an account token does not work here.",
      };
    }
    const server = Server.parse(response.json());
    const stream = streamOf(connection);
    const found = await api(connection, http)("GET", `/message-streams/${encodeURIComponent(stream)}`);
    if (found.status !== 200) {
      const { name, message } = errorOf(found);
      return {
        ok: false,
        code: name,
        detail: `Message stream ${stream}: ${message}`,
        suggestion: "Use the stream's id as Postmark shows it.",
      };
    }
    const note = server.DeliveryType === "Sandbox" ? " The server is a sandbox server: it delivers no messages." : "";
    return { ok: true, detail: `Connected to server «${server.Name}», stream «${stream}».${note}` };
  },

  send: {
    per_second: 10,
    batch: 500,
    call_seconds: (CUTTING_MS + CALL_MS) / 1000,
    // Postmark does not say how far its search lags behind what it took: seconds when all is well. Two minutes leave it room.
    reconcile: { by: "search", after_seconds: 120 },
    send: (messages, connection, http) => sendBatch(messages, connection, http),
    /** What was sent stays searchable for the server's retention: 45 days, seven at least. */
    async find(messageId, connection, http) {
      const query = new URLSearchParams({
        count: "1",
        offset: "0",
        messagestream: streamOf(connection),
        [`metadata_${MESSAGE_ID_KEY}`]: messageId,
      });
      const response = await api(connection, http)("GET", `/messages/outbound?${query}`);
      if (response.status !== 200) throw upstream(response, "to search sent messages");
      const found = Search.parse(response.json()).Messages[0];
      if (!found) return null;
      const carried = found.Metadata?.[MESSAGE_ID_KEY];
      if (carried !== undefined && carried !== messageId) {
        throw new AppError(
          "upstream",
          "Postmark's search ignored the metadata filter, so its result cannot show whether this message was sent.",
        );
      }
      return { provider_message_id: found.MessageID };
    },
  },

  webhook: {
    async register(url, connection, http) {
      const call = api(connection, http);
      const stream = streamOf(connection);
      const username = connection.credentials.webhook_username ?? "overture";
      const password = connection.credentials.webhook_password ?? randomToken();
      const list = await call("GET", `/webhooks?MessageStream=${encodeURIComponent(stream)}`);
      if (list.status !== 200) throw upstream(list, "to list webhooks");
      const known = Webhooks.parse(list.json()).Webhooks.filter((w) => w.Url === url);
      const on = { Enabled: true };
      const body = {
        Url: url,
        HttpAuth: { Username: username, Password: password },
        Triggers: {
          Delivery: on,
          Bounce: { ...on, IncludeContent: false },
          SpamComplaint: { ...on, IncludeContent: false },
          SubscriptionChange: on,
          Open: { Enabled: false, PostFirstOpenOnly: true },
          Click: { Enabled: false },
        },
      };
      // Registered twice at the same moment there are two: each gets the password that is kept.
      const saved =
        known.length > 0
          ? await Promise.all(known.map(({ ID }) => call("PUT", `/webhooks/${ID}`, body)))
          : [await call("POST", "/webhooks", { ...body, MessageStream: stream })];
      for (const answer of saved) if (answer.status !== 200) throw upstream(answer, "to save the webhook");

      const inboundUrl = new URL(url);
      inboundUrl.username = username;
      inboundUrl.password = password;
      const inbound = await call("PUT", "/server", { InboundHookUrl: inboundUrl.href });
      const server = Server.safeParse(answers.jsonOrNull(inbound));
      const replies =
        inbound.status === 200 && server.success
          ? ` Replies to ${server.data.InboundAddress ?? "the server's inbound address"} arrive too.`
          : ` Inbound mail could not be switched on: ${errorOf(inbound).message}`;
      return {
        credentials: { webhook_username: username, webhook_password: password },
        detail: `Webhook saved.${replies}`,
      };
    },
    async verify(request, connection) {
      const { webhook_username: username, webhook_password: password } = connection.credentials;
      await verifyBasicAuth(request.headers, { username, password });
      // Postmark has no delivery id; a retry repeats the bytes.
      return { delivery_id: `postmark:${await sha256Hex(request.body)}` };
    },
    parse: parsePostmarkEvent,
  },
});
