-- Keeps findings, each once per subject: one that is known is only seen again. Returns how many are new.
-- told: [{"contact_id","company_id","kind","statement","quote","url","data","confidence","provider","published_at","run_id",
-- "key"}], the key in hexadecimal
create or replace function private.keep_findings(told jsonb) returns int
language plpgsql volatile set search_path = '' as $$
declare
  n int;
begin
  with given as (
    select distinct on (f.contact_id, f.company_id, f.key) f.*
    from pg_catalog.jsonb_to_recordset(told) as f(contact_id uuid, company_id uuid, kind text, statement text, quote text, url text,
      data jsonb, confidence int, provider text, published_at timestamptz, run_id uuid, key text)
    order by f.contact_id, f.company_id, f.key
  ), known as (
    update public.findings x set seen_at = kernel.now(), published_at = coalesce(x.published_at, g.published_at)
    from given g
    where x.tenant_id = (select kernel.tenant()) and x.key = pg_catalog.decode(g.key, 'hex')
      and (x.contact_id = g.contact_id or x.company_id = g.company_id)
    returning x.contact_id, x.company_id, x.key
  ), added as (
    insert into public.findings (tenant_id, contact_id, company_id, kind, statement, quote, url, data, confidence, provider,
      published_at, run_id, key)
    select kernel.tenant(), g.contact_id, g.company_id, g.kind, g.statement, g.quote, g.url, g.data, g.confidence, g.provider,
      g.published_at, g.run_id, pg_catalog.decode(g.key, 'hex')
    from given g
    where not exists (select from known k where k.key = pg_catalog.decode(g.key, 'hex')
      and (k.contact_id = g.contact_id or k.company_id = g.company_id))
    order by g.contact_id, g.company_id, g.key
    on conflict do nothing returning 1)
  select pg_catalog.count(*)::int into n from added;
  return n;
end $$;
grant execute on function private.keep_findings(jsonb) to overture_user, overture_worker;
