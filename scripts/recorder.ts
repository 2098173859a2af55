import http from "node:http";
import net from "node:net";
import type { AddressInfo } from "node:net";

/** Servers on 127.0.0.1 that note what an adapter sends, and pass it on to its emulation for an answer. */

export type RecordedRequest = { method: string; path: string; headers: Record<string, string>; body: string };
/** `data` is the message as it was sent, without the dots that SMTP adds. */
export type RecordedMail = { mail_from: string; rcpt_to: string[]; data: string };
export type Recording = RecordedRequest[] | { protocol: "smtp"; messages: RecordedMail[] };

export type Recorder = { port: number; recording(): Recording; close(): Promise<void> };

/** Hop-by-hop headers: of this connection, not of the message. */
const HOP = new Set(["connection", "keep-alive", "transfer-encoding", "host", "content-length"]);

/** An HTTP server that notes each request as it came, and answers as the emulation at `base` does. */
export async function recordHttp(base: URL): Promise<Recorder> {
  const requests: RecordedRequest[] = [];
  const server = http.createServer((req, res) => {
    void (async () => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of req) chunks.push(chunk as Uint8Array);
      const body = Buffer.concat(chunks);
      const headers: Record<string, string> = {};
      for (const [name, value] of Object.entries(req.headers)) headers[name] = [value].flat().join(", ");
      const method = req.method ?? "GET";
      const path = req.url ?? "/";
      requests.push({ method, path, headers, body: body.toString("utf8") });
      const answer = await fetch(`${base.href.replace(/\/$/, "")}${path}`, {
        method,
        headers: Object.entries(headers).filter(([name]) => !HOP.has(name)),
        ...(body.byteLength > 0 ? { body } : {}),
      });
      res.writeHead(answer.status, Object.fromEntries([...answer.headers].filter(([name]) => !HOP.has(name))));
      res.end(new Uint8Array(await answer.arrayBuffer()));
    })().catch((error: Error) => res.destroy(error));
  });
  const port = await listenOn(server);
  return {
    port,
    recording: () => requests,
    close() {
      server.closeAllConnections();
      return closed(server);
    },
  };
}

/** Passes every byte on to the SMTP server at `port`, and reads the client's side of the dialogue. */
export async function recordSmtp(port: number): Promise<Recorder> {
  const messages: RecordedMail[] = [];
  const sockets = new Set<net.Socket>();
  const server = net.createServer((client) => {
    const upstream = net.connect(port, "127.0.0.1");
    const read = smtpReader((mail) => messages.push(mail));
    client.on("data", read);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on("error", () => to.destroy());
      from.on("close", () => sockets.delete(from));
      from.pipe(to);
    }
  });
  const own = await listenOn(server);
  return {
    port: own,
    recording: () => ({ protocol: "smtp", messages }),
    close() {
      for (const socket of sockets) socket.destroy();
      return closed(server);
    },
  };
}

/** Reads what an SMTP client says (RFC 5321): the envelope out of its commands, the message between DATA and the final dot. */
export function smtpReader(done: (mail: RecordedMail) => void): (chunk: Uint8Array) => void {
  let waiting: Buffer = Buffer.alloc(0);
  let mail: RecordedMail = { mail_from: "", rcpt_to: [], data: "" };
  let data: string[] | null = null;
  return (chunk) => {
    waiting = Buffer.concat([waiting, chunk]);
    for (let end = waiting.indexOf("\r\n"); end >= 0; end = waiting.indexOf("\r\n")) {
      const line = waiting.subarray(0, end).toString("utf8");
      waiting = waiting.subarray(end + 2);
      if (data === null) {
        const [, verb, address] = /^(MAIL FROM|RCPT TO|DATA\s*$):?\s*(?:<([^>]*)>)?/i.exec(line) ?? [];
        const command = verb?.trim().toUpperCase();
        if (command === "MAIL FROM") mail = { mail_from: address ?? "", rcpt_to: [], data: "" };
        if (command === "RCPT TO") mail.rcpt_to.push(address ?? "");
        if (command === "DATA") data = [];
      } else if (line === ".") {
        done({ ...mail, data: data.map((text) => `${text}\r\n`).join("") });
        data = null;
      } else data.push(line.startsWith(".") ? line.slice(1) : line);
    }
  };
}

const listenOn = (server: net.Server) =>
  new Promise<number>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
const closed = (server: net.Server) => new Promise<void>((resolve) => server.close(() => resolve()));
