-- The newest applied migration whose header says that older code does not survive it; empty when there is none.
create or replace function kernel.breaking_version() returns text
language plpgsql stable security definer set search_path = '' as $$
begin
  return coalesce((select pg_catalog.max(m.version) from supabase_migrations.schema_migrations m
    where m.statements[1] ~ '(?n)^--.*\mbreaking:\s*yes\M'), '');
end $$;
grant execute on function kernel.breaking_version() to overture_worker;

-- How many connections the server has open, and how many it allows.
create or replace function kernel.connection_use() returns table (used int, allowed int)
language sql stable security definer set search_path = '' as $$
  select (select pg_catalog.count(*)::int from pg_catalog.pg_stat_activity a where a.backend_type = 'client backend'),
    pg_catalog.current_setting('max_connections')::int
$$;
grant execute on function kernel.connection_use() to overture_user, overture_worker;

-- How old the newest scheduled backup is (or its plan, where there is none yet) and how often one is planned; nothing where none is.
create or replace function kernel.backup_age() returns table (age_seconds double precision, every_seconds double precision)
language sql stable security definer set search_path = '' as $$
  select extract(epoch from pg_catalog.now() - coalesce(s.value ->> 'last_at', s.value ->> 'planned_at')::timestamptz)::double precision,
    (s.value ->> 'every_seconds')::double precision
  from kernel.settings s where s.key = 'backup'
$$;
grant execute on function kernel.backup_age() to overture_user, overture_worker;

-- Housekeeping of the kernel's own tables. Samples of minutes are kept for two days, of hours for forty. Run by a schedule.
create or replace function kernel.prune() returns void
language sql volatile set search_path = '' as $$
  delete from kernel.idempotency i where i.created_at < pg_catalog.now() - interval '24 hours';
  delete from kernel.buckets b where b.at < pg_catalog.now() - interval '1 day';
  delete from kernel.samples s where s.span = 'minute' and s.at < pg_catalog.now() - interval '2 days';
  delete from kernel.samples s where s.span = 'hour' and s.at < pg_catalog.now() - interval '40 days';
  delete from cron.job_run_details d where d.end_time < pg_catalog.now() - interval '2 days';
$$;
