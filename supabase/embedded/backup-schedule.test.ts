import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { backupPlan, dueIn, runBackups, scheduledBackups, takeScheduled } from "./backup-schedule.ts";
import { ROOT } from "./home.ts";
import { startStack, type Stack } from "./stack.ts";
import { until } from "../../tests/support/until.ts";

const folder = mkdtempSync(join(tmpdir(), "overture-schedule-test-"));
const home = join(folder, "home");
const words = join(folder, "passphrase");
let stack: Stack;

beforeAll(async () => {
  writeFileSync(words, "a passphrase of some length\n");
  stack = await startStack({ home, gateway: false, services: { cron: false } });
  const sql = postgres(stack.dbUrl, { max: 1, onnotice: () => {} });
  await sql`insert into kernel.settings (key, value) select 'drill.' || g, to_jsonb(g) from generate_series(1, 2000) g`;
  await sql.end();
}, 90_000);
afterAll(async () => {
  await stack?.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("the plan is a day and seven files unless said otherwise, and nonsense is named", () => {
  expect(backupPlan({}, home)).toEqual({
    everyHours: 24,
    keep: 7,
    folder: join(home, "backups"),
    passphrase: undefined,
  });
  expect(
    backupPlan(
      {
        OVERTURE_BACKUP_EVERY: "off",
        OVERTURE_BACKUP_KEEP: "3",
        OVERTURE_BACKUP_DIR: "/elsewhere",
        OVERTURE_BACKUP_PASSPHRASE_FILE: words,
      },
      home,
    ),
  ).toEqual({ everyHours: null, keep: 3, folder: "/elsewhere", passphrase: "a passphrase of some length" });
  expect(() => backupPlan({ OVERTURE_BACKUP_EVERY: "daily" }, home)).toThrow(/OVERTURE_BACKUP_EVERY .* daily/);
  expect(() => backupPlan({ OVERTURE_BACKUP_KEEP: "0" }, home)).toThrow(/OVERTURE_BACKUP_KEEP/);
  expect(() => backupPlan({ OVERTURE_BACKUP_PASSPHRASE_FILE: join(folder, "none") }, home)).toThrow(/cannot be read/);
});

test("the newest ones stay, a person's own files too, and the next is due from the newest, not from the start", async () => {
  const plan = backupPlan({ OVERTURE_BACKUP_KEEP: "2", OVERTURE_BACKUP_DIR: join(folder, "kept") }, home);
  mkdirSync(plan.folder);
  writeFileSync(join(plan.folder, "mine.overture"), "kept by hand");
  expect(dueIn(plan, 3_600_000)).toBe(0);
  for (const hour of ["01", "02", "03"])
    await takeScheduled(plan, { adminUrl: stack.adminDbUrl, home }, new Date(`2026-01-05T${hour}:00:00Z`));
  expect(readdirSync(plan.folder).sort()).toEqual([
    "auto-2026-01-05T02-00-00.overture",
    "auto-2026-01-05T03-00-00.overture",
    "mine.overture",
  ]);
  utimesSync(scheduledBackups(plan.folder)[0]!, new Date(), new Date(Date.now() - 1_800_000));
  expect(dueIn(plan, 3_600_000) / 60_000).toBeCloseTo(30, 0);
}, 60_000);

test("a backup that fails is told, and removes nothing", async () => {
  const plan = backupPlan({ OVERTURE_BACKUP_KEEP: "1", OVERTURE_BACKUP_DIR: join(folder, "failing") }, home);
  const good = await takeScheduled(plan, { adminUrl: stack.adminDbUrl, home });
  const gone = stack.adminDbUrl.replace(/:\d+\/postgres$/, ":1/postgres");
  await expect(takeScheduled(plan, { adminUrl: gone, home }, new Date(Date.now() + 60_000))).rejects.toThrow();
  expect(scheduledBackups(plan.folder)).toEqual([good.file]);
}, 60_000);

test("the schedule takes what is due and notes it in the database; switched off it takes the note away", async () => {
  const plan = backupPlan({ OVERTURE_BACKUP_DIR: join(folder, "noted") }, home);
  const source = { adminUrl: stack.adminDbUrl, home };
  const sql = postgres(stack.dbUrl, { max: 1, onnotice: () => {} });
  const stop = new AbortController();
  try {
    const running = runBackups(plan, source, stop.signal, () => {}, 0);
    const age = await until(
      async () =>
        (
          await sql`select every_seconds, (select value -> 'rows' from kernel.settings where key = 'backup')::int as rows from kernel.backup_age()`
        ).find((r) => r.rows > 0),
      { what: "the note of the first backup", timeoutMs: 60_000, everyMs: 200 },
    );
    expect(age.every_seconds).toBe(86_400);
    expect(scheduledBackups(plan.folder)).toHaveLength(1);
    stop.abort();
    await running;
    await runBackups({ ...plan, everyHours: null }, source, new AbortController().signal, () => {});
    expect(await sql`select * from kernel.backup_age()`).toHaveLength(0);
  } finally {
    stop.abort();
    await sql.end();
  }
}, 90_000);

test("the drill makes an installation of the newest backup and says what would be lost and how long it would take", async () => {
  const plan = backupPlan(
    { OVERTURE_BACKUP_DIR: join(folder, "drilled"), OVERTURE_BACKUP_PASSPHRASE_FILE: words },
    home,
  );
  const { file, rows } = await takeScheduled(plan, { adminUrl: stack.adminDbUrl, home });
  expect(file).toMatch(/\.overture\.age$/);
  const before = new Set(readdirSync(tmpdir()).filter((n) => n.startsWith("overture-drill-")));
  const run = spawnSync(process.execPath, [join(ROOT, "scripts", "drill.ts")], {
    encoding: "utf8",
    env: {
      ...process.env,
      OVERTURE_HOME: home,
      OVERTURE_BACKUP_DIR: plan.folder,
      OVERTURE_BACKUP_PASSPHRASE_FILE: words,
    },
  });
  expect(run.status, run.stdout + run.stderr).toBe(0);
  const result = JSON.parse(run.stdout.trim().split("\n").at(-1)!) as Record<string, number | string | boolean>;
  console.log(JSON.stringify(result));
  expect(result).toMatchObject({ drill: "restore", ok: true, file, rows });
  expect(result.rows_found).toBeGreaterThanOrEqual(rows);
  // Structure, not the clock of this machine: all parts are measured and add up; nothing older than the backup is lost.
  for (const part of ["verify_seconds", "restore_seconds", "start_seconds"]) expect(result[part]).toBeGreaterThan(0);
  expect(result.rto_seconds).toBeCloseTo(
    Number(result.verify_seconds) + Number(result.restore_seconds) + Number(result.start_seconds),
    2,
  );
  expect(result.rpo_seconds).toBeGreaterThanOrEqual(0);
  expect(Number(result.rpo_seconds)).toBeLessThan(plan.everyHours! * 3600);
  expect(readdirSync(tmpdir()).filter((n) => n.startsWith("overture-drill-") && !before.has(n))).toEqual([]);

  writeFileSync(join(folder, "broken.overture"), "no backup");
  const broken = spawnSync(process.execPath, [join(ROOT, "scripts", "drill.ts"), join(folder, "broken.overture")], {
    encoding: "utf8",
    env: { ...process.env, OVERTURE_HOME: home },
  });
  expect(broken.status).toBe(1);
  expect(existsSync(home)).toBe(true);
}, 180_000);
