import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { chownSync, closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { nativePostgres } from "./binaries.ts";
import { StartError } from "./home.ts";
import { guard, isAlive } from "./processes.ts";
import { chooseLaunch, type Launch } from "./unprivileged.ts";

export interface PostgresOptions {
  home: string;
  port: number;
  superuserPassword: string;
  /** False trades crash safety for speed; only for throw-away homes. */
  durable?: boolean;
  /** How long it may take until it accepts connections; 60 seconds unless set. */
  patienceMs?: number;
  /** Gives up the start. */
  signal?: AbortSignal;
}

export interface RunningPostgres {
  pid: number;
  /** Resolves with the exit code when the server ends, wanted or not. */
  exited: Promise<number | null>;
  /** Fast shutdown: open transactions are rolled back, data is flushed. */
  stop(): Promise<void>;
}

/** The superuser of the embedded server, named as on Supabase's images. */
export const SUPERUSER = "supabase_admin";

const settings = (port: number, durable: boolean): Record<string, string | number> => ({
  port,
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  max_connections: 100,
  shared_buffers: "128MB",
  wal_level: "replica",
  max_wal_size: "512MB",
  jit: "off",
  password_encryption: "scram-sha-256",
  // What fails in a statement quotes values and rows (a malformed filter, a duplicate address). Whoever sent the statement
  // gets the error and logs it masked; here stands what concerns the server: in this log LOG ranks above ERROR.
  log_min_messages: "log",
  log_min_error_statement: "panic",
  log_error_verbosity: "terse",
  log_line_prefix: "%m [%p] %u ",
  TimeZone: "UTC",
  log_timezone: "UTC",
  // Queue tables live from updates and deletes: vacuum early and cheaply.
  autovacuum_naptime: "15s",
  autovacuum_vacuum_scale_factor: 0.05,
  autovacuum_vacuum_cost_delay: "1ms",
  ...(durable ? {} : { fsync: "off", synchronous_commit: "off", full_page_writes: "off" }),
});

/** Creates the cluster on the first call, then starts it and waits until it accepts connections. */
export async function startPostgres(options: PostgresOptions): Promise<RunningPostgres> {
  const { home, port } = options;
  const dataDir = join(home, "pg");
  const native = nativePostgres(home);
  const launch = chooseLaunch(dataDir, native);
  if (!existsSync(join(dataDir, "PG_VERSION"))) initialise(native, launch, dataDir, options);
  await reapOrphan(dataDir);

  const logFile = join(home, "logs", "postgres.log");
  const log = openSync(logFile, "a", 0o600);
  const args = Object.entries(settings(port, options.durable ?? true)).flatMap(([name, value]) => [
    "-c",
    `${name}=${value}`,
  ]);
  const child = run(launch, join(native, "bin", "postgres"), ["-D", dataDir, ...args], log);
  closeSync(log);
  const exited = new Promise<number | null>((done) => {
    child.once("exit", (code) => done(code));
    child.once("error", () => done(-1));
  });
  if (child.pid) void exited.then(guard(child.pid, "INT"));

  const failed = exited.then((code) => {
    throw new StartError(`Postgres stopped while starting (exit code ${code}): ${lastLine(logFile)} (see ${logFile})`);
  });
  failed.catch(() => {});
  const giveUp = () => child.kill("SIGINT");
  options.signal?.addEventListener("abort", giveUp, { once: true });
  await Promise.race([ready(dataDir, port, options.patienceMs ?? 60_000), failed]);

  options.signal?.removeEventListener("abort", giveUp);
  return {
    pid: child.pid!,
    exited,
    async stop() {
      child.kill("SIGINT");
      const ended = await Promise.race([exited.then(() => true), delay(15_000, false, { ref: false })]);
      if (!ended) child.kill("SIGQUIT");
      await exited;
    },
  };
}

function initialise(native: string, launch: Launch, dataDir: string, options: PostgresOptions): void {
  // A first start that was cut off leaves a folder without PG_VERSION; initdb wants it empty.
  const passwordFile = join(options.home, ".initdb-password");
  const failures: string[] = [];
  // Sorting and ILIKE come from Postgres' own Unicode tables; lc_ctype only serves full text parsing.
  const ctypes = process.platform === "darwin" ? ["en_US.UTF-8", "C"] : ["C.UTF-8", "en_US.UTF-8", "C"];
  try {
    for (const ctype of ctypes) {
      spawnSync("sh", ["-c", 'cd "$1" && rm -rf ./* ./.[!.]*', "sh", dataDir]);
      writeFileSync(passwordFile, options.superuserPassword, { mode: 0o600 });
      if (process.getuid?.() === 0) chownSync(passwordFile, launch.uid ?? Number(prefixUid(launch)), 0);
      const [command, ...args] = [
        ...launch.prefix,
        join(native, "bin", "initdb"),
        ...["-D", dataDir, "-U", SUPERUSER, "--auth=scram-sha-256", `--pwfile=${passwordFile}`, "-E", "UTF8"],
        ...["--locale=C", `--lc-ctype=${ctype}`, "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
        "--no-instructions",
        ...(options.durable === false ? ["--no-sync"] : []),
      ];
      const { uid, gid } = launch;
      const result = spawnSync(command!, args, { uid, gid, cwd: "/", encoding: "utf8", env: cleanEnv() });
      if (result.status === 0) return;
      failures.push((result.stderr || String(result.error)).trim().split("\n").pop() ?? "");
    }
  } finally {
    rmSync(passwordFile, { force: true });
  }
  throw new StartError(`The database could not be created in ${dataDir}: ${failures[0]}`);
}

function prefixUid(launch: Launch): string {
  return launch.prefix.find((part) => part.startsWith("--reuid="))?.slice(8) ?? "0";
}

function run(launch: Launch, binary: string, args: string[], log: number): ChildProcess {
  const [command, ...rest] = [...launch.prefix, binary, ...args];
  return spawn(command!, rest, {
    uid: launch.uid,
    gid: launch.gid,
    cwd: "/",
    env: cleanEnv(),
    // Its own session: Ctrl-C in the terminal must reach only the supervisor, which stops the database last.
    detached: true,
    stdio: ["ignore", log, log],
  });
}

/** A server left behind by a killed supervisor is shut down; a stale pid file is removed. */
async function reapOrphan(dataDir: string): Promise<void> {
  const pidFile = join(dataDir, "postmaster.pid");
  if (!existsSync(pidFile)) return;
  const pid = Number(readFileSync(pidFile, "utf8").split("\n")[0]);
  if (isAlive(pid) && commandOf(pid).includes("postgres")) {
    for (const signal of ["SIGINT", "SIGQUIT"] as const) {
      if (isAlive(pid)) process.kill(pid, signal);
      for (let waited = 0; waited < 10_000 && isAlive(pid); waited += 50) await delay(50);
    }
    if (isAlive(pid))
      throw new StartError(`Another Postgres (process ${pid}) uses ${dataDir} and does not stop. End this process.`);
  }
  rmSync(pidFile, { force: true });
}

function commandOf(pid: number): string {
  if (existsSync(`/proc/${pid}/cmdline`)) return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  return spawnSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8" }).stdout ?? "";
}

/** Postgres writes "ready" into its pid file once it accepts connections; the port is tried as well. */
async function ready(dataDir: string, port: number, patienceMs: number): Promise<void> {
  const pidFile = join(dataDir, "postmaster.pid");
  for (let waited = 0; waited < patienceMs; waited += 20) {
    if (existsSync(pidFile) && readFileSync(pidFile, "utf8").includes("ready") && (await accepts(port))) return;
    await delay(20);
  }
  throw new StartError(
    `Postgres did not become ready within ${patienceMs / 1000} seconds; see logs/postgres.log in the data folder.`,
  );
}

function accepts(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => (socket.destroy(), done(true)));
    socket.once("error", () => done(false));
  });
}

/** Without the caller's PG* variables, which would redirect initdb and postgres. */
function cleanEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(PG|LC_|LANG)/.test(name)));
}

function lastLine(file: string): string {
  const lines = readFileSync(file, "utf8").trim().split("\n");
  return (lines.findLast((line) => /FATAL|PANIC|error/.test(line)) ?? lines.at(-1) ?? "").replace(
    /^.*?(FATAL|PANIC)/,
    "$1",
  );
}
