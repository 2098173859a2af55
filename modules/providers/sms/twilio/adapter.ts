import { z } from "zod";
import type { SmsContent } from "../../../channels/sms/content.ts";
import { AppError } from "../../../kernel/errors.ts";
import type { HttpClient, HttpResponse } from "../../../kernel/http/client.ts";
import {
  type CheckResult,
  type Connection,
  defineProvider,
  type OutboundMessage,
  type SendOutcome,
} from "../../../kernel/provider.ts";
import * as answers from "../../answers.ts";
import { parseTwilioEvent, recipientOf } from "./events.ts";
import { MESSAGE_ID_PARAM, verifyTwilio } from "./signature.ts";

const BASE = "https://api.twilio.com";
/** Messaging Services live on a host of their own; a replaced base URL serves both. */
const SERVICES_BASE = "https://messaging.twilio.com";

const Credentials = z.object({
  account_sid: z
    .string()
    .regex(/^AC[0-9a-f]{32}$/, "An account SID is AC and 32 digits or letters a to f")
    .meta({ title: "Account SID", placeholder: "AC…" }),
  auth_token: z
    .string()
    .regex(/^[0-9a-f]{32}$/, "An auth token is 32 digits or letters a to f")
    .meta({
      title: "Auth token",
      description: "The primary auth token, because Twilio signs its webhooks with it.",
      secret: true,
    }),
  api_key_sid: z
    .string()
    .regex(/^SK[0-9a-f]{32}$/, "An API key SID is SK and 32 digits or letters a to f")
    .optional()
    .meta({
      title: "API key SID",
      description: "Optional: if it is set, requests use this key instead of the auth token.",
      placeholder: "SK…",
    }),
  api_key_secret: z.string().min(1).optional().meta({ title: "API key secret", secret: true }),
});
type Credentials = z.infer<typeof Credentials>;

const Settings = z.object({
  messaging_service_sid: z
    .string()
    .regex(/^MG[0-9a-f]{32}$/, "A Messaging Service SID is MG and 32 digits or letters a to f")
    .optional()
    .meta({
      title: "Messaging Service SID",
      description:
        "Optional: if it is set, messages follow the service's rules (Advanced Opt-Out, registration) and are sent from the sender you chose.",
      placeholder: "MG…",
    }),
});

const ErrorBody = z.object({ code: z.number(), message: z.string() });
const Sent = z.object({ sid: z.string().min(1) });
const Account = z.object({ status: z.string(), type: z.string().optional(), friendly_name: z.string().optional() });
const Numbers = z.object({
  incoming_phone_numbers: z.array(
    z.object({
      sid: z.string(),
      phone_number: z.string(),
      sms_url: z.string().nullish(),
      capabilities: z.object({ sms: z.boolean() }).loose().nullish(),
    }),
  ),
  next_page_uri: z.string().nullish(),
});

const CALL_SECONDS = 15;
/** A thousand numbers a page. */
const MAX_PAGES = 20;
/** Twilio tries once by default, and not again after an answered error: five tries, after any failure (connection overrides). */
const RETRIES = "#rc=5&rp=all";

type Credential = "token" | "key";
type Call = { method: "GET" | "POST"; path: string; form?: Record<string, string>; host?: string; as?: Credential };

/** Calls with the API key where there is one, else with the auth token. */
function caller(connection: Connection<Credentials>, http: HttpClient) {
  const { account_sid, auth_token, api_key_sid, api_key_secret } = connection.credentials;
  return ({ method, path, form, host = BASE, as = "key" }: Call): Promise<HttpResponse> => {
    const [user, password] =
      as === "key" && api_key_sid && api_key_secret ? [api_key_sid, api_key_secret] : [account_sid, auth_token];
    return http.request({
      method,
      url: answers.joinUrl(connection.base_url ?? host, path),
      headers: {
        accept: "application/json",
        authorization: `Basic ${btoa(`${user}:${password}`)}`,
        ...(form ? { "content-type": "application/x-www-form-urlencoded" } : {}),
      },
      ...(form ? { body: new URLSearchParams(form).toString() } : {}),
    });
  };
}

const accountPath = ({ credentials }: Connection<Credentials>, rest = "") =>
  `/2010-04-01/Accounts/${credentials.account_sid}${rest}.json`;

function errorOf(response: HttpResponse): { code: number; name: string; message: string } {
  const parsed = ErrorBody.safeParse(answers.jsonOrNull(response));
  return parsed.success
    ? { code: parsed.data.code, name: `twilio_${parsed.data.code}`, message: parsed.data.message }
    : { code: 0, name: `http_${response.status}`, message: `Twilio answered ${response.status}.` };
}

/**
 * Error codes, https://www.twilio.com/docs/api/errors. These concern the account, the sender or the Messaging Service, never one
 * recipient: access, the From number (212xx, 216xx), the callback's address (21609), the service (217xx), an unpaid account (30002).
 */
const BROKEN = new Set([
  20003, 20005, 20006, 20008, 20403, 21212, 21601, 21603, 21606, 21609, 21618, 21659, 21660, 30002,
]);
const isBroken = (code: number) => BROKEN.has(code) || (code >= 21701 && code <= 21712);
/** Too many calls, or too many messages waiting for one sender: neither was accepted. */
const BUSY = new Set([20429, 21611]);
const QUEUE_SECONDS = 60;

function outcomeOf(response: HttpResponse): SendOutcome {
  if (response.status >= 200 && response.status < 300) {
    const sent = Sent.safeParse(answers.jsonOrNull(response));
    if (sent.success) return { outcome: "sent", provider_message_id: sent.data.sid };
    return { outcome: "unknown", code: "bad_answer", detail: "Twilio accepted the request but returned no SID." };
  }
  const { code, name, message } = errorOf(response);
  if (response.status === 429 || BUSY.has(code)) {
    const after = answers.retryAfterSeconds(response.headers);
    return answers.retry(name, message, after ?? (code === 21611 ? QUEUE_SECONDS : undefined));
  }
  // It may have been taken, and nothing at Twilio would make asking again safe.
  if (response.status >= 500 || response.status === 408) return { outcome: "unknown", code: name, detail: message };
  if ([401, 403, 404].includes(response.status) || isBroken(code))
    return { outcome: "broken", code: name, detail: message };
  const recipient = recipientOf(String(code));
  return { outcome: "rejected", code: name, detail: message, ...(recipient ? { recipient } : {}) };
}

/** The sender is a number, a short code, a name, or a Messaging Service itself. */
function senderFields(address: string, service: string | undefined): Record<string, string> {
  if (/^MG[0-9a-f]{32}$/.test(address)) return { MessagingServiceSid: address };
  return { From: address, ...(service ? { MessagingServiceSid: service } : {}) };
}

async function sendOne(
  { id, from, to, content }: OutboundMessage<SmsContent>,
  connection: Connection<Credentials>,
  http: HttpClient,
): Promise<SendOutcome> {
  const { webhook_url } = connection;
  const form = {
    To: to.address,
    ...senderFields(from.address, Settings.parse(connection.settings).messaging_service_sid),
    Body: content.text,
    ...(webhook_url ? { StatusCallback: `${webhook_url}?${MESSAGE_ID_PARAM}=${id}${RETRIES}` } : {}),
  };
  try {
    return outcomeOf(
      await caller(connection, http)({ method: "POST", path: accountPath(connection, "/Messages"), form }),
    );
  } catch (error) {
    return answers.outcomeOfError(error);
  }
}

const failed = (response: HttpResponse, suggestion: string): CheckResult => {
  const { name, message } = errorOf(response);
  return { ok: false, code: name, detail: message, suggestion };
};

async function check(connection: Connection<Credentials>, http: HttpClient): Promise<CheckResult> {
  const { api_key_sid, api_key_secret } = connection.credentials;
  if (Boolean(api_key_sid) !== Boolean(api_key_secret))
    return {
      ok: false,
      code: "api_key_incomplete",
      detail: "An API key is its SID and its secret; one of them is missing.",
      suggestion: "Fill in both, or neither.",
    };
  const call = caller(connection, http);
  // With the auth token: a standard API key may not read the account, and a wrong token would refuse every webhook.
  const account = await call({ method: "GET", path: accountPath(connection), as: "token" });
  if (account.status !== 200) {
    if (errorOf(account).code === 20008)
      return failed(
        account,
        "These are Twilio's test credentials, which deliver nothing. Use the live ones of the account.",
      );
    return failed(account, "Copy the account SID and the primary auth token from the Twilio console.");
  }
  const { status, type, friendly_name } = Account.parse(account.json());
  if (status !== "active")
    return {
      ok: false,
      code: `account_${status}`,
      detail: `The Twilio account is ${status}.`,
      suggestion: "Contact Twilio's support, or pay open invoices.",
    };
  if (api_key_sid) {
    const messages = await call({ method: "GET", path: `${accountPath(connection, "/Messages")}?PageSize=1` });
    if (messages.status !== 200)
      return failed(messages, "Check the API key's SID and secret, and that it belongs to this account.");
  }
  const service = Settings.parse(connection.settings).messaging_service_sid;
  if (service) {
    const found = await call({ method: "GET", host: SERVICES_BASE, path: `/v1/Services/${service}` });
    if (found.status !== 200) return failed(found, "Check the Messaging Service SID in the Twilio console.");
  }
  const trial =
    type === "Trial" ? " The account is a trial account: it can send only to numbers verified at Twilio." : "";
  return { ok: true, detail: `Connected${friendly_name ? ` to ${friendly_name}` : ""}.${trial}` };
}

/** A number nobody has given a webhook yet: new ones have none, or Twilio's own sample answer. */
const isFree = (url: string | null | undefined) => !url || /^https?:\/\/demo\.twilio\.com\//.test(url);

/** Points the incoming messages of the Messaging Service here, else those of all numbers that answer to nobody else. */
async function register(url: string, connection: Connection<Credentials>, http: HttpClient) {
  const call = caller(connection, http);
  const address = `${url}${RETRIES}`;
  const refuse = (response: HttpResponse, doing: string): never => {
    const { name, message } = errorOf(response);
    throw new AppError("upstream", `Twilio refused ${doing}: ${message} (${name})`, {
      suggestion: "Set the incoming message webhook in the Twilio console instead.",
    });
  };
  const service = Settings.parse(connection.settings).messaging_service_sid;
  if (service) {
    const form = { InboundRequestUrl: address, InboundMethod: "POST", UseInboundWebhookOnNumber: "false" };
    const changed = await call({ method: "POST", host: SERVICES_BASE, path: `/v1/Services/${service}`, form });
    if (changed.status !== 200) refuse(changed, "to change the Messaging Service");
    return { credentials: {}, detail: "Replies to the Messaging Service are now received here." };
  }
  const mine: string[] = [];
  const others: string[] = [];
  let path: string | null = `${accountPath(connection, "/IncomingPhoneNumbers")}?PageSize=1000`;
  for (let page = 0; path !== null && page < MAX_PAGES; page++) {
    const list: HttpResponse = await call({ method: "GET", path });
    if (list.status !== 200) refuse(list, "to list the numbers");
    const { incoming_phone_numbers, next_page_uri } = Numbers.parse(list.json());
    for (const { sid, phone_number, sms_url, capabilities } of incoming_phone_numbers) {
      if (capabilities?.sms === false) continue;
      const ours = sms_url?.split("#")[0] === url;
      if (!ours && !isFree(sms_url)) {
        others.push(phone_number);
        continue;
      }
      mine.push(phone_number);
      if (sms_url === address) continue;
      const form = { SmsUrl: address, SmsMethod: "POST" };
      const changed = await call({
        method: "POST",
        path: accountPath(connection, `/IncomingPhoneNumbers/${sid}`),
        form,
      });
      if (changed.status !== 200) refuse(changed, `to change ${phone_number}`);
    }
    path = next_page_uri || null;
  }
  const kept =
    others.length > 0 ? ` Not changed, because another application receives their replies: ${others.join(", ")}.` : "";
  return { credentials: {}, detail: `Replies to ${mine.join(", ") || "no number"} are now received here.${kept}` };
}

/**
 * Twilio Programmable Messaging, https://www.twilio.com/docs/messaging/api/message-resource.
 *
 * Exactly-once: there is no idempotency key, and a message cannot be looked up by an id of ours: the resource holds neither our id
 * nor the callback's address, and two messages of the same text to the same number cannot be told apart. An outcome nobody knows is
 * settled by the status callback, whose signed address carries our id.
 */
export const twilio = defineProvider<SmsContent>()({
  id: "twilio",
  label: "Twilio",
  category: "sms",
  docs_url: "https://www.twilio.com/docs/messaging/api",
  setup:
    "Copy the account SID and the auth token from the start page of the Twilio console; an API key can be used for requests instead of the token. " +
    "Senders are your Twilio numbers, short codes, sender names, or a Messaging Service (MG…). " +
    "The webhook for replies is set for you on the Messaging Service, or on those of your numbers that have none.",
  credentials: Credentials,
  settings: Settings,
  default_base_url: BASE,
  runs_in: "anywhere",
  check,
  send: {
    // Twilio queues what a sender may not send yet; this stays far below the number of calls it takes at once.
    per_second: 20,
    batch: 1,
    call_seconds: CALL_SECONDS,
    reconcile: { by: "none" },
    send: ([message], connection, http) => sendOne(message!, connection, http).then((outcome) => [outcome]),
  },
  webhook: {
    register,
    verify: (request, connection) => verifyTwilio(request, connection.credentials.auth_token),
    parse: parseTwilioEvent,
    // An empty TwiML document: any other answer to an incoming message is an error in the tenant's Twilio log.
    answer: { content_type: "text/xml", body: '<?xml version="1.0" encoding="UTF-8"?><Response></Response>' },
  },
});
