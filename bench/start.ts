import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePortBase, ROOT } from "../supabase/embedded/home.ts";
import { type Figure, median, valueFigure } from "./figure.ts";
import { memory as memoryOf } from "./processes.ts";

/** `npm start` on a home that exists, until it says it is ready; then what the idle installation holds in memory. */

export async function start(): Promise<Figure[]> {
  const home = mkdtempSync(join(tmpdir(), "overture-bench-"));
  try {
    const first = await begin(home);
    await first.stop();
    const times: number[] = [];
    let memory: Record<string, number> = {};
    for (let n = 0; n < 3; n++) {
      const run = await begin(home);
      times.push(run.seconds);
      if (n === 2) {
        // Long enough for every schedule to have run and for garbage to be collected.
        await delay(20_000);
        memory = memoryOf(run.pid);
      }
      await run.stop();
    }
    const total = Object.values(memory).reduce((sum, mb) => sum + mb, 0);
    return [
      valueFigure("start_warm", median(times), "s", "< 10", { first_start_s: Math.round(first.seconds * 10) / 10 }),
      valueFigure("memory_idle", total, "MB", undefined, {
        measured: "proportional set size of all processes",
        ...memory,
      }),
    ];
  } finally {
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function begin(home: string) {
  const portBase = await freePortBase();
  const started = performance.now();
  const child = spawn(process.execPath, [join(ROOT, "supabase/embedded/bin/start.mjs"), "--no-demo"], {
    env: { ...process.env, OVERTURE_HOME: home, OVERTURE_PORT_BASE: String(portBase), LOG_LEVEL: "warn" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  child.stdout.on("data", (text) => (said += text));
  child.stderr.on("data", (text) => (said += text));
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const url = `http://127.0.0.1:${portBase + 1}/health/live`;
  for (;;) {
    const up = await fetch(url).then(
      (r) => r.ok,
      () => false,
    );
    // The worker is the last to start; the banner comes after it.
    if (up && /runs \(/.test(said)) break;
    if (child.exitCode !== null) throw new Error(`The start failed: ${said.slice(-500)}`);
    if (performance.now() - started > 180_000) throw new Error(`Not ready after three minutes: ${said.slice(-500)}`);
    await delay(20);
  }
  return {
    pid: child.pid!,
    seconds: (performance.now() - started) / 1000,
    async stop() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}
