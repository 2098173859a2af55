-- What counts of an outgoing message; messages that agree in it are added up before anything is counted. Neither this function nor
-- the next has a set clause, so that the planner takes them into their callers.
create or replace function private.counted(m public.messages) returns private.counted_message
language sql stable
begin atomic
  select row(m.tenant_id, m.campaign_id, m.step_id,
    -- On its way, whether claimed or not: a claim changes no counter.
    case when m.status in ('queued', 'held', 'sending') then 'queued' when m.status in ('failed', 'unknown') then m.status end,
    pg_catalog.date_trunc('hour', m.sent_at, 'UTC'), pg_catalog.date_trunc('hour', m.delivered_at, 'UTC'),
    pg_catalog.date_trunc('hour', m.opened_at, 'UTC'), pg_catalog.date_trunc('hour', m.clicked_at, 'UTC'),
    pg_catalog.date_trunc('hour', m.replied_at, 'UTC'), pg_catalog.date_trunc('hour', m.bounced_at, 'UTC'),
    pg_catalog.date_trunc('hour', m.complained_at, 'UTC'), pg_catalog.date_trunc('hour', m.unsubscribed_at, 'UTC'),
    -- No column says when a message failed, and updated_at moves on.
    case when m.status = 'failed' then pg_catalog.date_trunc('hour', m.created_at, 'UTC') end)::private.counted_message;
end;

-- The counters of such a message, all of its campaign: `step_<outcome>` with the step as bucket (empty without one),
-- `hourly_<outcome>` of the last two days and `daily_<outcome>` with the UTC hour or day as bucket. Without a campaign only days
-- are counted, under zeros.
create or replace function private.message_counters(m private.counted_message)
returns table (metric text, scope_id uuid, bucket text)
language sql stable
begin atomic
  select c.metric, coalesce(m.campaign_id, '00000000-0000-0000-0000-000000000000'), c.bucket
  from (values ('sent', m.sent), ('delivered', m.delivered), ('opened', m.opened), ('clicked', m.clicked), ('replied', m.replied),
    ('bounced', m.bounced), ('complained', m.complained), ('unsubscribed', m.unsubscribed), (m.state, m.failed)) o (outcome, at)
  cross join lateral (values
    ('step_' || o.outcome, case when m.campaign_id is not null then coalesce(m.step_id::text, '') end),
    ('hourly_' || o.outcome, case when m.campaign_id is not null and o.outcome in ('sent', 'delivered', 'opened', 'clicked', 'replied',
      'bounced') and o.at >= (select kernel.now()) - interval '2 days'
      then pg_catalog.to_char(o.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24') end),
    ('daily_' || o.outcome, pg_catalog.to_char(o.at at time zone 'UTC', 'YYYY-MM-DD'))) c (metric, bucket)
  where (o.at is not null or o.outcome = m.state) and c.bucket is not null;
end;

-- All counters of messages, in one pass per statement. Definer: whoever may change messages need not write counters. Of a tenant that
-- is being deleted nothing is counted.
create or replace function private.count_messages() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'INSERT' then
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select (g.counted).tenant_id, c.metric, 'campaign', c.scope_id, c.bucket, pg_catalog.sum(g.n)
    from (select private.counted(r) as counted, pg_catalog.count(*) as n from new_rows r where r.direction = 'out' group by 1) g
    cross join lateral private.message_counters(g.counted) c
    group by 1, 2, 4, 5;
  elsif tg_op = 'UPDATE' then
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select (g.counted).tenant_id, c.metric, 'campaign', c.scope_id, c.bucket, pg_catalog.sum(g.n)
    from (
      select x.counted, pg_catalog.sum(x.sign) as n
      from (
        select 1 as sign, private.counted(r) as counted from new_rows r where r.direction = 'out'
        union all select -1, private.counted(r) from old_rows r where r.direction = 'out'
      ) x group by 1 having pg_catalog.sum(x.sign) <> 0
    ) g cross join lateral private.message_counters(g.counted) c
    where exists (select from public.tenants t where t.id = (g.counted).tenant_id)
    group by 1, 2, 4, 5 having pg_catalog.sum(g.n) <> 0;
  else
    insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
    select (g.counted).tenant_id, c.metric, 'campaign', c.scope_id, c.bucket, -pg_catalog.sum(g.n)
    from (select private.counted(r) as counted, pg_catalog.count(*) as n from old_rows r where r.direction = 'out' group by 1) g
    cross join lateral private.message_counters(g.counted) c
    where exists (select from public.tenants t where t.id = (g.counted).tenant_id)
    group by 1, 2, 4, 5;
  end if;
  return null;
end $$;

create or replace trigger count_insert after insert on public.messages referencing new table as new_rows
  for each statement execute function private.count_messages();

create or replace trigger count_update after update on public.messages referencing old table as old_rows new table as new_rows
  for each statement execute function private.count_messages();

create or replace trigger count_delete after delete on public.messages referencing old table as old_rows
  for each statement execute function private.count_messages();

-- Counts a tenant's messages anew; writers wait meanwhile. For rows written with triggers off, and should a count be doubted.
create or replace function private.recount_messages(team uuid) returns void
language plpgsql volatile set search_path = '' as $$
begin
  lock table public.messages in share row exclusive mode;
  perform kernel.reset_counters(team, array['step\_%', 'hourly\_%', 'daily\_%']);
  insert into public.counter_deltas (tenant_id, metric, scope, scope_id, bucket, n)
  select team, c.metric, 'campaign', c.scope_id, c.bucket, pg_catalog.sum(g.n)
  from (select private.counted(r) as counted, pg_catalog.count(*) as n from public.messages r
    where r.tenant_id = team and r.direction = 'out' group by 1) g
  cross join lateral private.message_counters(g.counted) c
  group by c.metric, c.scope_id, c.bucket;
end $$;
