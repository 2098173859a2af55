import postgres from "postgres";
import type { Config } from "./config.ts";
import type { Actor } from "./context.ts";

/**
 * The database door. Every transaction starts by choosing a role, a tenant and a person, all local to the
 * transaction, so a pooled connection cannot carry one caller's rights to the next.
 */

export type Sql = postgres.Sql;
/** A running transaction. The only way product code reaches the database. */
export type Tx = postgres.TransactionSql;

export type Scope =
  /** A signed-in person in a tenant, or (tenantId null) one who has not chosen one. */
  | { role: "overture_user"; tenantId: string | null; userId: string }
  /** Jobs, API keys and webhooks. Without a tenant only the kernel's own functions answer. */
  | { role: "overture_worker"; tenantId: string | null };

export type Database = {
  /** Runs `fn` in one transaction under the scope; rolls back when it throws. */
  tx<T>(scope: Scope, fn: (tx: Tx, now: Date) => Promise<T>): Promise<T>;
  /** One statement of the kernel's own without role, tenant or transaction: for functions that need none of them. */
  once<T>(fn: (sql: Sql) => Promise<T>): Promise<T>;
  /** LISTEN on its own connection; `onEvent` also runs after a reconnect, because events may have been missed. */
  listen(channel: string, onEvent: (payload: string) => void): Promise<{ unlisten(): Promise<void> }>;
  close(): Promise<void>;
};

export function openDatabase(config: Pick<Config, "dbUrl" | "dbPool">): Database {
  const sql = postgres(config.dbUrl, {
    max: config.dbPool,
    idle_timeout: 30,
    connect_timeout: 10,
    // Transaction poolers do not keep prepared statements between transactions.
    prepare: !/pgbouncer=true|:6543\//.test(config.dbUrl),
    onnotice: () => {},
    connection: { application_name: "overture" },
    types: {
      // bigint columns are counters and money in micro-units; all stay far below 2^53.
      bigint: { to: 20, from: [20], parse: (x: string) => Number(x), serialize: (x: number) => String(x) },
      numeric: { to: 1700, from: [1700], parse: (x: string) => Number(x), serialize: (x: number) => String(x) },
    },
  });
  return {
    tx: (scope, fn) =>
      sql.begin(async (tx) => {
        const claims =
          scope.role === "overture_user" ? JSON.stringify({ sub: scope.userId, role: "authenticated" }) : "";
        const [row] = await tx<[{ now: Date }]>`
          select kernel.now() as now,
            set_config('request.jwt.claims', ${claims}, true),
            set_config('app.tenant_id', ${scope.tenantId ?? ""}, true),
            set_config('role', ${scope.role}, true)`;
        return await fn(tx, row.now);
      }) as Promise<never>,
    once: (fn) => fn(sql),
    async listen(channel, onEvent) {
      const { unlisten } = await sql.listen(channel, onEvent, () => onEvent(""));
      return { unlisten };
    },
    close: () => sql.end({ timeout: 5 }),
  };
}

/** The database scope an actor works under. */
export const scopeOf = (actor: Actor, tenantId: string | null): Scope =>
  actor.kind === "user"
    ? { role: "overture_user", tenantId, userId: actor.userId }
    : { role: "overture_worker", tenantId };
