-- Whoever changes a campaign holds it, whoever plans it or takes people in shares it, until their transaction ends. Locks on the row alone
-- let one sharer after the other pass a change that waits: a pause would wait for as long as there is somebody to plan. These queue up.
create or replace function private.hold_campaign(campaign uuid) returns void
language sql volatile set search_path = '' as $$
  select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('campaign ' || kernel.tenant() || campaign, 0))
$$;

-- In the order of their ids, so that no two wait for each other.
create or replace function private.share_campaigns(campaigns uuid[]) returns void
language plpgsql volatile set search_path = '' as $$
declare
  campaign uuid;
begin
  for campaign in select c from pg_catalog.unnest(campaigns) c order by c loop
    perform pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtextextended('campaign ' || kernel.tenant() || campaign, 0));
  end loop;
end $$;
grant execute on function private.hold_campaign(uuid), private.share_campaigns(uuid[]) to overture_user, overture_worker;
