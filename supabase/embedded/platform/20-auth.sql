-- The auth schema's functions as Supabase defines them, and the grants its tables have there.
-- The tables themselves are made by the auth server's own schema step, which runs first.

create or replace function auth.uid() returns uuid language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')
  )::uuid
$$;

create or replace function auth.role() returns text language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.role', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role')
  )::text
$$;

create or replace function auth.email() returns text language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.email', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email')
  )::text
$$;

create or replace function auth.jwt() returns jsonb language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')
  )::jsonb
$$;

-- user_metadata is written by its person, is part of every access token, and adds up over many requests.
create or replace function auth._bound_user_metadata() returns trigger language plpgsql set search_path = '' as $$
begin
  if pg_catalog.octet_length(new.raw_user_meta_data::text) > 16384 then
    raise exception 'user_metadata may have at most 16 KB' using errcode = 'check_violation';
  end if;
  return new;
end
$$;
create or replace trigger bound_user_metadata before insert or update of raw_user_meta_data on auth.users
  for each row execute function auth._bound_user_metadata();

-- A changed password ends every session in the same transaction: nobody stays signed in who knew, or used, the old one.
create or replace function auth._end_sessions() returns trigger language plpgsql set search_path = '' as $$
begin
  delete from auth.refresh_tokens t where t.user_id = new.id;
  delete from auth.sessions s where s.user_id = new.id;
  return null;
end
$$;
-- Open sockets of a session that has ended, whoever ended it, are asked about again (realtime.ts).
create or replace function auth._announce_ended_session() returns trigger language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_notify('realtime_access', pg_catalog.encode(pg_catalog.sha256(('session:' || old.id)::bytea), 'hex'));
  return null;
end
$$;
create or replace trigger announce_ended_session after delete on auth.sessions
  for each row execute function auth._announce_ended_session();

create or replace trigger end_sessions after update of encrypted_password on auth.users
  for each row when (old.encrypted_password is distinct from new.encrypted_password) execute function auth._end_sessions();

do $$
declare
  object record;
begin
  execute 'alter schema auth owner to supabase_auth_admin';
  for object in
    select format('alter table auth.%I owner to supabase_auth_admin', tablename) as command
    from pg_tables where schemaname = 'auth' and tableowner <> 'supabase_auth_admin'
    union all
    select format('alter function %s owner to supabase_auth_admin', p.oid::regprocedure)
    from pg_proc p
    where p.pronamespace = 'auth'::regnamespace and p.proowner <> 'supabase_auth_admin'::regrole
  loop
    execute object.command;
  end loop;
end
$$;

grant usage on schema auth to anon, authenticated, service_role, postgres;
grant execute on all functions in schema auth to anon, authenticated, service_role, postgres;
grant all on all tables in schema auth to postgres with grant option;

-- The embedded REST and auth server's own login: it owns what it must describe and change, and is no superuser.
do $$
begin
  if not exists (select from pg_roles where rolname = 'embedded_api') then
    create role embedded_api login inherit;
  end if;
end
$$;
-- Roles' own settings hold for their logins, not for who changes to them: this is the login of REST and auth.
alter role embedded_api set statement_timeout = '8s';
alter role embedded_api set idle_in_transaction_session_timeout = '30s';
grant postgres, supabase_auth_admin, anon, authenticated, service_role to embedded_api;

-- Supabase's migration history belongs to the role that runs migrations.
do $$
begin
  if to_regnamespace('supabase_migrations') is not null then
    alter schema supabase_migrations owner to postgres;
  end if;
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    alter table supabase_migrations.schema_migrations owner to postgres;
  end if;
end
$$;
