import { existsSync, readFileSync, statfsSync, statSync } from "node:fs";
import { freemem, totalmem } from "node:os";
import { join } from "node:path";
import postgres, { type Sql } from "postgres";
import { denoBinary } from "./child.ts";
import { nextRun } from "./cron.ts";
import { isFull } from "./database.ts";
import { FUNCTIONS } from "./functions.ts";
import { isFree, parseEnv, type Ports, type Secrets } from "./home.ts";
import { appliedVersions, listMigrations } from "./migrate.ts";

/** Outcome of one check. `fix` says what to do and is present exactly when `ok` is false. */
export interface Check {
  name: string;
  ok: boolean;
  detail: string;
  fix?: string;
}

/** What the checks look at. */
export interface Subject {
  home: string;
  ports: Ports;
  running: boolean;
}

type Outcome = string | { problem: string; fix: string };

/** Runs one check; an exception is a failed check, never a failed doctor. */
async function check(name: string, look: () => Outcome | Promise<Outcome>): Promise<Check> {
  try {
    const outcome = await look();
    if (typeof outcome === "string") return { name, ok: true, detail: outcome };
    return { name, ok: false, detail: outcome.problem, fix: outcome.fix };
  } catch (error) {
    return {
      name,
      ok: false,
      detail: (error as Error).message,
      fix: "See the logs folder; npm stop and npm start often help.",
    };
  }
}

/** The machine: packages, disk, memory, ports. */
export async function machineChecks({ home, ports, running }: Subject): Promise<Check[]> {
  return [
    await check("packages", () => {
      denoBinary();
      return `Node ${process.versions.node}, Deno and Postgres are installed`;
    }),
    await check("disk", () => {
      const { bavail, bsize } = statfsSync(existsSync(home) ? home : "/");
      const gb = (Number(bavail) * Number(bsize)) / 2 ** 30;
      if (gb >= 1) return `${gb.toFixed(1)} GB free`;
      return {
        problem: `only ${gb.toFixed(2)} GB free`,
        fix: "Free at least 1 GB, or move OVERTURE_HOME to another disk.",
      };
    }),
    await check("memory", () => {
      const free = availableMemory() / 2 ** 20;
      const text = `${Math.round(free)} MB of ${Math.round(totalmem() / 2 ** 20)} MB free`;
      return free >= 400
        ? text
        : { problem: text, fix: "Close other programs: about 400 MB of free memory are needed." };
    }),
    await check("ports", async () => {
      const taken: number[] = [];
      for (const port of Object.values(ports)) if (!(await isFree(port))) taken.push(port);
      const numbers = Object.values(ports).join(", ");
      if (!running) {
        if (taken.length === 0) return `${numbers} are free`;
        return {
          problem: `in use by other programs: ${taken.join(", ")}`,
          fix: "Stop these programs, or set OVERTURE_PORT_BASE to other ports.",
        };
      }
      const silent = [ports.api, ports.db].filter((port) => !taken.includes(port));
      if (silent.length === 0) return `${taken.join(", ")} answer`;
      return {
        problem: `nothing listens on ${silent.join(", ")}`,
        fix: "npm stop, then npm start; see gateway.log and postgres.log.",
      };
    }),
  ];
}

/** Linux counts reclaimable cache as used in freemem(). */
function availableMemory(): number {
  if (!existsSync("/proc/meminfo")) return freemem();
  const match = /MemAvailable:\s+(\d+) kB/.exec(readFileSync("/proc/meminfo", "utf8"));
  return match ? Number(match[1]) * 1024 : freemem();
}

/** Keys and passwords of the installation. */
export async function keyChecks({ home }: Subject): Promise<{ checks: Check[]; secrets: Secrets | null }> {
  const file = join(home, "secrets.env");
  if (!existsSync(file)) {
    const fresh = !existsSync(join(home, "pg"));
    const detail = fresh ? "not created yet; npm start creates it" : `${file} is missing`;
    return {
      checks: [{ name: "keys", ok: fresh, detail, ...(fresh ? {} : { fix: "Restore secrets.env from your backup." }) }],
      secrets: null,
    };
  }
  const secrets = parseEnv(readFileSync(file, "utf8"));
  const result = await check("keys", () => {
    const mode = statSync(file).mode & 0o777;
    if (mode & 0o077)
      return { problem: `${file} can be read by others (mode ${mode.toString(8)})`, fix: `chmod 600 ${file}` };
    const bad = (secrets.OVERTURE_KEYS ?? "").split(",").filter((key) => !/^[\w-]+:[A-Za-z0-9+/]{43}=$/.test(key));
    if (bad.length > 0)
      return {
        problem: "OVERTURE_KEYS is not k1:<base64 of 32 bytes>[,…]",
        fix: `Restore ${file} from a backup, or correct the key in it.`,
      };
    if ((secrets.SUPABASE_JWT_SECRET ?? "").length < 32)
      return { problem: "SUPABASE_JWT_SECRET is too short", fix: `Restore ${file}.` };
    return `${secrets.OVERTURE_KEYS!.split(",").length} encryption key(s), API keys and passwords present`;
  });
  return { checks: [result], secrets };
}

/** Database, migrations, queues and schedules of a running instance. */
export async function databaseChecks({ home, ports }: Subject, secrets: Secrets): Promise<Check[]> {
  const password = encodeURIComponent(secrets.POSTGRES_PASSWORD ?? "");
  const sql = postgres(`postgresql://postgres:${password}@127.0.0.1:${ports.db}/postgres`, {
    max: 1,
    connect_timeout: 5,
    onnotice: () => {},
  });
  try {
    const database = await check("database", async () => {
      const [row] =
        await sql`select current_setting('server_version') as version, pg_size_pretty(pg_database_size(current_database())) as size,
        (select count(*)::int from pg_stat_activity where backend_type = 'client backend') as connections`;
      return `Postgres ${row!.version}, ${row!.size}, ${row!.connections} connections`;
    });
    if (!database.ok) {
      const fix = isFull(home)
        ? "The disk is full: free some space; the database then restarts automatically."
        : "The database is restarted automatically; if it does not start, see postgres.log.";
      return [{ ...database, fix }];
    }
    return [
      database,
      await check("migrations", () => migrations(sql)),
      await check("queues", () => queues(sql)),
      await check("schedules", () => schedules(sql)),
    ];
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function migrations(sql: Sql): Promise<Outcome> {
  const applied = await appliedVersions(sql);
  const known = listMigrations().map((migration) => migration.version);
  const pending = known.filter((version) => !applied.includes(version));
  const unknown = applied.filter((version) => !known.includes(version));
  if (pending.length > 0) return { problem: `not applied: ${pending.join(", ")}`, fix: "npm stop, then npm start." };
  if (unknown.length > 0)
    return {
      problem: `unknown to this version: ${unknown.join(", ")}`,
      fix: "Update the program to the version that wrote the data, or a newer one.",
    };
  return `${applied.length} applied, none pending`;
}

async function queues(sql: Sql): Promise<Outcome> {
  const rows =
    await sql`select queue as queue_name, visible::int as waiting, oldest_seconds as oldest from kernel.queue_metrics()`;
  const stuck = rows.filter((row) => row.waiting > 0 && row.oldest > 900);
  if (stuck.length > 0) {
    const names = stuck.map((row) => `${row.queue_name} (${row.waiting} waiting, oldest ${row.oldest} s)`).join(", ");
    return {
      problem: `stuck: ${names}`,
      fix: "Is the worker running? See worker.log and the dead letters in the console.",
    };
  }
  return `${rows.length} queues, ${rows.reduce((sum, row) => sum + row.waiting, 0)} messages waiting`;
}

async function schedules(sql: Sql): Promise<Outcome> {
  const rows =
    await sql`select j.jobid, coalesce(j.jobname, j.jobid::text) as name, j.schedule, d.status, d.return_message, d.start_time
    from cron.job j left join lateral (
      select status, return_message, start_time from cron.job_run_details where jobid = j.jobid order by runid desc limit 1
    ) d on true where j.active`;
  const problems: string[] = [];
  for (const row of rows) {
    if (row.status === "failed") problems.push(`${row.name} failed: ${row.return_message}`);
    if (!row.start_time) continue;
    const due = nextRun(row.schedule, (row.start_time as Date).getTime());
    const lag = due === null ? 0 : Math.round((Date.now() - due) / 1000);
    if (lag > 120) problems.push(`${row.name} is ${lag} s late`);
  }
  if (problems.length > 0) return { problem: problems.join("; "), fix: "See cron.job_run_details and gateway.log." };
  const last = rows.reduce((latest, row) => Math.max(latest, (row.start_time as Date | null)?.getTime() ?? 0), 0);
  return `${rows.length} jobs${last ? `, last run ${Math.round((Date.now() - last) / 1000)} s ago` : ""}`;
}

/** REST, auth and every function of a running instance. */
export async function serviceChecks({ ports }: Subject, secrets: Secrets): Promise<Check[]> {
  const base = `http://127.0.0.1:${ports.api}`;
  const headers = { apikey: secrets.SUPABASE_PUBLISHABLE_KEY ?? "" };
  const ask = async (path: string) => {
    const response = await fetch(base + path, { headers, signal: AbortSignal.timeout(10_000) });
    await response.body?.cancel();
    return response.status;
  };
  const answered = (path: string, name: string) =>
    check(name, async () => {
      const status = await ask(path);
      if (status < 500) return `answers (${status})`;
      return { problem: `${path} answers ${status}`, fix: "See gateway.log." };
    });
  return [
    await answered("/rest/v1/", "rest"),
    await answered("/auth/v1/health", "auth"),
    ...(await Promise.all(FUNCTIONS.map((name) => answered(`/functions/v1/${name}`, `function ${name}`)))),
  ];
}
