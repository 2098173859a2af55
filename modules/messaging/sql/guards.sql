-- Guards: what stops a message that is due. A guard is a function private.guard_<rule>(m public.messages) that gives no row when the
-- message may leave, and otherwise one: verdict `cancel` (it never may) or `defer` (it may later), the reason as a code, and until when
-- (null: until something changes). Each is owned by the module whose rule it is. They have no settings of their own and are `stable`, so
-- that the planner writes them into the claim instead of calling them a message.

-- All guards in one, made anew by kernel.compose_guards() from the guards of the modules that are on.

create or replace function private.guard_approval(m public.messages) returns table (verdict text, reason text, until timestamptz)
language sql stable as $$
  select case m.approval when 'rejected' then 'cancel' else 'defer' end, 'approval_' || m.approval, null::timestamptz
  where m.approval in ('pending', 'rejected')
$$;

-- Takes what a guard stops out of the way of the claim: of the first due messages of each sender, those that never may leave are
-- cancelled, those that may later wait until then, and those that wait for a change are held. Says why, and tells the modules of what
-- was cancelled. Returns how many it moved: less than `quantity` means that the queue's front is clear.
create or replace function private.apply_guards(quantity int default 500) returns int
language plpgsql volatile set search_path = '' as $$
declare
  ts timestamptz := kernel.now();
  n int;
  gone jsonb;
begin
  with first as materialized (
    select x.id from public.senders s cross join lateral (
      select m.id from public.messages m
      where m.tenant_id = (select kernel.tenant()) and m.sender_id = s.id and m.status = 'queued' and m.due_at <= ts
      order by m.due_at, m.id limit quantity) x
    where s.tenant_id = (select kernel.tenant())
  ), stopped as materialized (
    select m.id, g.verdict, g.reason, g.until from public.messages m
    -- What never may leave comes first; of several waits the longest counts, and an open-ended one is the longest.
    cross join lateral (select v.* from private.guards(m) v order by (v.verdict = 'cancel') desc, v.until desc nulls first limit 1) g
    where m.tenant_id = (select kernel.tenant()) and m.id = any(array(select f.id from first f)) and m.status = 'queued'
    order by m.id limit quantity for update of m skip locked
  ), moved as (
    update public.messages m set
      updated_at = ts,
      status = case when s.verdict = 'cancel' then 'cancelled' when s.until is null then 'held' else 'queued' end,
      due_at = case when s.verdict = 'defer' then s.until end,
      error_code = s.reason
    from stopped s where m.tenant_id = (select kernel.tenant()) and m.id = s.id
    returning m.id, m.status, m.due_at, m.enrollment_id, m.step_run_id, m.contact_id, m.campaign_id, m.channel, m.to_address, s.reason,
      s.verdict
  ), told as (
    select kernel.decide(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('subject_id', coalesce(v.enrollment_id, v.id), 'source',
      'claim',
      'verdict', v.verdict, 'reason', v.reason, 'until', v.due_at, 'detail', pg_catalog.jsonb_build_object('message_id', v.id))))
        from moved v
    having pg_catalog.count(*) > 0
  )
  select (select pg_catalog.count(*) from moved), (select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(v)) from moved v
    where v.status = 'cancelled')
    from (select pg_catalog.count(*) from told) t
  into n, gone;
  if gone is not null then perform private.emit_cancelled(gone); end if;
  return n;
end $$;

-- Tells of cancelled messages: [{"id","enrollment_id","step_run_id","contact_id","campaign_id","channel","to_address","reason"}].
create or replace function private.emit_cancelled(gone jsonb) returns void
language sql volatile set search_path = '' as $$
  select kernel.emit('message.cancelled', pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('message_id', g ->> 'id', 'enrollment_id',
    g ->> 'enrollment_id',
    'step_run_id', g ->> 'step_run_id', 'contact_id', g ->> 'contact_id', 'campaign_id', g ->> 'campaign_id', 'channel', g ->> 'channel',
    'address', g ->> 'to_address', 'at', kernel.now(), 'code', g ->> 'reason')))
  from pg_catalog.jsonb_array_elements(gone) g
$$;

-- Cancels what has not left yet of these enrollments. Tells of each. Returns how many.
create or replace function private.cancel_messages(enrollments uuid[], reason text) returns int
language plpgsql volatile set search_path = '' as $$
declare
  gone jsonb;
begin
  with back as (
    update public.messages m set updated_at = (select kernel.now()), status = 'cancelled', due_at = null, error_code = reason
    where m.tenant_id = (select kernel.tenant()) and m.direction = 'out' and m.status in ('queued', 'held')
      and m.enrollment_id = any(enrollments)
    returning m.id, m.enrollment_id, m.step_run_id, m.contact_id, m.campaign_id, m.channel, m.to_address, reason
  )
  select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(b)) into gone from back b;
  if gone is null then return 0; end if;
  perform private.emit_cancelled(gone);
  return pg_catalog.jsonb_array_length(gone);
end $$;

-- Removes messages of these enrollments that were planned and never tried, to be written again. One that was tried stays: its key may be
-- known outside. Returns whose they were.
create or replace function private.take_back_messages(enrollments uuid[]) returns table (enrollment_id uuid, step_run_id uuid)
language sql volatile set search_path = '' as $$
  delete from public.messages m
  where m.tenant_id = (select kernel.tenant()) and m.enrollment_id = any(enrollments) and m.direction = 'out'
    and m.status in ('queued', 'held')
    and not exists (select from public.attempts a where a.tenant_id = (select kernel.tenant()) and a.message_id = m.id)
  returning m.enrollment_id, m.step_run_id
$$;
grant execute on function private.take_back_messages(uuid[]) to overture_user, overture_worker;

-- Puts held messages back on the queue, in portions: of a campaign that goes on, or named ones; and of the campaign those that were
-- deferred for a reason that holds no longer. What a guard would only stop again stays, so that this ends. Returns how many.
create or replace function private.release_messages(campaign uuid, ids uuid[], because text default null,
  quantity int default 1000) returns int
language sql volatile set search_path = '' as $$
  with portion as (
    select m.id from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.status = 'held' and (m.campaign_id = campaign or m.id = any(ids))
      and not exists (select from private.guards(m) g where g.verdict = 'defer' and g.until is null)
    order by m.id limit quantity for update skip locked
  ), deferred as (
    select m.id from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.campaign_id = campaign and m.status = 'queued' and m.error_code = because
      and m.due_at > (select kernel.now()) and not exists (select from private.guards(m) g where g.verdict = 'defer')
    order by m.id limit quantity for update skip locked
  ), back as (
    update public.messages m set updated_at = (select kernel.now()), status = 'queued', due_at = (select kernel.now()), error_code = null
    from (select id from portion union all select id from deferred) s where m.tenant_id = (select kernel.tenant())
      and m.id = s.id returning 1
  )
  select pg_catalog.count(*)::int from back
$$;

-- Takes a campaign that is being deleted off the next of its messages and conversations, at most 1,000 of each at once. Returns of how many
-- messages.
create or replace function private.leave_campaign(campaign uuid) returns int
language sql volatile set search_path = '' as $$
  update public.threads t set campaign_id = null
  where t.tenant_id = (select kernel.tenant()) and t.id = any(array(select x.id from public.threads x
    where x.tenant_id = (select kernel.tenant()) and x.campaign_id = campaign limit 1000));
  with portion as (
    select m.id from public.messages m where m.tenant_id = (select kernel.tenant()) and m.campaign_id = campaign
    limit 1000 for update
  ), left_alone as (
    update public.messages m set updated_at = (select kernel.now()), campaign_id = null
    from portion p where m.tenant_id = (select kernel.tenant()) and m.id = p.id returning 1
  )
  select pg_catalog.count(*)::int from left_alone
$$;

grant execute on function private.guard_approval(public.messages), private.leave_campaign(uuid), private.emit_cancelled(jsonb),
  private.cancel_messages(uuid[], text), private.release_messages(uuid, uuid[], text, int) to overture_user, overture_worker;
grant execute on function private.apply_guards(int) to overture_worker;
