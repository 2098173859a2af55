import { expect, test } from "vitest";
import { until } from "../support/until.ts";
import { startWorld, verdict } from "./support.ts";

/** The product's clock (rehearsals shift it) jumps while messages are under way. The machine's: os-clock.test.ts. */

const world = await startWorld({ gateway: false });
const { sql } = world;

const shift = (interval: string) => sql`update kernel.clock set shift = ${interval}::interval`;

test(
  "a clock that jumps days ahead and back, twice in mid-send: nothing is sent again, nothing is lost",
  { timeout: 90_000 },
  async () => {
    // Slow enough that there is always a call under way, and one to come.
    const m = await world.mailing("postmark", 2000, { perSecond: 1 });
    const k = await world.mailing("resend", 200, { perSecond: 15 });
    await world.drain("campaigns_enroll", "campaigns_plan");
    for (const { account } of [m, k]) {
      await world.sandbox("POST", "/faults", {
        kind: "server_error",
        account,
        accepted: true,
        times: account === m.account ? 1 : 10,
      });
      await world.sandbox("POST", "/faults", { kind: "slow", account, rate: 1, delay_ms: 1500 });
    }
    await Promise.all([world.worker(), world.worker()]);
    const attempts = async () => (await sql<{ n: number }[]>`select count(*)::int as n from public.attempts`)[0]!.n;
    for (const to of ["3 days", "-5 days"]) {
      await until(async () => (await attempts()) > 0, { what: "calls under way" });
      await shift(to);
      const before = await attempts();
      await until(async () => (await world.tick(), (await attempts()) > before), {
        what: "calls made under the shifted clock",
      });
      await world.tick();
      // Leases are of the wall clock: nobody at work is taken for dead.
      const [lost] = await sql<
        { n: number }[]
      >`select count(*)::int as n from public.messages where error_code = 'worker_lost'`;
      expect(lost!.n).toBe(0);
      // And what is unknown is as old as the wall clock says, no older and no younger.
      const [age] = await sql<{ ok: boolean }[]>`
        select bool_and(abs(extract(epoch from clock_timestamp() - started_at)) < 600) as ok from public.attempts`;
      expect(age!.ok).toBe(true);
    }
    await shift("0");
    await world.sandbox("DELETE", "/faults");
    // What was put off under the clock of three days ahead is due when that day comes; the test does not wait for it. Calls that began under
    // that clock may still end.
    await world.stopWorkers();
    await sql`update public.messages set due_at = kernel.now() where status = 'queued' and due_at > kernel.now() + interval '1 day'`;
    await Promise.all([world.worker(), world.worker()]);
    await world.settle(m);
    await world.settle(k);
    await world.stopWorkers();
    await verdict(world, m);
    await verdict(world, k);
  },
);

test("a clock that was set back blocks no limit: what was used in the future counts as used now", async () => {
  const bucket = `test:${crypto.randomUUID()}`;
  const take = async (n: number) => (await sql`select * from kernel.take_tokens(${bucket}, 10, 1, ${n})`)[0]!;
  expect(await take(4)).toMatchObject({ taken: true });
  await sql`update kernel.buckets set at = at + interval '1 hour' where key = ${bucket}`;
  const refused = await take(8);
  expect(refused.taken).toBe(false);
  expect(refused.retry_after).toBeLessThanOrEqual(2);
  // It fills from now on, and not only when the clock is where it was.
  await sql`update kernel.buckets set at = at - interval '3 seconds' where key = ${bucket}`;
  expect(await take(8)).toMatchObject({ taken: true, retry_after: 0 });
  // A provider's wait is told apart from that, and counts in full; after it the bucket fills from nothing.
  await sql`select kernel.block_bucket(${bucket}, 600)`;
  expect((await take(1)).retry_after).toBeGreaterThan(590);
  await sql`update kernel.buckets set at = at - interval '1 hour', blocked_until = clock_timestamp() where key = ${bucket}`;
  expect((await take(5)).taken).toBe(false);
});
