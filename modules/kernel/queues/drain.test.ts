import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { testKernel } from "../../../tests/support/kernel.ts";
import { until } from "../../../tests/support/until.ts";
import { dead, defineConsumer, defineManualConsumer, done, retry } from "./consumer.ts";
import { chooseConsumers, drainOnce } from "./drain.ts";
import { defineModule } from "../module.ts";
import { startWorker } from "./worker.ts";

const payload = z.object({
  tenant_id: z.uuid(),
  name: z.string(),
  act: z.enum(["write", "throw", "retry", "dead", "hang"]).default("write"),
});
type Payload = z.infer<typeof payload>;

const write = (ctx: { db: any; tenantId: string }, p: Payload) =>
  ctx.db`insert into public.lists (tenant_id, name) values (${ctx.tenantId}, ${p.name})`;

const limits = { payload: payload as z.ZodType<Payload>, visibilitySeconds: 30, maxAttempts: 2 };

const single = defineConsumer<Payload>({
  ...limits,
  queue: "probe_single",
  async handle(ctx, p) {
    await write(ctx, p);
    // Postgres stores neither of the two in JSON: a reason is made storable, or its message would never be settled.
    if (p.act === "throw") throw new Error("boom \u0000\ud83d");
    if (p.act === "retry") return retry(0, "later");
    if (p.act === "dead") return dead("never");
    return done();
  },
});

const batch = defineConsumer<Payload>({
  ...limits,
  queue: "probe_batch",
  batch: 50,
  handle: () => Promise.reject(new Error("handleBatch stands for it")),
  async handleBatch(ctx, ps) {
    for (const p of ps) await write(ctx, p);
    if (ps.some((p) => p.act === "throw")) throw new Error("one of them is poisoned");
    return ps.map(() => done());
  },
});

let release = () => {};
const manual = defineManualConsumer<Payload>({
  queue: "probe_manual",
  payload: payload as z.ZodType<Payload>,
  visibilitySeconds: 2,
  maxAttempts: 3,
  batch: 1,
  async handle(ctx, p) {
    if (p.act === "hang") await new Promise<void>((resolve) => (release = resolve));
    await ctx.tx((tx) => write(tx, p));
    if (p.act === "throw") throw new Error("boom");
    return done();
  },
});

const t = testKernel({}, [defineModule({ name: "probe", needs: [], consumers: [single, batch, manual] })]);
const names = async (tenantId: string) =>
  (await t.sql<{ name: string }[]>`select name from public.lists where tenant_id = ${tenantId} order by name`).map(
    (r) => r.name,
  );
const waiting = async (queue: string, tenantId: string) =>
  (await t.sql.unsafe(`select 1 from pgmq.q_${queue} where message->>'tenant_id' = $1`, [tenantId])).length;

beforeAll(async () => {
  for (const q of ["probe_single", "probe_batch", "probe_manual"]) await t.sql`select kernel.create_queue(${q})`;
});

test("a handled message is gone and its effect is there", async () => {
  const team = await t.tenant();
  await team.run((ctx) => ctx.enqueue(single, { tenant_id: team.id, name: "a", act: "write" }));
  await t.drain("probe_single");
  expect(await names(team.id)).toEqual(["a"]);
  expect(await waiting("probe_single", team.id)).toBe(0);
});

test("a message enqueued in a transaction that rolls back never existed", async () => {
  const team = await t.tenant();
  await team
    .run(async (ctx) => {
      await ctx.enqueue(single, { tenant_id: team.id, name: "a", act: "write" });
      throw new Error("roll back");
    })
    .catch(() => {});
  expect(await waiting("probe_single", team.id)).toBe(0);
});

test("a handler that throws writes nothing, is tried again, and ends as a dead letter with the reason", async () => {
  const team = await t.tenant();
  await team.run((ctx) => ctx.enqueue(single, { tenant_id: team.id, name: "a", act: "throw" }));
  await t.drain("probe_single");
  expect(await names(team.id)).toEqual([]);
  expect(await waiting("probe_single", team.id)).toBe(1);
  await t.sql`update pgmq.q_probe_single set vt = now() where message->>'tenant_id' = ${team.id}`;
  await t.drain("probe_single");
  expect(await waiting("probe_single", team.id)).toBe(0);
  const [letter] = await t.sql`select reason, attempts from kernel.dead_letters where tenant_id = ${team.id}`;
  expect(letter).toMatchObject({ attempts: 2, reason: expect.stringContaining("boom \ufffd") });
});

test("back-off is 2^n seconds with at most a quarter of jitter", async () => {
  const team = await t.tenant();
  await team.run((ctx) => ctx.enqueue(single, { tenant_id: team.id, name: "a", act: "throw" }));
  await drainOnce(t.kernel, single);
  const [row] =
    await t.sql`select extract(epoch from vt - clock_timestamp())::float8 as s from pgmq.q_probe_single where message->>'tenant_id' = ${team.id}`;
  expect(row!.s).toBeGreaterThan(1);
  expect(row!.s).toBeLessThanOrEqual(2.5);
});

test("a dead letter can be put back, once, and only by its own team", async () => {
  const [team, other] = [await t.tenant(), await t.tenant()];
  await team.run((ctx) => ctx.enqueue(single, { tenant_id: team.id, name: "a", act: "dead" }));
  await t.drain("probe_single");
  const [letter] = await t.sql`select id from kernel.dead_letters where tenant_id = ${team.id}`;
  const requeue = (who: typeof team) =>
    who.run(async (ctx) => (await ctx.db`select kernel.requeue_dead_letters(${[letter!.id]}::uuid[]) as n`)[0]!.n);
  expect(await requeue(other)).toBe(0);
  expect(await requeue(team)).toBe(1);
  expect(await requeue(team)).toBe(0);
  expect(await waiting("probe_single", team.id)).toBe(1);
});

test("a poisoned message does not hold back its batch", async () => {
  const team = await t.tenant();
  await team.run((ctx) =>
    ctx.enqueue(batch, [
      { tenant_id: team.id, name: "a", act: "write" },
      { tenant_id: team.id, name: "b", act: "throw" },
      { tenant_id: team.id, name: "c", act: "write" },
    ]),
  );
  await t.drain("probe_batch");
  expect(await names(team.id)).toEqual(["a", "c"]);
  expect(await waiting("probe_batch", team.id)).toBe(1);
});

test("a payload that does not fit is a dead letter that says why, and the rest goes on", async () => {
  const team = await t.tenant();
  await t.sql`select pgmq.send('probe_batch', ${t.sql.json({ tenant_id: team.id, name: 7 })})`;
  await team.run((ctx) => ctx.enqueue(batch, { tenant_id: team.id, name: "fine", act: "write" }));
  await t.drain("probe_batch");
  expect(await names(team.id)).toEqual(["fine"]);
  const [letter] = await t.sql`select reason from kernel.dead_letters where tenant_id = ${team.id}`;
  expect(letter!.reason).toContain("name");
});

test("enqueueing for another team is refused", async () => {
  const [team, other] = [await t.tenant(), await t.tenant()];
  await expect(
    team.run((ctx) => ctx.enqueue(single, { tenant_id: other.id, name: "a", act: "write" })),
  ).rejects.toThrow(/another tenant/);
});

test("a bad payload is refused when it is enqueued, not when it is read", async () => {
  const team = await t.tenant();
  await expect(team.run((ctx) => ctx.enqueue(single, { tenant_id: team.id } as never))).rejects.toThrow();
});

test("what a stopping worker has not begun is visible again at once", async () => {
  const team = await t.tenant();
  await team.run((ctx) => ctx.enqueue(single, { tenant_id: team.id, name: "a", act: "write" }));
  await drainOnce(t.kernel, single, AbortSignal.abort());
  expect(await names(team.id)).toEqual([]);
  const [row] =
    await t.sql`select vt <= clock_timestamp() as visible from pgmq.q_probe_single where message->>'tenant_id' = ${team.id}`;
  expect(row!.visible).toBe(true);
});

test("what is put back costs no delivery: after any number of shutdowns the first failure is tried again", async () => {
  const team = await t.tenant();
  for (const consumer of [single, manual]) {
    await team.run((ctx) => ctx.enqueue(consumer, { tenant_id: team.id, name: "a", act: "throw" }));
    for (let stop = 0; stop < consumer.maxAttempts; stop++) await drainOnce(t.kernel, consumer, AbortSignal.abort());
    await drainOnce(t.kernel, consumer);
    const left = await t.sql.unsafe(`select read_ct from pgmq.q_${consumer.queue} where message->>'tenant_id' = $1`, [
      team.id,
    ]);
    expect([...left]).toEqual([{ read_ct: 1 }]);
  }
  expect(await t.sql`select reason from kernel.dead_letters where tenant_id = ${team.id}`).toEqual([]);
});

test("a handler slower than its visibility keeps its message; stop() waits for it", async () => {
  const team = await t.tenant();
  const worker = await startWorker(workerKernel.kernel);
  try {
    await team.run((ctx) => ctx.enqueue(manual, { tenant_id: team.id, name: "slow", act: "hang" }));
    const reads = () => t.sql<{ read_ct: number; hidden: boolean; seconds: number }[]>`
      select read_ct, vt > clock_timestamp() as hidden, extract(epoch from clock_timestamp() - enqueued_at)::float8 as seconds
      from pgmq.q_probe_manual where message->>'tenant_id' = ${team.id}`;
    // Longer than the visibility of two seconds: still read once, still hidden.
    const [row] = await until(async () => {
      const rows = await reads();
      return rows[0] && rows[0].seconds > 3 ? rows : null;
    });
    expect(row).toMatchObject({ read_ct: 1, hidden: true });
    const stopped = worker.stop();
    release();
    await stopped;
    expect(await names(team.id)).toEqual(["slow"]);
    expect(await waiting("probe_manual", team.id)).toBe(0);
  } finally {
    release();
    await worker.stop();
  }
});
const workerKernel = testKernel({ WORKER_TYPE: "probe_manual" }, [
  defineModule({ name: "probe", needs: [], consumers: [manual] }),
]);

test("a team that has a wake waiting gets no second; one that is being handled does not count", async () => {
  const [one, two] = [await t.tenant(), await t.tenant()];
  const wakes = async (tenantId: string) =>
    (await t.sql`select 1 from pgmq.q_probe_wakes where message->>'tenant_id' = ${tenantId}`).length;
  await t.sql`select kernel.create_queue('probe_wakes')`;
  const wake = (...tenants: string[]) => t.sql`select kernel.wake('probe_wakes', ${tenants}::uuid[])`;
  await wake(one.id, one.id, two.id);
  await wake(one.id, two.id);
  expect([await wakes(one.id), await wakes(two.id)]).toEqual([1, 1]);
  await t.sql`update pgmq.q_probe_wakes set vt = clock_timestamp() + interval '1 minute' where message->>'tenant_id' = ${one.id}`;
  await wake(one.id, two.id);
  expect([await wakes(one.id), await wakes(two.id)]).toEqual([2, 1]);
  await expect(t.sql`select kernel.wake('no_such_queue', '{}')`).rejects.toThrow(/no such queue/);
});

test("dropping a team's wakes leaves the one being handled, other messages and other teams' wakes", async () => {
  const [one, two] = [await t.tenant(), await t.tenant()];
  await t.sql`select kernel.create_queue('probe_wakes')`;
  const wake = { tenant_id: one.id };
  const messages = [wake, wake, wake, { ...wake, id: 7 }, { tenant_id: two.id }];
  await t.sql`select pgmq.send('probe_wakes', m) from jsonb_array_elements(${t.sql.json(messages)}) m`;
  await t.sql`update pgmq.q_probe_wakes set vt = clock_timestamp() + interval '1 minute'
    where msg_id = (select min(msg_id) from pgmq.q_probe_wakes where message->>'tenant_id' = ${one.id})`;
  await one.run((ctx) => ctx.db`select kernel.drop_wakes('probe_wakes')`);
  const left = await t.sql`
    select message, vt > clock_timestamp() as hidden from pgmq.q_probe_wakes
    where message->>'tenant_id' in (${one.id}, ${two.id}) order by msg_id`;
  expect([...left]).toEqual([
    { message: wake, hidden: true },
    { message: messages[3], hidden: false },
    { message: messages[4], hidden: false },
  ]);
});

describe("WORKER_TYPE", () => {
  const queues = (workerType: string) =>
    chooseConsumers({ ...t.kernel, config: { ...t.kernel.config, workerType } }).map((c) => c.queue);
  test("a module stands for every queue it reads, also for what it hears", () => {
    expect(queues("messaging")).toEqual(expect.arrayContaining(["messaging_send", "webhooks_in", "providers_inbound"]));
    expect(queues("contacts")).toEqual(expect.arrayContaining(["contacts_import", "contacts_message_facts"]));
    expect(queues("probe")).toEqual(["probe_single", "probe_batch", "probe_manual"]);
  });
  test("a queue stands for itself alone, and what is named twice is drained once", () => {
    expect(queues("probe_batch, messaging_send")).toEqual(["probe_batch", "messaging_send"]);
    expect(queues("messaging,messaging_send")).toEqual(queues("messaging"));
  });
  test("what drains nothing is refused", () => {
    expect(() => queues("messaging,")).toThrow(/names nothing/);
    expect(() => queues("channels")).toThrow(/the module channels, which reads no queue/);
  });
});

test("WORKER_TYPE with an unknown queue fails at start and names the known ones", async () => {
  await expect(startWorker(wrongKernel.kernel)).rejects.toThrow(/messaging_send/);
});
const wrongKernel = testKernel({ WORKER_TYPE: "enrichmnt" });
