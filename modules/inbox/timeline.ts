import { z } from "zod";
import { id, Interaction } from "../contacts/schemas.ts";
import { AppError } from "../kernel/errors.ts";
import { cursorTime, decodeCursor, pageOf, pageParams, toPage, withoutSortKey } from "../kernel/operations/cursor.ts";
import { defineOperation } from "../kernel/operations/operation.ts";

type Row = z.input<typeof Interaction> & { sort_key: string };

/** A contact's timeline: what is noted of them, and the messages that were sent to them, which stand in the ledger alone. */
export const contactInteractions = defineOperation({
  id: "contacts.interactions",
  method: "GET",
  path: "/contacts/{id}/interactions",
  summary: "List a contact's timeline, newest first",
  permission: "contacts:read",
  input: z.object({ id, ...pageParams }),
  output: pageOf(Interaction),
  async handle(ctx, input) {
    const { db, tenantId } = ctx;
    const [known] = await db`select 1 from public.contacts where tenant_id = ${tenantId} and id = ${input.id}`;
    if (!known) throw new AppError("not_found", "There is no such contact.");
    const after = decodeCursor(input.cursor, z.tuple([cursorTime, id]));
    const older = (at: string) =>
      after ? db`and (${db(at)}, id) < (${after[0]}::text::timestamptz, ${after[1]}::text::uuid)` : db``;
    const wanted = input.limit + 1;
    const rows = await db<Row[]>`
      select i.*, i.at::text as sort_key from (
        (select id, kind, channel, direction, content, ref_table, ref_id, at from public.interactions
          where tenant_id = ${tenantId} and contact_id = ${input.id} ${older("at")}
          order by at desc, id desc limit ${wanted})
        union all
        (select id, channel || '_sent', channel, 'out', coalesce(nullif(subject, ''), left(body_text, 200)), 'messages', id, sent_at
          from public.messages
          where tenant_id = ${tenantId} and contact_id = ${input.id} and direction = 'out' and sent_at is not null ${older("sent_at")}
          order by sent_at desc, id desc limit ${wanted})
      ) i
      order by i.at desc, i.id desc limit ${wanted}`;
    return toPage(rows, input.limit, (r) => [r.sort_key, r.id], withoutSortKey);
  },
});
