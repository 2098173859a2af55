-- messaging: settling and applying events cost the same however old the statistics are (the claim: see lease_clocks).
-- owner: modules/messaging   breaking: no   locks: messages, enrollments, contacts, for a moment
--
-- The planner looks a constant tenant up in its list of common values. A team that came after the last analyze is not in it, is taken
-- to own one row, and "read all of the team's rows" then looks as cheap as a look by key: seconds a batch, for as long as the
-- statistics are old. So the tenant stands in a sub-select, which is a value unknown while planning; and the functions are planned
-- anew on each call, since a plan made for an empty table would live on while it grows.

-- A message is written three times on its way out and read in lists without its text: texts stand apart and are written once.
-- For rows from now on.
alter table public.messages set (toast_tuple_target = 256);

-- What changes thousands of rows says itself when, once a statement; the trigger would ask for the time once a row.
create or replace trigger touch before update on public.messages for each row
  when (new.updated_at is not distinct from old.updated_at) execute function kernel.touch();
create or replace trigger touch before update on public.enrollments for each row
  when (new.updated_at is not distinct from old.updated_at) execute function kernel.touch();
create or replace trigger touch before update on public.contacts for each row
  when (new.updated_at is not distinct from old.updated_at) execute function kernel.touch();

create or replace function private.end_enrollments(ids uuid[], new_status text, why text) returns int
language sql volatile set search_path = '' as $$
  with ended as (
    update public.enrollments e set status = new_status, reason = why, next_at = null, finished_at = kernel.now()
    where e.tenant_id = (select kernel.tenant()) and e.id = any(ids) and e.status in ('waiting', 'sending', 'blocked', 'finished')
      -- A finished sequence can still be answered or bounce; it cannot be stopped any more.
      and (e.status <> 'finished' or new_status in ('replied', 'bounced', 'unsubscribed'))
    returning e.id
  ), back as (
    update public.messages m set status = 'cancelled', due_at = null, error = why
    from ended where m.tenant_id = (select kernel.tenant()) and m.enrollment_id = ended.id and m.status = 'queued'
  )
  select pg_catalog.count(*)::int from ended
$$;

create or replace function private.suppress(addresses text[], why text, enrollment_status text, note text) returns void
language plpgsql volatile set search_path = '' as $$
begin
  insert into public.suppressions (tenant_id, channel, address, reason, detail)
  select kernel.tenant(), 'email', a, why, note from (select distinct pg_catalog.lower(x) as a from pg_catalog.unnest(addresses) x) d
  on conflict (tenant_id, channel, address) do nothing;
  perform private.end_enrollments(array(
    select e.id from public.enrollments e join public.contacts c on c.tenant_id = e.tenant_id and c.id = e.contact_id
    where e.tenant_id = (select kernel.tenant()) and c.email = any(addresses) and e.status in ('waiting', 'sending', 'blocked', 'finished')
  ), enrollment_status, note);
  update public.messages m set status = 'cancelled', due_at = null, error = note
  where m.tenant_id = (select kernel.tenant()) and m.status = 'queued' and m.to_email = any(addresses);
  update public.contacts c set status = case enrollment_status when 'bounced' then 'bounced' when 'unsubscribed' then 'unsubscribed' else 'suppressed' end
  where c.tenant_id = (select kernel.tenant()) and c.email = any(addresses) and c.status not in ('bounced', 'unsubscribed', 'suppressed');
end $$;

create or replace function private.advance_enrollments(message_ids uuid[]) returns void
language sql volatile set search_path = '' as $$
  with gone as materialized (
    select m.enrollment_id, m.step, m.sent_at, m.rfc_message_id, m.subject, n.wait_hours
    from public.messages m
    left join public.campaign_steps n on n.tenant_id = (select kernel.tenant()) and n.campaign_id = m.campaign_id and n.position = m.step + 1
    where m.tenant_id = (select kernel.tenant()) and m.id = any(message_ids) and m.status = 'sent' and m.enrollment_id is not null
  )
  update public.enrollments e set
    updated_at = (select kernel.now()),
    status = case when g.wait_hours is null then 'finished' else 'waiting' end,
    next_at = case when g.wait_hours is null then null else g.sent_at + pg_catalog.make_interval(secs => g.wait_hours * 3600) end,
    finished_at = case when g.wait_hours is null then (select kernel.now()) end,
    reason = null,
    thread_message_ids = e.thread_message_ids || coalesce(array[g.rfc_message_id], '{}'),
    thread_subject = coalesce(e.thread_subject, g.subject)
  from gone g
  where e.tenant_id = (select kernel.tenant()) and e.id = g.enrollment_id and e.step = g.step
    -- The state is no index condition here: people are found by their key, however few the statistics think are sending.
    and (e.status || '') = 'sending'
$$;

-- Which claimed messages an answer settles, and how. Locked in id order, so that two settlements cannot wait for each other in a circle.
create function private.decide_outcomes(outcomes jsonb) returns private.settling[]
language sql volatile set search_path = '' as $$
  with locked as (
    select m.id, m.attempts, m.ask_until, m.connection_id, m.sender_id, m.enrollment_id, m.contact_id from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.status in ('sending', 'unknown')
      and m.id = any(array(select (o ->> 'id')::uuid from pg_catalog.jsonb_array_elements(outcomes) o))
    order by m.id for update
  )
  select coalesce(pg_catalog.array_agg(row(l.id, o.outcome, o.provider_message_id, o.rfc_message_id, o.code, pg_catalog.left(o.detail, 1000), o.after_seconds,
    case o.outcome when 'sent' then 'sent' when 'rejected' then 'failed' when 'unknown' then 'unknown' when 'broken' then 'queued'
      -- Patience is a matter of time, not of tries: an outage of an hour must not cost anybody their message.
      -- An earlier call of it may have gone through.
      else case when a.first_at > pg_catalog.clock_timestamp() - interval '1 day' then 'queued' when l.ask_until is not null then 'unknown' else 'failed' end end,
    l.attempts, l.connection_id, l.sender_id, a.day)::private.settling), '{}')
  from locked l
  join pg_catalog.jsonb_to_recordset(outcomes) as o(id uuid, attempt int, outcome text, provider_message_id text, rfc_message_id text, code text, detail text, after_seconds double precision)
    on o.id = l.id and (o.attempt is null or o.attempt = l.attempts or o.outcome = 'sent')
  left join lateral (
    select pg_catalog.min(x.started_at) as first_at, pg_catalog.max(x.day) filter (where x.number = l.attempts) as day
    from public.attempts x where x.tenant_id = (select kernel.tenant()) and x.message_id = l.id) a on true
$$;

-- Writes the decisions: the messages, their attempts, the places in the day that were not used, the events.
create function private.record_outcomes(rows private.settling[]) returns void
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

-- What follows from a refusal: the sequence ends.
create function private.after_failed(message_ids uuid[]) returns void
language sql volatile set search_path = '' as $$
  select private.end_enrollments(array(
    select m.enrollment_id from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.id = any(message_ids) and m.enrollment_id is not null
  ), 'failed', 'The provider refused the message.');
$$;

-- Of the due ones only the first of each open campaign: what the next claims would stumble over. A suppression and the end of a sequence
-- take back what they find, so that what stands here was planned in the same moment; reading all that waits would cost a team with a
-- million due messages a full read on every wake.
create or replace function private.cancel_unsendable() returns int
language sql volatile set search_path = '' as $$
  with first as materialized (
    select x.id from public.campaigns k cross join lateral (
      select m.id from public.messages m
      where m.tenant_id = (select kernel.tenant()) and m.campaign_id = k.id and m.status = 'queued' and m.due_at <= kernel.now()
      order by m.due_at, m.id limit 2000) x
    where k.tenant_id = (select kernel.tenant()) and k.status = 'running'
    union all
    (select m.id from public.messages m
      where m.tenant_id = (select kernel.tenant()) and m.campaign_id is null and m.status = 'queued' and m.due_at <= kernel.now()
      order by m.due_at, m.id limit 2000)
  ), bad as (
    select m.id, m.enrollment_id, x.address is not null as suppressed
    from public.messages m
    left join public.suppressions x on x.tenant_id = (select kernel.tenant()) and x.channel = m.channel and x.address = m.to_email
    left join public.enrollments e on e.tenant_id = (select kernel.tenant()) and e.id = m.enrollment_id
    where m.tenant_id = (select kernel.tenant()) and m.id = any(array(select f.id from first f)) and (m.status || '') = 'queued'
      and (x.address is not null or m.campaign_id is not null and e.status is distinct from 'sending')
    limit 2000 for update of m skip locked
  ), gone as (
    update public.messages m set status = 'cancelled', due_at = null,
      error = case when bad.suppressed then 'The address is suppressed.' else 'The sequence ended before it left.' end
    from bad where m.tenant_id = (select kernel.tenant()) and m.id = bad.id
  ), ended as (
    update public.enrollments e set status = 'suppressed', reason = 'The address is suppressed.', next_at = null, finished_at = kernel.now()
    from bad where bad.suppressed and e.tenant_id = (select kernel.tenant()) and e.id = bad.enrollment_id and e.status in ('waiting', 'sending', 'blocked')
  )
  select pg_catalog.count(*)::int from bad
$$;

create or replace function private.count_messages() returns trigger
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
      and (c.status = 'failed' or coalesce(c.sent_at, c.delivered_at, c.opened_at, c.clicked_at, c.replied_at, c.bounced_at, c.complained_at, c.unsubscribed_at) is not null)
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
      -- Most updates (a claim, a retry) set no moment: told apart before the moments are.
      and (c.status = 'failed' or (o.sent_at, o.delivered_at, o.opened_at, o.clicked_at, o.replied_at, o.bounced_at, o.complained_at, o.unsubscribed_at)
        is distinct from (c.sent_at, c.delivered_at, c.opened_at, c.clicked_at, c.replied_at, c.bounced_at, c.complained_at, c.unsubscribed_at))
    group by 1, 2, 3, 4;
  end if;
  return null;
end $$;

-- Which of our messages the events speak of.
create function private.match_events(connection uuid, events jsonb) returns private.incoming[]
language sql volatile set search_path = '' as $$
  -- Our own id first: it is known before the provider's id is, so a webhook may overtake the answer to the send.
  select coalesce(pg_catalog.array_agg(row(e.kind, e.event_key, e.provider_message_id, e.rfc_message_id, pg_catalog.lower(e.recipient), e.at, e.bounce,
    coalesce(e.is_bot, false), coalesce(e.detail, '{}'), coalesce(own.id, theirs.id), false)::private.incoming), '{}')
  from pg_catalog.jsonb_to_recordset(events) as e(kind text, event_key text, provider_message_id text, rfc_message_id text, message_id text, recipient text, at timestamptz,
    bounce text, is_bot boolean, detail jsonb)
  -- Laterals with a limit: as a plain join, a batch of events made the planner read all messages of the connection.
  left join lateral (select m.id from public.messages m where m.tenant_id = (select kernel.tenant()) and m.direction = 'out' and (connection is null or m.connection_id = connection)
    and m.id = case when e.message_id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then e.message_id::uuid end limit 1) own on true
  left join lateral (select m.id from public.messages m where own.id is null and m.tenant_id = (select kernel.tenant()) and m.direction = 'out'
    and m.connection_id = connection and m.provider_message_id = e.provider_message_id limit 1) theirs on true
$$;

-- Stores the events that are new and returns these, marked fresh, with the others as they were.
create function private.add_events(rows private.incoming[]) returns private.incoming[]
language sql volatile set search_path = '' as $$
  with added as (
    insert into public.message_events (tenant_id, message_id, kind, event_key, at, month, created_at, is_bot, detail)
    select distinct on (i.event_key) kernel.tenant(), i.target, i.kind, i.event_key, i.at, pg_catalog.date_trunc('month', i.at at time zone 'UTC')::date,
      (select kernel.now()), i.is_bot, i.detail
    from pg_catalog.unnest(rows) i where i.target is not null
      -- What carries the moment of its telling (a second unsubscribe) may come back in another month.
      and not exists (select from public.message_events e where e.tenant_id = (select kernel.tenant()) and e.event_key = i.event_key)
    order by i.event_key
    on conflict (tenant_id, event_key, month) do nothing returning event_key
  )
  select coalesce(pg_catalog.array_agg(row(i.kind, i.event_key, i.provider_message_id, i.rfc_message_id, i.recipient, i.at, i.bounce, i.is_bot, i.detail, i.target,
    a.event_key is not null)::private.incoming), '{}')
  from pg_catalog.unnest(rows) i left join added a on a.event_key = i.event_key where i.target is not null
$$;

-- The first moment of each kind, on the message itself.
create function private.mark_messages(rows private.incoming[]) returns void
language sql volatile set search_path = '' as $$
  update public.messages m set
    updated_at = (select kernel.now()),
    delivered_at = coalesce(m.delivered_at, i.delivered), opened_at = coalesce(m.opened_at, i.opened), clicked_at = coalesce(m.clicked_at, i.clicked),
    bounced_at = coalesce(m.bounced_at, i.bounced), complained_at = coalesce(m.complained_at, i.complained),
    unsubscribed_at = coalesce(m.unsubscribed_at, i.unsubscribed),
    provider_rfc_id = coalesce(m.provider_rfc_id, i.rfc_message_id),
    error = coalesce(i.error, m.error)
  from (select x.target,
      min(x.at) filter (where x.kind = 'delivered') as delivered,
      -- A click shows that the mail was opened, even where the pixel was blocked.
      min(x.at) filter (where x.kind in ('opened', 'clicked') and not x.is_bot) as opened,
      min(x.at) filter (where x.kind = 'clicked' and not x.is_bot) as clicked,
      min(x.at) filter (where x.kind = 'bounced') as bounced,
      min(x.at) filter (where x.kind = 'complained') as complained,
      min(x.at) filter (where x.kind = 'unsubscribed') as unsubscribed,
      max(x.rfc_message_id) as rfc_message_id,
      max(x.detail ->> 'detail') filter (where x.kind in ('bounced', 'failed')) as error
    from pg_catalog.unnest(rows) x where x.fresh group by x.target) i
  where m.tenant_id = (select kernel.tenant()) and m.id = i.target
$$;

create or replace function private.apply_events(connection uuid, events jsonb) returns text[]
language plpgsql volatile set search_path = '' as $$
declare
  me uuid := kernel.tenant();
  rows private.incoming[] := private.match_events(connection, events);
  unmatched text[];
  proven uuid[];
begin
  select pg_catalog.array_agg(i.event_key) into unmatched from pg_catalog.unnest(rows) i where i.target is null;

  -- From here on only what is new: a redelivered fact changes nothing.
  rows := private.add_events(rows);

  -- A provider that reports on a message has it: an unknown outcome is settled by that.
  -- Rare, and an update that finds nothing still costs all its triggers.
  if exists (select from pg_catalog.unnest(rows) x join public.messages m on m.tenant_id = (select me) and m.id = x.target where m.status <> 'sent') then
    with found as (
      update public.messages m set status = 'sent', lease_until = null, sent_at = coalesce(m.sent_at, i.at), due_at = null,
        provider_message_id = coalesce(m.provider_message_id, i.provider_message_id), error = null, error_code = null
      from (select distinct on (x.target) x.* from pg_catalog.unnest(rows) x where x.target is not null and x.kind <> 'failed' order by x.target, x.at) i
      where m.tenant_id = (select me) and m.id = i.target and (m.status = 'unknown' or (m.status in ('queued', 'cancelled') and m.attempts > 0))
      returning m.id
    )
    select pg_catalog.array_agg(f.id) into proven from found f;
  end if;
  if proven is not null then
    update public.attempts a set outcome = 'sent', detail = 'Proved by the provider''s webhook.', finished_at = pg_catalog.clock_timestamp()
    where a.tenant_id = (select me) and a.message_id = any(proven) and a.outcome = 'unknown';
    perform private.after_sent(proven);
  end if;

  perform private.mark_messages(rows);

  perform private.suppress(x.addresses, 'bounce', 'bounced', 'The address does not exist.') from (
    select pg_catalog.array_agg(m.to_email) as addresses from pg_catalog.unnest(rows) i join public.messages m on m.tenant_id = (select me) and m.id = i.target
    where i.fresh and i.kind = 'bounced' and i.bounce = 'permanent') x where x.addresses is not null;
  perform private.suppress(x.addresses, 'complaint', 'unsubscribed', 'The person reported the message as spam.') from (
    select pg_catalog.array_agg(m.to_email) as addresses from pg_catalog.unnest(rows) i join public.messages m on m.tenant_id = (select me) and m.id = i.target
    where i.fresh and i.kind = 'complained') x where x.addresses is not null;
  perform private.suppress(x.addresses, 'unsubscribe', 'unsubscribed', 'The person unsubscribed.') from (
    select pg_catalog.array_agg(m.to_email) as addresses from pg_catalog.unnest(rows) i join public.messages m on m.tenant_id = (select me) and m.id = i.target
    where i.fresh and i.kind = 'unsubscribed') x where x.addresses is not null;
  -- Not the address's fault, but this sequence ends: writing on after a refusal harms the sender.
  perform private.end_enrollments(x.ids, 'bounced', 'The message bounced.') from (
    select pg_catalog.array_agg(m.enrollment_id) as ids from pg_catalog.unnest(rows) i join public.messages m on m.tenant_id = (select me) and m.id = i.target
    where i.fresh and i.kind = 'bounced' and i.bounce <> 'permanent' and m.enrollment_id is not null) x where x.ids is not null;

  insert into public.interactions (tenant_id, contact_id, kind, channel, direction, content, ref_table, ref_id, at)
  select me, m.contact_id, 'email_' || i.kind, 'email', 'in', coalesce(i.detail ->> 'url', ''), 'messages', m.id, i.at
  from pg_catalog.unnest(rows) i join public.messages m on m.tenant_id = (select me) and m.id = i.target
  where i.fresh and not i.is_bot and m.contact_id is not null and i.kind in ('opened', 'clicked', 'bounced', 'complained', 'unsubscribed')
  on conflict (tenant_id, ref_table, ref_id, kind) where ref_id is not null do nothing;
  return coalesce(unmatched, '{}');
end $$;

grant execute on function private.after_failed(uuid[]) to overture_user, overture_worker;
grant execute on function private.match_events(uuid, jsonb), private.add_events(private.incoming[]), private.mark_messages(private.incoming[]) to overture_worker;
