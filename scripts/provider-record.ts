import http from "node:http";
import net from "node:net";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { modules } from "../modules/boot.ts";
import { createHttpClient } from "../modules/kernel/http/client.ts";
import type { AnyProvider, OutboundMessage } from "../modules/kernel/provider.ts";
import { createRegistry } from "../modules/kernel/registry.ts";
import type { Emulation } from "../modules/sandbox/emulation.ts";
import { loadEmulations } from "../modules/sandbox/emulations.ts";
import { createSandbox } from "../modules/sandbox/server.ts";
import { pascal } from "./scaffold.ts";

/**
 * `npm run -s provider:record -- resend`: prints what the adapter sends, byte for byte: one message, and a batch where it has one. The
 * real adapter and HTTP client talk to a recorder on 127.0.0.1, which passes everything on to the provider's emulation.
 */

export type RecordedRequest = { method: string; path: string; headers: Record<string, string>; body: string };
/** `data` is the message as it was sent, without the dots that SMTP adds. */
export type RecordedMail = { mail_from: string; rcpt_to: string[]; data: string };
export type Recording = RecordedRequest[] | { protocol: "smtp"; messages: RecordedMail[] };

/** Messages of the batch: enough to see where one ends. */
const BATCH = 2;

/** Sends with the emulation's example credentials. Throws with the reason where nothing can be recorded. */
export async function record(provider: AnyProvider, emulation: Emulation): Promise<Recording> {
  const { id, send } = provider;
  if (!send) throw new Error(`${id} sends no messages, so there is nothing to record.`);
  if (!emulation.http && !emulation.listen)
    throw new Error(`The emulation of ${id} has neither http nor listen: nobody would answer the adapter.`);
  const example = await exampleOf(provider.category);
  // So slow that no recipient acts, and no webhook leaves, before it is closed again.
  const sandbox = await createSandbox({ emulations: [emulation], speed: 0.001 });
  try {
    const base = new URL(sandbox.baseUrl(id));
    if (!["http:", "smtp:"].includes(base.protocol))
      throw new Error(`The emulation of ${id} speaks ${base.protocol.slice(0, -1)}; HTTP and SMTP can be recorded.`);
    const recorder = base.protocol === "http:" ? await recordHttp(base) : await recordSmtp(Number(base.port));
    try {
      const { credentials, settings = {} } = emulation.example();
      const connection = {
        id: messageId(0),
        credentials,
        settings,
        base_url: `${base.protocol}//127.0.0.1:${recorder.port}`,
        webhook_url: `https://overture.example/webhooks/${id}/${messageId(0)}`,
      };
      const client = createHttpClient({
        allowPrivateHosts: [`127.0.0.1:${recorder.port}`],
        userAgent: "Overture",
      });
      const messages = Array.from({ length: 1 + BATCH }, (_, i) => example({ id: messageId(i + 1) }));
      for (const part of [messages.slice(0, 1), ...(send.batch > 1 ? [messages.slice(1)] : [])]) {
        for (const outcome of await send.send(part, connection, client))
          if (outcome.outcome !== "sent")
            throw new Error(`The emulation of ${id} did not take the message: ${JSON.stringify(outcome)}`);
      }
      return recorder.recording();
    } finally {
      await provider.close?.();
      await recorder.close();
    }
  } finally {
    await sandbox.close();
  }
}

/** The same in every run, so that two recordings can be compared. */
const messageId = (n: number) => `018f0000-0000-7000-8000-${String(n).padStart(12, "0")}`;

type Example = (over: { id: string }) => OutboundMessage;

/** The channel's complete message, which the tests of its providers send too. */
async function exampleOf(channel: string): Promise<Example> {
  const path = `modules/providers/${channel}/fixtures.ts`;
  const name = `example${pascal(channel)}`;
  const url = pathToFileURL(join(import.meta.dirname, "..", path)).href;
  const { [name]: example } = (await import(url).catch((error: unknown) => {
    if ((error as { code?: string }).code === "ERR_MODULE_NOT_FOUND") return {};
    throw error;
  })) as Record<string, Example | undefined>;
  if (!example) throw new Error(`There is no message to send on ${channel}: ${path} must export ${name}.`);
  return example;
}

type Recorder = { port: number; recording(): Recording; close(): Promise<void> };

/** Hop-by-hop headers: of this connection, not of the message. */
const HOP = new Set(["connection", "keep-alive", "transfer-encoding", "host", "content-length"]);

/** An HTTP server that notes each request as it came, and answers as the emulation at `base` does. */
async function recordHttp(base: URL): Promise<Recorder> {
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
async function recordSmtp(port: number): Promise<Recorder> {
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
    recording() {
      // A batch goes over several connections at once: in the order of the message ids, whichever was faster.
      const place = ({ data }: RecordedMail) =>
        [1, 2, 3].find((n) => data.includes(messageId(n))) ?? Number.MAX_SAFE_INTEGER;
      return { protocol: "smtp", messages: messages.toSorted((a, b) => place(a) - place(b)) };
    },
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

async function main(args: string[]): Promise<void> {
  const [id, ...others] = args;
  if (!id || id.startsWith("-") || others.length > 0) throw new Error("Type: npm run -s provider:record -- <provider>");
  const { providers } = createRegistry(modules);
  const provider = providers.find((p) => p.id === id);
  if (!provider) throw new Error(`There is no provider «${id}». Use one of: ${providers.map((p) => p.id).join(", ")}.`);
  const emulation = (await loadEmulations()).find((e) => e.id === id);
  if (!emulation) throw new Error(`${id} has no emulation.ts beside its adapter: nobody would answer the adapter.`);
  console.log(JSON.stringify(await record(provider, emulation), null, 2));
}

if (process.argv[1] && import.meta.filename === resolve(process.argv[1])) {
  await main(process.argv.slice(2)).catch((error: Error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
