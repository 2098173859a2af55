-- kernel: two clocks that a date set by hand does not move. messaging: when an attempt began, by each of them.
-- owner: modules/kernel   breaking: no   locks: public.attempts, briefly (two empty columns)

-- The wall clock can be set an hour forward: a worker in the middle of a call then looks dead, and what it sends looks lost and is
-- sent again. Set back, it makes a provider's memory of a key look younger than it is. So time is counted here, from tick to tick:
--   slow never ran faster than real time, whatever the wall did: for leases, and for how long to wait before a search;
--   fast never ran slower: for how long a provider remembers.
-- Of a jump they show at most one step (slow) or none (fast). While nobody ticks, slow stands still: that costs patience only.
create table kernel.clocks (
  only_row boolean primary key default true check (only_row),
  wall timestamptz not null default pg_catalog.clock_timestamp(),
  slow timestamptz not null default pg_catalog.clock_timestamp(),
  fast timestamptz not null default pg_catalog.clock_timestamp()
);
comment on table kernel.clocks is 'One row: the two clocks at the last tick, and what the wall clock said then.';
insert into kernel.clocks default values;

-- The most that slow goes ahead between two ticks: a little more than the ten seconds between them.
create function kernel.clock_step() returns interval
language sql immutable parallel safe set search_path = '' as $$ select interval '15 seconds' $$;

create function kernel.slow_clock() returns timestamptz
language sql stable security definer set search_path = '' as $$
  select c.slow + least(greatest(pg_catalog.clock_timestamp() - c.wall, interval '0'), kernel.clock_step()) from kernel.clocks c
$$;

create function kernel.fast_clock() returns timestamptz
language sql stable security definer set search_path = '' as $$
  select c.fast + greatest(pg_catalog.clock_timestamp() - c.wall, interval '0') from kernel.clocks c
$$;

-- Ten seconds apart, by schedule.
create function kernel.tick() returns void
language plpgsql volatile set search_path = '' as $$
declare
  c kernel.clocks;
  ts timestamptz;
begin
  select * into c from kernel.clocks for update;
  ts := pg_catalog.clock_timestamp();
  update kernel.clocks set wall = ts,
    slow = c.slow + least(greatest(ts - c.wall, interval '0'), kernel.clock_step()),
    fast = c.fast + greatest(ts - c.wall, interval '0');
end $$;

revoke all on function kernel.clock_step(), kernel.slow_clock(), kernel.fast_clock(), kernel.tick() from public;
grant execute on function kernel.slow_clock(), kernel.fast_clock() to overture_user, overture_worker;

-- Empty for attempts from before: their started_at was all there was.
alter table public.attempts add column slow_at timestamptz, add column fast_at timestamptz;
alter table public.attempts alter column slow_at set default kernel.slow_clock(), alter column fast_at set default kernel.fast_clock();
