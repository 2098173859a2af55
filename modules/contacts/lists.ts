import { z } from "zod";
import { clean } from "../kernel/text.ts";
import type { Ctx } from "../kernel/context.ts";
import {
  cursorTime,
  decodeCursor,
  pageOf,
  pageParams,
  searchParam,
  toPage,
  withoutSortKey,
} from "../kernel/operations/cursor.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { deleteUnused } from "./in-use.ts";
import { id, List } from "./schemas.ts";

/** Named sets of people, filled by hand or by an import. */

type ListRow = z.input<typeof List>;

const name = z.string().overwrite(clean).min(1).max(120);
const description = z.string().overwrite(clean).max(500);

const columns = (ctx: Ctx) => ctx.db`
  l.id, l.name, l.description, l.created_at, l.updated_at,
  coalesce(t.n, 0) as contact_count`;

async function read(ctx: Ctx, listId: string): Promise<ListRow> {
  const [row] = await ctx.db<
    ListRow[]
  >`select ${columns(ctx)} from public.lists l left join kernel.counts(array['list_contacts'], 'list', array[${listId}::uuid]) t on t.scope_id = l.id
    where l.tenant_id = (select kernel.tenant()) and l.id = ${listId}`;
  if (!row) throw new AppError("not_found", "There is no such list.");
  return { ...row };
}

const nameTaken = () =>
  new AppError("conflict", "Another list has this name.", {
    errors: [{ pointer: "/name", detail: "is taken by another list" }],
  });

export const listLists = defineOperation({
  id: "lists.list",
  method: "GET",
  path: "/lists",
  summary: "List the contact lists, newest first",
  permission: "contacts:read",
  input: z.object({ ...pageParams, ...searchParam }),
  output: pageOf(List),
  async handle(ctx, input) {
    const { db } = ctx;
    const after = decodeCursor(input.cursor, z.tuple([cursorTime, id]));
    const { search } = input;
    // The page is cut first: people are counted for its lists alone.
    const rows = await db<(ListRow & { sort_key: string })[]>`
      with page as materialized (
        select * from public.lists x
        where x.tenant_id = (select kernel.tenant())
          ${search ? db`and position(kernel.fold(${search}::text) in kernel.fold(x.name)) > 0` : db``}
          ${after ? db`and (x.created_at, x.id) < (${after[0]}::text::timestamptz, ${after[1]}::text::uuid)` : db``}
        order by x.created_at desc, x.id desc limit ${input.limit + 1})
      select ${columns(ctx)}, l.created_at::text as sort_key
      from page l left join kernel.counts(array['list_contacts'], 'list', array(select id from page)) t on t.scope_id = l.id
      order by l.created_at desc, l.id desc`;
    return toPage(rows, input.limit, (r) => [r.sort_key, r.id], withoutSortKey);
  },
});

export const createList = defineOperation({
  id: "lists.create",
  method: "POST",
  path: "/lists",
  summary: "Create a list",
  permission: "contacts:write",
  input: z.object({ name, description: description.default("") }),
  output: List,
  status: 201,
  async handle(ctx, input) {
    const [row] = await ctx.db<{ id: string }[]>`
      insert into public.lists (tenant_id, name, description) values (${ctx.tenantId}, ${input.name}, ${input.description})
      on conflict (tenant_id, name) do nothing
      returning id`;
    if (!row) throw nameTaken();
    return await read(ctx, row.id);
  },
});

export const readList = defineOperation({
  id: "lists.get",
  method: "GET",
  path: "/lists/{id}",
  summary: "Read a list",
  permission: "contacts:read",
  input: z.object({ id }),
  output: List,
  handle: (ctx, input) => read(ctx, input.id),
});

export const updateList = defineOperation({
  id: "lists.update",
  method: "PATCH",
  path: "/lists/{id}",
  summary: "Rename or describe a list",
  permission: "contacts:write",
  input: z.object({ id, name: name.optional(), description: description.optional() }),
  output: List,
  async handle(ctx, input) {
    const { db } = ctx;
    if (input.name !== undefined) {
      const [other] =
        await db`select 1 from public.lists where tenant_id = (select kernel.tenant()) and name = ${input.name} and id <> ${input.id}`;
      if (other) throw nameTaken();
    }
    await db`
      update public.lists set name = coalesce(${input.name ?? null}::text, name), description = coalesce(${input.description ?? null}::text, description)
      where tenant_id = (select kernel.tenant()) and id = ${input.id}`;
    return await read(ctx, input.id);
  },
});

export const deleteList = defineOperation({
  id: "lists.delete",
  method: "DELETE",
  path: "/lists/{id}",
  summary: "Delete a list",
  description: "The contacts on the list are kept.",
  permission: "contacts:delete",
  input: z.object({ id }),
  output: z.null(),
  status: 204,
  async handle(ctx, input) {
    const gone = await deleteUnused(
      "list",
      ctx.db`delete from public.lists where tenant_id = (select kernel.tenant()) and id = ${input.id} returning id`,
    );
    if (gone.length === 0) throw new AppError("not_found", "There is no such list.");
    return null;
  },
});

export const addToList = defineOperation({
  id: "lists.add_contacts",
  method: "POST",
  path: "/lists/{id}/contacts",
  summary: "Add contacts to a list",
  description: "Ids that are already on the list or belong to no contact are skipped and counted.",
  permission: "contacts:write",
  input: z.object({ id, contact_ids: z.array(id).min(1).max(1000) }),
  output: z.object({
    added: z.number().int(),
    already: z.number().int().describe("Number of ids that were already on the list."),
    unknown: z.number().int().describe("Number of ids that belong to no contact."),
  }),
  async handle(ctx, input) {
    const { db, tenantId } = ctx;
    await read(ctx, input.id);
    const wanted = [...new Set(input.contact_ids)];
    const [row] = await db<{ known: number; added: number }[]>`
      with known as (
        select c.id from public.contacts c where c.tenant_id = (select kernel.tenant()) and c.id = any(${wanted}::uuid[])
      ), added as (
        insert into public.list_contacts (tenant_id, list_id, contact_id) select ${tenantId}::uuid, ${input.id}::uuid, k.id from known k
        on conflict do nothing returning 1
      )
      select (select count(*)::int from known) as known, (select count(*)::int from added) as added`;
    return { added: row!.added, already: row!.known - row!.added, unknown: wanted.length - row!.known };
  },
});

export const removeFromList = defineOperation({
  id: "lists.remove_contact",
  method: "DELETE",
  path: "/lists/{id}/contacts/{contact_id}",
  summary: "Remove a contact from a list",
  permission: "contacts:write",
  input: z.object({ id, contact_id: id }),
  output: z.null(),
  status: 204,
  async handle(ctx, input) {
    const gone = await ctx.db`
      delete from public.list_contacts where tenant_id = (select kernel.tenant()) and list_id = ${input.id} and contact_id = ${input.contact_id} returning 1`;
    if (gone.length === 0) throw new AppError("not_found", "This contact is not on this list.");
    return null;
  },
});
