import { z } from "zod";
import { cursorTime, decodeCursor, type Page, toPage, withoutSortKey } from "../kernel/cursor.ts";
import type { Ctx } from "../kernel/context.ts";
import type { Tx } from "../kernel/db.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { and, type Fragment, prepare } from "./filter-sql.ts";
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

const joinCompany = (db: Tx): Fragment =>
  db`left join public.companies o on o.tenant_id = c.tenant_id and o.id = c.company_id`;

/** Query parameters that narrow a list of people; the same for list, count and export. */
export const contactFilters = {
  search: z
    .string()
    .max(200)
    .optional()
    .describe(
      "Words in name, e-mail address or title; all of them must occur. One or two letters match the beginning of a word.",
    ),
  list_id: id.optional().describe("People on this list."),
  segment_id: id.optional().describe("People this segment selects now."),
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
  /** More than a few thousand people match, so walking the list's order finds a page at once. */
  common?: boolean;
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
  const compiler = await prepare(db, tenantId, { filters: trees, search, tag: filters.tag });

  const parts: Fragment[] = [db`c.tenant_id = ${tenantId}`];
  for (const tree of trees) parts.push(compiler.filter(tree.filter as never));
  if (search !== undefined) parts.push(compiler.search(search));
  if (filters.tag !== undefined) parts.push(compiler.tag(filters.tag));
  if (filters.status !== undefined) parts.push(db`c.status = ${filters.status}`);
  if (filters.company_id !== undefined) parts.push(db`c.company_id = ${filters.company_id}`);
  if (filters.list_id !== undefined) {
    parts.push(
      db`exists (select from public.list_contacts lc where lc.tenant_id = ${tenantId} and lc.list_id = ${filters.list_id} and lc.contact_id = c.id)`,
    );
  }
  return {
    where: and(db, parts),
    common: compiler.common && filters.list_id === undefined && filters.company_id === undefined,
  };
}

function parseFilterParam(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalidField("/filter", "must be a filter as JSON text");
  }
}

/** Whether the filters leave everybody in. */
export const isUnfiltered = (filters: ContactFilters): boolean =>
  Object.keys(contactFilters).every(
    (k) => filters[k as keyof ContactFilters] === undefined || filters[k as keyof ContactFilters] === "",
  );

export const SORTS = ["created_at", "email", "last_name"] as const;
export const sortParams = {
  sort: z.enum(SORTS).default("created_at").describe("created_at begins with the newest, the others with A."),
  order: z.enum(["asc", "desc"]).optional().describe("Turns the order of `sort` round."),
};

const SORT_COLUMN = { created_at: "created_at", email: "email_sort", last_name: "last_name_sort" } as const;

export type PageQuery = {
  sort: (typeof SORTS)[number];
  order?: "asc" | "desc" | undefined;
  cursor?: string | undefined;
  limit: number;
};

/** One page of people under a condition. */
export async function pageOfContacts(
  ctx: Pick<Ctx, "db" | "tenantId">,
  { where, common = false }: Where,
  query: PageQuery,
): Promise<Page<ContactRow>> {
  const { db } = ctx;
  const descending = (query.order ?? (query.sort === "created_at" ? "desc" : "asc")) === "desc";
  const key = query.sort === "created_at" ? cursorTime : z.string().max(400);
  // The order is part of the cursor: a cursor of another order would silently skip people.
  const mark = `${query.sort}:${descending ? "desc" : "asc"}`;
  const after = decodeCursor(query.cursor, z.tuple([z.literal(mark), key, id]));

  const column = db`c.${db(SORT_COLUMN[query.sort])}`;
  const keyOf = query.sort === "created_at" ? db`${column}::text` : column;
  const start = after
    ? db`and (${column}, c.id) ${descending ? db`<` : db`>`} (${query.sort === "created_at" ? db`${after[1]}::text::timestamptz` : db`${after[1]}::text`}, ${after[2]}::text::uuid)`
    : db``;
  const direction = descending ? db`desc` : db`asc`;
  // Under row-level security the planner may not look at the statistics of LIKE and takes every pattern for a rare one: it
  // would read and sort all matches for the sake of fifty. We know better, having asked the index.
  if (common) await db`set local enable_sort = off`;
  const rows = await db<(ContactRow & { sort_key: string })[]>`
    select ${contactColumns(db)}, ${keyOf} as sort_key
    from public.contacts c ${joinCompany(db)}
    where ${where} ${start}
    order by ${column} ${direction}, c.id ${direction}
    limit ${query.limit + 1}`;
  if (common) await db`set local enable_sort = on`;
  return toPage(rows, query.limit, (row) => [mark, row.sort_key, row.id], withoutSortKey);
}

/** Counts above this are said to be «at least»: nobody needs the last digit, and a million rows take a second. */
const COUNT_MOST = 100_000;

/** How many people: exact up to 100,000; above, the planner's estimate for the whole team, or «at least» under filters. */
export async function countContacts(
  ctx: Pick<Ctx, "db" | "tenantId">,
  { where }: Where,
  unfiltered: boolean,
): Promise<{ count: number; exact: boolean }> {
  const { db } = ctx;
  if (unfiltered) {
    const [row] = await db<{ n: number }[]>`select private.estimate_contacts() as n`;
    return { count: Number(row!.n), exact: row!.n <= 10_000 };
  }
  const [row] = await db<{ n: number }[]>`
    select count(*)::int as n from (select from public.contacts c where ${where} limit ${COUNT_MOST + 1}) matching`;
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
