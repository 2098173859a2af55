-- Tenants with credentials, for those that an old key sealed. One wake each; the consumer knows which key is current, the database does
-- not.
create or replace function private.wake_rotation() returns int
language sql volatile security definer set search_path = '' as $$
  select kernel.wake('providers_rotate', array(select distinct c.tenant_id from public.connections c))
$$;
