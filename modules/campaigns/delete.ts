import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { type AnyConsumer, defineConsumer, done } from "../kernel/queues/consumer.ts";
import { campaignRow } from "./read.ts";
import { byId } from "./schemas.ts";

const Payload = z.object({ tenant_id: z.uuid(), campaign_id: z.uuid() });
type Payload = z.output<typeof Payload>;

/** Deletes the next portion of a campaign, and the campaign itself with the last one; says whether it is gone. */
async function deletePortion(ctx: Ctx, id: string): Promise<boolean> {
  const [row] = await ctx.db<{ gone: boolean }[]>`select private.delete_campaign(${id}) as gone`;
  return row!.gone;
}

/** Deletes what is left of a campaign, a portion a transaction. */
export const campaignsDelete: AnyConsumer<Payload> = defineConsumer<Payload>({
  queue: "campaigns_delete",
  payload: Payload,
  visibilitySeconds: 60, // a portion takes well under a second
  maxAttempts: 10,
  async handle(ctx, payload) {
    if (!(await deletePortion(ctx, payload.campaign_id))) await ctx.enqueue(campaignsDelete, payload);
    return done();
  },
});

export const deleteCampaign = defineOperation({
  id: "campaigns.delete",
  method: "DELETE",
  path: "/campaigns/{id}",
  summary: "Delete a draft or archived campaign",
  description:
    "Its messages are kept in the timelines of the contacts. A campaign with more than a thousand people is deleted after the answer, and has the status `deleting` until then.",
  permission: "campaigns:write",
  input: byId,
  output: z.null(),
  status: 204,
  async handle(ctx, { id }) {
    const { status } = await campaignRow(ctx, id, "update");
    if (status === "deleting") return null;
    if (status !== "draft" && status !== "archived") {
      throw new AppError("conflict", `The campaign is ${status}; only drafts and archived campaigns can be deleted.`, {
        suggestion:
          status === "running" || status === "paused"
            ? "Stop and archive the campaign first."
            : "Archive the campaign first.",
      });
    }
    await ctx.db`update public.campaigns set status = 'deleting' where tenant_id = ${ctx.tenantId} and id = ${id}`;
    if (!(await deletePortion(ctx, id)))
      await ctx.enqueue(campaignsDelete, { tenant_id: ctx.tenantId, campaign_id: id });
    return null;
  },
});
