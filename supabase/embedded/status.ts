import postgres from "postgres";
import { isFull } from "./database.ts";
import { loadSecrets } from "./home.ts";
import { appliedVersions } from "./migrate.ts";
import { readLock } from "./processes.ts";
import { loadSettings } from "./settings.ts";
import { existsSync } from "node:fs";
import { join } from "node:path";

// npm run status: what runs, where. Exit code 0 when it runs, 1 when it does not.

const settings = loadSettings();
const lock = readLock(settings.home);
const base = lock?.portBase ?? settings.portBase;
const report = {
  running: lock !== null,
  home: settings.home,
  pid: lock?.pid ?? null,
  url: `http://127.0.0.1:${base + 1}`,
  database: `127.0.0.1:${base + 2}`,
  api: lock ? await answers(`http://127.0.0.1:${base + 1}/health`) : false,
  migration: lock ? await latestMigration(base + 2) : null,
  disk_full: isFull(existsSync(settings.home) ? settings.home : "/"),
};

if (process.argv.includes("--json")) console.log(JSON.stringify(report));
else if (!report.running)
  console.log(`  ${settings.productName} does not run on ${settings.home}. Start it with npm start.`);
else {
  console.log(`  ${settings.productName} runs (process ${report.pid}) on ${report.home}`);
  console.log(`  Console    ${report.url}${report.api ? "" : "   (does not respond: npm run doctor)"}`);
  const state = report.migration === null ? "does not respond: npm run doctor" : `newest migration ${report.migration}`;
  console.log(`  Database   ${report.database}   (${state})`);
  if (report.disk_full)
    console.log(`  The disk of ${report.home} is full: free some space; the database then restarts automatically.`);
}
process.exit(report.running ? 0 : 1);

async function answers(url: string): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(5_000) }).catch(() => null);
  await response?.body?.cancel();
  return response !== null && response.status < 500;
}

async function latestMigration(port: number): Promise<string | null> {
  if (!existsSync(join(settings.home, "secrets.env"))) return null;
  const password = encodeURIComponent(loadSecrets(settings.home).POSTGRES_PASSWORD!);
  const sql = postgres(`postgresql://postgres:${password}@127.0.0.1:${port}/postgres`, { max: 1, connect_timeout: 3 });
  try {
    return (await appliedVersions(sql)).at(-1) ?? null;
  } catch {
    return null;
  } finally {
    await sql.end({ timeout: 1 });
  }
}
