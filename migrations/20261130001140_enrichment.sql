-- enrichment: which providers are asked in which order, runs over many contacts, what was found and where it came from, the cache.
-- owner: modules/enrichment   breaking: no   locks: none (new objects only)

create table public.enrichment_sources (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  -- What is asked: a person's data, a company's, whether an e-mail address takes messages.
  kind text not null check (kind in ('person', 'company', 'email')),
  connection_id uuid not null,
  position int not null check (position between 1 and 100),
  is_enabled boolean not null default true,
  -- The fields taken from it; null: all it gives.
  fields text[] check (cardinality(fields) between 1 and 60),
  -- What the team pays for a unit, in millionths of a US dollar; null: the provider's list price.
  unit_micros bigint check (unit_micros between 0 and 1000000000),
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  unique (tenant_id, kind, connection_id),
  constraint enrichment_sources_order unique (tenant_id, kind, position) deferrable initially deferred,
  foreign key (tenant_id, connection_id) references public.connections (tenant_id, id) on delete cascade
);
comment on table public.enrichment_sources is 'The waterfall: providers of a kind in the order in which they are asked, each only for what is still missing.';
select kernel.protect('public.enrichment_sources', write => 'admin');

create table public.enrichment_runs (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  name text not null check (length(btrim(name)) between 1 and 120),
  -- Whom: {"list_id"} | {"segment_id"} | {"filter"} | {"contact_ids"}.
  source jsonb not null check (jsonb_typeof(source) = 'object'),
  -- Wanted fields; null: all that the sources give.
  fields text[] check (cardinality(fields) between 1 and 60),
  -- Ask again for what is known, and past the cache.
  refresh boolean not null default false,
  -- Contacts with a lower warmth score are left out; null: nobody is.
  min_score int check (min_score between 0 and 100),
  concurrency int not null default 10 check (concurrency between 1 and 50),
  contact_cap_micros bigint not null check (contact_cap_micros >= 0),
  status text not null default 'preparing' check (status in ('preparing', 'running', 'done', 'stopped')),
  stop_reason text check (length(stop_reason) <= 60),
  -- Taking in: the last contact that was.
  cursor uuid,
  total int not null default 0,
  complete int not null default 0,
  partial int not null default 0,
  nothing int not null default 0,
  failed int not null default 0,
  filled int not null default 0,
  calls int not null default 0,
  cached int not null default 0,
  cost_micros bigint not null default 0,
  saved_micros bigint not null default 0,
  created_by text not null default '',
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  finished_at timestamptz,
  primary key (tenant_id, id)
);
comment on table public.enrichment_runs is 'A waterfall over many contacts. Counters and items commit together.';
create index enrichment_runs_by_created on public.enrichment_runs (tenant_id, created_at desc, id desc);
select kernel.protect('public.enrichment_runs');

create table public.enrichment_items (
  tenant_id uuid not null,
  run_id uuid not null,
  contact_id uuid not null,
  state text not null default 'waiting' check (state in ('waiting', 'working', 'done')),
  -- complete: everything wanted is known. partial: some of it. nothing: none was found. failed: given up after several
  -- tries.
  outcome text check (outcome in ('complete', 'partial', 'nothing', 'failed')),
  reason text check (length(reason) <= 60),
  -- What this run filled, and what is still missing.
  filled text[] not null default '{}',
  missing text[] not null default '{}',
  cost_micros bigint not null default 0,
  saved_micros bigint not null default 0,
  attempts int not null default 0,
  lease_until timestamptz,
  finished_at timestamptz,
  primary key (tenant_id, run_id, contact_id),
  check ((state = 'done') = (outcome is not null)),
  foreign key (tenant_id, run_id) references public.enrichment_runs (tenant_id, id) on delete cascade,
  foreign key (tenant_id, contact_id) references public.contacts (tenant_id, id) on delete cascade
);
comment on table public.enrichment_items is 'A contact of a run: its place in the queue and what came of it.';
create index enrichment_items_open on public.enrichment_items (tenant_id, run_id, contact_id) where state <> 'done';
create index enrichment_items_by_outcome on public.enrichment_items (tenant_id, run_id, outcome, contact_id) where state = 'done';
create index enrichment_items_by_contact on public.enrichment_items (tenant_id, contact_id);
select kernel.protect('public.enrichment_items', broadcast => false);

create table public.enriched_values (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  -- Whose: one of the two.
  contact_id uuid,
  company_id uuid,
  field text not null check (field ~ '^[a-z][a-z0-9_]{1,39}$'),
  value jsonb not null,
  provider text not null check (length(provider) <= 60),
  connection_id uuid,
  -- Per cent, by the formula in docs/concepts/enrichment.md.
  confidence int not null check (confidence between 0 and 100),
  -- used: it stands in the contact or company. known: the same as, or less certain than, what stands there. offered: what stands there was
  -- entered by a person and differs, so a person decides. rejected: a person said no.
  state text not null check (state in ('used', 'known', 'offered', 'rejected')),
  -- When the provider last saw it, as far as it says; and when it was fetched.
  seen_at timestamptz,
  fetched_at timestamptz not null default kernel.now(),
  run_id uuid,
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  check ((contact_id is null) <> (company_id is null)),
  constraint enriched_values_of_contact unique (tenant_id, contact_id, field, provider),
  constraint enriched_values_of_company unique (tenant_id, company_id, field, provider),
  foreign key (tenant_id, contact_id) references public.contacts (tenant_id, id) on delete cascade,
  foreign key (tenant_id, company_id) references public.companies (tenant_id, id) on delete cascade
);
comment on table public.enriched_values is 'What providers said of a contact or company, a row per field and provider: the provenance of enriched data.';
create index enriched_values_by_provider on public.enriched_values (tenant_id, provider, field);
select kernel.protect('public.enriched_values');

create table public.enrichment_cache (
  tenant_id uuid not null,
  connection_id uuid not null,
  kind text not null,
  -- SHA-256 of the tenant and the question in normal form: no address of a person stands in it.
  key bytea not null check (octet_length(key) = 32),
  -- Null: the provider has no answer.
  found jsonb,
  units numeric(14, 4) not null default 0,
  fetched_at timestamptz not null default kernel.now(),
  expires_at timestamptz not null,
  primary key (tenant_id, connection_id, kind, key),
  foreign key (tenant_id, connection_id) references public.connections (tenant_id, id) on delete cascade
);
comment on table public.enrichment_cache is 'Answers of providers, per team, so that the same question is paid once in 30 days; companies by domain.';
create index enrichment_cache_by_expiry on public.enrichment_cache (expires_at);
select kernel.protect('public.enrichment_cache', read => 'member', broadcast => false);

select kernel.create_queue('enrichment_run');
select kernel.create_queue('enrichment_new');
