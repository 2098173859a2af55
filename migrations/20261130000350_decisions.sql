-- decisions: why something happened, was put off or did not happen.
-- owner: modules/kernel   breaking: no   locks: none (new objects only)

create table public.decisions (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  -- What it is about: an enrollment, or a message that belongs to none.
  subject_id uuid not null,
  at timestamptz not null default kernel.now(),
  -- Which part decided: plan, claim, enroll, move, reply, person.
  source text not null check (length(source) <= 40),
  -- took, left_out, deferred, cancelled, skipped, branched, ended, blocked …
  verdict text not null check (length(verdict) <= 40),
  -- A code of the vocabulary of reasons.
  reason text not null check (length(reason) <= 60),
  until timestamptz,
  detail jsonb not null default '{}' check (jsonb_typeof(detail) = 'object'),
  primary key (tenant_id, id)
);
comment on table public.decisions is 'Why: one row per decision about a person in a campaign or about a message. Written through kernel.decide.';
create index decisions_by_subject on public.decisions (tenant_id, subject_id, id);
create index decisions_by_age on public.decisions (at);
select kernel.protect('public.decisions', write => null, broadcast => false);
