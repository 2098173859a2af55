-- compliance: who must not be written to, and whose consent is recorded.
-- owner: modules/compliance   breaking: no   locks: none (new objects only)

create table public.suppressions (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  channel text not null default 'email' check (channel ~ '^[a-z][a-z0-9_]{1,39}$'),
  address text not null check (length(address) between 3 and 320),
  reason text not null check (reason in ('unsubscribe', 'bounce', 'complaint', 'manual')),
  detail text not null default '',
  created_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  unique (tenant_id, channel, address)
);
comment on table public.suppressions is 'Addresses that must not be written to. Checked in the statement that claims a message.';
select kernel.protect('public.suppressions');

create table public.consents (
  tenant_id uuid not null,
  id uuid not null default kernel.uuid7(),
  contact_id uuid not null,
  channel text not null check (channel ~ '^[a-z][a-z0-9_]{1,39}$'),
  state text not null check (state in ('granted', 'withdrawn')),
  -- Where it comes from: a form, an import, a word in a reply.
  source text not null default '' check (length(source) <= 500),
  at timestamptz not null default kernel.now(),
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  constraint consents_once unique (tenant_id, contact_id, channel),
  foreign key (tenant_id, contact_id) references public.contacts (tenant_id, id) on delete cascade
);
comment on table public.consents is 'A person''s consent per channel. Withdrawn stops every message on it, whatever the address.';
select kernel.protect('public.consents');
