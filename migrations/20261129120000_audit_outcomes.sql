-- audit_outcomes: an audit row knows how its act ended, and an Idempotency-Key can be held by an act of several transactions.
-- owner: modules/kernel   breaking: no   locks: a moment on audit_log and kernel.idempotency (columns with constant defaults)

-- Audit: an act that calls the outside is written down before it does, and completed afterwards. ----------------------------

alter table public.audit_log
  add column state text not null default 'ok' check (state in ('started', 'ok', 'failed')),
  add column error_code text,
  add column finished_at timestamptz,
  add constraint audit_log_error_code check ((state = 'failed') = (error_code is not null)),
  add constraint audit_log_finished_at check (state <> 'started' or finished_at is null);
comment on table public.audit_log is
  'Who did what. Nobody has update or delete; kernel.audit_settle alone adds the outcome to a started row, once.';
comment on column public.audit_log.state is
  'ok: it happened. started: it began and its end was not recorded (yet). failed: it ended with error_code.';
comment on column public.audit_log.finished_at is 'When a started act ended; null for acts of a single transaction, which ended at `at`.';

-- Adds to a started act of the current tenant: more detail, and its outcome unless new_state is still 'started'.
create function kernel.audit_settle(act uuid, new_state text, new_error_code text, more jsonb) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  update public.audit_log a
  set state = new_state, error_code = new_error_code, detail = a.detail || more,
      finished_at = case when new_state <> 'started' then kernel.now() end
  where a.tenant_id = (select kernel.tenant()) and a.id = act and a.state = 'started';
  if not found then
    raise exception 'audit row % is not a started act of this tenant', act;
  end if;
end $$;

-- Idempotency: a key is held either by the lock of one transaction, or by a lease between several. ---------------------------

alter table kernel.idempotency
  alter column status drop not null,
  add column lease_until timestamptz,
  add column attempt int not null default 1,
  add constraint idempotency_running check ((status is null) = (lease_until is not null));
comment on table kernel.idempotency is
  'Answers by Idempotency-Key, kept 24 hours. Without a status the first request still runs, at most until lease_until.';
comment on column kernel.idempotency.attempt is 'Counts who took the key over after a lease ended, so that a late answer of an earlier one is not kept.';

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

create or replace function kernel.idempotency_keep(scope text, key text, operation text, request_hash text, status int, response jsonb) returns void
language sql volatile security definer set search_path = '' as $$
  insert into kernel.idempotency as i (scope, key, operation, request_hash, status, response)
  values (scope, key, operation, request_hash, status, response)
  on conflict on constraint idempotency_pkey do update
    set operation = excluded.operation, request_hash = excluded.request_hash, status = excluded.status,
        response = excluded.response, lease_until = null, attempt = i.attempt + 1, created_at = pg_catalog.now()
$$;

-- For acts of several transactions: what idempotency_begin says, or, for a free key, a lease on it and the number of this attempt.
create function kernel.idempotency_claim(scope text, key text, for_operation text, for_hash text, lease_seconds int)
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

-- Ends an attempt: with its answer, or (final_status null) by giving the key back. False when another attempt has the key now.
create function kernel.idempotency_settle(scope text, key text, of_attempt int, final_status int, answer jsonb) returns boolean
language sql volatile security definer set search_path = '' as $$
  update kernel.idempotency i
  set status = final_status, response = answer, created_at = pg_catalog.now(),
      lease_until = case when final_status is null then pg_catalog.now() end
  where i.scope = idempotency_settle.scope and i.key = idempotency_settle.key and i.attempt = of_attempt and i.status is null
  returning true
$$;

revoke all on function
  kernel.audit_settle(uuid, text, text, jsonb), kernel.idempotency_claim(text, text, text, text, int),
  kernel.idempotency_settle(text, text, int, int, jsonb) from public;
grant execute on function
  kernel.audit_settle(uuid, text, text, jsonb), kernel.idempotency_claim(text, text, text, text, int),
  kernel.idempotency_settle(text, text, int, int, jsonb) to overture_user, overture_worker;
