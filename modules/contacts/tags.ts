import { z } from "zod";
import { decodeCursor, pageOf, pageParams, searchParam, toPage } from "../kernel/operations/cursor.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import type { Tx } from "../kernel/database/db.ts";
import { Tag } from "./schemas.ts";
import { type AwkwardTags, awkwardTags } from "./tag-cell.ts";

/** Tags with separators that are looked for at most. */
const MAX_AWKWARD = 1000;

/** The team's tags that contain what separates tags in a CSV cell. */
export async function loadAwkwardTags(db: Tx, tenantId: string): Promise<AwkwardTags> {
  const rows = await db<{ tag: string }[]>`
    select t.bucket as tag from kernel.counts(array['tagged_contacts'], 'tenant', array[${tenantId}]::uuid[]) t
    where t.n > 0 and t.bucket ~ '[,;|]' order by t.bucket limit ${MAX_AWKWARD}`;
  return awkwardTags(rows.map((row) => row.tag));
}

/** Tags exist by being used; a tag that nobody has is gone. */
export const listTags = defineOperation({
  id: "tags.list",
  method: "GET",
  path: "/tags",
  summary: "List the tags in use, with the number of contacts",
  permission: "contacts:read",
  input: z.object({ ...pageParams, ...searchParam }),
  output: pageOf(Tag),
  async handle(ctx, input) {
    const { db } = ctx;
    const after = decodeCursor(input.cursor, z.tuple([z.string().max(200)]));
    const rows = await db<{ tag: string; contact_count: number }[]>`
      select t.bucket as tag, t.n as contact_count
      from kernel.counts(array['tagged_contacts'], 'tenant', array[${ctx.tenantId}]::uuid[]) t
      where t.n > 0
        ${input.search ? db`and position(kernel.fold(${input.search}::text) in kernel.fold(t.bucket)) > 0` : db``}
        ${after ? db`and t.bucket > ${after[0]}::text` : db``}
      order by t.bucket
      limit ${input.limit + 1}`;
    return toPage(
      rows,
      input.limit,
      (r) => [r.tag],
      (r) => ({ ...r }),
    );
  },
});
