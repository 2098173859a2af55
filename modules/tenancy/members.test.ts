import { describe, expect, test } from "vitest";
import { type Answer, testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { ROLES, roleRank } from "../kernel/context.ts";
import type { TenantOperation } from "../kernel/operations/operation.ts";

const t = testKernel();

const asPerson = <T>(tenant: TestTenant, userId: string, fn: Parameters<typeof t.kernel.database.tx<T>>[1]) =>
  t.kernel.database.tx({ role: "overture_user", tenantId: tenant.id, userId }, fn);

describe("roles and permissions", () => {
  // The owner is last: what it may do could change what the others find.
  test.each(ROLES)("%s: 403 on every operation above the role, and on no other", async (role) => {
    const tenant = await t.tenant();
    const { api } = await tenant.member(role);
    const wrong: string[] = [];
    const operations = t.kernel.registry.operations.filter((op) => op.auth === "tenant") as TenantOperation[];
    for (const op of operations) {
      // Whom a person may remove is decided for each member; it has tests of its own below.
      if (op.id === "members.remove") continue;
      const allowed = roleRank(role) >= roleRank(t.kernel.registry.permissions.get(op.permission)!);
      const path = op.path.replace(/\{\w+\}/g, () => crypto.randomUUID());
      const { status } = await api(op.method, path, op.method === "GET" || op.body === "binary" ? undefined : {});
      if ((status !== 403) !== allowed) wrong.push(`${op.id} ${op.permission}: ${status}`);
    }
    expect(operations.length).toBeGreaterThan(10);
    expect(wrong).toEqual([]);
  });

  test("the database refuses what the API would refuse: a viewer's writes do nothing", async () => {
    const tenant = await t.tenant();
    const viewer = await tenant.member("viewer");
    await expect(
      asPerson(
        tenant,
        viewer.userId,
        (tx) =>
          tx`insert into public.invitations (tenant_id, email, role, token_hash, expires_at) values (${tenant.id}, 'x@example.com', 'admin', 'h', now())`,
      ),
    ).rejects.toMatchObject({ code: "42501" });
    const changed = await asPerson(
      tenant,
      viewer.userId,
      (tx) => tx`update public.members set role = 'admin' where user_id = ${viewer.userId}`,
    );
    expect(changed.count).toBe(0);
    await expect(
      asPerson(
        tenant,
        viewer.userId,
        (tx) =>
          tx`insert into public.members (tenant_id, user_id, role, email) values (${tenant.id}, ${crypto.randomUUID()}, 'admin', 'x@example.com')`,
      ),
    ).rejects.toMatchObject({ code: "42501" });
  });

  test("nobody of one team sees or changes another's members", async () => {
    const [mine, theirs] = [await t.tenant(), await t.tenant()];
    expect((await t.call(mine.owner.token, theirs.id)("GET", "/members")).status).toBe(403);
    expect((await mine.api("GET", `/members/${mine.owner.userId}`)).body).toMatchObject({ role: "owner" });
    expect((await mine.api("GET", `/members/${theirs.owner.userId}`)).status).toBe(404);
    expect((await mine.api("PATCH", `/members/${theirs.owner.userId}`, { role: "viewer" })).status).toBe(404);
    expect((await mine.api("DELETE", `/members/${theirs.owner.userId}`)).status).toBe(404);
    const seen = await asPerson(
      mine,
      mine.owner.userId,
      (tx) => tx<{ tenant_id: string }[]>`select tenant_id from public.members`,
    );
    expect(new Set(seen.map((m) => m.tenant_id))).toEqual(new Set([mine.id]));
  });
});

describe("owners", () => {
  test("409 when the last owner steps down, leaves, or is demoted; the role is unchanged", async () => {
    const tenant = await t.tenant();
    const down = await tenant.api("PATCH", `/members/${tenant.owner.userId}`, { role: "admin" });
    expect(down.status).toBe(409);
    expect(down.body.detail).toMatch(/at least one owner/);
    expect((await tenant.api("DELETE", `/members/${tenant.owner.userId}`)).status).toBe(409);
    expect((await tenant.api("GET", "/members")).body.data).toMatchObject([{ role: "owner" }]);
  });

  test("ownership can be handed over, and then the first owner may go", async () => {
    const tenant = await t.tenant();
    const admin = await tenant.member("admin");
    expect((await tenant.api("PATCH", `/members/${admin.userId}`, { role: "owner" })).body).toMatchObject({
      role: "owner",
    });
    expect((await tenant.api("DELETE", `/members/${tenant.owner.userId}`)).status).toBe(204);
    expect((await admin.api("GET", "/members")).body.data).toMatchObject([{ user_id: admin.userId, role: "owner" }]);
  });

  test("two owners who demote each other at the same moment: one of them stays", async () => {
    for (let i = 0; i < 5; i++) {
      const tenant = await t.tenant();
      const second = await tenant.member("owner");
      const answers = await Promise.all([
        tenant.api("PATCH", `/members/${second.userId}`, { role: "viewer" }),
        second.api("PATCH", `/members/${tenant.owner.userId}`, { role: "viewer" }),
      ]);
      const left = await t.sql`select 1 from public.members where tenant_id = ${tenant.id} and role = 'owner'`;
      expect(left).toHaveLength(1);
      expect(answers.filter((a) => a.status === 200)).toHaveLength(1);
    }
  });

  test("an admin neither makes, changes nor removes owners, not even past the API", async () => {
    const tenant = await t.tenant();
    const admin = await tenant.member("admin");
    expect((await admin.api("PATCH", `/members/${admin.userId}`, { role: "owner" })).status).toBe(403);
    expect((await admin.api("PATCH", `/members/${tenant.owner.userId}`, { role: "viewer" })).status).toBe(403);
    expect((await admin.api("DELETE", `/members/${tenant.owner.userId}`)).status).toBe(403);
    for (const statement of [
      "update public.members set role = 'owner' where role = 'admin'",
      "delete from public.members where role = 'owner'",
    ]) {
      await expect(asPerson(tenant, admin.userId, (tx) => tx.unsafe(statement))).rejects.toMatchObject({
        code: "42501",
      });
      await expect(tenant.run((ctx) => ctx.db.unsafe(statement))).rejects.toMatchObject({ code: "42501" });
    }
  });
});

test("an admin removes a member, a member only leaves, and both are in the audit log", async () => {
  const tenant = await t.tenant();
  const [admin, one, two] = [
    await tenant.member("admin"),
    await tenant.member("member"),
    await tenant.member("viewer"),
  ];
  expect((await one.api("DELETE", `/members/${two.userId}`)).status).toBe(403);
  expect((await admin.api("DELETE", `/members/${one.userId}`)).status).toBe(204);
  expect((await one.api("GET", "/members")).status).toBe(403);
  expect((await two.api("DELETE", `/members/${two.userId}`)).status).toBe(204);
  const audit = (await tenant.api("GET", "/audit-log?action=members.remove")).body.data;
  expect(audit).toMatchObject([
    { target: two.userId, actor_id: two.userId },
    { target: one.userId, actor_id: admin.userId, actor_name: admin.email },
  ]);
});

test("members and the audit log come in pages that repeat and skip nothing", async () => {
  const tenant = await t.tenant();
  for (let i = 0; i < 4; i++) await tenant.member("member");
  for (let i = 0; i < 4; i++) await tenant.api("PATCH", "/tenant", { name: `Team ${i}` });
  for (const path of ["/members", "/audit-log"]) {
    const all = (await tenant.api("GET", path)).body.data.map(
      (r: { id?: string; user_id?: string }) => r.id ?? r.user_id,
    );
    const paged: string[] = [];
    for (let cursor: string | null = ""; cursor !== null;) {
      const { status, body }: Answer = await tenant.api("GET", `${path}?limit=2${cursor ? `&cursor=${cursor}` : ""}`);
      expect([status, body.detail]).toEqual([200, undefined]);
      paged.push(...body.data.map((r: { id?: string; user_id?: string }) => r.id ?? r.user_id));
      cursor = body.next_cursor;
    }
    expect(paged).toEqual(all);
    expect(all).toHaveLength(5);
    expect((await tenant.api("GET", `${path}?cursor=nonsense`)).status).toBe(422);
  }
});

test("a person's teams come in pages; leaving a team between two of them repeats and skips nothing", async () => {
  const person = await (await t.tenant()).member("member");
  const teams = [...(await person.api("GET", "/tenants")).body.data.map((team: { id: string }) => team.id)];
  for (let i = 0; i < 3; i++) {
    const { id } = await t.tenant();
    await t.sql`insert into public.members (tenant_id, user_id, role, email) values (${id}, ${person.userId}, 'member', ${person.email})`;
    teams.push(id);
  }
  const first: Answer = await person.api("GET", "/tenants?limit=2");
  expect(first.body.data.map((team: { id: string }) => team.id)).toEqual(teams.slice(0, 2));
  const left = await t.call(person.token, teams[1])("DELETE", `/members/${person.userId}`);
  expect(left.status).toBe(204);
  const second: Answer = await person.api("GET", `/tenants?limit=2&cursor=${first.body.next_cursor}`);
  expect(second.body).toMatchObject({ has_more: false, next_cursor: null });
  expect(second.body.data.map((team: { id: string }) => team.id)).toEqual(teams.slice(2));
});
