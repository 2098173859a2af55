-- kernel: only the reader that holds a message settles it or keeps it hidden; facts go from module to module.
-- owner: modules/kernel   breaking: no   locks: none

-- Fencing ---------------------------------------------------------------------------------------------------------------------
-- A read of a message is named by (msg_id, read_ct): every later read has a higher read_ct. A reader whose visibility ran out
-- names a read that is over, so that what it settles is refused and its transaction is rolled back.

-- Reads a batch for a consumer: what has been visible longest first. Only the worker role may; the messages name their tenants.
-- `vt` is until when the message is hidden: kernel.extend_visibility wants it back.
drop function kernel.dequeue(text, int, int);
create function kernel.dequeue(queue text, visibility_seconds int, quantity int)
returns table (msg_id bigint, read_ct int, enqueued_at timestamptz, vt timestamptz, message jsonb)
-- Statistics of a queue are always old: without the setting a plan that sorts all that waits can look cheaper than the index.
language plpgsql volatile security definer set search_path = '' set enable_sort = off as $$
begin
  -- The moment is a parameter, because a volatile function cannot bound an index scan.
  for msg_id, read_ct, enqueued_at, vt, message in execute pg_catalog.format($q$
    with due as (
      select q.msg_id from pgmq.%1$I q where q.vt <= $1 order by q.vt, q.msg_id limit $2 for update skip locked
    )
    update pgmq.%1$I m set vt = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3), read_ct = m.read_ct + 1
    from due where m.msg_id = due.msg_id
    returning m.msg_id, m.read_ct, m.enqueued_at, m.vt, m.message
  $q$, 'q_' || queue) using pg_catalog.clock_timestamp(), quantity, visibility_seconds
  loop
    return next;
  end loop;
end $$;

-- Settles a batch in one statement.
-- outcomes: [{"msg_id":1,"read_ct":1,"kind":"done"} | {…,"kind":"retry","in":8} | {…,"kind":"dead","reason":"…"}]
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
    execute pg_catalog.format('delete from pgmq.%I q using rows from (pg_catalog.unnest($1), pg_catalog.unnest($2)) o (msg_id, read_ct) where q.msg_id = o.msg_id and q.read_ct = o.read_ct', 'q_' || queue)
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
        update pgmq.%1$I q set vt = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => o.delay)
        from o where q.msg_id = o.msg_id and q.read_ct = o.read_ct and o.kind = 'retry'
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
    raise exception '% of % messages of the queue % are not this reader''s any more', wanted - settled, wanted, queue using errcode = 'OV001';
  end if;
end $$;

-- Keeps messages hidden while a slow handler still works on them. A message is named by its read and by `vt` as this reader last
-- saw it: what was settled (a retry sets vt) or read again meanwhile stays as it is. Returns what is hidden now, with the new vt.
-- A row that is locked is being settled or read: nobody waits for it here.
drop function kernel.extend_visibility(text, bigint[], int);
create function kernel.extend_visibility(queue text, ids bigint[], reads int[], hidden_until timestamptz[], seconds int)
returns table (msg_id bigint, vt timestamptz)
language plpgsql volatile security definer set search_path = '' as $$
begin
  if not exists (select from kernel.queues q where q.name = queue) then
    raise exception 'no such queue: %', queue using errcode = 'invalid_parameter_value';
  end if;
  return query execute pg_catalog.format($q$
    with held as (
      select q.msg_id from rows from (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3)) o (msg_id, read_ct, vt)
      join pgmq.%1$I q on q.msg_id = o.msg_id and q.read_ct = o.read_ct and q.vt = o.vt
      for update of q skip locked
    )
    update pgmq.%1$I m set vt = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $4)
    from held where m.msg_id = held.msg_id
    returning m.msg_id, m.vt
  $q$, 'q_' || queue) using ids, reads, hidden_until, seconds;
end $$;

revoke all on function kernel.dequeue(text, int, int), kernel.extend_visibility(text, bigint[], int[], timestamptz[], int) from public;
grant execute on function kernel.dequeue(text, int, int), kernel.extend_visibility(text, bigint[], int[], timestamptz[], int) to overture_worker;

-- Facts -----------------------------------------------------------------------------------------------------------------------

create table kernel.subscriptions (
  fact text not null check (fact ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$'),
  queue text not null references kernel.queues (name) on delete cascade,
  primary key (fact, queue)
);
comment on table kernel.subscriptions is 'Which queues are told of which facts. Written at install from the modules that are on.';

-- Makes kernel.subscriptions hold exactly what is given: [{"fact","queue"}]. Idempotent.
create function kernel.register_subscriptions(wanted jsonb) returns void
language sql volatile set search_path = '' as $$
  delete from kernel.subscriptions s
  where not exists (select from pg_catalog.jsonb_array_elements(wanted) w where w ->> 'fact' = s.fact and w ->> 'queue' = s.queue);
  insert into kernel.subscriptions (fact, queue)
  select w ->> 'fact', w ->> 'queue' from pg_catalog.jsonb_array_elements(wanted) w
  on conflict do nothing;
$$;

-- Tells every subscriber of a fact, in the caller's transaction: a queue message {"tenant_id","fact","items"} each, more for more
-- than 500 items. Does nothing where nobody subscribed. Schedules, which run in no tenant, name the one they speak of.
create function kernel.emit(fact text, items jsonb, tenant uuid default kernel.tenant()) returns void
language plpgsql volatile security definer set search_path = '' as $$
declare
  most constant int := 500;
  subscriber text;
  messages jsonb[];
begin
  if pg_catalog.jsonb_typeof(items) is distinct from 'array' then
    raise exception 'the items of the fact % are no JSON array', fact using errcode = 'invalid_parameter_value';
  end if;
  if tenant is null then
    raise exception 'the fact % names no tenant and none is set', fact using errcode = 'invalid_parameter_value';
  end if;
  for subscriber in select s.queue from kernel.subscriptions s where s.fact = emit.fact order by s.queue loop
    messages := coalesce(messages, array(
      select pg_catalog.jsonb_build_object('tenant_id', tenant, 'fact', fact, 'items', pg_catalog.jsonb_agg(i.item order by i.n))
      from pg_catalog.jsonb_array_elements(items) with ordinality i (item, n)
      group by (i.n - 1) / most order by (i.n - 1) / most));
    perform kernel.enqueue(subscriber, messages);
  end loop;
end $$;

revoke all on function kernel.register_subscriptions(jsonb), kernel.emit(text, jsonb, uuid) from public;
grant execute on function kernel.emit(text, jsonb, uuid) to overture_user, overture_worker;

-- Wakes -----------------------------------------------------------------------------------------------------------------------
-- A wake is the message {"tenant_id"} on a queue whose consumer looks for what is due itself. Which tenants have something due is
-- known to the module whose queue it is: its schedule calls a function of its own, which ends in kernel.wake.

drop function private.wake_tenants(text);
drop function private.is_awake(text, uuid);
drop function private.drop_wakes();

-- Puts a wake on the queue for each tenant that has none waiting. One that is being handled does not count: it may have looked
-- before the work came. Returns the number of tenants given.
create function kernel.wake(queue text, tenants uuid[]) returns int
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
create function kernel.drop_wakes(queue text) returns void
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

revoke all on function kernel.wake(text, uuid[]), kernel.drop_wakes(text) from public;
grant execute on function kernel.drop_wakes(text) to overture_worker;

-- campaigns: tenants with somebody to plan. Campaign by campaign: there are few that run, and what waits in a paused one or
-- outside its window wakes nobody.
create function private.wake_planning() returns int
language sql volatile security definer set search_path = '' as $$
  select kernel.wake('campaigns_plan', array(
    select distinct k.tenant_id from public.campaigns k
    where k.status = 'running' and private.in_window(k.settings, kernel.now())
      and exists (
        select from public.enrollments e
        where e.tenant_id = k.tenant_id and e.campaign_id = k.id and e.status = 'waiting' and e.next_at <= kernel.now())))
$$;

-- messaging: tenants with a message due, by jumping from tenant to tenant through the index instead of reading every due row.
create function private.wake_sending() returns int
language sql volatile security definer set search_path = '' as $$
  select kernel.wake('messaging_send', array(
    with recursive t as (
      (select m.tenant_id from public.messages m where m.status = 'queued' and m.due_at <= kernel.now() order by m.tenant_id limit 1)
      union all
      select (
        select m.tenant_id from public.messages m
        where m.status = 'queued' and m.due_at <= kernel.now() and m.tenant_id > t.tenant_id order by m.tenant_id limit 1)
      from t where t.tenant_id is not null)
    select t.tenant_id from t where t.tenant_id is not null))
$$;

-- messaging: tenants with an outcome nobody knows. After a day only a webhook or a person can still tell.
create function private.wake_reconciling() returns int
language sql volatile security definer set search_path = '' as $$
  select kernel.wake('messaging_reconcile', array(
    select distinct m.tenant_id from public.messages m where m.status = 'unknown' and m.updated_at > kernel.now() - interval '1 day'))
$$;

-- providers: tenants with credentials, for those that an old key sealed.
create or replace function private.wake_rotation() returns int
language sql volatile security definer set search_path = '' as $$
  select kernel.wake('providers_rotate', array(select distinct c.tenant_id from public.connections c))
$$;
revoke all on function private.wake_planning(), private.wake_sending(), private.wake_reconciling(), private.wake_rotation() from public;
