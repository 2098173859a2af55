-- Whoever has an account with this address, else an id that nobody has.
create or replace function private.request_reset(address text) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  perform private.queue_account_mail('reset',
    coalesce((select u.id from auth.users u where pg_catalog.lower(u.email) = pg_catalog.lower(address) limit 1), kernel.uuid7()));
end $$;
grant execute on function private.request_reset(text) to overture_worker;

-- The address of an account; null when there is none.
create or replace function private.account_address(person uuid) returns text
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select u.email from auth.users u where u.id = person);
end $$;
grant execute on function private.account_address(uuid) to overture_worker;

-- Keeps what a person asked for until the mail with its link is made: one of each kind, the latest.
create or replace function private.ask_account_change(person uuid, kind text, address text) returns void
language sql volatile security definer set search_path = '' as $$
  insert into private.account_tokens as t (person, kind, address, expires_at)
  values (ask_account_change.person, ask_account_change.kind, ask_account_change.address, kernel.now() + interval '1 hour')
  on conflict on constraint account_tokens_pkey do update
    set token_hash = null, address = excluded.address, expires_at = excluded.expires_at
$$;
grant execute on function private.ask_account_change(uuid, text, text) to overture_worker;

-- Gives the latest request its token, for the mail that is about to leave: the link of an earlier mail ends. Null: nothing was asked
-- for, or too long ago.
create or replace function private.give_account_token(person uuid, kind text, hash text) returns text
language plpgsql volatile security definer set search_path = '' as $$
declare
  wanted text;
begin
  update private.account_tokens t set token_hash = hash
  where t.person = give_account_token.person and t.kind = give_account_token.kind and t.expires_at > kernel.now()
  returning t.address into wanted;
  return wanted;
end $$;
grant execute on function private.give_account_token(uuid, text, text) to overture_worker;

-- Uses a link up: of two who open it at once one gets it. No row: it was used, replaced, or
-- has expired, or went to an address that the account no longer has.
create or replace function private.use_account_token(hash text, kind text) returns table (person uuid, address text, expires_at timestamptz)
language sql volatile security definer set search_path = '' as $$
  delete from private.account_tokens t
  where t.token_hash = hash and t.kind = use_account_token.kind and t.expires_at > kernel.now()
    and (t.kind <> 'reset' or t.address = private.account_address(t.person))
  returning t.person, t.address, t.expires_at
$$;
grant execute on function private.use_account_token(text, text) to overture_worker;

-- Takes a use back, when the auth server refused what was to follow; not over a link that was made since.
create or replace function private.restore_account_token(person uuid, kind text, hash text, address text, until timestamptz) returns void
language sql volatile security definer set search_path = '' as $$
  insert into private.account_tokens (person, kind, token_hash, address, expires_at) values (person, kind, hash, address, until)
  on conflict on constraint account_tokens_pkey do nothing
$$;
grant execute on function private.restore_account_token(uuid, text, text, text, timestamptz) to overture_worker;
