import postgres from "postgres";
import type { Config } from "../config.ts";
import { createShares } from "./shares.ts";

/**
 * The database door. Every transaction starts by choosing a role, a tenant and a person, all local to the
 * transaction, so a pooled connection cannot carry one caller's rights to the next.
 */

/**
 * `T` as far as JSON can hold it: what it would lose or throw over (functions, symbols, bigint) is `never`. `unknown`
 * passes, because such values come from JSON.
 */
type Jsonable<T> = unknown extends T
  ? T
  : T extends string | number | boolean | null | undefined | Date
    ? T
    : T extends bigint | symbol | ((...args: never[]) => unknown)
      ? never
      : { [K in keyof T]: Jsonable<T[K]> };

declare module "postgres" {
  interface ISql<TTypes extends Record<string, unknown> = {}> {
    /** The driver's own type refuses interfaces and optional fields, which JSON holds well. */
    json<T>(value: T & Jsonable<T>): postgres.Parameter;
  }
}

export type Sql = postgres.Sql;
/** A running transaction. The only way product code reaches the database. */
export type Tx = postgres.TransactionSql;

export type Scope =
  /** A signed-in person in a tenant. */
  (
    | { role: "overture_user"; tenantId: string; userId: string }
    /** Jobs, API keys, and whatever has no tenant yet: then row-level security shows nothing, and only functions answer. */
    | { role: "overture_worker"; tenantId: string | null }
  ) & {
    /** Somebody waits for the answer: statements are cancelled early, and no tenant gets all connections. */
    request?: boolean;
  };

export type Database = {
  /**
   * Runs `fn` in one transaction under the scope; rolls back when it throws. Whoever knows the moment already gives it as `now`:
   * the first statement is then sent together with the scope's, a round trip less.
   */
  tx<T>(scope: Scope, fn: (tx: Tx, now: Date) => Promise<T>, now?: Date): Promise<T>;
  /** The same for what only reads, from the replica where there is one that answers and keeps up, else from the primary. */
  read<T>(scope: Scope, fn: (tx: Tx, now: Date) => Promise<T>, now?: Date): Promise<T>;
  /** One statement of the kernel's own without role, tenant or transaction: for functions that need none of them. */
  once<T>(fn: (sql: Sql) => Promise<T>): Promise<T>;
  /** LISTEN on its own connection; `onEvent` also runs after a reconnect, because events may have been missed. */
  listen(channel: string, onEvent: (payload: string) => void): Promise<{ unlisten(): Promise<void> }>;
  /** Connections of this process's pool: how many work, how many callers wait for one, how many there may be. */
  pool(): { inUse: number; waiting: number; max: number };
  close(): Promise<void>;
};

/** Told about every statement's seconds, and about the pool's share in use whenever a transaction begins. */
type DatabaseWatch = {
  query(seconds: number): void;
  pool(share: number): void;
  read(from: "replica" | "primary"): void;
};

/** Seconds after which a job's statement is cancelled: far above the slowest lawful one, so that none holds its locks for ever. */
const JOB_STATEMENT_SECONDS = 600;
/** Part of the connections that requests of one tenant may hold at once. */
const TENANT_SHARE = 0.75;

/** How long a replica that failed is left alone. */
const REPLICA_REST_MS = 15_000;

export function openDatabase(
  config: Pick<Config, "dbUrl" | "dbPool" | "replicaUrl" | "replicaLagSeconds" | "statementSeconds">,
  watch?: DatabaseWatch,
): Database {
  const connect = (url: string, connectSeconds: number) =>
    postgres(url, {
      max: config.dbPool,
      idle_timeout: 30,
      connect_timeout: connectSeconds,
      // Seconds before a lost connection is tried again; the driver's own grow to 20, for which a database that is back would wait.
      backoff: (attempts: number) => (0.5 + Math.random() / 2) * Math.min(3 ** attempts / 100, 2),
      // Transaction poolers do not keep prepared statements between transactions.
      prepare: !/pgbouncer=true|:6543\//.test(url),
      onnotice: () => {},
      connection: { application_name: "overture" },
      types: {
        // bigint columns are counters and money in micro-units; all stay far below 2^53.
        bigint: { to: 20, from: [20], parse: (x: string) => Number(x), serialize: (x: number) => String(x) },
        numeric: { to: 1700, from: [1700], parse: (x: string) => Number(x), serialize: (x: number) => String(x) },
      },
    });
  let callers = 0;
  /** Counts the caller among those who want a connection; the pool hands out at most `max`. */
  const counted = async <T>(fn: () => Promise<T>): Promise<T> => {
    callers++;
    try {
      return await fn();
    } finally {
      callers--;
    }
  };
  const sql = connect(config.dbUrl, 10);
  const replica = config.replicaUrl ? connect(config.replicaUrl, 3) : null;
  let restUntil = 0;

  const begin = <T>(on: Sql, scope: Scope, fn: (tx: Tx, now: Date) => Promise<T>, now?: Date): Promise<T> => {
    const work = async (plain: Tx): Promise<T> => {
      const tx = watch ? timed(plain, watch) : plain;
      const claims = scope.role === "overture_user" ? JSON.stringify({ sub: scope.userId, role: "authenticated" }) : "";
      if (on === replica) await requireFresh(tx, config.replicaLagSeconds);
      const entered = tx<[{ now: Date }]>`
        select kernel.now() as now,
          set_config('request.jwt.claims', ${claims}, true),
          set_config('app.tenant_id', ${scope.tenantId ?? ""}, true),
          -- A role's own setting holds for its logins, not for who changes to it.
          set_config('statement_timeout', ${`${scope.request ? config.statementSeconds : JOB_STATEMENT_SECONDS}s`}, true),
          set_config('role', ${scope.role}, true)`;
      if (!now) return await fn(tx, (await entered)[0].now);
      // What follows is sent behind it on the same connection. Should it fail, the transaction is over and so is all that follows.
      const ready = entered.then(
        () => null,
        (error: unknown) => ({ error }),
      );
      const [result] = await Promise.allSettled([fn(tx, now)]);
      const failed = await ready;
      if (failed) throw failed.error;
      if (result.status === "rejected") throw result.reason;
      return result.value;
    };
    // Read only, also where the URL leads to a primary by mistake.
    return (on === replica ? on.begin("read only", work) : on.begin(work)) as Promise<never>;
  };
  const inShare = createShares(Math.max(1, Math.floor(config.dbPool * TENANT_SHARE)));
  /** Requests of a tenant take their turn; jobs are bounded by their queues. */
  const fairly = <T>(scope: Scope, fn: () => Promise<T>): Promise<T> =>
    scope.request && scope.tenantId !== null ? inShare(scope.tenantId, fn) : fn();
  const tx: Database["tx"] = (scope, fn, now) =>
    fairly(scope, () =>
      counted(() => {
        // Not in once(): the samples are written through it, and would keep calling for more of themselves.
        watch?.pool(Math.min(callers, config.dbPool) / config.dbPool);
        return begin(sql, scope, fn, now);
      }),
    );
  return {
    tx,
    async read(scope, fn, now) {
      if (!replica) return await tx(scope, fn, now);
      if (Date.now() >= restUntil) {
        try {
          const answer = await fairly(scope, () => begin(replica, scope, fn, now));
          watch?.read("replica");
          return answer;
        } catch (error) {
          // It only read, so asking the primary again does nothing twice.
          if (!isReplicasFault(error)) throw error;
          restUntil = Date.now() + REPLICA_REST_MS;
        }
      }
      watch?.read("primary");
      return await tx(scope, fn, now);
    },
    once: (fn) => counted(() => fn(sql)),
    async listen(channel, onEvent) {
      const { unlisten } = await sql.listen(channel, onEvent, () => onEvent(""));
      return { unlisten };
    },
    pool: () => ({
      inUse: Math.min(callers, config.dbPool),
      waiting: Math.max(0, callers - config.dbPool),
      max: config.dbPool,
    }),
    async close() {
      await Promise.all([sql.end({ timeout: 5 }), replica?.end({ timeout: 5 })]);
    },
  };
}

class StaleReplica extends Error {}

/** The replay's own clock: the receiver may be gone for hours while everything it brought was replayed. */
async function requireFresh(tx: Tx, mostSeconds: number): Promise<void> {
  const [row] = await tx<{ lag: number | null }[]>`
    select case when pg_is_in_recovery() then extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8 else 0 end as lag`;
  if (row!.lag === null || row!.lag > mostSeconds) throw new StaleReplica("the replica is too far behind");
}

/** It is gone, behind, or cancelled the statement to go on replaying; 25006: the reader wanted to write. */
function isReplicasFault(error: unknown): boolean {
  const code = String((error as { code?: unknown }).code ?? "");
  return (
    error instanceof StaleReplica ||
    /^(CONNECT|CONNECTION_|ECONN|ETIMEDOUT|ENOTFOUND|EAI_|EHOST|28|3D000|57P|40001|25006|53300)/.test(code)
  );
}

type Query = Promise<unknown> & { executed?: boolean; handle?(): Promise<void> };

/** The same transaction with every statement timed from when it is sent. What only becomes part of another is never sent. */
function timed(tx: Tx, watch: DatabaseWatch): Tx {
  return new Proxy(tx, {
    apply(target, self, args) {
      const query = Reflect.apply(target, self, args) as Query;
      const handle = query?.handle;
      if (typeof handle !== "function") return query;
      query.handle = function (this: Query) {
        if (!this.executed) {
          const started = performance.now();
          const done = () => watch.query((performance.now() - started) / 1000);
          // Past the query's own then(), which would send it.
          void Promise.prototype.then.call(this, done, done);
        }
        return handle.call(this);
      };
      return query;
    },
  });
}
