import { spawn } from "node:child_process";
import { join } from "node:path";
import { functionNames } from "./build-functions.ts";

/** Everything that needs no database, side by side: formats, lint, types, rules, generated files. Prints what fails, in full. */

const root = join(import.meta.dirname, "..");
const bin = (name: string) => join(root, "node_modules", ".bin", name);
const node = bin("node");

const steps: [name: string, command: string, args: string[], cwd?: string][] = [
  [
    "format",
    bin("prettier"),
    ["--check", "--log-level", "warn", "--cache", "--cache-location", "node_modules/.cache/format", "."],
  ],
  ["lint", bin("oxlint"), ["--deny-warnings", "--quiet"]],
  // TypeScript 7 checks three times as fast; what the console's check and the generators use is still the library of 6.
  ["types", node, ["node_modules/typescript-native/bin/tsc", "-p", "."]],
  [
    "types under deno",
    bin("deno"),
    [
      "check",
      "--quiet",
      "--no-lock",
      "supabase/embedded/gateway.ts",
      ...functionNames().map((f) => `functions/${f}/index.ts`),
    ],
  ],
  ["console", "npm", ["run", "-s", "check:web"]],
  ["rules", node, ["scripts/check.ts"]],
  ["dependency audit", node, ["scripts/audit.ts"]],
  ["generated files", node, ["scripts/generate.ts", "--check"]],
];

const run = ([name, command, args]: (typeof steps)[number]) =>
  new Promise<{ name: string; ok: boolean; seconds: number; output: string }>((resolve) => {
    const started = performance.now();
    const child = spawn(command, args, { cwd: root, env: { ...process.env, NO_COLOR: "1" } });
    let output = "";
    child.stdout.on("data", (d) => (output += d));
    child.stderr.on("data", (d) => (output += d));
    child.on("error", (e) => (output += e.message));
    child.on("close", (code) =>
      resolve({ name, ok: code === 0, seconds: (performance.now() - started) / 1000, output }),
    );
  });

const only = process.argv.slice(2);
const chosen = only.length > 0 ? steps.filter(([name]) => only.includes(name)) : steps;
// Two at a time: more would fight for the cores of a small machine.
const queue = [...chosen];
const results: Awaited<ReturnType<typeof run>>[] = [];
await Promise.all(
  [0, 1].map(async () => {
    for (let step = queue.shift(); step; step = queue.shift()) results.push(await run(step));
  }),
);
for (const r of results) console.log(`${r.ok ? "ok  " : "FAIL"} ${r.name} (${r.seconds.toFixed(1)} s)`);
for (const r of results) for (const [note] of r.output.matchAll(/^NOT AUDITED.*$/gm)) console.warn(note);
for (const r of results.filter((x) => !x.ok)) console.error(`\n--- ${r.name}\n${r.output.trim()}`);
process.exit(results.every((r) => r.ok) ? 0 : 1);
