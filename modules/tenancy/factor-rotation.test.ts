import { expect, test } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";
import type { Ctx } from "../kernel/context.ts";
import { createVault } from "../kernel/secrets/vault.ts";
import { rotateFactors } from "./factor-rotation.ts";
import { factorSeal } from "./second-factor.ts";

const key = () => btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))));
const secretOf = (base64: string) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
const [oldKey, newKey, own] = [key(), key(), crypto.randomUUID().slice(0, 8)];
// The table is everybody's: other suites' keys of apps were sealed by the stack's own, which stays behind.
const stack = testKernel();
const [OLD, NEW] = [`old_${own}:${oldKey}`, `new_${own}:${newKey}`];
const before = testKernel({ OVERTURE_KEYS: `${OLD},${stack.env.OVERTURE_KEYS}` });
const during = testKernel({ OVERTURE_KEYS: `${NEW},${OLD},${stack.env.OVERTURE_KEYS}` });
const PASSWORD = "a long enough password";

/** A person whose app was added before the rotation. */
async function person() {
  const email = `k-${crypto.randomUUID()}@example.com`;
  const post = (path: string, body: unknown, token: string | null = null) =>
    before.call(token)("POST", path, body, { "x-forwarded-for": `203.0.113.${Math.floor(Math.random() * 250)}` });
  const made = await post("/auth/register", { email, password: PASSWORD, name: "K", tenant_name: "K" });
  const { access_token, user } = made.body as { access_token: string; user: { id: string } };
  const begun = await post("/auth/second-factor", { current_password: PASSWORD }, access_token);
  expect(begun.status, JSON.stringify(begun.body)).toBe(200);
  return { id: user.id, key: begun.body.key as string };
}
/** In a transaction that is taken back: other suites' people keep the keys that their suites can open. */
async function takenBack(work: (ctx: Ctx) => Promise<void>): Promise<void> {
  const undo = new Error("taken back");
  const { id } = await before.tenant();
  const ran = during.kernel.run({ actor: { kind: "job", name: "test" }, tenantId: id }, async (ctx) => {
    await work(ctx);
    throw undo;
  });
  await expect(ran).rejects.toBe(undo);
}
const sealedKey = async (ctx: Ctx, { id }: { id: string }): Promise<string> =>
  (await ctx.db<{ secret: string }[]>`select secret from private.second_factor(${id})`)[0]!.secret;
const only = createVault([{ id: `new_${own}`, secret: secretOf(newKey) }]);

test("after a rotation, in portions, the old key can be dropped: the apps that people added before still fit", async () => {
  const people = [await person(), await person(), await person()];
  await takenBack(async (ctx) => {
    for (const who of people) expect(await sealedKey(ctx, who)).toContain(`v1.old_${own}.`);
    let [next, rotated, portions]: [string | null, number, number] = [null, 0, 0];
    do {
      const portion = await rotateFactors(ctx, next, 2);
      expect(portion.rotated).toBeLessThanOrEqual(2);
      [next, rotated, portions] = [portion.next, rotated + portion.rotated, portions + 1];
    } while (next !== null);
    expect(rotated).toBeGreaterThanOrEqual(3);
    expect(portions).toBeGreaterThanOrEqual(2);
    for (const who of people) {
      const sealed = await sealedKey(ctx, who);
      expect(await only.open(sealed, factorSeal(who.id))).toBe(who.key);
      // Still bound to its own person.
      await expect(only.open(sealed, factorSeal(crypto.randomUUID()))).rejects.toThrow(/cannot be decrypted/);
    }
    expect((await rotateFactors(ctx, null)).rotated).toBe(0);
  });
});

test("a key that is lost holds nobody up, and one that was begun anew meanwhile stays the new one", async () => {
  const [lost, kept] = [await person(), await person()];
  await before.sql`update private.second_factors set secret = replace(secret, ${`v1.old_${own}.`}, 'v1.gone.')
    where person = ${lost.id}`;
  await takenBack(async (ctx) => {
    let next: string | null = null;
    do ({ next } = await rotateFactors(ctx, next, 1));
    while (next !== null);
    expect(await sealedKey(ctx, lost)).toContain("v1.gone.");
    const now = await sealedKey(ctx, kept);
    expect(await only.open(now, factorSeal(kept.id))).toBe(kept.key);
    const [late] = await ctx.db<{ n: number }[]>`
      select private.reseal_factors(array[${kept.id}]::uuid[], array['v1.read.before.it'], array['v1.late.one.x']) as n`;
    expect(late!.n).toBe(0);
    expect(await sealedKey(ctx, kept)).toBe(now);
  });
});

test("the daily schedule wakes it once, and the consumer does the rest", async () => {
  const who = await person();
  const consumer = during.kernel.registry.consumers.find((c) => c.queue === "tenancy_rotate")!;
  if (consumer.transaction !== "one") throw new Error("rotation writes only to the database");
  // Taken back before the commit, so that no other suite's worker meets keys that it lacks.
  const woken = await before.sql.begin(async (tx) => {
    await tx`select private.wake_factor_rotation()`;
    return await tx`delete from pgmq.q_tenancy_rotate where xmin = pg_current_xact_id()::xid returning message`;
  });
  expect(woken).toHaveLength(1);
  const payload = consumer.payload.parse(woken[0]!.message);
  await takenBack(async (ctx) => {
    expect(await consumer.handle(ctx, payload)).toEqual({ kind: "done" });
    expect(await only.open(await sealedKey(ctx, who), factorSeal(who.id))).toBe(who.key);
  });
});
