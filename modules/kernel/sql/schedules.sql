-- Runs one schedule unless the previous run still holds its lock. An error is recorded, never raised: pg_cron's log is not read.
create or replace function kernel.run_schedule(schedule text) returns void
language plpgsql volatile set search_path = '' as $$
declare
  cmd text;
begin
  if not pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('schedule:' || schedule, 0)) then
    update kernel.schedules set skipped = skipped + 1 where name = schedule;
    return;
  end if;
  select s.command into cmd from kernel.schedules s where s.name = schedule;
  if cmd is null then return; end if;
  begin
    execute cmd;
    update kernel.schedules set last_started_at = pg_catalog.now(), last_finished_at = pg_catalog.clock_timestamp(), last_error = null,
      runs = runs + 1 where name = schedule;
  exception when others then
    update kernel.schedules set last_started_at = pg_catalog.now(), last_finished_at = pg_catalog.clock_timestamp(), last_error = sqlerrm,
      runs = runs + 1 where name = schedule;
  end;
end $$;

-- Makes pg_cron hold exactly the schedules given: [{"name","cron","command","seconds"}]. Idempotent; stale ones are unscheduled.
-- pg_cron before 1.5 (it calls itself 1.4-1) has no seconds; there the shortest period is a minute.
create or replace function kernel.register_schedules(wanted jsonb) returns void
language plpgsql volatile set search_path = '' as $$
declare
  s record;
  seconds_ok boolean := coalesce((select pg_catalog.regexp_match(e.extversion, '^(\d+)\.(\d+)')::int[] >= array[1, 5]
    from pg_catalog.pg_extension e where e.extname = 'pg_cron'), true);
begin
  for s in select k.name from kernel.schedules k where not exists (select from pg_catalog.jsonb_array_elements(wanted) w
    where w ->> 'name' = k.name) loop
    perform cron.unschedule(j.jobid) from cron.job j where j.jobname = 'overture.' || s.name;
    delete from kernel.schedules k where k.name = s.name;
  end loop;
  for s in select w ->> 'name' as name, w ->> 'cron' as cron, w ->> 'command' as command, (w ->> 'seconds')::int as seconds
    from pg_catalog.jsonb_array_elements(wanted) w loop
    insert into kernel.schedules as k (name, cron, command, expected_seconds) values (s.name, s.cron, s.command, s.seconds)
    on conflict (name) do update set cron = excluded.cron, command = excluded.command, expected_seconds = excluded.expected_seconds,
      registered_at = pg_catalog.now();
    if not exists (
      select from cron.job j where j.jobname = 'overture.' || s.name and j.active
        and j.schedule = case when s.cron like '% seconds' and not seconds_ok then '* * * * *' else s.cron end
    ) then
      -- alter_job as well: scheduling a job again under its name leaves it switched off if it was.
      perform cron.alter_job(
        cron.schedule('overture.' || s.name,
          case when s.cron like '% seconds' and not seconds_ok then '* * * * *' else s.cron end,
          pg_catalog.format('select kernel.run_schedule(%L)', s.name)),
        active := true);
    end if;
  end loop;
end $$;

-- Last run and lag of every schedule; late means that more than three runs are missing. The lag of one that never ran counts from its
-- registration: it must not look as if there were none.
create or replace function kernel.schedule_health()
returns table (name text, cron text, last_started_at timestamptz, last_finished_at timestamptz, last_error text, runs bigint,
  skipped bigint, lag_seconds double precision, late boolean)
language sql stable security definer set search_path = '' as $$
  select s.name, s.cron, s.last_started_at, s.last_finished_at, s.last_error, s.runs, s.skipped,
         extract(epoch from pg_catalog.now() - coalesce(s.last_started_at, s.registered_at))::double precision,
         pg_catalog.now() - greatest(s.last_started_at, s.registered_at) > pg_catalog.make_interval(secs => s.expected_seconds * 3 + 60)
  from kernel.schedules s order by s.name
$$;
grant execute on function kernel.schedule_health() to overture_user, overture_worker;

-- Wakes the functions over HTTP where no long-lived worker runs. Does nothing until the installation names its URL.
create or replace function kernel.wake_functions() returns void
language plpgsql volatile set search_path = '' as $$
declare
  target jsonb := (select s.value from kernel.settings s where s.key = 'tick');
begin
  if target is null then return; end if;
  perform net.http_post(
    url := target ->> 'url',
    body := '{}'::jsonb,
    headers := pg_catalog.jsonb_build_object('content-type', 'application/json', 'apikey', target ->> 'key'),
    timeout_milliseconds := 30000);
end $$;
