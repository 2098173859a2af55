import { spamWordsIn } from "../channels/email/lint.ts";
import type { Ctx } from "../kernel/context.ts";
import type { MessageHold, PlannedMessage } from "../kernel/hold.ts";

/** Links that somebody may follow, each counted once; the one to unsubscribe by is the channel's own. */
function linksIn({ prepared }: PlannedMessage): number {
  const own = prepared.email?.headers["List-Unsubscribe"] ?? "";
  const found = prepared.text.match(/https?:\/\/[^\s<>"')]+/g) ?? [];
  return new Set(found.filter((url) => !own.includes(url))).size;
}

/** The policy of campaigns and team, asked once for all messages of a batch: private.hold_messages decides and keeps why. */
export const holdForApproval: MessageHold<Ctx> = async (ctx, messages) => {
  const planned = messages.map((m) => ({
    id: m.id,
    channel: m.channel,
    contact_id: m.contact_id,
    campaign_id: m.campaign_id,
    enrollment_id: m.enrollment_id,
    step_id: m.step_id,
    sender_id: m.sender_id,
    subject: m.prepared.subject,
    body: m.prepared.text,
    spam_words: spamWordsIn(`${m.prepared.subject}\n${m.prepared.text}`).length,
    links: linksIn(m),
  }));
  const rows = await ctx.db<{ id: string }[]>`select id from private.hold_messages(${ctx.db.json(planned)}) as id`;
  return new Set(rows.map((r) => r.id));
};
