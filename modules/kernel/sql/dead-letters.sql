-- Dead letters of the current tenant. With kernel.tenant() unset nothing is returned.
create or replace function kernel.list_dead_letters(queue text, before uuid, quantity int)
returns table (id uuid, queue_name text, message jsonb, reason text, attempts int, enqueued_at timestamptz, died_at timestamptz)
language sql stable security definer set search_path = '' as $$
  select d.id, d.queue, d.message, d.reason, d.attempts, d.enqueued_at, d.died_at
  from kernel.dead_letters d
  where d.tenant_id = kernel.tenant() and (list_dead_letters.queue is null or d.queue = list_dead_letters.queue)
    and (before is null or d.id < before)
  order by d.id desc limit quantity
$$;
grant execute on function kernel.list_dead_letters(text, uuid, integer) to overture_user, overture_worker;

-- Puts the current tenant's dead letters back on their queues. Removed and sent in one transaction.
create or replace function kernel.requeue_dead_letters(ids uuid[]) returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  batch record;
  n int := 0;
begin
  for batch in
    with gone as (delete from kernel.dead_letters d where d.id = any(ids) and d.tenant_id = kernel.tenant() returning d.queue, d.message)
    select g.queue, pg_catalog.array_agg(g.message) as messages from gone g group by g.queue
  loop
    perform kernel.enqueue(batch.queue, batch.messages);
    n := n + pg_catalog.cardinality(batch.messages);
  end loop;
  return n;
end $$;
grant execute on function kernel.requeue_dead_letters(uuid[]) to overture_user, overture_worker;

-- Forgets dead letters of the current tenant.
create or replace function kernel.purge_dead_letters(ids uuid[]) returns int
language sql volatile security definer set search_path = '' as $$
  with gone as (delete from kernel.dead_letters d where d.id = any(ids) and d.tenant_id = kernel.tenant() returning 1)
  select pg_catalog.count(*)::int from gone
$$;
grant execute on function kernel.purge_dead_letters(uuid[]) to overture_user, overture_worker;
