import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { type AudienceReport, audienceReport, sourceOf } from "./audience.ts";
import { lintSteps } from "./lint.ts";
import { type CampaignRow, campaignRow, customKeysOf, type StepRow, stepsOf } from "./read.ts";
import { compileStep } from "./render.ts";
import { byId } from "./schemas.ts";

/** The launch check: everything that would keep a campaign from reaching its people, before it starts. */

export type Check = { id: string; level: "error" | "warning" | "ok"; detail: string; fix?: string | undefined };
export type Report = { ok: boolean; checks: Check[]; audience: AudienceReport };

const ReportSchema = z.object({
  ok: z.boolean().describe("Whether the campaign can start: no check is an error."),
  checks: z.array(
    z.object({
      id: z.string(),
      level: z.enum(["error", "warning", "ok"]),
      detail: z.string(),
      fix: z.string().optional(),
    }),
  ),
  audience: z.object({
    count: z.number().int().describe("People the audience selects."),
    suppressed: z.number().int().describe("Of these, not written to because their address is suppressed."),
    without_email: z.number().int(),
    missing_variables: z.array(
      z.object({
        variable: z.string(),
        count: z.number().int().describe("People who would be blocked for want of it."),
      }),
    ),
  }),
});

type SenderRow = {
  from_email: string;
  status: string;
  daily_cap: number;
  reserved: number;
  connection_name: string;
  connection_status: string;
  provider: string;
  webhook_registered: boolean;
  open_until: Date | null;
  window_open: boolean;
};

export async function checkCampaign(ctx: Ctx, campaign: CampaignRow): Promise<Report> {
  const steps = await stepsOf(ctx, campaign.id);
  const customKeys = await customKeysOf(ctx);
  const templates = steps.map((s) => compileStep(s, customKeys));
  const checks: Check[] = [
    ...stepChecks(
      steps,
      templates.map((t) => t.faults),
    ),
  ];
  const sender = await senderOf(ctx, campaign);
  const provider = ctx.registry.providers.find((p) => p.id === sender?.provider);
  checks.push(...senderChecks(sender, provider?.webhook !== undefined));

  const uses = templates.flatMap((t) => t.uses).filter((u) => u.fallback === null);
  const audience = await audienceReport(ctx, campaign, uses);
  checks.push(...audienceChecks(campaign, audience));
  if (sender) checks.push(...paceChecks(campaign, sender, steps, audience));
  return { ok: checks.every((c) => c.level !== "error"), checks, audience };
}

function stepChecks(steps: StepRow[], faults: ReturnType<typeof compileStep>["faults"][]): Check[] {
  if (steps.length === 0)
    return [{ id: "steps", level: "error", detail: "The campaign has no steps.", fix: "Write at least one e-mail." }];
  const found: Check[] = faults.flatMap((list, i) =>
    list.map((f) => ({
      id: f.id,
      level: f.level,
      detail: `Step ${i + 1}: ${f.detail}`,
      ...(f.level === "error" ? { fix: "Edit the step." } : {}),
    })),
  );
  if (steps[0]!.subject === "")
    found.push({ id: "subject", level: "error", detail: "The first step has no subject.", fix: "Write one." });
  found.push(...lintSteps(steps).map((l) => ({ id: l.id, level: "warning" as const, detail: l.detail })));
  if (found.every((f) => f.level !== "error")) {
    found.push({
      id: "steps",
      level: "ok",
      detail: `${steps.length} ${steps.length === 1 ? "step" : "steps"}. An unsubscribe link is added to each message.`,
    });
  }
  return found;
}

async function senderOf(ctx: Ctx, campaign: CampaignRow): Promise<SenderRow | null> {
  const [row] = await ctx.db<SenderRow[]>`
    select s.from_email, s.status, s.daily_cap, coalesce(u.reserved, 0) as reserved, c.name as connection_name, c.status as connection_status, c.provider,
      c.webhook_registered, c.open_until, private.in_window(k.settings, kernel.now()) as window_open
    from public.campaigns k
    join public.senders s on s.tenant_id = k.tenant_id and s.id = k.sender_id
    join public.connections c on c.tenant_id = s.tenant_id and c.id = coalesce(k.connection_id, s.connection_id)
    left join public.sender_usage u on u.tenant_id = s.tenant_id and u.sender_id = s.id and u.day = (kernel.now() at time zone s.time_zone)::date
    where k.tenant_id = ${ctx.tenantId} and k.id = ${campaign.id}`;
  return row ?? null;
}

function senderChecks(sender: SenderRow | null, reportsBack: boolean): Check[] {
  if (!sender)
    return [{ id: "sender", level: "error", detail: "The campaign has no sender.", fix: "Choose who writes." }];
  const checks: Check[] = [];
  if (sender.status !== "active")
    checks.push({
      id: "sender",
      level: "error",
      detail: `The sender ${sender.from_email} is ${sender.status}.`,
      fix: "Activate it, or choose another.",
    });
  else if (sender.daily_cap === 0)
    checks.push({
      id: "sender",
      level: "error",
      detail: `The sender ${sender.from_email} may send 0 messages a day.`,
      fix: "Raise its daily cap.",
    });
  else
    checks.push({
      id: "sender",
      level: "ok",
      detail: `From ${sender.from_email}, at most ${sender.daily_cap} messages a day.`,
    });

  if (sender.connection_status !== "active") {
    checks.push({
      id: "connection",
      level: "error",
      detail: `The connection ${sender.connection_name} is ${sender.connection_status}.`,
      fix: "Check and activate it under Connections.",
    });
  } else checks.push({ id: "connection", level: "ok", detail: `The connection ${sender.connection_name} is active.` });

  if (!reportsBack) {
    checks.push({
      id: "webhook",
      level: "warning",
      detail: `${sender.connection_name} has no way to report back: only opens, clicks and unsubscribes are seen.`,
    });
  } else if (!sender.webhook_registered) {
    checks.push({
      id: "webhook",
      level: "warning",
      detail: `${sender.connection_name} does not report back yet: deliveries, bounces and replies stay unseen.`,
      fix: "Register its webhook under Connections.",
    });
  } else
    checks.push({
      id: "webhook",
      level: "ok",
      detail: `${sender.connection_name} reports deliveries, bounces and replies.`,
    });
  return checks;
}

const persons = (n: number) => (n === 1 ? "1 person" : `${n} people`);

function audienceChecks(campaign: CampaignRow, audience: AudienceReport): Check[] {
  const writable = audience.count - audience.suppressed - audience.without_email;
  if (!sourceOf(campaign) && audience.count === 0) {
    return [
      {
        id: "audience",
        level: "error",
        detail: "The campaign has no audience.",
        fix: "Choose a list or a segment, or add people.",
      },
    ];
  }
  const checks: Check[] = [];
  if (writable <= 0)
    checks.push({
      id: "audience",
      level: "error",
      detail: `Nobody of ${persons(audience.count)} in the audience can be written to.`,
      fix: "Choose another audience.",
    });
  else checks.push({ id: "audience", level: "ok", detail: `${persons(writable)} will be written to.` });
  if (audience.suppressed > 0)
    checks.push({
      id: "suppressed",
      level: "warning",
      detail: `${persons(audience.suppressed)} will be left out: suppressed.`,
    });
  if (audience.without_email > 0)
    checks.push({
      id: "without_email",
      level: "warning",
      detail: `${persons(audience.without_email)} will be left out: no e-mail address.`,
    });
  for (const { variable, count } of audience.missing_variables) {
    checks.push({
      id: "missing_variable",
      level: "warning",
      detail: `${persons(count)} ${count === 1 ? "has" : "have"} no ${variable} and would be held back.`,
      fix: `Add a fallback, {{${variable}|…}}, or fill in the values.`,
    });
  }
  return checks;
}

function paceChecks(campaign: CampaignRow, sender: SenderRow, steps: StepRow[], audience: AudienceReport): Check[] {
  const checks: Check[] = [];
  const { window, time_zone } = campaign.settings;
  if (!window) checks.push({ id: "window", level: "ok", detail: "Messages leave at any time of any day." });
  else {
    const minutes = (t: string) => Number(t.slice(0, 2)) * 60 + Number(t.slice(3));
    const length = minutes(window.end) - minutes(window.start);
    checks.push({
      id: "window",
      level: length < 60 ? "warning" : "ok",
      detail: `Messages leave on ${window.days.length} ${window.days.length === 1 ? "day" : "days"} a week from ${window.start} to ${window.end} (${time_zone})${sender.window_open ? "" : "; the window is closed now"}.`,
      ...(length < 60 ? { fix: "The window is shorter than an hour: widen it, or little will leave each day." } : {}),
    });
  }
  const writable = Math.max(0, audience.count - audience.suppressed - audience.without_email);
  if (writable > 0 && sender.daily_cap > 0 && steps.length > 0) {
    const days = estimateDays({
      people: writable,
      steps: steps.length,
      wait_hours: steps.slice(1).reduce((sum, s) => sum + s.wait_hours, 0),
      daily_cap: sender.daily_cap,
      days_a_week: window?.days.length ?? 7,
    });
    checks.push({
      id: "pace",
      level: days > 90 ? "warning" : "ok",
      detail: `Up to ${writable * steps.length} messages at ${sender.daily_cap} a day: about ${days} ${days === 1 ? "day" : "days"}.`,
      ...(days > 90 ? { fix: "Raise the sender's daily cap, or write to fewer people." } : {}),
    });
  }
  return checks;
}

/** Calendar days until the last message has left: bound by the cap on sending days, and by the waits between the steps. */
export function estimateDays(plan: {
  people: number;
  steps: number;
  wait_hours: number;
  daily_cap: number;
  days_a_week: number;
}): number {
  const sendingDays = Math.ceil((plan.people * plan.steps) / plan.daily_cap);
  const byCap = Math.ceil((sendingDays * 7) / plan.days_a_week);
  const firstRound = Math.ceil((Math.ceil(plan.people / plan.daily_cap) * 7) / plan.days_a_week);
  return Math.max(byCap, firstRound + Math.ceil(plan.wait_hours / 24));
}

/** Throws what the check found, as field errors, unless the campaign can start. */
export function requireReady(report: Report): void {
  const errors = report.checks.filter((c) => c.level === "error");
  if (errors.length === 0) return;
  throw new AppError(
    "invalid",
    errors.length === 1
      ? errors[0]!.detail
      : `${errors.length} checks stand against it: ${errors.map((e) => e.detail).join(" ")}`,
    {
      errors: errors.map((e) => ({ pointer: `/${e.id}`, detail: e.fix ? `${e.detail} ${e.fix}` : e.detail })),
      suggestion: errors[0]!.fix,
    },
  );
}

export const checkOperation = defineOperation({
  id: "campaigns.check",
  method: "GET",
  path: "/campaigns/{id}/check",
  summary: "What stands against starting, and what to expect",
  permission: "campaigns:read",
  input: byId,
  output: ReportSchema,
  handle: async (ctx, { id }) => await checkCampaign(ctx, await campaignRow(ctx, id)),
});
