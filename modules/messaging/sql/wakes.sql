-- Tenants with something due, by jumping from tenant to tenant through the index instead of reading every due row.
create or replace function private.wake_tenants(queue text) returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  due uuid[];
begin
  due := case queue
    -- Campaign by campaign: there are few that run, and what waits in a paused one or outside its window wakes nobody.
    when 'campaigns_plan' then array(
      select distinct k.tenant_id from public.campaigns k
      where k.status = 'running' and private.in_window(k.settings, kernel.now())
        and exists (select from public.enrollments e where e.tenant_id = k.tenant_id and e.campaign_id = k.id and e.status = 'waiting'
          and e.next_at <= kernel.now()))
    when 'messaging_send' then array(
      with recursive t as (
        (select m.tenant_id from public.messages m where m.status = 'queued' and m.due_at <= kernel.now() order by m.tenant_id limit 1)
        union all
        select (select m.tenant_id from public.messages m where m.status = 'queued' and m.due_at <= kernel.now()
          and m.tenant_id > t.tenant_id order by m.tenant_id limit 1)
        from t where t.tenant_id is not null)
      select t.tenant_id from t where t.tenant_id is not null)
    -- After a day only a webhook or a person can still tell.
    when 'messaging_reconcile' then array(select distinct m.tenant_id from public.messages m where m.status = 'unknown'
      and m.updated_at > kernel.now() - interval '1 day')
  end;
  -- One wake message per tenant is enough; a tenant that has one waiting gets no second.
  perform kernel.enqueue(queue, array(
    select pg_catalog.jsonb_build_object('tenant_id', d) from pg_catalog.unnest(due) d
    where not private.is_awake(queue, d)));
  return pg_catalog.cardinality(due);
end $$;

-- Whether a tenant has a message on the queue that can be taken now.
create or replace function private.is_awake(queue text, tenant uuid) returns boolean
language plpgsql stable security definer set search_path = '' as $$
declare
  awake boolean;
begin
  execute pg_catalog.format('select exists (select from pgmq.%I q where q.message ->> ''tenant_id'' = $1
    and q.vt <= pg_catalog.clock_timestamp())', 'q_' || queue)
    into awake using tenant::text;
  return awake;
end $$;

-- Wake messages of the current tenant that wait beside the one being handled: they say nothing it does not know. Without this a
-- team whose planner left a hundred of them would hold every worker for as long as they last.
create or replace function private.drop_wakes() returns void
language sql volatile security definer set search_path = '' as $$
  delete from pgmq.q_messaging_send q where q.msg_id in (
    select w.msg_id from pgmq.q_messaging_send w
    where w.vt <= pg_catalog.clock_timestamp() and w.message ->> 'tenant_id' = kernel.tenant()::text for update skip locked)
$$;
grant execute on function private.drop_wakes() to overture_worker;
