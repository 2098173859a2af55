import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import process from "node:process";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Starts the process under a runtime and resolves with its ready line; `stop` sends SIGTERM and waits for the exit code. */
function run(command: string, args: string[], env: Record<string, string>) {
  const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const exit = new Promise<number | null>((resolve) => child.on("exit", (code) => resolve(code)));
  let errors = "";
  child.stderr.on("data", (c: Buffer) => (errors += c.toString()));
  const ready = new Promise<{ url: string; ports: Record<string, number> }>((resolve, reject) => {
    let out = "";
    child.stdout.on("data", (c: Buffer) => {
      out += c.toString();
      if (out.includes("\n"))
        resolve(JSON.parse(out.split("\n")[0]!) as { url: string; ports: Record<string, number> });
    });
    void exit.then(() => reject(new Error(errors)));
  });
  return { ready, exit, errors: () => errors, stop: () => (child.kill("SIGTERM"), exit) };
}

const runtimes: [string, string, string[]][] = [
  ["node", process.execPath, ["modules/sandbox/serve.ts"]],
  ["deno", "node_modules/.bin/deno", ["run", "-A", "modules/sandbox/serve.ts"]],
];

test.each(runtimes)(
  "under %s it starts on free ports, answers, and stops on SIGTERM with 0",
  async (_name, command, args) => {
    const sandbox = run(command, args, { SANDBOX_PORT: "0", SANDBOX_SMTP_PORT: "0" });
    const { url, ports } = await sandbox.ready;
    expect(ports.smtp).toBeGreaterThan(0);
    expect(await (await fetch(`${url}/_sandbox/health`)).json()).toMatchObject({ ok: true });
    const key = { authorization: "Bearer re_abc" };
    expect((await fetch(`${url}/resend/domains`, { headers: key })).status).toBe(200);
    expect(await sandbox.stop()).toBe(0);
  },
  30_000,
);

test("a port in use and a bad setting end it at once with one plain line", async () => {
  const first = run(process.execPath, ["modules/sandbox/serve.ts"], { SANDBOX_PORT: "0", SANDBOX_SMTP_PORT: "0" });
  const { url } = await first.ready;
  const second = run(process.execPath, ["modules/sandbox/serve.ts"], {
    SANDBOX_PORT: new URL(url).port,
    SANDBOX_SMTP_PORT: "0",
  });
  second.ready.catch(() => {});
  expect(await second.exit).toBe(1);
  expect(second.errors()).toMatch(/^The sandbox cannot start: .*EADDRINUSE.*\n$/);
  const third = run(process.execPath, ["modules/sandbox/serve.ts"], { SANDBOX_PORT: "http" });
  third.ready.catch(() => {});
  expect(await third.exit).toBe(1);
  expect(third.errors()).toMatch(/^SANDBOX_PORT is "http"/);
  await first.stop();
}, 30_000);
