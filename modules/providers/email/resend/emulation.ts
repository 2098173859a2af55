import { createHash } from "node:crypto";
import { addressParser } from "postal-mime";
import { z } from "zod";
import { randomToken, signWebhook } from "../../../kernel/secrets/signatures.ts";
import { type BodyFault, type Call, defineEmulation, type EventKind } from "../../../sandbox/emulation.ts";
import { mailboxes } from "../../../sandbox/mailboxes.ts";
import { Refusal, route, sends, type WebhookCall } from "../../../sandbox/emulation.ts";
import { type Account, type Address, type Hook, type Inbound, type Message } from "../../../sandbox/store.ts";
import { newHook, newMessage } from "../../../sandbox/store.ts";

/** Resend's API as its documentation and OpenAPI file describe it. Deliberately laxer: reserved domains are accepted. */

const fail = (statusCode: number, name: string, message: string, headers: Record<string, string> = {}) =>
  Response.json({ statusCode, name, message }, { status: statusCode, headers });
const invalid = (message: string) => new Refusal(fail(422, "validation_error", message));
const found = <T>(what: string, item: T | undefined): T => {
  if (item === undefined) throw new Refusal(fail(404, "not_found", `${what} not found`));
  return item;
};

const list = z.union([z.string(), z.array(z.string())]).transform((v) => (Array.isArray(v) ? v : [v]));
const word = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,256}$/, "Tags should only contain ASCII letters, numbers, underscores, or dashes.");
const Email = z.strictObject({
  from: z.string().min(1),
  to: z.union([z.string().min(1), z.array(z.string()).min(1).max(50)]).transform((v) => (Array.isArray(v) ? v : [v])),
  subject: z.string().min(1),
  html: z.string().nullish(),
  text: z.string().nullish(),
  cc: list.nullish(),
  bcc: list.nullish(),
  reply_to: list.nullish(),
  headers: z.record(z.string(), z.string()).nullish(),
  tags: z.array(z.strictObject({ name: word, value: word })).nullish(),
  scheduled_at: z.string().nullish(),
  topic_id: z.string().nullish(),
  attachments: z.array(z.looseObject({})).nullish(),
});
const HookInput = z.strictObject({ endpoint: z.url(), events: z.array(z.string()).min(1) });
const HookPatch = HookInput.partial().extend({ status: z.enum(["enabled", "disabled"]).optional() });

function refuseBody({ detail, issues, input }: BodyFault): Response {
  for (const field of ["to", "from", "subject"]) {
    const value = (input as Record<string, unknown> | null)?.[field];
    if (issues.some((i) => i.path[0] === field) && (value === undefined || value === null || value === ""))
      return fail(422, "missing_required_field", `Missing \`${field}\` field.`);
  }
  return fail(422, "validation_error", detail);
}

function address(field: string, raw: string): Address {
  const parsed = addressParser(raw, { flatten: true });
  const first = parsed[0];
  if (parsed.length === 1 && first?.address && /^[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+$/.test(first.address))
    return { address: first.address, name: first.name ?? "" };
  throw invalid(
    `Invalid \`${field}\` field. The email address needs to follow the \`email@example.com\` or \`Name <email@example.com>\` format.`,
  );
}

function toMessage(account: Account, email: z.output<typeof Email>): Message {
  if (!email.html && !email.text) throw invalid("Missing `html` or `text` field.");
  const from = address("from", email.from);
  const to = email.to.map((raw) => address("to", raw));
  const domain = from.address.slice(from.address.lastIndexOf("@") + 1);
  if (domain.startsWith("unverified.")) {
    const how = "Please, add and verify your domain on https://resend.com/domains";
    throw new Refusal(fail(403, "validation_error", `The ${domain} domain is not verified. ${how}`));
  }
  const id = crypto.randomUUID();
  const tags = Object.fromEntries((email.tags ?? []).map((t) => [t.name, t.value]));
  return newMessage(account, "email", {
    id,
    our_id: tags.overture_message_id ?? null,
    // Resend relays through Amazon SES, which always sets its own.
    rfc_message_id: `<0102${id.replaceAll("-", "")}-000000@eu-west-1.amazonses.com>`,
    from,
    to,
    reply_to: email.reply_to?.[0] ?? null,
    subject: email.subject,
    html: email.html ?? "",
    text: email.text ?? "",
    headers: Object.entries(email.headers ?? {}).filter(([name]) => name.toLowerCase() !== "message-id"),
    tags,
  });
}

const format = ({ address, name }: Address) => (name ? `${name} <${address}>` : address);
const none = { bcc: [], cc: [] };

const showEmail = (m: Message) => ({
  object: "email",
  id: m.id,
  message_id: m.rfc_message_id,
  to: m.to.map((t) => t.address),
  from: format(m.from),
  created_at: m.accepted_at,
  subject: m.subject,
  html: m.html || null,
  text: m.text || null,
  ...none,
  reply_to: m.reply_to ? [m.reply_to] : [],
  last_event: m.log.findLast((l) => ["delivered", "bounced", "complained"].includes(l.what))?.what ?? "sent",
  scheduled_at: null,
  tags: Object.entries(m.tags).map(([name, value]) => ({ name, value })),
});
/** What a webhook announces of a received mail; its text has to be fetched. */
const announce = (mail: Inbound) => ({
  created_at: mail.received_at,
  from: format(mail.from),
  to: mail.to,
  ...none,
  received_for: mail.to,
  message_id: mail.rfc_message_id,
  subject: mail.subject,
  attachments: [],
});
const showInbound = (mail: Inbound) => ({
  object: "email",
  id: mail.id,
  ...announce(mail),
  html: mail.html,
  text: mail.text,
  headers: Object.fromEntries(mail.headers.map(([n, v]) => [n.toLowerCase(), v])),
  reply_to: [],
});
const showHook = ({ id, created_at, enabled, url, events }: Hook) => ({
  object: "webhook",
  id,
  created_at,
  status: enabled ? "enabled" : "disabled",
  endpoint: url,
  events,
});

function page<T extends { id: string }>(items: T[], query: URLSearchParams) {
  const limit = Math.min(100, Math.max(1, Number(query.get("limit") ?? 20) || 20));
  const after = query.get("after");
  const start = after ? items.findIndex((i) => i.id === after) + 1 : 0;
  return { object: "list", has_more: items.length > start + limit, data: items.slice(start, start + limit) };
}
const byId = <T extends { id: string }>(what: string, items: T[], { params }: Call<unknown>) =>
  found(
    what,
    items.find((i) => i.id === params.id),
  );
const hookOf = (call: Call<unknown>) => byId("Webhook", call.account.hooks, call);

/** All or nothing by default; with `x-batch-validation: permissive` the good ones are sent and the others listed. */
function batch({ account, body, headers, parse, accept }: Call<unknown[]>) {
  const permissive = headers.get("x-batch-validation") === "permissive";
  const errors: { index: number; message: string }[] = [];
  const messages = body.flatMap((item, index) => {
    try {
      return [toMessage(account, parse(Email, item))];
    } catch (error) {
      if (!permissive || !(error instanceof Refusal)) throw error;
      errors.push({ index, message: "The email is not valid." });
      return [];
    }
  });
  return { data: messages.map((m) => ({ id: accept(m).id })), ...(permissive ? { errors } : {}) };
}

const TYPES: Record<EventKind, string> = {
  delivered: "email.delivered",
  bounced: "email.bounced",
  softbounced: "email.bounced",
  complained: "email.complained",
  opened: "email.opened",
  suppressed: "email.suppressed",
};
const bounce = (type: string, subType: string, message: string) => ({ bounce: { type, subType, message } });
const EXTRA: Partial<Record<EventKind, object>> = {
  bounced: bounce("Permanent", "NoEmail", "550 5.1.1 The email account does not exist."),
  softbounced: bounce("Transient", "MailboxFull", "452 4.2.2 The mailbox is full."),
  suppressed: { suppressed: { type: "OnAccountSuppressionList", message: "The address is on the suppression list." } },
};

/** One event per POST, signed as Svix does. */
function calls(account: Account, type: string, data: Record<string, unknown>, id: string): WebhookCall[] {
  const body = JSON.stringify({ type, created_at: new Date().toISOString(), data });
  return account.hooks
    .filter((hook) => hook.enabled && hook.events.includes(type))
    .map((hook) => {
      const svixId = `msg_${createHash("sha256").update(`${hook.id}|${id}`).digest("base64url").slice(0, 27)}`;
      const headers = async () => {
        const timestamp = Math.floor(Date.now() / 1000);
        const secret = String(hook.extra.secret);
        const signature = await signWebhook(secret, svixId, timestamp, new TextEncoder().encode(body));
        return { "svix-id": svixId, "svix-timestamp": String(timestamp), "svix-signature": signature };
      };
      return { id: svixId, url: hook.url, body, headers };
    });
}

export const emulation = defineEmulation({
  id: "resend",
  people: mailboxes,
  example() {
    const key = `re_${crypto.randomUUID().replaceAll("-", "")}`;
    return { credentials: { api_key: key }, key };
  },
  http: {
    content: "json",
    auth(request, path) {
      const key = /^Bearer (.+)$/.exec(request.headers.get("authorization") ?? "")?.[1];
      if (!key) return fail(401, "missing_api_key", "Missing API Key");
      if (!/^re_[A-Za-z0-9_-]{3,}$/.test(key) || key.startsWith("re_invalid"))
        return fail(403, "invalid_api_key", "API key is invalid");
      if (key.startsWith("re_send_") && !(request.method === "POST" && /^\/emails(\/batch)?$/.test(path)))
        return fail(401, "restricted_api_key", "This API key is restricted to only send emails");
      return { key };
    },
    refuse: {
      body: refuseBody,
      unknownPath: () => fail(404, "not_found", "The requested endpoint does not exist."),
      rateLimit: (after) =>
        fail(429, "rate_limit_exceeded", "Too many requests. You can only make 5 requests per second.", {
          "retry-after": String(after),
          "ratelimit-limit": "5",
          "ratelimit-remaining": "0",
          "ratelimit-reset": String(after),
        }),
      serverError: () => fail(500, "internal_server_error", "An unexpected error occurred."),
    },
    idempotency: {
      header: "idempotency-key",
      badKey: (key) =>
        key.length >= 1 && key.length <= 256
          ? null
          : fail(400, "invalid_idempotency_key", "The idempotency key must be between 1 and 256 characters."),
      otherBody: () =>
        fail(
          409,
          "invalid_idempotent_request",
          "This idempotency key has been used on a request with a different payload.",
        ),
      running: () =>
        fail(409, "concurrent_idempotent_requests", "Another request with the same idempotency key is in progress."),
    },
    headers: { "ratelimit-limit": "100", "ratelimit-remaining": "99", "ratelimit-reset": "1" },
    routes: [
      sends(route("POST /emails", Email, ({ account, body, accept }) => ({ id: accept(toMessage(account, body)).id }))),
      sends(route("POST /emails/batch", z.array(z.unknown()).min(1).max(100), batch)),
      route("GET /emails", (call) => page(call.messages().map(showEmail), call.query)),
      route("GET /emails/receiving", (call) => page(call.received().map(showInbound), call.query)),
      route("GET /emails/receiving/:id", (call) => showInbound(byId("Email", call.received(), call))),
      route("GET /emails/:id", (call) => showEmail(byId("Email", call.messages(), call))),
      route("GET /domains", ({ account }) => ({
        object: "list",
        has_more: false,
        data: ["example.com", "sandbox.test"].map((name, i) => ({
          id: `d91cd9bd-1176-453e-8fc1-35364d38020${i}`,
          name,
          status: "verified",
          created_at: account.created_at,
          region: "eu-west-1",
          capabilities: { sending: "enabled", receiving: "enabled" },
        })),
      })),
      route("GET /webhooks", ({ account, query }) => page(account.hooks.map(showHook), query)),
      route("POST /webhooks", HookInput, ({ account, body, store }) => {
        const secret = `whsec_${btoa(randomToken())}`;
        const hook = newHook(body.endpoint, body.events, { secret });
        account.hooks.push(hook);
        store.saveAccount(account);
        return Response.json({ object: "webhook", id: hook.id, signing_secret: secret }, { status: 201 });
      }),
      route("GET /webhooks/:id", (call) => ({ ...showHook(hookOf(call)), signing_secret: hookOf(call).extra.secret })),
      route("PATCH /webhooks/:id", HookPatch, (call) => {
        const { endpoint, events, status } = call.body;
        const hook = hookOf(call);
        Object.assign(hook, { url: endpoint ?? hook.url, events: events ?? hook.events });
        if (status) hook.enabled = status === "enabled";
        call.store.saveAccount(call.account);
        return { object: "webhook", id: hook.id };
      }),
      route("DELETE /webhooks/:id", (call) => {
        const hook = hookOf(call);
        call.account.hooks = call.account.hooks.filter((h) => h !== hook);
        call.store.saveAccount(call.account);
        return { object: "webhook", id: hook.id, deleted: true };
      }),
    ],
  },
  events(message, kind, recipient, account) {
    const data = {
      email_id: message.id,
      message_id: message.rfc_message_id,
      created_at: message.accepted_at,
      from: format(message.from),
      to: [recipient],
      subject: message.subject,
      tags: message.tags,
      ...EXTRA[kind],
    };
    return calls(account, TYPES[kind], data, `${message.id}|${kind}|${recipient}`);
  },
  inbound: (mail, account) => calls(account, "email.received", { email_id: mail.id, ...announce(mail) }, mail.id),
});
