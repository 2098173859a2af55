-- Whoever has an account with this address, else an id that nobody has. Both auth servers store addresses in lower case and index those of
-- accounts without single sign-on: the condition is that index's own.
create or replace function private.request_reset(address text) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  perform private.queue_account_mail('reset', coalesce(
    (select u.id from auth.users u where u.email = pg_catalog.lower(address) and u.is_sso_user = false), kernel.uuid7()));
end $$;
grant execute on function private.request_reset(text) to overture_worker;

-- The address and the password of an account, as a digest: a link counts only while it is the one of when the link was asked for. Null
-- when there is no account.
create or replace function private.account_digest(person uuid) returns text
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
    u.email || E'\n' || coalesce(u.encrypted_password, ''), 'UTF8')), 'hex') from auth.users u where u.id = person);
end $$;

-- Keeps what a person asked for until the mail with its link is made: one of each kind, the latest. Nothing for who has no account.
create or replace function private.ask_account_change(person uuid, kind text, address text) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  insert into private.account_tokens as t (person, kind, address, account_address, account_digest, expires_at)
  select u.id, ask_account_change.kind, ask_account_change.address, u.email, private.account_digest(u.id),
    kernel.now() + interval '1 hour'
  from auth.users u where u.id = ask_account_change.person
  on conflict on constraint account_tokens_pkey do update
    set token_hash = null, address = excluded.address, account_address = excluded.account_address,
      account_digest = excluded.account_digest, expires_at = excluded.expires_at;
end $$;
grant execute on function private.ask_account_change(uuid, text, text) to overture_worker;

-- Gives the latest request its token, for the mail that is about to leave: the link of an earlier mail ends. Null: nothing was asked
-- for, or too long ago, or the account was changed since.
create or replace function private.give_account_token(person uuid, kind text, hash text) returns text
language plpgsql volatile security definer set search_path = '' as $$
declare
  wanted text;
begin
  update private.account_tokens t set token_hash = hash
  where t.person = give_account_token.person and t.kind = give_account_token.kind and t.expires_at > kernel.now()
    and private.account_digest(t.person) = t.account_digest
  returning t.address into wanted;
  return wanted;
end $$;
grant execute on function private.give_account_token(uuid, text, text) to overture_worker;

-- Uses a link up: of two who open it at once one gets it. No row: it was used, replaced, or has expired, or the password or the address
-- of the account was changed since, whoever did it and wherever. For another address a message is queued with it that follows up the
-- change, whatever becomes of the caller: after thirty seconds the auth server (ten seconds at most) has changed the address or has not.
create or replace function private.use_account_token(hash text, kind text)
returns table (person uuid, address text, expires_at timestamptz, account_address text, account_digest text)
language plpgsql volatile security definer set search_path = '' as $$
declare
  used private.account_tokens;
begin
  delete from private.account_tokens t
  where t.token_hash = hash and t.kind = use_account_token.kind and t.expires_at > kernel.now()
    and t.account_digest = private.account_digest(t.person)
  returning t.* into used;
  if not found then return; end if;
  if used.kind = 'email' then perform private.queue_account_mail('address', used.person, used.account_address, 30); end if;
  return query select used.person, used.address, used.expires_at, used.account_address, used.account_digest;
end $$;
grant execute on function private.use_account_token(text, text) to overture_worker;

-- Takes a use back, when the auth server refused what was to follow; not over a link that was made since.
create or replace function private.restore_account_token(person uuid, kind text, hash text, address text, until timestamptz,
  account_address text, account_digest text) returns void
language sql volatile security definer set search_path = '' as $$
  insert into private.account_tokens (person, kind, token_hash, address, expires_at, account_address, account_digest)
  values (person, kind, hash, address, until, account_address, account_digest)
  on conflict on constraint account_tokens_pkey do nothing
$$;
grant execute on function private.restore_account_token(uuid, text, text, text, timestamptz, text, text) to overture_worker;
