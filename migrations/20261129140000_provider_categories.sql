-- providers: what a provider is for is checked by the modules that are on; a delivery keeps what its proof covered beside the body.
-- owner: modules/providers   breaking: yes   locks: brief exclusive ones on connections and webhook_deliveries

-- A channel's id (`email`) or another kind that a module registers (`crm`). Modules can add kinds, so no list stands here.
alter table public.connections drop constraint connections_channel_check;
alter table public.connections rename column channel to category;
alter table public.connections add constraint connections_category_check check (category ~ '^[a-z][a-z0-9_]{1,39}$');

-- Such as our message id in the query of a signed URL.
alter table public.webhook_deliveries
  add column context jsonb not null default '{}' check (jsonb_typeof(context) = 'object' and pg_column_size(context) <= 4000);

-- Stores a verified delivery once and puts it on the queue; false when it was stored before, null when the connection is gone.
-- One statement, so one round trip and no transaction around it: a provider waits for the answer and gives up on slow ones.
-- Definer: the caller acts for no tenant yet. The tenant is the connection's own, so nothing can be stored for another.
drop function private.take_delivery(uuid, text, bytea);
create function private.take_delivery(connection uuid, delivery text, body bytea, context jsonb) returns boolean
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
