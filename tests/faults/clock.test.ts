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
    await world.settle(m);
    await world.settle(k);
    await world.stopWorkers();
    await verdict(world, m);
    await verdict(world, k);
  },
);
