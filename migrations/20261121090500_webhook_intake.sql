-- providers: a webhook is taken in one statement.
-- owner: modules/providers   breaking: no   locks: none (functions only)

-- Stores a verified delivery once and puts it on the queue; false when it was stored before, null when the connection is gone. One statement, so one round trip and no
-- transaction around it: a provider waits for the answer and gives up on slow ones.
-- Definer: the caller acts for no tenant yet. The tenant is the connection's own, so nothing can be stored for another.
create function private.take_delivery(connection uuid, delivery text, body bytea) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
declare
  owner uuid;
  stored uuid;
begin
  select c.tenant_id into owner from public.connections c where c.id = connection;
  if owner is null then return null; end if;
  insert into public.webhook_deliveries (tenant_id, connection_id, delivery_id, body) values (owner, connection, delivery, body)
  on conflict (tenant_id, connection_id, delivery_id) do nothing returning id into stored;
  if stored is null then return false; end if;
  perform kernel.enqueue('webhooks_in', array[pg_catalog.jsonb_build_object('tenant_id', owner, 'id', stored)]);
  return true;
end $$;
grant execute on function private.take_delivery(uuid, text, bytea) to overture_worker;
