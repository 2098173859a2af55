import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createReach } from "./reach.ts";

// A tenant chooses what stands in a mail, and the sandbox's personas follow it from inside the machine.

const called: string[] = [];
const server = createServer((request, response) => {
  called.push(request.url!);
  response.end("ok");
});
let base: string;
beforeAll(async () => {
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());

const get = { method: "GET" } as const;

test.each(["/links/o/token", "/webhooks/resend/1?x=1"])("the installation's own %s is called", async (path) => {
  const reach = createReach({ installation: ["https://outreach.example.com", base] });
  expect((await reach(base + path, get)).status).toBe(200);
  expect(called.at(-1)).toBe(path);
});

test.each([
  "/metrics",
  "/rest/v1/contacts",
  "/linksx/1",
  "/links/../metrics",
  "/links/%2e%2e/metrics",
  "/webhooks",
  "//links/",
])("another path of it is not: %s", async (path) => {
  const before = called.length;
  await expect(createReach({ installation: [base] })(base + path, get)).rejects.toThrow(/installation/);
  expect(called).toHaveLength(before);
});

test.each([
  "http://127.0.0.1:1/links/a",
  "http://localhost:5432/links/a",
  "http://[::1]:1/links/a",
  "http://169.254.169.254/links/a",
])("neither is another service, on this machine or elsewhere: %s", async (url) => {
  await expect(createReach({ installation: [base], hosts: ["localhost"] })(url, get)).rejects.toThrow(/installation/);
});

test("a public address with a path in it is a base like any other", async () => {
  const reach = createReach({ installation: [`${base}/outreach/`] });
  expect((await reach(`${base}/outreach/links/o/1`, get)).status).toBe(200);
  await expect(reach(`${base}/links/o/1`, get)).rejects.toThrow(/installation/);
});
