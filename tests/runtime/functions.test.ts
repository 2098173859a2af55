import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { modules } from "../../modules/boot.ts";
import { configKeys } from "../../modules/kernel/config.ts";
import { buildFunctions, faultsOf, functionNames } from "../../scripts/build-functions.ts";
import { isFree, ROOT } from "../../supabase/embedded/home.ts";
import { startStack, type Stack } from "../../supabase/embedded/stack.ts";
import { until } from "../support/until.ts";
import { type DenoProcess, ISOLATED, runDeno } from "./process.ts";

// A database of its own: the worker and the tick drain every queue they find.
let stack: Stack;
let sql: postgres.Sql;
let out: string;
const running: DenoProcess[] = [];

beforeAll(async () => {
  out = mkdtempSync(join(tmpdir(), "overture-functions-"));
  [stack] = await Promise.all([
    startStack({ gateway: false, env: { LOG_LEVEL: "info", OVERTURE_DB_POOL: "3" } }),
    buildFunctions(out),
  ]);
  sql = postgres(stack.dbUrl, { max: 1, onnotice: () => {} });
}, 120_000);
afterAll(async () => {
  await Promise.all(running.map((p) => p.stop()));
  await sql?.end();
  await stack?.stop();
  rmSync(out, { recursive: true, force: true });
});

let lastPort = 46_000 + Math.floor(Math.random() * 1_000) * 10;
async function freePort(): Promise<number> {
  while (!(await isFree(++lastPort)));
  return lastPort;
}

async function serve(name: string, form: "bundle" | "source"): Promise<DenoProcess> {
  const port = await freePort();
  const started =
    form === "bundle"
      ? await runDeno([...ISOLATED, join(out, name, "index.js")], stack.env, port)
      : await runDeno(["run", "-A", "--no-lock", join(ROOT, "functions", name, "index.ts")], stack.env, port, ROOT);
  running.push(started);
  return started;
}

type Expected = {
  method?: string;
  path: string;
  headers?: () => Record<string, string>;
  status: number;
  type: RegExp;
  body: RegExp;
};

const PROBLEM = /^application\/problem\+json/;
const JSON_TYPE = /^application\/json/;
const nobody = "0192f0c1-0000-7000-8000-000000000000";

const expected: Record<string, Expected[]> = {
  api: [
    { path: "/api/v1/health/live", status: 200, type: JSON_TYPE, body: /"ok"/ },
    { path: "/api/health/ready", status: 200, type: JSON_TYPE, body: /"name":"database","ok":true/ },
    { path: "/api/v1/openapi.json", status: 200, type: JSON_TYPE, body: /"openapi":"3\.1/ },
    { path: "/api/v1/contacts", status: 401, type: PROBLEM, body: /"request_id"/ },
    { path: "/api/v1/no-such-thing", status: 404, type: PROBLEM, body: /no-such-thing/ },
  ],
  webhooks: [
    { path: "/webhooks", status: 404, type: PROBLEM, body: /No such webhook/ },
    { method: "POST", path: `/webhooks/resend/${nobody}`, status: 404, type: PROBLEM, body: /"request_id"/ },
  ],
  links: [
    { path: "/links/nowhere", status: 404, type: PROBLEM, body: /No such link/ },
    { path: "/links/o/forged", status: 404, type: PROBLEM, body: /"request_id"/ },
  ],
  server: [
    { path: "/health/ready", status: 200, type: JSON_TYPE, body: /"name":"database","ok":true/ },
    { path: "/api/v1/contacts", status: 401, type: PROBLEM, body: /"request_id"/ },
    { method: "POST", path: "/auth/login", status: 422, type: PROBLEM, body: /"request_id"/ },
    { method: "POST", path: `/webhooks/resend/${nobody}`, status: 404, type: PROBLEM, body: /"request_id"/ },
    { path: "/links/o/forged", status: 404, type: PROBLEM, body: /"request_id"/ },
    { path: "/nothing", status: 404, type: PROBLEM, body: /no GET \/nothing/ },
    { path: "/metrics", status: 200, type: /^text\/plain/, body: /overture_http_request_seconds_bucket/ },
  ],
  tick: [
    { method: "POST", path: "/tick", status: 401, type: PROBLEM, body: /secret key/ },
    {
      method: "POST",
      path: "/tick",
      headers: () => ({ apikey: stack.env.SUPABASE_SECRET_KEY! }),
      status: 200,
      type: JSON_TYPE,
      body: /"handled":\d+/,
    },
  ],
};

async function check(url: string, cases: Expected[]): Promise<void> {
  for (const { method = "GET", path, headers, status, type, body } of cases) {
    const response = await fetch(`${url}${path}`, { method, headers: headers?.() });
    const text = await response.text();
    expect({ path, status: response.status, text: text.slice(0, 500) }).toMatchObject({ path, status });
    expect(response.headers.get("content-type")).toMatch(type);
    expect(text).toMatch(body);
  }
}

test("every function is known here, so that a new one cannot go untested", () => {
  expect(functionNames()).toEqual(["main", "worker", ...Object.keys(expected)].sort());
});

describe.each(Object.keys(expected))("the function %s", (name) => {
  test("its bundle boots without the repository and answers", async () => {
    await check((await serve(name, "bundle")).url, expected[name]!);
  });
  test("its source boots as the edge runtime loads it and answers", async () => {
    await check((await serve(name, "source")).url, expected[name]!);
  });
});

test("a function without its configuration names every missing key and serves nothing", async () => {
  const ended = await runDeno([...ISOLATED, join(out, "api", "index.js")], {});
  expect(await ended.ended).toBe(1);
  expect(ended.output()).toMatch(/SUPABASE_URL[\s\S]*OVERTURE_KEYS/);
});

describe.each(["bundle", "source"] as const)("the worker's %s", (form) => {
  test("drains a queue and ends with code 0 on SIGTERM", async () => {
    const args =
      form === "bundle"
        ? [...ISOLATED, join(out, "worker", "index.js")]
        : ["run", "-A", "--no-lock", join(ROOT, "functions/worker/index.ts")];
    const worker = await runDeno(args, stack.env, undefined, form === "bundle" ? undefined : ROOT);
    running.push(worker);
    const mark = `runtime-${form}`;
    // A payload that cannot be read becomes a dead letter, which only a running consumer writes.
    const [queue] = await sql<{ name: string }[]>`select name from kernel.queues order by name limit 1`;
    await sql`select kernel.enqueue(${queue!.name}, array[${sql.json({ mark })}]::jsonb[])`;
    await until(
      async () => (await sql`select from kernel.dead_letters where message ->> 'mark' = ${mark}`).length === 1,
      {
        what: `the worker to read the queue; it said: ${worker.output()}`,
      },
    );
    expect(await worker.stop()).toBe(0);
  });
});

describe("the self-hosted dispatcher", () => {
  test("routes by name and refuses what it does not know", async () => {
    const port = await freePort();
    const env = { ...stack.env, FIRST_PORT: String(port + 1) };
    const main = await runDeno(
      [
        "run",
        "-A",
        "--no-config",
        "--no-lock",
        join(ROOT, "tests/runtime/edge-runtime.mjs"),
        join(out, "main", "index.js"),
      ],
      env,
      port,
    );
    running.push(main);
    await check(main.url, [
      { path: "/_health", status: 200, type: JSON_TYPE, body: /ok/ },
      { path: "/nothing/here", status: 404, type: PROBLEM, body: /There is no function/ },
      { path: "/worker", status: 404, type: PROBLEM, body: /api, webhooks, links, tick/ },
      { path: "/..%2f..%2fetc/passwd", status: 404, type: PROBLEM, body: /There is no function/ },
      ...expected.api!,
      ...expected.links!,
    ]);
  });

  test("hands a function its configuration and nothing else of the container's environment", async () => {
    const port = await freePort();
    const folder = join(out, "spied");
    mkdirSync(join(folder, "api"), { recursive: true });
    cpSync(join(out, "main"), join(folder, "main"), { recursive: true });
    writeFileSync(join(folder, "api", "index.js"), "Deno.serve(() => Response.json(Deno.env.toObject()));");
    const secrets = {
      POSTGRES_PASSWORD: "platform-only",
      JWT_SECRET: "platform-only",
      LOGFLARE_API_KEY: "platform-only",
    };
    const env = { ...stack.env, ...secrets, FIRST_PORT: String(port + 1) };
    const main = await runDeno(
      [
        "run",
        "-A",
        "--no-config",
        "--no-lock",
        join(ROOT, "tests/runtime/edge-runtime.mjs"),
        join(folder, "main", "index.js"),
      ],
      env,
      port,
    );
    running.push(main);
    const seen = (await (await fetch(`${main.url}/api`)).json()) as Record<string, string>;
    expect(seen).toMatchObject({ OVERTURE_KEYS: stack.env.OVERTURE_KEYS, SUPABASE_URL: stack.env.SUPABASE_URL });
    expect(JSON.stringify(seen)).not.toContain("platform-only");
    const withheld = Object.keys(env).filter((name) => !configKeys(modules).some(({ key }) => key === name));
    expect(withheld).toContain("LOGFLARE_API_KEY");
    expect(withheld.filter((name) => name in seen)).toEqual([]);
  });

  test("a function that cannot start is a 503 problem and a line in the log", async () => {
    const port = await freePort();
    const broken = `globalThis.EdgeRuntime = { userWorkers: { create: () => Promise.reject(new Error("boot error: kaput")) } }; await import("file://${join(out, "main", "index.js")}");`;
    writeFileSync(join(out, "broken.mjs"), broken);
    const main = await runDeno(["run", "-A", "--no-config", "--no-lock", join(out, "broken.mjs")], stack.env, port);
    running.push(main);
    await check(main.url, [
      { path: "/api/v1/health/live", status: 503, type: PROBLEM, body: /function api did not answer/ },
    ]);
    await until(() => main.output().includes("kaput"), { what: "the log line" });
  });
});

describe("the check of a bundle", () => {
  test.each([
    ['import postgres from "postgres"; Deno.serve(() => new Response(String(postgres)));', /imports postgres/],
    ['import x from "https://deno.land/x/y.ts"; Deno.serve(() => new Response(String(x)));', /imports https:/],
    ['Deno.serve(async () => new Response(await (await import("./other.js")).text));', /imports \.\/other\.js/],
    ["Deno.serve(() => new Response(Deno.readTextFileSync('/etc/passwd')));", /Deno\.readTextFileSync/],
    ["Deno.serve(() => new Response(Deno['run']));", /computed name/],
  ])("refuses %s", async (code, fault) => {
    const file = join(out, `bad-${crypto.randomUUID()}.js`);
    writeFileSync(file, code);
    expect((await faultsOf(file, "api")).join("\n")).toMatch(fault);
  });

  test("accepts node: builtins and what the edge runtime has", async () => {
    const file = join(out, "good.js");
    writeFileSync(
      file,
      'import { createHash } from "node:crypto"; Deno.serve(() => new Response(createHash("md5").update(Deno.env.get("A") ?? "").digest("hex")));',
    );
    expect(await faultsOf(file, "api")).toEqual([]);
  });
});
