import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import type { Filter } from "./filter.ts";
import { type Fragment, prepare } from "./filter-sql.ts";

/** Where people of a work over many contacts come from: a list, a saved segment, a filter of the moment, or ids. */
export type Source = { list_id: string } | { segment_id: string } | { filter: unknown } | { contact_ids: string[] };
export const SourceSchema = z.union([
  z.object({ list_id: z.uuid() }),
  z.object({ segment_id: z.uuid() }),
  z.object({ filter: z.json() }),
  z.object({ contact_ids: z.array(z.uuid()) }),
]);

/**
 * The people of a source as a condition over contacts `c`; null: nobody. In an object, because a fragment is a thenable:
 * returned bare from an async function it would be run instead of passed on.
 */
export async function peopleCondition(ctx: Ctx, source: Source | null): Promise<{ people: Fragment }> {
  const { db } = ctx;
  if (source === null) return { people: db`false` };
  if ("contact_ids" in source) return { people: db`c.id = any(${source.contact_ids}::uuid[])` };
  if ("list_id" in source) {
    return {
      people: db`c.id in (select lc.contact_id from public.list_contacts lc where lc.tenant_id = (select kernel.tenant()) and lc.list_id = ${source.list_id})`,
    };
  }
  if ("filter" in source) return await filtered(ctx, source.filter, "/filter");
  const [segment] = await db<
    { filter: unknown }[]
  >`select filter from public.segments where tenant_id = (select kernel.tenant()) and id = ${source.segment_id}`;
  if (!segment) throw new AppError("not_found", "The segment no longer exists.");
  return await filtered(ctx, segment.filter, "/segment");
}

const filtered = async (ctx: Ctx, filter: unknown, pointer: string) => ({
  people: (await prepare(ctx.db, ctx.tenantId, { filters: [{ filter, pointer }] })).filter(filter as Filter),
});

/** Before every id there is. */
const FIRST = "00000000-0000-0000-0000-000000000000";

/** The next ids of a source after `cursor`, in their order, as a query. A list's come from the list, which may be a small part of all. */
export async function pageOfPeople(
  ctx: Ctx,
  source: Source,
  cursor: string | null,
  quantity: number,
): Promise<{ ids: Fragment }> {
  const { db } = ctx;
  if ("list_id" in source)
    return {
      // Both columns in the comparison: the index that begins with the contact cannot serve it.
      ids: db`
        select lc.contact_id as id from public.list_contacts lc
        where lc.tenant_id = (select kernel.tenant()) and lc.list_id = ${source.list_id}
          and (lc.list_id, lc.contact_id) > (${source.list_id}::uuid, ${cursor ?? FIRST}::uuid)
        order by lc.contact_id limit ${quantity}`,
    };
  const { people } = await peopleCondition(ctx, source);
  return {
    ids: db`
      select c.id from public.contacts c
      where c.tenant_id = (select kernel.tenant()) and ${people} ${cursor ? db`and c.id > ${cursor}::uuid` : db``}
      order by c.id limit ${quantity}`,
  };
}

/** Refuses a list or segment that is not there, naming the field. */
export async function requirePeople(
  ctx: Ctx,
  input: { list_id?: string | null | undefined; segment_id?: string | null | undefined },
): Promise<void> {
  if (input.list_id && input.segment_id)
    throw invalidField("/segment_id", "Give a list or a segment, not both.", "Remove list_id or segment_id.");
  if (input.list_id) {
    const [row] =
      await ctx.db`select from public.lists where tenant_id = (select kernel.tenant()) and id = ${input.list_id}`;
    if (!row) throw invalidField("/list_id", "There is no such list.");
  }
  if (input.segment_id) {
    const [row] =
      await ctx.db`select from public.segments where tenant_id = (select kernel.tenant()) and id = ${input.segment_id}`;
    if (!row) throw invalidField("/segment_id", "There is no such segment.");
  }
}
