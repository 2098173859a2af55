-- Counts the moments that a statement set for the first time. Definer: whoever may change messages need not write totals.
create or replace function private.count_messages() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'INSERT' then
    insert into public.analytics_deltas (tenant_id, day, kind, campaign_id, n)
    select c.tenant_id, (x.at at time zone 'UTC')::date, x.kind, coalesce(c.campaign_id, '00000000-0000-0000-0000-000000000000'),
      pg_catalog.count(*)
    from new_rows c cross join lateral (values
      ('sent', c.sent_at), ('delivered', c.delivered_at), ('opened', c.opened_at), ('clicked', c.clicked_at), ('replied', c.replied_at),
      ('bounced', c.bounced_at), ('complained', c.complained_at), ('unsubscribed', c.unsubscribed_at),
      ('failed', case when c.status = 'failed' then c.updated_at end)) x (kind, at)
    where c.direction = 'out' and x.at is not null
      and (c.status = 'failed' or coalesce(c.sent_at, c.delivered_at, c.opened_at, c.clicked_at, c.replied_at, c.bounced_at,
        c.complained_at, c.unsubscribed_at) is not null)
    group by 1, 2, 3, 4;
  else
    insert into public.analytics_deltas (tenant_id, day, kind, campaign_id, n)
    select c.tenant_id, (x.at at time zone 'UTC')::date, x.kind, coalesce(c.campaign_id, '00000000-0000-0000-0000-000000000000'),
      pg_catalog.count(*)
    from new_rows c join old_rows o on o.tenant_id = c.tenant_id and o.id = c.id
    cross join lateral (values
      ('sent', o.sent_at, c.sent_at), ('delivered', o.delivered_at, c.delivered_at), ('opened', o.opened_at, c.opened_at),
      ('clicked', o.clicked_at, c.clicked_at), ('replied', o.replied_at, c.replied_at), ('bounced', o.bounced_at, c.bounced_at),
      ('complained', o.complained_at, c.complained_at), ('unsubscribed', o.unsubscribed_at, c.unsubscribed_at),
      ('failed', case when o.status = 'failed' then o.updated_at end, case when c.status = 'failed' then c.updated_at end)) x (kind,
        before, at)
    where c.direction = 'out' and x.before is null and x.at is not null
      -- Most updates (a claim, a retry) set no moment: told apart before the moments are.
      and (c.status = 'failed' or (o.sent_at, o.delivered_at, o.opened_at, o.clicked_at, o.replied_at, o.bounced_at, o.complained_at,
        o.unsubscribed_at)
        is distinct from (c.sent_at, c.delivered_at, c.opened_at, c.clicked_at, c.replied_at, c.bounced_at, c.complained_at,
          c.unsubscribed_at))
    group by 1, 2, 3, 4;
  end if;
  return null;
end $$;

create or replace trigger count_inserted after insert on public.messages referencing new table as new_rows
  for each statement execute function private.count_messages();

create or replace trigger count_updated after update on public.messages referencing old table as old_rows new table as new_rows
  for each statement execute function private.count_messages();

-- Moves deltas into the totals, all in one statement. Run by a schedule. What another transaction holds is for the next run.
create or replace function private.fold_analytics() returns bigint
language sql volatile security definer set search_path = '' as $$
  with gone as (
    delete from public.analytics_deltas d where d.ctid = any(array(select x.ctid from public.analytics_deltas x for update skip locked))
    returning d.tenant_id, d.day, d.kind, d.campaign_id, d.n
  ), folded as (
    insert into public.analytics_daily as a (tenant_id, day, kind, campaign_id, n)
    select g.tenant_id, g.day, g.kind, g.campaign_id, pg_catalog.sum(g.n) from gone g group by 1, 2, 3, 4
    on conflict (tenant_id, day, kind, campaign_id) do update set n = a.n + excluded.n
  )
  select pg_catalog.count(*) from gone
$$;

-- Totals of the current tenant per day and kind, folded and not.
create or replace function private.daily_totals(since date)
returns table (day date, kind text, n bigint)
language sql stable set search_path = '' as $$
  select t.day, t.kind, pg_catalog.sum(t.n)::bigint from (
    select a.day, a.kind, a.n from public.analytics_daily a where a.tenant_id = kernel.tenant() and a.day >= since
    union all
    select d.day, d.kind, d.n from public.analytics_deltas d where d.tenant_id = kernel.tenant() and d.day >= since
  ) t group by 1, 2
$$;
grant execute on function private.daily_totals(date) to overture_user, overture_worker;

-- Totals of one campaign of the current tenant per UTC day and kind, folded and not.
create or replace function private.daily_totals_of(campaign uuid, since date) returns table (day date, kind text, n bigint)
language sql stable set search_path = '' as $$
  select t.day, t.kind, pg_catalog.sum(t.n)::bigint from (
    select a.day, a.kind, a.n from public.analytics_daily a where a.tenant_id = kernel.tenant() and a.campaign_id = campaign
      and a.day >= since
    union all
    select d.day, d.kind, d.n from public.analytics_deltas d where d.tenant_id = kernel.tenant() and d.campaign_id = campaign
      and d.day >= since
  ) t group by 1, 2
$$;
grant execute on function private.daily_totals_of(uuid, date) to overture_user, overture_worker;
