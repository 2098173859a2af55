import { expect, test } from "vitest";
import { until } from "../support/until.ts";
import { startWorld, verdict } from "./support.ts";

/** What needs a clock or a backlog of its own. */

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

test(
  "fairness: while one team has 60,000 messages due, another's ten are sent within 30 seconds",
  { timeout: 150_000 },
  async () => {
    // Two calls of 500 a second: the backlog lasts a minute.
    const [big, small] = [await world.mailing("postmark", 1, { perSecond: 2 }), await world.mailing("postmark", 10)];
    await world.drain("campaigns_enroll", "campaigns_plan");
    const BACKLOG = 60_000;
    // Straight into the ledger: what matters is who is served, not how the rows came about.
    await sql`alter table public.messages disable trigger user`;
    await sql`
    insert into public.messages (tenant_id, direction, sender_id, connection_id, status, due_at, from_email, to_email, subject, body_text, thread_id, rfc_message_id)
    select m.tenant_id, 'out', m.sender_id, m.connection_id, 'queued', kernel.now() - interval '1 hour', m.from_email, 'silent+' || n || '@example.com', 'Hello',
      'Hello there', m.thread_id, '<' || n || '@us.example>'
    from public.messages m, generate_series(1, ${BACKLOG}) n where m.tenant_id = ${big.tenant.id}`;
    await sql`alter table public.messages enable trigger user`;
    await sql`analyze public.messages`;
    await sql`update public.messages set due_at = kernel.now() + interval '1 hour' where tenant_id = ${small.tenant.id}`;
    // More wake messages of the big one than the worker has hands.
    await sql`select kernel.enqueue('messaging_send', array_fill(jsonb_build_object('tenant_id', ${big.tenant.id}::uuid), array[12]))`;
    await world.worker();
    await until(async () => (await world.accepted(big.account)) > 2000, {
      what: "the big team's backlog to be under way",
      timeoutMs: 30_000,
    });

    await sql`update public.messages set due_at = kernel.now() where tenant_id = ${small.tenant.id}`;
    const began = performance.now();
    await world.tick();
    await until(async () => (await world.states(small)).sent === 10, {
      what: "the small team's messages",
      timeoutMs: 60_000,
      everyMs: 100,
    });
    const seconds = (performance.now() - began) / 1000;
    expect((await world.states(big)).queued, "the big team still has work").toBeGreaterThan(1000);
    expect(seconds).toBeLessThan(30);
    await world.killWorkers();
  },
);
