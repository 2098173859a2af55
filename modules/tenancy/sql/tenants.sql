drop policy if exists member_reads on public.tenants;
create policy member_reads on public.tenants for select to authenticated, overture_user
  using (id = any(array(select kernel.my_tenants())));

drop policy if exists no_plans on public.tenants;
create policy no_plans on public.tenants as restrictive for select to authenticated using (kernel.refuse_plans());

drop policy if exists admin_updates on public.tenants;
create policy admin_updates on public.tenants for update to overture_user
  using (id = (select kernel.tenant()) and id = any(array(select kernel.my_tenants('admin'))))
  with check (id = (select kernel.tenant()) and id = any(array(select kernel.my_tenants('admin'))));

drop policy if exists job on public.tenants;
create policy job on public.tenants to overture_worker using (id = (select kernel.tenant())) with check (id = (select kernel.tenant()));

create or replace trigger touch before update on public.tenants for each row execute function kernel.touch();

-- A free slug near the name.
create or replace function private.free_slug(name text) returns text
language plpgsql volatile security definer set search_path = '' as $$
declare
  base text := coalesce(nullif(pg_catalog.btrim(pg_catalog.regexp_replace(pg_catalog.lower(name), '[^a-z0-9]+', '-', 'g'), '-'), ''),
    'team');
  candidate text;
begin
  base := pg_catalog.btrim(pg_catalog.left(base, 50), '-');
  candidate := base;
  while exists (select from public.tenants t where t.slug = candidate) loop
    candidate := base || '-' || pg_catalog.substr(pg_catalog.md5(pg_catalog.random()::text), 1, 5);
  end loop;
  return candidate;
end $$;

-- A new team with its first owner. Only for a person who exists; the caller has proved who that is.
-- The audit row is written here, because the act begins outside the tenant it makes.
create or replace function private.make_tenant(tenant_name text, owner_id uuid, owner_email text, owner_name text,
  request_id text default null)
returns public.tenants
language plpgsql volatile security definer set search_path = '' as $$
declare
  t public.tenants;
begin
  loop -- Two teams of one name at once: the second waits for the first here, then takes another slug.
    insert into public.tenants (name, slug) values (pg_catalog.btrim(tenant_name), private.free_slug(tenant_name))
    on conflict on constraint tenants_slug_key do nothing returning * into t;
    exit when found;
  end loop;
  insert into public.members (tenant_id, user_id, role, email, name) values (t.id, owner_id, 'owner', lower(owner_email), owner_name);
  insert into public.audit_log (tenant_id, actor_kind, actor_id, action, target, request_id, detail)
  values (t.id, 'user', owner_id::text, 'tenants.create', t.id::text, make_tenant.request_id,
    pg_catalog.jsonb_build_object('name', t.name));
  return t;
end $$;

-- The same for everybody after the claim. Null before it: a stranger who is quicker than the owner of the claim link gets no team.
create or replace function private.create_tenant(tenant_name text, owner_id uuid, owner_email text, owner_name text,
  request_id text default null)
returns public.tenants
language plpgsql volatile security definer set search_path = '' as $$
begin
  if not private.is_claimed() then return null; end if;
  return private.make_tenant(tenant_name, owner_id, owner_email, owner_name, request_id);
end $$;
grant execute on function private.create_tenant(text, uuid, text, text, text) to overture_worker;

-- The teams a person belongs to, for choosing one after signing in. `joined_at` and `id` are the key of its pages.
create or replace function private.my_teams(user_id uuid)
returns table (id uuid, name text, slug text, role text, created_at timestamptz, person text,
  joined_at timestamptz)
language sql stable security definer set search_path = '' as $$
  select t.id, t.name, t.slug, m.role, t.created_at, m.name, m.created_at from public.members m join public.tenants t on t.id = m.tenant_id
  where m.user_id = my_teams.user_id order by m.created_at, m.tenant_id
$$;
grant execute on function private.my_teams(uuid) to overture_worker;
