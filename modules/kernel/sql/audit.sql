drop policy if exists user_writes on public.audit_log;
create policy user_writes on public.audit_log for insert to overture_user
  with check (tenant_id = (select kernel.tenant()) and tenant_id = any(array(select kernel.my_tenants())));

-- Adds to a started act of the current tenant: more detail, and its outcome unless new_state is still 'started'.
create or replace function kernel.audit_settle(act uuid, new_state text, new_error_code text, more jsonb) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  update public.audit_log a
  set state = new_state, error_code = new_error_code, detail = a.detail || more,
      finished_at = case when new_state <> 'started' then kernel.now() end
  where a.tenant_id = (select kernel.tenant()) and a.id = act and a.state = 'started';
  if not found then
    raise exception 'audit row % is not a started act of this tenant', act;
  end if;
end $$;
grant execute on function kernel.audit_settle(uuid, text, text, jsonb) to overture_user, overture_worker;
