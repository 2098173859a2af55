import { spawnSync } from "node:child_process";
import { join } from "node:path";

/**
 * Known vulnerabilities in what the product ships, by `npm audit`. Exits 1 for a high or critical one. Where the registry
 * has no audit service (a mirror, no network) it says so and exits 0: then nothing is known, good or bad.
 */

type Report = {
  vulnerabilities?: Record<
    string,
    { severity: string; via: (string | { title?: string; url?: string })[]; fixAvailable: unknown }
  >;
  metadata?: { dependencies: { prod: number } };
  error?: { summary?: string };
  message?: string;
};

const result = spawnSync("npm", ["audit", "--omit=dev", "--json"], {
  cwd: join(import.meta.dirname, ".."),
  encoding: "utf8",
  timeout: 60_000,
});
let report: Report = {};
try {
  report = JSON.parse(result.stdout) as Report;
} catch {
  report = { message: result.error?.message ?? result.stderr.trim().split("\n").at(-1) };
}
if (!report.vulnerabilities || !report.metadata) {
  console.warn(
    `NOT AUDITED: the registry answers no audit (${report.message ?? report.error?.summary ?? "no reason given"}).`,
  );
  process.exit(0);
}
const bad = Object.entries(report.vulnerabilities).filter(
  ([, v]) => v.severity === "high" || v.severity === "critical",
);
for (const [name, { severity, via, fixAvailable }] of bad) {
  const why = via.map((v) => (typeof v === "string" ? v : `${v.title} ${v.url ?? ""}`)).join("; ");
  console.error(`${severity}: ${name}: ${why}${fixAvailable ? " (a fix is available)" : ""}`);
}
if (bad.length === 0) console.log(`no high or critical advisory in ${report.metadata.dependencies.prod} dependencies`);
process.exit(bad.length === 0 ? 0 : 1);
