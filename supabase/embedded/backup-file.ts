import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { createGunzip, createGzip } from "node:zlib";

/**
 * The form of a backup: gzipped lines that `zcat` shows. First the manifest as JSON; then per table `#table <JSON>`, its rows in
 * COPY's text format and `\.`; last `#end <JSON>` with the sequences and each table's rows and digest, so that a file that was
 * cut off or changed is known for it.
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

export class BackupWriter {
  #gzip = createGzip({ level: 6 });
  #closed: Promise<unknown>;

  /** The file must not exist yet; only its owner may read it. */
  constructor(file: string) {
    const sink = createWriteStream(file, { flags: "wx", mode: 0o600 });
    this.#closed = Promise.race([once(sink, "close"), once(sink, "error").then(([error]) => Promise.reject(error))]);
    // Awaited in close(); a disk that fills up earlier must not end the process.
    this.#closed.catch(() => {});
    this.#gzip.pipe(sink);
    sink.once("error", () => this.#gzip.destroy());
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

  constructor(file: string) {
    const raw = createReadStream(file);
    const plain = createGunzip();
    raw.once("error", (error) => plain.destroy(error));
    this.#source = raw.pipe(plain)[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
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
