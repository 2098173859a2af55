-- Events: what providers and recipients report about messages, stored once each and marked on the message.
-- events: [{"kind","event_key","provider_message_id","rfc_message_id","message_id","recipient","at","bounce","is_bot","detail"}]

-- Which of our messages the events speak of.
create or replace function private.match_events(connection uuid, events jsonb) returns private.incoming[]
language sql volatile set search_path = '' as $$
  -- Our own id first: it is known before the provider's id is, so a webhook may overtake the answer to the send.
  select coalesce(pg_catalog.array_agg(row(e.kind, e.event_key, e.provider_message_id, e.rfc_message_id, e.recipient, e.at, e.bounce,
    coalesce(e.is_bot, false), coalesce(e.detail, '{}'), coalesce(own.id, theirs.id), false)::private.incoming), '{}')
  from pg_catalog.jsonb_to_recordset(events) as e(kind text, event_key text, provider_message_id text, rfc_message_id text, message_id text,
    recipient text,
    at timestamptz, bounce text, is_bot boolean, detail jsonb)
  -- Laterals with a limit, and the connection in a form that no index serves: the planner would read all messages of the connection for
  -- each event (see "A tenant that is missing from the statistics" in docs/concepts/tenancy.md).
  left join lateral (select m.id from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.direction = 'out'
      and (connection is null or m.connection_id is not distinct from connection)
      and m.id = case when e.message_id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then e.message_id::uuid end limit 1) own on true
  left join lateral (select m.id from public.messages m
    where own.id is null and m.tenant_id = (select kernel.tenant()) and m.direction = 'out'
      and m.connection_id = connection and m.provider_message_id = e.provider_message_id limit 1) theirs on true
$$;

-- Stores the events that are new and returns these, marked fresh, with the others as they were.
create or replace function private.add_events(rows private.incoming[]) returns private.incoming[]
language sql volatile set search_path = '' as $$
  with added as (
    insert into public.message_events (tenant_id, message_id, kind, event_key, at, month, created_at, is_bot, detail)
    select distinct on (i.event_key) kernel.tenant(), i.target, i.kind, i.event_key, i.at, pg_catalog.date_trunc('month',
      i.at at time zone 'UTC')::date,
      (select kernel.now()), i.is_bot, i.detail
    from pg_catalog.unnest(rows) i where i.target is not null
      -- What carries the moment of its telling (a second unsubscribe) may come back in another month.
      and not exists (select from public.message_events e where e.tenant_id = (select kernel.tenant()) and e.event_key = i.event_key)
    order by i.event_key
    on conflict (tenant_id, event_key, month) do nothing returning event_key
  )
  select coalesce(pg_catalog.array_agg(row(i.kind, i.event_key, i.provider_message_id, i.rfc_message_id, i.recipient, i.at, i.bounce,
    i.is_bot, i.detail, i.target,
    a.event_key is not null)::private.incoming), '{}')
  from pg_catalog.unnest(rows) i left join added a on a.event_key = i.event_key where i.target is not null
$$;

-- The first moment of each kind, on the message itself.
create or replace function private.mark_messages(rows private.incoming[]) returns void
language sql volatile set search_path = '' as $$
  update public.messages m set
    updated_at = (select kernel.now()),
    delivered_at = coalesce(m.delivered_at, i.delivered), opened_at = coalesce(m.opened_at, i.opened), clicked_at = coalesce(m.clicked_at,
      i.clicked),
    bounced_at = coalesce(m.bounced_at, i.bounced), complained_at = coalesce(m.complained_at, i.complained),
    unsubscribed_at = coalesce(m.unsubscribed_at, i.unsubscribed),
    error = coalesce(i.error, m.error)
  from (select x.target,
      min(x.at) filter (where x.kind = 'delivered') as delivered,
      -- A click shows that the message was opened, even where the pixel was blocked.
      min(x.at) filter (where x.kind in ('opened', 'clicked') and not x.is_bot) as opened,
      min(x.at) filter (where x.kind = 'clicked' and not x.is_bot) as clicked,
      min(x.at) filter (where x.kind = 'bounced') as bounced,
      min(x.at) filter (where x.kind = 'complained') as complained,
      min(x.at) filter (where x.kind = 'unsubscribed') as unsubscribed,
      max(x.detail ->> 'detail') filter (where x.kind in ('bounced', 'failed')) as error
    from pg_catalog.unnest(rows) x where x.fresh group by x.target) i
  where m.tenant_id = (select kernel.tenant()) and m.id = i.target;

  update public.email_details d set provider_rfc_id = i.rfc_message_id
  from (select x.target, max(x.rfc_message_id) as rfc_message_id from pg_catalog.unnest(rows) x where x.fresh
    and x.rfc_message_id is not null group by 1) i
  where d.tenant_id = (select kernel.tenant()) and d.message_id = i.target and d.provider_rfc_id is null
$$;

-- Applies events of one connection (null: of our own links) and returns the keys of those that match no message.
create or replace function private.apply_events(connection uuid, events jsonb) returns text[]
language plpgsql volatile set search_path = '' as $$
declare
  rows private.incoming[] := private.match_events(connection, events);
  unmatched text[];
  proven uuid[];
  told record;
begin
  select pg_catalog.array_agg(i.event_key) into unmatched from pg_catalog.unnest(rows) i where i.target is null;

  -- In id order, as settlements lock them: events may overtake the answer to the send, and neither waits for the other in a circle.
  perform 1 from public.messages m
  where m.tenant_id = (select kernel.tenant()) and m.id = any(array(select i.target from pg_catalog.unnest(rows) i))
  order by m.id for no key update;

  -- Marks what is new; what was stored before proves no more than it did.
  rows := private.add_events(rows);

  -- A provider that reports on a message has it: an unknown outcome is settled by that.
  -- Rare, and an update that finds nothing still costs all its triggers.
  if exists (select from pg_catalog.unnest(rows) x join public.messages m on m.tenant_id = (select kernel.tenant()) and m.id = x.target
    where m.status <> 'sent') then
    with found as (
      update public.messages m set status = 'sent', lease_until = null, sent_at = coalesce(m.sent_at, i.at), due_at = null,
        provider_message_id = coalesce(m.provider_message_id, i.provider_message_id), error = null, error_code = null
      from (select distinct on (x.target) x.* from pg_catalog.unnest(rows) x where x.target is not null
        and x.kind <> 'failed' order by x.target, x.at) i
      where m.tenant_id = (select kernel.tenant()) and m.id = i.target
        and (m.status = 'unknown' or (m.status in ('queued', 'held', 'cancelled') and m.attempts > 0))
      returning m.id
    )
    select pg_catalog.array_agg(f.id) into proven from found f;
  end if;
  if proven is not null then
    update public.attempts a set outcome = 'sent', detail = 'Proved by the provider''s webhook.', finished_at = pg_catalog.clock_timestamp()
    where a.tenant_id = (select kernel.tenant()) and a.message_id = any(proven) and a.outcome = 'unknown';
    perform private.tell_messages('message.sent', proven);
  end if;

  perform private.mark_messages(rows);
  perform private.suppress_reported(rows);

  -- One fact a kind, for all messages of the batch. A provider that fails a message it had accepted says `failed`.
  for told in
    select i.kind, pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('message_id', m.id, 'enrollment_id', m.enrollment_id, 'step_run_id',
      m.step_run_id,
      'contact_id', m.contact_id, 'campaign_id', m.campaign_id, 'channel', m.channel, 'address', m.to_address, 'at', i.at, 'bounce',
        i.bounce,
      'url', i.detail ->> 'url')) as items
    from pg_catalog.unnest(rows) i join public.messages m on m.tenant_id = (select kernel.tenant()) and m.id = i.target
    where i.fresh and not i.is_bot and i.kind in ('delivered', 'opened', 'clicked', 'bounced', 'complained', 'unsubscribed', 'failed')
    group by i.kind
  loop
    perform kernel.emit(case told.kind when 'failed' then 'message.undelivered' else 'message.' || told.kind end, told.items);
  end loop;
  return coalesce(unmatched, '{}');
end $$;

-- What events say about addresses holds at once: a complaint, an opt-out, and a bounce or failure because the address takes no messages.
-- An opt-out holds as often as it is told, also when the event of it is an old one: its suppression may have been deleted since.
create or replace function private.suppress_reported(rows private.incoming[]) returns void
language plpgsql volatile set search_path = '' as $$
declare
  g record;
begin
  for g in
    select m.channel, i.kind, pg_catalog.array_agg(distinct m.to_address) as addresses,
      pg_catalog.array_agg(distinct m.contact_id) as people
    from pg_catalog.unnest(rows) i join public.messages m on m.tenant_id = (select kernel.tenant()) and m.id = i.target
    where i.kind in ('complained', 'unsubscribed') or i.fresh and i.bounce = 'permanent'
    group by 1, 2
  loop
    case g.kind
      when 'complained' then perform private.opt_out(g.channel, g.people, g.addresses, 'complaint',
        'The person reported the message as spam.');
      when 'unsubscribed' then perform private.opt_out(g.channel, g.people, g.addresses, 'unsubscribe', 'The contact unsubscribed.');
      else perform private.suppress(g.channel, g.addresses, 'bounce',
        'The provider reported that the address takes no messages.');
    end case;
  end loop;
end $$;

grant execute on function private.match_events(uuid, jsonb), private.add_events(private.incoming[]),
  private.mark_messages(private.incoming[]),
  private.apply_events(uuid, jsonb), private.suppress_reported(private.incoming[]) to overture_worker;

-- Takes what recipients did with links of messages: puts it on the queue, with the moment, and says for each, in order, where the link
-- leads. Null: an open, or a link that is gone; of what is gone nothing is noted.
-- acts: [{"tenant_id","message_id","number","kind","event_key","is_bot"}]; without a kind only the target is asked for. Definer and with
-- the tenant as data, because the tokens that name both were signed by us.
create or replace function private.take_link_acts(acts jsonb) returns text[]
language plpgsql volatile security definer set search_path = '' set plan_cache_mode = force_generic_plan as $$
declare
  targets text[];
  queued jsonb[];
begin
  with given as materialized (
    select a.n, a.act, a.act ->> 'kind' as kind, l.url, (a.act ->> 'tenant_id')::uuid as tenant_id,
      (a.act ->> 'message_id')::uuid as message_id
    from pg_catalog.jsonb_array_elements(acts) with ordinality a (act, n)
    left join lateral (select t.url from public.tracked_links t
      where t.tenant_id = (a.act ->> 'tenant_id')::uuid and t.message_id = (a.act ->> 'message_id')::uuid
        and t.number = (a.act ->> 'number')::int limit 1) l on true
  )
  select pg_catalog.array_agg(g.url order by g.n), pg_catalog.array_agg(g.act - 'number' || pg_catalog.jsonb_strip_nulls(
      pg_catalog.jsonb_build_object('at', (select kernel.now()), 'url', g.url)) order by g.n)
    filter (where g.kind = 'clicked' and g.url is not null or g.kind = 'opened' and exists (
      select from public.messages m where m.tenant_id = g.tenant_id and m.id = g.message_id))
  into targets, queued from given g;
  if queued is not null then perform kernel.enqueue('messaging_link_acts', queued); end if;
  return targets;
end $$;
grant execute on function private.take_link_acts(jsonb) to overture_worker;
