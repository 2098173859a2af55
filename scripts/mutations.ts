import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Mutation } from "../tests/mutations/mutation.ts";
import { mutations, SECTIONS } from "../tests/mutations/table.ts";
import { refreshed } from "./migration-blocks.ts";

/**
 * Takes each guard of the table away, in a copy, and demands that the test named for it goes red.
 *
 *   npm run mutations                  all of them (hours)
 *   npm run mutations -- ssrf "row level"   those whose section, promise or file contains one of the words
 *   npm run mutations -- --list
 *
 * First every named test must be green in the untouched copy: one that is red anyway proves nothing.
 */

const ROOT = join(import.meta.dirname, "..");
const NODE = join(ROOT, "node_modules", ".bin", "node");
/** A test that hangs without its guard has noticed, but must not take all evening. */
const TIMEOUT_MS = 300_000;

const stem = (path: string) =>
  path
    .split("/")
    .at(-1)!
    .replace(/\.(test|spec)\.ts$/, "");
const occurrences = (text: string, find: string) => text.split(find).length - 1;

/** What a row of docs/concepts/guarantees.md says of a mutation's test. */
const testCell = (m: Mutation) => `\`${stem(m.test)}\`: ${m.name}`;

/** What is wrong with the table itself; fast, so that it cannot rot between runs. `read` gives a tracked file's text. */
export function tableFaults(read: (path: string) => string | null): string[] {
  const faults: string[] = [];
  const page = (read("docs/concepts/guarantees.md") ?? "").replace(/ +/g, " ");
  for (const m of mutations) {
    const fault = (what: string) => faults.push(`tests/mutations: "${m.promise}": ${what}`);
    const source = read(m.file);
    if (source === null) fault(`${m.file} does not exist`);
    else if (occurrences(source, m.find) !== 1)
      fault(`the text to replace stands ${occurrences(source, m.find)} times in ${m.file}; it must stand once`);
    else if (m.file.startsWith("migrations/") && inGenerated(source, m.find))
      fault("the text stands in a generated block, which is written anew; name its home in modules/*/sql");
    if (m.replace === m.find) fault("replaces nothing");
    const test = read(m.test);
    if (test === null) fault(`${m.test} does not exist`);
    else if (!titled(test, m.name)) fault(`${m.test} has no test named exactly "${m.name}"`);
    if (!page.includes(testCell(m).replace(/ +/g, " ")))
      fault(`docs/concepts/guarantees.md has no row with ${testCell(m)}`);
    if (SECTIONS.includes(m.section) && !page.includes(`| ${m.promise} |`))
      fault("docs/concepts/guarantees.md does not make this promise");
  }
  return faults;
}

/** Whether a test file has a title that is this name from quote to quote: a run selects tests by their whole title. */
const titled = (test: string, name: string) => {
  const plain = test.replace(/\\(["'`])/g, "$1");
  return [`"`, `'`, "`"].some((quote) => plain.includes(quote + name + quote));
};

/** Whether a text of a migration stands in a block that `npm run migration -- --refresh` writes. */
const inGenerated = (source: string, find: string) =>
  !source.replace(/^-- generated from [^]*?^-- end of generated$/gm, "").includes(find);

type Verdict = { ok: boolean; detail: string };

/** The vitest pattern of a test's name; what `test.each` fills in may be anything. */
const pattern = (name: string) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/%[sjidfo]|\\\$\w+/g, ".*");

let running: ChildProcess | null = null;

/** Runs a program to its end, or to the end of our patience. */
function run(command: string, args: readonly string[], cwd: string): Promise<{ code: number | null; output: string }> {
  return new Promise((done) => {
    let output = "";
    const child = spawn(command, args, { cwd, timeout: TIMEOUT_MS, env: { ...process.env, NO_COLOR: "1" } });
    running = child;
    child.stdout.on("data", (data) => (output += data));
    child.stderr.on("data", (data) => (output += data));
    child.on("error", (error) => done({ code: null, output: error.message }));
    child.on("close", (code) => ((running = null), done({ code, output })));
  });
}

type Ran = { failed: string[]; passed: string[]; output: string };

async function runTests(copy: string, file: string, names: readonly string[]): Promise<Ran> {
  const report = join(copy, "mutation-report.json");
  rmSync(report, { force: true });
  const only = names.map(pattern).join("|");
  const vitest = ["node_modules/.bin/vitest", "run", file, "-t", only, "--reporter=json", `--outputFile=${report}`];
  const { output } = await run(NODE, vitest, copy);
  if (!existsSync(report)) return { failed: [], passed: [], output };
  type Report = { testResults: { assertionResults: { title: string; status: string }[] }[] };
  const all = (JSON.parse(readFileSync(report, "utf8")) as Report).testResults.flatMap((r) => r.assertionResults);
  const titles = (status: string) => all.filter((a) => a.status === status).map((a) => a.title);
  return { failed: titles("failed"), passed: titles("passed"), output };
}

/** The repository's files as they stand, with the installed packages and the built console of the original. */
function makeCopy(): string {
  const copy = mkdtempSync(join(tmpdir(), "overture-mutations-"));
  const list = spawnSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  for (const path of list.stdout.split("\0").filter((p) => p && existsSync(join(ROOT, p)))) {
    mkdirSync(dirname(join(copy, path)), { recursive: true });
    if (lstatSync(join(ROOT, path)).isSymbolicLink()) symlinkSync(readlinkSync(join(ROOT, path)), join(copy, path));
    else copyFileSync(join(ROOT, path), join(copy, path));
  }
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
  for (const built of ["web/build", "web/.svelte-kit"])
    if (existsSync(join(ROOT, built))) cpSync(join(ROOT, built), join(copy, built), { recursive: true });
  return copy;
}

async function mutate(copy: string, m: Mutation): Promise<Verdict> {
  const path = join(copy, m.file);
  const original = readFileSync(path, "utf8");
  if (occurrences(original, m.find) !== 1)
    return { ok: false, detail: `the text to replace is not in ${m.file} (once)` };
  try {
    writeFileSync(
      path,
      original.replace(m.find, () => m.replace),
    );
    // A home of SQL reaches the database through the migrations.
    if (isHome(m.file)) writeMigrations(copy);
    if (m.build) {
      const built = await run(NODE, ["../node_modules/.bin/vite", "build"], join(copy, "web"));
      if (built.code !== 0) return { ok: false, detail: `the console does not build: ${built.output.slice(-300)}` };
    }
    const { failed, passed, output } = await runTests(copy, m.test, [m.name]);
    if (failed.length > 0) return { ok: true, detail: "red" };
    if (passed.length > 0) return { ok: false, detail: "STILL GREEN" };
    return { ok: false, detail: `no test ran: ${output.trim().slice(-400)}` };
  } finally {
    writeFileSync(path, original);
    if (isHome(m.file)) writeMigrations(copy);
  }
}

const isHome = (path: string) => /^modules\/\w+\/sql\//.test(path);

/** Brings what the homes say into the copy's migrations. */
function writeMigrations(copy: string) {
  for (const [name, text] of refreshed(copy)) writeFileSync(join(copy, "migrations", name), text);
}

/** The named tests of each file, untouched; the names of those that are not green. */
async function baseline(copy: string, chosen: readonly Mutation[]): Promise<Set<string>> {
  const byFile = Map.groupBy(chosen, (m) => m.test);
  const bad = new Set<string>();
  for (const [file, list] of byFile) {
    const names = [...new Set(list.map((m) => m.name))];
    const { passed, failed, output } = await runTests(copy, file, names);
    for (const name of names) {
      const matches = new RegExp(`^${pattern(name)}$`);
      if (failed.some((title) => matches.test(title)) || !passed.some((title) => matches.test(title))) {
        bad.add(`${file} ${name}`);
        console.log(
          `NOT GREEN before anything was taken away: ${file}: ${name} ${passed.length === 0 ? output.trim().slice(-400) : ""}`,
        );
      }
    }
  }
  return bad;
}

async function main(args: readonly string[]): Promise<number> {
  const words = args.filter((a) => !a.startsWith("--")).map((w) => w.toLowerCase());
  const chosen = mutations.filter(
    (m) =>
      words.length === 0 ||
      words.some((w) => `${m.section} ${m.promise} ${m.file} ${m.test}`.toLowerCase().includes(w)),
  );
  if (args.includes("--list")) {
    for (const m of chosen) console.log(`${m.section}: ${m.promise}\n    ${m.file} → ${testCell(m)}`);
    return 0;
  }
  const faults = tableFaults((path) => (existsSync(join(ROOT, path)) ? readFileSync(join(ROOT, path), "utf8") : null));
  for (const fault of faults) console.error(fault);
  if (chosen.length === 0) {
    console.error(`No mutation has ${words.join(" or ")} in its section, promise or file; --list shows all.`);
    return 1;
  }
  const copy = makeCopy();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      running?.kill("SIGTERM");
      rmSync(copy, { recursive: true, force: true });
      process.exit(130);
    });
  }
  let wrong = faults.length;
  try {
    const bad = await baseline(copy, chosen);
    wrong += bad.size;
    for (const [i, m] of chosen.entries()) {
      if (bad.has(`${m.test} ${m.name}`)) continue;
      const started = performance.now();
      const { ok, detail } = await mutate(copy, m);
      if (!ok) wrong += 1;
      const seconds = ((performance.now() - started) / 1000).toFixed(0);
      console.log(
        `${ok ? "ok  " : "FAIL"} ${i + 1}/${chosen.length} ${m.section}: ${m.promise} — ${detail} (${seconds} s)`,
      );
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  console.log(wrong === 0 ? `every guard is missed when it is gone (${chosen.length})` : `${wrong} faults`);
  return wrong === 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
