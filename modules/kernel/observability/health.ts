import { bearerOf } from "../http/bearer.ts";
import type { Kernel } from "../kernel.ts";
import { inTime, type Check } from "./parts.ts";
import { type Gauge, METRICS_TYPE } from "./metrics.ts";
import { BOUNDS } from "./samples.ts";
import { equalSecrets } from "../secrets/signatures.ts";

/** Liveness, readiness and metrics of this process. */

export const live = (): Response => Response.json({ status: "ok" });

/** Nobody took a message for so long: a person should look. */
const STUCK_SECONDS = 900;
/** How long the database may take to answer: a probe gives up after five seconds. */
const DATABASE_MS = 3_000;

/**
 * Whether this process can serve: 503 when the database, the queues or one of `parts` does not answer, each named. A stuck queue or a
 * late schedule wants a person, but taking this process out of service would help neither: 200 with `degraded`.
 */
export async function ready(kernel: Kernel, parts: () => Promise<Check[]> = async () => []): Promise<Response> {
  const [own, others] = await Promise.all([databaseChecks(kernel), parts()]);
  const checks = [...own, ...others];
  const down = checks.some((c) => c.down);
  const status = down ? "down" : checks.every((c) => c.ok) ? "ok" : "degraded";
  const answer = { status, checks: checks.map(({ name, ok, detail }) => ({ name, ok, detail })) };
  return Response.json(answer, { status: down ? 503 : 200 });
}

async function databaseChecks(kernel: Kernel): Promise<Check[]> {
  const database = { name: "database", ok: true, detail: "answers" };
  let reached = false;
  const ask = kernel.database.tx({ role: "overture_worker", tenantId: null }, async (tx): Promise<Check[]> => {
    reached = true;
    const queues = await tx<
      { queue: string; lag_seconds: number }[]
    >`select queue, lag_seconds from kernel.queue_lags()`;
    const stuck = queues.filter((q) => q.lag_seconds > STUCK_SECONDS);
    const schedules = await tx<{ name: string; late: boolean }[]>`select name, late from kernel.schedule_health()`;
    const late = schedules.filter((s) => s.late);
    return [
      database,
      {
        name: "queues",
        ok: stuck.length === 0,
        detail: stuck.length
          ? `no message read for over ${STUCK_SECONDS / 60} minutes: ${stuck.map((q) => q.queue).join(", ")}`
          : `${queues.length} queues move`,
      },
      {
        name: "schedules",
        ok: late.length === 0,
        detail: late.length ? `late: ${late.map((s) => s.name).join(", ")}` : `${schedules.length} schedules run`,
      },
    ];
  });
  try {
    return await inTime(DATABASE_MS, ask);
  } catch (error) {
    kernel.log.error("the readiness check failed", { error });
    const silent = { ok: false, detail: "does not respond", down: true };
    return reached ? [database, { name: "queues", ...silent }] : [{ name: "database", ...silent }];
  }
}

/** Prometheus text. Open to this machine; from anywhere else it needs the secret key, as `apikey` or as a bearer token. */
export async function metricsText(kernel: Kernel, headers: Headers): Promise<Response> {
  if (!(await mayScrape(kernel, headers)))
    return new Response("Send the installation's secret key in `apikey` or as a bearer token.\n", { status: 401 });
  const gauges = [...processGauges(kernel), ...(await installationGauges(kernel))];
  return await metricsAnswer(kernel, gauges);
}

/** The same for a process beside the API: its own numbers only, since the installation's would be there twice. */
export async function processMetrics(kernel: Kernel, headers: Headers): Promise<Response> {
  if (!(await mayScrape(kernel, headers)))
    return new Response("Send the installation's secret key in `apikey` or as a bearer token.\n", { status: 401 });
  return await metricsAnswer(kernel, processGauges(kernel));
}

/** What proxies add. X-Forwarded-For is not here: the host itself writes the peer's address there. */
const PROXY_HEADER =
  /^(forwarded|via|x-real-ip|x-forwarded-(?!for$).+|x-original-.+|x-client-ip|x-cluster-client-ip|true-client-ip|cf-.+|fastly-.+)$/;
const LOOPBACK_HOST = /^(127\.0\.0\.1|\[::1\]|localhost)(:\d+)?$/i;

/** Directly from this machine: nobody stands between, to this machine's own name. A proxy here would pass on the whole internet. */
function isDirect(headers: Headers): boolean {
  if (!/^(127\.0\.0\.1|::1)$/.test(headers.get("x-forwarded-for") ?? "")) return false;
  const host = headers.get("host");
  if (host !== null && !LOOPBACK_HOST.test(host)) return false;
  return ![...headers.keys()].some((name) => PROXY_HEADER.test(name));
}

async function mayScrape(kernel: Kernel, headers: Headers): Promise<boolean> {
  if (isDirect(headers)) return true;
  const given = headers.get("apikey") ?? bearerOf(headers) ?? "";
  return await equalSecrets(given, kernel.config.secretKey);
}

const metricsAnswer = async (kernel: Kernel, gauges: Gauge[]) =>
  new Response(await kernel.metrics.render(gauges), { headers: { "content-type": METRICS_TYPE } });

function processGauges(kernel: Kernel): Gauge[] {
  const { inUse, waiting, max } = kernel.database.pool();
  const pool = (name: string, help: string, value: number) => ({ name: `overture_db_pool_${name}`, help, value });
  return [
    pool("in_use", "Connections of this process's pool that work", inUse),
    pool("waiting", "Callers that wait for a connection of the pool", waiting),
    pool("max", "Most connections this process's pool may open", max),
  ];
}

type QueueRow = {
  queue: string;
  waiting: number;
  visible: number;
  oldest_seconds: number;
  dead: number;
  lag_seconds: number;
};
type ScheduleRow = { name: string; lag_seconds: number; late: boolean; last_error: string | null };
type TotalRow = { name: string; n: number; errors: number; total: number; buckets: number[] };

/** What the database knows: the same from whichever process is asked, and kept when all of them restart. */
async function installationGauges(kernel: Kernel): Promise<Gauge[]> {
  return await kernel.database.tx({ role: "overture_worker", tenantId: null }, async (tx) => {
    const queues = await tx<QueueRow[]>`
      select queue, waiting, visible, oldest_seconds, dead, lag_seconds from kernel.queue_metrics() join kernel.queue_lags() using (queue)`;
    const schedules = await tx<ScheduleRow[]>`select name, lag_seconds, late, last_error from kernel.schedule_health()`;
    const [connections] = await tx<
      { used: number; allowed: number }[]
    >`select used, allowed from kernel.connection_use()`;
    const totals = await tx<
      TotalRow[]
    >`select name, n, errors, total, buckets from kernel.read_samples('total', 'epoch', null) where kind = 'http'`;
    const backups = await tx<
      { age_seconds: number; every_seconds: number }[]
    >`select age_seconds, every_seconds from kernel.backup_age()`;
    const ofModules: Gauge[] = [];
    for (const m of kernel.registry.modules) if (m.gauges) ofModules.push(...(await m.gauges(tx)));

    const perQueue = (name: string, help: string, value: (q: QueueRow) => number) =>
      queues.map((q) => ({ name, help, labels: { queue: q.queue }, value: value(q) }));
    const perSchedule = (name: string, help: string, value: (s: ScheduleRow) => number) =>
      schedules.map((s) => ({ name, help, labels: { schedule: s.name }, value: value(s) }));
    const requests = "overture_requests_total";
    const answered = "Requests answered by all processes since the installation was created, by outcome";
    return [
      ...perQueue(
        "overture_queue_waiting",
        "Messages on the queue; above 10,000 the database's estimate",
        (q) => q.waiting,
      ),
      ...perQueue(
        "overture_queue_visible",
        "Messages a worker may take now; above 10,000 an estimate",
        (q) => q.visible,
      ),
      ...perQueue("overture_queue_oldest_seconds", "Age of the oldest message", (q) => q.oldest_seconds),
      ...perQueue(
        "overture_queue_lag_seconds",
        "How long the oldest visible message has waited for a worker",
        (q) => q.lag_seconds,
      ),
      ...perQueue("overture_dead_letters", "Dead letters, counted up to 10,000", (q) => q.dead),
      ...perSchedule(
        "overture_schedule_lag_seconds",
        "Seconds since the last run, or since the schedule was created",
        (s) => s.lag_seconds,
      ),
      ...perSchedule("overture_schedule_late", "1 while more than three runs were missed", (s) => Number(s.late)),
      ...perSchedule("overture_schedule_failing", "1 while the last run failed", (s) => Number(s.last_error !== null)),
      { name: "overture_db_connections", help: "Connections to the database", value: connections!.used },
      { name: "overture_db_connections_max", help: "Connections the database allows", value: connections!.allowed },
      ...backups.flatMap((b) => [
        { name: "overture_backup_age_seconds", help: "Age of the newest scheduled backup", value: b.age_seconds },
        { name: "overture_backup_every_seconds", help: "Planned interval between two backups", value: b.every_seconds },
      ]),
      ...ofModules,
      ...totals.flatMap((t) => [
        {
          name: requests,
          help: answered,
          type: "counter" as const,
          labels: { group: t.name, outcome: "ok" },
          value: t.n - t.errors,
        },
        {
          name: requests,
          help: answered,
          type: "counter" as const,
          labels: { group: t.name, outcome: "error" },
          value: t.errors,
        },
      ]),
      ...durationGauges(totals),
    ];
  });
}

/** A histogram out of stored counts: cumulative, as Prometheus wants it. */
function durationGauges(totals: TotalRow[]): Gauge[] {
  const family = "overture_request_duration_seconds";
  const help = "Time to respond, of all processes since the installation was created";
  return totals.flatMap((t) => {
    let below = 0;
    const bucket = (le: string, n: number) => ({
      name: `${family}_bucket`,
      family,
      help,
      type: "histogram" as const,
      labels: { group: t.name, le },
      value: (below += n),
    });
    const rest = { family, help, type: "histogram" as const, labels: { group: t.name } };
    return [
      ...BOUNDS.http.map((bound, i) => bucket(String(bound), t.buckets[i] ?? 0)),
      bucket("+Inf", t.buckets[BOUNDS.http.length] ?? 0),
      { name: `${family}_sum`, ...rest, value: t.total },
      { name: `${family}_count`, ...rest, value: t.n },
    ];
  });
}
