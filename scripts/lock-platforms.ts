import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Completes package-lock.json with the platform packages (`@x/linux-arm64`, …) that a partial registry mirror lacks: without an
 * entry for every optional dependency `npm ci` refuses the lock, on every machine. Run it after adding a dependency.
 */

type Entry = {
  name?: string;
  version?: string;
  optional?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
};

const file = join(import.meta.dirname, "..", "package-lock.json");
const lock = JSON.parse(readFileSync(file, "utf8")) as { packages: Record<string, Entry> };

const OS: Record<string, string> = {
  windows: "win32",
  win32: "win32",
  darwin: "darwin",
  linux: "linux",
  android: "android",
  freebsd: "freebsd",
  openharmony: "openharmony",
  openbsd: "openbsd",
  netbsd: "netbsd",
  sunos: "sunos",
  aix: "aix",
};
const CPU = /(?:^|-)(x64|arm64|ia32|arm|ppc64|riscv64|s390x|loong64|mips64el|wasm32)(?:-|$)/;

function platformOf(name: string): Pick<Entry, "os" | "cpu" | "libc"> {
  const words = name.split("/").pop()!.split("-");
  const os = words.map((w) => OS[w]).find(Boolean);
  const cpu = CPU.exec(words.join("-"))?.[1];
  const libc = words.some((w) => w.startsWith("musl"))
    ? "musl"
    : words.some((w) => w === "gnu" || w === "glibc" || w === "gnueabihf")
      ? "glibc"
      : undefined;
  if (!os && !cpu)
    throw new Error(`${name} is missing from the lock and is no platform package: run npm install first.`);
  return { ...(cpu ? { cpu: [cpu] } : {}), ...(os ? { os: [os] } : {}), ...(libc ? { libc: [libc] } : {}) };
}

let added = 0;
for (const [parent, entry] of Object.entries(lock.packages)) {
  for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
    const nested = `${parent}/node_modules/${name}`;
    const top = `node_modules/${name}`;
    if (lock.packages[nested] || lock.packages[top]) continue;
    // An optional dependency of another kind (fsevents, …) is left out where its own parent says so.
    // `npm:<package>@<version>` installs that package under another name, which the lock then notes too.
    const [, alias, pinned] = /^npm:(.+)@([^@]+)$/.exec(range) ?? [];
    const version = (pinned ?? range).replace(/^[\^~]/, "");
    lock.packages[top] = {
      ...(alias ? { name: alias } : {}),
      version,
      ...platformOf(alias ?? name),
      optional: true,
    };
    added++;
  }
}
if (added > 0) {
  const sorted = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  writeFileSync(file, `${JSON.stringify({ ...lock, packages: sorted }, null, 2)}\n`);
}
console.log(`${added} platform packages added to package-lock.json`);
