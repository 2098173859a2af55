import autocannon from "autocannon";
import { withBareServer } from "./bare.ts";
import { type Figure, percentile, ratioFigure, valueFigure } from "./figure.ts";
import { seedTenant } from "./seed.ts";
import { inWorld, type Team, type World } from "./world.ts";

/**
 * The API under load over real HTTP, with the gateway and the worker as `npm start` runs them; beside it bare routes that read the same
 * tables with one statement each, for anybody.
 */

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

/** The same asked of the bare routes, warm. */
const fireBare = (world: World, team: Team, { paths, connections, seconds }: Shot): Promise<Result> =>
  withBareServer(world, team.id, async ({ url }) => {
    const requests = paths.map((path) => ({ method: "GET" as const, path }));
    await fireAt({ url, connections: 20, duration: 3, requests });
    return await fireAt({ url, connections, duration: seconds, timeout: 10, requests });
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

/** What both sides did, in milliseconds and requests a second. */
const beside = (ours: Result, bare: Result) => ({
  requests_per_s: Math.round(ours.requests.average),
  p50_ms: ours.latency.p50,
  p95_ms: Math.round(ours.p95),
  p99_ms: Math.round(ours.p99),
  bare_requests_per_s: Math.round(bare.requests.average),
  bare_p95_ms: Math.round(bare.p95),
});

export const api = (): Promise<Figure[]> =>
  withSeededTeam(async (world, team) => {
    const shot = { paths: ["/contacts?limit=25"], connections: 100, seconds: 10 };
    const ours = await fire(world, team, shot);
    const bare = await fireBare(world, team, shot);
    const detail = { connections: 100, ...beside(ours, bare), failed: failures(ours) };
    const figure = ratioFigure("api", ours.p95 / bare.p95, "<= 2", detail);
    return [{ ...figure, ok: figure.ok && failures(ours) === 0 }];
  });

/** 100 people at once for half a minute, each asking again as soon as the answer is there: harder than people are. */
export const load = (seconds = 30): Promise<Figure[]> =>
  withSeededTeam(async (world, team) => {
    const shot = { paths: MIX, connections: 100, seconds };
    const ours = await fire(world, team, shot);
    const bare = await fireBare(world, team, shot);
    const detail = { connections: 100, seconds, requests: ours.requests.total, ...beside(ours, bare) };
    return [
      ratioFigure("load", ours.p95 / bare.p95, "<= 2", detail),
      valueFigure("load_errors", (failures(ours) / Math.max(1, ours.requests.total)) * 100, "%", "< 0.1", {
        ...detail,
        failed: failures(ours),
      }),
    ];
  });
