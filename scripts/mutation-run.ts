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
import postgres from "postgres";
import { splitSql } from "../supabase/embedded/split-sql.ts";
import type { Mutation } from "../tests/mutations/mutation.ts";
import { SHARED_STACK, startShared } from "../tests/support/global.ts";
import { refreshed } from "./migration-blocks.ts";

/**
 * Runs mutations in a copy of the repository. A stack that runs all the while takes most of them, because starting one costs more than
 * a test; whatever is not noticed there is tried again on a stack of its own, which is the one that decides.
 */

const ROOT = join(import.meta.dirname, "..");
const NODE = join(ROOT, "node_modules", ".bin", "node");
/** A test that hangs without its guard has noticed, but must not take all evening. */
const TIMEOUT_MS = 300_000;
/** What mutated code leaves behind in the shared database must not add up. */
const FILES_PER_STACK = 10;

export type Verdict = { ok: boolean; detail: string };
type Ran = { failed: string[]; passed: string[]; output: string };
type Shared = Awaited<ReturnType<typeof startShared>>;

/** The vitest pattern of a test's name; what `test.each` fills in may be anything. */
const pattern = (name: string) =>
  name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/%[sjidfo]|\\\$(?:\w+|\\\{\w+\\\})/g, ".*");
const isHome = (path: string) => /^modules\/\w+\/sql\//.test(path);

export class MutationRun {
  readonly #copy = makeCopy();
  #shared: Shared | null = null;
  #files = 0;
  #running: ChildProcess | null = null;

  /** The mutations of one test file, each with what became of it. First every named test must be green with all guards in place. */
  async file(file: string, list: readonly Mutation[], say: (m: Mutation, verdict: Verdict) => void): Promise<void> {
    const names = [...new Set(list.map((m) => m.name))];
    const shared = await this.#stack();
    const greenShared = await this.#green(file, names, shared);
    const others = names.filter((name) => !greenShared.has(name));
    const greenAlone = others.length > 0 ? await this.#green(file, others, null) : new Set<string>();

    const noticed: Mutation[] = [];
    const open: Mutation[] = [];
    for (const m of list) {
      if (greenShared.has(m.name) && (await this.#onShared(m, shared))) noticed.push(m);
      else if (greenShared.has(m.name) || greenAlone.has(m.name)) open.push(m);
      else say(m, { ok: false, detail: "the test is not green before anything is taken away" });
    }
    // Red only proves something while the test is green again with the guard back in place.
    const still =
      noticed.length > 0 ? await this.#green(file, [...new Set(noticed.map((m) => m.name))], shared) : greenShared;
    for (const m of noticed) {
      if (still.has(m.name)) say(m, { ok: true, detail: "red" });
      else open.push(m);
    }
    if (noticed.some((m) => !still.has(m.name))) await this.#drop();
    for (const m of open) say(m, await this.#alone(m));
  }

  async close(): Promise<void> {
    this.#running?.kill("SIGTERM");
    await this.#drop();
    rmSync(this.#copy, { recursive: true, force: true });
  }

  async #stack(): Promise<Shared> {
    if (this.#files++ % FILES_PER_STACK === 0) await this.#drop();
    return (this.#shared ??= await startShared(this.#copy));
  }

  async #drop(): Promise<void> {
    await this.#shared?.stop();
    this.#shared = null;
  }

  /** Those of the named tests that pass. */
  async #green(file: string, names: readonly string[], shared: Shared | null): Promise<Set<string>> {
    const { passed, failed } = await this.#test(file, names, shared);
    const has = (titles: string[], name: string) =>
      titles.some((title) => new RegExp(`^${pattern(name)}$`).test(title));
    return new Set(names.filter((name) => has(passed, name) && !has(failed, name)));
  }

  /** Whether the test goes red on the stack that runs already. */
  async #onShared(m: Mutation, shared: Shared): Promise<boolean> {
    if (m.build || /^(migrations|supabase\/embedded|web)\//.test(m.file)) return false;
    const original = readFileSync(join(this.#copy, m.file), "utf8");
    const mutated = original.replace(m.find, () => m.replace);
    if (!isHome(m.file))
      return await this.#with(m, async () => (await this.#test(m.test, [m.name], shared)).failed.length > 0);
    const changed = changedFunctions(original, mutated);
    if (!changed) return false;
    const sql = postgres(shared.env.SUPABASE_ADMIN_DB_URL!, { max: 1, onnotice: () => {} });
    try {
      await sql.unsafe(changed.mutated);
      return (await this.#test(m.test, [m.name], shared)).failed.length > 0;
    } catch {
      return false;
    } finally {
      await sql.unsafe(changed.original).finally(() => sql.end({ timeout: 5 }));
    }
  }

  /** What becomes of it on a stack that starts with it. */
  async #alone(m: Mutation): Promise<Verdict> {
    return await this.#with(m, async () => {
      // A home of SQL reaches the database through the migrations.
      if (isHome(m.file)) this.#writeMigrations();
      if (m.build) {
        const built = await this.#run(NODE, ["../node_modules/.bin/vite", "build"], join(this.#copy, "web"));
        if (built.code !== 0) return { ok: false, detail: `the console does not build: ${built.output.slice(-300)}` };
      }
      const { failed, passed, output } = await this.#test(m.test, [m.name], null);
      if (failed.length > 0) return { ok: true, detail: "red" };
      if (passed.length > 0) return { ok: false, detail: "STILL GREEN" };
      return { ok: false, detail: `no test ran: ${output.trim().slice(-400)}` };
    });
  }

  /** Does `fn` while the guard is gone. */
  async #with<T>(m: Mutation, fn: () => Promise<T>): Promise<T> {
    const path = join(this.#copy, m.file);
    const original = readFileSync(path, "utf8");
    try {
      writeFileSync(
        path,
        original.replace(m.find, () => m.replace),
      );
      return await fn();
    } finally {
      writeFileSync(path, original);
      if (isHome(m.file)) this.#writeMigrations();
    }
  }

  /** Brings what the homes say into the copy's migrations. */
  #writeMigrations() {
    for (const [name, text] of refreshed(this.#copy)) writeFileSync(join(this.#copy, "migrations", name), text);
  }

  async #test(file: string, names: readonly string[], shared: Shared | null): Promise<Ran> {
    const report = join(this.#copy, "mutation-report.json");
    rmSync(report, { force: true });
    const only = names.map(pattern).join("|");
    const vitest = ["node_modules/.bin/vitest", "run", file, "-t", only, "--reporter=json", `--outputFile=${report}`];
    const env: Record<string, string> = shared ? { [SHARED_STACK]: JSON.stringify(shared.env) } : {};
    const { output } = await this.#run(NODE, vitest, this.#copy, env);
    if (!existsSync(report)) return { failed: [], passed: [], output };
    type Report = { testResults: { assertionResults: { title: string; status: string }[] }[] };
    const all = (JSON.parse(readFileSync(report, "utf8")) as Report).testResults.flatMap((r) => r.assertionResults);
    const titles = (status: string) => all.filter((a) => a.status === status).map((a) => a.title);
    return { failed: titles("failed"), passed: titles("passed"), output };
  }

  /** Runs a program to its end, or to the end of our patience. */
  #run(command: string, args: readonly string[], cwd: string, env: Record<string, string> = {}) {
    return new Promise<{ code: number | null; output: string }>((done) => {
      let output = "";
      const child = spawn(command, args, { cwd, timeout: TIMEOUT_MS, env: { ...process.env, ...env, NO_COLOR: "1" } });
      this.#running = child;
      child.stdout.on("data", (data) => (output += data));
      child.stderr.on("data", (data) => (output += data));
      child.on("error", (error) => done({ code: null, output: error.message }));
      child.on("close", (code) => ((this.#running = null), done({ code, output })));
    });
  }
}

/** The statements that differ, when all of them only replace functions or views: those can be changed in a database that runs. */
function changedFunctions(original: string, mutated: string): { original: string; mutated: string } | null {
  const [before, after] = [splitSql(original), splitSql(mutated)];
  if (before.length !== after.length) return null;
  const changed = [...before.keys()].filter((i) => before[i] !== after[i]);
  const replaces = (statement: string) =>
    /^create or replace (function|view)\b/i.test(statement.replace(/^(\s*--[^\n]*\n)+/, "").trim());
  if (changed.length === 0 || !changed.every((i) => replaces(before[i]!) && replaces(after[i]!))) return null;
  const joined = (statements: string[]) => changed.map((i) => statements[i]).join(";\n");
  return { original: joined(before), mutated: joined(after) };
}

/** The repository's files as they stand, with the installed packages, the built console and what SvelteKit generates of the original. */
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
  for (const built of ["web/build", "web/.svelte-kit", "web/node_modules/$app"])
    if (existsSync(join(ROOT, built))) cpSync(join(ROOT, built), join(copy, built), { recursive: true });
  return copy;
}
