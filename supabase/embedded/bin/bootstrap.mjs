// Runs on the system's Node, before anything is installed: plain JavaScript, no dependencies.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const MINIMUM = [20, 19];

/** Prints one line and ends with 1. */
function fail(message) {
  console.error(`\n  ${message}\n`);
  process.exit(1);
}

function checkMachine() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < MINIMUM[0] || (major === MINIMUM[0] && minor < MINIMUM[1])) {
    fail(
      `Node ${MINIMUM.join(".")} or newer is needed, this is ${process.versions.node}. Install a current one from https://nodejs.org.`,
    );
  }
  const platform = `${process.platform}-${process.arch}`;
  if (!["linux-x64", "linux-arm64", "darwin-arm64"].includes(platform)) {
    fail(
      `${platform} is not supported without Docker (Linux x64 and arm64, macOS arm64 are). Use supabase start here.`,
    );
  }
}

function readJson(file) {
  try {
    return JSON.parse(readFileSync(join(root, file), "utf8"));
  } catch {
    return null;
  }
}

/** Whether node_modules holds what package-lock.json asks for. Packages for other platforms may be missing. */
function isInstalled() {
  const wanted = readJson("package-lock.json")?.packages;
  const present = readJson("node_modules/.package-lock.json")?.packages;
  if (!wanted || !present) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (!path.startsWith("node_modules/") || entry.optional || entry.peer || entry.link) return true;
    return present[path]?.version === entry.version;
  });
}

function npm(...args) {
  const own = process.env.npm_execpath;
  const [command, first] = own?.endsWith(".js") ? [process.execPath, [own]] : ["npm", []];
  const options = ["--no-audit", "--no-fund", "--loglevel=error"];
  return spawnSync(command, [...first, ...args, ...options], {
    cwd: root,
    stdio: ["ignore", "ignore", "pipe"],
    encoding: "utf8",
  });
}

function install() {
  console.log("  Installing packages (once, and after updates) …");
  let result = npm("ci");
  // A registry may lack optional packages of other platforms; then the lock lacks them too, which "npm ci" refuses.
  // This keeps every locked version and leaves the lock as it is.
  if (result.status !== 0 && /in sync/.test(result.stderr ?? "")) result = npm("install", "--no-save");
  if (result.status === 0) return;
  const lines = (result.stderr || String(result.error))
    .split("\n")
    .map((line) => line.replace(/^npm error\s*/, "").trim());
  const reason = lines
    .filter((line) => line && !line.startsWith("code "))
    .slice(0, 2)
    .join(" ");
  fail(`Installing packages failed: ${reason} (npm ci shows all of it)`);
}

/** Node 24 of the installed package: it runs our TypeScript as it is. */
function modernNode() {
  const own = join(root, "node_modules", "node", "bin", "node");
  // npm can be told to skip install scripts; this one fetches the binary.
  if (!existsSync(own) && existsSync(join(root, "node_modules", "node", "installArchSpecificPackage.js"))) {
    spawnSync(process.execPath, ["installArchSpecificPackage.js"], {
      cwd: join(root, "node_modules", "node"),
      stdio: "ignore",
    });
  }
  if (existsSync(own)) return own;
  if (Number(process.versions.node.split(".")[0]) >= 24) return process.execPath;
  return fail(
    "Node 24 is missing in node_modules: run npm ci (with install scripts allowed), or use Node 24 yourself.",
  );
}

/** Checks the machine, installs what is missing, then hands over to `../<script>` under Node 24 and ends as it ends. */
export function run(script, { installs }) {
  checkMachine();
  if (!isInstalled()) {
    if (process.argv.includes("--dry-run")) console.log("  Would install packages (npm ci).");
    if (process.argv.includes("--dry-run") && !existsSync(join(root, "node_modules"))) process.exit(0);
    if (!installs)
      fail("Packages are not installed (or differ from package-lock.json): run npm start or npm ci first.");
    if (!process.argv.includes("--dry-run")) install();
  }
  const file = fileURLToPath(new URL(`../${script}`, import.meta.url));
  const child = spawn(modernNode(), ["--disable-warning=ExperimentalWarning", file, ...process.argv.slice(2)], {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
  });
  // The terminal sends Ctrl-C to both; a signal to this process alone is passed on. The child decides when it is done.
  process.on("SIGINT", () => {});
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGKILL" ? 137 : 1)));
}
