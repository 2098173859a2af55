-- messaging: leases and providers' memories go by the clocks that no date set by hand moves.
-- owner: modules/messaging   breaking: no   locks: none

-- A lease that ran out: the worker died between the call and the record, so nobody knows. Never sent again blindly.
-- Counted by the slow clock from the claim: an hour that somebody sets the wall clock forward is not an hour of silence.
create or replace function private.expire_leases() returns int
language sql volatile security definer set search_path = '' as $$
  with lost as (
    update public.messages m set status = 'unknown', lease_until = null, error_code = 'worker_lost', error = 'The worker stopped before the provider''s answer was recorded.'
    where m.status = 'sending' and coalesce(
      (select a.slow_at + (m.lease_until - a.started_at) from public.attempts a where a.tenant_id = m.tenant_id and a.message_id = m.id and a.number = m.attempts),
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
          from again x join public.attempts a on a.tenant_id = kernel.tenant() and a.message_id = x.id and a.number = x.attempts group by 1, 2) g
    where u.tenant_id = kernel.tenant() and u.sender_id = g.sender_id and u.day = g.day
  )
  select pg_catalog.count(*)::int from again
$$;

-- The claim notes both clocks, once for all that it takes. Its tenant is a value unknown while planning, for the reason given with the
-- settlement.
create or replace function private.claim_messages(quantity int, lease_seconds int, only_connection uuid)
returns setof public.messages
language sql volatile set search_path = '' as $$
  with open_senders as materialized (
    select s.id, s.daily_cap, (kernel.now() at time zone s.time_zone)::date as day
    from public.senders s
    left join public.sender_usage u on u.tenant_id = s.tenant_id and u.sender_id = s.id and u.day = (kernel.now() at time zone s.time_zone)::date
    where s.tenant_id = (select kernel.tenant()) and s.connection_id = only_connection and s.status = 'active' and coalesce(u.reserved, 0) < s.daily_cap
      and exists (select from public.connections c where c.tenant_id = s.tenant_id and c.id = s.connection_id and c.status = 'active'
        and (c.open_until is null or c.open_until <= kernel.now()))
  ), open_campaigns as materialized (
    -- Null stands for messages outside any campaign.
    select k.id from public.campaigns k
    where k.tenant_id = (select kernel.tenant()) and k.status = 'running' and private.in_window(k.settings, kernel.now())
  ), candidates as (
    -- The first due ones of each open campaign, so that the queue of a paused one is never read through.
    -- More than wanted, because other workers may hold some.
    select x.id from open_campaigns k cross join lateral (
      select m.id, m.due_at from public.messages m
      where m.tenant_id = (select kernel.tenant()) and m.campaign_id = k.id and m.status = 'queued' and m.due_at <= kernel.now()
        and m.sender_id in (select s.id from open_senders s) and m.connection_id = only_connection
      order by m.due_at, m.id limit quantity * 4) x
    union all
    (select m.id from public.messages m
      where m.tenant_id = (select kernel.tenant()) and m.campaign_id is null and m.status = 'queued' and m.due_at <= kernel.now()
        and m.sender_id in (select s.id from open_senders s) and m.connection_id = only_connection
      order by m.due_at, m.id limit quantity * 4)
  ), locked as materialized (
    -- skip locked: two workers never take the same message. The conditions are checked again on the locked row.
    -- An array, not a join: on a table that grew since its last analyze the planner would run the candidates once per row.
    select m.id, m.sender_id, m.due_at from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.id = any(array(select c.id from candidates c)) and m.status = 'queued'
      -- A campaign's message whose enrollment is gone (its contact was deleted) has nobody to go to.
      and (m.enrollment_id is null and m.campaign_id is null
        or exists (select from public.enrollments e where e.tenant_id = m.tenant_id and e.id = m.enrollment_id and e.status = 'sending'))
      and not exists (select from public.suppressions x where x.tenant_id = m.tenant_id and x.channel = m.channel and x.address = m.to_email)
      -- Once the provider has forgotten the key, asking again would send again.
      and (m.ask_until is null or m.ask_until > pg_catalog.clock_timestamp())
    order by m.due_at, m.id limit quantity
    for update of m skip locked
  ), wanted as (
    select l.id, l.sender_id, s.day, s.daily_cap, pg_catalog.row_number() over (partition by l.sender_id order by l.due_at, l.id) as nth
    from locked l join open_senders s on s.id = l.sender_id
  ), asked as (
    select w.sender_id, w.day, w.daily_cap, pg_catalog.count(*)::int as n from wanted w group by 1, 2, 3
  ), reserved as (
    -- One row per sender and day: concurrent claims queue up on it, and each sees what the one before took.
    insert into public.sender_usage as u (tenant_id, sender_id, day, reserved, granted)
    select kernel.tenant(), a.sender_id, a.day, least(a.n, a.daily_cap), least(a.n, a.daily_cap)
    from asked a where a.daily_cap > 0 order by a.sender_id
    on conflict (tenant_id, sender_id, day) do update set
      granted = greatest(0, least((select a.n from asked a where a.sender_id = u.sender_id),
                                  (select a.daily_cap from asked a where a.sender_id = u.sender_id) - u.reserved)),
      reserved = u.reserved + greatest(0, least((select a.n from asked a where a.sender_id = u.sender_id),
                                                (select a.daily_cap from asked a where a.sender_id = u.sender_id) - u.reserved))
    returning u.sender_id, u.granted as n
  ), taken as (
    update public.messages m
    set updated_at = (select kernel.now()), status = 'sending', attempts = m.attempts + 1, lease_until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_seconds)
    from wanted w join reserved g on g.sender_id = w.sender_id
    where m.tenant_id = (select kernel.tenant()) and m.id = w.id and w.nth <= g.n
    returning m.*
  ), noted as (
    insert into public.attempts (tenant_id, message_id, number, connection_id, slow_at, fast_at, day)
    select t.tenant_id, t.id, t.attempts, t.connection_id, (select kernel.slow_clock()), (select kernel.fast_clock()), s.day from taken t join open_senders s on s.id = t.sender_id
  )
  select t.* from taken t order by t.due_at, t.id
$$;
