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
import { pageOfContacts } from "./contact-page.ts";
import { countContacts, whereContacts } from "./contact-query.ts";
import { prepare } from "./filter-sql.ts";
import { FilterSchema } from "./filter.ts";
import { Contact, id, timestamp } from "./schemas.ts";

/** Saved filters: who is in one is decided when it is asked. */

const Segment = z
  .object({
    id,
    name: z.string(),
    filter: z.record(z.string(), z.unknown()).describe("A Filter."),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "Segment" });
type SegmentRow = z.input<typeof Segment>;

const name = z.string().overwrite(clean).min(1).max(120);
const columns = (ctx: Ctx) => ctx.db`s.id, s.name, s.filter, s.created_at, s.updated_at`;

async function read(ctx: Ctx, segmentId: string): Promise<SegmentRow> {
  const [row] = await ctx.db<
    SegmentRow[]
  >`select ${columns(ctx)} from public.segments s where s.tenant_id = ${ctx.tenantId} and s.id = ${segmentId}`;
  if (!row) throw new AppError("not_found", "There is no such segment.");
  return { ...row };
}

const nameTaken = () =>
  new AppError("conflict", "Another segment has this name.", {
    errors: [{ pointer: "/name", detail: "is taken by another segment" }],
  });

export const listSegments = defineOperation({
  id: "segments.list",
  method: "GET",
  path: "/segments",
  summary: "List the segments, newest first",
  permission: "contacts:read",
  input: z.object({ ...pageParams, ...searchParam }),
  output: pageOf(Segment),
  async handle(ctx, input) {
    const { db } = ctx;
    const after = decodeCursor(input.cursor, z.tuple([cursorTime, id]));
    const rows = await db<(SegmentRow & { sort_key: string })[]>`
      select ${columns(ctx)}, s.created_at::text as sort_key
      from public.segments s
      where s.tenant_id = ${ctx.tenantId}
        ${input.search ? db`and position(kernel.fold(${input.search}::text) in kernel.fold(s.name)) > 0` : db``}
        ${after ? db`and (s.created_at, s.id) < (${after[0]}::text::timestamptz, ${after[1]}::text::uuid)` : db``}
      order by s.created_at desc, s.id desc
      limit ${input.limit + 1}`;
    return toPage(rows, input.limit, (r) => [r.sort_key, r.id], withoutSortKey);
  },
});

export const createSegment = defineOperation({
  id: "segments.create",
  method: "POST",
  path: "/segments",
  summary: "Save a filter as a segment",
  permission: "contacts:write",
  input: z.object({ name, filter: FilterSchema }),
  output: Segment,
  status: 201,
  async handle(ctx, input) {
    await prepare(ctx.db, ctx.tenantId, { filters: [{ filter: input.filter, pointer: "/filter" }] });
    const [row] = await ctx.db<{ id: string }[]>`
      insert into public.segments (tenant_id, name, filter) values (${ctx.tenantId}, ${input.name}, ${ctx.db.json(input.filter)})
      on conflict (tenant_id, name) do nothing
      returning id`;
    if (!row) throw nameTaken();
    return await read(ctx, row.id);
  },
});

export const previewSegment = defineOperation({
  id: "segments.preview",
  method: "POST",
  path: "/segments/preview",
  summary: "Count the contacts a filter selects, with a sample",
  permission: "contacts:read",
  input: z.object({ filter: FilterSchema }),
  output: z.object({
    count: z.number().int(),
    exact: z.boolean().describe("False: there are at least so many."),
    sample: z.array(Contact).describe("The ten newest contacts."),
  }),
  async handle(ctx, input) {
    const where = await whereContacts(ctx, { tree: input.filter });
    const counted = await countContacts(ctx, where, false);
    const { data } = await pageOfContacts(ctx, where, { sort: "created_at", limit: 10 });
    return { ...counted, sample: data };
  },
});

export const readSegment = defineOperation({
  id: "segments.get",
  method: "GET",
  path: "/segments/{id}",
  summary: "Read a segment",
  permission: "contacts:read",
  input: z.object({ id }),
  output: Segment,
  handle: (ctx, input) => read(ctx, input.id),
});

export const updateSegment = defineOperation({
  id: "segments.update",
  method: "PATCH",
  path: "/segments/{id}",
  summary: "Change a segment",
  permission: "contacts:write",
  input: z.object({ id, name: name.optional(), filter: FilterSchema.optional() }),
  output: Segment,
  async handle(ctx, input) {
    const { db, tenantId } = ctx;
    if (input.filter !== undefined)
      await prepare(db, tenantId, { filters: [{ filter: input.filter, pointer: "/filter" }] });
    if (input.name !== undefined) {
      const [other] =
        await db`select 1 from public.segments where tenant_id = ${tenantId} and name = ${input.name} and id <> ${input.id}`;
      if (other) throw nameTaken();
    }
    const filter = input.filter === undefined ? null : JSON.stringify(input.filter);
    await db`
      update public.segments set name = coalesce(${input.name ?? null}::text, name), filter = coalesce(${filter}::text::jsonb, filter)
      where tenant_id = ${tenantId} and id = ${input.id}`;
    return await read(ctx, input.id);
  },
});

export const deleteSegment = defineOperation({
  id: "segments.delete",
  method: "DELETE",
  path: "/segments/{id}",
  summary: "Delete a segment",
  description: "The contacts it selected are kept.",
  permission: "contacts:delete",
  input: z.object({ id }),
  output: z.null(),
  status: 204,
  async handle(ctx, input) {
    const gone = await deleteUnused(
      "segment",
      ctx.db`delete from public.segments where tenant_id = ${ctx.tenantId} and id = ${input.id} returning id`,
    );
    if (gone.length === 0) throw new AppError("not_found", "There is no such segment.");
    return null;
  },
});
