import { expect, expectTypeOf, test } from "vitest";
import { z } from "zod";
import { testKernel } from "../../../tests/support/kernel.ts";
import type { Actor, Role } from "../context.ts";
import { uuid7 } from "../database/ids.ts";
import { defineModule } from "../module.ts";
import { defineManualOperation, defineOperation } from "./operation.ts";
import { invoke, invokeManual, perform } from "./run.ts";
import { toolsOf } from "./tools.ts";

// One declaration, several callers: what a caller that is not HTTP gets, and cannot leave out.

const makeList = defineOperation({
  id: "probe.make",
  method: "POST",
  path: "/probe/{kind}",
  summary: "Write a list",
  description: "Of some kind.",
  permission: "probe:write",
  input: z.object({
    kind: z.enum(["plain", "wrong"]),
    name: z.string().min(1).max(50),
    copies: z.coerce.number<string | number>().int().default(1),
  }),
  output: z.object({
    name: z.string(),
    at: z
      .date()
      .transform((d) => d.toISOString())
      .pipe(z.string()),
  }),
  async handle(ctx, { kind, name }) {
    await ctx.db`insert into public.lists (tenant_id, name) values (${ctx.tenantId}, ${name})`;
    return { name: kind === "wrong" ? JSON.parse("1") : name, at: ctx.now };
  },
});
const askOutside = defineManualOperation({
  id: "probe.ask",
  method: "POST",
  path: "/probe-ask",
  summary: "Ask the outside",
  permission: "probe:write",
  input: z.object({ name: z.string() }),
  output: z.object({ length: z.number() }),
  destructive: true,
  handle: (_ctx, { name }) => Promise.resolve({ length: name.length }),
});
const twice = defineOperation({
  id: "probe.twice",
  method: "POST",
  path: "/probe-twice",
  summary: "Two lists in one transaction",
  permission: "probe:read",
  input: z.object({ first: z.string(), second: z.string() }),
  output: z.object({ names: z.array(z.string()) }),
  async handle(ctx, { first, second }) {
    const a = await invoke(makeList, ctx, { kind: "plain", name: first });
    const b = await invoke(makeList, ctx, { kind: "plain", name: second });
    return { names: [a.name, b.name] };
  },
});
const probe = defineModule({
  name: "probe",
  needs: [],
  permissions: { "probe:read": "viewer", "probe:write": "member" },
  operations: [makeList, askOutside, twice],
});
const t = testKernel({}, [probe]);
const names = async (tenantId: string) =>
  (await t.sql`select name from public.lists where tenant_id = ${tenantId} order by name`).map((r) => r.name);
/** In the order in which they were written: rows of one millisecond have ids in no order. */
const audits = async (tenantId: string) =>
  (await t.sql`select action, state, actor_kind from public.audit_log where tenant_id = ${tenantId} order by ctid`).map(
    (r) => `${r.action} ${r.state} ${r.actor_kind}`,
  );
const as = (userId: string, role: Role): Actor => ({ kind: "user", userId, email: "someone@example.com", role });

test("an operation keeps the types of its input and its output", () => {
  type Input = Parameters<typeof invoke<typeof makeList.input, typeof makeList.output>>[2];
  expectTypeOf<Input>().toEqualTypeOf<{
    kind: "plain" | "wrong";
    name: string;
    copies?: string | number | undefined;
  }>();
  const call = () => invoke(makeList, null!, { kind: "plain", name: "x" });
  expectTypeOf<Awaited<ReturnType<typeof call>>>().toEqualTypeOf<{ name: string; at: string }>();
  const manual = () => invokeManual(askOutside, null!, { name: "x" });
  expectTypeOf<Awaited<ReturnType<typeof manual>>>().toEqualTypeOf<{ length: number }>();
});

test("every tool is a declared operation with a usable name, an object schema and a permission of the registry", () => {
  const { registry } = t.kernel;
  const tools = toolsOf(registry);
  expect(tools.length).toBeGreaterThan(60);
  expect(new Set(tools.map((tool) => tool.name)).size).toBe(tools.length);
  for (const tool of tools) {
    expect(tool.name).toMatch(/^[a-zA-Z0-9_-]{1,64}$/);
    expect(tool.inputSchema, tool.name).toMatchObject({ type: "object", properties: expect.any(Object) });
    expect(registry.permissions.has(tool.permission), tool.name).toBe(true);
    expect(tool.readOnly && tool.destructive, tool.name).toBe(false);
  }
  expect(tools.find((tool) => tool.operation === "probe.make")).toEqual({
    name: "probe_make",
    operation: "probe.make",
    description: "Write a list. Of some kind.",
    inputSchema: expect.objectContaining({
      type: "object",
      required: ["kind", "name"],
      properties: expect.objectContaining({ kind: { type: "string", enum: ["plain", "wrong"] } }),
    }),
    permission: "probe:write",
    readOnly: false,
    destructive: false,
  });
});

test("what deletes is destructive, what reads is not, and an author may say so of anything", () => {
  const tools = new Map(toolsOf(t.kernel.registry).map((tool) => [tool.operation, tool]));
  expect(tools.get("lists.delete")).toMatchObject({ destructive: true, readOnly: false });
  expect(tools.get("campaigns.stop")).toMatchObject({ destructive: true });
  expect(tools.get("lists.list")).toMatchObject({ destructive: false, readOnly: true });
  expect(tools.get("probe.ask")).toMatchObject({ destructive: true });
});

test("no tool signs in, shows a secret or speaks files", () => {
  const names = toolsOf(t.kernel.registry).map((tool) => tool.operation);
  for (const id of ["auth.login", "api_keys.create", "invitations.create", "contacts.export", "imports.create"]) {
    expect(t.kernel.registry.operations.map((op) => op.id)).toContain(id);
    expect(names).not.toContain(id);
  }
});

test("a caller that is not HTTP passes the same permission, input rules, transaction, schema and audit", async () => {
  const team = await t.tenant();
  const viewer = await team.member("viewer");
  const run = (actor: Actor, input: unknown) =>
    perform(t.kernel, makeList, { actor, tenantId: team.id, requestId: uuid7() }, () => input);
  await expect(run(as(viewer.userId, "viewer"), { kind: "plain", name: "x" })).rejects.toMatchObject({
    code: "forbidden",
  });
  await expect(
    run({ kind: "api_key", keyId: uuid7(), scopes: ["*:read"], makerId: uuid7(), role: "owner" }, {}),
  ).rejects.toMatchObject({
    code: "forbidden",
  });
  const owner = as(team.owner.userId, "owner");
  await expect(run(owner, { kind: "plain", name: "" })).rejects.toMatchObject({
    code: "invalid",
    errors: [{ pointer: "/name" }],
  });
  await expect(run(owner, { kind: "wrong", name: "undone" })).rejects.toMatchObject({ code: "internal" });
  expect([await names(team.id), await audits(team.id)]).toEqual([[], ["tenants.create ok user"]]);
  expect(await run(owner, { kind: "plain", name: "kept" })).toMatchObject({ status: 200, body: { name: "kept" } });
  expect(await names(team.id)).toEqual(["kept"]);
  expect(await audits(team.id)).toEqual(["tenants.create ok user", "probe.make ok user"]);
});

test("an operation inside another asks for its own permission, shares the transaction and leaves its own audit row", async () => {
  const team = await t.tenant();
  const viewer = await team.member("viewer");
  // By the operation's permission: the database would refuse a viewer as well, in words of its own.
  const refused = await viewer.api("POST", "/probe-twice", { first: "a", second: "b" });
  expect(refused).toMatchObject({
    status: 403,
    body: { detail: "Your role (viewer) does not have the permission probe:write." },
  });
  // The second is refused: what the first wrote goes with it.
  expect((await team.api("POST", "/probe-twice", { first: "a", second: "" })).status).toBe(422);
  expect(await names(team.id)).toEqual([]);
  expect((await team.api("POST", "/probe-twice", { first: "a", second: "b" })).body).toEqual({ names: ["a", "b"] });
  expect(await audits(team.id)).toEqual([
    "tenants.create ok user",
    "probe.make ok user",
    "probe.make ok user",
    "probe.twice ok user",
  ]);
});

test("a job that invokes an operation which calls the outside leaves the same two-step audit row", async () => {
  const team = await t.tenant();
  const ctx = t.kernel.manual({ actor: { kind: "job", name: "some_queue" }, tenantId: team.id, action: "some_queue" });
  expect(await invokeManual(askOutside, ctx, { name: "four" })).toEqual({ length: 4 });
  const rows =
    await t.sql`select state, finished_at, actor_id from public.audit_log where tenant_id = ${team.id} and action = 'probe.ask'`;
  expect(rows).toMatchObject([{ state: "ok", finished_at: expect.any(Date), actor_id: "some_queue" }]);
});
