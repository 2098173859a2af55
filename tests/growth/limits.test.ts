import { afterAll, beforeAll, expect, test } from "vitest";
import { openWorld, type World } from "../../bench/world.ts";
import { uuid7 } from "../../modules/kernel/database/ids.ts";
import { takeDue } from "../../modules/campaigns/plan/take.ts";

// Many senders share a campaign, and nearly everybody waits for a limit that is used up. Who waits for a limit costs the planner nothing,
// however many they are: counted in rows read, not in time.

const SENDERS = 200;
const ROOM = 20;
let world: World;

beforeAll(async () => {
  world = await openWorld();
}, 120_000);
afterAll(async () => await world?.close());

/** A running campaign of 200 senders, of which one has room, with so many people due for each. */
async function waiting(peopleEach: number) {
  const { admin } = world;
  const team = await world.team(`Waits ${peopleEach}`);
  const [connection, campaign, step, version, node, free] = [uuid7(), uuid7(), uuid7(), uuid7(), uuid7(), uuid7()];
  await admin.begin(async (tx) => {
    // As the seeds do it: what is written here keeps the references by construction.
    await tx`set local session_replication_role = replica`;
    await tx`insert into public.connections (tenant_id, id, provider, category, name, status, credentials) values (${team.id}, ${connection}, 'smtp', 'email', 'x', 'active', 'v1.x')`;
    await tx`insert into public.campaigns (tenant_id, id, name, status, version_id) values (${team.id}, ${campaign}, 'x', 'running', ${version})`;
    await tx`insert into public.campaign_steps (tenant_id, id, campaign_id) values (${team.id}, ${step}, ${campaign})`;
    await tx`insert into public.sequence_versions (tenant_id, id, campaign_id, number, entry_node_id) values (${team.id}, ${version}, ${campaign}, 1, ${node})`;
    await tx`insert into public.sequence_nodes (tenant_id, id, version_id, step_id, kind, action, position) values (${team.id}, ${node}, ${version}, ${step}, 'email', 'email.send', 1)`;
    await tx`
      with s as (
        insert into public.senders (tenant_id, id, channel, connection_id, address)
        select ${team.id}, case when n = 1 then ${free}::uuid else gen_random_uuid() end, 'email', ${connection}, 's' || n || '@example.com'
        from generate_series(1, ${SENDERS}::int) n returning id
      ), l as (
        insert into public.sender_limits (tenant_id, sender_id, action, per, cap) select ${team.id}, id, 'email.send', 'day', ${ROOM} from s
      ), u as (
        insert into public.sender_usage (tenant_id, sender_id, action, hour, day, day_reserved, week)
        select ${team.id}, id, 'email.send', date_trunc('hour', t.at), (t.at at time zone 'UTC')::date, ${ROOM}, date_trunc('week', t.at at time zone 'UTC')::date
        from s, (select kernel.now() as at) t where id <> ${free}
      ), c as (
        insert into public.campaign_senders (tenant_id, campaign_id, sender_id, position) select ${team.id}, ${campaign}, id, row_number() over () from s
      )
      insert into public.enrollments (tenant_id, id, campaign_id, contact_id, version_id, node_id, action, sender_id, status, next_at)
      select ${team.id}, gen_random_uuid(), ${campaign}, gen_random_uuid(), ${version}, ${node}, 'email.send', s.id, 'waiting', now() - interval '1 hour'
      from s, generate_series(1, ${peopleEach}::int) n`;
  });
  await admin`analyze public.enrollments`;
  return team.id;
}

/** Rows that one look of the planner reads, and whom it takes. */
async function look(tenantId: string): Promise<{ taken: number; rows: number }> {
  return await world.kernel.run({ actor: { kind: "job", name: "growth" }, tenantId }, async (ctx) => {
    const { due } = await takeDue(ctx);
    const [row] = await ctx.db<[{ n: number }]>`
      select sum(seq_tup_read + idx_tup_fetch)::int as n from pg_stat_xact_user_tables where schemaname = 'public' and relname = 'enrollments'`;
    return { taken: due.length, rows: row.n };
  });
}

test(
  "people who wait for a used limit cost the planner nothing, however many they are",
  { timeout: 300_000 },
  async () => {
    const [few, many] = [await waiting(25), await waiting(1_000)];
    const [small, large] = [await look(few), await look(many)];
    expect([small.taken, large.taken], "the one sender with room").toEqual([ROOM, ROOM]);
    expect(large.rows).toBeLessThan(small.rows + 100);
    expect(large.rows).toBeLessThan(ROOM * 20);
  },
);
