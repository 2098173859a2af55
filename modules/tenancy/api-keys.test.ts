import type postgres from "postgres";
import { expect, test } from "vitest";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import type { TenantOperation } from "../kernel/operations/operation.ts";
import { scopesAllow } from "../kernel/registry.ts";
import { sha256Hex } from "../kernel/secrets/signatures.ts";

const t = testKernel({ OVERTURE_API_BURST: "1000" });
const keyOf = async (tenant: TestTenant, scopes: string[], more: object = {}) => {
  const { status, body } = await tenant.api("POST", "/api-keys", { name: "Robot", scopes, ...more });
  expect(status).toBe(201);
  return body as { id: string; key: string; prefix: string };
};

test("the key is shown once, its hash is stored, and it works until it is revoked", async () => {
  const tenant = await t.tenant();
  const { id, key, prefix } = await keyOf(tenant, ["members:read"]);
  expect(key).toMatch(/^ovk_[\w-]{43}$/);
  expect(key.startsWith(prefix)).toBe(true);
  const [row] =
    await t.sql`select key_hash, k::text as everything from public.api_keys k where tenant_id = ${tenant.id}`;
  expect(row!.key_hash).toBe(await sha256Hex(key));
  expect(row!.everything).not.toContain(key);
  const listed = await tenant.api("GET", "/api-keys");
  expect(JSON.stringify(listed.body)).not.toContain(key);
  expect(listed.body.data).toMatchObject([
    { id, prefix, last_used_at: null, created_by: { user_id: tenant.owner.userId, email: tenant.owner.email } },
  ]);

  expect((await t.call(key)("GET", "/members")).body.data).toHaveLength(1);
  expect((await tenant.api("GET", "/api-keys")).body.data[0].last_used_at).not.toBeNull();
  expect((await tenant.api("DELETE", `/api-keys/${id}`)).status).toBe(204);
  expect((await t.call(key)("GET", "/members")).status).toBe(401);
  expect((await tenant.api("GET", "/api-keys")).body.data).toEqual([]);
});

test("an Idempotency-Key does not make the database keep the secret", async () => {
  const tenant = await t.tenant();
  const { body } = await tenant.api(
    "POST",
    "/api-keys",
    { name: "R", scopes: ["members:read"] },
    { "idempotency-key": crypto.randomUUID() },
  );
  const kept = await t.sql`select 1 from kernel.idempotency where response::text like ${`%${body.key}%`}`;
  expect(kept).toHaveLength(0);
});

test.each([["members:read"], ["members:write"], ["*:read"], ["*:write"]])(
  "a key with %s may do that and nothing else",
  async (scope) => {
    const tenant = await t.tenant();
    const { key } = await keyOf(tenant, [scope]);
    const wrong: string[] = [];
    for (const op of t.kernel.registry.operations.filter((o) => o.auth === "tenant") as TenantOperation[]) {
      if (op.id === "members.remove") continue;
      const path = op.path.replace(/\{\w+\}/g, () => crypto.randomUUID());
      const { status } = await t.call(key)(
        op.method,
        path,
        op.method === "GET" || op.body === "binary" ? undefined : {},
      );
      if ((status !== 403) !== scopesAllow([scope], op.permission)) wrong.push(`${op.id} ${op.permission}: ${status}`);
    }
    expect(wrong).toEqual([]);
  },
);

test("422 for a scope that does not exist, naming it", async () => {
  const tenant = await t.tenant();
  for (const scope of ["members", "members:delete", "unicorns:read", "members:read:x", ":read"]) {
    const { status, body } = await tenant.api("POST", "/api-keys", { name: "R", scopes: ["members:read", scope] });
    expect([scope, status, body.errors?.[0]?.pointer]).toEqual([scope, 422, "/scopes/1"]);
  }
  expect((await tenant.api("POST", "/api-keys", { name: "R", scopes: [] })).status).toBe(422);
});

test("a key cannot make a key that may do more than itself", async () => {
  const tenant = await t.tenant();
  const { key } = await keyOf(tenant, ["api_keys:write", "members:read"]);
  const api = t.call(key);
  expect((await api("POST", "/api-keys", { name: "R", scopes: ["members:read"] })).status).toBe(201);
  for (const scope of ["members:write", "*:read", "*:write", "audit:read"]) {
    expect([scope, (await api("POST", "/api-keys", { name: "R", scopes: [scope] })).status]).toEqual([scope, 403]);
  }
});

test("an expired key is 401, and one that would begin expired is 422", async () => {
  const tenant = await t.tenant();
  const { id, key } = await keyOf(tenant, ["*:read"], { expires_at: new Date(Date.now() + 60_000).toISOString() });
  expect((await t.call(key)("GET", "/tenant")).status).toBe(200);
  await t.sql`update public.api_keys set expires_at = kernel.now() - interval '1 second' where id = ${id}`;
  expect((await t.call(key)("GET", "/tenant")).status).toBe(401);
  // The last is in the year 10000.
  for (const expires_at of ["2020-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00"]) {
    const { status, body } = await tenant.api("POST", "/api-keys", { name: "R", scopes: ["*:read"], expires_at });
    expect([status, body.errors?.[0].pointer]).toEqual([422, "/expires_at"]);
  }
});

test("a key acts in its own team whatever X-Tenant-Id says, and never on owners", async () => {
  const [mine, theirs] = [await t.tenant(), await t.tenant()];
  const { key } = await keyOf(mine, ["*:write"]);
  expect((await t.call(key, theirs.id)("GET", "/tenant")).body.id).toBe(mine.id);
  expect((await t.call(key)("PATCH", `/members/${mine.owner.userId}`, { role: "viewer" })).status).toBe(403);
  expect((await t.call(key)("DELETE", `/members/${mine.owner.userId}`)).status).toBe(403);
  const member = await mine.member("member");
  expect((await t.call(key)("PATCH", `/members/${member.userId}`, { role: "owner" })).status).toBe(403);
  expect((await t.call(key)("PATCH", `/members/${member.userId}`, { role: "viewer" })).status).toBe(200);
  expect((await t.call((await keyOf(mine, ["members:read"])).key)("DELETE", `/members/${member.userId}`)).status).toBe(
    403,
  );
  expect((await t.call(key)("DELETE", `/members/${member.userId}`)).status).toBe(204);
});

test("a key can do no more than its maker may now, and grows with them only up to its scopes", async () => {
  const tenant = await t.tenant();
  const maker = await tenant.member("admin");
  const made = await maker.api("POST", "/api-keys", { name: "R", scopes: ["members:write", "contacts:write"] });
  const robot = t.call(made.body.key);
  const invite = () => robot("POST", "/invitations", { email: `k-${crypto.randomUUID()}@example.com`, role: "viewer" });
  const add = () => robot("POST", "/contacts", { email: `k-${crypto.randomUUID()}@example.com` });
  const become = (role: string) => tenant.api("PATCH", `/members/${maker.userId}`, { role });
  expect([(await invite()).status, (await add()).status]).toEqual([201, 201]);
  await become("member");
  const refused = await invite();
  expect([refused.status, refused.body.detail]).toEqual([403, expect.stringContaining("role member")]);
  expect((await add()).status).toBe(201);
  await become("viewer");
  expect([(await add()).status, (await robot("GET", "/contacts")).status]).toEqual([403, 200]);
  await become("owner");
  expect([(await invite()).status, (await robot("GET", "/audit-log")).status]).toEqual([201, 403]);
});

test("the keys of who is removed stop at once and say why, and do not come back with them", async () => {
  const tenant = await t.tenant();
  const maker = await tenant.member("admin");
  const { key } = (await maker.api("POST", "/api-keys", { name: "R", scopes: ["*:write"] })).body;
  // Made through that key, so by the same person.
  const child = (await t.call(key)("POST", "/api-keys", { name: "Child", scopes: ["contacts:read"] })).body;
  expect(child.created_by.user_id).toBe(maker.userId);
  const other = await keyOf(tenant, ["contacts:read"]);
  expect((await tenant.api("DELETE", `/members/${maker.userId}`)).status).toBe(204);
  for (const stopped of [key, child.key]) {
    const refused = await t.call(stopped)("GET", "/contacts");
    expect([refused.status, refused.body.detail]).toEqual([401, expect.stringContaining("left the workspace")]);
  }
  expect((await t.call(other.key)("GET", "/contacts")).status).toBe(200);
  expect((await tenant.api("GET", "/api-keys")).body.data).toMatchObject([{ id: other.id }]);
  await t.sql`insert into public.members (tenant_id, user_id, role, email) values (${tenant.id}, ${maker.userId}, 'admin', ${maker.email})`;
  expect((await t.call(key)("GET", "/contacts")).status).toBe(401);
});

test("a key whose maker is no member stops also where it was not revoked", async () => {
  const tenant = await t.tenant();
  const { id, key } = await keyOf(tenant, ["contacts:read"]);
  await t.sql`update public.api_keys set created_by = ${crypto.randomUUID()} where id = ${id}`;
  expect((await t.call(key)("GET", "/contacts")).status).toBe(401);
});

test("a key makes nobody an admin or owner, and changes and removes neither, not even past the API", async () => {
  const tenant = await t.tenant();
  const robot = t.call((await keyOf(tenant, ["*:write"])).key);
  const [member, admin] = [await tenant.member("member"), await tenant.member("admin")];
  for (const role of ["admin", "owner"]) {
    expect((await robot("PATCH", `/members/${member.userId}`, { role })).status).toBe(403);
    const invited = await robot("POST", "/invitations", { email: `k-${crypto.randomUUID()}@example.com`, role });
    expect(invited.status).toBe(role === "admin" ? 403 : 422);
  }
  expect((await robot("PATCH", `/members/${admin.userId}`, { role: "viewer" })).status).toBe(403);
  expect((await robot("DELETE", `/members/${admin.userId}`)).status).toBe(403);
  for (const statement of [
    "update public.members set role = 'admin' where role = 'member'",
    "update public.members set role = 'viewer' where role = 'admin'",
    "delete from public.members where role = 'admin'",
    `insert into public.invitations (tenant_id, email, role, token_hash, inviter_id, expires_at)
      values ('${tenant.id}', 'x@example.com', 'admin', 'h', '${tenant.owner.userId}', now())`,
  ])
    await expect(
      tenant.run((ctx) => ctx.db.unsafe(statement)),
      statement,
    ).rejects.toMatchObject({ code: "42501" });
});

test("a request's token, taken from the row that all requests of the tenant share, waits for no disk, of a person and of a key", async () => {
  const tenant = await t.tenant();
  const { key } = await keyOf(tenant, ["members:read"]);
  const hash = await sha256Hex(key);
  const entering = [
    (sql: postgres.TransactionSql) =>
      sql`select taken from kernel.enter_as_user(${tenant.owner.userId}, null, ${tenant.id}, 10, 1)`,
    (sql: postgres.TransactionSql) => sql`select taken from kernel.enter_as_key(${hash}, 10, 1)`,
  ];
  for (const enter of entering) {
    const setting = await t.sql.begin(async (sql) => {
      // The throw-away database of a test waits for no disk anyway.
      await sql`set local synchronous_commit = on`;
      expect([...(await enter(sql))]).toEqual([{ taken: true }]);
      return (await sql<{ synchronous_commit: string }[]>`show synchronous_commit`)[0]!.synchronous_commit;
    });
    expect(setting).toBe("off");
  }
});
