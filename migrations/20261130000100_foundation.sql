-- foundation: schemas, extensions, roles, and the kernel's functions.
-- owner: modules/kernel   breaking: no   locks: none (new objects only)

create schema kernel;
create schema private;
create schema analytics;
comment on schema kernel is 'Internals shared by all modules: tenancy wall, queues, schedules, limits. Not exposed by the REST API.';
comment on schema private is 'SQL functions of the modules: one-statement claims and set-based writes. Not exposed by the REST API.';
comment on schema analytics is 'Read-only views for analysts.';

create extension if not exists pgmq;
-- For searching contacts: words inside a text, and the tenant in the same index.
create extension if not exists pg_trgm with schema extensions;
create extension if not exists btree_gin with schema extensions;

-- New functions are private until granted. (Postgres knows this default only per role, not per schema.)
alter default privileges revoke execute on functions from public;

-- Roles -------------------------------------------------------------------------------------------------------------------
-- overture_worker: jobs, API keys, webhooks. Sees the tenant named by app.tenant_id, nothing without it.
-- overture_user: the API on behalf of a signed-in person. Tenant and membership role are both checked.
-- overture_analyst: read-only SQL over one tenant, through the schema analytics.
-- overture_analytics: owns the functions that the analysts' views call, so that policies apply inside them. Nobody logs in as it.
-- None bypasses row-level security. The first two log in only where the installation gives them a password; analysts are
-- login roles that are members of the third. Roles belong to the whole server, so they may be there already.
do $$
begin
  if not exists (select from pg_roles where rolname = 'overture_user') then create role overture_user nologin; end if;
  if not exists (select from pg_roles where rolname = 'overture_worker') then create role overture_worker nologin; end if;
  if not exists (select from pg_roles where rolname = 'overture_analyst') then create role overture_analyst nologin; end if;
  if not exists (select from pg_roles where rolname = 'overture_analytics') then create role overture_analytics nologin; end if;
end $$;
-- With set but without inherit a session must choose its role: a forgotten choice fails instead of adding up privileges.
alter role overture_worker noinherit;
grant overture_user to overture_worker;
grant overture_user, overture_worker, overture_analytics to postgres;

grant usage on schema kernel, private to overture_user, overture_worker;
grant usage on schema kernel to authenticated; -- policies call kernel.my_tenants()
grant usage on schema public to overture_user, overture_worker;
grant usage on schema analytics to overture_analyst;
grant usage on schema public to overture_analytics;

-- What every table needs: the clock, ids, the tenant wall, queues. They come before the tables, because column defaults,
-- kernel.protect() and kernel.create_queue() call them. Everything else comes after the tables, in the last file of this set.
-- generated from modules/*/sql: kernel functions
set check_function_bodies = off;

-- object function kernel.audit_settle(uuid,text,text,jsonb) sha256:16309a123cc691f5
-- Adds to a started act of the current tenant: more detail, and its outcome unless new_state is still 'started'.
create or replace function kernel.audit_settle(act uuid, new_state text, new_error_code text, more jsonb) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  update public.audit_log a
  set state = new_state, error_code = new_error_code, detail = a.detail || more,
      finished_at = case when new_state <> 'started' then kernel.now() end
  where a.tenant_id = (select kernel.tenant()) and a.id = act and a.state = 'started';
  if not found then
    raise exception 'audit row % is not a started act of this tenant', act;
  end if;
end $$;
grant execute on function kernel.audit_settle(uuid, text, text, jsonb) to overture_user, overture_worker;

-- object function kernel.now() sha256:6199b3c1d32d3a50
-- The one clock of the product. Transaction time like now(), so that everything written together carries one instant. In plpgsql, whose
-- plan is kept: a function in SQL that reads a table is planned in each query.
create or replace function kernel.now() returns timestamptz
language plpgsql stable security definer set search_path = '' as $$
begin
  return pg_catalog.now() + (select c.shift from kernel.clock c);
end $$;
grant execute on function kernel.now() to authenticated, overture_user, overture_worker;

-- object function kernel.clock_step() sha256:84137b900768fb06
-- The most that slow goes ahead between two ticks: a little more than the ten seconds between them.
create or replace function kernel.clock_step() returns interval
language sql immutable parallel safe set search_path = '' as $$ select interval '15 seconds' $$;

-- object function kernel.slow_clock() sha256:f0d55275f1a32a4b
-- Never ran faster than real time, whatever the wall clock did: for leases and patience.
create or replace function kernel.slow_clock() returns timestamptz
language sql stable security definer set search_path = '' as $$
  select c.slow + least(greatest(pg_catalog.clock_timestamp() - c.wall, interval '0'), kernel.clock_step()) from kernel.clocks c
$$;
grant execute on function kernel.slow_clock() to overture_user, overture_worker;

-- object function kernel.fast_clock() sha256:d7e4de63f5b58d69
-- Never ran slower than real time: for how long a provider remembers.
create or replace function kernel.fast_clock() returns timestamptz
language sql stable security definer set search_path = '' as $$
  select c.fast + greatest(pg_catalog.clock_timestamp() - c.wall, interval '0') from kernel.clocks c
$$;
grant execute on function kernel.fast_clock() to overture_user, overture_worker;

-- object function kernel.tick() sha256:10d83872a0455d78
-- Moves both clocks on by what the wall clock tells of the time since the last tick. Run by a schedule, every ten seconds.
create or replace function kernel.tick() returns void
language plpgsql volatile set search_path = '' as $$
declare
  c kernel.clocks;
  ts timestamptz;
begin
  select * into c from kernel.clocks for update;
  ts := pg_catalog.clock_timestamp();
  update kernel.clocks set wall = ts,
    slow = c.slow + least(greatest(ts - c.wall, interval '0'), kernel.clock_step()),
    fast = c.fast + greatest(ts - c.wall, interval '0');
end $$;

-- object function kernel.tenant() sha256:0939d5c9291a5a5d
-- The tenant this transaction works for, or null. Set only with set_config(..., true): a pooled connection cannot leak it.
create or replace function kernel.tenant() returns uuid
language sql stable parallel safe
return nullif(pg_catalog.current_setting('app.tenant_id', true), '')::uuid;
grant execute on function kernel.tenant() to authenticated, overture_user, overture_worker;

-- object function kernel.fold_counters() sha256:15efc8a893a48b31
-- Moves deltas into the counters, all in one statement. Run by a schedule. What another transaction holds, and what belongs to a
-- tenant that somebody is deleting, is for the next run: the reference from counters to tenants would wait for both.
create or replace function kernel.fold_counters() returns bigint
language sql volatile security definer set search_path = '' as $$
  with alive as materialized (
    select t.id from public.tenants t where t.id in (select d.tenant_id from public.counter_deltas d) for key share skip locked
  ), gone as (
    delete from public.counter_deltas d
    where d.ctid = any(array(select x.ctid from public.counter_deltas x where x.tenant_id in (select a.id from alive a)
      for update skip locked))
    returning d.tenant_id, d.metric, d.scope, d.scope_id, d.bucket, d.n
  ), folded as (
    insert into public.counters as c (tenant_id, metric, scope, scope_id, bucket, n)
    select g.tenant_id, g.metric, g.scope, g.scope_id, g.bucket, pg_catalog.sum(g.n) from gone g group by 1, 2, 3, 4, 5
      having pg_catalog.sum(g.n) <> 0
    on conflict (tenant_id, metric, scope, scope_id, bucket) do update set n = c.n + excluded.n
  )
  select pg_catalog.count(*) from gone
$$;

-- object function kernel.prune_counters() sha256:5604c19cd5605dbc
-- Forgets what counted down to nothing, and hours nobody asks for any more. What a deleted row was counted for, its own module's
-- triggers count down, so scope ids that nobody has any more need no rule here. Run by a schedule.
create or replace function kernel.prune_counters() returns bigint
language sql volatile security definer set search_path = '' as $$
  with gone as (
    delete from public.counters c
    where c.n = 0 or c.metric like 'hourly\_%'
      and c.bucket < pg_catalog.to_char((kernel.now() - interval '3 days') at time zone 'UTC', 'YYYY-MM-DD"T"HH24')
    returning 1
  )
  select pg_catalog.count(*) from gone
$$;

-- object function kernel.counts(text[],text,uuid[],text) sha256:558e7f9b8631fee6
-- What the current tenant's counters say of these scope ids, folded and not, in one snapshot; of days and hours those from `since` on.
create or replace function kernel.counts(metrics text[], scope text, scope_ids uuid[], since text default '')
returns table (metric text, scope_id uuid, bucket text, n bigint)
language sql stable set search_path = '' as $$
  select x.metric, x.scope_id, x.bucket, pg_catalog.sum(x.n)::bigint from (
    select c.metric, c.scope_id, c.bucket, c.n from public.counters c
    where c.tenant_id = (select kernel.tenant()) and c.metric = any(counts.metrics) and c.scope = counts.scope
      and c.scope_id = any(counts.scope_ids) and c.bucket >= counts.since
    union all
    select d.metric, d.scope_id, d.bucket, d.n from public.counter_deltas d
    where d.tenant_id = (select kernel.tenant()) and d.metric = any(counts.metrics) and d.scope = counts.scope
      and d.scope_id = any(counts.scope_ids) and d.bucket >= counts.since
  ) x group by 1, 2, 3 having pg_catalog.sum(x.n) <> 0
$$;
grant execute on function kernel.counts(text[], text, uuid[], text) to overture_user, overture_worker;

-- object function kernel.counts_since(text[],text,text) sha256:a5eaf69eb7fbb082
-- The same over all scope ids: a dashboard's days.
create or replace function kernel.counts_since(metrics text[], scope text, since text)
returns table (metric text, bucket text, n bigint)
language sql stable set search_path = '' as $$
  select x.metric, x.bucket, pg_catalog.sum(x.n)::bigint from (
    select c.metric, c.bucket, c.n from public.counters c
    where c.tenant_id = (select kernel.tenant()) and c.metric = any(counts_since.metrics) and c.scope = counts_since.scope
      and c.bucket >= counts_since.since
    union all
    select d.metric, d.bucket, d.n from public.counter_deltas d
    where d.tenant_id = (select kernel.tenant()) and d.metric = any(counts_since.metrics) and d.scope = counts_since.scope
      and d.bucket >= counts_since.since
  ) x group by 1, 2 having pg_catalog.sum(x.n) <> 0
$$;
grant execute on function kernel.counts_since(text[], text, text) to overture_user, overture_worker;

-- object function kernel.reset_counters(uuid,text[]) sha256:a6908762b9980071
-- Forgets a tenant's counters of some metrics (patterns as of LIKE), before a module counts its rows anew. The caller locks the
-- counted tables first. Deltas before counters: what a fold moves meanwhile is then found in the counters.
create or replace function kernel.reset_counters(team uuid, patterns text[]) returns void
language sql volatile set search_path = '' as $$
  delete from public.counter_deltas d where d.tenant_id = team and d.metric like any(patterns);
  delete from public.counters c where c.tenant_id = team and c.metric like any(patterns);
$$;

-- object function kernel.list_dead_letters(text,uuid,int4) sha256:325a0836bb04f5ef
-- Dead letters of the current tenant. With kernel.tenant() unset nothing is returned.
create or replace function kernel.list_dead_letters(queue text, before uuid, quantity int)
returns table (id uuid, queue_name text, message jsonb, reason text, attempts int, enqueued_at timestamptz, died_at timestamptz)
language sql stable security definer set search_path = '' as $$
  select d.id, d.queue, d.message, d.reason, d.attempts, d.enqueued_at, d.died_at
  from kernel.dead_letters d
  where d.tenant_id = kernel.tenant() and (list_dead_letters.queue is null or d.queue = list_dead_letters.queue)
    and (before is null or d.id < before)
  order by d.id desc limit quantity
$$;
grant execute on function kernel.list_dead_letters(text, uuid, integer) to overture_user, overture_worker;

-- object function kernel.requeue_dead_letters(uuid[]) sha256:53d74cf2acfbe989
-- Puts the current tenant's dead letters back on their queues. Removed and sent in one transaction.
create or replace function kernel.requeue_dead_letters(ids uuid[]) returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  batch record;
  n int := 0;
begin
  for batch in
    with gone as (delete from kernel.dead_letters d where d.id = any(ids) and d.tenant_id = kernel.tenant() returning d.queue, d.message)
    select g.queue, pg_catalog.array_agg(g.message) as messages from gone g group by g.queue
  loop
    perform kernel.enqueue(batch.queue, batch.messages);
    n := n + pg_catalog.cardinality(batch.messages);
  end loop;
  return n;
end $$;
grant execute on function kernel.requeue_dead_letters(uuid[]) to overture_user, overture_worker;

-- object function kernel.purge_dead_letters(uuid[]) sha256:40030b1acf2913d1
-- Forgets dead letters of the current tenant.
create or replace function kernel.purge_dead_letters(ids uuid[]) returns int
language sql volatile security definer set search_path = '' as $$
  with gone as (delete from kernel.dead_letters d where d.id = any(ids) and d.tenant_id = kernel.tenant() returning 1)
  select pg_catalog.count(*)::int from gone
$$;
grant execute on function kernel.purge_dead_letters(uuid[]) to overture_user, overture_worker;

-- object function kernel.decide(jsonb) sha256:17750d8eace8937f
-- Decisions: why something happened, was put off or did not happen, in one vocabulary for planning, claiming, routing, failover and
-- approval. items: [{"subject_id","source","verdict","reason","until","detail"}] of the current tenant.
create or replace function kernel.decide(items jsonb) returns int
language sql volatile security definer set search_path = '' as $$
  with ids as (
    -- In the order of the items: decisions of one moment are told in the order in which they were made.
    select u.id, pg_catalog.row_number() over (order by u.id) as n from (select kernel.uuid7() as id
      from pg_catalog.jsonb_array_elements(items)) u
  ), written as (
    insert into public.decisions (tenant_id, id, subject_id, source, verdict, reason, until, detail)
    select kernel.tenant(), i.id, d.subject_id, d.source, d.verdict, d.reason, d.until, coalesce(d.detail, '{}')
    from rows from (pg_catalog.jsonb_to_recordset(items) as (subject_id uuid, source text, verdict text, reason text, until timestamptz,
      detail jsonb))
      with ordinality as d(subject_id, source, verdict, reason, until, detail, n)
    join ids i on i.n = d.n
    where kernel.tenant() is not null
    returning 1
  )
  select pg_catalog.count(*)::int from written
$$;

-- object function kernel.prune_decisions(interval,int4) sha256:829b2b66554287b6
-- Forgets decisions older than a year, in portions. Run by a schedule.
create or replace function kernel.prune_decisions(keep interval default '1 year', quantity int default 20000) returns int
language sql volatile security definer set search_path = '' as $$
  with gone as (
    delete from public.decisions d where (d.tenant_id, d.id) in (
      select x.tenant_id, x.id from public.decisions x where x.at < kernel.now() - keep order by x.at limit quantity)
    returning 1
  )
  select pg_catalog.count(*)::int from gone
$$;
grant execute on function kernel.decide(jsonb) to overture_user, overture_worker;

-- object function kernel.register_subscriptions(jsonb) sha256:3e1a024ab7f39606
-- Facts: what happened, told from module to module.

-- Makes kernel.subscriptions hold exactly what is given: [{"fact","queue"}]. Idempotent.
create or replace function kernel.register_subscriptions(wanted jsonb) returns void
language sql volatile set search_path = '' as $$
  delete from kernel.subscriptions s
  where not exists (select from pg_catalog.jsonb_array_elements(wanted) w where w ->> 'fact' = s.fact and w ->> 'queue' = s.queue);
  insert into kernel.subscriptions (fact, queue)
  select w ->> 'fact', w ->> 'queue' from pg_catalog.jsonb_array_elements(wanted) w
  on conflict do nothing;
$$;

-- object function kernel.emit(text,jsonb,uuid) sha256:d2289432d1acbf3f
-- Tells every subscriber of a fact, in the caller's transaction: a queue message {"tenant_id","fact","items"} each, more for more
-- than 500 items. Does nothing where nobody subscribed. Schedules, which run in no tenant, name the one they speak of.
create or replace function kernel.emit(fact text, items jsonb, tenant uuid default kernel.tenant()) returns void
language plpgsql volatile security definer set search_path = '' as $$
declare
  most constant int := 500;
  subscriber text;
  messages jsonb[];
begin
  if pg_catalog.jsonb_typeof(items) is distinct from 'array' then
    raise exception 'the items of the fact % are no JSON array', fact using errcode = 'invalid_parameter_value';
  end if;
  if tenant is null then
    raise exception 'the fact % names no tenant and none is set', fact using errcode = 'invalid_parameter_value';
  end if;
  for subscriber in select s.queue from kernel.subscriptions s where s.fact = emit.fact order by s.queue loop
    messages := coalesce(messages, array(
      select pg_catalog.jsonb_build_object('tenant_id', tenant, 'fact', fact, 'items', pg_catalog.jsonb_agg(i.item order by i.n))
      from pg_catalog.jsonb_array_elements(items) with ordinality i (item, n)
      group by (i.n - 1) / most order by (i.n - 1) / most));
    perform kernel.enqueue(subscriber, messages);
  end loop;
end $$;
grant execute on function kernel.emit(text, jsonb, uuid) to overture_user, overture_worker;

-- object function kernel.compose_guards(text[]) sha256:595c292e302a2448
-- Guards are functions private.guard_<rule>(m public.messages) of the modules; see modules/messaging/sql/guards.sql.

-- Writes private.guards(m), the union of the named guards. Run at every start with those of the modules that are on; a migration runs it
-- with all there are, so that a database nobody has started yet is guarded too. Changes the function only where it differs.
create or replace function kernel.compose_guards(names text[]) returns void
language plpgsql volatile set search_path = '' as $$
declare
  body text := coalesce((
    select pg_catalog.string_agg(pg_catalog.format('select g.verdict, g.reason, g.until from private.%I(m) g', n), ' union all ' order by n)
    from pg_catalog.unnest(names) n), 'select null::text, null::text, null::timestamptz where false');
begin
  if (select p.prosrc from pg_catalog.pg_proc p where p.oid = pg_catalog.to_regprocedure('private.guards(public.messages)')) is not distinct
    from body then
    return;
  end if;
  execute pg_catalog.format('create or replace function private.guards(m public.messages) '
    'returns table (verdict text, reason text, until timestamptz) language sql stable as %L', body);
  grant execute on function private.guards(public.messages) to overture_user, overture_worker;
end $$;

-- object function kernel.all_guards() sha256:229a061a025a3573
-- Every guard that the database has.
create or replace function kernel.all_guards() returns text[]
language sql stable set search_path = '' as $$
  select coalesce(pg_catalog.array_agg(p.proname::text order by p.proname), '{}') from pg_catalog.pg_proc p
  where p.pronamespace = 'private'::regnamespace and p.proname like 'guard\_%'
$$;

-- object function kernel.idempotency_begin(text,text) sha256:5302cf33e9053526
-- An earlier answer for this key, or running = true while the first request holds its lock or its lease. The lock lasts for
-- the transaction.
create or replace function kernel.idempotency_begin(scope text, key text)
returns table (running boolean, operation text, request_hash text, status int, response jsonb)
language plpgsql volatile security definer set search_path = '' as $$
begin
  if not pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('idempotency:' || scope || ':' || key, 0)) then
    return query select true, null::text, null::text, null::int, null::jsonb;
    return;
  end if;
  return query select i.status is null, i.operation, i.request_hash, i.status, i.response
    from kernel.idempotency i
    where i.scope = idempotency_begin.scope and i.key = idempotency_begin.key
      and case when i.status is null then i.lease_until > pg_catalog.now() else i.created_at > pg_catalog.now() - interval '24 hours' end;
end $$;
grant execute on function kernel.idempotency_begin(text, text) to overture_user, overture_worker;

-- object function kernel.idempotency_keep(text,text,text,text,int4,jsonb) sha256:7584bfc648c0a921
create or replace function kernel.idempotency_keep(scope text, key text, operation text, request_hash text, status int,
  response jsonb) returns void
language sql volatile security definer set search_path = '' as $$
  insert into kernel.idempotency as i (scope, key, operation, request_hash, status, response)
  values (scope, key, operation, request_hash, status, response)
  on conflict on constraint idempotency_pkey do update
    set operation = excluded.operation, request_hash = excluded.request_hash, status = excluded.status,
        response = excluded.response, lease_until = null, attempt = i.attempt + 1, created_at = pg_catalog.now()
$$;
grant execute on function kernel.idempotency_keep(text, text, text, text, int, jsonb) to overture_user, overture_worker;

-- object function kernel.idempotency_claim(text,text,text,text,int4) sha256:ff37aab8c9e3cae6
-- For acts of several transactions: what idempotency_begin says, or, for a free key, a lease on it and the number of this attempt.
create or replace function kernel.idempotency_claim(scope text, key text, for_operation text, for_hash text, lease_seconds int)
returns table (running boolean, operation text, request_hash text, status int, response jsonb, attempt int)
language plpgsql volatile security definer set search_path = '' as $$
begin
  return query select b.running, b.operation, b.request_hash, b.status, b.response, null::int
    from kernel.idempotency_begin(idempotency_claim.scope, idempotency_claim.key) b;
  if found then
    return;
  end if;
  return query insert into kernel.idempotency as i (scope, key, operation, request_hash, lease_until)
    values (idempotency_claim.scope, idempotency_claim.key, for_operation, for_hash,
      pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_seconds))
    on conflict on constraint idempotency_pkey do update
      set operation = excluded.operation, request_hash = excluded.request_hash, status = null, response = null,
          lease_until = excluded.lease_until, attempt = i.attempt + 1, created_at = pg_catalog.now()
    returning false, null::text, null::text, null::int, null::jsonb, i.attempt;
end $$;
grant execute on function kernel.idempotency_claim(text, text, text, text, int) to overture_user, overture_worker;

-- object function kernel.idempotency_settle(text,text,int4,int4,jsonb) sha256:49b3fa60f0b1cde5
-- Ends an attempt: with its answer, or (final_status null) by giving the key back. False when another attempt has the key now.
create or replace function kernel.idempotency_settle(scope text, key text, of_attempt int, final_status int, answer jsonb) returns boolean
language sql volatile security definer set search_path = '' as $$
  update kernel.idempotency i
  set status = final_status, response = answer, created_at = pg_catalog.now(),
      lease_until = case when final_status is null then pg_catalog.now() end
  where i.scope = idempotency_settle.scope and i.key = idempotency_settle.key and i.attempt = of_attempt and i.status is null
  returning true
$$;
grant execute on function kernel.idempotency_settle(text, text, int, int, jsonb) to overture_user, overture_worker;

-- object function kernel.uuid7() sha256:2871a757d26d5de5
-- UUIDv7 (RFC 9562): 48 bits of unix milliseconds, then random. The real clock, so that ids keep their order in rehearsals.
-- `return` instead of a quoted body: it is parsed when it is created, so it needs no search_path of its own and can be inlined.
-- Ids are made for every row of every table, and the call of a function that is not inlined costs more than the id.
create or replace function kernel.uuid7() returns uuid
language sql volatile parallel safe
return pg_catalog.encode(
  pg_catalog.set_bit(pg_catalog.set_bit(
    overlay(pg_catalog.uuid_send(pg_catalog.gen_random_uuid())
      placing pg_catalog.substring(pg_catalog.int8send((extract(epoch from pg_catalog.clock_timestamp()) * 1000)::bigint), 3)
        from 1 for 6),
    52, 1), 53, 1), 'hex')::uuid;
grant execute on function kernel.uuid7() to authenticated, overture_user, overture_worker;

-- object function kernel.breaking_version() sha256:6f9e8683ac104244
-- The newest applied migration whose header says that older code does not survive it; empty when there is none.
create or replace function kernel.breaking_version() returns text
language plpgsql stable security definer set search_path = '' as $$
begin
  return coalesce((select pg_catalog.max(m.version) from supabase_migrations.schema_migrations m
    where m.statements[1] ~ '(?n)^--.*\mbreaking:\s*yes\M'), '');
end $$;
grant execute on function kernel.breaking_version() to overture_worker;

-- object function kernel.connection_use() sha256:a458c60c48fb1c77
-- How many connections the server has open, and how many it allows.
create or replace function kernel.connection_use() returns table (used int, allowed int)
language sql stable security definer set search_path = '' as $$
  select (select pg_catalog.count(*)::int from pg_catalog.pg_stat_activity a where a.backend_type = 'client backend'),
    pg_catalog.current_setting('max_connections')::int
$$;
grant execute on function kernel.connection_use() to overture_user, overture_worker;

-- object function kernel.backup_age() sha256:8e4352052a0550b9
-- How old the newest scheduled backup is (or its plan, where there is none yet) and how often one is planned; nothing where none is.
create or replace function kernel.backup_age() returns table (age_seconds double precision, every_seconds double precision)
language sql stable security definer set search_path = '' as $$
  select extract(epoch from pg_catalog.now() - coalesce(s.value ->> 'last_at', s.value ->> 'planned_at')::timestamptz)::double precision,
    (s.value ->> 'every_seconds')::double precision
  from kernel.settings s where s.key = 'backup'
$$;
grant execute on function kernel.backup_age() to overture_user, overture_worker;

-- object function kernel.prune() sha256:42169418016e3140
-- Housekeeping of the kernel's own tables. Samples of minutes are kept for two days, of hours for forty. Run by a schedule.
create or replace function kernel.prune() returns void
language sql volatile set search_path = '' as $$
  delete from kernel.idempotency i where i.created_at < pg_catalog.now() - interval '24 hours';
  delete from kernel.buckets b where b.at < pg_catalog.now() - interval '1 day';
  delete from kernel.samples s where s.span = 'minute' and s.at < pg_catalog.now() - interval '2 days';
  delete from kernel.samples s where s.span = 'hour' and s.at < pg_catalog.now() - interval '40 days';
  delete from cron.job_run_details d where d.end_time < pg_catalog.now() - interval '2 days';
$$;

-- object function kernel.take_tokens(text,float8,float8,float8) sha256:531326bef5e0c63e
-- Takes n tokens, or none. Returns how many are left and how many seconds until n are there (0 when taken).
-- A block by the provider has a column of its own, blocked_until: told by a last use in the future, a clock that was set back
-- by an hour would block every bucket (also of the API and of logins) for that hour.
create or replace function kernel.take_tokens(bucket text, capacity double precision, per_second double precision,
  n double precision default 1)
returns table (taken boolean, remaining double precision, retry_after double precision)
language plpgsql volatile security definer set search_path = '' as $$
declare
  ts timestamptz := pg_catalog.clock_timestamp();
  b kernel.buckets;
  level double precision;
begin
  insert into kernel.buckets as k (key, tokens, at) values (bucket, capacity, ts) on conflict (key) do nothing;
  select * into b from kernel.buckets k where k.key = bucket for update;
  -- Read after the wait for the row: an older reading would lie before somebody else's last use.
  ts := pg_catalog.clock_timestamp();
  if b.at > ts then
    -- The clock was set back. What time passed meanwhile is unknown: none.
    update kernel.buckets k set at = ts where k.key = bucket;
    b.at := ts;
  end if;
  -- It fills from the last use, or from the end of a block.
  level := least(capacity, b.tokens + greatest(0, extract(epoch from ts - greatest(b.at, b.blocked_until))) * per_second);
  if b.blocked_until > ts then
    return query select false, 0::double precision, extract(epoch from b.blocked_until - ts)::double precision;
  elsif level >= n then
    update kernel.buckets k set tokens = level - n, at = ts, blocked_until = null where k.key = bucket;
    return query select true, level - n, 0::double precision;
  else
    return query select false, level, ((n - level) / per_second)::double precision;
  end if;
end $$;
grant execute on function kernel.take_tokens(text, double precision, double precision, double precision) to overture_user, overture_worker;

-- object function kernel.block_bucket(text,float8) sha256:daf2d7f8a28016af
-- Empties a bucket until a moment: the provider's Retry-After outranks our own arithmetic.
create or replace function kernel.block_bucket(bucket text, seconds double precision) returns void
language sql volatile security definer set search_path = '' as $$
  insert into kernel.buckets as k (key, tokens, at, blocked_until)
  values (bucket, 0, pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => seconds))
  on conflict (key) do update set tokens = 0, blocked_until = greatest(k.blocked_until, excluded.blocked_until)
$$;
grant execute on function kernel.block_bucket(text, double precision) to overture_user, overture_worker;

-- object function kernel.index_queue(text) sha256:ba2a732342dcae0a
-- pgmq reads in the order of msg_id and steps over every message that is hidden (in work, delayed, waiting for a retry): with a
-- million of those in front, each read looks at all of them. Ours goes by the moment a message became visible, so that hidden
-- ones are never looked at. The index takes the place of pgmq's on vt alone: a second one would double the cost of every read.
create or replace function kernel.index_queue(name text) returns void
language plpgsql set search_path = '' as $$
begin
  execute pg_catalog.format('drop index if exists pgmq.%I', 'q_' || name || '_vt_idx');
  execute pg_catalog.format('create index %I on pgmq.%I (vt, msg_id)', 'q_' || name || '_vt_idx', 'q_' || name);
end $$;

-- object function kernel.create_queue(text) sha256:a4c3dd1dd7ec6bf7
-- Every read updates vt, an indexed column, so there are no HOT updates: free space and an eager vacuum keep the queue fast.
create or replace function kernel.create_queue(name text) returns void
language plpgsql set search_path = '' as $$
begin
  if exists (select from kernel.queues q where q.name = create_queue.name) then return; end if;
  if not exists (select from pgmq.list_queues() l where l.queue_name = create_queue.name) then
    perform pgmq.create(create_queue.name);
  end if;
  execute pg_catalog.format('alter table pgmq.q_%s set (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 50, autovacuum_vacuum_cost_delay = 2, autovacuum_analyze_scale_factor = 0.05)', create_queue.name);
  execute pg_catalog.format('alter table pgmq.q_%s enable row level security', create_queue.name);
  execute pg_catalog.format('alter table pgmq.a_%s enable row level security', create_queue.name);
  perform kernel.index_queue(create_queue.name);
  insert into kernel.queues (name) values (create_queue.name);
end $$;

-- object function kernel.enqueue(text,jsonb[],int4) sha256:1c441a96f1c9e00d
-- Puts messages on a queue in the caller's transaction: the outbox. Wakes workers at commit.
-- A caller inside a tenant may only enqueue for that tenant.
-- Inserts into the queue's table itself, because pgmq's function builds and plans three statements to insert one row.
create or replace function kernel.enqueue(queue text, messages jsonb[], delay_seconds int default 0) returns setof bigint
language plpgsql volatile security definer set search_path = '' as $$
declare
  mine uuid := kernel.tenant();
begin
  if not exists (select from kernel.queues q where q.name = queue) then
    raise exception 'no such queue: %', queue using errcode = 'invalid_parameter_value';
  end if;
  if mine is not null and exists (select from pg_catalog.unnest(messages) m where m ->> 'tenant_id' is distinct from mine::text) then
    raise exception 'a message names another tenant' using errcode = 'insufficient_privilege';
  end if;
  if pg_catalog.cardinality(messages) = 0 then return; end if;
  return query execute pg_catalog.format(
    'insert into pgmq.%I (vt, message) select $1, m from pg_catalog.unnest($2) m returning msg_id', 'q_' || queue)
    using pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => delay_seconds), messages;
  if delay_seconds <= 0 then perform pg_catalog.pg_notify('kernel_queue', queue); end if;
end $$;
grant execute on function kernel.enqueue(text,jsonb[],integer) to overture_user, overture_worker;

-- object function kernel.dequeue(text,int4,int4) sha256:1cdf366df27cc202
-- Reads a batch for a consumer: what has been visible longest first. Only the worker role may; the messages name their tenants.
-- `vt` is until when the message is hidden: kernel.extend_visibility wants it back.
create or replace function kernel.dequeue(queue text, visibility_seconds int, quantity int)
returns table (msg_id bigint, read_ct int, vt timestamptz, message jsonb)
-- Statistics of a queue are always old: without the setting a plan that sorts all that waits can look cheaper than the index.
language plpgsql volatile security definer set search_path = '' set enable_sort = off as $$
begin
  -- The moment is a parameter, because a volatile function cannot bound an index scan.
  for msg_id, read_ct, vt, message in execute pg_catalog.format($q$
    with due as (
      select q.msg_id from pgmq.%1$I q where q.vt <= $1 order by q.vt, q.msg_id limit $2 for update skip locked
    )
    update pgmq.%1$I m set vt = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3), read_ct = m.read_ct + 1
    from due where m.msg_id = due.msg_id
    returning m.msg_id, m.read_ct, m.vt, m.message
  $q$, 'q_' || queue) using pg_catalog.clock_timestamp(), quantity, visibility_seconds
  loop
    return next;
  end loop;
end $$;
grant execute on function kernel.dequeue(text, int, int) to overture_worker;

-- object function kernel.others_wait(text) sha256:1ee9ae67dc1530dd
-- Whether a message of another tenant than the caller's waits on a queue: who works for long for one tenant asks now and then.
create or replace function kernel.others_wait(queue text) returns boolean
language plpgsql stable security definer set search_path = '' set enable_sort = off as $$
declare
  waits boolean;
begin
  execute pg_catalog.format($q$
    select exists (select from pgmq.%I q where q.vt <= $1 and q.message ->> 'tenant_id' is distinct from $2)
  $q$, 'q_' || queue) into waits using pg_catalog.clock_timestamp(), kernel.tenant()::text;
  return waits;
end $$;
grant execute on function kernel.others_wait(text) to overture_worker;

-- object function kernel.settle(text,jsonb) sha256:f3ad7e2dad2a0f61
-- Settles a batch in one statement.
-- outcomes: [{"msg_id":1,"read_ct":1,"kind":"done"} | {…,"kind":"retry","in":8} | {…,"kind":"back"} | {…,"kind":"dead","reason":"…"}]
-- `back` was read and not begun: it is visible at once and as if never read. Its reader must be through with it.
-- Raises OV001, so that the caller's transaction is rolled back, when one of the messages is gone or was read again meanwhile.
-- A dead letter is copied and removed together, so nothing is lost between the two.
create or replace function kernel.settle(queue text, outcomes jsonb) returns void
language plpgsql volatile security definer set search_path = '' as $$
declare
  wanted int := pg_catalog.jsonb_array_length(outcomes);
  settled int;
begin
  if not exists (select from kernel.queues q where q.name = queue) then
    raise exception 'no such queue: %', queue using errcode = 'invalid_parameter_value';
  end if;
  -- Nearly always everything went well, and planning the long statement would cost as much as running it.
  if not exists (select from pg_catalog.jsonb_array_elements(outcomes) e where e ->> 'kind' is distinct from 'done') then
    execute pg_catalog.format('delete from pgmq.%I q using rows from (pg_catalog.unnest($1), pg_catalog.unnest($2)) o (msg_id, read_ct) '
      'where q.msg_id = o.msg_id and q.read_ct = o.read_ct', 'q_' || queue)
      using array(select (e ->> 'msg_id')::bigint from pg_catalog.jsonb_array_elements(outcomes) with ordinality x (e, n) order by x.n),
            array(select (e ->> 'read_ct')::int from pg_catalog.jsonb_array_elements(outcomes) with ordinality x (e, n) order by x.n);
    get diagnostics settled = row_count;
  else
    execute pg_catalog.format($q$
      with o as (
        select (e ->> 'msg_id')::bigint as msg_id, (e ->> 'read_ct')::int as read_ct, e ->> 'kind' as kind, e ->> 'reason' as reason,
               coalesce((e ->> 'in')::double precision, 0) as delay
        from pg_catalog.jsonb_array_elements($1) e
      ), later as (
        update pgmq.%1$I q set vt = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => o.delay),
          read_ct = q.read_ct - (o.kind = 'back')::int
        from o where q.msg_id = o.msg_id and q.read_ct = o.read_ct and o.kind in ('retry', 'back')
        returning 1
      ), gone as (
        delete from pgmq.%1$I q using o where q.msg_id = o.msg_id and q.read_ct = o.read_ct and o.kind in ('done', 'dead')
        returning q.read_ct, q.enqueued_at, q.message, o.kind, o.reason
      ), letters as (
        insert into kernel.dead_letters (queue, tenant_id, message, reason, attempts, enqueued_at)
        select %2$L, case when g.message ->> 'tenant_id' ~ '^[0-9a-fA-F-]{36}$' then (g.message ->> 'tenant_id')::uuid end,
               g.message, coalesce(g.reason, 'no reason given'), g.read_ct, g.enqueued_at
        from gone g where g.kind = 'dead'
      )
      select (select pg_catalog.count(*) from later) + (select pg_catalog.count(*) from gone)
    $q$, 'q_' || queue, queue) into settled using outcomes;
  end if;
  if settled <> wanted then
    raise exception '% of % messages of the queue % are not this reader''s any more', wanted - settled, wanted,
      queue using errcode = 'OV001';
  end if;
end $$;
grant execute on function kernel.settle(text, jsonb) to overture_worker;

-- object function kernel.extend_visibility(text,int8[],int4[],timestamptz[],int4) sha256:cd7bf07a592da78d
-- Keeps messages hidden while a slow handler still works on them. A message is named by its read and by `vt` as this reader last
-- saw it: what was settled (a retry sets vt) or read again meanwhile stays as it is. Returns what is hidden now, with the new vt.
-- A row that is locked is being settled or read: nobody waits for it here.
create or replace function kernel.extend_visibility(queue text, ids bigint[], reads int[], hidden_until timestamptz[], seconds int)
returns table (msg_id bigint, vt timestamptz)
language plpgsql volatile security definer set search_path = '' as $$
begin
  if not exists (select from kernel.queues q where q.name = queue) then
    raise exception 'no such queue: %', queue using errcode = 'invalid_parameter_value';
  end if;
  for msg_id, vt in execute pg_catalog.format($q$
    with held as (
      select q.msg_id from rows from (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3)) o (msg_id, read_ct, vt)
      join pgmq.%1$I q on q.msg_id = o.msg_id and q.read_ct = o.read_ct and q.vt = o.vt
      for update of q skip locked
    )
    update pgmq.%1$I m set vt = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $4)
    from held where m.msg_id = held.msg_id
    returning m.msg_id, m.vt
  $q$, 'q_' || queue) using ids, reads, hidden_until, seconds loop
    return next;
  end loop;
end $$;
grant execute on function kernel.extend_visibility(text, bigint[], int[], timestamptz[], int) to overture_worker;

-- object function kernel.queue_metrics() sha256:f8048308244fd522
-- Depth and age per queue, for health, metrics and the console. Asked every few seconds, so it never reads more than a bounded
-- part of a queue: up to 10,000 messages are counted; beyond that `exact` is false and the numbers are the planner's estimates.
-- Dead letters are counted up to 10,000.
create or replace function kernel.queue_metrics()
returns table (queue text, waiting bigint, visible bigint, oldest_seconds int, total bigint, dead bigint, exact boolean)
language plpgsql volatile security definer set search_path = '' as $$
declare
  most constant int := 10000;
  source text;
  plan json;
  span bigint;
begin
  for queue in select q.name from kernel.queues q order by q.name loop
    source := pg_catalog.format('pgmq.%I q', 'q_' || queue);
    execute pg_catalog.format('select pg_catalog.count(*) from (select from %s order by q.msg_id limit $1) c', source) into waiting
      using most + 1;
    execute pg_catalog.format('select pg_catalog.count(*) from (select from %s where q.vt <= $2 order by q.vt, q.msg_id limit $1) c',
      source) into visible using most + 1, pg_catalog.now();
    exact := waiting <= most;
    if not exact then
      execute pg_catalog.format('explain (format json) select from %s', source) into plan;
      -- Never more than numbers between the first and the last message.
      execute pg_catalog.format('select (select q.msg_id from %1$s order by 1 desc limit 1)
        - (select q.msg_id from %1$s order by 1 limit 1) + 1', source) into span;
      waiting := greatest(waiting, least(span, (plan -> 0 -> 'Plan' ->> 'Plan Rows')::bigint));
    end if;
    if visible > most then
      execute pg_catalog.format('explain (format json) select from %s where q.vt <= %L', source, pg_catalog.now()) into plan;
      visible := least(waiting, greatest(visible, (plan -> 0 -> 'Plan' ->> 'Plan Rows')::bigint));
    end if;
    -- Messages are numbered as they come.
    execute pg_catalog.format('select greatest(0, extract(epoch from pg_catalog.now() - q.enqueued_at))::int
      from %s order by q.msg_id limit 1', source)
      into oldest_seconds;
    oldest_seconds := coalesce(oldest_seconds, 0);
    execute pg_catalog.format('select case when s.is_called then s.last_value else 0 end from pgmq.%I s', 'q_' || queue || '_msg_id_seq')
      into total;
    select pg_catalog.count(*) into dead from (select from kernel.dead_letters d where d.queue = queue_metrics.queue limit most) c;
    return next;
  end loop;
end $$;
grant execute on function kernel.queue_metrics() to overture_user, overture_worker;

-- object function kernel.queue_lags() sha256:d432bf7b25de34e7
-- Since when the first message that could be taken has not been taken. Unlike its age this is zero while a message waits for a retry.
create or replace function kernel.queue_lags() returns table (queue text, lag_seconds double precision)
language plpgsql stable security definer set search_path = '' as $$
begin
  for queue in select q.name from kernel.queues q order by q.name loop
    execute pg_catalog.format('select coalesce(extract(epoch from pg_catalog.clock_timestamp()
      - (select q.vt from pgmq.q_%s q order by q.vt limit 1)), 0)', queue) into lag_seconds;
    lag_seconds := greatest(lag_seconds, 0);
    return next;
  end loop;
end $$;
grant execute on function kernel.queue_lags() to overture_user, overture_worker;

-- object function kernel.wake(text,uuid[]) sha256:f58034d7a250648c
-- Puts a wake on the queue for each tenant that has none waiting. One that is being handled does not count: it may have looked
-- before the work came. Returns the number of tenants given.
create or replace function kernel.wake(queue text, tenants uuid[]) returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  asleep jsonb[];
begin
  if not exists (select from kernel.queues q where q.name = queue) then
    raise exception 'no such queue: %', queue using errcode = 'invalid_parameter_value';
  end if;
  execute pg_catalog.format($q$
    select array(
      select w.wake from (select distinct pg_catalog.jsonb_build_object('tenant_id', t) as wake from pg_catalog.unnest($1) t) w
      where not exists (select from pgmq.%I q where q.message = w.wake and q.vt <= $2))
  $q$, 'q_' || queue) into asleep using tenants, pg_catalog.clock_timestamp();
  perform kernel.enqueue(queue, asleep);
  return pg_catalog.cardinality(tenants);
end $$;

-- object function kernel.drop_wakes(text) sha256:59c2e23536113d4b
-- Removes the wakes of the current tenant that wait beside the one being handled: they say nothing it does not know. Without this
-- a tenant with a hundred of them would hold every worker for as long as they last.
create or replace function kernel.drop_wakes(queue text) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  if not exists (select from kernel.queues q where q.name = queue) then
    raise exception 'no such queue: %', queue using errcode = 'invalid_parameter_value';
  end if;
  execute pg_catalog.format($q$
    delete from pgmq.%1$I q where q.msg_id in (
      select w.msg_id from pgmq.%1$I w where w.vt <= $1 and w.message = $2 for update skip locked)
  $q$, 'q_' || queue) using pg_catalog.clock_timestamp(), pg_catalog.jsonb_build_object('tenant_id', kernel.tenant());
end $$;
grant execute on function kernel.drop_wakes(text) to overture_worker;

-- object function kernel.add_samples(jsonb) sha256:f553585f1dcae9ec
-- samples: [{"kind","name","n","errors","total","buckets":[…]}]. Ordered, so that two processes cannot wait for each other in a circle.
create or replace function kernel.add_samples(samples jsonb) returns void
language sql volatile security definer set search_path = '' as $$
  insert into kernel.samples as s (span, at, kind, name, n, errors, total, buckets)
  select x.span, x.at, e ->> 'kind', e ->> 'name', (e ->> 'n')::bigint, (e ->> 'errors')::bigint, (e ->> 'total')::double precision,
    array(select b.v::bigint from pg_catalog.jsonb_array_elements_text(e -> 'buckets') with ordinality b (v, i) order by b.i)
  from pg_catalog.jsonb_array_elements(samples) e
  cross join lateral (values
    ('minute', pg_catalog.date_trunc('minute', pg_catalog.now())),
    ('hour', pg_catalog.date_trunc('hour', pg_catalog.now() at time zone 'UTC') at time zone 'UTC'),
    ('total', 'epoch'::timestamptz)) x (span, at)
  order by 1, 2, 3, 4
  on conflict (span, at, kind, name) do update set n = s.n + excluded.n, errors = s.errors + excluded.errors,
    total = s.total + excluded.total,
    buckets = array(select coalesce(u.a, 0) + coalesce(u.b, 0) from rows
      from (pg_catalog.unnest(s.buckets), pg_catalog.unnest(excluded.buckets)) with ordinality u (a, b, i) order by u.i)
$$;
grant execute on function kernel.add_samples(jsonb) to overture_worker;

-- object function kernel.read_samples(text,timestamptz,interval) sha256:653e7bd074b8f122
-- Samples since a moment, merged into steps of time. `step` null merges everything into one row per kind and name.
create or replace function kernel.read_samples(of_span text, since timestamptz, step interval)
returns table (at timestamptz, kind text, name text, n bigint, errors bigint, total double precision, buckets bigint[])
language sql stable security definer set search_path = '' as $$
  with picked as materialized (
    select case when step is null then since else pg_catalog.date_bin(step, s.at, since) end as slot, s.kind, s.name, s.n, s.errors,
      s.total, s.buckets
    from kernel.samples s where s.span = of_span and s.at >= since
  ), summed as (
    select p.slot, p.kind, p.name, pg_catalog.sum(p.n)::bigint as n, pg_catalog.sum(p.errors)::bigint as errors,
      pg_catalog.sum(p.total) as total
    from picked p group by 1, 2, 3
  ), counted as (
    select c.slot, c.kind, c.name, pg_catalog.array_agg(c.v order by c.i) as buckets from (
      select p.slot, p.kind, p.name, u.i, pg_catalog.sum(u.v)::bigint as v
      from picked p cross join lateral pg_catalog.unnest(p.buckets) with ordinality u (v, i) group by 1, 2, 3, 4) c
    group by 1, 2, 3
  )
  select a.slot, a.kind, a.name, a.n, a.errors, a.total, c.buckets
  from summed a join counted c on c.slot = a.slot and c.kind = a.kind and c.name = a.name order by 1, 2, 3
$$;
grant execute on function kernel.read_samples(text, timestamp with time zone, interval) to overture_user, overture_worker;

-- object function kernel.run_schedule(text) sha256:3966d842584810fc
-- Runs one schedule unless the previous run still holds its lock. An error is recorded, never raised: pg_cron's log is not read.
create or replace function kernel.run_schedule(schedule text) returns void
language plpgsql volatile set search_path = '' as $$
declare
  cmd text;
begin
  if not pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('schedule:' || schedule, 0)) then
    update kernel.schedules set skipped = skipped + 1 where name = schedule;
    return;
  end if;
  select s.command into cmd from kernel.schedules s where s.name = schedule;
  if cmd is null then return; end if;
  begin
    execute cmd;
    update kernel.schedules set last_started_at = pg_catalog.now(), last_finished_at = pg_catalog.clock_timestamp(), last_error = null,
      runs = runs + 1 where name = schedule;
  exception when others then
    update kernel.schedules set last_started_at = pg_catalog.now(), last_finished_at = pg_catalog.clock_timestamp(), last_error = sqlerrm,
      runs = runs + 1 where name = schedule;
  end;
end $$;

-- object function kernel.register_schedules(jsonb) sha256:e5f3d181a2509d36
-- Makes pg_cron hold exactly the schedules given: [{"name","cron","command","seconds"}]. Idempotent; stale ones are unscheduled.
-- pg_cron before 1.5 (it calls itself 1.4-1) has no seconds; there the shortest period is a minute.
create or replace function kernel.register_schedules(wanted jsonb) returns void
language plpgsql volatile set search_path = '' as $$
declare
  s record;
  seconds_ok boolean := coalesce((select pg_catalog.regexp_match(e.extversion, '^(\d+)\.(\d+)')::int[] >= array[1, 5]
    from pg_catalog.pg_extension e where e.extname = 'pg_cron'), true);
begin
  for s in select k.name from kernel.schedules k where not exists (select from pg_catalog.jsonb_array_elements(wanted) w
    where w ->> 'name' = k.name) loop
    perform cron.unschedule(j.jobid) from cron.job j where j.jobname = 'overture.' || s.name;
    delete from kernel.schedules k where k.name = s.name;
  end loop;
  for s in select w ->> 'name' as name, w ->> 'cron' as cron, w ->> 'command' as command, (w ->> 'seconds')::int as seconds
    from pg_catalog.jsonb_array_elements(wanted) w loop
    insert into kernel.schedules as k (name, cron, command, expected_seconds) values (s.name, s.cron, s.command, s.seconds)
    on conflict (name) do update set cron = excluded.cron, command = excluded.command, expected_seconds = excluded.expected_seconds,
      registered_at = pg_catalog.now();
    if not exists (
      select from cron.job j where j.jobname = 'overture.' || s.name and j.active
        and j.schedule = case when s.cron like '% seconds' and not seconds_ok then '* * * * *' else s.cron end
    ) then
      -- alter_job as well: scheduling a job again under its name leaves it switched off if it was.
      perform cron.alter_job(
        cron.schedule('overture.' || s.name,
          case when s.cron like '% seconds' and not seconds_ok then '* * * * *' else s.cron end,
          pg_catalog.format('select kernel.run_schedule(%L)', s.name)),
        active := true);
    end if;
  end loop;
end $$;

-- object function kernel.schedule_health() sha256:9d3d7b88c8ba4114
-- Last run and lag of every schedule; late means that more than three runs are missing. The lag of one that never ran counts from its
-- registration: it must not look as if there were none.
create or replace function kernel.schedule_health()
returns table (name text, cron text, last_started_at timestamptz, last_finished_at timestamptz, last_error text, runs bigint,
  skipped bigint, lag_seconds double precision, late boolean)
language sql stable security definer set search_path = '' as $$
  select s.name, s.cron, s.last_started_at, s.last_finished_at, s.last_error, s.runs, s.skipped,
         extract(epoch from pg_catalog.now() - coalesce(s.last_started_at, s.registered_at))::double precision,
         pg_catalog.now() - greatest(s.last_started_at, s.registered_at) > pg_catalog.make_interval(secs => s.expected_seconds * 3 + 60)
  from kernel.schedules s order by s.name
$$;
grant execute on function kernel.schedule_health() to overture_user, overture_worker;

-- object function kernel.wake_functions() sha256:b8d7a9ec3c691c8d
-- Wakes the functions over HTTP where no long-lived worker runs. Does nothing until the installation names its URL.
create or replace function kernel.wake_functions() returns void
language plpgsql volatile set search_path = '' as $$
declare
  target jsonb := (select s.value from kernel.settings s where s.key = 'tick');
begin
  if target is null then return; end if;
  perform net.http_post(
    url := target ->> 'url',
    body := '{}'::jsonb,
    headers := pg_catalog.jsonb_build_object('content-type', 'application/json', 'apikey', target ->> 'key'),
    timeout_milliseconds := 30000);
end $$;

-- object function kernel.refresh_statistics() sha256:7f56cd906a723452
-- Analyzes the tables that grew to three times what they were when they were last analyzed: until then the planner takes all rows of
-- a tenant for one, and reads them again and again. Autovacuum would do it too, but looks only once a minute. A table that somebody else
-- works on is left to the next call. Returns how many it analyzed.
create or replace function kernel.refresh_statistics() returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  grown text;
  n int := 0;
begin
  -- One at a time: the others have what this one finds.
  if not pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('kernel.refresh_statistics', 0)) then return 0; end if;
  for grown in
    select pg_catalog.format('%I.%I', s.nspname, c.relname) from pg_catalog.pg_class c
    join pg_catalog.pg_namespace s on s.oid = c.relnamespace
    where s.nspname = 'public' and c.relkind = 'r' and c.relpersistence = 'p'
      -- In pages; eight hold some hundred rows, and reading those costs nothing.
      and pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int >= greatest(8, 3 * c.relpages)
    order by c.oid
  loop
    execute 'analyze (skip_locked) ' || grown;
    n := n + 1;
  end loop;
  return n;
end $$;
grant execute on function kernel.refresh_statistics() to overture_worker;

-- object function kernel.role_rank(text) sha256:9b59e18922f9d593
-- Roles in the order of what they may do; a higher one may all that a lower one may. No set clause, so that the planner takes it into
-- its callers.
create or replace function kernel.role_rank(role text) returns int
language sql immutable parallel safe
return case role when 'viewer' then 1 when 'approver' then 2 when 'member' then 3 when 'admin' then 4 when 'owner' then 5 end;
grant execute on function kernel.role_rank(text) to authenticated, overture_user, overture_worker;

-- object function kernel.session_open(uuid) sha256:808f1d4afe56daf0
-- Whether the session of an access token still stands: signing out, a changed password or a stolen refresh token end it at once, while
-- the token itself would be valid for up to an hour. Of a person with a second factor only sessions that were made with it stand: the auth
-- server knows nothing of it. A token without a session (null) was not made by a sign-in.
create or replace function kernel.session_open(session uuid) returns boolean
language plpgsql stable security definer set search_path = '' set plan_cache_mode = force_generic_plan as $$
begin
  return session is null or exists (select from auth.sessions s where s.id = session and (
    not exists (select from private.second_factors f where f.person = s.user_id and f.confirmed_at is not null)
    or exists (select from private.proven_sessions p where p.session = s.id)));
end $$;
grant execute on function kernel.session_open(uuid) to authenticated, overture_user, overture_worker;

-- object function kernel.my_tenants(text) sha256:0bf8b51aa1414a58
-- The tenants the signed-in person belongs to with at least this role. Definer, because members has policies of its own.
-- Used as `tenant_id = any(array(select kernel.my_tenants('member')))`, which Postgres evaluates once per query and table. In plpgsql with
-- a plan for all values, which is made once: a function in SQL is planned in each query, and that took longer than most queries.
create or replace function kernel.my_tenants(min_role text default 'viewer') returns setof uuid
language plpgsql stable security definer set search_path = '' set plan_cache_mode = force_generic_plan rows 3 as $$
declare
  claims jsonb := nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb;
begin
  if claims is null or not kernel.session_open((claims ->> 'session_id')::uuid) then return; end if;
  return query select m.tenant_id from public.members m
    where m.user_id = (claims ->> 'sub')::uuid and kernel.role_rank(m.role) >= kernel.role_rank(min_role);
end $$;
grant execute on function kernel.my_tenants(text) to authenticated, overture_user, overture_worker;

-- object function kernel.touch() sha256:57fb38ab14758ade
-- Keeps updated_at.
create or replace function kernel.touch() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.updated_at := kernel.now();
  return new;
end $$;
grant execute on function kernel.touch() to overture_user, overture_worker;

-- object function kernel.broadcast() sha256:9dfe55b4a554c825
-- One broadcast per statement and tenant, not per row: an import of 1,000 rows is one message of ids (the first 100).
-- Readers refetch through the API, so the payload carries no data that a policy would hide.
create or replace function kernel.broadcast() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  change record;
begin
  for change in
    select c.tenant_id, pg_catalog.count(*) as n, (pg_catalog.array_agg(c.id))[1:100] as ids
    from changed c group by c.tenant_id
  loop
    perform realtime.send(
      pg_catalog.jsonb_build_object('table', tg_table_name, 'op', lower(tg_op), 'count', change.n, 'ids', pg_catalog.to_jsonb(change.ids)),
      tg_table_name::text, 'tenant:' || change.tenant_id, true);
  end loop;
  return null;
end $$;
grant execute on function kernel.broadcast() to overture_user, overture_worker;

-- object function kernel.refuse_plans() sha256:c0ff6f2183899c0a
-- Refuses a plan. The planner lets leakproof operators such as `=` and `<` look into statistics made of all tenants' rows, so the
-- rows that EXPLAIN expects tell what other tenants have, and PostgREST explains for `Prefer: count=planned`, `count=estimated` and
-- `Accept: application/vnd.pgrst.plan`. Its requests choose values and names, never the statement's text, so the text tells. Said to be
-- immutable although it reads the text: only then does the planner call it while it plans, also where nothing is executed.
create or replace function kernel.refuse_plans() returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  if pg_catalog.current_query() ~* '\mexplain\M' then
    raise exception 'Plans and estimates are not shown: they are made of the rows of all tenants.'
      using errcode = 'insufficient_privilege', hint = 'Ask for "Prefer: count=exact", or for no count.';
  end if;
  return true;
end $$;
grant execute on function kernel.refuse_plans() to authenticated;

-- object function kernel.protect(regclass,text,text,bool) sha256:00256fc13de33435
-- The wall, in one line per table: RLS forced, policies, grants, updated_at, realtime.
--   read/write: least role of a signed-in person for the API; write => null leaves writing to jobs alone.
--   broadcast: whether changes are announced on the tenant's realtime topic (needs an id column).
create or replace function kernel.protect(tbl regclass, read text default 'viewer', write text default 'member',
  broadcast boolean default true)
returns void language plpgsql set search_path = '' as $$
declare
  mine text := format('tenant_id = any(array(select kernel.my_tenants(%L)))', read);
  writable text := format('tenant_id = (select kernel.tenant()) and tenant_id = any(array(select kernel.my_tenants(%L)))', write);
  has_updated boolean := exists (select from pg_catalog.pg_attribute where attrelid = tbl and attname = 'updated_at' and not attisdropped);
  has_id boolean := exists (select from pg_catalog.pg_attribute where attrelid = tbl and attname = 'id' and not attisdropped);
begin
  execute format('alter table %s enable row level security', tbl);
  execute format('alter table %s force row level security', tbl);
  execute format('revoke all on %s from public, anon, authenticated', tbl);
  execute format('grant select on %s to authenticated', tbl);
  execute format('grant select, insert, update, delete on %s to overture_worker', tbl);
  execute format('create policy member_reads on %s for select to authenticated using (%s)', tbl, mine);
  execute format('create policy no_plans on %s as restrictive for select to authenticated using (kernel.refuse_plans())', tbl);
  execute format('create policy user_reads on %s for select to overture_user using (tenant_id = (select kernel.tenant()) and %s)',
    tbl, mine);
  execute format('create policy job on %s to overture_worker using (%s) with check (%2$s)', tbl, 'tenant_id = (select kernel.tenant())');
  if write is null then
    execute format('grant select on %s to overture_user', tbl);
  else
    execute format('grant select, insert, update, delete on %s to overture_user', tbl);
    execute format('create policy user_inserts on %s for insert to overture_user with check (%s)', tbl, writable);
    execute format('create policy user_updates on %s for update to overture_user using (%s) with check (%s)', tbl, writable, writable);
    execute format('create policy user_deletes on %s for delete to overture_user using (%s)', tbl, writable);
  end if;
  if has_updated then
    execute format('create trigger touch before update on %s for each row execute function kernel.touch()', tbl);
  end if;
  if broadcast and has_id then
    execute format('create trigger broadcast_insert after insert on %s referencing new table as changed
      for each statement execute function kernel.broadcast()', tbl);
    execute format('create trigger broadcast_update after update on %s referencing new table as changed
      for each statement execute function kernel.broadcast()', tbl);
    execute format('create trigger broadcast_delete after delete on %s referencing old table as changed
      for each statement execute function kernel.broadcast()', tbl);
  end if;
end $$;

-- object function kernel.fold(text) sha256:af72f7aae9af6fc5
-- Text as searches compare it: without case, accents and width, Müller as muller, Łódź as lodz, Ａ as a. `return` instead of a quoted
-- body, so that it can be inlined: it is called for every row that a search looks at. ASCII has nothing to fold but case.
create or replace function kernel.fold(x text) returns text
language sql immutable parallel safe
return case when pg_catalog.octet_length(x) = pg_catalog.length(x) then pg_catalog.lower(x)
  else pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(pg_catalog.translate(
    pg_catalog.regexp_replace(pg_catalog.lower(pg_catalog.normalize(x, 'NFKD')), '[\u0300-\u036f]', '', 'g'),
    'øłđðħıŧ', 'olddhit'), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th') end;
grant execute on function kernel.fold(text) to overture_user, overture_worker;

reset check_function_bodies;
-- end of generated
