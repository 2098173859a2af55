import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import postgres, { type TransactionSql } from "postgres";
import { BackupReader, type End, FORMAT, type Manifest, type Table } from "./backup-file.ts";
import { freePortBase, loadSecrets, portsFrom, prepareHome, ROOT, StartError, writeAtomically } from "./home.ts";
import { listMigrations, migrate, refuseFirstVersion } from "./migrate.ts";
import { applyPlatform } from "./platform.ts";
import { startPostgres, SUPERUSER } from "./postgres.ts";
import { takeLock } from "./processes.ts";
import { quoteIdentifier, quoteLiteral } from "./sql.ts";

/** Puts a backup into a new home, or its data into an empty database. All or nothing. */

/** Makes `home` out of a backup: keys, database with the migrations of its time, data. The next start migrates on. */
export async function restoreHome(
  file: string,
  home: string,
  onStep: (line: string) => void = () => {},
  passphrase?: string,
): Promise<Manifest> {
  const manifest = await readManifest(file, passphrase);
  if (existsSync(join(home, "pg"))) {
    throw new StartError(
      `${home} already has a database. Stop the installation and move the folder, or set OVERTURE_HOME to a new folder.`,
    );
  }
  const secretsFile = join(home, "secrets.env");
  const hadSecrets = existsSync(secretsFile);
  if (!manifest.secrets && !hadSecrets) {
    throw new StartError(
      `${file} has no keys. Put the secrets.env of that installation into ${home} first: without it stored credentials cannot be decrypted.`,
    );
  }
  prepareHome(home);
  const portBase = await freePortBase();
  const release = takeLock(home, portBase);
  let database: Awaited<ReturnType<typeof startPostgres>> | undefined;
  try {
    if (manifest.secrets) writeAtomically(secretsFile, manifest.secrets);
    const secrets = loadSecrets(home);
    onStep("Creating the database");
    const port = portsFrom(portBase).db;
    database = await startPostgres({ home, port, superuserPassword: secrets.SUPABASE_ADMIN_PASSWORD! });
    const url = (user: string, password: string) =>
      `postgresql://${user}:${encodeURIComponent(password)}@127.0.0.1:${port}/postgres`;
    const adminUrl = url(SUPERUSER, secrets.SUPABASE_ADMIN_PASSWORD!);
    await applyPlatform({
      url: adminUrl,
      passwords: { postgres: secrets.POSTGRES_PASSWORD!, embedded_api: secrets.EMBEDDED_API_PASSWORD! },
    });
    onStep(`Migrations up to ${manifest.migrations.at(-1) ?? "none"}`);
    await migrateTo(url("postgres", secrets.POSTGRES_PASSWORD!), manifest.migrations);
    onStep(`${manifest.tables} tables`);
    await restoreData(file, adminUrl, passphrase);
    for (const [name, content] of Object.entries(manifest.files)) writeAtomically(join(home, basename(name)), content);
    return manifest;
  } catch (error) {
    await database?.stop();
    database = undefined;
    // Half a database would be started as if it were a whole one.
    rmSync(join(home, "pg"), { recursive: true, force: true });
    if (!hadSecrets) rmSync(secretsFile, { force: true });
    throw error;
  } finally {
    await database?.stop();
    release();
  }
}

/** Applies exactly these migrations, in a database that has none. */
export async function migrateTo(
  url: string,
  versions: readonly string[],
  folder = join(ROOT, "migrations"),
): Promise<void> {
  const known = listMigrations(folder);
  const unknown = versions.filter((version) => !known.some((m) => m.version === version));
  if (unknown.length > 0) {
    refuseFirstVersion(unknown, known);
    throw new StartError(
      `The backup was made by a newer version of the program (migrations ${unknown.join(", ")}). Update it first.`,
    );
  }
  const those = mkdtempSync(join(tmpdir(), "overture-migrations-"));
  try {
    for (const m of known) if (versions.includes(m.version)) copyFileSync(m.file, join(those, basename(m.file)));
    await migrate({ url, folder: those, yes: true });
  } finally {
    rmSync(those, { recursive: true, force: true });
  }
}

export async function readManifest(file: string, passphrase?: string): Promise<Manifest> {
  if (!existsSync(file)) throw new StartError(`There is no file ${file}.`);
  const reader = new BackupReader(file, passphrase);
  try {
    return await manifestOf(reader, file);
  } finally {
    await reader.close();
  }
}

async function manifestOf(reader: BackupReader, file: string): Promise<Manifest> {
  let manifest: Partial<Manifest> | undefined;
  try {
    manifest = JSON.parse((await reader.line()) ?? "") as Partial<Manifest>;
  } catch (error) {
    // A passphrase that is missing or wrong is said as it is; the rest is not ours, said below.
    if (error instanceof StartError) throw error;
  }
  if (typeof manifest?.format !== "number" || !Array.isArray(manifest.migrations))
    throw new StartError(`${file} is not a backup made by npm run backup.`);
  if (manifest.format !== FORMAT)
    throw new StartError(`${file} has format ${manifest.format}; this version of the program reads format ${FORMAT}.`);
  return manifest as Manifest;
}

/** Reads a backup to its end and compares every table's digest: what a restore would find wrong. Returns the number of rows. */
export async function verifyBackup(file: string, passphrase?: string): Promise<{ rows: number; tables: number }> {
  const reader = new BackupReader(file, passphrase);
  try {
    await manifestOf(reader, file);
    const digests: End["digests"] = {};
    let end: End | undefined;
    for (let line = await reader.line(); line !== null; line = await reader.line()) {
      if (line.startsWith("#table ")) {
        const table = JSON.parse(line.slice(7)) as Table;
        const watch = watched(reader);
        for await (const _ of watch.pieces);
        digests[`${table.schema}.${table.name}`] = watch.digest();
      } else if (line.startsWith("#end ")) end = JSON.parse(line.slice(5)) as End;
      else throw new StartError(`${file} is damaged: it has a line that cannot be read.`);
    }
    compare(file, end, digests);
    const all = Object.values(digests);
    return { rows: all.reduce((sum, d) => sum + d.rows, 0), tables: all.length };
  } catch (error) {
    throw asDamage(file, error);
  } finally {
    await reader.close().catch(() => {});
  }
}

function compare(file: string, end: End | undefined, digests: End["digests"]): asserts end is End {
  if (!end) throw new StartError(`${file} is incomplete: its end is missing. Nothing was restored.`);
  for (const [name, wanted] of Object.entries(end.digests)) {
    if (digests[name]?.sha256 !== wanted.sha256 || digests[name].rows !== wanted.rows)
      throw new StartError(
        `${file} is damaged: the content of ${name} does not match its checksum. Nothing was restored.`,
      );
  }
}

/** The rows of one table, counted and digested as they pass. */
function watched(reader: BackupReader) {
  const hash = createHash("sha256");
  let rows = 0;
  const pieces = async function* () {
    for await (const piece of reader.rows()) {
      hash.update(piece);
      for (let at = piece.indexOf(10); at >= 0; at = piece.indexOf(10, at + 1)) rows++;
      yield piece;
    }
  };
  return { pieces: pieces(), digest: () => ({ rows, sha256: hash.digest("hex") }) };
}

/** What unpacking or decrypting says about a file, in our words. */
function asDamage(file: string, error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  const broken =
    code?.startsWith("Z_") ||
    code === "ERR_STREAM_PREMATURE_CLOSE" ||
    /middle of a table|invalid tag|poly1305|final chunk|decrypt|end of (file|stream)|stream ended/i.test(message);
  return broken && !(error instanceof StartError)
    ? new StartError(`${file} is damaged or incomplete (${message}). Nothing was restored.`, { cause: error })
    : error;
}

/** Replaces the contents of a database that has the backup's migrations. One transaction: a broken file changes nothing. */
export async function restoreData(file: string, adminUrl: string, passphrase?: string): Promise<void> {
  const sql = postgres(adminUrl, { max: 1, onnotice: () => {} });
  const reader = new BackupReader(file, passphrase);
  try {
    const manifest = await manifestOf(reader, file);
    await sql.begin(async (tx) => {
      // No triggers, no foreign keys: the rows were consistent when they were read.
      await tx`set local session_replication_role = replica`;
      const digests: End["digests"] = {};
      let end: End | undefined;
      for (let line = await reader.line(); line !== null; line = await reader.line()) {
        if (line.startsWith("#table ")) {
          const table = JSON.parse(line.slice(7)) as Table;
          digests[`${table.schema}.${table.name}`] = await copyIn(tx, reader, table);
        } else if (line.startsWith("#end ")) end = JSON.parse(line.slice(5)) as End;
        else throw new StartError(`${file} is damaged: it has a line that cannot be read.`);
      }
      compare(file, end, digests);
      for (const s of end.sequences) {
        const name = `${quoteIdentifier(s.schema)}.${quoteIdentifier(s.name)}`;
        await tx`select setval(c.oid::regclass, ${s.value}::bigint, ${s.called}) from pg_class c where c.oid = to_regclass(${name})`;
      }
      await tx`set local session_replication_role = origin`;
      for (const a of manifest.analysts) await restoreAnalyst(tx, a);
      // The rows came through the parent into whatever partition there is; now each month gets its own.
      const [partitioned] = await tx<
        { there: boolean }[]
      >`select to_regproc('private.ensure_partitions') is not null as there`;
      if (partitioned!.there) {
        // By the role that owns the tables: what it does not own it could not drop later.
        await tx`set local role postgres`;
        await tx`select private.ensure_partitions()`;
      }
    });
    await sql`analyze`;
  } catch (error) {
    throw asDamage(file, error);
  } finally {
    await reader.close().catch(() => {});
    await sql.end({ timeout: 5 });
  }
}

async function copyIn(tx: TransactionSql, reader: BackupReader, table: Table) {
  const name = `${quoteIdentifier(table.schema)}.${quoteIdentifier(table.name)}`;
  await makeQueue(tx, table);
  const [there] = await tx<{ there: boolean }[]>`select to_regclass(${name}) is not null as there`;
  if (!there!.there)
    throw new StartError(`The backup has a table ${name} that this version of the program does not have.`);
  // Migrations write rows of their own; the backup has them as they were last.
  await tx.unsafe(`delete from ${name}`);
  const watch = watched(reader);
  const sink = await tx.unsafe(`copy ${name} (${table.columns.map(quoteIdentifier).join(", ")}) from stdin`).writable();
  await pipeline(Readable.from(watch.pieces), sink);
  return watch.digest();
}

/** A queue that no migration makes, such as one of a module that is not here any more. */
async function makeQueue(tx: TransactionSql, { schema, name }: Table): Promise<void> {
  const queue = schema === "pgmq" ? /^q_(.+)$/.exec(name)?.[1] : undefined;
  if (!queue) return;
  await tx`set local role postgres`;
  await tx`select pgmq.create(${queue}) where to_regclass(${`pgmq.${quoteIdentifier(name)}`}) is null`;
  await tx`reset role`;
}

async function restoreAnalyst(
  tx: TransactionSql,
  { role_name, tenant_id, verifier }: Manifest["analysts"][number],
): Promise<void> {
  const [known] = await tx<
    { there: boolean }[]
  >`select exists (select from pg_roles where rolname = ${role_name}) as there`;
  if (!known!.there)
    await tx.unsafe(
      `create role ${quoteIdentifier(role_name)} login${verifier ? ` password ${quoteLiteral(verifier)}` : ""}`,
    );
  await tx`select kernel.add_analyst(${role_name}, ${tenant_id})`;
}
