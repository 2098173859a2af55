-- The tenant stands in a sub-select in all of these: the planner would take a team that is not among its statistics' common values
-- to own one row (docs/concepts/tenancy.md), and for as long as the statistics are old a batch would take seconds.

-- Which claimed messages an answer settles, and how. Locked in id order, so that two settlements cannot wait for each other in a circle.
create or replace function private.decide_outcomes(outcomes jsonb) returns private.settling[]
language sql volatile set search_path = '' as $$
  with locked as (
    select m.id, m.attempts, m.ask_until, m.connection_id, m.sender_id, m.enrollment_id, m.contact_id from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.status in ('sending', 'unknown')
      and m.id = any(array(select (o ->> 'id')::uuid from pg_catalog.jsonb_array_elements(outcomes) o))
    order by m.id for update
  )
  select coalesce(pg_catalog.array_agg(row(l.id, o.outcome, o.provider_message_id, o.rfc_message_id, o.code,
    pg_catalog.left(o.detail, 1000), o.after_seconds,
    case o.outcome when 'sent' then 'sent' when 'rejected' then 'failed' when 'unknown' then 'unknown' when 'broken' then 'queued'
      -- Patience is a matter of time, not of tries: an outage of an hour must not cost anybody their message.
      -- An earlier call of it may have gone through.
      else case when a.first_at > pg_catalog.clock_timestamp() - interval '1 day' then 'queued'
        when l.ask_until is not null then 'unknown' else 'failed' end end,
    l.attempts, l.connection_id, l.sender_id, a.day)::private.settling), '{}')
  from locked l
  join pg_catalog.jsonb_to_recordset(outcomes) as o(id uuid, attempt int, outcome text, provider_message_id text, rfc_message_id text,
    code text, detail text, after_seconds double precision)
    on o.id = l.id and (o.attempt is null or o.attempt = l.attempts or o.outcome = 'sent')
  left join lateral (
    select pg_catalog.min(x.started_at) as first_at, pg_catalog.max(x.day) filter (where x.number = l.attempts) as day
    from public.attempts x where x.tenant_id = (select kernel.tenant()) and x.message_id = l.id) a on true
$$;

-- Writes the decisions: the messages, their attempts, the places in the day that were not used, the events.
create or replace function private.record_outcomes(rows private.settling[]) returns void
language sql volatile set search_path = '' as $$
  update public.messages m set
    updated_at = (select kernel.now()),
    status = s.final,
    lease_until = null,
    provider_message_id = coalesce(s.provider_message_id, m.provider_message_id),
    rfc_message_id = coalesce(s.rfc_message_id, m.rfc_message_id),
    sent_at = case when s.final = 'sent' then coalesce(m.sent_at, (select kernel.now())) else m.sent_at end,
    due_at = case when s.final = 'queued' then (select kernel.now()) + pg_catalog.make_interval(secs => coalesce(s.after_seconds,
      case when s.outcome = 'broken' then 60 else least(3600, 2 ^ s.attempt) * (1 + pg_catalog.random() * 0.25) end)) end,
    error_code = s.code,
    error = s.detail
  from pg_catalog.unnest(rows) s where m.tenant_id = (select kernel.tenant()) and m.id = s.id;

  update public.attempts a set finished_at = pg_catalog.clock_timestamp(), outcome = s.outcome, code = s.code, detail = s.detail
  from pg_catalog.unnest(rows) s where a.tenant_id = (select kernel.tenant()) and a.message_id = s.id and a.number = s.attempt;

  -- What did not leave gives its place in the day back.
  update public.sender_usage u set reserved = greatest(0, u.reserved - g.n)
  from (select s.sender_id, s.day, pg_catalog.count(*)::int as n
        from pg_catalog.unnest(rows) s where s.final in ('queued', 'failed') group by 1, 2) g
  where u.tenant_id = (select kernel.tenant()) and u.sender_id = g.sender_id and u.day = g.day;

  insert into public.message_events (tenant_id, message_id, kind, event_key, at, month, created_at, detail)
  select kernel.tenant(), s.id, s.final, s.final || ':' || s.id, t.at, pg_catalog.date_trunc('month', t.at at time zone 'UTC')::date, t.at,
    case when s.final = 'failed' then pg_catalog.jsonb_build_object('code', s.code, 'detail', s.detail) else '{}' end
  from pg_catalog.unnest(rows) s cross join (select kernel.now() as at offset 0) t where s.final in ('sent', 'failed')
  on conflict (tenant_id, event_key, month) do nothing;
$$;

-- Writes what became of claimed messages, in one call for a batch:
-- [{"id","attempt","outcome","provider_message_id","rfc_message_id","code","detail","after_seconds"}]
-- Only messages still sending, or unknown (a late answer), change; a settled message stays as it is. An answer that names an
-- attempt says nothing about a later one, except that the message was sent.
-- Definer: people who decide an unknown outcome may not write attempts, usage or health themselves. Bound to kernel.tenant().
create or replace function private.settle_messages(outcomes jsonb) returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  ts timestamptz := kernel.now();
  rows private.settling[] := private.decide_outcomes(outcomes);
begin
  if pg_catalog.cardinality(rows) = 0 then return 0; end if;
  perform private.record_outcomes(rows);
  perform private.after_sent(x.ids)
  from (select pg_catalog.array_agg(s.id) as ids from pg_catalog.unnest(rows) s where s.final = 'sent') x where x.ids is not null;
  perform private.after_failed(x.ids)
  from (select pg_catalog.array_agg(s.id) as ids from pg_catalog.unnest(rows) s where s.final = 'failed') x where x.ids is not null;

  -- Health, and the circuit breaker: five failures in a row rest a connection for a minute; a broken one waits for a person, and so
  -- does one that refuses everything: going on would spend the whole audience on one wrong setting.
  update public.connections c set
    sent = c.sent + g.ok, failed = c.failed + g.bad,
    consecutive_failures = case when g.ok > 0 then 0 else c.consecutive_failures + g.bad end,
    consecutive_rejections = case when g.ok > 0 then 0 else c.consecutive_rejections + g.rejected end,
    last_success_at = case when g.ok > 0 then ts else c.last_success_at end,
    last_error = coalesce(g.error, c.last_error), last_error_at = case when g.error is not null then ts else c.last_error_at end,
    status = case when g.broken or (g.ok = 0 and c.consecutive_rejections + g.rejected >= 50) then 'issue' else c.status end,
    open_until = case when g.ok = 0 and c.consecutive_failures + g.bad >= 5 then ts + interval '1 minute' else null end
  from (select s.connection_id, pg_catalog.count(*) filter (where s.outcome = 'sent') as ok,
          pg_catalog.count(*) filter (where s.outcome in ('retry', 'unknown', 'broken')) as bad,
          pg_catalog.count(*) filter (where s.outcome = 'rejected') as rejected,
          pg_catalog.bool_or(s.outcome = 'broken') as broken,
          pg_catalog.max(s.detail) filter (where s.outcome <> 'sent') as error
        from pg_catalog.unnest(rows) s group by 1) g
  where c.tenant_id = (select kernel.tenant()) and c.id = g.connection_id;
  return pg_catalog.cardinality(rows);
end $$;
grant execute on function private.settle_messages(jsonb) to overture_user, overture_worker;

-- What follows from messages having left: the sequence goes on, the timeline and the person's status say so.
create or replace function private.after_sent(message_ids uuid[]) returns void
language sql volatile set search_path = '' as $$
  select private.advance_enrollments(message_ids);

  insert into public.interactions (tenant_id, contact_id, kind, channel, direction, content, ref_table, ref_id, at)
  select m.tenant_id, m.contact_id, 'email_sent', 'email', 'out', m.subject, 'messages', m.id, m.sent_at
  from public.messages m where m.tenant_id = (select kernel.tenant()) and m.id = any(message_ids) and m.contact_id is not null
  on conflict (tenant_id, ref_table, ref_id, kind) where ref_id is not null do nothing;

  update public.contacts c set updated_at = (select kernel.now()), last_interaction_at = (select kernel.now()),
    status = case when c.status in ('new', 'researching', 'enriched', 'personalized', 'approved') then 'contacted' else c.status end
  from public.messages m where m.tenant_id = (select kernel.tenant()) and m.id = any(message_ids)
    and c.tenant_id = (select kernel.tenant()) and c.id = m.contact_id;
$$;
grant execute on function private.after_sent(uuid[]) to overture_user, overture_worker;

-- What follows from a refusal: the sequence ends.
create or replace function private.after_failed(message_ids uuid[]) returns void
language sql volatile set search_path = '' as $$
  select private.end_enrollments(array(
    select m.enrollment_id from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.id = any(message_ids) and m.enrollment_id is not null
  ), 'failed', 'The provider refused the message.');
$$;
grant execute on function private.after_failed(uuid[]) to overture_user, overture_worker;
