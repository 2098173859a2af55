-- analytics: numbers that dashboards and lists read instead of counting millions of rows, and who may ask in SQL.
-- owner: modules/analytics   breaking: no   locks: none (new objects only)

create table public.analytics_daily (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  day date not null,
  kind text not null check (kind in ('sent', 'delivered', 'opened', 'clicked', 'replied', 'bounced', 'complained', 'unsubscribed',
    'failed')),
  -- All zeros: no campaign. No foreign key: what was sent stays sent when the campaign is deleted.
  campaign_id uuid not null default '00000000-0000-0000-0000-000000000000',
  n bigint not null,
  primary key (tenant_id, day, kind, campaign_id)
);
comment on table public.analytics_daily is 'Messages per UTC day, campaign and what became of them; each message counts once per kind, on the day it first happened.';
select kernel.protect('public.analytics_daily', write => null, broadcast => false);

create table public.analytics_deltas (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  day date not null,
  kind text not null,
  campaign_id uuid not null,
  n bigint not null,
  primary key (tenant_id, id)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 2);
comment on table public.analytics_deltas is 'Changes not yet folded into analytics_daily. Empty most of the time.';
select kernel.protect('public.analytics_deltas', write => null, broadcast => false);

create table kernel.analysts (
  role_name name primary key,
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  created_at timestamptz not null default pg_catalog.now()
);
comment on table kernel.analysts is 'Which tenant an analyst''s login role may read.';

-- A statement that changes rows appends what it changed to tally_deltas; a schedule folds these into tallies. Writers never meet
-- on a counter row, and a reader adds both up in one snapshot, so numbers are exact.
create table public.tallies (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  -- list: people on a list (ref). tag: people with it (key). people: of a campaign (ref) by status (key). step: messages of a
  -- campaign as «step id/position/what became». hour: the same by hour, as «what@epoch of the hour», for the last days.
  kind text not null check (kind in ('list', 'tag', 'people', 'step', 'hour')),
  -- All zeros for a tag. No foreign key: what is deleted counts itself down to nothing.
  ref uuid not null default '00000000-0000-0000-0000-000000000000',
  key text not null default '',
  n bigint not null,
  primary key (tenant_id, kind, ref, key)
);
comment on table public.tallies is 'Counts that change with every row and are read with every page. What happened since the last fold is in tally_deltas.';
select kernel.protect('public.tallies', write => null, broadcast => false);

create table public.tally_deltas (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  kind text not null,
  ref uuid not null,
  key text not null,
  n bigint not null,
  primary key (tenant_id, id)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 2);
comment on table public.tally_deltas is 'Changes not yet folded into tallies. Empty most of the time.';
select kernel.protect('public.tally_deltas', write => null, broadcast => false);
