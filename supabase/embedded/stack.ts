import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { backup } from "./backup.ts";
import { backupPlan } from "./backup-schedule.ts";
import { Child, type ChildOptions } from "./child.ts";
import { Database } from "./database.ts";
import {
  freePortBase,
  loadSecrets,
  portsFrom,
  prepareHome,
  requireFreePorts,
  ROOT,
  StartError,
  type Ports,
} from "./home.ts";
import { migrate } from "./migrate.ts";
import { applyPlatform } from "./platform.ts";
import { SUPERUSER } from "./postgres.ts";
import { applySeeds } from "./seed.ts";
import { takeLock } from "./processes.ts";

export interface StackOptions {
  /** Data folder; a throw-away one (removed by stop) when absent. */
  home?: string;
  /** API = base+1, database = base+2, sandbox = base+3, sandbox SMTP = base+4; free ports when absent. */
  portBase?: number;
  /** The API process (REST, auth, realtime, functions, cron, console). Default true. */
  gateway?: boolean;
  services?: {
    /** Queue worker. Default false. */
    worker?: boolean;
    /** Provider sandbox. Default false. */
    sandbox?: boolean;
    /** Scheduled jobs inside the gateway. Default true. */
    cron?: boolean;
    /** Edge functions inside the gateway. Default true. */
    functions?: boolean;
  };
  /** Added to (and overriding) the environment of every process. */
  env?: Record<string, string>;
  /** Folder that holds functions/, modules/ and web/build; the repository by default. */
  root?: string;
  migrationsFolder?: string;
  /** Run the modules' install step (schedules, queues, settings). Default: when the file exists. */
  install?: boolean;
  /** Apply breaking migrations without asking. Default: only on throw-away homes. */
  yes?: boolean;
  /** Start crashed processes again, the database too. Default false: a test should see the crash. */
  restart?: boolean;
  /** Work to do once home and ports are ours, before anything starts. */
  prepare?: () => Promise<void>;
  /** Called with one line per step. */
  onStep?: (line: string) => void;
  /** Called with what happens after the start, such as a restart. */
  onEvent?: (line: string) => void;
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
  /** Link with which the first owner takes the installation; null once it is taken. */
  claimUrl: string | null;
  /** Process ids by name, for measurements and status. */
  pids(): Record<string, number>;
  /** Drains and ends everything: worker, sandbox, gateway, database. `force` does not wait. */
  stop(force?: boolean): Promise<void>;
}

/** Starts an embedded Supabase: database, platform, migrations, then the processes asked for. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const { services = {}, root = ROOT } = options;
  const throwAway = options.home === undefined;
  const home = options.home ?? mkdtempSync(join(tmpdir(), "overture-"));
  const portBase = options.portBase ?? (await freePortBase());
  const ports = portsFrom(portBase);
  const step = options.onStep ?? (() => {});
  const undo: ((force: boolean) => void | Promise<void>)[] = [];
  const children: Record<string, { pid: number | undefined }> = {};
  const stop = async (force = false) => {
    while (undo.length > 0) await undo.pop()!(force);
  };

  try {
    prepareHome(home);
    if (throwAway) undo.push(() => rmSync(home, { recursive: true, force: true, maxRetries: 5 }));
    // What a killed supervisor left behind ends by itself within seconds.
    const patience = existsSync(join(home, "overture.lock")) ? 5_000 : 0;
    undo.push(takeLock(home, portBase));
    const wanted = [
      ...(options.gateway === false ? [] : (["api"] as const)),
      "db" as const,
      ...(services.sandbox ? (["sandbox", "smtp"] as const) : []),
    ];
    await requireFreePorts(ports, wanted, patience);
    await options.prepare?.();
    const secrets = loadSecrets(home);

    step(existsSync(join(home, "pg", "PG_VERSION")) ? "Starting the database" : "Creating the database");
    const database = new Database({
      home,
      port: ports.db,
      superuserPassword: secrets.SUPABASE_ADMIN_PASSWORD!,
      durable: !throwAway,
      restart: options.restart ?? false,
      onEvent: options.onEvent,
    });
    children.postgres = database;
    undo.push(() => database.stop());
    await database.start();
    const connection = (user: string, password: string) =>
      `postgresql://${user}:${encodeURIComponent(password)}@127.0.0.1:${ports.db}/postgres`;
    const adminDbUrl = connection(SUPERUSER, secrets.SUPABASE_ADMIN_PASSWORD!);
    const dbUrl = connection("postgres", secrets.POSTGRES_PASSWORD!);
    await applyPlatform({
      url: adminDbUrl,
      passwords: { postgres: secrets.POSTGRES_PASSWORD!, embedded_api: secrets.EMBEDDED_API_PASSWORD! },
    });

    await migrate({
      url: dbUrl,
      folder: options.migrationsFolder,
      yes: options.yes ?? throwAway,
      onApply: (migration) => step(`Migration ${migration.version} ${migration.name}`),
      beforeUpgrade: async ([first]) => {
        if (throwAway) return;
        const stamp = new Date().toISOString().replace(/[:.]/g, "-").slice(0, 19);
        const { folder, passphrase } = backupPlan(process.env, home);
        const file = join(
          folder,
          `before-${first!.version}-${stamp}.overture${passphrase === undefined ? "" : ".age"}`,
        );
        step(`Backup before the upgrade: ${file}`);
        await backup({ adminUrl: adminDbUrl, file, home, passphrase });
      },
    });

    if (options.install !== false && options.migrationsFolder === undefined) await applySeeds(dbUrl);

    const url = `http://127.0.0.1:${ports.api}`;
    const {
      SUPABASE_ADMIN_PASSWORD: _,
      EMBEDDED_API_PASSWORD: apiPassword,
      OVERTURE_DB_PASSWORD: ownPassword,
      ...shared
    } = secrets;
    const env: Record<string, string> = {
      ...shared,
      SUPABASE_URL: url,
      SUPABASE_DB_URL: dbUrl,
      // The product's own login: row-level security applies to it whatever it does. The install step gives it this password.
      OVERTURE_DB_URL: connection("overture_worker", ownPassword!),
      OVERTURE_PUBLIC_URL: process.env.OVERTURE_PUBLIC_URL ?? url,
      OVERTURE_HOME: home,
      OVERTURE_PORT_BASE: String(portBase),
      SANDBOX_DATA: join(home, "sandbox.jsonl"),
      SANDBOX_PORT: String(ports.sandbox),
      SANDBOX_SMTP_PORT: String(ports.smtp),
      ...(services.sandbox ? sandboxEnv(ports) : {}),
      ...options.env,
    };

    const claimUrl = await install(root, env, options, step);

    const launch = async (name: string, args: string[], ready: ChildOptions["ready"], own: Record<string, string>) => {
      step(`Starting the ${name}`);
      const { onEvent, restart = false } = options;
      const child = new Child({ name, args, env: own, home, ready, restart, onEvent });
      children[name] = child;
      undo.push((force) => child.stop(force));
      await child.start();
    };
    if (options.gateway !== false) {
      await launch(
        "gateway",
        ["run", "-A", "--no-lock", "--unstable-no-legacy-abort", join(ROOT, "supabase", "embedded", "gateway.ts")],
        "announced",
        {
          ...env,
          EMBEDDED_ROOT: root,
          EMBEDDED_PORT: String(ports.api),
          EMBEDDED_ADMIN_DB_URL: adminDbUrl,
          EMBEDDED_API_DB_URL: connection("embedded_api", apiPassword!),
          EMBEDDED_CRON: services.cron === false ? "off" : "on",
          EMBEDDED_FUNCTIONS: services.functions === false ? "off" : "on",
        },
      );
    }
    if (services.sandbox) {
      // It plays strangers: it gets none of the installation's secrets, and calls nothing else of this machine.
      const own = {
        SANDBOX_INSTALLATION: `${env.OVERTURE_PUBLIC_URL},${url}`,
        ...Object.fromEntries(Object.entries(env).filter(([key]) => key.startsWith("SANDBOX_"))),
      };
      await launch(
        "sandbox",
        ["run", "-A", "--no-lock", join(root, "modules/sandbox/serve.ts")],
        { port: ports.sandbox },
        own,
      );
    }
    // Last to start, first to stop: it works through the others.
    if (services.worker) {
      const { SUPABASE_DB_URL: _owner, POSTGRES_PASSWORD: _password, ...own } = env;
      await launch("worker", ["run", "-A", "--no-lock", join(root, "functions/worker/index.ts")], "alive", own);
    }

    const pids = () =>
      Object.fromEntries(Object.entries(children).flatMap(([name, { pid }]) => (pid ? [[name, pid]] : [])));
    return { home, ports, url, dbUrl, adminDbUrl, env, claimUrl, pids, stop };
  } catch (error) {
    await stop();
    throw error instanceof StartError ? error : new StartError((error as Error).message, { cause: error });
  }
}

/** The outbound client refuses private addresses; the sandbox is one on purpose. */
function sandboxEnv(ports: Ports): Record<string, string> {
  const hosts = [ports.sandbox, ports.smtp].flatMap((port) => [`127.0.0.1:${port}`, `localhost:${port}`]);
  const listed = [process.env.OVERTURE_ALLOW_PRIVATE_HOSTS, ...hosts].filter(Boolean).join(",");
  return {
    OVERTURE_SANDBOX_URL: `http://127.0.0.1:${ports.sandbox}`,
    OVERTURE_SANDBOX_SMTP: `127.0.0.1:${ports.smtp}`,
    OVERTURE_ALLOW_PRIVATE_HOSTS: listed,
  };
}

async function install(
  root: string,
  env: Record<string, string>,
  { install: wanted, restart: supervises }: StackOptions,
  step: (line: string) => void,
): Promise<string | null> {
  const file = join(root, "modules", "boot.ts");
  if (wanted === false || (wanted === undefined && !existsSync(file))) return null;
  step("Registering queues, schedules and settings");
  if (supervises) return await installApart(file, env);
  const boot = (await import(pathToFileURL(file).href)) as {
    install?: (env: Record<string, string | undefined>) => Promise<{ claimUrl: string | null }>;
  };
  return (await boot.install?.(env))?.claimUrl ?? null;
}

/** In a process of its own, because who supervises runs for months and needs none of the modules. */
async function installApart(file: string, env: Record<string, string>): Promise<string | null> {
  const script = join(import.meta.dirname, "install-process.ts");
  const args = ["--disable-warning=ExperimentalWarning", script, pathToFileURL(file).href];
  try {
    // Its log goes to stderr and may be long.
    const options = { env: { ...process.env, ...env }, maxBuffer: 64 * 1024 * 1024 };
    const { stdout } = await promisify(execFile)(process.execPath, args, options);
    return (JSON.parse(stdout) as { claimUrl: string | null }).claimUrl;
  } catch (error) {
    throw new StartError((error as { stderr?: string }).stderr?.trim() || (error as Error).message);
  }
}
