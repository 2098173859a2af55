import { execFile } from "node:child_process";
import http from "node:http";
import type { AddressInfo } from "node:net";
import net from "node:net";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createHttpClient, HttpError, isPublicAddress } from "./client.ts";

let port = 0;
let seen: { url: string; headers: http.IncomingHttpHeaders; body: string }[] = [];
const server = http.createServer((req, res) => {
  let body = "";
  req.on("data", (c: Buffer) => (body += c.toString()));
  req.on("end", () => {
    seen.push({ url: req.url ?? "", headers: req.headers, body });
    const path = new URL(req.url ?? "/", "http://x").pathname;
    if (path === "/hang") return;
    if (path === "/reset") return void req.socket.destroy();
    if (path === "/half") {
      res.writeHead(200, { "content-length": "100" });
      res.write("half");
      return void setImmediate(() => req.socket.destroy());
    }
    if (path === "/big") return void res.end("x".repeat(5000));
    if (path === "/html") return void res.end("<html>");
    if (path === "/redirect") return void res.writeHead(302, { location: "/ok" }).end();
    if (path === "/redirect-private") return void res.writeHead(302, { location: "http://10.1.2.3/" }).end();
    if (path === "/cookies") return void res.writeHead(200, { "set-cookie": ["a=1", "b=2"] }).end();
    res.writeHead(200, { "content-type": "application/json" }).end('{"ok":true}');
  });
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const client = (allow: string[] = [`127.0.0.1:${port}`]) =>
  createHttpClient({ allowPrivateHosts: allow, userAgent: "overture-test/1" });
const get = (path: string, extra: object = {}, allow?: string[]) =>
  client(allow).request({ method: "GET", url: `http://127.0.0.1:${port}${path}`, ...extra });
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail("no error"),
    (e: unknown) => e as HttpError,
  );

describe("addresses", () => {
  test("only plain unicast addresses are public", () => {
    for (const address of ["8.8.8.8", "2606:4700::1111"]) expect(isPublicAddress(address), address).toBe(true);
    const special = [
      "127.0.0.1",
      "10.0.0.1",
      "172.16.0.1",
      "192.168.1.1",
      "169.254.169.254",
      "100.64.0.1",
      "0.0.0.0",
      "224.0.0.1",
      "255.255.255.255",
    ];
    const special6 = [
      "::1",
      "::",
      "fe80::1",
      "fc00::1",
      "fd00:ec2::254",
      "::ffff:127.0.0.1",
      "::ffff:10.0.0.1",
      "64:ff9b::7f00:1",
      "2002:7f00:1::",
    ];
    for (const address of [...special, ...special6, "localhost", ""])
      expect(isPublicAddress(address), address).toBe(false);
  });

  test("a private address is refused in every spelling, before a connection is made", async () => {
    seen = [];
    const hosts = [
      "127.0.0.1",
      "2130706433",
      "0x7f000001",
      "0177.0.0.1",
      "127.1",
      "[::1]",
      "[::ffff:127.0.0.1]",
      "localhost",
    ];
    for (const host of hosts) {
      const error = await failure(client([]).request({ method: "GET", url: `http://${host}:${port}/` }));
      expect(error, host).toBeInstanceOf(HttpError);
      expect({ kind: error.kind, sent: error.sent }, host).toEqual({ kind: "blocked", sent: false });
    }
    expect(seen).toEqual([]);
  });

  test("the allow-list names a host or a host and port, nothing wider", async () => {
    expect((await get("/ok", {}, ["127.0.0.1"])).status).toBe(200);
    expect((await get("/ok", {}, [`127.0.0.1:${port}`])).status).toBe(200);
    expect((await failure(get("/ok", {}, [`127.0.0.1:${port + 1}`]))).kind).toBe("blocked");
    expect(
      (await client([`localhost:${port}`]).request({ method: "GET", url: `http://localhost:${port}/ok` })).status,
    ).toBe(200);
  });

  test("a redirect is not followed unless asked, and never into a private network", async () => {
    expect((await get("/redirect")).status).toBe(302);
    expect((await get("/redirect", { redirects: 1 })).json()).toEqual({ ok: true });
    expect((await failure(get("/redirect-private", { redirects: 3 }))).kind).toBe("blocked");
  });

  test("only http and https", async () => {
    for (const url of ["file:///etc/passwd", "ftp://example.com/", "gopher://example.com"]) {
      expect((await failure(client().request({ method: "GET", url }))).kind, url).toBe("blocked");
    }
    await expect(client().request({ method: "GET", url: "no url" })).rejects.toMatchObject({ code: "invalid" });
  });

  test("other protocols get the same guard for their own port", async () => {
    const lookup = (allow: string[], at: number) =>
      new Promise<string>((resolve) => {
        const socket = net.connect({ host: "localhost", port: at, lookup: client(allow).lookupFor(at) });
        socket.on("error", (e: NodeJS.ErrnoException) => resolve(e.code ?? e.message));
        socket.on("connect", () => (socket.destroy(), resolve("connected")));
      });
    expect(await lookup([], port)).toBe("EBLOCKED");
    expect(await lookup([`localhost:${port + 1}`], port)).toBe("EBLOCKED");
    expect(await lookup([`localhost:${port}`], port)).toBe("connected");
    expect(() => client([]).assertAllowed("10.0.0.1", 25)).toThrow(HttpError);
    expect(() => client([]).assertAllowed("8.8.8.8", 25)).not.toThrow();
  });
});

describe("exchanges", () => {
  test("JSON goes out with its type and length and comes back parsed; the caller judges the status", async () => {
    seen = [];
    const response = await client().json({
      method: "POST",
      url: `http://127.0.0.1:${port}/ok`,
      body: { text: "Grüße" },
    });
    expect(response.json()).toEqual({ ok: true });
    expect(seen[0]!.body).toBe('{"text":"Grüße"}');
    expect(seen[0]!.headers).toMatchObject({
      "content-type": "application/json",
      "user-agent": "overture-test/1",
      "content-length": "18",
    });
    expect((await get("/cookies")).headers.get("set-cookie")).toContain("a=1");
  });

  test("«sent» tells what may be repeated", async () => {
    const closed = await failure(
      client(["127.0.0.1"]).request({ method: "POST", url: "http://127.0.0.1:1/", body: "x" }),
    );
    expect({ kind: closed.kind, sent: closed.sent }).toEqual({ kind: "connect", sent: false });
    const unknown = await failure(client().request({ method: "POST", url: "http://nowhere.invalid/", body: "x" }));
    expect({ kind: unknown.kind, sent: unknown.sent }).toEqual({ kind: "dns", sent: false });
    for (const [path, kind] of [
      ["/reset", "reset"],
      ["/half", "reset"],
      ["/hang", "timeout"],
    ] as const) {
      const error = await failure(get(path, { method: "POST", body: "x", timeoutMs: 300 }));
      expect({ kind: error.kind, sent: error.sent }, path).toEqual({ kind, sent: true });
    }
  });

  test("a POST is made once, also when the peer hangs up on a warm connection, in both runtimes", async () => {
    const source = `
      import { createHttpClient } from "./modules/kernel/http/client.ts";
      const client = createHttpClient({ allowPrivateHosts: ["127.0.0.1"], userAgent: "t" });
      const url = "http://127.0.0.1:${port}";
      await client.request({ method: "POST", url: url + "/ok", body: "x" });
      await client.request({ method: "GET", url: url + "/ok" });
      const kind = await client.request({ method: "POST", url: url + "/reset?who=RUNTIME", body: "x" }).catch((e) => e.kind + " " + e.sent);
      console.log(kind);
      globalThis.process.exit(0);`;
    const runtimes = {
      node: [process.execPath, ["--input-type=module-typescript", "-e", source.replace("RUNTIME", "node")]],
      deno: ["node_modules/.bin/deno", ["eval", "--ext=ts", source.replace("RUNTIME", "deno")]],
    } as const;
    for (const [name, [command, args]] of Object.entries(runtimes)) {
      seen = [];
      const { stdout } = await promisify(execFile)(command, [...args], {
        cwd: fileURLToPath(new URL("../../..", import.meta.url)),
        timeout: 20_000,
      });
      expect(stdout.trim(), name).toBe("reset true");
      expect(
        seen.filter((s) => s.url === `/reset?who=${name}`),
        name,
      ).toHaveLength(1);
    }
  }, 45_000);

  test("an answer that is too large or no JSON is an error, not a crash", async () => {
    expect(await failure(get("/big", { maxBytes: 1000 }))).toMatchObject({ kind: "too_large", sent: true });
    expect((await get("/big", { maxBytes: 5000 })).body.byteLength).toBe(5000);
    const html = await get("/html");
    expect(() => html.json()).toThrow(HttpError);
  });
});
