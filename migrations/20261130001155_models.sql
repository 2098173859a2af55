-- models: which language models a team uses and what they cost, rules that choose one, every call, kept answers, versions of prompts.
-- owner: modules/models   breaking: no   locks: none (new objects only)

create table public.models (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  -- What code and rules call it; several rows of one alias are asked in their order, each when the one before cannot answer.
  alias text not null check (alias ~ '^[a-z][a-z0-9_]{0,39}$'),
  position int not null check (position between 1 and 100),
  connection_id uuid not null,
  -- As the provider names it.
  model text not null check (length(model) between 1 and 200),
  is_enabled boolean not null default true,
  -- Millionths of a US dollar for a million tokens. written: what goes into the provider's cache, cached: what comes out of it.
  input_micros bigint not null check (input_micros between 0 and 10000000000),
  output_micros bigint not null check (output_micros between 0 and 10000000000),
  cached_micros bigint not null check (cached_micros between 0 and 10000000000),
  written_micros bigint not null check (written_micros between 0 and 10000000000),
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  unique (tenant_id, connection_id, alias, model),
  constraint models_order unique (tenant_id, alias, position) deferrable initially deferred,
  foreign key (tenant_id, connection_id) references public.connections (tenant_id, id) on delete cascade
);
comment on table public.models is 'Aliases of language models, with the order of vendors and the prices that calls are reserved and settled at.';
select kernel.protect('public.models', write => 'admin', broadcast => false);

create table public.model_rules (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  position int not null check (position between 1 and 100),
  fact text not null check (fact in ('company_employees', 'deal_value', 'campaign_tier')),
  -- Numbers: strictly greater.
  above numeric(14, 2),
  -- Texts: the same, whatever the case.
  equals text check (length(equals) between 1 and 40),
  alias text not null check (alias ~ '^[a-z][a-z0-9_]{0,39}$'),
  -- Ask the provider to keep the stable part of the prompt.
  cache boolean not null,
  primary key (tenant_id, id),
  constraint model_rules_order unique (tenant_id, position) deferrable initially deferred,
  check ((above is null) <> (equals is null)),
  check ((fact = 'campaign_tier') = (equals is not null))
);
comment on table public.model_rules is 'When a better model is used: the first rule that holds decides. Without a row in model_routing the rules of the code hold.';
select kernel.protect('public.model_rules', write => 'admin', broadcast => false);

create table public.model_routing (
  tenant_id uuid primary key references public.tenants (id) on delete cascade,
  default_alias text not null check (default_alias ~ '^[a-z][a-z0-9_]{0,39}$'),
  default_cache boolean not null,
  -- The most that rules may send to other aliases, in per cent of the latest calls; null: no limit.
  share_cap int check (share_cap between 0 and 100),
  updated_at timestamptz not null default kernel.now()
);
comment on table public.model_routing is 'What is used when no rule holds, and how much the rules may send elsewhere.';
select kernel.protect('public.model_routing', write => 'admin', broadcast => false);

create table public.model_calls (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  -- The same as the entry of the ledger.
  id uuid not null,
  at timestamptz not null default kernel.now(),
  -- Rows outlive what they name, so run, contact and campaign are no foreign keys.
  run_id uuid not null,
  contact_id uuid,
  campaign_id uuid,
  node text not null check (length(node) between 1 and 60),
  prompt_version text not null check (length(prompt_version) <= 80),
  alias text not null check (length(alias) <= 40),
  -- Why this alias: rule, default, chosen, …
  route text not null check (length(route) <= 60),
  provider text not null check (length(provider) <= 60),
  connection_id uuid,
  model text not null check (length(model) <= 200),
  -- Asks again for an answer that did not fit its form.
  is_repair boolean not null default false,
  -- Null: under way.
  outcome text check (outcome in ('completed', 'cached', 'invalid', 'length', 'declined', 'refused', 'retry', 'unknown', 'broken', 'lost')),
  -- As the vendor counts. tokens_in is all that was read; tokens_cached and tokens_written are parts of it.
  tokens_in int not null default 0 check (tokens_in >= 0),
  tokens_cached int not null default 0 check (tokens_cached >= 0),
  tokens_written int not null default 0 check (tokens_written >= 0),
  tokens_out int not null default 0 check (tokens_out >= 0),
  cost_micros bigint not null default 0 check (cost_micros >= 0),
  saved_micros bigint not null default 0 check (saved_micros >= 0),
  latency_ms int check (latency_ms >= 0),
  detail text not null default '' check (length(detail) <= 300),
  primary key (tenant_id, id)
);
comment on table public.model_calls is 'Every call of a language model. Written with the ledger by private.begin_model_call and private.end_model_call alone.';
create index model_calls_by_time on public.model_calls (tenant_id, at desc, id desc);
create index model_calls_by_run on public.model_calls (tenant_id, run_id, at desc, id desc);
create index model_calls_by_contact on public.model_calls (tenant_id, contact_id, at desc, id desc) where contact_id is not null;
create index model_calls_open on public.model_calls (at) where outcome is null;
select kernel.protect('public.model_calls', write => null, broadcast => false);

create table public.model_cache (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  -- SHA-256 of the tenant, the model and the whole request: no text of it stands in the key.
  key bytea not null check (octet_length(key) = 32),
  answer text not null,
  -- What the answer did cost when it was made.
  cost_micros bigint not null check (cost_micros >= 0),
  -- About whom it is: it is deleted with the contact.
  contact_id uuid,
  fetched_at timestamptz not null default kernel.now(),
  expires_at timestamptz not null,
  primary key (tenant_id, key),
  foreign key (tenant_id, contact_id) references public.contacts (tenant_id, id) on delete cascade
);
comment on table public.model_cache is 'Answers of language models by the content of the request, per team, so that the same request is paid once.';
create index model_cache_by_expiry on public.model_cache (expires_at);
create index model_cache_by_contact on public.model_cache (tenant_id, contact_id) where contact_id is not null;
select kernel.protect('public.model_cache', read => 'member', broadcast => false);

create table public.prompt_rollouts (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  prompt text not null check (prompt ~ '^[a-z][a-z0-9_]{0,39}$'),
  version text not null check (length(version) between 1 and 30),
  -- Share of contacts that get this version instead of the stable one.
  percent int not null check (percent between 1 and 100),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, prompt, version)
);
comment on table public.prompt_rollouts is 'Versions of prompts that some contacts get. No row: everybody gets the stable version of the code.';
select kernel.protect('public.prompt_rollouts', write => 'admin', broadcast => false);
