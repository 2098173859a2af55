import { readFileSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, describe, expect, test } from "vitest";
import { isAlive } from "../../supabase/embedded/processes.ts";
import { until } from "../support/until.ts";
import { smallDisk } from "./small-disk.ts";
import { startWorld, verdict, type Mailing, type World } from "./support.ts";

/** The whole data folder on a disk that fills up while two workers send: one as npm start runs it, one of the test's. */

const disk = await smallDisk(450);
const title =
  "a full disk in mid-send: the database gives up and comes back, the workers live, nobody was called without a record: 0 duplicates, 0 lost";

if (typeof disk === "string") test.runIf(false)(`${title} (not tested: ${disk})`, () => {});

describe.runIf(typeof disk !== "string")("the data folder on a disk of 450 MB", async () => {
  if (typeof disk === "string") return;
  // Registered first, so it runs last: the stack is stopped before its disk goes.
  afterAll(() => disk.remove());
  const said: string[] = [];
  const world = await startWorld({ home: disk.folder, supervised: true, onEvent: (line) => said.push(line) });

  test(title, { timeout: 150_000 }, async () => {
    const { sql } = world;
    // A batch of 500 every two seconds: there are calls under way and calls to come when the disk fills.
    const m = await world.mailing("postmark", 3000, { perSecond: 0.5, start: false });
    await world.sandbox("POST", "/faults", { kind: "slow", account: m.account, rate: 1, delay_ms: 1500 });
    const worker = await world.worker();
    const pids = world.stack.pids();
    expect((await m.tenant.api("POST", `/campaigns/${m.id}/start`)).status).toBe(200);
    await until(async () => (await world.accepted(m.account)) > 0, { what: "messages in flight", timeoutMs: 30_000 });

    // The log of changes gets files in advance, so that it is not the first to run out of room.
    const admin = postgres(world.stack.adminDbUrl, { max: 1, onnotice: () => {} });
    await writeLog(admin, 100);
    await admin`checkpoint`;
    await admin.end();

    // Full: what needs a new page is refused.
    disk.fill();
    await until(() => (disk.fill(), worker.log().includes("could not extend file")), {
      what: "a worker's write to be refused",
      timeoutMs: 40_000,
    }).catch((error: Error) => {
      throw new Error(`${error.message}\n${said.join("\n")}\n${worker.log().slice(-3000)}`);
    });
    expect(await world.accepted(m.account)).toBeLessThan(m.size);

    // Then the log's files are full too, and the database panics; it cannot even recover.
    await until(
      async () => {
        disk.fill();
        await writeLog(sql, 10).catch(() => {});
        return world.stack.pids().postgres === undefined;
      },
      { what: "the database to give up", timeoutMs: 30_000 },
    );
    await until(() => said.some((line) => /The database ended unexpectedly: the disk of .* is full/.test(line)), {
      what: "the supervisor to say so",
    });
    // It stays full while both workers try again and again. What was on record before the panic goes out first and ends
    // unrecorded; then nobody is called any more.
    const failures = () => worker.log().split("a queue could not be read").length;
    const triedInVain = (times: number, before = failures()) =>
      until(() => (disk.fill(), failures() > before + times), {
        what: "the worker to try in vain",
        timeoutMs: 30_000,
      });
    let called: number;
    do {
      called = await world.accepted(m.account);
      await triedInVain(5);
    } while ((await world.accepted(m.account)) > called);
    expect(called, "nobody is called without a record").toBeLessThan(m.size);
    await triedInVain(5);
    expect(world.stack.pids().postgres).toBeUndefined();
    const ready = await fetch(`${world.stack.url}/health/ready`);
    expect(ready.status).toBe(503);
    expect(await ready.json()).toMatchObject({
      status: "down",
      checks: expect.arrayContaining([{ name: "database", ok: false, detail: "does not respond" }]),
    });
    expect(await world.accepted(m.account), "nobody is called without a record").toBe(called);

    disk.empty();
    await until(() => said.includes("The database runs again."), {
      what: "the database to come back by itself",
      timeoutMs: 30_000,
    });
    await until(() => sql`select 1`, { what: "the database to answer", timeoutMs: 30_000 });
    expect(await listeners(world), "both workers hear notifications again").toBe(2);

    await world.sandbox("DELETE", "/faults");
    await world.timePasses(m);
    await world.settle(m);
    await everyCallIsOnRecord(world, m);
    // Nobody died of it: neither of the lost database nor of a log that cannot be written.
    expect(isAlive(worker.pid)).toBe(true);
    const { postgres: _, ...others } = world.stack.pids();
    const { postgres: __, ...same } = pids;
    expect(others).toEqual(same);
    await world.stopWorkers();
    await verdict(world, m);
  });
});

/** Writes so many megabytes to the log of changes and nothing else. */
const writeLog = async (sql: postgres.Sql, megabytes: number) =>
  void (await sql`select pg_logical_emit_message(false, 'ballast', repeat('x', 1000000)) from generate_series(1, ${megabytes}::int)`);

/** Connections that wait for notifications of the queues. */
const listeners = (world: World) =>
  until(
    async () => {
      const [row] = await world.sql<
        { n: number }[]
      >`select count(*)::int as n from pg_stat_activity where query ilike 'listen "kernel_queue"%'`;
      return row!.n >= 2 ? row!.n : null;
    },
    { what: "the workers to listen again", timeoutMs: 30_000 },
  );

/** What the provider took was claimed, with its attempt committed, before the provider was called. */
async function everyCallIsOnRecord(world: World, m: Mailing) {
  const taken = readFileSync(join(world.own, "sandbox.jsonl"), "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { k: string; v: { our_id: string; accepted_at: string } })
    .filter(({ k }) => k === "message")
    .map(({ v }) => ({ id: v.our_id, at: v.accepted_at }));
  expect(taken.length).toBe(m.size);
  const unrecorded = await world.sql`
    select t.id from jsonb_to_recordset(${world.sql.json(taken)}) t (id uuid, at timestamptz)
    where not exists (select from public.attempts a where a.tenant_id = ${m.tenant.id} and a.message_id = t.id
      and date_trunc('milliseconds', a.started_at) <= t.at)`;
  expect([...unrecorded]).toEqual([]);
}
