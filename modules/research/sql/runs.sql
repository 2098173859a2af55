-- Takes companies of a run that wait, or whose worker died, for `seconds`. Returns nothing for a run that does not go on.
create or replace function private.claim_research(run uuid, quantity int, seconds int) returns table (company_id uuid, attempt int)
language sql volatile set search_path = '' as $$
  update public.research_items i set state = 'working', attempts = i.attempts + 1,
    lease_until = kernel.now() + pg_catalog.make_interval(secs => seconds)
  where i.tenant_id = (select kernel.tenant()) and i.run_id = run and i.company_id in (
    select x.company_id from public.research_items x
    join public.research_runs r on r.tenant_id = (select kernel.tenant()) and r.id = run and r.status in ('preparing', 'running')
    where x.tenant_id = (select kernel.tenant()) and x.run_id = run and x.state <> 'done'
      and (x.state = 'waiting' or x.lease_until < kernel.now())
    order by x.company_id limit quantity for update of x skip locked)
  returning i.company_id, i.attempts
$$;
grant execute on function private.claim_research(uuid, int, int) to overture_worker;

-- Ends a company of a run and counts it, once: what another worker took over meanwhile stays as it is.
-- told: {"company_id","outcome","reason","pages","findings","cost_micros","attempt"}; outcome null: it waits again.
create or replace function private.finish_research(run uuid, told jsonb) returns boolean
language plpgsql volatile set search_path = '' as $$
declare
  t record;
  n int;
begin
  select * into t from pg_catalog.jsonb_to_record(told)
    as x(company_id uuid, outcome text, reason text, pages int, findings int, cost_micros bigint, attempt int);
  update public.research_items i set state = case when t.outcome is null then 'waiting' else 'done' end, outcome = t.outcome,
    reason = t.reason, pages = i.pages + t.pages, findings = i.findings + t.findings, cost_micros = i.cost_micros + t.cost_micros,
    lease_until = null, finished_at = case when t.outcome is not null then kernel.now() end
  where i.tenant_id = (select kernel.tenant()) and i.run_id = run and i.company_id = t.company_id and i.state = 'working'
    and i.attempts = t.attempt;
  get diagnostics n = row_count;
  if n = 0 then
    return false;
  end if;
  update public.research_runs r set found = r.found + (t.outcome is not distinct from 'found')::int,
    nothing = r.nothing + (t.outcome is not distinct from 'nothing')::int,
    skipped = r.skipped + (t.outcome is not distinct from 'skipped')::int,
    waits = r.waits + (t.outcome is not distinct from 'waits')::int,
    failed = r.failed + (t.outcome is not distinct from 'failed')::int,
    findings = r.findings + t.findings, pages = r.pages + t.pages, cost_micros = r.cost_micros + t.cost_micros
  where r.tenant_id = (select kernel.tenant()) and r.id = run;
  return true;
end $$;
grant execute on function private.finish_research(uuid, jsonb) to overture_worker;

-- A run is over when no company of it waits.
create or replace function private.end_research(run uuid) returns boolean
language sql volatile set search_path = '' as $$
  with ended as (
    update public.research_runs r set status = 'done', finished_at = kernel.now()
    where r.tenant_id = (select kernel.tenant()) and r.id = run and r.status = 'running' and not exists (
      select from public.research_items i where i.tenant_id = (select kernel.tenant()) and i.run_id = run and i.state <> 'done')
    returning 1)
  select exists (select from ended)
$$;
grant execute on function private.end_research(uuid) to overture_worker;
