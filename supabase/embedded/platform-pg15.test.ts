import { spawnSync } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../../tests/support/until.ts";
import { installExtension, pgmqFiles } from "./binaries.ts";
import { freePortBase, ROOT } from "./home.ts";
import { migrate } from "./migrate.ts";
import { applyPlatform } from "./platform.ts";
import { chooseLaunch, type Launch } from "./unprivileged.ts";

// PostgreSQL 15 with the real pg_cron and pgmq: the other end of what the migrations must run on. The variable names the
// folder of its binaries (Debian: /usr/lib/postgresql/15/bin); the CI script installs the packages and sets it.
const bin = process.env.OVERTURE_TEST_PG15;

describe.skipIf(!bin)("PostgreSQL 15 with the real pg_cron", () => {
  const home = mkdtempSync(join(tmpdir(), "overture-pg15-"));
  const dataDir = join(home, "pg");
  let launch: Launch;
  let sql: Sql;
  let url: string;
  let applied: string[];

  const run = (command: string, ...args: string[]) => {
    const [first, ...rest] = [...launch.prefix, join(bin!, command), ...args];
    const result = spawnSync(first!, rest, {
      uid: launch.uid,
      gid: launch.gid,
      cwd: "/",
      encoding: "utf8",
      stdio: ["ignore", "ignore", "pipe"],
    });
    if (result.status !== 0) throw new Error(`${command}: ${result.stderr}`);
  };

  beforeAll(async () => {
    const sharedir = spawnSync(join(bin!, "pg_config"), ["--sharedir"], { encoding: "utf8" }).stdout.trim();
    installExtension(join(sharedir, "extension"), pgmqFiles());
    launch = chooseLaunch(dataDir, dirname(bin!));
    const password = join(tmpdir(), `pg15-password-${process.pid}`);
    writeFileSync(password, "admin", { mode: 0o644 });
    run(
      "initdb",
      "-D",
      dataDir,
      "-U",
      "supabase_admin",
      "--auth=scram-sha-256",
      `--pwfile=${password}`,
      "-E",
      "UTF8",
      "--locale=C.UTF-8",
      "--no-sync",
    );
    rmSync(password);
    const port = (await freePortBase()) + 2;
    const settings = [
      "shared_preload_libraries = 'pg_cron'",
      "cron.use_background_workers = on",
      "cron.database_name = 'postgres'",
    ];
    appendFileSync(join(dataDir, "postgresql.conf"), `\n${settings.join("\n")}\n`);
    run(
      "pg_ctl",
      "-D",
      dataDir,
      "-w",
      "-l",
      join(dataDir, "log"),
      "-o",
      `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off`,
      "start",
    );
    await applyPlatform({
      url: `postgresql://supabase_admin:admin@127.0.0.1:${port}/postgres`,
      passwords: { postgres: "owner" },
    });
    url = `postgresql://postgres:owner@127.0.0.1:${port}/postgres`;
    sql = postgres(url, { max: 2, onnotice: () => {} });
    applied = (await migrate({ url, folder: join(ROOT, "migrations") })).map((migration) => migration.version);
  });
  afterAll(async () => {
    await sql?.end();
    if (launch) run("pg_ctl", "-D", dataDir, "-m", "immediate", "stop");
    rmSync(home, { recursive: true, force: true });
  });

  test("all migrations apply as the role postgres, which is no superuser", async () => {
    expect(applied.length).toBeGreaterThan(5);
    expect(await sql`select rolsuper from pg_roles where rolname = current_user`).toEqual([{ rolsuper: false }]);
    const [version] = await sql`select current_setting('server_version_num')::int / 10000 as major,
      (select extversion from pg_extension where extname = 'pg_cron') as cron`;
    expect(version).toEqual({ major: 15, cron: "1.4-1" });
  });

  test("the same statements schedule, change and unschedule a job there", async () => {
    const [job] = await sql`select cron.schedule('probe', '0 3 * * *', 'select 1') as id`;
    await sql`select cron.alter_job(${job!.id}, schedule := '0 4 * * *', active := false)`;
    expect(await sql`select schedule, command, active, username from cron.job where jobname = 'probe'`).toEqual([
      { schedule: "0 4 * * *", command: "select 1", active: false, username: "postgres" },
    ]);
    expect(await sql`select cron.unschedule('probe') as done`).toEqual([{ done: true }]);
  });

  test("a scheduled statement runs and its run is recorded", async () => {
    await sql`select cron.schedule('minute', '* * * * *', $$ create table if not exists public.cron_ran as select current_user::text as who $$)`;
    const rows = await until(
      async () => {
        const found =
          await sql`select d.status, d.return_message from cron.job_run_details d join cron.job j using (jobid)
          where j.jobname = 'minute' and d.end_time is not null`;
        return found.length > 0 ? found : null;
      },
      { what: "the next full minute", timeoutMs: 75_000, everyMs: 500 },
    );
    expect(rows[0]).toMatchObject({ status: "succeeded" });
    expect(await sql`select who from public.cron_ran`).toEqual([{ who: "postgres" }]);
  }, 80_000);
});
