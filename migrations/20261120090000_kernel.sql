-- kernel: what every module stands on — clock, ids, roles, the tenant wall, queues, schedules, limits, secrets of the installation.
-- owner: modules/kernel   breaking: no   locks: none (new objects only)

create schema kernel;
create schema private;
create schema analytics;
comment on schema kernel is 'Internals shared by all modules: tenancy wall, queues, schedules, limits. Not exposed by the REST API.';
comment on schema private is 'SQL functions of the modules: one-statement claims and set-based writes. Not exposed by the REST API.';
comment on schema analytics is 'Read-only views for analysts.';

create extension if not exists pgmq;

-- New functions are private until granted. (Postgres knows this default only per role, not per schema.)
alter default privileges revoke execute on functions from public;

-- Roles -------------------------------------------------------------------------------------------------------------------
-- overture_worker: jobs, API keys, webhooks. Sees the tenant named by app.tenant_id, nothing without it.
-- overture_user: the API on behalf of a signed-in person. Tenant and membership role are both checked.
-- Neither bypasses row-level security. They log in only where the installation gives them a password.
do $$
begin
  if not exists (select from pg_roles where rolname = 'overture_user') then create role overture_user nologin; end if;
  if not exists (select from pg_roles where rolname = 'overture_worker') then create role overture_worker nologin; end if;
end $$;
-- With set but without inherit a session must choose its role: a forgotten choice fails instead of adding up privileges.
alter role overture_worker noinherit;
grant overture_user to overture_worker;
grant overture_user, overture_worker to postgres;

grant usage on schema kernel, private to overture_user, overture_worker;
grant usage on schema kernel to authenticated; -- policies call kernel.my_tenants()
grant usage on schema public to overture_user, overture_worker;

-- Clock and ids -----------------------------------------------------------------------------------------------------------

create table kernel.clock (
  only_row boolean primary key default true check (only_row),
  shift interval not null default '0'
);
comment on table kernel.clock is 'One row: how far kernel.now() runs ahead of the wall clock. Zero outside rehearsals.';
insert into kernel.clock default values;

-- The one clock of the product. Transaction time like now(), so that everything written together carries one instant.
create function kernel.now() returns timestamptz
language sql stable security definer set search_path = '' as $$
  select pg_catalog.now() + (select c.shift from kernel.clock c)
$$;

-- UUIDv7 (RFC 9562): 48 bits of unix milliseconds, then random. The real clock, so that ids keep their order in rehearsals.
create function kernel.uuid7() returns uuid
language sql volatile parallel safe set search_path = '' as $$
  select pg_catalog.encode(
    pg_catalog.set_bit(pg_catalog.set_bit(
      overlay(pg_catalog.uuid_send(pg_catalog.gen_random_uuid())
        placing pg_catalog.substring(pg_catalog.int8send((extract(epoch from pg_catalog.clock_timestamp()) * 1000)::bigint), 3) from 1 for 6),
      52, 1), 53, 1), 'hex')::uuid
$$;

-- Installation ------------------------------------------------------------------------------------------------------------

create table kernel.settings (
  key text primary key,
  value jsonb not null,
  updated_at timestamptz not null default pg_catalog.now()
);
comment on table kernel.settings is 'Settings of the whole installation, written at install: product name, URL of the functions, claim.';

-- Tenants and members are the wall itself, so they stand here; modules/tenancy owns their behaviour. --------------------------

create table public.tenants (
  id uuid primary key default kernel.uuid7(),
  name text not null check (length(btrim(name)) between 1 and 120),
  slug text not null unique check (slug ~ '^[a-z0-9](-?[a-z0-9]+)*$' and length(slug) <= 60),
  tier text not null default 'self_hosted' check (length(tier) <= 40),
  settings jsonb not null default '{}' check (jsonb_typeof(settings) = 'object'),
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now()
);
comment on table public.tenants is 'A team. Everything else belongs to one. Written only by modules/tenancy.';

create table public.members (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  user_id uuid not null,
  role text not null check (role in ('owner', 'admin', 'member', 'approver', 'viewer')),
  email text not null,
  name text not null default '',
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, user_id)
);
comment on table public.members is 'Who belongs to a team, and as what. user_id is auth.users.id; e-mail and name are copies for lists.';
create index members_by_user on public.members (user_id, tenant_id);

create function kernel.role_rank(role text) returns int
language sql immutable parallel safe set search_path = '' as $$
  select case role when 'viewer' then 1 when 'approver' then 2 when 'member' then 3 when 'admin' then 4 when 'owner' then 5 end
$$;

-- The tenants the signed-in person belongs to with at least this role. Definer, because members has policies of its own.
-- Used as `tenant_id = any(array(select kernel.my_tenants('member')))`, which Postgres evaluates once per query.
create function kernel.my_tenants(min_role text default 'viewer') returns setof uuid
language sql stable security definer set search_path = '' rows 3 as $$
  select m.tenant_id from public.members m
  where m.user_id = (nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid
    and kernel.role_rank(m.role) >= kernel.role_rank(min_role)
$$;

-- The tenant this transaction works for, or null. Set only with set_config(..., true): a pooled connection cannot leak it.
create function kernel.tenant() returns uuid
language sql stable parallel safe set search_path = '' as $$
  select nullif(pg_catalog.current_setting('app.tenant_id', true), '')::uuid
$$;

-- Names the tenant for the rest of the transaction, for workers and for analysts' own scripts as the worker role.
create function kernel.set_tenant_context(tenant_id uuid) returns void
language sql volatile set search_path = '' as $$
  select pg_catalog.set_config('app.tenant_id', tenant_id::text, true)
$$;

-- updated_at and realtime -----------------------------------------------------------------------------------------------------

create function kernel.touch() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.updated_at := kernel.now();
  return new;
end $$;

-- One broadcast per statement and tenant, not per row: an import of 1,000 rows is one message of ids (the first 100).
-- Readers refetch through the API, so the payload carries no data that a policy would hide.
create function kernel.broadcast() returns trigger
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

-- The wall, in one line per table: RLS forced, policies, grants, updated_at, realtime.
--   read/write: least role of a signed-in person for the API; write => null leaves writing to jobs alone.
--   broadcast: whether changes are announced on the tenant's realtime topic (needs an id column).
create function kernel.protect(tbl regclass, read text default 'viewer', write text default 'member', broadcast boolean default true)
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
  execute format('create policy user_reads on %s for select to overture_user using (tenant_id = (select kernel.tenant()) and %s)', tbl, mine);
  execute format('create policy job on %s to overture_worker using (tenant_id = (select kernel.tenant())) with check (tenant_id = (select kernel.tenant()))', tbl);
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
    execute format('create trigger broadcast_insert after insert on %s referencing new table as changed for each statement execute function kernel.broadcast()', tbl);
    execute format('create trigger broadcast_update after update on %s referencing new table as changed for each statement execute function kernel.broadcast()', tbl);
    execute format('create trigger broadcast_delete after delete on %s referencing old table as changed for each statement execute function kernel.broadcast()', tbl);
  end if;
end $$;

-- Members and tenants are protected by hand: their own rows decide what the rest of the policies see.
alter table public.tenants enable row level security;
alter table public.tenants force row level security;
revoke all on public.tenants from public, anon, authenticated;
grant select on public.tenants to authenticated, overture_user, overture_worker;
grant update on public.tenants to overture_user, overture_worker;
create policy member_reads on public.tenants for select to authenticated, overture_user using (id = any(array(select kernel.my_tenants())));
create policy admin_updates on public.tenants for update to overture_user
  using (id = (select kernel.tenant()) and id = any(array(select kernel.my_tenants('admin'))))
  with check (id = (select kernel.tenant()) and id = any(array(select kernel.my_tenants('admin'))));
create policy job on public.tenants to overture_worker using (id = (select kernel.tenant())) with check (id = (select kernel.tenant()));
create trigger touch before update on public.tenants for each row execute function kernel.touch();

alter table public.members enable row level security;
alter table public.members force row level security;
revoke all on public.members from public, anon, authenticated;
grant select on public.members to authenticated;
grant select, insert, update, delete on public.members to overture_user, overture_worker;
create policy member_reads on public.members for select to authenticated, overture_user using (tenant_id = any(array(select kernel.my_tenants())));
create policy user_inserts on public.members for insert to overture_user
  with check (tenant_id = (select kernel.tenant()) and tenant_id = any(array(select kernel.my_tenants('admin'))));
create policy user_updates on public.members for update to overture_user
  using (tenant_id = (select kernel.tenant()) and tenant_id = any(array(select kernel.my_tenants('admin'))))
  with check (tenant_id = (select kernel.tenant()) and tenant_id = any(array(select kernel.my_tenants('admin'))));
-- A person may leave; an admin may remove.
create policy user_deletes on public.members for delete to overture_user
  using (tenant_id = (select kernel.tenant())
    and (user_id::text = nullif((select current_setting('request.jwt.claims', true)), '')::jsonb ->> 'sub'
      or tenant_id = any(array(select kernel.my_tenants('admin')))));
create policy job on public.members to overture_worker using (tenant_id = (select kernel.tenant())) with check (tenant_id = (select kernel.tenant()));
create trigger touch before update on public.members for each row execute function kernel.touch();

-- A team without an owner can be repaired by nobody. Deferred, so that ownership can be handed over in one transaction.
create function kernel.keep_an_owner() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if exists (select from public.tenants t where t.id = old.tenant_id)
     and not exists (select from public.members m where m.tenant_id = old.tenant_id and m.role = 'owner') then
    raise exception 'a team needs at least one owner' using errcode = 'check_violation', constraint = 'members_keep_an_owner';
  end if;
  return null;
end $$;
create constraint trigger keep_an_owner after update or delete on public.members
  deferrable initially deferred for each row when (old.role = 'owner') execute function kernel.keep_an_owner();

-- Realtime: a member may listen to the team's topic `tenant:<id>`; only the database sends on it. ------------------------------

create policy members_listen on realtime.messages for select to authenticated
  using (extension in ('broadcast', 'presence')
    and (select realtime.topic()) = any(array(select 'tenant:' || t from kernel.my_tenants() t)));

-- Audit ---------------------------------------------------------------------------------------------------------------------

create table public.audit_log (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  at timestamptz not null default kernel.now(),
  actor_kind text not null check (actor_kind in ('user', 'api_key', 'job', 'webhook', 'agent')),
  actor_id text not null,
  action text not null,
  target text,
  request_id text,
  detail jsonb not null default '{}',
  primary key (tenant_id, id)
);
comment on table public.audit_log is 'Who did what, written by the kernel in the transaction of the act. Append-only: nobody has update or delete.';
create index audit_log_by_action on public.audit_log (tenant_id, action, id desc);
select kernel.protect('public.audit_log', read => 'admin', write => null, broadcast => false);
grant insert on public.audit_log to overture_user;
create policy user_writes on public.audit_log for insert to overture_user
  with check (tenant_id = (select kernel.tenant()) and tenant_id = any(array(select kernel.my_tenants())));
revoke update, delete on public.audit_log from overture_worker;

-- Idempotency ---------------------------------------------------------------------------------------------------------------

create table kernel.idempotency (
  scope text not null, -- the tenant's id, or the caller's address for calls without a tenant
  key text not null check (length(key) between 1 and 255),
  operation text not null,
  request_hash text not null,
  status int not null,
  response jsonb,
  created_at timestamptz not null default pg_catalog.now(),
  primary key (scope, key)
);
comment on table kernel.idempotency is 'Answers by Idempotency-Key, written in the transaction of the effect, kept 24 hours.';
create index idempotency_by_age on kernel.idempotency (created_at);

-- An earlier answer for this key, or running = true while the first request holds its lock. The lock lasts for the transaction.
create function kernel.idempotency_begin(scope text, key text)
returns table (running boolean, operation text, request_hash text, status int, response jsonb)
language plpgsql volatile security definer set search_path = '' as $$
begin
  if not pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('idempotency:' || scope || ':' || key, 0)) then
    return query select true, null::text, null::text, null::int, null::jsonb;
    return;
  end if;
  return query select false, i.operation, i.request_hash, i.status, i.response
    from kernel.idempotency i
    where i.scope = idempotency_begin.scope and i.key = idempotency_begin.key and i.created_at > pg_catalog.now() - interval '24 hours';
end $$;

create function kernel.idempotency_keep(scope text, key text, operation text, request_hash text, status int, response jsonb) returns void
language sql volatile security definer set search_path = '' as $$
  insert into kernel.idempotency as i (scope, key, operation, request_hash, status, response)
  values (scope, key, operation, request_hash, status, response)
  on conflict on constraint idempotency_pkey do update
    set operation = excluded.operation, request_hash = excluded.request_hash, status = excluded.status,
        response = excluded.response, created_at = pg_catalog.now()
$$;

-- Limits --------------------------------------------------------------------------------------------------------------------

create unlogged table kernel.buckets (
  key text primary key,
  tokens double precision not null,
  at timestamptz not null
);
comment on table kernel.buckets is 'Token buckets, one per limit and owner. Unlogged: after a crash every bucket is simply full again.';

-- Takes n tokens, or none. Returns how many are left and how many seconds until n are there (0 when taken).
-- `at` in the future means the bucket is blocked until then (a provider told us to wait).
create function kernel.take_tokens(bucket text, capacity double precision, per_second double precision, n double precision default 1)
returns table (taken boolean, remaining double precision, retry_after double precision)
language plpgsql volatile security definer set search_path = '' as $$
declare
  ts timestamptz := pg_catalog.clock_timestamp();
  b kernel.buckets;
  level double precision;
begin
  insert into kernel.buckets as k (key, tokens, at) values (bucket, capacity, ts) on conflict (key) do nothing;
  select * into b from kernel.buckets k where k.key = bucket for update;
  -- Read after the wait for the row: an older reading would take somebody else's last use for a block.
  ts := pg_catalog.clock_timestamp();
  level := least(capacity, b.tokens + greatest(0, extract(epoch from ts - b.at)) * per_second);
  if b.at > ts then
    return query select false, 0::double precision, extract(epoch from b.at - ts)::double precision;
  elsif level >= n then
    update kernel.buckets k set tokens = level - n, at = ts where k.key = bucket;
    return query select true, level - n, 0::double precision;
  else
    return query select false, level, ((n - level) / per_second)::double precision;
  end if;
end $$;

-- Empties a bucket until a moment: the provider's Retry-After outranks our own arithmetic.
create function kernel.block_bucket(bucket text, seconds double precision) returns void
language sql volatile security definer set search_path = '' as $$
  insert into kernel.buckets as k (key, tokens, at)
  values (bucket, 0, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => seconds))
  on conflict (key) do update set tokens = 0, at = greatest(k.at, excluded.at)
$$;

-- Queues --------------------------------------------------------------------------------------------------------------------

create table kernel.dead_letters (
  id uuid primary key default kernel.uuid7(),
  queue text not null,
  tenant_id uuid,
  message jsonb not null,
  reason text not null,
  attempts int not null,
  enqueued_at timestamptz not null,
  died_at timestamptz not null default pg_catalog.now()
);
comment on table kernel.dead_letters is 'Messages no retry can help, with the reason. Requeued or purged by a person.';
create index dead_letters_by_tenant on kernel.dead_letters (tenant_id, queue, id);
create index dead_letters_by_queue on kernel.dead_letters (queue, id);

create table kernel.queues (
  name text primary key check (name ~ '^[a-z][a-z0-9_]{0,46}$'),
  created_at timestamptz not null default pg_catalog.now()
);
comment on table kernel.queues is 'The queues the product made, apart from any other pgmq queue of the installation.';

-- Every read updates vt, an indexed column, so there are no HOT updates: free space and an eager vacuum keep the queue fast.
create function kernel.create_queue(name text) returns void
language plpgsql set search_path = '' as $$
begin
  if exists (select from kernel.queues q where q.name = create_queue.name) then return; end if;
  if not exists (select from pgmq.list_queues() l where l.queue_name = create_queue.name) then
    perform pgmq.create(create_queue.name);
  end if;
  execute pg_catalog.format('alter table pgmq.q_%s set (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 50, autovacuum_vacuum_cost_delay = 2, autovacuum_analyze_scale_factor = 0.05)', create_queue.name);
  execute pg_catalog.format('alter table pgmq.q_%s enable row level security', create_queue.name);
  execute pg_catalog.format('alter table pgmq.a_%s enable row level security', create_queue.name);
  insert into kernel.queues (name) values (create_queue.name);
end $$;

-- Puts messages on a queue in the caller's transaction: the outbox. Wakes workers at commit.
-- A caller inside a tenant may only enqueue for that tenant.
create function kernel.enqueue(queue text, messages jsonb[], delay_seconds int default 0) returns setof bigint
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
  return query select s from pgmq.send_batch(queue, messages, delay_seconds) s;
  if delay_seconds <= 0 then perform pg_catalog.pg_notify('kernel_queue', queue); end if;
end $$;

-- Reads a batch for a consumer. Only the worker role may; the messages name their tenants.
create function kernel.dequeue(queue text, visibility_seconds int, quantity int)
returns table (msg_id bigint, read_ct int, enqueued_at timestamptz, message jsonb)
language sql volatile security definer set search_path = '' as $$
  select r.msg_id, r.read_ct, r.enqueued_at, r.message from pgmq.read(queue, visibility_seconds, quantity) r
$$;

-- Settles a batch in one statement. outcomes: [{"msg_id":1,"kind":"done"} | {"kind":"retry","in":8} | {"kind":"dead","reason":"…"}]
-- A dead letter is copied and removed together, so nothing is lost between the two.
create function kernel.settle(queue text, outcomes jsonb) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  if not exists (select from kernel.queues q where q.name = queue) then
    raise exception 'no such queue: %', queue using errcode = 'invalid_parameter_value';
  end if;
  -- Nearly always everything went well, and planning the long statement would cost as much as running it.
  if not exists (select from pg_catalog.jsonb_array_elements(outcomes) e where e ->> 'kind' is distinct from 'done') then
    execute pg_catalog.format('delete from pgmq.q_%s where msg_id = any($1)', queue)
      using array(select (e ->> 'msg_id')::bigint from pg_catalog.jsonb_array_elements(outcomes) e);
    return;
  end if;
  execute pg_catalog.format($q$
    with o as (
      select (e ->> 'msg_id')::bigint as msg_id, e ->> 'kind' as kind, e ->> 'reason' as reason, coalesce((e ->> 'in')::double precision, 0) as delay
      from pg_catalog.jsonb_array_elements($1) e
    ), later as (
      update pgmq.q_%1$s q set vt = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => o.delay)
      from o where q.msg_id = o.msg_id and o.kind = 'retry'
    ), gone as (
      delete from pgmq.q_%1$s q using o where q.msg_id = o.msg_id and o.kind in ('done', 'dead')
      returning q.read_ct, q.enqueued_at, q.message, o.kind, o.reason
    )
    insert into kernel.dead_letters (queue, tenant_id, message, reason, attempts, enqueued_at)
    select %1$L, case when g.message ->> 'tenant_id' ~ '^[0-9a-fA-F-]{36}$' then (g.message ->> 'tenant_id')::uuid end,
           g.message, coalesce(g.reason, 'no reason given'), g.read_ct, g.enqueued_at
    from gone g where g.kind = 'dead'
  $q$, queue) using outcomes;
end $$;

-- Keeps messages invisible while a slow handler still works on them.
create function kernel.extend_visibility(queue text, ids bigint[], seconds int) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  if not exists (select from kernel.queues q where q.name = queue) then
    raise exception 'no such queue: %', queue using errcode = 'invalid_parameter_value';
  end if;
  execute pg_catalog.format('update pgmq.q_%s set vt = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $2) where msg_id = any($1)', queue)
    using ids, seconds;
end $$;

-- Depth and age per queue, for health, metrics and the console.
create function kernel.queue_metrics()
returns table (queue text, waiting bigint, visible bigint, oldest_seconds int, total bigint, dead bigint)
language sql stable security definer set search_path = '' as $$
  select q.name, m.queue_length, m.queue_visible_length, coalesce(m.oldest_msg_age_sec, 0), m.total_messages,
         (select pg_catalog.count(*) from kernel.dead_letters d where d.queue = q.name)
  from kernel.queues q cross join lateral pgmq.metrics(q.name) m
  order by q.name
$$;

-- Dead letters of the current tenant. With kernel.tenant() unset nothing is returned.
create function kernel.list_dead_letters(queue text, before uuid, quantity int)
returns table (id uuid, queue_name text, message jsonb, reason text, attempts int, enqueued_at timestamptz, died_at timestamptz)
language sql stable security definer set search_path = '' as $$
  select d.id, d.queue, d.message, d.reason, d.attempts, d.enqueued_at, d.died_at
  from kernel.dead_letters d
  where d.tenant_id = kernel.tenant() and (list_dead_letters.queue is null or d.queue = list_dead_letters.queue)
    and (before is null or d.id < before)
  order by d.id desc limit quantity
$$;

-- Puts the current tenant's dead letters back on their queues. Removed and sent in one transaction.
create function kernel.requeue_dead_letters(ids uuid[]) returns int
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

create function kernel.purge_dead_letters(ids uuid[]) returns int
language sql volatile security definer set search_path = '' as $$
  with gone as (delete from kernel.dead_letters d where d.id = any(ids) and d.tenant_id = kernel.tenant() returning 1)
  select pg_catalog.count(*)::int from gone
$$;

-- Schedules -----------------------------------------------------------------------------------------------------------------

create table kernel.schedules (
  name text primary key,
  cron text not null,
  command text not null,
  expected_seconds int not null,
  -- When it was last registered, at install and at every start: a schedule is not late because the product was off.
  registered_at timestamptz not null default pg_catalog.now(),
  last_started_at timestamptz,
  last_finished_at timestamptz,
  last_error text,
  runs bigint not null default 0,
  skipped bigint not null default 0
);
comment on table kernel.schedules is 'What pg_cron runs for us, with the last run of each. command is fixed SQL written by the kernel at install.';

-- Runs one schedule unless the previous run still holds its lock. An error is recorded, never raised: pg_cron's log is not read.
create function kernel.run_schedule(schedule text) returns void
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
    update kernel.schedules set last_started_at = pg_catalog.now(), last_finished_at = pg_catalog.clock_timestamp(), last_error = null, runs = runs + 1 where name = schedule;
  exception when others then
    update kernel.schedules set last_started_at = pg_catalog.now(), last_finished_at = pg_catalog.clock_timestamp(), last_error = sqlerrm, runs = runs + 1 where name = schedule;
  end;
end $$;

-- Makes pg_cron hold exactly the schedules given: [{"name","cron","command","seconds"}]. Idempotent; stale ones are unscheduled.
-- pg_cron before 1.5 (it calls itself 1.4-1) has no seconds; there the shortest period is a minute.
create function kernel.register_schedules(wanted jsonb) returns void
language plpgsql volatile set search_path = '' as $$
declare
  s record;
  seconds_ok boolean := coalesce((select pg_catalog.regexp_match(e.extversion, '^(\d+)\.(\d+)')::int[] >= array[1, 5] from pg_catalog.pg_extension e where e.extname = 'pg_cron'), true);
begin
  for s in select k.name from kernel.schedules k where not exists (select from pg_catalog.jsonb_array_elements(wanted) w where w ->> 'name' = k.name) loop
    perform cron.unschedule(j.jobid) from cron.job j where j.jobname = 'overture.' || s.name;
    delete from kernel.schedules k where k.name = s.name;
  end loop;
  for s in select w ->> 'name' as name, w ->> 'cron' as cron, w ->> 'command' as command, (w ->> 'seconds')::int as seconds from pg_catalog.jsonb_array_elements(wanted) w loop
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

create function kernel.schedule_health()
returns table (name text, cron text, last_started_at timestamptz, last_finished_at timestamptz, last_error text, runs bigint, skipped bigint, lag_seconds double precision, late boolean)
language sql stable security definer set search_path = '' as $$
  select s.name, s.cron, s.last_started_at, s.last_finished_at, s.last_error, s.runs, s.skipped,
         extract(epoch from pg_catalog.now() - s.last_started_at)::double precision,
         pg_catalog.now() - greatest(s.last_started_at, s.registered_at) > pg_catalog.make_interval(secs => s.expected_seconds * 3 + 60)
  from kernel.schedules s order by s.name
$$;

-- Wakes the functions over HTTP where no long-lived worker runs. Does nothing until the installation names its URL.
create function kernel.wake_functions() returns void
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

-- The newest applied migration whose header says that older code does not survive it; empty when there is none.
create function kernel.breaking_version() returns text
language plpgsql stable security definer set search_path = '' as $$
begin
  return coalesce((select pg_catalog.max(m.version) from supabase_migrations.schema_migrations m where m.statements[1] ~ '(?n)^--.*\mbreaking:\s*yes\M'), '');
end $$;

-- Housekeeping of the kernel's own tables.
create function kernel.prune() returns void
language sql volatile set search_path = '' as $$
  delete from kernel.idempotency i where i.created_at < pg_catalog.now() - interval '24 hours';
  delete from kernel.buckets b where b.at < pg_catalog.now() - interval '1 day';
  delete from cron.job_run_details d where d.end_time < pg_catalog.now() - interval '2 days';
$$;

-- Grants: what the two roles may call. Everything else in kernel stays with postgres. ----------------------------------------

revoke all on all functions in schema kernel from public;
grant execute on function kernel.now(), kernel.uuid7(), kernel.tenant(), kernel.my_tenants(text), kernel.role_rank(text)
  to authenticated, overture_user, overture_worker;
grant execute on function kernel.touch(), kernel.broadcast() to overture_user, overture_worker;
grant execute on function kernel.set_tenant_context(uuid) to overture_worker;
grant execute on function
  kernel.idempotency_begin(text, text), kernel.idempotency_keep(text, text, text, text, int, jsonb),
  kernel.take_tokens(text, double precision, double precision, double precision), kernel.block_bucket(text, double precision),
  kernel.enqueue(text, jsonb[], int), kernel.list_dead_letters(text, uuid, int), kernel.requeue_dead_letters(uuid[]),
  kernel.purge_dead_letters(uuid[]), kernel.queue_metrics(), kernel.schedule_health()
  to overture_user, overture_worker;
grant execute on function kernel.breaking_version(), kernel.dequeue(text, int, int), kernel.settle(text, jsonb), kernel.extend_visibility(text, bigint[], int) to overture_worker;

