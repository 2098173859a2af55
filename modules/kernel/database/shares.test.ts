import { expect, test } from "vitest";
import { testKernel } from "../../../tests/support/kernel.ts";
import { uuid7 } from "./ids.ts";

// One tenant's slow requests stop neither the database nor the others.

const POOL = 4;
const t = testKernel({ OVERTURE_STATEMENT_TIMEOUT: "0.3", OVERTURE_DB_POOL: String(POOL) });
const user = () => ({ kind: "user", userId: uuid7(), email: "a@example.com", role: "owner" }) as const;
const key = () =>
  ({ kind: "api_key", keyId: uuid7(), scopes: [] as string[], makerId: uuid7(), role: "owner" }) as const;

test.each([
  ["a person's", user],
  ["a key's", key],
])("a statement of %s request is cancelled after its time", async (_, actor) => {
  const { id } = await t.tenant();
  const slow = t.kernel.run({ actor: actor(), tenantId: id }, (ctx) => ctx.db`select pg_sleep(60)`);
  await expect(slow).rejects.toMatchObject({ code: "57014" });
});

test("a job's statement takes as long as it needs", async () => {
  const { id } = await t.tenant();
  const job = { kind: "job", name: "test" } as const;
  await t.kernel.run({ actor: job, tenantId: id }, async (ctx) => {
    await ctx.db`select pg_sleep(0.4)`;
    const [row] = await ctx.db<{ limit: string }[]>`select current_setting('statement_timeout') as limit`;
    expect(row!.limit).toBe("10min");
  });
});

test("a tenant whose requests are slow leaves connections for the others", async () => {
  const [slow, other] = [await t.tenant(), await t.tenant()];
  let finished = 0;
  const many = Array.from({ length: POOL * 10 }, () =>
    t.kernel.run({ actor: user(), tenantId: slow.id }, (ctx) => ctx.db`select pg_sleep(0.1)`).finally(() => finished++),
  );
  await t.kernel.run({ actor: user(), tenantId: other.id }, (ctx) => ctx.db`select 1`);
  // Without a share of its own it would wait behind all that came before it.
  expect(finished).toBeLessThan(POOL);
  await Promise.all(many);
  expect(finished).toBe(POOL * 10);
});
