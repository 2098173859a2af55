-- The claim: who installs the product makes the first account through a single-use link. Only the hash is stored.
create or replace function private.set_claim(token_hash text) returns boolean
language plpgsql volatile set search_path = '' as $$
begin
  if exists (select from public.members) then return false; end if;
  insert into kernel.settings (key, value) values ('claim', pg_catalog.jsonb_build_object('token_hash', token_hash))
  on conflict (key) do update set value = excluded.value, updated_at = pg_catalog.now();
  return true;
end $$;

create or replace function private.check_claim(token_hash text) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from kernel.settings s where s.key = 'claim' and s.value ->> 'token_hash' = check_claim.token_hash)
$$;
grant execute on function private.check_claim(text) to overture_worker;

-- Takes the installation: uses the link up, makes the first team, and records that this team runs the installation unless another
-- is named already. Null when the link is wrong or used. Deleting the row locks it, so of two people with the link one wins.
create or replace function private.claim_installation(token_hash text, tenant_name text, owner_id uuid, owner_email text, owner_name text,
  request_id text default null)
returns public.tenants
language plpgsql volatile security definer set search_path = '' as $$
declare
  t public.tenants;
begin
  delete from kernel.settings s where s.key = 'claim' and s.value ->> 'token_hash' = claim_installation.token_hash;
  if not found then return null; end if;
  t := private.make_tenant(tenant_name, owner_id, owner_email, owner_name, request_id);
  insert into kernel.settings (key, value) values ('operator_tenant', pg_catalog.to_jsonb(t.id::text))
  on conflict (key) do nothing;
  return t;
end $$;
grant execute on function private.claim_installation(text, text, uuid, text, text, text) to overture_worker;

-- Whether somebody has taken the installation: before that nobody becomes a member, except by the claim.
create or replace function private.is_claimed() returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from public.members)
$$;
grant execute on function private.is_claimed() to overture_worker;
