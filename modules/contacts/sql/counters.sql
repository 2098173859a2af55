-- Counters of contacts: `list_contacts` per list, and `tagged_contacts` of the tenant with the tag as bucket. Definer: whoever may
-- change the rows need not write counters. Of a tenant that is being deleted nothing is counted.
create or replace function private.count_list_contacts() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op <> 'DELETE' then
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select r.tenant_id, 'list_contacts', 'list', r.list_id, '', pg_catalog.count(*) from new_rows r
    where exists (select from public.tenants t where t.id = r.tenant_id) group by 1, 4;
  end if;
  if tg_op <> 'INSERT' then
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select r.tenant_id, 'list_contacts', 'list', r.list_id, '', -pg_catalog.count(*) from old_rows r
    where exists (select from public.tenants t where t.id = r.tenant_id) group by 1, 4;
  end if;
  return null;
end $$;

create or replace trigger count_insert after insert on public.list_contacts referencing new table as new_rows
  for each statement execute function private.count_list_contacts();

create or replace trigger count_update after update on public.list_contacts referencing old table as old_rows new table as new_rows
  for each statement execute function private.count_list_contacts();

create or replace trigger count_delete after delete on public.list_contacts referencing old table as old_rows
  for each statement execute function private.count_list_contacts();

-- The tags that contacts with these tags are counted for, each once. No set clause, so that the planner takes it into its callers.
create or replace function private.counted_tags(tags text[]) returns setof text
language sql immutable
begin atomic
  select distinct t.tag from pg_catalog.unnest(tags) t (tag);
end;

-- Rows with the same tags are added up first, so that an update of other columns is told apart before any tag is looked at.
create or replace function private.count_contact_tags() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'INSERT' then
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select g.tenant_id, 'tagged_contacts', 'tenant', g.tenant_id, t.tag, pg_catalog.sum(g.n)
    from (select r.tenant_id, r.tags, pg_catalog.count(*) as n from new_rows r group by 1, 2) g
    cross join lateral private.counted_tags(g.tags) t (tag)
    group by 1, 5;
  elsif tg_op = 'UPDATE' then
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select g.tenant_id, 'tagged_contacts', 'tenant', g.tenant_id, t.tag, pg_catalog.sum(g.n)
    from (
      select x.tenant_id, x.tags, pg_catalog.sum(x.sign) as n
      from (select 1 as sign, r.tenant_id, r.tags from new_rows r union all select -1, r.tenant_id, r.tags from old_rows r) x
      group by 1, 2 having pg_catalog.sum(x.sign) <> 0
    ) g cross join lateral private.counted_tags(g.tags) t (tag)
    where exists (select from public.tenants a where a.id = g.tenant_id)
    group by 1, 5 having pg_catalog.sum(g.n) <> 0;
  else
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select g.tenant_id, 'tagged_contacts', 'tenant', g.tenant_id, t.tag, -pg_catalog.sum(g.n)
    from (select r.tenant_id, r.tags, pg_catalog.count(*) as n from old_rows r group by 1, 2) g
    cross join lateral private.counted_tags(g.tags) t (tag)
    where exists (select from public.tenants a where a.id = g.tenant_id)
    group by 1, 5;
  end if;
  return null;
end $$;

create or replace trigger count_insert after insert on public.contacts referencing new table as new_rows
  for each statement execute function private.count_contact_tags();

create or replace trigger count_update after update on public.contacts referencing old table as old_rows new table as new_rows
  for each statement execute function private.count_contact_tags();

create or replace trigger count_delete after delete on public.contacts referencing old table as old_rows
  for each statement execute function private.count_contact_tags();

-- Counts a tenant's lists and tags anew; writers wait meanwhile. For rows written with triggers off, and should a count be doubted.
create or replace function private.recount_contacts(team uuid) returns void
language plpgsql volatile set search_path = '' as $$
begin
  lock table public.contacts, public.list_contacts in share row exclusive mode;
  perform kernel.reset_counters(team, array['list\_contacts', 'tagged\_contacts']);
  insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
  select r.tenant_id, 'list_contacts', 'list', r.list_id, '', pg_catalog.count(*) from public.list_contacts r
  where r.tenant_id = team group by 1, 4;
  insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
  select team, 'tagged_contacts', 'tenant', team, t.tag, pg_catalog.sum(g.n)
  from (select r.tags, pg_catalog.count(*) as n from public.contacts r where r.tenant_id = team group by 1) g
  cross join lateral private.counted_tags(g.tags) t (tag)
  group by t.tag;
end $$;
