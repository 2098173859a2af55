-- The team that runs the installation: named by the setting operator_tenant, which the claim writes. Null where nobody claimed it.
create or replace function private.operator_tenant() returns uuid
language sql stable security definer set search_path = '' as $$
  select t.id from public.tenants t where t.id::text = (select s.value #>> '{}' from kernel.settings s where s.key = 'operator_tenant')
$$;

-- A threshold: what kernel.settings 'alerts' says, else the default.
create or replace function private.alert_limit(name text, fallback double precision) returns double precision
language sql stable security definer set search_path = '' as $$
  select coalesce((select (s.value ->> alert_limit.name)::double precision from kernel.settings s where s.key = 'alerts'), fallback)
$$;

-- What the teams should know. Campaigns that run are few; everything else is read through an index and stops at a bound.
create or replace function private.team_findings() returns setof private.alert_finding
language sql stable security definer set search_path = '' as $$
  with recursive dead as (
    -- From one (team, queue) to the next along the index, however many letters each has.
    (select d.tenant_id, d.queue from kernel.dead_letters d where d.tenant_id is not null order by d.tenant_id, d.queue limit 1)
    union all
    select n.tenant_id, n.queue from dead l cross join lateral (
      select d.tenant_id, d.queue from kernel.dead_letters d where (d.tenant_id, d.queue) > (l.tenant_id, l.queue) order by d.tenant_id,
        d.queue limit 1) n
  ), patience as (select private.alert_limit('campaign_stalled_minutes', 15) as minutes),
  running as (
    select k.tenant_id, k.id, k.name, pg_catalog.make_interval(secs => p.minutes * 60) as patience, p.minutes
    from public.campaigns k cross join patience p where k.status = 'running' and private.in_window(k.settings, kernel.now())
  ), writers as (
    -- Who can send in them now, and what. A limit that is used up is no stall: it goes on when its period is over.
    select r.tenant_id, r.id as campaign_id, s.id as sender_id, a.action
    from running r
    join public.campaign_senders w on w.tenant_id = r.tenant_id and w.campaign_id = r.id
    join public.senders s on s.tenant_id = r.tenant_id and s.id = w.sender_id and s.status = 'active'
    join public.connections c on c.tenant_id = r.tenant_id and c.id = coalesce(w.connection_id, s.connection_id) and c.status = 'active'
    cross join lateral (select distinct n.action from public.sequence_versions v
      join public.sequence_nodes n on n.tenant_id = v.tenant_id and n.version_id = v.id
      where v.tenant_id = r.tenant_id and v.campaign_id = r.id and pg_catalog.split_part(n.action, '.', 1) = s.channel) a
    where not exists (select from public.sender_limits l
      left join public.sender_usage u on u.tenant_id = l.tenant_id and u.sender_id = l.sender_id and u.action = l.action
      cross join lateral (select kernel.now() at time zone s.time_zone as at) t
      where l.tenant_id = r.tenant_id and l.sender_id = s.id and l.action = a.action and l.cap <= case
        when l.per = 'hour' and u.hour = pg_catalog.date_trunc('hour', kernel.now()) then u.hour_reserved
        when l.per = 'day' and u.day = t.at::date then u.day_reserved
        when l.per = 'week' and u.week = pg_catalog.date_trunc('week', t.at)::date then u.week_reserved
        else 0 end)
  )
  select r.tenant_id, 'campaign_stalled', r.id::text, 'team', 'critical',
    pg_catalog.format('%s is running and has work due, but nothing was sent for %s minutes.', r.name, r.minutes), '/campaigns/' || r.id,
      r.minutes, r.minutes,
    (r.minutes * 60)::int
  from running r
  -- Asked by campaign, action and sender, as their indexes are sorted: who waits for another sender's limit is not read through. As values,
  -- not as `exists`, which the planner may turn into a join that reads whole tables.
  where (coalesce((select true from writers w
      join public.messages m on m.tenant_id = r.tenant_id and m.sender_id = w.sender_id and m.action = w.action
        and m.campaign_id = r.id and m.status = 'queued' and m.due_at < kernel.now() - interval '2 minutes'
      where w.tenant_id = r.tenant_id and w.campaign_id = r.id limit 1), false)
    or coalesce((select true from public.enrollments e
      where e.tenant_id = r.tenant_id and e.campaign_id = r.id and e.action is null and e.sender_id is null
        and e.status = 'waiting' and e.next_at < kernel.now() - interval '2 minutes' limit 1), false)
    or coalesce((select true from writers w
      join public.enrollments e on e.tenant_id = r.tenant_id and e.campaign_id = r.id and e.action = w.action
        and e.sender_id is null and e.status = 'waiting' and e.next_at < kernel.now() - interval '2 minutes'
      where w.tenant_id = r.tenant_id and w.campaign_id = r.id limit 1), false)
    or coalesce((select true from writers w
      join public.enrollments e on e.tenant_id = r.tenant_id and e.campaign_id = r.id and e.action = w.action
        and e.sender_id = w.sender_id and e.status = 'waiting' and e.next_at < kernel.now() - interval '2 minutes'
      where w.tenant_id = r.tenant_id and w.campaign_id = r.id limit 1), false))
    and not coalesce((select true from public.messages m
      where m.tenant_id = r.tenant_id and m.sent_at > kernel.now() - r.patience and m.campaign_id = r.id limit 1), false)
  union all
  select d.tenant_id, 'dead_letters', d.queue, 'team', 'warning',
    pg_catalog.format('%s%s %s of the queue %s failed permanently.', case when c.n > 1000 then 'More than ' end, least(c.n, 1000),
      case when c.n = 1 then 'message' else 'messages' end, d.queue),
    '/queues?tab=dead&queue=' || d.queue, least(c.n, 1000), 0, 0
  from dead d join public.tenants t on t.id = d.tenant_id
  cross join lateral (select pg_catalog.count(*) as n from (
    select from kernel.dead_letters x where x.tenant_id = d.tenant_id and x.queue = d.queue limit 1001) y) c
  union all
  -- Only those that were to be decided by now and are told of: few, in an index of their own.
  select a.tenant_id, 'approvals_overdue', '', 'team', 'warning',
    pg_catalog.format('%s %s longer for approval than the workspace allows.', pg_catalog.count(*),
      case when pg_catalog.count(*) = 1 then 'message waits' else 'messages wait' end), '/approvals', pg_catalog.count(*), 0, 0
  from public.approvals a where a.state = 'pending' and a.escalated_at is not null group by a.tenant_id
$$;

-- What the operators should know. Burn rates as in Google's SRE workbook: the short window says that it still goes on.
create or replace function private.installation_findings() returns setof private.alert_finding
language sql stable security definer set search_path = '' as $$
  with operator as (select private.operator_tenant() as id),
  http as (
    select s.at, s.n, s.errors, s.n - (select coalesce(pg_catalog.sum(u.v), 0) from pg_catalog.unnest(s.buckets) with ordinality u (v, i)
      where u.i <= 8) as slow
    from kernel.samples s where s.span = 'minute' and s.kind = 'http' and s.at >= pg_catalog.now() - interval '6 hours'
  ), rates as (
    select w.name, w.factor, w.severity, w.said,
      coalesce(pg_catalog.sum(h.errors) filter (where h.at >= pg_catalog.now() - w.long), 0) as errors,
      coalesce(pg_catalog.sum(h.errors) filter (where h.at >= pg_catalog.now() - w.long)
        / nullif(pg_catalog.sum(h.n) filter (where h.at >= pg_catalog.now() - w.long), 0), 0) as long_rate,
      coalesce(pg_catalog.sum(h.errors) filter (where h.at >= pg_catalog.now() - w.short)
        / nullif(pg_catalog.sum(h.n) filter (where h.at >= pg_catalog.now() - w.short), 0), 0) as short_rate
    from (values ('fast', 14.4, 'critical', interval '1 hour', interval '5 minutes', 'hour'),
        ('slow', 6, 'warning', interval '6 hours', interval '30 minutes', '6 hours'))
      w (name, factor, severity, long, short, said) cross join http h
    group by w.name, w.factor, w.severity, w.said
  ), budget as (select private.alert_limit('error_budget', 0.001) as share)
  select o.id, 'queue_late', l.queue, 'installation', case when l.lag_seconds > 3 * x.most then 'critical' else 'warning' end,
    pg_catalog.format('No worker reads the queue %s: its oldest message has been ready for %s minutes.', l.queue,
      pg_catalog.ceil(l.lag_seconds / 60)), '/queues', l.lag_seconds, x.most, 60
  from operator o cross join (select private.alert_limit('queue_lag_seconds', 300) as most) x cross join kernel.queue_lags() l
    where l.lag_seconds > x.most
  union all
  select o.id, 'queue_deep', m.queue, 'installation', 'warning', pg_catalog.format('%s messages wait in the queue %s.', m.visible,
    m.queue), '/queues', m.visible, x.most, 300
  from operator o cross join (select private.alert_limit('queue_depth', 50000) as most) x cross join kernel.queue_metrics() m
    where m.visible > x.most
  union all
  select o.id, 'schedule_late', h.name, 'installation', 'critical',
    pg_catalog.format('The schedule %s is late: more than three runs were missed.', h.name), '/queues?tab=schedules',
    h.lag_seconds, 0, 60
  from operator o cross join kernel.schedule_health() h where h.late and h.name <> 'operations.alerts'
  union all
  select o.id, 'schedule_failing', h.name, 'installation', 'warning', pg_catalog.format('The schedule %s fails: %s', h.name,
    pg_catalog.left(h.last_error, 300)), '/queues?tab=schedules', 1, 0, 120
  from operator o cross join kernel.schedule_health() h where h.last_error is not null
  union all
  select o.id, 'error_rate', r.name, 'installation', r.severity,
    pg_catalog.format('%s %% of the requests of the last %s failed; the objective allows %s %%.',
      pg_catalog.round(r.long_rate * 100, 2), r.said, b.share * 100), '/queues?tab=service', r.long_rate, b.share * r.factor, 0
  from operator o cross join rates r cross join budget b where r.errors >= 10 and r.long_rate > b.share * r.factor
    and r.short_rate > b.share * r.factor
  union all
  -- The eighth bucket ends at 0.5 s.
  select o.id, 'latency', '', 'installation', 'warning',
    pg_catalog.format('%s %% of the requests of the last 15 minutes took more than half a second.',
      pg_catalog.round(100 * l.slow / l.n, 1)),
    '/queues?tab=service', l.slow / l.n, 0.05, 120
  from operator o cross join (select pg_catalog.sum(h.n) as n, pg_catalog.sum(h.slow) as slow from http h
    where h.at >= pg_catalog.now() - interval '15 minutes') l
  where l.n >= 100 and l.slow / l.n > 0.05
  union all
  select o.id, 'backup_late', '', 'installation', 'critical',
    pg_catalog.format('The last backup is %s hours old, although one is planned every %s hours.', pg_catalog.round(b.age_seconds / 3600),
      pg_catalog.round(b.every_seconds / 3600)),
    null, b.age_seconds, 2 * b.every_seconds, 60
  from operator o cross join kernel.backup_age() b where b.age_seconds > 2 * b.every_seconds
  union all
  select o.id, 'connections', '', 'installation', case when c.used > 0.95 * c.allowed then 'critical' else 'warning' end,
    pg_catalog.format('%s of the database''s %s connections are in use.', c.used, c.allowed), '/queues?tab=service',
      c.used::double precision / c.allowed, x.most, 60
  from operator o cross join kernel.connection_use() c cross join (select private.alert_limit('connection_share', 0.8) as most) x
    where c.used > x.most * c.allowed
$$;

-- One look at everything: conditions become rows, rows that held long enough open, rows whose condition is gone close. Each opening
-- and each closing is announced once, in the same transaction. Returns how many rows changed their state.
create or replace function private.evaluate_alerts() returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  found private.alert_finding[];
  ts timestamptz := pg_catalog.now();
  changed jsonb[];
begin
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('operations.alerts', 0));
  found := array(select f from private.team_findings() f union all select f from private.installation_findings() f
    where f.tenant_id is not null);

  insert into public.alerts (tenant_id, kind, subject, scope, severity, summary, href, value, threshold, created_at)
  select f.tenant_id, f.kind, f.subject, f.scope, f.severity, f.summary, f.href, f.value, f.threshold, ts from pg_catalog.unnest(found) f
  on conflict (tenant_id, kind, subject) where status <> 'resolved' do nothing;

  -- A changed number alone would announce every open alert every minute; a tenth more or less is news.
  update public.alerts a set severity = f.severity, summary = f.summary, value = f.value, threshold = f.threshold, href = f.href,
    clear_since = null
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
    update public.alerts a set clear_since = coalesce(a.clear_since, ts),
      status = case when a.clear_since <= ts - interval '2 minutes' then 'resolved' else 'open' end,
      resolved_at = case when a.clear_since <= ts - interval '2 minutes' then ts end
    where a.status = 'open' and (a.clear_since is null or a.clear_since <= ts - interval '2 minutes') and not exists (
      select from pg_catalog.unnest(found) f where a.tenant_id = f.tenant_id and a.kind = f.kind and a.subject = f.subject)
    returning a.tenant_id, a.id, a.status
  )
  select pg_catalog.array_agg(pg_catalog.jsonb_build_object('tenant_id', x.tenant_id, 'alert_id', x.id, 'event', x.event))
  into changed from (
    select o.tenant_id, o.id, 'opened' as event from opened o
    union all
    select c.tenant_id, c.id, 'resolved' from clear c where c.status = 'resolved') x;

  if changed is null then return 0; end if;
  perform kernel.enqueue('operations_notify', changed);
  return pg_catalog.cardinality(changed);
end $$;

-- Forgets alerts that were resolved more than ninety days ago, in portions. Run by a schedule.
create or replace function private.prune_alerts() returns void
language sql volatile security definer set search_path = '' as $$
  delete from public.alerts a where a.ctid = any(array(
    select x.ctid from public.alerts x where x.status = 'resolved' and x.resolved_at < pg_catalog.now() - interval '90 days' limit 10000));
$$;

-- Open alerts of the whole installation by severity, for the metrics: numbers only.
create or replace function private.alert_counts() returns table (severity text, open bigint)
language sql stable security definer set search_path = '' as $$
  select s.severity, (select pg_catalog.count(*) from public.alerts a where a.status = 'open' and a.severity = s.severity)
  from (values ('warning'), ('critical')) s (severity)
$$;
grant execute on function private.alert_counts() to overture_worker;
