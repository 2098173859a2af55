import { statfsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { startPostgres, type PostgresOptions, type RunningPostgres } from "./postgres.ts";

export interface DatabaseOptions extends PostgresOptions {
  /** Start it again when it ends unasked, until it runs. */
  restart: boolean;
  /** Told in one line that it is gone and why, again when the reason changes, and that it is back. */
  onEvent?: (line: string) => void;
}

/** Postgres writes its log in files of 16 MB: with less than that it cannot even recover. */
const FULL_BYTES = 16 * 2 ** 20;
/** Between attempts. Starting costs little, and whoever frees a full disk is watching. */
const PAUSES_MS = [500, 1_000, 2_000, 5_000];
/** Recovery after a crash replays up to max_wal_size. */
const RECOVERY_MS = 600_000;

/**
 * Postgres, kept running. A full disk, memory that ran out or a kill ends it; what was committed is on disk, so it is started
 * again, and the other processes, which wait for it, go on.
 */
export class Database {
  readonly #options: DatabaseOptions;
  readonly #stopping = new AbortController();
  #running: RunningPostgres | undefined;
  #recovery: Promise<void> = Promise.resolve();

  constructor(options: DatabaseOptions) {
    this.#options = options;
  }

  /** Absent while it is down. */
  get pid(): number | undefined {
    return this.#running?.pid;
  }

  async start(): Promise<void> {
    this.#watch(await startPostgres(this.#options));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#recovery;
    await this.#running?.stop();
  }

  #watch(running: RunningPostgres): void {
    this.#running = running;
    void running.exited.then((code) => {
      this.#running = undefined;
      if (this.#stopping.signal.aborted) return;
      if (this.#options.restart) this.#recovery = this.#recover(code);
    });
  }

  async #recover(code: number | null): Promise<void> {
    const { home, onEvent } = this.#options;
    const { signal } = this.#stopping;
    let told: string | undefined;
    const tell = (why: string) => {
      if (why === told) return;
      told = why;
      onEvent?.(`The database ended unexpectedly: ${why} Restarts are tried until it runs; no saved data is lost.`);
    };
    for (let attempt = 0; !signal.aborted; attempt++) {
      if (isFull(home)) tell(`the disk of ${home} is full. Free some space.`);
      else if (attempt === 0) tell(`exit code ${code}; see ${home}/logs/postgres.log.`);
      await delay(PAUSES_MS[Math.min(attempt, PAUSES_MS.length - 1)], undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      try {
        this.#watch(await startPostgres({ ...this.#options, patienceMs: RECOVERY_MS, signal }));
        onEvent?.("The database runs again.");
        return;
      } catch (error) {
        if (!isFull(home)) tell((error as Error).message);
      }
    }
  }
}

/** Whether the disk of this folder has no room left for the database to work. */
export function isFull(folder: string): boolean {
  const { bavail, bsize } = statfsSync(folder);
  return Number(bavail) * Number(bsize) < FULL_BYTES;
}
