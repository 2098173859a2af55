-- The current tenant's dead letters per queue, counted up to 10,000. Another team's are none of its business, not even their number.
create or replace function private.dead_letter_counts()
returns table (queue text, dead bigint)
language sql stable security definer set search_path = '' as $$
  select q.name, c.n from kernel.queues q cross join lateral (
    select pg_catalog.count(*) as n from (
      select from kernel.dead_letters d where d.tenant_id = kernel.tenant() and d.queue = q.name limit 10000) x) c
  where c.n > 0
$$;
grant execute on function private.dead_letter_counts() to overture_user, overture_worker;
