import { afterAll, beforeAll, describe, expect, test } from "vitest";
import postgres from "postgres";
import { migrate } from "../../supabase/embedded/migrate.ts";
import { startStack, type Stack } from "../../supabase/embedded/stack.ts";
import { pg15Bin, type Postgres15, startPostgres15 } from "../support/postgres15.ts";
import { scheduleSuite } from "./schedule-suite.ts";

describe("schedules on the embedded stand-in for pg_cron", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ install: false, services: { functions: false, cron: true } });
  });
  afterAll(() => stack?.stop());
  scheduleSuite(() => ({ dbUrl: stack.dbUrl, seconds: true, patienceMs: 10_000 }));
});

if (!pg15Bin)
  console.warn("OVERTURE_TEST_PG15 is not set: the schedules are not tested on PostgreSQL 15 with the real pg_cron.");

describe.runIf(pg15Bin)("schedules on PostgreSQL 15 with the real pg_cron", () => {
  let server: Postgres15;
  beforeAll(async () => {
    server = await startPostgres15(pg15Bin!);
    await migrate({ url: server.dbUrl });
  });
  afterAll(() => server?.stop());

  test("it is the real extension, older than the one that knows seconds, and the role is no superuser", async () => {
    const sql = postgres(server.dbUrl, { max: 1 });
    const [row] =
      await sql`select extversion, (select rolsuper from pg_roles where rolname = current_user) as superuser,
      (select prosrc from pg_proc where proname = 'schedule' limit 1) as source from pg_extension where extname = 'pg_cron'`;
    await sql.end();
    expect(row).toMatchObject({ superuser: false, source: expect.stringContaining("cron_schedule") });
    expect(row!.extversion).toMatch(/^1\.4/);
  });

  scheduleSuite(() => ({ dbUrl: server.dbUrl, seconds: false, patienceMs: 80_000 }));
});
