-- The connections behind webhook URLs. The only thing looked up before the signature is checked.
create or replace function private.connections_for_webhooks(ids uuid[])
returns table (id uuid, tenant_id uuid, provider text, credentials text, settings jsonb, base_url text)
language plpgsql stable security definer set search_path = '' set plan_cache_mode = force_generic_plan as $$
begin
  return query select c.id, c.tenant_id, c.provider, c.credentials, c.settings, c.base_url from public.connections c where c.id = any(ids);
end $$;
grant execute on function private.connections_for_webhooks(uuid[]) to overture_worker;

-- Stores verified deliveries once and puts them on the queue. Returns for each, in order: true when it is new, false when it was stored
-- before, null when its connection is gone. One statement, so one round trip and no transaction around it: providers wait for the answer
-- and give up on slow ones. Definer: the caller acts for no tenant yet. A delivery's tenant is its connection's own, so nothing can be
-- stored for another.
create or replace function private.take_deliveries(connections uuid[], deliveries text[], bodies bytea[], contexts jsonb) returns boolean[]
language plpgsql volatile security definer set search_path = '' set plan_cache_mode = force_generic_plan as $$
declare
  queued jsonb[];
  results boolean[];
begin
  with given as materialized (
    select d.n, d.connection, d.delivery, d.body, d.context, c.tenant_id,
      pg_catalog.row_number() over (partition by d.connection, d.delivery order by d.n) as nth
    from rows from (pg_catalog.unnest(connections), pg_catalog.unnest(deliveries), pg_catalog.unnest(bodies),
      pg_catalog.jsonb_array_elements(contexts)) with ordinality as d (connection, delivery, body, context, n)
    left join public.connections c on c.id = d.connection
  ), stored as (
    insert into public.webhook_deliveries (tenant_id, connection_id, delivery_id, body, context)
    select g.tenant_id, g.connection, g.delivery, g.body, g.context from given g where g.tenant_id is not null and g.nth = 1
    order by g.connection, g.delivery
    on conflict (tenant_id, connection_id, delivery_id) do nothing returning tenant_id, id, connection_id, delivery_id
  )
  select pg_catalog.array_agg(pg_catalog.jsonb_build_object('tenant_id', s.tenant_id, 'id', s.id)) filter (where s.id is not null),
    pg_catalog.array_agg(case when g.tenant_id is not null then s.id is not null end order by g.n)
  into queued, results
  from given g left join stored s on g.nth = 1 and s.connection_id = g.connection and s.delivery_id = g.delivery;
  if queued is not null then perform kernel.enqueue('webhooks_in', queued); end if;
  return results;
end $$;
grant execute on function private.take_deliveries(uuid[], text[], bytea[], jsonb) to overture_worker;

-- Says what became of deliveries: [{"id","error"}] are processed, the others wait for the message they speak of.
create or replace function private.finish_deliveries(finished jsonb, waiting uuid[]) returns void
language sql volatile set search_path = '' as $$
  update public.webhook_deliveries d set
    processed_at = case when f.waits then null else kernel.now() end,
    attempts = d.attempts + case when f.waits then 1 else 0 end,
    error = f.error
  from (
    select x.id, x.error, false as waits from pg_catalog.jsonb_to_recordset(finished) as x(id uuid, error text)
    union all
    select w, 'Waits for the message it speaks of.', true from pg_catalog.unnest(waiting) w
  ) f
  where d.tenant_id = (select kernel.tenant()) and d.id = f.id
$$;
grant execute on function private.finish_deliveries(jsonb, uuid[]) to overture_worker;

-- In portions, so that a long backlog never becomes one long transaction.
create or replace function private.prune_webhooks(keep interval default '30 days', quantity int default 20000) returns int
language sql volatile security definer set search_path = '' as $$
  with gone as (
    delete from public.webhook_deliveries d
    where (d.tenant_id, d.id) in (
      select x.tenant_id, x.id from public.webhook_deliveries x where x.received_at < kernel.now() - keep order by x.received_at
        limit quantity)
    returning 1
  )
  select pg_catalog.count(*)::int from gone
$$;
