import { addressParser } from "postal-mime";
import { z } from "zod";
import type { Account, Address, Inbound, Message } from "./store.ts";

/** Resend's e-mail objects: what it accepts, how it refuses, how it shows them. */

export const fail = (statusCode: number, name: string, message: string, headers: Record<string, string> = {}) =>
  Response.json({ statusCode, name, message }, { status: statusCode, headers });

const list = z.union([z.string(), z.array(z.string())]).transform((v) => (Array.isArray(v) ? v : [v]));
const Email = z.object({
  from: z.string(),
  to: list.pipe(z.array(z.string()).min(1).max(50)),
  subject: z.string(),
  html: z.string().nullish(),
  text: z.string().nullish(),
  cc: list.nullish(),
  bcc: list.nullish(),
  reply_to: list.nullish(),
  headers: z.record(z.string(), z.string()).nullish(),
  tags: z.array(z.object({ name: z.string(), value: z.string() })).nullish(),
  scheduled_at: z.string().nullish(),
  attachments: z.array(z.unknown()).nullish(),
});
type Email = z.infer<typeof Email>;

function address(raw: string): Address | null {
  const parsed = addressParser(raw, { flatten: true });
  const first = parsed[0];
  if (parsed.length !== 1 || !first?.address || !/^[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+$/.test(first.address)) return null;
  return { email: first.address, name: first.name ?? "" };
}

const formatHint = "The email address needs to follow the `email@example.com` or `Name <email@example.com>` format.";

/** The message this request describes, or the refusal Resend gives. */
export function validate(input: unknown): { email: Email; from: Address; to: Address[] } | Response {
  if (typeof input !== "object" || input === null || Array.isArray(input))
    return fail(422, "validation_error", "The request body must be an object.");
  for (const field of ["to", "from", "subject"]) {
    const value = (input as Record<string, unknown>)[field];
    if (value === undefined || value === null || value === "")
      return fail(422, "missing_required_field", `Missing \`${field}\` field.`);
  }
  const parsed = Email.safeParse(input);
  if (!parsed.success) return fail(422, "validation_error", z.prettifyError(parsed.error));
  const email = parsed.data;
  if (!email.html && !email.text) return fail(422, "validation_error", "Missing `html` or `text` field.");
  const from = address(email.from);
  if (!from) return fail(422, "validation_error", `Invalid \`from\` field. ${formatHint}`);
  const to: Address[] = [];
  for (const raw of email.to) {
    const one = address(raw);
    if (!one) return fail(422, "validation_error", `Invalid \`to\` field. ${formatHint}`);
    to.push(one);
  }
  for (const tag of email.tags ?? []) {
    if (!/^[A-Za-z0-9_-]{1,256}$/.test(tag.name) || !/^[A-Za-z0-9_-]{1,256}$/.test(tag.value)) {
      return fail(422, "validation_error", "Tags should only contain ASCII letters, numbers, underscores, or dashes.");
    }
  }
  const domain = from.email.slice(from.email.lastIndexOf("@") + 1);
  if (domain.startsWith("unverified.")) {
    return fail(
      403,
      "validation_error",
      `The ${domain} domain is not verified. Please, add and verify your domain on https://resend.com/domains`,
    );
  }
  return { email, from, to };
}

export function toMessage(
  account: Account,
  { email, from, to }: { email: Email; from: Address; to: Address[] },
  key: string | null,
): Message {
  const id = crypto.randomUUID();
  const tags = Object.fromEntries((email.tags ?? []).map((t) => [t.name, t.value]));
  return {
    id,
    account: account.id,
    provider: "resend",
    accepted_at: new Date().toISOString(),
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
    stream: null,
    track_opens: false,
    idempotency_key: key,
    log: [],
  };
}

export const format = ({ email, name }: Address) => (name ? `${name} <${email}>` : email);

const lastEvent = (message: Message) => {
  const seen = message.log.map((l) => l.what).filter((w) => ["delivered", "bounced", "complained"].includes(w));
  return seen.at(-1) ?? "sent";
};

export const showEmail = (m: Message) => ({
  object: "email",
  id: m.id,
  message_id: m.rfc_message_id,
  to: m.to.map((t) => t.email),
  from: format(m.from),
  created_at: m.accepted_at,
  subject: m.subject,
  html: m.html || null,
  text: m.text || null,
  bcc: [],
  cc: [],
  reply_to: m.reply_to ? [m.reply_to] : [],
  last_event: lastEvent(m),
  scheduled_at: null,
  tags: Object.entries(m.tags).map(([name, value]) => ({ name, value })),
});

export const showInbound = (mail: Inbound) => ({
  object: "email",
  id: mail.id,
  to: mail.to,
  from: format(mail.from),
  created_at: mail.received_at,
  subject: mail.subject,
  html: mail.html,
  text: mail.text,
  headers: Object.fromEntries(mail.headers.map(([n, v]) => [n.toLowerCase(), v])),
  bcc: [],
  cc: [],
  reply_to: [],
  received_for: mail.to,
  message_id: mail.rfc_message_id,
  attachments: [],
});
