import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ensureChromium } from "./chromium.ts";

/**
 * Runs everything: unit, database, isolation, faults and runtime under vitest, then the console in a real browser.
 * Ends with `N passed, N failed`; exit code 1 when anything failed or nothing ran.
 */

const root = join(import.meta.dirname, "..");
const results = join(root, "test-results");
const bin = (name: string) => join(root, "node_modules", ".bin", name);
const args = process.argv.slice(2);

const run = (command: string, argv: string[], env: Record<string, string> = {}) =>
  new Promise<number>((resolve) => {
    const child = spawn(command, argv, { cwd: root, stdio: "inherit", env: { ...process.env, ...env } });
    child.on("error", (error) => {
      console.error(error.message);
      resolve(1);
    });
    child.on("close", (code) => resolve(code ?? 1));
  });

type Count = { passed: number; failed: number; skipped: number };

const readVitest = (file: string): Count => {
  if (!existsSync(file)) return { passed: 0, failed: 1, skipped: 0 };
  const r = JSON.parse(readFileSync(file, "utf8")) as {
    numPassedTests: number;
    numFailedTests: number;
    numPendingTests: number;
    numFailedTestSuites: number;
  };
  // A suite that could not even load has no tests to fail.
  return {
    passed: r.numPassedTests,
    failed: r.numFailedTests || (r.numFailedTestSuites > 0 ? r.numFailedTestSuites : 0),
    skipped: r.numPendingTests,
  };
};

const readPlaywright = (file: string): Count => {
  if (!existsSync(file)) return { passed: 0, failed: 1, skipped: 0 };
  const { stats } = JSON.parse(readFileSync(file, "utf8")) as {
    stats: { expected: number; unexpected: number; flaky: number; skipped: number };
  };
  return { passed: stats.expected + stats.flaky, failed: stats.unexpected, skipped: stats.skipped };
};

rmSync(results, { recursive: true, force: true });
const total: Count = { passed: 0, failed: 0, skipped: 0 };
const add = (c: Count, code: number) => {
  total.passed += c.passed;
  total.failed += c.failed === 0 && code !== 0 ? 1 : c.failed;
  total.skipped += c.skipped;
};

// Files or names after `npm test --` narrow: those of the browser to Playwright, everything else to vitest.
const stories = args.filter((arg) => arg.includes("e2e"));
const others = args.filter((arg) => !stories.includes(arg));
const wanted = { vitest: args.length === 0 || others.length > 0, browser: args.length === 0 || stories.length > 0 };
// First, because the gateway's tests look at the console that is served too.
const built = wanted.browser ? await run("npm", ["run", "-s", "build:web"]) : 0;
if (wanted.vitest) {
  const vitestJson = join(results, "vitest.json");
  const code = await run(bin("node"), [
    bin("vitest"),
    "run",
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${vitestJson}`,
    ...others,
  ]);
  add(readVitest(vitestJson), code);
}

if (wanted.browser) {
  const chromium = await ensureChromium();
  if (!chromium.path || built !== 0) {
    console.error(`\nThe browser tests could not run: ${chromium.reason ?? "the console does not build."}`);
    total.failed += 1;
  } else {
    const playwrightJson = join(results, "playwright.json");
    const browser = await run(bin("node"), [bin("playwright"), "test", ...stories], {
      CHROMIUM_PATH: chromium.path,
      PLAYWRIGHT_JSON_OUTPUT_NAME: playwrightJson,
    });
    add(readPlaywright(playwrightJson), browser);
  }
}

if (total.passed + total.failed === 0) total.failed = 1;
console.log(`\n${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ""}`);
process.exit(total.failed === 0 ? 0 : 1);
