import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../../tests/support/until.ts";
import type { Stack } from "./stack.ts";
import { fixtureStack } from "./testing.ts";

let stack: Stack;
let sql: Sql;
let base: string;
const requests: { method: string; url: string; headers: IncomingMessage["headers"]; body: string }[] = [];
const server = createServer((request, response) => {
  let body = "";
  request.on("data", (chunk) => (body += chunk));
  request.on("end", () => {
    requests.push({ method: request.method!, url: request.url!, headers: request.headers, body });
    if (request.url === "/silent") return;
    response
      .writeHead(request.url === "/teapot" ? 418 : 200, { "content-type": "application/json" })
      .end('{"ok":true}');
  });
});

beforeAll(async () => {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  stack = await fixtureStack("select 1;");
  sql = postgres(stack.dbUrl, { max: 1, onnotice: () => {} });
});
afterAll(async () => {
  await sql?.end();
  await stack?.stop();
  server.closeAllConnections();
  server.close();
});

const response = (id: string) =>
  until(
    async () =>
      (await sql`select status_code, content_type, content, error_msg from net._http_response where id = ${id}`)[0],
    { what: `answer ${id}` },
  );

test("a POST is sent after commit with its headers, parameters and body, and its answer is kept", async () => {
  const id = await sql.begin(async (tx) => {
    const [row] =
      await tx`select net.http_post(${`${base}/hook?a=1`}, '{"n":1}'::jsonb, '{"q":"ä b&c"}'::jsonb, '{"apikey":"k"}'::jsonb, 2000) as id`;
    expect(await tx`select count(*)::int as n from net.http_request_queue`).toEqual([{ n: 1 }]);
    return row!.id as string;
  });
  expect(await response(id)).toEqual({
    status_code: 200,
    content_type: "application/json",
    content: '{"ok":true}',
    error_msg: null,
  });
  const sent = requests.find((request) => request.url.startsWith("/hook"))!;
  expect(sent).toMatchObject({ method: "POST", url: "/hook?a=1&q=%C3%A4%20b%26c", body: '{"n": 1}' });
  expect(sent.headers).toMatchObject({ apikey: "k", "content-type": "application/json" });
});

test("a rolled-back request is never sent", async () => {
  await sql
    .begin((tx) => tx`select net.http_get(${`${base}/never`})`.then(() => Promise.reject(new Error("roll back"))))
    .catch(() => {});
  const [row] = await sql`select net.http_get(${`${base}/after`}) as id`;
  await response(row!.id);
  expect(requests.map((request) => request.url)).not.toContain("/never");
});

test("error statuses, timeouts and unreachable hosts are answers too", async () => {
  const [row] =
    await sql`select net.http_get(${`${base}/teapot`}) as teapot, net.http_get(${`${base}/silent`}, timeout_milliseconds := 200) as silent,
    net.http_delete(${`http://127.0.0.1:${stack.ports.sandbox}/`}) as closed`;
  expect(await response(row!.teapot)).toMatchObject({ status_code: 418, error_msg: null });
  expect(await response(row!.silent)).toMatchObject({ status_code: null, error_msg: "Timeout of 200 ms reached." });
  expect(await response(row!.closed)).toMatchObject({
    status_code: null,
    error_msg: expect.stringMatching(/refused|error sending/i),
  });
});

test("a burst of requests is sent completely, each once", async () => {
  await sql`select net.http_post(${base} || '/burst/' || n) from generate_series(1, 300) n`;
  const sent = () => requests.filter((request) => request.url.startsWith("/burst/")).map((request) => request.url);
  await until(() => sent().length >= 300, { what: "300 requests" });
  expect(new Set(sent()).size).toBe(300);
});
