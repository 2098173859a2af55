import { expect, test } from "vitest";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { uuid7 } from "../kernel/database/ids.ts";

const t = testKernel();

type Entry = { id: string; micros: number; run_id?: string; campaign_id?: string; contact_id?: string };
const entry = (micros: number, of: Partial<Entry> = {}): Entry => ({ id: uuid7(), micros, ...of });
const reserve = (team: TestTenant, entries: Entry[]) =>
  team.run(
    (ctx) => ctx.db<{ id: string; refused_by: string | null }[]>`
      select id, refused_by from private.reserve_costs(${ctx.db.json(entries.map((e) => ({ kind: "enrichment", provider: "x", ...e })))})`,
  );
const settle = (team: TestTenant, told: object[]) =>
  team.run(
    async (ctx) =>
      (await ctx.db<[{ n: number }]>`select private.settle_costs(${ctx.db.json(told as never)}) as n`)[0].n,
  );
const spent = async (team: TestTenant, scope: string) =>
  Number(
    (
      await t.sql`select coalesce(sum(micros), 0)::text as n from public.spending where tenant_id = ${team.id} and scope = ${scope}`
    )[0]!.n,
  );
const settled = (id: string, micros: number, state = "settled") => ({
  id,
  state,
  outcome: "found",
  units: 1,
  micros,
  latency_ms: 5,
  detail: "",
});

test("twenty transactions that reserve at once get no more than the budget has", async () => {
  const team = await t.tenant();
  await team.api("PUT", "/budgets", { scope: "month", cap_micros: 10_000 });
  // The sum's row stands already: making it would put them in line by itself.
  await reserve(team, [entry(0)]);
  const answers = await Promise.all(Array.from({ length: 20 }, () => reserve(team, [entry(1000)])));
  expect(answers.filter(([row]) => row!.refused_by === null)).toHaveLength(10);
  expect(answers.filter(([row]) => row!.refused_by === "month")).toHaveLength(10);
  expect(await spent(team, "month")).toBe(10_000);
});

test("of a batch as many are entered as there is room for, in their order, and each budget is asked", async () => {
  const team = await t.tenant();
  const run_id = uuid7();
  await team.run((ctx) => ctx.db`select private.put_run_budget(${run_id}, 2500)`);
  const rows = await reserve(team, [
    entry(1000, { run_id }),
    entry(1000, { run_id }),
    entry(1000, { run_id }),
    entry(0, { run_id }),
  ]);
  expect(rows.map((r) => r.refused_by)).toEqual([null, null, "run", null]);
  expect(await spent(team, "run")).toBe(2000);
  const campaign = uuid7();
  await team.api("PUT", "/budgets", { scope: "campaign", campaign_id: campaign, cap_micros: 0 });
  const [refused, other] = await reserve(team, [entry(1, { campaign_id: campaign }), entry(1)]);
  expect([refused!.refused_by, other!.refused_by]).toEqual(["campaign", null]);
});

test("what a call did cost replaces what was reserved, once, whatever comes again", async () => {
  const team = await t.tenant();
  const [a, b] = [entry(5000), entry(5000)];
  await reserve(team, [a, b]);
  expect(await settle(team, [settled(a.id, 1200), settled(b.id, 5000, "unknown")])).toBe(2);
  expect(await settle(team, [settled(a.id, 9000)])).toBe(0);
  expect(await spent(team, "day")).toBe(6200);
  const { body } = await team.api("GET", "/costs/summary?by=kind");
  expect(body).toMatchObject({
    total: { calls: 2, amount_micros: 6200 },
    data: [{ key: "enrichment", amount_micros: 6200 }],
  });
  const another = await t.tenant();
  const c = entry(5000);
  await reserve(team, [c]);
  expect(await settle(another, [settled(c.id, 0)])).toBe(0);
});

test("a call whose process died counts as reserved, and is closed after a quarter of an hour", async () => {
  const team = await t.tenant();
  const lost = entry(700);
  await reserve(team, [lost]);
  await t.sql`update public.costs set at = at - interval '16 minutes' where tenant_id = ${team.id}`;
  await t.sql`select private.close_lost_costs()`;
  const { body } = await team.api("GET", "/costs");
  expect(body.data).toEqual([expect.objectContaining({ state: "unknown", outcome: "lost", amount_micros: 700 })]);
});

test("a budget is set by admins, read by all, and names what is wrong with it", async () => {
  const team = await t.tenant();
  const [viewer, member] = [await team.member("viewer"), await team.member("member")];
  expect((await member.api("PUT", "/budgets", { scope: "day", cap_micros: 1 })).status).toBe(403);
  const bad = await team.api("PUT", "/budgets", { scope: "campaign", cap_micros: 1 });
  expect([bad.status, bad.body.errors[0].pointer]).toEqual([422, "/campaign_id"]);
  await team.api("PUT", "/budgets", { scope: "day", cap_micros: 5 });
  expect((await viewer.api("GET", "/budgets")).body.data).toEqual([
    { scope: "day", scope_id: null, cap_micros: 5, spent_micros: 0 },
    { scope: "month", scope_id: null, cap_micros: null, spent_micros: 0 },
  ]);
  const none = await team.api("PUT", "/budgets", { scope: "day", cap_micros: null });
  expect(none.body.data[0].cap_micros).toBeNull();
});
