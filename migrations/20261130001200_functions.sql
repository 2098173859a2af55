-- functions, views, policies and triggers of all modules, as they stand in modules/*/sql.
-- owner: all modules   breaking: no   locks: none (new objects only)

-- generated from modules/*/sql
set check_function_bodies = off;

-- object function private.queue_account_mail(text,uuid,text,int4) sha256:21cc5646d4eb4a38
-- Mails about accounts go out through the workspace that runs the installation, as messages of its queue. The message names the person,
-- who may be nobody: then nothing is sent, and who asked cannot tell. Without such a workspace nothing is queued.
-- `delay` is in seconds.
create or replace function private.queue_account_mail(kind text, person uuid, recipient text default null, delay int default 0) returns void
language plpgsql volatile security definer set search_path = '' as $$
declare
  operator text := (select s.value #>> '{}' from kernel.settings s where s.key = 'operator_tenant');
begin
  if operator is null then return; end if;
  perform kernel.enqueue('accounts_mail', array[pg_catalog.jsonb_build_object(
    'tenant_id', operator, 'kind', kind, 'person', person, 'recipient', recipient)], delay);
end $$;
grant execute on function private.queue_account_mail(text, uuid, text, int) to overture_worker;

-- object function private.password_changed(uuid) sha256:939d56c677513a19
-- After a password was changed: every session ends, links that were asked for before are forgotten, and its owner is told.
create or replace function private.password_changed(person uuid) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  perform private.end_other_sessions(person, null);
  delete from private.account_tokens t where t.person = password_changed.person;
  perform private.queue_account_mail('password', person);
end $$;
grant execute on function private.password_changed(uuid) to overture_worker;

-- object function private.account_address(uuid) sha256:6e30c16a7a20316d
-- The address of an account now; an access token may hold one of before. Null when there is no account.
create or replace function private.account_address(person uuid) returns text
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select u.email from auth.users u where u.id = person);
end $$;
grant execute on function private.account_address(uuid) to overture_worker;

-- object function private.follow_address(uuid) sha256:f6ce3d274a583408
-- The copies of a person's address in their workspaces follow the account. Returns the address; null when there is no account.
create or replace function private.follow_address(person uuid) returns text
language plpgsql volatile security definer set search_path = '' as $$
declare
  now_is text := (select u.email from auth.users u where u.id = person);
begin
  update public.members m set email = pg_catalog.lower(now_is) where m.user_id = person and now_is is not null;
  return now_is;
end $$;
grant execute on function private.follow_address(uuid) to overture_worker;

-- object function private.set_claim(text) sha256:48780d9ea661600c
-- The claim: who installs the product makes the first account through a single-use link. Only the hash is stored.
create or replace function private.set_claim(token_hash text) returns boolean
language plpgsql volatile set search_path = '' as $$
begin
  if exists (select from public.members) then return false; end if;
  insert into kernel.settings (key, value) values ('claim', pg_catalog.jsonb_build_object('token_hash', token_hash))
  on conflict (key) do update set value = excluded.value, updated_at = pg_catalog.now();
  return true;
end $$;

-- object function private.check_claim(text) sha256:9bac81fc20a4dd73
create or replace function private.check_claim(token_hash text) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from kernel.settings s where s.key = 'claim' and s.value ->> 'token_hash' = check_claim.token_hash)
$$;
grant execute on function private.check_claim(text) to overture_worker;

-- object function private.claim_installation(text,text,uuid,text,text,text) sha256:fa4fffb3fa2b756e
-- Takes the installation: uses the link up, makes the first team, and records that this team runs the installation unless another
-- is named already. Null when the link is wrong or used. Deleting the row locks it, so of two people with the link one wins.
create or replace function private.claim_installation(token_hash text, tenant_name text, owner_id uuid, owner_email text, owner_name text,
  request_id text default null)
returns public.tenants
language plpgsql volatile security definer set search_path = '' as $$
declare
  t public.tenants;
begin
  delete from kernel.settings s where s.key = 'claim' and s.value ->> 'token_hash' = claim_installation.token_hash;
  if not found then return null; end if;
  t := private.make_tenant(tenant_name, owner_id, owner_email, owner_name, request_id);
  insert into kernel.settings (key, value) values ('operator_tenant', pg_catalog.to_jsonb(t.id::text))
  on conflict (key) do nothing;
  return t;
end $$;
grant execute on function private.claim_installation(text, text, uuid, text, text, text) to overture_worker;

-- object function private.is_claimed() sha256:2ab7df00fe2bfba3
-- Whether somebody has taken the installation: before that nobody becomes a member, except by the claim.
create or replace function private.is_claimed() returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from public.members)
$$;
grant execute on function private.is_claimed() to overture_worker;

-- object function private.inviter_may(uuid,uuid) sha256:cf25c1e89b837995
-- Whether who sent an invitation could still send it: a member with members:write.
create or replace function private.inviter_may(tenant_id uuid, inviter_id uuid) returns boolean
language sql stable set search_path = '' as $$
  select exists (select from public.members m where m.tenant_id = inviter_may.tenant_id and m.user_id = inviter_may.inviter_id
    and kernel.role_rank(m.role) >= kernel.role_rank('admin'))
$$;

-- object function private.find_invitation(text) sha256:5912c3086a12fbc1
-- What an invitation link offers, for who opens it before signing in.
create or replace function private.find_invitation(hash text)
returns table (tenant_id uuid, tenant_name text, email text, role text, valid boolean)
language sql stable security definer set search_path = '' as $$
  select i.tenant_id, t.name, i.email, i.role,
    i.accepted_at is null and i.expires_at > kernel.now() and private.inviter_may(i.tenant_id, i.inviter_id)
  from public.invitations i join public.tenants t on t.id = i.tenant_id where i.token_hash = hash
$$;
grant execute on function private.find_invitation(text) to overture_worker;

-- object function private.accept_invitation(text,uuid,text,text,text) sha256:b6162dcc1318f73d
-- Uses an invitation for a person whose verified e-mail it names. One statement decides who wins a double click.
create or replace function private.accept_invitation(hash text, user_id uuid, user_email text, user_name text,
  request_id text default null)
returns public.tenants
language plpgsql volatile security definer set search_path = '' as $$
declare
  i public.invitations;
  t public.tenants;
begin
  update public.invitations x set accepted_at = kernel.now()
  where x.token_hash = hash and x.accepted_at is null and x.expires_at > kernel.now() and x.email = lower(user_email)
    and private.inviter_may(x.tenant_id, x.inviter_id)
  returning * into i;
  if not found then return null; end if;
  insert into public.members (tenant_id, user_id, role, email, name)
  values (i.tenant_id, accept_invitation.user_id, i.role, lower(user_email), user_name)
  on conflict on constraint members_pkey do update
    set role = case when kernel.role_rank(excluded.role) > kernel.role_rank(public.members.role) then excluded.role
      else public.members.role end;
  insert into public.audit_log (tenant_id, actor_kind, actor_id, action, target, request_id, detail)
  values (i.tenant_id, 'user', accept_invitation.user_id::text, 'invitations.accept', i.id::text, accept_invitation.request_id,
    pg_catalog.jsonb_build_object('email', i.email, 'role', i.role));
  select * into t from public.tenants x where x.id = i.tenant_id;
  return t;
end $$;
grant execute on function private.accept_invitation(text, uuid, text, text, text) to overture_worker;

-- object function kernel.guard_invitations() sha256:4d01cc1490bf99ff
-- A program invites nobody as an admin, so that a key cannot raise anybody above itself.
create or replace function kernel.guard_invitations() returns trigger
language plpgsql set search_path = '' as $$
begin
  if current_user = 'overture_worker' and new.role = 'admin' then
    raise exception 'a program invites no admins' using errcode = 'insufficient_privilege', constraint = 'invitations_guard_admins';
  end if;
  return new;
end $$;
grant execute on function kernel.guard_invitations() to overture_user, overture_worker;

-- object function kernel.keep_an_owner() sha256:3bb3072ce067316d
-- A team without an owner can be repaired by nobody. Deferred, so that ownership can be handed over in one transaction.
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

-- object function kernel.guard_owners() sha256:029ae148cd6345ff
-- Only an owner makes, changes or removes an owner. A program, a role without a person, does that to neither owners nor admins.
-- Everybody may leave.
-- Functions that run as the owner of the tables have decided for themselves, and so has the cascade from a deleted team.
create or replace function kernel.guard_owners() returns trigger
language plpgsql set search_path = '' as $$
declare
  me uuid := (nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid;
begin
  if current_user = 'overture_worker' and me is null and 'admin' in (old.role, case when tg_op = 'UPDATE' then new.role end) then
    raise exception 'a program changes no admins' using errcode = 'insufficient_privilege', constraint = 'members_guard_admins';
  end if;
  if current_user in ('overture_user', 'overture_worker')
     and 'owner' in (old.role, case when tg_op = 'UPDATE' then new.role end)
     and not exists (select from public.members m where m.tenant_id = old.tenant_id and m.user_id = me and m.role = 'owner') then
    raise exception 'only an owner changes owners' using errcode = 'insufficient_privilege', constraint = 'members_guard_owners';
  end if;
  return case when tg_op = 'DELETE' then old else new end;
end $$;
grant execute on function kernel.guard_owners() to overture_user, overture_worker;

-- object function kernel.end_membership() sha256:76193e0b35b1e9ec
-- What rests on a membership ends with it, in the same transaction: keys that the person made, invitations they sent, and what open
-- realtime sockets may hear (the embedded server asks the policies again; the notification names the topic by its digest, because every
-- login of the database can listen).
create or replace function kernel.end_membership() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'DELETE' then
    update public.api_keys k set revoked_at = kernel.now()
    where k.tenant_id = old.tenant_id and k.created_by = old.user_id and k.revoked_at is null;
  end if;
  if tg_op = 'DELETE' or kernel.role_rank(new.role) < kernel.role_rank('admin') then
    delete from public.invitations i
    where i.tenant_id = old.tenant_id and i.inviter_id = old.user_id and i.accepted_at is null;
  end if;
  perform pg_catalog.pg_notify('realtime_access', pg_catalog.encode(pg_catalog.sha256(('tenant:' || old.tenant_id)::bytea), 'hex'));
  return null;
end $$;

-- object function private.second_factor(uuid) sha256:c16dea5bd02e190d
-- A person's second factor: its sealed secret, whether it is confirmed, and how many recovery codes are left. No row: none was begun.
create or replace function private.second_factor(person uuid) returns table (secret text, confirmed boolean, codes int)
language sql stable security definer set search_path = '' as $$
  select f.secret, f.confirmed_at is not null,
    (select pg_catalog.count(*)::int from private.recovery_codes c where c.person = f.person)
  from private.second_factors f where f.person = second_factor.person
$$;
grant execute on function private.second_factor(uuid) to overture_worker;

-- object function private.begin_second_factor(uuid,text) sha256:3805a1e2358447bf
-- Begins one, or begins it anew; false where a confirmed one is there.
create or replace function private.begin_second_factor(person uuid, secret text) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
begin
  insert into private.second_factors as f (person, secret) values (begin_second_factor.person, begin_second_factor.secret)
  on conflict on constraint second_factors_pkey do update set secret = excluded.secret where f.confirmed_at is null;
  return found;
end $$;
grant execute on function private.begin_second_factor(uuid, text) to overture_worker;

-- object function private.confirm_second_factor(uuid,int8,text[],uuid) sha256:e7bde034445d0910
-- From now on sessions of this person count only when they were proved; this one is, by the code of `step`, and the others end.
create or replace function private.confirm_second_factor(person uuid, step bigint, codes text[], session uuid) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
begin
  update private.second_factors f set confirmed_at = kernel.now(), last_step = step
  where f.person = confirm_second_factor.person and f.confirmed_at is null;
  if not found then return false; end if;
  delete from private.recovery_codes c where c.person = confirm_second_factor.person;
  insert into private.recovery_codes (person, digest) select confirm_second_factor.person, c from pg_catalog.unnest(codes) c;
  perform private.end_other_sessions(person, session);
  perform private.prove_session(person, session);
  perform private.queue_account_mail('factor', person);
  return true;
end $$;
grant execute on function private.confirm_second_factor(uuid, bigint, text[], uuid) to overture_worker;

-- object function private.use_step(uuid,int8) sha256:b1748180ac8b4565
-- Uses a code up: each step once, and none before it. False: it was used.
create or replace function private.use_step(person uuid, step bigint) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
begin
  update private.second_factors f set last_step = step where f.person = use_step.person and f.last_step < step;
  return found;
end $$;
grant execute on function private.use_step(uuid, bigint) to overture_worker;

-- object function private.use_recovery_code(uuid,text) sha256:5948f3ff5a7ca2fb
create or replace function private.use_recovery_code(person uuid, given text) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
begin
  delete from private.recovery_codes c where c.person = use_recovery_code.person and c.digest = given;
  return found;
end $$;
grant execute on function private.use_recovery_code(uuid, text) to overture_worker;

-- object function private.remove_second_factor(uuid) sha256:23a965a35c994f48
create or replace function private.remove_second_factor(person uuid) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  delete from private.second_factors f where f.person = remove_second_factor.person;
  delete from private.recovery_codes c where c.person = remove_second_factor.person;
  perform private.queue_account_mail('no_factor', person);
end $$;
grant execute on function private.remove_second_factor(uuid) to overture_worker;

-- object function private.prove_session(uuid,uuid) sha256:26f3da33de64ef77
-- This session was made with the second factor as well. Those that have ended are forgotten.
create or replace function private.prove_session(person uuid, session uuid) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  delete from private.proven_sessions p where p.person = prove_session.person and not exists (
    select from auth.sessions s where s.id = p.session);
  insert into private.proven_sessions (session, person) values (prove_session.session, prove_session.person)
  on conflict on constraint proven_sessions_pkey do nothing;
end $$;
grant execute on function private.prove_session(uuid, uuid) to overture_worker;

-- object function private.stale_factors(text,uuid,int4) sha256:2c9bc66190d56927
-- Keys of apps that another key than `current_key` sealed, by person and from the one after `behind` on (null: from the first).
create or replace function private.stale_factors(current_key text, behind uuid, most int) returns table (person uuid, secret text)
language sql stable security definer set search_path = '' as $$
  select f.person, f.secret from private.second_factors f
  where pg_catalog.split_part(f.secret, '.', 2) <> current_key and (behind is null or f.person > behind)
  order by f.person limit most
$$;
grant execute on function private.stale_factors(text, uuid, int) to overture_worker;

-- object function private.reseal_factors(uuid[],text[],text[]) sha256:602f3dee84ff9732
-- Stores keys of apps as sealed anew, each only while the one that was read is still there. Returns how many.
create or replace function private.reseal_factors(people uuid[], was text[], sealed text[]) returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  n int;
begin
  update private.second_factors f set secret = r.sealed
  from rows from (pg_catalog.unnest(people), pg_catalog.unnest(was), pg_catalog.unnest(reseal_factors.sealed)) as r (person, was, sealed)
  where f.person = r.person and f.secret = r.was;
  get diagnostics n = row_count;
  return n;
end $$;
grant execute on function private.reseal_factors(uuid[], text[], text[]) to overture_worker;

-- object function private.wake_factor_rotation() sha256:dc6d23d2e6cb23a3
-- Wakes the rotation of those keys. They belong to no workspace: the message goes by the one that runs the installation.
create or replace function private.wake_factor_rotation() returns int
language sql volatile security definer set search_path = '' as $$
  select kernel.wake('tenancy_rotate', array(
    select (s.value #>> '{}')::uuid from kernel.settings s where s.key = 'operator_tenant'))
$$;

-- object function private.my_sessions(uuid) sha256:ea90914aaa0c0a23
-- Sessions are the auth server's rows, Supabase's own tables: the same on GoTrue and on the embedded server. Only these functions touch
-- them, each for one person whom the caller has verified.
create or replace function private.my_sessions(person uuid)
returns table (id uuid, created_at timestamptz, last_used_at timestamptz, user_agent text, address text)
language plpgsql stable security definer set search_path = '' as $$
begin
  return query select s.id, s.created_at, coalesce(s.refreshed_at at time zone 'UTC', s.updated_at, s.created_at),
    pg_catalog.left(s.user_agent, 500), pg_catalog.host(s.ip)
  from auth.sessions s where s.user_id = person and (s.not_after is null or s.not_after > pg_catalog.now())
  order by 3 desc, s.id limit 200;
end $$;
grant execute on function private.my_sessions(uuid) to overture_worker;

-- object function private.end_session(uuid,uuid) sha256:f43755d09a8f171c
-- Ends one session of this person, with its refresh tokens (the foreign key removes them). False: they have no such session.
create or replace function private.end_session(person uuid, session uuid) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
begin
  delete from auth.sessions s where s.id = session and s.user_id = person;
  return found;
end $$;
grant execute on function private.end_session(uuid, uuid) to overture_worker;

-- object function private.end_other_sessions(uuid,uuid) sha256:a015543efda67686
-- Ends all sessions of this person but one; all of them where that is null.
create or replace function private.end_other_sessions(person uuid, keep uuid) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  delete from auth.sessions s where s.user_id = person and s.id is distinct from keep;
end $$;
grant execute on function private.end_other_sessions(uuid, uuid) to overture_worker;

-- object function private.note_sign_in(uuid,text,inet,text,text) sha256:363722006073c090
-- After somebody proved who they are: what the session's list shows, and the address as one that this account signs in from. Only
-- digests are kept of addresses, the latest 20 of an account, for half a year.
create or replace function private.note_sign_in(session uuid, agent text, address inet, account text, known text) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  update auth.sessions s set user_agent = agent, ip = note_sign_in.address where s.id = session;
  if known is null then return; end if;
  insert into private.known_addresses as k (digest, account, at) values (known, note_sign_in.account, kernel.now())
  on conflict (digest) do update set at = excluded.at;
  delete from private.known_addresses k where k.at < kernel.now() - interval '180 days' or k.digest in (
    select x.digest from private.known_addresses x where x.account = note_sign_in.account order by x.at desc, x.digest offset 20);
end $$;
grant execute on function private.note_sign_in(uuid, text, inet, text, text) to overture_worker;

-- object function private.knows_address(text) sha256:c9f8a2c45dc7f96d
-- Whether the account has signed in from this address: its attempts have a limit of their own, which no stranger can use up.
create or replace function private.knows_address(known text) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from private.known_addresses k where k.digest = known)
$$;
grant execute on function private.knows_address(text) to overture_worker;

-- object function private.end_stolen_session(text) sha256:b3d2031f33e75a9f
-- A refresh token is exchanged once. Who shows one that was exchanged more than ten seconds ago, the time in which a client may repeat
-- a request whose answer was lost, is not the one who has its successor: one of the two is a thief, so the session ends for both.
-- The auth server itself lets the token before the current one pass at any time. True: the session was ended.
create or replace function private.end_stolen_session(refresh_token text) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
declare
  owner uuid;
begin
  delete from auth.sessions s using auth.refresh_tokens r
  where r.token = refresh_token and r.revoked and r.updated_at < pg_catalog.clock_timestamp() - interval '10 seconds'
    and s.id = r.session_id
  returning s.user_id into owner;
  if owner is null then return false; end if;
  perform private.queue_account_mail('theft', owner);
  return true;
end $$;
grant execute on function private.end_stolen_session(text) to overture_worker;

-- object function kernel.enter_as_user(uuid,uuid,uuid,float8,float8) sha256:698a1cb8ba1a6071
-- Resolves the caller and takes one token of the tenant's rate limit in one round trip.
-- For a person: the membership in the wanted tenant (or the oldest one). No row: not a member. A row without a tenant: the session
-- of the access token has ended.
create or replace function kernel.enter_as_user(user_id uuid, session uuid, wanted uuid, capacity double precision,
  per_second double precision)
returns table (tenant_id uuid, role text, taken boolean, remaining double precision, retry_after double precision)
language plpgsql volatile security definer set search_path = '' as $$
declare
  m record;
begin
  if not kernel.session_open(session) then
    return query select null::uuid, null::text, false, 0::double precision, 0::double precision;
    return;
  end if;
  select x.tenant_id, x.role into m from public.members x
  where x.user_id = enter_as_user.user_id and (wanted is null or x.tenant_id = wanted)
  order by x.created_at limit 1;
  if not found then return; end if;
  -- All requests of a tenant take from one row, one after the other: with a wait for the disk in each, they would wait for each other. A
  -- crash gives back the tokens of its last moment.
  perform pg_catalog.set_config('synchronous_commit', 'off', true);
  return query select m.tenant_id, m.role::text, t.taken, t.remaining, t.retry_after
    from kernel.take_tokens('api:' || m.tenant_id, capacity, per_second) t;
end $$;
grant execute on function kernel.enter_as_user(uuid, uuid, uuid, double precision, double precision) to overture_worker;

-- object function kernel.enter_as_key(text,float8,float8,float8,float8) sha256:a49e61f623a7d948
-- For a program: the key by its hash, unless revoked or expired, with the role that its maker has now. A key whose maker has left has
-- no role: its bearer is told why it stopped. last_used_at is written at most once a minute.
-- remaining and retry_after are of the bucket named by policy: the one that refused, else the emptier one.
create or replace function kernel.enter_as_key(hash text, capacity double precision, per_second double precision,
  key_capacity double precision default null, key_per_second double precision default null)
returns table (tenant_id uuid, key_id uuid, scopes text[], maker_id uuid, role text, taken boolean, remaining double precision,
  retry_after double precision, policy text)
language plpgsql volatile security definer set search_path = '' as $$
declare
  k record;
  own record;
  team record;
begin
  select a.*, m.role into k from public.api_keys a
  left join public.members m on m.tenant_id = a.tenant_id and m.user_id = a.created_by
  where a.key_hash = hash and (m.user_id is null or a.revoked_at is null and (a.expires_at is null or a.expires_at > kernel.now()));
  if not found then return; end if;
  if k.role is null then
    return query select k.tenant_id, k.id, k.scopes, k.created_by, null, false, 0::double precision, 0::double precision, 'key';
    return;
  end if;
  -- As for a person; the moment of the last use may be lost as well.
  perform pg_catalog.set_config('synchronous_commit', 'off', true);
  select * into own from kernel.take_tokens('key:' || k.id, coalesce(key_capacity, capacity), coalesce(key_per_second, per_second));
  if not own.taken then
    return query select k.tenant_id, k.id, k.scopes, k.created_by, k.role, false, own.remaining, own.retry_after, 'key';
    return;
  end if;
  if k.last_used_at is null or k.last_used_at < kernel.now() - interval '1 minute' then
    update public.api_keys a set last_used_at = kernel.now() where a.tenant_id = k.tenant_id and a.id = k.id;
  end if;
  select * into team from kernel.take_tokens('api:' || k.tenant_id, capacity, per_second);
  if not team.taken or team.remaining < own.remaining then
    return query select k.tenant_id, k.id, k.scopes, k.created_by, k.role, team.taken, team.remaining, team.retry_after, 'tenant';
  else
    return query select k.tenant_id, k.id, k.scopes, k.created_by, k.role, true, own.remaining, own.retry_after, 'key';
  end if;
end $$;
grant execute on function kernel.enter_as_key(text, double precision, double precision, double precision, double precision)
  to overture_worker;

-- object function private.free_slug(text) sha256:912eba2ea3859b13
-- A free slug near the name.
create or replace function private.free_slug(name text) returns text
language plpgsql volatile security definer set search_path = '' as $$
declare
  base text := coalesce(nullif(pg_catalog.btrim(pg_catalog.regexp_replace(pg_catalog.lower(name), '[^a-z0-9]+', '-', 'g'), '-'), ''),
    'team');
  candidate text;
begin
  base := pg_catalog.btrim(pg_catalog.left(base, 50), '-');
  candidate := base;
  while exists (select from public.tenants t where t.slug = candidate) loop
    candidate := base || '-' || pg_catalog.substr(pg_catalog.md5(pg_catalog.random()::text), 1, 5);
  end loop;
  return candidate;
end $$;

-- object function private.make_tenant(text,uuid,text,text,text) sha256:eb9da946246c4c01
-- A new team with its first owner. Only for a person who exists; the caller has proved who that is.
-- The audit row is written here, because the act begins outside the tenant it makes.
create or replace function private.make_tenant(tenant_name text, owner_id uuid, owner_email text, owner_name text,
  request_id text default null)
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
  values (t.id, 'user', owner_id::text, 'tenants.create', t.id::text, make_tenant.request_id,
    pg_catalog.jsonb_build_object('name', t.name));
  return t;
end $$;

-- object function private.create_tenant(text,uuid,text,text,text) sha256:18e7733e6c661456
-- The same for everybody after the claim. Null before it: a stranger who is quicker than the owner of the claim link gets no team.
create or replace function private.create_tenant(tenant_name text, owner_id uuid, owner_email text, owner_name text,
  request_id text default null)
returns public.tenants
language plpgsql volatile security definer set search_path = '' as $$
begin
  if not private.is_claimed() then return null; end if;
  return private.make_tenant(tenant_name, owner_id, owner_email, owner_name, request_id);
end $$;
grant execute on function private.create_tenant(text, uuid, text, text, text) to overture_worker;

-- object function private.my_teams(uuid) sha256:34f7d911725726b1
-- The teams a person belongs to, for choosing one after signing in. `joined_at` and `id` are the key of its pages.
create or replace function private.my_teams(user_id uuid)
returns table (id uuid, name text, slug text, role text, created_at timestamptz, person text,
  joined_at timestamptz)
language sql stable security definer set search_path = '' as $$
  select t.id, t.name, t.slug, m.role, t.created_at, m.name, m.created_at from public.members m join public.tenants t on t.id = m.tenant_id
  where m.user_id = my_teams.user_id order by m.created_at, m.tenant_id
$$;
grant execute on function private.my_teams(uuid) to overture_worker;

-- object function private.keep_addresses() sha256:4bed4d96ef1aede0
-- Addresses of people, one row each: kept from the contact's own fields, which hold the primary one of each channel.

-- After contacts came or changed: their primary addresses are those of their fields. A former one stays, so that an answer from it still
-- finds its person; it is just not primary any more.
create or replace function private.keep_addresses() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'UPDATE' then
    -- Most updates (a moment of contact, a status) touch no address.
    if not exists (select from came c join went w on w.tenant_id = c.tenant_id and w.id = c.id
      where (c.email, c.phone, c.whatsapp_number, c.linkedin_url) is distinct from (w.email, w.phone, w.whatsapp_number,
        w.linkedin_url)) then
      return null;
    end if;
    update public.contact_addresses a set is_primary = false
    from came c join went w on w.tenant_id = c.tenant_id and w.id = c.id
    cross join lateral (values ('email', c.email, w.email), ('sms', c.phone, w.phone), ('whatsapp', c.whatsapp_number, w.whatsapp_number),
      ('linkedin', c.linkedin_url, w.linkedin_url)) as v (channel, address, before)
    where v.address is distinct from v.before and a.tenant_id = c.tenant_id and a.contact_id = c.id and a.channel = v.channel
      and a.is_primary
      and a.address is distinct from v.address;
    insert into public.contact_addresses as a (tenant_id, contact_id, channel, address, source)
    select c.tenant_id, c.id, v.channel, v.address, 'contact'
    from came c join went w on w.tenant_id = c.tenant_id and w.id = c.id
    cross join lateral (values ('email', c.email, w.email), ('sms', c.phone, w.phone), ('whatsapp', c.whatsapp_number, w.whatsapp_number),
      ('linkedin', c.linkedin_url, w.linkedin_url)) as v (channel, address, before)
    where v.address is not null and v.address is distinct from v.before
    on conflict (tenant_id, contact_id, channel, address) do update set is_primary = true where not a.is_primary;
  else
    insert into public.contact_addresses (tenant_id, contact_id, channel, address, source)
    select c.tenant_id, c.id, v.channel, v.address, 'contact'
    from came c
    cross join lateral (values ('email', c.email), ('sms', c.phone), ('whatsapp', c.whatsapp_number), ('linkedin',
      c.linkedin_url)) as v (channel, address)
    where v.address is not null
    on conflict (tenant_id, contact_id, channel, address) do nothing;
  end if;
  return null;
end $$;

-- object function private.mark_addresses(text,text[],text,text) sha256:f9670ff630d19213
-- Marks addresses as dead or as proved, by what providers say of them. A person whose last address died is bounced.
create or replace function private.mark_addresses(on_channel text, addresses text[], new_state text, why text) returns void
language sql volatile set search_path = '' as $$
  with marked as (
    update public.contact_addresses a set state = new_state, state_reason = why,
      verified_at = case when new_state = 'valid' then (select kernel.now()) else a.verified_at end
    where a.tenant_id = (select kernel.tenant()) and a.channel = on_channel and a.address = any(addresses) and a.state <> new_state
    returning a.contact_id, a.id
  )
  select private.set_contact_status(array(
    select m.contact_id from marked m
    where not exists (select from public.contact_addresses o
      where o.tenant_id = (select kernel.tenant()) and o.contact_id = m.contact_id and o.id <> m.id and o.is_primary
        and o.state <> 'invalid')), 'bounced')
  where new_state = 'invalid'
$$;
grant execute on function private.mark_addresses(text, text[], text, text) to overture_user, overture_worker;

-- object function private.count_list_contacts() sha256:7417a4e990ef88b9
-- Counters of contacts: `list_contacts` per list, and `tagged_contacts` of the tenant with the tag as bucket. Definer: whoever may
-- change the rows need not write counters. Of a tenant that is being deleted nothing is counted.
create or replace function private.count_list_contacts() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op <> 'DELETE' then
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select r.tenant_id, 'list_contacts', 'list', r.list_id, '', pg_catalog.count(*) from new_rows r
    where exists (select from public.tenants t where t.id = r.tenant_id) group by 1, 4;
  end if;
  if tg_op <> 'INSERT' then
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select r.tenant_id, 'list_contacts', 'list', r.list_id, '', -pg_catalog.count(*) from old_rows r
    where exists (select from public.tenants t where t.id = r.tenant_id) group by 1, 4;
  end if;
  return null;
end $$;

-- object function private.counted_tags(text[]) sha256:5495ce214583455c
-- The tags that contacts with these tags are counted for, each once. No set clause, so that the planner takes it into its callers.
create or replace function private.counted_tags(tags text[]) returns setof text
language sql immutable
begin atomic
  select distinct t.tag from pg_catalog.unnest(tags) t (tag);
end;

-- object function private.count_contact_tags() sha256:6a76d22138ff6585
-- Rows with the same tags are added up first, so that an update of other columns is told apart before any tag is looked at.
create or replace function private.count_contact_tags() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'INSERT' then
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select g.tenant_id, 'tagged_contacts', 'tenant', g.tenant_id, t.tag, pg_catalog.sum(g.n)
    from (select r.tenant_id, r.tags, pg_catalog.count(*) as n from new_rows r group by 1, 2) g
    cross join lateral private.counted_tags(g.tags) t (tag)
    group by 1, 5;
  elsif tg_op = 'UPDATE' then
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select g.tenant_id, 'tagged_contacts', 'tenant', g.tenant_id, t.tag, pg_catalog.sum(g.n)
    from (
      select x.tenant_id, x.tags, pg_catalog.sum(x.sign) as n
      from (select 1 as sign, r.tenant_id, r.tags from new_rows r union all select -1, r.tenant_id, r.tags from old_rows r) x
      group by 1, 2 having pg_catalog.sum(x.sign) <> 0
    ) g cross join lateral private.counted_tags(g.tags) t (tag)
    where exists (select from public.tenants a where a.id = g.tenant_id)
    group by 1, 5 having pg_catalog.sum(g.n) <> 0;
  else
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select g.tenant_id, 'tagged_contacts', 'tenant', g.tenant_id, t.tag, -pg_catalog.sum(g.n)
    from (select r.tenant_id, r.tags, pg_catalog.count(*) as n from old_rows r group by 1, 2) g
    cross join lateral private.counted_tags(g.tags) t (tag)
    where exists (select from public.tenants a where a.id = g.tenant_id)
    group by 1, 5;
  end if;
  return null;
end $$;

-- object function private.recount_contacts(uuid) sha256:8cd191026604a2a0
-- Counts a tenant's lists and tags anew; writers wait meanwhile. For rows written with triggers off, and should a count be doubted.
create or replace function private.recount_contacts(team uuid) returns void
language plpgsql volatile set search_path = '' as $$
begin
  lock table public.contacts, public.list_contacts in share row exclusive mode;
  perform kernel.reset_counters(team, array['list\_contacts', 'tagged\_contacts']);
  insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
  select r.tenant_id, 'list_contacts', 'list', r.list_id, '', pg_catalog.count(*) from public.list_contacts r
  where r.tenant_id = team group by 1, 4;
  insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
  select team, 'tagged_contacts', 'tenant', team, t.tag, pg_catalog.sum(g.n)
  from (select r.tags, pg_catalog.count(*) as n from public.contacts r where r.tenant_id = team group by 1) g
  cross join lateral private.counted_tags(g.tags) t (tag)
  group by t.tag;
end $$;

-- object function private.copy_sort_keys() sha256:162bf6d08e7efb76
-- Lists: what their rows carry of the contact, so that a list is read in each order of contacts through an index of its own.

create or replace function private.copy_sort_keys() returns trigger
language plpgsql volatile set search_path = '' as $$
begin
  select c.created_at, c.email_sort, c.last_name_sort into new.contact_created_at, new.contact_email, new.contact_last_name
  from public.contacts c where c.tenant_id = new.tenant_id and c.id = new.contact_id
  -- Whoever renames the contact meanwhile comes before this row or sees it.
  for share;
  if not found then
    -- The foreign key says what is wrong.
    new.contact_created_at := '-infinity'; new.contact_email := ''; new.contact_last_name := '';
  end if;
  return new;
end $$;

-- object function private.follow_sort_keys() sha256:a60a2529c507f51c
create or replace function private.follow_sort_keys() returns trigger
language plpgsql volatile set search_path = '' as $$
begin
  update public.list_contacts l
  set contact_created_at = new.created_at, contact_email = new.email_sort, contact_last_name = new.last_name_sort
  where l.tenant_id = new.tenant_id and l.contact_id = new.id;
  return null;
end $$;

-- object function private.probe_condition(jsonb) sha256:bbe85f1f2b55d880
-- One probe as a condition over contacts c of tenant $1. Values are quoted literals, so that each plan sees them: a rare word
-- wants the index, a common one does not. See private.find_contacts for the probes.
create or replace function private.probe_condition(p jsonb) returns text
language plpgsql stable set search_path = '' as $$
begin
  if p ? 'like' then
    -- One LIKE per pattern: `like all (array)` cannot use the index.
    return (select pg_catalog.string_agg(pg_catalog.format('c.search_text like %L', kernel.fold(x)), ' and ')
      from pg_catalog.jsonb_array_elements_text(p -> 'like') x);
  elsif p ? 'tags' then
    return pg_catalog.format('c.tags && %L::text[]', array(select pg_catalog.jsonb_array_elements_text(p -> 'tags'))::text);
  elsif p ? 'custom' then
    return pg_catalog.format('lower(c.custom::text)::jsonb @> %L::jsonb', lower((p -> 'custom')::text));
  elsif p ? 'company_like' then
    return pg_catalog.format(
      'c.company_id = any(array(select o.id from public.companies o where o.tenant_id = $1 and kernel.fold(o.name) like %L))',
      kernel.fold(p ->> 'company_like'));
  end if;
  raise exception 'unknown probe: %', p using errcode = 'invalid_parameter_value';
end $$;

-- object function private.probe_conditions(jsonb) sha256:51b377d04465646c
create or replace function private.probe_conditions(probes jsonb) returns text
language sql stable set search_path = '' as $$
  select pg_catalog.string_agg(private.probe_condition(e), ' and ') from pg_catalog.jsonb_array_elements(probes) e
$$;

-- object function private.probed_tenant() sha256:bece74876ae11c8d
-- The tenant as a condition over contacts c. A tenant that has nearly all rows is checked on the rows found: its own entries
-- in a GIN index are as many as its people, and reading them beside the word's costs more than everything else.
create or replace function private.probed_tenant() returns text
language plpgsql stable set search_path = '' as $$
declare
  share real;
begin
  select p.most_common_freqs[pg_catalog.array_position(p.most_common_vals::text::text[], kernel.tenant()::text)] into share
  from pg_catalog.pg_stats p where p.schemaname = 'public' and p.tablename = 'contacts' and p.attname = 'tenant_id';
  return case when share > 0.8 then 'c.tenant_id::text = $1::text' else 'c.tenant_id = $1' end;
end $$;

-- object function private.probe_contacts(jsonb,int4) sha256:1ceaa342a8f8100e
-- Ids of the contacts that meet one indexed condition, or null when there are more than `most`: then the condition is
-- better checked while walking the list's own order. Definer, because LIKE, @> and && are not leakproof, so under
-- row-level security their GIN indexes are out of reach. It names the tenant itself, and callers still read under policies.
-- probes: [{"n":0,"like":["%ada%"]} | {"n":1,"tags":["vip"]} | {"n":2,"custom":{"plan":"pro"}} | {"n":3,"company_like":"%acme%"}]
create or replace function private.probe_contacts(probes jsonb, most int) returns table (n int, ids uuid[])
language plpgsql stable security definer set search_path = '' as $$
declare
  p jsonb;
  found uuid[];
begin
  for p in select e from pg_catalog.jsonb_array_elements(probes) e loop
    execute 'select array(select c.id from public.contacts c where ' || private.probed_tenant() || ' and ' || private.probe_condition(p)
      || ' limit $2)'
      into found using kernel.tenant(), most + 1;
    n := (p ->> 'n')::int;
    ids := case when pg_catalog.cardinality(found) <= most then found end;
    return next;
  end loop;
end $$;
grant execute on function private.probe_contacts(jsonb, integer) to overture_user, overture_worker;

-- object function private.find_contacts(jsonb,text,bool,text,uuid,int4) sha256:3756b2ed4d5e8fa1
-- The first `most` contacts that meet all probes, in a list's order after a row of it, found through the index and sorted.
-- Definer for the reason of private.probe_contacts; callers still read what it names under policies.
-- probes: [{"like":["%ada%"]}, {"tags":["vip"]}, {"custom":{"plan":"pro"}}, {"company_like":"%acme%"}]
create or replace function private.find_contacts(probes jsonb, sort text, descending boolean, after_key text, after_id uuid, most int)
  returns uuid[]
language plpgsql stable security definer set search_path = '' as $$
declare
  way text := case when descending then 'desc' else 'asc' end;
  found uuid[];
begin
  if sort not in ('created_at', 'email_sort', 'last_name_sort') then
    raise exception 'contacts are not listed by %', sort using errcode = 'invalid_parameter_value';
  end if;
  -- Materialized: all matches first, then their order. The order's own index was tried already and ran dry.
  execute pg_catalog.format(
      'with matching as materialized (select c.id, c.%1$I as key from public.contacts c where %5$s and %2$s)
       select array(select m.id from matching m %3$s order by m.key %4$s, m.id %4$s limit $4)',
      sort, private.probe_conditions(probes),
      case when after_id is not null then
        pg_catalog.format('where (m.key, m.id) %s ($2::%s, $3)', case when descending then '<' else '>' end,
          case sort when 'created_at' then 'timestamptz' else 'text' end)
      else '' end, way, private.probed_tenant())
    into found using kernel.tenant(), after_key, after_id, most;
  return found;
end $$;
grant execute on function private.find_contacts(jsonb, text, boolean, text, uuid, integer) to overture_user, overture_worker;

-- object function private.count_contacts(jsonb,int4) sha256:6a99938a3768f947
-- How many contacts meet all probes, `most` at most.
create or replace function private.count_contacts(probes jsonb, most int) returns int
language plpgsql stable security definer set search_path = '' as $$
declare
  n int;
begin
  execute 'select count(*)::int from (select from public.contacts c where ' || private.probed_tenant() || ' and '
    || private.probe_conditions(probes) || ' limit $2) x'
    into n using kernel.tenant(), most;
  return n;
end $$;
grant execute on function private.count_contacts(jsonb, integer) to overture_user, overture_worker;

-- object function private.find_companies(text,text,text,uuid,int4) sha256:03871bef5d1652c9
-- The first `most` companies by name after a row of that order whose name is like a pattern or who have this domain.
create or replace function private.find_companies(pattern text, with_domain text, after_name text, after_id uuid, most int) returns uuid[]
language plpgsql stable security definer set search_path = '' as $$
declare
  found uuid[];
begin
  -- Planned with the pattern in sight.
  execute pg_catalog.format(
      'with matching as materialized (
         select o.id, o.name_sort from public.companies o where o.tenant_id = $1 and kernel.fold(o.name) like %L
         union select o.id, o.name_sort from public.companies o where o.tenant_id = $1 and o.domain = $2)
       select array(select m.id from matching m where $4 is null or (m.name_sort, m.id) > ($3, $4) order by m.name_sort,
         m.id limit $5)', kernel.fold(pattern))
    into found using kernel.tenant(), lower(with_domain), after_name, after_id, most;
  return found;
end $$;
grant execute on function private.find_companies(text, text, text, uuid, integer) to overture_user, overture_worker;

-- object function private.estimate_contacts() sha256:d09509c10ecf7850
-- About how many contacts a team has, without counting a million rows: exact up to ten thousand; above, the team's share of the table
-- as of its last analysis. A team that has no share of its own there gets a lower bound: the table's size would tell of other teams.
create or replace function private.estimate_contacts() returns bigint
language plpgsql stable security definer set search_path = '' as $$
declare
  n bigint;
begin
  select pg_catalog.count(*) into n from (select from public.contacts c where c.tenant_id = kernel.tenant() order by c.id limit 10001) x;
  if n <= 10000 then return n; end if;
  return greatest(n, (select (r.reltuples * f.freq)::bigint
    from pg_catalog.pg_class r, pg_catalog.pg_stats p,
      lateral (select pg_catalog.unnest(p.most_common_vals::text::text[]) as v, pg_catalog.unnest(p.most_common_freqs) as freq) f
    where r.oid = 'public.contacts'::regclass and p.schemaname = 'public' and p.tablename = 'contacts' and p.attname = 'tenant_id'
      and f.v = kernel.tenant()::text));
end $$;
grant execute on function private.estimate_contacts() to overture_user, overture_worker;

-- object function private.note_messages(jsonb) sha256:583ba1c6ac576fba
-- The timeline and status of people, from what the other modules tell.

-- Notes what happened to people: [{"message_id","contact_id","channel","at","what","content"}]; `what` becomes the kind with its channel
-- before it: email_opened. Told twice, it stands there once. What was sent changes the person alone: the timeline reads it off the
-- messages.
create or replace function private.note_messages(entries jsonb) returns void
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan as $$
begin
  insert into public.interactions (tenant_id, contact_id, kind, channel, direction, content, ref_table, ref_id, at)
  select kernel.tenant(), e.contact_id, e.channel || '_' || e.what, e.channel, 'in', coalesce(e.content, ''), 'messages', e.message_id, e.at
  from pg_catalog.jsonb_to_recordset(entries) as e(message_id uuid, contact_id uuid, channel text, at timestamptz, what text, content text)
  -- Whoever was deleted meanwhile has no timeline.
  join public.contacts c on c.tenant_id = (select kernel.tenant()) and c.id = e.contact_id
  where e.what <> 'sent'
  on conflict (tenant_id, ref_table, ref_id, kind) where ref_id is not null do nothing;

  update public.contacts c set updated_at = (select kernel.now()), last_interaction_at = greatest(c.last_interaction_at, e.at),
    status = case
      when e.answered and c.status in ('new', 'researching', 'enriched', 'personalized', 'approved', 'contacted') then 'replied'
      when e.written and c.status in ('new', 'researching', 'enriched', 'personalized', 'approved') then 'contacted'
      else c.status end
  from (
    select x.contact_id, max(x.at) as at, bool_or(x.what = 'sent') as written, bool_or(x.what = 'reply') as answered
    from pg_catalog.jsonb_to_recordset(entries) as x(contact_id uuid, at timestamptz, what text)
    where x.what in ('sent', 'reply') group by 1
  ) e
  where c.tenant_id = (select kernel.tenant()) and c.id = e.contact_id;
end $$;

-- object function private.set_contact_status(uuid[],text) sha256:28dc577b61a6ce89
-- A status that follows from what a person did. Nobody becomes less than what they are: a customer stays one. The setting tells the
-- triggers that nobody gave this status, so nothing is made of it.
create or replace function private.set_contact_status(people uuid[], new_status text) returns void
language plpgsql volatile set search_path = '' as $$
begin
  perform pg_catalog.set_config('app.status_follows', 'yes', true);
  update public.contacts c set status = new_status
  where c.tenant_id = (select kernel.tenant()) and c.id = any(people) and c.status <> new_status
    and case new_status when 'contacted' then c.status = 'unsubscribed' else c.status not in ('bounced', 'unsubscribed', 'suppressed') end;
  perform pg_catalog.set_config('app.status_follows', '', true);
end $$;

-- object function private.free_contacts(uuid[]) sha256:abd56d5eeca52d4d
-- People who may be written to again have the status of one who was written to, or of a new one.
create or replace function private.free_contacts(people uuid[]) returns void
language sql volatile set search_path = '' as $$
  update public.contacts c set status = case when c.last_interaction_at is null then 'new' else 'contacted' end
  where c.tenant_id = (select kernel.tenant()) and c.id = any(people) and c.status in ('bounced', 'unsubscribed', 'suppressed')
$$;
grant execute on function private.free_contacts(uuid[]) to overture_user, overture_worker;

-- object function private.mark_suppressed(text,text[]) sha256:dc528f7eca1657ca
-- People whose primary address was suppressed and who have no other address that can be written to.
create or replace function private.mark_suppressed(on_channel text, addresses text[]) returns void
language sql volatile set search_path = '' as $$
  select private.set_contact_status(array(
    select a.contact_id from public.contact_addresses a
    where a.tenant_id = (select kernel.tenant()) and a.channel = on_channel and a.address = any(addresses) and a.is_primary
      and not exists (select from public.contact_addresses o
        where o.tenant_id = (select kernel.tenant()) and o.contact_id = a.contact_id and o.id <> a.id and o.is_primary
          and o.state <> 'invalid')), 'suppressed')
$$;
grant execute on function private.note_messages(jsonb), private.set_contact_status(uuid[], text), private.mark_suppressed(text, text[])
  to overture_user, overture_worker;

-- object function private.note_health(jsonb) sha256:78aed8b092c840a6
-- Health of connections, and the circuit breaker: five failures in a row rest a connection for a minute; a broken one waits for a person,
-- and so does one that refuses everything: going on would spend the whole audience on one wrong setting. told:
-- [{"connection_id","ok","bad","rejected","broken","error"}]: calls of the current tenant since the last time.
create or replace function private.note_health(told jsonb) returns void
language plpgsql volatile security definer set search_path = '' set plan_cache_mode = force_generic_plan as $$
begin
  update public.connections c set
    sent = c.sent + g.ok, failed = c.failed + g.bad,
    consecutive_failures = case when g.ok > 0 then 0 else c.consecutive_failures + g.bad end,
    consecutive_rejections = case when g.ok > 0 then 0 else c.consecutive_rejections + g.rejected end,
    last_success_at = case when g.ok > 0 then (select kernel.now()) else c.last_success_at end,
    last_error = coalesce(g.error, c.last_error),
      last_error_at = case when g.error is not null then (select kernel.now()) else c.last_error_at end,
    status = case when g.broken or (g.ok = 0 and c.consecutive_rejections + g.rejected >= 50) then 'issue' else c.status end,
    circuit_open_until = case when g.ok = 0 and c.consecutive_failures + g.bad >= 5 then (select kernel.now()) + interval '1 minute' end
  from pg_catalog.jsonb_to_recordset(told) as g(connection_id uuid, ok int, bad int, rejected int, broken boolean, error text)
  where c.tenant_id = (select kernel.tenant()) and c.id = g.connection_id;
end $$;
grant execute on function private.note_health(jsonb) to overture_user, overture_worker;

-- object function private.wake_rotation() sha256:4fc095b4f24697cd
-- Tenants with credentials, for those that an old key sealed. One wake each; the consumer knows which key is current, the database does
-- not.
create or replace function private.wake_rotation() returns int
language sql volatile security definer set search_path = '' as $$
  select kernel.wake('providers_rotate', array(select distinct c.tenant_id from public.connections c))
$$;

-- object function private.connections_for_webhooks(uuid[]) sha256:ebbff969cd8bd527
-- The connections behind webhook URLs. The only thing looked up before the signature is checked.
create or replace function private.connections_for_webhooks(ids uuid[])
returns table (id uuid, tenant_id uuid, provider text, credentials text, settings jsonb, base_url text)
language plpgsql stable security definer set search_path = '' set plan_cache_mode = force_generic_plan as $$
begin
  return query select c.id, c.tenant_id, c.provider, c.credentials, c.settings, c.base_url from public.connections c where c.id = any(ids);
end $$;
grant execute on function private.connections_for_webhooks(uuid[]) to overture_worker;

-- object function private.take_deliveries(uuid[],text[],bytea[],jsonb) sha256:e99c9dd7f8e26b7e
-- Stores verified deliveries once and puts them on the queue. Returns for each, in order: true when it is new, false when it was stored
-- before, null when its connection is gone. One statement, so one round trip and no transaction around it: providers wait for the answer
-- and give up on slow ones. Definer: the caller acts for no tenant yet. A delivery's tenant is its connection's own, so nothing can be
-- stored for another.
create or replace function private.take_deliveries(connections uuid[], deliveries text[], bodies bytea[], contexts jsonb) returns boolean[]
language plpgsql volatile security definer set search_path = '' set plan_cache_mode = force_generic_plan as $$
declare
  queued jsonb[];
  results boolean[];
begin
  with given as materialized (
    select d.n, d.connection, d.delivery, d.body, d.context, c.tenant_id,
      pg_catalog.row_number() over (partition by d.connection, d.delivery order by d.n) as nth
    from rows from (pg_catalog.unnest(connections), pg_catalog.unnest(deliveries), pg_catalog.unnest(bodies),
      pg_catalog.jsonb_array_elements(contexts)) with ordinality as d (connection, delivery, body, context, n)
    left join public.connections c on c.id = d.connection
  ), stored as (
    insert into public.webhook_deliveries (tenant_id, connection_id, delivery_id, body, context)
    select g.tenant_id, g.connection, g.delivery, g.body, g.context from given g where g.tenant_id is not null and g.nth = 1
    order by g.connection, g.delivery
    on conflict (tenant_id, connection_id, delivery_id) do nothing returning tenant_id, id, connection_id, delivery_id
  )
  select pg_catalog.array_agg(pg_catalog.jsonb_build_object('tenant_id', s.tenant_id, 'id', s.id)) filter (where s.id is not null),
    pg_catalog.array_agg(case when g.tenant_id is not null then s.id is not null end order by g.n)
  into queued, results
  from given g left join stored s on g.nth = 1 and s.connection_id = g.connection and s.delivery_id = g.delivery;
  if queued is not null then perform kernel.enqueue('webhooks_in', queued); end if;
  return results;
end $$;
grant execute on function private.take_deliveries(uuid[], text[], bytea[], jsonb) to overture_worker;

-- object function private.finish_deliveries(jsonb,uuid[]) sha256:d24b75e03ca03576
-- Says what became of deliveries: [{"id","error"}] are processed, the others wait for the message they speak of.
create or replace function private.finish_deliveries(finished jsonb, waiting uuid[]) returns void
language sql volatile set search_path = '' as $$
  update public.webhook_deliveries d set
    processed_at = case when f.waits then null else kernel.now() end,
    attempts = d.attempts + case when f.waits then 1 else 0 end,
    error = f.error
  from (
    select x.id, x.error, false as waits from pg_catalog.jsonb_to_recordset(finished) as x(id uuid, error text)
    union all
    select w, 'Waits for the message it speaks of.', true from pg_catalog.unnest(waiting) w
  ) f
  where d.tenant_id = (select kernel.tenant()) and d.id = f.id
$$;
grant execute on function private.finish_deliveries(jsonb, uuid[]) to overture_worker;

-- object function private.prune_webhooks(interval,int4) sha256:4d7f929d610bb4cf
-- In portions, so that a long backlog never becomes one long transaction.
create or replace function private.prune_webhooks(keep interval default '30 days', quantity int default 20000) returns int
language sql volatile security definer set search_path = '' as $$
  with gone as (
    delete from public.webhook_deliveries d
    where (d.tenant_id, d.id) in (
      select x.tenant_id, x.id from public.webhook_deliveries x where x.received_at < kernel.now() - keep order by x.received_at
        limit quantity)
    returning 1
  )
  select pg_catalog.count(*)::int from gone
$$;

-- object function private.request_reset(text) sha256:7312222f101bda39
-- Whoever has an account with this address, else an id that nobody has. Both auth servers store addresses in lower case and index those of
-- accounts without single sign-on: the condition is that index's own.
create or replace function private.request_reset(address text) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  perform private.queue_account_mail('reset', coalesce(
    (select u.id from auth.users u where u.email = pg_catalog.lower(address) and u.is_sso_user = false), kernel.uuid7()));
end $$;
grant execute on function private.request_reset(text) to overture_worker;

-- object function private.account_digest(uuid) sha256:fd50857547d00926
-- The address and the password of an account, as a digest: a link counts only while it is the one of when the link was asked for. Null
-- when there is no account.
create or replace function private.account_digest(person uuid) returns text
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
    u.email || E'\n' || coalesce(u.encrypted_password, ''), 'UTF8')), 'hex') from auth.users u where u.id = person);
end $$;

-- object function private.ask_account_change(uuid,text,text) sha256:93e0299a5f1a5fb0
-- Keeps what a person asked for until the mail with its link is made: one of each kind, the latest. Nothing for who has no account.
create or replace function private.ask_account_change(person uuid, kind text, address text) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  insert into private.account_tokens as t (person, kind, address, account_address, account_digest, expires_at)
  select u.id, ask_account_change.kind, ask_account_change.address, u.email, private.account_digest(u.id),
    kernel.now() + interval '1 hour'
  from auth.users u where u.id = ask_account_change.person
  on conflict on constraint account_tokens_pkey do update
    set token_hash = null, address = excluded.address, account_address = excluded.account_address,
      account_digest = excluded.account_digest, expires_at = excluded.expires_at;
end $$;
grant execute on function private.ask_account_change(uuid, text, text) to overture_worker;

-- object function private.give_account_token(uuid,text,text) sha256:e6a85101f38b5b78
-- Gives the latest request its token, for the mail that is about to leave: the link of an earlier mail ends. Null: nothing was asked
-- for, or too long ago, or the account was changed since.
create or replace function private.give_account_token(person uuid, kind text, hash text) returns text
language plpgsql volatile security definer set search_path = '' as $$
declare
  wanted text;
begin
  update private.account_tokens t set token_hash = hash
  where t.person = give_account_token.person and t.kind = give_account_token.kind and t.expires_at > kernel.now()
    and private.account_digest(t.person) = t.account_digest
  returning t.address into wanted;
  return wanted;
end $$;
grant execute on function private.give_account_token(uuid, text, text) to overture_worker;

-- object function private.use_account_token(text,text) sha256:e9dd1405f30ff4d0
-- Uses a link up: of two who open it at once one gets it. No row: it was used, replaced, or has expired, or the password or the address
-- of the account was changed since, whoever did it and wherever. For another address a message is queued with it that follows up the
-- change, whatever becomes of the caller: after thirty seconds the auth server (ten seconds at most) has changed the address or has not.
create or replace function private.use_account_token(hash text, kind text)
returns table (person uuid, address text, expires_at timestamptz, account_address text, account_digest text)
language plpgsql volatile security definer set search_path = '' as $$
declare
  used private.account_tokens;
begin
  delete from private.account_tokens t
  where t.token_hash = hash and t.kind = use_account_token.kind and t.expires_at > kernel.now()
    and t.account_digest = private.account_digest(t.person)
  returning t.* into used;
  if not found then return; end if;
  if used.kind = 'email' then perform private.queue_account_mail('address', used.person, used.account_address, 30); end if;
  return query select used.person, used.address, used.expires_at, used.account_address, used.account_digest;
end $$;
grant execute on function private.use_account_token(text, text) to overture_worker;

-- object function private.restore_account_token(uuid,text,text,text,timestamptz,text,text) sha256:127f94ab88483169
-- Takes a use back, when the auth server refused what was to follow; not over a link that was made since.
create or replace function private.restore_account_token(person uuid, kind text, hash text, address text, until timestamptz,
  account_address text, account_digest text) returns void
language sql volatile security definer set search_path = '' as $$
  insert into private.account_tokens (person, kind, token_hash, address, expires_at, account_address, account_digest)
  values (person, kind, hash, address, until, account_address, account_digest)
  on conflict on constraint account_tokens_pkey do nothing
$$;
grant execute on function private.restore_account_token(uuid, text, text, text, timestamptz, text, text) to overture_worker;

-- object function private.stop_statuses(uuid[]) sha256:f149de150ce1825c
-- The status of a contact and what sending looks at agree, from the moment on that an address or a status comes.

-- Why these people must not be written to on any channel, as a status; null for whoever can be written to.
create or replace function private.stop_statuses(people uuid[]) returns table (contact_id uuid, status text)
language sql stable set search_path = '' as $$
  select p, case
    when exists (select from public.consents g
      where g.tenant_id = (select kernel.tenant()) and g.contact_id = p and g.state = 'withdrawn') then 'unsubscribed'
    when a.writable or a.n = 0 then null
    when 'unsubscribe' = any(a.reasons) or 'complaint' = any(a.reasons) then 'unsubscribed'
    when 'manual' = any(a.reasons) then 'suppressed'
    else 'bounced' end
  from (select distinct x as p from pg_catalog.unnest(people) x) d
  cross join lateral (
    select pg_catalog.count(*) as n, pg_catalog.bool_or(x.id is null and a.state <> 'invalid') as writable,
      pg_catalog.array_agg(x.reason) as reasons
    from public.contact_addresses a
    left join public.suppressions x on x.tenant_id = a.tenant_id and x.channel = a.channel and x.address = a.address
    where a.tenant_id = (select kernel.tenant()) and a.contact_id = p and a.is_primary
  ) a
$$;

-- object function private.settle_statuses(uuid[]) sha256:ff6279552a2ddc4f
-- Gives people the status that follows from their suppressions and consents: stopped, or free again.
create or replace function private.settle_statuses(people uuid[]) returns void
language plpgsql volatile set search_path = '' as $$
begin
  perform private.set_contact_status(pg_catalog.array_agg(s.contact_id), s.status)
  from private.stop_statuses(people) s where s.status is not null group by s.status;
  perform private.free_contacts(pg_catalog.array_agg(s.contact_id))
  from private.stop_statuses(people) s where s.status is null;
end $$;
grant execute on function private.stop_statuses(uuid[]), private.settle_statuses(uuid[]) to overture_user, overture_worker;

-- object function private.heed_suppressions() sha256:4743a5de4a935d03
-- An address that became somebody's: where it is suppressed, the contact says so at once; where it takes the place of one that could not be
-- written to, the contact is free. Whoever opted out with it has opted out, unless their own consent is on record.
create or replace function private.heed_suppressions() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  g record;
  people uuid[];
begin
  -- Outside of a tenant rows are only restored.
  if kernel.tenant() is null then return null; end if;
  for g in
    select r.channel, x.reason, pg_catalog.array_agg(r.contact_id) as people, pg_catalog.array_agg(distinct r.address) as addresses
    from came r join public.suppressions x on x.tenant_id = r.tenant_id and x.channel = r.channel and x.address = r.address
    where r.tenant_id = kernel.tenant() and r.is_primary
    group by 1, 2 order by 1, 2
  loop
    if g.reason in ('unsubscribe', 'complaint') then
      perform private.set_consent(g.channel, array(
        select p from pg_catalog.unnest(g.people) p where not exists (select from public.consents k
          where k.tenant_id = kernel.tenant() and k.contact_id = p and k.channel = g.channel)),
        'withdrawn', 'The owner of the address had opted out.');
    elsif g.reason = 'bounce' then
      perform private.mark_addresses(g.channel, g.addresses, 'invalid', 'bounced');
    end if;
    people := people || g.people;
  end loop;
  perform private.settle_statuses(people || array(
    select r.contact_id from came r join public.contacts c on c.tenant_id = r.tenant_id and c.id = r.contact_id
    where r.tenant_id = kernel.tenant() and r.is_primary and c.status in ('bounced', 'unsubscribed', 'suppressed')
      and exists (select from public.contact_addresses o
        where o.tenant_id = r.tenant_id and o.contact_id = r.contact_id and o.channel = r.channel and not o.is_primary)));
  return null;
end $$;

-- object function private.heed_former_address() sha256:a3940a2d8b698469
-- A former address that is the primary one again.
create or replace function private.heed_former_address() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if kernel.tenant() is not null then
    perform private.settle_statuses(array[new.contact_id]);
  end if;
  return null;
end $$;

-- object function private.back_statuses() sha256:233191de189ed2ff
-- A contact that is said to be stopped (by a file) and of whom nothing else says so: the opt-out or the suppression is made, so that
-- sending does what lists show. What follows from an event is recorded already.
create or replace function private.back_statuses() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  g record;
  said uuid[];
  note text := 'The contact was imported with this status.';
begin
  if kernel.tenant() is null or pg_catalog.current_setting('app.status_follows', true) = 'yes' then return null; end if;
  if tg_op = 'INSERT' then
    said := array(select r.id from came r where r.status in ('bounced', 'unsubscribed', 'suppressed'));
  else
    said := array(select r.id from came r join went w on w.tenant_id = r.tenant_id and w.id = r.id
      where r.status in ('bounced', 'unsubscribed', 'suppressed') and r.status <> w.status);
  end if;
  if said = '{}' then return null; end if;
  for g in
    select c.status, coalesce(a.channel, 'email') as channel, pg_catalog.array_agg(distinct c.id) as people,
      coalesce(pg_catalog.array_agg(distinct a.address) filter (where a.address is not null), '{}') as addresses
    from private.stop_statuses(said) s join public.contacts c on c.tenant_id = kernel.tenant() and c.id = s.contact_id
    left join public.contact_addresses a on a.tenant_id = c.tenant_id and a.contact_id = c.id and a.is_primary
      -- A bounce says that the mail came back, and nothing of the phone.
      and (c.status <> 'bounced' or c.email is null or a.channel = 'email')
    where s.status is null
    group by 1, 2 order by 1, 2
  loop
    case g.status
      when 'unsubscribed' then perform private.opt_out(g.channel, g.people, g.addresses, 'unsubscribe', note);
      when 'suppressed' then perform private.suppress(g.channel, g.addresses, 'manual', note);
      else perform private.suppress(g.channel, g.addresses, 'bounce', note);
    end case;
  end loop;
  return null;
end $$;

-- object function private.guard_suppression(public.messages) sha256:e7c95e8ae01b2ca7
-- Who must not be written to.

-- A suppressed address is never written to on its channel.
create or replace function private.guard_suppression(m public.messages) returns table (verdict text, reason text, until timestamptz)
language sql stable as $$
  select 'cancel', 'suppressed', null::timestamptz from public.suppressions x
  where x.tenant_id = m.tenant_id and x.channel = m.channel and x.address = m.to_address
$$;

-- object function private.guard_consent(public.messages) sha256:941d1a4466fb3067
-- A person who opted out on a channel is not written to there, whatever the address; and where the channel demands consent, only with it.
create or replace function private.guard_consent(m public.messages) returns table (verdict text, reason text, until timestamptz)
language sql stable as $$
  select 'cancel', case when c.state = 'withdrawn' then 'opted_out' else 'no_consent' end, null::timestamptz
  from (values (true)) as one (row)
  left join public.consents c on c.tenant_id = m.tenant_id and c.contact_id = m.contact_id and c.channel = m.channel
  where m.direction = 'out' and (c.state = 'withdrawn' or m.requires_consent and c.state is distinct from 'granted')
$$;

-- object function private.suppress(text,text[],text,text) sha256:6c0c531a17e32967
-- Suppresses addresses of a channel. The one way an address becomes suppressed. Tells of every address, also of those that were: what
-- follows from it then happens again where it was missed.
create or replace function private.suppress(on_channel text, addresses text[], why text, note text) returns void
language plpgsql volatile set search_path = '' as $$
begin
  insert into public.suppressions (tenant_id, channel, address, reason, detail)
  select kernel.tenant(), on_channel, a, why, note from (select distinct x as a from pg_catalog.unnest(addresses) x
    where x <> '') d order by a
  on conflict (tenant_id, channel, address) do nothing;
  perform kernel.emit('address.suppressed', pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('channel', on_channel, 'address', a,
    'reason', why, 'note', note)))
  from (select distinct x as a from pg_catalog.unnest(addresses) x where x <> '') d having pg_catalog.count(*) > 0;
end $$;

-- object function private.set_consent(text,uuid[],text,text) sha256:1d6185afc8d3dd87
-- Writes people's consent on a channel: granted or withdrawn, from which source. Returns how many changed. Tells of whom it granted, and of
-- everybody who withdrew, also of those who had: what follows from it then happens again where it was missed.
create or replace function private.set_consent(on_channel text, people uuid[], new_state text, new_source text) returns int
language plpgsql volatile set search_path = '' as $$
declare
  wanted uuid[] := array(select distinct x from pg_catalog.unnest(people) x where x is not null order by 1);
  changed uuid[];
begin
  with written as (
    insert into public.consents as c (tenant_id, contact_id, channel, state, source)
    select kernel.tenant(), p, on_channel, new_state, new_source from pg_catalog.unnest(wanted) p order by p
    on conflict (tenant_id, contact_id, channel) do update set state = excluded.state, source = excluded.source, at = kernel.now()
    where c.state <> excluded.state returning c.contact_id
  )
  select coalesce(pg_catalog.array_agg(w.contact_id), '{}') into changed from written w;
  perform kernel.emit(case new_state when 'granted' then 'contact.opted_in' else 'contact.opted_out' end, pg_catalog.jsonb_agg(
    pg_catalog.jsonb_build_object('channel', on_channel, 'contact_id', p, 'source', new_source)))
  from pg_catalog.unnest(case new_state when 'granted' then changed else wanted end) p having pg_catalog.count(*) > 0;
  return pg_catalog.cardinality(changed);
end $$;

-- object function private.opt_out(text,uuid[],text[],text,text) sha256:afba333edf87808d
-- A person opted out: themselves, the address it came from or went to, and every other address of theirs on the channel, so that none is
-- used instead, also when it is imported again. Not an address that somebody else has who did not opt out.
create or replace function private.opt_out(on_channel text, people uuid[], addresses text[], why text, note text) returns void
language plpgsql volatile set search_path = '' as $$
declare
  everybody uuid[] := people || array(
    select a.contact_id from public.contact_addresses a
    where a.tenant_id = (select kernel.tenant()) and a.channel = on_channel and a.address = any(addresses));
begin
  perform private.set_consent(on_channel, everybody, 'withdrawn', note);
  perform private.suppress(on_channel, addresses || array(select x from private.own_addresses(on_channel, everybody) x), why, note);
end $$;

-- object function private.own_addresses(text,uuid[]) sha256:5d2c9317b7c1c7a5
-- The addresses of people on a channel, former ones too, that nobody else has who did not opt out there.
create or replace function private.own_addresses(on_channel text, people uuid[]) returns setof text
language sql stable set search_path = '' as $$
  select distinct a.address from public.contact_addresses a
  where a.tenant_id = (select kernel.tenant()) and a.channel = on_channel and a.contact_id = any(people)
    and not exists (select from public.contact_addresses o
      left join public.consents g on g.tenant_id = (select kernel.tenant()) and g.contact_id = o.contact_id and g.channel = o.channel
      where o.tenant_id = (select kernel.tenant()) and o.channel = on_channel and o.address = a.address
        and o.contact_id <> all(people) and g.state is distinct from 'withdrawn')
$$;

-- object function private.opt_in(text,uuid[],text[],text) sha256:44523156be520039
-- A person opted in again, by a word on the channel itself: the consent and every address that opting out took in are free, unless one is
-- dead. Of a number that people share it frees those whom opting out took in.
create or replace function private.opt_in(on_channel text, people uuid[], addresses text[], note text) returns void
language plpgsql volatile set search_path = '' as $$
declare
  everybody uuid[] := people || array(
    select a.contact_id from public.contact_addresses a
    where a.tenant_id = (select kernel.tenant()) and a.channel = on_channel and a.address = any(addresses));
  theirs text[] := addresses || array(select x from private.own_addresses(on_channel, everybody) x);
begin
  delete from public.suppressions x
  where x.tenant_id = (select kernel.tenant()) and x.channel = on_channel and x.address = any(theirs)
    and x.reason in ('unsubscribe', 'complaint');
  perform private.set_consent(on_channel, everybody, 'granted', note);
end $$;
grant execute on function private.guard_suppression(public.messages), private.guard_consent(public.messages), private.suppress(text, text[],
  text, text),
  private.set_consent(text, uuid[], text, text), private.opt_out(text, uuid[], text[], text, text), private.opt_in(text, uuid[], text[],
    text), private.own_addresses(text, uuid[])
  to overture_user, overture_worker;

-- object function private.keep_opt_outs() sha256:e81ce019e83510ee
-- An opt-out outlives its contact, however that is deleted: the person's addresses on the channel become suppressed, so that they are not
-- written to when they are imported again, or when a double's address is given to the contact that stays. Not what somebody else has who
-- did not opt out.
create or replace function private.keep_opt_outs() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.suppressions (tenant_id, channel, address, reason, detail)
  select c.tenant_id, c.channel, a.address, 'unsubscribe', 'The person had opted out when their contact was deleted.'
  from public.consents c
  join public.contact_addresses a on a.tenant_id = c.tenant_id and a.contact_id = c.contact_id and a.channel = c.channel
  where c.tenant_id = old.tenant_id and c.contact_id = old.id and c.state = 'withdrawn'
    and exists (select from public.tenants t where t.id = old.tenant_id)
    and not exists (select from public.contact_addresses o
      left join public.consents g on g.tenant_id = o.tenant_id and g.contact_id = o.contact_id and g.channel = o.channel
      where o.tenant_id = a.tenant_id and o.channel = a.channel and o.address = a.address and o.contact_id <> old.id
        and g.state is distinct from 'withdrawn')
  order by a.channel, a.address
  on conflict (tenant_id, channel, address) do nothing;
  return old;
end $$;

-- object function private.decide_messages(uuid[],text,text) sha256:6ea2950cc464f37c
-- What an approval does to its message. As their owner, because who may approve need not be who may write messages: the operations ask for
-- the permission, and of a message that waits for no approval nothing is changed.

-- Lets messages that wait go, or cancels them with `code` as their reason. verdict: approved or rejected. What other guards stop they stop
-- in the claim. Returns those it decided.
create or replace function private.decide_messages(ids uuid[], verdict text, code text) returns setof uuid
language plpgsql volatile security definer set search_path = '' as $$
declare
  ts timestamptz := kernel.now();
  decided jsonb;
begin
  if verdict not in ('approved', 'rejected') then
    raise exception 'no such verdict: %', verdict using errcode = 'invalid_parameter_value';
  end if;
  with waiting as (
    select m.id from public.messages m where m.tenant_id = (select kernel.tenant()) and m.id = any(ids) and m.direction = 'out'
      and m.approval = 'pending' and m.status in ('queued', 'held') order by m.id for update
  ), done as (
    update public.messages m set updated_at = ts, approval = verdict, error_code = code,
      status = case verdict when 'approved' then 'queued' else 'cancelled' end, due_at = case verdict when 'approved' then ts end
    from waiting w where m.tenant_id = (select kernel.tenant()) and m.id = w.id
    returning m.id, m.enrollment_id, m.step_run_id, m.contact_id, m.campaign_id, m.channel, m.to_address, code as reason
  )
  select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(d)) into decided from done d;
  if decided is null then return; end if;
  if verdict = 'rejected' then perform private.emit_cancelled(decided); end if;
  return query select (d ->> 'id')::uuid from pg_catalog.jsonb_array_elements(decided) d;
end $$;

-- object function private.rewrite_message(uuid,jsonb) sha256:37617877cf71b539
-- Puts another text into a message that waits: everything the channel prepared, tracked links included. Returns whether it still waited.
-- prepared: {"subject","text","content","email","links"}, as the channel gives it.
create or replace function private.rewrite_message(message uuid, prepared jsonb) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
begin
  update public.messages m set subject = prepared ->> 'subject', body_text = prepared ->> 'text', content = prepared -> 'content'
  where m.tenant_id = (select kernel.tenant()) and m.id = message and m.direction = 'out' and m.approval = 'pending'
    and m.status in ('queued', 'held');
  if not found then return false; end if;
  if pg_catalog.jsonb_typeof(prepared -> 'email') = 'object' then
    update public.email_details d set in_reply_to = e.in_reply_to, reply_to = e.reply_to, headers = e.headers, html = e.html
    from pg_catalog.jsonb_to_record(prepared -> 'email') as e(in_reply_to text, reply_to text, headers jsonb, html text)
    where d.tenant_id = (select kernel.tenant()) and d.message_id = message;
  end if;
  delete from public.tracked_links l where l.tenant_id = (select kernel.tenant()) and l.message_id = message;
  insert into public.tracked_links (tenant_id, message_id, number, url)
  select (select kernel.tenant()), message, l.number, l.url
  from pg_catalog.jsonb_to_recordset(prepared -> 'links') as l(number int, url text);
  return true;
end $$;

-- object function private.waiting_approvals(uuid[]) sha256:5c7326f2af30d78d
-- How many messages of these campaigns wait for approval, and since when.
create or replace function private.waiting_approvals(campaigns uuid[]) returns table (campaign uuid, n int, since timestamptz)
language sql stable set search_path = '' as $$
  select k.id, w.n::int, w.since from pg_catalog.unnest(campaigns) k (id) cross join lateral (
    select pg_catalog.count(*) as n, pg_catalog.min(m.created_at) as since from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.campaign_id = k.id and m.approval = 'pending' and m.status in ('queued', 'held')) w
$$;
grant execute on function private.decide_messages(uuid[], text, text), private.rewrite_message(uuid, jsonb),
  private.waiting_approvals(uuid[]) to overture_user, overture_worker;

-- object function private.claim_messages(int4,int4,uuid) sha256:4f7678792f5c7e43
-- The claim: takes due messages of the current tenant on one connection. Senders and connection usable, no guard stops it, limits left.
-- Reserves the places under the limits and sets the lease: from then on the messages are one worker's, which has called nobody with them
-- yet. Its tenant is a value unknown while planning, for the reason given in docs/concepts/tenancy.md. In plpgsql with a plan for all
-- values, which is made once: making it took longer than the claim.
create or replace function private.claim_messages(quantity int, lease_seconds int, only_connection uuid)
returns setof public.messages
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan as $$
begin
  return query with open_senders as materialized (
    select s.id, s.time_zone, array(
      -- Actions that nothing is left of: what waits for them must not stand before what may leave.
      select l.action from public.sender_limits l
      cross join (select kernel.now() as at offset 0) t
      left join public.sender_usage u on u.tenant_id = (select kernel.tenant()) and u.sender_id = l.sender_id and u.action = l.action
      where l.tenant_id = (select kernel.tenant()) and l.sender_id = s.id and l.cap <= case
        when l.per = 'hour' and u.hour = pg_catalog.date_trunc('hour', t.at) then u.hour_reserved
        when l.per = 'day' and u.day = (t.at at time zone s.time_zone)::date then u.day_reserved
        when l.per = 'week' and u.week = pg_catalog.date_trunc('week', t.at at time zone s.time_zone)::date then u.week_reserved
        else 0 end) as spent
    from public.senders s
    where s.tenant_id = (select kernel.tenant()) and s.connection_id = only_connection and s.status = 'active'
      and exists (select from public.connections c where c.tenant_id = (select kernel.tenant()) and c.id = only_connection
        and c.status = 'active'
        -- It rests for a minute: one that is to rest for longer does so by a date that was set back since.
        and (c.circuit_open_until is null or c.circuit_open_until <= kernel.now()
          or c.circuit_open_until > kernel.now() + interval '1 minute'))
  ), due_senders as materialized (
    -- As a value, not as exists, which the planner may turn into a join that reads whole tables.
    select s.id, s.spent, pg_catalog.count(*) over () as n from open_senders s
    where coalesce((select true from public.messages m
      where m.tenant_id = (select kernel.tenant()) and m.sender_id = s.id and m.status = 'queued' and m.due_at <= kernel.now()
        and m.connection_id = only_connection and m.action <> all(s.spent) limit 1), false)
  ), candidates as (
    -- The first due ones of each sender, in even shares. More than wanted, because other workers may hold some.
    select x.id from due_senders s cross join lateral (
      select m.id from public.messages m
      where m.tenant_id = (select kernel.tenant()) and m.sender_id = s.id and m.status = 'queued' and m.due_at <= kernel.now()
        and m.connection_id = only_connection and m.action <> all(s.spent)
      order by m.due_at, m.id limit pg_catalog.ceil(quantity * 4.0 / s.n)) x
  ), locked as materialized (
    -- skip locked: two workers never take the same message. The conditions are checked again on the locked row.
    -- An array, not a join: on a table that grew since its last analyze the planner would run the candidates once per row.
    select m.* from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.id = any(array(select c.id from candidates c)) and m.status = 'queued'
      -- Once the provider has forgotten the key, asking again would send again.
      and (m.idempotency_expires_at is null or m.idempotency_expires_at > pg_catalog.clock_timestamp())
    order by m.due_at, m.id limit quantity
    for update of m skip locked
  ), free as materialized (
    -- What no guard stops. Asked of the locked ones alone: a guard costs a few look-ups a message.
    select l.id, l.sender_id, l.action, l.due_at from locked l
    where not exists (select from private.guards(row(l.*)::public.messages))
  ), wanted as (
    select l.id, l.sender_id, l.action, pg_catalog.row_number() over (partition by l.sender_id, l.action order by l.due_at, l.id) as nth
      from free l
  ), asked as materialized (
    select a.sender_id, a.action, a.n, pg_catalog.date_trunc('hour', t.at) as hour, (t.at at time zone s.time_zone)::date as day,
      -- Null where the period has no limit, which least() passes over.
      pg_catalog.min(x.cap) filter (where x.per = 'hour') as per_hour, pg_catalog.min(x.cap) filter (where x.per = 'day') as per_day,
      pg_catalog.min(x.cap) filter (where x.per = 'week') as per_week
    from (select w.sender_id, w.action, pg_catalog.count(*)::int as n from wanted w group by 1, 2) a
    join open_senders s on s.id = a.sender_id
    cross join (select kernel.now() as at offset 0) t
    left join public.sender_limits x on x.tenant_id = (select kernel.tenant()) and x.sender_id = a.sender_id and x.action = a.action
    group by a.sender_id, a.action, a.n, s.time_zone, t.at
  ), reserved as (
    -- One row per sender and action: concurrent claims queue up on it, and each sees what the one before took. A window that is over
    -- begins again at zero.
    insert into public.sender_usage as u (tenant_id, sender_id, action, hour, hour_reserved, day, day_reserved, week, week_reserved,
      granted)
    select kernel.tenant(), a.sender_id, a.action, a.hour, g.n, a.day, g.n, pg_catalog.date_trunc('week', a.day)::date, g.n, g.n
    from asked a cross join lateral (select least(a.n, a.per_hour, a.per_day, a.per_week) as n) g
    order by a.sender_id, a.action
    on conflict (tenant_id, sender_id, action) do update
    set (hour, hour_reserved, day, day_reserved, week, week_reserved, granted) = (
      select excluded.hour, b.hour + g.n, excluded.day, b.day + g.n, excluded.week, b.week + g.n, g.n
      from asked a
      cross join lateral (select case when u.hour = excluded.hour then u.hour_reserved else 0 end as hour,
        case when u.day = excluded.day then u.day_reserved else 0 end as day,
          case when u.week = excluded.week then u.week_reserved else 0 end as week) b
      cross join lateral (select greatest(0, least(a.n, a.per_hour - b.hour, a.per_day - b.day, a.per_week - b.week)) as n) g
      where a.sender_id = u.sender_id and a.action = u.action)
    returning u.sender_id, u.action, u.granted as n
  ), taken as (
    update public.messages m set
      updated_at = (select kernel.now()), status = 'sending', due_at = null, attempts = m.attempts + 1,
      lease_until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_seconds),
      window_hour = a.hour, window_day = a.day
    from wanted w join reserved g on g.sender_id = w.sender_id and g.action = w.action
    join asked a on a.sender_id = w.sender_id and a.action = w.action
    where m.tenant_id = (select kernel.tenant()) and m.id = w.id and w.nth <= g.n
    returning m.*
  )
  select t.* from taken t order by t.id;
end $$;
grant execute on function private.claim_messages(int, int, uuid) to overture_worker;

-- object function private.hand_over(uuid[],int4[],uuid,float8) sha256:3fdc6f6afac0b3da
-- Hands claimed messages over to calls that begin once this is committed: only what has an attempt may be called with. Returns those that
-- may: still held under this claim, by a lease that lasts so long yet, on a connection and by a sender that are still in use. The rows are
-- locked as the attempts' foreign key would lock them: against private.expire_leases and private.return_messages.
create or replace function private.hand_over(ids uuid[], claims int[], only_connection uuid, lease_left double precision) returns setof uuid
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan as $$
begin
  return query with held as materialized (
    select m.id, m.attempts, m.connection_id from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.id = any(ids) and m.status = 'sending'
      and m.lease_until > pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_left)
      and m.sender_id = any(array(select s.id from public.senders s
        join public.connections c on c.tenant_id = (select kernel.tenant()) and c.id = only_connection
        where s.tenant_id = (select kernel.tenant()) and s.connection_id = only_connection and s.status = 'active' and c.status = 'active'
          and (c.circuit_open_until is null or c.circuit_open_until <= kernel.now()
            or c.circuit_open_until > kernel.now() + interval '1 minute')))
    order by m.id for key share
  )
  insert into public.attempts (tenant_id, message_id, number, connection_id, slow_at, fast_at)
  select kernel.tenant(), h.id, h.attempts, h.connection_id, (select kernel.slow_clock()), (select kernel.fast_clock())
  from held h
  join rows from (pg_catalog.unnest(ids), pg_catalog.unnest(claims)) c (id, claim) on c.id = h.id and c.claim = h.attempts
  on conflict (tenant_id, message_id, number) do nothing
  returning message_id;
end $$;
grant execute on function private.hand_over(uuid[], int[], uuid, double precision) to overture_worker;

-- object function private.return_messages(uuid[],int4[]) sha256:a60a8fda750f681e
-- Takes a claim back: for a worker that knows that it called nobody with these messages. They are due again before those that are younger,
-- and nothing is left of the claim but its number, which no other claim gets: asked twice, it takes nobody else's back. Returns how many.
create or replace function private.return_messages(ids uuid[], claims int[]) returns int
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan as $$
declare
  rows private.settling[];
begin
  -- First the lock, then a statement that sees what a hand-over wrote that was under way.
  perform from public.messages m where m.tenant_id = (select kernel.tenant()) and m.id = any(ids) order by m.id for update;
  with back as (
    update public.messages m set updated_at = (select kernel.now()), status = 'queued', due_at = least(m.created_at, (select kernel.now())),
      lease_until = null
    where m.tenant_id = (select kernel.tenant()) and m.id = any(ids) and m.status = 'sending'
      and m.attempts = claims[pg_catalog.array_position(ids, m.id)]
    returning m.id, m.attempts as claim, m.connection_id, m.sender_id, m.action, m.window_hour, m.window_day
  ), undone as (
    delete from public.attempts a using back b where a.tenant_id = (select kernel.tenant()) and a.message_id = b.id and a.number = b.claim
  )
  select pg_catalog.array_agg(row(b.id, null, null, null, null, null, null, null, b.claim, b.connection_id, b.sender_id, b.action,
    b.window_hour, b.window_day, null)::private.settling) into rows from back b;
  if rows is null then return 0; end if;
  perform private.return_places(rows);
  return pg_catalog.cardinality(rows);
end $$;
grant execute on function private.return_messages(uuid[], int[]) to overture_worker;

-- object function private.return_places(private.settling[],uuid) sha256:f1919705bc0b2da1
-- Gives places under the limits back that were taken and not used. A window that is over has nothing to give back.
create or replace function private.return_places(rows private.settling[], team uuid default kernel.tenant())
returns void
language sql volatile set search_path = '' as $$
  update public.sender_usage u set
    hour_reserved = greatest(0, u.hour_reserved - g.in_hour),
    day_reserved = greatest(0, u.day_reserved - g.in_day),
    week_reserved = greatest(0, u.week_reserved - g.in_week)
  from (
    select x.sender_id, x.action, pg_catalog.count(*) filter (where s.window_hour = x.hour)::int as in_hour,
      pg_catalog.count(*) filter (where s.window_day = x.day)::int as in_day,
      pg_catalog.count(*) filter (where pg_catalog.date_trunc('week', s.window_day)::date = x.week)::int as in_week
    from pg_catalog.unnest(rows) s
    join public.sender_usage x on x.tenant_id = (select team) and x.sender_id = s.sender_id and x.action = s.action
    where s.window_day is not null
    group by x.sender_id, x.action
  ) g
  where u.tenant_id = (select team) and u.sender_id = g.sender_id and u.action = g.action
$$;

-- object function private.counted(public.messages) sha256:3d18e6fc6ef302a6
-- What counts of an outgoing message; messages that agree in it are added up before anything is counted. Neither this function nor
-- the next has a set clause, so that the planner takes them into their callers.
create or replace function private.counted(m public.messages) returns private.counted_message
language sql stable
begin atomic
  select row(m.tenant_id, m.campaign_id, m.step_id,
    -- On its way, whether claimed or not: a claim changes no counter.
    case when m.status in ('queued', 'held', 'sending') then 'queued' when m.status in ('failed', 'unknown') then m.status end,
    pg_catalog.date_trunc('hour', m.sent_at, 'UTC'), pg_catalog.date_trunc('hour', m.delivered_at, 'UTC'),
    pg_catalog.date_trunc('hour', m.opened_at, 'UTC'), pg_catalog.date_trunc('hour', m.clicked_at, 'UTC'),
    pg_catalog.date_trunc('hour', m.replied_at, 'UTC'), pg_catalog.date_trunc('hour', m.bounced_at, 'UTC'),
    pg_catalog.date_trunc('hour', m.complained_at, 'UTC'), pg_catalog.date_trunc('hour', m.unsubscribed_at, 'UTC'),
    -- No column says when a message failed, and updated_at moves on.
    case when m.status = 'failed' then pg_catalog.date_trunc('hour', m.created_at, 'UTC') end)::private.counted_message;
end;

-- object function private.message_counters(private.counted_message) sha256:18f0ba50f6168dd1
-- The counters of such a message, all of its campaign: `step_<outcome>` with the step as bucket (empty without one),
-- `hourly_<outcome>` of the last two days and `daily_<outcome>` with the UTC hour or day as bucket. Without a campaign only days
-- are counted, under zeros.
create or replace function private.message_counters(m private.counted_message)
returns table (metric text, scope_id uuid, bucket text)
language sql stable
begin atomic
  select c.metric, coalesce(m.campaign_id, '00000000-0000-0000-0000-000000000000'), c.bucket
  from (values ('sent', m.sent), ('delivered', m.delivered), ('opened', m.opened), ('clicked', m.clicked), ('replied', m.replied),
    ('bounced', m.bounced), ('complained', m.complained), ('unsubscribed', m.unsubscribed), (m.state, m.failed)) o (outcome, at)
  cross join lateral (values
    ('step_' || o.outcome, case when m.campaign_id is not null then coalesce(m.step_id::text, '') end),
    ('hourly_' || o.outcome, case when m.campaign_id is not null and o.outcome in ('sent', 'delivered', 'opened', 'clicked', 'replied',
      'bounced') and o.at >= (select kernel.now()) - interval '2 days'
      then pg_catalog.to_char(o.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24') end),
    ('daily_' || o.outcome, pg_catalog.to_char(o.at at time zone 'UTC', 'YYYY-MM-DD'))) c (metric, bucket)
  where (o.at is not null or o.outcome = m.state) and c.bucket is not null;
end;

-- object function private.count_messages() sha256:2459fc6dd53513f6
-- All counters of messages, in one pass per statement. Definer: whoever may change messages need not write counters. Of a tenant that
-- is being deleted nothing is counted.
create or replace function private.count_messages() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'INSERT' then
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select (g.counted).tenant_id, c.metric, 'campaign', c.scope_id, c.bucket, pg_catalog.sum(g.n)
    from (select private.counted(r) as counted, pg_catalog.count(*) as n from new_rows r where r.direction = 'out' group by 1) g
    cross join lateral private.message_counters(g.counted) c
    group by 1, 2, 4, 5;
  elsif tg_op = 'UPDATE' then
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select (g.counted).tenant_id, c.metric, 'campaign', c.scope_id, c.bucket, pg_catalog.sum(g.n)
    from (
      select x.counted, pg_catalog.sum(x.sign) as n
      from (
        select 1 as sign, private.counted(r) as counted from new_rows r where r.direction = 'out'
        union all select -1, private.counted(r) from old_rows r where r.direction = 'out'
      ) x group by 1 having pg_catalog.sum(x.sign) <> 0
    ) g cross join lateral private.message_counters(g.counted) c
    where exists (select from public.tenants t where t.id = (g.counted).tenant_id)
    group by 1, 2, 4, 5 having pg_catalog.sum(g.n) <> 0;
  else
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select (g.counted).tenant_id, c.metric, 'campaign', c.scope_id, c.bucket, -pg_catalog.sum(g.n)
    from (select private.counted(r) as counted, pg_catalog.count(*) as n from old_rows r where r.direction = 'out' group by 1) g
    cross join lateral private.message_counters(g.counted) c
    where exists (select from public.tenants t where t.id = (g.counted).tenant_id)
    group by 1, 2, 4, 5;
  end if;
  return null;
end $$;

-- object function private.recount_messages(uuid) sha256:800f471f12578187
-- Counts a tenant's messages anew; writers wait meanwhile. For rows written with triggers off, and should a count be doubted.
create or replace function private.recount_messages(team uuid) returns void
language plpgsql volatile set search_path = '' as $$
begin
  lock table public.messages in share row exclusive mode;
  perform kernel.reset_counters(team, array['step\_%', 'hourly\_%', 'daily\_%']);
  insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
  select team, c.metric, 'campaign', c.scope_id, c.bucket, pg_catalog.sum(g.n)
  from (select private.counted(r) as counted, pg_catalog.count(*) as n from public.messages r
    where r.tenant_id = team and r.direction = 'out' group by 1) g
  cross join lateral private.message_counters(g.counted) c
  group by c.metric, c.scope_id, c.bucket;
end $$;

-- object function private.match_events(uuid,jsonb) sha256:c0126a247e7a0074
-- Events: what providers and recipients report about messages, stored once each and marked on the message.
-- events: [{"kind","event_key","provider_message_id","rfc_message_id","message_id","recipient","at","bounce","is_bot","detail"}]

-- Which of our messages the events speak of.
create or replace function private.match_events(connection uuid, events jsonb) returns private.incoming[]
language sql volatile set search_path = '' as $$
  -- Our own id first: it is known before the provider's id is, so a webhook may overtake the answer to the send.
  select coalesce(pg_catalog.array_agg(row(e.kind, e.event_key, e.provider_message_id, e.rfc_message_id, e.recipient, e.at, e.bounce,
    coalesce(e.is_bot, false), coalesce(e.detail, '{}'), coalesce(own.id, theirs.id), false)::private.incoming), '{}')
  from pg_catalog.jsonb_to_recordset(events) as e(kind text, event_key text, provider_message_id text, rfc_message_id text, message_id text,
    recipient text,
    at timestamptz, bounce text, is_bot boolean, detail jsonb)
  -- Laterals with a limit, and the connection in a form that no index serves: the planner would read all messages of the connection for
  -- each event (see "A tenant that is missing from the statistics" in docs/concepts/tenancy.md).
  left join lateral (select m.id from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.direction = 'out'
      and (connection is null or m.connection_id is not distinct from connection)
      and m.id = case when e.message_id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then e.message_id::uuid end limit 1) own on true
  left join lateral (select m.id from public.messages m
    where own.id is null and m.tenant_id = (select kernel.tenant()) and m.direction = 'out'
      and m.connection_id = connection and m.provider_message_id = e.provider_message_id limit 1) theirs on true
$$;

-- object function private.add_events(private.incoming[]) sha256:09d8cb2f39b9f037
-- Stores the events that are new and returns these, marked fresh, with the others as they were.
create or replace function private.add_events(rows private.incoming[]) returns private.incoming[]
language sql volatile set search_path = '' as $$
  with added as (
    insert into public.message_events (tenant_id, message_id, kind, event_key, at, month, created_at, is_bot, detail)
    select distinct on (i.event_key) kernel.tenant(), i.target, i.kind, i.event_key, i.at, pg_catalog.date_trunc('month',
      i.at at time zone 'UTC')::date,
      (select kernel.now()), i.is_bot, i.detail
    from pg_catalog.unnest(rows) i where i.target is not null
      -- What carries the moment of its telling (a second unsubscribe) may come back in another month.
      and not exists (select from public.message_events e where e.tenant_id = (select kernel.tenant()) and e.event_key = i.event_key)
    order by i.event_key
    on conflict (tenant_id, event_key, month) do nothing returning event_key
  )
  select coalesce(pg_catalog.array_agg(row(i.kind, i.event_key, i.provider_message_id, i.rfc_message_id, i.recipient, i.at, i.bounce,
    i.is_bot, i.detail, i.target,
    a.event_key is not null)::private.incoming), '{}')
  from pg_catalog.unnest(rows) i left join added a on a.event_key = i.event_key where i.target is not null
$$;

-- object function private.mark_messages(private.incoming[]) sha256:ed2584de41355101
-- The first moment of each kind, on the message itself.
create or replace function private.mark_messages(rows private.incoming[]) returns void
language sql volatile set search_path = '' as $$
  update public.messages m set
    updated_at = (select kernel.now()),
    delivered_at = coalesce(m.delivered_at, i.delivered), opened_at = coalesce(m.opened_at, i.opened), clicked_at = coalesce(m.clicked_at,
      i.clicked),
    bounced_at = coalesce(m.bounced_at, i.bounced), complained_at = coalesce(m.complained_at, i.complained),
    unsubscribed_at = coalesce(m.unsubscribed_at, i.unsubscribed),
    error = coalesce(i.error, m.error)
  from (select x.target,
      min(x.at) filter (where x.kind = 'delivered') as delivered,
      -- A click shows that the message was opened, even where the pixel was blocked.
      min(x.at) filter (where x.kind in ('opened', 'clicked') and not x.is_bot) as opened,
      min(x.at) filter (where x.kind = 'clicked' and not x.is_bot) as clicked,
      min(x.at) filter (where x.kind = 'bounced') as bounced,
      min(x.at) filter (where x.kind = 'complained') as complained,
      min(x.at) filter (where x.kind = 'unsubscribed') as unsubscribed,
      max(x.detail ->> 'detail') filter (where x.kind in ('bounced', 'failed')) as error
    from pg_catalog.unnest(rows) x where x.fresh group by x.target) i
  where m.tenant_id = (select kernel.tenant()) and m.id = i.target;

  update public.email_details d set provider_rfc_id = i.rfc_message_id
  from (select x.target, max(x.rfc_message_id) as rfc_message_id from pg_catalog.unnest(rows) x where x.fresh
    and x.rfc_message_id is not null group by 1) i
  where d.tenant_id = (select kernel.tenant()) and d.message_id = i.target and d.provider_rfc_id is null
$$;

-- object function private.apply_events(uuid,jsonb) sha256:b357e03f3c899e46
-- Applies events of one connection (null: of our own links) and returns the keys of those that match no message.
create or replace function private.apply_events(connection uuid, events jsonb) returns text[]
language plpgsql volatile set search_path = '' as $$
declare
  rows private.incoming[] := private.match_events(connection, events);
  unmatched text[];
  proven uuid[];
  told record;
begin
  select pg_catalog.array_agg(i.event_key) into unmatched from pg_catalog.unnest(rows) i where i.target is null;

  -- In id order, as settlements lock them: events may overtake the answer to the send, and neither waits for the other in a circle.
  perform 1 from public.messages m
  where m.tenant_id = (select kernel.tenant()) and m.id = any(array(select i.target from pg_catalog.unnest(rows) i))
  order by m.id for no key update;

  -- Marks what is new; what was stored before proves no more than it did.
  rows := private.add_events(rows);

  -- A provider that reports on a message has it: an unknown outcome is settled by that.
  -- Rare, and an update that finds nothing still costs all its triggers.
  if exists (select from pg_catalog.unnest(rows) x join public.messages m on m.tenant_id = (select kernel.tenant()) and m.id = x.target
    where m.status <> 'sent') then
    with found as (
      update public.messages m set status = 'sent', lease_until = null, sent_at = coalesce(m.sent_at, i.at), due_at = null,
        provider_message_id = coalesce(m.provider_message_id, i.provider_message_id), error = null, error_code = null
      from (select distinct on (x.target) x.* from pg_catalog.unnest(rows) x where x.target is not null
        and x.kind <> 'failed' order by x.target, x.at) i
      where m.tenant_id = (select kernel.tenant()) and m.id = i.target
        and (m.status = 'unknown' or (m.status in ('queued', 'held', 'cancelled') and m.attempts > 0))
      returning m.id
    )
    select pg_catalog.array_agg(f.id) into proven from found f;
  end if;
  if proven is not null then
    update public.attempts a set outcome = 'sent', detail = 'Proved by the provider''s webhook.', finished_at = pg_catalog.clock_timestamp()
    where a.tenant_id = (select kernel.tenant()) and a.message_id = any(proven) and a.outcome = 'unknown';
    perform private.tell_messages('message.sent', proven);
  end if;

  perform private.mark_messages(rows);
  perform private.suppress_reported(rows);

  -- One fact a kind, for all messages of the batch. A provider that fails a message it had accepted says `failed`.
  for told in
    select i.kind, pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('message_id', m.id, 'enrollment_id', m.enrollment_id, 'step_run_id',
      m.step_run_id,
      'contact_id', m.contact_id, 'campaign_id', m.campaign_id, 'channel', m.channel, 'address', m.to_address, 'at', i.at, 'bounce',
        i.bounce,
      'url', i.detail ->> 'url')) as items
    from pg_catalog.unnest(rows) i join public.messages m on m.tenant_id = (select kernel.tenant()) and m.id = i.target
    where i.fresh and not i.is_bot and i.kind in ('delivered', 'opened', 'clicked', 'bounced', 'complained', 'unsubscribed', 'failed')
    group by i.kind
  loop
    perform kernel.emit(case told.kind when 'failed' then 'message.undelivered' else 'message.' || told.kind end, told.items);
  end loop;
  return coalesce(unmatched, '{}');
end $$;

-- object function private.suppress_reported(private.incoming[]) sha256:a9a827b9c6cd560a
-- What events say about addresses holds at once: a complaint, an opt-out, and a bounce or failure because the address takes no messages.
-- An opt-out holds as often as it is told, also when the event of it is an old one: its suppression may have been deleted since.
create or replace function private.suppress_reported(rows private.incoming[]) returns void
language plpgsql volatile set search_path = '' as $$
declare
  g record;
begin
  for g in
    select m.channel, i.kind, pg_catalog.array_agg(distinct m.to_address) as addresses,
      pg_catalog.array_agg(distinct m.contact_id) as people
    from pg_catalog.unnest(rows) i join public.messages m on m.tenant_id = (select kernel.tenant()) and m.id = i.target
    where i.kind in ('complained', 'unsubscribed') or i.fresh and i.bounce = 'permanent'
    group by 1, 2
  loop
    case g.kind
      when 'complained' then perform private.opt_out(g.channel, g.people, g.addresses, 'complaint',
        'The person reported the message as spam.');
      when 'unsubscribed' then perform private.opt_out(g.channel, g.people, g.addresses, 'unsubscribe', 'The contact unsubscribed.');
      else perform private.suppress(g.channel, g.addresses, 'bounce',
        'The provider reported that the address takes no messages.');
    end case;
  end loop;
end $$;
grant execute on function private.match_events(uuid, jsonb), private.add_events(private.incoming[]),
  private.mark_messages(private.incoming[]),
  private.apply_events(uuid, jsonb), private.suppress_reported(private.incoming[]) to overture_worker;

-- object function private.take_link_acts(jsonb) sha256:e38acb01cf41c494
-- Takes what recipients did with links of messages: puts it on the queue, with the moment, and says for each, in order, where the link
-- leads. Null: an open, or a link that is gone; of what is gone nothing is noted.
-- acts: [{"tenant_id","message_id","number","kind","event_key","is_bot"}]; without a kind only the target is asked for. Definer and with
-- the tenant as data, because the tokens that name both were signed by us.
create or replace function private.take_link_acts(acts jsonb) returns text[]
language plpgsql volatile security definer set search_path = '' set plan_cache_mode = force_generic_plan as $$
declare
  targets text[];
  queued jsonb[];
begin
  with given as materialized (
    select a.n, a.act, a.act ->> 'kind' as kind, l.url, (a.act ->> 'tenant_id')::uuid as tenant_id,
      (a.act ->> 'message_id')::uuid as message_id
    from pg_catalog.jsonb_array_elements(acts) with ordinality a (act, n)
    left join lateral (select t.url from public.tracked_links t
      where t.tenant_id = (a.act ->> 'tenant_id')::uuid and t.message_id = (a.act ->> 'message_id')::uuid
        and t.number = (a.act ->> 'number')::int limit 1) l on true
  )
  select pg_catalog.array_agg(g.url order by g.n), pg_catalog.array_agg(g.act - 'number' || pg_catalog.jsonb_strip_nulls(
      pg_catalog.jsonb_build_object('at', (select kernel.now()), 'url', g.url)) order by g.n)
    filter (where g.kind = 'clicked' and g.url is not null or g.kind = 'opened' and exists (
      select from public.messages m where m.tenant_id = g.tenant_id and m.id = g.message_id))
  into targets, queued from given g;
  if queued is not null then perform kernel.enqueue('messaging_link_acts', queued); end if;
  return targets;
end $$;
grant execute on function private.take_link_acts(jsonb) to overture_worker;

-- object function private.guard_approval(public.messages) sha256:f4ac878be7e19538
-- Guards: what stops a message that is due. A guard is a function private.guard_<rule>(m public.messages) that gives no row when the
-- message may leave, and otherwise one: verdict `cancel` (it never may) or `defer` (it may later), the reason as a code, and until when
-- (null: until something changes). Each is owned by the module whose rule it is. They have no settings of their own and are `stable`, so
-- that the planner writes them into the claim instead of calling them a message.

-- All guards in one, made anew by kernel.compose_guards() from the guards of the modules that are on.

create or replace function private.guard_approval(m public.messages) returns table (verdict text, reason text, until timestamptz)
language sql stable as $$
  select case m.approval when 'rejected' then 'cancel' else 'defer' end, 'approval_' || m.approval, null::timestamptz
  where m.approval in ('pending', 'rejected')
$$;

-- object function private.apply_guards(int4) sha256:e538327380175001
-- Takes what a guard stops out of the way of the claim: of the first due messages of each sender, those that never may leave are
-- cancelled, those that may later wait until then, and those that wait for a change are held. Says why, and tells the modules of what
-- was cancelled. Returns how many it moved: less than `quantity` means that the queue's front is clear.
create or replace function private.apply_guards(quantity int default 500) returns int
language plpgsql volatile set search_path = '' as $$
declare
  ts timestamptz := kernel.now();
  n int;
  gone jsonb;
begin
  with first as materialized (
    select x.id from public.senders s cross join lateral (
      select m.id from public.messages m
      where m.tenant_id = (select kernel.tenant()) and m.sender_id = s.id and m.status = 'queued' and m.due_at <= ts
      order by m.due_at, m.id limit quantity) x
    where s.tenant_id = (select kernel.tenant())
  ), stopped as materialized (
    select m.id, g.verdict, g.reason, g.until from public.messages m
    -- What never may leave comes first; of several waits the longest counts, and an open-ended one is the longest.
    cross join lateral (select v.* from private.guards(m) v order by (v.verdict = 'cancel') desc, v.until desc nulls first limit 1) g
    where m.tenant_id = (select kernel.tenant()) and m.id = any(array(select f.id from first f)) and m.status = 'queued'
    order by m.id limit quantity for update of m skip locked
  ), moved as (
    update public.messages m set
      updated_at = ts,
      status = case when s.verdict = 'cancel' then 'cancelled' when s.until is null then 'held' else 'queued' end,
      due_at = case when s.verdict = 'defer' then s.until end,
      error_code = s.reason
    from stopped s where m.tenant_id = (select kernel.tenant()) and m.id = s.id
    returning m.id, m.status, m.due_at, m.enrollment_id, m.step_run_id, m.contact_id, m.campaign_id, m.channel, m.to_address, s.reason,
      s.verdict
  ), told as (
    select kernel.decide(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('subject_id', coalesce(v.enrollment_id, v.id), 'source',
      'claim',
      'verdict', v.verdict, 'reason', v.reason, 'until', v.due_at, 'detail', pg_catalog.jsonb_build_object('message_id', v.id))))
        from moved v
    having pg_catalog.count(*) > 0
  )
  select (select pg_catalog.count(*) from moved), (select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(v)) from moved v
    where v.status = 'cancelled')
    from (select pg_catalog.count(*) from told) t
  into n, gone;
  if gone is not null then perform private.emit_cancelled(gone); end if;
  return n;
end $$;

-- object function private.emit_cancelled(jsonb) sha256:6262618ce320e0e7
-- Tells of cancelled messages: [{"id","enrollment_id","step_run_id","contact_id","campaign_id","channel","to_address","reason"}].
create or replace function private.emit_cancelled(gone jsonb) returns void
language sql volatile set search_path = '' as $$
  select kernel.emit('message.cancelled', pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('message_id', g ->> 'id', 'enrollment_id',
    g ->> 'enrollment_id',
    'step_run_id', g ->> 'step_run_id', 'contact_id', g ->> 'contact_id', 'campaign_id', g ->> 'campaign_id', 'channel', g ->> 'channel',
    'address', g ->> 'to_address', 'at', kernel.now(), 'code', g ->> 'reason')))
  from pg_catalog.jsonb_array_elements(gone) g
$$;

-- object function private.cancel_messages(uuid[],text) sha256:6e6e69f549e6fd85
-- Cancels what has not left yet of these enrollments. Tells of each. Returns how many.
create or replace function private.cancel_messages(enrollments uuid[], reason text) returns int
language plpgsql volatile set search_path = '' as $$
declare
  gone jsonb;
begin
  with back as (
    update public.messages m set updated_at = (select kernel.now()), status = 'cancelled', due_at = null, error_code = reason
    where m.tenant_id = (select kernel.tenant()) and m.direction = 'out' and m.status in ('queued', 'held')
      and m.enrollment_id = any(enrollments)
    returning m.id, m.enrollment_id, m.step_run_id, m.contact_id, m.campaign_id, m.channel, m.to_address, reason
  )
  select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(b)) into gone from back b;
  if gone is null then return 0; end if;
  perform private.emit_cancelled(gone);
  return pg_catalog.jsonb_array_length(gone);
end $$;

-- object function private.take_back_messages(uuid[]) sha256:ef29a3295763a17c
-- Removes messages of these enrollments that were planned and never tried, to be written again. One that was tried stays: its key may be
-- known outside. Returns whose they were.
create or replace function private.take_back_messages(enrollments uuid[]) returns table (enrollment_id uuid, step_run_id uuid)
language sql volatile set search_path = '' as $$
  delete from public.messages m
  where m.tenant_id = (select kernel.tenant()) and m.enrollment_id = any(enrollments) and m.direction = 'out'
    and m.status in ('queued', 'held')
    and not exists (select from public.attempts a where a.tenant_id = (select kernel.tenant()) and a.message_id = m.id)
  returning m.enrollment_id, m.step_run_id
$$;
grant execute on function private.take_back_messages(uuid[]) to overture_user, overture_worker;

-- object function private.release_messages(uuid,uuid[],text,int4) sha256:ce2235eda01f3933
-- Puts held messages back on the queue, in portions: of a campaign that goes on, or named ones; and of the campaign those that were
-- deferred for a reason that holds no longer. What a guard would only stop again stays, so that this ends. Returns how many.
create or replace function private.release_messages(campaign uuid, ids uuid[], because text default null,
  quantity int default 1000) returns int
language sql volatile set search_path = '' as $$
  with portion as (
    select m.id from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.status = 'held' and (m.campaign_id = campaign or m.id = any(ids))
      and not exists (select from private.guards(m) g where g.verdict = 'defer' and g.until is null)
    order by m.id limit quantity for update skip locked
  ), deferred as (
    select m.id from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.campaign_id = campaign and m.status = 'queued' and m.error_code = because
      and m.due_at > (select kernel.now()) and not exists (select from private.guards(m) g where g.verdict = 'defer')
    order by m.id limit quantity for update skip locked
  ), back as (
    update public.messages m set updated_at = (select kernel.now()), status = 'queued', due_at = (select kernel.now()), error_code = null
    from (select id from portion union all select id from deferred) s where m.tenant_id = (select kernel.tenant())
      and m.id = s.id returning 1
  )
  select pg_catalog.count(*)::int from back
$$;

-- object function private.leave_campaign(uuid) sha256:0710a6177dd28d93
-- Takes a campaign that is being deleted off the next of its messages and conversations, at most 1,000 of each at once. Returns of how many
-- messages.
create or replace function private.leave_campaign(campaign uuid) returns int
language sql volatile set search_path = '' as $$
  update public.threads t set campaign_id = null
  where t.tenant_id = (select kernel.tenant()) and t.id = any(array(select x.id from public.threads x
    where x.tenant_id = (select kernel.tenant()) and x.campaign_id = campaign limit 1000));
  with portion as (
    select m.id from public.messages m where m.tenant_id = (select kernel.tenant()) and m.campaign_id = campaign
    limit 1000 for update
  ), left_alone as (
    update public.messages m set updated_at = (select kernel.now()), campaign_id = null
    from portion p where m.tenant_id = (select kernel.tenant()) and m.id = p.id returning 1
  )
  select pg_catalog.count(*)::int from left_alone
$$;
grant execute on function private.guard_approval(public.messages), private.leave_campaign(uuid), private.emit_cancelled(jsonb),
  private.cancel_messages(uuid[], text), private.release_messages(uuid, uuid[], text, int) to overture_user, overture_worker;
grant execute on function private.apply_guards(int) to overture_worker;

-- object function private.answered_message(text,text[],text,text) sha256:699835f7fe99a545
-- Inbound messages: stored once, put into their conversation, and told to the modules. `read` is what the channel made of it:
-- {"kind","provider_inbound_id","from_address","from_name","to_address","subject","text","references",
--  "email": {"rfc_message_id","in_reply_to","headers","html"} | null}

-- Which message of ours it answers. By reference, else by the two addresses: our last message to the other side from where they wrote to.
-- Where none was from there (a pool of numbers, an address for replies), our last one to them. Both by index, so that a stranger's message
-- walks through nothing; reference by reference, because for a list of them the planner may read all e-mails instead.
create or replace function private.answered_message(on_channel text, refs text[], sender text, ours text) returns public.messages
language plpgsql stable set search_path = '' as $$
declare
  found_id uuid;
  original public.messages;
begin
  if pg_catalog.cardinality(refs) > 0 then
    select d.message_id into found_id from pg_catalog.unnest(refs) with ordinality as r (id, n)
    cross join lateral (select x.message_id from public.email_details x
      -- The other side's own earlier e-mails are stored too; what they answer is ours.
      join public.messages m on m.tenant_id = (select kernel.tenant()) and m.id = x.message_id and m.direction = 'out'
      where x.tenant_id = (select kernel.tenant()) and x.rfc_message_id = r.id limit 1) d
    order by r.n limit 1;
    if found_id is null then
      select d.message_id into found_id from pg_catalog.unnest(refs) with ordinality as r (id, n)
      cross join lateral (select x.message_id from public.email_details x
        join public.messages m on m.tenant_id = (select kernel.tenant()) and m.id = x.message_id and m.direction = 'out'
        where x.tenant_id = (select kernel.tenant()) and x.provider_rfc_id = r.id limit 1) d
      order by r.n limit 1;
    end if;
    select m.* into original from public.messages m where m.tenant_id = (select kernel.tenant()) and m.id = found_id;
    if original.id is not null then return original; end if;
  end if;
  -- Also one whose outcome nobody knows yet: a person may be faster than the provider's answer. What surely left comes first.
  select x.id into found_id from (
    select m.id, m.from_address, m.sent_at, m.created_at from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.channel = on_channel and m.direction = 'out' and m.to_address = sender
      and (m.sent_at is not null or m.status in ('sending', 'unknown'))
    order by m.created_at desc limit 100) x
  order by (x.from_address = ours) desc, (x.sent_at is not null) desc, x.created_at desc limit 1;
  select m.* into original from public.messages m where m.tenant_id = (select kernel.tenant()) and m.id = found_id;
  return original;
end $$;

-- object function private.reported_message(text,text[],text[],text) sha256:6493c3bea049b5b2
-- Which message of ours a delivery report is about: the one it names, else the only one that was sent from `ours` to one of `recipients`
-- within a week. Null where several may be meant.
create or replace function private.reported_message(on_channel text, refs text[], recipients text[], ours text) returns public.messages
language plpgsql stable set search_path = '' as $$
declare
  original public.messages;
  ids uuid[];
begin
  -- No message goes to an empty address: only the references are asked.
  original := private.answered_message(on_channel, refs, '', '');
  if original.id is not null then return original; end if;
  ids := array(
    select m.id from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.channel = on_channel and m.direction = 'out' and m.to_address = any(recipients)
      and m.created_at > (select kernel.now()) - interval '7 days' and m.from_address = ours and m.sent_at is not null
    order by m.created_at desc limit 2);
  if pg_catalog.cardinality(ids) <> 1 then return null; end if;
  select m.* into original from public.messages m where m.tenant_id = (select kernel.tenant()) and m.id = ids[1];
  return original;
end $$;
grant execute on function private.reported_message(text, text[], text[], text) to overture_worker;

-- object function private.receive_message(uuid,text,jsonb) sha256:497376e7f0fa194c
-- Stores an inbound message and returns its id; null when it was stored before, or when we sent it ourselves.
create or replace function private.receive_message(connection uuid, on_channel text, read jsonb) returns uuid
language plpgsql volatile set search_path = '' as $$
declare
  me uuid := kernel.tenant();
  ts timestamptz := kernel.now();
  sender text := read ->> 'from_address';
  kind text := read ->> 'kind';
  -- The words by which a person asks for no more messages; a keyword such as STOP has none.
  wish text := read -> 'wish' ->> 'words';
  -- An opt-out in words is an answer as well: it ends sequences on every channel.
  answer boolean := kind = 'reply' or kind = 'opt_out' and wish is not null;
  by_machine boolean := kind in ('auto_reply', 'delivery_report');
  by_reference boolean;
  told text;
  refs text[] := array(select pg_catalog.jsonb_array_elements_text(coalesce(read -> 'references', '[]')));
  original public.messages;
  thread public.threads;
  person uuid;
  new_id uuid := kernel.uuid7();
begin
  if exists (select from public.senders s where s.tenant_id = (select kernel.tenant()) and s.channel = on_channel
    and s.address = sender) then return null; end if;
  original := private.answered_message(on_channel, refs, sender, coalesce(read ->> 'to_address', ''));
  by_reference := exists (select from public.email_details d
    where d.tenant_id = (select kernel.tenant()) and d.message_id = original.id and (d.rfc_message_id = any(refs)
      or d.provider_rfc_id = any(refs)));
  if original.id is null then
    select t.* into thread from public.threads t
    where t.tenant_id = (select kernel.tenant()) and t.channel = on_channel
      and t.external_key = sender order by t.last_message_at desc limit 1;
  end if;
  person := coalesce(original.contact_id, thread.contact_id, (
    select a.contact_id from public.contact_addresses a
    where a.tenant_id = (select kernel.tenant()) and a.channel = on_channel and a.address = sender order by a.is_primary desc,
      a.created_at limit 1));

  insert into public.messages (tenant_id, id, direction, channel, action, contact_id, campaign_id, enrollment_id, sender_id, connection_id,
    status,
    from_address, from_name, to_address, subject, body_text, thread_id, provider_message_id, is_auto_reply, is_answer,
    by_reference, opt_out, delivery_key, created_at)
  values (me, new_id, 'in', on_channel, on_channel || '.receive', person, original.campaign_id, original.enrollment_id, original.sender_id,
    connection, 'received',
    sender, coalesce(read ->> 'from_name', ''), coalesce(read ->> 'to_address', ''), pg_catalog.left(coalesce(read ->> 'subject', ''), 500),
    coalesce(read ->> 'text', ''), coalesce(original.thread_id, thread.id, new_id), read ->> 'provider_inbound_id', by_machine,
    answer, by_reference, case when wish is null then null when kind = 'opt_out' then 'yes' else 'asked' end,
    pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(read -> 'email' ->> 'rfc_message_id', 'UTF8')), 'hex'), ts)
  -- The provider told of it twice, or it came on another way too.
  on conflict do nothing;
  if not found then return null; end if;
  if pg_catalog.jsonb_typeof(read -> 'email') = 'object' then
    insert into public.email_details (tenant_id, message_id, rfc_message_id, in_reply_to, headers, html)
    values (me, new_id, read -> 'email' ->> 'rfc_message_id', refs[1], coalesce(read -> 'email' -> 'headers', '{}'),
      read -> 'email' ->> 'html');
  end if;
  insert into public.threads as t (tenant_id, id, channel, contact_id, campaign_id, sender_id, external_key, subject, last_message_at)
  values (me, coalesce(original.thread_id, thread.id, new_id), on_channel, person, original.campaign_id, original.sender_id, sender,
    pg_catalog.left(coalesce(nullif(original.subject, ''), read ->> 'subject', ''), 500), ts)
  on conflict (tenant_id, id) do update set last_message_at = ts, status = case when by_machine then t.status else 'open' end,
    contact_id = coalesce(t.contact_id, excluded.contact_id);

  if kind = 'opt_out' then
    -- Written from an address of theirs that nobody knows, it is about the one we wrote to as well.
    perform private.opt_out(on_channel, array[person], pg_catalog.array_remove(array[sender, original.to_address], null), 'unsubscribe',
      'The person wrote «' || pg_catalog.left(coalesce(wish, read ->> 'text'), 120) || '».');
  elsif kind = 'opt_in' then
    perform private.opt_in(on_channel, array[person], array[sender], 'The person wrote «' || pg_catalog.left(read ->> 'text', 40) || '».');
  end if;

  -- A word such as HELP or START is no answer, and what a delivery report says is an event of its own.
  told := case kind when 'reply' then 'replied' when 'auto_reply' then 'auto_replied' when 'opt_out' then 'unsubscribed' end;
  if original.id is not null and told is not null then
    insert into public.message_events (tenant_id, message_id, kind, event_key, at, month, detail)
    values (me, original.id, told, 'reply:' || new_id, ts,
      pg_catalog.date_trunc('month', ts at time zone 'UTC')::date, pg_catalog.jsonb_build_object('message_id', new_id));
    if not by_machine then
      update public.messages m set opened_at = coalesce(m.opened_at, ts),
        replied_at = coalesce(m.replied_at, case when told = 'replied' then ts end),
        unsubscribed_at = coalesce(m.unsubscribed_at, case when told = 'unsubscribed' then ts end)
      where m.tenant_id = (select kernel.tenant()) and m.id = original.id;
    end if;
  end if;
  perform kernel.emit('message.received', pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('message_id', new_id, 'kind', kind,
    'is_answer', answer, 'by_reference', by_reference, 'our_address', coalesce(read ->> 'to_address', ''),
    'answers', original.id, 'enrollment_id', original.enrollment_id, 'contact_id', person, 'campaign_id', original.campaign_id, 'channel',
      on_channel,
    'address', sender, 'at', ts, 'text', pg_catalog.left(read ->> 'text', 2000))));
  return new_id;
end $$;

-- object function private.decide_opt_out(uuid,bool) sha256:091cba1fcdf4de1b
-- A member decides whether an answer asks for no more messages. Returns false where nobody is asked. The opt-out covers the person, the
-- address they wrote from and those we wrote to in the conversation.
create or replace function private.decide_opt_out(message uuid, opted_out boolean) returns boolean
language plpgsql volatile set search_path = '' as $$
declare
  m public.messages;
begin
  update public.messages x set opt_out = case when opted_out then 'yes' else 'no' end
  where x.tenant_id = (select kernel.tenant()) and x.id = message and x.opt_out = 'asked' returning x.* into m;
  if m.id is null then return false; end if;
  if not opted_out then return true; end if;
  perform private.opt_out(m.channel, array[m.contact_id], array[m.from_address] || array(
    select distinct o.to_address from public.messages o
    where o.tenant_id = (select kernel.tenant()) and o.thread_id = m.thread_id and o.direction = 'out'), 'unsubscribe',
    'A member read an answer of the person as an opt-out.');
  update public.messages x set unsubscribed_at = coalesce(x.unsubscribed_at, m.created_at)
  from public.message_events e
  where e.tenant_id = (select kernel.tenant()) and e.event_key = 'reply:' || m.id
    and x.tenant_id = (select kernel.tenant()) and x.id = e.message_id;
  return true;
end $$;
grant execute on function private.decide_opt_out(uuid, boolean) to overture_user, overture_worker;
grant execute on function private.answered_message(text, text[], text, text), private.receive_message(uuid, text, jsonb) to overture_worker;

-- object function private.events_keep_months() sha256:ef405b9b3bc34fa0
-- Partitions of public.message_events, one a month, made ahead and dropped whole when they are older than the retention.

-- How many whole months of events are kept besides the current one: kernel.settings, key events_keep_months; 24 unless set.
create or replace function private.events_keep_months() returns int
language sql stable set search_path = '' as $$
  select coalesce((select greatest(1, (s.value #>> '{}')::int) from kernel.settings s where s.key = 'events_keep_months'), 24)
$$;

-- object function private.lock_events() sha256:3514d13fc9f4285a
-- What adding or dropping a partition locks, all at once or not at all: settling goes from messages to events and webhooks the
-- other way, so whoever waited for the second lock while holding the first would end in a deadlock with one of them.
create or replace function private.lock_events() returns void
language plpgsql volatile set search_path = '' as $$
begin
  for attempt in 1..50 loop
    begin
      perform pg_catalog.set_config('lock_timeout', '500ms', true);
      lock table public.messages in share row exclusive mode;
      perform pg_catalog.set_config('lock_timeout', '200ms', true);
      lock table public.message_events in access exclusive mode;
      return;
    exception when lock_not_available then
      -- The exception gave back what was locked.
      perform pg_catalog.pg_sleep(0.1);
    end;
  end loop;
  raise exception 'events are in use; the next run tries again' using errcode = 'lock_not_available';
end $$;

-- object function private.ensure_partitions() sha256:acd900fe7673738d
-- Makes the partitions of this month and the next two, and of every month within the retention that the default partition
-- holds rows of; those move over. Returns how many were made. Idempotent.
create or replace function private.ensure_partitions() returns int
language plpgsql volatile set search_path = '' set lock_timeout = '5s' as $$
declare
  this_month date := pg_catalog.date_trunc('month', kernel.now() at time zone 'UTC')::date;
  wanted date;
  part text;
  made int := 0;
begin
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('message_events.partitions', 0));
  for wanted in
    select (this_month + pg_catalog.make_interval(months => n))::date from pg_catalog.generate_series(0, 2) n
    union
    select distinct d.month from private.message_events_default d
    where d.month between this_month - pg_catalog.make_interval(months => private.events_keep_months()) and this_month
    order by 1
  loop
    part := 'message_events_' || pg_catalog.to_char(wanted, 'YYYY_MM');
    continue when pg_catalog.to_regclass('private.' || part) is not null;
    if made = 0 then perform private.lock_events(); end if;
    execute pg_catalog.format('create table private.%I (like public.message_events including all)', part);
    execute pg_catalog.format('with moved as (delete from private.message_events_default d where d.month = %L returning d.*) '
      'insert into private.%I select m.* from moved m', wanted, part);
    execute pg_catalog.format('alter table public.message_events attach partition private.%I for values from (%L) to (%L)', part, wanted,
      (wanted + interval '1 month')::date);
    execute pg_catalog.format('alter table private.%I enable row level security', part);
    execute pg_catalog.format('alter table private.%I force row level security', part);
    made := made + 1;
  end loop;
  return made;
end $$;

-- object function private.drop_partitions(int4) sha256:eed189d3dcbfe6e5
-- Drops the months older than the retention, and what the default partition holds of them. Returns how many partitions went.
create or replace function private.drop_partitions(keep_months int default private.events_keep_months()) returns int
language plpgsql volatile set search_path = '' set lock_timeout = '5s' as $$
declare
  oldest date := (pg_catalog.date_trunc('month', kernel.now() at time zone 'UTC') - pg_catalog.make_interval(months => keep_months))::date;
  part record;
  gone int := 0;
begin
  if keep_months is null or keep_months < 1 then
    raise exception 'keep_months must be at least 1, got %', keep_months using errcode = 'invalid_parameter_value';
  end if;
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('message_events.partitions', 0));
  for part in
    select c.relname as name from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'public.message_events'::regclass and c.relname ~ '^message_events_\d{4}_\d{2}$'
      and pg_catalog.to_date(pg_catalog.right(c.relname, 7), 'YYYY_MM') < oldest
    order by c.relname
  loop
    if gone = 0 then perform private.lock_events(); end if;
    execute pg_catalog.format('drop table private.%I', part.name);
    gone := gone + 1;
  end loop;
  delete from private.message_events_default d where d.month < oldest;
  return gone;
end $$;

-- object function private.expire_leases() sha256:f4e92e9d84dd43cd
-- Outcomes nobody knows: leases that ran out, and asking the provider again under the same key.

-- A lease that ran out: the worker died. What it had handed over to a call may have been sent, and nobody knows: never sent again blindly.
-- What it had only claimed goes back on the queue. Counted by the slow clock: an hour that somebody sets the wall clock forward is not an
-- hour of silence. Run by a schedule, across tenants.
create or replace function private.expire_leases() returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  lapsed uuid[];
  team uuid;
  unused private.settling[];
  n int;
begin
  -- First the lock, which passes over a hand-over under way, then statements that see every hand-over before it.
  lapsed := array(
    select m.id from public.messages m
    where m.status = 'sending' and coalesce(
      (select a.slow_at + (m.lease_until - a.started_at) from public.attempts a
        where a.tenant_id = m.tenant_id and a.message_id = m.id and a.number = m.attempts),
      m.lease_until) < kernel.slow_clock()
    order by m.id for update skip locked);
  with lost as (
    update public.messages m set status = 'unknown', lease_until = null, error_code = 'worker_lost',
      error = 'The worker stopped before the provider''s answer was recorded.'
    where m.id = any(lapsed) and m.status = 'sending' and exists (select from public.attempts a
      where a.tenant_id = m.tenant_id and a.message_id = m.id and a.number = m.attempts)
    returning m.tenant_id, m.id, m.attempts
  ), noted as (
    update public.attempts a set outcome = 'unknown', code = 'worker_lost', finished_at = pg_catalog.clock_timestamp()
    from lost l where a.tenant_id = l.tenant_id and a.message_id = l.id and a.number = l.attempts and a.outcome is null
  )
  select pg_catalog.count(*) from lost into n;
  for team, unused in
    with back as (
      update public.messages m set status = 'queued', due_at = least(m.created_at, kernel.now()), lease_until = null
      where m.id = any(lapsed) and m.status = 'sending'
      returning m.tenant_id, m.id, m.attempts, m.connection_id, m.sender_id, m.action, m.window_hour, m.window_day
    )
    select b.tenant_id, pg_catalog.array_agg(row(b.id, null, null, null, null, null, null, null, b.attempts, b.connection_id, b.sender_id,
      b.action, b.window_hour, b.window_day, null)::private.settling) from back b group by b.tenant_id
  loop
    perform private.return_places(unused, team);
  end loop;
  -- Held back (paused, outside its window, limited) until the provider forgot the key: a person or a webhook must tell.
  update public.messages m set status = 'unknown', due_at = null, idempotency_expires_at = null, error_code = 'key_expired',
    error = 'The provider could not be asked again in time.'
  where m.status = 'queued' and m.idempotency_expires_at <= pg_catalog.clock_timestamp();
  return n;
end $$;

-- object function private.ask_again(uuid[],float8) sha256:654b567607b67b8b
-- Unknown outcomes at a provider with idempotency keys: queued to be asked again under the same key, for as long as it remembers
-- the first call nobody knows the answer of. Its age is the larger of what the wall and the fast clock say: a clock set back makes
-- no key younger. Their places under the limits are given back; the claim takes new ones.
create or replace function private.ask_again(ids uuid[], remembered_seconds double precision) returns int
language plpgsql volatile set search_path = '' as $$
declare
  rows private.settling[];
begin
  with again as (
    update public.messages m set status = 'queued', due_at = kernel.now(), idempotency_expires_at = u.until
    from (select a.message_id, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => remembered_seconds)
            - max(greatest(pg_catalog.clock_timestamp() - a.started_at, kernel.fast_clock() - a.fast_at)) as until
          from public.attempts a where a.tenant_id = (select kernel.tenant()) and a.message_id = any(ids)
            and a.outcome = 'unknown' group by 1) u
    where m.tenant_id = (select kernel.tenant()) and m.id = u.message_id and m.status = 'unknown' and u.until > pg_catalog.clock_timestamp()
    returning m.id, m.sender_id, m.action, m.attempts, m.window_hour, m.window_day
  )
  select pg_catalog.array_agg(row(g.id, null, null, null, null, null, null, null, g.attempts, null, g.sender_id, g.action,
    g.window_hour, g.window_day, null)::private.settling) into rows from again g;
  if rows is null then return 0; end if;
  perform private.return_places(rows);
  return pg_catalog.cardinality(rows);
end $$;
grant execute on function private.ask_again(uuid[], double precision), private.return_places(private.settling[], uuid) to overture_worker;

-- object function private.wake_sending() sha256:fb14c517b107cd2e
-- Wake-ups. Run by schedules, across tenants; they only mark and enqueue.

-- Tenants with something due. Asked sender by sender, as the index is sorted: what is due later is not read.
create or replace function private.wake_sending() returns int
language sql volatile security definer set search_path = '' as $$
  select kernel.wake('messaging_send', array(
    select distinct s.tenant_id from public.senders s
    where coalesce((select true from public.messages m
      where m.tenant_id = s.tenant_id and m.sender_id = s.id and m.status = 'queued' and m.due_at <= kernel.now() limit 1), false)))
$$;

-- object function private.wake_reconciling() sha256:c7e2d9c1a0b7a373
-- After a day only a webhook or a person can still tell. By the wall clock of the attempt: a date that was set back meanwhile ages nothing.
create or replace function private.wake_reconciling() returns int
language sql volatile security definer set search_path = '' as $$
  select kernel.wake('messaging_reconcile', array(
    select distinct m.tenant_id from public.messages m
    where m.status = 'unknown' and coalesce((select a.started_at > pg_catalog.clock_timestamp() - interval '1 day' from public.attempts a
      where a.tenant_id = m.tenant_id and a.message_id = m.id and a.number = m.attempts), false)))
$$;

-- object function private.decide_outcomes(jsonb) sha256:98adb2f012071fc7
-- Settling: what became of claimed messages, in one call for a batch:
-- [{"id","attempt","outcome","provider_message_id","rfc_message_id","code","detail","after_seconds","recipient"}]
-- Only messages still sending, or unknown (a late answer), change; a settled message stays as it is. An answer that names an attempt says
-- nothing about a later one, except that the message was sent.

-- Which claimed messages an answer settles, and how. Locked in id order, so that two settlements cannot wait for each other in a circle.
create or replace function private.decide_outcomes(outcomes jsonb) returns private.settling[]
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan as $$
begin
  return (with locked as (
    select m.id, m.attempts, m.idempotency_expires_at, m.connection_id, m.sender_id, m.action, m.window_hour, m.window_day
    from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.status in ('sending', 'unknown')
      and m.id = any(array(select (o ->> 'id')::uuid from pg_catalog.jsonb_array_elements(outcomes) o))
    order by m.id for update
  )
  select coalesce(pg_catalog.array_agg(row(l.id, o.outcome, nullif(o.provider_message_id, ''), o.rfc_message_id, o.code,
    pg_catalog.left(o.detail, 1000), o.after_seconds,
    case o.outcome when 'sent' then 'sent' when 'rejected' then 'failed' when 'unknown' then 'unknown' when 'broken' then 'queued'
      -- Patience is a matter of time, not of tries: an outage of an hour must not cost anybody their message.
      -- An earlier call of it may have gone through.
      else case when coalesce(a.first_at > pg_catalog.clock_timestamp() - interval '1 day', true) then 'queued'
        when l.idempotency_expires_at is not null then 'unknown' else 'failed' end end,
    l.attempts, l.connection_id, l.sender_id, l.action, l.window_hour, l.window_day, o.recipient)::private.settling), '{}')
  from locked l
  join pg_catalog.jsonb_to_recordset(outcomes) as o(id uuid, attempt int, outcome text, provider_message_id text, rfc_message_id text,
    code text, detail text,
    after_seconds double precision, recipient text)
    on o.id = l.id and (o.attempt is null or o.attempt = l.attempts or o.outcome = 'sent')
  left join lateral (
    select pg_catalog.min(x.started_at) as first_at from public.attempts x
    where o.outcome = 'retry' and x.tenant_id = (select kernel.tenant()) and x.message_id = l.id) a on true);
end $$;

-- object function private.record_outcomes(private.settling[]) sha256:ef3de06190dc7c43
-- Writes the decisions: the messages, their attempts, the places under the limits that were not used, the events.
create or replace function private.record_outcomes(rows private.settling[]) returns void
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan as $$
begin
  update public.messages m set
    updated_at = (select kernel.now()),
    status = s.final,
    lease_until = null,
    provider_message_id = coalesce(s.provider_message_id, m.provider_message_id),
    sent_at = case when s.final = 'sent' then coalesce(m.sent_at, (select kernel.now())) else m.sent_at end,
    due_at = case when s.final = 'queued' then (select kernel.now()) + pg_catalog.make_interval(secs => coalesce(s.after_seconds,
      case when s.outcome = 'broken' then 60 else least(3600, 2 ^ s.attempt) * (1 + pg_catalog.random() * 0.25) end)) end,
    error_code = s.code,
    error = s.detail
  from pg_catalog.unnest(rows) s where m.tenant_id = (select kernel.tenant()) and m.id = s.id;

  -- A provider that chose the Message-ID itself says so in its answer.
  update public.email_details d set rfc_message_id = s.rfc_message_id
  from pg_catalog.unnest(rows) s
  where s.rfc_message_id is not null and d.tenant_id = (select kernel.tenant()) and d.message_id = s.id and d.rfc_message_id is distinct
    from s.rfc_message_id;

  update public.attempts a set finished_at = pg_catalog.clock_timestamp(), outcome = s.outcome, code = s.code, detail = s.detail
  from pg_catalog.unnest(rows) s where a.tenant_id = (select kernel.tenant()) and a.message_id = s.id and a.number = s.attempt;

  -- What did not leave gives its places under the limits back.
  perform private.return_places(b.rows) from (
    select pg_catalog.array_agg(s) as rows from pg_catalog.unnest(rows) s where s.final in ('queued', 'failed')) b where b.rows is not null;

  -- A failure is an event. That a message was sent, and when, stands on the message.
  if exists (select from pg_catalog.unnest(rows) s where s.final = 'failed') then
    insert into public.message_events (tenant_id, message_id, kind, event_key, at, month, created_at, detail)
    select kernel.tenant(), s.id, 'failed', 'failed:' || s.id, t.at, pg_catalog.date_trunc('month', t.at at time zone 'UTC')::date, t.at,
      pg_catalog.jsonb_build_object('code', s.code, 'detail', s.detail)
    from pg_catalog.unnest(rows) s cross join (select kernel.now() as at offset 0) t where s.final = 'failed'
    on conflict (tenant_id, event_key, month) do nothing;
  end if;

  -- A conversation that exists moves up.
  update public.threads t set last_message_at = (select kernel.now())
  from public.messages m join pg_catalog.unnest(rows) s on s.id = m.id
  where m.tenant_id = (select kernel.tenant()) and s.final = 'sent' and t.tenant_id = (select kernel.tenant()) and t.id = m.thread_id;
end $$;

-- object function private.suppress_refused(private.settling[]) sha256:48e8210a55131cd7
-- What a refusal says about the recipient holds at once, as if it had been reported afterwards: who opted out, and which address is gone.
create or replace function private.suppress_refused(rows private.settling[]) returns void
language plpgsql volatile set search_path = '' as $$
declare
  g record;
begin
  for g in
    select m.channel, s.recipient, pg_catalog.array_agg(distinct m.to_address) as addresses,
      pg_catalog.array_agg(distinct m.contact_id) as people
    from pg_catalog.unnest(rows) s join public.messages m on m.tenant_id = (select kernel.tenant()) and m.id = s.id
    where s.final = 'failed' and s.recipient is not null
    group by 1, 2 order by 1, 2
  loop
    case g.recipient
      when 'opted_out' then perform private.opt_out(g.channel, g.people, g.addresses, 'unsubscribe',
        'The provider refused a message: the person opted out there.');
      when 'gone' then perform private.suppress(g.channel, g.addresses, 'bounce',
        'The provider refused a message: the address takes none.');
    end case;
  end loop;
end $$;

-- object function private.tell_messages(text,uuid[]) sha256:8c0b5a56d5d3c133
-- Tells what became of messages, as facts: private.tell_messages('message.sent', ids, null).
create or replace function private.tell_messages(fact text, ids uuid[]) returns void
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan as $$
begin
  perform kernel.emit(fact, pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('message_id', m.id, 'enrollment_id', m.enrollment_id,
    'step_run_id', m.step_run_id, 'contact_id', m.contact_id, 'campaign_id', m.campaign_id, 'channel', m.channel, 'address', m.to_address,
    'at', coalesce(m.sent_at, (select kernel.now())), 'code', m.error_code)))
  from public.messages m where m.tenant_id = (select kernel.tenant()) and m.id = any(ids)
  having pg_catalog.count(*) > 0;
end $$;

-- object function private.settle_messages(jsonb) sha256:ce2968e4f8ce8d89
-- Definer: people who decide an unknown outcome may not write attempts, usage or health themselves. Bound to kernel.tenant().
create or replace function private.settle_messages(outcomes jsonb) returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  rows private.settling[] := private.decide_outcomes(outcomes);
begin
  if pg_catalog.cardinality(rows) = 0 then return 0; end if;
  perform private.record_outcomes(rows);
  -- Before the failures are told: who hears of both learns the reason first.
  perform private.suppress_refused(rows);
  perform private.tell_messages('message.sent', x.ids)
  from (select pg_catalog.array_agg(s.id) as ids from pg_catalog.unnest(rows) s where s.final = 'sent') x where x.ids is not null;
  perform private.tell_messages('message.failed', x.ids)
  from (select pg_catalog.array_agg(s.id) as ids from pg_catalog.unnest(rows) s where s.final = 'failed') x where x.ids is not null;
  perform private.note_health(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(g)))
  from (select s.connection_id, pg_catalog.count(*) filter (where s.outcome = 'sent') as ok,
          pg_catalog.count(*) filter (where s.outcome in ('retry', 'unknown', 'broken')) as bad,
          -- A refusal that is about the recipient says nothing about the connection.
          pg_catalog.count(*) filter (where s.outcome = 'rejected' and s.recipient is null) as rejected,
          pg_catalog.bool_or(s.outcome = 'broken') as broken,
          pg_catalog.max(s.detail) filter (where s.outcome <> 'sent' and s.recipient is null) as error
        from pg_catalog.unnest(rows) s where s.connection_id is not null group by 1) g
  having pg_catalog.count(*) > 0;
  return pg_catalog.cardinality(rows);
end $$;
grant execute on function private.settle_messages(jsonb), private.tell_messages(text, uuid[]) to overture_user, overture_worker;

-- object function private.add_task(uuid,text,text) sha256:80554bf6a8928e8a
-- A task for a person that belongs to no sequence. Returns its id; null where the contact is gone.
create or replace function private.add_task(contact uuid, title text, note text) returns uuid
language sql volatile set search_path = '' as $$
  insert into public.tasks (tenant_id, contact_id, title, note)
  select kernel.tenant(), c.id, pg_catalog.left(add_task.title, 200), pg_catalog.left(add_task.note, 10000) from public.contacts c
  where c.tenant_id = (select kernel.tenant()) and c.id = contact
  returning id
$$;
grant execute on function private.add_task(uuid, text, text) to overture_user, overture_worker;

-- object function private.count_enrollments() sha256:38944af3def9efe4
-- The counter `enrollments` of each campaign, with the status as bucket. Definer: whoever may change the rows need not write
-- counters. Of a tenant that is being deleted nothing is counted.
create or replace function private.count_enrollments() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'INSERT' then
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select r.tenant_id, 'enrollments', 'campaign', r.campaign_id, r.status, pg_catalog.count(*) from new_rows r group by 1, 4, 5;
  elsif tg_op = 'UPDATE' then
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select x.tenant_id, 'enrollments', 'campaign', x.campaign_id, x.status, pg_catalog.sum(x.sign)
    from (
      select 1 as sign, r.tenant_id, r.campaign_id, r.status from new_rows r
      union all select -1, r.tenant_id, r.campaign_id, r.status from old_rows r
    ) x
    where exists (select from public.tenants t where t.id = x.tenant_id)
    group by 1, 4, 5 having pg_catalog.sum(x.sign) <> 0;
  else
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select r.tenant_id, 'enrollments', 'campaign', r.campaign_id, r.status, -pg_catalog.count(*) from old_rows r
    where exists (select from public.tenants t where t.id = r.tenant_id) group by 1, 4, 5;
  end if;
  return null;
end $$;

-- object function private.recount_enrollments(uuid) sha256:729a042f5d11b56e
-- Counts a tenant's enrollments anew; writers wait meanwhile. For rows written with triggers off, and should a count be doubted.
create or replace function private.recount_enrollments(team uuid) returns void
language plpgsql volatile set search_path = '' as $$
begin
  lock table public.enrollments in share row exclusive mode;
  perform kernel.reset_counters(team, array['enrollments']);
  insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
  select r.tenant_id, 'enrollments', 'campaign', r.campaign_id, r.status, pg_catalog.count(*) from public.enrollments r
  where r.tenant_id = team group by 1, 4, 5;
end $$;

-- object function private.cancel_runs(uuid[],text) sha256:5332565035480ea5
-- Closes the open step runs of enrollments that ended. Definer: people who stop somebody may not write step runs themselves. Bound to
-- kernel.tenant(), and to enrollments that are over.
create or replace function private.cancel_runs(ended uuid[], why text) returns void
language sql volatile security definer set search_path = '' as $$
  update public.step_runs r set state = 'cancelled', outcome = why, finished_at = (select kernel.now())
  from public.enrollments e
  where e.tenant_id = (select kernel.tenant()) and e.id = any(ended) and e.status not in ('waiting', 'sending', 'task', 'blocked')
    and r.tenant_id = (select kernel.tenant()) and r.enrollment_id = e.id and r.state = 'open'
    -- What is or was at a provider settles by itself: what became of it is told. Looked up by its key, run by run: as a join it would read
    -- all messages.
    and not coalesce((select m.status in ('sending', 'unknown', 'sent', 'failed') from public.messages m
      where m.tenant_id = (select kernel.tenant()) and m.direction = 'out' and m.step_run_id = r.id), false)
$$;
grant execute on function private.cancel_runs(uuid[], text) to overture_user, overture_worker;

-- object function private.end_enrollments(uuid[],text,text,text) sha256:64dc383d3ce39147
-- Ends enrollments. The one way an enrollment ends early: what has not left is cancelled, open steps and tasks are closed, the decision is
-- noted. A finished sequence can still be answered or bounce; it cannot be stopped any more. Returns how many ended.
create or replace function private.end_enrollments(ids uuid[], new_status text, why text, decided_by text default 'person') returns int
language plpgsql volatile set search_path = '' as $$
declare
  ended uuid[];
begin
  with locked as (
    select e.id from public.enrollments e
    where e.tenant_id = (select kernel.tenant()) and e.id = any(ids) and e.status in ('waiting', 'sending', 'task', 'blocked', 'finished')
      and (e.status <> 'finished' or new_status in ('replied', 'bounced', 'unsubscribed'))
    order by e.id for update
  ), gone as (
    update public.enrollments e set updated_at = (select kernel.now()), status = new_status, reason = why, reason_detail = null,
      next_at = null,
      finished_at = (select kernel.now())
    from locked l where e.tenant_id = (select kernel.tenant()) and e.id = l.id returning e.id
  )
  select coalesce(pg_catalog.array_agg(g.id), '{}') into ended from gone g;
  if pg_catalog.cardinality(ended) = 0 then return 0; end if;
  perform private.cancel_messages(ended, why);
  perform private.cancel_runs(ended, why);
  update public.tasks t set status = 'cancelled', finished_at = (select kernel.now()), result = why
  where t.tenant_id = (select kernel.tenant()) and t.enrollment_id = any(ended) and t.status = 'open';
  perform kernel.decide(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('subject_id', i, 'source', decided_by, 'verdict', 'ended',
    'reason', why)))
  from pg_catalog.unnest(ended) i;
  return pg_catalog.cardinality(ended);
end $$;

-- object function private.advance_enrollments(jsonb) sha256:3b5a08e0197a4712
-- After their step is settled, people go to what comes next by its outcome: due at once, or finished where nothing comes.
-- settled: [{"step_run_id","branch","outcome","at"}], branch null: skipped; only open runs of people who still stand there move on.
create or replace function private.advance_enrollments(settled jsonb) returns int
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan as $$
declare
  n int;
begin
  with given as materialized (
    select s.* from pg_catalog.jsonb_to_recordset(settled) as s(step_run_id uuid, branch text, outcome text, at timestamptz)
  ), runs as (
    update public.step_runs r set state = case when g.branch is null then 'skipped' else 'done' end, outcome = g.outcome, finished_at = g.at
    from given g where r.tenant_id = (select kernel.tenant()) and r.id = g.step_run_id and r.state = 'open'
    returning r.enrollment_id, r.node_id, r.visit, coalesce(g.branch, 'next') as branch, g.at,
      case when g.branch is null then g.outcome end as why
  ), next as (
    select r.enrollment_id, r.node_id, r.visit, r.at, n.id as to_node, n.action,
      -- A sequence that ends with a step that did not happen, and reached the person by no other, failed and says why.
      case when n.id is null and r.why is not null and not exists (select from public.step_runs d
        join public.sequence_nodes o on o.tenant_id = (select kernel.tenant()) and o.id = d.node_id
          and (o.action is not null or o.kind = 'task')
        where d.tenant_id = (select kernel.tenant()) and d.enrollment_id = r.enrollment_id and d.visit = r.visit and d.state = 'done')
      then r.why end as failed
    from runs r
    left join public.sequence_edges x on x.tenant_id = (select kernel.tenant()) and x.from_node = r.node_id and x.branch = r.branch
    left join public.sequence_nodes n on n.tenant_id = (select kernel.tenant()) and n.id = x.to_node
  ), moved as (
    update public.enrollments e set
      updated_at = (select kernel.now()),
      status = case when n.failed is not null then 'failed' when n.to_node is null then 'finished' else 'waiting' end,
      node_id = coalesce(n.to_node, e.node_id),
      next_at = case when n.to_node is not null then n.at end,
      entered_at = n.at,
      action = n.action,
      sender_id = (e.vars -> 'senders' ->> pg_catalog.split_part(n.action, '.', 1))::uuid,
      finished_at = case when n.to_node is null then (select kernel.now()) end,
      reason = n.failed, reason_detail = null
    from next n
    where e.tenant_id = (select kernel.tenant()) and e.id = n.enrollment_id and e.node_id = n.node_id and e.run = n.visit
      -- The state is no index condition here: people are found by their key, however few the statistics think are sending.
      and (e.status || '') in ('sending', 'task')
    returning 1
  )
  select pg_catalog.count(*) into n from moved;
  return n;
end $$;
grant execute on function private.end_enrollments(uuid[], text, text, text), private.advance_enrollments(jsonb) to overture_user,
  overture_worker;

-- object function private.close_runs(jsonb) sha256:5a9b4dd5ff0c981f
-- Closes step runs whose message will not leave, for people whom that moves nowhere: their sequence ended, or they stand elsewhere.
-- settled: [{"step_run_id","outcome","at"}].
create or replace function private.close_runs(settled jsonb) returns void
language sql volatile set search_path = '' as $$
  update public.step_runs r set state = 'cancelled', outcome = g.outcome, finished_at = g.at
  from pg_catalog.jsonb_to_recordset(settled) as g(step_run_id uuid, outcome text, at timestamptz)
  where r.tenant_id = (select kernel.tenant()) and r.id = g.step_run_id and r.state = 'open'
$$;
grant execute on function private.close_runs(jsonb) to overture_worker;

-- object function private.finish_step(jsonb) sha256:2089db892fcd21f1
-- As private.advance_enrollments, for people who finish a task: they may not write step runs themselves. Bound to kernel.tenant(), and to
-- runs whose task is finished.
create or replace function private.finish_step(settled jsonb) returns int
language sql volatile security definer set search_path = '' as $$
  select private.advance_enrollments(pg_catalog.jsonb_agg(s.item))
  from pg_catalog.jsonb_array_elements(settled) s (item)
  join public.tasks t on t.tenant_id = kernel.tenant() and t.step_run_id = (s.item ->> 'step_run_id')::uuid and t.status in ('done',
    'skipped')
  having pg_catalog.count(*) > 0
$$;
grant execute on function private.finish_step(jsonb) to overture_user, overture_worker;

-- object function private.retry_blocked(uuid,timestamptz) sha256:b1df5a66253756b0
-- People of a campaign who were blocked before this moment wait again, at most 1,000 at once. Who is blocked again meanwhile is not among
-- them, so that this ends. Returns how many.
create or replace function private.retry_blocked(campaign uuid, before timestamptz) returns int
language sql volatile set search_path = '' as $$
  with portion as (
    select e.id from public.enrollments e
    where e.tenant_id = (select kernel.tenant()) and e.campaign_id = campaign and e.status = 'blocked' and e.updated_at < before
    order by e.id limit 1000 for update skip locked
  ), again as (
    update public.enrollments e set updated_at = (select kernel.now()), status = 'waiting', next_at = (select kernel.now()), reason = null,
      reason_detail = null
    from portion s where e.tenant_id = (select kernel.tenant()) and e.id = s.id returning 1
  )
  select pg_catalog.count(*)::int from again
$$;
grant execute on function private.retry_blocked(uuid, timestamptz) to overture_user, overture_worker;

-- object function private.end_campaign(uuid) sha256:d298dc59851e1c75
-- Ends the next people of a campaign that was stopped, at most 1,000 at once. Returns how many.
create or replace function private.end_campaign(campaign uuid) returns int
language sql volatile set search_path = '' as $$
  select private.end_enrollments(array(
    select e.id from public.enrollments e
    where e.tenant_id = (select kernel.tenant()) and e.campaign_id = campaign and e.status in ('waiting', 'sending', 'task', 'blocked')
    order by e.id limit 1000), 'stopped', 'campaign_stopped')
$$;
grant execute on function private.end_campaign(uuid) to overture_user, overture_worker;

-- object function private.delete_campaign(uuid) sha256:15a955f4e82a0217
-- Deletes the next people of a campaign that is being deleted, at most 1,000 at once, then takes it off the messages that stay, and last
-- itself. What has not left is cancelled now: later a guard would find only that the person is gone. Returns whether the campaign is gone.
create or replace function private.delete_campaign(campaign uuid) returns boolean
language plpgsql volatile set search_path = '' as $$
declare
  people uuid[];
begin
  perform from public.campaigns k where k.tenant_id = (select kernel.tenant()) and k.id = campaign and k.status = 'deleting' for update;
  if not found then return true; end if;
  people := array(
    select e.id from public.enrollments e
    where e.tenant_id = (select kernel.tenant()) and e.campaign_id = campaign order by e.id limit 1000);
  if pg_catalog.cardinality(people) > 0 then
    perform private.cancel_messages(people, 'campaign_stopped');
    delete from public.enrollments e where e.tenant_id = (select kernel.tenant()) and e.id = any(people);
  end if;
  if pg_catalog.cardinality(people) = 1000 or private.leave_campaign(campaign) = 1000 then return false; end if;
  delete from public.campaigns k where k.tenant_id = (select kernel.tenant()) and k.id = campaign;
  return true;
end $$;
grant execute on function private.delete_campaign(uuid) to overture_user, overture_worker;

-- object function private.anybody_due(uuid,uuid,timestamptz) sha256:6146ec8e6d377e50
-- Schedules: run across tenants; they only mark and enqueue.

-- Whether anybody of a campaign waits for something that is due. Asked action by action and sender by sender, as the index is sorted:
-- people who wait for later are not read, however many there are.
create or replace function private.anybody_due(team uuid, campaign uuid, moment timestamptz) returns boolean
language sql stable set search_path = '' as $$
  with actions as materialized (
    select distinct n.action from public.sequence_versions v
    join public.sequence_nodes n on n.tenant_id = v.tenant_id and n.version_id = v.id
    where v.tenant_id = team and v.campaign_id = campaign and n.action is not null
  )
  -- As values, not as `exists`, which the planner may turn into a join that reads whole tables.
  select coalesce(
    (select true from public.enrollments e
      where e.tenant_id = team and e.campaign_id = campaign and e.action is null and e.sender_id is null and e.status = 'waiting'
        and e.next_at <= moment limit 1),
    (select true from actions a cross join lateral (
      select from public.enrollments e
      where e.tenant_id = team and e.campaign_id = campaign and e.action = a.action and e.sender_id is null and e.status = 'waiting'
        and e.next_at <= moment limit 1) x limit 1),
    (select true from actions a
      join public.campaign_senders s on s.tenant_id = team and s.campaign_id = campaign
      cross join lateral (
        select from public.enrollments e
        where e.tenant_id = team and e.campaign_id = campaign and e.action = a.action and e.sender_id = s.sender_id
          and e.status = 'waiting' and e.next_at <= moment limit 1) x limit 1),
    false)
$$;
grant execute on function private.anybody_due(uuid, uuid, timestamptz) to overture_user, overture_worker;

-- object function private.campaigns_with_work(text) sha256:620d42dc9fed5acb
-- Teams that have something to do in campaigns which run and whose window is open: asked campaign by campaign, because there are few that
-- run, and what waits in a paused one wakes nobody. `ask`: releasing or planning. Where a campaign cannot be asked (its time zone is one
-- that the database knows no longer), its team is named too and learns why; no other team waits for that.
create or replace function private.campaigns_with_work(ask text) returns table (tenant_id uuid, campaign_id uuid)
language plpgsql volatile set search_path = '' as $$
declare
  ts timestamptz := kernel.now();
  k record;
begin
  for k in select c.tenant_id, c.id, c.settings from public.campaigns c where c.status = 'running' loop
    begin
      if not private.in_window(k.settings, ts) then continue; end if;
    exception when invalid_parameter_value then
      null;
    end;
    if ask = 'planning' and private.anybody_due(k.tenant_id, k.id, ts) or ask = 'releasing' and coalesce((select true
      from public.messages m where m.tenant_id = k.tenant_id and m.campaign_id = k.id and m.status = 'held'
        and m.error_code in ('campaign_paused', 'outside_window') limit 1), false) then
      tenant_id := k.tenant_id;
      campaign_id := k.id;
      return next;
    end if;
  end loop;
end $$;

-- object function private.wake_releasing() sha256:2025ac9786fe04cf
-- What is held in a campaign that runs, and may leave by now: a resume that met a worker holding it back, or a window that is open again.
create or replace function private.wake_releasing() returns int
language sql volatile security definer set search_path = '' as $$
  select pg_catalog.count(*)::int from kernel.enqueue('messaging_release', array(
    select pg_catalog.jsonb_build_object('tenant_id', w.tenant_id, 'campaign_id', w.campaign_id)
    from private.campaigns_with_work('releasing') w))
$$;

-- object function private.wake_planning() sha256:1209bc16a276d312
create or replace function private.wake_planning() returns int
language sql volatile security definer set search_path = '' as $$
  select kernel.wake('campaigns_plan', array(select distinct w.tenant_id from private.campaigns_with_work('planning') w))
$$;

-- object function private.finish_campaigns() sha256:5126009917d9c151
-- Running campaigns in which nobody waits any more and no audience is being taken in. Locked first, then looked at again:
-- whoever adds people meanwhile holds the campaign's row, and what they added is seen by the second statement.
create or replace function private.finish_campaigns() returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  over uuid[];
  n int;
begin
  over := array(
    select k.id from public.campaigns k
    where k.status = 'running' and k.enrolling = 0
      and not exists (select from public.enrollments e
        where e.tenant_id = k.tenant_id and e.campaign_id = k.id and e.status in ('waiting', 'sending', 'task', 'blocked'))
    for update of k skip locked);
  update public.campaigns k set status = 'done', finished_at = kernel.now()
  where k.status = 'running' and k.id = any(over) and k.enrolling = 0
    and not exists (select from public.enrollments e
      where e.tenant_id = k.tenant_id and e.campaign_id = k.id and e.status in ('waiting', 'sending', 'task', 'blocked'));
  get diagnostics n = row_count;
  return n;
end $$;

-- object function private.guard_campaign(public.messages) sha256:345c5d70cab026b0
-- What stops a campaign's message that is due. See modules/messaging/sql/guards.sql for the shape.

-- Only for people who are still in it and still stand at the message's step, in a campaign that runs, while its window is open. A message
-- of a step they were moved away from, or of an earlier run, stays behind: its provider gave it back after they had gone on.
create or replace function private.guard_campaign(m public.messages) returns table (verdict text, reason text, until timestamptz)
language sql stable as $$
  select s.verdict, s.reason, s.until from (
    select
      case when s.here is not true or k.status not in ('running', 'paused') then 'cancel' else 'defer' end as verdict,
      case
        when e.status is null then 'contact_removed'
        when s.here is not true then 'sequence_ended'
        when k.status = 'paused' then 'campaign_paused'
        when k.status <> 'running' then 'campaign_stopped'
        else 'outside_window' end as reason,
      case when k.status = 'running' and not s.open then private.next_opening(k.settings, (select kernel.now())) end as until,
      s.here and s.open as free
    from (values (true)) as one (row)
    left join public.enrollments e on e.tenant_id = m.tenant_id and e.id = m.enrollment_id
    left join public.campaigns k on k.tenant_id = m.tenant_id and k.id = e.campaign_id
    left join public.step_runs r on r.tenant_id = m.tenant_id and r.id = m.step_run_id
    cross join lateral (select
      e.status = 'sending' and r.state = 'open' and r.visit = e.run and r.node_id = e.node_id as here,
      -- Which campaigns are open is found out once a statement, not once a message.
      k.id = any(array(select o.id from public.campaigns o cross join (select kernel.now() as at offset 0) as now
        where o.tenant_id = (select kernel.tenant()) and o.status = 'running' and private.in_window(o.settings, now.at))) as open) s
  ) s where m.direction = 'out' and m.step_run_id is not null and s.free is not true
$$;

-- object function private.guard_reply(public.messages) sha256:4ca2aa061ec94f53
-- Nobody who answered is written to by a sequence that began before the answer. How far an answer reaches is the tenant's policy
-- (settings.reply_stops): `campaign`: the campaign that wrote the answered message, and where the answer names no message, every one that
-- wrote from that address; `contact`, the default: every campaign of the person; `company`: also of their
-- colleagues.
create or replace function private.guard_reply(m public.messages) returns table (verdict text, reason text, until timestamptz)
language sql stable as $$
  select 'cancel', case when by.them then 'replied' else 'colleague_replied' end, null::timestamptz
  from public.enrollments e
  join public.campaigns k on k.tenant_id = m.tenant_id and k.id = e.campaign_id
  cross join lateral (select
      exists (select from public.messages r
        where r.tenant_id = m.tenant_id and r.contact_id = m.contact_id and r.direction = 'in' and r.is_answer
          and r.created_at >= e.started_at
          and (r.campaign_id = m.campaign_id or (select private.reply_policy()) <> 'campaign'
            or not r.by_reference and r.to_address = m.from_address)) as them) by
  where e.tenant_id = m.tenant_id and e.id = m.enrollment_id and m.direction = 'out'
    and coalesce((k.settings ->> 'stop_on_reply')::boolean, true)
    and (by.them
      or (select private.reply_policy()) = 'company' and exists (select from public.contacts c
        join public.contacts o on o.tenant_id = m.tenant_id and o.company_id = c.company_id
        join public.messages r on r.tenant_id = m.tenant_id and r.contact_id = o.id and r.direction = 'in' and r.is_answer
          and r.created_at >= e.started_at
        where c.tenant_id = m.tenant_id and c.id = m.contact_id))
$$;

-- object function private.reply_policy() sha256:527c07bc4406ab53
create or replace function private.reply_policy() returns text
language sql stable set search_path = '' as $$
  select coalesce((select t.settings ->> 'reply_stops' from public.tenants t where t.id = kernel.tenant()), 'contact')
$$;
grant execute on function private.guard_campaign(public.messages), private.guard_reply(public.messages),
  private.reply_policy() to overture_user, overture_worker;

-- object function private.hold_campaign(uuid) sha256:b160d89676e5631d
-- Whoever changes a campaign holds it, whoever plans it or takes people in shares it, until their transaction ends. Locks on the row alone
-- let one sharer after the other pass a change that waits: a pause would wait for as long as there is somebody to plan. These queue up.
create or replace function private.hold_campaign(campaign uuid) returns void
language sql volatile set search_path = '' as $$
  select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('campaign ' || kernel.tenant() || campaign, 0))
$$;

-- object function private.share_campaigns(uuid[]) sha256:acd19c570de4238f
-- In the order of their ids, so that no two wait for each other.
create or replace function private.share_campaigns(campaigns uuid[]) returns void
language plpgsql volatile set search_path = '' as $$
declare
  campaign uuid;
begin
  for campaign in select c from pg_catalog.unnest(campaigns) c order by c loop
    perform pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtextextended('campaign ' || kernel.tenant() || campaign, 0));
  end loop;
end $$;
grant execute on function private.hold_campaign(uuid), private.share_campaigns(uuid[]) to overture_user, overture_worker;

-- object function private.sender_rooms(text[]) sha256:3bb03326e594f0d1
-- How many more messages of an action each sender may be given now: what its limits leave of the running hour, day and week, less what
-- waits in its queue already. opens_at: when a limit that is used up begins anew, null while there is none. renews_at: the same for
-- limits whose last places are taken by what waits in the queue, null while there is room. Senders without limits have room without end.
-- Only senders that can send: active, on an active connection.
create or replace function private.sender_rooms(actions text[]) returns table (
  sender_id uuid, action text, room int, opens_at timestamptz, renews_at timestamptz)
language sql stable set search_path = '' as $$
  with rests as (
    select s.id as sender_id, a.action, l.per,
      l.cap - case
        when l.per = 'hour' and u.hour = w.hour then u.hour_reserved
        when l.per = 'day' and u.day = w.day then u.day_reserved
        when l.per = 'week' and u.week = w.week then u.week_reserved
        else 0 end as rest,
      case l.per when 'hour' then w.hour + interval '1 hour'
        when 'day' then (w.day + 1)::timestamp at time zone s.time_zone
        when 'week' then (w.week + 7)::timestamp at time zone s.time_zone end as renewed_at
    from pg_catalog.unnest(actions) a (action)
    join public.senders s on s.tenant_id = (select kernel.tenant()) and s.channel = pg_catalog.split_part(a.action, '.', 1)
      and s.status = 'active'
    join public.connections c on c.tenant_id = (select kernel.tenant()) and c.id = s.connection_id and c.status = 'active'
    cross join lateral (select pg_catalog.date_trunc('hour', t.at) as hour, (t.at at time zone s.time_zone)::date as day,
      pg_catalog.date_trunc('week', t.at at time zone s.time_zone)::date as week from (select kernel.now() as at offset 0) t) w
    left join public.sender_limits l on l.tenant_id = (select kernel.tenant()) and l.sender_id = s.id and l.action = a.action
    left join public.sender_usage u on u.tenant_id = (select kernel.tenant()) and u.sender_id = s.id and u.action = a.action
  ), bounds as (
    select r.sender_id, r.action, pg_catalog.min(r.rest) as rest,
      pg_catalog.max(r.renewed_at) filter (where r.rest <= 0) as opens_at
    from rests r group by 1, 2
  )
  -- Without a limit nothing is counted.
  select b.sender_id, b.action, case when b.rest is null then 1000000 else greatest(0, b.rest - q.n) end::int, b.opens_at,
    case when b.rest <= q.n then coalesce(b.opens_at, (
      select pg_catalog.max(r.renewed_at) from rests r where r.sender_id = b.sender_id and r.action = b.action and r.rest <= q.n)) end
  from bounds b cross join lateral (
    select pg_catalog.count(*) as n from (
      select from public.messages m
      where m.tenant_id = (select kernel.tenant()) and m.sender_id = b.sender_id and m.status = 'queued' and m.action = b.action
      limit greatest(0, b.rest)) x) q
$$;
grant execute on function private.sender_rooms(text[]) to overture_user, overture_worker;

-- object function private.move_enrollments(uuid,uuid,int4) sha256:c87b9087db971745
-- Moving people to another version of their sequence.

-- Moves the next `quantity` people of a campaign that follow an older version. Messages that were planned and never tried vanish with the
-- run of their step, and are written again from the new version; one that was tried stays: its key may be known outside. A person stands at
-- the same step as before; where it was removed, at the next one of their old version that is still there; where none is, their sequence is
-- over. Returns how many were moved.
create or replace function private.move_enrollments(campaign uuid, to_version uuid, quantity int) returns int
language plpgsql volatile set search_path = '' as $$
declare
  people uuid[];
  told int;
begin
  people := array(
    select e.id from public.enrollments e
    where e.tenant_id = (select kernel.tenant()) and e.campaign_id = campaign
      and e.version_id = any(array(select v.id from public.sequence_versions v
        where v.tenant_id = (select kernel.tenant()) and v.campaign_id = campaign and v.number < (
          select t.number from public.sequence_versions t where t.tenant_id = (select kernel.tenant()) and t.id = to_version)))
      and e.status in ('waiting', 'sending', 'task', 'blocked') and e.node_id is not null
    order by e.id limit quantity for update);
  if pg_catalog.cardinality(people) = 0 then return 0; end if;

  -- What was planned and never tried.
  with gone as materialized (
    select t.enrollment_id, t.step_run_id from private.take_back_messages(people) t
  ), runs as (
    delete from public.step_runs r using gone g where r.tenant_id = (select kernel.tenant()) and r.id = g.step_run_id
  )
  update public.enrollments e set status = 'waiting', next_at = (select kernel.now())
  from gone g where e.tenant_id = (select kernel.tenant()) and e.id = g.enrollment_id and e.status = 'sending';

  with recursive stands as (
    -- Along the old version from where each stands, by its first way out, to a step that the new version has.
    select e.id, e.node_id as old_node, n.step_id, e.node_id as at_node, 0 as hops
    from public.enrollments e join public.sequence_nodes n on n.tenant_id = (select kernel.tenant()) and n.id = e.node_id
    where e.tenant_id = (select kernel.tenant()) and e.id = any(people)
    union all
    select s.id, s.old_node, n.step_id, x.to_node, s.hops + 1
    from stands s
    cross join lateral (
      select y.to_node from public.sequence_edges y
      where y.tenant_id = (select kernel.tenant()) and y.from_node = s.at_node order by (y.branch = 'next') desc, (y.branch = 'no') desc,
        y.branch limit 1) x
    join public.sequence_nodes n on n.tenant_id = (select kernel.tenant()) and n.id = x.to_node
    where not exists (select from public.sequence_nodes t
      where t.tenant_id = (select kernel.tenant()) and t.version_id = to_version and t.step_id = s.step_id)
      and s.hops < 100
  ), targets as (
    select distinct on (s.id) s.id, s.hops, s.step_id, t.id as node_id, t.action
    from stands s join public.sequence_nodes t on t.tenant_id = (select kernel.tenant()) and t.version_id = to_version
      and t.step_id = s.step_id
    order by s.id, s.hops
  ), placed as (
    select p.id, t.node_id, t.step_id, t.action, coalesce(t.hops, -1) as hops from pg_catalog.unnest(people) p (id)
    left join targets t on t.id = p.id
  ), moved as (
    update public.enrollments e set
      updated_at = (select kernel.now()),
      version_id = to_version,
      node_id = coalesce(p.node_id, e.node_id),
      action = p.action,
      sender_id = (e.vars -> 'senders' ->> pg_catalog.split_part(p.action, '.', 1))::uuid,
      status = case
        -- What is at a provider or with a person settles first.
        when e.status in ('sending', 'task') and p.hops = 0 then e.status
        when p.node_id is null then 'finished' else 'waiting' end,
      -- A wait counts from when they came to it, however long it is now: the planner asks it again.
      next_at = case when e.status in ('sending', 'task') and p.hops = 0 or p.node_id is null then null
        else (select kernel.now()) end,
      entered_at = case when p.hops > 0 then (select kernel.now()) else e.entered_at end,
      reason = case when p.node_id is null then 'step_removed' end,
      finished_at = case when p.node_id is null then (select kernel.now()) end
    from placed p where e.tenant_id = (select kernel.tenant()) and e.id = p.id
    returning e.id, p.hops
  ), open_runs as (
    -- The run of a step under way belongs to the new node of the same step; that of a removed step is over for the sequence.
    update public.step_runs r set node_id = p.node_id from placed p
    where r.tenant_id = (select kernel.tenant()) and r.enrollment_id = p.id and r.step_id = p.step_id and r.state = 'open'
      and p.hops = 0
  ), tasks as (
    update public.tasks t set status = 'cancelled', finished_at = (select kernel.now()), result = 'step_removed' from placed p
    where t.tenant_id = (select kernel.tenant()) and t.enrollment_id = p.id and t.status = 'open' and p.hops <> 0
    returning t.step_run_id
  ), closed as (
    update public.step_runs r set state = 'cancelled', outcome = 'step_removed', finished_at = (select kernel.now()) from tasks t
    where r.tenant_id = (select kernel.tenant()) and r.id = t.step_run_id and r.state = 'open'
  )
  select kernel.decide(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('subject_id', m.id, 'source', 'move', 'verdict', 'moved',
    'reason', case when m.hops = 0 then 'moved' else 'step_removed' end, 'detail', pg_catalog.jsonb_build_object('version_id',
      to_version)))) into told
  from moved m;
  return coalesce(told, 0);
end $$;
grant execute on function private.move_enrollments(uuid, uuid, int) to overture_user, overture_worker;

-- object function private.in_window(jsonb,timestamptz) sha256:08aeaac6270dec09
-- Sending windows: when messages of a campaign may leave. settings: {"time_zone","window":{"days","start","end"} |
-- null,"skip_dates":["2026-12-25"]}. Days are ISO (1 = Monday).

-- Asked for every message before it leaves: one expression without settings of its own, so that the planner writes it into its statements.
-- It does so only where `at` is a column or a constant, not a call.
create or replace function private.in_window(settings jsonb, at timestamptz) returns boolean
language sql stable as $$
  select not coalesce(settings -> 'skip_dates' ? ((at at time zone coalesce(settings ->> 'time_zone', 'UTC'))::date)::text, false)
    and (settings -> 'window' is null or settings -> 'window' = 'null'::jsonb or (
      settings -> 'window' -> 'days' @> pg_catalog.to_jsonb(extract(isodow from at at time zone coalesce(settings ->> 'time_zone',
        'UTC'))::int)
      and (at at time zone coalesce(settings ->> 'time_zone', 'UTC'))::time >= (settings -> 'window' ->> 'start')::time
      and (at at time zone coalesce(settings ->> 'time_zone', 'UTC'))::time < (settings -> 'window' ->> 'end')::time))
$$;

-- object function private.next_opening(jsonb,timestamptz) sha256:a096d11c089a721f
-- When the window opens next, at or after a moment: that moment itself while it is open, null when no day of the next two months has one
-- besides those that are left out.
-- Days are counted on the calendar of the time zone, so that a change of its clock moves no opening.
create or replace function private.next_opening(settings jsonb, after timestamptz) returns timestamptz
language sql stable set search_path = '' as $$
  select case when private.in_window(settings, after) then after else (
    select pg_catalog.min(o.opens) from (
      select (d.day + coalesce((nullif(settings -> 'window', 'null'::jsonb) ->> 'start')::time, time '00:00'))
        at time zone coalesce(settings ->> 'time_zone', 'UTC') as opens
      from (select (after at time zone coalesce(settings ->> 'time_zone', 'UTC'))::date + n as day from pg_catalog.generate_series(0,
        62 + coalesce(pg_catalog.jsonb_array_length(settings -> 'skip_dates'), 0)) n) d
      where not coalesce(settings -> 'skip_dates' ? d.day::text, false)
        and (nullif(settings -> 'window', 'null'::jsonb) is null
          or settings -> 'window' -> 'days' @> pg_catalog.to_jsonb(extract(isodow from d.day)::int))
    ) o where o.opens >= after) end
$$;
grant execute on function private.in_window(jsonb, timestamptz), private.next_opening(jsonb, timestamptz) to overture_user, overture_worker;

-- object function private.operator_tenant() sha256:a629cc8f1276850e
-- The team that runs the installation: named by the setting operator_tenant, which the claim writes. Null where nobody claimed it.
create or replace function private.operator_tenant() returns uuid
language sql stable security definer set search_path = '' as $$
  select t.id from public.tenants t where t.id::text = (select s.value #>> '{}' from kernel.settings s where s.key = 'operator_tenant')
$$;

-- object function private.alert_limit(text,float8) sha256:04f35b0ac4fb9403
-- A threshold: what kernel.settings 'alerts' says, else the default.
create or replace function private.alert_limit(name text, fallback double precision) returns double precision
language sql stable security definer set search_path = '' as $$
  select coalesce((select (s.value ->> alert_limit.name)::double precision from kernel.settings s where s.key = 'alerts'), fallback)
$$;

-- object function private.team_findings() sha256:ce552672688d6104
-- What the teams should know. Campaigns that run are few; everything else is read through an index and stops at a bound.
create or replace function private.team_findings() returns setof private.alert_finding
language sql stable security definer set search_path = '' as $$
  with recursive dead as (
    -- From one (team, queue) to the next along the index, however many letters each has.
    (select d.tenant_id, d.queue from kernel.dead_letters d where d.tenant_id is not null order by d.tenant_id, d.queue limit 1)
    union all
    select n.tenant_id, n.queue from dead l cross join lateral (
      select d.tenant_id, d.queue from kernel.dead_letters d where (d.tenant_id, d.queue) > (l.tenant_id, l.queue) order by d.tenant_id,
        d.queue limit 1) n
  ), patience as (select private.alert_limit('campaign_stalled_minutes', 15) as minutes),
  running as (
    select k.tenant_id, k.id, k.name, pg_catalog.make_interval(secs => p.minutes * 60) as patience, p.minutes
    from public.campaigns k cross join patience p where k.status = 'running' and private.in_window(k.settings, kernel.now())
  ), writers as (
    -- Who can send in them now, and what. A limit that is used up is no stall: it goes on when its period is over.
    select r.tenant_id, r.id as campaign_id, s.id as sender_id, a.action
    from running r
    join public.campaign_senders w on w.tenant_id = r.tenant_id and w.campaign_id = r.id
    join public.senders s on s.tenant_id = r.tenant_id and s.id = w.sender_id and s.status = 'active'
    join public.connections c on c.tenant_id = r.tenant_id and c.id = coalesce(w.connection_id, s.connection_id) and c.status = 'active'
    cross join lateral (select distinct n.action from public.sequence_versions v
      join public.sequence_nodes n on n.tenant_id = v.tenant_id and n.version_id = v.id
      where v.tenant_id = r.tenant_id and v.campaign_id = r.id and pg_catalog.split_part(n.action, '.', 1) = s.channel) a
    where not exists (select from public.sender_limits l
      left join public.sender_usage u on u.tenant_id = l.tenant_id and u.sender_id = l.sender_id and u.action = l.action
      cross join lateral (select kernel.now() at time zone s.time_zone as at) t
      where l.tenant_id = r.tenant_id and l.sender_id = s.id and l.action = a.action and l.cap <= case
        when l.per = 'hour' and u.hour = pg_catalog.date_trunc('hour', kernel.now()) then u.hour_reserved
        when l.per = 'day' and u.day = t.at::date then u.day_reserved
        when l.per = 'week' and u.week = pg_catalog.date_trunc('week', t.at)::date then u.week_reserved
        else 0 end)
  )
  select r.tenant_id, 'campaign_stalled', r.id::text, 'team', 'critical',
    pg_catalog.format('%s is running and has work due, but nothing was sent for %s minutes.', r.name, r.minutes), '/campaigns/' || r.id,
      r.minutes, r.minutes,
    (r.minutes * 60)::int
  from running r
  -- Asked by campaign, action and sender, as their indexes are sorted: who waits for another sender's limit is not read through. As values,
  -- not as `exists`, which the planner may turn into a join that reads whole tables.
  where (coalesce((select true from writers w
      join public.messages m on m.tenant_id = r.tenant_id and m.sender_id = w.sender_id and m.action = w.action
        and m.campaign_id = r.id and m.status = 'queued' and m.due_at < kernel.now() - interval '2 minutes'
      where w.tenant_id = r.tenant_id and w.campaign_id = r.id limit 1), false)
    or coalesce((select true from public.enrollments e
      where e.tenant_id = r.tenant_id and e.campaign_id = r.id and e.action is null and e.sender_id is null
        and e.status = 'waiting' and e.next_at < kernel.now() - interval '2 minutes' limit 1), false)
    or coalesce((select true from writers w
      join public.enrollments e on e.tenant_id = r.tenant_id and e.campaign_id = r.id and e.action = w.action
        and e.sender_id is null and e.status = 'waiting' and e.next_at < kernel.now() - interval '2 minutes'
      where w.tenant_id = r.tenant_id and w.campaign_id = r.id limit 1), false)
    or coalesce((select true from writers w
      join public.enrollments e on e.tenant_id = r.tenant_id and e.campaign_id = r.id and e.action = w.action
        and e.sender_id = w.sender_id and e.status = 'waiting' and e.next_at < kernel.now() - interval '2 minutes'
      where w.tenant_id = r.tenant_id and w.campaign_id = r.id limit 1), false))
    and not coalesce((select true from public.messages m
      where m.tenant_id = r.tenant_id and m.sent_at > kernel.now() - r.patience and m.campaign_id = r.id limit 1), false)
  union all
  select d.tenant_id, 'dead_letters', d.queue, 'team', 'warning',
    pg_catalog.format('%s%s %s of the queue %s failed permanently.', case when c.n > 1000 then 'More than ' end, least(c.n, 1000),
      case when c.n = 1 then 'message' else 'messages' end, d.queue),
    '/queues?tab=dead&queue=' || d.queue, least(c.n, 1000), 0, 0
  from dead d join public.tenants t on t.id = d.tenant_id
  cross join lateral (select pg_catalog.count(*) as n from (
    select from kernel.dead_letters x where x.tenant_id = d.tenant_id and x.queue = d.queue limit 1001) y) c
  union all
  -- Only those that were to be decided by now and are told of: few, in an index of their own.
  select a.tenant_id, 'approvals_overdue', '', 'team', 'warning',
    pg_catalog.format('%s %s longer for approval than the workspace allows.', pg_catalog.count(*),
      case when pg_catalog.count(*) = 1 then 'message waits' else 'messages wait' end), '/approvals', pg_catalog.count(*), 0, 0
  from public.approvals a where a.state = 'pending' and a.escalated_at is not null group by a.tenant_id
$$;

-- object function private.installation_findings() sha256:f107963c348dbd32
-- What the operators should know. Burn rates as in Google's SRE workbook: the short window says that it still goes on.
create or replace function private.installation_findings() returns setof private.alert_finding
language sql stable security definer set search_path = '' as $$
  with operator as (select private.operator_tenant() as id),
  http as (
    select s.at, s.n, s.errors, s.n - (select coalesce(pg_catalog.sum(u.v), 0) from pg_catalog.unnest(s.buckets) with ordinality u (v, i)
      where u.i <= 8) as slow
    from kernel.samples s where s.span = 'minute' and s.kind = 'http' and s.at >= pg_catalog.now() - interval '6 hours'
  ), rates as (
    select w.name, w.factor, w.severity, w.said,
      coalesce(pg_catalog.sum(h.errors) filter (where h.at >= pg_catalog.now() - w.long), 0) as errors,
      coalesce(pg_catalog.sum(h.errors) filter (where h.at >= pg_catalog.now() - w.long)
        / nullif(pg_catalog.sum(h.n) filter (where h.at >= pg_catalog.now() - w.long), 0), 0) as long_rate,
      coalesce(pg_catalog.sum(h.errors) filter (where h.at >= pg_catalog.now() - w.short)
        / nullif(pg_catalog.sum(h.n) filter (where h.at >= pg_catalog.now() - w.short), 0), 0) as short_rate
    from (values ('fast', 14.4, 'critical', interval '1 hour', interval '5 minutes', 'hour'),
        ('slow', 6, 'warning', interval '6 hours', interval '30 minutes', '6 hours'))
      w (name, factor, severity, long, short, said) cross join http h
    group by w.name, w.factor, w.severity, w.said
  ), budget as (select private.alert_limit('error_budget', 0.001) as share)
  select o.id, 'queue_late', l.queue, 'installation', case when l.lag_seconds > 3 * x.most then 'critical' else 'warning' end,
    pg_catalog.format('No worker reads the queue %s: its oldest message has been ready for %s minutes.', l.queue,
      pg_catalog.ceil(l.lag_seconds / 60)), '/queues', l.lag_seconds, x.most, 60
  from operator o cross join (select private.alert_limit('queue_lag_seconds', 300) as most) x cross join kernel.queue_lags() l
    where l.lag_seconds > x.most
  union all
  select o.id, 'queue_deep', m.queue, 'installation', 'warning', pg_catalog.format('%s messages wait in the queue %s.', m.visible,
    m.queue), '/queues', m.visible, x.most, 300
  from operator o cross join (select private.alert_limit('queue_depth', 50000) as most) x cross join kernel.queue_metrics() m
    where m.visible > x.most
  union all
  select o.id, 'schedule_late', h.name, 'installation', 'critical',
    pg_catalog.format('The schedule %s is late: more than three runs were missed.', h.name), '/queues?tab=schedules',
    h.lag_seconds, 0, 60
  from operator o cross join kernel.schedule_health() h where h.late and h.name <> 'operations.alerts'
  union all
  select o.id, 'schedule_failing', h.name, 'installation', 'warning', pg_catalog.format('The schedule %s fails: %s', h.name,
    pg_catalog.left(h.last_error, 300)), '/queues?tab=schedules', 1, 0, 120
  from operator o cross join kernel.schedule_health() h where h.last_error is not null
  union all
  select o.id, 'error_rate', r.name, 'installation', r.severity,
    pg_catalog.format('%s %% of the requests of the last %s failed; the objective allows %s %%.',
      pg_catalog.round(r.long_rate * 100, 2), r.said, b.share * 100), '/queues?tab=service', r.long_rate, b.share * r.factor, 0
  from operator o cross join rates r cross join budget b where r.errors >= 10 and r.long_rate > b.share * r.factor
    and r.short_rate > b.share * r.factor
  union all
  -- The eighth bucket ends at 0.5 s.
  select o.id, 'latency', '', 'installation', 'warning',
    pg_catalog.format('%s %% of the requests of the last 15 minutes took more than half a second.',
      pg_catalog.round(100 * l.slow / l.n, 1)),
    '/queues?tab=service', l.slow / l.n, 0.05, 120
  from operator o cross join (select pg_catalog.sum(h.n) as n, pg_catalog.sum(h.slow) as slow from http h
    where h.at >= pg_catalog.now() - interval '15 minutes') l
  where l.n >= 100 and l.slow / l.n > 0.05
  union all
  select o.id, 'backup_late', '', 'installation', 'critical',
    pg_catalog.format('The last backup is %s hours old, although one is planned every %s hours.', pg_catalog.round(b.age_seconds / 3600),
      pg_catalog.round(b.every_seconds / 3600)),
    null, b.age_seconds, 2 * b.every_seconds, 60
  from operator o cross join kernel.backup_age() b where b.age_seconds > 2 * b.every_seconds
  union all
  select o.id, 'connections', '', 'installation', case when c.used > 0.95 * c.allowed then 'critical' else 'warning' end,
    pg_catalog.format('%s of the database''s %s connections are in use.', c.used, c.allowed), '/queues?tab=service',
      c.used::double precision / c.allowed, x.most, 60
  from operator o cross join kernel.connection_use() c cross join (select private.alert_limit('connection_share', 0.8) as most) x
    where c.used > x.most * c.allowed
$$;

-- object function private.evaluate_alerts() sha256:4737d680ee14e7ec
-- One look at everything: conditions become rows, rows that held long enough open, rows whose condition is gone close. Each opening
-- and each closing is announced once, in the same transaction. Returns how many rows changed their state.
create or replace function private.evaluate_alerts() returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  found private.alert_finding[];
  ts timestamptz := pg_catalog.now();
  changed jsonb[];
begin
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('operations.alerts', 0));
  found := array(select f from private.team_findings() f union all select f from private.installation_findings() f
    where f.tenant_id is not null);

  insert into public.alerts (tenant_id, kind, subject, scope, severity, summary, href, value, threshold, created_at)
  select f.tenant_id, f.kind, f.subject, f.scope, f.severity, f.summary, f.href, f.value, f.threshold, ts from pg_catalog.unnest(found) f
  on conflict (tenant_id, kind, subject) where status <> 'resolved' do nothing;

  -- A changed number alone would announce every open alert every minute; a tenth more or less is news.
  update public.alerts a set severity = f.severity, summary = f.summary, value = f.value, threshold = f.threshold, href = f.href,
    clear_since = null
  from pg_catalog.unnest(found) f
  where a.tenant_id = f.tenant_id and a.kind = f.kind and a.subject = f.subject and a.status <> 'resolved'
    and (a.clear_since is not null or a.severity <> f.severity or pg_catalog.abs(a.value - f.value) > 0.1 * pg_catalog.abs(a.value));

  with opened as (
    update public.alerts a set status = 'open', opened_at = ts
    from pg_catalog.unnest(found) f
    where a.tenant_id = f.tenant_id and a.kind = f.kind and a.subject = f.subject and a.status = 'pending'
      and a.created_at <= ts - pg_catalog.make_interval(secs => f.for_seconds)
    returning a.tenant_id, a.id
  ), dropped as (
    delete from public.alerts a where a.status = 'pending' and not exists (
      select from pg_catalog.unnest(found) f where a.tenant_id = f.tenant_id and a.kind = f.kind and a.subject = f.subject)
  ), clear as (
    -- Gone for two minutes, or it may only be between two looks.
    update public.alerts a set clear_since = coalesce(a.clear_since, ts),
      status = case when a.clear_since <= ts - interval '2 minutes' then 'resolved' else 'open' end,
      resolved_at = case when a.clear_since <= ts - interval '2 minutes' then ts end
    where a.status = 'open' and (a.clear_since is null or a.clear_since <= ts - interval '2 minutes') and not exists (
      select from pg_catalog.unnest(found) f where a.tenant_id = f.tenant_id and a.kind = f.kind and a.subject = f.subject)
    returning a.tenant_id, a.id, a.status
  )
  select pg_catalog.array_agg(pg_catalog.jsonb_build_object('tenant_id', x.tenant_id, 'alert_id', x.id, 'event', x.event))
  into changed from (
    select o.tenant_id, o.id, 'opened' as event from opened o
    union all
    select c.tenant_id, c.id, 'resolved' from clear c where c.status = 'resolved') x;

  if changed is null then return 0; end if;
  perform kernel.enqueue('operations_notify', changed);
  return pg_catalog.cardinality(changed);
end $$;

-- object function private.prune_alerts() sha256:8994ec6c051ad6e1
-- Forgets alerts that were resolved more than ninety days ago, in portions. Run by a schedule.
create or replace function private.prune_alerts() returns void
language sql volatile security definer set search_path = '' as $$
  delete from public.alerts a where a.ctid = any(array(
    select x.ctid from public.alerts x where x.status = 'resolved' and x.resolved_at < pg_catalog.now() - interval '90 days' limit 10000));
$$;

-- object function private.alert_counts() sha256:169670844f622019
-- Open alerts of the whole installation by severity, for the metrics: numbers only.
create or replace function private.alert_counts() returns table (severity text, open bigint)
language sql stable security definer set search_path = '' as $$
  select s.severity, (select pg_catalog.count(*) from public.alerts a where a.status = 'open' and a.severity = s.severity)
  from (values ('warning'), ('critical')) s (severity)
$$;
grant execute on function private.alert_counts() to overture_worker;

-- object function private.dead_letter_counts() sha256:cfa14e408c913970
-- The current tenant's dead letters per queue, counted up to 10,000. Another team's are none of its business, not even their number.
create or replace function private.dead_letter_counts()
returns table (queue text, dead bigint)
language sql stable security definer set search_path = '' as $$
  select q.name, c.n from kernel.queues q cross join lateral (
    select pg_catalog.count(*) as n from (
      select from kernel.dead_letters d where d.tenant_id = kernel.tenant() and d.queue = q.name limit 10000) x) c
  where c.n > 0
$$;
grant execute on function private.dead_letter_counts() to overture_user, overture_worker;

-- object function kernel.analyst_tenant() sha256:8d642ee971748e36
-- A login role per analyst, mapped to one tenant by its name. A setting could be forged; the name one logged in with cannot.
-- session_user, not current_user: `set role` does not change it.
create or replace function kernel.analyst_tenant() returns uuid
language sql stable security definer set search_path = '' as $$
  select a.tenant_id from kernel.analysts a where a.role_name = session_user
$$;
grant execute on function kernel.analyst_tenant() to overture_analytics;

-- object function kernel.add_analyst(name,uuid) sha256:035fb07ba44d47de
-- Lets an existing login role read one tenant, read-only and with a time limit. Run as postgres.
create or replace function kernel.add_analyst(role_name name, tenant_id uuid) returns void
language plpgsql volatile set search_path = '' as $$
begin
  if not exists (select from pg_catalog.pg_roles r where r.rolname = add_analyst.role_name and r.rolcanlogin
      and not r.rolsuper and not r.rolbypassrls and not r.rolcreaterole) then
    raise exception 'analysts need a login role of their own without superuser, bypassrls or createrole: create role % login password …',
      add_analyst.role_name using errcode = 'invalid_parameter_value';
  end if;
  execute pg_catalog.format('grant overture_analyst to %I', add_analyst.role_name);
  execute pg_catalog.format('alter role %I set statement_timeout = %L', add_analyst.role_name, '60s');
  execute pg_catalog.format('alter role %I set default_transaction_read_only = on', add_analyst.role_name);
  execute pg_catalog.format('alter role %I set search_path = analytics', add_analyst.role_name);
  insert into kernel.analysts (role_name, tenant_id) values (add_analyst.role_name, add_analyst.tenant_id)
  on conflict on constraint analysts_pkey do update set tenant_id = excluded.tenant_id;
end $$;

-- object function private.analyst_contacts() sha256:7438a4f6fd0c3b5b
-- What analysts read. The planner lets `=` and `<` look into statistics that are made of all tenants' rows, and EXPLAIN cannot be
-- forbidden to a login: so analysts name no table, only views of functions, whose estimate is a constant and into which no part of
-- a query reaches (docs/adr/0004-no-plans-over-rest.md). The functions belong to overture_analytics (see below), whose policies and
-- columns decide: bodies and headers of messages stay with the team. debug_print_plan would print their own statement's estimates.
create or replace function private.analyst_contacts()
returns table (
  id uuid, email text, first_name text, last_name text, full_name text, title text, company_id uuid, status text,
  pipeline_stage text, warmth_score int, time_zone text, locale text, country text, custom jsonb, tags text[], consent_source text,
  lawful_basis text, last_interaction_at timestamptz, created_at timestamptz, updated_at timestamptz)
language plpgsql stable security definer set search_path = '' set debug_print_plan = off rows 10000 as $$
begin
  return query
  select c.id, c.email, c.first_name, c.last_name, c.full_name, c.title, c.company_id, c.status, c.pipeline_stage, c.warmth_score,
    c.time_zone, c.locale, c.country, c.custom, c.tags, c.consent_source, c.lawful_basis, c.last_interaction_at, c.created_at,
    c.updated_at
  from public.contacts c;
end $$;
grant execute on function private.analyst_contacts() to overture_analyst;
grant select (
  tenant_id, id, email, first_name, last_name, full_name, title, company_id, status, pipeline_stage, warmth_score, time_zone,
  locale, country, custom, tags, consent_source, lawful_basis, last_interaction_at, created_at, updated_at)
  on public.contacts to overture_analytics;

-- object function private.analyst_campaigns() sha256:8716e168de5e98dc
create or replace function private.analyst_campaigns()
returns table (
  id uuid, name text, status text, tier text, version_id uuid, list_id uuid, segment_id uuid, started_at timestamptz,
  finished_at timestamptz, created_at timestamptz, updated_at timestamptz)
language plpgsql stable security definer set search_path = '' set debug_print_plan = off rows 10000 as $$
begin
  return query
  select c.id, c.name, c.status, c.tier, c.version_id, c.list_id, c.segment_id, c.started_at, c.finished_at, c.created_at, c.updated_at
  from public.campaigns c;
end $$;
grant execute on function private.analyst_campaigns() to overture_analyst;
grant select (
  tenant_id, id, name, status, tier, version_id, list_id, segment_id, started_at, finished_at, created_at, updated_at)
  on public.campaigns to overture_analytics;

-- object function private.analyst_messages() sha256:d7544d6a67c7746d
create or replace function private.analyst_messages()
returns table (
  id uuid, direction text, channel text, contact_id uuid, campaign_id uuid, enrollment_id uuid, step_id uuid, action text,
  sender_id uuid, connection_id uuid, status text, attempts int, from_address text, to_address text, subject text, thread_id uuid,
  error_code text, is_auto_reply boolean, sent_at timestamptz, delivered_at timestamptz, opened_at timestamptz,
  clicked_at timestamptz, replied_at timestamptz, bounced_at timestamptz, complained_at timestamptz, unsubscribed_at timestamptz,
  created_at timestamptz)
language plpgsql stable security definer set search_path = '' set debug_print_plan = off rows 10000 as $$
begin
  return query
  select m.id, m.direction, m.channel, m.contact_id, m.campaign_id, m.enrollment_id, m.step_id, m.action, m.sender_id, m.connection_id,
    m.status, m.attempts, m.from_address, m.to_address, m.subject, m.thread_id, m.error_code, m.is_auto_reply, m.sent_at,
    m.delivered_at, m.opened_at, m.clicked_at, m.replied_at, m.bounced_at, m.complained_at, m.unsubscribed_at, m.created_at
  from public.messages m;
end $$;
grant execute on function private.analyst_messages() to overture_analyst;
grant select (
  tenant_id, id, direction, channel, contact_id, campaign_id, enrollment_id, step_id, action, sender_id, connection_id, status,
  attempts, from_address, to_address, subject, thread_id, error_code, is_auto_reply, sent_at, delivered_at, opened_at, clicked_at,
  replied_at, bounced_at, complained_at, unsubscribed_at, created_at)
  on public.messages to overture_analytics;

-- object function private.analyst_events() sha256:26692b53354a1e5b
create or replace function private.analyst_events()
returns table (
  id uuid, message_id uuid, kind text, at timestamptz, is_bot boolean, detail jsonb, created_at timestamptz)
language plpgsql stable security definer set search_path = '' set debug_print_plan = off rows 10000 as $$
begin
  return query
  select e.id, e.message_id, e.kind, e.at, e.is_bot, e.detail, e.created_at
  from public.message_events e
  union all
  -- What was sent is no row among the events: it stands on the message.
  select m.id, m.id, 'sent', m.sent_at, false, '{}'::jsonb, m.sent_at
  from public.messages m where m.direction = 'out' and m.sent_at is not null;
end $$;
grant execute on function private.analyst_events() to overture_analyst;
grant select (
  tenant_id, id, message_id, kind, at, is_bot, detail, created_at)
  on public.message_events to overture_analytics;

-- object function private.analyst_daily() sha256:22bfffaa8595c651
-- Of the counters an analyst sees the days alone; the zeros of what was sent without a campaign read as null.
create or replace function private.analyst_daily() returns table (day date, kind text, campaign_id uuid, n bigint)
language plpgsql stable security definer set search_path = '' set debug_print_plan = off rows 10000 as $$
begin
  return query
  select c.bucket::date, pg_catalog.substr(c.metric, 7), nullif(c.scope_id, '00000000-0000-0000-0000-000000000000'), c.n
  from public.counters c where c.metric like 'daily\_%' and c.scope = 'campaign';
end $$;
grant execute on function private.analyst_daily() to overture_analyst;
grant select (tenant_id, metric, scope, scope_id, bucket, n) on public.counters to overture_analytics;

-- object function private.decide_approvals(uuid[],text,text,text) sha256:9e4c2c59a6463eb7
-- What becomes of messages that wait: a person's yes or no, a delay that is over, an expiry, or that nobody needs to decide any more.

-- Decides those that still wait; of two who decide at once, one finds nothing. verdict: approved, rejected or expired. Where the message
-- was cancelled meanwhile, the request is withdrawn instead. Returns what became of each that this call decided.
create or replace function private.decide_approvals(ids uuid[], verdict text, who text, why text) returns table (approval uuid, became text)
language plpgsql volatile set search_path = '' as $$
declare
  taken jsonb;
  settled uuid[];
begin
  with won as (
    update public.approvals a set state = verdict, decided_by = who, decided_at = kernel.now(), reason = why, auto_at = null,
      expires_at = null
    from (select x.id from public.approvals x where x.tenant_id = (select kernel.tenant()) and x.id = any(ids) and x.state = 'pending'
      order by x.id for update) w
    where a.tenant_id = (select kernel.tenant()) and a.id = w.id and a.state = 'pending'
    returning a.id, a.message_id
  )
  select pg_catalog.jsonb_object_agg(w.message_id, w.id) into taken from won w;
  if taken is null then return; end if;
  settled := array(select private.decide_messages(array(select k::uuid from pg_catalog.jsonb_object_keys(taken) k),
    case verdict when 'approved' then 'approved' else 'rejected' end,
    case verdict when 'approved' then null when 'expired' then 'approval_expired' else 'approval_rejected' end));
  update public.approvals a set state = 'withdrawn', decided_by = '', reason = 'message_gone'
  where a.tenant_id = (select kernel.tenant()) and a.id = any(array(select t.value::uuid from pg_catalog.jsonb_each_text(taken) t
    where t.key::uuid <> all(settled)));
  return query select t.value::uuid, case when t.key::uuid = any(settled) then verdict else 'withdrawn' end
    from pg_catalog.jsonb_each_text(taken) t;
end $$;
grant execute on function private.decide_approvals(uuid[], text, text, text) to overture_user, overture_worker;

-- object function private.settle_due_approvals(int4) sha256:b0704eac2b6e3ca4
-- Lets go what was only delayed and whose time is over, and ends what nobody decided in time: rejected, or kept for the admins, as the
-- team has it. Returns how many left and how many expired.
create or replace function private.settle_due_approvals(quantity int default 500) returns table (released int, expired int)
language plpgsql volatile set search_path = '' as $$
declare
  escalates boolean := coalesce((select t.settings ->> 'approval_on_expiry' from public.tenants t
    where t.id = (select kernel.tenant())), 'reject') = 'escalate';
  due uuid[];
begin
  due := array(select a.id from public.approvals a where a.tenant_id = (select kernel.tenant()) and a.state = 'pending'
    and a.auto_at <= kernel.now() order by a.id limit quantity for update skip locked);
  released := (select pg_catalog.count(*)::int from private.decide_approvals(due, 'approved', '', 'delay_over') d
    where d.became = 'approved');
  due := array(select a.id from public.approvals a where a.tenant_id = (select kernel.tenant()) and a.state = 'pending'
    and a.expires_at <= kernel.now() order by a.id limit quantity for update skip locked);
  if escalates then
    update public.approvals a set escalated_at = kernel.now(), expires_at = null
    where a.tenant_id = (select kernel.tenant()) and a.id = any(due) and a.state = 'pending';
    get diagnostics expired = row_count;
  else
    expired := (select pg_catalog.count(*)::int from private.decide_approvals(due, 'expired', '', 'expired'));
  end if;
  return next;
end $$;
grant execute on function private.settle_due_approvals(int) to overture_worker;

-- object function private.wake_approvals() sha256:695ce7132bcdfa03
-- Wakes the teams of which something is due.
create or replace function private.wake_approvals() returns int
language sql volatile security definer set search_path = '' as $$
  select kernel.wake('approvals_due', array(
    select a.tenant_id from public.approvals a where a.state = 'pending' and a.auto_at <= kernel.now()
    union select a.tenant_id from public.approvals a where a.state = 'pending' and a.expires_at <= kernel.now()))
$$;

-- object function private.company_employees(text) sha256:9bff0c06f1450fd4
-- Which messages wait for a person's yes: the policy, decided for a whole planned batch at once.

-- The number of employees that a company's size names at least: "1,001-5,000" is 1001, "10k+" is more than 10000, null where there is none.
create or replace function private.company_employees(size text) returns numeric
language plpgsql immutable parallel safe set search_path = '' as $$
declare
  m text[] := pg_catalog.regexp_match(pg_catalog.regexp_replace(pg_catalog.lower(size), '(\d)[,.'' ](?=\d{3}(\D|$))', '\1', 'g'),
    '(\d{1,12})\s*(k?)\s*(\+?)');
begin
  return m[1]::numeric * case when m[2] = 'k' then 1000 else 1 end + case when m[3] = '+' then 1 else 0 end;
end $$;

-- object function private.risk_parts(int8,int4,int4,int4,bool,bool,interval) sha256:6897acfa490f46fe
-- The risk of a message, 0 to 10: the sum of these parts, whose most is written beside each. Published in docs/concepts/approvals.md.
create or replace function private.risk_parts(recipients bigint, spam_words int, links int, warmth int, consented boolean,
  is_first_campaign boolean, sender_age interval) returns jsonb
language plpgsql immutable parallel safe set search_path = '' as $$
begin
  return pg_catalog.jsonb_build_object(
    'recipients', case when recipients > 1000 then 2 when recipients > 100 then 1 else 0 end, -- 2
    'spam_words', least(greatest(spam_words, 0), 2), -- 2
    'links', case when links > 3 then 1 else 0 end, -- 1
    'warmth', case when coalesce(warmth, 0) < 20 then 2 when warmth < 50 then 1 else 0 end, -- 2
    'consent', case when consented then 0 else 1 end, -- 1
    'first_campaign', case when is_first_campaign then 1 else 0 end, -- 1
    'sender_age', case when sender_age < interval '14 days' then 1 else 0 end); -- 1
end $$;

-- object function private.risk_of(jsonb) sha256:f604769c90b80c3e
create or replace function private.risk_of(parts jsonb) returns int
language plpgsql immutable parallel safe set search_path = '' as $$
begin
  return coalesce((select pg_catalog.sum(v.value::int) from pg_catalog.jsonb_each_text(parts) v), 0);
end $$;

-- object function private.hold_messages(jsonb) sha256:fe414a33f5d05d35
-- Decides for messages that are about to be written: which of them wait. Writes a row of approvals for each of these and tells why.
-- planned: [{"id","channel","contact_id","campaign_id","enrollment_id","step_id","sender_id","subject","body","spam_words","links"}].
-- Where neither the campaigns nor the team ask for anything, it looks at their settings alone. Returns the messages that wait.
create or replace function private.hold_messages(planned jsonb) returns setof uuid
language plpgsql volatile set search_path = '' as $$
declare
  team jsonb := (select t.settings from public.tenants t where t.id = (select kernel.tenant()));
  ts timestamptz := kernel.now();
  today date := (ts at time zone 'UTC')::date;
  cap int := (team ->> 'approval_daily_cap')::int;
  used int := 0;
  leaving int;
  told jsonb;
  waiting uuid[];
begin
  if not (team ?| array['approval_recipients', 'approval_risk', 'approval_high_value', 'approval_first_campaign', 'approval_phrases',
      'approval_daily_cap'])
    and not exists (select from public.campaigns k where k.tenant_id = (select kernel.tenant())
      and k.id = any(array(select distinct (p ->> 'campaign_id')::uuid from pg_catalog.jsonb_array_elements(planned) p))
      and coalesce(k.settings ->> 'approval', 'auto') <> 'auto') then
    return;
  end if;
  if cap is not null then
    -- One row a day: two planners of a team take their places in turn.
    insert into public.approval_days as d (tenant_id, day) values ((select kernel.tenant()), today)
    on conflict (tenant_id, day) do update set automatic = d.automatic returning d.automatic into used;
  end if;
  with p as materialized (
    select x.*, kernel.fold(pg_catalog.regexp_replace(x.subject || ' ' || x.body, '\s+', ' ', 'g')) as said
    from pg_catalog.jsonb_to_recordset(planned) as x(id uuid, channel text, contact_id uuid, campaign_id uuid, enrollment_id uuid,
      step_id uuid, sender_id uuid, subject text, body text, spam_words int, links int)
  ), named as materialized (
    select k.id, coalesce(k.settings ->> 'approval', 'auto') as mode, coalesce((k.settings ->> 'approval_minutes')::int, 60) as minutes,
      not exists (select from public.campaigns o where o.tenant_id = (select kernel.tenant()) and o.id <> k.id
        and o.started_at < k.started_at) as is_first,
      coalesce((select pg_catalog.sum(c.n) from kernel.counts(array['enrollments'], 'campaign', array[k.id]) c
        where c.bucket <> 'left_out'), 0)::bigint as recipients
    from public.campaigns k
    where k.tenant_id = (select kernel.tenant()) and k.id = any(array(select distinct p.campaign_id from p))
  ), known as materialized (
    select p.*, n.mode, n.minutes, coalesce(n.is_first, false) as is_first, coalesce(n.recipients, 1) as recipients,
      coalesce(c.deal_value > 50000, false) or coalesce(private.company_employees(o.size) > 1000, false) as is_high_value,
      private.risk_parts(coalesce(n.recipients, 1), p.spam_words, p.links, c.warmth_score, a.id is not null, coalesce(n.is_first, false),
        ts - s.created_at) as parts
    from p
    left join named n on n.id = p.campaign_id
    left join public.contacts c on c.tenant_id = (select kernel.tenant()) and c.id = p.contact_id
    left join public.companies o on o.tenant_id = (select kernel.tenant()) and o.id = c.company_id
    left join public.consents a on a.tenant_id = (select kernel.tenant()) and a.contact_id = p.contact_id and a.channel = p.channel
      and a.state = 'granted'
    left join public.senders s on s.tenant_id = (select kernel.tenant()) and s.id = p.sender_id
  ), judged as materialized (
    -- In the order of strictness: the first is the rule that is named.
    select k.*, private.risk_of(k.parts) as risk, pg_catalog.array_remove(array[
      case when exists (select from pg_catalog.jsonb_array_elements_text(coalesce(team -> 'approval_phrases', '[]')) f
        where pg_catalog.strpos(k.said, kernel.fold(pg_catalog.regexp_replace(f, '\s+', ' ', 'g'))) > 0) then 'phrase' end,
      case when k.is_high_value and (team ->> 'approval_high_value')::boolean then 'high_value' end,
      case when private.risk_of(k.parts) >= (team ->> 'approval_risk')::int then 'risk' end,
      case when k.recipients > (team ->> 'approval_recipients')::int then 'recipients' end,
      case when k.is_first and (team ->> 'approval_first_campaign')::boolean then 'first_campaign' end,
      case when k.mode = 'every' then 'every' end,
      case when k.mode = 'first' and not exists (select from public.messages m where m.tenant_id = (select kernel.tenant())
        and m.enrollment_id = k.enrollment_id and m.direction = 'out' and m.sent_at is not null) then 'first' end], null) as rules
    from known k
  ), free as (
    select j.id, pg_catalog.row_number() over (order by j.id) as nth from judged j where pg_catalog.cardinality(j.rules) = 0
  ), ruled as materialized (
    select j.*, case
      when pg_catalog.cardinality(j.rules) > 0 then j.rules
      when f.nth > cap - used then array['daily_cap']
      when j.mode = 'delayed' then array['delayed'] else '{}' end as held_by
    from judged j left join free f on f.id = j.id
  ), held as (
    insert into public.approvals (tenant_id, message_id, campaign_id, step_id, contact_id, rule, rules, risk, risk_parts, requested_at,
      expires_at, auto_at, original_subject, original_body)
    select (select kernel.tenant()), r.id, r.campaign_id, r.step_id, r.contact_id, r.held_by[1], r.held_by, r.risk, r.parts, ts,
      case when r.held_by[1] <> 'delayed' then ts
        + pg_catalog.make_interval(hours => (team ->> 'approval_expiry_hours')::int) end,
      case when r.held_by[1] = 'delayed' then ts + pg_catalog.make_interval(mins => r.minutes) end,
      r.subject, r.body
    from ruled r where pg_catalog.cardinality(r.held_by) > 0
    returning message_id, rule, risk
  )
  select (select pg_catalog.count(*) from ruled r where r.held_by = '{}' or r.held_by[1] = 'delayed')::int,
    pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('subject_id', coalesce(p.enrollment_id, p.id), 'source', 'plan', 'verdict', 'defer',
      'reason', 'approval_pending', 'detail', pg_catalog.jsonb_build_object('message_id', p.id, 'rule', h.rule, 'risk', h.risk))),
    pg_catalog.array_agg(h.message_id)
  into leaving, told, waiting
  from held h join p on p.id = h.message_id;
  if cap is not null then
    update public.approval_days d set automatic = d.automatic + leaving
    where d.tenant_id = (select kernel.tenant()) and d.day = today;
  end if;
  if told is not null then perform kernel.decide(told); end if;
  return query select pg_catalog.unnest(waiting);
end $$;
grant execute on function private.hold_messages(jsonb), private.company_employees(text), private.risk_of(jsonb),
  private.risk_parts(bigint, int, int, int, boolean, boolean, interval) to overture_worker;

-- object function private.cost_scopes(timestamptz,uuid,uuid) sha256:8b4249d3245725a2
-- Which sums an entry of the ledger belongs to.
create or replace function private.cost_scopes(at timestamptz, campaign_id uuid, run_id uuid)
returns table (scope text, scope_id uuid, period date)
language sql immutable set search_path = '' as $$
  select s.scope, s.scope_id, s.period from (values
    ('campaign', campaign_id, date '2000-01-01'),
    ('day', uuid '00000000-0000-0000-0000-000000000000', (at at time zone 'UTC')::date),
    ('month', uuid '00000000-0000-0000-0000-000000000000', pg_catalog.date_trunc('month', at at time zone 'UTC')::date),
    ('run', run_id, date '2000-01-01')) s (scope, scope_id, period)
  where s.scope_id is not null
$$;
grant execute on function private.cost_scopes(timestamptz, uuid, uuid) to overture_user, overture_worker;

-- object function private.reserve_costs(jsonb) sha256:f89797e945368dc0
-- Enters calls that are about to be made, as far as every budget allows, in the order given: the most each may cost is taken from the
-- budgets before the call, so that no race spends more. Returns one row per entry; refused_by names the budget that has no room for it.
-- entries: [{"id","kind","provider","connection_id","contact_id","campaign_id","run_id","micros"}]
create or replace function private.reserve_costs(entries jsonb) returns table (id uuid, refused_by text)
language plpgsql volatile security definer set search_path = '' as $$
declare
  ts timestamptz := kernel.now();
begin
  -- The rows of the sums are the lock, always taken in the same order; what follows reads what the one before wrote.
  insert into public.spending as s (tenant_id, scope, scope_id, period)
  select distinct kernel.tenant(), c.scope, c.scope_id, c.period
  from pg_catalog.jsonb_to_recordset(entries) as e(campaign_id uuid, run_id uuid)
  cross join lateral private.cost_scopes(ts, e.campaign_id, e.run_id) c
  order by c.scope, c.scope_id, c.period
  on conflict do nothing;
  perform from public.spending s
  where s.tenant_id = (select kernel.tenant()) and (s.scope, s.scope_id, s.period) in (
    select c.scope, c.scope_id, c.period
    from pg_catalog.jsonb_to_recordset(entries) as e(campaign_id uuid, run_id uuid)
    cross join lateral private.cost_scopes(ts, e.campaign_id, e.run_id) c)
  order by s.scope, s.scope_id, s.period for update;

  return query
  with wanted as materialized (
    select e.*, t.n from pg_catalog.jsonb_array_elements(entries) with ordinality t (one, n)
    cross join lateral pg_catalog.jsonb_to_record(t.one) as e(id uuid, kind text, provider text, connection_id uuid, contact_id uuid,
      campaign_id uuid, run_id uuid, micros bigint)
  ), verdicts as (
    select w.n, pg_catalog.min(c.scope) filter (where w.micros > 0 and s.micros + c.so_far > b.cap_micros) as refused_by
    from wanted w
    cross join lateral (
      -- What this entry and those before it would take of each sum.
      select x.scope, x.scope_id, x.period, (
        select pg_catalog.sum(p.micros) from wanted p
        where p.n <= w.n and (x.scope in ('day', 'month') or (x.scope = 'run' and p.run_id = x.scope_id)
          or (x.scope = 'campaign' and p.campaign_id = x.scope_id))) as so_far
      from private.cost_scopes(ts, w.campaign_id, w.run_id) x) c
    join public.spending s on s.tenant_id = (select kernel.tenant()) and s.scope = c.scope and s.scope_id = c.scope_id
      and s.period = c.period
    left join public.budgets b on b.tenant_id = (select kernel.tenant()) and b.scope = c.scope and b.scope_id = c.scope_id
    group by w.n
  ), entered as (
    insert into public.costs (tenant_id, id, at, kind, provider, connection_id, contact_id, campaign_id, run_id, reserved_micros,
      amount_micros)
    select kernel.tenant(), w.id, ts, w.kind, w.provider, w.connection_id, w.contact_id, w.campaign_id, w.run_id, w.micros, w.micros
    from wanted w join verdicts v on v.n = w.n where v.refused_by is null
    returning costs.campaign_id, costs.run_id, costs.amount_micros
  ), taken as (
    update public.spending s set micros = s.micros + x.micros
    from (
      select c.scope, c.scope_id, c.period, pg_catalog.sum(e.amount_micros)::bigint as micros
      from entered e cross join lateral private.cost_scopes(ts, e.campaign_id, e.run_id) c group by 1, 2, 3) x
    where s.tenant_id = (select kernel.tenant()) and s.scope = x.scope and s.scope_id = x.scope_id and s.period = x.period
  )
  select w.id, v.refused_by from wanted w join verdicts v on v.n = w.n order by w.n;
end $$;
grant execute on function private.reserve_costs(jsonb) to overture_user, overture_worker;

-- object function private.settle_costs(jsonb) sha256:542de5c3169de727
-- Writes what calls did cost, once each: an entry that is settled stays as it is. Returns how many were.
-- told: [{"id","state","outcome","units","micros","latency_ms","detail"}]
create or replace function private.settle_costs(told jsonb) returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  done int;
begin
  -- The sums first, in the order of private.reserve_costs.
  perform from public.spending s
  where s.tenant_id = (select kernel.tenant()) and (s.scope, s.scope_id, s.period) in (
    select c.scope, c.scope_id, c.period
    from pg_catalog.jsonb_to_recordset(told) as t(id uuid)
    join public.costs k on k.tenant_id = (select kernel.tenant()) and k.id = t.id
    cross join lateral private.cost_scopes(k.at, k.campaign_id, k.run_id) c)
  order by s.scope, s.scope_id, s.period for update;

  with settled as (
    update public.costs k set state = t.state, outcome = t.outcome, units = t.units, amount_micros = t.micros, latency_ms = t.latency_ms,
      detail = pg_catalog.left(coalesce(t.detail, ''), 300), settled_at = kernel.now()
    from pg_catalog.jsonb_to_recordset(told) as t(id uuid, state text, outcome text, units numeric, micros bigint, latency_ms int,
      detail text)
    where k.tenant_id = (select kernel.tenant()) and k.id = t.id and k.state = 'reserved'
    returning k.at, k.campaign_id, k.run_id, k.amount_micros - k.reserved_micros as more
  ), changed as (
    update public.spending s set micros = s.micros + x.more
    from (
      select c.scope, c.scope_id, c.period, pg_catalog.sum(d.more)::bigint as more
      from settled d cross join lateral private.cost_scopes(d.at, d.campaign_id, d.run_id) c
      group by 1, 2, 3 having pg_catalog.sum(d.more) <> 0) x
    where s.tenant_id = (select kernel.tenant()) and s.scope = x.scope and s.scope_id = x.scope_id and s.period = x.period
  )
  select pg_catalog.count(*)::int into done from settled;
  return done;
end $$;
grant execute on function private.settle_costs(jsonb) to overture_user, overture_worker;

-- object function private.note_free_answers(jsonb) sha256:d1b3426bdbaf75b1
-- Enters answers that cost nothing, such as those of the cache.
-- entries: as for private.reserve_costs, with "outcome" and "saved_micros"
create or replace function private.note_free_answers(entries jsonb) returns void
language sql volatile security definer set search_path = '' as $$
  insert into public.costs (tenant_id, kind, state, outcome, provider, connection_id, contact_id, campaign_id, run_id, reserved_micros,
    amount_micros, saved_micros, settled_at)
  select kernel.tenant(), e.kind, 'settled', e.outcome, e.provider, e.connection_id, e.contact_id, e.campaign_id, e.run_id, 0, 0,
    e.saved_micros, kernel.now()
  from pg_catalog.jsonb_to_recordset(entries) as e(kind text, outcome text, provider text, connection_id uuid, contact_id uuid,
    campaign_id uuid, run_id uuid, saved_micros bigint)
$$;
grant execute on function private.note_free_answers(jsonb) to overture_user, overture_worker;

-- object function private.close_lost_costs() sha256:71a819de7074dc94
-- Calls whose outcome nobody wrote, because their process died: they may have been charged, so what was reserved stays spent.
create or replace function private.close_lost_costs() returns int
language sql volatile security definer set search_path = '' as $$
  with lost as (
    update public.costs k set state = 'unknown', outcome = 'lost', settled_at = kernel.now()
    where k.state = 'reserved' and k.at < kernel.now() - interval '15 minutes' returning 1)
  select pg_catalog.count(*)::int from lost
$$;

-- object function private.put_run_budget(uuid,int8) sha256:e85157e2898bb1e8
-- The most a run may cost, set with the run by whoever may start one.
create or replace function private.put_run_budget(run uuid, micros bigint) returns void
language sql volatile security definer set search_path = '' as $$
  insert into public.budgets (tenant_id, scope, scope_id, cap_micros) values (kernel.tenant(), 'run', run, micros)
  on conflict (tenant_id, scope, scope_id) do update set cap_micros = excluded.cap_micros, updated_at = kernel.now()
$$;
grant execute on function private.put_run_budget(uuid, bigint) to overture_user, overture_worker;

-- object function private.claim_enrichment(uuid,int4,int4) sha256:7e3b37bd0a94fc37
-- Takes contacts of a run that wait, or whose worker died, for `seconds`. Returns nothing for a run that does not go on.
create or replace function private.claim_enrichment(run uuid, quantity int, seconds int) returns setof uuid
language sql volatile set search_path = '' as $$
  update public.enrichment_items i set state = 'working', attempts = i.attempts + 1,
    lease_until = kernel.now() + pg_catalog.make_interval(secs => seconds)
  where i.tenant_id = (select kernel.tenant()) and i.run_id = run and i.contact_id in (
    select x.contact_id from public.enrichment_items x
    join public.enrichment_runs r on r.tenant_id = (select kernel.tenant()) and r.id = run and r.status in ('preparing', 'running')
    where x.tenant_id = (select kernel.tenant()) and x.run_id = run and x.state <> 'done'
      and (x.state = 'waiting' or x.lease_until < kernel.now())
    order by x.contact_id limit quantity for update of x skip locked)
  returning i.contact_id
$$;
grant execute on function private.claim_enrichment(uuid, int, int) to overture_worker;

-- object function private.finish_enrichment(uuid,jsonb) sha256:4e70c83b587ca46f
-- Ends contacts of a run and counts them, once each: whom another worker took over meanwhile stays as it is.
-- told: [{"contact_id","outcome","reason","filled","missing","cost_micros","saved_micros","calls","cached","attempt"}]; outcome null: they
-- wait again.
create or replace function private.finish_enrichment(run uuid, told jsonb) returns int
language plpgsql volatile set search_path = '' as $$
declare
  n int;
begin
  with ended as (
    update public.enrichment_items i set state = case when t.outcome is null then 'waiting' else 'done' end, outcome = t.outcome,
      reason = t.reason, filled = array(select distinct f from pg_catalog.unnest(i.filled || t.filled) f order by f), missing = t.missing,
      cost_micros = i.cost_micros + t.cost_micros, saved_micros = i.saved_micros + t.saved_micros, lease_until = null,
      finished_at = case when t.outcome is not null then kernel.now() end
    from pg_catalog.jsonb_to_recordset(told) as t(contact_id uuid, outcome text, reason text, filled text[], missing text[],
      cost_micros bigint, saved_micros bigint, calls int, cached int, attempt int)
    where i.tenant_id = (select kernel.tenant()) and i.run_id = run and i.contact_id = t.contact_id and i.state = 'working'
      and i.attempts = t.attempt
    returning i.outcome, pg_catalog.cardinality(t.filled) as filled, t.cost_micros, t.saved_micros, t.calls, t.cached
  ), counted as (
    update public.enrichment_runs r set complete = r.complete + x.complete, partial = r.partial + x.partial,
      nothing = r.nothing + x.nothing,
      failed = r.failed + x.failed, filled = r.filled + x.filled, calls = r.calls + x.calls,
      cached = r.cached + x.cached, cost_micros = r.cost_micros + x.cost, saved_micros = r.saved_micros + x.saved
    from (
      select count(*) filter (where e.outcome = 'complete')::int as complete, count(*) filter (where e.outcome = 'partial')::int as partial,
        count(*) filter (where e.outcome = 'nothing')::int as nothing,
        count(*) filter (where e.outcome = 'failed')::int as failed, coalesce(sum(e.filled), 0)::int as filled,
        coalesce(sum(e.calls), 0)::int as calls, coalesce(sum(e.cached), 0)::int as cached,
        coalesce(sum(e.cost_micros), 0)::bigint as cost, coalesce(sum(e.saved_micros), 0)::bigint as saved
      from ended e) x
    where r.tenant_id = (select kernel.tenant()) and r.id = run
  )
  select count(*)::int into n from ended;
  return n;
end $$;
grant execute on function private.finish_enrichment(uuid, jsonb) to overture_worker;

-- object function private.end_enrichment(uuid) sha256:0f83443ae4781f49
-- A run is over when nobody of it waits.
create or replace function private.end_enrichment(run uuid) returns boolean
language sql volatile set search_path = '' as $$
  with ended as (
    update public.enrichment_runs r set status = 'done', finished_at = kernel.now()
    where r.tenant_id = (select kernel.tenant()) and r.id = run and r.status = 'running' and not exists (
      select from public.enrichment_items i where i.tenant_id = (select kernel.tenant()) and i.run_id = run and i.state <> 'done')
    returning 1)
  select exists (select from ended)
$$;
grant execute on function private.end_enrichment(uuid) to overture_worker;

-- object function private.prune_enrichment_cache(int4) sha256:f08f963bcf7b7e86
-- Answers past their time, in portions.
create or replace function private.prune_enrichment_cache(quantity int default 20000) returns int
language sql volatile security definer set search_path = '' as $$
  with gone as (
    delete from public.enrichment_cache c where (c.tenant_id, c.connection_id, c.kind, c.key) in (
      select x.tenant_id, x.connection_id, x.kind, x.key from public.enrichment_cache x
      where x.expires_at < kernel.now() order by x.expires_at limit quantity)
    returning 1)
  select pg_catalog.count(*)::int from gone
$$;

-- object function private.wake_enriching_new() sha256:bb55c0c29e6a7d97
-- Tenants that want new contacts enriched and have some of the last day in no run yet.
create or replace function private.wake_enriching_new() returns int
language sql volatile security definer set search_path = '' as $$
  select kernel.wake('enrichment_new', array(
    select t.id from public.tenants t
    where t.settings ->> 'enrichment_on_create' = 'true' and exists (
      select from public.contacts c
      where c.tenant_id = t.id and c.created_at > kernel.now() - interval '1 day'
        and c.warmth_score >= coalesce((t.settings ->> 'enrichment_min_score')::int, 0)
        and not exists (select from public.enrichment_items i where i.tenant_id = t.id and i.contact_id = c.id))))
$$;

-- object function private.begin_model_call(jsonb) sha256:a31f2b4a97afe040
-- Notes a call that is about to be made, beside its entry in the ledger and in the same transaction.
-- call: {"id","run_id","contact_id","campaign_id","node","prompt_version","alias","route","provider","connection_id","model","is_repair"}
create or replace function private.begin_model_call(call jsonb) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  insert into public.model_calls (tenant_id, id, run_id, contact_id, campaign_id, node, prompt_version, alias, route, provider,
    connection_id, model, is_repair)
  select kernel.tenant(), c.id, c.run_id, c.contact_id, c.campaign_id, c.node, c.prompt_version, c.alias, c.route, c.provider,
    c.connection_id, c.model, c.is_repair
  from pg_catalog.jsonb_to_record(call) as c(id uuid, run_id uuid, contact_id uuid, campaign_id uuid, node text, prompt_version text,
    alias text, route text, provider text, connection_id uuid, model text, is_repair boolean);
end $$;
grant execute on function private.begin_model_call(jsonb) to overture_user, overture_worker;

-- object function private.end_model_call(jsonb) sha256:7325879181269408
-- Writes what became of a call, once: one that has an outcome stays as it is. Returns whether it was written.
-- told: {"id","outcome","tokens_in","tokens_cached","tokens_written","tokens_out","cost_micros","saved_micros","latency_ms","detail"}
create or replace function private.end_model_call(told jsonb) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
begin
  update public.model_calls m set outcome = t.outcome, tokens_in = t.tokens_in, tokens_cached = t.tokens_cached,
    tokens_written = t.tokens_written, tokens_out = t.tokens_out, cost_micros = t.cost_micros, saved_micros = t.saved_micros,
    latency_ms = t.latency_ms, detail = pg_catalog.left(coalesce(t.detail, ''), 300)
  from pg_catalog.jsonb_to_record(told) as t(id uuid, outcome text, tokens_in int, tokens_cached int, tokens_written int, tokens_out int,
    cost_micros bigint, saved_micros bigint, latency_ms int, detail text)
  where m.tenant_id = (select kernel.tenant()) and m.id = t.id and m.outcome is null;
  return found;
end $$;
grant execute on function private.end_model_call(jsonb) to overture_user, overture_worker;

-- object function private.close_lost_model_calls() sha256:5b9f9600bfed7a50
-- Calls whose process died: what the ledger says of them, which counts what was reserved as spent.
create or replace function private.close_lost_model_calls() returns int
language sql volatile security definer set search_path = '' as $$
  with lost as (
    update public.model_calls m set outcome = 'lost', cost_micros = k.amount_micros
    from public.costs k
    where m.outcome is null and m.at < kernel.now() - interval '15 minutes' and k.tenant_id = m.tenant_id and k.id = m.id
      and k.state <> 'reserved' returning 1)
  select pg_catalog.count(*)::int from lost
$$;

-- object function private.prune_model_cache(int4) sha256:7ce8f8a9f8298466
-- Answers past their time, in portions.
create or replace function private.prune_model_cache(quantity int default 20000) returns int
language sql volatile security definer set search_path = '' as $$
  with gone as (
    delete from public.model_cache c where (c.tenant_id, c.key) in (
      select x.tenant_id, x.key from public.model_cache x where x.expires_at < kernel.now() order by x.expires_at limit quantity)
    returning 1)
  select pg_catalog.count(*)::int from gone
$$;

-- object function private.keep_findings(jsonb) sha256:248f90c8548d239f
-- Keeps findings, each once per subject: one that is known is only seen again. Returns how many are new.
-- told: [{"contact_id","company_id","kind","statement","quote","url","data","confidence","provider","published_at","run_id",
-- "key"}], the key in hexadecimal
create or replace function private.keep_findings(told jsonb) returns int
language plpgsql volatile set search_path = '' as $$
declare
  n int;
begin
  with given as (
    select distinct on (f.contact_id, f.company_id, f.key) f.*
    from pg_catalog.jsonb_to_recordset(told) as f(contact_id uuid, company_id uuid, kind text, statement text, quote text, url text,
      data jsonb, confidence int, provider text, published_at timestamptz, run_id uuid, key text)
    order by f.contact_id, f.company_id, f.key
  ), known as (
    update public.findings x set seen_at = kernel.now(), published_at = coalesce(x.published_at, g.published_at)
    from given g
    where x.tenant_id = (select kernel.tenant()) and x.key = pg_catalog.decode(g.key, 'hex')
      and (x.contact_id = g.contact_id or x.company_id = g.company_id)
    returning x.contact_id, x.company_id, x.key
  ), added as (
    insert into public.findings (tenant_id, contact_id, company_id, kind, statement, quote, url, data, confidence, provider,
      published_at, run_id, key)
    select kernel.tenant(), g.contact_id, g.company_id, g.kind, g.statement, g.quote, g.url, g.data, g.confidence, g.provider,
      g.published_at, g.run_id, pg_catalog.decode(g.key, 'hex')
    from given g
    where not exists (select from known k where k.key = pg_catalog.decode(g.key, 'hex')
      and (k.contact_id = g.contact_id or k.company_id = g.company_id))
    order by g.contact_id, g.company_id, g.key
    on conflict do nothing returning 1)
  select pg_catalog.count(*)::int into n from added;
  return n;
end $$;
grant execute on function private.keep_findings(jsonb) to overture_user, overture_worker;

-- object function private.claim_research(uuid,int4,int4) sha256:54ffb92cd5fc8b49
-- Takes companies of a run that wait, or whose worker died, for `seconds`. Returns nothing for a run that does not go on.
create or replace function private.claim_research(run uuid, quantity int, seconds int) returns table (company_id uuid, attempt int)
language sql volatile set search_path = '' as $$
  update public.research_items i set state = 'working', attempts = i.attempts + 1,
    lease_until = kernel.now() + pg_catalog.make_interval(secs => seconds)
  where i.tenant_id = (select kernel.tenant()) and i.run_id = run and i.company_id in (
    select x.company_id from public.research_items x
    join public.research_runs r on r.tenant_id = (select kernel.tenant()) and r.id = run and r.status in ('preparing', 'running')
    where x.tenant_id = (select kernel.tenant()) and x.run_id = run and x.state <> 'done'
      and (x.state = 'waiting' or x.lease_until < kernel.now())
    order by x.company_id limit quantity for update of x skip locked)
  returning i.company_id, i.attempts
$$;
grant execute on function private.claim_research(uuid, int, int) to overture_worker;

-- object function private.finish_research(uuid,jsonb) sha256:37e4735d050a9e72
-- Ends a company of a run and counts it, once: what another worker took over meanwhile stays as it is.
-- told: {"company_id","outcome","reason","pages","findings","cost_micros","attempt"}; outcome null: it waits again.
create or replace function private.finish_research(run uuid, told jsonb) returns boolean
language plpgsql volatile set search_path = '' as $$
declare
  t record;
  n int;
begin
  select * into t from pg_catalog.jsonb_to_record(told)
    as x(company_id uuid, outcome text, reason text, pages int, findings int, cost_micros bigint, attempt int);
  update public.research_items i set state = case when t.outcome is null then 'waiting' else 'done' end, outcome = t.outcome,
    reason = t.reason, pages = i.pages + t.pages, findings = i.findings + t.findings, cost_micros = i.cost_micros + t.cost_micros,
    lease_until = null, finished_at = case when t.outcome is not null then kernel.now() end
  where i.tenant_id = (select kernel.tenant()) and i.run_id = run and i.company_id = t.company_id and i.state = 'working'
    and i.attempts = t.attempt;
  get diagnostics n = row_count;
  if n = 0 then
    return false;
  end if;
  update public.research_runs r set found = r.found + (t.outcome is not distinct from 'found')::int,
    nothing = r.nothing + (t.outcome is not distinct from 'nothing')::int,
    skipped = r.skipped + (t.outcome is not distinct from 'skipped')::int,
    waits = r.waits + (t.outcome is not distinct from 'waits')::int,
    failed = r.failed + (t.outcome is not distinct from 'failed')::int,
    findings = r.findings + t.findings, pages = r.pages + t.pages, cost_micros = r.cost_micros + t.cost_micros
  where r.tenant_id = (select kernel.tenant()) and r.id = run;
  return true;
end $$;
grant execute on function private.finish_research(uuid, jsonb) to overture_worker;

-- object function private.end_research(uuid) sha256:3fb53225ea4e7bbd
-- A run is over when no company of it waits.
create or replace function private.end_research(run uuid) returns boolean
language sql volatile set search_path = '' as $$
  with ended as (
    update public.research_runs r set status = 'done', finished_at = kernel.now()
    where r.tenant_id = (select kernel.tenant()) and r.id = run and r.status = 'running' and not exists (
      select from public.research_items i where i.tenant_id = (select kernel.tenant()) and i.run_id = run and i.state <> 'done')
    returning 1)
  select exists (select from ended)
$$;
grant execute on function private.end_research(uuid) to overture_worker;

-- object do analytics/analysts sha256:cb6334ce4861bfd9
-- With their maker's rights the functions would see every team's rows, because `postgres` bypasses policies. To own a function a role
-- must be allowed to create in its schema, and is so for this moment only.
do $$
declare
  fn regprocedure;
begin
  grant create on schema private to overture_analytics;
  for fn in
    select p.oid from pg_catalog.pg_proc p where p.pronamespace = 'private'::regnamespace and p.proname like 'analyst\_%'
      and p.proowner <> 'overture_analytics'::regrole
  loop
    execute pg_catalog.format('alter function %s owner to overture_analytics', fn);
  end loop;
  revoke create on schema private from overture_analytics;
end $$;

-- object view analytics.contacts sha256:9fa28f7d2de20e44
create or replace view analytics.contacts with (security_invoker = true) as select * from private.analyst_contacts();
grant select on analytics.contacts to overture_analyst;

-- object view analytics.campaigns sha256:40a3ed12cb1ef42b
create or replace view analytics.campaigns with (security_invoker = true) as select * from private.analyst_campaigns();
grant select on analytics.campaigns to overture_analyst;

-- object view analytics.messages sha256:a3e5e199f05513de
create or replace view analytics.messages with (security_invoker = true) as select * from private.analyst_messages();
grant select on analytics.messages to overture_analyst;

-- object view analytics.events sha256:237761ed01b2b36a
create or replace view analytics.events with (security_invoker = true) as select * from private.analyst_events();
grant select on analytics.events to overture_analyst;

-- object view analytics.daily sha256:0aec7f3451b654fe
create or replace view analytics.daily with (security_invoker = true) as select * from private.analyst_daily();
grant select on analytics.daily to overture_analyst;

-- object policy user_writes on public.audit_log sha256:c611a701248f2405
drop policy if exists user_writes on public.audit_log;
create policy user_writes on public.audit_log for insert to overture_user
  with check (tenant_id = (select kernel.tenant()) and tenant_id = any(array(select kernel.my_tenants())));

-- object policy members_listen on realtime.messages sha256:279ace433e574c88
-- A member may listen to the team's topic `tenant:<id>`; only the database sends on it.
drop policy if exists members_listen on realtime.messages;
create policy members_listen on realtime.messages for select to authenticated
  using (extension in ('broadcast', 'presence')
    and (select realtime.topic()) = any(array(select 'tenant:' || t from kernel.my_tenants() t)));

-- object policy member_reads on public.members sha256:6ee58b7fd8d635bd
drop policy if exists member_reads on public.members;
create policy member_reads on public.members for select to authenticated,
  overture_user using (tenant_id = any(array(select kernel.my_tenants())));

-- object policy no_plans on public.members sha256:c5479c1d98dc71a6
drop policy if exists no_plans on public.members;
create policy no_plans on public.members as restrictive for select to authenticated using (kernel.refuse_plans());

-- object policy user_updates on public.members sha256:b023f75a5ec2403f
drop policy if exists user_updates on public.members;
create policy user_updates on public.members for update to overture_user
  using (tenant_id = (select kernel.tenant()) and tenant_id = any(array(select kernel.my_tenants('admin'))))
  with check (tenant_id = (select kernel.tenant()) and tenant_id = any(array(select kernel.my_tenants('admin'))));

-- object policy user_deletes on public.members sha256:ecbefd31b7dba418
-- A person may leave; an admin may remove.
drop policy if exists user_deletes on public.members;
create policy user_deletes on public.members for delete to overture_user
  using (tenant_id = (select kernel.tenant())
    and (user_id::text = nullif((select current_setting('request.jwt.claims', true)), '')::jsonb ->> 'sub'
      or tenant_id = any(array(select kernel.my_tenants('admin')))));

-- object policy job on public.members sha256:79407ff1c5ca8e73
drop policy if exists job on public.members;
create policy job on public.members to overture_worker using (tenant_id = (select kernel.tenant()))
  with check (tenant_id = (select kernel.tenant()));

-- object policy member_reads on public.tenants sha256:a8e33f97b3dde53e
drop policy if exists member_reads on public.tenants;
create policy member_reads on public.tenants for select to authenticated, overture_user
  using (id = any(array(select kernel.my_tenants())));

-- object policy no_plans on public.tenants sha256:1dedaf9b4d689b1b
drop policy if exists no_plans on public.tenants;
create policy no_plans on public.tenants as restrictive for select to authenticated using (kernel.refuse_plans());

-- object policy admin_updates on public.tenants sha256:e67dba4295b0f9b8
drop policy if exists admin_updates on public.tenants;
create policy admin_updates on public.tenants for update to overture_user
  using (id = (select kernel.tenant()) and id = any(array(select kernel.my_tenants('admin'))))
  with check (id = (select kernel.tenant()) and id = any(array(select kernel.my_tenants('admin'))));

-- object policy job on public.tenants sha256:c304f64e2659fc59
drop policy if exists job on public.tenants;
create policy job on public.tenants to overture_worker using (id = (select kernel.tenant())) with check (id = (select kernel.tenant()));

-- object policy analyst_reads on public.contacts sha256:5b5b18060482f202
drop policy if exists analyst_reads on public.contacts;
create policy analyst_reads on public.contacts for select to overture_analytics using (tenant_id = (select kernel.analyst_tenant()));

-- object policy analyst_reads on public.campaigns sha256:dbcae915fa03c162
drop policy if exists analyst_reads on public.campaigns;
create policy analyst_reads on public.campaigns for select to overture_analytics using (tenant_id = (select kernel.analyst_tenant()));

-- object policy analyst_reads on public.messages sha256:7cfbbc04e7944a5f
drop policy if exists analyst_reads on public.messages;
create policy analyst_reads on public.messages for select to overture_analytics using (tenant_id = (select kernel.analyst_tenant()));

-- object policy analyst_reads on public.message_events sha256:3250fcd053c93d6f
drop policy if exists analyst_reads on public.message_events;
create policy analyst_reads on public.message_events for select to overture_analytics using (tenant_id = (select kernel.analyst_tenant()));

-- object policy analyst_reads on public.counters sha256:ef34a8f12ff9e57b
drop policy if exists analyst_reads on public.counters;
create policy analyst_reads on public.counters for select to overture_analytics using (tenant_id = (select kernel.analyst_tenant()));

-- object trigger guard_invitations on public.invitations sha256:768db2ffce09865b
create or replace trigger guard_invitations before insert or update on public.invitations
  for each row execute function kernel.guard_invitations();

-- object trigger touch on public.members sha256:9e0305f075d565dc
create or replace trigger touch before update on public.members for each row execute function kernel.touch();

-- object trigger keep_an_owner on public.members sha256:7c20a9155183bd4d
drop trigger if exists keep_an_owner on public.members;
create constraint trigger keep_an_owner after update or delete on public.members
  deferrable initially deferred for each row when (old.role = 'owner') execute function kernel.keep_an_owner();

-- object trigger guard_owners on public.members sha256:305428a6216ff479
create or replace trigger guard_owners before update or delete on public.members for each row execute function kernel.guard_owners();

-- object trigger end_membership on public.members sha256:38485bb43ac92dac
create or replace trigger end_membership after delete or update of role on public.members
  for each row execute function kernel.end_membership();

-- object trigger touch on public.tenants sha256:c60c8ecdf902715c
create or replace trigger touch before update on public.tenants for each row execute function kernel.touch();

-- object trigger keep_addresses_insert on public.contacts sha256:b4e9cc70cbedf631
create or replace trigger keep_addresses_insert after insert on public.contacts referencing new table as came
  for each statement execute function private.keep_addresses();

-- object trigger keep_addresses_update on public.contacts sha256:af3fa2fcecbb478f
create or replace trigger keep_addresses_update after update on public.contacts referencing old table as went new table as came
  for each statement execute function private.keep_addresses();

-- object trigger touch on public.contacts sha256:f391967c52fe7c64
-- A statement that changes thousands of rows sets updated_at itself, once; the trigger would ask for the time once a row.
create or replace trigger touch before update on public.contacts for each row
  when (new.updated_at is not distinct from old.updated_at) execute function kernel.touch();

-- object trigger count_insert on public.list_contacts sha256:cacdb6d07ec778c7
create or replace trigger count_insert after insert on public.list_contacts referencing new table as new_rows
  for each statement execute function private.count_list_contacts();

-- object trigger count_update on public.list_contacts sha256:41de9cbad29e9602
create or replace trigger count_update after update on public.list_contacts referencing old table as old_rows new table as new_rows
  for each statement execute function private.count_list_contacts();

-- object trigger count_delete on public.list_contacts sha256:75d229800bdd6b97
create or replace trigger count_delete after delete on public.list_contacts referencing old table as old_rows
  for each statement execute function private.count_list_contacts();

-- object trigger count_insert on public.contacts sha256:962bdd4c8911c0d5
create or replace trigger count_insert after insert on public.contacts referencing new table as new_rows
  for each statement execute function private.count_contact_tags();

-- object trigger count_update on public.contacts sha256:0431bb910dd599af
create or replace trigger count_update after update on public.contacts referencing old table as old_rows new table as new_rows
  for each statement execute function private.count_contact_tags();

-- object trigger count_delete on public.contacts sha256:4dd9f3551392494f
create or replace trigger count_delete after delete on public.contacts referencing old table as old_rows
  for each statement execute function private.count_contact_tags();

-- object trigger copy_sort_keys on public.list_contacts sha256:32d430a9e7da0530
create or replace trigger copy_sort_keys before insert on public.list_contacts for each row execute function private.copy_sort_keys();

-- object trigger follow_sort_keys on public.contacts sha256:2f3c3e63a8f06a64
create or replace trigger follow_sort_keys after update of created_at, email, last_name on public.contacts for each row
  when (old.created_at <> new.created_at or old.email_sort <> new.email_sort or old.last_name_sort <> new.last_name_sort)
  execute function private.follow_sort_keys();

-- object trigger heed_suppressions_insert on public.contact_addresses sha256:d8d9e8c0c9d46a18
create or replace trigger heed_suppressions_insert after insert on public.contact_addresses referencing new table as came
  for each statement execute function private.heed_suppressions();

-- object trigger heed_suppressions_update on public.contact_addresses sha256:d7f9042ab36600d9
create or replace trigger heed_suppressions_update after update of is_primary on public.contact_addresses for each row
  when (new.is_primary and not old.is_primary) execute function private.heed_former_address();

-- object trigger status_is_backed_insert on public.contacts sha256:9ef49367f0fec27a
-- After keep_addresses, which stands before it in the alphabet.
create or replace trigger status_is_backed_insert after insert on public.contacts referencing new table as came
  for each statement execute function private.back_statuses();

-- object trigger status_is_backed_update on public.contacts sha256:1e84b755ad81d37b
create or replace trigger status_is_backed_update after update on public.contacts referencing old table as went new table as came
  for each statement execute function private.back_statuses();

-- object trigger keep_opt_outs on public.contacts sha256:a0d8155cf296bfdd
create or replace trigger keep_opt_outs before delete on public.contacts for each row execute function private.keep_opt_outs();

-- object trigger count_insert on public.messages sha256:b74a91eb81f84a31
create or replace trigger count_insert after insert on public.messages referencing new table as new_rows
  for each statement execute function private.count_messages();

-- object trigger count_update on public.messages sha256:13172e0b9ed4e678
create or replace trigger count_update after update on public.messages referencing old table as old_rows new table as new_rows
  for each statement execute function private.count_messages();

-- object trigger count_delete on public.messages sha256:63979518337c173b
create or replace trigger count_delete after delete on public.messages referencing old table as old_rows
  for each statement execute function private.count_messages();

-- object trigger touch on public.messages sha256:7aa3d01834fa7bea
-- A statement that changes thousands of rows sets updated_at itself, once; the trigger would ask for the time once a row.
create or replace trigger touch before update on public.messages for each row
  when (new.updated_at is not distinct from old.updated_at) execute function kernel.touch();

-- object trigger count_insert on public.enrollments sha256:56a8cc88c3d6003a
create or replace trigger count_insert after insert on public.enrollments referencing new table as new_rows
  for each statement execute function private.count_enrollments();

-- object trigger count_update on public.enrollments sha256:a4f06539134a6b38
create or replace trigger count_update after update on public.enrollments referencing old table as old_rows new table as new_rows
  for each statement execute function private.count_enrollments();

-- object trigger count_delete on public.enrollments sha256:792a9f6b3b983b31
create or replace trigger count_delete after delete on public.enrollments referencing old table as old_rows
  for each statement execute function private.count_enrollments();

-- object trigger touch on public.enrollments sha256:6dc3e71267b23d96
-- People on their way through sequences.

-- A statement that changes thousands of rows sets updated_at itself, once; the trigger would ask for the time once a row.
create or replace trigger touch before update on public.enrollments for each row
  when (new.updated_at is not distinct from old.updated_at) execute function kernel.touch();

reset check_function_bodies;
-- end of generated

-- Every guard there is, until the first start says which modules are on.
select kernel.compose_guards(kernel.all_guards());

-- The first months of message events; a schedule makes the next ones.
select private.ensure_partitions();
