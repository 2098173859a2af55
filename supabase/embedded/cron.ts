import { Cron } from "croner";
import postgres, { type Sql } from "postgres";
import { oneAtATime } from "./one-at-a-time.ts";
import { quoteIdentifier } from "./sql.ts";

export interface SchedulerOptions {
  /** Superuser connection for the bookkeeping. */
  sql: Sql;
  /** Connection URL with which jobs of role `postgres` run; jobs of other roles change to theirs. */
  dbUrl: string;
  log: (message: string) => void;
}

interface Job {
  jobid: string;
  schedule: string;
  command: string;
  database: string;
  username: string;
  /** Milliseconds since 1970 of the next start. */
  next: number;
  running: boolean;
}

/** pg_cron's own limits. */
const MAX_CONCURRENT = 8;
const DRAIN_MS = 10_000;
const KEEP_DETAILS = "3 days";

/** Runs the jobs of cron.job as pg_cron does: in UTC, one instance of a job at a time, each on its own connection. */
export class Scheduler {
  readonly #options: SchedulerOptions;
  #jobs = new Map<string, Job>();
  readonly #active = new Map<Promise<void>, () => void>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #maintenance: ReturnType<typeof setInterval> | undefined;
  #unlisten: (() => Promise<void>) | undefined;
  #stopped = false;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { sql, log } = this.#options;
    await sql`update cron.job_run_details set status = 'failed', return_message = 'server restarted', end_time = now()
      where status in ('starting', 'running')`;
    await this.#load();
    // Every login may send notifications: they say that it is time to look, nothing else.
    const reload = oneAtATime(() =>
      this.#load().catch((error: Error) => log(`cron: jobs could not be loaded: ${error.message}`)),
    );
    const listening = await sql.listen(
      "cron_job_changed",
      () => void reload(),
      () => void reload(),
    );
    this.#unlisten = () => listening.unlisten();
    const prune = () =>
      sql`delete from cron.job_run_details where end_time < now() - ${KEEP_DETAILS}::interval`.catch((error: Error) =>
        log(`cron: pruning failed: ${error.message}`),
      );
    await prune();
    this.#maintenance = setInterval(() => void prune(), 3_600_000);
  }

  /** Starts nothing more and waits for running jobs; those that take over ten seconds are cancelled. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    clearInterval(this.#maintenance);
    await this.#unlisten?.().catch(() => {});
    const cancel = setTimeout(() => this.#active.forEach((cancelOne) => cancelOne()), DRAIN_MS);
    await Promise.all(this.#active.keys());
    clearTimeout(cancel);
  }

  async #load(): Promise<void> {
    const rows = await this.#options.sql<Omit<Job, "next" | "running">[]>`
      select jobid, schedule, command, database, username from cron.job
      where active and database = current_database()`;
    const before = this.#jobs;
    this.#jobs = new Map();
    for (const row of rows) {
      const known = before.get(row.jobid);
      if (known && known.schedule === row.schedule) this.#jobs.set(row.jobid, Object.assign(known, row));
      else {
        const next = nextRun(row.schedule, Date.now());
        if (next !== null) this.#jobs.set(row.jobid, { ...row, next, running: known?.running ?? false });
        else this.#options.log(`cron: job ${row.jobid} has a schedule that is never due: ${row.schedule}`);
      }
    }
    this.#tick();
  }

  #tick(): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    const now = Date.now();
    const due = [...this.#jobs.values()]
      .filter((job) => !job.running && job.next <= now)
      .sort((a, b) => a.next - b.next);
    for (const job of due) {
      if (this.#active.size >= MAX_CONCURRENT) break;
      job.next = nextRun(job.schedule, now) ?? Infinity;
      this.#begin(job);
    }
    const waiting = [...this.#jobs.values()].filter((job) => !job.running).map((job) => job.next);
    // A job that ends calls again; until then the next date is at most a minute away, so that clock changes are seen.
    const pause = this.#active.size >= MAX_CONCURRENT ? 60_000 : Math.min(60_000, ...waiting.map((next) => next - now));
    this.#timer = setTimeout(() => this.#tick(), Math.max(pause, 5));
  }

  #begin(job: Job): void {
    job.running = true;
    // The job's own connection: nothing it sets outlives it.
    const connection = postgres(this.#options.dbUrl, { max: 1, onnotice: () => {}, idle_timeout: 0 });
    const run = this.#run(job, connection)
      .catch((error: Error) => this.#options.log(`cron: job ${job.jobid} could not be recorded: ${error.message}`))
      .finally(async () => {
        await connection.end({ timeout: 1 }).catch(() => {});
        this.#active.delete(run);
        job.running = false;
        const current = this.#jobs.get(job.jobid);
        if (current) current.running = false;
        this.#tick();
      });
    this.#active.set(run, () => void connection.end({ timeout: 0 }));
  }

  async #run(job: Job, connection: Sql): Promise<void> {
    const { sql } = this.#options;
    const [{ runid }] = (await sql`
      insert into cron.job_run_details (jobid, database, username, command, status, start_time)
      values (${job.jobid}, ${job.database}, ${job.username}, ${job.command}, 'running', clock_timestamp())
      returning runid`) as unknown as [{ runid: string }];
    let status = "succeeded";
    let message: string;
    try {
      if (job.username !== "postgres") await connection.unsafe(`set role ${quoteIdentifier(job.username)}`);
      message = describe(await connection.unsafe(job.command).simple());
    } catch (error) {
      status = "failed";
      message = `ERROR: ${(error as Error).message}`;
    }
    await sql`update cron.job_run_details set status = ${status}, return_message = ${message}, end_time = clock_timestamp()
      where runid = ${runid}`;
  }
}

/** As pg_cron words it: a count of rows, or the command's tag. */
function describe(result: unknown): string {
  const last = (Array.isArray(result) && Array.isArray(result.at(-1)) ? result.at(-1) : result) as postgres.RowList<
    postgres.Row[]
  >;
  if (last.columns && last.columns.length > 0) return last.count === 1 ? "1 row" : `${last.count ?? 0} rows`;
  if (last.command === "INSERT") return `INSERT 0 ${last.count}`;
  return /^(UPDATE|DELETE|MERGE)$/.test(last.command) ? `${last.command} ${last.count}` : (last.command ?? "");
}

/** Start after `from` (both in ms since 1970) of a pg_cron schedule; null when there is none. */
export function nextRun(schedule: string, from: number): number | null {
  const seconds = /^\s*(\d+)\s+seconds?\s*$/i.exec(schedule);
  if (seconds) return from + Number(seconds[1]) * 1000;
  // pg_cron writes the last day of a month as $.
  const pattern = schedule.trim().replace(/^(\S+\s+\S+\s+)\$(?=\s)/, "$1L");
  try {
    return new Cron(pattern, { timezone: "UTC", paused: true }).nextRun(new Date(from))?.getTime() ?? null;
  } catch {
    return null;
  }
}
