-- billing: what every call that costs money did cost, and the budgets that stop it.
-- owner: modules/billing   breaking: no   locks: none (new objects only)

-- The ledger: a row for every question put to a provider that charges, also when it found nothing or was answered from the cache. Rows
-- outlive what they name, so contact, campaign and run are no foreign keys.
create table public.costs (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  at timestamptz not null default kernel.now(),
  kind text not null check (kind ~ '^[a-z][a-z0-9_]{1,39}$'),
  -- reserved: the call is about to be made or under way. settled: its price is known. unknown: its answer was lost; it counts as reserved.
  state text not null default 'reserved' check (state in ('reserved', 'settled', 'unknown')),
  -- What came of it: found, miss, cached, refused, …
  outcome text check (length(outcome) <= 40),
  provider text not null check (length(provider) <= 60),
  connection_id uuid,
  contact_id uuid,
  campaign_id uuid,
  run_id uuid,
  -- Units of the provider's own account, such as credits.
  units numeric(14, 4) not null default 0 check (units >= 0),
  -- Millionths of a US dollar.
  reserved_micros bigint not null check (reserved_micros >= 0),
  amount_micros bigint not null check (amount_micros >= 0),
  -- What the answer would have cost without the cache.
  saved_micros bigint not null default 0 check (saved_micros >= 0),
  latency_ms int check (latency_ms >= 0),
  detail text not null default '' check (length(detail) <= 300),
  settled_at timestamptz,
  primary key (tenant_id, id),
  check ((state = 'reserved') = (settled_at is null))
);
comment on table public.costs is 'The cost ledger. Written by private.reserve_costs and private.settle_costs alone; never changed once settled.';
create index costs_by_time on public.costs (tenant_id, at desc, id desc);
create index costs_by_contact on public.costs (tenant_id, contact_id, at desc, id desc) where contact_id is not null;
create index costs_by_run on public.costs (tenant_id, run_id, at desc, id desc) where run_id is not null;
create index costs_open on public.costs (at) where state = 'reserved';
select kernel.protect('public.costs', write => null, broadcast => false);

create table public.budgets (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  scope text not null check (scope in ('day', 'month', 'campaign', 'run')),
  -- The campaign or run; for day and month, which are the whole team's, zeros.
  scope_id uuid not null default '00000000-0000-0000-0000-000000000000',
  cap_micros bigint not null check (cap_micros >= 0),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, scope, scope_id),
  check ((scope in ('day', 'month')) = (scope_id = '00000000-0000-0000-0000-000000000000'))
);
comment on table public.budgets is 'The most that may be spent; reserving before each call keeps to it. No row: no limit.';
select kernel.protect('public.budgets', write => 'admin', broadcast => false);

create table public.spending (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  scope text not null check (scope in ('day', 'month', 'campaign', 'run')),
  scope_id uuid not null default '00000000-0000-0000-0000-000000000000',
  -- The day, or the first day of the month, in UTC; the same date for scopes without an end.
  period date not null,
  -- Settled and reserved together.
  micros bigint not null default 0 check (micros >= 0),
  primary key (tenant_id, scope, scope_id, period)
);
comment on table public.spending is 'Sums of the ledger by what budgets limit, kept with it in one transaction.';
select kernel.protect('public.spending', write => null, broadcast => false);
