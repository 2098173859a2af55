-- Guards are functions private.guard_<rule>(m public.messages) of the modules; see modules/messaging/sql/guards.sql.

-- Writes private.guards(m), the union of the named guards. Run at every start with those of the modules that are on; a migration runs it
-- with all there are, so that a database nobody has started yet is guarded too. Changes the function only where it differs.
create or replace function kernel.compose_guards(names text[]) returns void
language plpgsql volatile set search_path = '' as $$
declare
  body text := coalesce((
    select pg_catalog.string_agg(pg_catalog.format('select g.verdict, g.reason, g.until from private.%I(m) g', n), ' union all ' order by n)
    from pg_catalog.unnest(names) n), 'select null::text, null::text, null::timestamptz where false');
begin
  if (select p.prosrc from pg_catalog.pg_proc p where p.oid = pg_catalog.to_regprocedure('private.guards(public.messages)')) is not distinct
    from body then
    return;
  end if;
  execute pg_catalog.format('create or replace function private.guards(m public.messages) '
    'returns table (verdict text, reason text, until timestamptz) language sql stable as %L', body);
  grant execute on function private.guards(public.messages) to overture_user, overture_worker;
end $$;

-- Every guard that the database has.
create or replace function kernel.all_guards() returns text[]
language sql stable set search_path = '' as $$
  select coalesce(pg_catalog.array_agg(p.proname::text order by p.proname), '{}') from pg_catalog.pg_proc p
  where p.pronamespace = 'private'::regnamespace and p.proname like 'guard\_%'
$$;
