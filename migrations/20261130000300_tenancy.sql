-- tenancy: teams, their members, invitations, API keys, and the record of who did what.
-- owner: modules/tenancy, modules/kernel   breaking: no   locks: none (new objects only)

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

create table public.invitations (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  email text not null check (email = lower(email) and position('@' in email) > 1),
  role text not null check (role in ('admin', 'member', 'approver', 'viewer')),
  token_hash text not null unique,
  invited_by text not null default '',
  expires_at timestamptz not null,
  accepted_at timestamptz,
  accepted_by uuid,
  created_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id)
);
comment on table public.invitations is 'Single-use links into a team. Only the hash of the token is kept.';
create unique index invitations_open on public.invitations (tenant_id, email) where accepted_at is null;
select kernel.protect('public.invitations', read => 'admin', write => 'admin');

create table public.api_keys (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  name text not null check (length(btrim(name)) between 1 and 80),
  prefix text not null,
  key_hash text not null unique,
  scopes text[] not null check (cardinality(scopes) between 1 and 50),
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz,
  created_by uuid,
  created_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id)
);
comment on table public.api_keys is 'Keys of programs. Only the hash is kept; the prefix tells people which key it was.';
-- No broadcast: last_used_at changes often and nobody watches it live.
select kernel.protect('public.api_keys', read => 'admin', write => 'admin', broadcast => false);

-- The hash is of no use to a reader, but there is no reason to show it either.
revoke select on public.invitations, public.api_keys from authenticated;
grant select (tenant_id, id, email, role, invited_by, expires_at, accepted_at, created_at) on public.invitations to authenticated;
grant select (tenant_id, id, name, prefix, scopes, expires_at, last_used_at, revoked_at, created_at) on public.api_keys to authenticated;

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
