import { expect, test } from "vitest";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { sha256Hex } from "../kernel/secrets/signatures.ts";

const t = testKernel();
/** An address of its own, so that other suites' calls do not count for this one's limits. */
const callerAddress = `2001:db8::${crypto.randomUUID().slice(0, 4)}:${crypto.randomUUID().slice(0, 4)}`;
const call = (method: string, path: string, body?: unknown) =>
  t.call(null)(method, path, body, { "x-forwarded-for": callerAddress });
const password = "correct horse battery";
const address = () => `i-${crypto.randomUUID()}@example.com`;
const tokenOf = (url: string) => new URL(url).searchParams.get("token")!;
const inviteTo = async (tenant: TestTenant, email: string, role = "member") => {
  const { status, body } = await tenant.api("POST", "/invitations", { email, role });
  expect(status).toBe(201);
  return { ...body, token: tokenOf(body.url) };
};

test("a new person joins with a password and is signed in; the link works once; only its hash is stored", async () => {
  const tenant = await t.tenant("Inviters");
  const email = address();
  const { token, url } = await inviteTo(tenant, email.toUpperCase(), "approver");
  expect(url).toMatch(/\/invite\?token=ovi_[\w-]{43}$/);
  const [row] =
    await t.sql`select token_hash, i::text as everything from public.invitations i where tenant_id = ${tenant.id}`;
  expect(row!.token_hash).toBe(await sha256Hex(token));
  expect(row!.everything).not.toContain(token);
  expect((await call("GET", `/auth/invitation?token=${token}`)).body).toEqual({
    valid: true,
    email,
    tenant_name: "Inviters",
    role: "approver",
  });

  const joined = await call("POST", "/auth/invitation/accept", { token, name: "New", password });
  expect(joined.status).toBe(200);
  expect(joined.body.tenant.id).toBe(tenant.id);
  expect((await t.call(joined.body.access_token)("GET", "/auth/me")).body.tenants).toMatchObject([
    { id: tenant.id, role: "approver" },
  ]);
  expect((await call("POST", "/auth/invitation/accept", { token, name: "New", password })).status).toBe(410);
  expect((await call("GET", `/auth/invitation?token=${token}`)).body.valid).toBe(false);
  expect((await tenant.api("GET", "/audit-log?action=invitations.accept")).body.data).toMatchObject([
    { detail: { email, role: "approver" } },
  ]);
});

test("of many who accept at once one gets in, and there is one membership", async () => {
  const tenant = await t.tenant();
  const email = address();
  const { token } = await inviteTo(tenant, email);
  const answers = await Promise.all(
    [1, 2, 3, 4].map(() => call("POST", "/auth/invitation/accept", { token, name: "N", password })),
  );
  const statuses = answers.map((a) => a.status).sort();
  expect(statuses).toEqual([200, 410, 410, 410]);
  expect(await t.sql`select 1 from public.members where tenant_id = ${tenant.id} and email = ${email}`).toHaveLength(1);
});

test("a signed-in person accepts with their own e-mail and nobody else's", async () => {
  const [first, second] = [await t.tenant(), await t.tenant()];
  const email = address();
  const registered = (
    await call("POST", "/auth/invitation/accept", { token: (await inviteTo(first, email)).token, password })
  ).body;
  const { token } = await inviteTo(second, email, "viewer");
  const other = (await call("POST", "/auth/register", { email: address(), password, name: "", tenant_name: "O" })).body;
  expect((await t.call(other.access_token)("POST", "/auth/invitation/accept", { token })).status).toBe(403);
  const joined = await t.call(registered.access_token)("POST", "/auth/invitation/accept", { token });
  expect(joined.status).toBe(200);
  expect(joined.body).toMatchObject({ tenant: { id: second.id } });
  expect(joined.body).not.toHaveProperty("access_token");
  expect((await t.call(registered.access_token)("GET", "/tenants")).body.data.map((x: { id: string }) => x.id)).toEqual(
    [first.id, second.id],
  );
});

test("an account that exists needs its own password; the link survives a wrong one", async () => {
  const tenant = await t.tenant();
  const email = address();
  await call("POST", "/auth/register", { email, password, name: "", tenant_name: "Mine" });
  const { token } = await inviteTo(tenant, email);
  expect((await call("POST", "/auth/invitation/accept", { token, password: "not the password" })).status).toBe(409);
  expect((await call("POST", "/auth/invitation/accept", { token })).status).toBe(422);
  expect((await call("POST", "/auth/invitation/accept", { token, password })).status).toBe(200);
});

test("inviting again replaces the link, revoking ends it, and so does its age", async () => {
  const tenant = await t.tenant();
  const email = address();
  const old = await inviteTo(tenant, email, "viewer");
  const fresh = await inviteTo(tenant, email, "member");
  expect((await call("GET", `/auth/invitation?token=${old.token}`)).body.valid).toBe(false);
  expect((await call("GET", `/auth/invitation?token=${fresh.token}`)).body).toMatchObject({
    valid: true,
    role: "member",
  });
  expect((await tenant.api("GET", "/invitations")).body.data).toMatchObject([
    { email, role: "member", status: "open" },
  ]);

  await t.sql`update public.invitations set expires_at = kernel.now() - interval '1 second' where tenant_id = ${tenant.id}`;
  expect((await call("POST", "/auth/invitation/accept", { token: fresh.token, password })).status).toBe(410);
  expect((await tenant.api("GET", "/invitations?status=expired")).body.data).toHaveLength(1);

  const again = await inviteTo(tenant, email);
  expect((await tenant.api("DELETE", `/invitations/${again.id}`)).status).toBe(204);
  expect((await tenant.api("DELETE", `/invitations/${again.id}`)).status).toBe(404);
  expect((await call("POST", "/auth/invitation/accept", { token: again.token, password })).status).toBe(410);
});

test("422 for the role owner, 409 for somebody who is in the team, and no secret in the audit log", async () => {
  const tenant = await t.tenant();
  expect((await tenant.api("POST", "/invitations", { email: address(), role: "owner" })).status).toBe(422);
  expect((await tenant.api("POST", "/invitations", { email: tenant.owner.email, role: "viewer" })).status).toBe(409);
  const { token } = await inviteTo(tenant, address());
  expect(JSON.stringify((await tenant.api("GET", "/audit-log")).body)).not.toContain(token);
});

test("an invitation ends when who sent it leaves or may no longer invite, and a later promotion does not revive it", async () => {
  const tenant = await t.tenant();
  // private.inviter_may writes this role as SQL.
  expect(t.kernel.registry.permissions.get("members:write")).toBe("admin");
  for (const end of ["demoted", "removed"]) {
    const admin = await tenant.member("admin");
    const key = (await admin.api("POST", "/api-keys", { name: "R", scopes: ["members:write"] })).body.key;
    const tokens: string[] = [];
    for (const api of [admin.api, t.call(key)]) {
      const made = await api("POST", "/invitations", { email: address(), role: "viewer" });
      expect(made.status).toBe(201);
      tokens.push(tokenOf(made.body.url));
    }
    for (const token of tokens) expect((await call("GET", `/auth/invitation?token=${token}`)).body.valid).toBe(true);
    const path = `/members/${admin.userId}`;
    if (end === "removed") expect((await tenant.api("DELETE", path)).status).toBe(204);
    else for (const role of ["member", "admin"]) expect((await tenant.api("PATCH", path, { role })).status).toBe(200);
    for (const token of tokens) {
      expect((await call("GET", `/auth/invitation?token=${token}`)).body.valid, end).toBe(false);
      expect((await call("POST", "/auth/invitation/accept", { token, password })).status, end).toBe(410);
    }
    expect((await tenant.api("GET", "/invitations?status=open")).body.data).toEqual([]);
  }
});

test("an invitation whose sender is no admin is refused also where it was not withdrawn", async () => {
  const tenant = await t.tenant();
  const { id, token, email } = await inviteTo(tenant, address());
  const member = await tenant.member("member");
  await t.sql`update public.invitations set inviter_id = ${member.userId} where id = ${id as string}`;
  expect((await call("GET", `/auth/invitation?token=${token}`)).body.valid).toBe(false);
  expect((await call("POST", "/auth/invitation/accept", { token, password })).status).toBe(410);
  // Whatever the API in front of it has checked.
  const [accepted] = await t.sql`
    select (private.accept_invitation(${await sha256Hex(token)}, ${crypto.randomUUID()}, ${email as string}, '')).id`;
  expect(accepted!.id).toBeNull();
});
