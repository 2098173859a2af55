-- A login role per analyst, mapped to one tenant by its name. A setting could be forged; the name one logged in with cannot.
-- session_user, not current_user: `set role` does not change it.
create or replace function kernel.analyst_tenant() returns uuid
language sql stable security definer set search_path = '' as $$
  select a.tenant_id from kernel.analysts a where a.role_name = session_user
$$;
grant execute on function kernel.analyst_tenant() to overture_analytics;

-- Lets an existing login role read one tenant, read-only and with a time limit. Run as postgres.
create or replace function kernel.add_analyst(role_name name, tenant_id uuid) returns void
language plpgsql volatile set search_path = '' as $$
begin
  if not exists (select from pg_catalog.pg_roles r where r.rolname = add_analyst.role_name and r.rolcanlogin
      and not r.rolsuper and not r.rolbypassrls and not r.rolcreaterole) then
    raise exception 'analysts need a login role of their own without superuser, bypassrls or createrole: create role % login password …',
      add_analyst.role_name using errcode = 'invalid_parameter_value';
  end if;
  execute pg_catalog.format('grant overture_analyst to %I', add_analyst.role_name);
  execute pg_catalog.format('alter role %I set statement_timeout = %L', add_analyst.role_name, '60s');
  execute pg_catalog.format('alter role %I set default_transaction_read_only = on', add_analyst.role_name);
  execute pg_catalog.format('alter role %I set search_path = analytics', add_analyst.role_name);
  insert into kernel.analysts (role_name, tenant_id) values (add_analyst.role_name, add_analyst.tenant_id)
  on conflict on constraint analysts_pkey do update set tenant_id = excluded.tenant_id;
end $$;

-- What analysts read. The planner lets `=` and `<` look into statistics that are made of all tenants' rows, and EXPLAIN cannot be
-- forbidden to a login: so analysts name no table, only views of functions, whose estimate is a constant and into which no part of
-- a query reaches (docs/adr/0004-no-plans-over-rest.md). The functions belong to overture_analytics (see below), whose policies and
-- columns decide: bodies and headers of messages stay with the team. debug_print_plan would print their own statement's estimates.
create or replace function private.analyst_contacts()
returns table (
  id uuid, email text, first_name text, last_name text, full_name text, title text, company_id uuid, status text,
  pipeline_stage text, warmth_score int, time_zone text, locale text, country text, custom jsonb, tags text[], consent_source text,
  lawful_basis text, last_interaction_at timestamptz, created_at timestamptz, updated_at timestamptz)
language plpgsql stable security definer set search_path = '' set debug_print_plan = off rows 10000 as $$
begin
  return query
  select c.id, c.email, c.first_name, c.last_name, c.full_name, c.title, c.company_id, c.status, c.pipeline_stage, c.warmth_score,
    c.time_zone, c.locale, c.country, c.custom, c.tags, c.consent_source, c.lawful_basis, c.last_interaction_at, c.created_at,
    c.updated_at
  from public.contacts c;
end $$;
grant execute on function private.analyst_contacts() to overture_analyst;
grant select (
  tenant_id, id, email, first_name, last_name, full_name, title, company_id, status, pipeline_stage, warmth_score, time_zone,
  locale, country, custom, tags, consent_source, lawful_basis, last_interaction_at, created_at, updated_at)
  on public.contacts to overture_analytics;

create or replace view analytics.contacts with (security_invoker = true) as select * from private.analyst_contacts();
grant select on analytics.contacts to overture_analyst;

drop policy if exists analyst_reads on public.contacts;
create policy analyst_reads on public.contacts for select to overture_analytics using (tenant_id = (select kernel.analyst_tenant()));

create or replace function private.analyst_campaigns()
returns table (
  id uuid, name text, status text, tier text, version_id uuid, list_id uuid, segment_id uuid, started_at timestamptz,
  finished_at timestamptz, created_at timestamptz, updated_at timestamptz)
language plpgsql stable security definer set search_path = '' set debug_print_plan = off rows 10000 as $$
begin
  return query
  select c.id, c.name, c.status, c.tier, c.version_id, c.list_id, c.segment_id, c.started_at, c.finished_at, c.created_at, c.updated_at
  from public.campaigns c;
end $$;
grant execute on function private.analyst_campaigns() to overture_analyst;
grant select (
  tenant_id, id, name, status, tier, version_id, list_id, segment_id, started_at, finished_at, created_at, updated_at)
  on public.campaigns to overture_analytics;

create or replace view analytics.campaigns with (security_invoker = true) as select * from private.analyst_campaigns();
grant select on analytics.campaigns to overture_analyst;

drop policy if exists analyst_reads on public.campaigns;
create policy analyst_reads on public.campaigns for select to overture_analytics using (tenant_id = (select kernel.analyst_tenant()));

create or replace function private.analyst_messages()
returns table (
  id uuid, direction text, channel text, contact_id uuid, campaign_id uuid, enrollment_id uuid, step_id uuid, action text,
  sender_id uuid, connection_id uuid, status text, attempts int, from_address text, to_address text, subject text, thread_id uuid,
  error_code text, is_auto_reply boolean, sent_at timestamptz, delivered_at timestamptz, opened_at timestamptz,
  clicked_at timestamptz, replied_at timestamptz, bounced_at timestamptz, complained_at timestamptz, unsubscribed_at timestamptz,
  created_at timestamptz)
language plpgsql stable security definer set search_path = '' set debug_print_plan = off rows 10000 as $$
begin
  return query
  select m.id, m.direction, m.channel, m.contact_id, m.campaign_id, m.enrollment_id, m.step_id, m.action, m.sender_id, m.connection_id,
    m.status, m.attempts, m.from_address, m.to_address, m.subject, m.thread_id, m.error_code, m.is_auto_reply, m.sent_at,
    m.delivered_at, m.opened_at, m.clicked_at, m.replied_at, m.bounced_at, m.complained_at, m.unsubscribed_at, m.created_at
  from public.messages m;
end $$;
grant execute on function private.analyst_messages() to overture_analyst;
grant select (
  tenant_id, id, direction, channel, contact_id, campaign_id, enrollment_id, step_id, action, sender_id, connection_id, status,
  attempts, from_address, to_address, subject, thread_id, error_code, is_auto_reply, sent_at, delivered_at, opened_at, clicked_at,
  replied_at, bounced_at, complained_at, unsubscribed_at, created_at)
  on public.messages to overture_analytics;

create or replace view analytics.messages with (security_invoker = true) as select * from private.analyst_messages();
grant select on analytics.messages to overture_analyst;

drop policy if exists analyst_reads on public.messages;
create policy analyst_reads on public.messages for select to overture_analytics using (tenant_id = (select kernel.analyst_tenant()));

create or replace function private.analyst_events()
returns table (
  id uuid, message_id uuid, kind text, at timestamptz, is_bot boolean, detail jsonb, created_at timestamptz)
language plpgsql stable security definer set search_path = '' set debug_print_plan = off rows 10000 as $$
begin
  return query
  select e.id, e.message_id, e.kind, e.at, e.is_bot, e.detail, e.created_at
  from public.message_events e
  union all
  -- What was sent is no row among the events: it stands on the message.
  select m.id, m.id, 'sent', m.sent_at, false, '{}'::jsonb, m.sent_at
  from public.messages m where m.direction = 'out' and m.sent_at is not null;
end $$;
grant execute on function private.analyst_events() to overture_analyst;
grant select (
  tenant_id, id, message_id, kind, at, is_bot, detail, created_at)
  on public.message_events to overture_analytics;

create or replace view analytics.events with (security_invoker = true) as select * from private.analyst_events();
grant select on analytics.events to overture_analyst;

drop policy if exists analyst_reads on public.message_events;
create policy analyst_reads on public.message_events for select to overture_analytics using (tenant_id = (select kernel.analyst_tenant()));

-- Of the counters an analyst sees the days alone; the zeros of what was sent without a campaign read as null.
create or replace function private.analyst_daily() returns table (day date, kind text, campaign_id uuid, n bigint)
language plpgsql stable security definer set search_path = '' set debug_print_plan = off rows 10000 as $$
begin
  return query
  select c.bucket::date, pg_catalog.substr(c.metric, 7), nullif(c.scope_id, '00000000-0000-0000-0000-000000000000'), c.n
  from public.counters c where c.metric like 'daily\_%' and c.scope = 'campaign';
end $$;
grant execute on function private.analyst_daily() to overture_analyst;
grant select (tenant_id, metric, scope, scope_id, bucket, n) on public.counters to overture_analytics;

create or replace view analytics.daily with (security_invoker = true) as select * from private.analyst_daily();
grant select on analytics.daily to overture_analyst;

drop policy if exists analyst_reads on public.counters;
create policy analyst_reads on public.counters for select to overture_analytics using (tenant_id = (select kernel.analyst_tenant()));

-- With their maker's rights the functions would see every team's rows, because `postgres` bypasses policies. To own a function a role
-- must be allowed to create in its schema, and is so for this moment only.
do $$
declare
  fn regprocedure;
begin
  grant create on schema private to overture_analytics;
  for fn in
    select p.oid from pg_catalog.pg_proc p where p.pronamespace = 'private'::regnamespace and p.proname like 'analyst\_%'
      and p.proowner <> 'overture_analytics'::regrole
  loop
    execute pg_catalog.format('alter function %s owner to overture_analytics', fn);
  end loop;
  revoke create on schema private from overture_analytics;
end $$;
