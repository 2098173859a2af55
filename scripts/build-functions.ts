import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

/**
 * One self-contained file per function, for runtimes that mount folders and know no import map:
 * dist/functions/<name>/index.js. Each is checked to import nothing but node: builtins and to use no Deno API
 * that the edge runtime (Deno 2.1) may lack.
 */

const root = join(import.meta.dirname, "..");
const deno = join(root, "node_modules", ".bin", "deno");
const run = promisify(execFile);

/** Every folder of functions/ that has an entry. */
export const functionNames = (): string[] =>
  readdirSync(join(root, "functions"), { withFileTypes: true })
    .filter((e) => e.isDirectory() && readdirSync(join(root, "functions", e.name)).includes("index.ts"))
    .map((e) => e.name)
    .sort();

/** Members of `Deno` that Deno 2.1 and the edge runtime's user workers have. */
const ALLOWED = new Set(["serve", "env", "build", "version"]);
/** These are no user workers: they run under Deno itself and answer signals. */
const PROCESSES = new Set(["worker", "server"]);
const ALLOWED_IN_PROCESS = new Set([...ALLOWED, "addSignalListener", "exit"]);

/** What in a bundle would not run in the edge runtime; empty when it is fit. */
export async function faultsOf(file: string, name: string): Promise<string[]> {
  const faults: string[] = [];
  const { stdout } = await run(deno, ["info", "--json", "--no-config", "--no-lock", file], {
    env: quiet(),
    maxBuffer: 64 * 1024 * 1024,
  });
  const { modules } = JSON.parse(stdout) as {
    modules: { specifier: string; error?: string; dependencies?: { specifier: string; code?: object }[] }[];
  };
  const own = modules.find((m) => m.specifier === pathToFileURL(file).href);
  if (!own || own.error) faults.push(`it does not parse: ${own?.error ?? "no module"}`);
  for (const { specifier, code } of own?.dependencies ?? []) {
    // Without code it is a type in a comment.
    if (code && !specifier.startsWith("node:")) faults.push(`it imports ${specifier}`);
  }
  const text = readFileSync(file, "utf8");
  const allowed = PROCESSES.has(name) ? ALLOWED_IN_PROCESS : ALLOWED;
  for (const member of new Set([...text.matchAll(/\bDeno\s*\??\.\s*([A-Za-z_$][\w$]*)/g)].map((m) => m[1]!))) {
    if (!allowed.has(member))
      faults.push(`it uses Deno.${member}, which is not on the list of what the edge runtime has`);
  }
  if (/\bDeno\s*\[/.test(text)) faults.push("it reaches into Deno by a computed name");
  return faults;
}

/** Builds every function below `out` and checks it. Throws with every fault listed. Returns bytes by name. */
export async function buildFunctions(out: string, names = functionNames()): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  const faults: string[] = [];
  for (const name of names) {
    const file = join(out, name, "index.js");
    rmSync(join(out, name), { recursive: true, force: true });
    mkdirSync(join(out, name), { recursive: true });
    const source = join(root, "functions", name, "index.ts");
    await run(
      deno,
      ["bundle", "--quiet", "--platform=deno", "--format=esm", "--keep-names", "--output", file, source],
      { cwd: root, env: quiet() },
    ).catch((error: { stderr?: string; message: string }) => {
      throw new Error(`functions/${name}/index.ts cannot be bundled: ${(error.stderr || error.message).trim()}`);
    });
    sizes.set(name, statSync(file).size);
    faults.push(...(await faultsOf(file, name)).map((f) => `${name}: ${f}`));
  }
  if (faults.length > 0)
    throw new Error(`These bundles are not fit for the edge runtime:\n${faults.map((f) => `  - ${f}`).join("\n")}`);
  return sizes;
}

const quiet = () => ({ ...process.env, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" });

if (process.argv[1] && import.meta.filename === resolve(process.argv[1])) {
  const out = join(root, "dist", "functions");
  try {
    for (const [name, bytes] of await buildFunctions(out))
      console.log(`${join("dist", "functions", name, "index.js")}  ${(bytes / 1024).toFixed(0)} kB`);
  } catch (error) {
    console.error((error as Error).message);
    process.exit(1);
  }
}
