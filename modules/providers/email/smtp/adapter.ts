import { z } from "zod";
import type { EmailContent } from "../../../channels/email/content.ts";
import { isDeadAddress } from "../../../channels/email/status-code.ts";
import { AppError } from "../../../kernel/errors.ts";
import { HttpError } from "../../../kernel/http/client.ts";
import type { HttpClient } from "../../../kernel/http/client.ts";
import { defineProvider } from "../../../kernel/provider.ts";
import type { Connection, OutboundMessage, SendOutcome } from "../../../kernel/provider.ts";
import { retry } from "../../answers.ts";
import { addrSpec, mime, MimeError } from "../mime.ts";
import type { SmtpError } from "./dialogue.ts";
import { closeSmtpPools, type Pool, poolFor } from "./pool.ts";
import { openSession } from "./session.ts";

const Credentials = z.object({
  username: z.string().min(1).optional().meta({
    title: "User name",
    description: "Leave empty for a relay that needs no sign-in.",
    placeholder: "you@example.com",
  }),
  password: z
    .string()
    .min(1)
    .optional()
    .meta({ title: "Password", description: "Often an app password.", secret: true }),
});
type Credentials = z.infer<typeof Credentials>;

const CONNECTIONS = 5;

const Settings = z.object({
  host: z.string().min(1).meta({ title: "Host", placeholder: "smtp.example.com" }),
  port: z
    .number()
    .int()
    .min(1)
    .max(65535)
    .default(587)
    .meta({ title: "Port", description: "587 for STARTTLS, 465 for TLS." }),
  security: z
    .enum(["starttls", "tls", "none"])
    .default("starttls")
    .meta({ title: "Encryption", description: "«none» is allowed only for a host on a private network." }),
  envelope_from: z
    .email()
    .optional()
    .meta({ title: "Return path", description: "Address for bounces, if different from the sender's address." }),
  timeout_seconds: z
    .number()
    .int()
    .min(1)
    .max(120)
    .default(60)
    .meta({ title: "Timeout in seconds", description: "The longest time to wait for a response of the server." }),
  connections: z.number().int().min(1).max(50).default(CONNECTIONS).meta({
    title: "Connections",
    description:
      "How many connections to the server are open at the same time, each with one message at a time. Lower it if the server allows fewer.",
  }),
});
type Settings = z.infer<typeof Settings>;

/** For a message, with the wait for a connection, however slowly the server answers each command: what is not over then is given up. */
const CALL_SECONDS = 180;

/** `base_url` (smtp://host:port or smtps://…) replaces host, port and encryption; that is how a rehearsal server plugs in. */
function settingsOf(connection: Connection<Credentials>): Settings {
  if (!connection.base_url) {
    const parsed = Settings.safeParse(connection.settings);
    if (!parsed.success) throw new AppError("invalid", `SMTP settings: ${z.prettifyError(parsed.error)}`);
    return parsed.data;
  }
  const url = new URL(connection.base_url);
  const security = url.protocol === "smtps:" ? "tls" : "none";
  return Settings.parse({
    ...connection.settings,
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: Number(url.port || (security === "tls" ? 465 : 25)),
    security,
  });
}

type Prepared = { http: HttpClient; settings: Settings; key: string };

/** What a connection comes to, worked out once: the caller keeps the object for all messages of its turn. */
const prepared = new WeakMap<Connection<Credentials>, Prepared>();
/** A pool keeps the client whose address rules it was opened under. */
const clients = new WeakMap<HttpClient, string>();

/** The key holds the credentials, so a changed password opens anew. */
function prepare(connection: Connection<Credentials>, http: HttpClient): Prepared {
  const known = prepared.get(connection);
  if (known?.http === http) return known;
  const settings = settingsOf(connection);
  if (!clients.has(http)) clients.set(http, crypto.randomUUID());
  const key = JSON.stringify([clients.get(http), connection.id, connection.credentials, settings]);
  const made = { http, settings, key };
  prepared.set(connection, made);
  return made;
}

/** The enhanced status of a final refusal; empty without one. */
const statusOf = (reply: string): string => /^5\d\d[ -](5\.\d{1,3}\.\d{1,3})\b/.exec(reply)?.[1] ?? "";

/**
 * `begun`: the server had asked for the message and bytes of it were written. From there on only a reply of the server
 * settles it: a connection that dies after the final dot may have been accepted.
 */
export function outcomeOfSmtpError(error: SmtpError, begun: boolean): SendOutcome {
  const detail = error.message;
  const reply = error.responseCode;
  const code = reply ? `smtp_${reply}` : (error.originalCode ?? error.code ?? "smtp").toLowerCase();
  if (reply !== undefined && reply >= 400 && reply < 500) return retry(code, detail);
  const untrusted =
    error.code === "ETLS" ||
    error.code === "EREQUIRETLS" ||
    /CERT|SELF_SIGNED|UNABLE_TO|SSL|TLS/.test(error.originalCode ?? "");
  if (!begun && (untrusted || error.code === "EAUTH" || error.code === "ENOAUTH")) {
    return { outcome: "broken", code, detail };
  }
  if (error instanceof HttpError && (error.kind === "blocked" || error.kind === "tls")) {
    return { outcome: "broken", code: error.kind, detail };
  }
  if (reply !== undefined && reply >= 500) {
    const status = statusOf(error.response ?? "");
    // Refusing the sender concerns every message of this connection, refusing a recipient, the content or its size only this one.
    const tooLarge = status === "5.3.4" || status === "5.2.3";
    if (error.command === "MAIL FROM" && !tooLarge) return { outcome: "broken", code, detail };
    const gone = error.command === "RCPT TO" && isDeadAddress(status);
    return { outcome: "rejected", code, detail, ...(gone ? { recipient: "gone" } : {}) };
  }
  if (begun) return { outcome: "unknown", code, detail };
  return error.code === "EENVELOPE" || error.code === "EMESSAGE"
    ? { outcome: "rejected", code, detail }
    : retry(code, detail);
}

async function sendOne(message: OutboundMessage<EmailContent>, pool: Pool, settings: Settings, patienceMs: number) {
  const { from, to, content } = message;
  try {
    const { bytes, utf8 } = mime(message, new Date());
    const envelope = { from: addrSpec(settings.envelope_from ?? from.address), to: addrSpec(to.address) };
    const nonAscii = /[^ -~]/.test(envelope.from + envelope.to);
    await pool.send({ ...envelope, utf8: utf8 || nonAscii }, bytes, patienceMs);
    return { outcome: "sent", provider_message_id: content.message_id } as const;
  } catch (error) {
    if (error instanceof MimeError) return { outcome: "rejected", code: "mime", detail: error.message } as const;
    return outcomeOfSmtpError(error as SmtpError, (error as SmtpError).begun ?? false);
  }
}

/** SMTP with another patience than the default of three minutes for a message. */
export const smtpWithin = (callSeconds: number) =>
  defineProvider<EmailContent>()({
    id: "smtp",
    label: "SMTP",
    category: "email",
    docs_url: "https://datatracker.ietf.org/doc/html/rfc5321",
    setup:
      "Any mail server that accepts authenticated submission: your provider's help pages give the host, the port and whether an app password " +
      "is needed. SMTP reports no deliveries or bounces back; opens, clicks and unsubscribes are measured by our own links.",
    credentials: Credentials,
    settings: Settings,
    default_base_url: null,
    runs_in: "worker",

    async check(connection, http) {
      try {
        const settings = settingsOf(connection);
        const { host, port, security } = settings;
        const session = await openSession({ ...settings, ...connection.credentials }, http, callSeconds * 1000);
        session.close();
        return { ok: true, detail: `${host}:${port} accepts these credentials (encryption: ${security}).` };
      } catch (error) {
        if (error instanceof AppError) throw error;
        const { code, message, responseCode } = error as SmtpError;
        const suggestion =
          code === "EAUTH"
            ? "Check user name and password; many providers require an app password."
            : "Check host, port and encryption: port 587 is for STARTTLS, port 465 for TLS.";
        return {
          ok: false,
          code: responseCode ? `smtp_${responseCode}` : (code ?? "smtp").toLowerCase(),
          detail: message,
          suggestion,
        };
      }
    },

    send: {
      per_second: 50,
      batch: 1,
      call_seconds: callSeconds,
      parallel: ({ settings }) => Settings.shape.connections.safeParse(settings.connections).data ?? CONNECTIONS,
      reconcile: { by: "none" },
      async send(messages, connection, http) {
        const { settings, key } = prepare(connection, http);
        const patienceMs = callSeconds * 1000;
        const pool = poolFor(key, settings.connections, () =>
          openSession({ ...settings, ...connection.credentials }, http, patienceMs),
        );
        return await Promise.all(messages.map((message) => sendOne(message, pool, settings, patienceMs)));
      },
    },

    close() {
      closeSmtpPools();
      return Promise.resolve();
    },
  });

export const smtp = smtpWithin(CALL_SECONDS);
