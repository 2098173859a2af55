import { z } from "zod";
import { dead, defineManualConsumer, done, type Outcome, retry } from "../kernel/queues/consumer.ts";
import type { ManualCtx } from "../kernel/context.ts";
import { HttpError } from "../kernel/http/client.ts";
import { signWebhook } from "../kernel/secrets/signatures.ts";
import { operationsConfig } from "./config.ts";
import { type AlertRow, toAlert } from "./alerts.ts";

/**
 * Tells the operators' webhook that an alert opened or closed, as Standard Webhooks has it: the id stays the same whenever it is
 * tried again, the timestamp is the attempt's, any 2xx is success, 410 ends it.
 */

const TIMEOUT_MS = 20_000;

type Payload = { tenant_id: string; alert_id: string; event: "opened" | "resolved" };

export const notify = defineManualConsumer<Payload>({
  queue: "operations_notify",
  payload: z.object({ tenant_id: z.uuid(), alert_id: z.uuid(), event: z.enum(["opened", "resolved"]) }),
  visibilitySeconds: 60, // three times the timeout
  maxAttempts: 14, // with the backoff about five hours: longer than most outages of a receiver
  async handle(ctx, payload) {
    const { OVERTURE_ALERT_WEBHOOK_URL: url, OVERTURE_ALERT_WEBHOOK_SECRET: secret } = ctx.configOf(operationsConfig);
    if (!url || !secret) return done();
    const alert = await ctx.tx(async ({ db }) => {
      const [row] = await db<AlertRow[]>`
        select id, kind, subject, scope, severity, status, summary, href, value, threshold, opened_at, resolved_at from public.alerts
        where tenant_id = ${ctx.tenantId} and id = ${payload.alert_id} and status <> 'pending'`;
      return row;
    });
    // Its team was deleted meanwhile.
    if (!alert) return done();
    return await post(ctx, { url, secret }, payload, alert);
  },
});

async function post(
  ctx: ManualCtx,
  target: { url: string; secret: string },
  { alert_id, event }: Payload,
  alert: AlertRow,
): Promise<Outcome> {
  const id = `alert_${alert_id}_${event}`;
  const at = event === "opened" ? alert.opened_at : (alert.resolved_at ?? alert.opened_at);
  const href = alert.href && new URL(alert.href, ctx.config.publicUrl).href;
  const body = JSON.stringify({
    type: `alert.${event}`,
    timestamp: at.toISOString(),
    data: { ...toAlert(alert), tenant_id: ctx.tenantId, href },
  });
  const now = Math.floor(Date.now() / 1000);
  try {
    const response = await ctx.http.request({
      method: "POST",
      url: target.url,
      timeoutMs: TIMEOUT_MS,
      headers: {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": String(now),
        "webhook-signature": await signWebhook(target.secret, id, now, new TextEncoder().encode(body)),
      },
      body,
    });
    if (response.status >= 200 && response.status < 300) return done();
    if (response.status === 410)
      return dead("The alert webhook answered 410 Gone, so no further alerts are sent to it.");
    const after = Number(response.headers.get("retry-after"));
    return retry(after > 0 ? Math.min(after, 3600) : undefined, `The alert webhook answered ${response.status}.`);
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    // What the guard refuses it refuses the next time too.
    return error.kind === "blocked" ? dead(error.message) : retry(undefined, error.message);
  }
}
