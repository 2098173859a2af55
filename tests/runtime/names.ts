import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "../../supabase/embedded/home.ts";
import { type DenoVersion, entryArgs, type Kind, runDeno } from "./process.ts";

/** What a running module can name: the globals, and the members of `Deno`. */
export type Names = { globals: string[]; deno: string[] };

const run = promisify(execFile);
const LIST = `
  const globals = new Set();
  for (let object = globalThis; object; object = Object.getPrototypeOf(object))
    for (const name of Object.getOwnPropertyNames(object)) globals.add(name);
  console.log(JSON.stringify({ globals: [...globals], deno: Object.keys(Deno) }));`;

/** The names that exist where each kind of function runs, asked of that runtime itself. */
export async function edgeNames(version: DenoVersion): Promise<Record<Kind, Names>> {
  const folder = mkdtempSync(join(tmpdir(), "overture-names-"));
  try {
    const file = join(folder, "names.js");
    writeFileSync(file, LIST);
    const ask = async (kind: Kind): Promise<Names> => {
      const asked = await runDeno(entryArgs(kind, "bundle", file), {}, undefined, undefined, version);
      await asked.ended;
      return JSON.parse(asked.output()) as Names;
    };
    const [userWorker, process] = await Promise.all([ask("userWorker"), ask("process")]);
    // Packages ask for these with typeof first, which the rule below does not see.
    for (const names of [userWorker, process]) names.globals.push("__filename", "window", "__GLOBALTHIS__", "define");
    process.globals.push("EdgeRuntime");
    return { userWorker, process, mainService: userWorker };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The names a file uses that are not among these. Paths a request does not reach are covered too. */
export async function faultsOf(file: string, { globals, deno }: Names): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "overture-lint-"));
  try {
    const config = join(folder, "oxlint.json");
    writeFileSync(
      config,
      JSON.stringify({
        plugins: [],
        categories: { correctness: "off" },
        rules: { "no-undef": "error" },
        env: { builtin: false },
        globals: Object.fromEntries(globals.map((name) => [name, "readonly"])),
      }),
    );
    const oxlint = join(ROOT, "node_modules", ".bin", "oxlint");
    const { stdout } = await run(oxlint, ["-c", config, "--format=json", "--no-ignore", file], {
      maxBuffer: 64 * 1024 * 1024,
    }).catch((error: { stdout: string }) => error);
    const { diagnostics } = JSON.parse(stdout) as { diagnostics: { message: string }[] };
    const text = readFileSync(file, "utf8");
    const members = [...text.matchAll(/\bDeno\s*\??\.\s*([A-Za-z_$][\w$]*)/g)].map((m) => m[1]!);
    return [
      ...new Set(diagnostics.map((d) => d.message)),
      ...[...new Set(members)].filter((m) => !deno.includes(m)).map((m) => `Deno.${m} does not exist`),
      ...(/\bDeno\s*\[/.test(text) ? ["it reaches into Deno by a computed name"] : []),
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
