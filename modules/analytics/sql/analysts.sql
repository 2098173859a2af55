-- A login role per analyst, mapped to one tenant by its name. A setting could be forged; the name one logged in with cannot.
-- session_user, not current_user: `set role` does not change it.
create or replace function kernel.analyst_tenant() returns uuid
language sql stable security definer set search_path = '' as $$
  select a.tenant_id from kernel.analysts a where a.role_name = session_user
$$;
grant execute on function kernel.analyst_tenant() to overture_analyst;

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

-- Invoker views: the analyst's own rights and the policies below decide, never the view owner's. Granted are the columns of the
-- views and no others: bodies and headers of messages stay with the team.
create or replace view analytics.contacts with (security_invoker = true) as
  select id, email, first_name, last_name, full_name, title, company_id, status, pipeline_stage, warmth_score, time_zone, locale, country,
    custom, tags,
    consent_source, lawful_basis, last_interaction_at, created_at, updated_at from public.contacts;
grant select on analytics.contacts to overture_analyst;
grant select (tenant_id, id, email, first_name, last_name, full_name, title, company_id, status, pipeline_stage, warmth_score, time_zone,
  locale, country, custom, tags, consent_source, lawful_basis, last_interaction_at, created_at, updated_at)
    on public.contacts to overture_analyst;

drop policy if exists analyst_reads on public.contacts;
create policy analyst_reads on public.contacts for select to overture_analyst using (tenant_id = (select kernel.analyst_tenant()));

create or replace view analytics.campaigns with (security_invoker = true) as
  select id, name, status, tier, version_id, list_id, segment_id, started_at, finished_at, created_at, updated_at from public.campaigns;
grant select on analytics.campaigns to overture_analyst;
grant select (tenant_id, id, name, status, tier, version_id, list_id, segment_id, started_at, finished_at, created_at, updated_at)
  on public.campaigns to overture_analyst;

drop policy if exists analyst_reads on public.campaigns;
create policy analyst_reads on public.campaigns for select to overture_analyst using (tenant_id = (select kernel.analyst_tenant()));

create or replace view analytics.messages with (security_invoker = true) as
  select id, direction, channel, contact_id, campaign_id, enrollment_id, step_id, action, sender_id, connection_id, status, attempts,
    from_address, to_address, subject, thread_id, error_code, is_auto_reply, sent_at, delivered_at, opened_at, clicked_at, replied_at,
      bounced_at, complained_at, unsubscribed_at,
      created_at
  from public.messages;
grant select on analytics.messages to overture_analyst;
grant select (tenant_id, id, direction, channel, contact_id, campaign_id, enrollment_id, step_id, action, sender_id, connection_id,
  status, attempts, from_address, to_address, subject, thread_id, error_code, is_auto_reply, sent_at, delivered_at, opened_at, clicked_at,
    replied_at, bounced_at,
    complained_at, unsubscribed_at, created_at) on public.messages to overture_analyst;

drop policy if exists analyst_reads on public.messages;
create policy analyst_reads on public.messages for select to overture_analyst using (tenant_id = (select kernel.analyst_tenant()));

create or replace view analytics.events with (security_invoker = true) as
  select id, message_id, kind, at, is_bot, detail, created_at from public.message_events;
grant select on analytics.events to overture_analyst;
grant select (tenant_id, id, message_id, kind, at, is_bot, detail, created_at) on public.message_events to overture_analyst;

drop policy if exists analyst_reads on public.message_events;
create policy analyst_reads on public.message_events for select to overture_analyst using (tenant_id = (select kernel.analyst_tenant()));

-- Of the counters an analyst sees the days alone; the zeros of what was sent without a campaign read as null.
create or replace view analytics.daily with (security_invoker = true) as
  select bucket::date as day, pg_catalog.substr(metric, 7) as kind,
    nullif(scope_id, '00000000-0000-0000-0000-000000000000') as campaign_id, n
  from public.counters where metric like 'daily\_%' and scope = 'campaign';
grant select on analytics.daily to overture_analyst;
grant select (tenant_id, metric, scope, scope_id, bucket, n) on public.counters to overture_analyst;

drop policy if exists analyst_reads on public.counters;
create policy analyst_reads on public.counters for select to overture_analyst
  using (tenant_id = (select kernel.analyst_tenant()) and metric like 'daily\_%');
