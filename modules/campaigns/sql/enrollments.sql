-- People on their way through sequences.

-- A statement that changes thousands of rows sets updated_at itself, once; the trigger would ask for the time once a row.
create or replace trigger touch before update on public.enrollments for each row
  when (new.updated_at is not distinct from old.updated_at) execute function kernel.touch();

-- Closes the open step runs of enrollments that ended. Definer: people who stop somebody may not write step runs themselves. Bound to
-- kernel.tenant(), and to enrollments that are over.
create or replace function private.cancel_runs(ended uuid[], why text) returns void
language sql volatile security definer set search_path = '' as $$
  update public.step_runs r set state = 'cancelled', outcome = why, finished_at = (select kernel.now())
  from public.enrollments e
  where e.tenant_id = (select kernel.tenant()) and e.id = any(ended) and e.status not in ('waiting', 'sending', 'task', 'blocked')
    and r.tenant_id = (select kernel.tenant()) and r.enrollment_id = e.id and r.state = 'open'
    -- What is or was at a provider settles by itself: what became of it is told. Looked up by its key, run by run: as a join it would read
    -- all messages.
    and not coalesce((select m.status in ('sending', 'unknown', 'sent', 'failed') from public.messages m
      where m.tenant_id = (select kernel.tenant()) and m.direction = 'out' and m.step_run_id = r.id), false)
$$;
grant execute on function private.cancel_runs(uuid[], text) to overture_user, overture_worker;

-- Ends enrollments. The one way an enrollment ends early: what has not left is cancelled, open steps and tasks are closed, the decision is
-- noted. A finished sequence can still be answered or bounce; it cannot be stopped any more. Returns how many ended.
create or replace function private.end_enrollments(ids uuid[], new_status text, why text, decided_by text default 'person') returns int
language plpgsql volatile set search_path = '' as $$
declare
  ended uuid[];
begin
  with locked as (
    select e.id from public.enrollments e
    where e.tenant_id = (select kernel.tenant()) and e.id = any(ids) and e.status in ('waiting', 'sending', 'task', 'blocked', 'finished')
      and (e.status <> 'finished' or new_status in ('replied', 'bounced', 'unsubscribed'))
    order by e.id for update
  ), gone as (
    update public.enrollments e set updated_at = (select kernel.now()), status = new_status, reason = why, reason_detail = null,
      next_at = null,
      finished_at = (select kernel.now())
    from locked l where e.tenant_id = (select kernel.tenant()) and e.id = l.id returning e.id
  )
  select coalesce(pg_catalog.array_agg(g.id), '{}') into ended from gone g;
  if pg_catalog.cardinality(ended) = 0 then return 0; end if;
  perform private.cancel_messages(ended, why);
  perform private.cancel_runs(ended, why);
  update public.tasks t set status = 'cancelled', finished_at = (select kernel.now()), result = why
  where t.tenant_id = (select kernel.tenant()) and t.enrollment_id = any(ended) and t.status = 'open';
  perform kernel.decide(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('subject_id', i, 'source', decided_by, 'verdict', 'ended',
    'reason', why)))
  from pg_catalog.unnest(ended) i;
  return pg_catalog.cardinality(ended);
end $$;

-- After their step is settled, people go to what comes next by its outcome: due at once, or finished where nothing comes.
-- settled: [{"step_run_id","branch","outcome","at"}], branch null: skipped; only open runs of people who still stand there move on.
create or replace function private.advance_enrollments(settled jsonb) returns int
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan as $$
declare
  n int;
begin
  with given as materialized (
    select s.* from pg_catalog.jsonb_to_recordset(settled) as s(step_run_id uuid, branch text, outcome text, at timestamptz)
  ), runs as (
    update public.step_runs r set state = case when g.branch is null then 'skipped' else 'done' end, outcome = g.outcome, finished_at = g.at
    from given g where r.tenant_id = (select kernel.tenant()) and r.id = g.step_run_id and r.state = 'open'
    returning r.enrollment_id, r.node_id, r.visit, coalesce(g.branch, 'next') as branch, g.at,
      case when g.branch is null then g.outcome end as why
  ), next as (
    select r.enrollment_id, r.node_id, r.visit, r.at, n.id as to_node, n.action,
      -- A sequence that ends with a step that did not happen, and reached the person by no other, failed and says why.
      case when n.id is null and r.why is not null and not exists (select from public.step_runs d
        join public.sequence_nodes o on o.tenant_id = (select kernel.tenant()) and o.id = d.node_id
          and (o.action is not null or o.kind = 'task')
        where d.tenant_id = (select kernel.tenant()) and d.enrollment_id = r.enrollment_id and d.visit = r.visit and d.state = 'done')
      then r.why end as failed
    from runs r
    left join public.sequence_edges x on x.tenant_id = (select kernel.tenant()) and x.from_node = r.node_id and x.branch = r.branch
    left join public.sequence_nodes n on n.tenant_id = (select kernel.tenant()) and n.id = x.to_node
  ), moved as (
    update public.enrollments e set
      updated_at = (select kernel.now()),
      status = case when n.failed is not null then 'failed' when n.to_node is null then 'finished' else 'waiting' end,
      node_id = coalesce(n.to_node, e.node_id),
      next_at = case when n.to_node is not null then n.at end,
      entered_at = n.at,
      action = n.action,
      sender_id = (e.vars -> 'senders' ->> pg_catalog.split_part(n.action, '.', 1))::uuid,
      finished_at = case when n.to_node is null then (select kernel.now()) end,
      reason = n.failed, reason_detail = null
    from next n
    where e.tenant_id = (select kernel.tenant()) and e.id = n.enrollment_id and e.node_id = n.node_id and e.run = n.visit
      -- The state is no index condition here: people are found by their key, however few the statistics think are sending.
      and (e.status || '') in ('sending', 'task')
    returning 1
  )
  select pg_catalog.count(*) into n from moved;
  return n;
end $$;
grant execute on function private.end_enrollments(uuid[], text, text, text), private.advance_enrollments(jsonb) to overture_user,
  overture_worker;

-- Closes step runs whose message will not leave, for people whom that moves nowhere: their sequence ended, or they stand elsewhere.
-- settled: [{"step_run_id","outcome","at"}].
create or replace function private.close_runs(settled jsonb) returns void
language sql volatile set search_path = '' as $$
  update public.step_runs r set state = 'cancelled', outcome = g.outcome, finished_at = g.at
  from pg_catalog.jsonb_to_recordset(settled) as g(step_run_id uuid, outcome text, at timestamptz)
  where r.tenant_id = (select kernel.tenant()) and r.id = g.step_run_id and r.state = 'open'
$$;
grant execute on function private.close_runs(jsonb) to overture_worker;

-- As private.advance_enrollments, for people who finish a task: they may not write step runs themselves. Bound to kernel.tenant(), and to
-- runs whose task is finished.
create or replace function private.finish_step(settled jsonb) returns int
language sql volatile security definer set search_path = '' as $$
  select private.advance_enrollments(pg_catalog.jsonb_agg(s.item))
  from pg_catalog.jsonb_array_elements(settled) s (item)
  join public.tasks t on t.tenant_id = kernel.tenant() and t.step_run_id = (s.item ->> 'step_run_id')::uuid and t.status in ('done',
    'skipped')
  having pg_catalog.count(*) > 0
$$;
grant execute on function private.finish_step(jsonb) to overture_user, overture_worker;

-- People of a campaign who were blocked before this moment wait again, at most 1,000 at once. Who is blocked again meanwhile is not among
-- them, so that this ends. Returns how many.
create or replace function private.retry_blocked(campaign uuid, before timestamptz) returns int
language sql volatile set search_path = '' as $$
  with portion as (
    select e.id from public.enrollments e
    where e.tenant_id = (select kernel.tenant()) and e.campaign_id = campaign and e.status = 'blocked' and e.updated_at < before
    order by e.id limit 1000 for update skip locked
  ), again as (
    update public.enrollments e set updated_at = (select kernel.now()), status = 'waiting', next_at = (select kernel.now()), reason = null,
      reason_detail = null
    from portion s where e.tenant_id = (select kernel.tenant()) and e.id = s.id returning 1
  )
  select pg_catalog.count(*)::int from again
$$;
grant execute on function private.retry_blocked(uuid, timestamptz) to overture_user, overture_worker;

-- Ends the next people of a campaign that was stopped, at most 1,000 at once. Returns how many.
create or replace function private.end_campaign(campaign uuid) returns int
language sql volatile set search_path = '' as $$
  select private.end_enrollments(array(
    select e.id from public.enrollments e
    where e.tenant_id = (select kernel.tenant()) and e.campaign_id = campaign and e.status in ('waiting', 'sending', 'task', 'blocked')
    order by e.id limit 1000), 'stopped', 'campaign_stopped')
$$;
grant execute on function private.end_campaign(uuid) to overture_user, overture_worker;

-- Deletes the next people of a campaign that is being deleted, at most 1,000 at once, then takes it off the messages that stay, and last
-- itself. What has not left is cancelled now: later a guard would find only that the person is gone. Returns whether the campaign is gone.
create or replace function private.delete_campaign(campaign uuid) returns boolean
language plpgsql volatile set search_path = '' as $$
declare
  people uuid[];
begin
  perform from public.campaigns k where k.tenant_id = (select kernel.tenant()) and k.id = campaign and k.status = 'deleting' for update;
  if not found then return true; end if;
  people := array(
    select e.id from public.enrollments e
    where e.tenant_id = (select kernel.tenant()) and e.campaign_id = campaign order by e.id limit 1000);
  if pg_catalog.cardinality(people) > 0 then
    perform private.cancel_messages(people, 'campaign_stopped');
    delete from public.enrollments e where e.tenant_id = (select kernel.tenant()) and e.id = any(people);
  end if;
  if pg_catalog.cardinality(people) = 1000 or private.leave_campaign(campaign) = 1000 then return false; end if;
  delete from public.campaigns k where k.tenant_id = (select kernel.tenant()) and k.id = campaign;
  return true;
end $$;
grant execute on function private.delete_campaign(uuid) to overture_user, overture_worker;

-- Schedules: run across tenants; they only mark and enqueue.

-- Whether anybody of a campaign waits for something that is due. Asked action by action and sender by sender, as the index is sorted:
-- people who wait for later are not read, however many there are.
create or replace function private.anybody_due(team uuid, campaign uuid, moment timestamptz) returns boolean
language sql stable set search_path = '' as $$
  with actions as materialized (
    select distinct n.action from public.sequence_versions v
    join public.sequence_nodes n on n.tenant_id = v.tenant_id and n.version_id = v.id
    where v.tenant_id = team and v.campaign_id = campaign and n.action is not null
  )
  -- As values, not as `exists`, which the planner may turn into a join that reads whole tables.
  select coalesce(
    (select true from public.enrollments e
      where e.tenant_id = team and e.campaign_id = campaign and e.action is null and e.sender_id is null and e.status = 'waiting'
        and e.next_at <= moment limit 1),
    (select true from actions a cross join lateral (
      select from public.enrollments e
      where e.tenant_id = team and e.campaign_id = campaign and e.action = a.action and e.sender_id is null and e.status = 'waiting'
        and e.next_at <= moment limit 1) x limit 1),
    (select true from actions a
      join public.campaign_senders s on s.tenant_id = team and s.campaign_id = campaign
      cross join lateral (
        select from public.enrollments e
        where e.tenant_id = team and e.campaign_id = campaign and e.action = a.action and e.sender_id = s.sender_id
          and e.status = 'waiting' and e.next_at <= moment limit 1) x limit 1),
    false)
$$;
grant execute on function private.anybody_due(uuid, uuid, timestamptz) to overture_user, overture_worker;

-- Teams that have something to do in campaigns which run and whose window is open: asked campaign by campaign, because there are few that
-- run, and what waits in a paused one wakes nobody. `ask`: releasing or planning. Where a campaign cannot be asked (its time zone is one
-- that the database knows no longer), its team is named too and learns why; no other team waits for that.
create or replace function private.campaigns_with_work(ask text) returns table (tenant_id uuid, campaign_id uuid)
language plpgsql volatile set search_path = '' as $$
declare
  ts timestamptz := kernel.now();
  k record;
begin
  for k in select c.tenant_id, c.id, c.settings from public.campaigns c where c.status = 'running' loop
    begin
      if not private.in_window(k.settings, ts) then continue; end if;
    exception when invalid_parameter_value then
      null;
    end;
    if ask = 'planning' and private.anybody_due(k.tenant_id, k.id, ts) or ask = 'releasing' and coalesce((select true
      from public.messages m where m.tenant_id = k.tenant_id and m.campaign_id = k.id and m.status = 'held'
        and m.error_code in ('campaign_paused', 'outside_window') limit 1), false) then
      tenant_id := k.tenant_id;
      campaign_id := k.id;
      return next;
    end if;
  end loop;
end $$;

-- What is held in a campaign that runs, and may leave by now: a resume that met a worker holding it back, or a window that is open again.
create or replace function private.wake_releasing() returns int
language sql volatile security definer set search_path = '' as $$
  select pg_catalog.count(*)::int from kernel.enqueue('messaging_release', array(
    select pg_catalog.jsonb_build_object('tenant_id', w.tenant_id, 'campaign_id', w.campaign_id)
    from private.campaigns_with_work('releasing') w))
$$;

create or replace function private.wake_planning() returns int
language sql volatile security definer set search_path = '' as $$
  select kernel.wake('campaigns_plan', array(select distinct w.tenant_id from private.campaigns_with_work('planning') w))
$$;

-- Running campaigns in which nobody waits any more and no audience is being taken in. Locked first, then looked at again:
-- whoever adds people meanwhile holds the campaign's row, and what they added is seen by the second statement.
create or replace function private.finish_campaigns() returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  over uuid[];
  n int;
begin
  over := array(
    select k.id from public.campaigns k
    where k.status = 'running' and k.enrolling = 0
      and not exists (select from public.enrollments e
        where e.tenant_id = k.tenant_id and e.campaign_id = k.id and e.status in ('waiting', 'sending', 'task', 'blocked'))
    for update of k skip locked);
  update public.campaigns k set status = 'done', finished_at = kernel.now()
  where k.status = 'running' and k.id = any(over) and k.enrolling = 0
    and not exists (select from public.enrollments e
      where e.tenant_id = k.tenant_id and e.campaign_id = k.id and e.status in ('waiting', 'sending', 'task', 'blocked'));
  get diagnostics n = row_count;
  return n;
end $$;
