import { setTimeout as delay } from "node:timers/promises";
import { isAlive, readLock } from "./processes.ts";
import { loadSettings } from "./settings.ts";

// npm stop: asks the running instance of this home to drain and end, and waits for it.

const { home, productName } = loadSettings();
const lock = readLock(home);
if (!lock) {
  console.log(`  ${productName} does not run on ${home}.`);
} else {
  process.kill(lock.pid, "SIGTERM");
  const deadline = Date.now() + 60_000;
  while (isAlive(lock.pid) && Date.now() < deadline) await delay(50);
  if (isAlive(lock.pid)) {
    console.error(`  Process ${lock.pid} did not end within a minute; see ${home}/logs.`);
    process.exit(1);
  }
  console.log(`  ${productName} stopped; data is kept in ${home}.`);
}
process.exit(0);
