import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, StartError } from "./home.ts";

const marker = join(ROOT, "web", "build", ".sources");
const generated = new Set(["build", ".svelte-kit", "node_modules"]);

/** Whether web/build was made from the present sources. */
export function isConsoleFresh(): boolean {
  if (!existsSync(join(ROOT, "web", "src"))) return true;
  return (
    existsSync(join(ROOT, "web", "build", "index.html")) &&
    existsSync(marker) &&
    readFileSync(marker, "utf8") === sourceHash()
  );
}

/** Builds the console; its output goes to `logFile`. */
export async function buildConsole(logFile: string, signal?: AbortSignal): Promise<void> {
  const before = sourceHash();
  let output = "";
  const child = spawn("npm", ["run", "build:web"], { cwd: ROOT, signal, stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const code = await new Promise<number | null>((done) => {
    child.once("exit", done);
    child.once("error", (error) => ((output += error.message), done(-1)));
  });
  writeFileSync(logFile, output, { mode: 0o600 });
  if (code !== 0 || !existsSync(join(ROOT, "web", "build", "index.html"))) {
    throw new StartError(`The console could not be built (npm run build:web): ${lastError(output)} (see ${logFile})`);
  }
  writeFileSync(marker, before);
}

function sourceHash(): string {
  const hash = createHash("sha256").update(readFileSync(join(ROOT, "package-lock.json")));
  const walk = (folder: string) => {
    for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (generated.has(entry.name)) continue;
      const path = join(folder, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile()) hash.update(path.slice(ROOT.length)).update(readFileSync(path));
    }
  };
  walk(join(ROOT, "web"));
  return hash.digest("hex");
}

function lastError(output: string): string {
  const lines = output
    .replace(/\u001b\[[0-9;]*m/g, "")
    .trim()
    .split("\n");
  return (lines.find((line) => /error/i.test(line)) ?? lines.at(-1) ?? "no output").trim().slice(0, 200);
}
