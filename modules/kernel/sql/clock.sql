-- The one clock of the product. Transaction time like now(), so that everything written together carries one instant. In plpgsql, whose
-- plan is kept: a function in SQL that reads a table is planned in each query.
create or replace function kernel.now() returns timestamptz
language plpgsql stable security definer set search_path = '' as $$
begin
  return pg_catalog.now() + (select c.shift from kernel.clock c);
end $$;
grant execute on function kernel.now() to authenticated, overture_user, overture_worker;

-- The most that slow goes ahead between two ticks: a little more than the ten seconds between them.
create or replace function kernel.clock_step() returns interval
language sql immutable parallel safe set search_path = '' as $$ select interval '15 seconds' $$;

-- Never ran faster than real time, whatever the wall clock did: for leases and patience.
create or replace function kernel.slow_clock() returns timestamptz
language sql stable security definer set search_path = '' as $$
  select c.slow + least(greatest(pg_catalog.clock_timestamp() - c.wall, interval '0'), kernel.clock_step()) from kernel.clocks c
$$;
grant execute on function kernel.slow_clock() to overture_user, overture_worker;

-- Never ran slower than real time: for how long a provider remembers.
create or replace function kernel.fast_clock() returns timestamptz
language sql stable security definer set search_path = '' as $$
  select c.fast + greatest(pg_catalog.clock_timestamp() - c.wall, interval '0') from kernel.clocks c
$$;
grant execute on function kernel.fast_clock() to overture_user, overture_worker;

-- Moves both clocks on by what the wall clock tells of the time since the last tick. Run by a schedule, every ten seconds.
create or replace function kernel.tick() returns void
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
