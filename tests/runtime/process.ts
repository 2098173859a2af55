import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { denoBinary } from "../../supabase/embedded/child.ts";
import { until } from "../support/until.ts";

export type DenoProcess = {
  url: string;
  /** Everything it printed so far. */
  output(): string;
  /** Resolves with the exit code, or the name of the signal that ended it. */
  ended: Promise<number | string>;
  stop(): Promise<number | string>;
};

/** The rights of the edge runtime's user workers, and no way to fetch code. */
export const ISOLATED = [
  ...["run", "--no-config", "--no-lock", "--no-remote", "--no-npm"],
  ...["--allow-net", "--allow-env", "--allow-read", "--allow-write", "--allow-sys=hostname"],
];

/** Runs Deno with exactly this environment; with a port it also waits until something answers there. */
export async function runDeno(
  args: string[],
  env: Record<string, string>,
  port?: number,
  cwd = tmpdir(),
): Promise<DenoProcess> {
  const child = spawn(denoBinary(), args, {
    cwd,
    env: {
      ...env,
      ...(port ? { DENO_SERVE_ADDRESS: `tcp:127.0.0.1:${port}` } : {}),
      HOME: process.env.HOME,
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
