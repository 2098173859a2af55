import { existsSync } from "node:fs";
import { join } from "node:path";

import { type BackupPlan, backupPlan, runBackups } from "./backup-schedule.ts";
import { buildConsole, isConsoleFresh } from "./console-build.ts";
import { isFree, StartError } from "./home.ts";
import { listMigrations } from "./migrate.ts";
import { readLock } from "./processes.ts";
import { loadSettings, type Settings } from "./settings.ts";
import { startStack, type Stack } from "./stack.ts";
import { withoutDemo } from "./without-demo.ts";

// npm start: everything on this machine, in the foreground, until Ctrl-C.

const flags = { yes: false, demo: true, dryRun: false, help: false };
const known: Record<string, () => void> = {
  "--yes": () => (flags.yes = true),
  "--no-demo": () => (flags.demo = false),
  "--dry-run": () => (flags.dryRun = true),
  "--help": () => (flags.help = true),
};

const usage = `npm start [-- --yes] [--no-demo] [--dry-run]

  --yes      apply migrations that change existing data without asking
  --no-demo  do not offer the demo workspace and its campaign
  --dry-run  show what would be done, without changing anything

OVERTURE_HOME (default .overture) holds data, keys and logs; OVERTURE_PORT_BASE (default 54320) sets the ports.`;

let stack: Stack | undefined;
let stopping: Promise<void> | undefined;
let signals = 0;
const building = new AbortController();
const backups = new AbortController();

try {
  for (const argument of process.argv.slice(2)) {
    const flag = known[argument];
    if (!flag) throw new StartError(`${argument} is not known. ${usage.split("\n")[0]}`);
    flag();
  }
  const settings = loadSettings();
  if (flags.help) console.log(usage);
  else if (flags.dryRun) await dryRun(settings);
  else await start(settings);
} catch (error) {
  if (!stopping) fail(error);
  // Stopped while starting: what had begun is undone by now.
  console.log("  Stopped.");
  process.exit(130);
}

async function start(settings: Settings): Promise<void> {
  const started = Date.now();
  watchSignals();
  const { home, portBase } = settings;
  // Before anything is started: a wrong setting is said at once.
  const plan = backupPlan(process.env, home);
  const running = await startStack({
    home,
    portBase,
    yes: flags.yes,
    services: { worker: true, sandbox: true },
    env: flags.demo ? {} : withoutDemo({ OVERTURE_MODULES_OFF: process.env.OVERTURE_MODULES_OFF }),
    restart: true,
    prepare: async () => {
      if (isConsoleFresh()) return;
      step("Building the console (once, and after changes)");
      await buildConsole(join(home, "logs", "build-web.log"), building.signal);
    },
    onStep: step,
    onEvent: (line) => console.log(`  ${line}`),
  });
  stack = running;
  if (stopping) return await running.stop(signals > 1);
  void runBackups(plan, { adminUrl: running.adminDbUrl, home }, backups.signal, (line) => console.error(`  ${line}`));
  banner(settings, running, plan, Date.now() - started);
}

function banner(
  { productName, home }: Settings,
  { url, dbUrl, ports, env, claimUrl }: Stack,
  plan: BackupPlan,
  tookMs: number,
): void {
  const lines = [
    ["Console", claimUrl ? `${claimUrl}   (works once, for the first owner)` : env.OVERTURE_PUBLIC_URL!],
    ["API", `${url}/api/v1   (docs: ${url}/api/v1/docs)`],
    [
      "Database",
      `${dbUrl.replace(/:[^:@/]+@/, ":***@")}   (password: POSTGRES_PASSWORD in ${join(home, "secrets.env")})`,
    ],
    ["Sandbox", `http://127.0.0.1:${ports.sandbox}   (simulates the providers; nothing is sent from this machine)`],
    ["Logs", join(home, "logs")],
    [
      "Backups",
      plan.everyHours === null
        ? "off (OVERTURE_BACKUP_EVERY)"
        : `${plan.folder}   (every ${plan.everyHours} h, ${plan.keep} kept${plan.passphrase === undefined ? ", not encrypted" : ", encrypted"})`,
    ],
  ];
  console.log(`\n  ${productName} runs (${(tookMs / 1000).toFixed(1)} s). Ctrl-C stops it; data is kept.\n`);
  for (const [name, value] of lines) console.log(`  ${name!.padEnd(10)}${value}`);
  console.log("");
}

function watchSignals(): void {
  const onSignal = () => {
    signals++;
    if (signals === 1)
      console.log("\n  Stopping: work in progress is finished first (press Ctrl-C again to stop at once).");
    else if (stack && stopping) void stack.stop(true);
    void shutDown();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
  // The launcher holds the other end; without it nobody could stop us from the terminal.
  process.on("disconnect", onSignal);
}

function shutDown(): Promise<void> {
  stopping ??= (async () => {
    building.abort();
    backups.abort();
    // While the start is still under way, it sees `stopping` and undoes itself.
    if (!stack) return;
    await stack.stop();
    console.log("  Stopped.");
    process.exit(0);
  })();
  return stopping;
}

async function dryRun({ home, ports, productName }: Settings): Promise<void> {
  const lock = readLock(home);
  if (lock) return console.log(`  ${productName} is already running (process ${lock.pid}).`);
  const fresh = !existsSync(join(home, "pg", "PG_VERSION"));
  const say = (line: string) => console.log(`  Would ${line}`);
  if (!isConsoleFresh()) say("build the console (npm run build:web)");
  if (fresh) say(`create ${home} with a database and new keys`);
  say(`apply ${fresh ? `${listMigrations().length} migrations` : "pending migrations"}`);
  for (const [name, port] of Object.entries(ports)) {
    console.log(`  Port ${port} (${name}): ${(await isFree(port)) ? "free" : "in use by another program"}`);
  }
  say("start database, gateway, worker and sandbox");
}

function step(line: string): void {
  if (stopping) throw new StartError("Stopped.");
  console.log(`  ${line} …`);
}

function fail(error: unknown): never {
  console.error(`\n  ${error instanceof StartError ? error.message : ((error as Error).stack ?? error)}\n`);
  process.exit(1);
}
