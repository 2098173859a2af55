import autocannon from "autocannon";
import { type Figure, percentile, valueFigure } from "./figure.ts";
import { seedTenant } from "./seed.ts";
import { inWorld, type Team, type World } from "./world.ts";

/** The API under load over real HTTP, with the gateway and the worker as `npm start` runs them. */

const SERVICES = { gateway: true, services: { functions: true, worker: true, cron: true } } as const;
const PEOPLE = 10_000;

type Shot = { paths: string[]; connections: number; seconds: number };

type Result = autocannon.Result & { p95: number; p99: number };

/** Fires, and keeps every answer's milliseconds: the tool's own table has no 95th percentile. */
async function fireAt(options: autocannon.Options): Promise<Result> {
  const times: number[] = [];
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const run = autocannon(options, (error, r) => (error ? reject(error as Error) : resolve(r)));
    run.on("response", (_client, _status, _bytes, ms) => times.push(ms));
  });
  return { ...result, p95: percentile(times, 0.95), p99: percentile(times, 0.99) };
}

const fire = ({ stack }: World, team: Team, { paths, connections, seconds }: Shot): Promise<Result> =>
  fireAt({
    url: stack.url,
    connections,
    duration: seconds,
    timeout: 10,
    headers: { authorization: `Bearer ${team.token}`, "x-tenant-id": team.id },
    requests: paths.map((path) => ({ method: "GET", path: `/api/v1${path}` })),
  });

const failures = (r: Result) => r.errors + r.non2xx;

async function withSeededTeam<T>(fn: (world: World, team: Team) => Promise<T>): Promise<T> {
  return await inWorld(SERVICES, async (world) => {
    const team = await world.team("Load");
    await seedTenant(world.admin, team.id, { contacts: PEOPLE, messages: PEOPLE, events: PEOPLE });
    // Warm: pools filled, statements prepared, code compiled.
    await fire(world, team, { paths: MIX, connections: 20, seconds: 3 });
    return await fn(world, team);
  });
}

/** What a person at the console makes the browser ask for. */
const MIX = [
  "/dashboard",
  "/contacts?limit=50",
  "/campaigns",
  "/messages?limit=50",
  "/contacts?limit=50&status=customer",
  "/activity",
  "/contacts?limit=50&search=sales",
  "/lists",
];

export const api = (): Promise<Figure[]> =>
  withSeededTeam(async (world, team) => {
    const r = await fire(world, team, { paths: ["/contacts?limit=25"], connections: 100, seconds: 10 });
    const detail = {
      connections: 100,
      requests_per_s: Math.round(r.requests.average),
      p50_ms: r.latency.p50,
      p99_ms: r.p99,
      failed: failures(r),
    };
    const figure = valueFigure("api", r.p95, "ms p95", "< 200", detail);
    return [{ ...figure, ok: figure.ok && failures(r) === 0 }];
  });

/** 100 people at once for half a minute, each asking again as soon as the answer is there: harder than people are. */
export const load = (seconds = 30): Promise<Figure[]> =>
  withSeededTeam(async (world, team) => {
    const r = await fire(world, team, { paths: MIX, connections: 100, seconds });
    const detail = {
      connections: 100,
      seconds,
      requests: r.requests.total,
      requests_per_s: Math.round(r.requests.average),
      p50_ms: r.latency.p50,
    };
    return [
      valueFigure("load_p95", r.p95, "ms p95", "< 500", detail),
      valueFigure("load_p99", r.p99, "ms p99", "< 1000", detail),
      valueFigure("load_errors", (failures(r) / Math.max(1, r.requests.total)) * 100, "%", "< 0.1", {
        ...detail,
        failed: failures(r),
      }),
    ];
  });
