import { z } from "zod";
import { cursorTime, decodeCursor, pageOf, pageParams, toPage } from "../kernel/operations/cursor.ts";
import { defineOperation } from "../kernel/operations/operation.ts";

const Activity = z
  .object({
    id: z.uuid(),
    at: z.iso.datetime(),
    kind: z.string(),
    message_id: z.uuid(),
    contact: z.object({ id: z.uuid(), name: z.string(), email: z.string() }).nullable(),
    campaign: z.object({ id: z.uuid(), name: z.string() }).nullable(),
    detail: z.string().describe("The clicked URL, the provider's text about a bounce, or else the subject."),
  })
  .meta({ id: "Activity" });

type Row = {
  id: string;
  at: Date;
  key: string;
  kind: string;
  message_id: string;
  contact_id: string | null;
  contact_name: string | null;
  to_address: string;
  campaign_id: string | null;
  campaign_name: string | null;
  detail: string;
};

export const activity = defineOperation({
  id: "analytics.activity",
  method: "GET",
  path: "/activity",
  summary: "List events of messages, newest first",
  permission: "analytics:read",
  replica: true,
  input: z.object(pageParams),
  output: pageOf(Activity),
  async handle(ctx, { limit, cursor }) {
    const after = decodeCursor(cursor, z.tuple([cursorTime, z.uuid()]));
    const { db } = ctx;
    const older = (at: string) =>
      after ? db`and (${db(at)}, id) < (${after[0]}::text::timestamptz, ${after[1]}::uuid)` : db``;
    // The page is cut on two indexes before anything is joined: what was sent stands on the messages, the rest are events.
    const rows = await db<Row[]>`
      select v.id, v.at, v.at::text as key, v.kind, v.message_id, m.contact_id, c.full_name as contact_name, m.to_address,
        m.campaign_id, k.name as campaign_name, left(coalesce(v.detail ->> 'url', v.detail ->> 'detail', m.subject), 500) as detail
      from (
        (select id, at, kind, message_id, detail from public.message_events
          where tenant_id = (select kernel.tenant()) and not is_bot ${older("at")}
          order by at desc, id desc limit ${limit + 1})
        union all
        (select id, sent_at, 'sent', id, '{}' from public.messages
          where tenant_id = (select kernel.tenant()) and sent_at is not null and direction = 'out' ${older("sent_at")}
          order by sent_at desc, id desc limit ${limit + 1})
        order by at desc, id desc limit ${limit + 1}
      ) v
      join public.messages m on m.tenant_id = (select kernel.tenant()) and m.id = v.message_id
      left join public.contacts c on c.tenant_id = m.tenant_id and c.id = m.contact_id
      left join public.campaigns k on k.tenant_id = m.tenant_id and k.id = m.campaign_id
      order by v.at desc, v.id desc`;
    return toPage(
      rows,
      limit,
      (r) => [r.key, r.id],
      (r) => ({
        id: r.id,
        at: r.at.toISOString(),
        kind: r.kind,
        message_id: r.message_id,
        contact: r.contact_id ? { id: r.contact_id, name: r.contact_name || r.to_address, email: r.to_address } : null,
        campaign: r.campaign_id ? { id: r.campaign_id, name: r.campaign_name ?? "" } : null,
        detail: r.detail,
      }),
    );
  },
});
