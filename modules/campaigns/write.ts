import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { requireZone } from "../kernel/operations/time.ts";
import { plain } from "../kernel/text.ts";
import { messagingRelease } from "../messaging/release.ts";
import { requirePeople } from "../contacts/people.ts";
import { campaignsRetry } from "./audience/retry.ts";
import { campaignsPlan } from "./plan/plan.ts";
import { type CampaignRow, campaignRow, loadCampaign } from "./read.ts";
import { writtenSettings } from "./options.ts";
import { CampaignSchema, Name, SettingsPatch, SettingsSchema, Tier } from "./schemas.ts";
import { beginMoving } from "./sequence/move.ts";
import { copySequence, saveSteps } from "./sequence/store.ts";
import { type StepInput, StepsInput } from "./sequence/tree.ts";

/** Refuses senders that are not there, naming each, and writes the others in their order. */
async function putSenders(ctx: Ctx, campaignId: string, senderIds: readonly string[], began = false): Promise<void> {
  const { db, tenantId } = ctx;
  const ids = [...new Set(senderIds)];
  const known = await db<
    { id: string }[]
  >`select id from public.senders where tenant_id = ${tenantId} and id = any(${ids}::uuid[])`;
  const errors = senderIds.flatMap((id, i) =>
    known.some((k) => k.id === id) ? [] : [{ pointer: `/sender_ids/${i}`, detail: "There is no such sender." }],
  );
  if (errors.length > 0)
    throw new AppError("invalid", errors[0]!.detail, {
      errors,
      suggestion: "GET /senders lists the senders; add one under a connection first.",
    });
  const gone = await db<{ address: string }[]>`
    delete from public.campaign_senders cs using public.senders s
    where cs.tenant_id = ${tenantId} and cs.campaign_id = ${campaignId} and cs.sender_id <> all(${ids}::uuid[]) and s.tenant_id = cs.tenant_id and s.id = cs.sender_id
    returning s.address`;
  if (began && gone.length > 0)
    throw new AppError(
      "conflict",
      `Contacts of this campaign may already have messages from ${gone[0]!.address}: a sender cannot be removed after the campaign has started.`,
      {
        suggestion: "Pause the sender, or add other senders.",
      },
    );
  if (ids.length > 0)
    await db`
      insert into public.campaign_senders as cs (tenant_id, campaign_id, sender_id, position)
      select ${tenantId}::uuid, ${campaignId}::uuid, s.id, s.n from unnest(${ids}::uuid[]) with ordinality s (id, n)
      on conflict (tenant_id, campaign_id, sender_id) do update set position = excluded.position where cs.position <> excluded.position`;
  // Who was blocked because nobody could send tries again.
  if (began)
    await ctx.enqueue(campaignsRetry, { tenant_id: tenantId, campaign_id: campaignId, before: ctx.now.toISOString() });
}

export const People = z
  .enum(["move", "stay"])
  .default("move")
  .describe(
    "What happens to active enrollments when the steps change: they continue in the new version, or finish their version.",
  );

const full = {
  name: Name,
  sender_ids: z
    .array(z.uuid())
    .max(100)
    .default([])
    .describe("Ids of the senders: at least one for each channel of the steps. Several senders share the contacts."),
  list_id: z.uuid().nullable().default(null).describe("The list that is the audience, or"),
  segment_id: z
    .uuid()
    .nullable()
    .default(null)
    .describe("the segment that is the audience, evaluated when the campaign starts."),
  tier: Tier.default("standard"),
  settings: SettingsSchema.prefault({}),
  steps: StepsInput.default([]),
};

export const createCampaign = defineOperation({
  id: "campaigns.create",
  method: "POST",
  path: "/campaigns",
  summary: "Create a draft campaign",
  permission: "campaigns:write",
  input: z.object(full),
  output: CampaignSchema,
  status: 201,
  async handle(ctx, input) {
    await requirePeople(ctx, input);
    await requireZone(ctx, input.settings.time_zone, "/settings/time_zone");
    const { db } = ctx;
    const settings = writtenSettings(ctx, input.settings);
    const [row] = await db<{ id: string }[]>`
      insert into public.campaigns (tenant_id, name, tier, list_id, segment_id, settings)
      values (${ctx.tenantId}, ${input.name}, ${input.tier}, ${input.list_id}, ${input.segment_id}, ${db.json(settings as never)})
      returning id`;
    const id = row!.id;
    await putSenders(ctx, id, input.sender_ids);
    if (input.steps.length > 0) await saveSteps(ctx, await campaignRow(ctx, id), input.steps);
    ctx.audit({ name: input.name }, id);
    return await loadCampaign(ctx, id);
  },
});

const VersionRead = z
  .uuid()
  .nullable()
  .optional()
  .describe(
    "The campaign's `version_id` as it was read. Were the steps changed since then, the answer is 409 and nothing changes. Left out: not compared.",
  );

/**
 * The campaign's row, held until the transaction ends, for a caller who read its steps at `read` (undefined: not compared). Throws
 * 404, or 409 with the author of the present version where that is another one: each change of the steps gives a new id, also of a draft.
 */
async function campaignAsRead(ctx: Ctx, id: string, read: string | null | undefined): Promise<CampaignRow> {
  const row = await campaignRow(ctx, id, "update");
  if (read === undefined || read === row.version_id) return row;
  const [present] = await ctx.db<{ created_by: string }[]>`
    select created_by from public.sequence_versions where tenant_id = ${ctx.tenantId} and id = ${row.version_id}`;
  const author = present?.created_by ?? "";
  const by = author.includes("@") ? ` by ${author}` : author === "api_key" ? " by an API key" : "";
  throw new AppError("conflict", `The steps were changed meanwhile${by}. Nothing was saved.`, {
    errors: [{ pointer: "/version_id", detail: "is not the campaign's present version" }],
    suggestion: "Reload the campaign, then make your change to the steps it has now.",
  });
}

type Change = Partial<Pick<CampaignRow, "name" | "tier" | "list_id" | "segment_id" | "settings">> & {
  sender_ids?: string[] | undefined;
};

/** Writes what really changes, after asking whether it may. The caller holds the row. */
async function apply(ctx: Ctx, before: CampaignRow, change: Change): Promise<void> {
  before = { ...before, settings: writtenSettings(ctx, {}, before.settings) };
  const after = { ...before, ...change };
  if (change.list_id && change.segment_id === undefined) after.segment_id = null;
  if (change.segment_id && change.list_id === undefined) after.list_id = null;
  const differs = (keys: (keyof Change & keyof CampaignRow)[]) =>
    keys.some((k) => JSON.stringify(before[k]) !== JSON.stringify(after[k]));
  if (before.status === "archived")
    throw new AppError("conflict", "The campaign is archived.", {
      suggestion: "Clone the campaign and change the copy.",
    });
  if (before.status === "deleting") throw new AppError("conflict", "The campaign is being deleted.");
  if (differs(["list_id", "segment_id"]) && before.status !== "draft") {
    throw new AppError("conflict", "The audience is fixed once a campaign has started.", {
      suggestion: "Add contacts with POST /campaigns/{id}/leads, or clone the campaign and change the copy.",
    });
  }
  if (before.status === "stopped" || before.status === "done") {
    if (differs(["settings"]) || change.sender_ids)
      throw new AppError("conflict", `The campaign is ${before.status}: only its name can be changed.`, {
        suggestion: "Clone the campaign and change the copy.",
      });
  }
  await requirePeople(ctx, after);
  await requireZone(ctx, after.settings.time_zone, "/settings/time_zone");
  await ctx.db`
    update public.campaigns set name = ${after.name}, tier = ${after.tier}, list_id = ${after.list_id},
      segment_id = ${after.segment_id}, settings = ${ctx.db.json(after.settings as never)}
    where tenant_id = ${ctx.tenantId} and id = ${before.id}`;
  // What waits for the window asks again, and whoever is due.
  const hoursOf = (s: CampaignRow["settings"]) => JSON.stringify([s.time_zone, s.window, s.skip_dates]);
  if (before.status !== "draft" && hoursOf(before.settings) !== hoursOf(after.settings)) {
    await ctx.enqueue(messagingRelease, {
      tenant_id: ctx.tenantId,
      campaign_id: before.id,
      message_ids: [],
      deferred_as: "outside_window",
    });
    await ctx.enqueue(campaignsPlan, { tenant_id: ctx.tenantId });
  }
  if (change.sender_ids) await putSenders(ctx, before.id, change.sender_ids, before.status !== "draft");
}

export const putCampaign = defineOperation({
  id: "campaigns.put",
  method: "PUT",
  path: "/campaigns/{id}",
  summary: "Replace a campaign",
  description:
    "Fields that are left out get their default; without `steps` the steps are not changed. Campaign and steps are saved together or not at all.",
  permission: "campaigns:write",
  input: z.object({
    ...full,
    id: z.uuid(),
    steps: StepsInput.optional(),
    people: People,
    version_id: VersionRead,
  }),
  output: CampaignSchema,
  async handle(ctx, { id, steps, people, version_id, ...change }) {
    const before = await campaignAsRead(ctx, id, version_id);
    await apply(ctx, before, { ...change, settings: writtenSettings(ctx, change.settings) });
    if (steps) await changeSteps(ctx, before, steps, people);
    return await loadCampaign(ctx, id);
  },
});

export const patchCampaign = defineOperation({
  id: "campaigns.patch",
  method: "PATCH",
  path: "/campaigns/{id}",
  summary: "Change some fields of a campaign",
  description: "`settings` is merged key by key.",
  permission: "campaigns:write",
  input: z.object({
    id: z.uuid(),
    name: Name.optional(),
    sender_ids: z.array(z.uuid()).max(100).optional(),
    list_id: z.uuid().nullable().optional(),
    segment_id: z.uuid().nullable().optional(),
    tier: Tier.optional(),
    settings: SettingsPatch.optional(),
    steps: StepsInput.optional(),
    people: People,
    version_id: VersionRead,
  }),
  output: CampaignSchema,
  async handle(ctx, { id, steps, people, version_id, settings, ...rest }) {
    const before = await campaignAsRead(ctx, id, version_id);
    const given = Object.fromEntries(Object.entries(rest).filter(([, v]) => v !== undefined)) as Change;
    const named = Object.fromEntries(Object.entries(settings ?? {}).filter(([, v]) => v !== undefined));
    await apply(ctx, before, { ...given, settings: writtenSettings(ctx, named, before.settings) });
    if (steps) await changeSteps(ctx, before, steps, people);
    return await loadCampaign(ctx, id);
  },
});

/** Saves the steps. Of a campaign that began, people on the way are moved to the new version or finish theirs. */
export async function changeSteps(
  ctx: Ctx,
  campaign: CampaignRow,
  steps: StepInput[],
  people: z.output<typeof People>,
): Promise<void> {
  if (campaign.status === "stopped" || campaign.status === "done" || campaign.status === "archived")
    throw new AppError("conflict", `The campaign is ${campaign.status}: its steps cannot be changed.`, {
      suggestion: "Clone the campaign and change the copy.",
    });
  const versionId = await saveSteps(ctx, campaign, steps);
  if (versionId && campaign.status !== "draft" && people === "move") await beginMoving(ctx, campaign.id, versionId);
}

export const putSteps = defineOperation({
  id: "campaigns.steps.put",
  method: "PUT",
  path: "/campaigns/{id}/steps",
  summary: "Replace a campaign's steps",
  description:
    "All steps in order. A step that is given with its id keeps its statistics when it is moved or changed. For a campaign that has started, this creates the next version of the sequence.",
  permission: "campaigns:write",
  input: z.object({ id: z.uuid(), steps: StepsInput, people: People, version_id: VersionRead }),
  output: CampaignSchema,
  async handle(ctx, { id, steps, people, version_id }) {
    await changeSteps(ctx, await campaignAsRead(ctx, id, version_id), steps, people);
    return await loadCampaign(ctx, id);
  },
});

export const cloneCampaign = defineOperation({
  id: "campaigns.clone",
  method: "POST",
  path: "/campaigns/{id}/clone",
  summary: "Copy a campaign into a new draft",
  description: "Copies steps, settings, senders and audience, but not the enrollments and their history.",
  permission: "campaigns:write",
  input: z.object({ id: z.uuid(), name: Name.optional() }),
  output: CampaignSchema,
  status: 201,
  async handle(ctx, { id, name }) {
    const from = await campaignRow(ctx, id);
    const copied = name ?? `${plain(from.name, 112)} (copy)`;
    const [row] = await ctx.db<{ id: string }[]>`
      insert into public.campaigns (tenant_id, name, tier, list_id, segment_id, settings)
      select k.tenant_id, ${copied}, k.tier, k.list_id, k.segment_id, k.settings
      from public.campaigns k where k.tenant_id = ${ctx.tenantId} and k.id = ${id} returning id`;
    await ctx.db`
      insert into public.campaign_senders (tenant_id, campaign_id, sender_id, position)
      select cs.tenant_id, ${row!.id}::uuid, cs.sender_id, cs.position from public.campaign_senders cs
      where cs.tenant_id = ${ctx.tenantId} and cs.campaign_id = ${id}`;
    if (from.version_id) await copySequence(ctx, from.version_id, row!.id);
    ctx.audit({ from: id }, row!.id);
    return await loadCampaign(ctx, row!.id);
  },
});
