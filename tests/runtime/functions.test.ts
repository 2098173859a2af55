import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { modules } from "../../modules/boot.ts";
import { configKeys } from "../../modules/kernel/config.ts";
import { buildFunctions, bundle, functionNames } from "../../scripts/build-functions.ts";
import { freePort } from "../../supabase/embedded/home.ts";
import { startStack, type Stack } from "../../supabase/embedded/stack.ts";
import { connectKernel } from "../support/kernel.ts";
import { until } from "../support/until.ts";
import { type Expected, world, type World } from "./expected.ts";
import { edgeNames, faultsOf } from "./names.ts";
import { DENO, type DenoProcess, type DenoVersion, entryOf, type Form, ISOLATED, runDeno } from "./process.ts";

// A database of its own: the worker and the tick drain every queue they find.
let stack: Stack;
let kernel: ReturnType<typeof connectKernel>;
let given: World;
let out: string;
const running: DenoProcess[] = [];
const VERSIONS = Object.keys(DENO) as DenoVersion[];
const FORMS: Form[] = ["bundle", "source"];
const ANSWERING = ["api", "links", "server", "tick", "webhooks"] as const;

beforeAll(async () => {
  out = mkdtempSync(join(tmpdir(), "overture-functions-"));
  [stack] = await Promise.all([
    startStack({ gateway: false, env: { LOG_LEVEL: "info", OVERTURE_DB_POOL: "3" } }),
    buildFunctions(out),
  ]);
  kernel = connectKernel(stack.env);
  given = await world(kernel);
}, 120_000);
afterAll(async () => {
  await Promise.all(running.map((p) => p.stop()));
  await kernel?.close();
  await stack?.stop();
  rmSync(out, { recursive: true, force: true });
});

async function start(
  name: string,
  form: Form,
  version: DenoVersion,
  env = stack.env,
  folder = out,
): Promise<DenoProcess> {
  const { args, cwd } = entryOf(name, form, folder);
  for (let tries = 1; ; tries++) {
    const port = name === "worker" ? undefined : await freePort();
    try {
      const started = await runDeno(args, env, port, cwd, version);
      running.push(started);
      return started;
    } catch (error) {
      // Another suite took the port since it was found free.
      if (tries === 3 || !/AddrInUse|EADDRINUSE/.test((error as Error).message)) throw error;
    }
  }
}

async function check(url: string, cases: Expected[]): Promise<void> {
  for (const { method = "GET", path, headers, body, status, type, answer } of cases) {
    const response = await fetch(`${url}${path}`, { method, headers: await headers?.(), body, redirect: "manual" });
    const text = await response.text();
    expect({ path, status: response.status, text: text.slice(0, 500) }).toMatchObject({ path, status });
    if (type) expect(response.headers.get("content-type")).toMatch(type);
    expect(`${response.headers.get("location") ?? ""}${text}`).toMatch(answer);
  }
}

test("every function is known here, so that a new one cannot go untested", () => {
  expect(functionNames()).toEqual(["main", "worker", ...ANSWERING].sort());
});

describe.each(VERSIONS)("under Deno %s", (version) => {
  test.each(ANSWERING)(
    "%s starts as bundle and as source, answers what it is for, and ends on SIGTERM",
    async (name) => {
      const both = await Promise.all(FORMS.map((form) => start(name, form, version)));
      for (const { url } of both) await check(url, given.expected[name]);
      if (name === "webhooks") for (const { url } of both) await given.signedWebhook(url);
      if (name === "tick") for (const { url } of both) await given.drainingTick(url);
      // Only the long-lived ones answer the signal; the edge runtime ends the others itself.
      for (const process of both)
        expect(await process.stop(), process.output()).toBe(name === "server" ? 0 : "SIGTERM");
      for (const process of both)
        expect(process.output()).not.toMatch(/ReferenceError|is not a function|Not implemented/);
    },
    60_000,
  );

  test.each(FORMS)("the worker's %s drains a queue and ends with code 0 on SIGTERM", async (form) => {
    const worker = await start("worker", form, version);
    const letters = await given.unreadable(`worker-${version}-${form}`);
    await until(async () => (await letters()) === 1, { what: `the queue to be read; it said: ${worker.output()}` });
    expect(await worker.stop()).toBe(0);
  });

  test("a function without its configuration names every missing key and serves nothing", async () => {
    const { args } = entryOf("api", "bundle", out);
    const ended = await runDeno(args, {}, undefined, undefined, version);
    expect(await ended.ended).toBe(1);
    expect(ended.output()).toMatch(/SUPABASE_URL[\s\S]*OVERTURE_KEYS/);
  });

  test.each(FORMS)("the dispatcher's %s routes by name and refuses what it does not know", async (form) => {
    const main = await start("main", form, version);
    await check(main.url, [
      { path: "/_health", status: 200, answer: /ok/ },
      { path: "/nothing/here", status: 404, answer: /There is no function/ },
      { path: "/worker", status: 404, answer: /api, webhooks, links, tick/ },
      { path: "/..%2f..%2fetc/passwd", status: 404, answer: /There is no function/ },
      ...given.expected.api,
      ...given.expected.links,
    ]);
    await main.stop();
  });
});

test("every name a bundle uses exists under Deno 2.1, also on paths no request here takes", async () => {
  const names = await edgeNames("2.1");
  for (const name of functionNames()) {
    const { args, kind } = entryOf(name, "bundle", out);
    expect(await faultsOf(args.at(-1)!, names[kind]), name).toEqual([]);
  }
});

/** The main service with the user workers it starts, in an environment of its own. */
describe("the self-hosted dispatcher", () => {
  test("hands a function its configuration and nothing else of the container's environment", async () => {
    const folder = join(out, "spied");
    mkdirSync(join(folder, "api"), { recursive: true });
    cpSync(join(out, "main"), join(folder, "main"), { recursive: true });
    writeFileSync(join(folder, "api", "index.js"), "Deno.serve(() => Response.json(Deno.env.toObject()));");
    const secrets = {
      POSTGRES_PASSWORD: "platform-only",
      JWT_SECRET: "platform-only",
      LOGFLARE_API_KEY: "platform-only",
    };
    const main = await start("main", "bundle", "2.1", { ...stack.env, ...secrets }, folder);
    const seen = (await (await fetch(`${main.url}/api`)).json()) as Record<string, string>;
    expect(seen).toMatchObject({ OVERTURE_KEYS: stack.env.OVERTURE_KEYS, SUPABASE_URL: stack.env.SUPABASE_URL });
    expect(JSON.stringify(seen)).not.toContain("platform-only");
    const env = Object.keys({ ...stack.env, ...secrets });
    const withheld = env.filter((name) => !configKeys(modules).some(({ key }) => key === name));
    expect(withheld).toContain("LOGFLARE_API_KEY");
    expect(withheld.filter((name) => name in seen)).toEqual([]);
  });

  test("a function that cannot start is a 503 problem and a line in the log", async () => {
    const folder = join(out, "broken");
    mkdirSync(join(folder, "api"), { recursive: true });
    cpSync(join(out, "main"), join(folder, "main"), { recursive: true });
    writeFileSync(join(folder, "api", "index.js"), 'throw new Error("boot error: kaput");');
    const main = await start("main", "bundle", "2.1", stack.env, folder);
    await check(main.url, [
      {
        path: "/api/v1/health/live",
        status: 503,
        type: /^application\/problem\+json/,
        answer: /function api did not respond/,
      },
    ]);
    await until(() => main.output().includes("kaput"), { what: "the log line" });
  });
});

describe("the build", () => {
  const build = async (code: string) => {
    const folder = join(out, `own-${crypto.randomUUID()}`);
    mkdirSync(folder);
    writeFileSync(join(folder, "index.ts"), code);
    const file = join(folder, "out", "index.js");
    return { file, imports: await bundle(join(folder, "index.ts"), file) };
  };

  test("gives a package's code the globals that only Node's modules have", async () => {
    const { file, imports } = await build(
      'setTimeout(() => {}, 60_000).unref(); setImmediate(() => console.log(Buffer.from("b2s=", "base64").toString(), global === globalThis));',
    );
    expect(imports).toEqual([]);
    for (const version of VERSIONS) {
      const ended = await runDeno([...ISOLATED, file], {}, undefined, undefined, version);
      expect(await ended.ended, ended.output()).toBe(0);
      expect(ended.output()).toBe("ok true\n");
    }
  });

  test.each([
    ['import x from "no-such-package"; Deno.serve(() => new Response(String(x)));', ["no-such-package"]],
    [
      'import x from "https://deno.land/x/y.ts"; Deno.serve(() => new Response(String(x)));',
      ["https://deno.land/x/y.ts"],
    ],
    ['import { createHash } from "crypto"; Deno.serve(() => new Response(String(createHash)));', []],
  ])("tells what a bundle of %s would still need", async (code, left) =>
    expect((await build(code)).imports).toEqual(left),
  );

  test.each([
    ["Deno.serve(() => new Response(Deno.readTextFileSync('/etc/passwd')));", /Deno\.readTextFileSync/],
    ["Deno.serve(() => new Response(Deno['run']));", /computed name/],
    ["Deno.serve(() => new Response(Buffer.from('x')));", /Buffer/],
    ["Deno.serve(() => new Response(String(new Worker('x'))));", /Worker/],
  ])("%s is told apart from what a user worker of the edge runtime can run", async (code, fault) => {
    const file = join(out, `bad-${crypto.randomUUID()}.js`);
    writeFileSync(file, code);
    expect((await faultsOf(file, (await edgeNames("2.1")).userWorker)).join("\n")).toMatch(fault);
  });
});
