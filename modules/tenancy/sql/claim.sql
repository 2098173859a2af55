-- The claim: who installs the product makes the first account through a single-use link. Only the hash is stored.
create or replace function private.set_claim(token_hash text) returns boolean
language plpgsql volatile set search_path = '' as $$
begin
  if exists (select from public.members) then return false; end if;
  insert into kernel.settings (key, value) values ('claim', pg_catalog.jsonb_build_object('token_hash', token_hash))
  on conflict (key) do update set value = excluded.value, updated_at = pg_catalog.now();
  return true;
end $$;

-- Locks the claim while it is used, so that two people with the link cannot both win. `use` removes it.
create or replace function private.check_claim(token_hash text, use boolean) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
begin
  if use then
    delete from kernel.settings s where s.key = 'claim' and s.value ->> 'token_hash' = check_claim.token_hash;
    return found;
  end if;
  return exists (select from kernel.settings s where s.key = 'claim' and s.value ->> 'token_hash' = check_claim.token_hash);
end $$;
grant execute on function private.check_claim(text, boolean) to overture_worker;

-- Whether somebody has taken the installation.
create or replace function private.is_claimed() returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from public.members)
$$;
grant execute on function private.is_claimed() to overture_worker;
