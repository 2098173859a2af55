-- operations: what a team may see of the installation's queues.
-- owner: modules/operations   breaking: no   locks: none (new objects only)

-- The current tenant's dead letters per queue. Another team's are none of its business, not even their number.
create function private.dead_letter_counts()
returns table (queue text, dead bigint)
language sql stable security definer set search_path = '' as $$
  select d.queue, pg_catalog.count(*) from kernel.dead_letters d where d.tenant_id = kernel.tenant() group by d.queue
$$;
grant execute on function private.dead_letter_counts() to overture_user, overture_worker;
