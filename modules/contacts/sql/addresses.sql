-- Addresses of people, one row each: kept from the contact's own fields, which hold the primary one of each channel.

-- After contacts came or changed: their primary addresses are those of their fields. A former one stays, so that an answer from it still
-- finds its person; it is just not primary any more.
create or replace function private.keep_addresses() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'UPDATE' then
    -- Most updates (a moment of contact, a status) touch no address.
    if not exists (select from came c join went w on w.tenant_id = c.tenant_id and w.id = c.id
      where (c.email, c.phone, c.whatsapp_number, c.linkedin_url) is distinct from (w.email, w.phone, w.whatsapp_number,
        w.linkedin_url)) then
      return null;
    end if;
    update public.contact_addresses a set is_primary = false
    from came c join went w on w.tenant_id = c.tenant_id and w.id = c.id
    cross join lateral (values ('email', c.email, w.email), ('sms', c.phone, w.phone), ('whatsapp', c.whatsapp_number, w.whatsapp_number),
      ('linkedin', c.linkedin_url, w.linkedin_url)) as v (channel, address, before)
    where v.address is distinct from v.before and a.tenant_id = c.tenant_id and a.contact_id = c.id and a.channel = v.channel
      and a.is_primary
      and a.address is distinct from v.address;
    insert into public.contact_addresses as a (tenant_id, contact_id, channel, address, source)
    select c.tenant_id, c.id, v.channel, v.address, 'contact'
    from came c join went w on w.tenant_id = c.tenant_id and w.id = c.id
    cross join lateral (values ('email', c.email, w.email), ('sms', c.phone, w.phone), ('whatsapp', c.whatsapp_number, w.whatsapp_number),
      ('linkedin', c.linkedin_url, w.linkedin_url)) as v (channel, address, before)
    where v.address is not null and v.address is distinct from v.before
    on conflict (tenant_id, contact_id, channel, address) do update set is_primary = true where not a.is_primary;
  else
    insert into public.contact_addresses (tenant_id, contact_id, channel, address, source)
    select c.tenant_id, c.id, v.channel, v.address, 'contact'
    from came c
    cross join lateral (values ('email', c.email), ('sms', c.phone), ('whatsapp', c.whatsapp_number), ('linkedin',
      c.linkedin_url)) as v (channel, address)
    where v.address is not null
    on conflict (tenant_id, contact_id, channel, address) do nothing;
  end if;
  return null;
end $$;
create or replace trigger keep_addresses_insert after insert on public.contacts referencing new table as came
  for each statement execute function private.keep_addresses();
create or replace trigger keep_addresses_update after update on public.contacts referencing old table as went new table as came
  for each statement execute function private.keep_addresses();

-- Marks addresses as dead or as proved, by what providers say of them. A person whose last address died is bounced.
create or replace function private.mark_addresses(on_channel text, addresses text[], new_state text, why text) returns void
language sql volatile set search_path = '' as $$
  with marked as (
    update public.contact_addresses a set state = new_state, state_reason = why,
      verified_at = case when new_state = 'valid' then (select kernel.now()) else a.verified_at end
    where a.tenant_id = (select kernel.tenant()) and a.channel = on_channel and a.address = any(addresses) and a.state <> new_state
    returning a.contact_id, a.id
  )
  select private.set_contact_status(array(
    select m.contact_id from marked m
    where not exists (select from public.contact_addresses o
      where o.tenant_id = (select kernel.tenant()) and o.contact_id = m.contact_id and o.id <> m.id and o.is_primary
        and o.state <> 'invalid')), 'bounced')
  where new_state = 'invalid'
$$;
grant execute on function private.mark_addresses(text, text[], text, text) to overture_user, overture_worker;
