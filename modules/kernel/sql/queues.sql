-- pgmq reads in the order of msg_id and steps over every message that is hidden (in work, delayed, waiting for a retry): with a
-- million of those in front, each read looks at all of them. Ours goes by the moment a message became visible, so that hidden
-- ones are never looked at. The index takes the place of pgmq's on vt alone: a second one would double the cost of every read.
create or replace function kernel.index_queue(name text) returns void
language plpgsql set search_path = '' as $$
begin
  execute pg_catalog.format('drop index if exists pgmq.%I', 'q_' || name || '_vt_idx');
  execute pg_catalog.format('create index %I on pgmq.%I (vt, msg_id)', 'q_' || name || '_vt_idx', 'q_' || name);
end $$;

-- Every read updates vt, an indexed column, so there are no HOT updates: free space and an eager vacuum keep the queue fast.
create or replace function kernel.create_queue(name text) returns void
language plpgsql set search_path = '' as $$
begin
  if exists (select from kernel.queues q where q.name = create_queue.name) then return; end if;
  if not exists (select from pgmq.list_queues() l where l.queue_name = create_queue.name) then
    perform pgmq.create(create_queue.name);
  end if;
  execute pg_catalog.format('alter table pgmq.q_%s set (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 50, autovacuum_vacuum_cost_delay = 2, autovacuum_analyze_scale_factor = 0.05)', create_queue.name);
  execute pg_catalog.format('alter table pgmq.q_%s enable row level security', create_queue.name);
  execute pg_catalog.format('alter table pgmq.a_%s enable row level security', create_queue.name);
  perform kernel.index_queue(create_queue.name);
  insert into kernel.queues (name) values (create_queue.name);
end $$;

-- Puts messages on a queue in the caller's transaction: the outbox. Wakes workers at commit.
-- A caller inside a tenant may only enqueue for that tenant.
-- Inserts into the queue's table itself, because pgmq's function builds and plans three statements to insert one row.
create or replace function kernel.enqueue(queue text, messages jsonb[], delay_seconds int default 0) returns setof bigint
language plpgsql volatile security definer set search_path = '' as $$
declare
  mine uuid := kernel.tenant();
begin
  if not exists (select from kernel.queues q where q.name = queue) then
    raise exception 'no such queue: %', queue using errcode = 'invalid_parameter_value';
  end if;
  if mine is not null and exists (select from pg_catalog.unnest(messages) m where m ->> 'tenant_id' is distinct from mine::text) then
    raise exception 'a message names another tenant' using errcode = 'insufficient_privilege';
  end if;
  if pg_catalog.cardinality(messages) = 0 then return; end if;
  return query execute pg_catalog.format(
    'insert into pgmq.%I (vt, message) select $1, m from pg_catalog.unnest($2) m returning msg_id', 'q_' || queue)
    using pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => delay_seconds), messages;
  if delay_seconds <= 0 then perform pg_catalog.pg_notify('kernel_queue', queue); end if;
end $$;
grant execute on function kernel.enqueue(text,jsonb[],integer) to overture_user, overture_worker;

-- Reads a batch for a consumer: what has been visible longest first. Only the worker role may; the messages name their tenants.
-- `vt` is until when the message is hidden: kernel.extend_visibility wants it back.
create or replace function kernel.dequeue(queue text, visibility_seconds int, quantity int)
returns table (msg_id bigint, read_ct int, vt timestamptz, message jsonb)
-- Statistics of a queue are always old: without the setting a plan that sorts all that waits can look cheaper than the index.
language plpgsql volatile security definer set search_path = '' set enable_sort = off as $$
begin
  -- The moment is a parameter, because a volatile function cannot bound an index scan.
  for msg_id, read_ct, vt, message in execute pg_catalog.format($q$
    with due as (
      select q.msg_id from pgmq.%1$I q where q.vt <= $1 order by q.vt, q.msg_id limit $2 for update skip locked
    )
    update pgmq.%1$I m set vt = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3), read_ct = m.read_ct + 1
    from due where m.msg_id = due.msg_id
    returning m.msg_id, m.read_ct, m.vt, m.message
  $q$, 'q_' || queue) using pg_catalog.clock_timestamp(), quantity, visibility_seconds
  loop
    return next;
  end loop;
end $$;
grant execute on function kernel.dequeue(text, int, int) to overture_worker;

-- Whether a message of another tenant than the caller's waits on a queue: who works for long for one tenant asks now and then.
create or replace function kernel.others_wait(queue text) returns boolean
language plpgsql stable security definer set search_path = '' set enable_sort = off as $$
declare
  waits boolean;
begin
  execute pg_catalog.format($q$
    select exists (select from pgmq.%I q where q.vt <= $1 and q.message ->> 'tenant_id' is distinct from $2)
  $q$, 'q_' || queue) into waits using pg_catalog.clock_timestamp(), kernel.tenant()::text;
  return waits;
end $$;
grant execute on function kernel.others_wait(text) to overture_worker;

-- Settles a batch in one statement.
-- outcomes: [{"msg_id":1,"read_ct":1,"kind":"done"} | {…,"kind":"retry","in":8} | {…,"kind":"back"} | {…,"kind":"dead","reason":"…"}]
-- `back` was read and not begun: it is visible at once and as if never read. Its reader must be through with it.
-- Raises OV001, so that the caller's transaction is rolled back, when one of the messages is gone or was read again meanwhile.
-- A dead letter is copied and removed together, so nothing is lost between the two.
create or replace function kernel.settle(queue text, outcomes jsonb) returns void
language plpgsql volatile security definer set search_path = '' as $$
declare
  wanted int := pg_catalog.jsonb_array_length(outcomes);
  settled int;
begin
  if not exists (select from kernel.queues q where q.name = queue) then
    raise exception 'no such queue: %', queue using errcode = 'invalid_parameter_value';
  end if;
  -- Nearly always everything went well, and planning the long statement would cost as much as running it.
  if not exists (select from pg_catalog.jsonb_array_elements(outcomes) e where e ->> 'kind' is distinct from 'done') then
    execute pg_catalog.format('delete from pgmq.%I q using rows from (pg_catalog.unnest($1), pg_catalog.unnest($2)) o (msg_id, read_ct) '
      'where q.msg_id = o.msg_id and q.read_ct = o.read_ct', 'q_' || queue)
      using array(select (e ->> 'msg_id')::bigint from pg_catalog.jsonb_array_elements(outcomes) with ordinality x (e, n) order by x.n),
            array(select (e ->> 'read_ct')::int from pg_catalog.jsonb_array_elements(outcomes) with ordinality x (e, n) order by x.n);
    get diagnostics settled = row_count;
  else
    execute pg_catalog.format($q$
      with o as (
        select (e ->> 'msg_id')::bigint as msg_id, (e ->> 'read_ct')::int as read_ct, e ->> 'kind' as kind, e ->> 'reason' as reason,
               coalesce((e ->> 'in')::double precision, 0) as delay
        from pg_catalog.jsonb_array_elements($1) e
      ), later as (
        update pgmq.%1$I q set vt = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => o.delay),
          read_ct = q.read_ct - (o.kind = 'back')::int
        from o where q.msg_id = o.msg_id and q.read_ct = o.read_ct and o.kind in ('retry', 'back')
        returning 1
      ), gone as (
        delete from pgmq.%1$I q using o where q.msg_id = o.msg_id and q.read_ct = o.read_ct and o.kind in ('done', 'dead')
        returning q.read_ct, q.enqueued_at, q.message, o.kind, o.reason
      ), letters as (
        insert into kernel.dead_letters (queue, tenant_id, message, reason, attempts, enqueued_at)
        select %2$L, case when g.message ->> 'tenant_id' ~ '^[0-9a-fA-F-]{36}$' then (g.message ->> 'tenant_id')::uuid end,
               g.message, coalesce(g.reason, 'no reason given'), g.read_ct, g.enqueued_at
        from gone g where g.kind = 'dead'
      )
      select (select pg_catalog.count(*) from later) + (select pg_catalog.count(*) from gone)
    $q$, 'q_' || queue, queue) into settled using outcomes;
  end if;
  if settled <> wanted then
    raise exception '% of % messages of the queue % are not this reader''s any more', wanted - settled, wanted,
      queue using errcode = 'OV001';
  end if;
end $$;
grant execute on function kernel.settle(text, jsonb) to overture_worker;


-- Keeps messages hidden while a slow handler still works on them. A message is named by its read and by `vt` as this reader last
-- saw it: what was settled (a retry sets vt) or read again meanwhile stays as it is. Returns what is hidden now, with the new vt.
-- A row that is locked is being settled or read: nobody waits for it here.
create or replace function kernel.extend_visibility(queue text, ids bigint[], reads int[], hidden_until timestamptz[], seconds int)
returns table (msg_id bigint, vt timestamptz)
language plpgsql volatile security definer set search_path = '' as $$
begin
  if not exists (select from kernel.queues q where q.name = queue) then
    raise exception 'no such queue: %', queue using errcode = 'invalid_parameter_value';
  end if;
  for msg_id, vt in execute pg_catalog.format($q$
    with held as (
      select q.msg_id from rows from (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3)) o (msg_id, read_ct, vt)
      join pgmq.%1$I q on q.msg_id = o.msg_id and q.read_ct = o.read_ct and q.vt = o.vt
      for update of q skip locked
    )
    update pgmq.%1$I m set vt = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $4)
    from held where m.msg_id = held.msg_id
    returning m.msg_id, m.vt
  $q$, 'q_' || queue) using ids, reads, hidden_until, seconds loop
    return next;
  end loop;
end $$;
grant execute on function kernel.extend_visibility(text, bigint[], int[], timestamptz[], int) to overture_worker;


-- Depth and age per queue, for health, metrics and the console. Asked every few seconds, so it never reads more than a bounded
-- part of a queue: up to 10,000 messages are counted; beyond that `exact` is false and the numbers are the planner's estimates.
-- Dead letters are counted up to 10,000.
create or replace function kernel.queue_metrics()
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
    execute pg_catalog.format('select pg_catalog.count(*) from (select from %s order by q.msg_id limit $1) c', source) into waiting
      using most + 1;
    execute pg_catalog.format('select pg_catalog.count(*) from (select from %s where q.vt <= $2 order by q.vt, q.msg_id limit $1) c',
      source) into visible using most + 1, pg_catalog.now();
    exact := waiting <= most;
    if not exact then
      execute pg_catalog.format('explain (format json) select from %s', source) into plan;
      -- Never more than numbers between the first and the last message.
      execute pg_catalog.format('select (select q.msg_id from %1$s order by 1 desc limit 1)
        - (select q.msg_id from %1$s order by 1 limit 1) + 1', source) into span;
      waiting := greatest(waiting, least(span, (plan -> 0 -> 'Plan' ->> 'Plan Rows')::bigint));
    end if;
    if visible > most then
      execute pg_catalog.format('explain (format json) select from %s where q.vt <= %L', source, pg_catalog.now()) into plan;
      visible := least(waiting, greatest(visible, (plan -> 0 -> 'Plan' ->> 'Plan Rows')::bigint));
    end if;
    -- Messages are numbered as they come.
    execute pg_catalog.format('select greatest(0, extract(epoch from pg_catalog.now() - q.enqueued_at))::int
      from %s order by q.msg_id limit 1', source)
      into oldest_seconds;
    oldest_seconds := coalesce(oldest_seconds, 0);
    execute pg_catalog.format('select case when s.is_called then s.last_value else 0 end from pgmq.%I s', 'q_' || queue || '_msg_id_seq')
      into total;
    select pg_catalog.count(*) into dead from (select from kernel.dead_letters d where d.queue = queue_metrics.queue limit most) c;
    return next;
  end loop;
end $$;
grant execute on function kernel.queue_metrics() to overture_user, overture_worker;

-- Since when the first message that could be taken has not been taken. Unlike its age this is zero while a message waits for a retry.
create or replace function kernel.queue_lags() returns table (queue text, lag_seconds double precision)
language plpgsql stable security definer set search_path = '' as $$
begin
  for queue in select q.name from kernel.queues q order by q.name loop
    execute pg_catalog.format('select coalesce(extract(epoch from pg_catalog.clock_timestamp()
      - (select q.vt from pgmq.q_%s q order by q.vt limit 1)), 0)', queue) into lag_seconds;
    lag_seconds := greatest(lag_seconds, 0);
    return next;
  end loop;
end $$;
grant execute on function kernel.queue_lags() to overture_user, overture_worker;

-- Puts a wake on the queue for each tenant that has none waiting. One that is being handled does not count: it may have looked
-- before the work came. Returns the number of tenants given.
create or replace function kernel.wake(queue text, tenants uuid[]) returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  asleep jsonb[];
begin
  if not exists (select from kernel.queues q where q.name = queue) then
    raise exception 'no such queue: %', queue using errcode = 'invalid_parameter_value';
  end if;
  execute pg_catalog.format($q$
    select array(
      select w.wake from (select distinct pg_catalog.jsonb_build_object('tenant_id', t) as wake from pg_catalog.unnest($1) t) w
      where not exists (select from pgmq.%I q where q.message = w.wake and q.vt <= $2))
  $q$, 'q_' || queue) into asleep using tenants, pg_catalog.clock_timestamp();
  perform kernel.enqueue(queue, asleep);
  return pg_catalog.cardinality(tenants);
end $$;

-- Removes the wakes of the current tenant that wait beside the one being handled: they say nothing it does not know. Without this
-- a tenant with a hundred of them would hold every worker for as long as they last.
create or replace function kernel.drop_wakes(queue text) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  if not exists (select from kernel.queues q where q.name = queue) then
    raise exception 'no such queue: %', queue using errcode = 'invalid_parameter_value';
  end if;
  execute pg_catalog.format($q$
    delete from pgmq.%1$I q where q.msg_id in (
      select w.msg_id from pgmq.%1$I w where w.vt <= $1 and w.message = $2 for update skip locked)
  $q$, 'q_' || queue) using pg_catalog.clock_timestamp(), pg_catalog.jsonb_build_object('tenant_id', kernel.tenant());
end $$;
grant execute on function kernel.drop_wakes(text) to overture_worker;
