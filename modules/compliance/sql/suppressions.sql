-- Who must not be written to.

-- A suppressed address is never written to on its channel.
create or replace function private.guard_suppression(m public.messages) returns table (verdict text, reason text, until timestamptz)
language sql stable as $$
  select 'cancel', 'suppressed', null::timestamptz from public.suppressions x
  where x.tenant_id = m.tenant_id and x.channel = m.channel and x.address = m.to_address
$$;

-- A person who opted out on a channel is not written to there, whatever the address; and where the channel demands consent, only with it.
create or replace function private.guard_consent(m public.messages) returns table (verdict text, reason text, until timestamptz)
language sql stable as $$
  select 'cancel', case when c.state = 'withdrawn' then 'opted_out' else 'no_consent' end, null::timestamptz
  from (values (true)) as one (row)
  left join public.consents c on c.tenant_id = m.tenant_id and c.contact_id = m.contact_id and c.channel = m.channel
  where m.direction = 'out' and (c.state = 'withdrawn' or m.requires_consent and c.state is distinct from 'granted')
$$;

-- Suppresses addresses of a channel. The one way an address becomes suppressed. Tells of every address, also of those that were: what
-- follows from it then happens again where it was missed.
create or replace function private.suppress(on_channel text, addresses text[], why text, note text) returns void
language plpgsql volatile set search_path = '' as $$
begin
  insert into public.suppressions (tenant_id, channel, address, reason, detail)
  select kernel.tenant(), on_channel, a, why, note from (select distinct x as a from pg_catalog.unnest(addresses) x
    where x <> '') d order by a
  on conflict (tenant_id, channel, address) do nothing;
  perform kernel.emit('address.suppressed', pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('channel', on_channel, 'address', a,
    'reason', why, 'note', note)))
  from (select distinct x as a from pg_catalog.unnest(addresses) x where x <> '') d having pg_catalog.count(*) > 0;
end $$;

-- Writes people's consent on a channel: granted or withdrawn, from which source. Returns how many changed. Tells of whom it granted, and of
-- everybody who withdrew, also of those who had: what follows from it then happens again where it was missed.
create or replace function private.set_consent(on_channel text, people uuid[], new_state text, new_source text) returns int
language plpgsql volatile set search_path = '' as $$
declare
  wanted uuid[] := array(select distinct x from pg_catalog.unnest(people) x where x is not null order by 1);
  changed uuid[];
begin
  with written as (
    insert into public.consents as c (tenant_id, contact_id, channel, state, source)
    select kernel.tenant(), p, on_channel, new_state, new_source from pg_catalog.unnest(wanted) p order by p
    on conflict (tenant_id, contact_id, channel) do update set state = excluded.state, source = excluded.source, at = kernel.now()
    where c.state <> excluded.state returning c.contact_id
  )
  select coalesce(pg_catalog.array_agg(w.contact_id), '{}') into changed from written w;
  perform kernel.emit(case new_state when 'granted' then 'contact.opted_in' else 'contact.opted_out' end, pg_catalog.jsonb_agg(
    pg_catalog.jsonb_build_object('channel', on_channel, 'contact_id', p, 'source', new_source)))
  from pg_catalog.unnest(case new_state when 'granted' then changed else wanted end) p having pg_catalog.count(*) > 0;
  return pg_catalog.cardinality(changed);
end $$;

-- A person opted out: themselves, the address it came from or went to, and every other address of theirs on the channel, so that none is
-- used instead, also when it is imported again. Not an address that somebody else has who did not opt out.
create or replace function private.opt_out(on_channel text, people uuid[], addresses text[], why text, note text) returns void
language plpgsql volatile set search_path = '' as $$
declare
  everybody uuid[] := people || array(
    select a.contact_id from public.contact_addresses a
    where a.tenant_id = (select kernel.tenant()) and a.channel = on_channel and a.address = any(addresses));
begin
  perform private.set_consent(on_channel, everybody, 'withdrawn', note);
  perform private.suppress(on_channel, addresses || array(select x from private.own_addresses(on_channel, everybody) x), why, note);
end $$;

-- The addresses of people on a channel, former ones too, that nobody else has who did not opt out there.
create or replace function private.own_addresses(on_channel text, people uuid[]) returns setof text
language sql stable set search_path = '' as $$
  select distinct a.address from public.contact_addresses a
  where a.tenant_id = (select kernel.tenant()) and a.channel = on_channel and a.contact_id = any(people)
    and not exists (select from public.contact_addresses o
      left join public.consents g on g.tenant_id = (select kernel.tenant()) and g.contact_id = o.contact_id and g.channel = o.channel
      where o.tenant_id = (select kernel.tenant()) and o.channel = on_channel and o.address = a.address
        and o.contact_id <> all(people) and g.state is distinct from 'withdrawn')
$$;

-- A person opted in again, by a word on the channel itself: the consent and every address that opting out took in are free, unless one is
-- dead. Of a number that people share it frees those whom opting out took in.
create or replace function private.opt_in(on_channel text, people uuid[], addresses text[], note text) returns void
language plpgsql volatile set search_path = '' as $$
declare
  everybody uuid[] := people || array(
    select a.contact_id from public.contact_addresses a
    where a.tenant_id = (select kernel.tenant()) and a.channel = on_channel and a.address = any(addresses));
  theirs text[] := addresses || array(select x from private.own_addresses(on_channel, everybody) x);
begin
  delete from public.suppressions x
  where x.tenant_id = (select kernel.tenant()) and x.channel = on_channel and x.address = any(theirs)
    and x.reason in ('unsubscribe', 'complaint');
  perform private.set_consent(on_channel, everybody, 'granted', note);
end $$;

grant execute on function private.guard_suppression(public.messages), private.guard_consent(public.messages), private.suppress(text, text[],
  text, text),
  private.set_consent(text, uuid[], text, text), private.opt_out(text, uuid[], text[], text, text), private.opt_in(text, uuid[], text[],
    text), private.own_addresses(text, uuid[])
  to overture_user, overture_worker;

-- An opt-out outlives its contact, however that is deleted: the person's addresses on the channel become suppressed, so that they are not
-- written to when they are imported again, or when a double's address is given to the contact that stays. Not what somebody else has who
-- did not opt out.
create or replace function private.keep_opt_outs() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.suppressions (tenant_id, channel, address, reason, detail)
  select c.tenant_id, c.channel, a.address, 'unsubscribe', 'The person had opted out when their contact was deleted.'
  from public.consents c
  join public.contact_addresses a on a.tenant_id = c.tenant_id and a.contact_id = c.contact_id and a.channel = c.channel
  where c.tenant_id = old.tenant_id and c.contact_id = old.id and c.state = 'withdrawn'
    and exists (select from public.tenants t where t.id = old.tenant_id)
    and not exists (select from public.contact_addresses o
      left join public.consents g on g.tenant_id = o.tenant_id and g.contact_id = o.contact_id and g.channel = o.channel
      where o.tenant_id = a.tenant_id and o.channel = a.channel and o.address = a.address and o.contact_id <> old.id
        and g.state is distinct from 'withdrawn')
  order by a.channel, a.address
  on conflict (tenant_id, channel, address) do nothing;
  return old;
end $$;
create or replace trigger keep_opt_outs before delete on public.contacts for each row execute function private.keep_opt_outs();
