-- analytics: daily totals that dashboards read instead of millions of messages, and views for analysts.
-- owner: modules/analytics   breaking: no   locks: short exclusive locks on messages for two triggers

-- Rollup --------------------------------------------------------------------------------------------------------------------
-- A statement that changes messages appends what it changed to analytics_deltas; a schedule folds these into
-- analytics_daily. Writers never meet on a counter row, and a reader adds both up in one snapshot, so numbers are exact.

create table public.analytics_daily (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  day date not null,
  kind text not null check (kind in ('sent', 'delivered', 'opened', 'clicked', 'replied', 'bounced', 'complained', 'unsubscribed', 'failed')),
  -- All zeros: no campaign. No foreign key: what was sent stays sent when the campaign is deleted.
  campaign_id uuid not null default '00000000-0000-0000-0000-000000000000',
  n bigint not null,
  primary key (tenant_id, day, kind, campaign_id)
);
comment on table public.analytics_daily is 'Messages per UTC day, campaign and what became of them; each message counts once per kind, on the day it first happened.';
select kernel.protect('public.analytics_daily', write => null, broadcast => false);

create table public.analytics_deltas (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  day date not null,
  kind text not null,
  campaign_id uuid not null,
  n bigint not null,
  primary key (tenant_id, id)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 2);
comment on table public.analytics_deltas is 'Changes not yet folded into analytics_daily. Empty most of the time.';
select kernel.protect('public.analytics_deltas', write => null, broadcast => false);

-- Counts the moments that a statement set for the first time. Definer: whoever may change messages need not write totals.
create function private.count_messages() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'INSERT' then
    insert into public.analytics_deltas (tenant_id, day, kind, campaign_id, n)
    select c.tenant_id, (x.at at time zone 'UTC')::date, x.kind, coalesce(c.campaign_id, '00000000-0000-0000-0000-000000000000'), pg_catalog.count(*)
    from new_rows c cross join lateral (values
      ('sent', c.sent_at), ('delivered', c.delivered_at), ('opened', c.opened_at), ('clicked', c.clicked_at), ('replied', c.replied_at),
      ('bounced', c.bounced_at), ('complained', c.complained_at), ('unsubscribed', c.unsubscribed_at),
      ('failed', case when c.status = 'failed' then c.updated_at end)) x (kind, at)
    where c.direction = 'out' and x.at is not null
    group by 1, 2, 3, 4;
  else
    insert into public.analytics_deltas (tenant_id, day, kind, campaign_id, n)
    select c.tenant_id, (x.at at time zone 'UTC')::date, x.kind, coalesce(c.campaign_id, '00000000-0000-0000-0000-000000000000'), pg_catalog.count(*)
    from new_rows c join old_rows o on o.tenant_id = c.tenant_id and o.id = c.id
    cross join lateral (values
      ('sent', o.sent_at, c.sent_at), ('delivered', o.delivered_at, c.delivered_at), ('opened', o.opened_at, c.opened_at),
      ('clicked', o.clicked_at, c.clicked_at), ('replied', o.replied_at, c.replied_at), ('bounced', o.bounced_at, c.bounced_at),
      ('complained', o.complained_at, c.complained_at), ('unsubscribed', o.unsubscribed_at, c.unsubscribed_at),
      ('failed', case when o.status = 'failed' then o.updated_at end, case when c.status = 'failed' then c.updated_at end)) x (kind, before, at)
    where c.direction = 'out' and x.before is null and x.at is not null
    group by 1, 2, 3, 4;
  end if;
  return null;
end $$;
create trigger count_inserted after insert on public.messages referencing new table as new_rows
  for each statement execute function private.count_messages();
create trigger count_updated after update on public.messages referencing old table as old_rows new table as new_rows
  for each statement execute function private.count_messages();

-- Moves deltas into the totals, all in one statement. Run by a schedule.
create function private.fold_analytics() returns bigint
language sql volatile security definer set search_path = '' as $$
  with gone as (
    delete from public.analytics_deltas d returning d.tenant_id, d.day, d.kind, d.campaign_id, d.n
  ), folded as (
    insert into public.analytics_daily as a (tenant_id, day, kind, campaign_id, n)
    select g.tenant_id, g.day, g.kind, g.campaign_id, pg_catalog.sum(g.n) from gone g group by 1, 2, 3, 4
    on conflict (tenant_id, day, kind, campaign_id) do update set n = a.n + excluded.n
  )
  select pg_catalog.count(*) from gone
$$;

-- What happened before the triggers stood.
insert into public.analytics_daily (tenant_id, day, kind, campaign_id, n)
select c.tenant_id, (x.at at time zone 'UTC')::date, x.kind, coalesce(c.campaign_id, '00000000-0000-0000-0000-000000000000'), count(*)
from public.messages c cross join lateral (values
  ('sent', c.sent_at), ('delivered', c.delivered_at), ('opened', c.opened_at), ('clicked', c.clicked_at), ('replied', c.replied_at),
  ('bounced', c.bounced_at), ('complained', c.complained_at), ('unsubscribed', c.unsubscribed_at),
  ('failed', case when c.status = 'failed' then c.updated_at end)) x (kind, at)
where c.direction = 'out' and x.at is not null
group by 1, 2, 3, 4;

-- Totals of the current tenant per day and kind, folded and not.
create function private.daily_totals(since date)
returns table (day date, kind text, n bigint)
language sql stable set search_path = '' as $$
  select t.day, t.kind, pg_catalog.sum(t.n)::bigint from (
    select a.day, a.kind, a.n from public.analytics_daily a where a.tenant_id = kernel.tenant() and a.day >= since
    union all
    select d.day, d.kind, d.n from public.analytics_deltas d where d.tenant_id = kernel.tenant() and d.day >= since
  ) t group by 1, 2
$$;
grant execute on function private.daily_totals(date) to overture_user, overture_worker;

-- Analysts ------------------------------------------------------------------------------------------------------------------
-- A login role per analyst, mapped to one tenant by its name. A setting could be forged; the name one logged in with cannot.

do $$
begin
  if not exists (select from pg_roles where rolname = 'overture_analyst') then create role overture_analyst nologin; end if;
end $$;

create table kernel.analysts (
  role_name name primary key,
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  created_at timestamptz not null default pg_catalog.now()
);
comment on table kernel.analysts is 'Which tenant an analyst''s login role may read.';

-- session_user, not current_user: `set role` does not change it.
create function kernel.analyst_tenant() returns uuid
language sql stable security definer set search_path = '' as $$
  select a.tenant_id from kernel.analysts a where a.role_name = session_user
$$;

-- Lets an existing login role read one tenant, read-only and with a time limit. Run as postgres.
create function kernel.add_analyst(role_name name, tenant_id uuid) returns void
language plpgsql volatile set search_path = '' as $$
begin
  if not exists (select from pg_catalog.pg_roles r where r.rolname = add_analyst.role_name and r.rolcanlogin
      and not r.rolsuper and not r.rolbypassrls and not r.rolcreaterole) then
    raise exception 'analysts need a login role of their own without superuser, bypassrls or createrole: create role % login password …', add_analyst.role_name
      using errcode = 'invalid_parameter_value';
  end if;
  execute pg_catalog.format('grant overture_analyst to %I', add_analyst.role_name);
  execute pg_catalog.format('alter role %I set statement_timeout = %L', add_analyst.role_name, '60s');
  execute pg_catalog.format('alter role %I set default_transaction_read_only = on', add_analyst.role_name);
  execute pg_catalog.format('alter role %I set search_path = analytics', add_analyst.role_name);
  insert into kernel.analysts (role_name, tenant_id) values (add_analyst.role_name, add_analyst.tenant_id)
  on conflict on constraint analysts_pkey do update set tenant_id = excluded.tenant_id;
end $$;

-- Invoker views: the analyst's own rights and the policies below decide, never the view owner's.
create view analytics.contacts with (security_invoker = true) as
  select id, email, first_name, last_name, full_name, title, company_id, status, pipeline_stage, warmth_score, time_zone, locale, country, custom, tags,
    consent_source, lawful_basis, last_interaction_at, created_at, updated_at from public.contacts;
create view analytics.campaigns with (security_invoker = true) as
  select id, name, status, tier, sender_id, list_id, segment_id, started_at, finished_at, created_at, updated_at from public.campaigns;
create view analytics.messages with (security_invoker = true) as
  select id, direction, channel, contact_id, campaign_id, step, sender_id, connection_id, status, attempts, from_email, to_email, subject, thread_id,
    error_code, is_auto_reply, sent_at, delivered_at, opened_at, clicked_at, replied_at, bounced_at, complained_at, unsubscribed_at, created_at
  from public.messages;
create view analytics.events with (security_invoker = true) as
  select id, message_id, kind, at, is_bot, detail, created_at from public.message_events;
create view analytics.daily with (security_invoker = true) as
  select day, kind, nullif(campaign_id, '00000000-0000-0000-0000-000000000000') as campaign_id, n from public.analytics_daily;

grant usage on schema analytics, public, kernel to overture_analyst;
grant execute on function kernel.analyst_tenant() to overture_analyst;
grant select on all tables in schema analytics to overture_analyst;
-- The columns of the views and no others: bodies and headers of messages stay with the team.
do $$
declare
  v record;
begin
  for v in
    select * from (values ('contacts', 'contacts'), ('campaigns', 'campaigns'), ('messages', 'messages'), ('events', 'message_events'), ('daily', 'analytics_daily')) as x (view_name, table_name)
  loop
    execute format('grant select (tenant_id, %s) on public.%I to overture_analyst',
      (select string_agg(quote_ident(attname), ', ') from pg_attribute where attrelid = format('analytics.%I', v.view_name)::regclass and attnum > 0), v.table_name);
    execute format('create policy analyst_reads on public.%I for select to overture_analyst using (tenant_id = (select kernel.analyst_tenant()))', v.table_name);
  end loop;
end $$;
