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
