import { expect, test } from "vitest";
import { z } from "zod";
import { testKernel, type TestTenant } from "../../../tests/support/kernel.ts";
import { until } from "../../../tests/support/until.ts";
import { AppError } from "../errors.ts";
import { defineModule } from "../module.ts";
import { defineManualOperation, defineOpenManualOperation, defineOperation } from "./operation.ts";

// Acts of several transactions: what is written down before they begin, and how they repeat.

/** How often the outside was called, by the name in the input. */
const calls = new Map<string, number>();
/** What the outside waits for, by name: a promise that never settles is a process that died there. */
const gates = new Map<string, Promise<void>>();

const callOutside = defineManualOperation({
  id: "probe.outside",
  method: "POST",
  path: "/probe-outside/{kind}",
  summary: "Notes a fact, then calls the outside",
  permission: "probe:write",
  input: z.object({
    kind: z.enum(["good", "down", "bug", "bad_answer"]),
    name: z.string().min(1).max(80),
    password: z.string().optional(),
  }),
  output: z.object({ name: z.string(), call: z.number() }),
  status: 201,
  async handle(ctx, { kind, name }) {
    await ctx.tx(async (tx) => tx.audit({ step: "prepared", api_key: "sk_live_hidden" }, "chosen"));
    const call = (calls.get(name) ?? 0) + 1;
    calls.set(name, call);
    await gates.get(`${name}:${call}`);
    if (kind === "down") throw new AppError("upstream", "The provider could not be reached.");
    if (kind === "bug") throw new TypeError("undefined is not a function");
    if (kind === "bad_answer") return new Response("text", { headers: { "content-type": "text/plain" } });
    return { name, call };
  },
});
const forPerson = defineOpenManualOperation({
  id: "probe.person",
  method: "POST",
  path: "/probe-person",
  summary: "Calls the outside for a person without a team",
  auth: "user",
  input: z.object({ name: z.string() }),
  output: z.object({ call: z.number() }),
  async handle(_ctx, { name }) {
    const call = (calls.get(name) ?? 0) + 1;
    calls.set(name, call);
    return { call };
  },
});
const showSecret = defineOperation({
  id: "probe.secret",
  method: "POST",
  path: "/probe-secret",
  summary: "Shows a secret once",
  permission: "probe:write",
  input: z.object({}),
  output: z.object({ secret: z.string() }),
  secretAnswer: true,
  handle: () => Promise.resolve({ secret: crypto.randomUUID() }),
});
const probe = defineModule({
  name: "probe",
  needs: [],
  permissions: { "probe:write": "member" },
  operations: [callOutside, forPerson, showSecret],
});

const t = testKernel({}, [probe]);
const path = (kind: string) => `/probe-outside/${kind}`;
const fresh = () => `call-${crypto.randomUUID()}`;
const keyed = () => ({ "idempotency-key": crypto.randomUUID() });
const rows = (team: TestTenant) =>
  t.sql`select state, error_code, finished_at, target, detail, request_id from public.audit_log
    where tenant_id = ${team.id} and action = 'probe.outside' order by id`;
/** Holds the outside at the `call`-th call for `name`; the result lets it go. */
function hold(name: string, call = 1): () => void {
  let open = () => {};
  gates.set(`${name}:${call}`, new Promise<void>((resolve) => (open = resolve)));
  return open;
}
const reached = (name: string, call = 1) => until(() => Promise.resolve((calls.get(name) ?? 0) >= call));
/** As time does: the lease of a key is over. */
const endLease = (key: { "idempotency-key": string }) =>
  t.sql`update kernel.idempotency set lease_until = now() - interval '1 second' where key = ${key["idempotency-key"]}`;

test("the audit row stands as started while the outside is called, so a death there leaves it, and is ok afterwards", async () => {
  const team = await t.tenant();
  const name = fresh();
  const open = hold(name);
  // A member may not read the audit log, and yet it tells of them.
  const member = await team.member("member");
  const answer = member.api("POST", path("good"), { name, password: "hunter2hunter2" });
  await reached(name);
  const [during] = await rows(team);
  expect(during).toMatchObject({ state: "started", error_code: null, finished_at: null, target: "good" });
  // A handler's own facts are committed with the step they belong to.
  expect(during!.detail).toMatchObject({
    step: "prepared",
    api_key: "[secret]",
    input: { kind: "good", name, password: "[secret]" },
  });
  open();
  expect((await answer).status).toBe(201);
  const after = await rows(team);
  expect(after).toHaveLength(1);
  expect(after[0]).toMatchObject({ state: "ok", error_code: null, finished_at: expect.any(Date) });
  expect(JSON.stringify(after[0])).not.toMatch(/hunter2|sk_live_hidden/);
});

test("a row whose end cannot be written goes on saying started, and the caller still learns what happened", async () => {
  const dying = doomed;
  const team = await dying.tenant();
  const name = fresh();
  const open = hold(name);
  const answer = team.api("POST", path("good"), { name });
  await reached(name);
  await dying.kernel.database.close();
  open();
  expect(await answer).toMatchObject({ status: 201, body: { name, call: 1 } });
  expect(await rows(team)).toMatchObject([{ state: "started", finished_at: null }]);
});
const doomed = testKernel({}, [probe]);

test("a failing outside leaves one row that says failed and why; so does a fault of ours", async () => {
  const team = await t.tenant();
  expect((await team.api("POST", path("down"), { name: fresh() })).status).toBe(502);
  expect((await team.api("POST", path("bug"), { name: fresh() })).status).toBe(500);
  expect(await rows(team)).toMatchObject([
    { state: "failed", error_code: "upstream", finished_at: expect.any(Date) },
    { state: "failed", error_code: "internal", finished_at: expect.any(Date) },
  ]);
});

test("what is refused before it begins leaves no row", async () => {
  const team = await t.tenant();
  const viewer = await team.member("viewer");
  expect((await viewer.api("POST", path("good"), { name: fresh() })).status).toBe(403);
  expect((await team.api("POST", path("good"), { name: "" })).status).toBe(422);
  expect(await rows(team)).toHaveLength(0);
});

test("an audit row gets one outcome: not a second one, and none from another team", async () => {
  const [mine, theirs] = [await t.tenant(), await t.tenant()];
  await mine.api("POST", path("down"), { name: fresh() });
  const [row] = await t.sql`select id from public.audit_log where tenant_id = ${mine.id} and action = 'probe.outside'`;
  const rewrite = (team: TestTenant, id: string) =>
    team.run((ctx) => ctx.db`select kernel.audit_settle(${id}::uuid, 'ok', null, '{}')`);
  await expect(rewrite(mine, row!.id as string)).rejects.toThrow(/not a started act/);
  const name = fresh();
  const open = hold(name);
  const answer = mine.api("POST", path("good"), { name });
  await reached(name);
  const [started] = await t.sql`select id from public.audit_log where tenant_id = ${mine.id} and state = 'started'`;
  await expect(rewrite(theirs, started!.id as string)).rejects.toThrow(/not a started act/);
  open();
  await answer;
  expect((await rows(mine)).map((r) => r.state)).toEqual(["failed", "ok"]);
});

test("the audit log of the API tells state, error code and end", async () => {
  const team = await t.tenant();
  await team.api("POST", path("down"), { name: fresh() });
  const { body } = await team.api("GET", "/audit-log?action=probe.outside");
  expect(body.data).toMatchObject([{ state: "failed", error_code: "upstream", finished_at: expect.any(String) }]);
});

test("the same key replays a manual act: the outside is called once, and one audit row tells of it", async () => {
  const team = await t.tenant();
  const [name, key] = [fresh(), keyed()];
  const first = await team.api("POST", path("good"), { name }, key);
  const second = await team.api("POST", path("good"), { name }, key);
  expect(second).toMatchObject({ status: 201, body: first.body });
  expect([first, second].map((a) => a.headers.get("idempotency-replayed"))).toEqual([null, "true"]);
  expect(calls.get(name)).toBe(1);
  expect(await rows(team)).toHaveLength(1);
  expect((await team.api("POST", path("good"), { name: "other" }, key)).body.code).toBe("idempotency_mismatch");
});

test("of two requests with one key the second is 409 while the first runs, also under another operation", async () => {
  const team = await t.tenant();
  const [name, key] = [fresh(), keyed()];
  const open = hold(name);
  const first = team.api("POST", path("good"), { name }, key);
  await reached(name);
  for (const again of [
    await team.api("POST", path("good"), { name }, key),
    await team.api("POST", "/lists", { name: "Meanwhile" }, key),
  ])
    expect(again).toMatchObject({ status: 409, body: { code: "idempotency_in_progress" } });
  open();
  expect((await first).status).toBe(201);
  expect(calls.get(name)).toBe(1);
});

test("ten at once with one key call the outside once", async () => {
  const team = await t.tenant();
  const [name, key] = [fresh(), keyed()];
  const answers = await Promise.all(Array.from({ length: 10 }, () => team.api("POST", path("good"), { name }, key)));
  expect(calls.get(name)).toBe(1);
  expect(answers.map((a) => a.status)).toContain(201);
  expect(answers.filter((a) => a.status !== 201 && a.status !== 409)).toEqual([]);
  expect(answers.filter((a) => a.status === 201).every((a) => a.body.call === 1)).toBe(true);
});

test("a failed manual act does not use up its key", async () => {
  const team = await t.tenant();
  const key = keyed();
  expect((await team.api("POST", path("down"), { name: fresh() }, key)).status).toBe(502);
  expect((await team.api("POST", path("good"), { name: fresh() }, key)).status).toBe(201);
});

test("a key whose request died is 409 until its lease ends; then a retry runs, and a late first answer is not kept", async () => {
  const team = await t.tenant();
  const [name, key] = [fresh(), keyed()];
  const open = hold(name);
  const first = team.api("POST", path("good"), { name }, key);
  await reached(name);
  expect((await team.api("POST", path("good"), { name }, key)).status).toBe(409);
  await endLease(key);
  const openSecond = hold(name, 2);
  const second = team.api("POST", path("good"), { name }, key);
  await reached(name, 2);
  // The first was only slow: it ends while the second holds the key.
  open();
  expect(await first).toMatchObject({ status: 201, body: { call: 1 } });
  expect((await team.api("POST", path("good"), { name }, key)).status).toBe(409);
  openSecond();
  expect(await second).toMatchObject({ status: 201, body: { call: 2 } });
  const third = await team.api("POST", path("good"), { name }, key);
  expect(third).toMatchObject({ status: 201, body: { call: 2 } });
  expect(third.headers.get("idempotency-replayed")).toBe("true");
});

test("an answer that is no JSON is not kept, and its key is free again", async () => {
  const team = await t.tenant();
  const [name, key] = [fresh(), keyed()];
  for (const call of [1, 2]) {
    expect((await team.api("POST", path("bad_answer"), { name }, key)).status).toBe(200);
    expect(calls.get(name)).toBe(call);
  }
});

test("an act outside a team repeats by its key too, for the person who made it", async () => {
  const [ada, eve] = [await t.tenant(), await t.tenant()];
  const [name, key] = [fresh(), keyed()];
  const ask = (who: TestTenant) => t.call(who.owner.token)("POST", "/probe-person", { name }, key);
  expect((await ask(ada)).body).toEqual({ call: 1 });
  const again = await ask(ada);
  expect([again.body, again.headers.get("idempotency-replayed")]).toEqual([{ call: 1 }, "true"]);
  expect((await ask(eve)).body).toEqual({ call: 2 });
});

test("an answer with a secret is kept nowhere, whatever key came with it", async () => {
  const team = await t.tenant();
  const key = keyed();
  const first = await team.api("POST", "/probe-secret", {}, key);
  const second = await team.api("POST", "/probe-secret", {}, key);
  expect(second.body.secret).not.toBe(first.body.secret);
  expect(await t.sql`select 1 from kernel.idempotency where key = ${key["idempotency-key"]}`).toHaveLength(0);
});

test("an upload is stored, whatever key came with another: a key knows no file", async () => {
  const team = await t.tenant();
  const upload = (text: string, key: object) =>
    team.api("POST", "/imports", new TextEncoder().encode(text), { "content-type": "text/csv", ...key });
  const key = keyed();
  const first = await upload("email\na@b.co\n", key);
  const second = await upload("email\nb@b.co\nc@b.co\n", key);
  expect([first.body.rows_total, second.body.rows_total]).toEqual([1, 2]);
  expect(second.body.id).not.toBe(first.body.id);
});

test("the document offers the key where it is kept: not for reads, secrets, files and callers nobody knows", async () => {
  const { body } = await t.call(null)("GET", "/openapi.json");
  const offered = (p: string) =>
    JSON.stringify(body.paths[p].post.requestParams ?? body.paths[p].post.parameters ?? []).includes("Idempotency-Key");
  expect(offered("/probe-outside/{kind}")).toBe(true);
  expect(offered("/connections/{id}/check")).toBe(true);
  expect(offered("/probe-secret")).toBe(false);
  expect(offered("/imports")).toBe(false);
  expect(offered("/api-keys")).toBe(false);
  expect(offered("/auth/login")).toBe(false);
});
