import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { testKernel, type TestTenant } from "../../../tests/support/kernel.ts";
import { defineModule } from "../module.ts";
import { createRegistry } from "../registry.ts";
import { defineFact, hear, type Heard } from "./fact.ts";

const measured = defineFact({ name: "probe.measured", payload: z.object({ n: z.int() }) });
const broken = defineFact({ name: "probe.broken", payload: z.object({ part: z.string() }) });
/** Emitted, and heard by nobody. */
const unheard = defineFact({ name: "probe.unheard", payload: z.object({ n: z.int() }) });
/** No module names it. */
const undeclared = defineFact({ name: "probe.undeclared", payload: z.object({ n: z.int() }) });

type Told = { tenantId: string; items: unknown[] };
const told: { all: Told[]; measured: Told[] } = { all: [], measured: [] };
/** While set, the subscriber to everything fails at this number, having written a list. */
let failAt: number | null = null;

const toAll = hear([measured, broken], {
  queue: "probe_all_facts",
  async handle(ctx, items: Heard<typeof measured | typeof broken>[]) {
    await ctx.db`insert into public.lists (tenant_id, name) values (${ctx.tenantId}, ${crypto.randomUUID()})`;
    for (const item of items)
      if (item.fact === "probe.measured" && item.payload.n === failAt) throw new Error("cannot be told");
    told.all.push({ tenantId: ctx.tenantId, items });
  },
});
const toMeasured = hear(measured, {
  queue: "probe_measured_facts",
  handle: (ctx, items) => Promise.resolve(void told.measured.push({ tenantId: ctx.tenantId, items })),
});

const emitter = defineModule({ name: "probe_emitter", needs: [], emits: [measured, broken, unheard] });
const hearer = defineModule({ name: "probe_hearer", needs: [], hears: [toAll, toMeasured] });
const t = testKernel({}, [emitter, hearer]);
const subscriptions = [toAll, toMeasured].flatMap((h) =>
  h.facts.map((f) => ({ fact: f.name, queue: h.consumer.queue })),
);

/** Numbers of items per queue message, in order. */
const waiting = async (queue: string, tenant: TestTenant) =>
  (
    await t.sql<{ n: number }[]>`
      select jsonb_array_length(message->'items') as n from ${t.sql(`pgmq.q_${queue}`)}
      where message->>'tenant_id' = ${tenant.id} order by msg_id`
  ).map((r) => r.n);
const by = (list: Told[], team: TestTenant) => list.filter((x) => x.tenantId === team.id);
const numbers = (list: Told[]) =>
  list.flatMap((x) => (x.items as { payload: { n: number } }[]).map((i) => i.payload.n));
const upTo = (n: number) => Array.from({ length: n }, (_, i) => ({ n: i }));

beforeAll(async () => {
  for (const { queue } of subscriptions) await t.sql`select kernel.create_queue(${queue})`;
  // Beside those of the product, which an install would write.
  await t.sql`insert into kernel.subscriptions ${t.sql(subscriptions)} on conflict do nothing`;
});
beforeEach(() => {
  told.all = [];
  told.measured = [];
  failAt = null;
});

describe("emitting", () => {
  test("puts one message on the queue of each subscriber, when the transaction commits and only then", async () => {
    const team = await t.tenant();
    await team
      .run(async (ctx) => {
        await ctx.emit(measured, [{ n: 1 }]);
        throw new Error("roll back");
      })
      .catch(() => {});
    expect(await waiting("probe_all_facts", team)).toEqual([]);
    await team.run(async (ctx) => {
      await ctx.emit(measured, [{ n: 1 }, { n: 2 }]);
      expect(await waiting("probe_all_facts", team), "before the commit").toEqual([]);
    });
    expect(await waiting("probe_all_facts", team)).toEqual([2]);
    expect(await waiting("probe_measured_facts", team)).toEqual([2]);
    await t.drain("probe_all_facts", "probe_measured_facts");
    const items = [1, 2].map((n) => ({ fact: "probe.measured", payload: { n } }));
    expect(told).toEqual({ all: [{ tenantId: team.id, items }], measured: [{ tenantId: team.id, items }] });
  });

  test("from SQL does the same, and refuses another tenant's", async () => {
    const [team, other] = [await t.tenant(), await t.tenant()];
    await team.run((ctx) => ctx.db`select kernel.emit('probe.measured', ${ctx.db.json([{ n: 7 }])})`);
    await expect(
      team.run((ctx) => ctx.db`select kernel.emit('probe.measured', ${ctx.db.json([{ n: 8 }])}, ${other.id})`),
    ).rejects.toThrow(/another tenant/);
    // A schedule runs in no tenant.
    await t.sql`select kernel.emit('probe.measured', ${t.sql.json([{ n: 9 }])}, ${other.id})`;
    await expect(t.sql`select kernel.emit('probe.measured', '[{"n": 9}]')`).rejects.toThrow(/names no tenant/);
    await expect(team.run((ctx) => ctx.db`select kernel.emit('probe.measured', '{"n": 9}')`)).rejects.toThrow(
      /no JSON array/,
    );
    await t.drain("probe_measured_facts");
    expect(told.measured.map((x) => [x.tenantId, ...numbers([x])]).sort()).toEqual(
      [
        [team.id, 7],
        [other.id, 9],
      ].sort(),
    );
  });

  test("more than 500 items are several messages; all of them are heard in order, in one go", async () => {
    const team = await t.tenant();
    await team.run((ctx) => ctx.emit(measured, upTo(1203)));
    expect(await waiting("probe_measured_facts", team)).toEqual([500, 500, 203]);
    await t.drain("probe_measured_facts");
    expect(by(told.measured, team)).toHaveLength(1);
    expect(numbers(by(told.measured, team))).toEqual(upTo(1203).map((x) => x.n));
  });

  test("nothing, or what nobody hears, puts nothing anywhere", async () => {
    const team = await t.tenant();
    await team.run(async (ctx) => {
      await ctx.emit(measured, []);
      await ctx.emit(unheard, upTo(3));
    });
    for (const { name } of await t.sql<{ name: string }[]>`select name from kernel.queues`)
      expect(await waiting(name, team), name).toEqual([]);
  });

  test("refuses items that do not fit, and facts that no module names", async () => {
    const team = await t.tenant();
    await expect(team.run((ctx) => ctx.emit(measured, [{ n: 1 }, { n: "two" as never }]))).rejects.toThrow();
    await expect(team.run((ctx) => ctx.emit(undeclared, [{ n: 1 }]))).rejects.toThrow(/probe\.undeclared/);
    expect(await waiting("probe_measured_facts", team)).toEqual([]);
  });
});

describe("hearing", () => {
  test("a batch is told in the order of its emissions, team by team", async () => {
    const [one, two] = [await t.tenant(), await t.tenant()];
    await one.run((ctx) => ctx.emit(measured, [{ n: 1 }, { n: 2 }]));
    await two.run((ctx) => ctx.emit(broken, [{ part: "wheel" }]));
    await one.run(async (ctx) => {
      await ctx.emit(broken, [{ part: "axle" }]);
      await ctx.emit(measured, [{ n: 3 }]);
    });
    await t.drain("probe_all_facts");
    expect(by(told.all, one)).toHaveLength(1);
    expect(by(told.all, one)[0]!.items).toEqual([
      { fact: "probe.measured", payload: { n: 1 } },
      { fact: "probe.measured", payload: { n: 2 } },
      { fact: "probe.broken", payload: { part: "axle" } },
      { fact: "probe.measured", payload: { n: 3 } },
    ]);
    expect(by(told.all, two)[0]!.items).toEqual([{ fact: "probe.broken", payload: { part: "wheel" } }]);
  });

  test("a subscriber that fails writes nothing, is told again, and holds back no other", async () => {
    const team = await t.tenant();
    failAt = 2;
    await team.run((ctx) => ctx.emit(measured, [{ n: 1 }, { n: 2 }]));
    await t.drain("probe_all_facts", "probe_measured_facts");
    expect(numbers(by(told.measured, team))).toEqual([1, 2]);
    expect(by(told.all, team)).toEqual([]);
    const lists = () => t.sql`select 1 from public.lists where tenant_id = ${team.id}`;
    expect(await lists()).toHaveLength(0);
    expect(await waiting("probe_all_facts", team)).toEqual([2]);
    failAt = null;
    await t.sql`update pgmq.q_probe_all_facts set vt = clock_timestamp() where message->>'tenant_id' = ${team.id}`;
    await t.drain("probe_all_facts");
    expect(numbers(by(told.all, team))).toEqual([1, 2]);
    expect(await lists()).toHaveLength(1);
  });

  test("an item that does not fit, emitted from SQL, is a dead letter that says where", async () => {
    const team = await t.tenant();
    await team.run((ctx) => ctx.db`select kernel.emit('probe.measured', '[{"n": 1}, {"n": "two"}]')`);
    await t.drain("probe_measured_facts");
    expect(by(told.measured, team)).toEqual([]);
    const [letter] = await t.sql`select reason from kernel.dead_letters where tenant_id = ${team.id}`;
    expect(letter!.reason).toContain("items.1.n");
  });
});

describe("subscriptions", () => {
  test("are exactly those of the modules that are on, and need their queue", async () => {
    const read = (tx: typeof t.sql) => tx`select fact, queue from kernel.subscriptions order by fact, queue`;
    await t.sql
      .begin(async (tx) => {
        const wanted = subscriptions.slice(1);
        for (const _ of [1, 2]) await tx`select kernel.register_subscriptions(${tx.json(wanted)})`;
        expect([...(await read(tx as never))]).toEqual(
          wanted.toSorted((a, b) => (a.fact + a.queue < b.fact + b.queue ? -1 : 1)),
        );
        await expect(
          tx.savepoint((sp) => sp`select kernel.register_subscriptions('[{"fact": "a.b", "queue": "no_such_queue"}]')`),
        ).rejects.toThrow(/foreign key/);
        throw new Error("roll back");
      })
      .catch((error: Error) => expect(error.message).toBe("roll back"));
  });

  test("boot says what does not fit", () => {
    const faults = (...args: Parameters<typeof createRegistry>) => {
      try {
        return Object.keys(createRegistry(...args)) && "";
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(faults([emitter, hearer])).toBe("");
    expect(faults([emitter, hearer], ["probe_hearer"])).toBe("");
    expect(faults([emitter, hearer], ["probe_emitter"])).toContain(
      "queue probe_measured_facts: no module that is on emits probe.measured",
    );
    const optional = hear(measured, { queue: "probe_optional", optional: true, handle: () => Promise.resolve() });
    expect(faults([emitter, defineModule({ name: "b", needs: [], hears: [optional] })], ["probe_emitter"])).toBe("");
    const namesake = defineFact({ name: "probe.measured", payload: z.object({ n: z.string() }) });
    expect(faults([emitter, defineModule({ name: "b", needs: [], emits: [namesake] })])).toContain(
      "fact probe.measured is defined twice",
    );
    const misheard = hear(namesake, { queue: "probe_misheard", handle: () => Promise.resolve() });
    expect(faults([emitter, defineModule({ name: "b", needs: [], hears: [misheard] })])).toContain(
      "is another one than is emitted",
    );
    const wrong = defineFact({ name: "Measured", payload: z.object({ tenant_id: z.uuid() }) });
    const message = faults([defineModule({ name: "b", needs: [], emits: [wrong] })]);
    expect(message).toContain("fact Measured: name it");
    expect(message).toContain("leave tenant_id out");
    expect(faults([emitter, hearer, defineModule({ name: "b", needs: [], hears: [toMeasured] })])).toContain(
      "queue probe_measured_facts is defined twice",
    );
  });
});
