import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import type { Tx } from "../kernel/database/db.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { requireStorable } from "../kernel/operations/input.ts";
import { and, type Fragment, prepare, type Probe, PROBE_MOST } from "./filter-sql.ts";
import type { Filter } from "./filter.ts";
import { STATUSES } from "./normalize.ts";
import { type Contact, id } from "./schemas.ts";

/** Reading people: the row as the API shows it, the filters of every list, and keyset pages. */

export type ContactRow = z.input<typeof Contact>;

/** The columns of a Contact over `c` and its company `o`. */
export const contactColumns = (db: Tx): Fragment => db`
  c.id, c.email, c.first_name, c.last_name, c.full_name, c.title, c.phone, c.linkedin_url, c.whatsapp_number,
  case when o.id is not null then jsonb_build_object('id', o.id, 'name', o.name, 'domain', o.domain) end as company,
  c.status, c.pipeline_stage, c.deal_value, c.warmth_score, c.time_zone, c.locale, c.country, c.custom, c.tags,
  c.last_interaction_at, c.consent_source, c.lawful_basis, c.created_at, c.updated_at`;

export const joinCompany = (db: Tx): Fragment =>
  db`left join public.companies o on o.tenant_id = c.tenant_id and o.id = c.company_id`;

/** Query parameters that narrow a list of people; the same for list, count and export. */
export const contactFilters = {
  search: z
    .string()
    .max(200)
    .optional()
    .describe(
      "Words in the name, email address or title; a contact must match all of them; upper and lower case and accents make no difference. One or two letters match the beginning of a word.",
    ),
  list_id: id.optional().describe("Contacts on this list."),
  segment_id: id.optional().describe("Contacts that this segment selects now."),
  tag: z.string().max(200).optional(),
  status: z.enum(STATUSES).optional(),
  company_id: id.optional(),
  filter: z.string().max(20_000).optional().describe("A Filter as JSON text."),
};
const Filters = z.object(contactFilters);
export type ContactFilters = z.output<typeof Filters>;

/** In an object, because a fragment is thenable: a promise of one would run it as a query of its own. */
export type Where = {
  where: Fragment;
  /** What an index behind row-level security can answer about everybody selected, not asked yet. */
  required: readonly Probe[];
  /** Conditions that few people may meet, contained in `where`. */
  narrow: readonly Fragment[];
  /** The tenant and the required probes say all that `where` says. */
  exact: boolean;
  /** The list that everybody selected is on, the rest of the condition, and whether there is any. */
  list: { id: string; others: Fragment; alone: boolean } | null;
};

/** The condition over `c` for these filters, tenant included. Throws field errors for bad filters and 404 for an unknown segment. */
export async function whereContacts(
  ctx: Pick<Ctx, "db" | "tenantId">,
  filters: ContactFilters & { tree?: unknown },
): Promise<Where> {
  const { db, tenantId } = ctx;
  const trees: { filter: unknown; pointer: string }[] = [];
  if (filters.filter !== undefined && filters.filter !== "")
    trees.push({ filter: parseFilterParam(filters.filter), pointer: "/filter" });
  if (filters.tree !== undefined) trees.push({ filter: filters.tree, pointer: "/filter" });
  if (filters.segment_id !== undefined) {
    const [segment] = await db<{ filter: unknown }[]>`
      select filter from public.segments where tenant_id = ${tenantId} and id = ${filters.segment_id}`;
    if (!segment) throw new AppError("not_found", "There is no such segment.");
    trees.push({ filter: segment.filter, pointer: "/segment_id" });
  }
  const search = filters.search?.trim() === "" ? undefined : filters.search;
  const compiler = await prepare(db, tenantId, { filters: trees, search, tag: filters.tag, defer: true });
  const narrow = [...compiler.narrow];

  const parts: Fragment[] = [db`c.tenant_id = ${tenantId}`];
  for (const tree of trees) parts.push(compiler.filter(tree.filter as Filter));
  if (search !== undefined) parts.push(compiler.search(search));
  if (filters.tag !== undefined) parts.push(compiler.tag(filters.tag));
  if (filters.status !== undefined) parts.push(db`c.status = ${filters.status}`);
  if (filters.company_id !== undefined) narrow.push(db`c.company_id = ${filters.company_id}`);
  const others = [...parts, ...narrow];
  if (filters.list_id !== undefined) {
    narrow.push(
      db`exists (select from public.list_contacts lc where lc.tenant_id = ${tenantId} and lc.list_id = ${filters.list_id} and lc.contact_id = c.id)`,
    );
  }
  const { required } = compiler;
  const exact = compiler.exact && narrow.length === 0 && filters.status === undefined;
  const list =
    filters.list_id === undefined
      ? null
      : { id: filters.list_id, others: and(db, others), alone: others.length === 1 && required.length === 0 };
  return { where: and(db, [...parts, ...narrow]), required, narrow, exact, list };
}

/** The same people, as a condition that is quick to run over all of them: with their ids when an index names few. */
export async function indexed({ db }: Pick<Ctx, "db">, { where, required }: Where): Promise<{ where: Fragment }> {
  if (required.length === 0) return { where };
  const probes = JSON.stringify(required.map((probe, n) => ({ n, ...probe })));
  const rows = await db<
    { ids: string[] | null }[]
  >`select ids from private.probe_contacts(${probes}::text::jsonb, ${PROBE_MOST})`;
  const found = rows.flatMap(({ ids }) => (ids ? [db`c.id = any(${ids}::uuid[])`] : []));
  return { where: and(db, [where, ...found]) };
}

function parseFilterParam(text: string): unknown {
  let filter: unknown;
  try {
    filter = JSON.parse(text);
  } catch {
    throw invalidField("/filter", "must be a filter as JSON text");
  }
  requireStorable(filter, "/filter");
  return filter;
}

/** Whether the filters leave everybody in. */
export const isUnfiltered = (filters: ContactFilters): boolean =>
  Object.keys(contactFilters).every(
    (k) => filters[k as keyof ContactFilters] === undefined || filters[k as keyof ContactFilters] === "",
  );

/** Counts above this are said to be «at least»: nobody needs the last digit, and a million rows take a second. */
export const COUNT_MOST = 10_000;

/** How many people: exact up to 10,000; above, an estimate from the team's share of the table, or «at least». */
export async function countContacts(
  ctx: Pick<Ctx, "db" | "tenantId">,
  where: Where,
  unfiltered: boolean,
): Promise<{ count: number; exact: boolean }> {
  const { db } = ctx;
  if (unfiltered) {
    const [row] = await db<{ n: number }[]>`select private.estimate_contacts() as n`;
    return { count: Number(row!.n), exact: row!.n <= COUNT_MOST };
  }
  const [row] = where.exact
    ? await db<{ n: number }[]>`
        select private.count_contacts(${JSON.stringify(where.required)}::text::jsonb, ${COUNT_MOST + 1}) as n`
    : await db<{ n: number }[]>`
        select count(*)::int as n from (
          select from public.contacts c where ${(await indexed(ctx, where)).where} limit ${COUNT_MOST + 1}) matching`;
  return row!.n > COUNT_MOST ? { count: COUNT_MOST, exact: false } : { count: row!.n, exact: true };
}

/** One person by id, or 404. */
export async function getContact(ctx: Pick<Ctx, "db" | "tenantId">, contactId: string): Promise<ContactRow> {
  const { db, tenantId } = ctx;
  const [row] = await db<ContactRow[]>`
    select ${contactColumns(db)} from public.contacts c ${joinCompany(db)}
    where c.tenant_id = ${tenantId} and c.id = ${contactId}`;
  if (!row) throw new AppError("not_found", "There is no such contact.");
  return { ...row };
}
