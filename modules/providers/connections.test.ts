import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, describe, expect, inject, test, vi } from "vitest";
import { sentMessage } from "../../tests/support/sent-message.ts";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { openConnection } from "./connections.ts";

/** A server of nobody's making: answers as `answer` says, so that a test decides when and with what. */
let answer: (authorization: string) => Promise<{ status: number; body: unknown }> = () =>
  Promise.resolve({ status: 200, body: {} });
const peer = createServer((req, res) => {
  void answer(req.headers.authorization ?? "").then(({ status, body }) =>
    res.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body)),
  );
});
await new Promise<void>((resolve) => peer.listen(0, "127.0.0.1", resolve));
afterAll(() => new Promise((resolve) => peer.close(resolve)));
const peerHost = `127.0.0.1:${(peer.address() as AddressInfo).port}`;

const k = testKernel({
  OVERTURE_ALLOW_PRIVATE_HOSTS: [inject("stackEnv").OVERTURE_ALLOW_PRIVATE_HOSTS, peerHost].join(","),
  LOG_LEVEL: "debug",
});
const logged: string[] = [];
vi.spyOn(console, "error").mockImplementation((line: string) => void logged.push(line));
const sandbox = () => k.env.OVERTURE_SANDBOX_URL!;
const goodKey = () => `re_${crypto.randomUUID().replaceAll("-", "")}`;

const makeResend = (t: TestTenant, over: Record<string, unknown> = {}) =>
  t.api("POST", "/connections", {
    provider: "resend",
    name: `Resend ${crypto.randomUUID()}`,
    credentials: { api_key: goodKey() },
    base_url: `${sandbox()}/resend`,
    ...over,
  });

const makePostmark = (t: TestTenant) =>
  t.api("POST", "/connections", {
    provider: "postmark",
    name: `Postmark ${crypto.randomUUID()}`,
    credentials: { server_token: crypto.randomUUID() },
    base_url: `${sandbox()}/postmark`,
  });

describe("credentials", () => {
  test("are ciphertext in the database and in no answer, audit row or list", async () => {
    const t = await k.tenant();
    const secret = goodKey();
    const made = await makeResend(t, { credentials: { api_key: secret } });
    expect(made.status).toBe(201);
    expect(made.body.credentials_set).toEqual(["api_key"]);
    const id = made.body.id as string;
    const answers = [
      made,
      await t.api("GET", `/connections/${id}`),
      await t.api("GET", "/connections"),
      await t.api("PATCH", `/connections/${id}`, { credentials: { api_key: `${secret}x` } }),
      await t.api("POST", `/connections/${id}/check`),
      await t.api("GET", "/audit-log"),
    ];
    for (const answer of answers) {
      expect(answer.status).toBeLessThan(300);
      expect(JSON.stringify(answer.body)).not.toContain(secret);
    }
    const stored =
      await k.sql`select credentials::text as c, row_to_json(x)::text as whole from public.connections x where id = ${id}`;
    expect(stored[0]!.c).toMatch(/^v1\./);
    expect(stored[0]!.whole).not.toContain(secret);
    const audit = await k.sql`select detail::text as d from public.audit_log where tenant_id = ${t.id}`;
    expect(audit.length).toBeGreaterThan(0);
    expect(JSON.stringify(audit)).not.toContain(secret);
  });

  test("are taken out of what a provider says, and out of the log", async () => {
    const t = await k.tenant();
    const secret = goodKey();
    const { body } = await makeResend(t, { credentials: { api_key: secret }, base_url: `http://${peerHost}` });
    answer = (authorization) =>
      Promise.resolve({
        status: 401,
        body: { name: "invalid_api_key", message: `The key in ${authorization} is wrong` },
      });
    const check = await t.api("POST", `/connections/${body.id}/check`);
    expect(check.body).toMatchObject({ ok: false, detail: "The key in Bearer [secret] is wrong" });
    answer = () => Promise.resolve({ status: 200, body: { data: "nonsense" } });
    const odd = await t.api("POST", `/connections/${body.id}/register-webhook`);
    expect([odd.status, odd.body.code]).toEqual([502, "upstream"]);
    expect(JSON.stringify(odd.body)).not.toContain(secret);
    expect(logged.length).toBeGreaterThan(0);
    expect(logged.join("\n")).not.toContain(secret);
  });

  test("open only in their own row: a ciphertext copied to another connection is refused", async () => {
    const t = await k.tenant();
    const a = (await makeResend(t)).body.id;
    const b = (await makeResend(t)).body.id;
    await k.sql`update public.connections set credentials = (select credentials from public.connections where id = ${a}) where id = ${b}`;
    await expect(t.run((ctx) => openConnection(ctx, b))).rejects.toThrow(/cannot be decrypted/);
    await expect(t.run((ctx) => openConnection(ctx, a))).resolves.toMatchObject({
      provider: { id: "resend" },
      status: "draft",
    });
  });

  test("are merged by PATCH; null removes; what is required cannot be removed", async () => {
    const t = await k.tenant();
    const key = goodKey();
    const { body } = await makeResend(t, { credentials: { api_key: key } });
    const hook = `whsec_${btoa("0123456789abcdef01234567")}`;
    const added = await t.api("PATCH", `/connections/${body.id}`, { credentials: { webhook_secret: hook } });
    expect(added.body.credentials_set).toEqual(["api_key", "webhook_secret"]);
    const opened = await t.run((ctx) => openConnection(ctx, body.id));
    expect(opened.connection.credentials).toEqual({ api_key: key, webhook_secret: hook });
    const removed = await t.api("PATCH", `/connections/${body.id}`, { credentials: { webhook_secret: null } });
    expect(removed.body.credentials_set).toEqual(["api_key"]);
    const refused = await t.api("PATCH", `/connections/${body.id}`, { credentials: { api_key: null } });
    expect(refused.status).toBe(422);
    expect(refused.body.errors).toEqual([{ pointer: "/credentials/api_key", detail: "is missing" }]);
  });

  test("422 names the field and never repeats the value", async () => {
    const t = await k.tenant();
    const wrong = await makeResend(t, { credentials: { api_key: "sk_live_oops_12345" } });
    expect(wrong.status).toBe(422);
    expect(wrong.body.errors[0].pointer).toBe("/credentials/api_key");
    expect(JSON.stringify(wrong.body)).not.toContain("oops");
    const unknown = await makeResend(t, { credentials: { api_key: goodKey(), colour: "red" } });
    expect(unknown.body.errors).toEqual([
      { pointer: "/credentials/colour", detail: "Resend has no field with this name." },
    ]);
    const provider = await makeResend(t, { provider: "pigeon" });
    expect(provider.body.errors[0].pointer).toBe("/provider");
  });

  test("a provider without signatures gets a webhook password nobody has to invent, when its webhook is registered", async () => {
    const t = await k.tenant();
    const { id, credentials_set } = (await makePostmark(t)).body;
    expect(credentials_set).toEqual(["server_token"]);
    const unset = await t.run((ctx) => openConnection(ctx, id));
    const headers = new Headers({ authorization: `Basic ${btoa("overture:")}` });
    const request = { headers, body: new Uint8Array(), url: "https://us.example", now: new Date() };
    await expect(unset.provider.webhook!.verify(request, unset.connection)).rejects.toThrow(
      /Register the webhook first/,
    );
    const { body } = await t.api("POST", `/connections/${id}/register-webhook`);
    expect(body.connection.credentials_set).toEqual(["server_token", "webhook_password", "webhook_username"]);
    const password = async () =>
      (await t.run((ctx) => openConnection(ctx, id))).connection.credentials.webhook_password as string;
    const first = await password();
    expect(first.length).toBeGreaterThanOrEqual(32);
    await t.api("POST", `/connections/${id}/register-webhook`);
    expect(await password()).toBe(first);
  });

  test("do not travel to a server somebody enters without knowing them", async () => {
    const t = await k.tenant();
    const { body } = await makeResend(t);
    const stolen = await t.api("PATCH", `/connections/${body.id}`, { base_url: "https://collector.example.com" });
    expect(stolen.status).toBe(422);
    expect(stolen.body.errors[0].pointer).toBe("/credentials/api_key");
    const honest = await t.api("PATCH", `/connections/${body.id}`, {
      base_url: "https://peer.example.com/",
      credentials: { api_key: goodKey() },
    });
    expect(honest.status).toBe(200);
    expect(honest.body.base_url).toBe("https://peer.example.com");
  });
});

describe("base_url", () => {
  test.each([
    ["http://10.0.0.8", /private/],
    ["http://169.254.169.254/latest", /private/],
    ["http://[::1]:9", /private/],
    ["ftp://example.com", /http/],
    ["https://user:pass@example.com", /user name/],
    ["http://api.example.com", /unencrypted/],
    ["not a url", /not a URL/],
    ["https://example.com/?x=1", /query/],
  ])("%s is refused", async (base_url, why) => {
    const t = await k.tenant();
    const { status, body } = await makeResend(t, { base_url });
    expect(status).toBe(422);
    expect(body.errors[0].pointer).toBe("/base_url");
    expect(body.detail).toMatch(why);
  });

  test("an SMTP server named by it needs no host setting; without either, host is missing", async () => {
    const t = await k.tenant();
    const base = { provider: "smtp", name: "S", credentials: { username: "u", password: "pass-word" } };
    const withUrl = await t.api("POST", "/connections", {
      ...base,
      base_url: `smtp://127.0.0.1:${k.env.SANDBOX_SMTP_PORT}`,
    });
    expect(withUrl.status).toBe(201);
    expect(withUrl.body.webhook_url).toBeNull();
    const without = await t.api("POST", "/connections", { ...base, name: "T" });
    expect(without.body.errors).toEqual([{ pointer: "/settings/host", detail: "is missing" }]);
  });
});

describe("states", () => {
  test("draft → tested → active ⇄ paused, and only so", async () => {
    const t = await k.tenant();
    const { id, status } = (await makeResend(t)).body;
    expect(status).toBe("draft");
    const early = await t.api("POST", `/connections/${id}/activate`);
    expect([early.status, early.body.code]).toEqual([409, "conflict"]);
    expect((await t.api("POST", `/connections/${id}/pause`)).status).toBe(409);

    const check = await t.api("POST", `/connections/${id}/check`);
    expect(check.body).toMatchObject({ ok: true, connection: { status: "tested" } });
    expect((await t.api("POST", `/connections/${id}/activate`)).body.status).toBe("active");
    // A second click is no error.
    expect((await t.api("POST", `/connections/${id}/activate`)).body.status).toBe("active");
    expect((await t.api("POST", `/connections/${id}/check`)).body.connection.status).toBe("active");
    expect((await t.api("POST", `/connections/${id}/pause`)).body.status).toBe("paused");
    expect((await t.api("POST", `/connections/${id}/activate`)).body.status).toBe("active");
  });

  test("a refusal turns a connection in use into an issue; passing again makes it tested", async () => {
    const t = await k.tenant();
    const { id } = (await makeResend(t, { credentials: { api_key: "re_invalid_1" } })).body;
    const failed = await t.api("POST", `/connections/${id}/check`);
    expect(failed.status).toBe(200);
    expect(failed.body).toMatchObject({
      ok: false,
      connection: { status: "draft", health: { last_error: failed.body.detail } },
    });
    expect(JSON.stringify(failed.body)).not.toContain("re_invalid_1");

    await k.sql`update public.connections set status = 'active' where id = ${id}`;
    expect((await t.api("POST", `/connections/${id}/check`)).body.connection.status).toBe("issue");
    expect((await t.api("POST", `/connections/${id}/activate`)).status).toBe(409);
    await t.api("PATCH", `/connections/${id}`, { credentials: { api_key: goodKey() } });
    const mended = await t.api("POST", `/connections/${id}/check`);
    expect(mended.body.connection).toMatchObject({ status: "tested", health: { last_error: null } });
  });

  test("silence proves nothing: an unreachable provider leaves the state as it is", async () => {
    const t = await k.tenant();
    const { id } = (await makeResend(t)).body;
    await k.sql`update public.connections set status = 'active', base_url = 'http://nowhere.invalid' where id = ${id}`;
    const { body } = await t.api("POST", `/connections/${id}/check`);
    expect(body).toMatchObject({ ok: false, connection: { status: "active" } });
    expect(body.connection.health.last_error).toBe(body.detail);
  });

  test("a check that overtakes an edit says nothing about the new credentials", async () => {
    const t = await k.tenant();
    const { id } = (await makeResend(t, { base_url: `http://${peerHost}` })).body;
    let asked!: () => void;
    let release!: () => void;
    const isAsked = new Promise<void>((resolve) => (asked = resolve));
    const released = new Promise<void>((resolve) => (release = resolve));
    answer = async () => {
      asked();
      await released;
      return { status: 200, body: { data: [{ name: "a.example", status: "verified" }] } };
    };
    const checking = t.api("POST", `/connections/${id}/check`);
    await isAsked;
    await t.api("PATCH", `/connections/${id}`, { credentials: { api_key: goodKey() } });
    release();
    expect((await checking).status).toBe(409);
    expect((await t.api("GET", `/connections/${id}`)).body.status).toBe("draft");
  });

  test("an SMTP account is checked too", async () => {
    const t = await k.tenant();
    const base_url = `smtp://127.0.0.1:${k.env.SANDBOX_SMTP_PORT}`;
    const make = async (password: string) =>
      (
        await t.api("POST", "/connections", {
          provider: "smtp",
          name: password,
          credentials: { username: "somebody", password },
          base_url,
        })
      ).body.id as string;
    expect((await t.api("POST", `/connections/${await make("an app password")}/check`)).body).toMatchObject({
      ok: true,
      connection: { status: "tested" },
    });
    const refused = await t.api("POST", `/connections/${await make("invalid-password")}/check`);
    expect(refused.body).toMatchObject({ ok: false, connection: { status: "draft" } });
  });

  test("changing credentials or settings makes it a draft; a new name, the same values or a webhook secret do not", async () => {
    const t = await k.tenant();
    const { id } = (await makeResend(t)).body;
    await t.api("POST", `/connections/${id}/check`);
    await t.api("POST", `/connections/${id}/activate`);
    const status = async (body: object) => (await t.api("PATCH", `/connections/${id}`, body)).body.status as string;
    expect(await status({ name: "Renamed" })).toBe("active");
    expect(await status({ settings: {}, base_url: `${sandbox()}/resend/` })).toBe("active");
    expect(await status({ credentials: { webhook_secret: `whsec_${btoa("0123456789abcdef01234567")}` } })).toBe(
      "active",
    );
    expect((await t.api("PATCH", `/connections/${id}`, { settings: { per_second: 2 } })).body).toMatchObject({
      status: "draft",
      settings: { per_second: 2 },
    });
  });

  test("registering the webhook stores the secret the provider gives, and repeating it is safe", async () => {
    const t = await k.tenant();
    const { id } = (await makeResend(t)).body;
    for (let round = 0; round < 2; round++) {
      const { status, body } = await t.api("POST", `/connections/${id}/register-webhook`);
      expect(status).toBe(200);
      expect(body.connection).toMatchObject({
        webhook_registered: true,
        credentials_set: ["api_key", "webhook_secret"],
      });
    }
  });

  test("a webhook counts as registered for the account and the secret it was registered with", async () => {
    const t = await k.tenant();
    const { id } = (await makePostmark(t)).body;
    const register = async () => {
      const { body } = await t.api("POST", `/connections/${id}/register-webhook`);
      expect(body.connection.webhook_registered).toBe(true);
    };
    const after = async (change: object) =>
      (await t.api("PATCH", `/connections/${id}`, change)).body.webhook_registered as boolean;
    await register();
    expect(await after({ name: `Renamed ${id}` })).toBe(true);
    expect(await after({ settings: { per_second: 3 } })).toBe(true);
    expect(await after({ settings: { message_stream: "outbound" } })).toBe(true);
    for (const change of [
      { credentials: { server_token: crypto.randomUUID() } },
      { credentials: { webhook_password: "a password of the team's own" } },
      { settings: { message_stream: "broadcast" } },
    ]) {
      expect(await after(change), JSON.stringify(change)).toBe(false);
      await register();
    }
  });

  test("a registration that overtakes an edit says nothing about the new account", async () => {
    const t = await k.tenant();
    const { id } = (await makeResend(t, { base_url: `http://${peerHost}` })).body;
    let asked!: () => void;
    let release!: () => void;
    const isAsked = new Promise<void>((resolve) => (asked = resolve));
    const released = new Promise<void>((resolve) => (release = resolve));
    const calls = [
      { data: [] },
      { id: "wh_1", endpoint: "https://us.example", signing_secret: `whsec_${btoa("0123456789abcdef01234567")}` },
    ];
    answer = async () => {
      asked();
      await released;
      return { status: 200, body: calls.shift() };
    };
    const registering = t.api("POST", `/connections/${id}/register-webhook`);
    await isAsked;
    await t.api("PATCH", `/connections/${id}`, { credentials: { api_key: goodKey() } });
    release();
    const { status, body } = await registering;
    expect([status, body.suggestion]).toEqual([409, "Register the webhook again."]);
    expect((await t.api("GET", `/connections/${id}`)).body).toMatchObject({
      webhook_registered: false,
      credentials_set: ["api_key"],
    });
  });

  test("a provider on the internet is not given an address it cannot reach", async () => {
    const t = await k.tenant();
    const { id } = (await makeResend(t, { base_url: null })).body;
    const { status, body } = await t.api("POST", `/connections/${id}/register-webhook`);
    expect(status).toBe(409);
    expect(body.suggestion).toContain("OVERTURE_PUBLIC_URL");
  });
});

describe("who may", () => {
  test("a viewer reads and cannot write; another team sees nothing", async () => {
    const t = await k.tenant();
    const { id } = (await makeResend(t)).body;
    const viewer = await t.member("viewer");
    expect((await viewer.api("GET", `/connections/${id}`)).status).toBe(200);
    expect((await viewer.api("POST", `/connections/${id}/pause`)).status).toBe(403);
    expect((await (await t.member("member")).api("DELETE", `/connections/${id}`)).status).toBe(403);
    const other = await k.tenant();
    for (const [method, path] of [
      ["GET", ""],
      ["PATCH", ""],
      ["DELETE", ""],
      ["POST", "/check"],
      ["POST", "/activate"],
      ["POST", "/register-webhook"],
    ] as const) {
      const { status } = await other.api(
        method,
        `/connections/${id}${path}`,
        method === "PATCH" ? { name: "Mine" } : undefined,
      );
      expect([path, status]).toEqual([path, 404]);
    }
  });

  test("409 for a name that is taken", async () => {
    const t = await k.tenant();
    await makeResend(t, { name: "Main" });
    const again = await makeResend(t, { name: "Main" });
    expect([again.status, again.body.errors[0].pointer]).toEqual([409, "/name"]);
  });

  test("a connection in use is not removed and says what uses it", async () => {
    const t = await k.tenant();
    const { id } = (await makeResend(t)).body;
    const message = await sentMessage(k, t, id);
    const refused = await t.api("DELETE", `/connections/${id}`);
    expect(refused.status).toBe(409);
    expect(refused.body.detail).toContain(message.senderEmail);
    const unused = (await makeResend(t)).body.id;
    expect((await t.api("DELETE", `/connections/${unused}`)).status).toBe(204);
    expect((await t.api("DELETE", `/connections/${unused}`)).status).toBe(404);
  });
});

test("the catalogue describes every provider with a form that marks its secrets", async () => {
  const t = await k.tenant();
  const { body } = await t.api("GET", "/providers");
  const resend = body.data.find((p: { id: string }) => p.id === "resend");
  expect(resend.credentials_form[0]).toMatchObject({ key: "api_key", secret: true, required: true, type: "string" });
  expect(resend).toMatchObject({ webhooks: true, send: { reconcile: "key" }, category: "email" });
  // Whatever is called by a rate lets a bigger plan say so; language models count tokens.
  for (const p of body.data)
    expect(p.settings_form.map((f: { key: string }) => f.key)).toContain(
      p.category === "llm" ? "tokens_per_minute" : "per_second",
    );
});
