import type { Sql } from "postgres";
import { uuid7 } from "../modules/kernel/database/ids.ts";

/**
 * Fills a team with people, messages and events by one set-based statement per table, as the superuser with triggers off and
 * secondary indexes built afterwards: the speed of COPY. Never on a database that works for somebody at the same time.
 */

export type Sizes = {
  contacts: number;
  messages?: number;
  events?: number;
  /** Of further messages that are due and wait in a running campaign. */
  queued?: number;
  /** The messages go back so far; without it, half a second lies between one and the next. */
  months?: number;
};
export type Seeded = Record<"companies" | "contacts" | "messages" | "events" | "queued" | "seconds", number>;

const STATUSES =
  "array['new','new','new','new','contacted','contacted','replied','interested','not_interested','customer']";
const COUNTRIES = "array['DE','FR','US','GB','IT','ES','NL','PL','SE','AT']";

export async function seedTenant(
  admin: Sql,
  tenantId: string,
  sizes: Sizes,
  say: (line: string) => void = () => {},
): Promise<Seeded> {
  const started = performance.now();
  const { contacts, messages = 0, events = 0, queued = 0, months = 0 } = sizes;
  for (const [name, n] of Object.entries({ contacts, messages, events, queued, months })) {
    if (!Number.isInteger(n) || n < 0) throw new Error(`--${name} takes a whole number, got ${n}.`);
  }
  if (months > 24) throw new Error("--months takes at most 24: older events are dropped.");
  if (queued > contacts) throw new Error("--queued needs as many --contacts: nobody is written to twice at once.");
  if (queued > 0 && messages === 0) throw new Error("--queued needs --messages.");
  if (messages > 0 && contacts === 0) throw new Error("--messages needs --contacts: every message goes to somebody.");
  if (events > 0 && messages === 0) throw new Error("--events needs --messages: every event is of a message.");
  const companies = Math.max(1, Math.round(contacts / 20));
  /** Seconds between one message and the next. */
  const gap = months > 0 && messages > 0 ? (months * 30 * 86_400) / messages : 0.5;
  const [senderId, connectionId, campaignId, waitingId] = [uuid7(), uuid7(), uuid7(), uuid7()];
  /** A campaign of one e-mail: its version, node and step. */
  const [past, waiting] = [sequenceIds(), sequenceIds()];
  const reserved = await admin.reserve();
  try {
    // Foreign keys and triggers off for this session only; what is written here keeps them by construction.
    await reserved`set session_replication_role = replica`;
    await reserved`set synchronous_commit = off`;
    await reserved`set maintenance_work_mem = '512MB'`;
    // kernel.uuid7() reads the clock row by row; a made-up one in the same shape is twenty times faster.
    await reserved.unsafe(`create or replace function pg_temp.id7(n bigint) returns uuid language sql immutable as
      $$ select (lpad(to_hex(1790000000000 + n), 12, '0') || '7' || substr(md5(n::text || '${tenantId}'), 1, 3) || '8' || substr(md5(n::text || '${tenantId}'), 4, 15))::uuid $$`);

    // All statements for a table at once: its indexes are built once.
    const fill = async (table: string, n: number, ...statements: string[]) => {
      if (n === 0) return;
      say(`${n} ${table}`);
      const restore = n >= 50_000 ? await dropIndexes(reserved, table) : [];
      for (const statement of statements) await reserved.unsafe(statement);
      for (const definition of restore) await reserved.unsafe(definition);
      await reserved.unsafe(`analyze public.${table}`);
    };

    await fill(
      "companies",
      companies,
      `
      insert into public.companies (tenant_id, id, name, domain, country)
      select '${tenantId}', pg_temp.id7(n), initcap(substr(md5(n::text), 1, 8)) || ' ' || n, 'c' || n || '.example.com', (${COUNTRIES})[1 + n % 10]
      from generate_series(1, ${companies}) n`,
    );
    await fill(
      "contacts",
      contacts,
      `
      insert into public.contacts (tenant_id, id, email, first_name, last_name, title, country, status, company_id, tags, custom, created_at)
      select '${tenantId}', pg_temp.id7(n), 'p' || n || '@c' || (n % ${companies}) || '.example.com', initcap(substr(md5('f' || n % 5000), 1, 6)), initcap(substr(md5('l' || n), 1, 9)),
        -- The oldest fiftieth share a word and a tag.
        case when n <= ${contacts} / 50 then 'Pioneer' else (array['CEO','CTO','Head of Sales','Buyer','Engineer','Founder'])[1 + n % 6] end, (${COUNTRIES})[1 + n % 10], (${STATUSES})[1 + n % 10],
        pg_temp.id7(1 + n % ${companies}), array['t' || n % 50] || case when n % 1000 = 0 then array['vip'] else '{}' end || case when n <= ${contacts} / 50 then array['early'] else '{}' end,
        jsonb_build_object('plan', 'p' || n % 200), now() - make_interval(secs => ${contacts} - n)
      from generate_series(1, ${contacts}) n`,
    );
    // As the trigger of contacts keeps them.
    await fill(
      "contact_addresses",
      contacts,
      `
      insert into public.contact_addresses (tenant_id, id, contact_id, channel, address)
      select '${tenantId}', pg_temp.id7(n), pg_temp.id7(n), 'email', 'p' || n || '@c' || (n % ${companies}) || '.example.com' from generate_series(1, ${contacts}) n`,
    );
    await reserved`
      insert into public.custom_fields (tenant_id, key, label, type) values (${tenantId}, 'plan', 'Plan', 'text') on conflict do nothing`;

    if (messages > 0) {
      await reserved.unsafe(`
        insert into public.connections (tenant_id, id, provider, category, name, status, credentials) values ('${tenantId}', '${connectionId}', 'smtp', 'email', 'Seeded', 'active', 'v1.unused');
        insert into public.senders (tenant_id, id, channel, connection_id, address) values ('${tenantId}', '${senderId}', 'email', '${connectionId}', 'sam@seeded.example');
        ${campaignOf(tenantId, campaignId, "Seeded", "done", senderId, connectionId, past)}`);
      if (queued > 0)
        await reserved.unsafe(
          campaignOf(tenantId, waitingId, "Seeded, waiting", "running", senderId, connectionId, waiting),
        );
      const enrolled = Math.min(contacts, messages);
      // Ids of what waits come after those of the messages that went.
      const id = `pg_temp.id7(${messages} + n)`;
      await fill(
        "enrollments",
        enrolled + queued,
        `
        insert into public.enrollments (tenant_id, id, campaign_id, contact_id, version_id, node_id, action, sender_id, status, vars, finished_at)
        select '${tenantId}', pg_temp.id7(n), '${campaignId}', pg_temp.id7(n), '${past.version}', '${past.node}', 'email.send', '${senderId}', 'finished',
          '{"senders":{"email":"${senderId}"}}', now() from generate_series(1, ${enrolled}) n`,
        `
        insert into public.enrollments (tenant_id, id, campaign_id, contact_id, version_id, node_id, action, sender_id, status, vars)
        select '${tenantId}', ${id}, '${waitingId}', pg_temp.id7(n), '${waiting.version}', '${waiting.node}', 'email.send', '${senderId}', 'sending',
          '{"senders":{"email":"${senderId}"}}' from generate_series(1, ${queued}) n`,
      );
      await fill(
        "step_runs",
        enrolled + queued,
        `
        insert into public.step_runs (tenant_id, id, enrollment_id, node_id, step_id, state, outcome, finished_at)
        select '${tenantId}', pg_temp.id7(n), pg_temp.id7(n), '${past.node}', '${past.step}', 'done', 'sent', now() from generate_series(1, ${enrolled}) n`,
        `
        insert into public.step_runs (tenant_id, id, enrollment_id, node_id, step_id, state)
        select '${tenantId}', ${id}, ${id}, '${waiting.node}', '${waiting.step}', 'open' from generate_series(1, ${queued}) n`,
      );
      await fill(
        "messages",
        messages + queued,
        `
        insert into public.messages (tenant_id, id, direction, channel, action, contact_id, campaign_id, enrollment_id, step_id, step_run_id, sender_id, connection_id,
          status, attempts, from_address, to_address, subject, body_text, thread_id, provider_message_id, sent_at, delivered_at, opened_at, created_at, updated_at)
        select '${tenantId}', pg_temp.id7(n), case when n % 50 = 0 then 'in' else 'out' end, 'email', 'email.send', pg_temp.id7(1 + n % ${contacts}), '${campaignId}',
          case when n <= ${contacts} then pg_temp.id7(n) end, '${past.step}', case when n <= ${contacts} then pg_temp.id7(n) end, '${senderId}', '${connectionId}',
          case when n % 50 = 0 then 'received' else 'sent' end, 1,
          'sam@seeded.example', 'p' || (1 + n % ${contacts}) || '@c' || (1 + n % ${contacts}) % ${companies} || '.example.com', 'Hello', 'Dear reader, this is message ' || n,
          pg_temp.id7(1 + n % ${contacts}), 'seed-' || n, case when n % 50 <> 0 then t.at end, t.at, case when n % 3 = 0 then t.at end, t.at, t.at
        from generate_series(1, ${messages}) n cross join lateral (select now() - make_interval(secs => (${messages} - n) * ${gap}) as at) t`,
        `
        insert into public.messages (tenant_id, id, direction, channel, action, contact_id, campaign_id, enrollment_id, step_id, step_run_id, sender_id, connection_id,
          status, due_at, from_address, to_address, subject, body_text, thread_id)
        select '${tenantId}', ${id}, 'out', 'email', 'email.send', pg_temp.id7(n), '${waitingId}', ${id}, '${waiting.step}', ${id}, '${senderId}', '${connectionId}', 'queued', now(),
          'sam@seeded.example', 'p' || n || '@c' || n % ${companies} || '.example.com', 'Hello', 'Dear reader', ${id}
        from generate_series(1, ${queued}) n`,
      );
      await fill(
        "email_details",
        messages + queued,
        `
        insert into public.email_details (tenant_id, message_id, rfc_message_id)
        select '${tenantId}', pg_temp.id7(n), '<' || n || '@seeded.example>' from generate_series(1, ${messages}) n`,
        `
        insert into public.email_details (tenant_id, message_id, rfc_message_id)
        select '${tenantId}', ${id}, '<q' || n || '@seeded.example>' from generate_series(1, ${queued}) n`,
      );
      // A conversation for everybody who answered.
      await fill(
        "threads",
        Math.floor(messages / 50),
        `
        insert into public.threads (tenant_id, id, channel, contact_id, campaign_id, sender_id, external_key, subject, last_message_at)
        select m.tenant_id, m.thread_id, 'email', (array_agg(m.contact_id))[1], '${campaignId}', '${senderId}', min(m.to_address), 'Hello', max(m.created_at)
        from public.messages m where m.tenant_id = '${tenantId}' and m.direction = 'in' group by 1, 2`,
      );
    }
    if (events > 0) {
      // The months of the events, so that they land in partitions of their own and not in the default one.
      const monthsBack = Math.min(24, Math.ceil((messages * gap) / 86_400 / 28) + 1);
      await reserved.unsafe(`
        insert into private.message_events_default (tenant_id, id, message_id, kind, event_key, at, month)
        select '${tenantId}', gen_random_uuid(), pg_temp.id7(1), 'sent', 'seed-month-' || m, t.at, date_trunc('month', t.at at time zone 'UTC')::date
        from generate_series(1, ${monthsBack}) m cross join lateral (select now() - make_interval(months => m) as at) t
        where to_regclass('private.message_events_' || to_char(t.at at time zone 'UTC', 'YYYY_MM')) is null;
        set role postgres;
        select private.ensure_partitions();
        reset role;
        delete from public.message_events where tenant_id = '${tenantId}' and event_key like 'seed-month-%'`);
      await fill(
        "message_events",
        events,
        `
        insert into public.message_events (tenant_id, id, message_id, kind, event_key, at, month)
        select '${tenantId}', pg_temp.id7(n), pg_temp.id7(1 + n % ${messages}), (array['sent','delivered','opened','clicked'])[1 + (n / ${messages})::int % 4],
          -- Padded: in the order of its index.
          'seed:' || lpad(n::text, 9, '0'), t.at, date_trunc('month', t.at at time zone 'UTC')::date
        from generate_series(1, ${events}) n cross join lateral (select now() - make_interval(secs => (${messages} - 1 - n % ${messages}) * ${gap}) as at) t`,
      );
      await reserved.unsafe("analyze public.message_events");
    }
    await reserved`set session_replication_role = origin`;
    say("counts");
    await reserved`select private.recount_contacts(${tenantId}), private.recount_enrollments(${tenantId}), private.recount_messages(${tenantId}), kernel.fold_counters()`;
  } finally {
    await reserved.unsafe("reset all").catch(() => {});
    reserved.release();
  }
  // Hint bits and the visibility map, as any table that has stood for a while has them.
  for (const table of [
    ...[
      "companies",
      "contacts",
      "contact_addresses",
      "enrollments",
      "step_runs",
      "messages",
      "email_details",
      "threads",
    ],
    "message_events",
  ])
    await admin.unsafe(`vacuum (analyze) public.${table}`);
  return {
    companies,
    contacts,
    messages,
    events,
    queued,
    seconds: Math.round((performance.now() - started) / 100) / 10,
  };
}

type SequenceIds = { version: string; node: string; step: string };
const sequenceIds = (): SequenceIds => ({ version: uuid7(), node: uuid7(), step: uuid7() });

/** Statements for a campaign that sends one e-mail. */
const campaignOf = (
  tenant: string,
  id: string,
  name: string,
  status: string,
  sender: string,
  connection: string,
  { version, node, step }: SequenceIds,
) => `
  insert into public.campaigns (tenant_id, id, name, status, version_id, started_at) values ('${tenant}', '${id}', '${name}', '${status}', '${version}', now());
  insert into public.campaign_senders (tenant_id, campaign_id, sender_id, position, connection_id) values ('${tenant}', '${id}', '${sender}', 1, '${connection}');
  insert into public.campaign_steps (tenant_id, id, campaign_id) values ('${tenant}', '${step}', '${id}');
  insert into public.sequence_versions (tenant_id, id, campaign_id, number, entry_node_id) values ('${tenant}', '${version}', '${id}', 1, '${node}');
  insert into public.sequence_nodes (tenant_id, id, version_id, step_id, kind, action, config, position)
    values ('${tenant}', '${node}', '${version}', '${step}', 'email', 'email.send', '{"subject":"Hello","body":"Dear"}', 1);`;

/** What the database takes on the disk, in bytes. */
export async function databaseBytes(admin: Sql): Promise<number> {
  const [row] = await admin<{ n: string }[]>`select pg_database_size(current_database())::text as n`;
  return Number(row!.n);
}

/** Drops what is no constraint; returns the statements that make it again. */
async function dropIndexes(sql: Pick<Sql, "unsafe">, table: string): Promise<string[]> {
  const rows = await sql.unsafe<{ name: string; definition: string }[]>(`
    select i.indexrelid::regclass::text as name, replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ') as definition from pg_index i
    where i.indrelid = 'public.${table}'::regclass and not exists (select from pg_constraint c where c.conindid = i.indexrelid)`);
  for (const row of rows) await sql.unsafe(`drop index ${row.name}`);
  return rows.map((row) => row.definition);
}
