-- Resolves the caller and takes one token of the tenant's rate limit in one round trip.
-- For a person: the membership in the wanted tenant (or the oldest one). No row: not a member. A row without a tenant: the session
-- of the access token has ended.
create or replace function kernel.enter_as_user(user_id uuid, session uuid, wanted uuid, capacity double precision,
  per_second double precision)
returns table (tenant_id uuid, role text, taken boolean, remaining double precision, retry_after double precision)
language plpgsql volatile security definer set search_path = '' as $$
declare
  m record;
begin
  if not kernel.session_open(session) then
    return query select null::uuid, null::text, false, 0::double precision, 0::double precision;
    return;
  end if;
  select x.tenant_id, x.role into m from public.members x
  where x.user_id = enter_as_user.user_id and (wanted is null or x.tenant_id = wanted)
  order by x.created_at limit 1;
  if not found then return; end if;
  -- All requests of a tenant take from one row, one after the other: with a wait for the disk in each, they would wait for each other. A
  -- crash gives back the tokens of its last moment.
  perform pg_catalog.set_config('synchronous_commit', 'off', true);
  return query select m.tenant_id, m.role::text, t.taken, t.remaining, t.retry_after
    from kernel.take_tokens('api:' || m.tenant_id, capacity, per_second) t;
end $$;
grant execute on function kernel.enter_as_user(uuid, uuid, uuid, double precision, double precision) to overture_worker;

-- For a program: the key by its hash, unless revoked or expired, with the role that its maker has now. A key whose maker has left has
-- no role: its bearer is told why it stopped. last_used_at is written at most once a minute.
-- remaining and retry_after are of the bucket named by policy: the one that refused, else the emptier one.
create or replace function kernel.enter_as_key(hash text, capacity double precision, per_second double precision,
  key_capacity double precision default null, key_per_second double precision default null)
returns table (tenant_id uuid, key_id uuid, scopes text[], maker_id uuid, role text, taken boolean, remaining double precision,
  retry_after double precision, policy text)
language plpgsql volatile security definer set search_path = '' as $$
declare
  k record;
  own record;
  team record;
begin
  select a.*, m.role into k from public.api_keys a
  left join public.members m on m.tenant_id = a.tenant_id and m.user_id = a.created_by
  where a.key_hash = hash and (m.user_id is null or a.revoked_at is null and (a.expires_at is null or a.expires_at > kernel.now()));
  if not found then return; end if;
  if k.role is null then
    return query select k.tenant_id, k.id, k.scopes, k.created_by, null, false, 0::double precision, 0::double precision, 'key';
    return;
  end if;
  -- As for a person; the moment of the last use may be lost as well.
  perform pg_catalog.set_config('synchronous_commit', 'off', true);
  select * into own from kernel.take_tokens('key:' || k.id, coalesce(key_capacity, capacity), coalesce(key_per_second, per_second));
  if not own.taken then
    return query select k.tenant_id, k.id, k.scopes, k.created_by, k.role, false, own.remaining, own.retry_after, 'key';
    return;
  end if;
  if k.last_used_at is null or k.last_used_at < kernel.now() - interval '1 minute' then
    update public.api_keys a set last_used_at = kernel.now() where a.tenant_id = k.tenant_id and a.id = k.id;
  end if;
  select * into team from kernel.take_tokens('api:' || k.tenant_id, capacity, per_second);
  if not team.taken or team.remaining < own.remaining then
    return query select k.tenant_id, k.id, k.scopes, k.created_by, k.role, team.taken, team.remaining, team.retry_after, 'tenant';
  else
    return query select k.tenant_id, k.id, k.scopes, k.created_by, k.role, true, own.remaining, own.retry_after, 'key';
  end if;
end $$;
grant execute on function kernel.enter_as_key(text, double precision, double precision, double precision, double precision)
  to overture_worker;
