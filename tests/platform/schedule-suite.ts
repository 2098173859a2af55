import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/until.ts";

type Server = {
  /** Connection of the role postgres. */
  dbUrl: string;
  /** Whether pg_cron there knows `N seconds`. */
  seconds: boolean;
  /** How long a job that is due every `period` may take to be seen. */
  patienceMs: number;
};

type Wanted = { name: string; cron: string; command: string; seconds: number };

/** What the product asks of pg_cron, whichever pg_cron it is. The server is this suite's alone: registering removes what is not named. */
export function scheduleSuite(server: () => Server): void {
  let sql: Sql;
  beforeAll(() => {
    sql = postgres(server().dbUrl, { max: 3, onnotice: () => {} });
  });
  afterAll(() => sql?.end({ timeout: 5 }));

  const plain: Wanted = { name: "t.plain", cron: "7 3 * * *", command: "select 1", seconds: 86_400 };
  const quick: Wanted = { name: "t.quick", cron: "10 seconds", command: "select 1", seconds: 10 };
  const register = (...wanted: Wanted[]) => sql`select kernel.register_schedules(${sql.json(wanted)})`;
  const jobs = () =>
    sql`select jobid::int, jobname, schedule, command, active, username from cron.job where jobname like 'overture.%' order by jobname`;
  const health = async (name: string) => (await sql`select * from kernel.schedule_health() where name = ${name}`)[0]!;
  const run = (name: string) => sql`select kernel.run_schedule(${name})`;

  test("registering makes one active job per schedule, run by the role postgres through the kernel's guard", async () => {
    await register(plain, quick);
    expect(await jobs()).toMatchObject([
      {
        jobname: "overture.t.plain",
        schedule: "7 3 * * *",
        command: "select kernel.run_schedule('t.plain')",
        active: true,
        username: "postgres",
      },
      {
        jobname: "overture.t.quick",
        command: "select kernel.run_schedule('t.quick')",
        active: true,
        username: "postgres",
      },
    ]);
  });

  test("seconds are used where pg_cron knows them and become a minute where it does not", async () => {
    await register(quick);
    const [job] = await jobs();
    expect(job!.schedule).toBe(server().seconds ? "10 seconds" : "* * * * *");
    // What was asked for is kept, so that a newer pg_cron gets it at the next start.
    expect(await health("t.quick")).toMatchObject({ cron: "10 seconds" });
  });

  test("registering the same again changes no job", async () => {
    await register(plain, quick);
    const before = await jobs();
    await register(quick, plain);
    expect(await jobs()).toEqual(before);
  });

  test("a changed expression or command reaches the job, and a job that somebody switched off runs again", async () => {
    await register(plain);
    const [before] = await jobs();
    await sql`select cron.alter_job(${before!.jobid as number}, active := false)`;
    await register({ ...plain, cron: "*/5 * * * *", command: "select 2" });
    expect(await jobs()).toMatchObject([{ jobid: before!.jobid, schedule: "*/5 * * * *", active: true }]);
    expect(await sql`select command from kernel.schedules where name = 't.plain'`).toEqual([{ command: "select 2" }]);
  });

  test("a schedule that is no longer wanted is unscheduled; jobs of others stay", async () => {
    await sql`select cron.schedule('somebody else''s', '0 0 1 1 *', 'select 1')`;
    await register(plain, quick);
    await register(plain);
    expect((await jobs()).map((j) => j.jobname)).toEqual(["overture.t.plain"]);
    expect(await sql`select name from kernel.schedules`).toEqual([{ name: "t.plain" }]);
    expect(await sql`select jobname from cron.job where jobname = 'somebody else''s'`).toHaveLength(1);
    await sql`select cron.unschedule('somebody else''s')`;
  });

  test("a faulty list changes nothing: registering is one transaction", async () => {
    await register(plain);
    const before = await jobs();
    await expect(register(quick, { ...plain, cron: "every now and then" })).rejects.toThrow(/schedule/i);
    expect(await jobs()).toEqual(before);
  });

  test("a run that finds the one before still at work skips itself and is counted", async () => {
    await register({ ...plain, command: "select pg_advisory_xact_lock(4711)" });
    const gate = await sql.reserve();
    try {
      await gate`select pg_advisory_lock(4711)`;
      const slow = run("t.plain").execute();
      await until(
        async () =>
          (await sql`select from pg_stat_activity where wait_event = 'advisory' and query like '%run_schedule%'`)
            .length > 0,
        {
          what: "the first run to be at work",
        },
      );
      await run("t.plain");
      expect(await health("t.plain")).toMatchObject({ skipped: "1", runs: "0" });
      await gate`select pg_advisory_unlock(4711)`;
      await slow;
    } finally {
      await gate`select pg_advisory_unlock_all()`;
      gate.release();
    }
    expect(await health("t.plain")).toMatchObject({ skipped: "1", runs: "1" });
    await run("t.plain");
    expect(await health("t.plain")).toMatchObject({ skipped: "1", runs: "2" });
  });

  test("an error is recorded and not raised, what the run did is undone, and the next good run clears it", async () => {
    await sql`create table if not exists public.suite_marks (n int)`;
    await register({ ...plain, command: "insert into public.suite_marks values (1); select 1 / 0" });
    await run("t.plain");
    expect(await health("t.plain")).toMatchObject({ last_error: "division by zero" });
    expect(await sql`select from public.suite_marks`).toHaveLength(0);
    await register({ ...plain, command: "insert into public.suite_marks values (1)" });
    await run("t.plain");
    expect(await health("t.plain")).toMatchObject({ last_error: null });
    expect(await sql`select from public.suite_marks`).toHaveLength(1);
    await sql`drop table public.suite_marks`;
  });

  test("a schedule is late after three missed runs, counted from its registration at the earliest, and says by how much", async () => {
    await register({ ...plain, name: "t.lag", seconds: 60 });
    const registered = await health("t.lag");
    expect(registered.late).toBe(false);
    expect(registered.lag_seconds).toBeLessThan(30);
    await sql`update kernel.schedules set registered_at = now() - interval '242 seconds' where name = 't.lag'`;
    const never = await health("t.lag");
    expect(never.late).toBe(true);
    expect(never.lag_seconds).toBeGreaterThan(241);
    await run("t.lag");
    const fresh = await health("t.lag");
    expect(fresh.late).toBe(false);
    expect(fresh.lag_seconds).toBeLessThan(30);
    await sql`update kernel.schedules set last_started_at = now() - interval '239 seconds' where name = 't.lag'`;
    expect(await health("t.lag")).toMatchObject({ late: false });
    await sql`update kernel.schedules set last_started_at = now() - interval '242 seconds' where name = 't.lag'`;
    const late = await health("t.lag");
    expect(late.late).toBe(true);
    expect(late.lag_seconds).toBeGreaterThan(241);
  });

  test("the scheduler itself runs a registered schedule", async () => {
    await register({
      name: "t.real",
      cron: server().seconds ? "1 seconds" : "* * * * *",
      command: "select 1",
      seconds: 60,
    });
    await until(async () => Number((await health("t.real")).runs) > 0, {
      what: "the first run",
      timeoutMs: server().patienceMs,
      everyMs: 200,
    });
    // The scheduler notes the end behind the run's own transaction.
    const details = await until(
      async () =>
        (
          await sql`select d.status from cron.job_run_details d join cron.job j using (jobid) where j.jobname = 'overture.t.real' and d.end_time is not null order by d.runid limit 1`
        )[0],
      { what: "the end of the first run" },
    );
    expect(details).toEqual({ status: "succeeded" });
    await register(plain);
  }, 90_000);
}
