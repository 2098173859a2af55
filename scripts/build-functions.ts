import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join, resolve } from "node:path";
import { type OutputChunk, rolldown } from "rolldown";

/**
 * One self-contained file per function, for runtimes that mount folders and know no import map:
 * dist/functions/<name>/index.js. It imports nothing but node: builtins; tests/runtime runs each under Deno 2.1 and 2.9.
 */

const root = join(import.meta.dirname, "..");

/** Every folder of functions/ that has an entry. */
export const functionNames = (): string[] =>
  readdirSync(join(root, "functions"), { withFileTypes: true })
    .filter((e) => e.isDirectory() && readdirSync(join(root, "functions", e.name)).includes("index.ts"))
    .map((e) => e.name)
    .sort();

/**
 * What Node gives every module, and Deno 2.1 (the edge runtime) only to modules that lie in an npm package. A bundle is no
 * package, so its code imports them. The timers too: packages call `unref` on what setTimeout returns, a number in Deno 2.1.
 */
const INJECTED: Record<string, [module: string, name: string]> = {
  Buffer: ["node:buffer", "Buffer"],
  setTimeout: ["node:timers", "setTimeout"],
  clearTimeout: ["node:timers", "clearTimeout"],
  setInterval: ["node:timers", "setInterval"],
  clearInterval: ["node:timers", "clearInterval"],
  setImmediate: ["node:timers", "setImmediate"],
  clearImmediate: ["node:timers", "clearImmediate"],
};

/** Bundles one entry into `file`. Returns what it still imports and a bundle must not. Throws when it cannot be bundled. */
export async function bundle(entry: string, file: string): Promise<string[]> {
  const build = await rolldown({
    input: entry,
    cwd: root,
    platform: "node",
    transform: { inject: INJECTED, define: { global: "globalThis" } },
    plugins: [
      {
        name: "node-builtins",
        // Packages name builtins with and without the prefix; Deno wants it.
        resolveId: (source) =>
          isBuiltin(source) ? { id: source.replace(/^(?:node:)?/, "node:"), external: true } : null,
      },
      {
        name: "bintrees",
        // It sets a variable that it declares nowhere and never reads, which a module's strict mode refuses.
        transform: (code, id) => (id.endsWith("bintrees/lib/bintree.js") ? code.replace("ret = true;", "") : null),
      },
    ],
    // Whatever cannot be resolved stays an import, which is reported below.
    logLevel: "silent",
  });
  try {
    const { output } = await build.write({ file, format: "esm", keepNames: true, codeSplitting: false });
    const chunks = output.filter((part): part is OutputChunk => part.type === "chunk");
    // What is loaded with the first use lies in the same file, which is then named as an import of itself.
    const own = new Set(chunks.map((c) => c.fileName));
    return [...new Set(chunks.flatMap((c) => [...c.imports, ...c.dynamicImports]))].filter(
      (specifier) => !specifier.startsWith("node:") && !own.has(specifier),
    );
  } finally {
    await build.close();
  }
}

/** Builds every function below `out`. Throws with every fault listed. Returns bytes by name. */
export async function buildFunctions(out: string, names = functionNames()): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  const faults: string[] = [];
  for (const name of names) {
    const file = join(out, name, "index.js");
    rmSync(join(out, name), { recursive: true, force: true });
    mkdirSync(join(out, name), { recursive: true });
    try {
      const imports = await bundle(join(root, "functions", name, "index.ts"), file);
      sizes.set(name, statSync(file).size);
      if (imports.length > 0) faults.push(`functions/${name}: the bundle still imports ${imports.join(", ")}`);
    } catch (error) {
      faults.push(`functions/${name}/index.ts cannot be bundled: ${(error as Error).message}`);
    }
  }
  if (faults.length > 0)
    throw new Error(`These functions have no bundle that can run:\n${faults.map((f) => `  - ${f}`).join("\n")}`);
  return sizes;
}

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
