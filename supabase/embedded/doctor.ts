import { databaseChecks, keyChecks, machineChecks, serviceChecks, type Check, type Subject } from "./checks.ts";
import { portsFrom } from "./home.ts";
import { readLock } from "./processes.ts";
import { loadSettings } from "./settings.ts";

// npm run doctor: looks at everything a start needs and a running instance does. Exit code 0 when all is well.

const settings = loadSettings();
const lock = readLock(settings.home);
const subject: Subject = {
  home: settings.home,
  ports: lock ? portsFrom(lock.portBase) : settings.ports,
  running: lock !== null,
};
const checks: Check[] = await machineChecks(subject);
const keys = await keyChecks(subject);
checks.push(...keys.checks);
if (subject.running && keys.secrets) {
  checks.push(...(await databaseChecks(subject, keys.secrets)), ...(await serviceChecks(subject, keys.secrets)));
}
const ok = checks.every((check) => check.ok);

if (process.argv.includes("--json")) console.log(JSON.stringify({ ok, running: subject.running, checks }));
else {
  console.log(`  ${settings.productName} ${subject.running ? "runs" : "does not run"} on ${subject.home}\n`);
  for (const { name, ok: good, detail, fix } of checks) {
    console.log(`  ${good ? "ok  " : "FAIL"}  ${name.padEnd(18)} ${detail}`);
    if (fix) console.log(`        ${"".padEnd(18)} → ${fix}`);
  }
  if (!subject.running)
    console.log("\n  Start it with npm start; the doctor then also checks database, queues, schedules and functions.");
}
process.exit(ok ? 0 : 1);
