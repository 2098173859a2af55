import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { denoBinary } from "../../supabase/embedded/child.ts";
import { ROOT } from "../../supabase/embedded/home.ts";
import { until } from "../support/until.ts";

export type DenoProcess = {
  url: string;
  /** Everything it printed so far. */
  output(): string;
  /** Resolves with the exit code, or the name of the signal that ended it. */
  ended: Promise<number | string>;
  stop(): Promise<number | string>;
};

/** The Deno whose compatibility the Supabase edge runtime promises, from its platform package. */
function edgeDeno(): string {
  const name = `deno-2.1-${process.platform}-${process.arch}`;
  return join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), "deno");
}

/** `2.9` runs the worker and the containers, and everything of the embedded default; `2.1` stands for the edge runtime. */
export const DENO = { "2.1": edgeDeno(), "2.9": denoBinary() } as const;
export type DenoVersion = keyof typeof DENO;

/** Each version keeps what it compiled apart: one throws away what the other has written. */
const cacheOf = (version: DenoVersion) => join(ROOT, "node_modules", ".cache", `deno-${version}`);

/** The rights of the edge runtime's user workers. */
const RIGHTS = ["--allow-net", "--allow-env", "--allow-read", "--allow-write", "--allow-sys=hostname"];
/** The same and no way to fetch code. */
export const ISOLATED = ["run", "--no-config", "--no-lock", "--no-remote", "--no-npm", ...RIGHTS];

export type Form = "bundle" | "source";
/** Where a function runs: as a user worker or the main service of the edge runtime, or as a process of its own. */
export type Kind = "userWorker" | "mainService" | "process";

const kindOf = (name: string): Kind =>
  name === "main" ? "mainService" : name === "worker" || name === "server" ? "process" : "userWorker";
const helper = (name: string) => join(import.meta.dirname, name);

/** Deno's arguments to run a file as such a function. */
export function entryArgs(kind: Kind, form: Form, file: string): string[] {
  const flags = form === "bundle" ? ISOLATED : ["run", "--no-lock", ...RIGHTS];
  if (kind === "mainService") return [...flags, "--allow-run", helper("edge-runtime.mjs"), file];
  return [...flags, helper("launch.mjs"), kind, file];
}

/** How to run a function: its bundle below `out` away from the repository, its source within. */
export function entryOf(name: string, form: Form, out: string): { args: string[]; cwd: string; kind: Kind } {
  const kind = kindOf(name);
  const file = form === "bundle" ? join(out, name, "index.js") : join(ROOT, "functions", name, "index.ts");
  return { args: entryArgs(kind, form, file), cwd: form === "bundle" ? tmpdir() : ROOT, kind };
}

/** Runs one Deno with exactly this environment; with a port it also waits until something answers there. */
export async function runDeno(
  args: string[],
  env: Record<string, string>,
  port?: number,
  cwd = tmpdir(),
  version: DenoVersion = "2.9",
): Promise<DenoProcess> {
  const child = spawn(DENO[version], args, {
    cwd,
    env: {
      ...env,
      ...(port ? { DENO_SERVE_ADDRESS: `tcp:127.0.0.1:${port}` } : {}),
      HOME: process.env.HOME,
      DENO_DIR: cacheOf(version),
      DENO_NO_UPDATE_CHECK: "1",
      NO_COLOR: "1",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (output += chunk));
  const ended = new Promise<number | string>((done) => {
    child.once("exit", (code, signal) => done(code ?? signal ?? -1));
    child.once("error", (error) => ((output += error.message), done(-1)));
  });
  let over = false;
  void ended.then(() => (over = true));
  const stop = async () => {
    if (!over) child.kill("SIGTERM");
    return await ended;
  };
  const url = `http://127.0.0.1:${port}`;
  if (port) {
    try {
      await until(
        async () => {
          if (over) return "ended";
          return await fetch(`${url}/`).then(
            (r) => r.arrayBuffer().then(() => "up"),
            () => null,
          );
        },
        { what: "the function to answer", timeoutMs: 30_000 },
      );
    } catch (error) {
      await stop();
      throw new Error(`${(error as Error).message}\n${output}`, { cause: error });
    }
    if (over) throw new Error(`It ended instead of serving:\n${output}`);
  }
  return { url, output: () => output, ended, stop };
}
