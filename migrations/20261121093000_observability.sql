-- observability: service-level samples that outlive processes, and alerts that open and close by themselves.
-- owner: modules/operations   breaking: no   locks: none (new objects only)

-- Samples -------------------------------------------------------------------------------------------------------------------
-- Each process adds what it measured, a few rows per statement; rows of one minute merge, so their number depends on the
-- minutes and the names, never on the requests. Buckets are counts, so percentiles can be merged too.

create table kernel.samples (
  span text not null check (span in ('minute', 'hour', 'total')),
  at timestamptz not null,
  -- http: seconds per route group. query: seconds per database round trip. pool: share of the pool in use.
  kind text not null check (kind in ('http', 'query', 'pool')),
  name text not null check (length(name) <= 60),
  n bigint not null,
  errors bigint not null,
  total double precision not null,
  buckets bigint[] not null,
  primary key (span, at, kind, name)
) with (fillfactor = 70);
comment on table kernel.samples is 'What the processes measured, per minute (2 days), per hour (40 days) and ever. Merged over processes.';

-- samples: [{"kind","name","n","errors","total","buckets":[…]}]. Ordered, so that two processes cannot wait for each other in a circle.
create function kernel.add_samples(samples jsonb) returns void
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
  on conflict (span, at, kind, name) do update set n = s.n + excluded.n, errors = s.errors + excluded.errors, total = s.total + excluded.total,
    buckets = array(select coalesce(u.a, 0) + coalesce(u.b, 0) from rows from (pg_catalog.unnest(s.buckets), pg_catalog.unnest(excluded.buckets)) with ordinality u (a, b, i) order by u.i)
$$;

-- Samples since a moment, merged into steps of time. `step` null merges everything into one row per kind and name.
create function kernel.read_samples(of_span text, since timestamptz, step interval)
returns table (at timestamptz, kind text, name text, n bigint, errors bigint, total double precision, buckets bigint[])
language sql stable security definer set search_path = '' as $$
  with picked as materialized (
    select case when step is null then since else pg_catalog.date_bin(step, s.at, since) end as slot, s.kind, s.name, s.n, s.errors, s.total, s.buckets
    from kernel.samples s where s.span = of_span and s.at >= since
  ), summed as (
    select p.slot, p.kind, p.name, pg_catalog.sum(p.n)::bigint as n, pg_catalog.sum(p.errors)::bigint as errors, pg_catalog.sum(p.total) as total
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

-- How many connections the server has open, and how many it allows.
create function kernel.connection_use() returns table (used int, allowed int)
language sql stable security definer set search_path = '' as $$
  select (select pg_catalog.count(*)::int from pg_catalog.pg_stat_activity a where a.backend_type = 'client backend'),
    pg_catalog.current_setting('max_connections')::int
$$;

-- Since when the first message that could be taken has not been taken. Unlike its age this is zero while a message waits for a retry.
create function kernel.queue_lags() returns table (queue text, lag_seconds double precision)
language plpgsql stable security definer set search_path = '' as $$
begin
  for queue in select q.name from kernel.queues q order by q.name loop
    execute pg_catalog.format('select coalesce(extract(epoch from pg_catalog.clock_timestamp() - (select q.vt from pgmq.q_%s q order by q.vt limit 1)), 0)', queue) into lag_seconds;
    lag_seconds := greatest(lag_seconds, 0);
    return next;
  end loop;
end $$;

-- Seconds since each schedule began last, or since it was registered: one that never ran must not look as if there were none.
create function kernel.schedule_lags() returns table (name text, lag_seconds double precision)
language sql stable security definer set search_path = '' as $$
  select s.name, extract(epoch from pg_catalog.now() - coalesce(s.last_started_at, s.registered_at))::double precision from kernel.schedules s order by s.name
$$;

-- How old the newest scheduled backup is (or its plan, where there is none yet) and how often one is planned; nothing where none is.
create function kernel.backup_age() returns table (age_seconds double precision, every_seconds double precision)
language sql stable security definer set search_path = '' as $$
  select extract(epoch from pg_catalog.now() - coalesce(s.value ->> 'last_at', s.value ->> 'planned_at')::timestamptz)::double precision,
    (s.value ->> 'every_seconds')::double precision
  from kernel.settings s where s.key = 'backup'
$$;

-- Alerts --------------------------------------------------------------------------------------------------------------------
-- An alert is a row from the moment its condition is first seen: pending until it held long enough, open until it was gone
-- for long enough, resolved from then on. One row per (team, kind, subject) at a time.

create table public.alerts (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  kind text not null,
  -- What it is about: a queue, a schedule, a campaign's id. Empty where the kind says it all.
  subject text not null default '',
  -- installation: about what all teams share; a row of the team that operates it.
  scope text not null check (scope in ('team', 'installation')),
  severity text not null check (severity in ('warning', 'critical')),
  summary text not null,
  href text,
  value double precision not null,
  threshold double precision not null,
  status text not null default 'pending' check (status in ('pending', 'open', 'resolved')),
  -- The wall clock: whether somebody must get up knows no rehearsal.
  created_at timestamptz not null default pg_catalog.now(),
  opened_at timestamptz,
  clear_since timestamptz,
  resolved_at timestamptz,
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  check ((status = 'pending') = (opened_at is null)),
  check ((status = 'resolved') = (resolved_at is not null))
);
comment on table public.alerts is 'What needs a person now, and what did. Written by private.evaluate_alerts() alone.';
create unique index alerts_current on public.alerts (tenant_id, kind, subject) where status <> 'resolved';
create index alerts_by_status on public.alerts (tenant_id, status, id desc);
create index alerts_old on public.alerts (resolved_at) where status = 'resolved';
select kernel.protect('public.alerts', write => null);

select kernel.create_queue('operations_notify');

-- The team that runs the installation: named by the setting operator_tenant, else the first one, which took the claim link.
create function private.operator_tenant() returns uuid
language sql stable security definer set search_path = '' as $$
  select coalesce(
    (select t.id from public.tenants t where t.id::text = (select s.value #>> '{}' from kernel.settings s where s.key = 'operator_tenant')),
    (select t.id from public.tenants t order by t.created_at, t.id limit 1))
$$;

-- A threshold: what kernel.settings 'alerts' says, else the default.
create function private.alert_limit(name text, fallback double precision) returns double precision
language sql stable security definer set search_path = '' as $$
  select coalesce((select (s.value ->> alert_limit.name)::double precision from kernel.settings s where s.key = 'alerts'), fallback)
$$;

create type private.alert_finding as (tenant_id uuid, kind text, subject text, scope text, severity text, summary text, href text,
  value double precision, threshold double precision, for_seconds int);

-- What the teams should know. Campaigns that run are few; everything else is read through an index and stops at a bound.
create function private.team_findings() returns setof private.alert_finding
language sql stable security definer set search_path = '' as $$
  with recursive dead as (
    -- From one (team, queue) to the next along the index, however many letters each has.
    (select d.tenant_id, d.queue from kernel.dead_letters d where d.tenant_id is not null order by d.tenant_id, d.queue limit 1)
    union all
    select n.tenant_id, n.queue from dead l cross join lateral (
      select d.tenant_id, d.queue from kernel.dead_letters d where (d.tenant_id, d.queue) > (l.tenant_id, l.queue) order by d.tenant_id, d.queue limit 1) n
  ), patience as (select private.alert_limit('campaign_stalled_minutes', 15) as minutes),
  running as (
    select k.tenant_id, k.id, k.name, pg_catalog.make_interval(secs => p.minutes * 60) as patience, p.minutes
    from public.campaigns k cross join patience p
    join public.senders s on s.tenant_id = k.tenant_id and s.id = k.sender_id and s.status = 'active'
    join public.connections c on c.tenant_id = k.tenant_id and c.id = coalesce(k.connection_id, s.connection_id) and c.status = 'active'
    where k.status = 'running' and private.in_window(k.settings, kernel.now())
      -- A spent daily cap is no stall: it goes on tomorrow.
      and not exists (select from public.sender_usage u where u.tenant_id = s.tenant_id and u.sender_id = s.id
        and u.day = (kernel.now() at time zone s.time_zone)::date and u.reserved >= s.daily_cap)
  )
  select r.tenant_id, 'campaign_stalled', r.id::text, 'team', 'critical',
    pg_catalog.format('%s is running and has work due, but nothing was sent for %s minutes.', r.name, r.minutes), '/campaigns/' || r.id, r.minutes, r.minutes,
    (r.minutes * 60)::int
  from running r
  where (exists (select from public.messages m where m.tenant_id = r.tenant_id and m.campaign_id = r.id and m.status = 'queued' and m.due_at < kernel.now() - interval '2 minutes')
      or exists (select from public.enrollments e where e.tenant_id = r.tenant_id and e.campaign_id = r.id and e.status = 'waiting' and e.next_at < kernel.now() - interval '2 minutes'))
    and not exists (select from public.messages m where m.tenant_id = r.tenant_id and m.sent_at > kernel.now() - r.patience and m.campaign_id = r.id)
  union all
  select d.tenant_id, 'dead_letters', d.queue, 'team', 'warning',
    pg_catalog.format('%s%s %s of %s failed for good.', case when c.n > 1000 then 'More than ' end, least(c.n, 1000), case when c.n = 1 then 'job' else 'jobs' end, d.queue),
    '/queues?tab=dead&queue=' || d.queue, least(c.n, 1000), 0, 0
  from dead d join public.tenants t on t.id = d.tenant_id
  cross join lateral (select pg_catalog.count(*) as n from (
    select from kernel.dead_letters x where x.tenant_id = d.tenant_id and x.queue = d.queue limit 1001) y) c
$$;

-- What the operators should know. Burn rates as in Google's SRE workbook: the short window says that it still goes on.
create function private.installation_findings() returns setof private.alert_finding
language sql stable security definer set search_path = '' as $$
  with operator as (select private.operator_tenant() as id),
  http as (
    select s.at, s.n, s.errors, s.n - (select coalesce(pg_catalog.sum(u.v), 0) from pg_catalog.unnest(s.buckets) with ordinality u (v, i) where u.i <= 8) as slow
    from kernel.samples s where s.span = 'minute' and s.kind = 'http' and s.at >= pg_catalog.now() - interval '6 hours'
  ), rates as (
    select w.name, w.factor, w.severity, w.said,
      coalesce(pg_catalog.sum(h.errors) filter (where h.at >= pg_catalog.now() - w.long), 0) as errors,
      coalesce(pg_catalog.sum(h.errors) filter (where h.at >= pg_catalog.now() - w.long) / nullif(pg_catalog.sum(h.n) filter (where h.at >= pg_catalog.now() - w.long), 0), 0) as long_rate,
      coalesce(pg_catalog.sum(h.errors) filter (where h.at >= pg_catalog.now() - w.short) / nullif(pg_catalog.sum(h.n) filter (where h.at >= pg_catalog.now() - w.short), 0), 0) as short_rate
    from (values ('fast', 14.4, 'critical', interval '1 hour', interval '5 minutes', 'hour'), ('slow', 6, 'warning', interval '6 hours', interval '30 minutes', '6 hours'))
      w (name, factor, severity, long, short, said) cross join http h
    group by w.name, w.factor, w.severity, w.said
  ), budget as (select private.alert_limit('error_budget', 0.001) as share)
  select o.id, 'queue_late', l.queue, 'installation', case when l.lag_seconds > 3 * x.most then 'critical' else 'warning' end,
    pg_catalog.format('Nobody takes from the queue %s: its first message has been ready for %s minutes.', l.queue, pg_catalog.ceil(l.lag_seconds / 60)), '/queues', l.lag_seconds, x.most, 60
  from operator o cross join (select private.alert_limit('queue_lag_seconds', 300) as most) x cross join kernel.queue_lags() l where l.lag_seconds > x.most
  union all
  select o.id, 'queue_deep', m.queue, 'installation', 'warning', pg_catalog.format('%s messages wait in the queue %s.', m.visible, m.queue), '/queues', m.visible, x.most, 300
  from operator o cross join (select private.alert_limit('queue_depth', 50000) as most) x cross join kernel.queue_metrics() m where m.visible > x.most
  union all
  select o.id, 'schedule_late', h.name, 'installation', 'critical', pg_catalog.format('The schedule %s is late: more than three runs are missing.', h.name), '/queues?tab=schedules',
    coalesce(h.lag_seconds, 0), 0, 60
  from operator o cross join kernel.schedule_health() h where h.late and h.name <> 'operations.alerts'
  union all
  select o.id, 'schedule_failing', h.name, 'installation', 'warning', pg_catalog.format('The schedule %s fails: %s', h.name, pg_catalog.left(h.last_error, 300)), '/queues?tab=schedules', 1, 0, 120
  from operator o cross join kernel.schedule_health() h where h.last_error is not null
  union all
  select o.id, 'error_rate', r.name, 'installation', r.severity,
    pg_catalog.format('%s %% of the requests of the last %s failed; %s %% is what the objective allows.', pg_catalog.round(r.long_rate * 100, 2), r.said, b.share * 100), '/queues?tab=service', r.long_rate, b.share * r.factor, 0
  from operator o cross join rates r cross join budget b where r.errors >= 10 and r.long_rate > b.share * r.factor and r.short_rate > b.share * r.factor
  union all
  -- The eighth bucket ends at 0.5 s.
  select o.id, 'latency', '', 'installation', 'warning', pg_catalog.format('%s %% of the requests of the last 15 minutes took more than half a second.', pg_catalog.round(100 * l.slow / l.n, 1)),
    '/queues?tab=service', l.slow / l.n, 0.05, 120
  from operator o cross join (select pg_catalog.sum(h.n) as n, pg_catalog.sum(h.slow) as slow from http h where h.at >= pg_catalog.now() - interval '15 minutes') l
  where l.n >= 100 and l.slow / l.n > 0.05
  union all
  select o.id, 'backup_late', '', 'installation', 'critical',
    pg_catalog.format('The last backup is %s hours old, although one is planned every %s hours.', pg_catalog.round(b.age_seconds / 3600), pg_catalog.round(b.every_seconds / 3600)),
    null, b.age_seconds, 2 * b.every_seconds, 60
  from operator o cross join kernel.backup_age() b where b.age_seconds > 2 * b.every_seconds
  union all
  select o.id, 'connections', '', 'installation', case when c.used > 0.95 * c.allowed then 'critical' else 'warning' end,
    pg_catalog.format('%s of the database''s %s connections are in use.', c.used, c.allowed), '/queues?tab=service', c.used::double precision / c.allowed, x.most, 60
  from operator o cross join kernel.connection_use() c cross join (select private.alert_limit('connection_share', 0.8) as most) x where c.used > x.most * c.allowed
$$;

-- One look at everything: conditions become rows, rows that held long enough open, rows whose condition is gone close. Each opening
-- and each closing is announced once, in the same transaction. Returns how many rows changed their state.
create function private.evaluate_alerts() returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  found private.alert_finding[];
  ts timestamptz := pg_catalog.now();
  changed jsonb[];
begin
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('operations.alerts', 0));
  found := array(select f from private.team_findings() f union all select f from private.installation_findings() f where f.tenant_id is not null);

  insert into public.alerts (tenant_id, kind, subject, scope, severity, summary, href, value, threshold, created_at)
  select f.tenant_id, f.kind, f.subject, f.scope, f.severity, f.summary, f.href, f.value, f.threshold, ts from pg_catalog.unnest(found) f
  on conflict (tenant_id, kind, subject) where status <> 'resolved' do nothing;

  -- A changed number alone would announce every open alert every minute; a tenth more or less is news.
  update public.alerts a set severity = f.severity, summary = f.summary, value = f.value, threshold = f.threshold, href = f.href, clear_since = null
  from pg_catalog.unnest(found) f
  where a.tenant_id = f.tenant_id and a.kind = f.kind and a.subject = f.subject and a.status <> 'resolved'
    and (a.clear_since is not null or a.severity <> f.severity or pg_catalog.abs(a.value - f.value) > 0.1 * pg_catalog.abs(a.value));

  with opened as (
    update public.alerts a set status = 'open', opened_at = ts
    from pg_catalog.unnest(found) f
    where a.tenant_id = f.tenant_id and a.kind = f.kind and a.subject = f.subject and a.status = 'pending'
      and a.created_at <= ts - pg_catalog.make_interval(secs => f.for_seconds)
    returning a.tenant_id, a.id
  ), dropped as (
    delete from public.alerts a where a.status = 'pending' and not exists (
      select from pg_catalog.unnest(found) f where a.tenant_id = f.tenant_id and a.kind = f.kind and a.subject = f.subject)
  ), clear as (
    -- Gone for two minutes, or it may only be between two looks.
    update public.alerts a set clear_since = coalesce(a.clear_since, ts), status = case when a.clear_since <= ts - interval '2 minutes' then 'resolved' else 'open' end,
      resolved_at = case when a.clear_since <= ts - interval '2 minutes' then ts end
    where a.status = 'open' and (a.clear_since is null or a.clear_since <= ts - interval '2 minutes') and not exists (
      select from pg_catalog.unnest(found) f where a.tenant_id = f.tenant_id and a.kind = f.kind and a.subject = f.subject)
    returning a.tenant_id, a.id, a.status
  )
  select pg_catalog.array_agg(pg_catalog.jsonb_build_object('tenant_id', x.tenant_id, 'alert_id', x.id, 'event', x.event)) into changed from (
    select o.tenant_id, o.id, 'opened' as event from opened o
    union all
    select c.tenant_id, c.id, 'resolved' from clear c where c.status = 'resolved') x;

  if changed is null then return 0; end if;
  perform kernel.enqueue('operations_notify', changed);
  return pg_catalog.cardinality(changed);
end $$;

-- Minutes for two days, hours for forty, resolved alerts for ninety. Run by a schedule.
create function private.prune_operations() returns void
language sql volatile security definer set search_path = '' as $$
  delete from kernel.samples s where s.span = 'minute' and s.at < pg_catalog.now() - interval '2 days';
  delete from kernel.samples s where s.span = 'hour' and s.at < pg_catalog.now() - interval '40 days';
  delete from public.alerts a where a.ctid = any(array(
    select x.ctid from public.alerts x where x.status = 'resolved' and x.resolved_at < pg_catalog.now() - interval '90 days' limit 10000));
$$;

-- Open alerts of the whole installation by severity, for the metrics: numbers only.
create function private.alert_counts() returns table (severity text, open bigint)
language sql stable security definer set search_path = '' as $$
  select s.severity, (select pg_catalog.count(*) from public.alerts a where a.status = 'open' and a.severity = s.severity)
  from (values ('warning'), ('critical')) s (severity)
$$;

grant execute on function kernel.read_samples(text, timestamptz, interval), kernel.connection_use(), kernel.queue_lags(), kernel.schedule_lags(), kernel.backup_age() to overture_user, overture_worker;
grant execute on function kernel.add_samples(jsonb), private.alert_counts() to overture_worker;
