-- One message per team that has connections; the consumer knows which key is current, the database does not.
create or replace function private.wake_rotation() returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  messages jsonb[] := array(select pg_catalog.jsonb_build_object('tenant_id', t)
    from (select distinct c.tenant_id as t from public.connections c) d);
begin
  perform kernel.enqueue('providers_rotate', messages);
  return pg_catalog.cardinality(messages);
end $$;
