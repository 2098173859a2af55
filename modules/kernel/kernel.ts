import { type AuditNote, noteInto, writeAudit } from "./operations/audit.ts";
import { type ConfigOf, loadConfig } from "./config.ts";
import { type Actor, type Ctx, type ManualCtx, scopeOf, type Services } from "./context.ts";
import { type Database, openDatabase, type Tx } from "./database/db.ts";
import { createStatistics } from "./database/statistics.ts";
import { createHttpClient, type Lookup } from "./http/client.ts";
import { uuid7 } from "./database/ids.ts";
import { createLog, type Log } from "./observability/log.ts";
import { createMetrics } from "./observability/metrics.ts";
import type { ModuleDef } from "./module.ts";
import { enqueue } from "./queues/enqueue.ts";
import { createRegistry, type Registry } from "./registry.ts";
import { createSamples, type Samples } from "./observability/samples.ts";
import { createVault } from "./secrets/vault.ts";

/** The running product: configuration, services, database and everything that the modules offer. */
export type Kernel = Omit<Services, "registry"> & {
  /** What the modules that are on offer. */
  registry: Registry;
  database: Database;
  /** What service levels are computed from. */
  samples: Samples;
  /** Keeps the planner's statistics up with tables that grow fast; called after a batch of work. Never rejects. */
  refreshStatistics(): Promise<void>;
  /** Runs `fn` in one transaction as `actor` in a tenant. */
  run<T>(scope: RunScope, fn: (ctx: Ctx) => Promise<T>): Promise<T>;
  /** A context without a transaction, for work that calls the outside. */
  manual(scope: RunScope): ManualCtx;
  /** Aborted when the process is asked to stop. */
  signal: AbortSignal;
  close(): Promise<void>;
};

type RunScope = {
  actor: Actor;
  tenantId: string;
  requestId?: string;
  /** Audit action for the row written when the handler called `audit`. */
  action?: string;
  signal?: AbortSignal;
  /** The database's clock, when the caller has just read it. */
  now?: Date;
  /** Only reads, and seconds behind is soon enough. */
  replica?: boolean;
};

/** How long a module's close hook may take; a platform kills a process that takes longer to stop. */
const CLOSE_MS = 5_000;

/** What a host may replace: the output of log lines (standard error by default) and the resolver of host names. */
export type Host = { writeLog?: (line: string) => void; lookup?: Lookup };

/** Parses the environment, wires the services and checks the modules against each other. Opens no connection yet. */
export function createKernel(
  env: Record<string, string | undefined>,
  modules: readonly ModuleDef[],
  host: Host = {},
): Kernel {
  const { config, configOf } = loadConfig(env, modules);
  const registry = createRegistry(modules, config.modulesOff);
  const stopping = new AbortController();
  const services = {
    config,
    configOf,
    http: createHttpClient({
      // Not our own Supabase: it trusts a connection from this machine more than strangers.
      allowPrivateHosts: [...config.allowPrivateHosts, ...privateHostsOf(registry.modules, configOf)],
      userAgent: config.productName,
      lookup: host.lookup,
    }),
    vault: createVault(config.keys),
    log: createLog(config.logLevel, host.writeLog),
    metrics: createMetrics(),
    registry,
  } satisfies Services;
  const database = openDatabase(config, {
    query(seconds) {
      services.metrics.observe("overture_db_query_seconds", "Time of a statement in a transaction", seconds);
      samples.record("query", "transaction", seconds);
    },
    pool: (share) => samples.record("pool", "pool", share),
    read: (from) =>
      services.metrics.count(
        "overture_replica_reads_total",
        "Reads that a replica may serve, by the database that served them",
        { from },
      ),
  });
  const samples = createSamples(database, (error) =>
    services.log.warn("metric samples could not be written; they are kept for the next try", { error }),
  );

  const context = (scope: RunScope, tx: Tx, now: Date, notes: AuditNote[]): Ctx => ({
    ...services,
    actor: scope.actor,
    tenantId: scope.tenantId,
    requestId: scope.requestId ?? uuid7(),
    signal: scope.signal ?? stopping.signal,
    db: tx,
    now,
    enqueue: (consumer, payloads, options) => enqueue(tx, consumer, payloads, options?.delaySeconds ?? 0),
    emit: (fact, items) => emit(tx, registry, fact, items),
    audit: noteInto(notes),
  });

  const run = <T>(scope: RunScope, fn: (ctx: Ctx) => Promise<T>): Promise<T> =>
    database[scope.replica ? "read" : "tx"](
      scopeOf(scope.actor, scope.tenantId),
      async (tx, now) => {
        const notes: AuditNote[] = [];
        const ctx = context(scope, tx, now, notes);
        const result = await fn(ctx);
        if (scope.action && notes.length > 0)
          await writeAudit(tx, { ...scope, action: scope.action, requestId: ctx.requestId }, notes);
        return result;
      },
      scope.now,
    );

  return {
    ...services,
    database,
    samples,
    refreshStatistics: createStatistics(database, services.log),
    signal: stopping.signal,
    run,
    manual(scope) {
      const requestId = scope.requestId ?? uuid7();
      return {
        ...services,
        actor: scope.actor,
        tenantId: scope.tenantId,
        requestId,
        signal: scope.signal ?? stopping.signal,
        tx: (fn) => run({ ...scope, requestId }, fn),
        enqueue: (consumer, payloads, options) =>
          run({ ...scope, requestId }, (ctx) => ctx.enqueue(consumer, payloads, options)),
      };
    },
    async close() {
      stopping.abort();
      for (const m of registry.modules.toReversed()) await closeModule(m, services.log);
      await samples.close();
      await database.close();
    },
  };
}

/** Private addresses that tenants' URLs may use, because a module serves them. */
const privateHostsOf = (modules: readonly ModuleDef[], configOf: ConfigOf): string[] =>
  modules.flatMap((m) => [...(m.privateHosts?.(m.config ? configOf(m.config) : {}) ?? [])]);

/** A module that fails to close, or takes too long, stops neither the other modules from closing nor the process. */
async function closeModule(m: ModuleDef, log: Log): Promise<void> {
  if (!m.close) return;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not closed after ${CLOSE_MS} ms`)), CLOSE_MS);
  });
  try {
    await Promise.race([m.close(), late]);
  } catch (error) {
    log.warn("a module could not be closed", { module: m.name, error });
  } finally {
    clearTimeout(timer);
  }
}

async function emit(
  tx: Tx,
  registry: Registry,
  fact: { name: string; payload: { parse(value: unknown): unknown } },
  items: readonly object[],
): Promise<void> {
  if (registry.facts.get(fact.name) !== fact)
    throw new Error(`No module that is on emits the fact ${fact.name}: name it in "emits" of its module.ts.`);
  const list = items.map((item) => fact.payload.parse(item));
  if (list.length > 0) await tx`select kernel.emit(${fact.name}, ${tx.json(list as never)})`;
}
