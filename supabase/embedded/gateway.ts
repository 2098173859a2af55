import { join } from "node:path";
import process from "node:process";
import postgres from "postgres";
import { signInDigest } from "../../modules/kernel/http/addresses.ts";
import { redact } from "../../modules/kernel/observability/log.ts";
import { accountAdmin } from "./account-admin.ts";
import { authRules } from "./auth-rules.ts";
import { Scheduler } from "./cron.ts";
import { Functions } from "./functions.ts";
import { addressOf, Guard } from "./guard.ts";
import { createLite } from "./lite.ts";
import { NetWorker } from "./net.ts";
import { createProbe } from "./probe.ts";
import { realtimeLimits } from "./realtime-limits.ts";
import { Realtime } from "./realtime.ts";
import { createRestTurns, limitQuery, refusalOf } from "./rest-limits.ts";
import { StaticSite } from "./static-site.ts";

// The API process of the embedded Supabase, run by Deno: everything Supabase's own gateway routes to, on one port.
// It tells its supervisor on standard output when it is ready, and stops when its standard input closes.

const env = Deno.env.toObject();
const required = (name: string): string => env[name] ?? fail(`${name} is not set; the gateway is started by npm start`);
const root = required("EMBEDDED_ROOT");
const port = Number(required("EMBEDDED_PORT"));
const hostname = env.OVERTURE_HOST || "127.0.0.1";
const log = (message: string) => console.error(`${new Date().toISOString()} ${message}`);
// The embedded REST and auth server prints what fails as it is, with rows and addresses. Our own lines, JSON, are masked already.
for (const name of ["error", "warn", "info", "debug"] as const) {
  const print = console[name].bind(console);
  const masked = (part: unknown) =>
    typeof part !== "string" ? JSON.stringify(redact(part)) : part.startsWith("{") ? part : redact(part);
  console[name] = (...parts: unknown[]) => {
    try {
      print(...parts.map(masked));
    } catch {
      // A full disk takes no lines, and Deno throws then: the request must not fail of it.
    }
  };
}

// The database's driver tells of a lost connection also where nobody waits for it any more: that is no reason to end for everybody.
globalThis.addEventListener("unhandledrejection", (event) => {
  if (!/^CONNECTION_/.test(String((event.reason as { code?: unknown } | null)?.code))) return;
  event.preventDefault();
  log(`gateway: a connection to the database was lost: ${(event.reason as Error).message}`);
});

const sql = postgres(required("EMBEDDED_ADMIN_DB_URL"), { max: 4, onnotice: () => {} });
const keys = {
  jwtSecret: required("SUPABASE_JWT_SECRET"),
  publishableKey: required("SUPABASE_PUBLISHABLE_KEY"),
  secretKey: required("SUPABASE_SECRET_KEY"),
};
const lite = createLite({
  ...keys,
  url: required("EMBEDDED_API_DB_URL"),
  siteUrl: env.OVERTURE_PUBLIC_URL ?? required("SUPABASE_URL"),
});
const restInTurn = createRestTurns(keys.jwtSecret, {
  // Whoever is in no team, or no user, shares with nobody.
  teamOf: async (user) => {
    if (!/^[0-9a-f-]{36}$/.test(user)) return null;
    const rows =
      await sql`select tenant_id from public.members where user_id = ${user}::uuid order by tenant_id limit 1`.catch(
        () => [],
      );
    return (rows[0]?.tenant_id as string | undefined) ?? null;
  },
});
const guard = new Guard({
  timeoutMs: Number(env.OVERTURE_BODY_TIMEOUT || 30) * 1000,
  knows: async (email, address) => {
    const digest = await signInDigest(email, address);
    return digest !== null && (await asked(sql`select private.knows_address(${digest}) as yes`));
  },
});
const auth = authRules({
  guard,
  send: (request, peer) => lite.fetch(request, peer),
  endStolen: (token) => asked(sql`select private.end_stolen_session(${token}) as yes`),
  unproven: (session) => asked(sql`select not kernel.session_open(${session}) as yes`),
  admin: accountAdmin(sql, keys.secretKey),
});
// Strangers may ask realtime: what they have it ask the database must hold up neither schedules nor what others are to hear.
const realtimeSql = postgres(required("EMBEDDED_ADMIN_DB_URL"), { max: 4, onnotice: () => {} });
const deliverySql = postgres(required("EMBEDDED_ADMIN_DB_URL"), { max: 2, onnotice: () => {} });
const realtime = new Realtime({
  sql: realtimeSql,
  delivery: deliverySql,
  keys,
  limits: settings(() => realtimeLimits(env)),
  upgrade: (request) => Deno.upgradeWebSocket(request, { idleTimeout: 30 }),
  log,
});
const probe = createProbe({ lite, realtime });
const scheduler = new Scheduler({ sql, dbUrl: required("SUPABASE_DB_URL"), log });
const net = new NetWorker(sql, log);
const site = new StaticSite(join(root, "web", "build"));

// Functions must not learn what only the platform may know.
const functionEnv = Object.fromEntries(
  Object.entries(env).filter(([name]) => !name.startsWith("EMBEDDED_") && !name.endsWith("_ADMIN_PASSWORD")),
);
for (const name of Object.keys(env)) if (!(name in functionEnv)) Deno.env.delete(name);
const functions =
  env.EMBEDDED_FUNCTIONS === "off"
    ? null
    : await Functions.load(root, functionEnv).catch((error) => fail(error.message));

const server = Deno.serve(
  {
    hostname,
    port,
    onListen: () => {},
    onError: (error) => (log(`gateway: ${(error as Error).stack}`), unavailable()),
  },
  (request, info) => route(request, (info.remoteAddr as Deno.NetAddr).hostname),
);
await realtime.start();
await net.start();
if (env.EMBEDDED_CRON !== "off") await scheduler.start();
console.log(JSON.stringify({ ready: true, pid: Deno.pid, port }));

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** Which part answers: Supabase's prefixes and the functions' aliases first, the console for the rest. */
async function route(request: Request, peer: string): Promise<Response> {
  // No Request can be made with TRACE and its like, and nothing here answers them.
  if (!METHODS.has(request.method)) return Response.json({ error: "Method not allowed" }, { status: 405 });
  const { pathname } = new URL(request.url);
  const isPart = (name: string) => pathname === `/${name}/v1` || pathname.startsWith(`/${name}/v1/`);
  const supabase = isPart("rest") || isPart("auth") || isPart("realtime") || isPart("functions");
  if (supabase && request.method === "OPTIONS") return preflight(request);
  if (isPart("rest") || isPart("auth") || isPart("realtime")) {
    const admitted = await guard.admit(request, peer);
    if (admitted instanceof Response) return shared(request, admitted);
    const failure = await probe(request.method, pathname);
    if (failure) return shared(request, failure);
    if (isPart("realtime")) return shared(request, await realtime.fetch(admitted, addressOf(request, peer)));
    return shared(request, isPart("rest") ? await rest(admitted, peer) : await auth(admitted, peer));
  }
  if (isPart("storage") || isPart("graphql")) {
    return Response.json({ error: "This part of Supabase is not in the embedded server" }, { status: 501 });
  }
  const answer = await functions?.fetch(request, peer);
  if (answer) return supabase ? shared(request, answer) : answer;
  if (supabase) return shared(request, Response.json({ message: "Requested function was not found" }, { status: 404 }));
  return await site.fetch(request);
}

async function rest(request: Request, peer: string): Promise<Response> {
  // Within the caller's turn: reading a query is work as well.
  return await restInTurn(request, addressOf(request, peer), async () => {
    const url = limitQuery(new URL(request.url));
    if (!(url instanceof URL)) return refusalOf(url);
    return await lite.fetch(url.href === request.url ? request : new Request(url, request), peer);
  });
}

/** Any origin may call: what a caller may do is decided by its key and token, never by a cookie. */
function preflight(request: Request): Response {
  const headers =
    request.headers.get("access-control-request-headers") ?? "authorization, apikey, content-type, x-client-info";
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-origin": "*",
      "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
      "access-control-allow-headers": headers,
      "access-control-max-age": "3600",
      vary: "access-control-request-headers",
    },
  });
}

function shared(request: Request, response: Response): Response {
  if (response.status === 101 || !request.headers.has("origin") || response.headers.has("access-control-allow-origin"))
    return response;
  const headers = new Headers(response.headers);
  headers.set("access-control-allow-origin", "*");
  headers.set("access-control-expose-headers", "*");
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}

function unavailable(): Response {
  return Response.json({ error: "The server failed on this request; see gateway.log" }, { status: 500 });
}

function settings<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    return fail((error as Error).message);
  }
}

function fail(message: string): never {
  console.log(JSON.stringify({ failed: message }));
  Deno.exit(1);
}

/** What a function of the product says; no where the platform runs without the product. */
async function asked(question: PromiseLike<postgres.Row[]>): Promise<boolean> {
  try {
    return (await question)[0]?.yes === true;
  } catch (error) {
    if (["42883", "3F000"].includes(String((error as { code?: unknown }).code))) return false;
    throw error;
  }
}

let stopping = false;
async function stop(): Promise<void> {
  if (stopping) return;
  stopping = true;
  // First what starts new work, then open requests, then what they need.
  await scheduler.stop();
  await net.stop();
  await realtime.close();
  await Promise.race([server.shutdown(), new Promise((done) => setTimeout(done, 8_000))]);
  await functions?.close();
  await lite.close();
  await Promise.all([sql, realtimeSql, deliverySql].map((pool) => pool.end({ timeout: 5 })));
  Deno.exit(0);
}
for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, () => void stop());
// The pipe from the supervisor closes when it dies, however it dies; the database goes with it, so nothing can be finished.
const orphaned = () => void (stopping || Deno.exit(1));
process.stdin.on("end", orphaned).on("error", orphaned).resume();
