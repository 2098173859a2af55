-- Claims up to `quantity` due messages of the current tenant on one connection, in one statement: campaign running, enrollment alive,
-- address not suppressed, window open, sender and connection usable, daily cap left. Reserves the cap, writes the attempts (with both
-- clocks, read once for all), sets the lease. Whatever must not leave now stays queued; what never may (suppressed, stopped) is
-- cancelled by private.cancel_unsendable(). The tenant stands in a sub-select, as docs/concepts/tenancy.md explains.
create or replace function private.claim_messages(quantity int, lease_seconds int, only_connection uuid)
returns setof public.messages
language sql volatile set search_path = '' as $$
  with open_senders as materialized (
    select s.id, s.daily_cap, (kernel.now() at time zone s.time_zone)::date as day
    from public.senders s
    left join public.sender_usage u on u.tenant_id = s.tenant_id and u.sender_id = s.id
      and u.day = (kernel.now() at time zone s.time_zone)::date
    where s.tenant_id = (select kernel.tenant()) and s.connection_id = only_connection and s.status = 'active'
      and coalesce(u.reserved, 0) < s.daily_cap
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
      and not exists (select from public.suppressions x where x.tenant_id = m.tenant_id and x.channel = m.channel
        and x.address = m.to_email)
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
    set updated_at = (select kernel.now()), status = 'sending', attempts = m.attempts + 1,
      lease_until = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_seconds)
    from wanted w join reserved g on g.sender_id = w.sender_id
    where m.tenant_id = (select kernel.tenant()) and m.id = w.id and w.nth <= g.n
    returning m.*
  ), noted as (
    insert into public.attempts (tenant_id, message_id, number, connection_id, slow_at, fast_at, day)
    select t.tenant_id, t.id, t.attempts, t.connection_id, (select kernel.slow_clock()), (select kernel.fast_clock()), s.day
    from taken t join open_senders s on s.id = t.sender_id
  )
  select t.* from taken t order by t.due_at, t.id
$$;
grant execute on function private.claim_messages(integer, integer, uuid) to overture_worker;

-- Cancels queued messages that must never leave: the address was suppressed, or the sequence ended, after they were planned.
-- Of the due ones only the first of each open campaign: what the next claims would stumble over. A suppression and the end of a sequence
-- take back what they find, so that what stands here was planned in the same moment; reading all that waits would cost a team with a
-- million due messages a full read on every wake.
create or replace function private.cancel_unsendable() returns int
language sql volatile set search_path = '' as $$
  with first as materialized (
    select x.id from public.campaigns k cross join lateral (
      select m.id from public.messages m
      where m.tenant_id = (select kernel.tenant()) and m.campaign_id = k.id and m.status = 'queued' and m.due_at <= kernel.now()
      order by m.due_at, m.id limit 2000) x
    where k.tenant_id = (select kernel.tenant()) and k.status = 'running'
    union all
    (select m.id from public.messages m
      where m.tenant_id = (select kernel.tenant()) and m.campaign_id is null and m.status = 'queued' and m.due_at <= kernel.now()
      order by m.due_at, m.id limit 2000)
  ), bad as (
    select m.id, m.enrollment_id, x.address is not null as suppressed
    from public.messages m
    left join public.suppressions x on x.tenant_id = (select kernel.tenant()) and x.channel = m.channel and x.address = m.to_email
    left join public.enrollments e on e.tenant_id = (select kernel.tenant()) and e.id = m.enrollment_id
    where m.tenant_id = (select kernel.tenant()) and m.id = any(array(select f.id from first f)) and (m.status || '') = 'queued'
      and (x.address is not null or m.campaign_id is not null and e.status is distinct from 'sending')
    limit 2000 for update of m skip locked
  ), gone as (
    update public.messages m set status = 'cancelled', due_at = null,
      error = case when bad.suppressed then 'The address is suppressed.' else 'The sequence ended before it left.' end
    from bad where m.tenant_id = (select kernel.tenant()) and m.id = bad.id
  ), ended as (
    update public.enrollments e set status = 'suppressed', reason = 'The address is suppressed.', next_at = null,
      finished_at = kernel.now()
    from bad where bad.suppressed and e.tenant_id = (select kernel.tenant()) and e.id = bad.enrollment_id and e.status in ('waiting',
      'sending', 'blocked')
  )
  select pg_catalog.count(*)::int from bad
$$;
grant execute on function private.cancel_unsendable() to overture_worker;
