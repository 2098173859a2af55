import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, statfsSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** A fault the person at the terminal can fix. Its message is one complete line: what is wrong and what to do. */
export class StartError extends Error {
  override name = "StartError";
}

/** The repository's root folder. */
export const ROOT = fileURLToPath(new URL("../..", import.meta.url)).replace(/[/\\]$/, "");

/** Ports of one instance, all derived from its base. */
export interface Ports {
  api: number;
  db: number;
  sandbox: number;
  smtp: number;
}

/** Keys and passwords of one installation; everything else in `secrets.env` is passed on as it stands. */
export type Secrets = Record<string, string>;

/** Derives the ports from the base: API = base+1, database = base+2, sandbox = base+3, sandbox SMTP = base+4. */
export function portsFrom(base: number): Ports {
  if (!Number.isInteger(base) || base < 1024 || base > 65530) {
    throw new StartError(`OVERTURE_PORT_BASE must be a whole number from 1024 to 65530, got "${base}".`);
  }
  return { api: base + 1, db: base + 2, sandbox: base + 3, smtp: base + 4 };
}

/** The home folder: `OVERTURE_HOME`, else `.overture` in the repository. */
export function homeFrom(env: Record<string, string | undefined>): string {
  return resolve(ROOT, env.OVERTURE_HOME || ".overture");
}

/** Creates the home with mode 0700 and checks that the disk has room for a database. */
export function prepareHome(home: string): void {
  try {
    mkdirSync(join(home, "logs"), { recursive: true, mode: 0o700 });
    chmodSync(home, 0o700);
  } catch (error) {
    throw new StartError(
      `Cannot write to the data folder ${home} (${code(error)}): free space or permission is missing; set OVERTURE_HOME to another folder.`,
    );
  }
  const { bavail, bsize } = statfsSync(home);
  const freeMb = Math.floor((Number(bavail) * Number(bsize)) / 1_048_576);
  if (freeMb < 300) {
    throw new StartError(
      `Only ${freeMb} MB are free on the disk of ${home}; 300 MB are needed. Free some space or set OVERTURE_HOME to another disk.`,
    );
  }
}

const generators: Record<string, () => string> = {
  SUPABASE_PUBLISHABLE_KEY: () => `sb_publishable_${token(24)}`,
  SUPABASE_SECRET_KEY: () => `sb_secret_${token(24)}`,
  SUPABASE_JWT_SECRET: () => token(48),
  OVERTURE_KEYS: () => `k1:${randomBytes(32).toString("base64")}`,
  POSTGRES_PASSWORD: () => token(24),
  SUPABASE_ADMIN_PASSWORD: () => token(24),
  EMBEDDED_API_PASSWORD: () => token(24),
  OVERTURE_DB_PASSWORD: () => token(24),
};

/** Reads `secrets.env`, adding what is missing. Existing values are never changed: they open existing data. */
export function loadSecrets(home: string): Secrets {
  const file = join(home, "secrets.env");
  const secrets = existsSync(file) ? parseEnv(readFileSync(file, "utf8")) : {};
  const missing = Object.keys(generators).filter((name) => !secrets[name]);
  if (missing.length === 0) return secrets;
  if (existsSync(join(home, "pg", "PG_VERSION")) && missing.includes("SUPABASE_ADMIN_PASSWORD")) {
    throw new StartError(
      `${file} is missing or incomplete although ${home} holds a database; restore it from your backup.`,
    );
  }
  for (const name of missing) secrets[name] = generators[name]!();
  const text = existsSync(file)
    ? readFileSync(file, "utf8").replace(/\n?$/, "\n")
    : "# Generated once. Back this file up: without OVERTURE_KEYS stored credentials cannot be decrypted.\n";
  writeAtomically(file, text + missing.map((name) => `${name}=${secrets[name]}\n`).join(""), 0o600);
  return secrets;
}

/** Writes a file so that a crash leaves either the old or the new content. */
export function writeAtomically(file: string, content: string, mode = 0o600): void {
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, content, { mode });
    renameSync(temporary, file);
  } catch (error) {
    throw new StartError(`Cannot write ${file} (${code(error)}): is the disk full or read-only?`);
  }
}

/** Parses `NAME=value` lines; `#` starts a comment line; quotes around a value are removed. */
export function parseEnv(text: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$/.exec(line);
    if (match) values[match[1]!] = match[2]!.replace(/^(["'])(.*)\1$/, "$2");
  }
  return values;
}

const portNames: Record<keyof Ports, string> = {
  api: "the API and console",
  db: "the database",
  sandbox: "the sandbox",
  smtp: "the sandbox's mail server",
};

/** Fails with the first port that somebody else still holds after `patienceMs`. */
export async function requireFreePorts(ports: Ports, wanted: (keyof Ports)[], patienceMs = 0): Promise<void> {
  const deadline = Date.now() + patienceMs;
  for (const name of wanted) {
    let free = await isFree(ports[name]);
    while (!free && Date.now() < deadline) {
      await delay(100);
      free = await isFree(ports[name]);
    }
    if (free) continue;
    throw new StartError(
      `Port ${ports[name]} (${portNames[name]}) is in use by another program. Stop it, or choose other ports: OVERTURE_PORT_BASE=${suggestBase(ports)} npm start`,
    );
  }
}

/** Whether a program could listen on the port of this machine's loopback address now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.once("error", () => done(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => done(true)));
  });
}

/** A port that nobody listens on now, as the system chooses it. */
export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });

/** A base whose five ports are free now; for throw-away instances. */
export async function freePortBase(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const base = 20_000 + Math.floor(Math.random() * 2_500) * 10;
    const free = await Promise.all(Object.values(portsFrom(base)).map(isFree));
    if (free.every(Boolean)) return base;
  }
  throw new StartError("No five neighbouring free ports were found between 20000 and 45000.");
}

function suggestBase(ports: Ports): number {
  const base = ports.api - 1;
  return base + 1_010 <= 65_530 ? base + 1_000 : base - 1_000;
}

function token(bytes: number): string {
  return randomBytes(bytes).toString("base64url").replace(/[-_]/g, "x");
}

function code(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
