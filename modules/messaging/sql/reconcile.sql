-- Outcomes nobody knows: leases that ran out, and asking the provider again under the same key.

-- A lease that ran out: the worker died. What it had handed over to a call may have been sent, and nobody knows: never sent again blindly.
-- What it had only claimed goes back on the queue. Counted by the slow clock: an hour that somebody sets the wall clock forward is not an
-- hour of silence. Run by a schedule, across tenants.
create or replace function private.expire_leases() returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  lapsed uuid[];
  team uuid;
  unused private.settling[];
  n int;
begin
  -- First the lock, which passes over a hand-over under way, then statements that see every hand-over before it.
  lapsed := array(
    select m.id from public.messages m
    where m.status = 'sending' and coalesce(
      (select a.slow_at + (m.lease_until - a.started_at) from public.attempts a
        where a.tenant_id = m.tenant_id and a.message_id = m.id and a.number = m.attempts),
      m.lease_until) < kernel.slow_clock()
    order by m.id for update skip locked);
  with lost as (
    update public.messages m set status = 'unknown', lease_until = null, error_code = 'worker_lost',
      error = 'The worker stopped before the provider''s answer was recorded.'
    where m.id = any(lapsed) and m.status = 'sending' and exists (select from public.attempts a
      where a.tenant_id = m.tenant_id and a.message_id = m.id and a.number = m.attempts)
    returning m.tenant_id, m.id, m.attempts
  ), noted as (
    update public.attempts a set outcome = 'unknown', code = 'worker_lost', finished_at = pg_catalog.clock_timestamp()
    from lost l where a.tenant_id = l.tenant_id and a.message_id = l.id and a.number = l.attempts and a.outcome is null
  )
  select pg_catalog.count(*) from lost into n;
  for team, unused in
    with back as (
      update public.messages m set status = 'queued', due_at = least(m.created_at, kernel.now()), lease_until = null
      where m.id = any(lapsed) and m.status = 'sending'
      returning m.tenant_id, m.id, m.attempts, m.connection_id, m.sender_id, m.action, m.window_hour, m.window_day
    )
    select b.tenant_id, pg_catalog.array_agg(row(b.id, null, null, null, null, null, null, null, b.attempts, b.connection_id, b.sender_id,
      b.action, b.window_hour, b.window_day, null)::private.settling) from back b group by b.tenant_id
  loop
    perform private.return_places(unused, team);
  end loop;
  -- Held back (paused, outside its window, limited) until the provider forgot the key: a person or a webhook must tell.
  update public.messages m set status = 'unknown', due_at = null, idempotency_expires_at = null, error_code = 'key_expired',
    error = 'The provider could not be asked again in time.'
  where m.status = 'queued' and m.idempotency_expires_at <= pg_catalog.clock_timestamp();
  return n;
end $$;

-- Unknown outcomes at a provider with idempotency keys: queued to be asked again under the same key, for as long as it remembers
-- the first call nobody knows the answer of. Its age is the larger of what the wall and the fast clock say: a clock set back makes
-- no key younger. Their places under the limits are given back; the claim takes new ones.
create or replace function private.ask_again(ids uuid[], remembered_seconds double precision) returns int
language plpgsql volatile set search_path = '' as $$
declare
  rows private.settling[];
begin
  with again as (
    update public.messages m set status = 'queued', due_at = kernel.now(), idempotency_expires_at = u.until
    from (select a.message_id, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => remembered_seconds)
            - max(greatest(pg_catalog.clock_timestamp() - a.started_at, kernel.fast_clock() - a.fast_at)) as until
          from public.attempts a where a.tenant_id = (select kernel.tenant()) and a.message_id = any(ids)
            and a.outcome = 'unknown' group by 1) u
    where m.tenant_id = (select kernel.tenant()) and m.id = u.message_id and m.status = 'unknown' and u.until > pg_catalog.clock_timestamp()
    returning m.id, m.sender_id, m.action, m.attempts, m.window_hour, m.window_day
  )
  select pg_catalog.array_agg(row(g.id, null, null, null, null, null, null, null, g.attempts, null, g.sender_id, g.action,
    g.window_hour, g.window_day, null)::private.settling) into rows from again g;
  if rows is null then return 0; end if;
  perform private.return_places(rows);
  return pg_catalog.cardinality(rows);
end $$;
grant execute on function private.ask_again(uuid[], double precision), private.return_places(private.settling[], uuid) to overture_worker;

-- Wake-ups. Run by schedules, across tenants; they only mark and enqueue.

-- Tenants with something due. Asked sender by sender, as the index is sorted: what is due later is not read.
create or replace function private.wake_sending() returns int
language sql volatile security definer set search_path = '' as $$
  select kernel.wake('messaging_send', array(
    select distinct s.tenant_id from public.senders s
    where coalesce((select true from public.messages m
      where m.tenant_id = s.tenant_id and m.sender_id = s.id and m.status = 'queued' and m.due_at <= kernel.now() limit 1), false)))
$$;

-- After a day only a webhook or a person can still tell. By the wall clock of the attempt: a date that was set back meanwhile ages nothing.
create or replace function private.wake_reconciling() returns int
language sql volatile security definer set search_path = '' as $$
  select kernel.wake('messaging_reconcile', array(
    select distinct m.tenant_id from public.messages m
    where m.status = 'unknown' and coalesce((select a.started_at > pg_catalog.clock_timestamp() - interval '1 day' from public.attempts a
      where a.tenant_id = m.tenant_id and a.message_id = m.id and a.number = m.attempts), false)))
$$;
