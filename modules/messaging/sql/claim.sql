-- The claim: takes due messages of the current tenant on one connection. Senders and connection usable, no guard stops it, limits left.
-- Reserves the places under the limits and sets the lease: from then on the messages are one worker's, which has called nobody with them
-- yet. Its tenant is a value unknown while planning, for the reason given in docs/concepts/tenancy.md. In plpgsql with a plan for all
-- values, which is made once: making it took longer than the claim.
create or replace function private.claim_messages(quantity int, lease_seconds int, only_connection uuid)
returns setof public.messages
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan as $$
begin
  return query with open_senders as materialized (
    select s.id, s.time_zone, array(
      -- Actions that nothing is left of: what waits for them must not stand before what may leave.
      select l.action from public.sender_limits l
      cross join (select kernel.now() as at offset 0) t
      left join public.sender_usage u on u.tenant_id = (select kernel.tenant()) and u.sender_id = l.sender_id and u.action = l.action
      where l.tenant_id = (select kernel.tenant()) and l.sender_id = s.id and l.cap <= case
        when l.per = 'hour' and u.hour = pg_catalog.date_trunc('hour', t.at) then u.hour_reserved
        when l.per = 'day' and u.day = (t.at at time zone s.time_zone)::date then u.day_reserved
        when l.per = 'week' and u.week = pg_catalog.date_trunc('week', t.at at time zone s.time_zone)::date then u.week_reserved
        else 0 end) as spent
    from public.senders s
    where s.tenant_id = (select kernel.tenant()) and s.connection_id = only_connection and s.status = 'active'
      and exists (select from public.connections c where c.tenant_id = (select kernel.tenant()) and c.id = only_connection
        and c.status = 'active'
        -- It rests for a minute: one that is to rest for longer does so by a date that was set back since.
        and (c.circuit_open_until is null or c.circuit_open_until <= kernel.now()
          or c.circuit_open_until > kernel.now() + interval '1 minute'))
  ), due_senders as materialized (
    -- As a value, not as exists, which the planner may turn into a join that reads whole tables.
    select s.id, s.spent, pg_catalog.count(*) over () as n from open_senders s
    where coalesce((select true from public.messages m
      where m.tenant_id = (select kernel.tenant()) and m.sender_id = s.id and m.status = 'queued' and m.due_at <= kernel.now()
        and m.connection_id = only_connection and m.action <> all(s.spent) limit 1), false)
  ), candidates as (
    -- The first due ones of each sender, in even shares. More than wanted, because other workers may hold some.
    select x.id from due_senders s cross join lateral (
      select m.id from public.messages m
      where m.tenant_id = (select kernel.tenant()) and m.sender_id = s.id and m.status = 'queued' and m.due_at <= kernel.now()
        and m.connection_id = only_connection and m.action <> all(s.spent)
      order by m.due_at, m.id limit pg_catalog.ceil(quantity * 4.0 / s.n)) x
  ), locked as materialized (
    -- skip locked: two workers never take the same message. The conditions are checked again on the locked row.
    -- An array, not a join: on a table that grew since its last analyze the planner would run the candidates once per row.
    select m.* from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.id = any(array(select c.id from candidates c)) and m.status = 'queued'
      -- Once the provider has forgotten the key, asking again would send again.
      and (m.idempotency_expires_at is null or m.idempotency_expires_at > pg_catalog.clock_timestamp())
    order by m.due_at, m.id limit quantity
    for update of m skip locked
  ), free as materialized (
    -- What no guard stops. Asked of the locked ones alone: a guard costs a few look-ups a message.
    select l.id, l.sender_id, l.action, l.due_at from locked l
    where not exists (select from private.guards(row(l.*)::public.messages))
  ), wanted as (
    select l.id, l.sender_id, l.action, pg_catalog.row_number() over (partition by l.sender_id, l.action order by l.due_at, l.id) as nth
      from free l
  ), asked as materialized (
    select a.sender_id, a.action, a.n, pg_catalog.date_trunc('hour', t.at) as hour, (t.at at time zone s.time_zone)::date as day,
      -- Null where the period has no limit, which least() passes over.
      pg_catalog.min(x.cap) filter (where x.per = 'hour') as per_hour, pg_catalog.min(x.cap) filter (where x.per = 'day') as per_day,
      pg_catalog.min(x.cap) filter (where x.per = 'week') as per_week
    from (select w.sender_id, w.action, pg_catalog.count(*)::int as n from wanted w group by 1, 2) a
    join open_senders s on s.id = a.sender_id
    cross join (select kernel.now() as at offset 0) t
    left join public.sender_limits x on x.tenant_id = (select kernel.tenant()) and x.sender_id = a.sender_id and x.action = a.action
    group by a.sender_id, a.action, a.n, s.time_zone, t.at
  ), reserved as (
    -- One row per sender and action: concurrent claims queue up on it, and each sees what the one before took. A window that is over
    -- begins again at zero.
    insert into public.sender_usage as u (tenant_id, sender_id, action, hour, hour_reserved, day, day_reserved, week, week_reserved,
      granted)
    select kernel.tenant(), a.sender_id, a.action, a.hour, g.n, a.day, g.n, pg_catalog.date_trunc('week', a.day)::date, g.n, g.n
    from asked a cross join lateral (select least(a.n, a.per_hour, a.per_day, a.per_week) as n) g
    order by a.sender_id, a.action
    on conflict (tenant_id, sender_id, action) do update
    set (hour, hour_reserved, day, day_reserved, week, week_reserved, granted) = (
      select excluded.hour, b.hour + g.n, excluded.day, b.day + g.n, excluded.week, b.week + g.n, g.n
      from asked a
      cross join lateral (select case when u.hour = excluded.hour then u.hour_reserved else 0 end as hour,
        case when u.day = excluded.day then u.day_reserved else 0 end as day,
          case when u.week = excluded.week then u.week_reserved else 0 end as week) b
      cross join lateral (select greatest(0, least(a.n, a.per_hour - b.hour, a.per_day - b.day, a.per_week - b.week)) as n) g
      where a.sender_id = u.sender_id and a.action = u.action)
    returning u.sender_id, u.action, u.granted as n
  ), taken as (
    update public.messages m set
      updated_at = (select kernel.now()), status = 'sending', due_at = null, attempts = m.attempts + 1,
      lease_until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_seconds),
      window_hour = a.hour, window_day = a.day
    from wanted w join reserved g on g.sender_id = w.sender_id and g.action = w.action
    join asked a on a.sender_id = w.sender_id and a.action = w.action
    where m.tenant_id = (select kernel.tenant()) and m.id = w.id and w.nth <= g.n
    returning m.*
  )
  select t.* from taken t order by t.id;
end $$;
grant execute on function private.claim_messages(int, int, uuid) to overture_worker;

-- Hands claimed messages over to calls that begin once this is committed: only what has an attempt may be called with. Returns those that
-- may: still held under this claim, by a lease that lasts so long yet, on a connection and by a sender that are still in use. The rows are
-- locked as the attempts' foreign key would lock them: against private.expire_leases and private.return_messages.
create or replace function private.hand_over(ids uuid[], claims int[], only_connection uuid, lease_left double precision) returns setof uuid
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan as $$
begin
  return query with held as materialized (
    select m.id, m.attempts, m.connection_id from public.messages m
    where m.tenant_id = (select kernel.tenant()) and m.id = any(ids) and m.status = 'sending'
      and m.lease_until > pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_left)
      and m.sender_id = any(array(select s.id from public.senders s
        join public.connections c on c.tenant_id = (select kernel.tenant()) and c.id = only_connection
        where s.tenant_id = (select kernel.tenant()) and s.connection_id = only_connection and s.status = 'active' and c.status = 'active'
          and (c.circuit_open_until is null or c.circuit_open_until <= kernel.now()
            or c.circuit_open_until > kernel.now() + interval '1 minute')))
    order by m.id for key share
  )
  insert into public.attempts (tenant_id, message_id, number, connection_id, slow_at, fast_at)
  select kernel.tenant(), h.id, h.attempts, h.connection_id, (select kernel.slow_clock()), (select kernel.fast_clock())
  from held h
  join rows from (pg_catalog.unnest(ids), pg_catalog.unnest(claims)) c (id, claim) on c.id = h.id and c.claim = h.attempts
  on conflict (tenant_id, message_id, number) do nothing
  returning message_id;
end $$;
grant execute on function private.hand_over(uuid[], int[], uuid, double precision) to overture_worker;

-- Takes a claim back: for a worker that knows that it called nobody with these messages. They are due again before those that are younger,
-- and nothing is left of the claim but its number, which no other claim gets: asked twice, it takes nobody else's back. Returns how many.
create or replace function private.return_messages(ids uuid[], claims int[]) returns int
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan as $$
declare
  rows private.settling[];
begin
  -- First the lock, then a statement that sees what a hand-over wrote that was under way.
  perform from public.messages m where m.tenant_id = (select kernel.tenant()) and m.id = any(ids) order by m.id for update;
  with back as (
    update public.messages m set updated_at = (select kernel.now()), status = 'queued', due_at = least(m.created_at, (select kernel.now())),
      lease_until = null
    where m.tenant_id = (select kernel.tenant()) and m.id = any(ids) and m.status = 'sending'
      and m.attempts = claims[pg_catalog.array_position(ids, m.id)]
    returning m.id, m.attempts as claim, m.connection_id, m.sender_id, m.action, m.window_hour, m.window_day
  ), undone as (
    delete from public.attempts a using back b where a.tenant_id = (select kernel.tenant()) and a.message_id = b.id and a.number = b.claim
  )
  select pg_catalog.array_agg(row(b.id, null, null, null, null, null, null, null, b.claim, b.connection_id, b.sender_id, b.action,
    b.window_hour, b.window_day, null)::private.settling) into rows from back b;
  if rows is null then return 0; end if;
  perform private.return_places(rows);
  return pg_catalog.cardinality(rows);
end $$;
grant execute on function private.return_messages(uuid[], int[]) to overture_worker;

-- Gives places under the limits back that were taken and not used. A window that is over has nothing to give back.
create or replace function private.return_places(rows private.settling[], team uuid default kernel.tenant())
returns void
language sql volatile set search_path = '' as $$
  update public.sender_usage u set
    hour_reserved = greatest(0, u.hour_reserved - g.in_hour),
    day_reserved = greatest(0, u.day_reserved - g.in_day),
    week_reserved = greatest(0, u.week_reserved - g.in_week)
  from (
    select x.sender_id, x.action, pg_catalog.count(*) filter (where s.window_hour = x.hour)::int as in_hour,
      pg_catalog.count(*) filter (where s.window_day = x.day)::int as in_day,
      pg_catalog.count(*) filter (where pg_catalog.date_trunc('week', s.window_day)::date = x.week)::int as in_week
    from pg_catalog.unnest(rows) s
    join public.sender_usage x on x.tenant_id = (select team) and x.sender_id = s.sender_id and x.action = s.action
    where s.window_day is not null
    group by x.sender_id, x.action
  ) g
  where u.tenant_id = (select team) and u.sender_id = g.sender_id and u.action = g.action
$$;
