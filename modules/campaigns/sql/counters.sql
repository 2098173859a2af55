-- The counter `enrollments` of each campaign, with the status as bucket. Definer: whoever may change the rows need not write
-- counters. Of a tenant that is being deleted nothing is counted.
create or replace function private.count_enrollments() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'INSERT' then
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select r.tenant_id, 'enrollments', 'campaign', r.campaign_id, r.status, pg_catalog.count(*) from new_rows r group by 1, 4, 5;
  elsif tg_op = 'UPDATE' then
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select x.tenant_id, 'enrollments', 'campaign', x.campaign_id, x.status, pg_catalog.sum(x.sign)
    from (
      select 1 as sign, r.tenant_id, r.campaign_id, r.status from new_rows r
      union all select -1, r.tenant_id, r.campaign_id, r.status from old_rows r
    ) x
    where exists (select from public.tenants t where t.id = x.tenant_id)
    group by 1, 4, 5 having pg_catalog.sum(x.sign) <> 0;
  else
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select r.tenant_id, 'enrollments', 'campaign', r.campaign_id, r.status, -pg_catalog.count(*) from old_rows r
    where exists (select from public.tenants t where t.id = r.tenant_id) group by 1, 4, 5;
  end if;
  return null;
end $$;

create or replace trigger count_insert after insert on public.enrollments referencing new table as new_rows
  for each statement execute function private.count_enrollments();

create or replace trigger count_update after update on public.enrollments referencing old table as old_rows new table as new_rows
  for each statement execute function private.count_enrollments();

create or replace trigger count_delete after delete on public.enrollments referencing old table as old_rows
  for each statement execute function private.count_enrollments();

-- Counts a tenant's enrollments anew; writers wait meanwhile. For rows written with triggers off, and should a count be doubted.
create or replace function private.recount_enrollments(team uuid) returns void
language plpgsql volatile set search_path = '' as $$
begin
  lock table public.enrollments in share row exclusive mode;
  perform kernel.reset_counters(team, array['enrollments']);
  insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
  select r.tenant_id, 'enrollments', 'campaign', r.campaign_id, r.status, pg_catalog.count(*) from public.enrollments r
  where r.tenant_id = team group by 1, 4, 5;
end $$;
