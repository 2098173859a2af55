-- For each counted table one function per kind of statement and private.recount() for all rows, from one description: the columns
-- looked at, and what they count, over `changed` where sign is 1 for a row that came and -1 for one that went.
do $generate$
declare
  spec record;
  op record;
  body text;
  recount text := '';
begin
  for spec in
    select * from (values
      ('list_contacts', 'list_id', $$
        select c.tenant_id, 'list' as kind, c.list_id as ref, '' as key, sum(c.sign) as n from changed c group by 1, 3$$),
      ('contacts', 'tags', $$
        select c.tenant_id, 'tag' as kind, '00000000-0000-0000-0000-000000000000'::uuid as ref, t.tag as key, sum(c.sign) as n
        from (select d.tenant_id, d.tags, sum(d.sign) as sign from changed d group by 1, 2 having sum(d.sign) <> 0) c
        cross join lateral (select distinct x as tag from pg_catalog.unnest(c.tags) x) t group by 1, 4$$),
      ('enrollments', 'campaign_id, status', $$
        select c.tenant_id, 'people' as kind, c.campaign_id as ref, c.status as key, sum(c.sign) as n from changed c group by 1, 3, 4$$),
      ('messages', 'campaign_id, step_id, direction, status, sent_at, delivered_at, opened_at, clicked_at, replied_at, '
        'bounced_at, unsubscribed_at, complained_at', $$
        select s.tenant_id, 'step' as kind, s.campaign_id as ref, coalesce(s.step_id::text, '') || '/' || x.what as key, x.n
        from (
          select c.tenant_id, c.campaign_id, c.step_id,
            sum(c.sign) filter (where c.sent_at is not null) as sent, sum(c.sign) filter (where c.delivered_at is not null) as delivered,
            sum(c.sign) filter (where c.opened_at is not null) as opened, sum(c.sign) filter (where c.clicked_at is not null) as clicked,
            sum(c.sign) filter (where c.replied_at is not null) as replied, sum(c.sign) filter (where c.bounced_at is not null) as bounced,
            sum(c.sign) filter (where c.unsubscribed_at is not null) as unsubscribed,
              sum(c.sign) filter (where c.complained_at is not null) as complained,
            sum(c.sign) filter (where c.status = 'failed') as failed, sum(c.sign) filter (where c.status = 'unknown') as unknown,
            sum(c.sign) filter (where c.status in ('queued', 'held', 'sending')) as queued
          from changed c where c.direction = 'out' and c.campaign_id is not null group by 1, 2, 3
        ) s cross join lateral (values ('sent', s.sent), ('delivered', s.delivered), ('opened', s.opened), ('clicked', s.clicked),
          ('replied', s.replied),
          ('bounced', s.bounced), ('unsubscribed', s.unsubscribed), ('complained', s.complained), ('failed', s.failed),
            ('unknown', s.unknown),
          ('queued', s.queued)) x (what, n)
        union all
        select h.tenant_id, 'hour', h.campaign_id,
          h.what || '@' || extract(epoch from pg_catalog.date_trunc('hour', h.at, 'UTC'))::bigint, sum(h.sign)
        from (
          select c.tenant_id, c.campaign_id, c.sign, 'sent' as what, c.sent_at as at from changed c where c.direction = 'out'
          union all select c.tenant_id, c.campaign_id, c.sign, 'delivered', c.delivered_at from changed c where c.direction = 'out'
          union all select c.tenant_id, c.campaign_id, c.sign, 'opened', c.opened_at from changed c where c.direction = 'out'
          union all select c.tenant_id, c.campaign_id, c.sign, 'clicked', c.clicked_at from changed c where c.direction = 'out'
          union all select c.tenant_id, c.campaign_id, c.sign, 'replied', c.replied_at from changed c where c.direction = 'out'
          union all select c.tenant_id, c.campaign_id, c.sign, 'bounced', c.bounced_at from changed c where c.direction = 'out'
        ) h where h.campaign_id is not null and h.at >= (select kernel.now()) - interval '2 days' group by 1, 3, 4$$)
    ) as x (table_name, columns, counted)
  loop
    for op in
      select * from (values
        ('insert', 'referencing new table as came', 'select 1 as sign, r.tenant_id, %1$s from came r'),
        ('update', 'referencing old table as went new table as came',
          'select 1 as sign, r.tenant_id, %1$s from came r union all select -1, r.tenant_id, %1$s from went r'),
        ('delete', 'referencing old table as went', 'select -1 as sign, r.tenant_id, %1$s from went r')
      ) as x (name, referencing, rows)
    loop
      -- Definer: whoever may change the rows need not write counts. Of a tenant that is being deleted nothing is counted.
      execute format($f$
        create or replace function private.tally_%1$s_%2$s() returns trigger language plpgsql security definer set search_path = '' as $t$
        begin
          with changed as materialized (%3$s), counted as (%4$s)
          insert into public.tally_deltas (tenant_id, kind, ref, key, n)
          select x.tenant_id, x.kind, x.ref, x.key, x.n from counted x
          where x.n <> 0 and exists (select from public.tenants t where t.id = x.tenant_id);
          return null;
        end $t$$f$, spec.table_name, op.name, format(op.rows, 'r.' || replace(spec.columns, ', ', ', r.')), spec.counted);
      execute format('create or replace trigger tally_%2$s after %2$s on public.%1$I %3$s
        for each statement execute function private.tally_%1$s_%2$s()',
        spec.table_name, op.name, op.referencing);
    end loop;
    recount := recount || format($f$
      with changed as (select 1 as sign, r.tenant_id, %1$s from public.%2$I r where r.tenant_id = team), counted as (%3$s)
      insert into public.tallies (tenant_id, kind, ref, key, n) select x.tenant_id, x.kind, x.ref, x.key, x.n from counted x
        where x.n <> 0;$f$,
      'r.' || replace(spec.columns, ', ', ', r.'), spec.table_name, spec.counted);
  end loop;

  -- Counts a tenant's rows anew; writers wait meanwhile. For rows written with triggers off, and should a count ever be doubted.
  execute format($f$
    create or replace function private.recount(team uuid) returns void language plpgsql volatile set search_path = '' as $t$
    begin
      lock table public.messages, public.enrollments, public.contacts, public.list_contacts in share row exclusive mode;
      delete from public.tally_deltas d where d.tenant_id = team;
      delete from public.tallies a where a.tenant_id = team;
      %s
    end $t$$f$, recount);
end $generate$;

-- Moves deltas into the tallies, all in one statement. Run by a schedule. What another transaction holds is for the next run.
create or replace function private.fold_tallies() returns bigint
language sql volatile security definer set search_path = '' as $$
  with gone as (
    delete from public.tally_deltas d where d.ctid = any(array(select x.ctid from public.tally_deltas x for update skip locked))
      returning d.tenant_id, d.kind, d.ref, d.key, d.n
  ), folded as (
    insert into public.tallies as a (tenant_id, kind, ref, key, n)
    select g.tenant_id, g.kind, g.ref, g.key, pg_catalog.sum(g.n) from gone g group by 1, 2, 3, 4 having pg_catalog.sum(g.n) <> 0
    on conflict (tenant_id, kind, ref, key) do update set n = a.n + excluded.n
  )
  select pg_catalog.count(*) from gone
$$;

-- Forgets what counted down to nothing, hours nobody asks for any more, and campaigns that are gone. Run by a schedule.
create or replace function private.prune_tallies() returns bigint
language sql volatile security definer set search_path = '' as $$
  with gone as (
    delete from public.tallies a
    where a.n = 0
      or a.kind = 'hour' and pg_catalog.split_part(a.key, '@', 2)::bigint < extract(epoch from kernel.now() - interval '3 days')
      or a.kind in ('step', 'hour') and not exists (select from public.campaigns k where k.tenant_id = a.tenant_id and k.id = a.ref)
    returning 1
  )
  select pg_catalog.count(*) from gone
$$;

-- Counts of the current tenant, folded and not.
create or replace function private.tally(kinds text[], refs uuid[]) returns table (kind text, ref uuid, key text, n bigint)
language sql stable set search_path = '' as $$
  select t.kind, t.ref, t.key, pg_catalog.sum(t.n)::bigint from (
    select a.kind, a.ref, a.key, a.n from public.tallies a where a.tenant_id = kernel.tenant() and a.kind = any(kinds)
      and a.ref = any(refs)
    union all
    select d.kind, d.ref, d.key, d.n from public.tally_deltas d where d.tenant_id = kernel.tenant() and d.kind = any(kinds)
      and d.ref = any(refs)
  ) t group by 1, 2, 3 having pg_catalog.sum(t.n) <> 0
$$;
grant execute on function private.tally(text[], uuid[]) to overture_user, overture_worker;
