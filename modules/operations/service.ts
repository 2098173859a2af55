import { z } from "zod";
import { defineOperation } from "../kernel/operations/operation.ts";
import { BOUNDS, quantile, type SampleKind } from "../kernel/observability/samples.ts";

/** The installation's service level, from samples of all its processes that outlive them. */

/** The objectives: 99.9 % of requests answered without a fault of ours, statements below 100 ms, pools below 80 %. */
const AVAILABILITY = 0.999;
const P95_MS = 500;
const P99_MS = 1000;
const QUERY_P95_MS = 100;
const POOL = 0.8;

const WINDOWS = {
  "1h": { span: "minute", seconds: 3600, step: 60 },
  "24h": { span: "minute", seconds: 86_400, step: 900 },
  "30d": { span: "hour", seconds: 30 * 86_400, step: 43_200 },
} as const;

type Row = { at: Date; kind: SampleKind; name: string; n: number; errors: number; buckets: number[] };

const ms = z.number().nullable().describe("Milliseconds; null without requests.");
const share = z.number().nullable();
const Level = {
  requests: z.number().int(),
  errors: z.number().int().describe("Responses with status 500 and above."),
  availability: share,
  p95_ms: ms,
  p99_ms: ms,
};

/** How far back a service level may look. */
export const SERVICE_WINDOWS = ["1h", "24h", "30d"] as const;

export const serviceLevel = defineOperation({
  id: "service_level.read",
  method: "GET",
  path: "/service-level",
  summary: "Read availability, errors and response times against their objectives",
  description:
    "Of the whole installation, for all tenants and processes together. Percentiles are merged from histograms, so their precision is the width of a bucket. Requests that reached no process, because none ran, are not counted: monitor the installation from outside as well.",
  permission: "operations:read",
  input: z.object({ window: z.enum(SERVICE_WINDOWS).default("1h") }),
  output: z.object({
    window: z.enum(SERVICE_WINDOWS),
    since: z.iso.datetime(),
    ...Level,
    error_rate: share,
    budget_left: z
      .number()
      .nullable()
      .describe("Share of the error budget that is left; negative when the budget is exceeded."),
    objectives: z.object({
      availability: z.number(),
      p95_ms: z.number(),
      p99_ms: z.number(),
      query_p95_ms: z.number(),
      pool_use: z.number(),
    }),
    groups: z.array(z.object({ group: z.string(), ...Level })),
    series: z.array(z.object({ at: z.iso.datetime(), ...Level })),
    database: z.object({
      statements: z.number().int(),
      query_p95_ms: ms,
      pool_use_p95: share.describe("Share of a process's connections that were in use when a transaction began."),
      connections: z.number().int(),
      connections_max: z.number().int(),
    }),
  }),
  async handle(ctx, { window }) {
    const { span, seconds, step } = WINDOWS[window];
    // Whole steps of the wall clock, so that the last point of the plot is the one still growing.
    const since = new Date(Math.floor((Date.now() - seconds * 1000) / (step * 1000) + 1) * step * 1000);
    const rows = await ctx.db<Row[]>`
      select at, kind, name, n, errors, buckets from kernel.read_samples(${span}, ${since}, make_interval(secs => ${step}))`;
    const [connections] = await ctx.db<
      { used: number; allowed: number }[]
    >`select used, allowed from kernel.connection_use()`;
    const http = rows.filter((r) => r.kind === "http");
    const all = levelOf(http);
    const bySlot = Map.groupBy(http, (r) => r.at.getTime());
    const query = merged(rows.filter((r) => r.kind === "query"));
    const pool = merged(rows.filter((r) => r.kind === "pool"));
    return {
      window,
      since: since.toISOString(),
      ...all,
      error_rate: all.requests ? all.errors / all.requests : null,
      budget_left: all.requests ? 1 - all.errors / (all.requests * (1 - AVAILABILITY)) : null,
      objectives: {
        availability: AVAILABILITY,
        p95_ms: P95_MS,
        p99_ms: P99_MS,
        query_p95_ms: QUERY_P95_MS,
        pool_use: POOL,
      },
      groups: [...Map.groupBy(http, (r) => r.name)]
        .map(([group, list]) => ({ group, ...levelOf(list) }))
        .sort((a, b) => b.requests - a.requests),
      series: Array.from({ length: Math.ceil((Date.now() - since.getTime()) / (step * 1000)) }, (_, i) => {
        const at = since.getTime() + i * step * 1000;
        return { at: new Date(at).toISOString(), ...levelOf(bySlot.get(at) ?? []) };
      }),
      database: {
        statements: query.n,
        query_p95_ms: inMs(quantile(BOUNDS.query, query.buckets, 0.95)),
        pool_use_p95: quantile(BOUNDS.pool, pool.buckets, 0.95),
        connections: connections!.used,
        connections_max: connections!.allowed,
      },
    };
  },
});

function merged(rows: Row[]): { n: number; errors: number; buckets: number[] } {
  const sum = { n: 0, errors: 0, buckets: [] as number[] };
  for (const r of rows) {
    sum.n += r.n;
    sum.errors += r.errors;
    r.buckets.forEach((v, i) => (sum.buckets[i] = (sum.buckets[i] ?? 0) + Number(v)));
  }
  return sum;
}

const inMs = (seconds: number | null) => (seconds === null ? null : Math.round(seconds * 1000 * 10) / 10);

function levelOf(rows: Row[]) {
  const { n, errors, buckets } = merged(rows);
  return {
    requests: n,
    errors,
    availability: n ? 1 - errors / n : null,
    p95_ms: inMs(quantile(BOUNDS.http, buckets, 0.95)),
    p99_ms: inMs(quantile(BOUNDS.http, buckets, 0.99)),
  };
}
