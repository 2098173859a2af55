-- contacts: people, companies, custom fields, tags, lists, segments, imports.
-- owner: modules/contacts   breaking: no   locks: none (new objects only)

create table public.companies (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  name text not null check (length(btrim(name)) between 1 and 200),
  domain text check (domain = lower(domain) and length(domain) between 3 and 253),
  size text check (length(size) <= 60),
  industry text check (length(industry) <= 120),
  country text check (length(country) <= 60),
  custom jsonb not null default '{}' check (jsonb_typeof(custom) = 'object'),
  -- A column, because lower() is not leakproof and so is no index condition under row-level security.
  name_sort text not null generated always as (lower(name)) stored,
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id)
);
comment on table public.companies is 'Organisations people work for. A domain belongs to one company per team.';
create unique index companies_by_domain on public.companies (tenant_id, domain) where domain is not null;
create index companies_by_name on public.companies (tenant_id, name_sort, id);
create index companies_search on public.companies using gin (tenant_id extensions.uuid_ops,
  (kernel.fold(name)) extensions.gin_trgm_ops);
select kernel.protect('public.companies');

create table public.contacts (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  -- Addresses are stored in lower case: providers compare them so, and so does the unique key.
  email text check (email = lower(email) and length(email) <= 254 and position('@' in email) > 1),
  first_name text not null default '' check (length(first_name) <= 120),
  last_name text not null default '' check (length(last_name) <= 120),
  full_name text not null generated always as (btrim(first_name || ' ' || last_name)) stored,
  title text not null default '' check (length(title) <= 200),
  phone text check (phone ~ '^\+[1-9][0-9]{5,14}$'),
  whatsapp_number text check (whatsapp_number ~ '^\+[1-9][0-9]{5,14}$'),
  linkedin_url text check (length(linkedin_url) <= 500),
  company_id uuid,
  -- new → researching → enriched → personalized → approved → contacted → replied → interested | not_interested → customer;
  -- suppressed from anywhere
  status text not null default 'new' check (status in ('new', 'researching', 'enriched', 'personalized', 'approved', 'contacted',
    'replied',
    'interested', 'not_interested', 'customer', 'bounced', 'unsubscribed', 'suppressed')),
  pipeline_stage text not null default '' check (length(pipeline_stage) <= 80),
  warmth_score int not null default 0 check (warmth_score between 0 and 100),
  time_zone text check (length(time_zone) <= 64),
  locale text check (length(locale) <= 35),
  country text check (length(country) <= 60),
  deal_value numeric(14, 2) check (deal_value >= 0),
  custom jsonb not null default '{}' check (jsonb_typeof(custom) = 'object'),
  tags text[] not null default '{}' check (cardinality(tags) <= 50),
  -- What lists sort by. Columns, because under row-level security an expression cannot be an index condition: lower() and
  -- coalesce() are not leakproof, so Postgres would check the policy row by row first.
  email_sort text not null generated always as (coalesce(email, '')) stored,
  last_name_sort text not null generated always as (lower(last_name)) stored,
  -- One text over what people type: name, address, title. The leading space lets one or two letters match word beginnings. Stored, because
  -- folding letters with accents costs more than everything else that a search does with a row.
  search_text text not null generated always as
    (kernel.fold(' ' || first_name || ' ' || last_name || ' ' || coalesce(email, '') || ' ' || title)) stored,
  consent_source text check (length(consent_source) <= 200),
  lawful_basis text check (lawful_basis in ('consent', 'contract', 'legal_obligation', 'vital_interests', 'public_task',
    'legitimate_interests')),
  last_interaction_at timestamptz,
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, company_id) references public.companies (tenant_id, id) on delete set null (company_id)
);
comment on table public.contacts is 'People. One per e-mail address and team; addresses without e-mail may repeat.';
create unique index contacts_by_email on public.contacts (tenant_id, email) where email is not null;
create index contacts_by_created on public.contacts (tenant_id, created_at desc, id desc);
create index contacts_by_email_sort on public.contacts (tenant_id, email_sort, id);
create index contacts_by_last_name on public.contacts (tenant_id, last_name_sort, id);
create index contacts_by_status on public.contacts (tenant_id, status, created_at desc, id desc);
create index contacts_by_company on public.contacts (tenant_id, company_id) where company_id is not null;
create index contacts_by_linkedin on public.contacts (tenant_id, linkedin_url) where linkedin_url is not null;
create index contacts_by_tag on public.contacts using gin (tenant_id extensions.uuid_ops, tags);
create index contacts_by_country on public.contacts (tenant_id, country) where country is not null;
-- In lower case, because text compares without regard to case.
create index contacts_by_custom on public.contacts using gin (tenant_id extensions.uuid_ops, (lower(custom::text)::jsonb) jsonb_path_ops);
create index contacts_search on public.contacts using gin (tenant_id extensions.uuid_ops, search_text extensions.gin_trgm_ops);
select kernel.protect('public.contacts');

-- Every address we know of a person, on every channel. The contact's own fields hold the primary ones; each has a state of its own: a dead
-- address is not a dead person.
create table public.contact_addresses (
  tenant_id uuid not null,
  id uuid not null default kernel.uuid7(),
  contact_id uuid not null,
  channel text not null check (channel ~ '^[a-z][a-z0-9_]{1,39}$'),
  address text not null check (length(address) between 1 and 500),
  is_primary boolean not null default true,
  -- unknown until something tells: valid by a check or a delivery, invalid by a permanent bounce.
  state text not null default 'unknown' check (state in ('unknown', 'valid', 'invalid')),
  state_reason text check (length(state_reason) <= 200),
  verified_at timestamptz,
  source text not null default '' check (length(source) <= 60),
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  constraint contact_addresses_once unique (tenant_id, contact_id, channel, address),
  foreign key (tenant_id, contact_id) references public.contacts (tenant_id, id) on delete cascade
);
comment on table public.contact_addresses is 'Addresses of people with a state each. Kept by a trigger from the contact''s fields.';
create unique index contact_addresses_primary on public.contact_addresses (tenant_id, contact_id, channel) where is_primary;
create index contact_addresses_by_address on public.contact_addresses (tenant_id, channel, address);
select kernel.protect('public.contact_addresses', broadcast => false);

create table public.custom_fields (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  key text not null check (key ~ '^[a-z][a-z0-9_]{0,49}$'),
  label text not null check (length(btrim(label)) between 1 and 80),
  type text not null check (type in ('text', 'number', 'date', 'boolean', 'select', 'url')),
  options text[] not null default '{}',
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  unique (tenant_id, key),
  check ((type = 'select') = (cardinality(options) > 0))
);
select kernel.protect('public.custom_fields');

create table public.lists (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  name text not null check (length(btrim(name)) between 1 and 120),
  description text not null default '' check (length(description) <= 500),
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  unique (tenant_id, name)
);
select kernel.protect('public.lists');

create table public.list_contacts (
  tenant_id uuid not null,
  list_id uuid not null,
  contact_id uuid not null,
  added_at timestamptz not null default kernel.now(),
  -- What contacts are sorted by, copied from them by a trigger: so a page of a list reads that list alone, however many people the team
  -- has and wherever the list's people stand among them.
  contact_created_at timestamptz not null,
  contact_email text not null,
  contact_last_name text not null,
  primary key (tenant_id, list_id, contact_id),
  foreign key (tenant_id, list_id) references public.lists (tenant_id, id) on delete cascade,
  foreign key (tenant_id, contact_id) references public.contacts (tenant_id, id) on delete cascade
);
create index list_contacts_by_contact on public.list_contacts (tenant_id, contact_id);
create index list_contacts_by_created on public.list_contacts (tenant_id, list_id, contact_created_at desc, contact_id desc);
create index list_contacts_by_email on public.list_contacts (tenant_id, list_id, contact_email, contact_id);
create index list_contacts_by_last_name on public.list_contacts (tenant_id, list_id, contact_last_name, contact_id);
select kernel.protect('public.list_contacts');

create table public.segments (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  name text not null check (length(btrim(name)) between 1 and 120),
  filter jsonb not null check (jsonb_typeof(filter) = 'object'),
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  unique (tenant_id, name)
);
comment on table public.segments is 'Saved filters. The filter is a small language that modules/contacts compiles to SQL with parameters.';
select kernel.protect('public.segments');

-- Everything that happened between us and a person, on any channel: the timeline.
create table public.interactions (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  contact_id uuid not null,
  kind text not null check (length(kind) <= 60),
  -- A channel of messages, or call, web, note, system.
  channel text not null check (channel ~ '^[a-z][a-z0-9_]{1,39}$'),
  direction text not null check (direction in ('in', 'out', 'none')),
  content text not null default '',
  ref_table text,
  ref_id uuid,
  at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, contact_id) references public.contacts (tenant_id, id) on delete cascade
);
create index interactions_by_contact on public.interactions (tenant_id, contact_id, at desc, id desc);
create unique index interactions_once on public.interactions (tenant_id, ref_table, ref_id, kind) where ref_id is not null;
select kernel.protect('public.interactions', broadcast => false);

create table public.imports (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  file_name text not null check (length(file_name) between 1 and 255),
  file_bytes bigint not null default 0,
  status text not null default 'uploading' check (status in ('uploading', 'uploaded', 'ready', 'running', 'done', 'cancelled', 'failed')),
  detected jsonb not null default '{}',
  mapping jsonb not null default '{}',
  options jsonb not null default '{}',
  rows_total int,
  -- Rows with content, of whatever outcome.
  rows_done int not null default 0,
  -- Records of the file that are settled, header and blank ones included: where the next batch begins.
  position int not null default 0,
  created int not null default 0,
  updated int not null default 0,
  skipped int not null default 0,
  rejected int not null default 0,
  -- Values that were left out of rows that were imported.
  warnings int not null default 0,
  error text,
  created_by text not null default '',
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  started_at timestamptz,
  finished_at timestamptz,
  primary key (tenant_id, id)
);
comment on table public.imports is 'CSV imports. position is the resume point: each batch of rows and its counters commit together.';
create index imports_by_created on public.imports (tenant_id, created_at desc, id desc);
select kernel.protect('public.imports');

create table public.import_chunks (
  tenant_id uuid not null,
  import_id uuid not null,
  seq int not null,
  bytes bytea not null,
  primary key (tenant_id, import_id, seq),
  foreign key (tenant_id, import_id) references public.imports (tenant_id, id) on delete cascade
);
comment on table public.import_chunks is 'The uploaded file in pieces, removed some days after the import ended.';
select kernel.protect('public.import_chunks', read => 'member', broadcast => false);

-- What an import could not read: one row per value, or per row that was refused for another reason. `rejected` rows were not imported;
-- of the others a value was left out.
create table public.import_errors (
  tenant_id uuid not null,
  import_id uuid not null,
  row_number int not null,
  n int not null default 0,
  rejected boolean not null default true,
  -- A field of the contact, custom.<key>, or '' for the row itself.
  field text not null default '',
  value text not null default '',
  -- The sentence without its field and value, by which equal faults are counted.
  rule text not null,
  -- The row as it came, with the first fault of a rejected row.
  raw jsonb,
  reason text not null,
  primary key (tenant_id, import_id, row_number, n),
  foreign key (tenant_id, import_id) references public.imports (tenant_id, id) on delete cascade,
  check (raw is not null or not rejected or n > 0)
);
comment on table public.import_errors is 'Rows and values that were not imported, with the reason: what the person downloads, mends and uploads again.';
create index import_errors_by_rule on public.import_errors (tenant_id, import_id, rejected, field, rule, row_number);
select kernel.protect('public.import_errors', read => 'member', broadcast => false);

select kernel.create_queue('contacts_import');
select kernel.create_queue('contacts_message_facts');
