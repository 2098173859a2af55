import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { AppError, type FieldError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { type CampaignRow, campaignRow, customKeysOf, loadCampaign } from "./read.ts";
import { compile } from "../channels/email/template.ts";
import { CampaignSchema, type StepInput, StepsInput } from "./schemas.ts";

/** Throws one field error per fault that would make a step unsendable, each with its place and what was probably meant. */
export async function requireSteps(ctx: Ctx, steps: readonly StepInput[]): Promise<void> {
  const keys = await customKeysOf(ctx);
  const errors: FieldError[] = steps.flatMap((step, i) => [
    ...compileStep(step, keys)
      .faults.filter((f) => f.level === "error")
      .map((f) => ({ pointer: `/steps/${i}/${f.field}`, detail: f.detail })),
    ...(i === 0 && step.subject === ""
      ? [
          {
            pointer: "/steps/0/subject",
            detail: "The first step needs a subject; only follow-ups may answer in its thread.",
          },
        ]
      : []),
  ]);
  const ids = steps.flatMap((s) => s.id ?? []);
  const twice = ids.find((id, i) => ids.indexOf(id) !== i);
  if (twice)
    errors.push({
      pointer: `/steps/${steps.findLastIndex((s) => s.id === twice)}/id`,
      detail: "This step is in the list twice.",
    });
  if (errors.length > 0)
    throw new AppError("invalid", errors.length === 1 ? errors[0]!.detail : `The steps have ${errors.length} faults.`, {
      errors,
    });
}

/**
 * Replaces a campaign's steps: those with an id keep it, wherever they move. The caller holds the campaign's row. In a paused
 * campaign, people go on after the last step they had; what was planned but never tried is taken back and written again.
 */
export async function replaceSteps(ctx: Ctx, campaign: CampaignRow, steps: readonly StepInput[]): Promise<void> {
  const { db, tenantId } = ctx;
  await requireSteps(ctx, steps);
  const began = campaign.status !== "draft";
  if (began && steps.length === 0)
    throw new AppError("invalid", "A campaign that has begun needs at least one step.", {
      errors: [{ pointer: "/steps", detail: "must not be empty" }],
    });
  if (began) await takeBackPlanned(ctx, campaign.id);
  const known = await db<{ id: string; in_flight: boolean }[]>`
    select s.id, exists (select from public.messages m where m.tenant_id = s.tenant_id and m.campaign_id = s.campaign_id and m.step_id = s.id
      and m.status in ('queued', 'sending', 'unknown')) as in_flight
    from public.campaign_steps s where s.tenant_id = ${tenantId} and s.campaign_id = ${campaign.id}`;
  const ids = new Set(known.map((k) => k.id));
  const strange = steps.findIndex((s) => s.id && !ids.has(s.id));
  if (strange >= 0) {
    throw new AppError("invalid", "A step's id is not one of this campaign's steps.", {
      errors: [{ pointer: `/steps/${strange}/id`, detail: "is not a step of this campaign" }],
      suggestion: "Leave the id out for a new step.",
    });
  }
  const kept = steps.flatMap((s) => s.id ?? []);
  if (known.some((k) => k.in_flight && !kept.includes(k.id))) {
    throw new AppError("conflict", "A step to be removed has messages on their way.", {
      suggestion: "Wait until they are settled, or keep the step.",
    });
  }
  await db`delete from public.campaign_steps where tenant_id = ${tenantId} and campaign_id = ${campaign.id} and id <> all(${kept}::uuid[])`;
  const rows = steps.map((s, i) => ({
    id: s.id ?? null,
    position: i + 1,
    kind: s.kind,
    wait_hours: s.wait_hours,
    subject: s.subject,
    body: s.body,
  }));
  await db`
    insert into public.campaign_steps as st (tenant_id, id, campaign_id, position, kind, wait_hours, subject, body)
    select ${tenantId}::uuid, coalesce(r.id, kernel.uuid7()), ${campaign.id}::uuid, r.position, r.kind, r.wait_hours, r.subject, r.body
    from jsonb_to_recordset(${db.json(rows)}) as r(id uuid, position int, kind text, wait_hours numeric, subject text, body text)
    on conflict (tenant_id, id) do update set position = excluded.position, kind = excluded.kind, wait_hours = excluded.wait_hours,
      subject = excluded.subject, body = excluded.body
    where (st.position, st.kind, st.wait_hours, st.subject, st.body) is distinct from
      (excluded.position, excluded.kind, excluded.wait_hours, excluded.subject, excluded.body)`;
  if (began) await followSteps(ctx, campaign.id);
}

/** Messages that were planned and never tried vanish, and their people wait again. A tried one stays: its key may be known outside. */
export async function takeBackPlanned(ctx: Ctx, campaignId: string): Promise<void> {
  await ctx.db`
    with back as (
      delete from public.messages m
      where m.tenant_id = ${ctx.tenantId} and m.campaign_id = ${campaignId} and m.direction = 'out' and m.status = 'queued' and m.attempts = 0
      returning m.enrollment_id, m.step
    )
    update public.enrollments e set status = 'waiting', next_at = kernel.now(), step = b.step - 1
    from back b where e.tenant_id = ${ctx.tenantId} and e.id = b.enrollment_id and e.status = 'sending'`;
}

/** Moves everybody's place to where the last step they had now stands, and their next moment to its new wait. */
async function followSteps(ctx: Ctx, campaignId: string): Promise<void> {
  const { db, tenantId } = ctx;
  await db`
    update public.messages m set step = s.position from public.campaign_steps s
    where m.tenant_id = ${tenantId} and m.campaign_id = ${campaignId} and s.tenant_id = m.tenant_id and s.id = m.step_id and m.step <> s.position`;
  await db`
    with had as (
      select e.id, coalesce(h.position, 0) as position, h.sent_at
      from public.enrollments e
      left join lateral (
        select s.position, m.sent_at from public.messages m
        join public.campaign_steps s on s.tenant_id = m.tenant_id and s.id = m.step_id
        where m.tenant_id = e.tenant_id and m.enrollment_id = e.id and m.direction = 'out' order by s.position desc limit 1) h on true
      where e.tenant_id = ${tenantId} and e.campaign_id = ${campaignId} and e.status in ('waiting', 'sending', 'blocked')
    )
    update public.enrollments e set step = h.position,
      next_at = case when e.status <> 'waiting' then null when h.sent_at is null then e.next_at
        else h.sent_at + make_interval(secs => coalesce(n.wait_hours, 0)::float8 * 3600) end
    from had h left join public.campaign_steps n on n.tenant_id = ${tenantId} and n.campaign_id = ${campaignId} and n.position = h.position + 1
    where e.tenant_id = ${tenantId} and e.id = h.id`;
}

/** Refuses changes to what a running or ended campaign sends, and says what to do. */
export function requireEditable(campaign: CampaignRow, what: string): void {
  if (campaign.status === "draft" || campaign.status === "paused") return;
  throw new AppError(
    "conflict",
    `The campaign is ${campaign.status}: ${what} can be changed while it is a draft or paused.`,
    {
      suggestion: campaign.status === "running" ? "Pause it first." : "Clone it and change the copy.",
    },
  );
}

export const putSteps = defineOperation({
  id: "campaigns.steps.put",
  method: "PUT",
  path: "/campaigns/{id}/steps",
  summary: "Replace a campaign's steps",
  description:
    "In their order. A step with its id keeps its history when it is moved. Only for drafts and paused campaigns.",
  permission: "campaigns:write",
  input: z.object({ id: z.uuid(), steps: StepsInput }),
  output: CampaignSchema,
  async handle(ctx, { id, steps }) {
    const campaign = await campaignRow(ctx, id, "update");
    requireEditable(campaign, "its steps");
    await replaceSteps(ctx, campaign, steps);
    return await loadCampaign(ctx, id);
  },
});
