import type { Ctx } from "../../kernel/context.ts";
import type { StepRun } from "../../kernel/step.ts";

type Run = Pick<StepRun, "campaign_id" | "enrollment_id">;

/**
 * Primary addresses that several contacts have, a switchboard's or a family's number: a campaign writes to them for one of these contacts, so
 * that whoever is there gets every step once. `claim` says whether an address is the run's; the first to ask for a free one has it. The rows
 * are locked to the end of the transaction, so that two planners do not both find it free.
 */
export async function sharedAddresses(
  ctx: Ctx,
  channelId: string,
  addresses: readonly string[],
  runs: readonly Run[],
): Promise<{ claim(run: Run, address: string): boolean }> {
  const { db } = ctx;
  const rows = await db<{ address: string }[]>`
    select x.address from unnest(${addresses as string[]}::text[]) x (address)
    where (
      -- Address by address, so that the planner does not read all of a channel.
      select count(*) from (
        select from public.contact_addresses a
        where a.tenant_id = (select kernel.tenant()) and a.channel = ${channelId} and a.address = x.address and a.is_primary limit 2) two) > 1`;
  const shared = rows.map((r) => r.address);
  const owners = new Map<string, string>();
  if (shared.length > 0) {
    await db`
      select from public.contact_addresses a
      where a.tenant_id = (select kernel.tenant()) and a.channel = ${channelId} and a.is_primary and a.address = any(${shared}::text[])
      order by a.id for update`;
    // A statement of its own: it sees what whoever held the lock before wrote.
    const written = await db<{ campaign_id: string; to_address: string; enrollment_id: string }[]>`
      select distinct on (m.campaign_id, m.to_address) m.campaign_id, m.to_address, m.enrollment_id from public.messages m
      where m.tenant_id = (select kernel.tenant()) and m.channel = ${channelId} and m.direction = 'out' and m.to_address = any(${shared}::text[])
        and m.campaign_id = any(${[...new Set(runs.map((r) => r.campaign_id))]}::uuid[])
        and m.enrollment_id is not null and m.status not in ('cancelled', 'failed')
      order by m.campaign_id, m.to_address, m.created_at, m.id`;
    for (const m of written) owners.set(`${m.campaign_id}/${m.to_address}`, m.enrollment_id);
  }
  return {
    claim(run, address) {
      if (!shared.includes(address)) return true;
      const key = `${run.campaign_id}/${address}`;
      const owner = owners.get(key) ?? run.enrollment_id;
      owners.set(key, owner);
      return owner === run.enrollment_id;
    },
  };
}
