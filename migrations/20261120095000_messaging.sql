-- messaging: the ledger that makes a send happen once, what became of each message, and who must not be written to.
-- owner: modules/messaging, modules/compliance   breaking: no   locks: none (new objects only)

create table public.suppressions (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  channel text not null default 'email' check (channel in ('email', 'linkedin', 'sms', 'whatsapp', 'instagram')),
  address text not null check (address = lower(address) and length(address) between 3 and 320),
  reason text not null check (reason in ('unsubscribe', 'bounce', 'complaint', 'manual')),
  detail text not null default '',
  created_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  unique (tenant_id, channel, address)
);
comment on table public.suppressions is 'Addresses that must not be written to. Checked in the statement that claims a message.';
select kernel.protect('public.suppressions');

create table public.messages (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  direction text not null check (direction in ('out', 'in')),
  channel text not null default 'email' check (channel in ('email')),
  contact_id uuid,
  campaign_id uuid,
  enrollment_id uuid,
  step_id uuid,
  step int,
  sender_id uuid,
  connection_id uuid,
  -- out: queued → sending → sent | failed | unknown; cancelled before it left. in: received.
  status text not null check (status in ('queued', 'sending', 'sent', 'failed', 'unknown', 'cancelled', 'received')),
  due_at timestamptz,
  -- While sending: after this moment (wall clock, so that no rehearsal or clock jump shortens it) the worker is taken for dead
  -- and the outcome for unknown.
  lease_until timestamptz,
  attempts int not null default 0,
  -- Queued again although a call's outcome is unknown: until then (wall clock) the provider remembers the key of that call.
  ask_until timestamptz,
  from_email text not null,
  from_name text not null default '',
  to_email text not null check (to_email = lower(to_email)),
  reply_to text,
  subject text not null default '' check (subject !~ '[\r\n]'),
  body_html text,
  body_text text not null default '',
  headers jsonb not null default '{}',
  rfc_message_id text,
  -- The Message-ID the provider put in place of ours, when its events tell; some mail programs answer only that one.
  provider_rfc_id text,
  in_reply_to text,
  thread_id uuid not null,
  provider_message_id text,
  error_code text,
  error text,
  is_auto_reply boolean not null default false,
  sent_at timestamptz,
  delivered_at timestamptz,
  opened_at timestamptz,
  clicked_at timestamptz,
  replied_at timestamptz,
  bounced_at timestamptz,
  complained_at timestamptz,
  unsubscribed_at timestamptz,
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, contact_id) references public.contacts (tenant_id, id) on delete set null (contact_id),
  foreign key (tenant_id, campaign_id) references public.campaigns (tenant_id, id) on delete set null (campaign_id),
  foreign key (tenant_id, enrollment_id) references public.enrollments (tenant_id, id) on delete set null (enrollment_id),
  foreign key (tenant_id, sender_id) references public.senders (tenant_id, id) on delete set null (sender_id),
  foreign key (tenant_id, connection_id) references public.connections (tenant_id, id) on delete set null (connection_id),
  check (direction = 'in' or status <> 'received'),
  check ((status = 'sending') = (lease_until is not null))
);
comment on table public.messages is 'Every message out and in. An outgoing one exists once per enrollment and step: that key is what stops a second send.';
create unique index messages_once on public.messages (tenant_id, enrollment_id, step_id) where direction = 'out' and enrollment_id is not null;
create unique index messages_inbound_once on public.messages (tenant_id, connection_id, provider_message_id) where direction = 'in';
create index messages_due on public.messages (tenant_id, campaign_id, due_at, id) where status = 'queued';
create index messages_received on public.messages (tenant_id, created_at desc, id desc) where direction = 'in';
create index messages_asked on public.messages (ask_until) where status = 'queued' and ask_until is not null;
create index messages_leased on public.messages (lease_until) where status = 'sending';
create index messages_by_provider_id on public.messages (tenant_id, connection_id, provider_message_id) where provider_message_id is not null;
create index messages_by_rfc_id on public.messages (tenant_id, rfc_message_id) where rfc_message_id is not null;
create index messages_by_provider_rfc_id on public.messages (tenant_id, provider_rfc_id) where provider_rfc_id is not null;
create index messages_by_campaign on public.messages (tenant_id, campaign_id, status, id desc) where campaign_id is not null;
create index messages_by_contact on public.messages (tenant_id, contact_id, created_at desc) where contact_id is not null;
create index messages_by_thread on public.messages (tenant_id, thread_id, created_at);
create index messages_by_created on public.messages (tenant_id, created_at desc, id desc);
create index messages_unknown on public.messages (tenant_id, updated_at) where status = 'unknown';
-- The rare ones that people look for; the usual ones are found on the way through messages_by_created.
create index messages_by_rare_status on public.messages (tenant_id, status, created_at desc, id desc) where status in ('failed', 'cancelled');
create index messages_sent on public.messages (tenant_id, sent_at) where sent_at is not null;
select kernel.protect('public.messages');

create table public.attempts (
  tenant_id uuid not null,
  id uuid not null default kernel.uuid7(),
  message_id uuid not null,
  number int not null,
  connection_id uuid,
  -- The wall clock, as in a lease: providers' memories and searches know no rehearsal.
  started_at timestamptz not null default pg_catalog.clock_timestamp(),
  -- The sender's day in which it took a place.
  day date,
  finished_at timestamptz,
  outcome text check (outcome in ('sent', 'rejected', 'retry', 'unknown', 'broken')),
  code text,
  detail text,
  primary key (tenant_id, id),
  unique (tenant_id, message_id, number),
  foreign key (tenant_id, message_id) references public.messages (tenant_id, id) on delete cascade
);
comment on table public.attempts is 'Written before the provider is called: a crash in between leaves a row that says so.';
select kernel.protect('public.attempts', write => null, broadcast => false);

-- By month, because it grows without end: old months are dropped whole instead of deleted row by row.
create table public.message_events (
  tenant_id uuid not null,
  id uuid not null default kernel.uuid7(),
  message_id uuid not null,
  kind text not null check (kind in ('sent', 'delivered', 'deferred', 'opened', 'clicked', 'replied', 'auto_replied', 'bounced', 'complained', 'unsubscribed', 'failed')),
  -- Deterministic: the same fact told twice is one row. A fact told again carries the same moment, so its month is the same.
  event_key text not null check (length(event_key) <= 300),
  at timestamptz not null,
  -- The month of `at` in UTC. A column, because a partition key can neither be generated nor be set by a trigger.
  month date not null default pg_catalog.date_trunc('month', kernel.now() at time zone 'UTC')::date
    check (month = pg_catalog.date_trunc('month', at at time zone 'UTC')::date),
  -- A prefetch by a mail client or a security scanner; not counted as a person's act.
  is_bot boolean not null default false,
  detail jsonb not null default '{}',
  created_at timestamptz not null default kernel.now(),
  primary key (tenant_id, month, id),
  unique (tenant_id, event_key, month),
  foreign key (tenant_id, message_id) references public.messages (tenant_id, id) on delete cascade
) partition by range (month);
create index message_events_by_message on public.message_events (tenant_id, message_id, at);
create index message_events_by_time on public.message_events (tenant_id, at desc, id desc);
comment on table public.message_events is 'What happened to messages, in one vocabulary for all providers. Partitioned by month.';
select kernel.protect('public.message_events', write => null);

-- Partitions stand in private, closed on their own: only the parent, under its policies, leads to their rows.
-- The default partition takes what no month is ready for, so that no event is ever refused.
create table private.message_events_default partition of public.message_events default;
alter table private.message_events_default enable row level security;
alter table private.message_events_default force row level security;

-- How many whole months of events are kept besides the current one: kernel.settings, key events_keep_months; 24 unless set.
create function private.events_keep_months() returns int
language sql stable set search_path = '' as $$
  select coalesce((select greatest(1, (s.value #>> '{}')::int) from kernel.settings s where s.key = 'events_keep_months'), 24)
$$;

-- What adding or dropping a partition locks, all at once or not at all: settling goes from messages to events and webhooks the
-- other way, so whoever waited for the second lock while holding the first would end in a deadlock with one of them.
create function private.lock_events() returns void
language plpgsql volatile set search_path = '' as $$
begin
  for attempt in 1..50 loop
    begin
      perform pg_catalog.set_config('lock_timeout', '500ms', true);
      lock table public.messages in share row exclusive mode;
      perform pg_catalog.set_config('lock_timeout', '200ms', true);
      lock table public.message_events in access exclusive mode;
      return;
    exception when lock_not_available then
      -- The exception gave back what was locked.
      perform pg_catalog.pg_sleep(0.1);
    end;
  end loop;
  raise exception 'events are in use; the next run tries again' using errcode = 'lock_not_available';
end $$;

-- Makes the partitions of this month and the next two, and of every month within the retention that the default partition
-- holds rows of; those move over. Returns how many were made. Idempotent.
create function private.ensure_partitions() returns int
language plpgsql volatile set search_path = '' set lock_timeout = '5s' as $$
declare
  this_month date := pg_catalog.date_trunc('month', kernel.now() at time zone 'UTC')::date;
  wanted date;
  part text;
  made int := 0;
begin
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('message_events.partitions', 0));
  for wanted in
    select (this_month + pg_catalog.make_interval(months => n))::date from pg_catalog.generate_series(0, 2) n
    union
    select distinct d.month from private.message_events_default d
    where d.month between this_month - pg_catalog.make_interval(months => private.events_keep_months()) and this_month
    order by 1
  loop
    part := 'message_events_' || pg_catalog.to_char(wanted, 'YYYY_MM');
    continue when pg_catalog.to_regclass('private.' || part) is not null;
    if made = 0 then perform private.lock_events(); end if;
    execute pg_catalog.format('create table private.%I (like public.message_events including all)', part);
    execute pg_catalog.format('with moved as (delete from private.message_events_default d where d.month = %L returning d.*) insert into private.%I select m.* from moved m', wanted, part);
    execute pg_catalog.format('alter table public.message_events attach partition private.%I for values from (%L) to (%L)', part, wanted, (wanted + interval '1 month')::date);
    execute pg_catalog.format('alter table private.%I enable row level security', part);
    execute pg_catalog.format('alter table private.%I force row level security', part);
    made := made + 1;
  end loop;
  return made;
end $$;

-- Drops the months older than the retention, and what the default partition holds of them. Returns how many partitions went.
create function private.drop_partitions(keep_months int default private.events_keep_months()) returns int
language plpgsql volatile set search_path = '' set lock_timeout = '5s' as $$
declare
  oldest date := (pg_catalog.date_trunc('month', kernel.now() at time zone 'UTC') - pg_catalog.make_interval(months => keep_months))::date;
  part record;
  gone int := 0;
begin
  if keep_months is null or keep_months < 1 then
    raise exception 'keep_months must be at least 1, got %', keep_months using errcode = 'invalid_parameter_value';
  end if;
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('message_events.partitions', 0));
  for part in
    select c.relname as name from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'public.message_events'::regclass and c.relname ~ '^message_events_\d{4}_\d{2}$'
      and pg_catalog.to_date(pg_catalog.right(c.relname, 7), 'YYYY_MM') < oldest
    order by c.relname
  loop
    if gone = 0 then perform private.lock_events(); end if;
    execute pg_catalog.format('drop table private.%I', part.name);
    gone := gone + 1;
  end loop;
  delete from private.message_events_default d where d.month < oldest;
  return gone;
end $$;
select private.ensure_partitions();

create table public.tracked_links (
  tenant_id uuid not null,
  message_id uuid not null,
  number int not null,
  url text not null check (length(url) <= 4000),
  primary key (tenant_id, message_id, number),
  foreign key (tenant_id, message_id) references public.messages (tenant_id, id) on delete cascade
);
comment on table public.tracked_links is 'Where a tracked link leads. The link carries a signed number, never the target: no open redirect.';
select kernel.protect('public.tracked_links', write => null, broadcast => false);
grant insert, select on public.tracked_links to overture_user;

select kernel.create_queue('messaging_send');
select kernel.create_queue('messaging_reconcile');

-- Whether a moment lies in a campaign's sending window, and if not, when it next does. Days are ISO (1 = Monday).
create function private.in_window(settings jsonb, at timestamptz) returns boolean
language sql stable set search_path = '' as $$
  select settings -> 'window' is null or settings -> 'window' = 'null'::jsonb or (
    settings -> 'window' -> 'days' @> pg_catalog.to_jsonb(extract(isodow from local.t)::int)
    and local.t::time >= (settings -> 'window' ->> 'start')::time
    and local.t::time < (settings -> 'window' ->> 'end')::time)
  from (select at at time zone coalesce(settings ->> 'time_zone', 'UTC') as t) local
$$;

-- Claims up to `quantity` due messages of the current tenant on one connection, in one statement: campaign running, enrollment alive, address not
-- suppressed, window open, sender and connection usable, daily cap left. Reserves the cap, writes the attempts, sets the lease.
-- Whatever must not leave stays queued; what never may (suppressed, stopped) is cancelled by private.cancel_unsendable().
create function private.claim_messages(quantity int, lease_seconds int, only_connection uuid)
returns setof public.messages
language sql volatile set search_path = '' as $$
  with open_senders as materialized (
    select s.id, s.daily_cap, (kernel.now() at time zone s.time_zone)::date as day
    from public.senders s
    left join public.sender_usage u on u.tenant_id = s.tenant_id and u.sender_id = s.id and u.day = (kernel.now() at time zone s.time_zone)::date
    where s.tenant_id = kernel.tenant() and s.connection_id = only_connection and s.status = 'active' and coalesce(u.reserved, 0) < s.daily_cap
      and exists (select from public.connections c where c.tenant_id = s.tenant_id and c.id = s.connection_id and c.status = 'active'
        and (c.open_until is null or c.open_until <= kernel.now()))
  ), open_campaigns as materialized (
    -- Null stands for messages outside any campaign.
    select k.id from public.campaigns k
    where k.tenant_id = kernel.tenant() and k.status = 'running' and private.in_window(k.settings, kernel.now())
  ), candidates as (
    -- The first due ones of each open campaign, so that the queue of a paused one is never read through.
    -- More than wanted, because other workers may hold some.
    select x.id from open_campaigns k cross join lateral (
      select m.id, m.due_at from public.messages m
      where m.tenant_id = kernel.tenant() and m.campaign_id = k.id and m.status = 'queued' and m.due_at <= kernel.now()
        and m.sender_id in (select s.id from open_senders s) and m.connection_id = only_connection
      order by m.due_at, m.id limit quantity * 4) x
    union all
    (select m.id from public.messages m
      where m.tenant_id = kernel.tenant() and m.campaign_id is null and m.status = 'queued' and m.due_at <= kernel.now()
        and m.sender_id in (select s.id from open_senders s) and m.connection_id = only_connection
      order by m.due_at, m.id limit quantity * 4)
  ), locked as materialized (
    -- skip locked: two workers never take the same message. The conditions are checked again on the locked row.
    -- An array, not a join: on a table that grew since its last analyze the planner would run the candidates once per row.
    select m.id, m.sender_id, m.due_at from public.messages m
    where m.tenant_id = kernel.tenant() and m.id = any(array(select c.id from candidates c)) and m.status = 'queued'
      -- A campaign's message whose enrollment is gone (its contact was deleted) has nobody to go to.
      and (m.enrollment_id is null and m.campaign_id is null
        or exists (select from public.enrollments e where e.tenant_id = m.tenant_id and e.id = m.enrollment_id and e.status = 'sending'))
      and not exists (select from public.suppressions x where x.tenant_id = m.tenant_id and x.channel = m.channel and x.address = m.to_email)
      -- Once the provider has forgotten the key, asking again would send again.
      and (m.ask_until is null or m.ask_until > pg_catalog.clock_timestamp())
    order by m.due_at, m.id limit quantity
    for update of m skip locked
  ), wanted as (
    select l.id, l.sender_id, s.day, s.daily_cap, pg_catalog.row_number() over (partition by l.sender_id order by l.due_at, l.id) as nth
    from locked l join open_senders s on s.id = l.sender_id
  ), asked as (
    select w.sender_id, w.day, w.daily_cap, pg_catalog.count(*)::int as n from wanted w group by 1, 2, 3
  ), reserved as (
    -- One row per sender and day: concurrent claims queue up on it, and each sees what the one before took.
    insert into public.sender_usage as u (tenant_id, sender_id, day, reserved, granted)
    select kernel.tenant(), a.sender_id, a.day, least(a.n, a.daily_cap), least(a.n, a.daily_cap)
    from asked a where a.daily_cap > 0 order by a.sender_id
    on conflict (tenant_id, sender_id, day) do update set
      granted = greatest(0, least((select a.n from asked a where a.sender_id = u.sender_id),
                                  (select a.daily_cap from asked a where a.sender_id = u.sender_id) - u.reserved)),
      reserved = u.reserved + greatest(0, least((select a.n from asked a where a.sender_id = u.sender_id),
                                                (select a.daily_cap from asked a where a.sender_id = u.sender_id) - u.reserved))
    returning u.sender_id, u.granted as n
  ), taken as (
    update public.messages m
    set status = 'sending', attempts = m.attempts + 1, lease_until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_seconds)
    from wanted w join reserved g on g.sender_id = w.sender_id
    where m.tenant_id = kernel.tenant() and m.id = w.id and w.nth <= g.n
    returning m.*
  ), noted as (
    insert into public.attempts (tenant_id, message_id, number, connection_id, day)
    select t.tenant_id, t.id, t.attempts, t.connection_id, s.day from taken t join open_senders s on s.id = t.sender_id
  )
  select t.* from taken t order by t.due_at, t.id
$$;

-- Ends enrollments and takes back what has not left yet. The one way an enrollment ends early.
create function private.end_enrollments(ids uuid[], new_status text, why text) returns int
language sql volatile set search_path = '' as $$
  with ended as (
    update public.enrollments e set status = new_status, reason = why, next_at = null, finished_at = kernel.now()
    where e.tenant_id = kernel.tenant() and e.id = any(ids) and e.status in ('waiting', 'sending', 'blocked', 'finished')
      -- A finished sequence can still be answered or bounce; it cannot be stopped any more.
      and (e.status <> 'finished' or new_status in ('replied', 'bounced', 'unsubscribed'))
    returning e.id
  ), back as (
    update public.messages m set status = 'cancelled', due_at = null, error = why
    from ended where m.tenant_id = kernel.tenant() and m.enrollment_id = ended.id and m.status = 'queued'
  )
  select pg_catalog.count(*)::int from ended
$$;

-- Stops every running sequence of these addresses and suppresses them. The one way an address becomes suppressed.
create function private.suppress(addresses text[], why text, enrollment_status text, note text) returns void
language plpgsql volatile set search_path = '' as $$
begin
  insert into public.suppressions (tenant_id, channel, address, reason, detail)
  select kernel.tenant(), 'email', a, why, note from (select distinct pg_catalog.lower(x) as a from pg_catalog.unnest(addresses) x) d
  on conflict (tenant_id, channel, address) do nothing;
  perform private.end_enrollments(array(
    select e.id from public.enrollments e join public.contacts c on c.tenant_id = e.tenant_id and c.id = e.contact_id
    where e.tenant_id = kernel.tenant() and c.email = any(addresses) and e.status in ('waiting', 'sending', 'blocked', 'finished')
  ), enrollment_status, note);
  update public.messages m set status = 'cancelled', due_at = null, error = note
  where m.tenant_id = kernel.tenant() and m.status = 'queued' and m.to_email = any(addresses);
  update public.contacts c set status = case enrollment_status when 'bounced' then 'bounced' when 'unsubscribed' then 'unsubscribed' else 'suppressed' end
  where c.tenant_id = kernel.tenant() and c.email = any(addresses) and c.status not in ('bounced', 'unsubscribed', 'suppressed');
end $$;

-- After a message left: the enrollment waits for its next step, or is finished.
create function private.advance_enrollments(message_ids uuid[]) returns void
language sql volatile set search_path = '' as $$
  update public.enrollments e set
    status = case when n.wait_hours is null then 'finished' else 'waiting' end,
    next_at = case when n.wait_hours is null then null else m.sent_at + pg_catalog.make_interval(secs => n.wait_hours * 3600) end,
    finished_at = case when n.wait_hours is null then kernel.now() end,
    reason = null,
    thread_message_ids = e.thread_message_ids || coalesce(array[m.rfc_message_id], '{}'),
    thread_subject = coalesce(e.thread_subject, m.subject)
  from public.messages m
  left join public.campaign_steps n on n.tenant_id = m.tenant_id and n.campaign_id = m.campaign_id and n.position = m.step + 1
  where m.tenant_id = kernel.tenant() and m.id = any(message_ids) and m.status = 'sent'
    and e.tenant_id = m.tenant_id and e.id = m.enrollment_id and e.status = 'sending' and e.step = m.step
$$;

create type private.settling as (id uuid, outcome text, provider_message_id text, rfc_message_id text, code text, detail text,
  after_seconds double precision, final text, attempt int, connection_id uuid, sender_id uuid, day date);

-- Writes what became of claimed messages, in one call for a batch:
-- [{"id","attempt","outcome","provider_message_id","rfc_message_id","code","detail","after_seconds"}]
-- Only messages still sending, or unknown (a late answer), change; a settled message stays as it is. An answer that names an
-- attempt says nothing about a later one, except that the message was sent.
-- Definer: people who decide an unknown outcome may not write attempts, usage or health themselves. Bound to kernel.tenant().
create function private.settle_messages(outcomes jsonb) returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  me uuid := kernel.tenant();
  ts timestamptz := kernel.now();
  sent_ids uuid[];
  failed_ids uuid[];
  rows private.settling[];
begin
  -- Locked in id order, so that two settlements cannot wait for each other in a circle.
  with locked as (
    select m.id, m.attempts, m.ask_until, m.connection_id, m.sender_id from public.messages m
    where m.tenant_id = me and m.status in ('sending', 'unknown')
      and m.id in (select (o ->> 'id')::uuid from pg_catalog.jsonb_array_elements(outcomes) o)
    order by m.id for update
  )
  select coalesce(pg_catalog.array_agg(row(l.id, o.outcome, o.provider_message_id, o.rfc_message_id, o.code, pg_catalog.left(o.detail, 1000), o.after_seconds,
    case o.outcome when 'sent' then 'sent' when 'rejected' then 'failed' when 'unknown' then 'unknown' when 'broken' then 'queued'
      -- An earlier call of it may have gone through.
      -- Patience is a matter of time, not of tries: an outage of an hour must not cost anybody their message.
      else case when a.first_at > pg_catalog.clock_timestamp() - interval '1 day' then 'queued' when l.ask_until is not null then 'unknown' else 'failed' end end,
    l.attempts, l.connection_id, l.sender_id, a.day)::private.settling), '{}')
  into rows
  from locked l
  join pg_catalog.jsonb_to_recordset(outcomes) as o(id uuid, attempt int, outcome text, provider_message_id text, rfc_message_id text, code text, detail text, after_seconds double precision)
    on o.id = l.id and (o.attempt is null or o.attempt = l.attempts or o.outcome = 'sent')
  left join lateral (
    select pg_catalog.min(x.started_at) as first_at, pg_catalog.max(x.day) filter (where x.number = l.attempts) as day
    from public.attempts x where x.tenant_id = me and x.message_id = l.id) a on true;

  update public.messages m set
    status = s.final,
    lease_until = null,
    provider_message_id = coalesce(s.provider_message_id, m.provider_message_id),
    rfc_message_id = coalesce(s.rfc_message_id, m.rfc_message_id),
    sent_at = case when s.final = 'sent' then coalesce(m.sent_at, ts) else m.sent_at end,
    due_at = case when s.final = 'queued' then ts + pg_catalog.make_interval(secs => coalesce(s.after_seconds,
      case when s.outcome = 'broken' then 60 else least(3600, 2 ^ s.attempt) * (1 + pg_catalog.random() * 0.25) end)) end,
    error_code = s.code,
    error = s.detail
  from pg_catalog.unnest(rows) s where m.tenant_id = me and m.id = s.id;

  update public.attempts a set finished_at = pg_catalog.clock_timestamp(), outcome = s.outcome, code = s.code, detail = s.detail
  from pg_catalog.unnest(rows) s where a.tenant_id = me and a.message_id = s.id and a.number = s.attempt;

  -- What did not leave gives its place in the day back.
  update public.sender_usage u set reserved = greatest(0, u.reserved - g.n)
  from (select s.sender_id, s.day, pg_catalog.count(*)::int as n
        from pg_catalog.unnest(rows) s where s.final in ('queued', 'failed') group by 1, 2) g
  where u.tenant_id = me and u.sender_id = g.sender_id and u.day = g.day;

  select pg_catalog.array_agg(s.id) filter (where s.final = 'sent'), pg_catalog.array_agg(s.id) filter (where s.final = 'failed')
    into sent_ids, failed_ids from pg_catalog.unnest(rows) s;

  insert into public.message_events (tenant_id, message_id, kind, event_key, at, month, detail)
  select me, s.id, s.final, s.final || ':' || s.id, ts, pg_catalog.date_trunc('month', ts at time zone 'UTC')::date, case when s.final = 'failed' then pg_catalog.jsonb_build_object('code', s.code, 'detail', s.detail) else '{}' end
  from pg_catalog.unnest(rows) s where s.final in ('sent', 'failed')
  on conflict (tenant_id, event_key, month) do nothing;

  perform private.after_sent(sent_ids);
  if failed_ids is not null then
    perform private.end_enrollments(array(select m.enrollment_id from public.messages m where m.tenant_id = me and m.id = any(failed_ids) and m.enrollment_id is not null),
      'failed', 'The provider refused the message.');
  end if;

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
  where c.tenant_id = me and c.id = g.connection_id;
  return pg_catalog.cardinality(rows);
end $$;

-- What follows from messages having left: the sequence goes on, the timeline and the person's status say so.
create function private.after_sent(message_ids uuid[]) returns void
language plpgsql volatile set search_path = '' as $$
begin
  if message_ids is null then return; end if;
  perform private.advance_enrollments(message_ids);
  insert into public.interactions (tenant_id, contact_id, kind, channel, direction, content, ref_table, ref_id, at)
  select m.tenant_id, m.contact_id, 'email_sent', 'email', 'out', m.subject, 'messages', m.id, m.sent_at
  from public.messages m where m.tenant_id = kernel.tenant() and m.id = any(message_ids) and m.contact_id is not null
  on conflict (tenant_id, ref_table, ref_id, kind) where ref_id is not null do nothing;
  update public.contacts c set last_interaction_at = kernel.now(),
    status = case when c.status in ('new', 'researching', 'enriched', 'personalized', 'approved') then 'contacted' else c.status end
  from public.messages m where m.tenant_id = kernel.tenant() and m.id = any(message_ids) and c.tenant_id = m.tenant_id and c.id = m.contact_id;
end $$;

create type private.incoming as (kind text, event_key text, provider_message_id text, rfc_message_id text, recipient text, at timestamptz, bounce text,
  is_bot boolean, detail jsonb, target uuid, fresh boolean);

-- Applies normalised provider events of one connection, in one call for a batch:
-- [{"kind","event_key","provider_message_id","rfc_message_id","message_id","recipient","at","bounce","is_bot","detail"}]
-- Harmless in any order and any number of times. Returns the keys that match no message (yet).
create function private.apply_events(connection uuid, events jsonb) returns text[]
language plpgsql volatile set search_path = '' as $$
declare
  me uuid := kernel.tenant();
  rows private.incoming[];
  unmatched text[];
  proven uuid[];
begin
  -- Our own id first: it is known before the provider's id is, so a webhook may overtake the answer to the send.
  select coalesce(pg_catalog.array_agg(row(e.kind, e.event_key, e.provider_message_id, e.rfc_message_id, pg_catalog.lower(e.recipient), e.at, e.bounce,
    coalesce(e.is_bot, false), coalesce(e.detail, '{}'), coalesce(own.id, theirs.id), false)::private.incoming), '{}')
  into rows
  from pg_catalog.jsonb_to_recordset(events) as e(kind text, event_key text, provider_message_id text, rfc_message_id text, message_id text, recipient text, at timestamptz,
    bounce text, is_bot boolean, detail jsonb)
  -- Laterals with a limit: as a plain join, a batch of events made the planner read all messages of the connection.
  left join lateral (select m.id from public.messages m where m.tenant_id = me and m.direction = 'out' and (connection is null or m.connection_id = connection)
    and m.id = case when e.message_id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then e.message_id::uuid end limit 1) own on true
  left join lateral (select m.id from public.messages m where own.id is null and m.tenant_id = me and m.direction = 'out'
    and m.connection_id = connection and m.provider_message_id = e.provider_message_id limit 1) theirs on true;

  select pg_catalog.array_agg(i.event_key) into unmatched from pg_catalog.unnest(rows) i where i.target is null;

  with added as (
    insert into public.message_events (tenant_id, message_id, kind, event_key, at, month, is_bot, detail)
    select distinct on (i.event_key) me, i.target, i.kind, i.event_key, i.at, pg_catalog.date_trunc('month', i.at at time zone 'UTC')::date, i.is_bot, i.detail
    from pg_catalog.unnest(rows) i where i.target is not null
      -- What carries the moment of its telling (a second unsubscribe) may come back in another month.
      and not exists (select from public.message_events e where e.tenant_id = me and e.event_key = i.event_key)
    order by i.event_key
    on conflict (tenant_id, event_key, month) do nothing returning event_key
  )
  -- From here on only what is new: a redelivered fact changes nothing.
  select coalesce(pg_catalog.array_agg(row(i.kind, i.event_key, i.provider_message_id, i.rfc_message_id, i.recipient, i.at, i.bounce, i.is_bot, i.detail, i.target,
    a.event_key is not null)::private.incoming), '{}')
  into rows from pg_catalog.unnest(rows) i left join added a on a.event_key = i.event_key where i.target is not null;

  -- A provider that reports on a message has it: an unknown outcome is settled by that.
  with found as (
    update public.messages m set status = 'sent', lease_until = null, sent_at = coalesce(m.sent_at, i.at), due_at = null,
      provider_message_id = coalesce(m.provider_message_id, i.provider_message_id), error = null, error_code = null
    from (select distinct on (x.target) x.* from pg_catalog.unnest(rows) x where x.target is not null and x.kind <> 'failed' order by x.target, x.at) i
    where m.tenant_id = me and m.id = i.target and (m.status = 'unknown' or (m.status in ('queued', 'cancelled') and m.attempts > 0))
    returning m.id
  )
  select pg_catalog.array_agg(f.id) into proven from found f;
  if proven is not null then
    update public.attempts a set outcome = 'sent', detail = 'Proved by the provider''s webhook.', finished_at = pg_catalog.clock_timestamp()
    where a.tenant_id = me and a.message_id = any(proven) and a.outcome = 'unknown';
    perform private.after_sent(proven);
  end if;

  update public.messages m set
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
  where m.tenant_id = me and m.id = i.target;

  perform private.suppress(x.addresses, 'bounce', 'bounced', 'The address does not exist.') from (
    select pg_catalog.array_agg(m.to_email) as addresses from pg_catalog.unnest(rows) i join public.messages m on m.tenant_id = me and m.id = i.target
    where i.fresh and i.kind = 'bounced' and i.bounce = 'permanent') x where x.addresses is not null;
  perform private.suppress(x.addresses, 'complaint', 'unsubscribed', 'The person reported the message as spam.') from (
    select pg_catalog.array_agg(m.to_email) as addresses from pg_catalog.unnest(rows) i join public.messages m on m.tenant_id = me and m.id = i.target
    where i.fresh and i.kind = 'complained') x where x.addresses is not null;
  perform private.suppress(x.addresses, 'unsubscribe', 'unsubscribed', 'The person unsubscribed.') from (
    select pg_catalog.array_agg(m.to_email) as addresses from pg_catalog.unnest(rows) i join public.messages m on m.tenant_id = me and m.id = i.target
    where i.fresh and i.kind = 'unsubscribed') x where x.addresses is not null;
  -- Not the address's fault, but this sequence ends: writing on after a refusal harms the sender.
  perform private.end_enrollments(x.ids, 'bounced', 'The message bounced.') from (
    select pg_catalog.array_agg(m.enrollment_id) as ids from pg_catalog.unnest(rows) i join public.messages m on m.tenant_id = me and m.id = i.target
    where i.fresh and i.kind = 'bounced' and i.bounce <> 'permanent' and m.enrollment_id is not null) x where x.ids is not null;

  insert into public.interactions (tenant_id, contact_id, kind, channel, direction, content, ref_table, ref_id, at)
  select me, m.contact_id, 'email_' || i.kind, 'email', 'in', coalesce(i.detail ->> 'url', ''), 'messages', m.id, i.at
  from pg_catalog.unnest(rows) i join public.messages m on m.tenant_id = me and m.id = i.target
  where i.fresh and not i.is_bot and m.contact_id is not null and i.kind in ('opened', 'clicked', 'bounced', 'complained', 'unsubscribed')
  on conflict (tenant_id, ref_table, ref_id, kind) where ref_id is not null do nothing;
  return coalesce(unmatched, '{}');
end $$;

-- Stores a received mail once, finds what it answers, and stops the sequence unless a machine wrote it.
-- Returns the new message's id; null when it was stored before or is our own mail.
create function private.receive_email(connection uuid, mail jsonb, auto_reply boolean) returns uuid
language plpgsql volatile set search_path = '' as $$
declare
  me uuid := kernel.tenant();
  sender text := pg_catalog.lower(mail ->> 'from_email');
  refs text[] := array(select pg_catalog.jsonb_array_elements_text(coalesce(mail -> 'references', '[]')));
  original public.messages;
  person uuid;
  new_id uuid := kernel.uuid7();
  campaign public.campaigns;
begin
  if exists (select from public.senders s where s.tenant_id = me and s.from_email = sender) then return null; end if;
  select m.* into original from public.messages m
  where m.tenant_id = me and m.direction = 'out' and (m.rfc_message_id = any(refs) or m.provider_rfc_id = any(refs)) order by m.sent_at desc nulls last limit 1;
  if original.id is null then
    select m.* into original from public.messages m
    where m.tenant_id = me and m.direction = 'out' and m.to_email = sender and m.status = 'sent' order by m.sent_at desc limit 1;
  end if;
  person := coalesce(original.contact_id, (select c.id from public.contacts c where c.tenant_id = me and c.email = sender));
  insert into public.messages (tenant_id, id, direction, contact_id, campaign_id, enrollment_id, connection_id, status, from_email, from_name, to_email,
    subject, body_text, body_html, headers, rfc_message_id, in_reply_to, thread_id, provider_message_id, is_auto_reply, created_at)
  values (me, new_id, 'in', person, original.campaign_id, original.enrollment_id, connection, 'received', sender, coalesce(mail ->> 'from_name', ''),
    pg_catalog.lower(coalesce(mail ->> 'to_email', '')), pg_catalog.left(coalesce(mail ->> 'subject', ''), 500), coalesce(mail ->> 'text', ''), mail ->> 'html',
    coalesce(mail -> 'headers', '{}'), mail ->> 'rfc_message_id', refs[1], coalesce(original.thread_id, new_id), mail ->> 'provider_inbound_id', auto_reply, kernel.now())
  on conflict (tenant_id, connection_id, provider_message_id) where direction = 'in' do nothing;
  if not found then return null; end if;

  if original.id is not null then
    insert into public.message_events (tenant_id, message_id, kind, event_key, at, month, detail)
    values (me, original.id, case when auto_reply then 'auto_replied' else 'replied' end, 'reply:' || new_id, kernel.now(),
      pg_catalog.date_trunc('month', kernel.now() at time zone 'UTC')::date, pg_catalog.jsonb_build_object('message_id', new_id));
  end if;
  if person is not null then
    insert into public.interactions (tenant_id, contact_id, kind, channel, direction, content, ref_table, ref_id, at)
    values (me, person, case when auto_reply then 'email_auto_reply' else 'email_reply' end, 'email', 'in', pg_catalog.left(mail ->> 'text', 2000), 'messages', new_id, kernel.now());
  end if;
  if not auto_reply and original.id is not null then
    update public.messages m set replied_at = coalesce(m.replied_at, kernel.now()), opened_at = coalesce(m.opened_at, kernel.now())
    where m.tenant_id = me and m.id = original.id;
    select k.* into campaign from public.campaigns k where k.tenant_id = me and k.id = original.campaign_id;
    if coalesce((campaign.settings ->> 'stop_on_reply')::boolean, true) and original.enrollment_id is not null then
      perform private.end_enrollments(array[original.enrollment_id], 'replied', 'The person answered.');
    end if;
  end if;
  if not auto_reply and person is not null then
    update public.contacts c set last_interaction_at = kernel.now(),
      status = case when c.status in ('new', 'researching', 'enriched', 'personalized', 'approved', 'contacted') then 'replied' else c.status end
    where c.tenant_id = me and c.id = person;
  end if;
  return new_id;
end $$;

-- Queued messages that must never leave: the address was suppressed, or the sequence ended, after they were planned.
create function private.cancel_unsendable() returns int
language sql volatile set search_path = '' as $$
  with bad as (
    select m.id, m.enrollment_id, x.address is not null as suppressed
    from public.messages m
    left join public.suppressions x on x.tenant_id = m.tenant_id and x.channel = m.channel and x.address = m.to_email
    left join public.enrollments e on e.tenant_id = m.tenant_id and e.id = m.enrollment_id
    where m.tenant_id = kernel.tenant() and m.status = 'queued'
      and (x.address is not null or m.campaign_id is not null and e.status is distinct from 'sending')
    limit 500 for update of m skip locked
  ), gone as (
    update public.messages m set status = 'cancelled', due_at = null,
      error = case when bad.suppressed then 'The address is suppressed.' else 'The sequence ended before it left.' end
    from bad where m.tenant_id = kernel.tenant() and m.id = bad.id
  ), ended as (
    update public.enrollments e set status = 'suppressed', reason = 'The address is suppressed.', next_at = null, finished_at = kernel.now()
    from bad where bad.suppressed and e.tenant_id = kernel.tenant() and e.id = bad.enrollment_id and e.status in ('waiting', 'sending', 'blocked')
  )
  select pg_catalog.count(*)::int from bad
$$;

-- Schedules (run as postgres, across tenants; they only mark and enqueue). -----------------------------------------------------

-- Tenants with something due, by jumping from tenant to tenant through the index instead of reading every due row.
create function private.wake_tenants(queue text) returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  due uuid[];
begin
  due := case queue
    -- Campaign by campaign: there are few that run, and what waits in a paused one or outside its window wakes nobody.
    when 'campaigns_plan' then array(
      select distinct k.tenant_id from public.campaigns k
      where k.status = 'running' and private.in_window(k.settings, kernel.now())
        and exists (select from public.enrollments e where e.tenant_id = k.tenant_id and e.campaign_id = k.id and e.status = 'waiting' and e.next_at <= kernel.now()))
    when 'messaging_send' then array(
      with recursive t as (
        (select m.tenant_id from public.messages m where m.status = 'queued' and m.due_at <= kernel.now() order by m.tenant_id limit 1)
        union all
        select (select m.tenant_id from public.messages m where m.status = 'queued' and m.due_at <= kernel.now() and m.tenant_id > t.tenant_id order by m.tenant_id limit 1)
        from t where t.tenant_id is not null)
      select t.tenant_id from t where t.tenant_id is not null)
    -- After a day only a webhook or a person can still tell.
    when 'messaging_reconcile' then array(select distinct m.tenant_id from public.messages m where m.status = 'unknown' and m.updated_at > kernel.now() - interval '1 day')
  end;
  -- One wake message per tenant is enough; a tenant that has one waiting gets no second.
  perform kernel.enqueue(queue, array(
    select pg_catalog.jsonb_build_object('tenant_id', d) from pg_catalog.unnest(due) d
    where not private.is_awake(queue, d)));
  return pg_catalog.cardinality(due);
end $$;

create function private.is_awake(queue text, tenant uuid) returns boolean
language plpgsql stable security definer set search_path = '' as $$
declare
  awake boolean;
begin
  execute pg_catalog.format('select exists (select from pgmq.%I q where q.message ->> ''tenant_id'' = $1 and q.vt <= pg_catalog.clock_timestamp())', 'q_' || queue)
    into awake using tenant::text;
  return awake;
end $$;

-- Wake messages of the current tenant that wait beside the one being handled: they say nothing it does not know. Without this a
-- team whose planner left a hundred of them would hold every worker for as long as they last.
create function private.drop_wakes() returns void
language sql volatile security definer set search_path = '' as $$
  delete from pgmq.q_messaging_send q where q.msg_id in (
    select w.msg_id from pgmq.q_messaging_send w
    where w.vt <= pg_catalog.clock_timestamp() and w.message ->> 'tenant_id' = kernel.tenant()::text for update skip locked)
$$;

-- Unknown outcomes at a provider with idempotency keys: queued to be asked again under the same key, for as long as it remembers
-- the first call nobody knows the answer of. Their places in the day are given back; the claim takes new ones.
create function private.ask_again(ids uuid[], remembered_seconds double precision) returns int
language sql volatile set search_path = '' as $$
  with again as (
    update public.messages m set status = 'queued', due_at = kernel.now(), ask_until = u.until
    from (select a.message_id, min(a.started_at) + pg_catalog.make_interval(secs => remembered_seconds) as until
          from public.attempts a where a.tenant_id = kernel.tenant() and a.message_id = any(ids) and a.outcome = 'unknown' group by 1) u
    where m.tenant_id = kernel.tenant() and m.id = u.message_id and m.status = 'unknown' and u.until > pg_catalog.clock_timestamp()
    returning m.id, m.sender_id, m.attempts
  ), places as (
    update public.sender_usage u set reserved = greatest(0, u.reserved - g.n)
    from (select x.sender_id, a.day, pg_catalog.count(*)::int as n
          from again x join public.attempts a on a.tenant_id = kernel.tenant() and a.message_id = x.id and a.number = x.attempts group by 1, 2) g
    where u.tenant_id = kernel.tenant() and u.sender_id = g.sender_id and u.day = g.day
  )
  select pg_catalog.count(*)::int from again
$$;

-- A lease that ran out: the worker died between the call and the record, so nobody knows. Never sent again blindly.
create function private.expire_leases() returns int
language sql volatile security definer set search_path = '' as $$
  with lost as (
    update public.messages m set status = 'unknown', lease_until = null, error_code = 'worker_lost', error = 'The worker stopped before the provider''s answer was recorded.'
    where m.status = 'sending' and m.lease_until < pg_catalog.clock_timestamp()
    returning m.tenant_id, m.id, m.attempts
  ), noted as (
    update public.attempts a set outcome = 'unknown', code = 'worker_lost', finished_at = pg_catalog.clock_timestamp()
    from lost l where a.tenant_id = l.tenant_id and a.message_id = l.id and a.number = l.attempts and a.outcome is null
  ), forgotten as (
    -- Held back (paused, outside its window, capped) until the provider forgot the key: a person or a webhook must tell.
    update public.messages m set status = 'unknown', due_at = null, ask_until = null, error_code = 'key_expired',
      error = 'The provider could not be asked again in time.'
    where m.status = 'queued' and m.ask_until <= pg_catalog.clock_timestamp()
  )
  select pg_catalog.count(*)::int from lost
$$;

-- Running campaigns in which nobody waits any more and no audience is being taken in. Locked first, then looked at again:
-- whoever adds people meanwhile holds the campaign's row, and what they added is seen by the second statement.
create function private.finish_campaigns() returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  over uuid[];
  n int;
begin
  over := array(
    select k.id from public.campaigns k
    where k.status = 'running' and k.enrolling = 0
      and not exists (select from public.enrollments e where e.tenant_id = k.tenant_id and e.campaign_id = k.id and e.status in ('waiting', 'sending', 'blocked'))
    for update of k skip locked);
  update public.campaigns k set status = 'done', finished_at = kernel.now()
  where k.status = 'running' and k.id = any(over) and k.enrolling = 0
    and not exists (select from public.enrollments e where e.tenant_id = k.tenant_id and e.campaign_id = k.id and e.status in ('waiting', 'sending', 'blocked'));
  get diagnostics n = row_count;
  return n;
end $$;

grant execute on function private.in_window(jsonb, timestamptz), private.end_enrollments(uuid[], text, text),
  private.suppress(text[], text, text, text), private.advance_enrollments(uuid[]), private.settle_messages(jsonb), private.after_sent(uuid[])
  to overture_user, overture_worker;
grant execute on function private.claim_messages(int, int, uuid), private.apply_events(uuid, jsonb), private.receive_email(uuid, jsonb, boolean),
  private.cancel_unsendable(), private.ask_again(uuid[], double precision),
  private.drop_wakes() to overture_worker;
