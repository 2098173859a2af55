-- operations: what needs a person now.
-- owner: modules/operations   breaking: no   locks: none (new objects only)

-- An alert is a row from the moment its condition is first seen: pending until it held long enough, open until it was gone
-- for long enough, resolved from then on. One row per (team, kind, subject) at a time.
create table public.alerts (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  kind text not null,
  -- What it is about: a queue, a schedule, a campaign's id. Empty where the kind says it all.
  subject text not null default '',
  -- installation: about what all teams share; a row of the team that operates it.
  scope text not null check (scope in ('team', 'installation')),
  severity text not null check (severity in ('warning', 'critical')),
  summary text not null,
  href text,
  value double precision not null,
  threshold double precision not null,
  status text not null default 'pending' check (status in ('pending', 'open', 'resolved')),
  -- The wall clock: whether somebody must get up knows no rehearsal.
  created_at timestamptz not null default pg_catalog.now(),
  opened_at timestamptz,
  clear_since timestamptz,
  resolved_at timestamptz,
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  check ((status = 'pending') = (opened_at is null)),
  check ((status = 'resolved') = (resolved_at is not null))
);
comment on table public.alerts is 'What needs a person now, and what did. Written by private.evaluate_alerts() alone.';
create unique index alerts_current on public.alerts (tenant_id, kind, subject) where status <> 'resolved';
create index alerts_by_status on public.alerts (tenant_id, status, id desc);
create index alerts_old on public.alerts (resolved_at) where status = 'resolved';
-- Read as the API's operations:read is.
select kernel.protect('public.alerts', read => 'member', write => null);

select kernel.create_queue('operations_notify');

create type private.alert_finding as (tenant_id uuid, kind text, subject text, scope text, severity text, summary text, href text,
  value double precision, threshold double precision, for_seconds int);
