-- What becomes of messages that wait: a person's yes or no, a delay that is over, an expiry, or that nobody needs to decide any more.

-- Decides those that still wait; of two who decide at once, one finds nothing. verdict: approved, rejected or expired. Where the message
-- was cancelled meanwhile, the request is withdrawn instead. Returns what became of each that this call decided.
create or replace function private.decide_approvals(ids uuid[], verdict text, who text, why text) returns table (approval uuid, became text)
language plpgsql volatile set search_path = '' as $$
declare
  taken jsonb;
  settled uuid[];
begin
  with won as (
    update public.approvals a set state = verdict, decided_by = who, decided_at = kernel.now(), reason = why, auto_at = null,
      expires_at = null
    from (select x.id from public.approvals x where x.tenant_id = (select kernel.tenant()) and x.id = any(ids) and x.state = 'pending'
      order by x.id for update) w
    where a.tenant_id = (select kernel.tenant()) and a.id = w.id and a.state = 'pending'
    returning a.id, a.message_id
  )
  select pg_catalog.jsonb_object_agg(w.message_id, w.id) into taken from won w;
  if taken is null then return; end if;
  settled := array(select private.decide_messages(array(select k::uuid from pg_catalog.jsonb_object_keys(taken) k),
    case verdict when 'approved' then 'approved' else 'rejected' end,
    case verdict when 'approved' then null when 'expired' then 'approval_expired' else 'approval_rejected' end));
  update public.approvals a set state = 'withdrawn', decided_by = '', reason = 'message_gone'
  where a.tenant_id = (select kernel.tenant()) and a.id = any(array(select t.value::uuid from pg_catalog.jsonb_each_text(taken) t
    where t.key::uuid <> all(settled)));
  return query select t.value::uuid, case when t.key::uuid = any(settled) then verdict else 'withdrawn' end
    from pg_catalog.jsonb_each_text(taken) t;
end $$;
grant execute on function private.decide_approvals(uuid[], text, text, text) to overture_user, overture_worker;

-- Lets go what was only delayed and whose time is over, and ends what nobody decided in time: rejected, or kept for the admins, as the
-- team has it. Returns how many left and how many expired.
create or replace function private.settle_due_approvals(quantity int default 500) returns table (released int, expired int)
language plpgsql volatile set search_path = '' as $$
declare
  escalates boolean := coalesce((select t.settings ->> 'approval_on_expiry' from public.tenants t
    where t.id = (select kernel.tenant())), 'reject') = 'escalate';
  due uuid[];
begin
  due := array(select a.id from public.approvals a where a.tenant_id = (select kernel.tenant()) and a.state = 'pending'
    and a.auto_at <= kernel.now() order by a.id limit quantity for update skip locked);
  released := (select pg_catalog.count(*)::int from private.decide_approvals(due, 'approved', '', 'delay_over') d
    where d.became = 'approved');
  due := array(select a.id from public.approvals a where a.tenant_id = (select kernel.tenant()) and a.state = 'pending'
    and a.expires_at <= kernel.now() order by a.id limit quantity for update skip locked);
  if escalates then
    update public.approvals a set escalated_at = kernel.now(), expires_at = null
    where a.tenant_id = (select kernel.tenant()) and a.id = any(due) and a.state = 'pending';
    get diagnostics expired = row_count;
  else
    expired := (select pg_catalog.count(*)::int from private.decide_approvals(due, 'expired', '', 'expired'));
  end if;
  return next;
end $$;
grant execute on function private.settle_due_approvals(int) to overture_worker;

-- Wakes the teams of which something is due.
create or replace function private.wake_approvals() returns int
language sql volatile security definer set search_path = '' as $$
  select kernel.wake('approvals_due', array(
    select a.tenant_id from public.approvals a where a.state = 'pending' and a.auto_at <= kernel.now()
    union select a.tenant_id from public.approvals a where a.state = 'pending' and a.expires_at <= kernel.now()))
$$;
