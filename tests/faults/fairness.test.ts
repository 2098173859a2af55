import { expect, test } from "vitest";
import postgres from "postgres";
import { until } from "../support/until.ts";
import { startWorld } from "./support.ts";

/** A team with a backlog no worker gets through, and one with ten messages. */

const world = await startWorld({ gateway: false });
const { sql } = world;
const BACKLOG = 1_000_000;

test(
  "fairness: while one team has 1,000,000 messages due, another's ten are sent within 30 seconds",
  { timeout: 180_000 },
  async () => {
    // Two calls of 500 a second: the backlog lasts a quarter of an hour.
    const [big, small] = [await world.mailing("postmark", 1, { perSecond: 2 }), await world.mailing("postmark", 10)];
    await world.drain("campaigns_enroll", "campaigns_plan");
    // Straight into the ledger, without the checks of each row: what matters is who is served, not how the rows came about.
    const admin = postgres(world.stack.adminDbUrl, { max: 1, onnotice: () => {} });
    await admin.begin(async (tx) => {
      await tx`set local session_replication_role = replica`;
      await tx`
        insert into public.messages (tenant_id, id, direction, channel, action, sender_id, connection_id, status, due_at, from_address, to_address,
          subject, body_text, thread_id, created_at, updated_at)
        select m.tenant_id, ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'out', m.channel, m.action, m.sender_id, m.connection_id,
          'queued', now() - interval '1 hour' + n * interval '1 ms', m.from_address, 'silent+' || n || '@example.com', 'Hello', 'Hello there',
          m.thread_id, now(), now()
        from public.messages m, generate_series(1, ${BACKLOG}::int) n where m.tenant_id = ${big.tenant.id}`;
      await tx`
        insert into public.email_details (tenant_id, message_id, rfc_message_id)
        select m.tenant_id, m.id, '<' || m.id || '@us.test>' from public.messages m where m.tenant_id = ${big.tenant.id}
        on conflict do nothing`;
    });
    await admin`analyze public.messages, public.email_details`;
    await admin.end();
    await sql`update public.messages set due_at = kernel.now() + interval '1 hour' where tenant_id = ${small.tenant.id}`;
    // More wake messages of the big one than the worker has hands.
    await sql`select kernel.enqueue('messaging_send', array_fill(jsonb_build_object('tenant_id', ${big.tenant.id}::uuid), array[24]))`;
    await world.worker();
    await until(async () => (await world.accepted(big.account)) > 2000, {
      what: "the big team's backlog to be under way",
      timeoutMs: 60_000,
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
    const [left] = await sql<{ due: boolean }[]>`
      select exists (select from public.messages where tenant_id = ${big.tenant.id} and status = 'queued' offset 900000) as due`;
    expect(left!.due, "the big team still has work").toBe(true);
    expect(seconds).toBeLessThan(30);
    expect(await world.sandbox("GET", `/stats?account=${small.account}`)).toMatchObject({
      accepted: 10,
      duplicates: 0,
    });
    expect(await world.sandbox("GET", `/stats?account=${big.account}`)).toMatchObject({ duplicates: 0 });
    await world.killWorkers();
  },
);
