import type { Log } from "../observability/log.ts";
import type { Database } from "./db.ts";

/** Milliseconds between two looks of a process at what grew. */
const EVERY_MS = 1_000;

/**
 * Keeps the planner's statistics up with tables that grow fast, a first import or a first campaign: called after a batch of work, and at
 * most once a second it asks the database whether a table has grown to three times its size. Never fails: without it statements are
 * slower for a minute, until autovacuum comes.
 */
export function createStatistics(database: Database, log: Log): () => Promise<void> {
  let next = 0;
  return async () => {
    const now = performance.now();
    if (now < next) return;
    next = now + EVERY_MS;
    try {
      await database.once((sql) => sql`select kernel.refresh_statistics()`);
    } catch (error) {
      log.warn("statistics could not be refreshed", { error });
    }
  };
}
