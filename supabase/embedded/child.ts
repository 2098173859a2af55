import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isFree, ROOT, StartError } from "./home.ts";
import { guard } from "./processes.ts";

export interface ChildOptions {
  name: string;
  /** Arguments to Deno. */
  args: string[];
  env: Record<string, string>;
  home: string;
  /** When it counts as started: once it prints `{"ready":true}`, once its port answers, or once it has lived a moment. */
  ready: "announced" | "alive" | { port: number };
  /** Start again after a crash. */
  restart: boolean;
  onEvent?: (line: string) => void;
}

/** Milliseconds between a stop request and force. */
const STOP_MS = 25_000;
const READY_MS = 60_000;
/** A process without a port that lives this long has loaded its modules and read its configuration. */
const ALIVE_MS = 400;

/** Deno of the installed npm package. */
export function denoBinary(): string {
  const require = createRequire(import.meta.url);
  const platform = `${process.platform === "win32" ? "win32" : process.platform}-${process.arch}${process.platform === "linux" ? "-glibc" : ""}`;
  try {
    return join(
      dirname(require.resolve(`@deno/${platform}/package.json`)),
      process.platform === "win32" ? "deno.exe" : "deno",
    );
  } catch {
    throw new StartError(`Deno for ${platform} is not installed: delete node_modules and run npm ci.`);
  }
}

/** A Deno process that is kept running: logged to a file, restarted with growing pauses, ended with its supervisor. */
export class Child {
  readonly #options: ChildOptions;
  #process: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #stopping = false;
  #crashes = 0;

  constructor(options: ChildOptions) {
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Starts it and waits until it is ready; fails with its own words when it ends instead. */
  async start(): Promise<void> {
    const { name, args, env, home, ready: readiness } = this.#options;
    const logFile = join(home, "logs", `${name}.log`);
    const log = openSync(logFile, "a", 0o600);
    const child = spawn(denoBinary(), args, {
      cwd: ROOT,
      env: { ...process.env, ...env, DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" },
      // Its own session: Ctrl-C reaches the supervisor only, which drains in order.
      detached: true,
      stdio: ["pipe", readiness === "announced" ? "pipe" : log, log],
    });
    closeSync(log);
    this.#process = child;
    child.stdin?.on("error", () => {});
    const started = Date.now();
    let ready = false;
    let failure = "";
    const ended = new Promise<number | null>((done) => {
      child.once("exit", (code) => done(code));
      child.once("error", (error) => ((failure = error.message), done(-1)));
    });
    this.#exited = ended.then(() => {});
    void ended.then((code) => ready && this.#crashed(code, Date.now() - started));

    if (child.pid) void ended.then(guard(child.pid, "TERM"));
    const isUp = this.#isUp(child, readiness, (message) => (failure = message));
    const timeout = delay(READY_MS, "timeout" as const, { ref: false });
    const outcome = await Promise.race([isUp, ended.then(() => "ended" as const), timeout]);
    if (outcome !== "up") {
      child.kill("SIGKILL");
      throw new StartError(failure || `The ${name} did not start: ${lastLine(logFile)} (see ${logFile})`);
    }
    ready = true;
  }

  /** Asks it to finish its work and waits; `force` ends it at once. */
  async stop(force = false): Promise<void> {
    this.#stopping = true;
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(force ? "SIGKILL" : "SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await this.#exited;
    clearTimeout(timer);
  }

  async #isUp(
    child: ChildProcess,
    readiness: ChildOptions["ready"],
    onFailure: (message: string) => void,
  ): Promise<"up"> {
    if (readiness === "alive") await delay(ALIVE_MS);
    else if (readiness !== "announced") {
      while (child.exitCode === null && (await isFree(readiness.port))) await delay(50);
      if (child.exitCode !== null) await new Promise(() => {});
    } else {
      await new Promise<void>((done) => {
        let text = "";
        child.stdout!.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
          const lines = text.split("\n");
          text = lines.pop()!;
          for (const line of lines) {
            if (line.startsWith('{"ready":')) done();
            else if (line.startsWith('{"failed":')) onFailure((JSON.parse(line) as { failed: string }).failed);
          }
        });
      });
    }
    return "up";
  }

  #crashed(code: number | null, ranMs: number): void {
    const { name, restart, onEvent } = this.#options;
    if (this.#stopping || !restart) return;
    this.#crashes = ranMs > 60_000 ? 1 : this.#crashes + 1;
    const pause = Math.min(30_000, 500 * 2 ** (this.#crashes - 1));
    onEvent?.(`The ${name} ended unexpectedly (code ${code}); it is restarted in ${pause / 1000} s.`);
    const again = setTimeout(() => {
      if (this.#stopping) return;
      this.start().catch((error: Error) => {
        onEvent?.(error.message);
        this.#crashed(null, 0);
      });
    }, pause);
    again.unref();
  }
}

function lastLine(file: string): string {
  const lines = readFileSync(file, "utf8").trim().split("\n");
  return (lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1) ?? "").slice(0, 300);
}
