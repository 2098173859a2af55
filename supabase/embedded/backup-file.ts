import { once } from "node:events";
import { createReadStream, createWriteStream, readFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { createGunzip, createGzip } from "node:zlib";
import { Decrypter, Encrypter } from "age-encryption";
import { StartError } from "./home.ts";

/**
 * The form of a backup: gzipped lines that `zcat` shows. First the manifest as JSON; then per table `#table <JSON>`, its rows in
 * COPY's text format and `\.`; last `#end <JSON>` with the sequences and each table's rows and digest, so that a file that was
 * cut off or changed is known for it.
 *
 * With a passphrase the whole of it is an age file (age-encryption.org: scrypt, then ChaCha20-Poly1305 in authenticated pieces), which
 * `age -d FILE | zcat` opens without this program.
 */

export const FORMAT = 1;

export interface Table {
  schema: string;
  name: string;
  columns: string[];
}

export interface Manifest {
  format: typeof FORMAT;
  created_at: string;
  postgres: string;
  /** Versions of the migrations the data fits. */
  migrations: string[];
  tables: number;
  /** Login roles of analysts with their password's verifier. */
  analysts: { role_name: string; tenant_id: string; verifier: string | null }[];
  /** secrets.env; without it stored credentials cannot be decrypted. */
  secrets: string | null;
  /** Small files of the home by name. */
  files: Record<string, string>;
}

export interface End {
  sequences: { schema: string; name: string; value: string; called: boolean }[];
  digests: Record<string, { rows: number; sha256: string }>;
}

const AGE = "age-encryption.org/v1";

/** The passphrase in a file's first line. Throws for one that is empty or short enough to be tried out. */
export function readPassphrase(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new StartError(`The passphrase file ${file} cannot be read (${(error as NodeJS.ErrnoException).code}).`);
  }
  const passphrase = text.split(/\r?\n/)[0]!;
  if (passphrase.length < 12)
    throw new StartError(`The first line of ${file} must be a passphrase of at least 12 characters.`);
  return passphrase;
}

export async function isEncrypted(file: string): Promise<boolean> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(AGE.length), 0, AGE.length, 0);
    return buffer.subarray(0, bytesRead).toString("latin1") === AGE;
  } finally {
    await handle.close();
  }
}

export class BackupWriter {
  #gzip = createGzip({ level: 6 });
  #closed: Promise<unknown>;

  /** The file must not exist yet; only its owner may read it. */
  constructor(file: string, passphrase?: string) {
    const sink = createWriteStream(file, { flags: "wx", mode: 0o600 });
    this.#closed = passphrase === undefined ? pipeline(this.#gzip, sink) : this.#encrypt(passphrase, sink);
    // Awaited in close(); a disk that fills up earlier must not end the process.
    this.#closed.catch(() => this.#gzip.destroy());
  }

  async #encrypt(passphrase: string, sink: NodeJS.WritableStream): Promise<void> {
    const encrypter = new Encrypter();
    encrypter.setPassphrase(passphrase);
    const sealed = await encrypter.encrypt(Readable.toWeb(this.#gzip) as never);
    await pipeline(Readable.fromWeb(sealed as unknown as ReadableStream), sink);
  }

  async write(bytes: Buffer | string): Promise<void> {
    if (this.#gzip.destroyed) return void (await this.#closed);
    if (!this.#gzip.write(bytes)) await Promise.race([once(this.#gzip, "drain"), this.#closed]);
  }

  async close(): Promise<void> {
    this.#gzip.end();
    await this.#closed;
  }
}

/** Reads a backup from its beginning to its end, line by line or table by table. */
export class BackupReader {
  #source: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  /** A passphrase is not looked at where the file is not encrypted. */
  constructor(file: string, passphrase?: string) {
    this.#source = plainPieces(file, passphrase);
  }

  /** The next line without its end; null at the end of the file. */
  async line(): Promise<string | null> {
    for (;;) {
      const end = this.#rest.indexOf(10);
      if (end >= 0)
        return this.#take(end + 1)
          .subarray(0, end)
          .toString("utf8");
      if (!(await this.#more())) return null;
    }
  }

  /** The rows up to `\.`, in pieces of whole lines. */
  async *rows(): AsyncGenerator<Buffer> {
    for (;;) {
      if (this.#rest.subarray(0, 3).equals(END_OF_ROWS)) return void this.#take(3);
      const end = this.#rest.indexOf(LINE_AND_END);
      if (end >= 0) {
        yield this.#take(end + 1);
        continue;
      }
      const whole = this.#rest.lastIndexOf(10) + 1;
      if (whole > 0 && this.#rest.length > 65_536) yield this.#take(whole);
      if (!(await this.#more())) throw new Error("The backup ends in the middle of a table.");
    }
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }

  #take(n: number): Buffer {
    const taken = this.#rest.subarray(0, n);
    this.#rest = this.#rest.subarray(n);
    return taken;
  }

  async #more(): Promise<boolean> {
    const next = await this.#source.next();
    if (next.done) return false;
    this.#rest = this.#rest.length === 0 ? next.value : Buffer.concat([this.#rest, next.value]);
    return true;
  }
}

const END_OF_ROWS = Buffer.from("\\.\n");
const LINE_AND_END = Buffer.from("\n\\.\n");

async function* plainPieces(file: string, passphrase: string | undefined): AsyncGenerator<Buffer> {
  const raw = createReadStream(file);
  const packed = (await isEncrypted(file)) ? await decrypted(raw, file, passphrase) : raw;
  const plain = createGunzip();
  packed.once("error", (error: Error) => plain.destroy(error));
  try {
    yield* packed.pipe(plain) as AsyncIterable<Buffer>;
  } finally {
    plain.destroy();
    raw.destroy();
  }
}

async function decrypted(raw: Readable, file: string, passphrase: string | undefined): Promise<Readable> {
  if (passphrase === undefined) {
    raw.destroy();
    throw new StartError(`${file} is encrypted: give the file with its passphrase, --passphrase-file FILE.`);
  }
  const decrypter = new Decrypter();
  decrypter.addPassphrase(passphrase);
  try {
    const opened = await decrypter.decrypt(Readable.toWeb(raw) as never);
    return Readable.fromWeb(opened as unknown as ReadableStream);
  } catch (error) {
    raw.destroy();
    throw new StartError(`${file} cannot be decrypted: the passphrase is wrong, or the file is damaged.`, {
      cause: error,
    });
  }
}
