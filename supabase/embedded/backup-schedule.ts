import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import postgres from "postgres";
import { backup } from "./backup.ts";
import { readPassphrase } from "./backup-file.ts";
import { ROOT, StartError } from "./home.ts";
import { verifyBackup } from "./restore.ts";

/** Backups that nobody has to think of: one every so many hours, read back after it was written, the oldest removed. */

export interface BackupPlan {
  /** Hours between two; null for none. */
  everyHours: number | null;
  /** How many are kept. */
  keep: number;
  folder: string;
  passphrase: string | undefined;
}

const DEFAULT_HOURS = 24;
const DEFAULT_KEEP = 7;
/** Ours by name: what a person put beside them is never removed. */
const NAME = /^auto-\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}\.overture(\.age)?$/;
/** After a failure: soon enough to matter, seldom enough not to fill a log. */
const RETRY_MS = 15 * 60_000;
/** A backup that fills the disk would end the database it is meant to save. */
const SPARE_BYTES = 256 * 2 ** 20;
/** The first moments belong to the start. */
const SETTLE_MS = 60_000;

/** Reads OVERTURE_BACKUP_EVERY (hours, or off), _KEEP, _DIR and _PASSPHRASE_FILE. */
export function backupPlan(env: Record<string, string | undefined>, home: string): BackupPlan {
  const every = env.OVERTURE_BACKUP_EVERY || String(DEFAULT_HOURS);
  const everyHours = every === "off" ? null : Number(every);
  if (everyHours !== null && !(everyHours >= 0.25 && everyHours <= 24 * 30))
    throw new StartError(`OVERTURE_BACKUP_EVERY must be hours from 0.25 to 720, or off; it is ${every}.`);
  const keep = Number(env.OVERTURE_BACKUP_KEEP || DEFAULT_KEEP);
  if (!Number.isInteger(keep) || keep < 1)
    throw new StartError(`OVERTURE_BACKUP_KEEP must be a whole number from 1; it is ${env.OVERTURE_BACKUP_KEEP}.`);
  const file = env.OVERTURE_BACKUP_PASSPHRASE_FILE;
  return {
    everyHours,
    keep,
    folder: env.OVERTURE_BACKUP_DIR ? resolve(ROOT, env.OVERTURE_BACKUP_DIR) : join(home, "backups"),
    passphrase: file ? readPassphrase(file) : undefined,
  };
}

/** The backups of this schedule, newest first. */
export const scheduledBackups = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => NAME.test(name))
        .sort()
        .reverse()
        .map((name) => join(folder, name))
    : [];

/** Takes one, reads it back, and only then removes the oldest. Returns what it took and what it cost. */
export async function takeScheduled(
  plan: BackupPlan,
  source: { adminUrl: string; home: string },
  now = new Date(),
): Promise<{ file: string; rows: number; seconds: number }> {
  const started = performance.now();
  mkdirSync(plan.folder, { recursive: true, mode: 0o700 });
  const [newest] = scheduledBackups(plan.folder);
  const { bavail, bsize } = statfsSync(plan.folder);
  const wanted = SPARE_BYTES + (newest ? 2 * statSync(newest).size : 0);
  if (bavail * bsize < wanted)
    throw new StartError(
      `${plan.folder} has too little free space: free ${Math.ceil(wanted / 2 ** 20)} MB or set OVERTURE_BACKUP_DIR.`,
    );
  const stamp = now.toISOString().replace(/[:.]/g, "-").slice(0, 19);
  const file = join(plan.folder, `auto-${stamp}.overture${plan.passphrase === undefined ? "" : ".age"}`);
  const { rows } = await backup({ ...source, file, passphrase: plan.passphrase });
  try {
    const read = await verifyBackup(file, plan.passphrase);
    if (read.rows !== rows) throw new StartError(`${file} has ${read.rows} rows instead of ${rows}.`);
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  }
  for (const old of scheduledBackups(plan.folder).slice(plan.keep)) rmSync(old, { force: true });
  return { file, rows, seconds: (performance.now() - started) / 1000 };
}

/** Runs the plan until it is aborted. A failure is told and tried again; it never ends the process. */
export async function runBackups(
  plan: BackupPlan,
  source: { adminUrl: string; home: string },
  signal: AbortSignal,
  onEvent: (line: string) => void,
  settleMs = SETTLE_MS,
): Promise<void> {
  if (plan.everyHours === null) return await note(source.adminUrl, null).catch(() => {});
  const everyMs = plan.everyHours * 3_600_000;
  await note(source.adminUrl, { every_seconds: everyMs / 1000, planned_at: new Date() }).catch(() => {});
  let pause = Math.max(settleMs, dueIn(plan, everyMs));
  while (await slept(pause, signal)) {
    try {
      const { file, rows, seconds } = await takeScheduled(plan, source);
      await note(source.adminUrl, { last_at: new Date(), file, rows, seconds });
      pause = everyMs;
    } catch (error) {
      if (signal.aborted) return;
      onEvent(`The backup failed and is tried again in 15 minutes: ${(error as Error).message}`);
      pause = Math.min(everyMs, RETRY_MS);
    }
  }
}

/** Counted from the newest file, so that restarts neither skip one nor take one each. */
export function dueIn({ folder }: Pick<BackupPlan, "folder">, everyMs: number, now = Date.now()): number {
  const [newest] = scheduledBackups(folder);
  return newest ? Math.max(0, statSync(newest).mtimeMs + everyMs - now) : 0;
}

const slept = (ms: number, signal: AbortSignal): Promise<boolean> =>
  delay(ms, true, { signal, ref: false }).catch(() => false);

/** Tells the database, so that a backup that does not come is an alert. Null: none is planned. */
async function note(adminUrl: string, fields: Record<string, unknown> | null): Promise<void> {
  const sql = postgres(adminUrl, { max: 1, onnotice: () => {} });
  try {
    if (fields === null) await sql`delete from kernel.settings where key = 'backup'`;
    else
      await sql`insert into kernel.settings as s (key, value) values ('backup', ${sql.json(fields as never)})
        on conflict (key) do update set value = s.value || excluded.value, updated_at = now()`;
  } finally {
    await sql.end({ timeout: 5 });
  }
}
