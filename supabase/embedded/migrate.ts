import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import postgres from "postgres";
import { ROOT, StartError } from "./home.ts";
import { splitSql } from "./split-sql.ts";

export interface Migration {
  /** Leading digits of the file name. */
  version: string;
  name: string;
  file: string;
  /** From the header line `-- … breaking: yes|no`: whether older code stops working once it is applied. */
  breaking: boolean;
}

export interface MigrateOptions {
  /** Connection of the role `postgres`. */
  url: string;
  folder?: string;
  /** Apply breaking migrations to a database that holds data without asking. */
  yes?: boolean;
  onApply?: (migration: Migration) => void;
  /** Called once before anything pending is applied to a database that has migrations already: the time for a backup. */
  beforeUpgrade?: (pending: Migration[]) => Promise<void>;
}

/** Migration files in the order in which they apply. */
export function listMigrations(folder = join(ROOT, "migrations")): Migration[] {
  if (!existsSync(folder)) return [];
  const migrations = readdirSync(folder)
    .filter((file) => file.endsWith(".sql"))
    .sort()
    .map((file) => {
      const match = /^(\d+)_(.*)\.sql$/.exec(file);
      if (!match) throw new StartError(`migrations/${file}: the name must be <UTC timestamp>_<subject>.sql.`);
      const header = /^--.*\bbreaking:\s*(yes|no)\b/m.exec(readFileSync(join(folder, file), "utf8").slice(0, 2_000));
      if (!header)
        throw new StartError(`migrations/${file}: the line "-- breaking: no" (or yes) is missing at the top.`);
      return { version: match[1]!, name: match[2]!, file: join(folder, file), breaking: header[1] === "yes" };
    });
  for (const [index, migration] of migrations.entries()) {
    if (migrations[index + 1]?.version === migration.version) {
      throw new StartError(`migrations/: two files have version ${migration.version}; give one a later timestamp.`);
    }
  }
  return migrations;
}

/** Versions that the database has, in order; empty before the first migration. */
export async function appliedVersions(sql: postgres.Sql): Promise<string[]> {
  const [known] = await sql`select to_regclass('supabase_migrations.schema_migrations') is not null as exists`;
  if (!known!.exists) return [];
  const rows = await sql`select version from supabase_migrations.schema_migrations order by version`;
  return rows.map((row) => row.version as string);
}

/**
 * Applies what is pending, each file in one transaction, and records it as the Supabase CLI does, so that
 * `supabase db push` on the same database reports that it is up to date. Returns what was applied.
 */
export async function migrate(options: MigrateOptions): Promise<Migration[]> {
  const migrations = listMigrations(options.folder);
  const sql = postgres(options.url, { max: 1, onnotice: () => {} });
  try {
    await sql
      .unsafe(
        `
      create schema if not exists supabase_migrations;
      create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
      alter table supabase_migrations.schema_migrations add column if not exists statements text[];
      alter table supabase_migrations.schema_migrations add column if not exists name text;
    `,
      )
      .simple();
    const applied = new Set(await appliedVersions(sql));
    const unknown = [...applied].filter((version) => !migrations.some((migration) => migration.version === version));
    if (unknown.length > 0) {
      refuseFirstVersion(unknown, migrations);
      throw new StartError(
        `The database has migrations this version of the program does not know (${unknown.join(", ")}): it was used by a newer version. Update the program, or use another OVERTURE_HOME.`,
      );
    }
    const pending = migrations.filter((migration) => !applied.has(migration.version));
    const breaking = pending.find((migration) => migration.breaking);
    if (breaking && applied.size > 0 && !options.yes) {
      throw new StartError(
        `Migration ${basename(breaking.file)} changes existing data and cannot be undone. Start with --yes; a backup is made first.`,
      );
    }
    if (applied.size > 0 && pending.length > 0) await options.beforeUpgrade?.(pending);
    for (const migration of pending) {
      options.onApply?.(migration);
      await apply(sql, migration);
    }
    return pending;
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/**
 * Throws when one of these versions is older than every migration of today: they were written anew for 0.2.0, before anything was
 * released, so there is no way from a database of 0.1.0 to this one.
 */
export function refuseFirstVersion(unknown: readonly string[], migrations: readonly Migration[]): void {
  const first = migrations[0]?.version ?? "";
  if (!unknown.some((version) => version < first)) return;
  throw new StartError(
    "This data was written by version 0.1.0, which cannot be upgraded. Export its contacts with a checkout of 0.1.0 (in the console: Contacts, Export; or GET /api/v1/contacts/export.csv), then start this version with another OVERTURE_HOME and import the CSV file.",
  );
}

async function apply(sql: postgres.Sql, migration: Migration): Promise<void> {
  const statements = splitSql(readFileSync(migration.file, "utf8"));
  let current = "";
  try {
    await sql.begin(async (tx) => {
      for (current of statements) await tx.unsafe(current).simple();
      current = "";
      await tx.unsafe("reset all").simple();
      await tx`insert into supabase_migrations.schema_migrations (version, name, statements)
        values (${migration.version}, ${migration.name}, ${statements})`;
    });
  } catch (error) {
    const { message, code, where } = error as postgres.PostgresError;
    const context = current ? ` in statement ${statements.indexOf(current) + 1}: ${firstLine(current)}` : "";
    throw new StartError(
      `Migration ${basename(migration.file)} failed and was rolled back: ${message}${code ? ` (${code})` : ""}${context}${where ? ` [${firstLine(where)}]` : ""}`,
    );
  }
}

function firstLine(text: string): string {
  const line = text.split("\n").find((part) => part.trim() && !part.trim().startsWith("--")) ?? "";
  return line.trim().slice(0, 120);
}
