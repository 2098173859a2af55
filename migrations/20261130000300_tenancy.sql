-- tenancy: teams, their members, invitations, API keys, the record of who did what, and the counters.
-- owner: modules/tenancy, modules/accounts, modules/kernel   breaking: no   locks: none (new objects only)

create table public.tenants (
  id uuid primary key default kernel.uuid7(),
  name text not null check (length(btrim(name)) between 1 and 120),
  slug text not null unique check (slug ~ '^[a-z0-9](-?[a-z0-9]+)*$' and length(slug) <= 60),
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

-- Members and tenants are protected by hand: their own rows decide what the rest of the policies see.
alter table public.tenants enable row level security;
alter table public.tenants force row level security;
revoke all on public.tenants from public, anon, authenticated;
grant select on public.tenants to authenticated, overture_user, overture_worker;
grant update on public.tenants to overture_user, overture_worker;

alter table public.members enable row level security;
alter table public.members force row level security;
revoke all on public.members from public, anon, authenticated;
grant select on public.members to authenticated;
-- Rows are made only by functions of modules/tenancy, and only the role of one may change.
grant select, delete, update (role) on public.members to overture_user, overture_worker;

create table private.known_addresses (
  digest text primary key,
  account text not null,
  at timestamptz not null default kernel.now()
);
comment on table private.known_addresses is 'Digests of where accounts signed in from. Only functions of modules/tenancy see it.';
create index known_addresses_by_account on private.known_addresses (account, at desc);
create index known_addresses_by_age on private.known_addresses (at);

create table private.account_tokens (
  person uuid not null references auth.users (id) on delete cascade,
  kind text not null check (kind in ('reset', 'email')),
  -- Null until the mail is made.
  token_hash text unique,
  -- Where the mail goes: the account's address, or the one that it is to have.
  address text not null check (length(address) <= 254),
  -- The account as it was when the link was asked for (private.account_digest); a link counts for no other.
  account_address text not null,
  account_digest text not null,
  expires_at timestamptz not null,
  constraint account_tokens_pkey primary key (person, kind)
);
create index account_tokens_by_expiry on private.account_tokens (expires_at);
comment on table private.account_tokens is 'What a link in a mail will do to an account. Only functions of modules/accounts see it.';
select kernel.create_queue('accounts_mail');

create table private.second_factors (
  person uuid not null references auth.users (id) on delete cascade,
  -- The key of the app, sealed with OVERTURE_KEYS.
  secret text not null,
  confirmed_at timestamptz,
  -- The latest code that was used, as Unix time divided by 30: no code counts twice.
  last_step bigint not null default 0,
  constraint second_factors_pkey primary key (person)
);
create table private.recovery_codes (
  person uuid not null references auth.users (id) on delete cascade,
  digest text not null,
  primary key (person, digest)
);
create table private.proven_sessions (
  session uuid not null,
  person uuid not null references auth.users (id) on delete cascade,
  constraint proven_sessions_pkey primary key (session)
);
create index proven_sessions_by_person on private.proven_sessions (person);
comment on table private.second_factors is 'What people have besides a password. Only functions of modules/tenancy see it.';
comment on table private.recovery_codes is 'Digests of codes that stand for a lost second factor, each once.';
comment on table private.proven_sessions is 'Sessions that were made with the second factor.';
select kernel.create_queue('tenancy_rotate');

create table public.invitations (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  email text not null check (email = lower(email) and position('@' in email) > 1),
  role text not null check (role in ('admin', 'member', 'approver', 'viewer')),
  token_hash text not null unique,
  invited_by text not null default '',
  -- Whose right the invitation rests on; auth.users.id, without a foreign key: the person may leave.
  inviter_id uuid not null,
  expires_at timestamptz not null,
  accepted_at timestamptz,
  created_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id)
);
comment on table public.invitations is 'Single-use links into a team. Only the hash of the token is kept.';
create unique index invitations_open on public.invitations (tenant_id, email) where accepted_at is null;
create index invitations_by_inviter on public.invitations (tenant_id, inviter_id) where accepted_at is null;
select kernel.protect('public.invitations', read => 'admin', write => 'admin');

create table public.api_keys (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  name text not null check (length(btrim(name)) between 1 and 80),
  prefix text not null,
  key_hash text not null unique,
  scopes text[] not null check (cardinality(scopes) between 1 and 50),
  -- The person whose rights bound the key's at each use; auth.users.id, without a foreign key: the person may leave.
  created_by uuid not null,
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id)
);
comment on table public.api_keys is 'Keys of programs. Only the hash is kept; the prefix tells people which key it was.';
create index api_keys_by_maker on public.api_keys (tenant_id, created_by) where revoked_at is null;
-- No broadcast: last_used_at changes often and nobody watches it live.
select kernel.protect('public.api_keys', read => 'admin', write => 'admin', broadcast => false);

-- The hash is of no use to a reader, but there is no reason to show it either.
revoke select on public.invitations, public.api_keys from authenticated;
grant select (tenant_id, id, email, role, invited_by, inviter_id, expires_at, accepted_at, created_at) on public.invitations to authenticated;
grant select (tenant_id, id, name, prefix, scopes, created_by, expires_at, last_used_at, revoked_at, created_at) on public.api_keys
  to authenticated;

create table public.audit_log (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  at timestamptz not null default kernel.now(),
  actor_kind text not null check (actor_kind in ('user', 'api_key', 'job')),
  actor_id text not null,
  action text not null,
  target text,
  request_id text,
  detail jsonb not null default '{}',
  -- ok: it happened. started: it began and its end was not recorded (yet). failed: it ended with error_code.
  state text not null default 'ok' check (state in ('started', 'ok', 'failed')),
  error_code text,
  -- When a started act ended; null for acts of a single transaction, which ended at `at`.
  finished_at timestamptz,
  primary key (tenant_id, id),
  constraint audit_log_error_code check ((state = 'failed') = (error_code is not null)),
  constraint audit_log_finished_at check (state <> 'started' or finished_at is null)
);
comment on table public.audit_log is 'Who did what. Nobody has update or delete; kernel.audit_settle alone adds the outcome to a started row, once.';
create index audit_log_by_action on public.audit_log (tenant_id, action, id desc);
select kernel.protect('public.audit_log', read => 'admin', write => null, broadcast => false);
grant insert on public.audit_log to overture_user;
revoke update, delete on public.audit_log from overture_worker;

-- A statement that changes rows appends what it changed to counter_deltas; a schedule folds these into counters. Writers never meet
-- on a counter row, and a reader adds both up in one snapshot, so numbers are exact.
create table public.counters (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  metric text collate "C" not null check (length(metric) between 1 and 60),
  -- What the count is of: a list, a campaign, the tenant itself. No foreign key: what is deleted counts itself down to nothing.
  scope text not null check (length(scope) between 1 and 40),
  scope_id uuid not null,
  -- What divides the count: a status, a step, a tag, a UTC day (2026-11-30) or hour (2026-11-30T08). Empty where nothing does.
  -- Ordered byte by byte, so that days and hours, and metrics of one prefix, are ranges.
  bucket text collate "C" not null default '',
  n bigint not null,
  primary key (tenant_id, metric, scope, scope_id, bucket)
);
comment on table public.counters is 'Counts that change with every row and are read with every page. What happened since the last fold is in counter_deltas.';
create index counters_by_bucket on public.counters (tenant_id, metric, scope, bucket);
select kernel.protect('public.counters', write => null, broadcast => false);

create table public.counter_deltas (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  -- Not kernel.uuid7(), which takes longer than the rest of the row; in a table this small the order is of no use.
  id uuid not null default pg_catalog.gen_random_uuid(),
  metric text collate "C" not null,
  scope text not null,
  scope_id uuid not null,
  bucket text collate "C" not null default '',
  n bigint not null,
  primary key (tenant_id, id)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 2);
comment on table public.counter_deltas is 'Changes not yet folded into counters. Empty most of the time.';
select kernel.protect('public.counter_deltas', write => null, broadcast => false);
