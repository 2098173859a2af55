-- An earlier answer for this key, or running = true while the first request holds its lock or its lease. The lock lasts for
-- the transaction.
create or replace function kernel.idempotency_begin(scope text, key text)
returns table (running boolean, operation text, request_hash text, status int, response jsonb)
language plpgsql volatile security definer set search_path = '' as $$
begin
  if not pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('idempotency:' || scope || ':' || key, 0)) then
    return query select true, null::text, null::text, null::int, null::jsonb;
    return;
  end if;
  return query select i.status is null, i.operation, i.request_hash, i.status, i.response
    from kernel.idempotency i
    where i.scope = idempotency_begin.scope and i.key = idempotency_begin.key
      and case when i.status is null then i.lease_until > pg_catalog.now() else i.created_at > pg_catalog.now() - interval '24 hours' end;
end $$;
grant execute on function kernel.idempotency_begin(text, text) to overture_user, overture_worker;



create or replace function kernel.idempotency_keep(scope text, key text, operation text, request_hash text, status int,
  response jsonb) returns void
language sql volatile security definer set search_path = '' as $$
  insert into kernel.idempotency as i (scope, key, operation, request_hash, status, response)
  values (scope, key, operation, request_hash, status, response)
  on conflict on constraint idempotency_pkey do update
    set operation = excluded.operation, request_hash = excluded.request_hash, status = excluded.status,
        response = excluded.response, lease_until = null, attempt = i.attempt + 1, created_at = pg_catalog.now()
$$;
grant execute on function kernel.idempotency_keep(text, text, text, text, int, jsonb) to overture_user, overture_worker;

-- For acts of several transactions: what idempotency_begin says, or, for a free key, a lease on it and the number of this attempt.
create or replace function kernel.idempotency_claim(scope text, key text, for_operation text, for_hash text, lease_seconds int)
returns table (running boolean, operation text, request_hash text, status int, response jsonb, attempt int)
language plpgsql volatile security definer set search_path = '' as $$
begin
  return query select b.running, b.operation, b.request_hash, b.status, b.response, null::int
    from kernel.idempotency_begin(idempotency_claim.scope, idempotency_claim.key) b;
  if found then
    return;
  end if;
  return query insert into kernel.idempotency as i (scope, key, operation, request_hash, lease_until)
    values (idempotency_claim.scope, idempotency_claim.key, for_operation, for_hash,
      pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_seconds))
    on conflict on constraint idempotency_pkey do update
      set operation = excluded.operation, request_hash = excluded.request_hash, status = null, response = null,
          lease_until = excluded.lease_until, attempt = i.attempt + 1, created_at = pg_catalog.now()
    returning false, null::text, null::text, null::int, null::jsonb, i.attempt;
end $$;
grant execute on function kernel.idempotency_claim(text, text, text, text, int) to overture_user, overture_worker;

-- Ends an attempt: with its answer, or (final_status null) by giving the key back. False when another attempt has the key now.
create or replace function kernel.idempotency_settle(scope text, key text, of_attempt int, final_status int, answer jsonb) returns boolean
language sql volatile security definer set search_path = '' as $$
  update kernel.idempotency i
  set status = final_status, response = answer, created_at = pg_catalog.now(),
      lease_until = case when final_status is null then pg_catalog.now() end
  where i.scope = idempotency_settle.scope and i.key = idempotency_settle.key and i.attempt = of_attempt and i.status is null
  returning true
$$;
grant execute on function kernel.idempotency_settle(text, text, int, int, jsonb) to overture_user, overture_worker;
