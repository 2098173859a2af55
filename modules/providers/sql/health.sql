-- Health of connections, and the circuit breaker: five failures in a row rest a connection for a minute; a broken one waits for a person,
-- and so does one that refuses everything: going on would spend the whole audience on one wrong setting. told:
-- [{"connection_id","ok","bad","rejected","broken","error"}]: calls of the current tenant since the last time.
create or replace function private.note_health(told jsonb) returns void
language plpgsql volatile security definer set search_path = '' set plan_cache_mode = force_generic_plan as $$
begin
  update public.connections c set
    sent = c.sent + g.ok, failed = c.failed + g.bad,
    consecutive_failures = case when g.ok > 0 then 0 else c.consecutive_failures + g.bad end,
    consecutive_rejections = case when g.ok > 0 then 0 else c.consecutive_rejections + g.rejected end,
    last_success_at = case when g.ok > 0 then (select kernel.now()) else c.last_success_at end,
    last_error = coalesce(g.error, c.last_error),
      last_error_at = case when g.error is not null then (select kernel.now()) else c.last_error_at end,
    status = case when g.broken or (g.ok = 0 and c.consecutive_rejections + g.rejected >= 50) then 'issue' else c.status end,
    circuit_open_until = case when g.ok = 0 and c.consecutive_failures + g.bad >= 5 then (select kernel.now()) + interval '1 minute' end
  from pg_catalog.jsonb_to_recordset(told) as g(connection_id uuid, ok int, bad int, rejected int, broken boolean, error text)
  where c.tenant_id = (select kernel.tenant()) and c.id = g.connection_id;
end $$;
grant execute on function private.note_health(jsonb) to overture_user, overture_worker;
