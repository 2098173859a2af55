-- Whether a moment lies in a campaign's sending window, and if not, when it next does. Days are ISO (1 = Monday).
create or replace function private.in_window(settings jsonb, at timestamptz) returns boolean
language sql stable set search_path = '' as $$
  select settings -> 'window' is null or settings -> 'window' = 'null'::jsonb or (
    settings -> 'window' -> 'days' @> pg_catalog.to_jsonb(extract(isodow from local.t)::int)
    and local.t::time >= (settings -> 'window' ->> 'start')::time
    and local.t::time < (settings -> 'window' ->> 'end')::time)
  from (select at at time zone coalesce(settings ->> 'time_zone', 'UTC') as t) local
$$;
grant execute on function private.in_window(jsonb, timestamp with time zone) to overture_user, overture_worker;

-- Running campaigns in which nobody waits any more and no audience is being taken in. Locked first, then looked at again:
-- whoever adds people meanwhile holds the campaign's row, and what they added is seen by the second statement.
create or replace function private.finish_campaigns() returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  over uuid[];
  n int;
begin
  over := array(
    select k.id from public.campaigns k
    where k.status = 'running' and k.enrolling = 0
      and not exists (select from public.enrollments e where e.tenant_id = k.tenant_id and e.campaign_id = k.id
        and e.status in ('waiting', 'sending', 'blocked'))
    for update of k skip locked);
  update public.campaigns k set status = 'done', finished_at = kernel.now()
  where k.status = 'running' and k.id = any(over) and k.enrolling = 0
    and not exists (select from public.enrollments e where e.tenant_id = k.tenant_id and e.campaign_id = k.id
      and e.status in ('waiting', 'sending', 'blocked'));
  get diagnostics n = row_count;
  return n;
end $$;
