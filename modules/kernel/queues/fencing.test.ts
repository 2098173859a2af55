import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { testKernel, type TestTenant } from "../../../tests/support/kernel.ts";
import { until } from "../../../tests/support/until.ts";
import type { Ctx } from "../context.ts";
import { defineModule } from "../module.ts";
import { type AnyConsumer, dead, defineConsumer, defineManualConsumer, done, retry } from "./consumer.ts";
import { drainOnce } from "./drain.ts";

// A reader that was slower than its visibility no longer holds its messages: another one has them. What it did is undone.

const payload = z.object({ tenant_id: z.uuid(), name: z.string() });
type Payload = z.infer<typeof payload>;

/** What the handler of a message does besides writing its name; set by each test. */
const acts = new Map<string, () => Promise<ReturnType<typeof done> | ReturnType<typeof dead> | void>>();
const act = async (p: Payload) => (await acts.get(p.name)?.()) ?? done();
/** A row per call, so that two readers of one message do not wait for each other. */
const write = (ctx: Pick<Ctx, "db" | "tenantId">, p: Payload) =>
  ctx.db`insert into public.lists (tenant_id, name) values (${ctx.tenantId}, ${`${p.name}#${crypto.randomUUID()}`})`;

const single = defineConsumer<Payload>({
  queue: "fence_single",
  payload,
  visibilitySeconds: 30, // the tests end it themselves
  maxAttempts: 5,
  async handle(ctx, p) {
    await write(ctx, p);
    return await act(p);
  },
});
const batch = defineConsumer<Payload>({
  queue: "fence_batch",
  payload,
  visibilitySeconds: 30, // the tests end it themselves
  maxAttempts: 5,
  handle: () => Promise.reject(new Error("handleBatch stands for it")),
  async handleBatch(ctx, ps) {
    const outcomes = [];
    for (const p of ps) {
      await write(ctx, p);
      outcomes.push(await act(p));
    }
    return outcomes;
  },
});
const manual = defineManualConsumer<Payload>({
  queue: "fence_manual",
  payload,
  visibilitySeconds: 1, // short, so that extending it shows
  maxAttempts: 5,
  handle: (_ctx, p) => act(p),
});

const t = testKernel({}, [defineModule({ name: "fence", needs: [], consumers: [single, batch, manual] })]);

type Row = { name: string; read_ct: number; hidden_seconds: number; age_seconds: number };
/** What is on a queue for a tenant, in the order it came. */
const on = async (consumer: AnyConsumer, tenant: TestTenant): Promise<Row[]> => [
  ...(await t.sql<Row[]>`
    select message->>'name' as name, read_ct, extract(epoch from vt - clock_timestamp())::float8 as hidden_seconds,
      extract(epoch from clock_timestamp() - enqueued_at)::float8 as age_seconds
    from ${t.sql(`pgmq.q_${consumer.queue}`)} where message->>'tenant_id' = ${tenant.id} order by msg_id`),
];
const put = (tenant: TestTenant, consumer: AnyConsumer<Payload>, ...names: string[]) =>
  tenant.run((ctx) =>
    ctx.enqueue(
      consumer,
      names.map((name) => ({ tenant_id: tenant.id, name })),
    ),
  );
/** As after a visibility that ran out: another reader takes the message and keeps it. */
const takeOver = async (consumer: AnyConsumer, tenant: TestTenant, name: string) => {
  await t.sql`update ${t.sql(`pgmq.q_${consumer.queue}`)} set vt = clock_timestamp()
    where message->>'tenant_id' = ${tenant.id} and message->>'name' = ${name}`;
  const taken = await t.sql<{ read_ct: number }[]>`select read_ct from kernel.dequeue(${consumer.queue}, 60, 1)`;
  expect(taken).toHaveLength(1);
};
const written = async (tenant: TestTenant) =>
  (await t.sql<{ name: string }[]>`select name from public.lists where tenant_id = ${tenant.id} order by name`).map(
    (r) => r.name.split("#")[0],
  );
const letters = async (tenant: TestTenant) =>
  (await t.sql`select 1 from kernel.dead_letters where tenant_id = ${tenant.id}`).length;

beforeAll(async () => {
  for (const c of [single, batch, manual]) await t.sql`select kernel.create_queue(${c.queue})`;
});

describe("a reader that lost its message", () => {
  test("writes nothing: both readers finish, the effect is there once", async () => {
    const team = await t.tenant();
    const name = crypto.randomUUID();
    let readers = 0;
    acts.set(name, async () => {
      if (readers++ > 0) return;
      await t.sql`update pgmq.q_fence_single set vt = clock_timestamp() where message->>'name' = ${name}`;
      expect(await drainOnce(t.kernel, single)).toBe(1);
    });
    await put(team, single, name);
    await drainOnce(t.kernel, single);
    expect(readers).toBe(2);
    expect(await written(team)).toEqual([name]);
    expect(await on(single, team)).toEqual([]);
    expect(await letters(team)).toBe(0);
  });

  test("does not take it from the one that has it now, neither as done nor as a dead letter nor as failed", async () => {
    const team = await t.tenant();
    const names = ["done", "dead", "retry", "throw"].map((kind) => `${kind} ${crypto.randomUUID()}`);
    for (const name of names) {
      acts.set(name, async () => {
        await takeOver(single, team, name);
        if (name.startsWith("dead")) return dead("never");
        if (name.startsWith("retry")) return retry(7200) as never;
        if (name.startsWith("throw")) throw new Error("boom");
      });
      await put(team, single, name);
      await drainOnce(t.kernel, single);
    }
    expect(await written(team)).toEqual([]);
    expect(await letters(team)).toBe(0);
    const rows = await on(single, team);
    expect(rows.map((r) => [r.name, r.read_ct])).toEqual(names.map((name) => [name, 2]));
    for (const row of rows) {
      expect(row.hidden_seconds).toBeGreaterThan(30);
      expect(row.hidden_seconds).toBeLessThan(61);
    }
  });

  test("rolls its whole batch back; the others of it are handled by themselves", async () => {
    const team = await t.tenant();
    const [a, b, c] = ["a", "b", "c"].map((x) => `${x} ${crypto.randomUUID()}`) as [string, string, string];
    let first = true;
    acts.set(b, async () => {
      if (first) await takeOver(batch, team, b);
      first = false;
    });
    await put(team, batch, a, b, c);
    await drainOnce(t.kernel, batch);
    expect(await written(team)).toEqual([a, c]);
    expect((await on(batch, team)).map((r) => [r.name, r.read_ct])).toEqual([[b, 2]]);
  });

  test("does not settle it when its work was outside of the database", async () => {
    const team = await t.tenant();
    const names = ["done", "dead", "throw"].map((kind) => `${kind} ${crypto.randomUUID()}`);
    for (const name of names) {
      acts.set(name, async () => {
        await takeOver(manual, team, name);
        if (name.startsWith("dead")) return dead("never");
        if (name.startsWith("throw")) throw new Error("boom");
      });
      await put(team, manual, name);
      await drainOnce(t.kernel, manual);
    }
    expect((await on(manual, team)).map((r) => [r.name, r.read_ct])).toEqual(names.map((name) => [name, 2]));
    expect(await letters(team)).toBe(0);
  });

  test("does not begin what it lost while it waited for its turn", async () => {
    const team = await t.tenant();
    const [a, b] = [`a ${crypto.randomUUID()}`, `b ${crypto.randomUUID()}`];
    const begun: string[] = [];
    acts.set(a, async () => {
      begun.push(a);
      await takeOver(manual, team, b);
      // Two extensions later it must have noticed.
      await until(async () => (await on(manual, team)).find((r) => r.name === a)!.age_seconds > 2, {
        what: "two seconds",
      });
    });
    acts.set(b, async () => void begun.push(b));
    await put(team, manual, a, b);
    await drainOnce(t.kernel, manual);
    expect(begun).toEqual([a]);
    expect((await on(manual, team)).map((r) => [r.name, r.read_ct])).toEqual([[b, 2]]);
  });
});

describe("while a batch is handled", () => {
  test("messages of other teams that wait behind a slow one stay hidden", async () => {
    const [slow, behind] = [await t.tenant(), await t.tenant()];
    const name = crypto.randomUUID();
    let seen: Row[] = [];
    acts.set(name, async () => {
      // More than twice the visibility: without extending, another reader could have taken it.
      await until(async () => (await on(manual, slow))[0]!.age_seconds > 2.5, { what: "two visibilities" });
      seen = await on(manual, behind);
    });
    await put(slow, manual, name);
    await put(behind, manual, "waits");
    await drainOnce(t.kernel, manual);
    expect(seen).toMatchObject([{ name: "waits", read_ct: 1 }]);
    expect(seen[0]!.hidden_seconds).toBeGreaterThan(0);
    expect(await on(manual, behind)).toEqual([]);
  });

  test("a retry's delay stays as given, also while the rest of its batch is kept hidden", async () => {
    const team = await t.tenant();
    const [later, slow] = [`later ${crypto.randomUUID()}`, `slow ${crypto.randomUUID()}`];
    acts.set(later, async () => retry(3600) as never);
    acts.set(slow, async () => {
      await until(async () => (await on(manual, team)).at(-1)!.age_seconds > 2.5, { what: "two visibilities" });
    });
    await put(team, manual, later, slow);
    await drainOnce(t.kernel, manual);
    const [row] = await on(manual, team);
    expect(row).toMatchObject({ name: later, read_ct: 1 });
    expect(row!.hidden_seconds).toBeGreaterThan(3000);
  });

  test("an extension that comes late changes nothing: neither a settled message nor another reader's", async () => {
    const team = await t.tenant();
    await put(team, single, "late", "lost");
    type Held = { msg_id: string; read_ct: number; held: string };
    const held = await t.sql<Held[]>`
      select msg_id, read_ct, vt::text as held from kernel.dequeue('fence_single', 60, 2) order by msg_id`;
    const outcome = { msg_id: Number(held[0]!.msg_id), read_ct: 1, kind: "retry", in: 3600 };
    await t.sql`select kernel.settle('fence_single', ${t.sql.json([outcome])})`;
    await takeOver(single, team, "lost");
    const extended = await t.sql`
      select msg_id from kernel.extend_visibility('fence_single', ${held.map((h) => Number(h.msg_id))}::bigint[],
        ${held.map((h) => h.read_ct)}::int[], ${held.map((h) => h.held)}::text[]::timestamptz[], 10)`;
    expect(extended).toEqual([]);
    const rows = await on(single, team);
    expect(rows[0]!.hidden_seconds).toBeGreaterThan(3000);
    expect(rows[1]!.hidden_seconds).toBeGreaterThan(30);
  });
});
