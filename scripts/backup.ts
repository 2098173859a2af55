import { existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { backup } from "../supabase/embedded/backup.ts";
import { freePortBase, loadSecrets, portsFrom, StartError } from "../supabase/embedded/home.ts";
import { startPostgres, SUPERUSER } from "../supabase/embedded/postgres.ts";
import { readLock, takeLock } from "../supabase/embedded/processes.ts";
import { loadSettings } from "../supabase/embedded/settings.ts";

/** `npm run backup [-- FILE] [--without-keys]`: of a running installation without stopping it, or of one that stands still. */

const args = process.argv.slice(2);
const flags = args.filter((a) => a.startsWith("--"));
const [given, ...surplus] = args.filter((a) => !a.startsWith("--"));

try {
  const unknown = flags.find((f) => f !== "--without-keys") ?? surplus[0];
  if (unknown) throw new StartError(`${unknown} is not known. Usage: npm run backup [-- FILE] [--without-keys]`);
  const { home } = loadSettings();
  if (!existsSync(join(home, "pg", "PG_VERSION")))
    throw new StartError(`${home} holds no database. Is OVERTURE_HOME right?`);
  const stamp = new Date().toISOString().replace(/[:.]/g, "-").slice(0, 19);
  const file = resolve(given ?? join(home, "backups", `${stamp}.overture`));
  const secrets = loadSecrets(home);
  const lock = readLock(home);
  const portBase = lock?.portBase ?? (await freePortBase());
  const release = lock ? () => {} : takeLock(home, portBase);
  const port = portsFrom(portBase).db;
  const server = lock ? null : await startPostgres({ home, port, superuserPassword: secrets.SUPABASE_ADMIN_PASSWORD! });
  try {
    const adminUrl = `postgresql://${SUPERUSER}:${encodeURIComponent(secrets.SUPABASE_ADMIN_PASSWORD!)}@127.0.0.1:${port}/postgres`;
    const keys = !flags.includes("--without-keys");
    const { tables, rows } = await backup({ adminUrl, file, ...(keys ? { home } : {}) });
    console.log(`  ${file}: ${rows} rows of ${tables} tables, ${(statSync(file).size / 1_048_576).toFixed(1)} MB.`);
    console.log(
      keys
        ? "  It holds the installation's keys as well (secrets.env), unencrypted: keep it as you keep those."
        : "  It holds no keys: keep secrets.env apart, nothing encrypted can be read without it.",
    );
  } finally {
    await server?.stop();
    release();
  }
} catch (error) {
  console.error(`\n  ${error instanceof StartError ? error.message : ((error as Error).stack ?? error)}\n`);
  process.exit(1);
}
