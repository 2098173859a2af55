-- Which messages wait for a person's yes: the policy, decided for a whole planned batch at once.

-- The number of employees that a company's size names at least: "1,001-5,000" is 1001, "10k+" is more than 10000, null where there is none.
create or replace function private.company_employees(size text) returns numeric
language plpgsql immutable parallel safe set search_path = '' as $$
declare
  m text[] := pg_catalog.regexp_match(pg_catalog.regexp_replace(pg_catalog.lower(size), '(\d)[,.'' ](?=\d{3}(\D|$))', '\1', 'g'),
    '(\d{1,12})\s*(k?)\s*(\+?)');
begin
  return m[1]::numeric * case when m[2] = 'k' then 1000 else 1 end + case when m[3] = '+' then 1 else 0 end;
end $$;

-- The risk of a message, 0 to 10: the sum of these parts, whose most is written beside each. Published in docs/concepts/approvals.md.
create or replace function private.risk_parts(recipients bigint, spam_words int, links int, warmth int, consented boolean,
  is_first_campaign boolean, sender_age interval) returns jsonb
language plpgsql immutable parallel safe set search_path = '' as $$
begin
  return pg_catalog.jsonb_build_object(
    'recipients', case when recipients > 1000 then 2 when recipients > 100 then 1 else 0 end, -- 2
    'spam_words', least(greatest(spam_words, 0), 2), -- 2
    'links', case when links > 3 then 1 else 0 end, -- 1
    'warmth', case when coalesce(warmth, 0) < 20 then 2 when warmth < 50 then 1 else 0 end, -- 2
    'consent', case when consented then 0 else 1 end, -- 1
    'first_campaign', case when is_first_campaign then 1 else 0 end, -- 1
    'sender_age', case when sender_age < interval '14 days' then 1 else 0 end); -- 1
end $$;

create or replace function private.risk_of(parts jsonb) returns int
language plpgsql immutable parallel safe set search_path = '' as $$
begin
  return coalesce((select pg_catalog.sum(v.value::int) from pg_catalog.jsonb_each_text(parts) v), 0);
end $$;

-- Decides for messages that are about to be written: which of them wait. Writes a row of approvals for each of these and tells why.
-- planned: [{"id","channel","contact_id","campaign_id","enrollment_id","step_id","sender_id","subject","body","spam_words","links"}].
-- Where neither the campaigns nor the team ask for anything, it looks at their settings alone. Returns the messages that wait.
create or replace function private.hold_messages(planned jsonb) returns setof uuid
language plpgsql volatile set search_path = '' as $$
declare
  team jsonb := (select t.settings from public.tenants t where t.id = (select kernel.tenant()));
  ts timestamptz := kernel.now();
  today date := (ts at time zone 'UTC')::date;
  cap int := (team ->> 'approval_daily_cap')::int;
  used int := 0;
  leaving int;
  told jsonb;
  waiting uuid[];
begin
  if not (team ?| array['approval_recipients', 'approval_risk', 'approval_high_value', 'approval_first_campaign', 'approval_phrases',
      'approval_daily_cap'])
    and not exists (select from public.campaigns k where k.tenant_id = (select kernel.tenant())
      and k.id = any(array(select distinct (p ->> 'campaign_id')::uuid from pg_catalog.jsonb_array_elements(planned) p))
      and coalesce(k.settings ->> 'approval', 'auto') <> 'auto') then
    return;
  end if;
  if cap is not null then
    -- One row a day: two planners of a team take their places in turn.
    insert into public.approval_days as d (tenant_id, day) values ((select kernel.tenant()), today)
    on conflict (tenant_id, day) do update set automatic = d.automatic returning d.automatic into used;
  end if;
  with p as materialized (
    select x.*, kernel.fold(pg_catalog.regexp_replace(x.subject || ' ' || x.body, '\s+', ' ', 'g')) as said
    from pg_catalog.jsonb_to_recordset(planned) as x(id uuid, channel text, contact_id uuid, campaign_id uuid, enrollment_id uuid,
      step_id uuid, sender_id uuid, subject text, body text, spam_words int, links int)
  ), named as materialized (
    select k.id, coalesce(k.settings ->> 'approval', 'auto') as mode, coalesce((k.settings ->> 'approval_minutes')::int, 60) as minutes,
      not exists (select from public.campaigns o where o.tenant_id = (select kernel.tenant()) and o.id <> k.id
        and o.started_at < k.started_at) as is_first,
      coalesce((select pg_catalog.sum(c.n) from kernel.counts(array['enrollments'], 'campaign', array[k.id]) c
        where c.bucket <> 'left_out'), 0)::bigint as recipients
    from public.campaigns k
    where k.tenant_id = (select kernel.tenant()) and k.id = any(array(select distinct p.campaign_id from p))
  ), known as materialized (
    select p.*, n.mode, n.minutes, coalesce(n.is_first, false) as is_first, coalesce(n.recipients, 1) as recipients,
      coalesce(c.deal_value > 50000, false) or coalesce(private.company_employees(o.size) > 1000, false) as is_high_value,
      private.risk_parts(coalesce(n.recipients, 1), p.spam_words, p.links, c.warmth_score, a.id is not null, coalesce(n.is_first, false),
        ts - s.created_at) as parts
    from p
    left join named n on n.id = p.campaign_id
    left join public.contacts c on c.tenant_id = (select kernel.tenant()) and c.id = p.contact_id
    left join public.companies o on o.tenant_id = (select kernel.tenant()) and o.id = c.company_id
    left join public.consents a on a.tenant_id = (select kernel.tenant()) and a.contact_id = p.contact_id and a.channel = p.channel
      and a.state = 'granted'
    left join public.senders s on s.tenant_id = (select kernel.tenant()) and s.id = p.sender_id
  ), judged as materialized (
    -- In the order of strictness: the first is the rule that is named.
    select k.*, private.risk_of(k.parts) as risk, pg_catalog.array_remove(array[
      case when exists (select from pg_catalog.jsonb_array_elements_text(coalesce(team -> 'approval_phrases', '[]')) f
        where pg_catalog.strpos(k.said, kernel.fold(pg_catalog.regexp_replace(f, '\s+', ' ', 'g'))) > 0) then 'phrase' end,
      case when k.is_high_value and (team ->> 'approval_high_value')::boolean then 'high_value' end,
      case when private.risk_of(k.parts) >= (team ->> 'approval_risk')::int then 'risk' end,
      case when k.recipients > (team ->> 'approval_recipients')::int then 'recipients' end,
      case when k.is_first and (team ->> 'approval_first_campaign')::boolean then 'first_campaign' end,
      case when k.mode = 'every' then 'every' end,
      case when k.mode = 'first' and not exists (select from public.messages m where m.tenant_id = (select kernel.tenant())
        and m.enrollment_id = k.enrollment_id and m.direction = 'out' and m.sent_at is not null) then 'first' end], null) as rules
    from known k
  ), free as (
    select j.id, pg_catalog.row_number() over (order by j.id) as nth from judged j where pg_catalog.cardinality(j.rules) = 0
  ), ruled as materialized (
    select j.*, case
      when pg_catalog.cardinality(j.rules) > 0 then j.rules
      when f.nth > cap - used then array['daily_cap']
      when j.mode = 'delayed' then array['delayed'] else '{}' end as held_by
    from judged j left join free f on f.id = j.id
  ), held as (
    insert into public.approvals (tenant_id, message_id, campaign_id, step_id, contact_id, rule, rules, risk, risk_parts, requested_at,
      expires_at, auto_at, original_subject, original_body)
    select (select kernel.tenant()), r.id, r.campaign_id, r.step_id, r.contact_id, r.held_by[1], r.held_by, r.risk, r.parts, ts,
      case when r.held_by[1] <> 'delayed' then ts
        + pg_catalog.make_interval(hours => (team ->> 'approval_expiry_hours')::int) end,
      case when r.held_by[1] = 'delayed' then ts + pg_catalog.make_interval(mins => r.minutes) end,
      r.subject, r.body
    from ruled r where pg_catalog.cardinality(r.held_by) > 0
    returning message_id, rule, risk
  )
  select (select pg_catalog.count(*) from ruled r where r.held_by = '{}' or r.held_by[1] = 'delayed')::int,
    pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('subject_id', coalesce(p.enrollment_id, p.id), 'source', 'plan', 'verdict', 'defer',
      'reason', 'approval_pending', 'detail', pg_catalog.jsonb_build_object('message_id', p.id, 'rule', h.rule, 'risk', h.risk))),
    pg_catalog.array_agg(h.message_id)
  into leaving, told, waiting
  from held h join p on p.id = h.message_id;
  if cap is not null then
    update public.approval_days d set automatic = d.automatic + leaving
    where d.tenant_id = (select kernel.tenant()) and d.day = today;
  end if;
  if told is not null then perform kernel.decide(told); end if;
  return query select pg_catalog.unnest(waiting);
end $$;
grant execute on function private.hold_messages(jsonb), private.company_employees(text), private.risk_of(jsonb),
  private.risk_parts(bigint, int, int, int, boolean, boolean, interval) to overture_worker;
