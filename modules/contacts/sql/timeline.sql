-- The timeline and status of people, from what the other modules tell.

-- Notes what happened to people: [{"message_id","contact_id","channel","at","what","content"}]; `what` becomes the kind with its channel
-- before it: email_opened. Told twice, it stands there once. What was sent changes the person alone: the timeline reads it off the
-- messages.
create or replace function private.note_messages(entries jsonb) returns void
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan as $$
begin
  insert into public.interactions (tenant_id, contact_id, kind, channel, direction, content, ref_table, ref_id, at)
  select kernel.tenant(), e.contact_id, e.channel || '_' || e.what, e.channel, 'in', coalesce(e.content, ''), 'messages', e.message_id, e.at
  from pg_catalog.jsonb_to_recordset(entries) as e(message_id uuid, contact_id uuid, channel text, at timestamptz, what text, content text)
  -- Whoever was deleted meanwhile has no timeline.
  join public.contacts c on c.tenant_id = (select kernel.tenant()) and c.id = e.contact_id
  where e.what <> 'sent'
  on conflict (tenant_id, ref_table, ref_id, kind) where ref_id is not null do nothing;

  update public.contacts c set updated_at = (select kernel.now()), last_interaction_at = greatest(c.last_interaction_at, e.at),
    status = case
      when e.answered and c.status in ('new', 'researching', 'enriched', 'personalized', 'approved', 'contacted') then 'replied'
      when e.written and c.status in ('new', 'researching', 'enriched', 'personalized', 'approved') then 'contacted'
      else c.status end
  from (
    select x.contact_id, max(x.at) as at, bool_or(x.what = 'sent') as written, bool_or(x.what = 'reply') as answered
    from pg_catalog.jsonb_to_recordset(entries) as x(contact_id uuid, at timestamptz, what text)
    where x.what in ('sent', 'reply') group by 1
  ) e
  where c.tenant_id = (select kernel.tenant()) and c.id = e.contact_id;
end $$;

-- A status that follows from what a person did. Nobody becomes less than what they are: a customer stays one. The setting tells the
-- triggers that nobody gave this status, so nothing is made of it.
create or replace function private.set_contact_status(people uuid[], new_status text) returns void
language plpgsql volatile set search_path = '' as $$
begin
  perform pg_catalog.set_config('app.status_follows', 'yes', true);
  update public.contacts c set status = new_status
  where c.tenant_id = (select kernel.tenant()) and c.id = any(people) and c.status <> new_status
    and case new_status when 'contacted' then c.status = 'unsubscribed' else c.status not in ('bounced', 'unsubscribed', 'suppressed') end;
  perform pg_catalog.set_config('app.status_follows', '', true);
end $$;

-- People who may be written to again have the status of one who was written to, or of a new one.
create or replace function private.free_contacts(people uuid[]) returns void
language sql volatile set search_path = '' as $$
  update public.contacts c set status = case when c.last_interaction_at is null then 'new' else 'contacted' end
  where c.tenant_id = (select kernel.tenant()) and c.id = any(people) and c.status in ('bounced', 'unsubscribed', 'suppressed')
$$;
grant execute on function private.free_contacts(uuid[]) to overture_user, overture_worker;

-- People whose primary address was suppressed and who have no other address that can be written to.
create or replace function private.mark_suppressed(on_channel text, addresses text[]) returns void
language sql volatile set search_path = '' as $$
  select private.set_contact_status(array(
    select a.contact_id from public.contact_addresses a
    where a.tenant_id = (select kernel.tenant()) and a.channel = on_channel and a.address = any(addresses) and a.is_primary
      and not exists (select from public.contact_addresses o
        where o.tenant_id = (select kernel.tenant()) and o.contact_id = a.contact_id and o.id <> a.id and o.is_primary
          and o.state <> 'invalid')), 'suppressed')
$$;
grant execute on function private.note_messages(jsonb), private.set_contact_status(uuid[], text), private.mark_suppressed(text, text[])
  to overture_user, overture_worker;
