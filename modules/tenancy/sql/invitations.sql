-- Whether who sent an invitation could still send it: a member with members:write.
create or replace function private.inviter_may(tenant_id uuid, inviter_id uuid) returns boolean
language sql stable set search_path = '' as $$
  select exists (select from public.members m where m.tenant_id = inviter_may.tenant_id and m.user_id = inviter_may.inviter_id
    and kernel.role_rank(m.role) >= kernel.role_rank('admin'))
$$;

-- What an invitation link offers, for who opens it before signing in.
create or replace function private.find_invitation(hash text)
returns table (tenant_id uuid, tenant_name text, email text, role text, valid boolean)
language sql stable security definer set search_path = '' as $$
  select i.tenant_id, t.name, i.email, i.role,
    i.accepted_at is null and i.expires_at > kernel.now() and private.inviter_may(i.tenant_id, i.inviter_id)
  from public.invitations i join public.tenants t on t.id = i.tenant_id where i.token_hash = hash
$$;
grant execute on function private.find_invitation(text) to overture_worker;

-- Uses an invitation for a person whose verified e-mail it names. One statement decides who wins a double click.
create or replace function private.accept_invitation(hash text, user_id uuid, user_email text, user_name text,
  request_id text default null)
returns public.tenants
language plpgsql volatile security definer set search_path = '' as $$
declare
  i public.invitations;
  t public.tenants;
begin
  update public.invitations x set accepted_at = kernel.now()
  where x.token_hash = hash and x.accepted_at is null and x.expires_at > kernel.now() and x.email = lower(user_email)
    and private.inviter_may(x.tenant_id, x.inviter_id)
  returning * into i;
  if not found then return null; end if;
  insert into public.members (tenant_id, user_id, role, email, name)
  values (i.tenant_id, accept_invitation.user_id, i.role, lower(user_email), user_name)
  on conflict on constraint members_pkey do update
    set role = case when kernel.role_rank(excluded.role) > kernel.role_rank(public.members.role) then excluded.role
      else public.members.role end;
  insert into public.audit_log (tenant_id, actor_kind, actor_id, action, target, request_id, detail)
  values (i.tenant_id, 'user', accept_invitation.user_id::text, 'invitations.accept', i.id::text, accept_invitation.request_id,
    pg_catalog.jsonb_build_object('email', i.email, 'role', i.role));
  select * into t from public.tenants x where x.id = i.tenant_id;
  return t;
end $$;
grant execute on function private.accept_invitation(text, uuid, text, text, text) to overture_worker;

-- A program invites nobody as an admin, so that a key cannot raise anybody above itself.
create or replace function kernel.guard_invitations() returns trigger
language plpgsql set search_path = '' as $$
begin
  if current_user = 'overture_worker' and new.role = 'admin' then
    raise exception 'a program invites no admins' using errcode = 'insufficient_privilege', constraint = 'invitations_guard_admins';
  end if;
  return new;
end $$;
grant execute on function kernel.guard_invitations() to overture_user, overture_worker;

create or replace trigger guard_invitations before insert or update on public.invitations
  for each row execute function kernel.guard_invitations();
