import { addressParser } from "postal-mime";
import { z } from "zod";
import { type Call, defineEmulation, Refusal, route, sends, type WebhookCall } from "../../../sandbox/emulation.ts";
import { mailboxes } from "../../../sandbox/mailboxes.ts";
import { hash } from "../../../sandbox/personas.ts";
import { type Account, type Address, type Hook, type Message, newHook, newMessage } from "../../../sandbox/store.ts";

/** Postmark's server API as its documentation describes it: no signatures, no idempotency keys, one outcome per message of a batch. */

const fail = (status: number, ErrorCode: number, message: string, headers: Record<string, string> = {}) =>
  Response.json({ ErrorCode, Message: message }, { status, headers });
const refuse = (code: number, message: string, status = 422) => new Refusal(fail(status, code, message));

const Email = z.strictObject({
  From: z.string(),
  To: z.string(),
  Cc: z.string().nullish(),
  Bcc: z.string().nullish(),
  Subject: z.string().nullish(),
  Tag: z.string().max(1000).nullish(),
  HtmlBody: z.string().nullish(),
  TextBody: z.string().nullish(),
  ReplyTo: z.string().nullish(),
  Headers: z.array(z.strictObject({ Name: z.string(), Value: z.string() })).nullish(),
  TrackOpens: z.boolean().nullish(),
  TrackLinks: z.enum(["None", "HtmlAndText", "HtmlOnly", "TextOnly"]).nullish(),
  Metadata: z.record(z.string(), z.string()).nullish(),
  MessageStream: z.string().nullish(),
  Attachments: z.array(z.looseObject({})).nullish(),
});
const Trigger = z.strictObject({
  Enabled: z.boolean(),
  IncludeContent: z.boolean().optional(),
  PostFirstOpenOnly: z.boolean().optional(),
});
const TRIGGERS = ["Open", "Click", "Delivery", "Bounce", "SpamComplaint", "SubscriptionChange"] as const;
const HookInput = z.strictObject({
  Url: z.url().optional(),
  MessageStream: z.string().optional(),
  HttpAuth: z.strictObject({ Username: z.string(), Password: z.string() }).nullish(),
  HttpHeaders: z.array(z.strictObject({ Name: z.string(), Value: z.string() })).nullish(),
  Triggers: z.partialRecord(z.enum(TRIGGERS), Trigger).nullish(),
});
type HookInput = z.output<typeof HookInput>;

/** A new server has these three; their ids are also their names here. */
const STREAMS: Record<string, string> = { outbound: "Transactional", broadcast: "Broadcasts", inbound: "Inbound" };
function stream(id: string, code = 1226, message = "The message stream was not found."): string {
  if (!(id in STREAMS)) throw refuse(code, message);
  return id;
}

function addresses(field: string, raw: string): Address[] {
  const parsed = addressParser(raw, { flatten: true });
  if (parsed.some((p) => !p.address || !/^[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+$/.test(p.address)))
    throw refuse(300, `Invalid '${field}' address: '${raw}'.`);
  return parsed.map((p) => ({ address: p.address!, name: p.name ?? "" }));
}

/** The message this entry describes, checked in the order in which Postmark refuses. */
function toMessage({ account, parse }: Call<unknown>, input: unknown): Message {
  const raw = (typeof input === "object" && input !== null ? input : {}) as Record<string, unknown>;
  if (!raw.From) throw refuse(300, "Invalid 'From' address: ''.");
  if (!raw.To) throw refuse(300, "Zero recipients specified");
  const email = parse(Email, input);
  const [from, ...others] = addresses("From", email.From);
  if (!from || others.length > 0) throw refuse(300, `Invalid 'From' address: '${email.From}'.`);
  const to = addresses("To", email.To);
  if (to.length === 0) throw refuse(300, "Zero recipients specified");
  if (to.length > 50) throw refuse(300, "Too many recipients: at most 50.");
  if (!email.HtmlBody && !email.TextBody) throw refuse(300, "Provide either email TextBody or HtmlBody or both.");
  const on = stream(
    email.MessageStream || "outbound",
    1235,
    "The 'MessageStream' provided does not exist on this server.",
  );
  if (on === "inbound") throw refuse(1236, "Sending is not supported on inbound message streams.");
  if (from.address.slice(from.address.lastIndexOf("@") + 1).startsWith("unverified.")) {
    const why = "is not a Sender Signature on your account. Please add and confirm this address.";
    throw refuse(400, `The 'From' address you supplied (${from.address}) ${why}`);
  }
  const metadata = email.Metadata ?? {};
  if (Object.keys(metadata).length > 10) throw refuse(300, "Metadata: at most 10 fields are allowed.");
  for (const [name, value] of Object.entries(metadata)) {
    if (name.length > 20 || value.length > 80)
      throw refuse(300, `Metadata: '${name}' is too long (20 characters for names, 80 for values).`);
  }
  const inactive = to.filter((t) => account.suppressed.includes(t.address.toLowerCase())).map((t) => t.address);
  if (inactive.length > 0) {
    throw refuse(
      406,
      `You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: ${inactive.join(", ")}. ` +
        "Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression.",
    );
  }
  const id = crypto.randomUUID();
  const headers = (email.Headers ?? []).map(({ Name, Value }): [string, string] => [Name, Value]);
  const header = (name: string) => headers.find(([n]) => n.toLowerCase() === name)?.[1];
  const kept = header("x-pm-keepid")?.toLowerCase() === "true" ? header("message-id") : undefined;
  return newMessage(account, "email", {
    id,
    our_id: metadata.overture_message_id ?? null,
    rfc_message_id: kept ?? `<${id}@mtasv.net>`,
    from,
    to,
    reply_to: email.ReplyTo ?? null,
    subject: email.Subject ?? "",
    html: email.HtmlBody ?? "",
    text: email.TextBody ?? "",
    headers: headers.filter(([name]) => !["message-id", "x-pm-keepid"].includes(name.toLowerCase())),
    tags: metadata,
    track_opens: email.TrackOpens ?? false,
    extra: { stream: on },
  });
}

const TEST_TOKEN = "POSTMARK_API_TEST";
const showTo = (to: Address[]) => to.map((t) => (t.name ? `"${t.name}" <${t.address}>` : t.address)).join(", ");

function take(call: Call<unknown>, input: unknown) {
  const message = toMessage(call, input);
  const test = message.account === `postmark:${TEST_TOKEN}`;
  if (!test) call.accept(message);
  const Message = test ? "Test job accepted" : "OK";
  return { To: showTo(message.to), SubmittedAt: message.accepted_at, MessageID: message.id, ErrorCode: 0, Message };
}

async function takeBatch(call: Call<unknown>) {
  if (!Array.isArray(call.body)) throw refuse(403, "Incompatible JSON: a list of messages is expected.");
  if (call.body.length > 500) throw refuse(410, "Too many batch messages: at most 500 are allowed.");
  const outcomes: unknown[] = [];
  for (const item of call.body as unknown[]) {
    try {
      outcomes.push(take(call, item));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      outcomes.push(await error.response.json());
    }
  }
  return outcomes;
}

function search({ query, messages }: Call<null>) {
  const count = Number(query.get("count"));
  const offset = Number(query.get("offset"));
  if (!(count >= 1 && count <= 500)) throw refuse(600, "The 'count' parameter is required: 1 to 500.");
  if (!(query.get("offset") && offset >= 0 && count + offset <= 10_000))
    throw refuse(600, "The 'offset' parameter is required; count + offset cannot exceed 10000.");
  const filters = [...query].filter(([name]) => name.startsWith("metadata_"));
  if (filters.length > 1) throw refuse(600, "Only one metadata field can be searched at a time.");
  const on = stream(query.get("messagestream") ?? "outbound");
  const wanted = (name: string, matches: (value: string) => boolean) => {
    const value = query.get(name);
    return !value || matches(value);
  };
  const found = messages().filter(
    (m) =>
      m.extra.stream === on &&
      wanted("recipient", (value) => m.to.some((t) => t.address === value)) &&
      wanted("fromemail", (value) => m.from.address === value) &&
      wanted("subject", (value) => m.subject.includes(value)) &&
      filters.every(([name, value]) => m.tags[name.slice("metadata_".length)] === value),
  );
  return {
    TotalCount: found.length,
    Messages: found.slice(offset, offset + count).map((m) => ({
      Tag: "",
      MessageID: m.id,
      MessageStream: m.extra.stream,
      To: m.to.map((t) => ({ Email: t.address, Name: t.name || null })),
      Cc: [],
      Bcc: [],
      Recipients: m.to.map((t) => t.address),
      ReceivedAt: m.accepted_at,
      From: showTo([m.from]),
      Subject: m.subject,
      Attachments: [],
      Status: "Sent",
      TrackOpens: m.track_opens,
      TrackLinks: "None",
      Metadata: m.tags,
      Sandboxed: false,
    })),
  };
}

const showServer = (account: Account): Record<string, unknown> => ({
  ID: 1,
  Name: "Sandbox",
  ApiTokens: [account.id.slice(account.id.indexOf(":") + 1)],
  ServerLink: "https://postmarkapp.com/servers/1/streams",
  Color: "blue",
  SmtpApiActivated: true,
  RawEmailEnabled: false,
  DeliveryType: "Live",
  InboundAddress: "sandbox@inbound.example.com",
  InboundHookUrl: "",
  BounceHookUrl: "",
  OpenHookUrl: "",
  DeliveryHookUrl: "",
  ClickHookUrl: "",
  PostFirstOpenOnly: false,
  InboundDomain: "",
  InboundHash: "sandbox",
  InboundSpamThreshold: 0,
  TrackOpens: false,
  TrackLinks: "None",
  IncludeBounceContentInHook: false,
  EnableSmtpApiErrorHooks: false,
  ...account.state,
});
const FIXED = ["ID", "ApiTokens", "InboundAddress", "InboundHash", "DeliveryType"];

const showHook = ({ id, url, extra }: Hook) => ({
  ID: Number(id),
  Url: url,
  MessageStream: extra.stream,
  ...(extra.auth ? { HttpAuth: extra.auth } : {}),
  HttpHeaders: extra.headers ?? [],
  Triggers: Object.fromEntries(
    TRIGGERS.map((t) => [t, (extra.triggers as Record<string, unknown> | undefined)?.[t] ?? { Enabled: false }]),
  ),
});
const hookOf = ({ account, params }: Call<unknown>): Hook => {
  const hook = account.hooks.find((h) => h.id === params.id);
  if (!hook) throw refuse(700, "The webhook was not found.");
  return hook;
};

function addHook({ account, body }: Call<HookInput>): Hook {
  if (!body.Url) throw refuse(701, "A webhook needs a 'Url'.");
  const on = stream(body.MessageStream ?? "outbound");
  if (account.hooks.filter((h) => h.extra.stream === on).length >= 10)
    throw refuse(702, "At most 10 webhooks are allowed per stream.");
  const id = String(Math.max(1000, ...account.hooks.map((h) => Number(h.id))) + 1);
  const hook = { ...newHook(body.Url, [], { stream: on }), id };
  account.hooks.push(hook);
  return hook;
}

function saveHook({ account, body, store }: Call<HookInput>, hook: Hook) {
  if (body.Url) hook.url = body.Url;
  if (body.HttpAuth) hook.extra.auth = body.HttpAuth;
  if (body.HttpHeaders) hook.extra.headers = body.HttpHeaders;
  if (body.Triggers) {
    const triggers = { ...(hook.extra.triggers as object | undefined), ...body.Triggers };
    hook.extra.triggers = triggers;
    hook.events = Object.entries(triggers).flatMap(([name, t]) => (t.Enabled ? [name] : []));
  }
  store.saveAccount(account);
  return showHook(hook);
}

/** One JSON object per POST, protected by Basic auth only; a 403 ends the retries. */
function calls(message: Message, account: Account, type: string, payload: object, id: string): WebhookCall[] {
  const body = JSON.stringify({ RecordType: type, ServerID: 1, ...payload });
  return account.hooks
    .filter((hook) => hook.events.includes(type) && hook.extra.stream === message.extra.stream)
    .map((hook) => {
      const auth = hook.extra.auth as HookInput["HttpAuth"];
      const own = ((hook.extra.headers ?? []) as { Name: string; Value: string }[]).map((h) => [h.Name, h.Value]);
      const headers = () => ({
        ...Object.fromEntries(own),
        ...(auth ? { authorization: `Basic ${btoa(`${auth.Username}:${auth.Password}`)}` } : {}),
      });
      return { id: `${hook.id}|${id}|${type}`, url: hook.url, body, headers, stopOn: [403] };
    });
}

export const emulation = defineEmulation({
  id: "postmark",
  people: mailboxes,
  example() {
    const key = crypto.randomUUID();
    return { credentials: { server_token: key }, key };
  },
  http: {
    content: "json",
    auth({ headers, method }) {
      const key = headers.get("x-postmark-server-token");
      const names = "X-Postmark-Server-Token or X-Postmark-Account-Token";
      if (!key)
        return fail(
          401,
          10,
          `No Account or Server API tokens were supplied in the HTTP headers. Please add a header for either ${names}.`,
        );
      const looksRight = key === TEST_TOKEN || /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i.test(key);
      if (!looksRight || /^0{8}-/.test(key))
        return fail(
          401,
          10,
          "The Server Token you provided in the X-Postmark-Server-Token request header was invalid. Please verify that you are using a valid token.",
        );
      if (!/application\/json|\*\/\*/.test(headers.get("accept") ?? ""))
        return fail(406, 406, "The Accept header must be application/json.");
      if (["POST", "PUT"].includes(method) && !/^application\/json/.test(headers.get("content-type") ?? ""))
        return fail(415, 415, "The Content-Type header must be application/json.");
      return { key };
    },
    refuse: {
      body: ({ detail, issues }) =>
        issues.length === 0
          ? fail(422, 402, "Invalid JSON: the JSON input you provided is syntactically incorrect.")
          : fail(422, 403, `Incompatible JSON: ${detail}`),
      unknownPath: () => fail(404, 404, "The requested resource does not exist."),
      rateLimit: (after) =>
        fail(429, 429, "Rate limit exceeded. Please try again later.", { "retry-after": String(after) }),
      serverError: () => fail(500, 500, "There was an internal server error while processing your request."),
    },
    routes: [
      sends(route("POST /email", z.unknown(), (call) => take(call, call.body))),
      sends(route("POST /email/batch", z.unknown(), takeBatch)),
      route("GET /messages/outbound", search),
      route("GET /server", ({ account }) => showServer(account)),
      route("PUT /server", z.record(z.string(), z.unknown()), ({ account, body, store }) => {
        const known = showServer(account);
        for (const [name, value] of Object.entries(body)) {
          if (!(name in known)) throw refuse(403, `Incompatible JSON: a server has no field '${name}'.`);
          if (!FIXED.includes(name)) account.state[name] = value;
        }
        store.saveAccount(account);
        return showServer(account);
      }),
      route("GET /message-streams/:id", ({ account, params }) => {
        const ID = stream(params.id!, 1226, "The message stream for the provided 'ID' was not found.");
        const { created_at: CreatedAt } = account;
        const dates = { CreatedAt, UpdatedAt: null, ArchivedAt: null };
        return { ID, ServerID: 1, Name: ID, Description: "", MessageStreamType: STREAMS[ID], ...dates };
      }),
      route("GET /webhooks", ({ account, query }) => {
        const on = query.get("MessageStream");
        const hooks = account.hooks.filter((h) => !on || h.extra.stream === stream(on));
        if (on) stream(on);
        return { Webhooks: hooks.map(showHook) };
      }),
      route("POST /webhooks", HookInput, (call) => saveHook(call, addHook(call))),
      route("PUT /webhooks/:id", HookInput, (call) => saveHook(call, hookOf(call))),
      route("GET /webhooks/:id", (call) => showHook(hookOf(call))),
      route("DELETE /webhooks/:id", (call) => {
        const gone = hookOf(call);
        call.account.hooks = call.account.hooks.filter((h) => h !== gone);
        call.store.saveAccount(call.account);
        return { ErrorCode: 0, Message: `Webhook ${gone.id} removed.` };
      }),
    ],
  },
  events(message, kind, recipient, account) {
    const id = `${message.id}|${kind}|${recipient}`;
    const at = new Date().toISOString();
    const common = { MessageID: message.id, MessageStream: message.extra.stream, Tag: "", Metadata: message.tags };
    const tell = (type: string, payload: object) => calls(message, account, type, { ...common, ...payload }, id);
    const bounce = (Type: string, TypeCode: number, Name: string, Details: string, Inactive: boolean) => ({
      ID: hash(id),
      Type,
      TypeCode,
      Name,
      Description: Name,
      Details,
      Email: recipient,
      From: message.from.address,
      BouncedAt: at,
      DumpAvailable: false,
      Inactive,
      CanActivate: Type !== "SpamComplaint",
      Subject: message.subject,
    });
    const suppressed = (SuppressionReason: string) =>
      tell("SubscriptionChange", {
        Recipient: recipient,
        ChangedAt: at,
        Origin: "Recipient",
        SuppressSending: true,
        SuppressionReason,
      });
    const gone = "smtp;550 5.1.1 The email account does not exist";
    switch (kind) {
      case "delivered":
        return tell("Delivery", { Recipient: recipient, DeliveredAt: at, Details: "smtp;250 2.0.0 OK" });
      case "bounced":
        return [...tell("Bounce", bounce("HardBounce", 1, "Hard bounce", gone, true)), ...suppressed("HardBounce")];
      case "softbounced":
        return tell("Bounce", bounce("SoftBounce", 4096, "Soft bounce", "smtp;452 4.2.2 The mailbox is full", false));
      case "complained": {
        const complaint = bounce("SpamComplaint", 100001, "Spam complaint", "The recipient marked it as spam.", true);
        return [...tell("SpamComplaint", complaint), ...suppressed("SpamComplaint")];
      }
      case "opened":
        return tell("Open", {
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
        return [];
    }
  },
  inbound(mail, account) {
    const url = account.state.InboundHookUrl;
    if (typeof url !== "string" || url === "") return [];
    const full = (Email: string, Name = "") => ({ Email, Name, MailboxHash: /\+([^@]+)@/.exec(Email)?.[1] ?? "" });
    const body = JSON.stringify({
      FromName: mail.from.name,
      MessageStream: "inbound",
      From: mail.from.address,
      FromFull: full(mail.from.address, mail.from.name),
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
    return [{ id: `inbound|${mail.id}`, url, body, stopOn: [403] }];
  },
});
