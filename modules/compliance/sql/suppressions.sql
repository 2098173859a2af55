-- Stops every running sequence of these addresses and suppresses them. The one way an address becomes suppressed.
create or replace function private.suppress(addresses text[], why text, enrollment_status text, note text) returns void
language plpgsql volatile set search_path = '' as $$
begin
  insert into public.suppressions (tenant_id, channel, address, reason, detail)
  select kernel.tenant(), 'email', a, why, note from (select distinct pg_catalog.lower(x) as a from pg_catalog.unnest(addresses) x) d
  on conflict (tenant_id, channel, address) do nothing;
  perform private.end_enrollments(array(
    select e.id from public.enrollments e join public.contacts c on c.tenant_id = e.tenant_id and c.id = e.contact_id
    where e.tenant_id = (select kernel.tenant()) and c.email = any(addresses) and e.status in ('waiting', 'sending', 'blocked', 'finished')
  ), enrollment_status, note);
  update public.messages m set status = 'cancelled', due_at = null, error = note
  where m.tenant_id = (select kernel.tenant()) and m.status = 'queued' and m.to_email = any(addresses);
  update public.contacts c set status = case enrollment_status when 'bounced' then 'bounced' when 'unsubscribed' then 'unsubscribed'
    else 'suppressed' end
  where c.tenant_id = (select kernel.tenant()) and c.email = any(addresses) and c.status not in ('bounced', 'unsubscribed', 'suppressed');
end $$;
grant execute on function private.suppress(text[], text, text, text) to overture_user, overture_worker;
