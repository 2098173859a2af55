import { z } from "zod";
import { decodeCursor, pageOf, pageParams, searchParam, toPage } from "../kernel/operations/cursor.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { Tag } from "./schemas.ts";

/** Tags have no id: their tallies stand under zeros. */
const NO_REF = "00000000-0000-0000-0000-000000000000";

/** Tags exist by being used; a tag that nobody has is gone. */
export const listTags = defineOperation({
  id: "tags.list",
  method: "GET",
  path: "/tags",
  summary: "List the tags in use, with the number of people",
  permission: "contacts:read",
  input: z.object({ ...pageParams, ...searchParam }),
  output: pageOf(Tag),
  async handle(ctx, input) {
    const { db } = ctx;
    const after = decodeCursor(input.cursor, z.tuple([z.string().max(200)]));
    const rows = await db<{ tag: string; contact_count: number }[]>`
      select t.key as tag, t.n as contact_count
      from private.tally(array['tag'], array[${NO_REF}]::uuid[]) t
      where t.n > 0
        ${input.search ? db`and position(lower(${input.search}::text) in lower(t.key)) > 0` : db``}
        ${after ? db`and t.key > ${after[0]}::text` : db``}
      order by t.key
      limit ${input.limit + 1}`;
    return toPage(
      rows,
      input.limit,
      (r) => [r.tag],
      (r) => ({ ...r }),
    );
  },
});
