-- analytics: who may ask in SQL.
-- owner: modules/analytics   breaking: no   locks: none (new objects only)

create table kernel.analysts (
  role_name name primary key,
  tenant_id uuid not null references public.tenants (id) on delete cascade,
  created_at timestamptz not null default pg_catalog.now()
);
comment on table kernel.analysts is 'Which tenant an analyst''s login role may read.';
