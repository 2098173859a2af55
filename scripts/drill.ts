import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import postgres from "postgres";
import { backupPlan, scheduledBackups } from "../supabase/embedded/backup-schedule.ts";
import { readPassphrase } from "../supabase/embedded/backup-file.ts";
import { listTables } from "../supabase/embedded/backup.ts";
import { StartError } from "../supabase/embedded/home.ts";
import { restoreHome, verifyBackup } from "../supabase/embedded/restore.ts";
import { loadSettings } from "../supabase/embedded/settings.ts";
import { startStack } from "../supabase/embedded/stack.ts";

/**
 * `npm run drill [-- FILE] [--passphrase-file FILE]`: the restore, rehearsed. Makes a throw-away installation out of the newest scheduled
 * backup (or FILE), starts it until its API answers, counts its rows, removes it, and prints one JSON line. Exits 1 where it fails.
 */

const USAGE = "Usage: npm run drill [-- FILE] [--passphrase-file FILE]";
const scratch = mkdtempSync(join(tmpdir(), "overture-drill-"));

try {
  const { file: given, passphraseFile } = parse();
  const plan = backupPlan(
    { ...process.env, ...(passphraseFile ? { OVERTURE_BACKUP_PASSPHRASE_FILE: passphraseFile } : {}) },
    loadSettings().home,
  );
  const file = given ? resolve(given) : scheduledBackups(plan.folder)[0];
  if (!file) throw new StartError(`${plan.folder} has no scheduled backup yet. Give a file. ${USAGE}`);
  const passphrase = passphraseFile ? readPassphrase(passphraseFile) : plan.passphrase;

  const began = performance.now();
  const since = (from: number) => Math.round(performance.now() - from) / 1000;
  const home = join(scratch, "home");
  const expected = await verifyBackup(file, passphrase);
  const verified = since(began);
  const restoring = performance.now();
  const manifest = await restoreHome(file, home, () => {}, passphrase);
  const restored = since(restoring);
  const starting = performance.now();
  // Schedules, queues and providers stay still: a rehearsal must send nothing.
  const stack = await startStack({ home, yes: true, services: { worker: false, cron: false, functions: true } });
  let rows = 0;
  try {
    const health = await fetch(`${stack.url}/health/ready`);
    if (health.status !== 200)
      throw new StartError(`The restored installation responds with status ${health.status}: ${await health.text()}`);
    const started = since(starting);
    const sql = postgres(stack.adminDbUrl, { max: 1, onnotice: () => {} });
    try {
      const names = new Set((await listTables(sql)).map((t) => `${t.schema}.${t.name}`));
      for (const name of names) {
        const [schema, table] = name.split(".") as [string, string];
        const [row] = await sql<{ n: number }[]>`select count(*)::int as n from ${sql(schema)}.${sql(table)}`;
        rows += row!.n;
      }
    } finally {
      await sql.end({ timeout: 5 });
    }
    // What the start itself writes (schedules, settings) may be more, never less.
    if (rows < expected.rows) throw new StartError(`Only ${rows} of ${expected.rows} rows were restored.`);
    console.log(
      JSON.stringify({
        drill: "restore",
        ok: true,
        file,
        bytes: statSync(file).size,
        tables: expected.tables,
        rows: expected.rows,
        rows_found: rows,
        // What would be lost if it happened now, and how long it would take to be back.
        rpo_seconds: Math.round((Date.now() - Date.parse(manifest.created_at)) / 1000),
        rto_seconds: Math.round((verified + restored + started) * 1000) / 1000,
        verify_seconds: verified,
        restore_seconds: restored,
        start_seconds: started,
      }),
    );
  } finally {
    await stack.stop();
  }
} catch (error) {
  console.error(`\n  ${error instanceof StartError ? error.message : ((error as Error).stack ?? error)}\n`);
  process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
}

function parse(): { file: string | undefined; passphraseFile: string | undefined } {
  try {
    const { positionals, values } = parseArgs({
      allowPositionals: true,
      options: { "passphrase-file": { type: "string" } },
    });
    if (positionals.length > 1) throw new Error(`Only one FILE can be given; ${positionals[1]} is not expected.`);
    return { file: positionals[0], passphraseFile: values["passphrase-file"] };
  } catch (error) {
    throw new StartError(`${(error as Error).message} ${USAGE}`);
  }
}
