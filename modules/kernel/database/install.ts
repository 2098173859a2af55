import postgres from "postgres";
import type { Kernel } from "../kernel.ts";
import { defineSchedule } from "../queues/schedule.ts";

/** What the database must know of this installation: its schedules, subscriptions and settings. Runs as the owner, after the migrations. */

/** The kernel's own schedules, which run whichever modules are on. */
export const kernelSchedules = [
  defineSchedule({ name: "kernel.prune", cron: "17 * * * *", everySeconds: 3600, sql: "select kernel.prune()" }),
  defineSchedule({ name: "kernel.tick", cron: "10 seconds", everySeconds: 60, sql: "select kernel.tick()" }),
  defineSchedule({
    name: "kernel.wake_functions",
    cron: "10 seconds",
    everySeconds: 60,
    sql: "select kernel.wake_functions()",
  }),
  // Deltas are few and reading them is cheap; a minute keeps it so without waking the database all the time.
  defineSchedule({
    name: "kernel.fold_counters",
    cron: "* * * * *",
    everySeconds: 60,
    sql: "select kernel.fold_counters()",
  }),
  defineSchedule({
    name: "kernel.prune_counters",
    cron: "17 * * * *",
    everySeconds: 3600,
    sql: "select kernel.prune_counters()",
  }),
  // Planning writes several for each step of each person: hourly, one portion could be less than what was added.
  defineSchedule({
    name: "kernel.prune_decisions",
    cron: "*/5 * * * *",
    everySeconds: 300,
    sql: "select kernel.prune_decisions()",
  }),
];

/** Registers everything in one transaction, then runs `also` in it: a failed install changes nothing. */
export async function installKernel<T>(
  kernel: Kernel,
  ownerUrl: string,
  also: (sql: postgres.TransactionSql) => Promise<T>,
): Promise<T> {
  const sql = postgres(ownerUrl, { max: 1, onnotice: () => {}, prepare: false });
  try {
    return (await sql.begin(async (tx) => {
      // Two processes that start at once must not interleave.
      await tx`select pg_advisory_xact_lock(hashtextextended('overture.install', 0))`;
      const missing = await tx<{ queue: string }[]>`
        select c.queue from unnest(${kernel.registry.consumers.map((c) => c.queue)}::text[]) c (queue)
        where not exists (select from kernel.queues q where q.name = c.queue)`;
      if (missing.length > 0)
        throw new Error(`No migration creates these queues: ${missing.map((m) => m.queue).join(", ")}`);
      const subscriptions = kernel.registry.hearings.flatMap((h) =>
        h.facts.map((fact) => ({ fact: fact.name, queue: h.consumer.queue })),
      );
      await tx`select kernel.register_subscriptions(${tx.json(subscriptions)})`;
      await tx`select kernel.compose_guards(${kernel.registry.guards.map((g) => `guard_${g}`)})`;
      const schedules = [...kernelSchedules, ...kernel.registry.schedules].map((s) => ({
        name: s.name,
        cron: s.cron,
        command: s.sql,
        seconds: s.everySeconds,
      }));
      await tx`select kernel.register_schedules(${tx.json(schedules)})`;
      const { config } = kernel;
      await grantLogin(tx, config.dbUrl);
      if (config.tickUrl) {
        await tx`insert into kernel.settings (key, value) values ('tick', ${tx.json({ url: config.tickUrl, key: config.secretKey })})
          on conflict (key) do update set value = excluded.value, updated_at = now()`;
      } else {
        await tx`delete from kernel.settings where key = 'tick'`;
      }
      return await also(tx);
    })) as T;
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** Where the product logs in as its own role, that role gets the password its URL names. */
async function grantLogin(tx: postgres.TransactionSql, url: string): Promise<void> {
  const { username, password } = new URL(url);
  // A pooler's user name carries the project: overture_worker.<ref>.
  if (username.split(".")[0] !== "overture_worker" || password === "") return;
  await tx`select set_config('overture.password', ${decodeURIComponent(password)}, true)`;
  await tx`do $$ begin execute format('alter role overture_worker login password %L', current_setting('overture.password')); end $$`;
}
