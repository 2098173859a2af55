-- An earlier answer for this key, or running = true while the first request holds its lock. The lock lasts for the transaction.
create or replace function kernel.idempotency_begin(scope text, key text)
returns table (running boolean, operation text, request_hash text, status int, response jsonb)
language plpgsql volatile security definer set search_path = '' as $$
begin
  if not pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('idempotency:' || scope || ':' || key, 0)) then
    return query select true, null::text, null::text, null::int, null::jsonb;
    return;
  end if;
  return query select false, i.operation, i.request_hash, i.status, i.response
    from kernel.idempotency i
    where i.scope = idempotency_begin.scope and i.key = idempotency_begin.key and i.created_at > pg_catalog.now() - interval '24 hours';
end $$;
grant execute on function kernel.idempotency_begin(text, text) to overture_user, overture_worker;

-- Keeps an answer in the transaction of its effect.
create or replace function kernel.idempotency_keep(scope text, key text, operation text, request_hash text, status int, response jsonb)
  returns void
language sql volatile security definer set search_path = '' as $$
  insert into kernel.idempotency as i (scope, key, operation, request_hash, status, response)
  values (scope, key, operation, request_hash, status, response)
  on conflict on constraint idempotency_pkey do update
    set operation = excluded.operation, request_hash = excluded.request_hash, status = excluded.status,
        response = excluded.response, created_at = pg_catalog.now()
$$;
grant execute on function kernel.idempotency_keep(text, text, text, text, integer, jsonb) to overture_user, overture_worker;
