import { copyFileSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
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
import { readMigrations } from "../../scripts/migration-blocks.ts";
import { catalogOf } from "../support/catalog.ts";
import { contentOf } from "./content.ts";
import { makeFixture } from "./make-fixture.ts";

// Data of every released set of migrations, upgraded to the newest: nothing lost, and the schema is a fresh one's. The set of today is
// tried too, with data made now, so that the next release can be upgraded from.

const fixtures = join(import.meta.dirname, "fixtures");
const released = readMigrations(join(import.meta.dirname, "../..")).filter((m) => m.released);
const kept = readdirSync(fixtures).filter((f) => f.endsWith(".overture"));
const TODAY = "the migrations of today";
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
  freshSchema = await connected(fresh.adminDbUrl, (sql) => catalogOf(sql));
});
afterAll(() => fresh?.stop());

const REGISTERS = new Set(["supabase_migrations.schema_migrations", "kernel.queues", "kernel.schedules", "pgmq.meta"]);

test("every release has data to be upgraded from", () => {
  const missing = released.length > 0 && kept.length === 0;
  expect(missing, "run node tests/upgrade/make-fixture.ts VERSION and commit the file").toBe(false);
});

/** Why data of these migrations cannot be upgraded; null when it can. */
function unfit(versions: readonly string[]): string | null {
  const known = listMigrations().map((m) => m.version);
  const prefix = versions.every((version, i) => version === known[i]);
  return prefix
    ? null
    : `its migrations ${versions.join(", ")} are not the first of ${known.join(", ")}: a released migration was removed or an older one added; only while they are not released may the file be made anew with tests/upgrade/make-fixture.ts`;
}

describe.each([...kept, TODAY])("%s", (name) => {
  const folder = mkdtempSync(join(tmpdir(), "overture-fixture-"));
  const file = name === TODAY ? join(folder, "today.overture") : join(fixtures, name);
  const empty = migrationsFolder({});
  let stack: Stack;
  beforeAll(async () => {
    if (name === TODAY) await makeFixture(file);
    const { migrations } = await readManifest(file);
    if (unfit(migrations)) throw new Error(`${name}: ${unfit(migrations)}`);
    stack = await startStack({ ...quiet, migrationsFolder: empty });
    await migrateTo(stack.dbUrl, migrations);
    await restoreData(file, stack.adminDbUrl);
  }, 120_000);
  afterAll(async () => {
    await stack?.stop();
    rmSync(folder, { recursive: true });
    rmSync(empty, { recursive: true });
  });

  test("upgraded to the newest it has the schema of a fresh database, and every row it had", async () => {
    const before = await connected(stack.adminDbUrl, contentOf);
    const rows = (content: Record<string, string>) =>
      Object.fromEntries(Object.entries(content).map(([table, c]) => [table, c.split(" ")[0]]));
    await migrate({ url: stack.dbUrl, yes: true });
    expect(await connected(stack.adminDbUrl, (sql) => catalogOf(sql))).toEqual(freshSchema);
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
            expect(await catalogOf(tx as unknown as Sql), change).not.toEqual(freshSchema);
            throw new Error("undo");
          })
          .catch((error: Error) => expect(error.message).toBe("undo"));
      }
    });
  });
});

test("data of version 0.1.0 is refused with one line that says how to take its contacts along", async () => {
  const empty = migrationsFolder({});
  const old = await startStack({ ...quiet, migrationsFolder: empty });
  try {
    const first = migrationsFolder({ "20261120090000_kernel.sql": "-- kernel\n-- owner: x   breaking: no\nselect 1;" });
    await migrate({ url: old.dbUrl, folder: first });
    rmSync(first, { recursive: true });
    await expect(migrate({ url: old.dbUrl, yes: true })).rejects.toThrow(
      "This data was written by version 0.1.0, which cannot be upgraded. Export its contacts with a checkout of 0.1.0 (in the console: Contacts, Export; or GET /api/v1/contacts/export.csv), then start this version with another OVERTURE_HOME and import the CSV file.",
    );
    // A backup of it as well, before anything is written.
    await expect(migrateTo(fresh.dbUrl, ["20261120090000"])).rejects.toThrow(/written by version 0\.1\.0/);
    expect(unfit(["20261120090000"])).toMatch(/20261120090000 are not the first of 20261130000100/);
  } finally {
    await old.stop();
    rmSync(empty, { recursive: true });
  }
}, 60_000);

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
