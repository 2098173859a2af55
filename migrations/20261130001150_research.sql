-- research: what was found about contacts and companies on the web, with quote and address; runs over many companies; the state of sites.
-- owner: modules/research   breaking: no   locks: none (new objects only)

create table public.findings (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  -- About whom: one of the two.
  contact_id uuid,
  company_id uuid,
  kind text not null check (kind ~ '^[a-z][a-z0-9_]{1,39}$'),
  -- What it says in one sentence, and the words of the source as they stand there.
  statement text not null check (length(btrim(statement)) between 1 and 500),
  quote text not null check (length(btrim(quote)) between 1 and 1000),
  url text not null check (length(url) between 8 and 2000 and url ~ '^https?://'),
  -- Parts of it that programs use: {"field", "value"}, {"amount", "currency"}, {"count"}.
  data jsonb not null default '{}' check (jsonb_typeof(data) = 'object'),
  -- Per cent; docs/concepts/research.md says by what.
  confidence int not null check (confidence between 0 and 100),
  -- Where it came from: website, feed, or the id of a search provider.
  provider text not null check (length(provider) between 1 and 60),
  -- When the source says that it was published, if it does.
  published_at timestamptz,
  fetched_at timestamptz not null default kernel.now(),
  -- The last time that it was found again.
  seen_at timestamptz not null default kernel.now(),
  run_id uuid,
  -- SHA-256 of what makes it the same finding: kind and statement, or title, in normal form.
  key bytea not null check (octet_length(key) = 32),
  created_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  check ((contact_id is null) <> (company_id is null)),
  constraint findings_of_contact unique (tenant_id, contact_id, key),
  constraint findings_of_company unique (tenant_id, company_id, key),
  foreign key (tenant_id, contact_id) references public.contacts (tenant_id, id) on delete cascade,
  foreign key (tenant_id, company_id) references public.companies (tenant_id, id) on delete cascade
);
comment on table public.findings is 'Facts and news about a contact or company, each with the verbatim quote and the address it was read at.';
select kernel.protect('public.findings', broadcast => false);

create table public.research_sites (
  tenant_id uuid not null,
  company_id uuid not null,
  -- Feeds that the team named, besides those the site itself announces.
  feeds text[] not null default '{}' check (cardinality(feeds) <= 10),
  -- open: it may be read. waits: it asked for a human (CAPTCHA, bot wall), so a person looks at it and nothing is fetched until they say so.
  state text not null default 'open' check (state in ('open', 'waits')),
  why text check (length(why) <= 60),
  -- Where that was.
  url text check (length(url) <= 2000),
  task_id uuid,
  researched_at timestamptz,
  -- When a search provider was last asked about it.
  searched_at timestamptz,
  pages int not null default 0,
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, company_id),
  check (state = 'open' or why is not null),
  foreign key (tenant_id, company_id) references public.companies (tenant_id, id) on delete cascade
);
comment on table public.research_sites is 'The website of a company: when it was read last, its feeds, and why it is not read any more.';
create index research_sites_waiting on public.research_sites (tenant_id, company_id) where state = 'waits';
select kernel.protect('public.research_sites', broadcast => false);

create table public.research_runs (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  name text not null check (length(btrim(name)) between 1 and 120),
  -- Whose companies: {"list_id"} | {"contact_ids"} | {"company_ids"}.
  source jsonb not null check (jsonb_typeof(source) = 'object'),
  -- Read again what was read within the team's interval.
  refresh boolean not null default false,
  -- Ask the search providers, too.
  search boolean not null default true,
  max_pages int not null check (max_pages between 1 and 30),
  status text not null default 'preparing' check (status in ('preparing', 'running', 'done', 'stopped')),
  stop_reason text check (length(stop_reason) <= 60),
  -- Taking in: the last contact that was.
  cursor uuid,
  total int not null default 0,
  found int not null default 0,
  nothing int not null default 0,
  skipped int not null default 0,
  waits int not null default 0,
  failed int not null default 0,
  findings int not null default 0,
  pages int not null default 0,
  cost_micros bigint not null default 0,
  created_by text not null default '',
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  finished_at timestamptz,
  primary key (tenant_id, id)
);
comment on table public.research_runs is 'Research of many companies. Counters and items commit together.';
create index research_runs_by_created on public.research_runs (tenant_id, created_at desc, id desc);
select kernel.protect('public.research_runs', broadcast => false);

create table public.research_items (
  tenant_id uuid not null,
  run_id uuid not null,
  company_id uuid not null,
  state text not null default 'waiting' check (state in ('waiting', 'working', 'done')),
  -- found: something new. nothing: read, nothing new. skipped: not read, see reason. waits: a person must look. failed: see reason.
  outcome text check (outcome in ('found', 'nothing', 'skipped', 'waits', 'failed')),
  reason text check (length(reason) <= 60),
  pages int not null default 0,
  findings int not null default 0,
  cost_micros bigint not null default 0,
  attempts int not null default 0,
  lease_until timestamptz,
  finished_at timestamptz,
  primary key (tenant_id, run_id, company_id),
  check ((state = 'done') = (outcome is not null)),
  foreign key (tenant_id, run_id) references public.research_runs (tenant_id, id) on delete cascade,
  foreign key (tenant_id, company_id) references public.companies (tenant_id, id) on delete cascade
);
comment on table public.research_items is 'A company of a run: its place in the queue and what came of it.';
create index research_items_open on public.research_items (tenant_id, run_id, company_id) where state <> 'done';
create index research_items_by_company on public.research_items (tenant_id, company_id);
select kernel.protect('public.research_items', broadcast => false);

select kernel.create_queue('research_run');
