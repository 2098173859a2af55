import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { requireAudience } from "./audience.ts";
import { type CampaignRow, campaignRow, loadCampaign, type StepRow, stepsOf } from "./read.ts";
import { byId, CampaignSchema, Name, SettingsPatch, SettingsSchema, StepsInput, Tier } from "./schemas.ts";
import { replaceSteps, requireEditable, takeBackPlanned } from "./steps.ts";

async function requireSender(ctx: Ctx, senderId: string | null | undefined): Promise<void> {
  if (!senderId) return;
  const [row] = await ctx.db`select from public.senders where tenant_id = ${ctx.tenantId} and id = ${senderId}`;
  if (!row) throw invalidField("/sender_id", "There is no such sender.", "Add one under a connection first.");
}

const full = {
  name: Name,
  sender_id: z.uuid().nullable().default(null).describe("Who writes. Needed to start."),
  list_id: z.uuid().nullable().default(null).describe("Everybody on a list, or"),
  segment_id: z.uuid().nullable().default(null).describe("everybody in a saved segment when the campaign starts."),
  tier: Tier.default("standard"),
  settings: SettingsSchema.prefault({}),
  steps: StepsInput.default([]),
};

export const createCampaign = defineOperation({
  id: "campaigns.create",
  method: "POST",
  path: "/campaigns",
  summary: "Draft a campaign",
  permission: "campaigns:write",
  input: z.object(full),
  output: CampaignSchema,
  status: 201,
  async handle(ctx, input) {
    await requireSender(ctx, input.sender_id);
    await requireAudience(ctx, input);
    const { db } = ctx;
    const [row] = await db<{ id: string }[]>`
      insert into public.campaigns (tenant_id, name, tier, sender_id, list_id, segment_id, settings)
      values (${ctx.tenantId}, ${input.name}, ${input.tier}, ${input.sender_id}, ${input.list_id}, ${input.segment_id}, ${db.json(input.settings)})
      returning id`;
    const id = row!.id;
    if (input.steps.length > 0) await replaceSteps(ctx, await campaignRow(ctx, id), input.steps);
    ctx.audit({ name: input.name }, id);
    return await loadCampaign(ctx, id);
  },
});

type Change = Partial<Pick<CampaignRow, "name" | "tier" | "sender_id" | "list_id" | "segment_id" | "settings">>;

/** Writes what really changes, after asking whether it may. The caller holds the row. */
async function apply(ctx: Ctx, before: CampaignRow, change: Change): Promise<void> {
  // jsonb keeps keys in an order of its own; parsed, equal settings print alike.
  before = { ...before, settings: SettingsSchema.parse(before.settings) };
  const after = { ...before, ...change };
  if (change.list_id && change.segment_id === undefined) after.segment_id = null;
  if (change.segment_id && change.list_id === undefined) after.list_id = null;
  const differs = (keys: (keyof Change)[]) => keys.some((k) => JSON.stringify(before[k]) !== JSON.stringify(after[k]));
  if (before.status === "archived")
    throw new AppError("conflict", "The campaign is archived.", { suggestion: "Clone it and change the copy." });
  if (differs(["sender_id", "list_id", "segment_id"]) && before.status !== "draft") {
    throw new AppError("conflict", "Sender and audience are fixed once a campaign has started.", {
      suggestion: "Add people through its leads, or clone it and change the copy.",
    });
  }
  const settings = differs(["settings"]);
  if (settings) requireEditable(before, "its settings");
  await requireSender(ctx, change.sender_id);
  await requireAudience(ctx, after);
  await ctx.db`
    update public.campaigns set name = ${after.name}, tier = ${after.tier}, sender_id = ${after.sender_id}, list_id = ${after.list_id},
      segment_id = ${after.segment_id}, settings = ${ctx.db.json(after.settings)}
    where tenant_id = ${ctx.tenantId} and id = ${before.id}`;
  // Tracking is part of a message that is planned already.
  if (settings && before.status === "paused") await takeBackPlanned(ctx, before.id);
}

export const putCampaign = defineOperation({
  id: "campaigns.put",
  method: "PUT",
  path: "/campaigns/{id}",
  summary: "Replace a campaign",
  description: "What is left out falls back to its default; without `steps` the steps stay as they are.",
  permission: "campaigns:write",
  input: z.object({ ...full, id: z.uuid(), steps: StepsInput.optional() }),
  output: CampaignSchema,
  async handle(ctx, { id, steps, ...change }) {
    const before = await campaignRow(ctx, id, "update");
    await apply(ctx, before, change);
    if (steps) await replaceStepsIfChanged(ctx, before, steps);
    return await loadCampaign(ctx, id);
  },
});

export const patchCampaign = defineOperation({
  id: "campaigns.patch",
  method: "PATCH",
  path: "/campaigns/{id}",
  summary: "Change some of a campaign",
  description: "`settings` is merged key by key.",
  permission: "campaigns:write",
  input: z.object({
    id: z.uuid(),
    name: Name.optional(),
    sender_id: z.uuid().nullable().optional(),
    list_id: z.uuid().nullable().optional(),
    segment_id: z.uuid().nullable().optional(),
    tier: Tier.optional(),
    settings: SettingsPatch.optional(),
    steps: StepsInput.optional(),
  }),
  output: CampaignSchema,
  async handle(ctx, { id, steps, settings, ...rest }) {
    const before = await campaignRow(ctx, id, "update");
    const given = Object.fromEntries(Object.entries(rest).filter(([, v]) => v !== undefined)) as Change;
    const named = Object.fromEntries(Object.entries(settings ?? {}).filter(([, v]) => v !== undefined));
    await apply(ctx, before, { ...given, settings: SettingsSchema.parse({ ...before.settings, ...named }) });
    if (steps) await replaceStepsIfChanged(ctx, before, steps);
    return await loadCampaign(ctx, id);
  },
});

async function replaceStepsIfChanged(
  ctx: Ctx,
  campaign: CampaignRow,
  steps: z.output<typeof StepsInput>,
): Promise<void> {
  if (sameSteps(await stepsOf(ctx, campaign.id), steps)) return;
  requireEditable(campaign, "its steps");
  await replaceSteps(ctx, campaign, steps);
}

/** Waits are stored in ten thousandths of an hour. */
const WAIT_STEP = 0.0001;

/** Whether these are the stored steps, untouched: an editor sends them along with a new name, also while the campaign runs. */
const sameSteps = (stored: readonly StepRow[], given: z.output<typeof StepsInput>): boolean =>
  stored.length === given.length &&
  given.every((g, i) => {
    const s = stored[i]!;
    return (
      g.id === s.id &&
      g.kind === s.kind &&
      Math.abs(g.wait_hours - Number(s.wait_hours)) < WAIT_STEP &&
      g.subject === s.subject &&
      g.body === s.body
    );
  });

export const deleteCampaign = defineOperation({
  id: "campaigns.delete",
  method: "DELETE",
  path: "/campaigns/{id}",
  summary: "Delete a draft or archived campaign",
  description: "Its messages stay in the people's history.",
  permission: "campaigns:write",
  input: byId,
  output: z.null(),
  status: 204,
  async handle(ctx, { id }) {
    const campaign = await campaignRow(ctx, id, "update");
    if (campaign.status !== "draft" && campaign.status !== "archived") {
      throw new AppError(
        "conflict",
        `The campaign is ${campaign.status}; drafts and archived campaigns can be deleted.`,
        {
          suggestion:
            campaign.status === "running" || campaign.status === "paused"
              ? "Stop and archive it first."
              : "Archive it first.",
        },
      );
    }
    // Without its enrollment nothing would hold a queued message back.
    await ctx.db`
      update public.messages set status = 'cancelled', due_at = null, error = 'The campaign was deleted.'
      where tenant_id = ${ctx.tenantId} and campaign_id = ${id} and status = 'queued'`;
    await ctx.db`delete from public.campaigns where tenant_id = ${ctx.tenantId} and id = ${id}`;
    return null;
  },
});

export const cloneCampaign = defineOperation({
  id: "campaigns.clone",
  method: "POST",
  path: "/campaigns/{id}/clone",
  summary: "Copy a campaign into a new draft",
  description: "Steps, settings, sender and audience; not the people and their history.",
  permission: "campaigns:write",
  input: z.object({ id: z.uuid(), name: Name.optional() }),
  output: CampaignSchema,
  status: 201,
  async handle(ctx, { id, name }) {
    const from = await campaignRow(ctx, id);
    const copied = name ?? `${from.name.slice(0, 112)} (copy)`;
    const [row] = await ctx.db<{ id: string }[]>`
      insert into public.campaigns (tenant_id, name, tier, sender_id, list_id, segment_id, settings)
      select k.tenant_id, ${copied}, k.tier, k.sender_id, k.list_id, k.segment_id, k.settings
      from public.campaigns k where k.tenant_id = ${ctx.tenantId} and k.id = ${id} returning id`;
    await ctx.db`
      insert into public.campaign_steps (tenant_id, campaign_id, position, kind, wait_hours, subject, body)
      select s.tenant_id, ${row!.id}::uuid, s.position, s.kind, s.wait_hours, s.subject, s.body
      from public.campaign_steps s where s.tenant_id = ${ctx.tenantId} and s.campaign_id = ${id}`;
    ctx.audit({ from: id }, row!.id);
    return await loadCampaign(ctx, row!.id);
  },
});
