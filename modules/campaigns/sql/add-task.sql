-- A task for a person that belongs to no sequence. Returns its id; null where the contact is gone.
create or replace function private.add_task(contact uuid, title text, note text) returns uuid
language sql volatile set search_path = '' as $$
  insert into public.tasks (tenant_id, contact_id, title, note)
  select kernel.tenant(), c.id, pg_catalog.left(add_task.title, 200), pg_catalog.left(add_task.note, 10000) from public.contacts c
  where c.tenant_id = (select kernel.tenant()) and c.id = contact
  returning id
$$;
grant execute on function private.add_task(uuid, text, text) to overture_user, overture_worker;
