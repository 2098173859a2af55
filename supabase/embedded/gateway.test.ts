import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../../tests/support/until.ts";
import { functionPath } from "./functions.ts";
import type { Stack } from "./stack.ts";
import { fixtureStack } from "./testing.ts";

const app = (
  name: string,
  body = `Response.json({ name: "${name}", path: new URL(request.url).pathname, env: Object.keys(kernel.env) })`,
) => `export const createApp = (kernel) => ({ fetch: (request) => ${body} });\n`;

const page = `<html><head><meta http-equiv="content-security-policy" content="default-src &#39;self&#39;"></head></html>`;

/** A product of four functions and one page, in a folder of its own. */
function product(files: Record<string, string> = {}): string {
  const root = mkdtempSync(join(tmpdir(), "overture-product-"));
  const all: Record<string, string> = {
    "modules/boot.ts": "export const boot = (env) => Promise.resolve({ env, close: () => Promise.resolve() });\n",
    ...Object.fromEntries(["api", "webhooks", "links", "tick"].map((name) => [`functions/${name}/app.ts`, app(name)])),
    "web/build/index.html": page,
    "web/build/_app/immutable/a.js": "export {};",
    ...files,
  };
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const roots: string[] = [];
const start = (files?: Record<string, string>, options = {}) => {
  const root = product(files);
  roots.push(root);
  return fixtureStack("select 1;", { root, services: { functions: true }, ...options });
};
afterAll(() => roots.forEach((root) => rmSync(root, { recursive: true, force: true })));

test.each([
  ["/functions/v1/api/v1/contacts", "/api/v1/contacts"],
  ["/api/v1/contacts", "/api/v1/contacts"],
  ["/webhooks/resend/1", "/webhooks/resend/1"],
  ["/links/o/x", "/links/o/x"],
  ["/health", "/api/health"],
  ["/health/live", "/api/health/live"],
  ["/metrics", "/api/metrics"],
  ["/auth/login", "/api/auth/login"],
  ["/auth/v1/token", null],
  ["/contacts", null],
  ["/apix", null],
])("%s reaches the functions as %s", (address, seen) => {
  expect(functionPath(address)).toBe(seen);
});

describe("a running product", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await start({}, { restart: true });
  });
  afterAll(() => stack?.stop());
  const get = (path: string, init?: RequestInit) => fetch(stack.url + path, init);

  test("functions see the path the edge runtime gives them, and no superuser's secrets", async () => {
    const answer = (await (await get("/functions/v1/tick/now")).json()) as {
      name: string;
      path: string;
      env: string[];
    };
    expect(answer).toMatchObject({ name: "tick", path: "/tick/now" });
    expect(answer.env).toContain("SUPABASE_SECRET_KEY");
    expect(answer.env.filter((name) => /ADMIN|EMBEDDED/.test(name))).toEqual([]);
    expect(await (await get("/auth/me")).json()).toMatchObject({ name: "api", path: "/api/auth/me" });
    expect((await get("/functions/v1/nope")).status).toBe(404);
  });

  test("every page address is the console, with its own security policy; missing files are missing", async () => {
    for (const path of ["/", "/contacts/1"]) {
      const response = await get(path);
      expect([response.status, await response.text()]).toEqual([200, page]);
      expect(response.headers.get("content-security-policy")).toBe("default-src 'self'; frame-ancestors 'none'");
      expect(response.headers.get("cache-control")).toBe("no-cache");
      expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    }
    const script = await get("/_app/immutable/a.js");
    expect(script.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
    expect(script.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
    expect((await get("/_app/immutable/b.js")).status).toBe(404);
    expect((await get("/favicon.ico")).status).toBe(404);
    expect((await get("/%2e%2e/%2e%2e/modules/boot.ts")).status).not.toBe(200);
    expect((await get("/", { headers: { "if-none-match": (await get("/")).headers.get("etag")! } })).status).toBe(304);
    expect((await get("/", { method: "POST" })).status).toBe(404);
  });

  test("a gateway that dies is started again", async () => {
    const before = stack.pids().gateway!;
    process.kill(before, "SIGKILL");
    await until(async () => stack.pids().gateway !== before && (await get("/health")).ok, { what: "a new gateway" });
  });
});

test("a function that does not load fails the start, by name, and leaves nothing running", async () => {
  await expect(
    start({ "functions/links/app.ts": "export const createApp = () => { throw new Error('no key') };\n" }),
  ).rejects.toThrow("The function functions/links/app.ts does not load: no key");
  await expect(start({ "functions/links/app.ts": "import './nowhere.ts';\n" })).rejects.toThrow(
    /functions\/links\/app\.ts does not load: .*nowhere\.ts/,
  );
  await expect(start({ "modules/boot.ts": "export const other = 1;\n" })).rejects.toThrow(
    "modules/boot.ts must export a function named boot.",
  );
});
