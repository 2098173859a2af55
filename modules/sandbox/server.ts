import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Hono } from "hono";
import { createClock } from "./clock.ts";
import { SILENCE } from "./context.ts";
import type { Sandbox } from "./context.ts";
import { controlApi } from "./control.ts";
import { type Emulation, emulatedApi } from "./emulation.ts";
import { createFaults } from "./faults.ts";
import { createHooks } from "./hooks.ts";
import { createReach } from "./reach.ts";
import { createStore } from "./store.ts";
import { createWorld } from "./world.ts";

export type SandboxOptions = {
  /** The providers it plays. */
  emulations: readonly Emulation[];
  /** 0 or absent: any free port. `ports`: of the emulations that have one of their own, by id. */
  port?: number;
  ports?: Readonly<Record<string, number>>;
  /** JSONL file that remembers everything across restarts; absent: memory only. */
  data?: string | null;
  /** 1: about half a minute from delivery to reply; 10: ten times faster. */
  speed?: number;
  /** Hosts besides loopback that webhooks, links and pixels may live on. */
  hosts?: readonly string[] | undefined;
  /** Base URLs of the installation it belongs to: it calls their links and webhooks and nothing else. Absent: any address of loopback. */
  installation?: readonly string[] | undefined;
  /** Bearer token of the control API; absent: open, on loopback. */
  token?: string | null;
  /** Seed of the faults' chance. */
  seed?: number;
};

export type RunningSandbox = {
  url: string;
  port: number;
  ports: Readonly<Record<string, number>>;
  /** What a connection to this emulation has as its base URL. */
  baseUrl(id: string): string;
  close(): Promise<void>;
};

const MAX_BODY = 60 * 1024 * 1024;

/** Starts the sandbox on 127.0.0.1: `/<id>` for every emulation and `/_sandbox` over HTTP, and the servers of other protocols. */
export async function createSandbox(options: SandboxOptions): Promise<RunningSandbox> {
  const speed = options.speed ?? 1;
  if (!(speed > 0)) throw new Error(`The sandbox's speed must be a number above 0, not ${options.speed}.`);
  const store = createStore(options.data ?? null);
  const faults = createFaults(options.seed);
  const clock = createClock(speed);
  const reach = createReach(options);
  const hooks = createHooks({ clock, faults, reach });
  const emulations = new Map(options.emulations.map((e) => [e.id, e]));
  const world = createWorld({ store, clock, reach, hooks, emulations });
  const sandbox: Sandbox = { store, clock, faults, hooks, world };

  const app = new Hono();
  const paths: string[] = [];
  for (const emulation of options.emulations) {
    const { id, http } = emulation;
    if (!http) continue;
    app.route(`/${id}`, emulatedApi(sandbox, { ...emulation, http }));
    paths.push(`/${id}`);
  }
  app.route("/_sandbox", controlApi(sandbox, emulations, { token: options.token ?? null }));
  app.get("/", (c) => c.json({ sandbox: true, providers: paths, control: "/_sandbox" }));

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
  const listeners = new Map<string, { port: number; close(): Promise<void> }>();
  const closeListeners = () => Promise.all([...listeners.values()].map((l) => l.close()));
  try {
    for (const { id, listen } of options.emulations)
      if (listen) listeners.set(id, await listen(sandbox, options.ports?.[id] ?? 0));
  } catch (error) {
    server.close();
    await closeListeners();
    throw error;
  }
  world.resume();

  return {
    url: `http://127.0.0.1:${port}`,
    port,
    ports: Object.fromEntries([...listeners].map(([id, l]) => [id, l.port])),
    baseUrl(id) {
      const own = listeners.get(id);
      return own ? `${id}://127.0.0.1:${own.port}` : `http://127.0.0.1:${port}/${id}`;
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await Promise.all([closed, closeListeners(), clock.stop()]);
    },
  };
}
