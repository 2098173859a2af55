-- What stops a campaign's message that is due. See modules/messaging/sql/guards.sql for the shape.

-- Only for people who are still in it and still stand at the message's step, in a campaign that runs, while its window is open. A message
-- of a step they were moved away from, or of an earlier run, stays behind: its provider gave it back after they had gone on.
create or replace function private.guard_campaign(m public.messages) returns table (verdict text, reason text, until timestamptz)
language sql stable as $$
  select s.verdict, s.reason, s.until from (
    select
      case when s.here is not true or k.status not in ('running', 'paused') then 'cancel' else 'defer' end as verdict,
      case
        when e.status is null then 'contact_removed'
        when s.here is not true then 'sequence_ended'
        when k.status = 'paused' then 'campaign_paused'
        when k.status <> 'running' then 'campaign_stopped'
        else 'outside_window' end as reason,
      case when k.status = 'running' and not s.open then private.next_opening(k.settings, (select kernel.now())) end as until,
      s.here and s.open as free
    from (values (true)) as one (row)
    left join public.enrollments e on e.tenant_id = m.tenant_id and e.id = m.enrollment_id
    left join public.campaigns k on k.tenant_id = m.tenant_id and k.id = e.campaign_id
    left join public.step_runs r on r.tenant_id = m.tenant_id and r.id = m.step_run_id
    cross join lateral (select
      e.status = 'sending' and r.state = 'open' and r.visit = e.run and r.node_id = e.node_id as here,
      -- Which campaigns are open is found out once a statement, not once a message.
      k.id = any(array(select o.id from public.campaigns o cross join (select kernel.now() as at offset 0) as now
        where o.tenant_id = (select kernel.tenant()) and o.status = 'running' and private.in_window(o.settings, now.at))) as open) s
  ) s where m.direction = 'out' and m.step_run_id is not null and s.free is not true
$$;

-- Nobody who answered is written to by a sequence that began before the answer. How far an answer reaches is the tenant's policy
-- (settings.reply_stops): `campaign`: the campaign that wrote the answered message, and where the answer names no message, every one that
-- wrote from that address; `contact`, the default: every campaign of the person; `company`: also of their
-- colleagues.
create or replace function private.guard_reply(m public.messages) returns table (verdict text, reason text, until timestamptz)
language sql stable as $$
  select 'cancel', case when by.them then 'replied' else 'colleague_replied' end, null::timestamptz
  from public.enrollments e
  join public.campaigns k on k.tenant_id = m.tenant_id and k.id = e.campaign_id
  cross join lateral (select
      exists (select from public.messages r
        where r.tenant_id = m.tenant_id and r.contact_id = m.contact_id and r.direction = 'in' and r.is_answer
          and r.created_at >= e.started_at
          and (r.campaign_id = m.campaign_id or (select private.reply_policy()) <> 'campaign'
            or not r.by_reference and r.to_address = m.from_address)) as them) by
  where e.tenant_id = m.tenant_id and e.id = m.enrollment_id and m.direction = 'out'
    and coalesce((k.settings ->> 'stop_on_reply')::boolean, true)
    and (by.them
      or (select private.reply_policy()) = 'company' and exists (select from public.contacts c
        join public.contacts o on o.tenant_id = m.tenant_id and o.company_id = c.company_id
        join public.messages r on r.tenant_id = m.tenant_id and r.contact_id = o.id and r.direction = 'in' and r.is_answer
          and r.created_at >= e.started_at
        where c.tenant_id = m.tenant_id and c.id = m.contact_id))
$$;

create or replace function private.reply_policy() returns text
language sql stable set search_path = '' as $$
  select coalesce((select t.settings ->> 'reply_stops' from public.tenants t where t.id = kernel.tenant()), 'contact')
$$;
grant execute on function private.guard_campaign(public.messages), private.guard_reply(public.messages),
  private.reply_policy() to overture_user, overture_worker;
