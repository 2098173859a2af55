import net from "node:net";
// Deno 2.1 has the web's setTimeout, whose number has no unref.
import { setTimeout as nodeTimeout } from "node:timers";
import nodemailer from "nodemailer";
import { z } from "zod";
import type { EmailContent } from "../../../channels/email/content.ts";
import { isDeadAddress } from "../../../channels/email/status-code.ts";
import { AppError } from "../../../kernel/errors.ts";
import { HttpError, isPublicAddress } from "../../../kernel/http/client.ts";
import type { HttpClient } from "../../../kernel/http/client.ts";
import { defineProvider } from "../../../kernel/provider.ts";
import type { Connection, OutboundMessage, Party, SendOutcome } from "../../../kernel/provider.ts";
import { retry } from "../../answers.ts";

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
});
type Settings = z.infer<typeof Settings>;

type BodyStream = { readableDidRead: boolean };
type Mail = { data: { onStream?: (stream: BodyStream) => void }; message: { createReadStream(): BodyStream } };
/** `busy`: how many batches and checks use it now; `usedAt`: when the last one ended, by the clock that no date moves. */
type Pool = { transport: ReturnType<typeof open>; busy: number; usedAt: number };

/** Open connections per tenant connection; the key holds the credentials, so a changed password opens anew. */
const pools = new Map<string, Pool>();
/** A pool keeps the client whose address rules it was opened under. */
const clients = new WeakMap<HttpClient, string>();
const IDLE_MS = 60_000;
/** For a whole batch, however slowly the server answers each command: what is not over then is given up. */
const CALL_SECONDS = 180;

/** Closes all pools when the process drains, or those nobody has used for a minute: what waits in one under way would be refused. */
export function closeSmtpPools(all = true, now = performance.now()): void {
  for (const [key, pool] of pools) {
    if (!all && (pool.busy > 0 || now - pool.usedAt < IDLE_MS)) continue;
    pool.transport.close();
    pools.delete(key);
  }
}

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

function connect(settings: Settings, http: HttpClient): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    http.assertAllowed(settings.host, settings.port);
    const exposed = () =>
      new HttpError(
        "tls",
        "A public host without encryption is not allowed: the password and the messages could be read on the way.",
        false,
      );
    if (settings.security === "none" && isPublicAddress(settings.host)) throw exposed();
    const socket = net.connect({ host: settings.host, port: settings.port, lookup: http.lookupFor(settings.port) });
    const timer = setTimeout(
      () => socket.destroy(new HttpError("timeout", "The connection was not established in time.", false)),
      15_000,
    );
    socket.once("error", reject);
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.removeListener("error", reject);
      if (settings.security === "none" && isPublicAddress(socket.remoteAddress ?? "")) {
        socket.destroy();
        return reject(exposed());
      }
      resolve(socket);
    });
    socket.once("close", () => clearTimeout(timer));
  });
}

function open(connection: Connection<Credentials>, settings: Settings, http: HttpClient) {
  const { username, password } = connection.credentials;
  const transport = nodemailer.createTransport({
    pool: true,
    host: settings.host,
    port: settings.port,
    secure: settings.security === "tls",
    requireTLS: settings.security === "starttls",
    ignoreTLS: settings.security === "none",
    maxConnections: 3,
    maxMessages: 100,
    // Never let the pool repeat a message by itself: what went out twice cannot be called back.
    maxRequeues: 0,
    socketTimeout: settings.timeout_seconds * 1000,
    greetingTimeout: settings.timeout_seconds * 1000,
    tls: { servername: net.isIP(settings.host) ? undefined : settings.host },
    ...(username ? { auth: { user: username, pass: password ?? "" } } : {}),
    getSocket: (_options: unknown, callback: (error: Error | null, socket?: { connection: net.Socket }) => void) => {
      connect(settings, http).then(
        (socket) => callback(null, { connection: socket }),
        (error: Error) => callback(error),
      );
    },
  } as Parameters<typeof nodemailer.createTransport>[0]);
  // A pooled connection may die between messages; the send that meets it reports the error itself.
  transport.on("error", () => {});
  // The body is read only once the server has asked for it: whether it was tells a safe failure from an unknown one.
  transport.use("stream", (mail: unknown, done: () => void) => {
    const { data, message } = mail as Mail;
    const create = message.createReadStream.bind(message);
    message.createReadStream = () => {
      const stream = create();
      data.onStream?.(stream);
      return stream;
    };
    done();
  });
  return transport;
}

function poolFor(connection: Connection<Credentials>, http: HttpClient): Pool {
  const settings = settingsOf(connection);
  if (!clients.has(http)) clients.set(http, crypto.randomUUID());
  const key = JSON.stringify([clients.get(http), connection.id, connection.credentials, settings]);
  const known = pools.get(key);
  if (known) return known;
  const made = { transport: open(connection, settings, http), busy: 0, usedAt: performance.now() };
  pools.set(key, made);
  return made;
}

/** Keeps the pool open for as long as `act` takes, and a minute more. */
async function withPool<T>(
  connection: Connection<Credentials>,
  http: HttpClient,
  act: (transport: Pool["transport"]) => Promise<T>,
): Promise<T> {
  const pool = poolFor(connection, http);
  pool.busy++;
  try {
    return await act(pool.transport);
  } finally {
    pool.busy--;
    pool.usedAt = performance.now();
    nodeTimeout(() => closeSmtpPools(false), IDLE_MS + 1000).unref();
  }
}

type SmtpError = Error & {
  code?: string;
  originalCode?: string;
  responseCode?: number;
  command?: string;
  /** The server's last reply, as it came. */
  response?: string;
};

/** The enhanced status of a final refusal; empty without one. */
const statusOf = (reply: string): string => /^5\d\d[ -](5\.\d{1,3}\.\d{1,3})\b/.exec(reply)?.[1] ?? "";

/**
 * `begun`: the server had asked for the message and bytes of it were read. From there on only a reply of the server
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
    // Refusing the sender concerns every message of this connection, refusing a recipient or the content only this one.
    if (error.command === "MAIL FROM") return { outcome: "broken", code, detail };
    const gone = error.command === "RCPT TO" && isDeadAddress(statusOf(error.response ?? ""));
    return { outcome: "rejected", code, detail, ...(gone ? { recipient: "gone" } : {}) };
  }
  if (begun) return { outcome: "unknown", code, detail };
  return error.code === "EENVELOPE" || error.code === "EMESSAGE"
    ? { outcome: "rejected", code, detail }
    : retry(code, detail);
}

async function sendOne(
  { from, to, content: email }: OutboundMessage<EmailContent>,
  transport: ReturnType<typeof open>,
  settings: Settings,
  signal: AbortSignal,
): Promise<SendOutcome> {
  let stream: BodyStream | undefined;
  const address = ({ address, name }: Party) => ({ address, name: name ?? "" });
  try {
    const info = await transport.sendMail({
      from: address(from),
      to: address(to),
      ...(email.reply_to ? { replyTo: email.reply_to } : {}),
      subject: email.subject,
      html: email.html,
      text: email.text,
      messageId: email.message_id,
      headers: email.headers,
      envelope: { from: settings.envelope_from ?? from.address, to: [to.address] },
      // Bodies are ours and final: nothing in them may make the server read files or URLs.
      disableFileAccess: true,
      disableUrlAccess: true,
      onStream: (s: BodyStream) => (stream = s),
      signal,
    } as Parameters<typeof transport.sendMail>[0]);
    return { outcome: "sent", provider_message_id: info.messageId ?? email.message_id };
  } catch (error) {
    return outcomeOfSmtpError(error as SmtpError, stream?.readableDidRead ?? false);
  }
}

/** SMTP with another patience than the default of three minutes for a batch. */
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
        await withPool(connection, http, (transport) => transport.verify());
        const { host, port, security } = settingsOf(connection);
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
      per_second: 5,
      batch: 10,
      call_seconds: callSeconds,
      reconcile: { by: "none" },
      async send(messages, connection, http) {
        const settings = settingsOf(connection);
        const signal = AbortSignal.timeout(callSeconds * 1000);
        return await withPool(connection, http, (transport) =>
          Promise.all(messages.map((message) => sendOne(message, transport, settings, signal))),
        );
      },
    },

    close() {
      closeSmtpPools();
      return Promise.resolve();
    },
  });

export const smtp = smtpWithin(CALL_SECONDS);
