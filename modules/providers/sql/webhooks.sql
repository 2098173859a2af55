-- The tenant behind a webhook URL. The only thing looked up before the signature is checked.
create or replace function private.connection_for_webhook(connection_id uuid)
returns table (tenant_id uuid, provider text, credentials text, settings jsonb, base_url text)
language sql stable security definer set search_path = '' as $$
  select c.tenant_id, c.provider, c.credentials, c.settings, c.base_url from public.connections c where c.id = connection_id
$$;
grant execute on function private.connection_for_webhook(uuid) to overture_worker;

-- Stores a verified delivery once and puts it on the queue; false when it was stored before, null when the connection is gone.
-- One statement, so one round trip and no transaction around it: a provider waits for the answer and gives up on slow ones.
-- Definer: the caller acts for no tenant yet. The tenant is the connection's own, so nothing can be stored for another.
create or replace function private.take_delivery(connection uuid, delivery text, body bytea, context jsonb) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
declare
  owner uuid;
  stored uuid;
begin
  select c.tenant_id into owner from public.connections c where c.id = connection;
  if owner is null then return null; end if;
  insert into public.webhook_deliveries (tenant_id, connection_id, delivery_id, body, context)
  values (owner, connection, delivery, take_delivery.body, take_delivery.context)
  on conflict (tenant_id, connection_id, delivery_id) do nothing returning id into stored;
  if stored is null then return false; end if;
  perform kernel.enqueue('webhooks_in', array[pg_catalog.jsonb_build_object('tenant_id', owner, 'id', stored)]);
  return true;
end $$;
grant execute on function private.take_delivery(uuid, text, bytea, jsonb) to overture_worker;


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
