-- pg_net's functions and tables for servers that cannot load it; the gateway delivers the queue.

do $$
begin
  -- The row lets "create extension if not exists pg_net" in a migration find it; foreign servers lack the stand-in.
  if exists (select from pg_available_extensions where name = 'pg_net') then
    create extension if not exists pg_net;
  end if;
end
$$;
create schema if not exists net;

do $$
begin
  if to_regtype('net.http_method') is null then
    create domain net.http_method as text
      check (value = any (array['get', 'post', 'delete']) or value = any (array['GET', 'POST', 'DELETE']));
  end if;
end
$$;

-- Unlogged as in pg_net: a crash loses requests that were not sent.
create unlogged table if not exists net.http_request_queue (
  id bigserial primary key,
  method net.http_method not null,
  url text not null,
  headers jsonb,
  body bytea,
  timeout_milliseconds integer not null
);

create unlogged table if not exists net._http_response (
  id bigint,
  status_code integer,
  content_type text,
  headers jsonb,
  content text,
  timed_out boolean,
  error_msg text,
  created timestamptz not null default now()
);
create index if not exists _http_response_created_idx on net._http_response (created);
create index if not exists _http_response_id_idx on net._http_response (id);

create or replace function net._urlencode_string(string character varying) returns text language sql immutable strict as $$
  select coalesce(string_agg(
    case when piece ~ '^[A-Za-z0-9_.~-]$' then piece
         else upper(regexp_replace(encode(convert_to(piece, 'UTF8'), 'hex'), '(..)', '%\1', 'g')) end, '' order by at), '')
  from regexp_split_to_table($1, '') with ordinality as pieces (piece, at)
$$;

create or replace function net._enqueue(method text, url text, headers jsonb, params jsonb, body bytea, timeout_milliseconds integer)
returns bigint language plpgsql security definer set search_path = '' as $$
declare
  query text;
  id bigint;
begin
  select string_agg(net._urlencode_string(key) || '=' || net._urlencode_string(value), '&') into query
  from jsonb_each_text(coalesce(params, '{}'::jsonb));
  insert into net.http_request_queue as q (method, url, headers, body, timeout_milliseconds)
  values ($1, case when query is null then $2 else $2 || case when strpos($2, '?') > 0 then '&' else '?' end || query end,
          $3, $5, $6)
  returning q.id into id;
  perform pg_notify('net_http_request', '');
  return id;
end
$$;

create or replace function net.http_get(
  url text, params jsonb default '{}'::jsonb, headers jsonb default '{}'::jsonb, timeout_milliseconds integer default 5000
) returns bigint language sql as $$
  select net._enqueue('GET', $1, $3, $2, null, $4)
$$;

create or replace function net.http_post(
  url text, body jsonb default '{}'::jsonb, params jsonb default '{}'::jsonb,
  headers jsonb default '{"Content-Type": "application/json"}'::jsonb, timeout_milliseconds integer default 5000
) returns bigint language plpgsql as $$
declare
  content_type text;
begin
  select value into content_type from jsonb_each_text(coalesce(headers, '{}'::jsonb)) where lower(key) = 'content-type';
  if content_type is null then
    headers := coalesce(headers, '{}'::jsonb) || '{"Content-Type": "application/json"}'::jsonb;
  elsif content_type <> 'application/json' then
    raise exception 'Content-Type header must be "application/json"';
  end if;
  return net._enqueue('POST', url, headers, params, convert_to(body::text, 'UTF8'), timeout_milliseconds);
end
$$;

create or replace function net.http_delete(
  url text, params jsonb default '{}'::jsonb, headers jsonb default '{}'::jsonb,
  timeout_milliseconds integer default 5000, body jsonb default null
) returns bigint language sql as $$
  select net._enqueue('DELETE', $1, $3, $2, convert_to($5::text, 'UTF8'), $4)
$$;

-- pg_net lets everybody call it. Whoever may would have this server fetch any address for them, its own network's included:
-- an analyst's login is somebody. Only who runs schedules needs it.
revoke usage on schema net from public;
grant usage on schema net to postgres, service_role;
grant all on all tables in schema net to postgres with grant option;
grant all on all sequences in schema net to postgres with grant option;
