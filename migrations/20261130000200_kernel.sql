-- kernel: what belongs to the installation as a whole: clocks, settings, idempotency, limits, queues, schedules, samples.
-- owner: modules/kernel   breaking: no   locks: none (new objects only)

create table kernel.clock (
  only_row boolean primary key default true check (only_row),
  shift interval not null default '0'
);
comment on table kernel.clock is 'One row: how far kernel.now() runs ahead of the wall clock. Zero outside rehearsals.';
insert into kernel.clock default values;

-- The wall clock can be set an hour forward: a worker in the middle of a call then looks dead, and what it sends looks lost and is
-- sent again. Set back, it makes a provider's memory of a key look younger than it is. So time is counted here, from tick to tick:
--   slow never ran faster than real time, whatever the wall did: for leases, and for how long to wait before a search;
--   fast never ran slower: for how long a provider remembers.
-- Of a jump they show at most one step (slow) or none (fast). While nobody ticks, slow stands still: that costs patience only.
create table kernel.clocks (
  only_row boolean primary key default true check (only_row),
  wall timestamptz not null default pg_catalog.clock_timestamp(),
  slow timestamptz not null default pg_catalog.clock_timestamp(),
  fast timestamptz not null default pg_catalog.clock_timestamp()
);
comment on table kernel.clocks is 'One row: the two clocks at the last tick, and what the wall clock said then.';
insert into kernel.clocks default values;

create table kernel.settings (
  key text primary key,
  value jsonb not null,
  updated_at timestamptz not null default pg_catalog.now()
);
comment on table kernel.settings is 'Settings of the whole installation: tick (URL and key of functions/tick), claim, operator_tenant,
alerts (thresholds), backup, events_keep_months.';

create table kernel.idempotency (
  scope text not null, -- the tenant's id, or user:<id> for calls without a tenant
  key text not null check (length(key) between 1 and 255),
  operation text not null,
  request_hash text not null,
  -- Null while the first request still runs, at most until lease_until.
  status int,
  response jsonb,
  lease_until timestamptz,
  -- Counts who took the key over after a lease ended, so that a late answer of an earlier one is not kept.
  attempt int not null default 1,
  created_at timestamptz not null default pg_catalog.now(),
  primary key (scope, key),
  constraint idempotency_running check ((status is null) = (lease_until is not null))
);
comment on table kernel.idempotency is 'Answers by Idempotency-Key, written in the transaction of the effect, kept 24 hours.';
create index idempotency_by_age on kernel.idempotency (created_at);

create unlogged table kernel.buckets (
  key text primary key,
  tokens double precision not null,
  at timestamptz not null,
  -- No tokens before this moment, because a provider told us to wait.
  blocked_until timestamptz
);
comment on table kernel.buckets is 'Token buckets, one per limit and owner. Unlogged: after a crash every bucket is simply full again.';

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
create index dead_letters_newest on kernel.dead_letters (tenant_id, id desc);
create index dead_letters_by_queue on kernel.dead_letters (queue, id);

create table kernel.queues (
  name text primary key check (name ~ '^[a-z][a-z0-9_]{0,46}$'),
  created_at timestamptz not null default pg_catalog.now()
);
comment on table kernel.queues is 'The queues the product made, apart from any other pgmq queue of the installation.';

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

-- Each process adds what it measured, a few rows per statement; rows of one minute merge, so their number depends on the
-- minutes and the names, never on the requests. Buckets are counts, so percentiles can be merged too.

create table kernel.samples (
  span text not null check (span in ('minute', 'hour', 'total')),
  at timestamptz not null,
  -- http: seconds per route group. query: seconds per database round trip. pool: share of the pool in use.
  kind text not null check (kind in ('http', 'query', 'pool')),
  name text not null check (length(name) <= 60),
  n bigint not null,
  errors bigint not null,
  total double precision not null,
  buckets bigint[] not null,
  primary key (span, at, kind, name)
) with (fillfactor = 70);
comment on table kernel.samples is 'What the processes measured, per minute (2 days), per hour (40 days) and ever. Merged over processes.';

create table kernel.subscriptions (
  fact text not null check (fact ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$'),
  queue text not null references kernel.queues (name) on delete cascade,
  primary key (fact, queue)
);
comment on table kernel.subscriptions is 'Which queues are told of which facts. Written at install from the modules that are on.';
