-- How many more messages of an action each sender may be given now: what its limits leave of the running hour, day and week, less what
-- waits in its queue already. opens_at: when a limit that is used up begins anew, null while there is none. renews_at: the same for
-- limits whose last places are taken by what waits in the queue, null while there is room. Senders without limits have room without end.
-- Only senders that can send: active, on an active connection.
create or replace function private.sender_rooms(actions text[]) returns table (
  sender_id uuid, action text, room int, opens_at timestamptz, renews_at timestamptz)
language sql stable set search_path = '' as $$
  with rests as (
    select s.id as sender_id, a.action, l.per,
      l.cap - case
        when l.per = 'hour' and u.hour = w.hour then u.hour_reserved
        when l.per = 'day' and u.day = w.day then u.day_reserved
        when l.per = 'week' and u.week = w.week then u.week_reserved
        else 0 end as rest,
      case l.per when 'hour' then w.hour + interval '1 hour'
        when 'day' then (w.day + 1)::timestamp at time zone s.time_zone
        when 'week' then (w.week + 7)::timestamp at time zone s.time_zone end as renewed_at
    from pg_catalog.unnest(actions) a (action)
    join public.senders s on s.tenant_id = (select kernel.tenant()) and s.channel = pg_catalog.split_part(a.action, '.', 1)
      and s.status = 'active'
    join public.connections c on c.tenant_id = (select kernel.tenant()) and c.id = s.connection_id and c.status = 'active'
    cross join lateral (select pg_catalog.date_trunc('hour', t.at) as hour, (t.at at time zone s.time_zone)::date as day,
      pg_catalog.date_trunc('week', t.at at time zone s.time_zone)::date as week from (select kernel.now() as at offset 0) t) w
    left join public.sender_limits l on l.tenant_id = (select kernel.tenant()) and l.sender_id = s.id and l.action = a.action
    left join public.sender_usage u on u.tenant_id = (select kernel.tenant()) and u.sender_id = s.id and u.action = a.action
  ), bounds as (
    select r.sender_id, r.action, pg_catalog.min(r.rest) as rest,
      pg_catalog.max(r.renewed_at) filter (where r.rest <= 0) as opens_at
    from rests r group by 1, 2
  )
  -- Without a limit nothing is counted.
  select b.sender_id, b.action, case when b.rest is null then 1000000 else greatest(0, b.rest - q.n) end::int, b.opens_at,
    case when b.rest <= q.n then coalesce(b.opens_at, (
      select pg_catalog.max(r.renewed_at) from rests r where r.sender_id = b.sender_id and r.action = b.action and r.rest <= q.n)) end
  from bounds b cross join lateral (
    select pg_catalog.count(*) as n from (
      select from public.messages m
      where m.tenant_id = (select kernel.tenant()) and m.sender_id = b.sender_id and m.status = 'queued' and m.action = b.action
      limit greatest(0, b.rest)) x) q
$$;
grant execute on function private.sender_rooms(text[]) to overture_user, overture_worker;
