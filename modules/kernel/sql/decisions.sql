-- Decisions: why something happened, was put off or did not happen, in one vocabulary for planning, claiming, routing, failover and
-- approval. items: [{"subject_id","source","verdict","reason","until","detail"}] of the current tenant.
create or replace function kernel.decide(items jsonb) returns int
language sql volatile security definer set search_path = '' as $$
  with ids as (
    -- In the order of the items: decisions of one moment are told in the order in which they were made.
    select u.id, pg_catalog.row_number() over (order by u.id) as n from (select kernel.uuid7() as id
      from pg_catalog.jsonb_array_elements(items)) u
  ), written as (
    insert into public.decisions (tenant_id, id, subject_id, source, verdict, reason, until, detail)
    select kernel.tenant(), i.id, d.subject_id, d.source, d.verdict, d.reason, d.until, coalesce(d.detail, '{}')
    from rows from (pg_catalog.jsonb_to_recordset(items) as (subject_id uuid, source text, verdict text, reason text, until timestamptz,
      detail jsonb))
      with ordinality as d(subject_id, source, verdict, reason, until, detail, n)
    join ids i on i.n = d.n
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
