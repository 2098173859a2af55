import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePortBase, loadSecrets, portsFrom, prepareHome, requireFreePorts, StartError, type Ports } from "./home.ts";
import { migrate } from "./migrate.ts";
import { applyPlatform } from "./platform.ts";
import { startPostgres, SUPERUSER } from "./postgres.ts";
import { takeLock } from "./processes.ts";

export interface StackOptions {
  /** Data folder; a throw-away one (removed by stop) when absent. */
  home?: string;
  /** API = base+1, database = base+2, sandbox = base+3, sandbox SMTP = base+4; free ports when absent. */
  portBase?: number;
  /** Added to (and overriding) the environment of every process. */
  env?: Record<string, string>;
  migrationsFolder?: string;
  /** Apply breaking migrations without asking. Default: only on throw-away homes. */
  yes?: boolean;
  /** Called with one line per step. */
  onStep?: (line: string) => void;
}

export interface Stack {
  home: string;
  ports: Ports;
  /** Base of the API, as SUPABASE_URL. */
  url: string;
  /** Connection of the role `postgres` (no superuser), as SUPABASE_DB_URL. */
  dbUrl: string;
  /** Connection of the superuser; for tests and maintenance only. */
  adminDbUrl: string;
  /** Everything a function, the worker or a test needs: keys, URLs, ports. */
  env: Record<string, string>;
  stop(): Promise<void>;
}

/** Starts an embedded Supabase: database, platform, migrations. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const throwAway = options.home === undefined;
  const home = options.home ?? mkdtempSync(join(tmpdir(), "overture-"));
  const portBase = options.portBase ?? (await freePortBase());
  const ports = portsFrom(portBase);
  const step = options.onStep ?? (() => {});
  const undo: (() => void | Promise<void>)[] = [];
  const stop = async () => {
    while (undo.length > 0) await undo.pop()!();
  };

  try {
    prepareHome(home);
    if (throwAway) undo.push(() => rmSync(home, { recursive: true, force: true, maxRetries: 5 }));
    undo.push(takeLock(home, portBase));
    await requireFreePorts(ports, ["db"]);
    const secrets = loadSecrets(home);

    step(existsSync(join(home, "pg", "PG_VERSION")) ? "Starting the database" : "Creating the database");
    const database = await startPostgres({
      home,
      port: ports.db,
      superuserPassword: secrets.SUPABASE_ADMIN_PASSWORD!,
      durable: !throwAway,
    });
    undo.push(() => database.stop());
    const connection = (user: string, password: string) =>
      `postgresql://${user}:${encodeURIComponent(password)}@127.0.0.1:${ports.db}/postgres`;
    const adminDbUrl = connection(SUPERUSER, secrets.SUPABASE_ADMIN_PASSWORD!);
    const dbUrl = connection("postgres", secrets.POSTGRES_PASSWORD!);
    await applyPlatform({ url: adminDbUrl, passwords: { postgres: secrets.POSTGRES_PASSWORD! } });

    await migrate({
      url: dbUrl,
      folder: options.migrationsFolder,
      yes: options.yes ?? throwAway,
      onApply: (migration) => step(`Migration ${migration.version} ${migration.name}`),
    });

    const url = `http://127.0.0.1:${ports.api}`;
    const env: Record<string, string> = {
      ...secrets,
      SUPABASE_URL: url,
      SUPABASE_DB_URL: dbUrl,
      OVERTURE_DB_URL: dbUrl,
      OVERTURE_PUBLIC_URL: url,
      OVERTURE_HOME: home,
      OVERTURE_PORT_BASE: String(portBase),
      ...options.env,
    };
    return { home, ports, url, dbUrl, adminDbUrl, env, stop };
  } catch (error) {
    await stop();
    throw error instanceof StartError ? error : new StartError((error as Error).message, { cause: error });
  }
}
