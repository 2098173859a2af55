-- Which sums an entry of the ledger belongs to.
create or replace function private.cost_scopes(at timestamptz, campaign_id uuid, run_id uuid)
returns table (scope text, scope_id uuid, period date)
language sql immutable set search_path = '' as $$
  select s.scope, s.scope_id, s.period from (values
    ('campaign', campaign_id, date '2000-01-01'),
    ('day', uuid '00000000-0000-0000-0000-000000000000', (at at time zone 'UTC')::date),
    ('month', uuid '00000000-0000-0000-0000-000000000000', pg_catalog.date_trunc('month', at at time zone 'UTC')::date),
    ('run', run_id, date '2000-01-01')) s (scope, scope_id, period)
  where s.scope_id is not null
$$;
grant execute on function private.cost_scopes(timestamptz, uuid, uuid) to overture_user, overture_worker;

-- Enters calls that are about to be made, as far as every budget allows, in the order given: the most each may cost is taken from the
-- budgets before the call, so that no race spends more. Returns one row per entry; refused_by names the budget that has no room for it.
-- entries: [{"id","kind","provider","connection_id","contact_id","campaign_id","run_id","micros"}]
create or replace function private.reserve_costs(entries jsonb) returns table (id uuid, refused_by text)
language plpgsql volatile security definer set search_path = '' as $$
declare
  ts timestamptz := kernel.now();
begin
  -- The rows of the sums are the lock, always taken in the same order; what follows reads what the one before wrote.
  insert into public.spending as s (tenant_id, scope, scope_id, period)
  select distinct kernel.tenant(), c.scope, c.scope_id, c.period
  from pg_catalog.jsonb_to_recordset(entries) as e(campaign_id uuid, run_id uuid)
  cross join lateral private.cost_scopes(ts, e.campaign_id, e.run_id) c
  order by c.scope, c.scope_id, c.period
  on conflict do nothing;
  perform from public.spending s
  where s.tenant_id = (select kernel.tenant()) and (s.scope, s.scope_id, s.period) in (
    select c.scope, c.scope_id, c.period
    from pg_catalog.jsonb_to_recordset(entries) as e(campaign_id uuid, run_id uuid)
    cross join lateral private.cost_scopes(ts, e.campaign_id, e.run_id) c)
  order by s.scope, s.scope_id, s.period for update;

  return query
  with wanted as materialized (
    select e.*, t.n from pg_catalog.jsonb_array_elements(entries) with ordinality t (one, n)
    cross join lateral pg_catalog.jsonb_to_record(t.one) as e(id uuid, kind text, provider text, connection_id uuid, contact_id uuid,
      campaign_id uuid, run_id uuid, micros bigint)
  ), verdicts as (
    select w.n, pg_catalog.min(c.scope) filter (where w.micros > 0 and s.micros + c.so_far > b.cap_micros) as refused_by
    from wanted w
    cross join lateral (
      -- What this entry and those before it would take of each sum.
      select x.scope, x.scope_id, x.period, (
        select pg_catalog.sum(p.micros) from wanted p
        where p.n <= w.n and (x.scope in ('day', 'month') or (x.scope = 'run' and p.run_id = x.scope_id)
          or (x.scope = 'campaign' and p.campaign_id = x.scope_id))) as so_far
      from private.cost_scopes(ts, w.campaign_id, w.run_id) x) c
    join public.spending s on s.tenant_id = (select kernel.tenant()) and s.scope = c.scope and s.scope_id = c.scope_id
      and s.period = c.period
    left join public.budgets b on b.tenant_id = (select kernel.tenant()) and b.scope = c.scope and b.scope_id = c.scope_id
    group by w.n
  ), entered as (
    insert into public.costs (tenant_id, id, at, kind, provider, connection_id, contact_id, campaign_id, run_id, reserved_micros,
      amount_micros)
    select kernel.tenant(), w.id, ts, w.kind, w.provider, w.connection_id, w.contact_id, w.campaign_id, w.run_id, w.micros, w.micros
    from wanted w join verdicts v on v.n = w.n where v.refused_by is null
    returning costs.campaign_id, costs.run_id, costs.amount_micros
  ), taken as (
    update public.spending s set micros = s.micros + x.micros
    from (
      select c.scope, c.scope_id, c.period, pg_catalog.sum(e.amount_micros)::bigint as micros
      from entered e cross join lateral private.cost_scopes(ts, e.campaign_id, e.run_id) c group by 1, 2, 3) x
    where s.tenant_id = (select kernel.tenant()) and s.scope = x.scope and s.scope_id = x.scope_id and s.period = x.period
  )
  select w.id, v.refused_by from wanted w join verdicts v on v.n = w.n order by w.n;
end $$;
grant execute on function private.reserve_costs(jsonb) to overture_user, overture_worker;

-- Writes what calls did cost, once each: an entry that is settled stays as it is. Returns how many were.
-- told: [{"id","state","outcome","units","micros","latency_ms","detail"}]
create or replace function private.settle_costs(told jsonb) returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  done int;
begin
  -- The sums first, in the order of private.reserve_costs.
  perform from public.spending s
  where s.tenant_id = (select kernel.tenant()) and (s.scope, s.scope_id, s.period) in (
    select c.scope, c.scope_id, c.period
    from pg_catalog.jsonb_to_recordset(told) as t(id uuid)
    join public.costs k on k.tenant_id = (select kernel.tenant()) and k.id = t.id
    cross join lateral private.cost_scopes(k.at, k.campaign_id, k.run_id) c)
  order by s.scope, s.scope_id, s.period for update;

  with settled as (
    update public.costs k set state = t.state, outcome = t.outcome, units = t.units, amount_micros = t.micros, latency_ms = t.latency_ms,
      detail = pg_catalog.left(coalesce(t.detail, ''), 300), settled_at = kernel.now()
    from pg_catalog.jsonb_to_recordset(told) as t(id uuid, state text, outcome text, units numeric, micros bigint, latency_ms int,
      detail text)
    where k.tenant_id = (select kernel.tenant()) and k.id = t.id and k.state = 'reserved'
    returning k.at, k.campaign_id, k.run_id, k.amount_micros - k.reserved_micros as more
  ), changed as (
    update public.spending s set micros = s.micros + x.more
    from (
      select c.scope, c.scope_id, c.period, pg_catalog.sum(d.more)::bigint as more
      from settled d cross join lateral private.cost_scopes(d.at, d.campaign_id, d.run_id) c
      group by 1, 2, 3 having pg_catalog.sum(d.more) <> 0) x
    where s.tenant_id = (select kernel.tenant()) and s.scope = x.scope and s.scope_id = x.scope_id and s.period = x.period
  )
  select pg_catalog.count(*)::int into done from settled;
  return done;
end $$;
grant execute on function private.settle_costs(jsonb) to overture_user, overture_worker;

-- Enters answers that cost nothing, such as those of the cache.
-- entries: as for private.reserve_costs, with "outcome" and "saved_micros"
create or replace function private.note_free_answers(entries jsonb) returns void
language sql volatile security definer set search_path = '' as $$
  insert into public.costs (tenant_id, kind, state, outcome, provider, connection_id, contact_id, campaign_id, run_id, reserved_micros,
    amount_micros, saved_micros, settled_at)
  select kernel.tenant(), e.kind, 'settled', e.outcome, e.provider, e.connection_id, e.contact_id, e.campaign_id, e.run_id, 0, 0,
    e.saved_micros, kernel.now()
  from pg_catalog.jsonb_to_recordset(entries) as e(kind text, outcome text, provider text, connection_id uuid, contact_id uuid,
    campaign_id uuid, run_id uuid, saved_micros bigint)
$$;
grant execute on function private.note_free_answers(jsonb) to overture_user, overture_worker;

-- Calls whose outcome nobody wrote, because their process died: they may have been charged, so what was reserved stays spent.
create or replace function private.close_lost_costs() returns int
language sql volatile security definer set search_path = '' as $$
  with lost as (
    update public.costs k set state = 'unknown', outcome = 'lost', settled_at = kernel.now()
    where k.state = 'reserved' and k.at < kernel.now() - interval '15 minutes' returning 1)
  select pg_catalog.count(*)::int from lost
$$;

-- The most a run may cost, set with the run by whoever may start one.
create or replace function private.put_run_budget(run uuid, micros bigint) returns void
language sql volatile security definer set search_path = '' as $$
  insert into public.budgets (tenant_id, scope, scope_id, cap_micros) values (kernel.tenant(), 'run', run, micros)
  on conflict (tenant_id, scope, scope_id) do update set cap_micros = excluded.cap_micros, updated_at = kernel.now()
$$;
grant execute on function private.put_run_budget(uuid, bigint) to overture_user, overture_worker;
