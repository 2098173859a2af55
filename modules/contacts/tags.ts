import { z } from "zod";
import { decodeCursor, pageOf, pageParams, toPage } from "../kernel/cursor.ts";
import { defineOperation } from "../kernel/operation.ts";
import { Tag } from "./schemas.ts";

/** Tags exist by being used; a tag that nobody has is gone. */
export const listTags = defineOperation({
  id: "tags.list",
  method: "GET",
  path: "/tags",
  summary: "List the tags in use, with the number of people",
  permission: "contacts:read",
  input: z.object(pageParams),
  output: pageOf(Tag),
  async handle(ctx, input) {
    const { db } = ctx;
    const after = decodeCursor(input.cursor, z.tuple([z.string().max(200)]));
    const rows = await db<{ tag: string; contact_count: number }[]>`
      select t.tag, count(*)::int as contact_count
      from public.contacts c, unnest(c.tags) as t(tag)
      where c.tenant_id = ${ctx.tenantId} and c.tags <> '{}' ${after ? db`and t.tag > ${after[0]}::text` : db``}
      group by t.tag
      order by t.tag
      limit ${input.limit + 1}`;
    return toPage(
      rows,
      input.limit,
      (r) => [r.tag],
      (r) => ({ ...r }),
    );
  },
});
