-- Facts: what happened, told from module to module.

-- Makes kernel.subscriptions hold exactly what is given: [{"fact","queue"}]. Idempotent.
create or replace function kernel.register_subscriptions(wanted jsonb) returns void
language sql volatile set search_path = '' as $$
  delete from kernel.subscriptions s
  where not exists (select from pg_catalog.jsonb_array_elements(wanted) w where w ->> 'fact' = s.fact and w ->> 'queue' = s.queue);
  insert into kernel.subscriptions (fact, queue)
  select w ->> 'fact', w ->> 'queue' from pg_catalog.jsonb_array_elements(wanted) w
  on conflict do nothing;
$$;

-- Tells every subscriber of a fact, in the caller's transaction: a queue message {"tenant_id","fact","items"} each, more for more
-- than 500 items. Does nothing where nobody subscribed. Schedules, which run in no tenant, name the one they speak of.
create or replace function kernel.emit(fact text, items jsonb, tenant uuid default kernel.tenant()) returns void
language plpgsql volatile security definer set search_path = '' as $$
declare
  most constant int := 500;
  subscriber text;
  messages jsonb[];
begin
  if pg_catalog.jsonb_typeof(items) is distinct from 'array' then
    raise exception 'the items of the fact % are no JSON array', fact using errcode = 'invalid_parameter_value';
  end if;
  if tenant is null then
    raise exception 'the fact % names no tenant and none is set', fact using errcode = 'invalid_parameter_value';
  end if;
  for subscriber in select s.queue from kernel.subscriptions s where s.fact = emit.fact order by s.queue loop
    messages := coalesce(messages, array(
      select pg_catalog.jsonb_build_object('tenant_id', tenant, 'fact', fact, 'items', pg_catalog.jsonb_agg(i.item order by i.n))
      from pg_catalog.jsonb_array_elements(items) with ordinality i (item, n)
      group by (i.n - 1) / most order by (i.n - 1) / most));
    perform kernel.enqueue(subscriber, messages);
  end loop;
end $$;
grant execute on function kernel.emit(text, jsonb, uuid) to overture_user, overture_worker;
