import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { uuid7 } from "../../modules/kernel/database/ids.ts";
import { testKernel, type TestTenant } from "../support/kernel.ts";
import { exchange, pour, sendRaw, trickle } from "./raw.ts";
import { leakIn } from "./watch.ts";

// What reaches the process before any of our schemas does, over real sockets against the real gateway.

const t = testKernel();
const url = t.env.SUPABASE_URL!;
const host = `Host: ${new URL(url).host}`;
const build = join(import.meta.dirname, "../../web/build");

let tenant: TestTenant;
let auth: string[];
let hookPath: string;
beforeAll(async () => {
  tenant = await t.tenant();
  const made = await tenant.api("POST", "/connections", {
    provider: "postmark",
    name: "Sandbox",
    credentials: { server_token: crypto.randomUUID() },
    base_url: `${t.env.OVERTURE_SANDBOX_URL}/postmark`,
  });
  hookPath = `/webhooks/postmark/${made.body.id}`;
  auth = [host, `Authorization: Bearer ${tenant.owner.token}`, `X-Tenant-Id: ${tenant.id}`];
});

const rows = async (table: string) =>
  (await t.sql`select count(*)::int as n from public.${t.sql(table)} where tenant_id = ${tenant.id}`)[0]!.n as number;

describe("bodies", () => {
  test("too large by their own account are 413 before they are read", async () => {
    for (const [path, type] of [
      ["/api/v1/lists", "application/json"],
      [hookPath, "application/json"],
      ["/api/v1/imports", "text/csv"],
      ["/auth/v1/token?grant_type=password", "application/json"],
      ["/realtime/v1/api/broadcast", "application/json"],
    ]) {
      const answer = await sendRaw(url, [
        `POST ${path} HTTP/1.1`,
        ...auth,
        `apikey: ${t.env.SUPABASE_PUBLISHABLE_KEY}`,
        `Content-Type: ${type}`,
        "Content-Length: 99999999999",
      ]);
      expect(answer.status, path).toBe(413);
    }
  });

  test("too large without saying so are 413, and no more of them is taken than the limit", async () => {
    const answer = await pour(
      url,
      ["POST /api/v1/lists HTTP/1.1", ...auth, "Content-Type: application/json"],
      64 * 1024 * 1024,
    );
    expect(answer.status).toBe(413);
    const hook = await pour(url, [`POST ${hookPath} HTTP/1.1`, host], 64 * 1024 * 1024);
    expect(hook.status).toBe(413);
    const live = await pour(
      url,
      ["POST /realtime/v1/api/broadcast HTTP/1.1", host, `apikey: ${t.env.SUPABASE_PUBLISHABLE_KEY}`],
      64 * 1024 * 1024,
    );
    expect(live.status).toBe(413);
    let taken = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        taken += 65536;
        controller.enqueue(new Uint8Array(65536).fill(0x20));
      },
    });
    expect((await tenant.api("POST", "/lists", endless, { "content-type": "application/json" })).status).toBe(413);
    expect(taken).toBeLessThan(3 * 1024 * 1024);
  });

  test("for a webhook that is none are not read at all", async () => {
    const nobody = `POST /webhooks/postmark/${uuid7()} HTTP/1.1`;
    const answer = await sendRaw(url, [nobody, host, "Content-Type: application/json", "Content-Length: 20000000"]);
    expect(answer.status).toBe(404);
  });

  test("that trickle in are given up with 408, on every door, and leave nothing", { timeout: 40_000 }, async () => {
    const length = "Content-Length: 20000";
    const json = "Content-Type: application/json";
    const [list, hook, login, rest, live] = await Promise.all([
      trickle(url, ["POST /api/v1/lists HTTP/1.1", ...auth, json, length]),
      trickle(url, [`POST ${hookPath} HTTP/1.1`, host, json, length]),
      trickle(url, [
        "POST /auth/v1/token?grant_type=password HTTP/1.1",
        host,
        `apikey: ${t.env.SUPABASE_PUBLISHABLE_KEY}`,
        json,
        length,
      ]),
      trickle(url, ["POST /rest/v1/rpc/x HTTP/1.1", host, `apikey: ${t.env.SUPABASE_PUBLISHABLE_KEY}`, json, length]),
      trickle(url, [
        "POST /realtime/v1/api/broadcast HTTP/1.1",
        host,
        `apikey: ${t.env.SUPABASE_PUBLISHABLE_KEY}`,
        json,
        length,
      ]),
    ]);
    for (const answer of [list, hook, login, rest, live]) {
      expect(answer.status, answer.body).toBe(408);
      expect(answer.milliseconds).toBeGreaterThan(4_000);
    }
    expect(list.body).toContain("urn:problem:request-timeout");
    expect(await rows("lists")).toBe(0);
  });

  test("a file that stops coming is given up, and its beginning is removed", { timeout: 40_000 }, async () => {
    const answer = await exchange(url, (socket) => {
      socket.write(
        ["POST /api/v1/imports HTTP/1.1", ...auth, "Content-Type: text/csv", "Content-Length: 3000000", "", ""].join(
          "\r\n",
        ),
      );
      socket.write(`Email\n${"zoe@example.com\n".repeat(80_000)}`);
    });
    expect(answer.status, answer.body).toBe(408);
    expect(await rows("imports")).toBe(0);
    expect(await rows("import_chunks")).toBe(0);
  });

  test("of another media type are 415", async () => {
    for (const type of [
      "text/plain",
      "application/xml",
      "multipart/form-data; boundary=x",
      "application/x-www-form-urlencoded",
      "text/html",
      "application/jsonp",
    ]) {
      const answer = await tenant.api("POST", "/lists", '{"name":"x"}', { "content-type": type });
      expect([answer.status, answer.body.code], type).toEqual([415, "unsupported_media_type"]);
    }
    for (const type of ["application/json", "application/zip", "multipart/form-data; boundary=x", "text/csvx", ""]) {
      expect(
        (
          await tenant.api("POST", "/imports", new TextEncoder().encode("Email\na@example.com\n"), {
            "content-type": type,
          })
        ).status,
        type,
      ).toBe(415);
    }
    expect(await rows("lists")).toBe(0);
  });
});

describe("requests that are not quite HTTP", () => {
  test("with two lengths, or a length and chunks, are refused and cannot hide a second request", async () => {
    const smuggled = "0\r\n\r\nGET /api/v1/me HTTP/1.1\r\nHost: x\r\n\r\n";
    const both = await sendRaw(
      url,
      [
        "POST /api/v1/lists HTTP/1.1",
        ...auth,
        "Content-Type: application/json",
        `Content-Length: ${smuggled.length}`,
        "Transfer-Encoding: chunked",
      ],
      smuggled,
    );
    expect(both.status).toBeGreaterThanOrEqual(400);
    const two = await sendRaw(
      url,
      [
        "POST /api/v1/lists HTTP/1.1",
        ...auth,
        "Content-Type: application/json",
        "Content-Length: 2",
        "Content-Length: 40",
      ],
      "{}",
    );
    expect(two.status).toBe(400);
    expect(await rows("lists")).toBe(0);
  });

  test("with methods nobody offers are 4xx everywhere", async () => {
    const methods = ["TRACE", "PROPFIND", "PUT", "DELETE", "PATCH", "LINK", "get"];
    const pairs = ["/api/v1/dashboard", "/webhooks/postmark/x", "/links/u/x", "/health", "/"].flatMap((path) =>
      methods.map((method) => [method, path]),
    );
    await Promise.all(
      pairs.map(async ([method, path]) => {
        const answer = await sendRaw(url, [`${method} ${path} HTTP/1.1`, ...auth, "Content-Length: 0"]);
        expect([method, path, answer.status >= 400 && answer.status < 500], answer.body).toEqual([method, path, true]);
        expect(answer.body).not.toContain(tenant.owner.token);
      }),
    );
  });

  test("with very long addresses, too many headers or broken escapes are answered, and the server lives", async () => {
    const targets = [
      `/${"a".repeat(60_000)}`,
      `/api/v1/${"a/".repeat(20_000)}`,
      `/api/v1/contacts?search=${"%41".repeat(15_000)}`,
      "/api/v1/contacts/%zz",
      "/%zz",
      "/%",
      "/api/v1/contacts/%c0%af",
      "/links/u/%00",
      "/webhooks/%00/%00",
      "/realtime/v1/api/broadcast/%ff/events/%zz",
      "/auth/v1/%ff",
      "/rest/v1/%ff",
    ];
    const answers = await Promise.all(targets.map((target) => sendRaw(url, [`GET ${target} HTTP/1.1`, ...auth])));
    for (const [i, target] of targets.entries()) {
      const answer = answers[i]!;
      expect(answer.status, target.slice(0, 40)).toBeLessThan(500);
      expect(leakIn(answer.body, t.env), target.slice(0, 40)).toBeNull();
    }
    const many = await sendRaw(url, [
      "GET /api/v1/lists HTTP/1.1",
      ...auth,
      ...Array.from({ length: 3000 }, (_, i) => `X-Filler-${i}: ${"y".repeat(100)}`),
    ]);
    expect([0, 400, 413, 431]).toContain(many.status);
    expect((await fetch(`${url}/health/live`)).status).toBe(200);
  });

  test("cannot put a header of their own into the answer", async () => {
    const probes = [
      sendRaw(url, ["GET /api/v1/lists HTTP/1.1", ...auth, "X-Request-Id: aaaaaaaaaa%0d%0aSet-Cookie: x=1"]),
      sendRaw(url, ["GET /api/v1/%0d%0aSet-Cookie:%20x=1 HTTP/1.1", ...auth]),
      sendRaw(url, ["GET /%0d%0aSet-Cookie:%20x=1 HTTP/1.1", ...auth]),
      sendRaw(url, ["GET /health%0d%0aSet-Cookie:%20x=1 HTTP/1.1", ...auth]),
      sendRaw(url, [
        "OPTIONS /rest/v1/contacts HTTP/1.1",
        host,
        "Origin: https://evil.example",
        "Access-Control-Request-Headers: x%0d%0aSet-Cookie: x=1",
      ]),
    ];
    for (const answer of await Promise.all(probes)) expect(answer.head).not.toMatch(/^set-cookie/im);
    const uploaded = await tenant.api(
      "POST",
      `/imports?file_name=${encodeURIComponent('a".csv\r\nSet-Cookie: x=1\r\n\r\n<script>')}`,
      new TextEncoder().encode("Email\na@example.com\n"),
      { "content-type": "text/csv" },
    );
    expect(uploaded.status).toBe(201);
    const errors = await tenant.api("GET", `/imports/${uploaded.body.id}/errors.csv`);
    expect(errors.headers.get("set-cookie")).toBeNull();
    expect(errors.headers.get("content-disposition")).toMatch(/^attachment; filename="[\w.-]+"/);
  });

  test("naming another host do not change what links say", async () => {
    const answer = await sendRaw(
      url,
      [
        "POST /api/v1/invitations HTTP/1.1",
        "Host: evil.example",
        ...auth.slice(1),
        "X-Forwarded-Host: evil.example",
        "Content-Type: application/json",
        "Content-Length: 46",
      ],
      '{"email":"new@example.com","role":"member"   }',
    );
    expect(answer.status, answer.body).toBe(201);
    expect(answer.body).not.toContain("evil.example");
  });
});

describe("the console's files", () => {
  test("are all that is served: no way out of the folder", async () => {
    const targets = [
      "/../../package.json",
      "/%2e%2e/%2e%2e/package.json",
      "/..%2f..%2fpackage.json",
      "/_app/../../../package.json",
      "/_app/%2e%2e%2f%2e%2e%2f%2e%2e%2fpackage.json",
      "//etc/passwd",
      "/..%5c..%5cpackage.json",
      "/%2e%2e%00/package.json",
      "/_app/..%252f..%252fpackage.json",
      "/.%2e/.%2e/.env",
      "http://evil.example/../../package.json",
    ];
    const answers = await Promise.all(targets.map((target) => sendRaw(url, [`GET ${target} HTTP/1.1`, host])));
    for (const [i, target] of targets.entries()) {
      const answer = answers[i]!;
      expect([200, 400, 404, 503], target).toContain(answer.status);
      expect(answer.body, target).not.toMatch(/"name":\s*"overture"|root:.*:0:0|SUPABASE_SECRET_KEY/);
      if (answer.status === 200) expect(answer.head.toLowerCase(), target).toContain("content-type: text/html");
    }
  });

  test.runIf(existsSync(build))("hold no secret, and come with a policy that runs only our scripts", async () => {
    const page = await fetch(`${url}/`);
    const policy = page.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).toMatch(/script-src [^;]*'self'/);
    expect(policy).not.toMatch(/script-src[^;]*('unsafe-inline'|'unsafe-eval'|\*)/);
    // The console speaks to its own origin alone: a foreign script that got in could send nothing out.
    expect(policy).toMatch(/connect-src 'self'(;|$)/);
    expect(policy).toMatch(/img-src 'self' data:(;|$)/);
    const files = (readdirSync(build, { recursive: true }) as string[])
      .map((f) => join(build, f))
      .filter((f) => statSync(f).isFile());
    expect(files.length).toBeGreaterThan(5);
    for (const file of files) {
      const text = readFileSync(file, "latin1");
      expect(
        text.match(
          /sb_secret_\w{8,}|service_role["']?\s*[:,]|-----BEGIN [A-Z ]*PRIVATE KEY|SUPABASE_SECRET_KEY|postgres(ql)?:\/\/\w+:/,
        )?.[0],
        file,
      ).toBeUndefined();
      for (const name of ["SUPABASE_SECRET_KEY", "SUPABASE_JWT_SECRET", "OVERTURE_KEYS"])
        expect(text.includes(t.env[name]!), `${name} in ${file}`).toBe(false);
    }
  });

  test("and what the console is told before anybody signed in hold no secret of the installation", async () => {
    for (const path of ["/", "/api/v1/auth/options", "/api/v1/openapi.json", "/api/v1/docs", "/auth/v1/settings"]) {
      const answer = await fetch(url + path, { headers: { apikey: t.env.SUPABASE_PUBLISHABLE_KEY! } });
      const text = await answer.text();
      expect(answer.status, path).toBe(200);
      for (const [name, value] of Object.entries(t.env))
        if (/SECRET|PASSWORD|KEYS$|DB_URL/.test(name) && value)
          expect(text.includes(value), `${name} in ${path}`).toBe(false);
    }
  });
});

describe("browsers of other origins", () => {
  const evil = { origin: "https://evil.example" };
  test("get no permission from the API, its documentation, the links or the webhooks", async () => {
    for (const path of [
      "/api/v1/lists",
      "/api/v1/openapi.json",
      "/api/v1/auth/options",
      "/auth/login",
      "/links/u/x",
      "/webhooks/postmark/x",
      "/metrics",
      "/",
    ]) {
      for (const method of ["GET", "OPTIONS"]) {
        const answer = await fetch(url + path, {
          method,
          headers: {
            ...evil,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization",
          },
        });
        expect([
          path,
          method,
          answer.headers.get("access-control-allow-origin"),
          answer.headers.get("access-control-allow-credentials"),
        ]).toEqual([path, method, null, null]);
        await answer.body?.cancel();
      }
    }
    for (const origin of ["null", `${url}.evil.example`, url.replace("http:", "https:")]) {
      expect(
        (await fetch(`${url}/api/v1/auth/options`, { headers: { origin } })).headers.get("access-control-allow-origin"),
        origin,
      ).toBeNull();
    }
  });

  test("the console's own origin does, without credentials", async () => {
    const own = await fetch(`${url}/api/v1/auth/options`, { headers: { origin: url } });
    expect(own.headers.get("access-control-allow-origin")).toBe(url);
    expect(own.headers.get("access-control-allow-credentials")).toBeNull();
  });

  test("may call Supabase's own part, where a key decides; never with cookies", async () => {
    const answer = await fetch(`${url}/rest/v1/contacts`, {
      headers: { ...evil, apikey: t.env.SUPABASE_PUBLISHABLE_KEY! },
    });
    expect(answer.headers.get("access-control-allow-origin")).toBe("*");
    expect(answer.headers.get("access-control-allow-credentials")).toBeNull();
    expect(answer.headers.get("set-cookie")).toBeNull();
  });
});

test("answers carry the headers that keep a browser from guessing, framing and remembering", async () => {
  for (const path of ["/api/v1/lists", "/api/v1/auth/options", "/api/v1/nowhere", "/api/v1/docs"]) {
    const { headers } = await fetch(url + path);
    expect([path, headers.get("x-content-type-options"), headers.get("x-frame-options")]).toEqual([
      path,
      "nosniff",
      "DENY",
    ]);
    expect(headers.get("x-powered-by")).toBeNull();
  }
  expect((await fetch(`${url}/api/v1/lists`)).headers.get("cache-control")).toBe("no-store");
  for (const path of ["/links/u/x", "/webhooks/postmark/x"])
    expect((await fetch(url + path)).headers.get("x-content-type-options"), path).toBe("nosniff");
});
