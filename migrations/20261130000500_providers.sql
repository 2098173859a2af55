-- providers: the teams' own sending accounts, their senders, and the webhooks that come back.
-- owner: modules/providers   breaking: no   locks: none (new objects only)

create table public.connections (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  provider text not null check (provider ~ '^[a-z][a-z0-9_]{1,39}$'),
  -- A channel's id, or another kind of provider that a module brings.
  category text not null check (category ~ '^[a-z][a-z0-9_]{1,39}$'),
  name text not null check (length(btrim(name)) between 1 and 80),
  status text not null default 'draft' check (status in ('draft', 'tested', 'active', 'paused', 'issue')),
  settings jsonb not null default '{}' check (jsonb_typeof(settings) = 'object'),
  base_url text check (length(base_url) <= 500),
  -- AES-256-GCM, bound to tenant and row; never a plain value.
  credentials text not null check (credentials like 'v1.%'),
  credentials_set text[] not null default '{}',
  webhook_registered boolean not null default false,
  sent bigint not null default 0,
  failed bigint not null default 0,
  consecutive_failures int not null default 0,
  -- Messages refused since the last one that was taken.
  consecutive_rejections int not null default 0,
  last_success_at timestamptz,
  last_error text,
  last_error_at timestamptz,
  -- The circuit breaker: nothing is sent before this moment.
  circuit_open_until timestamptz,
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  unique (id),
  unique (tenant_id, name)
);
comment on table public.connections is 'A team''s account at a provider. Credentials are ciphertext and never leave through the API.';
select kernel.protect('public.connections', write => 'admin');
revoke select on public.connections from authenticated;
grant select (tenant_id, id, provider, category, name, status, settings, base_url, credentials_set, webhook_registered, sent, failed,
  consecutive_failures, last_success_at, last_error, last_error_at, circuit_open_until, created_at, updated_at) on public.connections to authenticated;

create table public.senders (
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  id uuid not null default kernel.uuid7(),
  channel text not null check (channel ~ '^[a-z][a-z0-9_]{1,39}$'),
  connection_id uuid not null,
  -- In the channel's normal form: an e-mail address, a number, a messaging service.
  address text not null check (length(address) between 1 and 320),
  display_name text not null default '' check (length(display_name) <= 120 and display_name !~ '[\r\n]'),
  -- What the channel wants besides, such as an e-mail sender's reply_to.
  profile jsonb not null default '{}' check (jsonb_typeof(profile) = 'object'),
  time_zone text not null default 'UTC',
  status text not null default 'active' check (status in ('active', 'paused')),
  created_at timestamptz not null default kernel.now(),
  updated_at timestamptz not null default kernel.now(),
  primary key (tenant_id, id),
  unique (tenant_id, connection_id, address),
  foreign key (tenant_id, connection_id) references public.connections (tenant_id, id) on delete restrict
);
comment on table public.senders is 'Who a message is from: an address on a connection, with limits of its own.';
create index senders_by_address on public.senders (tenant_id, channel, address);
select kernel.protect('public.senders', write => 'admin');

create table public.sender_limits (
  tenant_id uuid not null,
  sender_id uuid not null,
  action text not null check (action ~ '^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$'),
  -- Periods are the sender's own: its day begins at midnight in its time zone, its week on Monday.
  per text not null check (per in ('hour', 'day', 'week')),
  cap int not null check (cap between 0 and 1000000),
  primary key (tenant_id, sender_id, action, per),
  foreign key (tenant_id, sender_id) references public.senders (tenant_id, id) on delete cascade
);
comment on table public.sender_limits is 'How often a sender may do an action per hour, day or week. The smallest rest counts.';
select kernel.protect('public.sender_limits', write => 'admin', broadcast => false);

create table public.sender_usage (
  tenant_id uuid not null,
  sender_id uuid not null,
  action text not null,
  -- The windows that run, and what of them is spoken for. One row, so that a claim reserves all of them at once.
  hour timestamptz not null,
  hour_reserved int not null default 0 check (hour_reserved >= 0),
  day date not null,
  day_reserved int not null default 0 check (day_reserved >= 0),
  week date not null,
  week_reserved int not null default 0 check (week_reserved >= 0),
  -- What the last claim was given. Returned by that claim itself, so it is exact under concurrency.
  granted int not null default 0,
  primary key (tenant_id, sender_id, action),
  foreign key (tenant_id, sender_id) references public.senders (tenant_id, id) on delete cascade
);
comment on table public.sender_usage is 'How much of a sender''s limits is spoken for. Reserved in the statement that claims the messages.';
select kernel.protect('public.sender_usage', write => null, broadcast => false);

-- What providers told us, as it came. Stored before any logic runs; the delivery id makes a redelivery one row.
create table public.webhook_deliveries (
  tenant_id uuid not null,
  id uuid not null default kernel.uuid7(),
  connection_id uuid not null,
  delivery_id text not null check (length(delivery_id) between 1 and 300),
  body bytea not null,
  -- What the proof covered beside the body, such as our message id in the query of a signed URL.
  context jsonb not null default '{}' check (jsonb_typeof(context) = 'object' and pg_column_size(context) <= 4000),
  received_at timestamptz not null default kernel.now(),
  processed_at timestamptz,
  -- Times its events matched no message: a webhook may overtake the record of the send.
  attempts int not null default 0,
  error text,
  primary key (tenant_id, id),
  unique (tenant_id, connection_id, delivery_id),
  foreign key (tenant_id, connection_id) references public.connections (tenant_id, id) on delete cascade
);
create index webhook_deliveries_by_age on public.webhook_deliveries (received_at);
select kernel.protect('public.webhook_deliveries', read => 'admin', write => null, broadcast => false);

select kernel.create_queue('webhooks_in');
-- Mail that a webhook only announced, to be fetched from the provider.
select kernel.create_queue('providers_inbound');
-- Credentials sealed under a key that is no longer the current one.
select kernel.create_queue('providers_rotate');
