import { afterAll, beforeAll, expect, test } from "vitest";
import type postgres from "postgres";
import { openWorld, type World } from "../../bench/world.ts";
import { uuid7 } from "../../modules/kernel/database/ids.ts";

// The planner knows a team that came after the last analyze as one that owns nothing, and takes reading all of its rows for as
// cheap as a look by key. What sends must cost the same all the same: counted in rows read, not in time.

const BATCH = 200;
/** Rows that a batch may read per message. Some small tables are read whole, which costs hundreds; all of the team's would be thousands. */
const READS_PER_MESSAGE = 400;
/** Tables that grow with what is sent. */
const BIG = [
  "messages",
  "email_details",
  "enrollments",
  "step_runs",
  "contacts",
  "contact_addresses",
  "attempts",
  "interactions",
];
let world: World;

beforeAll(async () => {
  world = await openWorld();
});
afterAll(async () => await world.close());

/** A team with this many due messages of one running campaign. */
async function due(count: number) {
  const { admin } = world;
  const team = await world.team("Due");
  const [connection, sender, campaign, step, version, node] = [uuid7(), uuid7(), uuid7(), uuid7(), uuid7(), uuid7()];
  await admin`insert into public.connections (tenant_id, id, provider, category, name, status, credentials) values (${team.id}, ${connection}, 'smtp', 'email', 'x', 'active', 'v1.x')`;
  await admin`insert into public.senders (tenant_id, id, channel, connection_id, address) values (${team.id}, ${sender}, 'email', ${connection}, 'me@example.com')`;
  await admin`insert into public.campaigns (tenant_id, id, name, status) values (${team.id}, ${campaign}, 'x', 'running')`;
  await admin`insert into public.campaign_senders (tenant_id, campaign_id, sender_id, position, connection_id) values (${team.id}, ${campaign}, ${sender}, 1, ${connection})`;
  await admin`insert into public.campaign_steps (tenant_id, id, campaign_id) values (${team.id}, ${step}, ${campaign})`;
  await admin`insert into public.sequence_versions (tenant_id, id, campaign_id, number, entry_node_id) values (${team.id}, ${version}, ${campaign}, 1, ${node})`;
  await admin`insert into public.sequence_nodes (tenant_id, id, version_id, step_id, kind, action, position) values (${team.id}, ${node}, ${version}, ${step}, 'email', 'email.send', 1)`;
  await admin`update public.campaigns set version_id = ${version} where id = ${campaign}`;
  await admin`
    with people as (
      insert into public.contacts (tenant_id, email) select ${team.id}, 'p' || n || '@example.com' from generate_series(1, ${count}::int) n returning id, email
    ), enrolled as (
      insert into public.enrollments (tenant_id, campaign_id, contact_id, version_id, node_id, action, sender_id, status)
      select ${team.id}, ${campaign}, id, ${version}, ${node}, 'email.send', ${sender}, 'sending' from people returning id, contact_id
    ), runs as (
      insert into public.step_runs (tenant_id, enrollment_id, node_id, step_id, state) select ${team.id}, id, ${node}, ${step}, 'open' from enrolled returning id, enrollment_id
    ), written as (
      insert into public.messages (tenant_id, direction, channel, action, contact_id, campaign_id, enrollment_id, step_id, step_run_id, sender_id, connection_id,
        status, due_at, from_address, to_address, subject, thread_id)
      select ${team.id}, 'out', 'email', 'email.send', e.contact_id, ${campaign}, e.id, ${step}, r.id, ${sender}, ${connection}, 'queued', now(), 'me@example.com', p.email, 's', e.id
      from enrolled e join people p on p.id = e.contact_id join runs r on r.enrollment_id = e.id returning id
    )
    insert into public.email_details (tenant_id, message_id) select ${team.id}, id from written`;
  return { team, connection };
}

/** Rows of the big tables that `fn` reads, by the server's own count of its transaction. */
async function rowsRead(teamId: string, fn: (tx: postgres.TransactionSql) => Promise<void>): Promise<number> {
  return (await world.admin.begin(async (tx) => {
    await tx`select set_config('app.tenant_id', ${teamId}, true)`;
    await fn(tx);
    const [row] = await tx<[{ n: number }]>`
      select sum(seq_tup_read + idx_tup_fetch)::int as n from pg_stat_xact_user_tables
      where schemaname = 'public' and relname = any(${BIG})`;
    return row.n;
  })) as number;
}

test("claiming, settling and applying events read no more for a team that came after the last analyze", async () => {
  const { admin } = world;
  await due(100);
  for (const table of [...BIG, "message_events"]) {
    await admin.unsafe(`analyze public.${table}`);
    // The partitions keep their own; a parent has no such setting.
    if (table !== "message_events") await admin.unsafe(`alter table public.${table} set (autovacuum_enabled = false)`);
  }
  const { team, connection } = await due(8_000);
  const ids: string[] = [];
  const most = BATCH * READS_PER_MESSAGE;

  const claim = await rowsRead(team.id, async (tx) => {
    const rows = await tx<{ id: string }[]>`select id from private.claim_messages(${BATCH}, 120, ${connection})`;
    ids.push(...rows.map((r) => r.id));
  });
  expect(ids).toHaveLength(BATCH);
  expect(claim).toBeLessThan(most);

  const settle = await rowsRead(team.id, async (tx) => {
    const sent = ids.map((id) => ({ id, attempt: 1, outcome: "sent", provider_message_id: `p-${id}` }));
    const [row] = await tx<[{ n: number }]>`select private.settle_messages(${tx.json(sent)}) as n`;
    expect(row.n).toBe(BATCH);
  });
  expect(settle).toBeLessThan(most);

  const events = await rowsRead(team.id, async (tx) => {
    const opened = ids.map((id) => ({
      kind: "opened",
      event_key: `open:${id}`,
      provider_message_id: `p-${id}`,
      at: new Date(),
    }));
    const [row] = await tx<[{ unmatched: string[] }]>`
      select private.apply_events(${connection}, ${tx.json(opened as never)}) as unmatched`;
    expect(row.unmatched).toEqual([]);
  });
  expect(events).toBeLessThan(most);
});
