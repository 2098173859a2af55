-- approvals: messages that wait for a person's yes, which rule held them, who decided and what was changed.
-- owner: modules/approvals   breaking: no   locks: public.messages, briefly (one partial index)

create table public.approvals (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  message_id uuid not null,
  campaign_id uuid,
  step_id uuid,
  contact_id uuid,
  -- The rule that held it, the strictest of `rules`.
  rule text not null check (length(rule) <= 40),
  rules text[] not null check (cardinality(rules) between 1 and 20),
  -- 0 to 10, and the parts it is the sum of: docs/concepts/approvals.md.
  risk int not null check (risk between 0 and 10),
  risk_parts jsonb not null default '{}' check (jsonb_typeof(risk_parts) = 'object'),
  -- withdrawn: the message was cancelled before anybody decided.
  state text not null default 'pending' check (state in ('pending', 'approved', 'rejected', 'expired', 'withdrawn')),
  requested_at timestamptz not null default kernel.now(),
  -- When nobody decided until then: rejected, or the admins are told.
  expires_at timestamptz,
  -- Leaves by itself then, unless somebody stops it.
  auto_at timestamptz,
  escalated_at timestamptz,
  -- Empty: nobody, a rule did.
  decided_by text not null default '' check (length(decided_by) <= 320),
  decided_at timestamptz,
  reason text check (length(reason) <= 500),
  original_subject text not null default '',
  original_body text not null default '',
  edited_subject text,
  edited_body text,
  -- What the approver wrote, as the channel's template.
  edited_template jsonb check (jsonb_typeof(edited_template) = 'object'),
  edited_by text not null default '' check (length(edited_by) <= 320),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  constraint approvals_once unique (tenant_id, message_id),
  check ((state = 'pending') = (decided_at is null)),
  -- The decision to hold comes before the message is written, in one transaction.
  foreign key (tenant_id, message_id) references public.messages (tenant_id, id) on delete cascade deferrable initially deferred,
  foreign key (tenant_id, campaign_id) references public.campaigns (tenant_id, id) on delete set null (campaign_id),
  foreign key (tenant_id, contact_id) references public.contacts (tenant_id, id) on delete set null (contact_id)
);
comment on table public.approvals is 'One row per message that a rule held: who said yes or no to it, when, and what was changed.';
create index approvals_by_state on public.approvals (tenant_id, state, id);
create index approvals_by_campaign on public.approvals (tenant_id, campaign_id, state, id);
create index approvals_by_contact on public.approvals (tenant_id, contact_id) where contact_id is not null;
create index approvals_decided on public.approvals (tenant_id, decided_at) where decided_at is not null;
create index approvals_leaving on public.approvals (auto_at) where state = 'pending' and auto_at is not null;
create index approvals_expiring on public.approvals (expires_at) where state = 'pending' and expires_at is not null;
create index approvals_escalated on public.approvals (tenant_id) where state = 'pending' and escalated_at is not null;
select kernel.protect('public.approvals', write => 'approver');

-- Messages planned to leave without a person's yes, by day in UTC; kept only where the team has a daily cap.
create table public.approval_days (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  day date not null,
  automatic int not null default 0 check (automatic >= 0),
  primary key (tenant_id, day)
);
comment on table public.approval_days is 'How many messages were planned to leave without approval, by day: what the daily cap counts.';
select kernel.protect('public.approval_days', write => null, broadcast => false);

-- How many of a campaign wait, and since when.
create index messages_waiting on public.messages (tenant_id, campaign_id, created_at)
  where approval = 'pending' and status in ('queued', 'held');

select kernel.create_queue('approvals_due');
select kernel.create_queue('approvals_message_facts');
