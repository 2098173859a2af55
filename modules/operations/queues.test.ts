import { expect, test } from "vitest";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";

const t = testKernel();
/** A queue of this suite's own: no worker drains it. */
const queue = `test_${crypto.randomUUID().slice(0, 8)}`;
await t.sql`select kernel.create_queue(${queue})`;

/** Dead letters come about as in life: enqueued, read, and settled as dead. */
async function die(tenant: TestTenant, n: number): Promise<void> {
  const messages = Array.from({ length: n }, (_, i) => JSON.stringify({ tenant_id: tenant.id, i }));
  await t.sql`select kernel.enqueue(${queue}, ${messages}::text[]::jsonb[])`;
  const read = await t.sql<
    { msg_id: string; read_ct: number }[]
  >`select msg_id, read_ct from kernel.dequeue(${queue}, 60, ${n})`;
  const outcomes = read.map((r) => ({
    msg_id: Number(r.msg_id),
    read_ct: r.read_ct,
    kind: "dead",
    reason: "no such contact",
  }));
  await t.sql`select kernel.settle(${queue}, ${t.sql.json(outcomes)})`;
}
const lettersOf = async (tenant: TestTenant) =>
  (await tenant.api("GET", `/dead-letters?queue=${queue}`)).body.data as { id: string; message: { i: number } }[];
const queueOf = async (tenant: TestTenant) =>
  (await tenant.api("GET", "/queues")).body.data.find((q: { queue: string }) => q.queue === queue);

test("a team sees its own dead letters with their reason, in pages, and no other team's", async () => {
  const [mine, theirs] = [await t.tenant(), await t.tenant()];
  await die(mine, 5);
  const letters = await lettersOf(mine);
  expect(letters).toHaveLength(5);
  expect(letters[0]).toMatchObject({ queue, reason: "no such contact", attempts: 1, message: { tenant_id: mine.id } });
  const first = (await mine.api("GET", `/dead-letters?queue=${queue}&limit=3`)).body;
  const second = (await mine.api("GET", `/dead-letters?queue=${queue}&limit=3&cursor=${first.next_cursor}`)).body;
  expect([...first.data, ...second.data].map((l) => l.id)).toEqual(letters.map((l) => l.id));
  expect(second).toMatchObject({ has_more: false, next_cursor: null });
  expect(await lettersOf(theirs)).toEqual([]);
  expect([(await queueOf(mine)).dead, (await queueOf(theirs)).dead]).toEqual([5, 0]);
});

test("requeueing moves a letter to its queue exactly once, and only one's own", async () => {
  const [mine, theirs] = [await t.tenant(), await t.tenant()];
  await die(mine, 2);
  const ids = (await lettersOf(mine)).map((l) => l.id);
  expect((await theirs.api("POST", "/dead-letters/requeue", { ids })).body).toEqual({ requeued: 0 });
  const answers = await Promise.all([1, 2, 3].map(() => mine.api("POST", "/dead-letters/requeue", { ids: [ids[0]] })));
  expect(answers.map((a) => a.body.requeued).sort()).toEqual([0, 0, 1]);
  expect((await lettersOf(mine)).map((l) => l.id)).toEqual([ids[1]]);
  const waiting =
    await t.sql`select 1 from kernel.dequeue(${queue}, 60, 100) d where d.message ->> 'tenant_id' = ${mine.id}`;
  expect(waiting).toHaveLength(1);
});

test("purging deletes one's own letters for good and is in the audit log", async () => {
  const [mine, theirs] = [await t.tenant(), await t.tenant()];
  await die(mine, 2);
  const ids = (await lettersOf(mine)).map((l) => l.id);
  expect((await theirs.api("POST", "/dead-letters/purge", { ids })).body).toEqual({ purged: 0 });
  expect((await mine.api("POST", "/dead-letters/purge", { ids: [ids[0], crypto.randomUUID()] })).body).toEqual({
    purged: 1,
  });
  expect(await lettersOf(mine)).toHaveLength(1);
  expect((await mine.api("GET", "/audit-log?action=dead_letters.purge")).body.data).toMatchObject([
    { detail: { purged: 1 } },
  ]);
  expect((await mine.api("POST", "/dead-letters/purge", { ids: [] })).status).toBe(422);
});

test("schedules show their last run and whether they are late", async () => {
  const tenant = await t.tenant();
  const name = `test.${crypto.randomUUID()}`;
  await t.sql`
    insert into kernel.schedules (name, cron, command, expected_seconds, registered_at, last_started_at, runs, last_error)
    values (${name}, '* * * * *', 'select 1', 60, now() - interval '2 hours', now() - interval '1 hour', 7, 'it failed')`;
  try {
    const { data } = (await tenant.api("GET", "/schedules")).body;
    expect(data.find((s: { name: string }) => s.name === name)).toMatchObject({
      cron: "* * * * *",
      runs: 7,
      late: true,
      last_error: "it failed",
      last_finished_at: null,
    });
  } finally {
    await t.sql`delete from kernel.schedules where name = ${name}`;
  }
});
