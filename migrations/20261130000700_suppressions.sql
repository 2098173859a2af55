-- compliance: who must not be written to.
-- owner: modules/compliance   breaking: no   locks: none (new objects only)

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
