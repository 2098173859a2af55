-- Unknown outcomes at a provider with idempotency keys: queued to be asked again under the same key, for as long as it remembers
-- the first call nobody knows the answer of. Its age is the larger of what the wall and the fast clock say: a clock set back makes
-- no key younger. Their places in the day are given back; the claim takes new ones.
create or replace function private.ask_again(ids uuid[], remembered_seconds double precision) returns int
language sql volatile set search_path = '' as $$
  with again as (
    update public.messages m set status = 'queued', due_at = kernel.now(), ask_until = u.until
    from (select a.message_id, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => remembered_seconds)
            - max(greatest(pg_catalog.clock_timestamp() - a.started_at, kernel.fast_clock() - a.fast_at)) as until
          from public.attempts a where a.tenant_id = kernel.tenant() and a.message_id = any(ids) and a.outcome = 'unknown' group by 1) u
    where m.tenant_id = kernel.tenant() and m.id = u.message_id and m.status = 'unknown' and u.until > pg_catalog.clock_timestamp()
    returning m.id, m.sender_id, m.attempts
  ), places as (
    update public.sender_usage u set reserved = greatest(0, u.reserved - g.n)
    from (select x.sender_id, a.day, pg_catalog.count(*)::int as n
          from again x join public.attempts a on a.tenant_id = kernel.tenant() and a.message_id = x.id and a.number = x.attempts
            group by 1, 2) g
    where u.tenant_id = kernel.tenant() and u.sender_id = g.sender_id and u.day = g.day
  )
  select pg_catalog.count(*)::int from again
$$;
grant execute on function private.ask_again(uuid[], double precision) to overture_worker;

-- A lease that ran out: the worker died between the call and the record, so nobody knows. Never sent again blindly.
-- Counted by the slow clock from the claim: an hour that somebody sets the wall clock forward is not an hour of silence.
create or replace function private.expire_leases() returns int
language sql volatile security definer set search_path = '' as $$
  with lost as (
    update public.messages m set status = 'unknown', lease_until = null, error_code = 'worker_lost',
      error = 'The worker stopped before the provider''s answer was recorded.'
    where m.status = 'sending' and coalesce(
      (select a.slow_at + (m.lease_until - a.started_at) from public.attempts a where a.tenant_id = m.tenant_id and a.message_id = m.id
        and a.number = m.attempts),
      m.lease_until) < kernel.slow_clock()
    returning m.tenant_id, m.id, m.attempts
  ), noted as (
    update public.attempts a set outcome = 'unknown', code = 'worker_lost', finished_at = pg_catalog.clock_timestamp()
    from lost l where a.tenant_id = l.tenant_id and a.message_id = l.id and a.number = l.attempts and a.outcome is null
  ), forgotten as (
    -- Held back (paused, outside its window, capped) until the provider forgot the key: a person or a webhook must tell.
    update public.messages m set status = 'unknown', due_at = null, ask_until = null, error_code = 'key_expired',
      error = 'The provider could not be asked again in time.'
    where m.status = 'queued' and m.ask_until <= pg_catalog.clock_timestamp()
  )
  select pg_catalog.count(*)::int from lost
$$;
