-- kernel: queues stay fast with a million messages on them, and limits survive a clock that is set back.
-- owner: modules/kernel, modules/operations   breaking: no   locks: queue tables while their index is built

-- pgmq reads in the order of msg_id and steps over every message that is hidden (in work, delayed, waiting for a retry): with a
-- million of those in front, each read looks at all of them. Ours goes by the moment a message became visible, so that hidden
-- ones are never looked at. The index takes the place of pgmq's on vt alone: a second one would double the cost of every read.
create function kernel.index_queue(name text) returns void
language plpgsql set search_path = '' as $$
begin
  execute pg_catalog.format('drop index if exists pgmq.%I', 'q_' || name || '_vt_idx');
  execute pg_catalog.format('create index %I on pgmq.%I (vt, msg_id)', 'q_' || name || '_vt_idx', 'q_' || name);
end $$;
revoke all on function kernel.index_queue(text) from public;
select kernel.index_queue(q.name) from kernel.queues q;

create or replace function kernel.create_queue(name text) returns void
language plpgsql set search_path = '' as $$
begin
  if exists (select from kernel.queues q where q.name = create_queue.name) then return; end if;
  if not exists (select from pgmq.list_queues() l where l.queue_name = create_queue.name) then
    perform pgmq.create(create_queue.name);
  end if;
  execute pg_catalog.format('alter table pgmq.q_%s set (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 50, autovacuum_vacuum_cost_delay = 2, autovacuum_analyze_scale_factor = 0.05)', create_queue.name);
  execute pg_catalog.format('alter table pgmq.q_%s enable row level security', create_queue.name);
  execute pg_catalog.format('alter table pgmq.a_%s enable row level security', create_queue.name);
  perform kernel.index_queue(create_queue.name);
  insert into kernel.queues (name) values (create_queue.name);
end $$;

-- Reads a batch for a consumer: what has been visible longest first. Only the worker role may; the messages name their tenants.
create or replace function kernel.dequeue(queue text, visibility_seconds int, quantity int)
returns table (msg_id bigint, read_ct int, enqueued_at timestamptz, message jsonb)
-- Statistics of a queue are always old: without the setting a plan that sorts all that waits can look cheaper than the index.
language plpgsql volatile security definer set search_path = '' set enable_sort = off as $$
begin
  -- The moment is a parameter, because a volatile function cannot bound an index scan.
  for msg_id, read_ct, enqueued_at, message in execute pg_catalog.format($q$
    with due as (
      select q.msg_id from pgmq.%1$I q where q.vt <= $1 order by q.vt, q.msg_id limit $2 for update skip locked
    )
    update pgmq.%1$I m set vt = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3), read_ct = m.read_ct + 1
    from due where m.msg_id = due.msg_id
    returning m.msg_id, m.read_ct, m.enqueued_at, m.message
  $q$, 'q_' || queue) using pg_catalog.clock_timestamp(), quantity, visibility_seconds
  loop
    return next;
  end loop;
end $$;

-- Depth and age per queue, for health, metrics and the console. Asked every few seconds, so it never reads more than a bounded
-- part of a queue: up to 10,000 messages are counted; beyond that `exact` is false and the numbers are the planner's estimates.
-- Dead letters are counted up to 10,000.
drop function kernel.queue_metrics();
create function kernel.queue_metrics()
returns table (queue text, waiting bigint, visible bigint, oldest_seconds int, total bigint, dead bigint, exact boolean)
language plpgsql volatile security definer set search_path = '' as $$
declare
  most constant int := 10000;
  source text;
  plan json;
  span bigint;
begin
  for queue in select q.name from kernel.queues q order by q.name loop
    source := pg_catalog.format('pgmq.%I q', 'q_' || queue);
    execute pg_catalog.format('select pg_catalog.count(*) from (select from %s order by q.msg_id limit $1) c', source) into waiting using most + 1;
    execute pg_catalog.format('select pg_catalog.count(*) from (select from %s where q.vt <= $2 order by q.vt, q.msg_id limit $1) c', source)
      into visible using most + 1, pg_catalog.now();
    exact := waiting <= most;
    if not exact then
      execute pg_catalog.format('explain (format json) select from %s', source) into plan;
      -- Never more than numbers between the first and the last message.
      execute pg_catalog.format('select (select q.msg_id from %1$s order by 1 desc limit 1) - (select q.msg_id from %1$s order by 1 limit 1) + 1', source) into span;
      waiting := greatest(waiting, least(span, (plan -> 0 -> 'Plan' ->> 'Plan Rows')::bigint));
    end if;
    if visible > most then
      execute pg_catalog.format('explain (format json) select from %s where q.vt <= %L', source, pg_catalog.now()) into plan;
      visible := least(waiting, greatest(visible, (plan -> 0 -> 'Plan' ->> 'Plan Rows')::bigint));
    end if;
    -- Messages are numbered as they come.
    execute pg_catalog.format('select greatest(0, extract(epoch from pg_catalog.now() - q.enqueued_at))::int from %s order by q.msg_id limit 1', source)
      into oldest_seconds;
    oldest_seconds := coalesce(oldest_seconds, 0);
    execute pg_catalog.format('select case when s.is_called then s.last_value else 0 end from pgmq.%I s', 'q_' || queue || '_msg_id_seq') into total;
    select pg_catalog.count(*) into dead from (select from kernel.dead_letters d where d.queue = queue_metrics.queue limit most) c;
    return next;
  end loop;
end $$;
revoke all on function kernel.queue_metrics() from public;
grant execute on function kernel.queue_metrics() to overture_user, overture_worker;

-- The current tenant's dead letters per queue, counted up to 10,000. Another team's are none of its business, not even their number.
create or replace function private.dead_letter_counts()
returns table (queue text, dead bigint)
language sql stable security definer set search_path = '' as $$
  select q.name, c.n from kernel.queues q cross join lateral (
    select pg_catalog.count(*) as n from (
      select from kernel.dead_letters d where d.tenant_id = kernel.tenant() and d.queue = q.name limit 10000) x) c
  where c.n > 0
$$;

-- Limits. A block by the provider has a column of its own: as long as it was told by a last use in the future, a clock that was set
-- back by an hour blocked every bucket (also of the API and of logins) for that hour.
alter table kernel.buckets add column blocked_until timestamptz;

create or replace function kernel.take_tokens(bucket text, capacity double precision, per_second double precision, n double precision default 1)
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

-- Empties a bucket until a moment: the provider's Retry-After outranks our own arithmetic.
create or replace function kernel.block_bucket(bucket text, seconds double precision) returns void
language sql volatile security definer set search_path = '' as $$
  insert into kernel.buckets as k (key, tokens, at, blocked_until)
  values (bucket, 0, pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => seconds))
  on conflict (key) do update set tokens = 0, blocked_until = greatest(k.blocked_until, excluded.blocked_until)
$$;
