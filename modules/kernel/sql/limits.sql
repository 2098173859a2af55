-- Takes n tokens, or none. Returns how many are left and how many seconds until n are there (0 when taken).
-- A block by the provider has a column of its own, blocked_until: told by a last use in the future, a clock that was set back
-- by an hour would block every bucket (also of the API and of logins) for that hour.
create or replace function kernel.take_tokens(bucket text, capacity double precision, per_second double precision,
  n double precision default 1)
returns table (taken boolean, remaining double precision, retry_after double precision)
language plpgsql volatile security definer set search_path = '' as $$
declare
  ts timestamptz := pg_catalog.clock_timestamp();
  b kernel.buckets;
  level double precision;
begin
  insert into kernel.buckets as k (key, tokens, at) values (bucket, capacity, ts) on conflict (key) do nothing;
  select * into b from kernel.buckets k where k.key = bucket for update;
  -- Read after the wait for the row: an older reading would lie before somebody else's last use.
  ts := pg_catalog.clock_timestamp();
  if b.at > ts then
    -- The clock was set back. What time passed meanwhile is unknown: none.
    update kernel.buckets k set at = ts where k.key = bucket;
    b.at := ts;
  end if;
  -- It fills from the last use, or from the end of a block.
  level := least(capacity, b.tokens + greatest(0, extract(epoch from ts - greatest(b.at, b.blocked_until))) * per_second);
  if b.blocked_until > ts then
    return query select false, 0::double precision, extract(epoch from b.blocked_until - ts)::double precision;
  elsif level >= n then
    update kernel.buckets k set tokens = level - n, at = ts, blocked_until = null where k.key = bucket;
    return query select true, level - n, 0::double precision;
  else
    return query select false, level, ((n - level) / per_second)::double precision;
  end if;
end $$;
grant execute on function kernel.take_tokens(text, double precision, double precision, double precision) to overture_user, overture_worker;

-- Empties a bucket until a moment: the provider's Retry-After outranks our own arithmetic.
create or replace function kernel.block_bucket(bucket text, seconds double precision) returns void
language sql volatile security definer set search_path = '' as $$
  insert into kernel.buckets as k (key, tokens, at, blocked_until)
  values (bucket, 0, pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => seconds))
  on conflict (key) do update set tokens = 0, blocked_until = greatest(k.blocked_until, excluded.blocked_until)
$$;
grant execute on function kernel.block_bucket(text, double precision) to overture_user, overture_worker;
