import { readFileSync, statSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { dirname, join, normalize, relative } from "node:path";
import { parse as parseSql } from "libpg-query";
import ts from "typescript";
import { cycleFaults } from "./cycles.ts";
import { factFaults } from "./facts.ts";
import { manifestOf } from "./manifest.ts";
import { migrationFaults } from "./migration-blocks.ts";
import { tableFaults } from "./mutations.ts";
import { EXCEPTIONS } from "./ownership-exceptions.ts";
import { madeIn, ownershipFaults } from "./ownership.ts";
import { secretsIn } from "./secrets.ts";
import { sinksIn, unusedExceptions } from "./sinks.ts";

/** The rules of this code base that no linter knows. Prints every fault and exits 1 if there is one. */

const root = join(import.meta.dirname, "..");
const tracked = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: root,
  encoding: "utf8",
})
  .split("\n")
  .filter(Boolean);
const read = (path: string) => readFileSync(join(root, path), "utf8");
const faults: string[] = [];
const fault = (path: string, what: string) => faults.push(`${path}: ${what}`);

/** Of every module; the kernel is none. */
const manifests = () =>
  tracked
    .filter((p) => /^modules\/\w+\/module\.ts$/.test(p) && !p.startsWith("modules/kernel/"))
    .map((p) => manifestOf(p.split("/")[1]!, read(p)));

const code = tracked.filter((p) => /\.(ts|svelte|mjs)$/.test(p) && !p.endsWith(".d.ts"));
const imports = (text: string) =>
  [...text.matchAll(/(?:from\s+|import\s*\(\s*|^import\s+)["']([^"']+)["']/gm)].map((m) => m[1]!);
/** An emulation is a fake for tests and the sandbox: no part of the product loads it. */
const isFake = (p: string) => /\/emulation\.ts$|^modules\/sandbox\//.test(p);
const isTest = (p: string) =>
  /\.test\.ts$|^tests\/|\/testing\.ts$|\/conformance\/|\/fixtures\.ts$|\/emulation\.ts$/.test(p);

/** web → types of functions/api · functions → modules · module → kernel and modules in its `needs` · kernel → no module. */
function importDirection() {
  const needs = new Map(manifests().map((m) => [m.name, m.needs]));
  const reach = (name: string, seen = new Set<string>()): Set<string> => {
    for (const n of needs.get(name) ?? []) if (!seen.has(n)) reach(n, seen.add(n));
    return seen;
  };
  for (const path of code) {
    const top = path.split("/")[0]!;
    for (const spec of imports(read(path))) {
      if (!spec.startsWith(".")) continue;
      const target = normalize(join(dirname(path), spec));
      if (!/\.(ts|svelte|js|mjs|json|css|d\.ts)$/.test(spec) && top !== "web")
        fault(path, `imports ${spec} without its ending`);
      if (isFake(target) && !isFake(path) && !isTest(path) && top !== "scripts")
        fault(path, `imports ${spec}, a fake of the sandbox`);
      if (isTest(path)) continue;
      const to = target.split("/")[0]!;
      if (top === "modules") {
        const [, from] = path.split("/");
        const [, into] = target.split("/");
        if (to !== "modules") fault(path, `a module must not import ${target}`);
        else if (from === "kernel" && into !== "kernel") fault(path, `the kernel must not import the module ${into}`);
        // Facts are said to everybody: hearing them needs the definition, not the module.
        else if (/^modules\/\w+\/facts\.ts$/.test(target)) continue;
        else if (into !== "kernel" && into !== from && path !== "modules/boot.ts" && !reach(from!).has(into!)) {
          fault(path, `imports from ${into}, which modules/${from}/module.ts does not name in needs`);
        }
      }
      if (top === "functions" && to !== "functions" && to !== "modules")
        fault(path, `a function must not import ${target}`);
      if (top === "web" && to !== "web") fault(path, `the console must not import ${target}: it talks to the API`);
    }
  }
}

/** What providers and channels can do is asked of them; who compares an id forgets the next one. */
function idComparison(): RegExp {
  const ids = tracked.flatMap((p) =>
    (
      /^modules\/providers\/\w+\/(\w+)\/adapter\.ts$/.exec(p) ??
      /^modules\/channels\/(\w+)\/channel\.ts$/.exec(p) ??
      []
    ).slice(1),
  );
  return new RegExp(`(provider|channel)(?:_id|Id)?\\s*[!=]==?\\s*["'](?:${ids.join("|")})["']`);
}

function hosts() {
  const compared = idComparison();
  for (const path of code) {
    if (isTest(path)) continue;
    const text = read(path);
    if (
      /\bDeno\./.test(text) &&
      !/^functions\/\w+\/index\.ts$|^supabase\/embedded\/|^scripts\/|^bench\/|^seed\//.test(path)
    )
      fault(path, "only functions/*/index.ts and supabase/embedded may use Deno");
    if (/^modules\//.test(path) && /process\.env|Deno\.env/.test(text) && !/^modules\/sandbox\/serve\.ts$/.test(path))
      fault(path, "only the configuration reads the environment");
    if (
      /^(modules|functions)\//.test(path) &&
      !/^modules\/(sandbox|kernel)\/|^functions\/main\//.test(path) &&
      /(^|[^.\w])fetch\(/.test(text)
    )
      fault(path, "outbound HTTP goes through ctx.http");
    if (/^(modules|functions|web)\//.test(path) && !/^modules\/(providers|channels|sandbox)\//.test(path)) {
      const [, what] = compared.exec(text) ?? [];
      if (what) fault(path, `compares a ${what}'s id: make it a capability of the ${what}`);
    }
    if (/^\s*(export\s+)?(const\s+)?enum\s|^\s*namespace\s/m.test(text))
      fault(path, "enums and namespaces are not erasable");
  }
}

const GENERATED = /^-- generated from [^]*?^-- end of generated$/gm;

function sizes() {
  for (const path of tracked.filter((p) => /\.(ts|svelte|sql|mjs)$/.test(p) && !/\.(gen|d)\.ts$/.test(p))) {
    // What a migration holds of modules/*/sql is counted there.
    const lines = read(path).replace(GENERATED, "").split("\n").length;
    if (lines > 500) fault(path, `${lines} lines; split it by what it says (at most 500)`);
  }
}

function migrations() {
  const names = tracked.filter((p) => p.startsWith("migrations/")).map((p) => p.slice("migrations/".length));
  const seen = new Set<string>();
  for (const name of names) {
    const stamp = /^(\d{8}(?:[01]\d|2[0-3])[0-5]\d[0-5]\d)_[a-z0-9_]+\.sql$/.exec(name)?.[1];
    if (!stamp) fault(`migrations/${name}`, "name it <UTC timestamp>_subject.sql");
    else if (seen.has(stamp)) fault(`migrations/${name}`, "another migration has this timestamp");
    else seen.add(stamp);
    const text = read(`migrations/${name}`);
    if (!/^-- .+\n-- owner: .+breaking: (yes|no)/m.test(text))
      fault(`migrations/${name}`, "the header names subject, owner and whether old code survives (breaking: yes|no)");
  }
}

/** Homes of SQL: readable lines, pinned search paths, and migrations that hold what they say. */
function sqlHomes() {
  for (const path of tracked.filter((p) => /^modules\/\w+\/sql\/.*\.sql$/.test(p))) {
    const text = read(path);
    for (const [index, line] of text.split("\n").entries())
      if (line.length > 140) fault(`${path}:${index + 1}`, `${line.length} characters in a line; at most 140`);
    for (const [statement] of text.matchAll(/create (or replace )?function[\s\S]*?(?=\$\w*\$)/gi)) {
      if (/security definer/i.test(statement) && !/set search_path = ''/i.test(statement))
        fault(path, `a security definer function without set search_path = '': ${statement.slice(0, 60)}`);
    }
  }
  faults.push(...migrationFaults(root));
}

/** A module writes its own tables and reads those of the modules it needs. */
function ownership() {
  const made = tracked.filter((p) => /^migrations\/.*\.sql$/.test(p)).flatMap((p) => madeIn(read(p)));
  const files = tracked
    .filter((p) => /^modules\/\w+\/(sql\/.*\.sql|.*\.ts)$/.test(p) && !isTest(p))
    .map((path) => ({ path, text: read(path) }));
  faults.push(...ownershipFaults(manifests(), made, files, EXCEPTIONS));
}

function dependencies() {
  const pkg = JSON.parse(read("package.json")) as {
    dependencies: Record<string, string>;
    devDependencies: Record<string, string>;
    optionalDependencies: Record<string, string>;
  };
  const deno = JSON.parse(read("deno.json")) as { imports: Record<string, string> };
  const all: Record<string, string> = {
    ...pkg.dependencies,
    ...pkg.devDependencies,
    ...pkg.optionalDependencies,
  };
  for (const [name, version] of Object.entries(all))
    if (!/^(npm:@?[\w./-]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
      fault("package.json", `${name} is not pinned to an exact version: ${version}`);
  for (const [name, spec] of Object.entries(deno.imports)) {
    const [, pkgName, version] = /^npm:((?:@[^/]+\/)?[^@/]+)@([^/]+)/.exec(spec) ?? [];
    if (!pkgName) continue;
    if (all[pkgName] !== version)
      fault("deno.json", `${name} is ${version} here and ${all[pkgName] ?? "absent"} in package.json`);
  }
  const known = (spec: string) =>
    Object.keys(deno.imports).some((k) => spec === k || (k.endsWith("/") && spec.startsWith(k)));
  for (const path of code.filter((p) => /^(modules|functions)\//.test(p) && !isTest(p))) {
    for (const spec of imports(read(path)))
      if (!/^(\.|node:)/.test(spec) && !known(spec)) fault(path, `imports ${spec}, which deno.json does not list`);
  }
}

/** Every npm script is a deno task of the same name, and the other way round; npm's own hooks are nobody's commands. */
function tasks() {
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
  const { tasks } = JSON.parse(read("deno.json")) as { tasks: Record<string, string> };
  const commands = Object.keys(scripts).filter((name) => !/^(pre|post)install$/.test(name));
  for (const name of commands) if (!tasks[name]) fault("deno.json", `has no task ${name}, a script of package.json`);
  for (const [name, task] of Object.entries(tasks)) {
    if (!commands.includes(name)) fault("deno.json", `has a task ${name}, which package.json lacks`);
    else if (!new RegExp(`^npm (run -s )?${name}( --)?$`).test(task))
      fault("deno.json", `the task ${name} runs ${task}`);
  }
}

/** Paths and npm scripts that the docs name must exist. */
function docs() {
  const scripts = Object.keys((JSON.parse(read("package.json")) as { scripts: Record<string, string> }).scripts);
  const exists = (p: string) => tracked.some((t) => t === p || t.startsWith(`${p.replace(/\/$/, "")}/`));
  for (const path of tracked.filter((p) => p.endsWith(".md"))) {
    const text = read(path);
    for (const [, ref] of text.matchAll(
      /`((?:modules|functions|migrations|supabase|web|tests|scripts|docs|bench|seed)\/[\w./-]+)`/g,
    )) {
      if (!exists(ref!)) fault(path, `names ${ref}, which does not exist`);
    }
    for (const [, link] of text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)/g)) {
      const target = relative(".", normalize(join(dirname(path), link!)));
      if (!exists(target)) fault(path, `links to ${link}, which does not exist`);
    }
    for (const [, script] of text.matchAll(/npm run (?:-s )?([\w:-]+)/g))
      if (!scripts.includes(script!)) fault(path, `names npm run ${script}, which package.json lacks`);
  }
}

/** Rows of docs/concepts/guarantees.md stand once, and a file beside a guard's name holds that name. */
function guarantees() {
  const page = "docs/concepts/guarantees.md";
  const seen = new Set<string>();
  for (const [index, line] of read(page).split("\n").entries()) {
    const [promise, guard, test] = line.split(" | ").map((cell) => cell.replace(/^\| | \|$/g, "").trim());
    if (!line.startsWith("|") || !guard || !test || promise === "Promise") continue;
    const where = `${page}:${index + 1}`;
    const row = `${promise}|${guard}|${test}`;
    if (seen.has(row)) fault(where, "this row stands above already");
    seen.add(row);
    const quoted = [...guard.matchAll(/`([^`]+)`/g)].map((m) => m[1]!);
    const files = quoted.filter((q) => q.includes("/") && tracked.includes(q));
    if (files.length === 0) continue;
    for (const name of quoted.filter((q) => /^[a-zA-Z_][\w.]*$/.test(q)))
      if (!files.some((file) => read(file).includes(name.split(".").at(-1)!)))
        fault(where, `${files.join(", ")} has no ${name}`);
  }
}

/** Code blocks in the docs at least parse: TypeScript, JSON and SQL. Shell blocks only name commands, checked above. */
async function codeBlocks() {
  for (const path of tracked.filter((p) => p.endsWith(".md"))) {
    for (const [, language, block] of read(path).matchAll(/^[ \t]*```(\w+)\n([\s\S]*?)^[ \t]*```/gm)) {
      const first = block!.trim().split("\n")[0]!;
      try {
        if (language === "json") JSON.parse(block!);
        else if (language === "sql") await parseSql(block!);
        else if (language === "ts") {
          const { diagnostics } = ts.transpileModule(block!, { reportDiagnostics: true });
          if (diagnostics?.length) throw new Error(ts.flattenDiagnosticMessageText(diagnostics[0]!.messageText, " "));
        }
      } catch (error) {
        fault(
          path,
          `the ${language} block beginning with ${JSON.stringify(first)} does not parse: ${(error as Error).message}`,
        );
      }
    }
  }
}

function marks() {
  for (const path of tracked.filter((p) => /\.(ts|svelte|sql|mjs|sh|md)$/.test(p) && p !== "scripts/check.ts")) {
    const text = read(path);
    for (const [mark] of text.matchAll(/\b(TODO|FIXME|XXX)\b/g)) fault(path, `has a ${mark}`);
    if (/\b(it|test|describe)\.(only|skip|todo)\(/.test(text)) fault(path, "has a focused or skipped test");
  }
}

function secrets() {
  const text = /\.(ts|js|mjs|svelte|sql|json|toml|ya?ml|md|sh|html|css|env|example|txt)$|^[^.]+$/;
  for (const path of tracked.filter((p) => text.test(p) && p !== "package-lock.json")) {
    // supabase/migrations is a link to a folder.
    if (!statSync(join(root, path)).isFile()) continue;
    for (const { line, what } of secretsIn(read(path), { test: isTest(path) })) fault(`${path}:${line}`, what);
  }
}

/** Text that becomes code, markup, SQL or a process, outside the places with a reason. */
function sinks() {
  const files = code.map((path) => [path, read(path)] as const);
  for (const [path, text] of files) for (const { line, what } of sinksIn(path, text)) fault(`${path}:${line}`, what);
  faults.push(...unusedExceptions(files));
}

function cycles() {
  const files = code.filter((p) => /^(modules|functions)\//.test(p));
  faults.push(...cycleFaults(new Map(files.map((path) => [path, read(path)] as const))));
}

function facts() {
  const files = tracked.filter((p) => /^(modules|migrations)\/.*\.(ts|sql)$/.test(p));
  faults.push(...factFaults(files.map((path) => [path, read(path)] as const)));
}

/** The table of guards and the tests that miss them still fits the files. `npm run mutations` tries it. */
function mutations() {
  const known = new Set(tracked);
  faults.push(...tableFaults((path) => (known.has(path) ? read(path) : null)));
}

for (const rule of [
  importDirection,
  hosts,
  sizes,
  migrations,
  sqlHomes,
  ownership,
  dependencies,
  tasks,
  docs,
  guarantees,
  marks,
  secrets,
  sinks,
  cycles,
  facts,
  mutations,
])
  rule();
await codeBlocks();
if (faults.length > 0) {
  console.error(faults.join("\n"));
  process.exit(1);
}
console.log(`rules hold in ${tracked.length} files`);
