import { expect, test } from "vitest";
import { drainOnce } from "../../modules/kernel/queues/drain.ts";
import { until } from "../support/until.ts";
import { startWorld, verdict, type Mailing } from "./support.ts";

/** The database connection is lost in each step of a send. The sender runs in this process; nobody else does. */

const world = await startWorld({ gateway: false });
const { sql, kernel } = world;

const consumer = (queue: string) => kernel.registry.consumers.find((c) => c.queue === queue)!;
const send = () => drainOnce(kernel, consumer("messaging_send"));

/** Until the work is over, ends every connection of it that waits for a lock in this statement. Returns how many. */
async function cut(statement: string, work: Promise<unknown>): Promise<number> {
  let over = false;
  let ended = 0;
  const done = work.finally(() => (over = true));
  await until(
    async () => {
      const rows = await sql`
        select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'overture' and wait_event_type = 'Lock' and query ilike ${`%${statement}%`}`;
      ended += rows.length;
      return over;
    },
    { what: `the end of what waits in ${statement}` },
  );
  await done;
  return ended;
}

async function ready(size = 40): Promise<Mailing> {
  const m = await world.mailing("postmark", size);
  await world.planned(m);
  return m;
}

/** Lets time pass, then sends and reconciles in this process until nothing is open. */
async function finish(m: Mailing) {
  await until(
    async () => {
      await world.timePasses(m);
      await world.tick();
      await world.drain("messaging_send", "messaging_reconcile");
      return (await world.states(m)).sent === m.size;
    },
    { what: "every message to be sent", timeoutMs: 30_000 },
  );
  await verdict(world, m);
}

test("in the claim: nothing was taken, nothing called, no place of the day lost", { timeout: 60_000 }, async () => {
  const m = await ready();
  const [sender] = await sql<{ id: string }[]>`select id from public.senders where tenant_id = ${m.tenant.id}`;
  await sql`
    insert into public.sender_usage (tenant_id, sender_id, action, hour, day, week)
    select ${m.tenant.id}, ${sender!.id}, 'email.send', date_trunc('hour', t.at), (t.at at time zone 'UTC')::date,
      date_trunc('week', t.at at time zone 'UTC')::date from (select kernel.now() as at) t`;
  await sql.begin(async (tx) => {
    await tx`select 1 from public.sender_usage where sender_id = ${sender!.id} for update`;
    expect(await cut("claim_messages", send())).toBeGreaterThan(0);
  });
  expect(await world.states(m)).toEqual({ queued: m.size });
  expect(await world.accepted(m.account)).toBe(0);
  const [usage] =
    await sql`select hour_reserved, day_reserved, week_reserved, (select count(*)::int from public.attempts where tenant_id = ${m.tenant.id}) as attempts
    from public.sender_usage where sender_id = ${sender!.id}`;
  expect(usage).toEqual({ hour_reserved: 0, day_reserved: 0, week_reserved: 0, attempts: 0 });
  await finish(m);
});

test("between claim and answer: the answer is written over a new connection", { timeout: 60_000 }, async () => {
  const m = await ready();
  await world.sandbox("POST", "/faults", { kind: "slow", account: m.account, delay_ms: 1500 });
  const sending = send();
  await until(async () => (await world.accepted(m.account)) > 0, { what: "the call" });
  await sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'overture' and pid <> pg_backend_pid()`;
  await sending;
  expect(await world.states(m)).toEqual({ sent: m.size });
  await finish(m);
});

test(
  "in the settlement: the lease runs out, the provider is asked, nothing is sent again",
  { timeout: 60_000 },
  async () => {
    const m = await ready();
    // Claimed at the same moment, the messages may leave in two calls.
    await world.sandbox("POST", "/faults", { kind: "slow", account: m.account, delay_ms: 1500, times: 2 });
    const sending = send();
    await until(async () => (await world.accepted(m.account)) === m.size, { what: "the calls" });
    await sql.begin(async (tx) => {
      await tx`select 1 from public.messages where tenant_id = ${m.tenant.id} for update`;
      expect(await cut("settle_messages", sending)).toBeGreaterThan(0);
    });
    expect(await world.states(m)).toEqual({ sending: m.size });
    // While the lease stands nobody touches them.
    await world.tick();
    await world.drain("messaging_send", "messaging_reconcile");
    expect(await world.states(m)).toEqual({ sending: m.size });
    expect(await world.accepted(m.account)).toBe(m.size);
    await finish(m);
  },
);

test("in the settlement of a search's answer: it is asked again", { timeout: 60_000 }, async () => {
  const m = await ready(5);
  await world.sandbox("POST", "/faults", { kind: "server_error", account: m.account, accepted: true });
  await send();
  expect(await world.states(m)).toEqual({ unknown: m.size });
  // A search sooner than the provider's index could miss it, and would send it twice.
  await world.tick();
  await world.drain("messaging_reconcile");
  expect(await world.states(m)).toEqual({ unknown: m.size });
  // How long that is, the provider says: Postmark's two minutes are not over.
  await sql`
    update public.attempts set started_at = started_at - interval '100 seconds', slow_at = slow_at - interval '100 seconds'
    where tenant_id = ${m.tenant.id}`;
  await sql`select private.wake_reconciling()`;
  await world.drain("messaging_reconcile");
  expect(await world.states(m)).toEqual({ unknown: m.size });
  await world.timePasses(m);
  await sql`select private.wake_reconciling()`;
  await sql.begin(async (tx) => {
    await tx`select 1 from public.messages where tenant_id = ${m.tenant.id} for update`;
    expect(await cut("settle_messages", drainOnce(kernel, consumer("messaging_reconcile")))).toBeGreaterThan(0);
  });
  await finish(m);
});

test(
  "unknown messages only a person can settle do not hold back those a provider can tell about",
  { timeout: 60_000 },
  async () => {
    const m = await ready(3);
    await world.sandbox("POST", "/faults", { kind: "reset", account: m.account, accepted: true });
    // More than once: the first may meet a connection that was ended in the test before, and is tried again.
    await until(
      async () => (
        await world.timePasses(m),
        await world.drain("messaging_send"),
        (await world.states(m)).unknown === m.size
      ),
      { what: "the calls", timeoutMs: 30_000 },
    );
    // Sixty older ones on a connection that comes first and cannot even be opened.
    const tenant = m.tenant.id;
    await sql`
    with c as (insert into public.connections (tenant_id, id, provider, category, name, status, credentials, webhook_registered)
      values (${tenant}, '00000000-0000-7000-8000-000000000000', 'smtp', 'email', 'Mail', 'active', 'v1.unused', true) returning id)
    insert into public.messages (tenant_id, direction, channel, action, connection_id, status, attempts, from_address, to_address, thread_id, updated_at)
    select ${tenant}, 'out', 'email', 'email.send', c.id, 'unknown', 1, 'a@us.example', 'p' || n || '@example.com', gen_random_uuid(), kernel.now() - interval '1 hour'
    from c, generate_series(1, 60) n`;
    await sql`insert into public.attempts (tenant_id, message_id, number, outcome) select tenant_id, id, 1, 'unknown' from public.messages where tenant_id = ${tenant} and step_run_id is null`;
    await world.timePasses(m);
    await world.tick();
    await world.drain("messaging_reconcile");
    expect(await world.states(m)).toEqual({ unknown: 60, sent: 3 });
    expect(await world.accepted(m.account)).toBe(3);
  },
);
