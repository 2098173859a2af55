-- tenancy: invitations, API keys, and the functions that must see beyond one tenant (signing in, claiming, accepting).
-- owner: modules/tenancy   breaking: no   locks: none (new objects only)

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

-- Resolves the caller and takes one token of the tenant's rate limit in one round trip.
-- For a person: the membership in the wanted tenant (or the oldest one). No row: not a member.
create function kernel.enter_as_user(user_id uuid, wanted uuid, capacity double precision, per_second double precision)
returns table (tenant_id uuid, role text, taken boolean, remaining double precision, retry_after double precision)
language plpgsql volatile security definer set search_path = '' as $$
declare
  m record;
begin
  select x.tenant_id, x.role into m from public.members x
  where x.user_id = enter_as_user.user_id and (wanted is null or x.tenant_id = wanted)
  order by x.created_at limit 1;
  if not found then return; end if;
  return query select m.tenant_id, m.role::text, t.taken, t.remaining, t.retry_after
    from kernel.take_tokens('api:' || m.tenant_id, capacity, per_second) t;
end $$;

-- For a program: the key by its hash, unless revoked or expired. last_used_at is written at most once a minute.
create function kernel.enter_as_key(hash text, capacity double precision, per_second double precision)
returns table (tenant_id uuid, key_id uuid, scopes text[], taken boolean, remaining double precision, retry_after double precision)
language plpgsql volatile security definer set search_path = '' as $$
declare
  k public.api_keys;
  b record;
begin
  select * into k from public.api_keys a
  where a.key_hash = hash and a.revoked_at is null and (a.expires_at is null or a.expires_at > kernel.now());
  if not found then return; end if;
  if k.last_used_at is null or k.last_used_at < kernel.now() - interval '1 minute' then
    update public.api_keys a set last_used_at = kernel.now() where a.tenant_id = k.tenant_id and a.id = k.id;
  end if;
  select * into b from kernel.take_tokens('api:' || k.tenant_id, capacity, per_second);
  if b.taken then select * into b from kernel.take_tokens('key:' || k.id, capacity, per_second); end if;
  return query select k.tenant_id, k.id, k.scopes, b.taken, b.remaining, b.retry_after;
end $$;

-- A free slug near the name.
create function private.free_slug(name text) returns text
language plpgsql volatile security definer set search_path = '' as $$
declare
  base text := coalesce(nullif(pg_catalog.btrim(pg_catalog.regexp_replace(pg_catalog.lower(name), '[^a-z0-9]+', '-', 'g'), '-'), ''), 'team');
  candidate text;
begin
  base := pg_catalog.btrim(pg_catalog.left(base, 50), '-');
  candidate := base;
  while exists (select from public.tenants t where t.slug = candidate) loop
    candidate := base || '-' || pg_catalog.substr(pg_catalog.md5(pg_catalog.random()::text), 1, 5);
  end loop;
  return candidate;
end $$;

-- A new team with its first owner. Only for a person who exists; the caller has proved who that is.
-- The audit row is written here, because the act begins outside the tenant it makes.
create function private.create_tenant(tenant_name text, owner_id uuid, owner_email text, owner_name text, request_id text default null)
returns public.tenants
language plpgsql volatile security definer set search_path = '' as $$
declare
  t public.tenants;
begin
  loop -- Two teams of one name at once: the second waits for the first here, then takes another slug.
    insert into public.tenants (name, slug) values (pg_catalog.btrim(tenant_name), private.free_slug(tenant_name))
    on conflict on constraint tenants_slug_key do nothing returning * into t;
    exit when found;
  end loop;
  insert into public.members (tenant_id, user_id, role, email, name) values (t.id, owner_id, 'owner', lower(owner_email), owner_name);
  insert into public.audit_log (tenant_id, actor_kind, actor_id, action, target, request_id, detail)
  values (t.id, 'user', owner_id::text, 'tenants.create', t.id::text, create_tenant.request_id, pg_catalog.jsonb_build_object('name', t.name));
  return t;
end $$;

-- The claim: who installs the product makes the first account through a single-use link. Only the hash is stored.
create function private.set_claim(token_hash text) returns boolean
language plpgsql volatile set search_path = '' as $$
begin
  if exists (select from public.members) then return false; end if;
  insert into kernel.settings (key, value) values ('claim', pg_catalog.jsonb_build_object('token_hash', token_hash))
  on conflict (key) do update set value = excluded.value, updated_at = pg_catalog.now();
  return true;
end $$;

-- Locks the claim while it is used, so that two people with the link cannot both win. `use` removes it.
create function private.check_claim(token_hash text, use boolean) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
begin
  if use then
    delete from kernel.settings s where s.key = 'claim' and s.value ->> 'token_hash' = check_claim.token_hash;
    return found;
  end if;
  return exists (select from kernel.settings s where s.key = 'claim' and s.value ->> 'token_hash' = check_claim.token_hash);
end $$;

create function private.is_claimed() returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from public.members)
$$;

create function private.find_invitation(hash text)
returns table (tenant_id uuid, tenant_name text, email text, role text, valid boolean)
language sql stable security definer set search_path = '' as $$
  select i.tenant_id, t.name, i.email, i.role, i.accepted_at is null and i.expires_at > kernel.now()
  from public.invitations i join public.tenants t on t.id = i.tenant_id where i.token_hash = hash
$$;

-- Uses an invitation for a person whose verified e-mail it names. One statement decides who wins a double click.
create function private.accept_invitation(hash text, user_id uuid, user_email text, user_name text, request_id text default null)
returns public.tenants
language plpgsql volatile security definer set search_path = '' as $$
declare
  i public.invitations;
  t public.tenants;
begin
  update public.invitations x set accepted_at = kernel.now(), accepted_by = accept_invitation.user_id
  where x.token_hash = hash and x.accepted_at is null and x.expires_at > kernel.now() and x.email = lower(user_email)
  returning * into i;
  if not found then return null; end if;
  insert into public.members (tenant_id, user_id, role, email, name)
  values (i.tenant_id, accept_invitation.user_id, i.role, lower(user_email), user_name)
  on conflict on constraint members_pkey do update
    set role = case when kernel.role_rank(excluded.role) > kernel.role_rank(public.members.role) then excluded.role else public.members.role end;
  insert into public.audit_log (tenant_id, actor_kind, actor_id, action, target, request_id, detail)
  values (i.tenant_id, 'user', accept_invitation.user_id::text, 'invitations.accept', i.id::text, accept_invitation.request_id,
    pg_catalog.jsonb_build_object('email', i.email, 'role', i.role));
  select * into t from public.tenants x where x.id = i.tenant_id;
  return t;
end $$;

create function private.my_teams(user_id uuid)
returns table (id uuid, name text, slug text, role text, created_at timestamptz, person text)
language sql stable security definer set search_path = '' as $$
  select t.id, t.name, t.slug, m.role, t.created_at, m.name from public.members m join public.tenants t on t.id = m.tenant_id
  where m.user_id = my_teams.user_id order by m.created_at, m.tenant_id
$$;

grant execute on function kernel.enter_as_user(uuid, uuid, double precision, double precision),
  kernel.enter_as_key(text, double precision, double precision) to overture_worker;
grant execute on function private.create_tenant(text, uuid, text, text, text), private.check_claim(text, boolean), private.is_claimed(),
  private.find_invitation(text), private.accept_invitation(text, uuid, text, text, text), private.my_teams(uuid) to overture_worker;

-- Members: rows are made only by the functions above, and only the role of one may change. -----------------------------------

revoke insert, update on public.members from overture_user, overture_worker;
grant update (role) on public.members to overture_user, overture_worker;

-- Only an owner makes, changes or removes an owner; a program (no person behind it) never does. Everybody may leave.
-- Functions that run as the owner of the tables have decided for themselves, and so has the cascade from a deleted team.
create function kernel.guard_owners() returns trigger
language plpgsql set search_path = '' as $$
declare
  me uuid := (nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid;
begin
  if current_user in ('overture_user', 'overture_worker')
     and 'owner' in (old.role, case when tg_op = 'UPDATE' then new.role end)
     and not exists (select from public.members m where m.tenant_id = old.tenant_id and m.user_id = me and m.role = 'owner') then
    raise exception 'only an owner changes owners' using errcode = 'insufficient_privilege', constraint = 'members_guard_owners';
  end if;
  return case when tg_op = 'DELETE' then old else new end;
end $$;
create trigger guard_owners before update or delete on public.members for each row execute function kernel.guard_owners();
grant execute on function kernel.guard_owners() to overture_user, overture_worker;

-- Two owners who demote each other at once each still see the other as owner. The team's row is locked before looking,
-- so the second one waits and then sees what the first one did.
create or replace function kernel.keep_an_owner() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform from public.tenants t where t.id = old.tenant_id for no key update;
  if found and not exists (select from public.members m where m.tenant_id = old.tenant_id and m.role = 'owner') then
    raise exception 'a team needs at least one owner' using errcode = 'check_violation', constraint = 'members_keep_an_owner';
  end if;
  return null;
end $$;
