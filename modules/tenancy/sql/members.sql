drop policy if exists member_reads on public.members;
create policy member_reads on public.members for select to authenticated,
  overture_user using (tenant_id = any(array(select kernel.my_tenants())));

drop policy if exists no_plans on public.members;
create policy no_plans on public.members as restrictive for select to authenticated using (kernel.refuse_plans());

drop policy if exists user_updates on public.members;
create policy user_updates on public.members for update to overture_user
  using (tenant_id = (select kernel.tenant()) and tenant_id = any(array(select kernel.my_tenants('admin'))))
  with check (tenant_id = (select kernel.tenant()) and tenant_id = any(array(select kernel.my_tenants('admin'))));

-- A person may leave; an admin may remove.
drop policy if exists user_deletes on public.members;
create policy user_deletes on public.members for delete to overture_user
  using (tenant_id = (select kernel.tenant())
    and (user_id::text = nullif((select current_setting('request.jwt.claims', true)), '')::jsonb ->> 'sub'
      or tenant_id = any(array(select kernel.my_tenants('admin')))));

drop policy if exists job on public.members;
create policy job on public.members to overture_worker using (tenant_id = (select kernel.tenant()))
  with check (tenant_id = (select kernel.tenant()));

create or replace trigger touch before update on public.members for each row execute function kernel.touch();

-- A team without an owner can be repaired by nobody. Deferred, so that ownership can be handed over in one transaction.
-- Two owners who demote each other at once each still see the other as owner. The team's row is locked before looking,
-- so the second one waits and then sees what the first one did.
create or replace function kernel.keep_an_owner() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform from public.tenants t where t.id = old.tenant_id for no key update;
  if found and not exists (select from public.members m where m.tenant_id = old.tenant_id and m.role = 'owner') then
    raise exception 'a team needs at least one owner' using errcode = 'check_violation', constraint = 'members_keep_an_owner';
  end if;
  return null;
end $$;

drop trigger if exists keep_an_owner on public.members;
create constraint trigger keep_an_owner after update or delete on public.members
  deferrable initially deferred for each row when (old.role = 'owner') execute function kernel.keep_an_owner();

-- Only an owner makes, changes or removes an owner. A program, a role without a person, does that to neither owners nor admins.
-- Everybody may leave.
-- Functions that run as the owner of the tables have decided for themselves, and so has the cascade from a deleted team.
create or replace function kernel.guard_owners() returns trigger
language plpgsql set search_path = '' as $$
declare
  me uuid := (nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid;
begin
  if current_user = 'overture_worker' and me is null and 'admin' in (old.role, case when tg_op = 'UPDATE' then new.role end) then
    raise exception 'a program changes no admins' using errcode = 'insufficient_privilege', constraint = 'members_guard_admins';
  end if;
  if current_user in ('overture_user', 'overture_worker')
     and 'owner' in (old.role, case when tg_op = 'UPDATE' then new.role end)
     and not exists (select from public.members m where m.tenant_id = old.tenant_id and m.user_id = me and m.role = 'owner') then
    raise exception 'only an owner changes owners' using errcode = 'insufficient_privilege', constraint = 'members_guard_owners';
  end if;
  return case when tg_op = 'DELETE' then old else new end;
end $$;
grant execute on function kernel.guard_owners() to overture_user, overture_worker;

create or replace trigger guard_owners before update or delete on public.members for each row execute function kernel.guard_owners();

-- What rests on a membership ends with it, in the same transaction: keys that the person made, invitations they sent, and what open
-- realtime sockets may hear (the embedded server asks the policies again; the notification names the topic by its digest, because every
-- login of the database can listen).
create or replace function kernel.end_membership() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'DELETE' then
    update public.api_keys k set revoked_at = kernel.now()
    where k.tenant_id = old.tenant_id and k.created_by = old.user_id and k.revoked_at is null;
  end if;
  if tg_op = 'DELETE' or kernel.role_rank(new.role) < kernel.role_rank('admin') then
    delete from public.invitations i
    where i.tenant_id = old.tenant_id and i.inviter_id = old.user_id and i.accepted_at is null;
  end if;
  perform pg_catalog.pg_notify('realtime_access', pg_catalog.encode(pg_catalog.sha256(('tenant:' || old.tenant_id)::bytea), 'hex'));
  return null;
end $$;

create or replace trigger end_membership after delete or update of role on public.members
  for each row execute function kernel.end_membership();
