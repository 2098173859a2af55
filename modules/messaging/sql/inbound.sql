-- Inbound messages: stored once, put into their conversation, and told to the modules. `read` is what the channel made of it:
-- {"kind","provider_inbound_id","from_address","from_name","to_address","subject","text","references",
--  "email": {"rfc_message_id","in_reply_to","headers","html"} | null}

-- Which message of ours it answers. By reference, else by the two addresses: our last message to the other side from where they wrote to.
-- Where none was from there (a pool of numbers, an address for replies), our last one to them. Both by index, so that a stranger's message
-- walks through nothing; reference by reference, because for a list of them the planner may read all e-mails instead.
create or replace function private.answered_message(on_channel text, refs text[], sender text, ours text) returns public.messages
language plpgsql stable set search_path = '' as $$
declare
  found_id uuid;
  original public.messages;
begin
  if pg_catalog.cardinality(refs) > 0 then
    select d.message_id into found_id from pg_catalog.unnest(refs) with ordinality as r (id, n)
    cross join lateral (select x.message_id from public.email_details x
      -- The other side's own earlier e-mails are stored too; what they answer is ours.
      join public.messages m on m.tenant_id = (select kernel.tenant()) and m.id = x.message_id and m.direction = 'out'
      where x.tenant_id = (select kernel.tenant()) and x.rfc_message_id = r.id limit 1) d
    order by r.n limit 1;
    if found_id is null then
      select d.message_id into found_id from pg_catalog.unnest(refs) with ordinality as r (id, n)
      cross join lateral (select x.message_id from public.email_details x
        join public.messages m on m.tenant_id = (select kernel.tenant()) and m.id = x.message_id and m.direction = 'out'
        where x.tenant_id = (select kernel.tenant()) and x.provider_rfc_id = r.id limit 1) d
      order by r.n limit 1;
    end if;
    select m.* into original from public.messages m where m.tenant_id = (select kernel.tenant()) and m.id = found_id;
    if original.id is not null then return original; end if;
  end if;
  -- Also one whose outcome nobody knows yet: a person may be faster than the provider's answer. What surely left comes first.
  select x.id into found_id from (
    select m.id, m.from_address, m.sent_at, m.created_at from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.channel = on_channel and m.direction = 'out' and m.to_address = sender
      and (m.sent_at is not null or m.status in ('sending', 'unknown'))
    order by m.created_at desc limit 100) x
  order by (x.from_address = ours) desc, (x.sent_at is not null) desc, x.created_at desc limit 1;
  select m.* into original from public.messages m where m.tenant_id = (select kernel.tenant()) and m.id = found_id;
  return original;
end $$;

-- Which message of ours a delivery report is about: the one it names, else the only one that was sent from `ours` to one of `recipients`
-- within a week. Null where several may be meant.
create or replace function private.reported_message(on_channel text, refs text[], recipients text[], ours text) returns public.messages
language plpgsql stable set search_path = '' as $$
declare
  original public.messages;
  ids uuid[];
begin
  -- No message goes to an empty address: only the references are asked.
  original := private.answered_message(on_channel, refs, '', '');
  if original.id is not null then return original; end if;
  ids := array(
    select m.id from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.channel = on_channel and m.direction = 'out' and m.to_address = any(recipients)
      and m.created_at > (select kernel.now()) - interval '7 days' and m.from_address = ours and m.sent_at is not null
    order by m.created_at desc limit 2);
  if pg_catalog.cardinality(ids) <> 1 then return null; end if;
  select m.* into original from public.messages m where m.tenant_id = (select kernel.tenant()) and m.id = ids[1];
  return original;
end $$;
grant execute on function private.reported_message(text, text[], text[], text) to overture_worker;

-- Stores an inbound message and returns its id; null when it was stored before, or when we sent it ourselves.
create or replace function private.receive_message(connection uuid, on_channel text, read jsonb) returns uuid
language plpgsql volatile set search_path = '' as $$
declare
  me uuid := kernel.tenant();
  ts timestamptz := kernel.now();
  sender text := read ->> 'from_address';
  kind text := read ->> 'kind';
  -- The words by which a person asks for no more messages; a keyword such as STOP has none.
  wish text := read -> 'wish' ->> 'words';
  -- An opt-out in words is an answer as well: it ends sequences on every channel.
  answer boolean := kind = 'reply' or kind = 'opt_out' and wish is not null;
  by_machine boolean := kind in ('auto_reply', 'delivery_report');
  by_reference boolean;
  told text;
  refs text[] := array(select pg_catalog.jsonb_array_elements_text(coalesce(read -> 'references', '[]')));
  original public.messages;
  thread public.threads;
  person uuid;
  new_id uuid := kernel.uuid7();
begin
  if exists (select from public.senders s where s.tenant_id = (select kernel.tenant()) and s.channel = on_channel
    and s.address = sender) then return null; end if;
  original := private.answered_message(on_channel, refs, sender, coalesce(read ->> 'to_address', ''));
  by_reference := exists (select from public.email_details d
    where d.tenant_id = (select kernel.tenant()) and d.message_id = original.id and (d.rfc_message_id = any(refs)
      or d.provider_rfc_id = any(refs)));
  if original.id is null then
    select t.* into thread from public.threads t
    where t.tenant_id = (select kernel.tenant()) and t.channel = on_channel
      and t.external_key = sender order by t.last_message_at desc limit 1;
  end if;
  person := coalesce(original.contact_id, thread.contact_id, (
    select a.contact_id from public.contact_addresses a
    where a.tenant_id = (select kernel.tenant()) and a.channel = on_channel and a.address = sender order by a.is_primary desc,
      a.created_at limit 1));

  insert into public.messages (tenant_id, id, direction, channel, action, contact_id, campaign_id, enrollment_id, sender_id, connection_id,
    status,
    from_address, from_name, to_address, subject, body_text, thread_id, provider_message_id, is_auto_reply, is_answer,
    by_reference, opt_out, delivery_key, created_at)
  values (me, new_id, 'in', on_channel, on_channel || '.receive', person, original.campaign_id, original.enrollment_id, original.sender_id,
    connection, 'received',
    sender, coalesce(read ->> 'from_name', ''), coalesce(read ->> 'to_address', ''), pg_catalog.left(coalesce(read ->> 'subject', ''), 500),
    coalesce(read ->> 'text', ''), coalesce(original.thread_id, thread.id, new_id), read ->> 'provider_inbound_id', by_machine,
    answer, by_reference, case when wish is null then null when kind = 'opt_out' then 'yes' else 'asked' end,
    pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(read -> 'email' ->> 'rfc_message_id', 'UTF8')), 'hex'), ts)
  -- The provider told of it twice, or it came on another way too.
  on conflict do nothing;
  if not found then return null; end if;
  if pg_catalog.jsonb_typeof(read -> 'email') = 'object' then
    insert into public.email_details (tenant_id, message_id, rfc_message_id, in_reply_to, headers, html)
    values (me, new_id, read -> 'email' ->> 'rfc_message_id', refs[1], coalesce(read -> 'email' -> 'headers', '{}'),
      read -> 'email' ->> 'html');
  end if;
  insert into public.threads as t (tenant_id, id, channel, contact_id, campaign_id, sender_id, external_key, subject, last_message_at)
  values (me, coalesce(original.thread_id, thread.id, new_id), on_channel, person, original.campaign_id, original.sender_id, sender,
    pg_catalog.left(coalesce(nullif(original.subject, ''), read ->> 'subject', ''), 500), ts)
  on conflict (tenant_id, id) do update set last_message_at = ts, status = case when by_machine then t.status else 'open' end,
    contact_id = coalesce(t.contact_id, excluded.contact_id);

  if kind = 'opt_out' then
    -- Written from an address of theirs that nobody knows, it is about the one we wrote to as well.
    perform private.opt_out(on_channel, array[person], pg_catalog.array_remove(array[sender, original.to_address], null), 'unsubscribe',
      'The person wrote «' || pg_catalog.left(coalesce(wish, read ->> 'text'), 120) || '».');
  elsif kind = 'opt_in' then
    perform private.opt_in(on_channel, array[person], array[sender], 'The person wrote «' || pg_catalog.left(read ->> 'text', 40) || '».');
  end if;

  -- A word such as HELP or START is no answer, and what a delivery report says is an event of its own.
  told := case kind when 'reply' then 'replied' when 'auto_reply' then 'auto_replied' when 'opt_out' then 'unsubscribed' end;
  if original.id is not null and told is not null then
    insert into public.message_events (tenant_id, message_id, kind, event_key, at, month, detail)
    values (me, original.id, told, 'reply:' || new_id, ts,
      pg_catalog.date_trunc('month', ts at time zone 'UTC')::date, pg_catalog.jsonb_build_object('message_id', new_id));
    if not by_machine then
      update public.messages m set opened_at = coalesce(m.opened_at, ts),
        replied_at = coalesce(m.replied_at, case when told = 'replied' then ts end),
        unsubscribed_at = coalesce(m.unsubscribed_at, case when told = 'unsubscribed' then ts end)
      where m.tenant_id = (select kernel.tenant()) and m.id = original.id;
    end if;
  end if;
  perform kernel.emit('message.received', pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('message_id', new_id, 'kind', kind,
    'is_answer', answer, 'by_reference', by_reference, 'our_address', coalesce(read ->> 'to_address', ''),
    'answers', original.id, 'enrollment_id', original.enrollment_id, 'contact_id', person, 'campaign_id', original.campaign_id, 'channel',
      on_channel,
    'address', sender, 'at', ts, 'text', pg_catalog.left(read ->> 'text', 2000))));
  return new_id;
end $$;

-- A member decides whether an answer asks for no more messages. Returns false where nobody is asked. The opt-out covers the person, the
-- address they wrote from and those we wrote to in the conversation.
create or replace function private.decide_opt_out(message uuid, opted_out boolean) returns boolean
language plpgsql volatile set search_path = '' as $$
declare
  m public.messages;
begin
  update public.messages x set opt_out = case when opted_out then 'yes' else 'no' end
  where x.tenant_id = (select kernel.tenant()) and x.id = message and x.opt_out = 'asked' returning x.* into m;
  if m.id is null then return false; end if;
  if not opted_out then return true; end if;
  perform private.opt_out(m.channel, array[m.contact_id], array[m.from_address] || array(
    select distinct o.to_address from public.messages o
    where o.tenant_id = (select kernel.tenant()) and o.thread_id = m.thread_id and o.direction = 'out'), 'unsubscribe',
    'A member read an answer of the person as an opt-out.');
  update public.messages x set unsubscribed_at = coalesce(x.unsubscribed_at, m.created_at)
  from public.message_events e
  where e.tenant_id = (select kernel.tenant()) and e.event_key = 'reply:' || m.id
    and x.tenant_id = (select kernel.tenant()) and x.id = e.message_id;
  return true;
end $$;
grant execute on function private.decide_opt_out(uuid, boolean) to overture_user, overture_worker;

grant execute on function private.answered_message(text, text[], text, text), private.receive_message(uuid, text, jsonb) to overture_worker;
