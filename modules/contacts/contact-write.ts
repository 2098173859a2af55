import type { Tx } from "../kernel/database/db.ts";
import { uuid7 } from "../kernel/database/ids.ts";
import type { ContactValues } from "./fields.ts";
import { isStopped } from "./normalize.ts";

/**
 * Writing people by the batch: one statement for the companies, one for the people and their lists, whatever the number
 * of rows. Used by POST /contacts, POST /contacts/bulk and the CSV import, so that the three agree about duplicates.
 */

export type WriteRow = {
  values: ContactValues;
  lists?: readonly string[];
  /** Provenance for people who have none yet; never overwrites a recorded one. */
  consent_default?: { consent_source?: string | null | undefined; lawful_basis?: string | null | undefined };
};

export type WriteMode = {
  key: "email" | "linkedin_url";
  on_duplicate: "skip" | "update" | "create_new";
};

export type WriteOutcome =
  | { outcome: "created" | "updated" | "skipped"; id: string }
  /** The address belongs to somebody else, or came twice in the batch. */
  | { outcome: "rejected"; id: null; field: string; detail: string };

type Prepared = { i: number; id: string; row: WriteRow; followers: number[] };

/** Outcomes in the order of the rows. */
export async function writeContacts(
  db: Tx,
  tenantId: string,
  rows: readonly WriteRow[],
  mode: WriteMode,
): Promise<WriteOutcome[]> {
  const outcomes = new Array<WriteOutcome | undefined>(rows.length);
  let pending = fold(rows, mode, outcomes);
  const companies = await resolveCompanies(
    db,
    tenantId,
    pending.map((p) => p.row.values),
  );

  // A second round only when another transaction took an address between our look and our insert.
  for (let round = 0; pending.length > 0 && round < 3; round++) {
    const written = await writeOnce(db, tenantId, pending, mode, companies);
    const lost: Prepared[] = [];
    for (const p of pending) {
      const result = written.get(p.i);
      if (!result || result.outcome === "lost") lost.push(p);
      else settle(p, result, mode, outcomes);
    }
    pending = lost;
  }
  if (pending.length > 0)
    throw new Error("the contacts could not be saved because other requests kept changing their addresses");
  return outcomes as WriteOutcome[];
}

/**
 * Duplicates inside the batch become one row. Updating, later values win over earlier ones, as if the rows had come one
 * after the other; skipping, the first row stands.
 */
function fold(rows: readonly WriteRow[], mode: WriteMode, outcomes: (WriteOutcome | undefined)[]): Prepared[] {
  const byKey = new Map<string, Prepared>();
  const byEmail = new Map<string, Prepared>();
  const kept: Prepared[] = [];
  for (const [i, row] of rows.entries()) {
    const key = row.values[mode.key];
    const email = row.values.email;
    const first = key && mode.on_duplicate !== "create_new" ? byKey.get(key) : undefined;
    const holder = email ? byEmail.get(email) : undefined;
    if (holder && holder !== first) {
      outcomes[i] = {
        outcome: "rejected",
        id: null,
        field: "email",
        detail: `'${email}' is used by an earlier row as well`,
      };
      continue;
    }
    if (first) {
      first.followers.push(i);
      if (email && mode.on_duplicate === "update") byEmail.set(email, first);
      if (mode.on_duplicate === "update") first.row = merge(first.row, row);
      else if (row.lists) first.row = { ...first.row, lists: union(first.row.lists, row.lists) };
      continue;
    }
    const prepared: Prepared = { i, id: uuid7(), row, followers: [] };
    kept.push(prepared);
    if (key) byKey.set(key, prepared);
    if (email) byEmail.set(email, prepared);
  }
  return kept;
}

const union = (a: readonly string[] | undefined, b: readonly string[] | undefined): string[] => [
  ...new Set([...(a ?? []), ...(b ?? [])]),
];

function merge(a: WriteRow, b: WriteRow): WriteRow {
  const values: ContactValues = { ...a.values, ...b.values };
  // An opt-out or a bounce stays, whatever a later row says.
  if (isStopped(a.values.status)) values.status = a.values.status!;
  if (a.values.custom || b.values.custom) values.custom = { ...a.values.custom, ...b.values.custom };
  if (a.values.tags || b.values.tags) values.tags = union(a.values.tags, b.values.tags);
  return { ...a, ...b, values, lists: union(a.lists, b.lists) };
}

function settle(p: Prepared, result: Written, mode: WriteMode, outcomes: (WriteOutcome | undefined)[]): void {
  const { outcome, id } = result;
  if (outcome === "taken" || id === null) {
    const rejected = {
      outcome: "rejected",
      id: null,
      field: "email",
      detail: `'${p.row.values.email}' belongs to another contact`,
    } as const;
    for (const i of [p.i, ...p.followers]) outcomes[i] = rejected;
    return;
  }
  outcomes[p.i] = { outcome: outcome as "created", id };
  for (const i of p.followers) outcomes[i] = { outcome: mode.on_duplicate === "update" ? "updated" : "skipped", id };
}

const companyKey = (v: ContactValues): string | null =>
  v.company_domain ? `d:${v.company_domain}` : v.company_name ? `n:${v.company_name.toLowerCase()}` : null;

/** Finds or makes companies: by domain where one is given, else by name without regard to case. */
export async function resolveCompanies(
  db: Tx,
  tenantId: string,
  rows: readonly ContactValues[],
): Promise<Map<string, string>> {
  const wanted = new Map<string, { k: string; id: string; name: string; domain: string | null }>();
  for (const v of rows) {
    const k = companyKey(v);
    if (k === null || wanted.has(k)) continue;
    wanted.set(k, { k, id: uuid7(), name: v.company_name ?? v.company_domain!, domain: v.company_domain ?? null });
  }
  if (wanted.size === 0) return new Map();
  const found = await db<{ k: string; id: string }[]>`
    with wanted as materialized (
      select w.k, w.id, w.name, w.domain from jsonb_to_recordset(${JSON.stringify([...wanted.values()])}::text::jsonb) as w(k text, id uuid, name text, domain text)
    ), known as (
      select w.k, o.id from wanted w join public.companies o on o.tenant_id = (select kernel.tenant()) and o.domain = w.domain
      union all
      -- The oldest of that name; a company with a domain stands in for its name as well.
      select w.k, (select o.id from public.companies o where o.tenant_id = (select kernel.tenant()) and o.name_sort = lower(w.name) order by o.id limit 1)
      from wanted w where w.domain is null
    ), made as (
      insert into public.companies (tenant_id, id, name, domain)
      select ${tenantId}::uuid, w.id, w.name, w.domain from wanted w
      where not exists (select from known n where n.k = w.k and n.id is not null)
      order by w.domain
      -- Made by somebody else a moment ago: the no-change update only brings its id back.
      on conflict (tenant_id, domain) where domain is not null do update set domain = excluded.domain
      returning id, domain
    )
    select n.k, n.id from known n where n.id is not null
    union all
    select w.k, m.id from made m join wanted w on w.id = m.id or w.domain = m.domain`;
  return new Map(found.map((row) => [row.k, row.id]));
}

export const companyIdOf = (
  companies: ReadonlyMap<string, string>,
  values: ContactValues,
): string | null | undefined => {
  const key = companyKey(values);
  if (key !== null) return companies.get(key) ?? null;
  // Both given and empty means: no company. One absent means: say nothing about it.
  return values.company_name === null || values.company_domain === null ? null : undefined;
};

/** The person as JSON for the statement: only the keys that say something. */
function toJson(p: Prepared, companies: ReadonlyMap<string, string>): Record<string, unknown> {
  const { company_name: _n, company_domain: _d, ...columns } = p.row.values;
  const company_id = companyIdOf(companies, p.row.values);
  return {
    ...columns,
    ...(company_id === undefined ? {} : { company_id }),
    i: p.i,
    id: p.id,
    lists: p.row.lists ?? [],
    default_source: p.row.consent_default?.consent_source ?? null,
    default_basis: p.row.consent_default?.lawful_basis ?? null,
  };
}

/** Columns that one input row `n` (with its JSON as n.d) sets on `c`; what the JSON does not name stays. */
export const assignments = (db: Tx) => db`
        first_name = coalesce(n.first_name, c.first_name),
        last_name = coalesce(n.last_name, c.last_name),
        title = coalesce(n.title, c.title),
        phone = case when n.d ? 'phone' then n.phone else c.phone end,
        whatsapp_number = case when n.d ? 'whatsapp_number' then n.whatsapp_number else c.whatsapp_number end,
        linkedin_url = case when n.d ? 'linkedin_url' then n.linkedin_url else c.linkedin_url end,
        company_id = case when n.d ? 'company_id' then n.company_id else c.company_id end,
        pipeline_stage = coalesce(n.pipeline_stage, c.pipeline_stage),
        time_zone = case when n.d ? 'time_zone' then n.time_zone else c.time_zone end,
        locale = case when n.d ? 'locale' then n.locale else c.locale end,
        country = case when n.d ? 'country' then n.country else c.country end,
        deal_value = case when n.d ? 'deal_value' then n.deal_value else c.deal_value end,
        custom = case when n.d ? 'custom' then jsonb_strip_nulls(c.custom || n.custom) else c.custom end`;

type Written = { i: number; outcome: "created" | "updated" | "skipped" | "taken" | "lost"; id: string | null };

async function writeOnce(
  db: Tx,
  tenantId: string,
  pending: readonly Prepared[],
  mode: WriteMode,
  companies: ReadonlyMap<string, string>,
): Promise<Map<number, Written>> {
  const json = JSON.stringify(pending.map((p) => toJson(p, companies)));
  const matching =
    mode.on_duplicate === "create_new"
      ? db`false`
      : mode.key === "email"
        ? db`c.email = n.email`
        : db`c.linkedin_url = n.linkedin_url`;
  const rows = await db<Written[]>`
    with input as materialized (
      select (e.d ->> 'i')::int as i, e.d, r.*
      from jsonb_array_elements(${json}::text::jsonb) as e(d), jsonb_populate_record(null::public.contacts, e.d) as r
    ), matched as materialized (
      -- LinkedIn URLs may repeat: the oldest contact stands for them.
      select distinct on (n.i) n.i, c.id from input n join public.contacts c on c.tenant_id = (select kernel.tenant()) and ${matching}
      order by n.i, c.created_at, c.id
    ), taken as materialized (
      select n.i from input n join public.contacts c on c.tenant_id = (select kernel.tenant()) and c.email = n.email
      left join matched m on m.i = n.i
      where c.id is distinct from m.id and (m.id is null or ${mode.on_duplicate === "update"})
    ), made as (
      insert into public.contacts (tenant_id, id, email, first_name, last_name, title, phone, whatsapp_number, linkedin_url, company_id, status,
        pipeline_stage, time_zone, locale, country, deal_value, custom, tags, consent_source, lawful_basis)
      select ${tenantId}::uuid, n.id, n.email, coalesce(n.first_name, ''), coalesce(n.last_name, ''), coalesce(n.title, ''), n.phone, n.whatsapp_number,
        n.linkedin_url, n.company_id, coalesce(n.status, 'new'), coalesce(n.pipeline_stage, ''), n.time_zone, n.locale, n.country, n.deal_value,
        jsonb_strip_nulls(coalesce(n.custom, '{}')), coalesce(n.tags, '{}'),
        coalesce(n.consent_source, n.d ->> 'default_source'), coalesce(n.lawful_basis, n.d ->> 'default_basis')
      from input n
      where not exists (select from matched m where m.i = n.i) and not exists (select from taken t where t.i = n.i)
      -- In one order everywhere, so that two batches with the same addresses wait for each other instead of deadlocking.
      order by n.email
      on conflict do nothing
      returning id
    ), changed as (
      update public.contacts c set
        email = case when n.d ? 'email' then n.email else c.email end,
        ${assignments(db)},
        -- A batch does not undo an opt-out or a bounce.
        status = case when c.status in ('bounced', 'unsubscribed', 'suppressed') then c.status else coalesce(n.status, c.status) end,
        tags = case when n.d ? 'tags' then (array(select distinct t from unnest(c.tags || n.tags) t))[1:50] else c.tags end,
        consent_source = case when n.d ? 'consent_source' then n.consent_source else coalesce(c.consent_source, n.d ->> 'default_source') end,
        lawful_basis = case when n.d ? 'lawful_basis' then n.lawful_basis else coalesce(c.lawful_basis, n.d ->> 'default_basis') end
      from input n join matched m on m.i = n.i
      where ${mode.on_duplicate === "update"} and c.tenant_id = (select kernel.tenant()) and c.id = m.id and not exists (select from taken t where t.i = n.i)
      returning n.i
    ), result as (
      select n.i, n.d,
        case when t.i is not null then 'taken' when k.id is not null then 'created' when h.i is not null then 'updated'
             when m.id is not null and ${mode.on_duplicate === "skip"} then 'skipped' else 'lost' end as outcome,
        case when t.i is null then coalesce(k.id, m.id) end as id
      from input n
      left join matched m on m.i = n.i left join taken t on t.i = n.i left join made k on k.id = n.id left join changed h on h.i = n.i
    ), listed as (
      insert into public.list_contacts (tenant_id, list_id, contact_id)
      select distinct ${tenantId}::uuid, l::uuid, r.id from result r, jsonb_array_elements_text(r.d -> 'lists') l
      where r.outcome in ('created', 'updated', 'skipped')
      on conflict do nothing
    )
    select i, outcome, id from result`;
  return new Map(rows.map((row) => [row.i, row]));
}
