import { expect, test } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";
import { createVault } from "../kernel/secrets/vault.ts";
import { openCredentials } from "./credentials.ts";
import { rotateConnectionSecrets } from "./vault-rotation.ts";

const key = () => btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))));
const [oldKey, newKey] = [key(), key()];
const secretOf = (base64: string) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

const before = testKernel({ OVERTURE_KEYS: `old_1:${oldKey}` });
const during = testKernel({ OVERTURE_KEYS: `new_2:${newKey},old_1:${oldKey}` });

test("after a rotation the old key can be dropped", async () => {
  const t = await before.tenant();
  const ids: string[] = [];
  for (let i = 0; i < 3; i++) {
    const made = await t.api("POST", "/connections", {
      provider: "postmark",
      name: `P${i}`,
      credentials: { server_token: `token-${i}-secret` },
    });
    ids.push(made.body.id);
  }
  const sealed = () =>
    before.sql<
      { id: string; credentials: string }[]
    >`select id, credentials from public.connections where tenant_id = ${t.id} order by id`;
  for (const row of await sealed()) expect(row.credentials).toMatch(/^v1\.old_1\./);

  const api = during.call(t.owner.token, t.id);
  expect((await api("POST", "/connections/rotate-keys")).body).toEqual({ rotated: 3, remaining: 0 });
  expect((await api("POST", "/connections/rotate-keys")).body).toEqual({ rotated: 0, remaining: 0 });

  const only = createVault([{ id: "new_2", secret: secretOf(newKey) }]);
  for (const [i, row] of (await sealed()).entries()) {
    expect(row.credentials).toMatch(/^v1\.new_2\./);
    const opened = await openCredentials(only, t.id, row.id, row.credentials);
    expect(opened.server_token).toBe(`token-${ids.indexOf(row.id)}-secret`);
    expect(i).toBe(ids.indexOf(row.id));
    // Still bound to its own row.
    await expect(openCredentials(only, t.id, crypto.randomUUID(), row.credentials)).rejects.toThrow(
      /cannot be decrypted/,
    );
  }
});

test("credentials whose key is lost hold nobody up and stay counted; _ in a key id is no wildcard", async () => {
  const t = await before.tenant();
  const make = async (name: string) =>
    (await t.api("POST", "/connections", { provider: "postmark", name, credentials: { server_token: "token-secret" } }))
      .body.id as string;
  const lost = await make("lost");
  const kept = await make("kept");
  await before.sql`update public.connections set credentials = replace(credentials, 'v1.old_1.', 'v1.newX2.') where id = ${lost}`;
  const rotate = () =>
    during.kernel.run({ actor: { kind: "job", name: "test" }, tenantId: t.id }, (ctx) => rotateConnectionSecrets(ctx));
  expect(await rotate()).toEqual({ rotated: 1, remaining: 1 });
  const rows =
    await before.sql`select id, split_part(credentials, '.', 2) as key from public.connections where tenant_id = ${t.id} order by id`;
  expect(rows).toEqual([
    { id: lost, key: "newX2" },
    { id: kept, key: "new_2" },
  ]);
});

test("the daily schedule wakes every team with connections, and the consumer does the rest", async () => {
  const t = await before.tenant();
  await t.api("POST", "/connections", {
    provider: "postmark",
    name: "P",
    credentials: { server_token: "token-secret" },
  });
  const consumer = during.kernel.registry.consumers.find((c) => c.queue === "providers_rotate")!;
  // Taken back before the commit, so that no other suite's worker meets credentials of a key it lacks.
  const message = await before.sql.begin(async (tx) => {
    await tx`select private.wake_rotation()`;
    const woken =
      await tx`delete from pgmq.q_providers_rotate where xmin = pg_current_xact_id()::xid returning message`;
    return woken.map((w) => w.message as { tenant_id: string }).find((w) => w.tenant_id === t.id);
  });
  const payload = consumer.payload.parse(message);
  if (consumer.transaction !== "one") throw new Error("rotation writes only to the database");
  await during.kernel.run({ actor: { kind: "job", name: "test" }, tenantId: t.id }, (ctx) =>
    consumer.handle(ctx, payload),
  );
  const [row] = await before.sql`select credentials from public.connections where tenant_id = ${t.id}`;
  expect(row!.credentials).toMatch(/^v1\.new_2\./);
});
