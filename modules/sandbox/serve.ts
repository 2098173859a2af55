import process from "node:process";
import { loadEmulations } from "./emulations.ts";
import { createSandbox } from "./server.ts";

/**
 * The sandbox as a process. SANDBOX_PORT, SANDBOX_<ID>_PORT for emulations with a port of their own (SANDBOX_SMTP_PORT), SANDBOX_DATA,
 * SANDBOX_SPEED, SANDBOX_HOSTS, SANDBOX_INSTALLATION, SANDBOX_TOKEN. Its first line of output says where it listens.
 */

function number(name: string, fallback: number, min: number): number {
  const raw = process.env[name];
  if (raw === undefined || raw === "") return fallback;
  const value = Number(raw);
  if (Number.isFinite(value) && value >= min) return value;
  console.error(`${name} is ${JSON.stringify(raw)}; it must be a number of at least ${min}.`);
  process.exit(1);
}

const list = (name: string): string[] =>
  (process.env[name] ?? "")
    .split(",")
    .map((item) => item.trim())
    .filter(Boolean);

async function start() {
  const emulations = await loadEmulations();
  const port = number("SANDBOX_PORT", 54323, 0);
  const others = emulations.filter((e) => e.listen);
  const ports = Object.fromEntries(
    // One after the other, unless any free port will do.
    others.map(({ id }, i) => [id, number(`SANDBOX_${id.toUpperCase()}_PORT`, port && port + 1 + i, 0)]),
  );
  return await createSandbox({
    emulations,
    port,
    ports,
    data: process.env.SANDBOX_DATA || null,
    speed: number("SANDBOX_SPEED", 1, 0.001),
    hosts: list("SANDBOX_HOSTS"),
    installation: process.env.SANDBOX_INSTALLATION ? list("SANDBOX_INSTALLATION") : undefined,
    token: process.env.SANDBOX_TOKEN || null,
  });
}

const sandbox = await start().catch((error: unknown) => {
  console.error(`The sandbox cannot start: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
});

const { url, ports } = sandbox;
console.log(JSON.stringify({ level: "info", msg: "sandbox ready", url, ports }));

let stopping = false;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (stopping) return;
    stopping = true;
    void sandbox.close().then(() => process.exit(0));
  });
}
