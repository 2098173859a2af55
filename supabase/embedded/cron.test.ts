import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../../tests/support/until.ts";
import { nextRun } from "./cron.ts";
import type { Stack } from "./stack.ts";
import { fixtureStack } from "./testing.ts";

describe("nextRun", () => {
  const from = Date.parse("2026-02-27T10:00:30Z");
  test.each([
    ["5 seconds", "2026-02-27T10:00:35.000Z"],
    ["* * * * *", "2026-02-27T10:01:00.000Z"],
    ["*/15 * * * *", "2026-02-27T10:15:00.000Z"],
    ["0 9 * * mon-fri", "2026-03-02T09:00:00.000Z"],
    ["0 0 $ * *", "2026-02-28T00:00:00.000Z"],
    ["0 0 1 * 0", "2026-03-01T00:00:00.000Z"],
    ["0 0 13 * 5", "2026-03-06T00:00:00.000Z"],
    ["0 0 * * 7", "2026-03-01T00:00:00.000Z"],
    ["@hourly", "2026-02-27T11:00:00.000Z"],
  ])("%s is due at %s (UTC; day of month or day of week, as in cron)", (schedule, expected) => {
    expect(new Date(nextRun(schedule, from)!).toISOString()).toBe(expected);
  });

  test("a date that never comes has none", () => {
    expect(nextRun("0 0 31 2 *", from)).toBeNull();
  });
});

describe("the scheduler", () => {
  let stack: Stack;
  let sql: Sql;
  beforeAll(async () => {
    stack = await fixtureStack(
      "create table public.runs (at timestamptz default clock_timestamp(), who text default current_user);",
    );
    sql = postgres(stack.dbUrl, { max: 1, onnotice: () => {} });
  });
  afterAll(async () => {
    await sql?.end();
    await stack?.stop();
  });

  const details = (name: string) =>
    sql`select d.status, d.return_message, d.start_time, d.end_time, d.username from cron.job_run_details d join cron.job j using (jobid)
      where j.jobname = ${name} order by runid`;

  test("runs a job every second as the role that scheduled it, and records each run", async () => {
    await sql`select cron.schedule('tick', '1 second', 'insert into public.runs default values')`;
    const rows = await until(
      async () =>
        (await details("tick")).filter((row) => row.status === "succeeded").length >= 2 ? await details("tick") : null,
      { what: "two runs" },
    );
    expect(rows[0]).toMatchObject({ status: "succeeded", return_message: "INSERT 0 1", username: "postgres" });
    const gap = (rows[1]!.start_time as Date).getTime() - (rows[0]!.start_time as Date).getTime();
    // A busy machine begins one run late and the next in time.
    expect(gap).toBeGreaterThanOrEqual(500);
    expect(await sql`select distinct who from public.runs`).toEqual([{ who: "postgres" }]);
    await sql`select cron.unschedule('tick')`;
    const [{ runs }] = (await sql`select count(*)::int as runs from public.runs`) as unknown as [{ runs: number }];
    await sql`select cron.schedule('later', '1 second', 'select 1')`;
    await until(async () => (await details("later")).length >= 2, { what: "another job to have had time" });
    const [{ after }] = (await sql`select count(*)::int as after from public.runs`) as unknown as [{ after: number }];
    expect(after - runs).toBeLessThanOrEqual(1);
    await sql`select cron.unschedule('later')`;
  });

  test("a failing job is recorded and does not stop the next", async () => {
    await sql`select cron.schedule('broken', '1 second', 'select 1 / 0')`;
    await until(async () => (await details("broken")).filter((row) => row.status === "failed").length >= 2, {
      what: "two failures",
    });
    expect((await details("broken"))[0]).toMatchObject({ status: "failed", return_message: "ERROR: division by zero" });
    await sql`select cron.unschedule('broken')`;
  });

  test("a job never overlaps itself, and what one run sets does not reach the next", async () => {
    await sql`select cron.schedule('slow', '1 second', $$ set app.seen = 'yes'; select pg_sleep(1.6) $$)`;
    await until(async () => (await details("slow")).filter((row) => row.end_time).length >= 2, {
      what: "two slow runs",
    });
    const runs = await details("slow");
    expect((runs[1]!.start_time as Date).getTime()).toBeGreaterThanOrEqual((runs[0]!.end_time as Date).getTime());
    await sql`select cron.alter_job((select jobid from cron.job where jobname = 'slow'), command := $$ select 1 / (case when current_setting('app.seen', true) = 'yes' then 0 else 1 end) $$)`;
    const known = runs.length;
    const later = await until(
      async () =>
        (await details("slow")).filter((row) => row.end_time).length > known + 1 ? await details("slow") : null,
      { what: "runs of the changed command" },
    );
    expect(later.slice(known + 1).every((row) => row.status !== "failed")).toBe(true);
    await sql`select cron.unschedule('slow')`;
  });

  test("an inactive job rests", async () => {
    await sql`select cron.schedule('resting', '1 second', 'select 1')`;
    await sql`select cron.alter_job((select jobid from cron.job where jobname = 'resting'), active := false)`;
    await sql`select cron.schedule('clock', '1 second', 'select 1')`;
    await until(async () => (await details("clock")).length >= 2, { what: "two seconds of the other job" });
    expect(await details("resting")).toHaveLength(0);
    await sql`select cron.unschedule('clock')`;
  });
});
