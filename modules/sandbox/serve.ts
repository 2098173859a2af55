import process from "node:process";
import { createSandbox } from "./server.ts";

/** The sandbox as a process. SANDBOX_PORT, SANDBOX_SMTP_PORT, SANDBOX_DATA, SANDBOX_SPEED, SANDBOX_HOSTS, SANDBOX_TOKEN. */

function number(name: string, fallback: number, min: number): number {
  const raw = process.env[name];
  if (raw === undefined || raw === "") return fallback;
  const value = Number(raw);
  if (Number.isFinite(value) && value >= min) return value;
  console.error(`${name} is ${JSON.stringify(raw)}; it must be a number of at least ${min}.`);
  process.exit(1);
}

const sandbox = await createSandbox({
  port: number("SANDBOX_PORT", 54323, 0),
  smtpPort: number("SANDBOX_SMTP_PORT", 54324, 0),
  data: process.env.SANDBOX_DATA || null,
  speed: number("SANDBOX_SPEED", 1, 0.001),
  hosts: (process.env.SANDBOX_HOSTS ?? "")
    .split(",")
    .map((h) => h.trim())
    .filter(Boolean),
  token: process.env.SANDBOX_TOKEN || null,
}).catch((error: unknown) => {
  console.error(`The sandbox cannot start: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
});

console.log(JSON.stringify({ level: "info", msg: "sandbox ready", url: sandbox.url, smtp_port: sandbox.smtpPort }));

let stopping = false;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (stopping) return;
    stopping = true;
    void sandbox.close().then(() => process.exit(0));
  });
}
