-- Takes contacts of a run that wait, or whose worker died, for `seconds`. Returns nothing for a run that does not go on.
create or replace function private.claim_enrichment(run uuid, quantity int, seconds int) returns setof uuid
language sql volatile set search_path = '' as $$
  update public.enrichment_items i set state = 'working', attempts = i.attempts + 1,
    lease_until = kernel.now() + pg_catalog.make_interval(secs => seconds)
  where i.tenant_id = (select kernel.tenant()) and i.run_id = run and i.contact_id in (
    select x.contact_id from public.enrichment_items x
    join public.enrichment_runs r on r.tenant_id = (select kernel.tenant()) and r.id = run and r.status in ('preparing', 'running')
    where x.tenant_id = (select kernel.tenant()) and x.run_id = run and x.state <> 'done'
      and (x.state = 'waiting' or x.lease_until < kernel.now())
    order by x.contact_id limit quantity for update of x skip locked)
  returning i.contact_id
$$;
grant execute on function private.claim_enrichment(uuid, int, int) to overture_worker;

-- Ends contacts of a run and counts them, once each: whom another worker took over meanwhile stays as it is.
-- told: [{"contact_id","outcome","reason","filled","missing","cost_micros","saved_micros","calls","cached","attempt"}]; outcome null: they
-- wait again.
create or replace function private.finish_enrichment(run uuid, told jsonb) returns int
language plpgsql volatile set search_path = '' as $$
declare
  n int;
begin
  with ended as (
    update public.enrichment_items i set state = case when t.outcome is null then 'waiting' else 'done' end, outcome = t.outcome,
      reason = t.reason, filled = array(select distinct f from pg_catalog.unnest(i.filled || t.filled) f order by f), missing = t.missing,
      cost_micros = i.cost_micros + t.cost_micros, saved_micros = i.saved_micros + t.saved_micros, lease_until = null,
      finished_at = case when t.outcome is not null then kernel.now() end
    from pg_catalog.jsonb_to_recordset(told) as t(contact_id uuid, outcome text, reason text, filled text[], missing text[],
      cost_micros bigint, saved_micros bigint, calls int, cached int, attempt int)
    where i.tenant_id = (select kernel.tenant()) and i.run_id = run and i.contact_id = t.contact_id and i.state = 'working'
      and i.attempts = t.attempt
    returning i.outcome, pg_catalog.cardinality(t.filled) as filled, t.cost_micros, t.saved_micros, t.calls, t.cached
  ), counted as (
    update public.enrichment_runs r set complete = r.complete + x.complete, partial = r.partial + x.partial,
      nothing = r.nothing + x.nothing,
      failed = r.failed + x.failed, filled = r.filled + x.filled, calls = r.calls + x.calls,
      cached = r.cached + x.cached, cost_micros = r.cost_micros + x.cost, saved_micros = r.saved_micros + x.saved
    from (
      select count(*) filter (where e.outcome = 'complete')::int as complete, count(*) filter (where e.outcome = 'partial')::int as partial,
        count(*) filter (where e.outcome = 'nothing')::int as nothing,
        count(*) filter (where e.outcome = 'failed')::int as failed, coalesce(sum(e.filled), 0)::int as filled,
        coalesce(sum(e.calls), 0)::int as calls, coalesce(sum(e.cached), 0)::int as cached,
        coalesce(sum(e.cost_micros), 0)::bigint as cost, coalesce(sum(e.saved_micros), 0)::bigint as saved
      from ended e) x
    where r.tenant_id = (select kernel.tenant()) and r.id = run
  )
  select count(*)::int into n from ended;
  return n;
end $$;
grant execute on function private.finish_enrichment(uuid, jsonb) to overture_worker;

-- A run is over when nobody of it waits.
create or replace function private.end_enrichment(run uuid) returns boolean
language sql volatile set search_path = '' as $$
  with ended as (
    update public.enrichment_runs r set status = 'done', finished_at = kernel.now()
    where r.tenant_id = (select kernel.tenant()) and r.id = run and r.status = 'running' and not exists (
      select from public.enrichment_items i where i.tenant_id = (select kernel.tenant()) and i.run_id = run and i.state <> 'done')
    returning 1)
  select exists (select from ended)
$$;
grant execute on function private.end_enrichment(uuid) to overture_worker;

-- Answers past their time, in portions.
create or replace function private.prune_enrichment_cache(quantity int default 20000) returns int
language sql volatile security definer set search_path = '' as $$
  with gone as (
    delete from public.enrichment_cache c where (c.tenant_id, c.connection_id, c.kind, c.key) in (
      select x.tenant_id, x.connection_id, x.kind, x.key from public.enrichment_cache x
      where x.expires_at < kernel.now() order by x.expires_at limit quantity)
    returning 1)
  select pg_catalog.count(*)::int from gone
$$;

-- Tenants that want new contacts enriched and have some of the last day in no run yet.
create or replace function private.wake_enriching_new() returns int
language sql volatile security definer set search_path = '' as $$
  select kernel.wake('enrichment_new', array(
    select t.id from public.tenants t
    where t.settings ->> 'enrichment_on_create' = 'true' and exists (
      select from public.contacts c
      where c.tenant_id = t.id and c.created_at > kernel.now() - interval '1 day'
        and c.warmth_score >= coalesce((t.settings ->> 'enrichment_min_score')::int, 0)
        and not exists (select from public.enrichment_items i where i.tenant_id = t.id and i.contact_id = c.id))))
$$;
