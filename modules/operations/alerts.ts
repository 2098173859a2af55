import { z } from "zod";
import { decodeCursor, pageOf, pageParams, toPage } from "../kernel/operations/cursor.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import type { Tx } from "../kernel/database/db.ts";
import type { Gauge } from "../kernel/observability/metrics.ts";

/** What private.evaluate_alerts() found. Read only: an alert closes when its condition is gone, not when somebody clicks. */

export type AlertRow = {
  id: string;
  kind: string;
  subject: string;
  scope: "team" | "installation";
  severity: "warning" | "critical";
  status: "open" | "resolved";
  summary: string;
  href: string | null;
  value: number;
  threshold: number;
  opened_at: Date;
  resolved_at: Date | null;
};

export const ALERT_STATUS = ["open", "resolved"] as const;
export const ALERT_SEVERITY = ["warning", "critical"] as const;

export const Alert = z
  .object({
    id: z.uuid(),
    kind: z
      .string()
      .describe(
        "approvals_overdue, campaign_stalled, dead_letters, queue_late, queue_deep, schedule_late, schedule_failing, error_rate, latency, connections, backup_late",
      ),
    subject: z
      .string()
      .describe("The queue, schedule or campaign that the alert is about; empty where the kind alone identifies it."),
    scope: z
      .enum(["team", "installation"])
      .describe(
        "installation: about what all tenants share; only the tenant that operates the installation has these alerts.",
      ),
    severity: z.enum(ALERT_SEVERITY),
    status: z.enum(ALERT_STATUS),
    summary: z.string(),
    href: z.string().nullable().describe("The page of the console about it."),
    value: z.number(),
    threshold: z.number(),
    opened_at: z.iso.datetime(),
    resolved_at: z.iso.datetime().nullable(),
  })
  .meta({ id: "Alert" });

export const toAlert = (r: AlertRow): z.input<typeof Alert> => ({
  ...r,
  opened_at: r.opened_at.toISOString(),
  resolved_at: r.resolved_at?.toISOString() ?? null,
});

export const listAlerts = defineOperation({
  id: "alerts.list",
  method: "GET",
  path: "/alerts",
  summary: "List open and resolved alerts",
  description: "Newest first. Alerts open and close automatically; resolved alerts are kept for 90 days.",
  permission: "operations:read",
  input: z.object({
    ...pageParams,
    status: z.enum(ALERT_STATUS).optional(),
    subject: z.string().max(200).optional().describe("Only alerts about this queue, schedule or campaign."),
  }),
  output: pageOf(Alert),
  async handle(ctx, { status, subject, cursor, limit }) {
    const before = decodeCursor(cursor, z.tuple([z.uuid()]))?.[0] ?? null;
    const rows = await ctx.db<AlertRow[]>`
      select id, kind, subject, scope, severity, status, summary, href, value, threshold, opened_at, resolved_at from public.alerts
      where tenant_id = ${ctx.tenantId} and ${status ? ctx.db`status = ${status}` : ctx.db`status <> 'pending'`}
        ${subject === undefined ? ctx.db`` : ctx.db`and subject = ${subject}`}
        and (${before}::uuid is null or id < ${before}) order by id desc limit ${limit + 1}`;
    return toPage(rows, limit, (r) => [r.id], toAlert);
  },
});

/** Open alerts of all teams by severity, for /metrics. */
export async function alertGauges(tx: Tx): Promise<Gauge[]> {
  const rows = await tx<{ severity: string; open: number }[]>`select severity, open from private.alert_counts()`;
  return rows.map((row) => ({
    name: "overture_alerts_open",
    help: "Open alerts of all tenants",
    labels: { severity: row.severity },
    value: row.open,
  }));
}
