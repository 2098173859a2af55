-- The status of a contact and what sending looks at agree, from the moment on that an address or a status comes.

-- Why these people must not be written to on any channel, as a status; null for whoever can be written to.
create or replace function private.stop_statuses(people uuid[]) returns table (contact_id uuid, status text)
language sql stable set search_path = '' as $$
  select p, case
    when exists (select from public.consents g
      where g.tenant_id = (select kernel.tenant()) and g.contact_id = p and g.state = 'withdrawn') then 'unsubscribed'
    when a.writable or a.n = 0 then null
    when 'unsubscribe' = any(a.reasons) or 'complaint' = any(a.reasons) then 'unsubscribed'
    when 'manual' = any(a.reasons) then 'suppressed'
    else 'bounced' end
  from (select distinct x as p from pg_catalog.unnest(people) x) d
  cross join lateral (
    select pg_catalog.count(*) as n, pg_catalog.bool_or(x.id is null and a.state <> 'invalid') as writable,
      pg_catalog.array_agg(x.reason) as reasons
    from public.contact_addresses a
    left join public.suppressions x on x.tenant_id = a.tenant_id and x.channel = a.channel and x.address = a.address
    where a.tenant_id = (select kernel.tenant()) and a.contact_id = p and a.is_primary
  ) a
$$;

-- Gives people the status that follows from their suppressions and consents: stopped, or free again.
create or replace function private.settle_statuses(people uuid[]) returns void
language plpgsql volatile set search_path = '' as $$
begin
  perform private.set_contact_status(pg_catalog.array_agg(s.contact_id), s.status)
  from private.stop_statuses(people) s where s.status is not null group by s.status;
  perform private.free_contacts(pg_catalog.array_agg(s.contact_id))
  from private.stop_statuses(people) s where s.status is null;
end $$;
grant execute on function private.stop_statuses(uuid[]), private.settle_statuses(uuid[]) to overture_user, overture_worker;

-- An address that became somebody's: where it is suppressed, the contact says so at once; where it takes the place of one that could not be
-- written to, the contact is free. Whoever opted out with it has opted out, unless their own consent is on record.
create or replace function private.heed_suppressions() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  g record;
  people uuid[];
begin
  -- Outside of a tenant rows are only restored.
  if kernel.tenant() is null then return null; end if;
  for g in
    select r.channel, x.reason, pg_catalog.array_agg(r.contact_id) as people, pg_catalog.array_agg(distinct r.address) as addresses
    from came r join public.suppressions x on x.tenant_id = r.tenant_id and x.channel = r.channel and x.address = r.address
    where r.tenant_id = kernel.tenant() and r.is_primary
    group by 1, 2 order by 1, 2
  loop
    if g.reason in ('unsubscribe', 'complaint') then
      perform private.set_consent(g.channel, array(
        select p from pg_catalog.unnest(g.people) p where not exists (select from public.consents k
          where k.tenant_id = kernel.tenant() and k.contact_id = p and k.channel = g.channel)),
        'withdrawn', 'The owner of the address had opted out.');
    elsif g.reason = 'bounce' then
      perform private.mark_addresses(g.channel, g.addresses, 'invalid', 'bounced');
    end if;
    people := people || g.people;
  end loop;
  perform private.settle_statuses(people || array(
    select r.contact_id from came r join public.contacts c on c.tenant_id = r.tenant_id and c.id = r.contact_id
    where r.tenant_id = kernel.tenant() and r.is_primary and c.status in ('bounced', 'unsubscribed', 'suppressed')
      and exists (select from public.contact_addresses o
        where o.tenant_id = r.tenant_id and o.contact_id = r.contact_id and o.channel = r.channel and not o.is_primary)));
  return null;
end $$;
create or replace trigger heed_suppressions_insert after insert on public.contact_addresses referencing new table as came
  for each statement execute function private.heed_suppressions();

-- A former address that is the primary one again.
create or replace function private.heed_former_address() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if kernel.tenant() is not null then
    perform private.settle_statuses(array[new.contact_id]);
  end if;
  return null;
end $$;
create or replace trigger heed_suppressions_update after update of is_primary on public.contact_addresses for each row
  when (new.is_primary and not old.is_primary) execute function private.heed_former_address();

-- A contact that is said to be stopped (by a file) and of whom nothing else says so: the opt-out or the suppression is made, so that
-- sending does what lists show. What follows from an event is recorded already.
create or replace function private.back_statuses() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  g record;
  said uuid[];
  note text := 'The contact was imported with this status.';
begin
  if kernel.tenant() is null or pg_catalog.current_setting('app.status_follows', true) = 'yes' then return null; end if;
  if tg_op = 'INSERT' then
    said := array(select r.id from came r where r.status in ('bounced', 'unsubscribed', 'suppressed'));
  else
    said := array(select r.id from came r join went w on w.tenant_id = r.tenant_id and w.id = r.id
      where r.status in ('bounced', 'unsubscribed', 'suppressed') and r.status <> w.status);
  end if;
  if said = '{}' then return null; end if;
  for g in
    select c.status, coalesce(a.channel, 'email') as channel, pg_catalog.array_agg(distinct c.id) as people,
      coalesce(pg_catalog.array_agg(distinct a.address) filter (where a.address is not null), '{}') as addresses
    from private.stop_statuses(said) s join public.contacts c on c.tenant_id = kernel.tenant() and c.id = s.contact_id
    left join public.contact_addresses a on a.tenant_id = c.tenant_id and a.contact_id = c.id and a.is_primary
      -- A bounce says that the mail came back, and nothing of the phone.
      and (c.status <> 'bounced' or c.email is null or a.channel = 'email')
    where s.status is null
    group by 1, 2 order by 1, 2
  loop
    case g.status
      when 'unsubscribed' then perform private.opt_out(g.channel, g.people, g.addresses, 'unsubscribe', note);
      when 'suppressed' then perform private.suppress(g.channel, g.addresses, 'manual', note);
      else perform private.suppress(g.channel, g.addresses, 'bounce', note);
    end case;
  end loop;
  return null;
end $$;
-- After keep_addresses, which stands before it in the alphabet.
create or replace trigger status_is_backed_insert after insert on public.contacts referencing new table as came
  for each statement execute function private.back_statuses();
create or replace trigger status_is_backed_update after update on public.contacts referencing old table as went new table as came
  for each statement execute function private.back_statuses();
