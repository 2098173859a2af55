-- Roles in the order of what they may do; a higher one may all that a lower one may. No set clause, so that the planner takes it into
-- its callers.
create or replace function kernel.role_rank(role text) returns int
language sql immutable parallel safe
return case role when 'viewer' then 1 when 'approver' then 2 when 'member' then 3 when 'admin' then 4 when 'owner' then 5 end;
grant execute on function kernel.role_rank(text) to authenticated, overture_user, overture_worker;

-- Whether the session of an access token still stands: signing out, a changed password or a stolen refresh token end it at once, while
-- the token itself would be valid for up to an hour. Of a person with a second factor only sessions that were made with it stand: the auth
-- server knows nothing of it. A token without a session (null) was not made by a sign-in.
create or replace function kernel.session_open(session uuid) returns boolean
language plpgsql stable security definer set search_path = '' set plan_cache_mode = force_generic_plan as $$
begin
  return session is null or exists (select from auth.sessions s where s.id = session and (
    not exists (select from private.second_factors f where f.person = s.user_id and f.confirmed_at is not null)
    or exists (select from private.proven_sessions p where p.session = s.id)));
end $$;
grant execute on function kernel.session_open(uuid) to authenticated, overture_user, overture_worker;

-- The tenants the signed-in person belongs to with at least this role. Definer, because members has policies of its own.
-- Used as `tenant_id = any(array(select kernel.my_tenants('member')))`, which Postgres evaluates once per query and table. In plpgsql with
-- a plan for all values, which is made once: a function in SQL is planned in each query, and that took longer than most queries.
create or replace function kernel.my_tenants(min_role text default 'viewer') returns setof uuid
language plpgsql stable security definer set search_path = '' set plan_cache_mode = force_generic_plan rows 3 as $$
declare
  claims jsonb := nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb;
begin
  if claims is null or not kernel.session_open((claims ->> 'session_id')::uuid) then return; end if;
  return query select m.tenant_id from public.members m
    where m.user_id = (claims ->> 'sub')::uuid and kernel.role_rank(m.role) >= kernel.role_rank(min_role);
end $$;
grant execute on function kernel.my_tenants(text) to authenticated, overture_user, overture_worker;


-- Keeps updated_at.
create or replace function kernel.touch() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.updated_at := kernel.now();
  return new;
end $$;
grant execute on function kernel.touch() to overture_user, overture_worker;

-- One broadcast per statement and tenant, not per row: an import of 1,000 rows is one message of ids (the first 100).
-- Readers refetch through the API, so the payload carries no data that a policy would hide.
create or replace function kernel.broadcast() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  change record;
begin
  for change in
    select c.tenant_id, pg_catalog.count(*) as n, (pg_catalog.array_agg(c.id))[1:100] as ids
    from changed c group by c.tenant_id
  loop
    perform realtime.send(
      pg_catalog.jsonb_build_object('table', tg_table_name, 'op', lower(tg_op), 'count', change.n, 'ids', pg_catalog.to_jsonb(change.ids)),
      tg_table_name::text, 'tenant:' || change.tenant_id, true);
  end loop;
  return null;
end $$;
grant execute on function kernel.broadcast() to overture_user, overture_worker;

-- Refuses a plan. The planner lets leakproof operators such as `=` and `<` look into statistics made of all tenants' rows, so the
-- rows that EXPLAIN expects tell what other tenants have, and PostgREST explains for `Prefer: count=planned`, `count=estimated` and
-- `Accept: application/vnd.pgrst.plan`. Its requests choose values and names, never the statement's text, so the text tells. Said to be
-- immutable although it reads the text: only then does the planner call it while it plans, also where nothing is executed.
create or replace function kernel.refuse_plans() returns boolean
language plpgsql immutable set search_path = '' as $$
begin
  if pg_catalog.current_query() ~* '\mexplain\M' then
    raise exception 'Plans and estimates are not shown: they are made of the rows of all tenants.'
      using errcode = 'insufficient_privilege', hint = 'Ask for "Prefer: count=exact", or for no count.';
  end if;
  return true;
end $$;
grant execute on function kernel.refuse_plans() to authenticated;

-- The wall, in one line per table: RLS forced, policies, grants, updated_at, realtime.
--   read/write: least role of a signed-in person for the API; write => null leaves writing to jobs alone.
--   broadcast: whether changes are announced on the tenant's realtime topic (needs an id column).
create or replace function kernel.protect(tbl regclass, read text default 'viewer', write text default 'member',
  broadcast boolean default true)
returns void language plpgsql set search_path = '' as $$
declare
  mine text := format('tenant_id = any(array(select kernel.my_tenants(%L)))', read);
  writable text := format('tenant_id = (select kernel.tenant()) and tenant_id = any(array(select kernel.my_tenants(%L)))', write);
  has_updated boolean := exists (select from pg_catalog.pg_attribute where attrelid = tbl and attname = 'updated_at' and not attisdropped);
  has_id boolean := exists (select from pg_catalog.pg_attribute where attrelid = tbl and attname = 'id' and not attisdropped);
begin
  execute format('alter table %s enable row level security', tbl);
  execute format('alter table %s force row level security', tbl);
  execute format('revoke all on %s from public, anon, authenticated', tbl);
  execute format('grant select on %s to authenticated', tbl);
  execute format('grant select, insert, update, delete on %s to overture_worker', tbl);
  execute format('create policy member_reads on %s for select to authenticated using (%s)', tbl, mine);
  execute format('create policy no_plans on %s as restrictive for select to authenticated using (kernel.refuse_plans())', tbl);
  execute format('create policy user_reads on %s for select to overture_user using (tenant_id = (select kernel.tenant()) and %s)',
    tbl, mine);
  execute format('create policy job on %s to overture_worker using (%s) with check (%2$s)', tbl, 'tenant_id = (select kernel.tenant())');
  if write is null then
    execute format('grant select on %s to overture_user', tbl);
  else
    execute format('grant select, insert, update, delete on %s to overture_user', tbl);
    execute format('create policy user_inserts on %s for insert to overture_user with check (%s)', tbl, writable);
    execute format('create policy user_updates on %s for update to overture_user using (%s) with check (%s)', tbl, writable, writable);
    execute format('create policy user_deletes on %s for delete to overture_user using (%s)', tbl, writable);
  end if;
  if has_updated then
    execute format('create trigger touch before update on %s for each row execute function kernel.touch()', tbl);
  end if;
  if broadcast and has_id then
    execute format('create trigger broadcast_insert after insert on %s referencing new table as changed
      for each statement execute function kernel.broadcast()', tbl);
    execute format('create trigger broadcast_update after update on %s referencing new table as changed
      for each statement execute function kernel.broadcast()', tbl);
    execute format('create trigger broadcast_delete after delete on %s referencing old table as changed
      for each statement execute function kernel.broadcast()', tbl);
  end if;
end $$;

-- A member may listen to the team's topic `tenant:<id>`; only the database sends on it.
drop policy if exists members_listen on realtime.messages;
create policy members_listen on realtime.messages for select to authenticated
  using (extension in ('broadcast', 'presence')
    and (select realtime.topic()) = any(array(select 'tenant:' || t from kernel.my_tenants() t)));
