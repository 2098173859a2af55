import type { Sql } from "postgres";
import { fillTenant } from "../isolation/rows.ts";

/** A value of other teams and one like it that nobody has. */
export type Pair = [exists: string, missing: string];

export type Neighbours = {
  teams: string[];
  /** Columns of contacts. */
  values: Record<"title" | "email" | "country" | "pipeline_stage", Pair>;
  company: Pair;
  /** The title of the nth team's contacts; teams are numbered from one. */
  title(n: number): string;
};

export const TEAMS = 50;
const CONTACTS = 40;

/** Fifty teams whose values tell them apart, and statistics made of all their rows: what an estimate would give away. */
export async function neighbours(sql: Sql): Promise<Neighbours> {
  const run = crypto.randomUUID().slice(0, 8);
  const two = (n: number) => String(n).padStart(2, "0");
  const made = await sql<{ id: string }[]>`
    select (private.create_tenant('Team ' || lpad(n::text, 2, '0'), kernel.uuid7(), ${run} || n || '@example.com', 'Owner')).id
    from generate_series(1, ${TEAMS}) n`;
  const teams = made.map((r) => r.id);
  for (const id of teams.slice(0, 5)) await fillTenant(sql, id);
  await sql`
    with team as (select id, lpad(n::text, 2, '0') as name from unnest(${teams}::uuid[]) with ordinality x (id, n)),
      company as (insert into public.companies (tenant_id, name) select id, ${`Company ${run} `} || name from team returning tenant_id, id)
    insert into public.contacts (tenant_id, company_id, email, title, country, pipeline_stage)
    select team.id, company.id, 'p' || n || '@team' || team.name || ${`.${run}.example`}, ${`Title ${run} `} || team.name,
      ${`Land ${run} `} || team.name, ${`Stage ${run} `} || team.name
    from team join company on company.tenant_id = team.id cross join generate_series(1, ${CONTACTS}) n`;
  await sql`
    insert into public.campaigns (tenant_id, name) select id, ${`Campaign ${run} `} || n from unnest(${teams}::uuid[]) with ordinality x (id, n)`;
  await sql`
    insert into public.counters (tenant_id, metric, scope, scope_id, bucket, n)
    select id, 'daily_sent', 'campaign', kernel.uuid7(), '2026-01-01', 1000 + n from unnest(${teams}::uuid[]) with ordinality x (id, n)`;
  await sql`analyze public.contacts, public.companies, public.campaigns, public.messages, public.message_events, public.counters, public.members`;
  return {
    teams,
    values: {
      title: [`Title ${run} 07`, `Title ${run} 0x`],
      email: [`p3@team07.${run}.example`, `p3@team0x.${run}.example`],
      country: [`Land ${run} 07`, `Land ${run} 0x`],
      pipeline_stage: [`Stage ${run} 07`, `Stage ${run} 0x`],
    },
    company: [`Company ${run} 07`, `Company ${run} 0x`],
    title: (n) => `Title ${run} ${two(n)}`,
  };
}
