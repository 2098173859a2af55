-- campaigns: sequences in versions, their audiences, and every person's way through them.
-- owner: modules/campaigns   breaking: no   locks: none (new objects only)

create table public.campaigns (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  name text not null check (length(btrim(name)) between 1 and 120),
  status text not null default 'draft' check (status in ('draft', 'running', 'paused', 'stopped', 'done', 'archived', 'deleting')),
  tier text not null default 'standard' check (length(tier) <= 40),
  -- The version that new people follow; null while nothing is written.
  version_id uuid,
  list_id uuid,
  segment_id uuid,
  -- {time_zone, window: {days, start, end}, skip_dates, track_opens, track_clicks, stop_on_reply, exclusive}
  settings jsonb not null default '{}' check (jsonb_typeof(settings) = 'object'),
  -- Audiences still being taken in and moves under way: a campaign with one is not over, however few people wait.
  enrolling int not null default 0 check (enrolling >= 0),
  started_at timestamptz,
  finished_at timestamptz,
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, list_id) references public.lists (tenant_id, id) on delete restrict,
  foreign key (tenant_id, segment_id) references public.segments (tenant_id, id) on delete restrict,
  check (list_id is null or segment_id is null)
);
comment on table public.campaigns is 'An outreach campaign. Written only by modules/campaigns.';
create index campaigns_by_status on public.campaigns (tenant_id, status, id desc);
create index campaigns_running on public.campaigns (tenant_id, id) where status = 'running';
select kernel.protect('public.campaigns');

create table public.campaign_senders (
  tenant_id uuid not null,
  campaign_id uuid not null,
  sender_id uuid not null,
  position int not null,
  -- What the sender was on when the campaign started: a campaign keeps it.
  connection_id uuid,
  primary key (tenant_id, campaign_id, sender_id),
  foreign key (tenant_id, campaign_id) references public.campaigns (tenant_id, id) on delete cascade,
  foreign key (tenant_id, sender_id) references public.senders (tenant_id, id) on delete restrict,
  foreign key (tenant_id, connection_id) references public.connections (tenant_id, id) on delete restrict
);
comment on table public.campaign_senders is 'Who writes in a campaign. Several senders of one channel share its people; one person keeps one sender per channel.';
create index campaign_senders_by_sender on public.campaign_senders (tenant_id, sender_id);
select kernel.protect('public.campaign_senders', broadcast => false);

-- A step is what people mean by «the second e-mail»: it keeps its id when it is rewritten or moved, and its statistics with it.
create table public.campaign_steps (
  tenant_id uuid not null,
  id uuid not null default kernel.uuid7(),
  campaign_id uuid not null,
  created_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, campaign_id) references public.campaigns (tenant_id, id) on delete cascade
);
comment on table public.campaign_steps is 'The identity of a step over all versions of its campaign''s sequence.';
create index campaign_steps_by_campaign on public.campaign_steps (tenant_id, campaign_id);
select kernel.protect('public.campaign_steps', broadcast => false);

create table public.sequence_versions (
  tenant_id uuid not null,
  id uuid not null default kernel.uuid7(),
  campaign_id uuid not null,
  number int not null check (number >= 1),
  entry_node_id uuid,
  created_by text not null default '',
  created_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  unique (tenant_id, campaign_id, number),
  foreign key (tenant_id, campaign_id) references public.campaigns (tenant_id, id) on delete cascade
);
comment on table public.sequence_versions is 'One state of a campaign''s sequence. Immutable: a change makes the next version.';
select kernel.protect('public.sequence_versions', broadcast => false);
alter table public.campaigns add foreign key (tenant_id, version_id) references public.sequence_versions (tenant_id, id)
  on delete set null (version_id) deferrable initially deferred;

create table public.sequence_nodes (
  tenant_id uuid not null,
  id uuid not null default kernel.uuid7(),
  version_id uuid not null,
  step_id uuid not null,
  kind text not null check (kind ~ '^[a-z][a-z0-9_]{0,39}$'),
  -- What is done on a channel, such as email.send; null for steps that send nothing.
  action text check (length(action) <= 80),
  config jsonb not null default '{}' check (jsonb_typeof(config) = 'object'),
  -- Where it stands in what the author wrote: below which node, in which branch, as the how manieth.
  parent_id uuid,
  branch text,
  position int not null,
  primary key (tenant_id, id),
  unique (tenant_id, version_id, step_id),
  foreign key (tenant_id, version_id) references public.sequence_versions (tenant_id, id) on delete cascade,
  foreign key (tenant_id, step_id) references public.campaign_steps (tenant_id, id) on delete cascade
);
comment on table public.sequence_nodes is 'A step as one version has it.';
create index sequence_nodes_by_step on public.sequence_nodes (tenant_id, step_id);
select kernel.protect('public.sequence_nodes', broadcast => false);

create table public.sequence_edges (
  tenant_id uuid not null,
  version_id uuid not null,
  from_node uuid not null,
  -- The outcome that leads this way: next, or a branch of a condition.
  branch text not null default 'next',
  to_node uuid not null,
  primary key (tenant_id, from_node, branch),
  foreign key (tenant_id, version_id) references public.sequence_versions (tenant_id, id) on delete cascade,
  foreign key (tenant_id, from_node) references public.sequence_nodes (tenant_id, id) on delete cascade,
  foreign key (tenant_id, to_node) references public.sequence_nodes (tenant_id, id) on delete cascade
);
comment on table public.sequence_edges is 'What comes after a node, by outcome. Without an edge the sequence ends there.';
create index sequence_edges_by_version on public.sequence_edges (tenant_id, version_id);
select kernel.protect('public.sequence_edges', broadcast => false);

create table public.enrollments (
  tenant_id uuid not null,
  id uuid not null default kernel.uuid7(),
  campaign_id uuid not null,
  contact_id uuid not null,
  version_id uuid,
  -- Where they stand: the node that is due at next_at, or whose message or task is open.
  node_id uuid,
  -- What that node sends (email.send), null where it sends nothing; and by whom, null until the first message on its channel.
  action text,
  sender_id uuid,
  -- waiting: next_at says from when the node is due. sending: its message is on the way. task: a person has to do something.
  -- blocked: a value is missing. left_out: in the audience, but not taken in. The rest are final.
  status text not null default 'waiting' check (status in ('waiting', 'sending', 'task', 'blocked', 'finished', 'replied', 'bounced',
    'unsubscribed', 'suppressed', 'stopped', 'failed', 'left_out')),
  next_at timestamptz,
  -- When they came to the node: what waits count from.
  entered_at timestamptz not null default kernel.now(),
  -- Which time they go through the sequence, and since when: a person that is started again gets the next number.
  run int not null default 1,
  started_at timestamptz not null default kernel.now(),
  -- Why, as a code of the vocabulary of reasons, and what it is about.
  reason text check (length(reason) <= 60),
  reason_detail text check (length(reason_detail) <= 500),
  -- Whether they may be active in no other campaign meanwhile.
  exclusive boolean not null default false,
  -- {senders: {channel: id}}: one person keeps one sender per channel.
  vars jsonb not null default '{}' check (jsonb_typeof(vars) = 'object'),
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  finished_at timestamptz,
  primary key (tenant_id, id),
  unique (tenant_id, campaign_id, contact_id),
  foreign key (tenant_id, campaign_id) references public.campaigns (tenant_id, id) on delete cascade,
  foreign key (tenant_id, contact_id) references public.contacts (tenant_id, id) on delete cascade,
  check ((status = 'waiting') = (next_at is not null)),
  check (status not in ('waiting', 'sending', 'task', 'blocked') or node_id is not null or status = 'waiting'),
  check (action is not null or sender_id is null)
);
comment on table public.enrollments is 'One person in one campaign: where they are, what comes next, or why it ended.';
-- The planner goes campaign by campaign, so that a paused one costs nothing, and by action and sender, so that people who wait
-- for a sender's limit are not read through.
create index enrollments_due on public.enrollments (tenant_id, campaign_id, action, sender_id, next_at, id) where status = 'waiting';
create index enrollments_by_status on public.enrollments (tenant_id, campaign_id, status, id);
create index enrollments_by_contact on public.enrollments (tenant_id, contact_id);
create index enrollments_by_campaign on public.enrollments (tenant_id, campaign_id, id desc);
create index enrollments_by_version on public.enrollments (tenant_id, version_id, id) where status in ('waiting', 'sending', 'task', 'blocked');
create unique index enrollments_exclusive on public.enrollments (tenant_id, contact_id)
  where exclusive and status in ('waiting', 'sending', 'task', 'blocked');
select kernel.protect('public.enrollments');

create table public.step_runs (
  tenant_id uuid not null,
  id uuid not null default kernel.uuid7(),
  enrollment_id uuid not null,
  node_id uuid not null,
  step_id uuid not null,
  -- The enrollment's run: a step happens once in each.
  visit int not null default 1,
  -- open: its message or task is not settled yet.
  state text not null check (state in ('open', 'done', 'skipped', 'failed', 'cancelled')),
  -- What it came to: sent, yes, no, done, no_address, …
  outcome text check (length(outcome) <= 60),
  output jsonb not null default '{}' check (jsonb_typeof(output) = 'object'),
  started_at timestamptz not null default kernel.now(),
  finished_at timestamptz,
  primary key (tenant_id, id),
  constraint step_runs_once unique (tenant_id, enrollment_id, step_id, visit),
  foreign key (tenant_id, enrollment_id) references public.enrollments (tenant_id, id) on delete cascade,
  check ((state = 'open') = (finished_at is null))
-- Room for the outcome on the same page, so that writing it touches no index.
) with (fillfactor = 70);
comment on table public.step_runs is 'What a step did for one person. One row per person, step and run: that key is what stops a step from happening twice.';
create index step_runs_by_step on public.step_runs (tenant_id, step_id, id desc);
select kernel.protect('public.step_runs', write => null, broadcast => false);

create table public.tasks (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  contact_id uuid not null,
  campaign_id uuid,
  enrollment_id uuid,
  step_run_id uuid,
  title text not null check (length(btrim(title)) between 1 and 200),
  note text not null default '' check (length(note) <= 10000),
  status text not null default 'open' check (status in ('open', 'done', 'skipped', 'cancelled')),
  -- What the person who did it says came of it: one of the step's outcomes.
  outcome text check (length(outcome) <= 60),
  result text not null default '' check (length(result) <= 10000),
  assignee_id uuid,
  due_at timestamptz,
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  finished_at timestamptz,
  finished_by text,
  primary key (tenant_id, id),
  foreign key (tenant_id, contact_id) references public.contacts (tenant_id, id) on delete cascade,
  foreign key (tenant_id, enrollment_id) references public.enrollments (tenant_id, id) on delete cascade,
  -- The tasks of who leaves the team are anybody's.
  foreign key (tenant_id, assignee_id) references public.members (tenant_id, user_id) on delete set null (assignee_id),
  check ((status = 'open') = (finished_at is null))
);
comment on table public.tasks is 'What a person has to do in a sequence: a call, a letter. The sequence goes on when they say what came of it.';
create unique index tasks_once on public.tasks (tenant_id, step_run_id) where step_run_id is not null;
create index tasks_by_urgency on public.tasks (tenant_id, status, (coalesce(due_at, created_at)), id);
create index tasks_by_enrollment on public.tasks (tenant_id, enrollment_id) where enrollment_id is not null;
create index tasks_by_assignee on public.tasks (tenant_id, assignee_id) where assignee_id is not null;
create index tasks_by_contact on public.tasks (tenant_id, contact_id, id desc);
select kernel.protect('public.tasks');

-- The ledger knows messages, not sequences; a message of a sequence can still not name another team's.
alter table public.messages
  add foreign key (tenant_id, campaign_id) references public.campaigns (tenant_id, id) on delete set null (campaign_id),
  add foreign key (tenant_id, enrollment_id) references public.enrollments (tenant_id, id) on delete set null (enrollment_id);
alter table public.threads
  add foreign key (tenant_id, campaign_id) references public.campaigns (tenant_id, id) on delete set null (campaign_id);
create index threads_by_campaign on public.threads (tenant_id, campaign_id) where campaign_id is not null;

select kernel.create_queue('campaigns_enroll');
select kernel.create_queue('campaigns_plan');
select kernel.create_queue('campaigns_move');
select kernel.create_queue('campaigns_retry');
select kernel.create_queue('campaigns_stop');
select kernel.create_queue('campaigns_delete');
select kernel.create_queue('campaigns_message_facts');
