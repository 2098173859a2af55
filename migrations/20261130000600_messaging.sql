-- messaging: the ledger that makes a send happen once on any channel, what became of each message, and conversations.
-- owner: modules/messaging   breaking: no   locks: none (new objects only)

-- A conversation with one person on one channel. The row is made when the first message comes in; until then the messages
-- of a sequence carry its id and nothing else exists.
create table public.threads (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  channel text not null check (channel ~ '^[a-z][a-z0-9_]{1,39}$'),
  contact_id uuid,
  campaign_id uuid,
  sender_id uuid,
  -- What an inbound message is matched by where it names no message of ours: the other side's address.
  external_key text not null check (length(external_key) <= 320),
  subject text not null default '' check (length(subject) <= 500),
  status text not null default 'open' check (status in ('open', 'closed')),
  assignee_id uuid,
  last_message_at timestamptz not null default kernel.now(),
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, contact_id) references public.contacts (tenant_id, id) on delete set null (contact_id),
  foreign key (tenant_id, sender_id) references public.senders (tenant_id, id) on delete set null (sender_id),
  -- Who leaves the team leaves nothing behind that only they see.
  foreign key (tenant_id, assignee_id) references public.members (tenant_id, user_id) on delete set null (assignee_id)
);
comment on table public.threads is 'A conversation with one person on one channel, from its first inbound message on.';
create index threads_by_last_message on public.threads (tenant_id, last_message_at desc, id desc);
create index threads_by_key on public.threads (tenant_id, channel, external_key, last_message_at desc);
create index threads_by_assignee on public.threads (tenant_id, assignee_id) where assignee_id is not null;
create index threads_by_contact on public.threads (tenant_id, contact_id, last_message_at desc) where contact_id is not null;
select kernel.protect('public.threads');

create table public.messages (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  direction text not null check (direction in ('out', 'in')),
  channel text not null check (channel ~ '^[a-z][a-z0-9_]{1,39}$'),
  -- What is done on the channel, such as email.send: what sender limits count.
  action text not null check (length(action) <= 80),
  contact_id uuid,
  campaign_id uuid,
  enrollment_id uuid,
  step_id uuid,
  -- The run of the step that wrote it: one outgoing message each.
  step_run_id uuid,
  sender_id uuid,
  connection_id uuid,
  -- out: queued → sending → sent | failed | unknown; held: a guard stops it until something changes; cancelled before it left. in: received.
  status text not null check (status in ('queued', 'held', 'sending', 'sent', 'failed', 'unknown', 'cancelled', 'received')),
  -- Whether a person must say yes before it leaves.
  approval text not null default 'not_required' check (approval in ('not_required', 'pending', 'approved', 'rejected')),
  -- The channel demands recorded consent of the person.
  requires_consent boolean not null default false,
  due_at timestamptz,
  -- While sending: after this moment (wall clock, so that no rehearsal or clock jump shortens it) the worker is taken for dead
  -- and the outcome for unknown.
  lease_until timestamptz,
  -- How often it was claimed. An attempt has the number of its claim; a claim that led to no call has none.
  attempts int not null default 0,
  -- The sender's hour and day in which the last claim took a place under the limits.
  window_hour timestamptz,
  window_day date,
  -- Queued again although a call's outcome is unknown: until then (wall clock) the provider remembers the key of that call.
  idempotency_expires_at timestamptz,
  from_address text not null,
  from_name text not null default '',
  to_address text not null,
  subject text not null default '' check (subject !~ '[\r\n]'),
  body_text text not null default '',
  -- What the channel's providers need besides; e-mail's own columns stand in email_details.
  content jsonb not null default '{}' check (jsonb_typeof(content) = 'object'),
  thread_id uuid not null,
  provider_message_id text,
  error_code text,
  error text,
  is_auto_reply boolean not null default false,
  -- in: written by a person, and not a word such as STOP or HELP: what a sequence ends at.
  is_answer boolean not null default false,
  -- in: it names the message of ours that it answers; otherwise that was found by the two addresses.
  by_reference boolean not null default false,
  -- in: the same for one message however often and through whichever connection it comes: a digest of its Message-ID.
  delivery_key text,
  -- in: whether its words ask for no more messages. asked: they may, and a member decides; yes, no: as the words or a member say.
  opt_out text check (opt_out in ('asked', 'yes', 'no')),
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
  foreign key (tenant_id, sender_id) references public.senders (tenant_id, id) on delete set null (sender_id),
  foreign key (tenant_id, connection_id) references public.connections (tenant_id, id) on delete set null (connection_id),
  check (direction = 'in' or status <> 'received'),
  check ((status = 'sending') = (lease_until is not null)),
  check ((status = 'queued') = (due_at is not null))
) with (toast_tuple_target = 256);
comment on table public.messages is 'Every message out and in, on every channel. An outgoing one exists once per step run: that key is what stops a second send.';
create unique index messages_once on public.messages (tenant_id, step_run_id) where direction = 'out' and step_run_id is not null;
create unique index messages_inbound_once on public.messages (tenant_id, connection_id, provider_message_id) where direction = 'in';
-- One message of one person is one, also when it comes through two connections or with another id of the provider.
create unique index messages_inbound_same on public.messages (tenant_id, channel, from_address, delivery_key)
  where direction = 'in' and delivery_key is not null;
create index messages_due on public.messages (tenant_id, sender_id, due_at, id) where status = 'queued';
create index messages_held on public.messages (tenant_id, campaign_id, id) where status = 'held';
create index messages_received on public.messages (tenant_id, created_at desc, id desc) where direction = 'in';
-- Who answered: asked for each message before it leaves.
create index messages_replies on public.messages (tenant_id, contact_id, created_at) where direction = 'in' and is_answer and contact_id is not null;
create index messages_expiring on public.messages (idempotency_expires_at) where status = 'queued' and idempotency_expires_at is not null;
create index messages_leased on public.messages (lease_until) where status = 'sending';
create index messages_by_provider_id on public.messages (tenant_id, connection_id, provider_message_id) where provider_message_id is not null;
create index messages_by_campaign on public.messages (tenant_id, campaign_id, status, id desc) where campaign_id is not null;
create index messages_by_contact on public.messages (tenant_id, contact_id, created_at desc) where contact_id is not null;
create index messages_by_enrollment on public.messages (tenant_id, enrollment_id) where enrollment_id is not null;
create index messages_asked on public.messages (tenant_id, thread_id) where opt_out = 'asked';
-- The last message to an address: whom an inbound message without a reference answers.
create index messages_by_address on public.messages (tenant_id, channel, to_address, created_at desc) where direction = 'out';
create index messages_by_thread on public.messages (tenant_id, thread_id, created_at);
create index messages_by_created on public.messages (tenant_id, created_at desc, id desc);
create index messages_unknown on public.messages (tenant_id, updated_at) where status = 'unknown';
-- The rare ones that people look for; the usual ones are found on the way through messages_by_created.
create index messages_by_rare_status on public.messages (tenant_id, status, created_at desc, id desc) where status in ('failed', 'cancelled', 'held');
create index messages_sent on public.messages (tenant_id, sent_at) where sent_at is not null;
select kernel.protect('public.messages');

create table public.email_details (
  tenant_id uuid not null,
  message_id uuid not null,
  rfc_message_id text,
  -- The Message-ID the provider put in place of ours, when its events tell; some mail programs answer only that one.
  provider_rfc_id text,
  in_reply_to text,
  reply_to text,
  headers jsonb not null default '{}' check (jsonb_typeof(headers) = 'object'),
  html text,
  primary key (tenant_id, message_id),
  foreign key (tenant_id, message_id) references public.messages (tenant_id, id) on delete cascade
);
comment on table public.email_details is 'What only e-mail has: Message-IDs, headers, HTML. One row per e-mail.';
create index email_details_by_rfc_id on public.email_details (tenant_id, rfc_message_id) where rfc_message_id is not null;
create index email_details_by_provider_rfc_id on public.email_details (tenant_id, provider_rfc_id) where provider_rfc_id is not null;
select kernel.protect('public.email_details', broadcast => false);

create table public.attempts (
  tenant_id uuid not null,
  id uuid not null default kernel.uuid7(),
  message_id uuid not null,
  number int not null,
  connection_id uuid,
  -- The wall clock, as in a lease: providers' memories and searches know no rehearsal. The two others are not moved by a date
  -- that somebody sets: slow_at for leases and searches, fast_at for how long a provider remembers a key.
  started_at timestamptz not null default pg_catalog.clock_timestamp(),
  slow_at timestamptz default kernel.slow_clock(),
  fast_at timestamptz default kernel.fast_clock(),
  finished_at timestamptz,
  outcome text check (outcome in ('sent', 'rejected', 'retry', 'unknown', 'broken')),
  code text,
  detail text,
  primary key (tenant_id, id),
  unique (tenant_id, message_id, number),
  foreign key (tenant_id, message_id) references public.messages (tenant_id, id) on delete cascade
-- Room for the outcome on the same page, so that writing it touches no index.
) with (fillfactor = 60);
comment on table public.attempts is 'A call with a message, written before it begins: a crash in between leaves a row that says so.';
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

-- An outcome of a call as private.decide_outcomes reads it, and an event as private.match_events does.
create type private.settling as (id uuid, outcome text, provider_message_id text, rfc_message_id text, code text, detail text,
  after_seconds double precision, final text, attempt int, connection_id uuid, sender_id uuid, action text, window_hour timestamptz, window_day date,
  recipient text);
create type private.incoming as (kind text, event_key text, provider_message_id text, rfc_message_id text, recipient text, at timestamptz,
  bounce text, is_bot boolean, detail jsonb, target uuid, fresh boolean);

select kernel.create_queue('messaging_send');
select kernel.create_queue('messaging_reconcile');
select kernel.create_queue('messaging_release');
select kernel.create_queue('messaging_link_acts');

-- What counts of one message, as modules/messaging/sql/counters.sql reads it.
create type private.counted_message as (tenant_id uuid, campaign_id uuid, step_id uuid, state text, sent timestamptz, delivered timestamptz,
  opened timestamptz, clicked timestamptz, replied timestamptz, bounced timestamptz, complained timestamptz, unsubscribed timestamptz,
  failed timestamptz);
