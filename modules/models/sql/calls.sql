-- Notes a call that is about to be made, beside its entry in the ledger and in the same transaction.
-- call: {"id","run_id","contact_id","campaign_id","node","prompt_version","alias","route","provider","connection_id","model","is_repair"}
create or replace function private.begin_model_call(call jsonb) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  insert into public.model_calls (tenant_id, id, run_id, contact_id, campaign_id, node, prompt_version, alias, route, provider,
    connection_id, model, is_repair)
  select kernel.tenant(), c.id, c.run_id, c.contact_id, c.campaign_id, c.node, c.prompt_version, c.alias, c.route, c.provider,
    c.connection_id, c.model, c.is_repair
  from pg_catalog.jsonb_to_record(call) as c(id uuid, run_id uuid, contact_id uuid, campaign_id uuid, node text, prompt_version text,
    alias text, route text, provider text, connection_id uuid, model text, is_repair boolean);
end $$;
grant execute on function private.begin_model_call(jsonb) to overture_user, overture_worker;

-- Writes what became of a call, once: one that has an outcome stays as it is. Returns whether it was written.
-- told: {"id","outcome","tokens_in","tokens_cached","tokens_written","tokens_out","cost_micros","saved_micros","latency_ms","detail"}
create or replace function private.end_model_call(told jsonb) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
begin
  update public.model_calls m set outcome = t.outcome, tokens_in = t.tokens_in, tokens_cached = t.tokens_cached,
    tokens_written = t.tokens_written, tokens_out = t.tokens_out, cost_micros = t.cost_micros, saved_micros = t.saved_micros,
    latency_ms = t.latency_ms, detail = pg_catalog.left(coalesce(t.detail, ''), 300)
  from pg_catalog.jsonb_to_record(told) as t(id uuid, outcome text, tokens_in int, tokens_cached int, tokens_written int, tokens_out int,
    cost_micros bigint, saved_micros bigint, latency_ms int, detail text)
  where m.tenant_id = (select kernel.tenant()) and m.id = t.id and m.outcome is null;
  return found;
end $$;
grant execute on function private.end_model_call(jsonb) to overture_user, overture_worker;

-- Calls whose process died: what the ledger says of them, which counts what was reserved as spent.
create or replace function private.close_lost_model_calls() returns int
language sql volatile security definer set search_path = '' as $$
  with lost as (
    update public.model_calls m set outcome = 'lost', cost_micros = k.amount_micros
    from public.costs k
    where m.outcome is null and m.at < kernel.now() - interval '15 minutes' and k.tenant_id = m.tenant_id and k.id = m.id
      and k.state <> 'reserved' returning 1)
  select pg_catalog.count(*)::int from lost
$$;

-- Answers past their time, in portions.
create or replace function private.prune_model_cache(quantity int default 20000) returns int
language sql volatile security definer set search_path = '' as $$
  with gone as (
    delete from public.model_cache c where (c.tenant_id, c.key) in (
      select x.tenant_id, x.key from public.model_cache x where x.expires_at < kernel.now() order by x.expires_at limit quantity)
    returning 1)
  select pg_catalog.count(*)::int from gone
$$;
