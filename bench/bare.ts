import { spawn } from "node:child_process";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { denoBinary } from "../supabase/embedded/child.ts";
import { freePort } from "../supabase/embedded/home.ts";
import type { World } from "./world.ts";

/** Runs `fn` against bare-server.ts, a plain route over the world's database: the other side of a ratio. */
export async function withBareServer<T>(
  { admin, stack }: World,
  tenantId: string,
  fn: (bare: { url: string; authorization: string }) => Promise<T>,
): Promise<T> {
  await admin.unsafe(`
    create schema if not exists bare;
    create table if not exists bare.deliveries (id bigint generated always as identity primary key, digest bytea unique not null, body bytea not null);
    create table if not exists bare.queue (id bigint generated always as identity primary key, message jsonb not null)`);
  const port = await freePort();
  const password = crypto.randomUUID();
  const child = spawn(
    denoBinary(),
    ["serve", "-q", "-A", `--port=${port}`, "--host=127.0.0.1", join(import.meta.dirname, "bare-server.ts")],
    {
      env: {
        ...process.env,
        BARE_DB_URL: stack.adminDbUrl,
        BARE_TENANT: tenantId,
        BARE_PASSWORD: password,
        DENO_NO_UPDATE_CHECK: "1",
      },
      stdio: ["ignore", "ignore", "inherit"],
    },
  );
  const url = `http://127.0.0.1:${port}`;
  try {
    while (
      !(await fetch(`${url}/ready`).then(
        (r) => r.ok,
        () => false,
      ))
    ) {
      if (child.exitCode !== null) throw new Error(`bare-server.ts ended with ${child.exitCode}.`);
      await delay(50);
    }
    return await fn({ url, authorization: `Basic ${btoa(`bench:${password}`)}` });
  } finally {
    child.kill("SIGTERM");
    await admin`drop schema bare cascade`;
  }
}
