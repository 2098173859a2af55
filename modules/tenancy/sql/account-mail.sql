-- Mails about accounts go out through the workspace that runs the installation, as messages of its queue. The message names the person,
-- who may be nobody: then nothing is sent, and who asked cannot tell. Without such a workspace nothing is queued.
-- `delay` is in seconds.
create or replace function private.queue_account_mail(kind text, person uuid, recipient text default null, delay int default 0) returns void
language plpgsql volatile security definer set search_path = '' as $$
declare
  operator text := (select s.value #>> '{}' from kernel.settings s where s.key = 'operator_tenant');
begin
  if operator is null then return; end if;
  perform kernel.enqueue('accounts_mail', array[pg_catalog.jsonb_build_object(
    'tenant_id', operator, 'kind', kind, 'person', person, 'recipient', recipient)], delay);
end $$;
grant execute on function private.queue_account_mail(text, uuid, text, int) to overture_worker;

-- After a password was changed: every session ends, links that were asked for before are forgotten, and its owner is told.
create or replace function private.password_changed(person uuid) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  perform private.end_other_sessions(person, null);
  delete from private.account_tokens t where t.person = password_changed.person;
  perform private.queue_account_mail('password', person);
end $$;
grant execute on function private.password_changed(uuid) to overture_worker;

-- The address of an account now; an access token may hold one of before. Null when there is no account.
create or replace function private.account_address(person uuid) returns text
language plpgsql stable security definer set search_path = '' as $$
begin
  return (select u.email from auth.users u where u.id = person);
end $$;
grant execute on function private.account_address(uuid) to overture_worker;

-- The copies of a person's address in their workspaces follow the account. Returns the address; null when there is no account.
create or replace function private.follow_address(person uuid) returns text
language plpgsql volatile security definer set search_path = '' as $$
declare
  now_is text := (select u.email from auth.users u where u.id = person);
begin
  update public.members m set email = pg_catalog.lower(now_is) where m.user_id = person and now_is is not null;
  return now_is;
end $$;
grant execute on function private.follow_address(uuid) to overture_worker;
