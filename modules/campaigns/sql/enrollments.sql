-- A statement that changes thousands of rows sets updated_at itself, once; the trigger would ask for the time once a row.
create or replace trigger touch before update on public.enrollments for each row
  when (new.updated_at is not distinct from old.updated_at) execute function kernel.touch();

-- Ends enrollments and takes back what has not left yet. The one way an enrollment ends early.
create or replace function private.end_enrollments(ids uuid[], new_status text, why text) returns int
language sql volatile set search_path = '' as $$
  with ended as (
    update public.enrollments e set status = new_status, reason = why, next_at = null, finished_at = kernel.now()
    where e.tenant_id = (select kernel.tenant()) and e.id = any(ids) and e.status in ('waiting', 'sending', 'blocked', 'finished')
      -- A finished sequence can still be answered or bounce; it cannot be stopped any more.
      and (e.status <> 'finished' or new_status in ('replied', 'bounced', 'unsubscribed'))
    returning e.id
  ), back as (
    update public.messages m set status = 'cancelled', due_at = null, error = why
    from ended where m.tenant_id = (select kernel.tenant()) and m.enrollment_id = ended.id and m.status = 'queued'
  )
  select pg_catalog.count(*)::int from ended
$$;
grant execute on function private.end_enrollments(uuid[], text, text) to overture_user, overture_worker;

-- After a message left: the enrollment waits for its next step, or is finished.
create or replace function private.advance_enrollments(message_ids uuid[]) returns void
language sql volatile set search_path = '' as $$
  with gone as materialized (
    select m.enrollment_id, m.step, m.sent_at, m.rfc_message_id, m.subject, n.wait_hours
    from public.messages m
    left join public.campaign_steps n on n.tenant_id = (select kernel.tenant()) and n.campaign_id = m.campaign_id
      and n.position = m.step + 1
    where m.tenant_id = (select kernel.tenant()) and m.id = any(message_ids) and m.status = 'sent' and m.enrollment_id is not null
  )
  update public.enrollments e set
    updated_at = (select kernel.now()),
    status = case when g.wait_hours is null then 'finished' else 'waiting' end,
    next_at = case when g.wait_hours is null then null else g.sent_at + pg_catalog.make_interval(secs => g.wait_hours * 3600) end,
    finished_at = case when g.wait_hours is null then (select kernel.now()) end,
    reason = null,
    thread_message_ids = e.thread_message_ids || coalesce(array[g.rfc_message_id], '{}'),
    thread_subject = coalesce(e.thread_subject, g.subject)
  from gone g
  where e.tenant_id = (select kernel.tenant()) and e.id = g.enrollment_id and e.step = g.step
    -- The state is no index condition here: people are found by their key, however few the statistics think are sending.
    and (e.status || '') = 'sending'
$$;
grant execute on function private.advance_enrollments(uuid[]) to overture_user, overture_worker;
