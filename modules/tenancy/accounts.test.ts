import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";

const t = testKernel();
const invite = testKernel({ OVERTURE_SIGNUP: "invite" });

/** Callers of their own address, so that one test's attempts do not count for another. */
const anonymous = () => {
  const address = `2001:db8::${crypto.randomUUID().slice(0, 4)}:${crypto.randomUUID().slice(0, 4)}`;
  const call = t.call(null);
  return (method: string, path: string, body?: unknown) => call(method, path, body, { "x-forwarded-for": address });
};
const person = () => ({ email: `p-${crypto.randomUUID()}@example.com`, password: "correct horse battery" });

describe("registering", () => {
  test("201 makes account and team, and the session works at once", async () => {
    const { email, password } = person();
    const made = await anonymous()("POST", "/auth/register", {
      email: email.toUpperCase(),
      password,
      name: "Ann",
      tenant_name: "Ann & Söhne",
    });
    expect(made.status).toBe(201);
    expect(made.body.user.email).toBe(email);
    expect(made.body.tenant).toMatchObject({ name: "Ann & Söhne", settings: {} });
    const me = await t.call(made.body.access_token)("GET", "/auth/me");
    expect(me.body).toMatchObject({
      user: { email, name: "Ann" },
      tenants: [{ id: made.body.tenant.id, role: "owner" }],
      tenant_id: made.body.tenant.id,
    });
    expect(me.body.permissions).toContain("members:write");
  });

  test("two teams of one name at the same moment get two slugs", async () => {
    const name = `Same ${crypto.randomUUID()}`;
    const made = await Promise.all(
      [1, 2, 3].map(() => anonymous()("POST", "/auth/signup", { ...person(), name: "", tenant_name: name })),
    );
    expect(made.map((m) => m.status)).toEqual([201, 201, 201]);
    expect(new Set(made.map((m) => m.body.tenant.slug)).size).toBe(3);
  });

  test("goes on where a crash stopped it: the account is there, the team is not", async () => {
    const { email, password } = person();
    const direct = await fetch(`${t.env.SUPABASE_URL}/auth/v1/signup`, {
      method: "POST",
      headers: { apikey: t.env.SUPABASE_PUBLISHABLE_KEY!, "content-type": "application/json" },
      body: JSON.stringify({ email, password }),
    });
    expect(direct.status).toBe(200);
    const again = await anonymous()("POST", "/auth/register", { email, password, name: "Bo", tenant_name: "Bo" });
    expect(again.status).toBe(201);
    // And once there is a team, repeating makes no second one.
    expect(
      (await anonymous()("POST", "/auth/register", { email, password, name: "Bo", tenant_name: "Bo" })).status,
    ).toBe(409);
    expect((await t.call(again.body.access_token)("GET", "/tenants")).body.data).toHaveLength(1);
  });

  test("422 names the field: password, e-mail, team name", async () => {
    const short = await anonymous()("POST", "/auth/register", {
      email: "nobody",
      password: "short",
      name: "",
      tenant_name: " ",
    });
    expect(short.status).toBe(422);
    expect(short.body.errors.map((e: { pointer: string }) => e.pointer).sort()).toEqual([
      "/email",
      "/password",
      "/tenant_name",
    ]);
  });

  test("403 where teams are by invitation, also for a signed-in person without one", async () => {
    expect(
      (await invite.call(null)("POST", "/auth/register", { ...person(), name: "", tenant_name: "X" })).status,
    ).toBe(403);
    const stranger = await t.sign(crypto.randomUUID(), "stranger@example.com");
    expect((await invite.call(stranger)("POST", "/tenants", { name: "X" })).status).toBe(403);
    // The demo's team is one as well, and its owner could make more.
    expect((await invite.call(stranger)("POST", "/demo", {})).status).toBe(403);
    const owner = await t.tenant();
    expect((await invite.call(owner.owner.token)("POST", "/tenants", { name: "Second" })).status).toBe(201);
  });
});

describe("signing in", () => {
  test("an unknown e-mail and a wrong password get the same answer", async () => {
    const { email, password } = person();
    await anonymous()("POST", "/auth/register", { email, password, name: "", tenant_name: "T" });
    const wrong = await anonymous()("POST", "/auth/login", { email, password: "wrong wrong wrong" });
    const unknown = await anonymous()("POST", "/auth/login", { ...person() });
    expect([wrong.status, unknown.status]).toEqual([401, 401]);
    const { request_id: _a, ...a } = wrong.body;
    const { request_id: _b, ...b } = unknown.body;
    expect(a).toEqual(b);
  });

  test("429 with Retry-After for one e-mail from many addresses; refused attempts stay counted", async () => {
    const { email } = person();
    const statuses: number[] = [];
    for (let i = 0; i < 17; i++)
      statuses.push((await anonymous()("POST", "/auth/login", { email, password: "guess guess" })).status);
    expect(statuses.slice(0, 15)).toEqual(Array(15).fill(401));
    expect(statuses.at(-1)).toBe(429);
    const limited = await anonymous()("POST", "/auth/login", { email, password: "guess guess" });
    expect(Number(limited.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(limited.body.code).toBe("rate_limited");
  });

  test("refresh gives a new session, a bad token 401, and logout ends it", async () => {
    const { email, password } = person();
    await anonymous()("POST", "/auth/register", { email, password, name: "", tenant_name: "T" });
    const session = (await anonymous()("POST", "/auth/login", { email, password })).body;
    const fresh = await anonymous()("POST", "/auth/refresh", { refresh_token: session.refresh_token });
    expect(fresh.status).toBe(200);
    expect(fresh.body.user.id).toBe(session.user.id);
    expect((await anonymous()("POST", "/auth/refresh", { refresh_token: "nonsense" })).status).toBe(401);
    expect((await t.call(fresh.body.access_token)("POST", "/auth/logout")).status).toBe(204);
    expect((await anonymous()("POST", "/auth/refresh", { refresh_token: fresh.body.refresh_token })).status).toBe(401);
  });
});

test("an expired session is no obstacle to a new one, and good for nothing else", async () => {
  const { email, password } = person();
  const { user } = (await anonymous()("POST", "/auth/register", { email, password, name: "", tenant_name: "T" })).body;
  const expired = t.call(await t.sign(user.id, email, "-1h"));
  const session = await expired("POST", "/auth/login", { email, password });
  expect(session.status).toBe(200);
  const fresh = await expired("POST", "/auth/refresh", { refresh_token: session.body.refresh_token });
  expect(fresh.status).toBe(200);
  expect(fresh.body.user.id).toBe(user.id);
  expect((await expired("POST", "/auth/login", { email, password: "wrong wrong wrong" })).status).toBe(401);
  expect((await expired("GET", "/auth/me")).status).toBe(401);
  expect((await expired("POST", "/auth/logout")).status).toBe(401);
  expect((await expired("GET", "/members")).status).toBe(401);
});

describe("where the e-mail must be confirmed first", () => {
  let server: Server;
  let confirmed = false;
  let made: { call: ReturnType<typeof t.call> };
  const user = { id: crypto.randomUUID(), email: "new@example.com" };

  beforeAll(async () => {
    // GoTrue's own answers with confirmations on: a user without a session, then email_not_confirmed.
    server = createServer((req, res) => {
      const answer = (status: number, body: unknown) =>
        res.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
      req.resume();
      if (req.url?.startsWith("/auth/v1/signup"))
        return answer(200, { ...user, confirmation_sent_at: "2026-01-01T00:00:00Z", identities: [] });
      if (!confirmed) return answer(400, { code: "email_not_confirmed", message: "Email not confirmed" });
      return answer(200, { access_token: "a", refresh_token: "r", expires_in: 3600, token_type: "bearer", user });
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const other = testKernel({ SUPABASE_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
    made = { call: other.call(null) };
  });
  afterAll(() => new Promise((done) => server.close(done)));

  test("202 says so, makes no team, and the same call goes through once it is confirmed", async () => {
    const input = { email: user.email, password: "correct horse battery", name: "N", tenant_name: "N" };
    const first = await made.call("POST", "/auth/register", input);
    expect(first.status).toBe(202);
    expect(first.body).toMatchObject({ status: "confirmation_required", email: user.email });
    expect(await t.sql`select 1 from public.members where user_id = ${user.id}`).toHaveLength(0);
    expect((await made.call("POST", "/auth/login", { email: user.email, password: input.password })).status).toBe(403);
    confirmed = true;
    expect((await made.call("POST", "/auth/register", input)).status).toBe(201);
  });
});

test("options are public and tell what is switched on", async () => {
  const { status, body } = await t.call(null)("GET", "/auth/options");
  expect(status).toBe(200);
  expect(body).toMatchObject({ signup: "open", publishable_key: t.env.SUPABASE_PUBLISHABLE_KEY });
  expect(body.modules).toEqual(expect.arrayContaining(["tenancy", "operations", "analytics"]));
});
