-- A person's second factor: its sealed secret, whether it is confirmed, and how many recovery codes are left. No row: none was begun.
create or replace function private.second_factor(person uuid) returns table (secret text, confirmed boolean, codes int)
language sql stable security definer set search_path = '' as $$
  select f.secret, f.confirmed_at is not null,
    (select pg_catalog.count(*)::int from private.recovery_codes c where c.person = f.person)
  from private.second_factors f where f.person = second_factor.person
$$;
grant execute on function private.second_factor(uuid) to overture_worker;

-- Begins one, or begins it anew; false where a confirmed one is there.
create or replace function private.begin_second_factor(person uuid, secret text) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
begin
  insert into private.second_factors as f (person, secret) values (begin_second_factor.person, begin_second_factor.secret)
  on conflict on constraint second_factors_pkey do update set secret = excluded.secret where f.confirmed_at is null;
  return found;
end $$;
grant execute on function private.begin_second_factor(uuid, text) to overture_worker;

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

-- Uses a code up: each step once, and none before it. False: it was used.
create or replace function private.use_step(person uuid, step bigint) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
begin
  update private.second_factors f set last_step = step where f.person = use_step.person and f.last_step < step;
  return found;
end $$;
grant execute on function private.use_step(uuid, bigint) to overture_worker;

create or replace function private.use_recovery_code(person uuid, given text) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
begin
  delete from private.recovery_codes c where c.person = use_recovery_code.person and c.digest = given;
  return found;
end $$;
grant execute on function private.use_recovery_code(uuid, text) to overture_worker;

create or replace function private.remove_second_factor(person uuid) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  delete from private.second_factors f where f.person = remove_second_factor.person;
  delete from private.recovery_codes c where c.person = remove_second_factor.person;
  perform private.queue_account_mail('no_factor', person);
end $$;
grant execute on function private.remove_second_factor(uuid) to overture_worker;

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

-- Keys of apps that another key than `current_key` sealed, by person and from the one after `behind` on (null: from the first).
create or replace function private.stale_factors(current_key text, behind uuid, most int) returns table (person uuid, secret text)
language sql stable security definer set search_path = '' as $$
  select f.person, f.secret from private.second_factors f
  where pg_catalog.split_part(f.secret, '.', 2) <> current_key and (behind is null or f.person > behind)
  order by f.person limit most
$$;
grant execute on function private.stale_factors(text, uuid, int) to overture_worker;

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

-- Wakes the rotation of those keys. They belong to no workspace: the message goes by the one that runs the installation.
create or replace function private.wake_factor_rotation() returns int
language sql volatile security definer set search_path = '' as $$
  select kernel.wake('tenancy_rotate', array(
    select (s.value #>> '{}')::uuid from kernel.settings s where s.key = 'operator_tenant'))
$$;
