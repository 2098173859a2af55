import { spawnSync } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { installExtension, pgmqFiles } from "../../supabase/embedded/binaries.ts";
import { freePortBase } from "../../supabase/embedded/home.ts";
import { applyPlatform } from "../../supabase/embedded/platform.ts";
import { chooseLaunch } from "../../supabase/embedded/unprivileged.ts";

/** Folder of Debian's PostgreSQL 15 binaries (/usr/lib/postgresql/15/bin), with postgresql-15-cron beside it; or nothing. */
export const pg15Bin = process.env.OVERTURE_TEST_PG15 || undefined;

export type Postgres15 = { dbUrl: string; adminDbUrl: string; stop(): void };

/** A throw-away cluster of PostgreSQL 15 with the real pg_cron and pgmq, and the platform as on Supabase, without migrations. */
export async function startPostgres15(bin: string): Promise<Postgres15> {
  const home = mkdtempSync(join(tmpdir(), "overture-pg15-"));
  const dataDir = join(home, "pg");
  const sharedir = spawnSync(join(bin, "pg_config"), ["--sharedir"], { encoding: "utf8" }).stdout.trim();
  installExtension(join(sharedir, "extension"), pgmqFiles());
  const launch = chooseLaunch(dataDir, dirname(bin));
  const run = (command: string, ...args: string[]) => {
    const [first, ...rest] = [...launch.prefix, join(bin, command), ...args];
    const result = spawnSync(first!, rest, {
      uid: launch.uid,
      gid: launch.gid,
      cwd: "/",
      encoding: "utf8",
      stdio: ["ignore", "ignore", "pipe"],
    });
    if (result.status !== 0) throw new Error(`${command}: ${result.stderr}`);
  };
  const stop = () => {
    try {
      run("pg_ctl", "-D", dataDir, "-m", "immediate", "-w", "stop");
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  };
  const password = join(tmpdir(), `overture-pg15-${process.pid}`);
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
    "fsync = off",
    "unix_socket_directories = ''",
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
    `-p ${port} -c listen_addresses=127.0.0.1`,
    "start",
  );
  const url = (user: string, secret: string) => `postgresql://${user}:${secret}@127.0.0.1:${port}/postgres`;
  const adminDbUrl = url("supabase_admin", "admin");
  try {
    await applyPlatform({ url: adminDbUrl, passwords: { postgres: "owner" } });
  } catch (error) {
    stop();
    throw error;
  }
  return { dbUrl: url("postgres", "owner"), adminDbUrl, stop };
}
