import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StartError } from "./home.ts";

/** What the lock file of a running instance says. */
export interface Lock {
  pid: number;
  /** Distinguishes the process from a later one with the same id. */
  started: string;
  portBase: number;
}

/** Whether a process with this id exists (also one of another user). */
export function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  return !isZombie(pid);
}

function isZombie(pid: number): boolean {
  return existsSync(`/proc/${pid}/stat`) && /\) Z /.test(readSafely(`/proc/${pid}/stat`));
}

/** The running instance of a home, if any; a lock left by a dead process is ignored. */
export function readLock(home: string): Lock | null {
  const file = join(home, "overture.lock");
  if (!existsSync(file)) return null;
  try {
    const lock = JSON.parse(readFileSync(file, "utf8")) as Lock;
    return isAlive(lock.pid) && startTime(lock.pid) === lock.started ? lock : null;
  } catch {
    return null;
  }
}

/** Takes the home for this process; returns the function that gives it back. */
export function takeLock(home: string, portBase: number): () => void {
  const file = join(home, "overture.lock");
  const content = JSON.stringify({ pid: process.pid, started: startTime(process.pid), portBase } satisfies Lock);
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      writeFileSync(file, content, { flag: "wx", mode: 0o600 });
      const release = () => {
        process.off("exit", release);
        if (existsSync(file) && readFileSync(file, "utf8") === content) rmSync(file, { force: true });
      };
      process.on("exit", release);
      return release;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
        throw new StartError(
          `Cannot write ${file} (${(error as NodeJS.ErrnoException).code}): is the disk full or read-only?`,
        );
      }
    }
    const lock = readLock(home);
    if (lock) {
      throw new StartError(
        `Already running on ${home} (process ${lock.pid}, http://127.0.0.1:${lock.portBase + 1}). Stop it with npm stop, or set OVERTURE_HOME and OVERTURE_PORT_BASE for a second one.`,
      );
    }
    rmSync(file, { force: true });
  }
  throw new StartError(`Another start on ${home} is under way; try again in a moment.`);
}

/**
 * Ends a process when this one dies without saying goodbye (kill -9): a shell waits on a pipe that closes then, sends
 * the signal and, for TERM, force three seconds later (the database goes at the same time, so there is little to finish). Call the returned function when the process has ended.
 */
export function guard(pid: number, signal: "TERM" | "INT"): () => void {
  const force = signal === "TERM" ? '; sleep 3; kill -KILL "$1"' : "";
  const shell = spawn(
    "sh",
    ["-c", `read -r _; kill -${signal} "$1" 2>/dev/null${force} 2>/dev/null`, "sh", String(pid)],
    {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
    },
  );
  shell.on("error", () => {});
  shell.unref();
  (shell.stdin as unknown as { unref(): void }).unref();
  return () => void shell.kill("SIGKILL");
}

function startTime(pid: number): string {
  const stat = readSafely(`/proc/${pid}/stat`);
  // Field 22, counted after the command name, which may hold spaces.
  if (stat) return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  try {
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).trim();
  } catch {
    return "";
  }
}

function readSafely(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
