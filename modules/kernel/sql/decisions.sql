-- Decisions: why something happened, was put off or did not happen, in one vocabulary for planning, claiming, routing, failover and approval.
-- items: [{"subject_id","source","verdict","reason","until","detail"}] of the current tenant.
create or replace function kernel.decide(items jsonb) returns int
language sql volatile security definer set search_path = '' as $$
  with written as (
    insert into public.decisions (tenant_id, subject_id, source, verdict, reason, until, detail)
    select kernel.tenant(), d.subject_id, d.source, d.verdict, d.reason, d.until, coalesce(d.detail, '{}')
    from pg_catalog.jsonb_to_recordset(items) as d(subject_id uuid, source text, verdict text, reason text, until timestamptz, detail jsonb)
    where kernel.tenant() is not null
    returning 1
  )
  select pg_catalog.count(*)::int from written
$$;

-- Forgets decisions older than a year, in portions. Run by a schedule.
create or replace function kernel.prune_decisions(keep interval default '1 year', quantity int default 20000) returns int
language sql volatile security definer set search_path = '' as $$
  with gone as (
    delete from public.decisions d where (d.tenant_id, d.id) in (
      select x.tenant_id, x.id from public.decisions x where x.at < kernel.now() - keep order by x.at limit quantity)
    returning 1
  )
  select pg_catalog.count(*)::int from gone
$$;
grant execute on function kernel.decide(jsonb) to overture_user, overture_worker;
