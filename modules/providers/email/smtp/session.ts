import net from "node:net";
import SMTPConnection from "nodemailer/lib/smtp-connection";
import { HttpError, isPublicAddress } from "../../../kernel/http/client.ts";
import type { HttpClient } from "../../../kernel/http/client.ts";
import { closed, type Extensions, type Session, sessionOver, smtpError, type SmtpError } from "./dialogue.ts";

/** Makes signed-in connections to a mail server. Greeting, EHLO, TLS and AUTH are nodemailer's. */

export type Server = {
  host: string;
  port: number;
  security: "starttls" | "tls" | "none";
  /** The longest silence of the server, in seconds. */
  timeout_seconds: number;
  username?: string | undefined;
  password?: string | undefined;
};

/** Opens the socket under the client's address rules; clear text to a public address is refused. */
function connect({ host, port, security }: Server, http: HttpClient): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    http.assertAllowed(host, port);
    const exposed = () =>
      new HttpError(
        "tls",
        "A public host without encryption is not allowed: the password and the messages could be read on the way.",
        false,
      );
    if (security === "none" && isPublicAddress(host)) throw exposed();
    const socket = net.connect({ host, port, lookup: http.lookupFor(port) });
    const timer = setTimeout(
      () => socket.destroy(new HttpError("timeout", "The connection was not established in time.", false)),
      15_000,
    );
    socket.once("error", reject);
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.removeListener("error", reject);
      if (security === "none" && isPublicAddress(socket.remoteAddress ?? "")) {
        socket.destroy();
        return reject(exposed());
      }
      resolve(socket);
    });
    socket.once("close", () => clearTimeout(timer));
  });
}

/** Connects and signs in, within `patienceMs` for all of it. Rejects with an SmtpError or HttpError. */
export async function openSession(server: Server, http: HttpClient, patienceMs: number): Promise<Session> {
  const began = performance.now();
  const socket = await connect(server, http);
  const connection = new SMTPConnection({
    connection: socket,
    host: server.host,
    port: server.port,
    secure: server.security === "tls",
    requireTLS: server.security === "starttls",
    ignoreTLS: server.security === "none",
    socketTimeout: server.timeout_seconds * 1000,
    greetingTimeout: server.timeout_seconds * 1000,
    tls: { servername: net.isIP(server.host) ? undefined : server.host },
  });
  return new Promise((resolve, reject) => {
    const give = (error: SmtpError) => {
      clearTimeout(timer);
      reject(error);
      connection.close();
      socket.destroy();
    };
    const late = smtpError("The server was not ready in time.", { code: "ETIMEDOUT", command: "CONN" });
    const timer = setTimeout(() => give(late), Math.max(1, patienceMs - (performance.now() - began)));
    connection.on("error", give);
    connection.once("end", () => give(closed()));
    connection.connect((error) => {
      if (error) return give(error);
      const extensions = extensionsOf(connection.lastServerResponse || "");
      const ready = (failed?: SmtpError | null) => {
        if (failed) return give(failed);
        clearTimeout(timer);
        connection.removeAllListeners();
        resolve(sessionOver(connection, extensions));
      };
      const { username: user, password: pass = "" } = server;
      if (!user || !connection.allowsAuth) return ready();
      connection.login({ user, credentials: { user, pass } }, ready);
    });
  });
}

/** What the reply to EHLO offers (RFC 5321, 4.1.1.1). */
function extensionsOf(ehlo: string): Extensions {
  const offered = new Map<string, string>();
  for (const line of ehlo.split(/\r?\n/).slice(1)) {
    const [keyword = "", ...rest] = line.slice(4).trim().split(/\s+/);
    offered.set(keyword.toUpperCase(), rest.join(" "));
  }
  const size = offered.get("SIZE");
  return {
    pipelining: offered.has("PIPELINING"),
    size: size === undefined ? null : Number(/^\d+/.exec(size)?.[0] ?? 0),
    eightBit: offered.has("8BITMIME"),
    utf8: offered.has("SMTPUTF8"),
  };
}
