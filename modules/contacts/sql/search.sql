-- One probe as a condition over contacts c of tenant $1. Values are quoted literals, so that each plan sees them: a rare word
-- wants the index, a common one does not. See private.find_contacts for the probes.
create or replace function private.probe_condition(p jsonb) returns text
language plpgsql stable set search_path = '' as $$
begin
  if p ? 'like' then
    -- One LIKE per pattern: `like all (array)` cannot use the index.
    return (select pg_catalog.string_agg(pg_catalog.format('c.search_text like %L', kernel.fold(x)), ' and ')
      from pg_catalog.jsonb_array_elements_text(p -> 'like') x);
  elsif p ? 'tags' then
    return pg_catalog.format('c.tags && %L::text[]', array(select pg_catalog.jsonb_array_elements_text(p -> 'tags'))::text);
  elsif p ? 'custom' then
    return pg_catalog.format('lower(c.custom::text)::jsonb @> %L::jsonb', lower((p -> 'custom')::text));
  elsif p ? 'company_like' then
    return pg_catalog.format(
      'c.company_id = any(array(select o.id from public.companies o where o.tenant_id = $1 and kernel.fold(o.name) like %L))',
      kernel.fold(p ->> 'company_like'));
  end if;
  raise exception 'unknown probe: %', p using errcode = 'invalid_parameter_value';
end $$;

create or replace function private.probe_conditions(probes jsonb) returns text
language sql stable set search_path = '' as $$
  select pg_catalog.string_agg(private.probe_condition(e), ' and ') from pg_catalog.jsonb_array_elements(probes) e
$$;

-- The tenant as a condition over contacts c. A tenant that has nearly all rows is checked on the rows found: its own entries
-- in a GIN index are as many as its people, and reading them beside the word's costs more than everything else.
create or replace function private.probed_tenant() returns text
language plpgsql stable set search_path = '' as $$
declare
  share real;
begin
  select p.most_common_freqs[pg_catalog.array_position(p.most_common_vals::text::text[], kernel.tenant()::text)] into share
  from pg_catalog.pg_stats p where p.schemaname = 'public' and p.tablename = 'contacts' and p.attname = 'tenant_id';
  return case when share > 0.8 then 'c.tenant_id::text = $1::text' else 'c.tenant_id = $1' end;
end $$;

-- Ids of the contacts that meet one indexed condition, or null when there are more than `most`: then the condition is
-- better checked while walking the list's own order. Definer, because LIKE, @> and && are not leakproof, so under
-- row-level security their GIN indexes are out of reach. It names the tenant itself, and callers still read under policies.
-- probes: [{"n":0,"like":["%ada%"]} | {"n":1,"tags":["vip"]} | {"n":2,"custom":{"plan":"pro"}} | {"n":3,"company_like":"%acme%"}]
create or replace function private.probe_contacts(probes jsonb, most int) returns table (n int, ids uuid[])
language plpgsql stable security definer set search_path = '' as $$
declare
  p jsonb;
  found uuid[];
begin
  for p in select e from pg_catalog.jsonb_array_elements(probes) e loop
    execute 'select array(select c.id from public.contacts c where ' || private.probed_tenant() || ' and ' || private.probe_condition(p)
      || ' limit $2)'
      into found using kernel.tenant(), most + 1;
    n := (p ->> 'n')::int;
    ids := case when pg_catalog.cardinality(found) <= most then found end;
    return next;
  end loop;
end $$;
grant execute on function private.probe_contacts(jsonb, integer) to overture_user, overture_worker;

-- The first `most` contacts that meet all probes, in a list's order after a row of it, found through the index and sorted.
-- Definer for the reason of private.probe_contacts; callers still read what it names under policies.
-- probes: [{"like":["%ada%"]}, {"tags":["vip"]}, {"custom":{"plan":"pro"}}, {"company_like":"%acme%"}]
create or replace function private.find_contacts(probes jsonb, sort text, descending boolean, after_key text, after_id uuid, most int)
  returns uuid[]
language plpgsql stable security definer set search_path = '' as $$
declare
  way text := case when descending then 'desc' else 'asc' end;
  found uuid[];
begin
  if sort not in ('created_at', 'email_sort', 'last_name_sort') then
    raise exception 'contacts are not listed by %', sort using errcode = 'invalid_parameter_value';
  end if;
  -- Materialized: all matches first, then their order. The order's own index was tried already and ran dry.
  execute pg_catalog.format(
      'with matching as materialized (select c.id, c.%1$I as key from public.contacts c where %5$s and %2$s)
       select array(select m.id from matching m %3$s order by m.key %4$s, m.id %4$s limit $4)',
      sort, private.probe_conditions(probes),
      case when after_id is not null then
        pg_catalog.format('where (m.key, m.id) %s ($2::%s, $3)', case when descending then '<' else '>' end,
          case sort when 'created_at' then 'timestamptz' else 'text' end)
      else '' end, way, private.probed_tenant())
    into found using kernel.tenant(), after_key, after_id, most;
  return found;
end $$;
grant execute on function private.find_contacts(jsonb, text, boolean, text, uuid, integer) to overture_user, overture_worker;

-- How many contacts meet all probes, `most` at most.
create or replace function private.count_contacts(probes jsonb, most int) returns int
language plpgsql stable security definer set search_path = '' as $$
declare
  n int;
begin
  execute 'select count(*)::int from (select from public.contacts c where ' || private.probed_tenant() || ' and '
    || private.probe_conditions(probes) || ' limit $2) x'
    into n using kernel.tenant(), most;
  return n;
end $$;
grant execute on function private.count_contacts(jsonb, integer) to overture_user, overture_worker;

-- The first `most` companies by name after a row of that order whose name is like a pattern or who have this domain.
create or replace function private.find_companies(pattern text, with_domain text, after_name text, after_id uuid, most int) returns uuid[]
language plpgsql stable security definer set search_path = '' as $$
declare
  found uuid[];
begin
  -- Planned with the pattern in sight.
  execute pg_catalog.format(
      'with matching as materialized (
         select o.id, o.name_sort from public.companies o where o.tenant_id = $1 and kernel.fold(o.name) like %L
         union select o.id, o.name_sort from public.companies o where o.tenant_id = $1 and o.domain = $2)
       select array(select m.id from matching m where $4 is null or (m.name_sort, m.id) > ($3, $4) order by m.name_sort,
         m.id limit $5)', kernel.fold(pattern))
    into found using kernel.tenant(), lower(with_domain), after_name, after_id, most;
  return found;
end $$;
grant execute on function private.find_companies(text, text, text, uuid, integer) to overture_user, overture_worker;

-- About how many contacts a team has, without counting a million rows: exact up to ten thousand; above, the team's share of the table
-- as of its last analysis. A team that has no share of its own there gets a lower bound: the table's size would tell of other teams.
create or replace function private.estimate_contacts() returns bigint
language plpgsql stable security definer set search_path = '' as $$
declare
  n bigint;
begin
  select pg_catalog.count(*) into n from (select from public.contacts c where c.tenant_id = kernel.tenant() order by c.id limit 10001) x;
  if n <= 10000 then return n; end if;
  return greatest(n, (select (r.reltuples * f.freq)::bigint
    from pg_catalog.pg_class r, pg_catalog.pg_stats p,
      lateral (select pg_catalog.unnest(p.most_common_vals::text::text[]) as v, pg_catalog.unnest(p.most_common_freqs) as freq) f
    where r.oid = 'public.contacts'::regclass and p.schemaname = 'public' and p.tablename = 'contacts' and p.attname = 'tenant_id'
      and f.v = kernel.tenant()::text));
end $$;
grant execute on function private.estimate_contacts() to overture_user, overture_worker;
