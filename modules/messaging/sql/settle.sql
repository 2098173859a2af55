-- Settling: what became of claimed messages, in one call for a batch:
-- [{"id","attempt","outcome","provider_message_id","rfc_message_id","code","detail","after_seconds","recipient"}]
-- Only messages still sending, or unknown (a late answer), change; a settled message stays as it is. An answer that names an attempt says
-- nothing about a later one, except that the message was sent.

-- Which claimed messages an answer settles, and how. Locked in id order, so that two settlements cannot wait for each other in a circle.
create or replace function private.decide_outcomes(outcomes jsonb) returns private.settling[]
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan as $$
begin
  return (with locked as (
    select m.id, m.attempts, m.idempotency_expires_at, m.connection_id, m.sender_id, m.action, m.window_hour, m.window_day
    from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.status in ('sending', 'unknown')
      and m.id = any(array(select (o ->> 'id')::uuid from pg_catalog.jsonb_array_elements(outcomes) o))
    order by m.id for update
  )
  select coalesce(pg_catalog.array_agg(row(l.id, o.outcome, nullif(o.provider_message_id, ''), o.rfc_message_id, o.code,
    pg_catalog.left(o.detail, 1000), o.after_seconds,
    case o.outcome when 'sent' then 'sent' when 'rejected' then 'failed' when 'unknown' then 'unknown' when 'broken' then 'queued'
      -- Patience is a matter of time, not of tries: an outage of an hour must not cost anybody their message.
      -- An earlier call of it may have gone through.
      else case when coalesce(a.first_at > pg_catalog.clock_timestamp() - interval '1 day', true) then 'queued'
        when l.idempotency_expires_at is not null then 'unknown' else 'failed' end end,
    l.attempts, l.connection_id, l.sender_id, l.action, l.window_hour, l.window_day, o.recipient)::private.settling), '{}')
  from locked l
  join pg_catalog.jsonb_to_recordset(outcomes) as o(id uuid, attempt int, outcome text, provider_message_id text, rfc_message_id text,
    code text, detail text,
    after_seconds double precision, recipient text)
    on o.id = l.id and (o.attempt is null or o.attempt = l.attempts or o.outcome = 'sent')
  left join lateral (
    select pg_catalog.min(x.started_at) as first_at from public.attempts x
    where o.outcome = 'retry' and x.tenant_id = (select kernel.tenant()) and x.message_id = l.id) a on true);
end $$;

-- Writes the decisions: the messages, their attempts, the places under the limits that were not used, the events.
create or replace function private.record_outcomes(rows private.settling[]) returns void
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan as $$
begin
  update public.messages m set
    updated_at = (select kernel.now()),
    status = s.final,
    lease_until = null,
    provider_message_id = coalesce(s.provider_message_id, m.provider_message_id),
    sent_at = case when s.final = 'sent' then coalesce(m.sent_at, (select kernel.now())) else m.sent_at end,
    due_at = case when s.final = 'queued' then (select kernel.now()) + pg_catalog.make_interval(secs => coalesce(s.after_seconds,
      case when s.outcome = 'broken' then 60 else least(3600, 2 ^ s.attempt) * (1 + pg_catalog.random() * 0.25) end)) end,
    error_code = s.code,
    error = s.detail
  from pg_catalog.unnest(rows) s where m.tenant_id = (select kernel.tenant()) and m.id = s.id;

  -- A provider that chose the Message-ID itself says so in its answer.
  update public.email_details d set rfc_message_id = s.rfc_message_id
  from pg_catalog.unnest(rows) s
  where s.rfc_message_id is not null and d.tenant_id = (select kernel.tenant()) and d.message_id = s.id and d.rfc_message_id is distinct
    from s.rfc_message_id;

  update public.attempts a set finished_at = pg_catalog.clock_timestamp(), outcome = s.outcome, code = s.code, detail = s.detail
  from pg_catalog.unnest(rows) s where a.tenant_id = (select kernel.tenant()) and a.message_id = s.id and a.number = s.attempt;

  -- What did not leave gives its places under the limits back.
  perform private.return_places(b.rows) from (
    select pg_catalog.array_agg(s) as rows from pg_catalog.unnest(rows) s where s.final in ('queued', 'failed')) b where b.rows is not null;

  -- A failure is an event. That a message was sent, and when, stands on the message.
  if exists (select from pg_catalog.unnest(rows) s where s.final = 'failed') then
    insert into public.message_events (tenant_id, message_id, kind, event_key, at, month, created_at, detail)
    select kernel.tenant(), s.id, 'failed', 'failed:' || s.id, t.at, pg_catalog.date_trunc('month', t.at at time zone 'UTC')::date, t.at,
      pg_catalog.jsonb_build_object('code', s.code, 'detail', s.detail)
    from pg_catalog.unnest(rows) s cross join (select kernel.now() as at offset 0) t where s.final = 'failed'
    on conflict (tenant_id, event_key, month) do nothing;
  end if;

  -- A conversation that exists moves up.
  update public.threads t set last_message_at = (select kernel.now())
  from public.messages m join pg_catalog.unnest(rows) s on s.id = m.id
  where m.tenant_id = (select kernel.tenant()) and s.final = 'sent' and t.tenant_id = (select kernel.tenant()) and t.id = m.thread_id;
end $$;

-- What a refusal says about the recipient holds at once, as if it had been reported afterwards: who opted out, and which address is gone.
create or replace function private.suppress_refused(rows private.settling[]) returns void
language plpgsql volatile set search_path = '' as $$
declare
  g record;
begin
  for g in
    select m.channel, s.recipient, pg_catalog.array_agg(distinct m.to_address) as addresses,
      pg_catalog.array_agg(distinct m.contact_id) as people
    from pg_catalog.unnest(rows) s join public.messages m on m.tenant_id = (select kernel.tenant()) and m.id = s.id
    where s.final = 'failed' and s.recipient is not null
    group by 1, 2 order by 1, 2
  loop
    case g.recipient
      when 'opted_out' then perform private.opt_out(g.channel, g.people, g.addresses, 'unsubscribe',
        'The provider refused a message: the person opted out there.');
      when 'gone' then perform private.suppress(g.channel, g.addresses, 'bounce',
        'The provider refused a message: the address takes none.');
    end case;
  end loop;
end $$;

-- Tells what became of messages, as facts: private.tell_messages('message.sent', ids, null).
create or replace function private.tell_messages(fact text, ids uuid[]) returns void
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan as $$
begin
  perform kernel.emit(fact, pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('message_id', m.id, 'enrollment_id', m.enrollment_id,
    'step_run_id', m.step_run_id, 'contact_id', m.contact_id, 'campaign_id', m.campaign_id, 'channel', m.channel, 'address', m.to_address,
    'at', coalesce(m.sent_at, (select kernel.now())), 'code', m.error_code)))
  from public.messages m where m.tenant_id = (select kernel.tenant()) and m.id = any(ids)
  having pg_catalog.count(*) > 0;
end $$;

-- Definer: people who decide an unknown outcome may not write attempts, usage or health themselves. Bound to kernel.tenant().
create or replace function private.settle_messages(outcomes jsonb) returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  rows private.settling[] := private.decide_outcomes(outcomes);
begin
  if pg_catalog.cardinality(rows) = 0 then return 0; end if;
  perform private.record_outcomes(rows);
  -- Before the failures are told: who hears of both learns the reason first.
  perform private.suppress_refused(rows);
  perform private.tell_messages('message.sent', x.ids)
  from (select pg_catalog.array_agg(s.id) as ids from pg_catalog.unnest(rows) s where s.final = 'sent') x where x.ids is not null;
  perform private.tell_messages('message.failed', x.ids)
  from (select pg_catalog.array_agg(s.id) as ids from pg_catalog.unnest(rows) s where s.final = 'failed') x where x.ids is not null;
  perform private.note_health(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(g)))
  from (select s.connection_id, pg_catalog.count(*) filter (where s.outcome = 'sent') as ok,
          pg_catalog.count(*) filter (where s.outcome in ('retry', 'unknown', 'broken')) as bad,
          -- A refusal that is about the recipient says nothing about the connection.
          pg_catalog.count(*) filter (where s.outcome = 'rejected' and s.recipient is null) as rejected,
          pg_catalog.bool_or(s.outcome = 'broken') as broken,
          pg_catalog.max(s.detail) filter (where s.outcome <> 'sent' and s.recipient is null) as error
        from pg_catalog.unnest(rows) s where s.connection_id is not null group by 1) g
  having pg_catalog.count(*) > 0;
  return pg_catalog.cardinality(rows);
end $$;

grant execute on function private.settle_messages(jsonb), private.tell_messages(text, uuid[]) to overture_user, overture_worker;
