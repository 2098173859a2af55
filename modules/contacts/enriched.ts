import type { Tx } from "../kernel/database/db.ts";
import { resolveCompanies } from "./contact-write.ts";

/** What other modules found out about contacts and their companies, written without overwriting what somebody changed meanwhile. */

/** Columns that found data may fill. */
export const ENRICHED_CONTACT_COLUMNS = [
  "email",
  "first_name",
  "last_name",
  "title",
  "phone",
  "linkedin_url",
  "country",
] as const;
export const ENRICHED_COMPANY_COLUMNS = ["name", "domain", "size", "industry", "country"] as const;
export type ContactColumn = (typeof ENRICHED_CONTACT_COLUMNS)[number];
export type CompanyColumn = (typeof ENRICHED_COMPANY_COLUMNS)[number];

/** Per column the value that the change was decided upon (null: empty), and the new one. */
type Changes<C extends string> = Partial<Record<C, [was: string | null, becomes: string]>>;
export type EnrichedChange<C extends string> = { id: string; set: Changes<C> };

/** Links people who have no company to the one found, made where it is new. Returns contact → company of those that were linked. */
export async function linkCompanies(
  db: Tx,
  tenantId: string,
  found: readonly { contact_id: string; company_name: string | null; company_domain: string | null }[],
): Promise<Map<string, string>> {
  const named = found.filter((f) => f.company_name !== null || f.company_domain !== null);
  if (named.length === 0) return new Map();
  const companies = await resolveCompanies(db, tenantId, named);
  const links = named.flatMap((f) => {
    const key = f.company_domain ? `d:${f.company_domain}` : `n:${f.company_name!.toLowerCase()}`;
    const company_id = companies.get(key);
    return company_id ? [{ contact_id: f.contact_id, company_id }] : [];
  });
  const rows = await db<{ id: string; company_id: string }[]>`
    update public.contacts c set company_id = l.company_id
    from jsonb_to_recordset(${db.json(links)}) as l(contact_id uuid, company_id uuid)
    where c.tenant_id = (select kernel.tenant()) and c.id = l.contact_id and c.company_id is null
    returning c.id, c.company_id`;
  return new Map(rows.map((r) => [r.id, r.company_id]));
}

/**
 * Writes found values into contacts: a column only while it holds what the change was decided upon, an address only while nobody else has
 * it. Who was `new` and has something now is `enriched`. Returns the columns that were written, by contact.
 */
export async function writeEnrichedContacts(
  db: Tx,
  changes: readonly EnrichedChange<ContactColumn>[],
): Promise<Map<string, ContactColumn[]>> {
  if (changes.length === 0) return new Map();
  const free = await freeAddresses(db, changes);
  const wanted = changes.map(({ id, set }) => {
    const { email, ...others } = set;
    return { id, d: { ...others, ...(email && free.has(`${id} ${email[1]}`) ? { email } : {}) } };
  });
  const rows = await db<{ id: string; columns: ContactColumn[] }[]>`
    with wanted as materialized (
      select w.id, jsonb_object_agg(x.key, x.value ->> 1) as d
      from jsonb_to_recordset(${db.json(wanted as never)}) as w(id uuid, d jsonb)
      join public.contacts c on c.tenant_id = (select kernel.tenant()) and c.id = w.id
      cross join lateral jsonb_each(w.d) x
      where coalesce(to_jsonb(c) ->> x.key, '') = coalesce(x.value ->> 0, '')
      group by w.id
    ), written as (
      update public.contacts c set
        email = coalesce(w.d ->> 'email', c.email), first_name = coalesce(w.d ->> 'first_name', c.first_name),
        last_name = coalesce(w.d ->> 'last_name', c.last_name), title = coalesce(w.d ->> 'title', c.title),
        phone = coalesce(w.d ->> 'phone', c.phone), linkedin_url = coalesce(w.d ->> 'linkedin_url', c.linkedin_url),
        country = coalesce(w.d ->> 'country', c.country),
        status = case when c.status in ('new', 'researching') then 'enriched' else c.status end
      from wanted w where c.tenant_id = (select kernel.tenant()) and c.id = w.id
      returning c.id, array(select jsonb_object_keys(w.d)) as columns
    )
    select id, columns from written`;
  return new Map(rows.map((r) => [r.id, r.columns]));
}

/** Found addresses that nobody has, the first taker's: `<contact> <address>`. Their rows' lock is the unique key. */
async function freeAddresses(db: Tx, changes: readonly EnrichedChange<ContactColumn>[]): Promise<Set<string>> {
  const found = changes.flatMap(({ id, set }) => (set.email ? [{ id, email: set.email[1] }] : []));
  if (found.length === 0) return new Set();
  const rows = await db<{ id: string; email: string }[]>`
    select distinct on (f.email) f.id, f.email, pg_advisory_xact_lock(hashtextextended('email:' || f.email, 0))
    from jsonb_to_recordset(${db.json(found)}) as f(id uuid, email text)
    where not exists (select from public.contacts c where c.tenant_id = (select kernel.tenant()) and c.email = f.email)
    order by f.email, f.id`;
  return new Set(rows.map((r) => `${r.id} ${r.email}`));
}

/** The same for companies; a domain only while no other company has it. */
export async function writeEnrichedCompanies(
  db: Tx,
  changes: readonly EnrichedChange<CompanyColumn>[],
): Promise<Map<string, CompanyColumn[]>> {
  if (changes.length === 0) return new Map();
  const rows = await db<{ id: string; columns: CompanyColumn[] }[]>`
    with wanted as materialized (
      select w.id, jsonb_object_agg(x.key, x.value ->> 1) as d
      from jsonb_to_recordset(${db.json(changes.map(({ id, set }) => ({ id, d: set })) as never)}) as w(id uuid, d jsonb)
      join public.companies c on c.tenant_id = (select kernel.tenant()) and c.id = w.id
      cross join lateral jsonb_each(w.d) x
      where coalesce(to_jsonb(c) ->> x.key, '') = coalesce(x.value ->> 0, '')
        and not (x.key = 'domain' and exists (
          select from public.companies o where o.tenant_id = (select kernel.tenant()) and o.domain = x.value ->> 1))
      group by w.id
    ), written as (
      update public.companies c set name = coalesce(w.d ->> 'name', c.name), domain = coalesce(w.d ->> 'domain', c.domain),
        size = coalesce(w.d ->> 'size', c.size), industry = coalesce(w.d ->> 'industry', c.industry),
        country = coalesce(w.d ->> 'country', c.country)
      from wanted w where c.tenant_id = (select kernel.tenant()) and c.id = w.id
      returning c.id, array(select jsonb_object_keys(w.d)) as columns
    )
    select id, columns from written`;
  return new Map(rows.map((r) => [r.id, r.columns]));
}

/** Writes what a verification says of people's main e-mail addresses, while they are still the ones that were asked about. */
export async function writeEmailStates(
  db: Tx,
  told: readonly { contact_id: string; email: string; state: "valid" | "invalid"; reason: string }[],
): Promise<void> {
  if (told.length === 0) return;
  await db`
    update public.contact_addresses a set state = t.state, state_reason = case when t.state = 'invalid' then t.reason end,
      verified_at = kernel.now()
    from jsonb_to_recordset(${db.json(told)}) as t(contact_id uuid, email text, state text, reason text)
    where a.tenant_id = (select kernel.tenant()) and a.contact_id = t.contact_id and a.channel = 'email' and a.address = t.email
      -- A bounce is stronger than a verifier's word.
      and not (a.state = 'invalid' and t.state = 'valid')`;
}
