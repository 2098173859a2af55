-- kernel: what runs for every row and every message costs half as much.
-- owner: modules/kernel   breaking: no   locks: none (functions only)

-- A body that is parsed when it is written needs no search_path of its own, and a function without one is inlined: ids are made for every
-- row of every table, and a call cost more than the id.
create or replace function kernel.uuid7() returns uuid
language sql volatile parallel safe
return pg_catalog.encode(
  pg_catalog.set_bit(pg_catalog.set_bit(
    overlay(pg_catalog.uuid_send(pg_catalog.gen_random_uuid())
      placing pg_catalog.substring(pg_catalog.int8send((extract(epoch from pg_catalog.clock_timestamp()) * 1000)::bigint), 3) from 1 for 6),
    52, 1), 53, 1), 'hex')::uuid;

create or replace function kernel.tenant() returns uuid
language sql stable parallel safe
return nullif(pg_catalog.current_setting('app.tenant_id', true), '')::uuid;

-- As before, but into the queue's table itself: pgmq's function builds and plans three statements to insert one row.
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
  return query execute pg_catalog.format('insert into pgmq.%I (vt, message) select $1, m from pg_catalog.unnest($2) m returning msg_id', 'q_' || queue)
    using pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => delay_seconds), messages;
  if delay_seconds <= 0 then perform pg_catalog.pg_notify('kernel_queue', queue); end if;
end $$;
