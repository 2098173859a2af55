import { expect, test } from "vitest";
import { z } from "zod";
import { defineModule } from "../kernel/module.ts";
import { defineOpenOperation } from "../kernel/operations/operation.ts";
import { BOUNDS, createSamples, quantile } from "../kernel/observability/samples.ts";
import { testKernel } from "../../tests/support/kernel.ts";
import { until } from "../../tests/support/until.ts";

const group = `probe${crypto.randomUUID().slice(0, 6)}`;
/** Answers or breaks, as asked. */
const probe = defineOpenOperation({
  id: `${group}.run`,
  method: "GET",
  path: `/${group}/{what}`,
  summary: "A probe",
  auth: "public",
  input: z.object({ what: z.string() }),
  output: z.object({ ok: z.boolean() }),
  async handle(_, { what }) {
    if (what === "broken") throw new Error("broken on purpose");
    return { ok: true };
  },
});
const t = testKernel({}, [defineModule({ name: "probe", needs: [], operations: [probe] })]);

/** What two processes measured adds up: these are two, as far as the database can tell. */
const other = () => createSamples(t.kernel.database, (error) => Promise.reject(error as Error));

test("requests of all processes add up to availability, errors and percentiles, and outlive them", async () => {
  const team = await t.tenant();
  const call = t.call(null);
  for (let i = 0; i < 3; i++) expect((await call("GET", `/${group}/fine`)).status).toBe(200);
  expect((await call("GET", `/${group}/broken`)).status).toBe(500);
  await t.kernel.samples.flush();
  const process = other();
  for (let i = 0; i < 95; i++) process.record("http", group, 0.004);
  process.record("http", group, 2);
  await process.close();

  for (const window of ["1h", "24h", "30d"]) {
    const { status, body } = await team.api("GET", `/service-level?window=${window}`);
    expect(status).toBe(200);
    const mine = body.groups.find((g: { group: string }) => g.group === group);
    expect(mine).toMatchObject({ requests: 100, errors: 1, availability: 0.99 });
    expect(mine.p95_ms).toBeLessThan(1000);
    // The slowest percent is the one of two seconds.
    expect(mine.p99_ms).toBeGreaterThan(mine.p95_ms);
    expect(body.series.reduce((n: number, p: { requests: number }) => n + p.requests, 0)).toBe(body.requests);
    expect(body.requests).toBeGreaterThanOrEqual(100);
    expect(body.budget_left).toBeCloseTo(1 - body.errors / (body.requests * 0.001), 6);
    expect(body.database.statements).toBeGreaterThan(0);
    expect(body.database.query_p95_ms).toBeGreaterThan(0);
    expect(body.database.pool_use_p95).toBeGreaterThan(0);
    expect(body.database.connections).toBeLessThanOrEqual(body.database.connections_max);
  }
});

test("without requests nothing is claimed: no share and no percentile", async () => {
  const team = await t.tenant();
  const rows = await t.sql`select * from kernel.read_samples('minute', now() + interval '1 hour', null)`;
  expect(rows).toHaveLength(0);
  const { body } = await team.api("GET", "/service-level");
  const quiet = body.series.filter((p: { requests: number }) => p.requests === 0);
  expect(quiet.length).toBeGreaterThan(0);
  for (const point of quiet) expect(point).toMatchObject({ availability: null, p95_ms: null, p99_ms: null });
});

test("samples that cannot be written are kept and written later", async () => {
  let down = true;
  const errors: unknown[] = [];
  const name = `down${crypto.randomUUID().slice(0, 6)}`;
  const samples = createSamples(
    { once: (fn) => (down ? Promise.reject(new Error("no database")) : t.kernel.database.once(fn)) },
    (error) => errors.push(error),
  );
  samples.record("http", name, 0.01);
  await samples.flush();
  samples.record("http", name, 0.01, true);
  expect(errors).toHaveLength(1);
  down = false;
  await samples.close();
  expect(await t.sql`select span, n::int, errors::int from kernel.samples where name = ${name} order by span`).toEqual([
    { span: "hour", n: 2, errors: 1 },
    { span: "minute", n: 2, errors: 1 },
    { span: "total", n: 2, errors: 1 },
  ]);
});

test("many processes adding at once lose nothing and do not wait for each other in a circle", async () => {
  const names = Array.from({ length: 6 }, () => `race${crypto.randomUUID().slice(0, 6)}`);
  await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      const samples = other();
      for (const name of i % 2 ? names : names.toReversed()) samples.record("http", name, 0.01);
      await samples.close();
    }),
  );
  const rows = await t.sql`select distinct n::int from kernel.samples where name in ${t.sql(names)}`;
  expect(rows).toEqual([{ n: 20 }]);

  // One holds the first and waits for the last; another, told last and first, must not hold the last while it waits for the first.
  const [first, last] = names.toSorted() as [string, string];
  const late = other();
  for (const name of [last, first]) late.record("http", name, 0.01);
  let closed: Promise<void> | undefined;
  await t.sql.begin(async (tx) => {
    await tx`update kernel.samples set n = n where name = ${first}`;
    closed = late.close();
    const [{ mine }] = await tx<[{ mine: number }]>`select pg_backend_pid() as mine`;
    await until(
      async () => (await t.sql`select from pg_stat_activity where ${mine} = any(pg_blocking_pids(pid))`).length > 0,
      { what: "the other process waits" },
    );
    await tx`update kernel.samples set n = n where name = ${last}`;
  });
  await closed;
  expect(await t.sql`select distinct n::int from kernel.samples where name in ${t.sql([first, last])}`).toEqual([
    { n: 21 },
  ]);
});

test("a percentile lies where the samples are, whatever the process that measured them", () => {
  const of = (values: number[]) => {
    const buckets = Array.from({ length: BOUNDS.http.length + 1 }, () => 0);
    for (const v of values) {
      const i = BOUNDS.http.findIndex((b) => v <= b);
      buckets[i < 0 ? BOUNDS.http.length : i]!++;
    }
    return buckets;
  };
  const values = Array.from({ length: 1000 }, (_, i) => (i + 1) / 1000);
  for (const q of [0.1, 0.5, 0.95, 0.99]) expect(quantile(BOUNDS.http, of(values), q)).toBeCloseTo(q, 2);
  expect(quantile(BOUNDS.http, of([]), 0.5)).toBeNull();
  expect(quantile(BOUNDS.http, of([100]), 0.5)).toBe(10);
});

test("old samples and alerts are removed, and what is kept forever stays", async () => {
  const name = `old${crypto.randomUUID().slice(0, 6)}`;
  await t.sql`insert into kernel.samples (span, at, kind, name, n, errors, total, buckets)
    select x.span, now() - x.age, 'http', ${name}, 1, 0, 1, '{1}' from (values ('minute', interval '3 days'), ('minute', interval '1 day'),
      ('hour', interval '41 days'), ('hour', interval '39 days')) x (span, age)`;
  await t.sql`insert into kernel.samples (span, at, kind, name, n, errors, total, buckets) values ('total', 'epoch', 'http', ${name}, 4, 0, 1, '{4}')`;
  const team = await t.tenant();
  for (const days of [89, 91])
    await t.sql`insert into public.alerts (tenant_id, kind, scope, severity, summary, value, threshold, status, opened_at, resolved_at)
      values (${team.id}, 'latency', 'team', 'warning', ${`${days} days`}, 1, 0, 'resolved', now(), now() - make_interval(days => ${days}))`;
  await t.sql`select kernel.prune(), private.prune_alerts()`;
  expect((await t.sql`select span from kernel.samples where name = ${name} order by 1`).map((r) => r.span)).toEqual([
    "hour",
    "minute",
    "total",
  ]);
  expect(await t.sql`select summary from public.alerts where tenant_id = ${team.id}`).toEqual([{ summary: "89 days" }]);
});
