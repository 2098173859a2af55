-- Lists: what their rows carry of the contact, so that a list is read in each order of contacts through an index of its own.

create or replace function private.copy_sort_keys() returns trigger
language plpgsql volatile set search_path = '' as $$
begin
  select c.created_at, c.email_sort, c.last_name_sort into new.contact_created_at, new.contact_email, new.contact_last_name
  from public.contacts c where c.tenant_id = new.tenant_id and c.id = new.contact_id
  -- Whoever renames the contact meanwhile comes before this row or sees it.
  for share;
  if not found then
    -- The foreign key says what is wrong.
    new.contact_created_at := '-infinity'; new.contact_email := ''; new.contact_last_name := '';
  end if;
  return new;
end $$;

create or replace trigger copy_sort_keys before insert on public.list_contacts for each row execute function private.copy_sort_keys();

create or replace function private.follow_sort_keys() returns trigger
language plpgsql volatile set search_path = '' as $$
begin
  update public.list_contacts l
  set contact_created_at = new.created_at, contact_email = new.email_sort, contact_last_name = new.last_name_sort
  where l.tenant_id = new.tenant_id and l.contact_id = new.id;
  return null;
end $$;

create or replace trigger follow_sort_keys after update of created_at, email, last_name on public.contacts for each row
  when (old.created_at <> new.created_at or old.email_sort <> new.email_sort or old.last_name_sort <> new.last_name_sort)
  execute function private.follow_sort_keys();
