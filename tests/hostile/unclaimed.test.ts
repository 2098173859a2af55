import { afterAll, beforeAll, expect, test } from "vitest";
import { startStack, type Stack } from "../../supabase/embedded/stack.ts";
import { connectKernel } from "../support/kernel.ts";

// An installation that nobody has claimed yet, reachable by strangers.

let stack: Stack;
let t: ReturnType<typeof connectKernel>;
beforeAll(async () => {
  stack = await startStack({ services: { worker: false, cron: false, sandbox: true, functions: true } });
  t = connectKernel({ ...stack.env, SUPABASE_ADMIN_DB_URL: stack.adminDbUrl, LOG_LEVEL: "silent" });
}, 120_000);
afterAll(async () => {
  await t?.close();
  await stack?.stop();
});

const password = "correct horse battery";
const auth = (path: string, body: unknown) =>
  fetch(`${stack.url}/auth/v1${path}`, {
    method: "POST",
    headers: { apikey: stack.env.SUPABASE_PUBLISHABLE_KEY!, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
const tenants = async () => (await t.sql`select id, name from public.tenants order by created_at`) as { id: string }[];

test("nobody gets a team before the claim, whatever the way in, and who claims is the operator", async () => {
  const stranger = { email: "stranger@example.com", password };
  for (const path of ["/auth/register", "/auth/signup"]) {
    const refused = await t.call(null)("POST", path, { ...stranger, name: "", tenant_name: "Mine now" });
    expect([path, refused.status, refused.body.detail]).toEqual([path, 403, expect.stringContaining("claimed")]);
  }
  // The API made no account either; the auth server itself is open to everybody, as on Supabase.
  expect((await auth("/token?grant_type=password", stranger)).status).toBe(400);
  const made = await auth("/signup", stranger);
  expect(made.status).toBe(200);
  const { access_token } = (await made.json()) as { access_token: string };
  const api = t.call(access_token);
  for (const [method, path, body] of [
    ["POST", "/tenants", { name: "Mine now" }],
    ["POST", "/demo", {}],
    ["GET", "/alerts", undefined],
    ["POST", "/auth/register", { ...stranger, name: "", tenant_name: "Mine now" }],
  ] as const)
    expect([path, (await api(method, path, body)).status]).toEqual([path, 403]);
  expect(await tenants()).toEqual([]);

  const token = new URL(stack.claimUrl!).searchParams.get("token")!;
  const claimed = await t.call(null)("POST", "/auth/claim", {
    token,
    email: "owner@example.com",
    password,
    name: "Owner",
    tenant_name: "Operators",
  });
  expect(claimed.status).toBe(201);
  // From now on others may register. They are members of their own team and not the operator, whichever team is older.
  expect((await api("POST", "/tenants", { name: "A team of my own" })).status).toBe(201);
  await t.sql`update public.tenants set created_at = created_at - interval '1 day' where name = 'A team of my own'`;
  const [operator] = await t.sql`select private.operator_tenant() as id`;
  expect(operator!.id).toBe(claimed.body.tenant.id);
});

test("nobody becomes the operator because the operator's team is gone", async () => {
  const undo = new Error("undo");
  await t.sql
    .begin(async (tx) => {
      await tx`delete from public.tenants where id = private.operator_tenant()`;
      expect(await tx`select private.operator_tenant() as id`).toEqual([{ id: null }]);
      throw undo;
    })
    .catch((error) => {
      if (error !== undo) throw error;
    });
});
