import { existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { readPassphrase } from "../supabase/embedded/backup-file.ts";
import { backup } from "../supabase/embedded/backup.ts";
import { freePortBase, loadSecrets, portsFrom, StartError } from "../supabase/embedded/home.ts";
import { startPostgres, SUPERUSER } from "../supabase/embedded/postgres.ts";
import { readLock, takeLock } from "../supabase/embedded/processes.ts";
import { loadSettings } from "../supabase/embedded/settings.ts";

/** `npm run backup [-- FILE] [--without-keys] [--passphrase-file FILE]`: of a running installation without stopping it, or of one that stands still. */

const USAGE = "Usage: npm run backup [-- FILE] [--without-keys] [--passphrase-file FILE]";

try {
  const { positionals, values } = parse();
  const { home } = loadSettings();
  const passphraseFile = values["passphrase-file"] ?? process.env.OVERTURE_BACKUP_PASSPHRASE_FILE;
  const passphrase = passphraseFile ? readPassphrase(passphraseFile) : undefined;
  if (!existsSync(join(home, "pg", "PG_VERSION")))
    throw new StartError(`${home} has no database. Check OVERTURE_HOME.`);
  const stamp = new Date().toISOString().replace(/[:.]/g, "-").slice(0, 19);
  const ending = passphrase === undefined ? "overture" : "overture.age";
  const file = resolve(positionals[0] ?? join(home, "backups", `${stamp}.${ending}`));
  const secrets = loadSecrets(home);
  const lock = readLock(home);
  const portBase = lock?.portBase ?? (await freePortBase());
  const release = lock ? () => {} : takeLock(home, portBase);
  const port = portsFrom(portBase).db;
  const server = lock ? null : await startPostgres({ home, port, superuserPassword: secrets.SUPABASE_ADMIN_PASSWORD! });
  try {
    const adminUrl = `postgresql://${SUPERUSER}:${encodeURIComponent(secrets.SUPABASE_ADMIN_PASSWORD!)}@127.0.0.1:${port}/postgres`;
    const keys = !values["without-keys"];
    const { tables, rows } = await backup({ adminUrl, file, passphrase, ...(keys ? { home } : {}) });
    console.log(`  ${file}: ${rows} rows of ${tables} tables, ${(statSync(file).size / 1_048_576).toFixed(1)} MB.`);
    console.log(
      !keys
        ? "  It has no keys: keep a copy of secrets.env separately, because stored credentials cannot be decrypted without it."
        : passphrase === undefined
          ? "  It also has the installation's keys (secrets.env), unencrypted: protect the file like the keys."
          : "  It also has the installation's keys (secrets.env) and is encrypted: it cannot be restored without the passphrase.",
    );
  } finally {
    await server?.stop();
    release();
  }
} catch (error) {
  console.error(`\n  ${error instanceof StartError ? error.message : ((error as Error).stack ?? error)}\n`);
  process.exit(1);
}

function parse() {
  try {
    const parsed = parseArgs({
      allowPositionals: true,
      options: { "without-keys": { type: "boolean" }, "passphrase-file": { type: "string" } },
    });
    if (parsed.positionals.length > 1)
      throw new Error(`Only one FILE can be given; ${parsed.positionals[1]} is not expected.`);
    return parsed;
  } catch (error) {
    throw new StartError(`${(error as Error).message} ${USAGE}`);
  }
}
