import type { Kernel } from "./kernel.ts";
import { equalSecrets } from "./signatures.ts";

/** Liveness, readiness and metrics of this process. */

export const live = (): Response => Response.json({ status: "ok" });

type Check = { name: string; ok: boolean; detail: string };

/** Ready: the database answers, no queue is stuck, no schedule is late. 503 names what is not. */
export async function ready(kernel: Kernel): Promise<Response> {
  const checks: Check[] = [];
  try {
    await kernel.database.tx({ role: "overture_worker", tenantId: null }, async (tx) => {
      checks.push({ name: "database", ok: true, detail: "answers" });
      const queues = await tx<
        { queue: string; visible: number; oldest_seconds: number }[]
      >`select queue, visible, oldest_seconds from kernel.queue_metrics()`;
      const stuck = queues.filter((q) => q.visible > 0 && q.oldest_seconds > 900);
      checks.push({
        name: "queues",
        ok: stuck.length === 0,
        detail: stuck.length
          ? `oldest message over 15 minutes: ${stuck.map((q) => q.queue).join(", ")}`
          : `${queues.length} queues move`,
      });
      const schedules = await tx<{ name: string; late: boolean }[]>`select name, late from kernel.schedule_health()`;
      const late = schedules.filter((s) => s.late);
      checks.push({
        name: "schedules",
        ok: late.length === 0,
        detail: late.length ? `late: ${late.map((s) => s.name).join(", ")}` : `${schedules.length} schedules run`,
      });
    });
  } catch (error) {
    kernel.log.error("the readiness check failed", { error });
    checks.push({ name: "database", ok: false, detail: "does not answer" });
  }
  // A late schedule or a stuck queue wants a person, but this process can still serve.
  const up = checks.every((c) => c.ok || c.name !== "database");
  return Response.json(
    { status: checks.every((c) => c.ok) ? "ok" : up ? "degraded" : "down", checks },
    { status: up ? 200 : 503 },
  );
}

/** Prometheus text. Open to this machine; from anywhere else it needs the secret key. */
export async function metricsText(kernel: Kernel, headers: Headers): Promise<Response> {
  // Directly from this machine: a proxy in front would have added the address it saw before ours.
  const local = /^(127\.0\.0\.1|::1)$/.test(headers.get("x-forwarded-for") ?? "");
  if (!local && !(await equalSecrets(headers.get("apikey") ?? "", kernel.config.secretKey))) {
    return new Response("Send the installation's secret key in `apikey`.\n", { status: 401 });
  }
  const gauges = await kernel.database.tx({ role: "overture_worker", tenantId: null }, async (tx) => {
    const queues = await tx<
      { queue: string; waiting: number; oldest_seconds: number; dead: number }[]
    >`select * from kernel.queue_metrics()`;
    const schedules = await tx<
      { name: string; lag_seconds: number | null }[]
    >`select name, lag_seconds from kernel.schedule_health()`;
    return [
      ...queues.map((q) => ({
        name: "overture_queue_waiting",
        help: "Messages on the queue",
        labels: { queue: q.queue },
        value: q.waiting,
      })),
      ...queues.map((q) => ({
        name: "overture_queue_oldest_seconds",
        help: "Age of the oldest message",
        labels: { queue: q.queue },
        value: q.oldest_seconds,
      })),
      ...queues.map((q) => ({
        name: "overture_dead_letters",
        help: "Messages no retry can help",
        labels: { queue: q.queue },
        value: q.dead,
      })),
      ...schedules
        .filter((s) => s.lag_seconds !== null)
        .map((s) => ({
          name: "overture_schedule_lag_seconds",
          help: "Seconds since the last run",
          labels: { schedule: s.name },
          value: s.lag_seconds!,
        })),
    ];
  });
  return new Response(kernel.metrics.render(gauges), { headers: { "content-type": "text/plain; version=0.0.4" } });
}
