import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import zlib from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createHttpClient, HttpError } from "./client.ts";

type Seen = { from: number; method: string; path: string; headers: http.IncomingHttpHeaders; body: string };
let seen: Seen[] = [];
let port = 0;
/** The same server by another name: another origin. */
let elsewhere = "";
/** Bytes of the endless answer the server has got rid of. */
let written = 0;
let closed: Promise<unknown> = Promise.resolve();

const packed: Record<string, Buffer> = {
  gzip: zlib.gzipSync("Grüße ".repeat(1000)),
  deflate: zlib.deflateSync("Grüße ".repeat(1000)),
  raw: zlib.deflateRawSync("Grüße ".repeat(1000)),
  br: zlib.brotliCompressSync("Grüße ".repeat(1000)),
  bomb: zlib.gzipSync(Buffer.alloc(50 * 1024 * 1024)),
};

const server = http.createServer((req, res) => {
  const url = new URL(req.url ?? "/", "http://x");
  if (url.pathname === "/deaf") return;
  let body = "";
  req.on("error", () => {});
  req.on("data", (c: Buffer) => (body += c.toString()));
  req.on("end", () => {
    seen.push({ from: req.socket.remotePort!, method: req.method!, path: url.pathname, headers: req.headers, body });
    closed = once(res, "close");
    const to = url.searchParams.get("to");
    if (to) return void res.writeHead(Number(url.searchParams.get("status") ?? 302), { location: to }).end("moved");
    if (url.pathname === "/hang") return;
    if (url.pathname === "/stalls") return void res.writeHead(200).write("begun");
    if (url.pathname === "/drips") {
      const timer = setInterval(() => res.write("x"), 20);
      return void res.on("close", () => clearInterval(timer));
    }
    if (url.pathname === "/endless") {
      const more = () => {
        do written += 64 * 1024;
        while (res.write(Buffer.alloc(64 * 1024)));
      };
      written = 0;
      res.on("drain", more);
      return more();
    }
    if (url.pathname === "/headers") return void res.writeHead(200, { "x-long": "y".repeat(40_000) }).end();
    if (url.pathname === "/broken") return void res.writeHead(200, { "content-encoding": "gzip" }).end("no gzip");
    if (url.pathname === "/none") return void res.writeHead(204).end();
    const name = url.pathname.slice(1);
    if (packed[name]) {
      const encoding = { raw: "deflate", bomb: "gzip" }[name] ?? name;
      return void res.writeHead(200, { "content-encoding": encoding }).end(packed[name]);
    }
    res.writeHead(200, "Fine", { "content-type": "application/json", "set-cookie": ["a=1", "b=2"] }).end('{"ok":true}');
  });
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
  elsewhere = `http://localhost:${port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => void (seen = []));

const client = () =>
  createHttpClient({
    allowPrivateHosts: ["127.0.0.1", "localhost"],
    userAgent: "overture-test/1",
    lookup: (_, __, done) => done(null, [{ address: "127.0.0.1", family: 4 }]),
  });
const at = (path: string) => `http://127.0.0.1:${port}${path}`;
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail("no error"),
    (e: unknown) => e as HttpError,
  );
const reading = async (answer: Promise<Response>) => (await answer).text();

describe("an answer", () => {
  test("is a Response: status, headers, cookies, URL, JSON, a clone, and no body where HTTP has none", async () => {
    const response = await client().fetch(at("/ok?x=1#part"));
    expect(response).toBeInstanceOf(Response);
    expect(response).toMatchObject({
      status: 200,
      ok: true,
      statusText: "Fine",
      redirected: false,
      url: at("/ok?x=1"),
    });
    expect(response.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
    const copy = response.clone();
    expect(copy.url).toBe(at("/ok?x=1"));
    expect(await response.json()).toEqual({ ok: true });
    expect(await copy.text()).toBe('{"ok":true}');
    expect((await client().fetch(at("/none"))).body).toBeNull();
    expect((await client().fetch(at("/ok"), { method: "HEAD" })).body).toBeNull();
  });

  test.each(["gzip", "deflate", "raw", "br"])("in %s is decompressed", async (name) => {
    expect(await reading(client().fetch(at(`/${name}`)))).toBe("Grüße ".repeat(1000));
    expect(seen[0]!.headers["accept-encoding"]).toBe("gzip, deflate, br");
  });

  test("is limited after decompression: a bomb is not unpacked", async () => {
    expect(packed.bomb!.byteLength).toBeLessThan(100_000);
    const error = await failure(reading(client().with({ maxBytes: 1_000_000 }).fetch(at("/bomb"))));
    expect(error).toMatchObject({ name: "HttpError", kind: "too_large", sent: true });
  });

  test("that never ends is cut at the limit, and one with too many headers or broken compression is refused", async () => {
    expect(await failure(reading(client().fetch(at("/endless"))))).toMatchObject({ kind: "too_large" });
    expect(await failure(client().fetch(at("/headers")))).toMatchObject({ kind: "too_large", sent: true });
    expect(await failure(reading(client().fetch(at("/broken"))))).toMatchObject({ kind: "bad_answer" });
  });

  test("is not read ahead of its reader", async () => {
    const response = await client().with({ maxBytes: 1e12 }).fetch(at("/endless"));
    const reader = response.body!.getReader();
    await reader.read();
    // The peer stops when the buffers between are full: it then waits for "drain", and its count stands still.
    let before = -1;
    await expect
      .poll(() => {
        const still = before === written;
        before = written;
        return still;
      })
      .toBe(true);
    expect(written).toBeLessThan(32 * 1024 * 1024);
    await reader.cancel();
    await closed;
  });
});

describe("deadlines", () => {
  test("to the head, between pieces while somebody reads, and for the whole", async () => {
    const soon = client().with({ headersMs: 150, idleMs: 150 });
    expect(await failure(soon.fetch(at("/hang")))).toMatchObject({ kind: "timeout", sent: true });
    expect(await failure(reading(soon.fetch(at("/stalls"))))).toMatchObject({ kind: "timeout", sent: true });
    const whole = client().with({ totalMs: 300 });
    expect(await failure(reading(whole.fetch(at("/drips"))))).toMatchObject({ kind: "timeout", sent: true });
    await closed;
  });
});

describe("abort", () => {
  test("before, while waiting for the head and in mid-answer rejects with the caller's reason and hangs up", async () => {
    const reason = new Error("enough");
    expect(await failure(client().fetch(at("/ok"), { signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(seen).toEqual([]);

    const waiting = new AbortController();
    const arrived = once(server, "request");
    const hanging = failure(client().fetch(at("/deaf"), { signal: waiting.signal }));
    await arrived;
    waiting.abort(reason);
    expect(await hanging).toBe(reason);

    const midway = new AbortController();
    const response = await client().fetch(at("/drips"), { signal: midway.signal });
    const reader = response.body!.getReader();
    expect((await reader.read()).done).toBe(false);
    midway.abort();
    expect(await failure(reader.read().then(() => reader.read()))).toMatchObject({ name: "AbortError" });
    await closed;
  });

  test("of the reader hangs up, and a request's stream is cancelled with the request", async () => {
    const response = await client().fetch(at("/drips"));
    await response.body!.cancel();
    await closed;

    const controller = new AbortController();
    const cancelled = Promise.withResolvers<unknown>();
    const body = new ReadableStream({
      start: (c) => c.enqueue(new TextEncoder().encode("begun")),
      pull: () => new Promise(() => {}),
      cancel: cancelled.resolve,
    });
    const arrived = once(server, "request");
    const sending = failure(
      client().fetch(at("/deaf"), { method: "POST", body, signal: controller.signal, duplex: "half" } as RequestInit),
    );
    await arrived;
    controller.abort("no more");
    expect(await sending).toBe("no more");
    expect(await cancelled.promise).toBe("no more");
  });
});

describe("a request's body", () => {
  test("may be text, bytes, a Blob, a form, URLSearchParams, a stream or a Request", async () => {
    const form = new FormData();
    form.append('na"me', "a\nb");
    form.append("file", new File(["content"], "x.txt", { type: "text/plain" }));
    const stream = () => new Blob(["str", "eam"]).stream();
    const post = (body: unknown) => client().fetch(at("/in"), { method: "POST", body, duplex: "half" } as RequestInit);
    for (const body of [
      "Grüße",
      new TextEncoder().encode("Grüße"),
      new Blob(["Grüße"]),
      new URLSearchParams({ a: "b c" }),
      form,
      stream(),
    ])
      expect((await post(body)).status).toBe(200);
    await client().fetch(new Request(at("/in"), { method: "PUT", body: "whole", headers: { "x-a": "1" } }));
    expect(seen.map((s) => [s.method, s.headers["content-length"] ?? s.headers["transfer-encoding"]])).toEqual([
      ["POST", "7"],
      ["POST", "7"],
      ["POST", "7"],
      ["POST", "5"],
      ["POST", String(Buffer.byteLength(seen[4]!.body))],
      ["POST", "chunked"],
      ["PUT", "chunked"],
    ]);
    expect(seen.map((s) => s.body)).toMatchObject({
      0: "Grüße",
      1: "Grüße",
      2: "Grüße",
      3: "a=b+c",
      5: "stream",
      6: "whole",
    });
    const read = await new Response(seen[4]!.body, {
      headers: { "content-type": seen[4]!.headers["content-type"]! },
    }).formData();
    expect(read.get('na"me')).toBe("a\r\nb");
    expect(await (read.get("file") as File).text()).toBe("content");
    expect(seen[3]!.headers["content-type"]).toMatch(/^application\/x-www-form-urlencoded/);
    expect(seen[6]!.headers["x-a"]).toBe("1");
  });
});

describe("a request", () => {
  test("that writes has a connection of its own; reads share theirs", async () => {
    const http = client();
    for (const method of ["GET", "POST", "GET", "POST"]) await reading(http.fetch(at("/ok"), { method }));
    const [read, write, again, other] = seen.map((s) => s.from);
    expect(again).toBe(read);
    expect(new Set([read, write, other]).size).toBe(3);
  });
});

describe("a redirect", () => {
  const secrets = {
    authorization: "Bearer s",
    cookie: "c=1",
    "x-api-key": "k",
    "proxy-authorization": "p",
    accept: "text/x",
  };

  test("to another origin loses every header that could be a secret; to the same origin it keeps them", async () => {
    await client().fetch(at(`/a?to=/b`), { headers: secrets });
    expect(seen[1]!.headers).toMatchObject(secrets);
    const response = await client().fetch(at(`/a?to=${elsewhere}/c`), { headers: secrets });
    expect(response).toMatchObject({ redirected: true, url: `${elsewhere}/c` });
    expect(seen[3]!.path).toBe("/c");
    expect(seen[3]!.headers).toMatchObject({ accept: "text/x" });
    for (const name of Object.keys(secrets).filter((n) => n !== "accept"))
      expect(seen[3]!.headers, name).not.toHaveProperty(name);
  });

  test("is followed as told: manual is an answer, error is an error, and there is a limit", async () => {
    const manual = await client().fetch(at("/a?to=/b"), { redirect: "manual" });
    expect([manual.status, manual.headers.get("location")]).toEqual([302, "/b"]);
    expect(await failure(client().fetch(at("/a?to=/b"), { redirect: "error" }))).toMatchObject({ kind: "redirect" });
    seen = [];
    const loop = encodeURIComponent("/a?to=/a");
    expect(
      await failure(
        client()
          .with({ redirects: 0 })
          .fetch(at(`/a?to=${loop}`)),
      ),
    ).toMatchObject({ kind: "redirect", sent: true });
    expect(seen).toHaveLength(1);
  });

  test("into a private network is refused, whatever led there", async () => {
    const narrow = createHttpClient({ allowPrivateHosts: [`127.0.0.1:${port}`], userAgent: "t" });
    for (const to of [
      "http://10.1.2.3/",
      "http://[::1]/",
      "http://169.254.169.254/latest",
      `http://127.0.0.1:${port + 1}/`,
    ])
      expect(await failure(narrow.fetch(at(`/a?to=${encodeURIComponent(to)}`))), to).toMatchObject({ kind: "blocked" });
  });

  test.each([
    [301, "POST", "GET", ""],
    [302, "POST", "GET", ""],
    [303, "PUT", "GET", ""],
    [302, "PUT", "PUT", "x"],
    [307, "POST", "POST", "x"],
    [308, "POST", "POST", "x"],
  ])("%i turns %s into %s", async (status, method, then, body) => {
    await client().fetch(at(`/a?status=${status}&to=/b`), { method, body: "x" });
    expect(seen[1]).toMatchObject({ method: then, body });
    expect("content-type" in seen[1]!.headers).toBe(body !== "");
  });

  test("does not get a stream a second time", async () => {
    const body = new Blob(["x"]).stream();
    const error = await failure(
      client().fetch(at("/a?status=307&to=/b"), { method: "POST", body, duplex: "half" } as RequestInit),
    );
    expect(error).toMatchObject({ kind: "redirect", sent: true });
    expect(seen).toHaveLength(1);
  });
});

describe("errors", () => {
  test("about what was given leave no deadline behind, which would keep the process", async () => {
    const timers = () => process.getActiveResourcesInfo().filter((r) => r === "Timeout").length;
    const before = timers();
    await expect(client().fetch("https://a%zz:b@host.example/")).rejects.toThrow("not percent-encoded UTF-8");
    expect(timers()).toBe(before);
  });

  test("are TypeErrors that say whether the request may have been sent", async () => {
    const refused = await failure(client().fetch("http://127.0.0.1:1/", { method: "POST", body: "x" }));
    expect(refused).toBeInstanceOf(TypeError);
    expect(refused).toMatchObject({ kind: "connect", sent: false });
    const blocked = await failure(createHttpClient({ allowPrivateHosts: [], userAgent: "t" }).fetch(at("/ok")));
    expect(blocked).toMatchObject({ kind: "blocked", sent: false });
    await expect(client().fetch("no url")).rejects.toThrow(TypeError);
  });
});
