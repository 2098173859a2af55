import postgres from "postgres";
import { afterAll, expect, inject, test } from "vitest";

// The driver uses a connection that was lost again, for whoever asks next. What a transaction goes on with after that must reach nobody
// else's: not its statements, and neither its commit nor its rollback.

const url = inject("stackEnv").SUPABASE_DB_URL!;
const admin = postgres(url, { max: 1, onnotice: () => {} });
const one = postgres(url, { max: 1, onnotice: () => {} });
afterAll(async () => {
  await one.end({ timeout: 5 });
  await admin.end({ timeout: 5 });
});

test.each([
  ["goes on", false],
  ["gives up", true],
])("a transaction that %s after its connection was lost changes nothing in the next one", async (_, throws) => {
  const started = Promise.withResolvers<number>();
  const paused = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<unknown>();
  const lost = one
    .begin(async (tx) => {
      const [row] = await tx<{ pid: number }[]>`select pg_backend_pid() as pid`;
      started.resolve(row!.pid);
      // Something outside the database, while which the connection is lost.
      await paused.promise;
      try {
        if (throws) throw new Error("the outside failed");
        await tx`select set_config('app.who', 'the lost one', true)`;
        ended.resolve("sent");
      } catch (error) {
        ended.resolve((error as { code?: string }).code);
        throw error;
      }
    })
    .catch((error: unknown) => (error as { code?: string }).code);
  await admin`select pg_terminate_backend(${await started.promise})`;
  expect(await lost).toBe("CONNECTION_CLOSED");

  const who = await one.begin(async (tx) => {
    await tx`select set_config('app.who', 'the next one', true)`;
    paused.resolve();
    expect(await ended.promise).toBe(throws ? undefined : "CONNECTION_CLOSED");
    // Long enough for a commit or rollback that was sent behind it.
    await tx`select pg_sleep(0.1)`;
    const [row] = await tx<{ who: string }[]>`select current_setting('app.who', true) as who`;
    return row!.who;
  });
  expect(who).toBe("the next one");
});
