import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Hono } from "hono";
import { createClock } from "./clock.ts";
import { SILENCE } from "./context.ts";
import type { Sandbox } from "./context.ts";
import { controlApi } from "./control.ts";
import { createFaults } from "./faults.ts";
import { createHooks } from "./hooks.ts";
import { postmarkApi } from "./postmark.ts";
import { postmarkVoice } from "./postmark-voice.ts";
import { createReach } from "./reach.ts";
import { resendApi } from "./resend.ts";
import { resendVoice } from "./resend-voice.ts";
import { startSmtp } from "./smtp.ts";
import { createStore } from "./store.ts";
import { createWorld } from "./world.ts";

export type SandboxOptions = {
  /** 0 or absent: any free port. */
  port?: number;
  smtpPort?: number;
  /** JSONL file that remembers everything across restarts; absent: memory only. */
  data?: string | null;
  /** 1: about half a minute from delivery to reply; 10: ten times faster. */
  speed?: number;
  /** Hosts besides loopback that webhooks, links and pixels may live on. */
  hosts?: readonly string[];
  /** Bearer token of the control API; absent: open, on loopback. */
  token?: string | null;
  /** Seed of the faults' chance. */
  seed?: number;
};

export type RunningSandbox = { url: string; port: number; smtpPort: number; close(): Promise<void> };

const MAX_BODY = 60 * 1024 * 1024;

/** Starts the sandbox on 127.0.0.1: `/resend`, `/postmark`, `/_sandbox` over HTTP, and an SMTP server. */
export async function createSandbox(options: SandboxOptions = {}): Promise<RunningSandbox> {
  const speed = options.speed ?? 1;
  if (!(speed > 0)) throw new Error(`The sandbox's speed must be a number above 0, not ${options.speed}.`);
  const store = createStore(options.data ?? null);
  const faults = createFaults(options.seed);
  const clock = createClock(speed);
  const reach = createReach(options.hosts ?? []);
  const hooks = createHooks({ clock, faults, reach });
  const silent = { event: () => {}, inbound: () => {} };
  const voices = { resend: resendVoice(() => hooks), postmark: postmarkVoice(() => hooks), smtp: silent };
  const world = createWorld({ store, clock, reach, voices });
  const sandbox: Sandbox = { store, clock, faults, hooks, world };

  const app = new Hono();
  app.route("/resend", resendApi(sandbox));
  app.route("/postmark", postmarkApi(sandbox));
  app.route("/_sandbox", controlApi(sandbox, { token: options.token ?? null }));
  app.get("/", (c) => c.json({ sandbox: true, providers: ["/resend", "/postmark"], control: "/_sandbox" }));

  const sockets = new Set<Socket>();
  const server = http.createServer((req, res) => void handle(req, res));
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });

  async function handle(req: http.IncomingMessage, res: http.ServerResponse) {
    try {
      const chunks: Uint8Array[] = [];
      let size = 0;
      for await (const chunk of req) {
        size += (chunk as Uint8Array).byteLength;
        if (size > MAX_BODY) {
          res.writeHead(413).end();
          return;
        }
        chunks.push(chunk as Uint8Array);
      }
      const headers = new Headers();
      for (const [name, value] of Object.entries(req.headers)) {
        if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(", ") : value);
      }
      const hasBody = req.method !== "GET" && req.method !== "HEAD";
      const request = new Request(new URL(req.url ?? "/", "http://127.0.0.1"), {
        method: req.method ?? "GET",
        headers,
        ...(hasBody ? { body: new Uint8Array(Buffer.concat(chunks)) } : {}),
      });
      const response = await app.fetch(request);
      const silence = response.headers.get(SILENCE);
      if (silence === "reset") return void req.socket.destroy();
      if (silence === "hang") return;
      res.writeHead(response.status, Object.fromEntries(response.headers));
      res.end(new Uint8Array(await response.arrayBuffer()));
    } catch (error) {
      console.error(
        JSON.stringify({ level: "error", msg: "sandbox request failed", path: req.url, error: String(error) }),
      );
      if (!res.headersSent) res.writeHead(500, { "content-type": "application/json" });
      res.end(JSON.stringify({ error: "The sandbox itself failed; see its log." }));
    }
  }

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", () => {
      server.removeListener("error", reject);
      resolve();
    });
  });
  const port = (server.address() as AddressInfo).port;
  const smtp = await startSmtp(sandbox, options.smtpPort ?? 0).catch((error: unknown) => {
    server.close();
    throw error;
  });
  world.resume();

  return {
    url: `http://127.0.0.1:${port}`,
    port,
    smtpPort: smtp.port,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await Promise.all([closed, smtp.close(), clock.stop()]);
    },
  };
}
