drop policy if exists user_writes on public.audit_log;
create policy user_writes on public.audit_log for insert to overture_user
  with check (tenant_id = (select kernel.tenant()) and tenant_id = any(array(select kernel.my_tenants())));
