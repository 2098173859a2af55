-- Sending windows: when messages of a campaign may leave. settings: {"time_zone","window":{"days","start","end"} |
-- null,"skip_dates":["2026-12-25"]}. Days are ISO (1 = Monday).

-- Asked for every message before it leaves: one expression without settings of its own, so that the planner writes it into its statements.
-- It does so only where `at` is a column or a constant, not a call.
create or replace function private.in_window(settings jsonb, at timestamptz) returns boolean
language sql stable as $$
  select not coalesce(settings -> 'skip_dates' ? ((at at time zone coalesce(settings ->> 'time_zone', 'UTC'))::date)::text, false)
    and (settings -> 'window' is null or settings -> 'window' = 'null'::jsonb or (
      settings -> 'window' -> 'days' @> pg_catalog.to_jsonb(extract(isodow from at at time zone coalesce(settings ->> 'time_zone',
        'UTC'))::int)
      and (at at time zone coalesce(settings ->> 'time_zone', 'UTC'))::time >= (settings -> 'window' ->> 'start')::time
      and (at at time zone coalesce(settings ->> 'time_zone', 'UTC'))::time < (settings -> 'window' ->> 'end')::time))
$$;

-- When the window opens next, at or after a moment: that moment itself while it is open, null when no day of the next two months has one
-- besides those that are left out.
-- Days are counted on the calendar of the time zone, so that a change of its clock moves no opening.
create or replace function private.next_opening(settings jsonb, after timestamptz) returns timestamptz
language sql stable set search_path = '' as $$
  select case when private.in_window(settings, after) then after else (
    select pg_catalog.min(o.opens) from (
      select (d.day + coalesce((nullif(settings -> 'window', 'null'::jsonb) ->> 'start')::time, time '00:00'))
        at time zone coalesce(settings ->> 'time_zone', 'UTC') as opens
      from (select (after at time zone coalesce(settings ->> 'time_zone', 'UTC'))::date + n as day from pg_catalog.generate_series(0,
        62 + coalesce(pg_catalog.jsonb_array_length(settings -> 'skip_dates'), 0)) n) d
      where not coalesce(settings -> 'skip_dates' ? d.day::text, false)
        and (nullif(settings -> 'window', 'null'::jsonb) is null
          or settings -> 'window' -> 'days' @> pg_catalog.to_jsonb(extract(isodow from d.day)::int))
    ) o where o.opens >= after) end
$$;
grant execute on function private.in_window(jsonb, timestamptz), private.next_opening(jsonb, timestamptz) to overture_user, overture_worker;
