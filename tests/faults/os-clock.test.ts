import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startPostgres } from "../../supabase/embedded/postgres.ts";
import { until } from "../support/until.ts";
import { startWorld, verdict, type Mailing } from "./support.ts";

/**
 * The machine's clock is set an hour forward or back in mid-send: for the database, for the workers, for both. libfaketime stands
 * between the processes and the real clock; the monotonic clock goes on, as it does when somebody sets the date.
 */

const library = process.env.OVERTURE_TEST_FAKETIME;
const CASES: [name: string, who: ("database" | "workers")[]][] = [
  [
    "the database's clock is set an hour forward and back in mid-send: nothing is sent twice, nothing is lost",
    ["database"],
  ],
  [
    "the workers' clock is set an hour forward and back in mid-send: nothing is sent twice, nothing is lost",
    ["workers"],
  ],
  [
    "everybody's clock is set an hour forward and back in mid-send: nothing is sent twice, nothing is lost",
    ["database", "workers"],
  ],
];

if (!library) {
  for (const [name] of CASES)
    test.runIf(false)(`${name} (not tested: OVERTURE_TEST_FAKETIME names no libfaketime.so.1)`, () => {});
} else {
  const world = await startWorld({ gateway: false });
  const { sql } = world;
  const clocks = { database: join(world.own, "database-clock"), workers: join(world.own, "workers-clock") };
  /** The clock of these processes goes so many seconds ahead of the real one, from now on. */
  const set = (who: (keyof typeof clocks)[], seconds: number) =>
    who.forEach((name) => writeFileSync(clocks[name], `${seconds < 0 ? "" : "+"}${seconds}`));
  set(["database", "workers"], 0);
  const under = (file: string) => ({
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
    FAKETIME_DISABLE_SHM: "1",
    NO_FAKE_STAT: "1",
  });

  // The stack's database once more, under a clock of the test's.
  process.kill(world.stack.pids().postgres!, "SIGINT");
  await until(() => world.stack.pids().postgres === undefined, { what: "the database to stop" });
  Object.assign(process.env, under(clocks.database));
  const { home, ports } = world.stack;
  const database = await startPostgres({ home, port: ports.db, superuserPassword: "", durable: false });
  for (const name of Object.keys(under(""))) delete process.env[name];
  world.onStop(() => database.stop());

  /** Seconds the database's clock is ahead of this process's. */
  const ahead = async () => {
    const [row] = await sql<{ at: number }[]>`select extract(epoch from clock_timestamp())::float8 as at`;
    return Math.round(row!.at - Date.now() / 1000);
  };

  for (const [name, who] of CASES) {
    test(name, { timeout: 120_000 }, async () => {
      // Both ways of asking what became of a message: by search, and again under the same key.
      const m = await world.mailing("postmark", 3000, { perSecond: 0.5 });
      const k = await world.mailing("resend", 60, { perSecond: 4 });
      await world.drain("campaigns_enroll", "campaigns_plan");
      for (const { account } of [m, k]) {
        // On its way to the provider for four seconds: who asks meanwhile hears that nobody knows the message.
        await world.sandbox("POST", "/faults", { kind: "slow", account, rate: 1, delay_ms: 4000, accepted: false });
      }
      await Promise.all([world.worker(under(clocks.workers)), world.worker(under(clocks.workers))]);
      // Forward, back by as much, and behind the real time, where what is planned is due in an hour: that is delay, not loss.
      for (const seconds of [3600, 0, -3600]) {
        await underWay(m);
        const before = await world.accepted(m.account);
        set(who, seconds);
        if (who.includes("database")) expect(Math.abs((await ahead()) - seconds)).toBeLessThan(5);
        // What is under way arrives while everything that goes by the clock is asked again and again.
        await until(async () => (await world.tick(), (await world.accepted(m.account)) > before), {
          what: "what was under way to arrive",
          timeoutMs: 30_000,
        });
        const { duplicates } = await world.sandbox<{ duplicates: number }>("GET", `/stats?account=${m.account}`);
        expect(duplicates, `after the clock was set to ${seconds}`).toBe(0);
      }
      set(who, 0);
      await world.sandbox("DELETE", "/faults");
      // Who leaves politely settles what it holds. Of the others leases run out, and what was planned behind its time is due.
      await world.stopWorkers();
      await world.timePasses(m);
      await world.timePasses(k);
      await Promise.all([world.worker(under(clocks.workers)), world.worker(under(clocks.workers))]);
      await world.settle(m);
      await world.settle(k);
      await world.stopWorkers();
      await verdict(world, m);
      await verdict(world, k);
    });
  }

  /** Something was claimed, and its call has not arrived. */
  const underWay = (m: Mailing) =>
    until(
      async () => {
        await world.tick();
        const accepted = await world.accepted(m.account);
        const { sending = 0, sent = 0 } = await world.states(m);
        return sending > 0 && sending + sent > accepted;
      },
      { what: "a call under way", timeoutMs: 30_000 },
    ).catch(async (error: Error) => {
      throw new Error(`${error.message}; ${JSON.stringify(await world.states(m))}`);
    });
}
