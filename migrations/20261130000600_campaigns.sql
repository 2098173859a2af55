-- campaigns: sequences of steps, their audiences and every person's way through them.
-- owner: modules/campaigns   breaking: no   locks: none (new objects only)

create table public.campaigns (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  name text not null check (length(btrim(name)) between 1 and 120),
  status text not null default 'draft' check (status in ('draft', 'running', 'paused', 'stopped', 'done', 'archived')),
  tier text not null default 'standard' check (length(tier) <= 40),
  sender_id uuid,
  -- A campaign keeps the connection it started with.
  connection_id uuid,
  list_id uuid,
  segment_id uuid,
  -- {time_zone, window: {days, start, end}, track_opens, track_clicks, stop_on_reply}
  settings jsonb not null default '{}' check (jsonb_typeof(settings) = 'object'),
  -- Audiences still being taken in: a campaign with one is not over, however few people wait.
  enrolling int not null default 0 check (enrolling >= 0),
  started_at timestamptz,
  finished_at timestamptz,
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, sender_id) references public.senders (tenant_id, id) on delete restrict,
  foreign key (tenant_id, connection_id) references public.connections (tenant_id, id) on delete restrict,
  foreign key (tenant_id, list_id) references public.lists (tenant_id, id) on delete restrict,
  foreign key (tenant_id, segment_id) references public.segments (tenant_id, id) on delete restrict,
  check (list_id is null or segment_id is null),
  check (status in ('draft', 'archived') or sender_id is not null)
);
comment on table public.campaigns is 'An outreach campaign. Written only by modules/campaigns.';
create index campaigns_by_status on public.campaigns (tenant_id, status, id desc);
create index campaigns_running on public.campaigns (tenant_id, id) where status = 'running';
select kernel.protect('public.campaigns');

create table public.campaign_steps (
  tenant_id uuid not null,
  id uuid not null default kernel.uuid7(),
  campaign_id uuid not null,
  position int not null check (position between 1 and 20),
  kind text not null default 'email' check (kind in ('email')),
  -- Hours after the step before was sent; the first step's wait counts from enrollment.
  wait_hours numeric(10, 4) not null default 0 check (wait_hours >= 0 and wait_hours <= 8760),
  -- Empty on a follow-up: it answers the first message in its thread.
  subject text not null default '' check (length(subject) <= 500 and subject !~ '[\r\n]'),
  body text not null check (length(body) <= 100000),
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  -- Deferred, so that two steps can swap places in one transaction.
  constraint campaign_steps_position unique (tenant_id, campaign_id, position) deferrable initially deferred,
  foreign key (tenant_id, campaign_id) references public.campaigns (tenant_id, id) on delete cascade,
  check (position > 1 or subject <> '')
);
comment on table public.campaign_steps is 'What is sent and when. A step keeps its id when it moves, so history stays with it.';
select kernel.protect('public.campaign_steps');

create table public.enrollments (
  tenant_id uuid not null,
  id uuid not null default kernel.uuid7(),
  campaign_id uuid not null,
  contact_id uuid not null,
  -- waiting: next_at says when the next step is due. sending: its message is on the way. The rest are final.
  status text not null default 'waiting' check (status in ('waiting', 'sending', 'blocked', 'finished', 'replied', 'bounced',
    'unsubscribed', 'suppressed', 'stopped', 'failed')),
  -- Position of the last step that was planned; 0 before the first.
  step int not null default 0,
  next_at timestamptz,
  reason text,
  -- The first message's Message-ID and the last one's: follow-ups thread under them.
  thread_message_ids text[] not null default '{}',
  thread_subject text,
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  finished_at timestamptz,
  primary key (tenant_id, id),
  unique (tenant_id, campaign_id, contact_id),
  foreign key (tenant_id, campaign_id) references public.campaigns (tenant_id, id) on delete cascade,
  foreign key (tenant_id, contact_id) references public.contacts (tenant_id, id) on delete cascade,
  check ((status = 'waiting') = (next_at is not null))
);
comment on table public.enrollments is 'One person in one campaign: where they are, what comes next, or why it ended.';
-- The planner goes campaign by campaign, so that a paused one costs nothing.
create index enrollments_due_by_campaign on public.enrollments (tenant_id, campaign_id, next_at, id) where status = 'waiting';
create index enrollments_by_status on public.enrollments (tenant_id, campaign_id, status, id);
create index enrollments_by_contact on public.enrollments (tenant_id, contact_id);
create index enrollments_by_campaign on public.enrollments (tenant_id, campaign_id, id desc);
select kernel.protect('public.enrollments');

select kernel.create_queue('campaigns_enroll');
select kernel.create_queue('campaigns_plan');
