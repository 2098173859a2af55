-- Partitions of public.message_events, one a month, made ahead and dropped whole when they are older than the retention.

-- How many whole months of events are kept besides the current one: kernel.settings, key events_keep_months; 24 unless set.
create or replace function private.events_keep_months() returns int
language sql stable set search_path = '' as $$
  select coalesce((select greatest(1, (s.value #>> '{}')::int) from kernel.settings s where s.key = 'events_keep_months'), 24)
$$;

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

