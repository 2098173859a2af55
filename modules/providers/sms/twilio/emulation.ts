import { createHash } from "node:crypto";
import { z } from "zod";
import { measureText } from "../../../channels/sms/encoding.ts";
import {
  type BodyFault,
  type Call,
  defineEmulation,
  type EventKind,
  Refusal,
  route,
  sends,
  type WebhookCall,
} from "../../../sandbox/emulation.ts";
import { phones } from "../../../sandbox/phones.ts";
import { type Account, type Inbound, type Message, newMessage } from "../../../sandbox/store.ts";
import { MESSAGE_ID_PARAM, signTwilio } from "./signature.ts";

/**
 * Twilio's Messages, IncomingPhoneNumbers and Accounts (2010-04-01) and Services (messaging v1) as its OpenAPI files describe them.
 * Stricter than Twilio: a field it does not know is refused. The token of account AC<digits> is its digits in reverse; so is the
 * secret of API key SK<digits>. The magic numbers of Twilio's test credentials refuse as documented there.
 */

const API = "/2010-04-01/Accounts/:account";

const fail = (status: number, code: number, message: string) =>
  Response.json({ code, message, more_info: `https://www.twilio.com/docs/errors/${code}`, status }, { status });
const refused = (code: number, message: string, status = 400) => new Refusal(fail(status, code, message));
const missing = (path: string) => refused(20404, `The requested resource ${path} was not found`, 404);

const reversed = (sid: string) => [...sid.slice(2)].reverse().join("");
const sid = (prefix: string, seed: string) => prefix + createHash("sha256").update(seed).digest("hex").slice(0, 32);

const flag = z.enum(["true", "false"]);
const NewMessage = z.strictObject({
  To: z.string().optional(),
  From: z.string().optional(),
  MessagingServiceSid: z.string().optional(),
  Body: z.string().optional(),
  MediaUrl: z.union([z.string(), z.array(z.string()).max(10)]).optional(),
  StatusCallback: z.string().optional(),
  ValidityPeriod: z.coerce.number().int().min(1).max(36_000).optional(),
  ProvideFeedback: flag.optional(),
  SmartEncoded: flag.optional(),
  ShortenUrls: flag.optional(),
  RiskCheck: z.enum(["enable", "disable"]).optional(),
});
const NumberChange = z.strictObject({
  SmsUrl: z.string().optional(),
  SmsMethod: z.enum(["GET", "POST"]).optional(),
  FriendlyName: z.string().optional(),
});
const ServiceFields = {
  InboundRequestUrl: z.string().optional(),
  InboundMethod: z.enum(["GET", "POST"]).optional(),
  UseInboundWebhookOnNumber: flag.optional(),
  StatusCallback: z.string().optional(),
};
const NewService = z.strictObject({ FriendlyName: z.string().min(1), ...ServiceFields });
const ServiceChange = NewService.partial();

type OwnNumber = { sid: string; phone_number: string; sms_url: string };
type Service = {
  sid: string;
  friendly_name: string;
  inbound_request_url: string | null;
  use_inbound_webhook_on_number: boolean;
  numbers: string[];
};

/** Numbers every account owns; the first is the one that test credentials may send from. */
const OWNED = ["+15005550006", "+15005550016", "+15005550026"];

const numbersOf = (account: Account): OwnNumber[] =>
  (account.state.numbers ??= OWNED.map((phone_number) => ({
    sid: sid("PN", account.id + phone_number),
    phone_number,
    sms_url: "https://demo.twilio.com/welcome/sms/reply",
  }))) as OwnNumber[];
const servicesOf = (account: Account): Service[] => (account.state.services ??= []) as Service[];
const keyOf = (account: Account) => account.id.slice(account.id.indexOf(":") + 1);

const MAGIC_TO: Record<string, [code: number, message: string]> = {
  "+15005550001": [21211, "Invalid 'To' Phone Number: +15005550001"],
  "+15005550002": [21612, "The 'To' phone number: +15005550002, is not currently reachable via SMS"],
  "+15005550003": [
    21408,
    "Permission to send an SMS has not been enabled for the region indicated by the 'To' number: +15005550003",
  ],
  "+15005550004": [21610, "Attempt to send to unsubscribed recipient"],
  "+15005550009": [21614, "'To' number: +15005550009, is not a valid mobile number"],
};
const MAGIC_FROM: Record<string, [code: number, message: string]> = {
  "+15005550001": [21212, "Invalid 'From' Phone Number: +15005550001"],
  "+15005550007": [
    21606,
    "The 'From' phone number +15005550007 is not a valid, message-capable Twilio phone number for this destination.",
  ],
  "+15005550008": [21611, "The 'From' number +15005550008 has exceeded the maximum number of queued messages"],
};

const WORDS: Record<string, "STOP" | "START" | "HELP"> = Object.fromEntries([
  ...["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"].map((word) => [word, "STOP"]),
  ...["START", "YES", "UNSTOP"].map((word) => [word, "START"]),
  ...["HELP", "INFO"].map((word) => [word, "HELP"]),
]);
const wordOf = (text: string) => WORDS[text.trim().toUpperCase()] ?? null;

/** Whether the person's last word to this sender, or to a number of this service, was STOP. */
function leftBy(person: string, senders: readonly string[], received: readonly Inbound[]): boolean {
  for (const { from, to, text } of received) {
    if (from.address !== person || !senders.includes(to[0] ?? "")) continue;
    const word = wordOf(text);
    if (word === "STOP" || word === "START") return word === "STOP";
  }
  return false;
}

function senderOf(account: Account, body: z.output<typeof NewMessage>): { from: string; service: Service | null } {
  const { From, MessagingServiceSid } = body;
  if (!From && !MessagingServiceSid) throw refused(21603, "A 'From' phone number is required.");
  const service = MessagingServiceSid ? servicesOf(account).find((s) => s.sid === MessagingServiceSid) : null;
  if (service === undefined) throw refused(21705, `The Messaging Service Sid ${MessagingServiceSid} is invalid.`);
  const from = From ?? service!.numbers[0];
  if (!from) throw refused(21704, "The Messaging Service contains no phone numbers.");
  const magic = MAGIC_FROM[from];
  if (magic) throw refused(...magic);
  // Names need no number; short codes are leased like numbers, and no account here has one.
  const named = /^[A-Za-z0-9 ]{1,11}$/.test(from) && /[A-Za-z]/.test(from);
  if (!named && !numbersOf(account).some((n) => n.phone_number === from))
    throw refused(21659, `'From' ${from} is not a Twilio phone number or Short Code country mismatch`);
  return { from, service };
}

function toMessage({ account, body, received }: Call<z.output<typeof NewMessage>>): Message {
  const { To, Body = "", MediaUrl, StatusCallback } = body;
  if (!To) throw refused(21604, "A 'To' phone number is required.");
  const { from, service } = senderOf(account, body);
  if (Body === "" && !MediaUrl) throw refused(21602, "Message body is required.");
  if ([...Body].length > 1600) throw refused(21617, "The concatenated message body exceeds the 1600 character limit.");
  if (!/^\+[1-9]\d{6,14}$/.test(To)) throw refused(21211, `Invalid 'To' Phone Number: ${To}`);
  const magic = MAGIC_TO[To];
  if (magic) throw refused(...magic);
  if (StatusCallback !== undefined && !/^https?:\/\/[^\s/]+/.test(StatusCallback))
    throw refused(21609, `The StatusCallback URL ${StatusCallback} is not a valid URL.`);
  if (leftBy(To, service ? service.numbers : [from], received()))
    throw refused(21610, "Attempt to send to unsubscribed recipient");
  const id = `SM${crypto.randomUUID().replaceAll("-", "")}`;
  return newMessage(account, "sms", {
    id,
    our_id: StatusCallback ? new URL(StatusCallback).searchParams.get(MESSAGE_ID_PARAM) : null,
    from: { address: from, name: "" },
    to: [{ address: To, name: "" }],
    text: Body,
    extra: { status_callback: StatusCallback ?? null, service: service?.sid ?? null },
  });
}

type Outcome = { status: string; error: readonly [code: string, message: string] | null };
const FAILURES = {
  permanent: ["30005", "Unknown destination handset"],
  transient: ["30003", "Unreachable destination handset"],
} as const;

function outcomeOf({ log, extra }: Message): Outcome {
  for (const { what, detail } of log.toReversed()) {
    if (what === "delivered") return { status: "delivered", error: null };
    if (what === "bounced") return { status: "undelivered", error: FAILURES[detail as keyof typeof FAILURES] };
  }
  return { status: extra.service ? "accepted" : "queued", error: null };
}

const rfc2822 = (iso: string) => new Date(iso).toUTCString().replace("GMT", "+0000");

function showMessage(message: Message) {
  const { status, error } = outcomeOf(message);
  const account = message.account.slice(message.account.indexOf(":") + 1);
  const at = rfc2822(message.accepted_at);
  return {
    account_sid: account,
    api_version: "2010-04-01",
    body: message.text,
    date_created: at,
    date_sent: status === "delivered" ? at : null,
    date_updated: at,
    direction: "outbound-api",
    error_code: error ? Number(error[0]) : null,
    error_message: error?.[1] ?? null,
    from: message.from.address,
    messaging_service_sid: message.extra.service ?? null,
    num_media: "0",
    // A service has chosen no sender yet, so nothing is counted.
    num_segments: message.extra.service ? "0" : String(measureText(message.text).segments),
    price: null,
    price_unit: "USD",
    sid: message.id,
    status,
    subresource_uris: { media: `/2010-04-01/Accounts/${account}/Messages/${message.id}/Media.json` },
    to: message.to[0]!.address,
    uri: `/2010-04-01/Accounts/${account}/Messages/${message.id}.json`,
  };
}

const showNumber = (account: Account, { sid, phone_number, sms_url }: OwnNumber) => ({
  sid,
  account_sid: keyOf(account),
  friendly_name: phone_number,
  phone_number,
  capabilities: { voice: true, sms: true, mms: true, fax: false },
  sms_url,
  sms_method: "POST",
  status: "in-use",
  uri: `/2010-04-01/Accounts/${keyOf(account)}/IncomingPhoneNumbers/${sid}.json`,
});

const showService = (account: Account, { numbers: _, ...service }: Service) => ({
  ...service,
  account_sid: keyOf(account),
  date_created: account.created_at,
  date_updated: account.created_at,
  inbound_method: "POST",
  url: `https://messaging.twilio.com/v1/Services/${service.sid}`,
  links: {},
});

/** A page as the 2010 API writes it. */
function page<T>({ account, query }: Call<null>, name: string, path: string, items: readonly T[]) {
  const size = Math.min(1000, Math.max(1, Number(query.get("PageSize") ?? 50) || 50));
  const number = Math.max(0, Number(query.get("Page") ?? 0) || 0);
  const shown = items.slice(number * size, (number + 1) * size);
  const uri = (n: number) => {
    const others = new URLSearchParams(query);
    others.set("PageSize", String(size));
    others.set("Page", String(n));
    return `/2010-04-01/Accounts/${keyOf(account)}/${path}.json?${others}`;
  };
  return {
    [name]: shown,
    page: number,
    page_size: size,
    start: number * size,
    end: Math.max(number * size, number * size + shown.length - 1),
    uri: uri(number),
    first_page_uri: uri(0),
    next_page_uri: (number + 1) * size < items.length ? uri(number + 1) : null,
    previous_page_uri: number > 0 ? uri(number - 1) : null,
  };
}

const fileOf = ({ params }: Call<unknown>) => params.file!.replace(/\.json$/, "");
const byId = <T extends { sid: string }>(items: readonly T[], id: string): T => {
  const found = items.find((item) => item.sid === id);
  if (!found) throw missing(id);
  return found;
};

function changeService(call: Call<z.output<typeof ServiceChange>>, service: Service) {
  const { FriendlyName, InboundRequestUrl, UseInboundWebhookOnNumber } = call.body;
  if (FriendlyName !== undefined) service.friendly_name = FriendlyName;
  if (InboundRequestUrl !== undefined) service.inbound_request_url = InboundRequestUrl || null;
  if (UseInboundWebhookOnNumber !== undefined)
    service.use_inbound_webhook_on_number = UseInboundWebhookOnNumber === "true";
  call.store.saveAccount(call.account);
  return showService(call.account, service);
}

/** A signed form, posted without the fragment that holds connection overrides. */
function post(account: Account, address: string, id: string, fields: Record<string, string>): WebhookCall {
  const url = address.replace(/#.*$/, "");
  const form = new URLSearchParams(fields);
  return {
    id,
    url,
    body: form.toString(),
    headers: async () => ({
      "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
      "i-twilio-idempotency-token": id,
      "x-twilio-signature": await signTwilio(reversed(keyOf(account)), url, form),
    }),
  };
}

const REACHED: Partial<Record<EventKind, [status: string, failure: keyof typeof FAILURES | null]>> = {
  delivered: ["delivered", null],
  bounced: ["undelivered", "permanent"],
  softbounced: ["undelivered", "transient"],
  suppressed: ["undelivered", "permanent"],
};

export const emulation = defineEmulation({
  id: "twilio",
  people: phones,
  example() {
    const account_sid = `AC${crypto.randomUUID().replaceAll("-", "")}`;
    return { credentials: { account_sid, auth_token: reversed(account_sid) }, key: account_sid };
  },
  http: {
    content: "form",
    auth(request, path) {
      const basic = /^Basic (\S+)$/.exec(request.headers.get("authorization") ?? "")?.[1];
      const [user = "", password = ""] = basic ? atob(basic).split(":") : [];
      const denied = fail(401, 20003, "Authenticate");
      if (!/^(AC|SK)[0-9a-f]{32}$/.test(user) || password !== reversed(user)) return denied;
      const key = `AC${user.slice(2)}`;
      const named = /^\/2010-04-01\/Accounts\/(AC\w+?)(\.json|\/)/.exec(path);
      if (named && named[1] !== key) return denied;
      // A standard API key may not read the account itself.
      if (named?.[2] === ".json" && user.startsWith("SK")) return denied;
      return { key };
    },
    refuse: {
      body({ detail, issues }: BodyFault) {
        const unknown = issues.find((issue) => issue.code === "unrecognized_keys");
        return fail(
          400,
          20001,
          unknown ? `Unknown parameters: ${(unknown as { keys: string[] }).keys.join(", ")}` : detail,
        );
      },
      unknownPath: () => fail(404, 20404, "The requested resource was not found"),
      rateLimit: () => fail(429, 20429, "Too Many Requests"),
      serverError: () => fail(500, 20500, "An internal server error has occurred"),
    },
    routes: [
      route("GET /2010-04-01/Accounts/:file{[A-Za-z0-9]+\\.json}", (call) => ({
        sid: fileOf(call),
        friendly_name: "Sandbox account",
        status: "active",
        type: "Full",
        date_created: rfc2822(call.account.created_at),
        owner_account_sid: fileOf(call),
      })),
      sends(
        route(`POST ${API}/Messages.json`, NewMessage, (call) =>
          Response.json(showMessage(call.accept(toMessage(call))), { status: 201 }),
        ),
      ),
      route(`GET ${API}/Messages.json`, (call) => {
        const [to, from] = [call.query.get("To"), call.query.get("From")];
        const found = call
          .messages()
          .filter((m) => (!to || m.to[0]!.address === to) && (!from || m.from.address === from));
        return page(call, "messages", "Messages", found.map(showMessage));
      }),
      route(`GET ${API}/Messages/:file{[A-Za-z0-9]+\\.json}`, (call) => {
        const message = call.messages().find((m) => m.id === fileOf(call));
        if (!message) throw missing(`/Messages/${fileOf(call)}`);
        return showMessage(message);
      }),
      route(`GET ${API}/IncomingPhoneNumbers.json`, (call) => {
        const wanted = call.query.get("PhoneNumber");
        const found = numbersOf(call.account).filter((n) => !wanted || n.phone_number.includes(wanted));
        const shown = found.map((n) => showNumber(call.account, n));
        return page(call, "incoming_phone_numbers", "IncomingPhoneNumbers", shown);
      }),
      route(`POST ${API}/IncomingPhoneNumbers/:file{[A-Za-z0-9]+\\.json}`, NumberChange, (call) => {
        const number = byId(numbersOf(call.account), fileOf(call));
        if (call.body.SmsUrl !== undefined) number.sms_url = call.body.SmsUrl;
        call.store.saveAccount(call.account);
        return showNumber(call.account, number);
      }),
      route("GET /v1/Services", ({ account }) => {
        const url = "https://messaging.twilio.com/v1/Services?PageSize=50&Page=0";
        const meta = {
          page: 0,
          page_size: 50,
          first_page_url: url,
          previous_page_url: null,
          url,
          next_page_url: null,
          key: "services",
        };
        return { services: servicesOf(account).map((s) => showService(account, s)), meta };
      }),
      route("POST /v1/Services", NewService, (call) => {
        const made = sid("MG", crypto.randomUUID());
        const service: Service = {
          sid: made,
          friendly_name: "",
          inbound_request_url: null,
          use_inbound_webhook_on_number: false,
          numbers: [],
        };
        servicesOf(call.account).push(service);
        return Response.json(changeService(call, service), { status: 201 });
      }),
      route("GET /v1/Services/:sid", ({ account, params }) =>
        showService(account, byId(servicesOf(account), params.sid!)),
      ),
      route("POST /v1/Services/:sid", ServiceChange, (call) =>
        changeService(call, byId(servicesOf(call.account), call.params.sid!)),
      ),
      route("POST /v1/Services/:sid/PhoneNumbers", z.strictObject({ PhoneNumberSid: z.string() }), (call) => {
        const service = byId(servicesOf(call.account), call.params.sid!);
        const number = byId(numbersOf(call.account), call.body.PhoneNumberSid);
        if (!service.numbers.includes(number.phone_number)) service.numbers.push(number.phone_number);
        call.store.saveAccount(call.account);
        const shown = {
          sid: number.sid,
          account_sid: keyOf(call.account),
          service_sid: service.sid,
          phone_number: number.phone_number,
        };
        return Response.json({ ...shown, country_code: "US", capabilities: ["SMS", "MMS"] }, { status: 201 });
      }),
    ],
  },

  /** No callback for the first status; one for each that follows: queued (with a service), sent, and the last. */
  events(message, kind, recipient, account) {
    const callback = message.extra.status_callback as string | null;
    const reached = REACHED[kind];
    if (!callback || !reached) return [];
    const [status, failure] = reached;
    const service = message.extra.service as string | null;
    return [...(service ? ["queued"] : []), "sent", status].map((each) =>
      post(account, callback, sid("", `${message.id}|${each}|${recipient}`), {
        AccountSid: keyOf(account),
        ApiVersion: "2010-04-01",
        ...(failure && each === status ? { ErrorCode: FAILURES[failure][0], ErrorMessage: FAILURES[failure][1] } : {}),
        From: message.from.address,
        MessageSid: message.id,
        MessageStatus: each,
        ...(service ? { MessagingServiceSid: service } : {}),
        SmsSid: message.id,
        SmsStatus: each,
        To: recipient,
      }),
    );
  },

  inbound(received, account) {
    const [to = ""] = received.to;
    const service = servicesOf(account).find((s) => s.numbers.includes(to) && !s.use_inbound_webhook_on_number);
    const url = service ? service.inbound_request_url : numbersOf(account).find((n) => n.phone_number === to)?.sms_url;
    if (!url) return [];
    const id = `SM${received.id.replaceAll("-", "")}`;
    const word = wordOf(received.text);
    return [
      post(account, url, id, {
        AccountSid: keyOf(account),
        ApiVersion: "2010-04-01",
        Body: received.text,
        From: received.from.address,
        FromCountry: received.from.address.startsWith("+44") ? "GB" : "US",
        MessageSid: id,
        ...(service ? { MessagingServiceSid: service.sid } : {}),
        NumMedia: "0",
        NumSegments: String(Math.max(1, measureText(received.text).segments)),
        // Services have Advanced Opt-Out here; a number of its own has not, and its messages say nothing.
        ...(service && word ? { OptOutType: word } : {}),
        SmsMessageSid: id,
        SmsSid: id,
        SmsStatus: "received",
        To: to,
        ToCountry: "US",
      }),
    ];
  },
});
