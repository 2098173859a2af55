import { z } from "zod";
import type { VariableUse } from "../kernel/channel.ts";
import type { Ctx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { takeTurns } from "../kernel/pause.ts";
import { type AudienceReport, audienceReport, sourceOf } from "./audience/audience.ts";
import { customKeysOf } from "./custom-keys.ts";
import { type CampaignRow, campaignRow } from "./read.ts";
import { reasonText } from "./reasons.ts";
import { nodesOf } from "./sequence/nodes.ts";
import { strayReferences } from "./sequence/references.ts";
import { branchOf, channelOf, messagesBefore, type StepOutput, toTree } from "./sequence/tree.ts";
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
    count: z.number().int().describe("Number of contacts that the audience selects."),
    left_out: z
      .record(z.string(), z.number().int())
      .describe("Number of contacts that cannot be reached on any channel of the sequence, by reason."),
    unreached: z
      .array(z.object({ channel: z.string(), reason: z.string(), count: z.number().int() }))
      .describe("Number of contacts that can be reached, but not on this channel of the sequence."),
    missing_variables: z.array(
      z.object({
        variable: z.string(),
        count: z.number().int().describe("Number of contacts that would be blocked because the variable has no value."),
      }),
    ),
  }),
});

type SenderRow = {
  id: string;
  channel: string;
  address: string;
  status: string;
  connection_name: string;
  connection_status: string;
  provider: string;
  webhook_registered: boolean;
  limits: { action: string; per: "hour" | "day" | "week"; cap: number }[];
};

export async function checkCampaign(ctx: Ctx, campaign: CampaignRow): Promise<Report> {
  const nodes = campaign.version_id ? await nodesOf(ctx, [campaign.version_id]) : [];
  const tree = toTree(nodes, ctx.registry);
  const steps = flatten(tree);
  const customKeys = await customKeysOf(ctx);
  const senders = await sendersOf(ctx, campaign);
  const channels = [...new Set(nodes.flatMap((n) => n.action?.split(".")[0] ?? []))];
  const checks: Check[] = [...(await stepChecks(ctx, tree, customKeys, await referenceChecks(ctx, campaign, steps)))];
  for (const id of channels)
    checks.push(
      ...senderChecks(
        ctx,
        id,
        senders.filter((s) => s.channel === id),
      ),
    );

  const uses: VariableUse[] = [];
  const pause = takeTurns();
  for (const s of steps) {
    uses.push(...(ctx.registry.steps.get(s.kind)?.uses?.(configOf(s) as never, { customKeys, first: false }) ?? []));
    await pause();
  }
  const audience = await audienceReport(
    ctx,
    campaign,
    uses.filter((u) => u.fallback === null),
  );
  checks.push(...audienceChecks(ctx, campaign, audience));
  checks.push(...paceChecks(ctx, campaign, senders, nodes, audience));
  return { ok: checks.every((c) => c.level !== "error"), checks, audience };
}

/** Every step in reading order. */
const flatten = (steps: readonly StepOutput[]): StepOutput[] =>
  steps.flatMap((s) => [s, ...Object.values(s.branches ?? {}).flatMap(flatten)]);
const configOf = ({ id: _, kind: __, position: ___, branches: ____, ...config }: StepOutput) => config;

/** What a step names and is not there any more. */
async function referenceChecks(ctx: Ctx, campaign: CampaignRow, steps: readonly StepOutput[]): Promise<Check[]> {
  const references = steps.flatMap((step) =>
    (ctx.registry.steps.get(step.kind)?.references?.(configOf(step) as never) ?? []).map((r) => ({ ...r, step })),
  );
  const ids = steps.map((step) => step.id);
  return (await strayReferences(ctx, campaign, references, ids)).map(
    ({ reference: { step, to, id, field }, detail, fix }) => ({
      id: `unknown_${to}`,
      // A task of somebody who left is anybody's.
      level: to === "member" ? ("warning" as const) : ("error" as const),
      detail: `Step ${step.position}: ${field} ${id} ${detail}${to === "segment" ? " any more" : ""}.`,
      fix: `Edit the step: ${fix}.`,
    }),
  );
}

async function stepChecks(
  ctx: Ctx,
  tree: StepOutput[],
  customKeys: ReadonlySet<string>,
  stray: readonly Check[],
): Promise<Check[]> {
  const steps = flatten(tree);
  const sends = steps.filter((s) => ctx.registry.steps.get(s.kind)?.action);
  if (steps.length === 0 || (sends.length === 0 && !steps.some((s) => s.kind === "task")))
    return [
      {
        id: "steps",
        level: "error",
        detail:
          steps.length === 0
            ? "The campaign has no steps."
            : "No step of the campaign sends a message or gives a task.",
        fix: "Add at least one message.",
      },
    ];
  const found: Check[] = [...stray];
  const before = messagesBefore(tree, (step) => {
    const def = ctx.registry.steps.get(step.kind);
    const ways = def?.branches(configOf(step) as never) ?? ["next"];
    return { channel: def ? channelOf(def) : null, ways: ways.map((way) => branchOf(step, way)) };
  });
  const pause = takeTurns();
  for (const step of steps) {
    await pause();
    const def = ctx.registry.steps.get(step.kind);
    if (!def) {
      found.push({
        id: "step_kind",
        level: "error",
        detail: `Step ${step.position} has the kind ${step.kind}, which is disabled in this installation.`,
        fix: "Remove the step.",
      });
      continue;
    }
    const faults = (first: boolean) => def.check?.(configOf(step) as never, { customKeys, first }) ?? [];
    const sure = faults(before.get(step) === "none");
    // Only on some ways the first: who comes another way, or whose earlier message was left out, is not stopped by it.
    const possible = before.get(step) === "some" ? faults(true).filter((f) => sure.every((s) => s.id !== f.id)) : [];
    for (const f of [...sure, ...possible.map((f) => ({ ...f, level: "warning" as const }))])
      found.push({
        id: f.id,
        level: f.level,
        detail: `Step ${step.position}: ${f.detail}`,
        ...(f.level === "error" ? { fix: "Edit the step." } : {}),
      });
  }
  if (found.every((f) => f.level !== "error"))
    found.push({
      id: "steps",
      level: "ok",
      detail: `${steps.length} ${steps.length === 1 ? "step" : "steps"}, ${sends.length} of them ${sends.length === 1 ? "sends a message" : "send messages"}.`,
    });
  return found;
}

const sendersOf = async (ctx: Ctx, campaign: CampaignRow): Promise<SenderRow[]> => [
  ...(await ctx.db<SenderRow[]>`
    select s.id, s.channel, s.address, s.status, c.name as connection_name, c.status as connection_status, c.provider, c.webhook_registered,
      coalesce((select jsonb_agg(jsonb_build_object('action', l.action, 'per', l.per, 'cap', l.cap)) from public.sender_limits l
        where l.tenant_id = s.tenant_id and l.sender_id = s.id), '[]') as limits
    from public.campaign_senders cs
    join public.senders s on s.tenant_id = cs.tenant_id and s.id = cs.sender_id
    join public.connections c on c.tenant_id = s.tenant_id and c.id = coalesce(cs.connection_id, s.connection_id)
    where cs.tenant_id = ${ctx.tenantId} and cs.campaign_id = ${campaign.id} order by cs.position`),
];

/** Messages a day that a sender may send of what a channel sends; null: no limit. */
const perDay = (sender: SenderRow): number | null => {
  const caps = sender.limits.map((l) => (l.per === "hour" ? l.cap * 24 : l.per === "day" ? l.cap : l.cap / 7));
  return caps.length === 0 ? null : Math.min(...caps);
};

function senderChecks(ctx: Ctx, channelId: string, senders: SenderRow[]): Check[] {
  const label = ctx.registry.channels.get(channelId)?.label ?? channelId;
  if (senders.length === 0)
    return [
      { id: "sender", level: "error", detail: `The campaign has no sender for ${label}.`, fix: "Choose a sender." },
    ];
  const checks: Check[] = [];
  const usable = senders.filter((s) => s.status === "active" && s.connection_status === "active" && perDay(s) !== 0);
  const level = usable.length === 0 ? ("error" as const) : ("warning" as const);
  for (const sender of senders) {
    if (sender.status !== "active")
      checks.push({
        id: "sender",
        level,
        detail: `The sender ${sender.address} is ${sender.status}.`,
        fix: "Activate the sender, or choose another one.",
      });
    else if (perDay(sender) === 0)
      checks.push({
        id: "sender",
        level,
        detail: `The sender ${sender.address} may send 0 messages a day.`,
        fix: "Raise the sender's limits.",
      });
    else if (sender.connection_status !== "active")
      checks.push({
        id: "connection",
        level,
        detail: `The connection ${sender.connection_name} is ${sender.connection_status}.`,
        fix: "Check and activate the connection under Connections.",
      });
  }
  for (const sender of usable) {
    const cap = perDay(sender);
    checks.push({
      id: "sender",
      level: "ok",
      detail: `${label} from ${sender.address}${cap === null ? "" : `, at most ${Math.floor(cap)} messages a day`}.`,
    });
  }
  for (const sender of new Map(usable.map((s) => [s.connection_name, s])).values()) {
    const provider = ctx.registry.providers.find((p) => p.id === sender.provider);
    checks.push({ id: "connection", level: "ok", detail: `The connection ${sender.connection_name} is active.` });
    if (!provider?.webhook)
      checks.push({
        id: "webhook",
        level: "warning",
        detail: `${sender.connection_name} does not report deliveries, bounces and replies.`,
      });
    else if (!sender.webhook_registered)
      checks.push({
        id: "webhook",
        level: "warning",
        detail: `${sender.connection_name} does not report deliveries, bounces and replies yet.`,
        fix: "Register its webhook under Connections.",
      });
    else
      checks.push({
        id: "webhook",
        level: "ok",
        detail: `${sender.connection_name} reports deliveries, bounces and replies.`,
      });
  }
  return checks;
}

const contacts = (n: number) => (n === 1 ? "1 contact" : `${n} contacts`);

/** How many of an audience can be reached. */
const reachable = (audience: AudienceReport): number =>
  audience.count - Object.values(audience.left_out).reduce((a, b) => a + b, 0);

function audienceChecks(ctx: Ctx, campaign: CampaignRow, audience: AudienceReport): Check[] {
  if (!sourceOf(campaign) && audience.count === 0) {
    return [
      {
        id: "audience",
        level: "error",
        detail: "The campaign has no audience.",
        fix: "Choose a list or a segment, or add contacts.",
      },
    ];
  }
  const checks: Check[] = [];
  const n = reachable(audience);
  if (n <= 0)
    checks.push({
      id: "audience",
      level: "error",
      detail: `None of the ${contacts(audience.count)} in this audience can be reached on a channel of the sequence.`,
      fix: "Choose another audience.",
    });
  else checks.push({ id: "audience", level: "ok", detail: `${contacts(n)} will receive the sequence.` });
  for (const [reason, count] of Object.entries(audience.left_out))
    checks.push({ id: reason, level: "warning", detail: `${contacts(count)} will be left out: ${reasonText(reason)}` });
  for (const { channel, reason, count } of audience.unreached)
    checks.push({
      id: "unreached",
      level: "warning",
      detail: `${ctx.registry.channels.get(channel)?.label ?? channel}: ${contacts(count)} of ${n} will not get its messages: ${reasonText(reason)}`,
      ...(reason === "no_consent" ? { fix: "Record their consent: select them under Contacts." } : {}),
    });
  for (const { variable, count } of audience.missing_variables) {
    checks.push({
      id: "missing_variable",
      level: "warning",
      detail: `${contacts(count)} ${count === 1 ? "has" : "have"} no ${variable} and would be blocked.`,
      fix: `Add a fallback, {{${variable}|…}}, or fill in the missing values.`,
    });
  }
  return checks;
}

function paceChecks(
  ctx: Ctx,
  campaign: CampaignRow,
  senders: SenderRow[],
  nodes: readonly { action: string | null; kind: string; config: Record<string, unknown> }[],
  audience: AudienceReport,
): Check[] {
  const checks: Check[] = [];
  const { window, time_zone } = campaign.settings;
  if (!window) checks.push({ id: "window", level: "ok", detail: "Messages are sent at any time on any day." });
  else {
    const minutes = (t: string) => Number(t.slice(0, 2)) * 60 + Number(t.slice(3));
    const length = minutes(window.end) - minutes(window.start);
    checks.push({
      id: "window",
      level: length < 60 ? "warning" : "ok",
      detail: `Messages are sent on ${window.days.length} ${window.days.length === 1 ? "day" : "days"} a week from ${window.start} to ${window.end} (${time_zone}).`,
      ...(length < 60
        ? {
            fix: "The sending window is shorter than an hour: only few messages can be sent each day. Use a longer window.",
          }
        : {}),
    });
  }
  const hours = nodes.filter((n) => n.kind === "wait").reduce((sum, n) => sum + waitHours(n.config), 0);
  for (const channel of new Set(nodes.flatMap((n) => n.action?.split(".")[0] ?? []))) {
    const caps = senders.filter((s) => s.channel === channel && s.status === "active").map(perDay);
    const steps = nodes.filter((n) => n.action?.split(".")[0] === channel).length;
    const closed = audience.unreached.filter((u) => u.channel === channel).reduce((sum, u) => sum + u.count, 0);
    const people = Math.max(0, reachable(audience) - closed);
    if (people === 0 || caps.length === 0 || caps.includes(null)) continue;
    const cap = caps.reduce<number>((a, b) => a + b!, 0);
    if (cap < 1) continue;
    const days = estimateDays({
      people,
      steps,
      wait_hours: hours,
      daily_cap: cap,
      days_a_week: window?.days.length ?? 7,
    });
    checks.push({
      id: "pace",
      level: days > 90 ? "warning" : "ok",
      detail: `${ctx.registry.channels.get(channel)?.label ?? channel}: up to ${people * steps} ${people * steps === 1 ? "message" : "messages"} at ${Math.floor(cap)} a day: about ${days} ${days === 1 ? "day" : "days"}.`,
      ...(days > 90 ? { fix: "Raise the senders' limits, add senders, or choose a smaller audience." } : {}),
    });
  }
  return checks;
}

/** About how many hours a wait lasts. */
const waitHours = (config: Record<string, unknown>): number =>
  Number(config.hours ?? 0) + Number(config.days ?? 0) * 24 + Number(config.business_days ?? 0) * 34;

/** Calendar days until the last message has left: bound by the cap on sending days, and by the waits between the steps. */
export function estimateDays(plan: {
  people: number;
  steps: number;
  wait_hours: number;
  daily_cap: number;
  days_a_week: number;
}): number {
  const calendarDays = (messages: number) => {
    const sending = Math.ceil(messages / plan.daily_cap);
    return sending + Math.floor((sending - 1) / plan.days_a_week) * (7 - plan.days_a_week);
  };
  return Math.max(calendarDays(plan.people * plan.steps), calendarDays(plan.people) + Math.round(plan.wait_hours / 24));
}

/** Throws what the check found, as field errors, unless the campaign can start. */
export function requireReady(report: Report): void {
  const errors = report.checks.filter((c) => c.level === "error");
  if (errors.length === 0) return;
  throw new AppError(
    "invalid",
    errors.length === 1
      ? errors[0]!.detail
      : `${errors.length} checks failed: ${errors.map((e) => e.detail).join(" ")}`,
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
  summary: "Check whether a campaign can start, with a forecast",
  permission: "campaigns:read",
  input: byId,
  output: ReportSchema,
  handle: async (ctx, { id }) => await checkCampaign(ctx, await campaignRow(ctx, id)),
});
