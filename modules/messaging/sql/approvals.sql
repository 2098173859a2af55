-- What an approval does to its message. As their owner, because who may approve need not be who may write messages: the operations ask for
-- the permission, and of a message that waits for no approval nothing is changed.

-- Lets messages that wait go, or cancels them with `code` as their reason. verdict: approved or rejected. What other guards stop they stop
-- in the claim. Returns those it decided.
create or replace function private.decide_messages(ids uuid[], verdict text, code text) returns setof uuid
language plpgsql volatile security definer set search_path = '' as $$
declare
  ts timestamptz := kernel.now();
  decided jsonb;
begin
  if verdict not in ('approved', 'rejected') then
    raise exception 'no such verdict: %', verdict using errcode = 'invalid_parameter_value';
  end if;
  with waiting as (
    select m.id from public.messages m where m.tenant_id = (select kernel.tenant()) and m.id = any(ids) and m.direction = 'out'
      and m.approval = 'pending' and m.status in ('queued', 'held') order by m.id for update
  ), done as (
    update public.messages m set updated_at = ts, approval = verdict, error_code = code,
      status = case verdict when 'approved' then 'queued' else 'cancelled' end, due_at = case verdict when 'approved' then ts end
    from waiting w where m.tenant_id = (select kernel.tenant()) and m.id = w.id
    returning m.id, m.enrollment_id, m.step_run_id, m.contact_id, m.campaign_id, m.channel, m.to_address, code as reason
  )
  select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(d)) into decided from done d;
  if decided is null then return; end if;
  if verdict = 'rejected' then perform private.emit_cancelled(decided); end if;
  return query select (d ->> 'id')::uuid from pg_catalog.jsonb_array_elements(decided) d;
end $$;

-- Puts another text into a message that waits: everything the channel prepared, tracked links included. Returns whether it still waited.
-- prepared: {"subject","text","content","email","links"}, as the channel gives it.
create or replace function private.rewrite_message(message uuid, prepared jsonb) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
begin
  update public.messages m set subject = prepared ->> 'subject', body_text = prepared ->> 'text', content = prepared -> 'content'
  where m.tenant_id = (select kernel.tenant()) and m.id = message and m.direction = 'out' and m.approval = 'pending'
    and m.status in ('queued', 'held');
  if not found then return false; end if;
  if pg_catalog.jsonb_typeof(prepared -> 'email') = 'object' then
    update public.email_details d set in_reply_to = e.in_reply_to, reply_to = e.reply_to, headers = e.headers, html = e.html
    from pg_catalog.jsonb_to_record(prepared -> 'email') as e(in_reply_to text, reply_to text, headers jsonb, html text)
    where d.tenant_id = (select kernel.tenant()) and d.message_id = message;
  end if;
  delete from public.tracked_links l where l.tenant_id = (select kernel.tenant()) and l.message_id = message;
  insert into public.tracked_links (tenant_id, message_id, number, url)
  select (select kernel.tenant()), message, l.number, l.url
  from pg_catalog.jsonb_to_recordset(prepared -> 'links') as l(number int, url text);
  return true;
end $$;

-- How many messages of these campaigns wait for approval, and since when.
create or replace function private.waiting_approvals(campaigns uuid[]) returns table (campaign uuid, n int, since timestamptz)
language sql stable set search_path = '' as $$
  select k.id, w.n::int, w.since from pg_catalog.unnest(campaigns) k (id) cross join lateral (
    select pg_catalog.count(*) as n, pg_catalog.min(m.created_at) as since from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.campaign_id = k.id and m.approval = 'pending' and m.status in ('queued', 'held')) w
$$;

grant execute on function private.decide_messages(uuid[], text, text), private.rewrite_message(uuid, jsonb),
  private.waiting_approvals(uuid[]) to overture_user, overture_worker;
