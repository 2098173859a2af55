-- Moving people to another version of their sequence.

-- Moves the next `quantity` people of a campaign that follow an older version. Messages that were planned and never tried vanish with the
-- run of their step, and are written again from the new version; one that was tried stays: its key may be known outside. A person stands at
-- the same step as before; where it was removed, at the next one of their old version that is still there; where none is, their sequence is
-- over. Returns how many were moved.
create or replace function private.move_enrollments(campaign uuid, to_version uuid, quantity int) returns int
language plpgsql volatile set search_path = '' as $$
declare
  people uuid[];
  told int;
begin
  people := array(
    select e.id from public.enrollments e
    where e.tenant_id = (select kernel.tenant()) and e.campaign_id = campaign
      and e.version_id = any(array(select v.id from public.sequence_versions v
        where v.tenant_id = (select kernel.tenant()) and v.campaign_id = campaign and v.number < (
          select t.number from public.sequence_versions t where t.tenant_id = (select kernel.tenant()) and t.id = to_version)))
      and e.status in ('waiting', 'sending', 'task', 'blocked') and e.node_id is not null
    order by e.id limit quantity for update);
  if pg_catalog.cardinality(people) = 0 then return 0; end if;

  -- What was planned and never tried.
  with gone as materialized (
    select t.enrollment_id, t.step_run_id from private.take_back_messages(people) t
  ), runs as (
    delete from public.step_runs r using gone g where r.tenant_id = (select kernel.tenant()) and r.id = g.step_run_id
  )
  update public.enrollments e set status = 'waiting', next_at = (select kernel.now())
  from gone g where e.tenant_id = (select kernel.tenant()) and e.id = g.enrollment_id and e.status = 'sending';

  with recursive stands as (
    -- Along the old version from where each stands, by its first way out, to a step that the new version has.
    select e.id, e.node_id as old_node, n.step_id, e.node_id as at_node, 0 as hops
    from public.enrollments e join public.sequence_nodes n on n.tenant_id = (select kernel.tenant()) and n.id = e.node_id
    where e.tenant_id = (select kernel.tenant()) and e.id = any(people)
    union all
    select s.id, s.old_node, n.step_id, x.to_node, s.hops + 1
    from stands s
    cross join lateral (
      select y.to_node from public.sequence_edges y
      where y.tenant_id = (select kernel.tenant()) and y.from_node = s.at_node order by (y.branch = 'next') desc, (y.branch = 'no') desc,
        y.branch limit 1) x
    join public.sequence_nodes n on n.tenant_id = (select kernel.tenant()) and n.id = x.to_node
    where not exists (select from public.sequence_nodes t
      where t.tenant_id = (select kernel.tenant()) and t.version_id = to_version and t.step_id = s.step_id)
      and s.hops < 100
  ), targets as (
    select distinct on (s.id) s.id, s.hops, s.step_id, t.id as node_id, t.action
    from stands s join public.sequence_nodes t on t.tenant_id = (select kernel.tenant()) and t.version_id = to_version
      and t.step_id = s.step_id
    order by s.id, s.hops
  ), placed as (
    select p.id, t.node_id, t.step_id, t.action, coalesce(t.hops, -1) as hops from pg_catalog.unnest(people) p (id)
    left join targets t on t.id = p.id
  ), moved as (
    update public.enrollments e set
      updated_at = (select kernel.now()),
      version_id = to_version,
      node_id = coalesce(p.node_id, e.node_id),
      action = p.action,
      sender_id = (e.vars -> 'senders' ->> pg_catalog.split_part(p.action, '.', 1))::uuid,
      status = case
        -- What is at a provider or with a person settles first.
        when e.status in ('sending', 'task') and p.hops = 0 then e.status
        when p.node_id is null then 'finished' else 'waiting' end,
      -- A wait counts from when they came to it, however long it is now: the planner asks it again.
      next_at = case when e.status in ('sending', 'task') and p.hops = 0 or p.node_id is null then null
        else (select kernel.now()) end,
      entered_at = case when p.hops > 0 then (select kernel.now()) else e.entered_at end,
      reason = case when p.node_id is null then 'step_removed' end,
      finished_at = case when p.node_id is null then (select kernel.now()) end
    from placed p where e.tenant_id = (select kernel.tenant()) and e.id = p.id
    returning e.id, p.hops
  ), open_runs as (
    -- The run of a step under way belongs to the new node of the same step; that of a removed step is over for the sequence.
    update public.step_runs r set node_id = p.node_id from placed p
    where r.tenant_id = (select kernel.tenant()) and r.enrollment_id = p.id and r.step_id = p.step_id and r.state = 'open'
      and p.hops = 0
  ), tasks as (
    update public.tasks t set status = 'cancelled', finished_at = (select kernel.now()), result = 'step_removed' from placed p
    where t.tenant_id = (select kernel.tenant()) and t.enrollment_id = p.id and t.status = 'open' and p.hops <> 0
    returning t.step_run_id
  ), closed as (
    update public.step_runs r set state = 'cancelled', outcome = 'step_removed', finished_at = (select kernel.now()) from tasks t
    where r.tenant_id = (select kernel.tenant()) and r.id = t.step_run_id and r.state = 'open'
  )
  select kernel.decide(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('subject_id', m.id, 'source', 'move', 'verdict', 'moved',
    'reason', case when m.hops = 0 then 'moved' else 'step_removed' end, 'detail', pg_catalog.jsonb_build_object('version_id',
      to_version)))) into told
  from moved m;
  return coalesce(told, 0);
end $$;
grant execute on function private.move_enrollments(uuid, uuid, int) to overture_user, overture_worker;
