import { copyFileSync, readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createKernel } from "../../modules/kernel/kernel.ts";
import { KNOWN_BREAKING_MIGRATION, refuseNewerSchema } from "../../modules/kernel/database/schema-version.ts";
import { boot, modules } from "../../modules/boot.ts";
import { listMigrations, migrate } from "../../supabase/embedded/migrate.ts";
import { migrateTo, readManifest, restoreData } from "../../supabase/embedded/restore.ts";
import { startStack, type Stack } from "../../supabase/embedded/stack.ts";
import { migrationsFolder } from "../../supabase/embedded/testing.ts";
import { contentOf, schemaOf } from "./content.ts";

// Data of every released set of migrations, upgraded to the newest: nothing lost, and the schema is a fresh one's.

const fixtures = join(import.meta.dirname, "fixtures");
const quiet = { gateway: false, install: false, services: { cron: false } } as const;
let fresh: Stack;
let freshSchema: string[];

const connected = async <T>(url: string, fn: (sql: Sql) => Promise<T>): Promise<T> => {
  const sql = postgres(url, { max: 2, onnotice: () => {} });
  try {
    return await fn(sql);
  } finally {
    await sql.end();
  }
};

beforeAll(async () => {
  fresh = await startStack(quiet);
  freshSchema = await connected(fresh.adminDbUrl, schemaOf);
});
afterAll(() => fresh?.stop());

const REGISTERS = new Set(["supabase_migrations.schema_migrations", "kernel.queues", "kernel.schedules", "pgmq.meta"]);

describe.each(readdirSync(fixtures).filter((f) => f.endsWith(".overture")))("%s", (name) => {
  const file = join(fixtures, name);
  const empty = migrationsFolder({});
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ ...quiet, migrationsFolder: empty });
    await migrateTo(stack.dbUrl, (await readManifest(file)).migrations);
    await restoreData(file, stack.adminDbUrl);
  }, 60_000);
  afterAll(async () => {
    await stack?.stop();
    rmSync(empty, { recursive: true });
  });

  test("upgraded to the newest it has the schema of a fresh database, and every row it had", async () => {
    const before = await connected(stack.adminDbUrl, contentOf);
    const rows = (content: Record<string, string>) =>
      Object.fromEntries(Object.entries(content).map(([table, c]) => [table, c.split(" ")[0]]));
    await migrate({ url: stack.dbUrl, yes: true });
    expect(await connected(stack.adminDbUrl, schemaOf)).toEqual(freshSchema);
    const after = rows(await connected(stack.adminDbUrl, contentOf));
    for (const [table, n] of Object.entries(rows(before))) {
      // The product's own registers grow with it; nobody's rows do.
      const grows = REGISTERS.has(table) ? Number(after[table]) >= Number(n) : after[table] === n;
      expect(grows, `${table}: ${n} rows before, ${after[table]} after`).toBe(true);
    }
    expect(Object.keys(after).filter((table) => after[table] !== "0").length).toBeGreaterThan(25);
    expect(
      await connected(
        stack.adminDbUrl,
        (sql) => sql`select first_name from public.contacts where email = 'ada@example.com'`,
      ),
    ).toEqual([{ first_name: "Ada of the backup" }]);
  });

  test("the comparison sees a difference as small as a grant or an index", async () => {
    await connected(stack.adminDbUrl, async (sql) => {
      for (const change of [
        "grant select on public.contacts to anon",
        "create index x on public.contacts (tenant_id)",
        "alter function kernel.uuid7() security definer",
      ]) {
        await sql
          .begin(async (tx) => {
            await tx.unsafe(change);
            expect(await schemaOf(tx as unknown as Sql), change).not.toEqual(freshSchema);
            throw new Error("undo");
          })
          .catch((error: Error) => expect(error.message).toBe("undo"));
      }
    });
  });
});

describe("a breaking migration", () => {
  test("the code knows the newest one there is", () => {
    const breaking = listMigrations().filter((m) => m.breaking);
    expect(KNOWN_BREAKING_MIGRATION).toBe(breaking.at(-1)?.version ?? "");
  });

  test("makes an older worker refuse with a line that says what to do; a newer one works", async () => {
    const next = migrationsFolder({
      "29990101000000_break.sql": "-- a subject\n-- owner: x   breaking: yes   locks: none\nselect 1;",
    });
    for (const m of listMigrations()) copyFileSync(m.file, join(next, basename(m.file)));
    const stack = await startStack({ ...quiet, install: true });
    try {
      const env = stack.env;
      await (await boot(env)).close();
      await migrate({ url: stack.dbUrl, folder: next, yes: true });
      await expect(boot(env)).rejects.toThrow(
        "The database has the breaking migration 29990101000000, which this version of the program does not know. Update the program before starting it.",
      );
      const kernel = createKernel(env, modules);
      await refuseNewerSchema(kernel, "29990101000000");
      await kernel.close();
    } finally {
      await stack.stop();
      rmSync(next, { recursive: true });
    }
  }, 60_000);

  test("of which only the header counts, and a database that does not answer is not judged", async () => {
    const next = migrationsFolder({
      "29990101000000_mild.sql": "-- a subject\n-- owner: x   breaking: no   locks: none\nselect 'breaking: yes';",
    });
    for (const m of listMigrations()) copyFileSync(m.file, join(next, basename(m.file)));
    await migrate({ url: fresh.dbUrl, folder: next });
    rmSync(next, { recursive: true });
    expect(await connected(fresh.dbUrl, (sql) => sql`select kernel.breaking_version() as version`)).toEqual([
      { version: "" },
    ]);
    const kernel = createKernel(
      { ...fresh.env, OVERTURE_DB_URL: "postgresql://nobody:x@127.0.0.1:9/none", LOG_LEVEL: "silent" },
      modules,
    );
    await refuseNewerSchema(kernel);
    await kernel.close();
  });
});
