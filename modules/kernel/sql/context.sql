-- The tenant this transaction works for, or null. Set only with set_config(..., true): a pooled connection cannot leak it.
create or replace function kernel.tenant() returns uuid
language sql stable parallel safe
return nullif(pg_catalog.current_setting('app.tenant_id', true), '')::uuid;
grant execute on function kernel.tenant() to authenticated, overture_user, overture_worker;
