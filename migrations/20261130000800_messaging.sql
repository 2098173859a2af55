-- messaging: the ledger that makes a send happen once, and what became of each message.
-- owner: modules/messaging   breaking: no   locks: none (new objects only)

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
)
-- A message is written three times on its way out and read in lists without its text: texts stand apart and are written once.
with (toast_tuple_target = 256);
comment on table public.messages is 'Every message out and in. An outgoing one exists once per enrollment and step: that key is what stops a second send.';
create unique index messages_once on public.messages (tenant_id, enrollment_id, step_id) where direction = 'out'
  and enrollment_id is not null;
create unique index messages_inbound_once on public.messages (tenant_id, connection_id, provider_message_id) where direction = 'in';
create index messages_due on public.messages (tenant_id, campaign_id, due_at, id) where status = 'queued';
create index messages_received on public.messages (tenant_id, created_at desc, id desc) where direction = 'in';
create index messages_asked on public.messages (ask_until) where status = 'queued' and ask_until is not null;
create index messages_leased on public.messages (lease_until) where status = 'sending';
create index messages_by_provider_id on public.messages (tenant_id, connection_id, provider_message_id)
  where provider_message_id is not null;
create index messages_by_rfc_id on public.messages (tenant_id, rfc_message_id) where rfc_message_id is not null;
create index messages_by_provider_rfc_id on public.messages (tenant_id, provider_rfc_id) where provider_rfc_id is not null;
create index messages_by_campaign on public.messages (tenant_id, campaign_id, status, id desc) where campaign_id is not null;
create index messages_by_contact on public.messages (tenant_id, contact_id, created_at desc) where contact_id is not null;
create index messages_by_thread on public.messages (tenant_id, thread_id, created_at);
create index messages_by_created on public.messages (tenant_id, created_at desc, id desc);
create index messages_unknown on public.messages (tenant_id, updated_at) where status = 'unknown';
-- The rare ones that people look for; the usual ones are found on the way through messages_by_created.
create index messages_by_rare_status on public.messages (tenant_id, status, created_at desc, id desc)
  where status in ('failed', 'cancelled');
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
  -- The two clocks that a date set by hand does not move (see kernel.clocks).
  slow_at timestamptz default kernel.slow_clock(),
  fast_at timestamptz default kernel.fast_clock(),
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
  kind text not null check (kind in ('sent', 'delivered', 'deferred', 'opened', 'clicked', 'replied', 'auto_replied', 'bounced',
    'complained', 'unsubscribed', 'failed')),
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

create type private.settling as (id uuid, outcome text, provider_message_id text, rfc_message_id text, code text, detail text,
  after_seconds double precision, final text, attempt int, connection_id uuid, sender_id uuid, day date);

create type private.incoming as (kind text, event_key text, provider_message_id text, rfc_message_id text, recipient text, at timestamptz,
  bounce text,
  is_bot boolean, detail jsonb, target uuid, fresh boolean);

create type private.counted_message as (tenant_id uuid, campaign_id uuid, step_id uuid, state text, sent timestamptz, delivered timestamptz,
  opened timestamptz, clicked timestamptz, replied timestamptz, bounced timestamptz, complained timestamptz, unsubscribed timestamptz,
  failed timestamptz);
