import { expect, test } from "vitest";
import { z } from "zod";
import { testKernel } from "../../../tests/support/kernel.ts";
import { until } from "../../../tests/support/until.ts";
import { AppError } from "../errors.ts";
import { defineModule } from "../module.ts";
import { defineOperation } from "./operation.ts";

let gate: Promise<void> = Promise.resolve();

const makeList = defineOperation({
  id: "probe.make",
  method: "POST",
  path: "/probe/{kind}",
  summary: "Writes a list, and fails after it when told to",
  permission: "probe:write",
  input: z.object({
    kind: z.enum(["plain", "throw", "slow"]),
    name: z.string().min(1).max(50),
    password: z.string().optional(),
  }),
  output: z.object({ name: z.string(), n: z.number() }),
  status: 201,
  async handle(ctx, input) {
    await ctx.db`insert into public.lists (tenant_id, name) values (${ctx.tenantId}, ${input.name})`;
    if (input.kind === "throw") throw new AppError("conflict", "as asked");
    if (input.kind === "slow") await gate;
    return { name: input.name, n: Math.random() };
  },
});
const badAnswer = defineOperation({
  id: "probe.bad",
  method: "GET",
  path: "/probe-bad",
  summary: "Answers what its schema forbids",
  permission: "probe:read",
  input: z.object({ deep: z.string().optional() }),
  output: z.object({ n: z.number() }),
  handle: () => Promise.resolve({ n: "x" as unknown as number }),
});
const probe = defineModule({
  name: "probe",
  needs: [],
  permissions: { "probe:read": "viewer", "probe:write": "member" },
  operations: [makeList, badAnswer],
});

const t = testKernel({}, [probe]);
const lists = (tenantId: string) => t.sql`select name from public.lists where tenant_id = ${tenantId} order by name`;

test("401 without a credential, with a forged one and with an expired one", async () => {
  const team = await t.tenant();
  expect((await t.call(null)("POST", "/probe/plain", { name: "x" })).status).toBe(401);
  const forged = `${team.owner.token.slice(0, -4)}AAAA`;
  expect((await t.call(forged)("POST", "/probe/plain", { name: "x" })).status).toBe(401);
  const expired = await t.sign(team.owner.userId, team.owner.email, "-1h");
  const answer = await t.call(expired)("POST", "/probe/plain", { name: "x" });
  expect(answer.status).toBe(401);
  expect(answer.body).toMatchObject({
    type: "urn:problem:unauthenticated",
    status: 401,
    request_id: expect.any(String),
  });
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
});

test("an unsigned token (alg none) is refused", async () => {
  const team = await t.tenant();
  const part = (o: object) => btoa(JSON.stringify(o)).replaceAll("=", "");
  const none = `${part({ alg: "none" })}.${part({ sub: team.owner.userId, role: "authenticated", exp: 4_000_000_000 })}.`;
  expect((await t.call(none)("GET", "/probe-bad")).status).toBe(401);
});

test("403 for a role below the permission, and nothing is written", async () => {
  const team = await t.tenant();
  const viewer = await team.member("viewer");
  const answer = await viewer.api("POST", "/probe/plain", { name: "x" });
  expect(answer.status).toBe(403);
  expect(await lists(team.id)).toHaveLength(0);
});

test("403 in a team the person does not belong to", async () => {
  const [mine, theirs] = [await t.tenant(), await t.tenant()];
  expect((await t.call(mine.owner.token, theirs.id)("POST", "/probe/plain", { name: "x" })).status).toBe(403);
  expect(await lists(theirs.id)).toHaveLength(0);
});

test("422 names the field by JSON pointer", async () => {
  const team = await t.tenant();
  const answer = await team.api("POST", "/probe/plain", { name: "" });
  expect(answer.status).toBe(422);
  expect(answer.body.errors).toEqual([{ pointer: "/name", detail: expect.any(String) }]);
});

test("the path wins over a body that names another value", async () => {
  const team = await t.tenant();
  expect((await team.api("POST", "/probe/throw", { name: "x", kind: "plain" })).status).toBe(409);
});

test.each([
  ["not JSON", "{", 400],
  ["an array", "[1]", 400],
  ["nested too deeply", '{"name":' + "[".repeat(64) + "]".repeat(64) + "}", 400],
  ["U+0000", '{"name":"a\\u0000b"}', 422],
  ["too large", JSON.stringify({ name: "x".repeat(2_200_000) }), 413],
])("a body that is %s is refused with %i", async (_, body, status) => {
  const team = await t.tenant();
  const answer = await team.api("POST", "/probe/plain", body as string, { "content-type": "application/json" });
  expect(answer.status).toBe(status);
});

test("bytes that are not UTF-8 are refused", async () => {
  const team = await t.tenant();
  const answer = await team.api("POST", "/probe/plain", new Uint8Array([0x7b, 0x22, 0xff, 0xfe]), {
    "content-type": "application/json",
  });
  expect(answer.status).toBe(400);
});

test("a handler that throws leaves nothing behind", async () => {
  const team = await t.tenant();
  expect((await team.api("POST", "/probe/throw", { name: "x" })).status).toBe(409);
  expect(await lists(team.id)).toHaveLength(0);
  expect(
    await t.sql`select 1 from public.audit_log where tenant_id = ${team.id} and action = 'probe.make'`,
  ).toHaveLength(0);
});

test("an answer that breaks its own schema is a 500 that shows nothing of it", async () => {
  const team = await t.tenant();
  const answer = await team.api("GET", "/probe-bad");
  expect(answer.status).toBe(500);
  expect(JSON.stringify(answer.body)).not.toContain("prettif");
});

test("every act writes one audit row with its input, secrets masked", async () => {
  const team = await t.tenant();
  await team.api("POST", "/probe/plain", { name: "kept", password: "hunter2hunter2" });
  const rows =
    await t.sql`select actor_kind, actor_id, action, target, detail from public.audit_log where tenant_id = ${team.id} and action = 'probe.make'`;
  expect(rows).toHaveLength(1);
  expect(rows[0]).toMatchObject({
    actor_kind: "user",
    actor_id: team.owner.userId,
    action: "probe.make",
    target: "plain",
  });
  expect(JSON.stringify(rows[0])).not.toContain("hunter2");
});

test("the same Idempotency-Key replays the first answer and acts once", async () => {
  const team = await t.tenant();
  const key = { "idempotency-key": crypto.randomUUID() };
  const first = await team.api("POST", "/probe/plain", { name: "once" }, key);
  const second = await team.api("POST", "/probe/plain", { name: "once" }, key);
  expect(first.status).toBe(201);
  expect(second).toMatchObject({ status: 201, body: first.body });
  expect(second.headers.get("idempotency-replayed")).toBe("true");
  expect(await lists(team.id)).toHaveLength(1);
});

test("the same key with another body is 422, and with another team it is free", async () => {
  const [a, b] = [await t.tenant(), await t.tenant()];
  const key = { "idempotency-key": crypto.randomUUID() };
  await a.api("POST", "/probe/plain", { name: "one" }, key);
  expect((await a.api("POST", "/probe/plain", { name: "two" }, key)).status).toBe(422);
  expect((await b.api("POST", "/probe/plain", { name: "two" }, key)).status).toBe(201);
});

test("a failed act does not use up its key", async () => {
  const team = await t.tenant();
  const key = { "idempotency-key": crypto.randomUUID() };
  expect((await team.api("POST", "/probe/throw", { name: "x" }, key)).status).toBe(409);
  expect((await team.api("POST", "/probe/plain", { name: "x" }, key)).status).toBe(201);
});

test("409 while the first request with the key still runs", async () => {
  const team = await t.tenant();
  const key = { "idempotency-key": crypto.randomUUID() };
  let open = () => {};
  gate = new Promise((resolve) => (open = resolve));
  const first = team.api("POST", "/probe/slow", { name: "slow" }, key);
  // Once the first has written, it holds the key's lock: it waits at the gate inside its transaction.
  await until(() =>
    t.sql`select 1 from pg_stat_activity where state = 'idle in transaction' and query like '%insert into public.lists%'`.then(
      (r) => r.length > 0,
    ),
  );
  expect((await team.api("POST", "/probe/slow", { name: "slow" }, key)).status).toBe(409);
  open();
  expect((await first).status).toBe(201);
});

test("429 with Retry-After and RateLimit headers once a team's bucket is empty; other teams are not held back", async () => {
  const limited = testLimited;
  const [a, b] = [await limited.tenant(), await limited.tenant()];
  const statuses = [];
  for (let i = 0; i < 4; i++) statuses.push((await a.api("GET", "/lists")).status);
  expect(statuses).toEqual([200, 200, 200, 429]);
  const answer = await a.api("GET", "/lists");
  expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(answer.headers.get("ratelimit")).toMatch(/r=0/);
  expect((await b.api("GET", "/lists")).status).toBe(200);
});
const testLimited = testKernel({ OVERTURE_API_RATE: "0.01", OVERTURE_API_BURST: "3" });

test("404 for an unknown route is a problem document too", async () => {
  const answer = await t.call(null)("GET", "/nothing-here");
  expect(answer.status).toBe(404);
  expect(answer.body).toMatchObject({ code: "not_found", suggestion: expect.stringContaining("openapi.json") });
});

test("every operation is in the OpenAPI document, and the document names nothing else", async () => {
  const { body } = await t.call(null)("GET", "/openapi.json");
  const documented = Object.entries(body.paths as Record<string, object>).flatMap(([path, methods]) =>
    Object.keys(methods).map((m) => `${m.toUpperCase()} ${path}`),
  );
  expect(documented.sort()).toEqual(t.kernel.registry.operations.map((o) => `${o.method} ${o.path}`).sort());
  expect(body.openapi).toBe("3.1.0");
});

test("a module that is switched off takes its routes and queues with it", () => {
  const less = testWithout;
  expect(less.kernel.registry.modules.map((m) => m.name)).not.toContain("analytics");
  expect(less.kernel.registry.operations.some((o) => o.path === "/dashboard")).toBe(false);
});
const testWithout = testKernel({ OVERTURE_MODULES_OFF: "analytics" });

test("metrics are open to this machine alone; through a proxy or from elsewhere they need the secret key", async () => {
  const metrics = async (headers: Record<string, string>) =>
    (await t.call(null)("GET", "/metrics", undefined, headers)).status;
  expect(await metrics({ "x-forwarded-for": "127.0.0.1" })).toBe(200);
  expect(await metrics({ "x-forwarded-for": "203.0.113.7, 127.0.0.1" })).toBe(401);
  expect(await metrics({ "x-forwarded-for": "203.0.113.7" })).toBe(401);
  // A proxy on this machine that names its caller otherwise, or keeps the name it was called by.
  for (const [name, value] of [
    ["forwarded", "for=203.0.113.7"],
    ["x-real-ip", "203.0.113.7"],
    ["via", "1.1 proxy"],
    ["x-forwarded-proto", "https"],
    ["host", "outreach.example.com"],
  ] as const)
    expect([name, await metrics({ "x-forwarded-for": "127.0.0.1", [name]: value })]).toEqual([name, 401]);
  expect(await metrics({ "x-forwarded-for": "127.0.0.1", host: "localhost:54321" })).toBe(200);
  expect(await metrics({})).toBe(401);
  expect(await metrics({ apikey: t.env.SUPABASE_SECRET_KEY! })).toBe(200);
});
