-- Sessions are the auth server's rows, Supabase's own tables: the same on GoTrue and on the embedded server. Only these functions touch
-- them, each for one person whom the caller has verified.
create or replace function private.my_sessions(person uuid)
returns table (id uuid, created_at timestamptz, last_used_at timestamptz, user_agent text, address text)
language plpgsql stable security definer set search_path = '' as $$
begin
  return query select s.id, s.created_at, coalesce(s.refreshed_at at time zone 'UTC', s.updated_at, s.created_at),
    pg_catalog.left(s.user_agent, 500), pg_catalog.host(s.ip)
  from auth.sessions s where s.user_id = person and (s.not_after is null or s.not_after > pg_catalog.now())
  order by 3 desc, s.id limit 200;
end $$;
grant execute on function private.my_sessions(uuid) to overture_worker;

-- Ends one session of this person, with its refresh tokens (the foreign key removes them). False: they have no such session.
create or replace function private.end_session(person uuid, session uuid) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
begin
  delete from auth.sessions s where s.id = session and s.user_id = person;
  return found;
end $$;
grant execute on function private.end_session(uuid, uuid) to overture_worker;

-- Ends all sessions of this person but one; all of them where that is null.
create or replace function private.end_other_sessions(person uuid, keep uuid) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  delete from auth.sessions s where s.user_id = person and s.id is distinct from keep;
end $$;
grant execute on function private.end_other_sessions(uuid, uuid) to overture_worker;

-- After somebody proved who they are: what the session's list shows, and the address as one that this account signs in from. Only
-- digests are kept of addresses, the latest 20 of an account, for half a year.
create or replace function private.note_sign_in(session uuid, agent text, address inet, account text, known text) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  update auth.sessions s set user_agent = agent, ip = note_sign_in.address where s.id = session;
  if known is null then return; end if;
  insert into private.known_addresses as k (digest, account, at) values (known, note_sign_in.account, kernel.now())
  on conflict (digest) do update set at = excluded.at;
  delete from private.known_addresses k where k.at < kernel.now() - interval '180 days' or k.digest in (
    select x.digest from private.known_addresses x where x.account = note_sign_in.account order by x.at desc, x.digest offset 20);
end $$;
grant execute on function private.note_sign_in(uuid, text, inet, text, text) to overture_worker;

-- Whether the account has signed in from this address: its attempts have a limit of their own, which no stranger can use up.
create or replace function private.knows_address(known text) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from private.known_addresses k where k.digest = known)
$$;
grant execute on function private.knows_address(text) to overture_worker;

-- A refresh token is exchanged once. Who shows one that was exchanged more than ten seconds ago, the time in which a client may repeat
-- a request whose answer was lost, is not the one who has its successor: one of the two is a thief, so the session ends for both.
-- The auth server itself lets the token before the current one pass at any time. True: the session was ended.
create or replace function private.end_stolen_session(refresh_token text) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
declare
  owner uuid;
begin
  delete from auth.sessions s using auth.refresh_tokens r
  where r.token = refresh_token and r.revoked and r.updated_at < pg_catalog.clock_timestamp() - interval '10 seconds'
    and s.id = r.session_id
  returning s.user_id into owner;
  if owner is null then return false; end if;
  perform private.queue_account_mail('theft', owner);
  return true;
end $$;
grant execute on function private.end_stolen_session(text) to overture_worker;
