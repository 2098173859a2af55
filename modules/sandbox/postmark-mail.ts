import { addressParser } from "postal-mime";
import { z } from "zod";
import type { Account, Address, Message } from "./store.ts";

/** Postmark's message object: what it accepts and how it refuses. */

const Email = z.object({
  From: z.string(),
  To: z.string(),
  Cc: z.string().nullish(),
  Bcc: z.string().nullish(),
  Subject: z.string().nullish(),
  Tag: z.string().max(1000).nullish(),
  HtmlBody: z.string().nullish(),
  TextBody: z.string().nullish(),
  ReplyTo: z.string().nullish(),
  Headers: z.array(z.object({ Name: z.string(), Value: z.string() })).nullish(),
  TrackOpens: z.boolean().nullish(),
  TrackLinks: z.enum(["None", "HtmlAndText", "HtmlOnly", "TextOnly"]).nullish(),
  Metadata: z.record(z.string(), z.string()).nullish(),
  MessageStream: z.string().nullish(),
  Attachments: z.array(z.unknown()).nullish(),
});

/** A new server has these three; their ids are also their names here. */
export const STREAMS: Record<string, string> = {
  outbound: "Transactional",
  broadcast: "Broadcasts",
  inbound: "Inbound",
};

type Refusal = { http: number; code: number; message: string };
const refuse = (code: number, message: string, http = 422): Refusal => ({ http, code, message });
export const isRefusal = (value: object): value is Refusal => "code" in value && "http" in value;

function addresses(raw: string): Address[] | null {
  const parsed = addressParser(raw, { flatten: true });
  if (parsed.some((p) => !p.address || !/^[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+$/.test(p.address))) return null;
  return parsed.map((p) => ({ email: p.address!, name: p.name ?? "" }));
}

/** The message this entry describes, or the refusal Postmark gives. */
export function toMessage(account: Account, input: unknown): Message | Refusal {
  const parsed = Email.safeParse(input);
  const raw = (typeof input === "object" && input !== null ? input : {}) as Record<string, unknown>;
  if (!raw.From) return refuse(300, "Invalid 'From' address: ''.");
  if (!raw.To) return refuse(300, "Zero recipients specified");
  if (!parsed.success) return refuse(403, `Incompatible JSON: ${z.prettifyError(parsed.error)}`);
  const email = parsed.data;
  const from = addresses(email.From);
  if (from?.length !== 1) return refuse(300, `Invalid 'From' address: '${email.From}'.`);
  const to = addresses(email.To);
  if (!to) return refuse(300, `Invalid 'To' address: '${email.To}'.`);
  if (to.length === 0) return refuse(300, "Zero recipients specified");
  if (to.length > 50) return refuse(300, "Too many recipients: at most 50.");
  if (!email.HtmlBody && !email.TextBody) return refuse(300, "Provide either email TextBody or HtmlBody or both.");
  const stream = email.MessageStream || "outbound";
  if (!(stream in STREAMS)) return refuse(1235, `The 'MessageStream' provided does not exist on this server.`);
  if (stream === "inbound") return refuse(1236, "Sending is not supported on inbound message streams.");
  const sender = from[0]!.email;
  if (sender.slice(sender.lastIndexOf("@") + 1).startsWith("unverified.")) {
    return refuse(
      400,
      `The 'From' address you supplied (${sender}) is not a Sender Signature on your account. Please add and confirm this address.`,
    );
  }
  const metadata = email.Metadata ?? {};
  if (Object.keys(metadata).length > 10) return refuse(300, "Metadata: at most 10 fields are allowed.");
  for (const [name, value] of Object.entries(metadata)) {
    if (name.length > 20 || value.length > 80)
      return refuse(300, `Metadata: '${name}' is too long (20 characters for names, 80 for values).`);
  }
  const inactive = to.filter((t) => account.suppressed.includes(t.email.toLowerCase()));
  if (inactive.length > 0) {
    return refuse(
      406,
      `You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: ${inactive.map((i) => i.email).join(", ")}. ` +
        "Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression.",
    );
  }
  const id = crypto.randomUUID();
  const given = email.Headers ?? [];
  const header = (name: string) => given.find((h) => h.Name.toLowerCase() === name)?.Value;
  const kept = header("x-pm-keepid")?.toLowerCase() === "true" ? header("message-id") : undefined;
  return {
    id,
    account: account.id,
    provider: "postmark",
    accepted_at: new Date().toISOString(),
    our_id: metadata.overture_message_id ?? null,
    rfc_message_id: kept ?? `<${id}@mtasv.net>`,
    from: from[0]!,
    to,
    reply_to: email.ReplyTo ?? null,
    subject: email.Subject ?? "",
    html: email.HtmlBody ?? "",
    text: email.TextBody ?? "",
    headers: given
      .filter((h) => !["message-id", "x-pm-keepid"].includes(h.Name.toLowerCase()))
      .map((h) => [h.Name, h.Value]),
    tags: metadata,
    stream,
    track_opens: email.TrackOpens ?? false,
    idempotency_key: null,
    log: [],
  };
}

export const showTo = (to: Address[]) => to.map((t) => (t.name ? `"${t.name}" <${t.email}>` : t.email)).join(", ");
