import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import postgres, { type Sql, type TransactionSql } from "postgres";
import { BackupWriter, type End, FORMAT, type Manifest, type Table } from "./backup-file.ts";
import { StartError } from "./home.ts";
import { appliedVersions } from "./migrate.ts";
import { quoteIdentifier } from "./sql.ts";

/** Takes a backup of a running embedded database: every table as of one moment, while everybody goes on working. */

export interface BackupOptions {
  /** Connection of the superuser. */
  adminUrl: string;
  file: string;
  /** The home whose keys and small files go along; without one the data alone. */
  home?: string;
  /** Encrypts the file. */
  passphrase?: string;
}

export interface BackupResult {
  file: string;
  tables: number;
  rows: number;
}

/** What says that the demo was set up already. */
const FILES = ["demo.done"];

export async function backup({ adminUrl, file, home, passphrase }: BackupOptions): Promise<BackupResult> {
  const sql = postgres(adminUrl, { max: 1, onnotice: () => {} });
  const unfinished = `${file}.part`;
  if (existsSync(file)) throw new StartError(`${file} exists already; choose another name.`);
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  rmSync(unfinished, { force: true });
  try {
    const migrations = await appliedVersions(sql);
    const writer = new BackupWriter(unfinished, passphrase);
    const result = (await sql.begin("isolation level repeatable read read only", async (tx) => {
      const tables = await listTables(tx);
      const [server] = await tx<{ version: string }[]>`select current_setting('server_version') as version`;
      const manifest: Manifest = {
        format: FORMAT,
        created_at: new Date().toISOString(),
        postgres: server!.version,
        migrations,
        tables: tables.length,
        analysts: await listAnalysts(tx),
        secrets: home ? readFileSync(join(home, "secrets.env"), "utf8") : null,
        files: home ? readFiles(home) : {},
      };
      await writer.write(`${JSON.stringify(manifest)}\n`);
      const digests: End["digests"] = {};
      for (const table of tables) digests[`${table.schema}.${table.name}`] = await copyOut(tx, writer, table);
      // Sequences stand outside of snapshots: read last, they are never behind the rows.
      const sequences = await tx<End["sequences"]>`
        select schemaname as schema, sequencename as name, coalesce(last_value, start_value)::text as value, last_value is not null as called
        from pg_sequences where schemaname !~ '^(pg_|information_schema)' order by 1, 2`;
      await writer.write(`#end ${JSON.stringify({ sequences: [...sequences], digests } satisfies End)}\n`);
      return { tables: tables.length, rows: Object.values(digests).reduce((sum, d) => sum + d.rows, 0) };
    })) as { tables: number; rows: number };
    await writer.close();
    renameSync(unfinished, file);
    return { file, ...result };
  } catch (error) {
    rmSync(unfinished, { force: true });
    const full = (error as NodeJS.ErrnoException).code === "ENOSPC";
    throw full ? new StartError(`The disk of ${file} is full; the incomplete backup was deleted.`) : error;
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** Every table that holds something worth keeping. Partitions are read through their parent, unlogged tables are scratch space. */
export async function listTables(sql: Sql | TransactionSql): Promise<Table[]> {
  const rows = await sql<Table[]>`
    select n.nspname as schema, c.relname as name,
      coalesce((select array_agg(a.attname::text order by a.attnum) from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''), '{}') as columns
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence = 'p' and n.nspname !~ '^(pg_|information_schema)'
    order by n.nspname, c.relname`;
  return [...rows];
}

const listAnalysts = async (tx: TransactionSql): Promise<Manifest["analysts"]> => {
  const [known] = await tx<{ there: boolean }[]>`select to_regclass('kernel.analysts') is not null as there`;
  if (!known!.there) return [];
  return [
    ...(await tx<Manifest["analysts"]>`
      select a.role_name::text, a.tenant_id::text, r.rolpassword as verifier from kernel.analysts a join pg_authid r on r.rolname = a.role_name order by 1`),
  ];
};

const readFiles = (home: string): Record<string, string> =>
  Object.fromEntries(
    FILES.filter((name) => existsSync(join(home, name))).map((name) => [name, readFileSync(join(home, name), "utf8")]),
  );

async function copyOut(tx: TransactionSql, writer: BackupWriter, table: Table) {
  await writer.write(`#table ${JSON.stringify(table)}\n`);
  const hash = createHash("sha256");
  let rows = 0;
  const columns = table.columns.map(quoteIdentifier).join(", ");
  const name = `${quoteIdentifier(table.schema)}.${quoteIdentifier(table.name)}`;
  const stream = await tx.unsafe(`copy (select ${columns} from ${name}) to stdout`).readable();
  for await (const piece of stream as AsyncIterable<Buffer>) {
    hash.update(piece);
    // A line end inside a value is written as \n in two characters.
    for (let at = piece.indexOf(10); at >= 0; at = piece.indexOf(10, at + 1)) rows++;
    await writer.write(piece);
  }
  // The driver pauses its socket behind a full stream and wakes it when the stream is read again, which an ended one never is:
  // rows and end in one packet would leave the connection asleep for good.
  stream._read(0);
  await writer.write("\\.\n");
  return { rows, sha256: hash.digest("hex") };
}
