-- Moves deltas into the counters, all in one statement. Run by a schedule. What another transaction holds, and what belongs to a
-- tenant that somebody is deleting, is for the next run: the reference from counters to tenants would wait for both.
create or replace function kernel.fold_counters() returns bigint
language sql volatile security definer set search_path = '' as $$
  with alive as materialized (
    select t.id from public.tenants t where t.id in (select d.tenant_id from public.counter_deltas d) for key share skip locked
  ), gone as (
    delete from public.counter_deltas d
    where d.ctid = any(array(select x.ctid from public.counter_deltas x where x.tenant_id in (select a.id from alive a)
      for update skip locked))
    returning d.tenant_id, d.metric, d.scope, d.scope_id, d.bucket, d.n
  ), folded as (
    insert into public.counters as c (tenant_id, metric, scope, scope_id, bucket, n)
    select g.tenant_id, g.metric, g.scope, g.scope_id, g.bucket, pg_catalog.sum(g.n) from gone g group by 1, 2, 3, 4, 5
      having pg_catalog.sum(g.n) <> 0
    on conflict (tenant_id, metric, scope, scope_id, bucket) do update set n = c.n + excluded.n
  )
  select pg_catalog.count(*) from gone
$$;

-- Forgets what counted down to nothing, and hours nobody asks for any more. What a deleted row was counted for, its own module's
-- triggers count down, so scope ids that nobody has any more need no rule here. Run by a schedule.
create or replace function kernel.prune_counters() returns bigint
language sql volatile security definer set search_path = '' as $$
  with gone as (
    delete from public.counters c
    where c.n = 0 or c.metric like 'hourly\_%'
      and c.bucket < pg_catalog.to_char((kernel.now() - interval '3 days') at time zone 'UTC', 'YYYY-MM-DD"T"HH24')
    returning 1
  )
  select pg_catalog.count(*) from gone
$$;

-- What the current tenant's counters say of these scope ids, folded and not, in one snapshot; of days and hours those from `since` on.
create or replace function kernel.counts(metrics text[], scope text, scope_ids uuid[], since text default '')
returns table (metric text, scope_id uuid, bucket text, n bigint)
language sql stable set search_path = '' as $$
  select x.metric, x.scope_id, x.bucket, pg_catalog.sum(x.n)::bigint from (
    select c.metric, c.scope_id, c.bucket, c.n from public.counters c
    where c.tenant_id = (select kernel.tenant()) and c.metric = any(counts.metrics) and c.scope = counts.scope
      and c.scope_id = any(counts.scope_ids) and c.bucket >= counts.since
    union all
    select d.metric, d.scope_id, d.bucket, d.n from public.counter_deltas d
    where d.tenant_id = (select kernel.tenant()) and d.metric = any(counts.metrics) and d.scope = counts.scope
      and d.scope_id = any(counts.scope_ids) and d.bucket >= counts.since
  ) x group by 1, 2, 3 having pg_catalog.sum(x.n) <> 0
$$;
grant execute on function kernel.counts(text[], text, uuid[], text) to overture_user, overture_worker;

-- The same over all scope ids: a dashboard's days.
create or replace function kernel.counts_since(metrics text[], scope text, since text)
returns table (metric text, bucket text, n bigint)
language sql stable set search_path = '' as $$
  select x.metric, x.bucket, pg_catalog.sum(x.n)::bigint from (
    select c.metric, c.bucket, c.n from public.counters c
    where c.tenant_id = (select kernel.tenant()) and c.metric = any(counts_since.metrics) and c.scope = counts_since.scope
      and c.bucket >= counts_since.since
    union all
    select d.metric, d.bucket, d.n from public.counter_deltas d
    where d.tenant_id = (select kernel.tenant()) and d.metric = any(counts_since.metrics) and d.scope = counts_since.scope
      and d.bucket >= counts_since.since
  ) x group by 1, 2 having pg_catalog.sum(x.n) <> 0
$$;
grant execute on function kernel.counts_since(text[], text, text) to overture_user, overture_worker;

-- Forgets a tenant's counters of some metrics (patterns as of LIKE), before a module counts its rows anew. The caller locks the
-- counted tables first. Deltas before counters: what a fold moves meanwhile is then found in the counters.
create or replace function kernel.reset_counters(team uuid, patterns text[]) returns void
language sql volatile set search_path = '' as $$
  delete from public.counter_deltas d where d.tenant_id = team and d.metric like any(patterns);
  delete from public.counters c where c.tenant_id = team and c.metric like any(patterns);
$$;
