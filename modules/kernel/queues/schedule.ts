/** A recurring piece of SQL, run by pg_cron inside the database. Anything bigger than a statement enqueues messages. */
export type Schedule = {
  /** `messaging.wake`: unique in the installation. */
  name: string;
  /** Five-field cron, or `N seconds` (1–59; a minute where pg_cron is older than 1.5). */
  cron: string;
  /** Longest normal gap between two runs, in seconds: three missed ones make the schedule late. */
  everySeconds: number;
  /** Fixed SQL, run as postgres: it crosses tenants, so it only enqueues, prunes or maintains. */
  sql: string;
};

export const defineSchedule = (def: Schedule): Schedule => def;
