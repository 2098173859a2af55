-- Stores a received mail once, finds what it answers, and stops the sequence unless a machine wrote it.
-- Returns the new message's id; null when it was stored before or is our own mail.
create or replace function private.receive_email(connection uuid, mail jsonb, auto_reply boolean) returns uuid
language plpgsql volatile set search_path = '' as $$
declare
  me uuid := kernel.tenant();
  sender text := pg_catalog.lower(mail ->> 'from_email');
  refs text[] := array(select pg_catalog.jsonb_array_elements_text(coalesce(mail -> 'references', '[]')));
  original public.messages;
  person uuid;
  new_id uuid := kernel.uuid7();
  campaign public.campaigns;
begin
  if exists (select from public.senders s where s.tenant_id = me and s.from_email = sender) then return null; end if;
  select m.* into original from public.messages m
  where m.tenant_id = me and m.direction = 'out' and (m.rfc_message_id = any(refs) or m.provider_rfc_id = any(refs))
    order by m.sent_at desc nulls last limit 1;
  if original.id is null then
    select m.* into original from public.messages m
    where m.tenant_id = me and m.direction = 'out' and m.to_email = sender and m.status = 'sent' order by m.sent_at desc limit 1;
  end if;
  person := coalesce(original.contact_id, (select c.id from public.contacts c where c.tenant_id = me and c.email = sender));
  insert into public.messages (tenant_id, id, direction, contact_id, campaign_id, enrollment_id, connection_id, status, from_email,
    from_name, to_email,
    subject, body_text, body_html, headers, rfc_message_id, in_reply_to, thread_id, provider_message_id, is_auto_reply, created_at)
  values (me, new_id, 'in', person, original.campaign_id, original.enrollment_id, connection, 'received', sender,
    coalesce(mail ->> 'from_name', ''),
    pg_catalog.lower(coalesce(mail ->> 'to_email', '')), pg_catalog.left(coalesce(mail ->> 'subject', ''), 500),
      coalesce(mail ->> 'text', ''), mail ->> 'html',
    coalesce(mail -> 'headers', '{}'), mail ->> 'rfc_message_id', refs[1], coalesce(original.thread_id, new_id),
      mail ->> 'provider_inbound_id', auto_reply, kernel.now())
  on conflict (tenant_id, connection_id, provider_message_id) where direction = 'in' do nothing;
  if not found then return null; end if;

  if original.id is not null then
    insert into public.message_events (tenant_id, message_id, kind, event_key, at, month, detail)
    values (me, original.id, case when auto_reply then 'auto_replied' else 'replied' end, 'reply:' || new_id, kernel.now(),
      pg_catalog.date_trunc('month', kernel.now() at time zone 'UTC')::date, pg_catalog.jsonb_build_object('message_id', new_id));
  end if;
  if person is not null then
    insert into public.interactions (tenant_id, contact_id, kind, channel, direction, content, ref_table, ref_id, at)
    values (me, person, case when auto_reply then 'email_auto_reply' else 'email_reply' end, 'email', 'in',
      pg_catalog.left(mail ->> 'text', 2000), 'messages', new_id, kernel.now());
  end if;
  if not auto_reply and original.id is not null then
    update public.messages m set replied_at = coalesce(m.replied_at, kernel.now()), opened_at = coalesce(m.opened_at, kernel.now())
    where m.tenant_id = me and m.id = original.id;
    select k.* into campaign from public.campaigns k where k.tenant_id = me and k.id = original.campaign_id;
    if coalesce((campaign.settings ->> 'stop_on_reply')::boolean, true) and original.enrollment_id is not null then
      perform private.end_enrollments(array[original.enrollment_id], 'replied', 'The person answered.');
    end if;
  end if;
  if not auto_reply and person is not null then
    update public.contacts c set last_interaction_at = kernel.now(),
      status = case when c.status in ('new', 'researching', 'enriched', 'personalized', 'approved', 'contacted') then 'replied'
        else c.status end
    where c.tenant_id = me and c.id = person;
  end if;
  return new_id;
end $$;
grant execute on function private.receive_email(uuid, jsonb, boolean) to overture_worker;
