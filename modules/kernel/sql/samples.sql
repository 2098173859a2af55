-- samples: [{"kind","name","n","errors","total","buckets":[…]}]. Ordered, so that two processes cannot wait for each other in a circle.
create or replace function kernel.add_samples(samples jsonb) returns void
language sql volatile security definer set search_path = '' as $$
  insert into kernel.samples as s (span, at, kind, name, n, errors, total, buckets)
  select x.span, x.at, e ->> 'kind', e ->> 'name', (e ->> 'n')::bigint, (e ->> 'errors')::bigint, (e ->> 'total')::double precision,
    array(select b.v::bigint from pg_catalog.jsonb_array_elements_text(e -> 'buckets') with ordinality b (v, i) order by b.i)
  from pg_catalog.jsonb_array_elements(samples) e
  cross join lateral (values
    ('minute', pg_catalog.date_trunc('minute', pg_catalog.now())),
    ('hour', pg_catalog.date_trunc('hour', pg_catalog.now() at time zone 'UTC') at time zone 'UTC'),
    ('total', 'epoch'::timestamptz)) x (span, at)
  order by 1, 2, 3, 4
  on conflict (span, at, kind, name) do update set n = s.n + excluded.n, errors = s.errors + excluded.errors,
    total = s.total + excluded.total,
    buckets = array(select coalesce(u.a, 0) + coalesce(u.b, 0) from rows
      from (pg_catalog.unnest(s.buckets), pg_catalog.unnest(excluded.buckets)) with ordinality u (a, b, i) order by u.i)
$$;
grant execute on function kernel.add_samples(jsonb) to overture_worker;

-- Samples since a moment, merged into steps of time. `step` null merges everything into one row per kind and name.
create or replace function kernel.read_samples(of_span text, since timestamptz, step interval)
returns table (at timestamptz, kind text, name text, n bigint, errors bigint, total double precision, buckets bigint[])
language sql stable security definer set search_path = '' as $$
  with picked as materialized (
    select case when step is null then since else pg_catalog.date_bin(step, s.at, since) end as slot, s.kind, s.name, s.n, s.errors,
      s.total, s.buckets
    from kernel.samples s where s.span = of_span and s.at >= since
  ), summed as (
    select p.slot, p.kind, p.name, pg_catalog.sum(p.n)::bigint as n, pg_catalog.sum(p.errors)::bigint as errors,
      pg_catalog.sum(p.total) as total
    from picked p group by 1, 2, 3
  ), counted as (
    select c.slot, c.kind, c.name, pg_catalog.array_agg(c.v order by c.i) as buckets from (
      select p.slot, p.kind, p.name, u.i, pg_catalog.sum(u.v)::bigint as v
      from picked p cross join lateral pg_catalog.unnest(p.buckets) with ordinality u (v, i) group by 1, 2, 3, 4) c
    group by 1, 2, 3
  )
  select a.slot, a.kind, a.name, a.n, a.errors, a.total, c.buckets
  from summed a join counted c on c.slot = a.slot and c.kind = a.kind and c.name = a.name order by 1, 2, 3
$$;
grant execute on function kernel.read_samples(text, timestamp with time zone, interval) to overture_user, overture_worker;
