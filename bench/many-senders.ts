import type { Sql } from "postgres";
import { uuid7 } from "../modules/kernel/database/ids.ts";

/** A running campaign that many senders share, with people who wait for each of them. Written as the seeds do it, past the triggers. */

export type Shared = {
  senders: number;
  /** People due for each sender. */
  peopleEach: number;
  /** Messages of each sender that are written and due. */
  queuedEach?: number;
  /** What each sender may send a day, … */
  cap: number;
  /** … and whether all but the first have used it up. */
  used?: boolean;
};

/** Returns the connection of all senders. */
export async function manySenders(
  admin: Sql,
  tenant: string,
  { senders, peopleEach, queuedEach = 0, cap, used = false }: Shared,
): Promise<string> {
  const [connection, campaign, step, version, node, first] = Array.from({ length: 6 }, uuid7);
  await admin.begin(async (tx) => {
    // What is written here keeps the references by construction.
    await tx`set local session_replication_role = replica`;
    await tx`insert into public.connections (tenant_id, id, provider, category, name, status, credentials) values (${tenant}, ${connection!}, 'smtp', 'email', 'x', 'active', 'v1.x')`;
    await tx`insert into public.campaigns (tenant_id, id, name, status, version_id) values (${tenant}, ${campaign!}, 'x', 'running', ${version!})`;
    await tx`insert into public.campaign_steps (tenant_id, id, campaign_id) values (${tenant}, ${step!}, ${campaign!})`;
    await tx`insert into public.sequence_versions (tenant_id, id, campaign_id, number, entry_node_id) values (${tenant}, ${version!}, ${campaign!}, 1, ${node!})`;
    await tx`insert into public.sequence_nodes (tenant_id, id, version_id, step_id, kind, action, position) values (${tenant}, ${node!}, ${version!}, ${step!}, 'email', 'email.send', 1)`;
    await tx`
      insert into public.senders (tenant_id, id, channel, connection_id, address)
      select ${tenant}, case when n = 1 then ${first!}::uuid else gen_random_uuid() end, 'email', ${connection!}, 's' || n || '@example.com'
      from generate_series(1, ${senders}::int) n`;
    await tx`
      with s as (select id from public.senders where tenant_id = ${tenant}), l as (
        insert into public.sender_limits (tenant_id, sender_id, action, per, cap) select ${tenant}, id, 'email.send', 'day', ${cap} from s
      ), u as (
        insert into public.sender_usage (tenant_id, sender_id, action, hour, day, day_reserved, week)
        select ${tenant}, id, 'email.send', date_trunc('hour', t.at), (t.at at time zone 'UTC')::date, ${cap}, date_trunc('week', t.at at time zone 'UTC')::date
        from s, (select kernel.now() as at) t where ${used} and id <> ${first!}
      ), c as (
        insert into public.campaign_senders (tenant_id, campaign_id, sender_id, position) select ${tenant}, ${campaign!}, id, row_number() over () from s
      ), e as (
        insert into public.enrollments (tenant_id, id, campaign_id, contact_id, version_id, node_id, action, sender_id, status, next_at)
        select ${tenant}, gen_random_uuid(), ${campaign!}, gen_random_uuid(), ${version!}, ${node!}, 'email.send', s.id, 'waiting', now() - interval '1 hour'
        from s, generate_series(1, ${peopleEach}::int) n
      ), r as (
        insert into public.enrollments (tenant_id, id, campaign_id, contact_id, version_id, node_id, action, sender_id, status, started_at)
        select ${tenant}, gen_random_uuid(), ${campaign!}, gen_random_uuid(), ${version!}, ${node!}, 'email.send', s.id, 'sending', now()
        from s, generate_series(1, ${queuedEach}::int) n returning id, contact_id, sender_id
      ), t as (
        insert into public.step_runs (tenant_id, id, enrollment_id, node_id, step_id, state)
        select ${tenant}, r.id, r.id, ${node!}, ${step!}, 'open' from r
      )
      insert into public.messages (tenant_id, direction, channel, action, contact_id, campaign_id, enrollment_id, step_id, step_run_id, sender_id,
        connection_id, status, due_at, from_address, to_address, subject, body_text, thread_id)
      select ${tenant}, 'out', 'email', 'email.send', r.contact_id, ${campaign!}, r.id, ${step!}, r.id, r.sender_id, ${connection!}, 'queued',
        now() - interval '1 minute', 's@example.com', r.id || '@example.com', 'Hello', 'Dear reader', gen_random_uuid() from r`;
  });
  await admin`vacuum (analyze) public.enrollments`;
  await admin`vacuum (analyze) public.messages`;
  return connection!;
}
