-- Analyzes the tables that grew to three times what they were when they were last analyzed: until then the planner takes all rows of
-- a tenant for one, and reads them again and again. Autovacuum would do it too, but looks only once a minute. A table that somebody else
-- works on is left to the next call. Returns how many it analyzed.
create or replace function kernel.refresh_statistics() returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  grown text;
  n int := 0;
begin
  -- One at a time: the others have what this one finds.
  if not pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('kernel.refresh_statistics', 0)) then return 0; end if;
  for grown in
    select pg_catalog.format('%I.%I', s.nspname, c.relname) from pg_catalog.pg_class c
    join pg_catalog.pg_namespace s on s.oid = c.relnamespace
    where s.nspname = 'public' and c.relkind = 'r' and c.relpersistence = 'p'
      -- In pages; eight hold some hundred rows, and reading those costs nothing.
      and pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int >= greatest(8, 3 * c.relpages)
    order by c.oid
  loop
    execute 'analyze (skip_locked) ' || grown;
    n := n + 1;
  end loop;
  return n;
end $$;
grant execute on function kernel.refresh_statistics() to overture_worker;
