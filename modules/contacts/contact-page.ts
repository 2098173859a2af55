import { z } from "zod";
import { cursorTime, decodeCursor, type Page, toPage, withoutSortKey } from "../kernel/operations/cursor.ts";
import type { Ctx } from "../kernel/context.ts";
import { contactColumns, type ContactRow, joinCompany, type Where } from "./contact-query.ts";
import { and, type Fragment, PROBE_MOST } from "./filter-sql.ts";
import { id } from "./schemas.ts";

/**
 * Pages of people in list order. Nobody knows beforehand whether a word is common, and finding out costs more than the page. So
 * the list's own order is read a little way first: whatever many people match is found there. Only when that runs dry
 * is an index asked for everybody who matches. Where a list is part of the condition, it is the list that is read in order.
 */

export const SORTS = ["created_at", "email", "last_name"] as const;
export const sortParams = {
  sort: z
    .enum(SORTS)
    .default("created_at")
    .describe("Default direction: created_at starts with the newest, the other fields with A."),
  order: z.enum(["asc", "desc"]).optional().describe("Reverses the order of `sort`."),
};

/** What the rows of lists have of the contact (private.copy_sort_keys). */
const LIST_COLUMN = {
  created_at: "contact_created_at",
  email: "contact_email",
  last_name: "contact_last_name",
} as const;
const SORT_COLUMN = { created_at: "created_at", email: "email_sort", last_name: "last_name_sort" } as const;

export type PageQuery = {
  sort: (typeof SORTS)[number];
  order?: "asc" | "desc" | undefined;
  cursor?: string | undefined;
  limit: number;
};

/** People read in list order before anything else; a millisecond. */
const FIRST_STRIDE = 1000;
/** People read in list order at most when the first stride promises that they hold a page; some twenty milliseconds. */
const LONGEST_STRIDE = 20_000;

type Row = ContactRow & { sort_key: string };

/** One page of people under a condition. */
export async function pageOfContacts(
  ctx: Pick<Ctx, "db" | "tenantId">,
  { where, required, narrow, exact, list }: Where,
  query: PageQuery,
): Promise<Page<ContactRow>> {
  const { db, tenantId } = ctx;
  const descending = (query.order ?? (query.sort === "created_at" ? "desc" : "asc")) === "desc";
  const key = query.sort === "created_at" ? cursorTime : z.string().max(400);
  // The order is part of the cursor: a cursor of another order would silently skip people.
  const mark = `${query.sort}:${descending ? "desc" : "asc"}`;
  const after = decodeCursor(query.cursor, z.tuple([z.literal(mark), key, id]));

  const name = SORT_COLUMN[query.sort];
  const column = db`c.${db(name)}`;
  const keyOf = query.sort === "created_at" ? db`${column}::text` : column;
  const startAt = (key: Fragment, contactId: Fragment) =>
    after
      ? db`and (${key}, ${contactId}) ${descending ? db`<` : db`>`} (${query.sort === "created_at" ? db`${after[1]}::text::timestamptz` : db`${after[1]}::text`}, ${after[2]}::text::uuid)`
      : db``;
  const start = startAt(column, db`c.id`);
  const direction = descending ? db`desc` : db`asc`;
  const inOrder = db`order by ${column} ${direction}, c.id ${direction}`;
  const wanted = query.limit + 1;

  /** A page out of `people`, whose alias is c. */
  const pick = async (people: Fragment, condition = where): Promise<Row[]> =>
    await db<Row[]>`
    select ${contactColumns(db)}, ${keyOf} as sort_key
    from ${people} c ${joinCompany(db)}
    where ${condition} ${start} ${inOrder} limit ${wanted}`;
  const page = (rows: readonly Row[]) =>
    toPage(rows, query.limit, (row) => [mark, row.sort_key, row.id], withoutSortKey);
  /** These and no others are read, whatever the planner thinks of the rest of the condition. */
  const only = (condition: Fragment) =>
    db`(select c.* from public.contacts c where c.tenant_id = ${tenantId} and ${condition} offset 0)`;

  // The planner knows the statistics of everything else, and an index for it.
  if (required.length === 0 && narrow.length === 0) return page(await pick(db`public.contacts`));

  const listKey = db`l.${db(LIST_COLUMN[query.sort])}`;
  /** The first so many in order: of everybody, or of the list's people. */
  const stride = (length: number) =>
    list
      ? pick(
          db`(
          select c.* from (
            select l.contact_id from public.list_contacts l
            where l.tenant_id = ${tenantId} and l.list_id = ${list.id} ${startAt(listKey, db`l.contact_id`)}
            order by ${listKey} ${direction}, l.contact_id ${direction} limit ${length}) l
          cross join lateral (
            select c.* from public.contacts c where c.tenant_id = ${tenantId} and c.id = l.contact_id offset 0) c)`,
          list.others,
        )
      : pick(
          db`(select c.* from public.contacts c where c.tenant_id = ${tenantId} ${start} ${inOrder} limit ${length})`,
        );
  if (list?.alone) return page(await stride(wanted));
  let rows = await stride(FIRST_STRIDE);
  if (rows.length >= wanted) return page(rows);
  const further = Math.ceil((FIRST_STRIDE * wanted * 1.5) / Math.max(rows.length, 1));
  if (further <= LONGEST_STRIDE) {
    rows = await stride(further);
    if (rows.length >= wanted) return page(rows);
  }
  if (list) {
    const [counted] = await db<{ n: number }[]>`
      select count(*)::int as n from (
        select from public.list_contacts l where l.tenant_id = ${tenantId} and l.list_id = ${list.id} limit ${LONGEST_STRIDE + 1}) few`;
    if (counted!.n <= LONGEST_STRIDE) return page(await stride(LONGEST_STRIDE));
  }

  if (narrow.length > 0) {
    const selective = and(db, narrow);
    const [counted] = await db<{ n: number }[]>`
      select count(*)::int as n from (
        select from public.contacts c where c.tenant_id = ${tenantId} and ${selective} limit ${PROBE_MOST + 1}) few`;
    if (counted!.n <= PROBE_MOST) return page(await pick(only(selective)));
  }
  if (required.length > 0) {
    const most = exact ? wanted : PROBE_MOST;
    const [found] = await db<{ ids: string[] }[]>`
      select private.find_contacts(${JSON.stringify(required)}::text::jsonb, ${name}, ${descending},
        ${after?.[1] ?? null}::text, ${after?.[2] ?? null}::text::uuid, ${most}) as ids`;
    rows = await pick(only(db`c.id = any(${found!.ids}::uuid[])`));
    if (rows.length >= wanted || found!.ids.length < most) return page(rows);
  }
  // Common in the index, rare under the other conditions. Without statistics of LIKE, which row-level security keeps from it, the
  // planner would read and sort all matches for the sake of fifty.
  await db`set local enable_sort = off`;
  rows = await pick(db`public.contacts`);
  await db`set local enable_sort = on`;
  return page(rows);
}
