-- Realtime's database half: realtime.messages and the functions that write to it, with Supabase's signatures.
-- The gateway delivers what stands in realtime._undelivered. Channel "realtime_messages" only wakes it: every login may listen and
-- send there, so a notification holds nothing and nothing is believed of it.

create table if not exists realtime.messages (
  topic text not null,
  extension text not null,
  payload jsonb,
  event text,
  private boolean default false,
  updated_at timestamp not null default now(),
  inserted_at timestamp not null default now(),
  id uuid not null default gen_random_uuid(),
  primary key (id, inserted_at)
);
create index if not exists messages_inserted_at_idx on realtime.messages (inserted_at);
-- postgres owns the table because policies on it come from migrations.
alter table realtime.messages owner to postgres;
alter table realtime.messages enable row level security;

grant usage on schema realtime to postgres, anon, authenticated, service_role;
grant select, insert, update on realtime.messages to anon, authenticated, service_role;

create or replace function realtime.topic() returns text language sql stable as $$
  select nullif(current_setting('realtime.topic', true), '')::text
$$;

create or replace function realtime.send(payload jsonb, event text, topic text, private boolean default true)
returns void language plpgsql as $$
declare
  generated_id uuid;
  final_payload jsonb;
begin
  begin
    generated_id := gen_random_uuid();
    if payload ? 'id' then
      final_payload := payload;
    else
      final_payload := jsonb_set(payload, '{id}', to_jsonb(generated_id));
    end if;
    perform set_config('realtime.topic', topic, true);
    insert into realtime.messages (id, payload, event, topic, private, extension)
    values (generated_id, final_payload, event, topic, private, 'broadcast');
  exception when others then
    -- A broadcast must never fail the transaction that caused it.
    raise warning 'ErrorSendingBroadcastMessage: %', sqlerrm;
  end;
end
$$;

create or replace function realtime.broadcast_changes(
  topic_name text, event_name text, operation text, table_name text, table_schema text,
  new record, old record, level text default 'ROW'
) returns void language plpgsql as $$
declare
  row_data jsonb := '{}'::jsonb;
begin
  if level = 'STATEMENT' then
    raise exception 'function can only be triggered for each row, not for each statement';
  end if;
  row_data := jsonb_build_object(
    'old_record', old, 'record', new, 'operation', operation, 'table', table_name, 'schema', table_schema
  );
  perform realtime.send(row_data, event_name, topic_name);
exception when others then
  raise exception 'Failed to process the row: %', sqlerrm;
end
$$;

-- What is committed and not yet delivered, in order. After a crash of the database it is empty, as its clients' sockets would be.
create unlogged table if not exists realtime._undelivered (
  position bigint generated always as identity primary key,
  message uuid not null,
  topic text not null,
  private boolean not null
);
revoke all on realtime._undelivered from public, anon, authenticated, service_role;

create or replace function realtime._announce() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  if new.extension = 'broadcast' then
    insert into realtime._undelivered (message, topic, private) values (new.id, new.topic, coalesce(new.private, false));
    perform pg_catalog.pg_notify('realtime_messages', '');
  end if;
  return null;
end
$$;

create or replace trigger announce after insert on realtime.messages
  for each row execute function realtime._announce();

grant execute on all functions in schema realtime to postgres, anon, authenticated, service_role;
