-- Mails about accounts go out through the workspace that runs the installation, as messages of its queue. The message names the person,
-- who may be nobody: then nothing is sent, and who asked cannot tell. Without such a workspace nothing is queued.
create or replace function private.queue_account_mail(kind text, person uuid, recipient text default null) returns void
language plpgsql volatile security definer set search_path = '' as $$
declare
  operator text := (select s.value #>> '{}' from kernel.settings s where s.key = 'operator_tenant');
begin
  if operator is null then return; end if;
  perform kernel.enqueue('accounts_mail', array[pg_catalog.jsonb_build_object(
    'tenant_id', operator, 'kind', kind, 'person', person, 'recipient', recipient)]);
end $$;
grant execute on function private.queue_account_mail(text, uuid, text) to overture_worker;

-- After a password was changed: links to choose another one end, and its owner is told.
create or replace function private.password_changed(person uuid) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  delete from private.account_tokens t where t.person = password_changed.person and t.kind = 'reset';
  perform private.queue_account_mail('password', person);
end $$;
grant execute on function private.password_changed(uuid) to overture_worker;

-- The copies of a person's address in their workspaces follow the account.
create or replace function private.follow_address(person uuid, address text) returns void
language sql volatile security definer set search_path = '' as $$
  update public.members m set email = pg_catalog.lower(address) where m.user_id = person
$$;
grant execute on function private.follow_address(uuid, text) to overture_worker;
