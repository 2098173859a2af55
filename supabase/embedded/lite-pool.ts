import { connect, type Socket } from "node:net";
import postgres from "postgres";

/** What the REST and auth server's query builder wants of a connection it holds alone. */
export interface Lease {
  unsafe(text: string, parameters?: unknown[]): Promise<unknown>;
  release(): void;
}

interface Slot {
  client: postgres.Sql;
  connection: postgres.ReservedSql;
  lost: boolean;
  /** What its caller is told once it is lost, also by the statements that follow (the rollback). */
  fault: () => Error;
  /** Bytes that Postgres may still send for the statement under way. */
  allowance: number;
  /** Rejects the statements under way: the driver leaves some without an answer when the connection breaks. */
  pending: Set<(error: Error) => void>;
}

interface Waiter {
  resolve: (lease: Lease) => void;
  reject: (error: Error) => void;
}

/** Bytes of one statement's answer: it stands in memory several times before it leaves. A thousand ordinary rows are one or two million. */
const MOST_BYTES = 32_000_000;
/** How long a request waits for a connection. */
const WAIT_MS = 10_000;

/**
 * A pool of connections that are each held by one caller. The driver's own `reserve` puts a connection that was lost while it was
 * held back among the good ones, where it fails for every later caller; here each connection is a client of its own, and a lost one
 * is thrown away. Nothing a caller still sends over it can reach a connection that somebody else has by now.
 */
export class LitePool {
  readonly #options: { host: string[]; port: number[]; path?: string | false };
  readonly #max: number;
  readonly #idle: Slot[] = [];
  readonly #waiters: Waiter[] = [];
  /** Connections that exist or are being opened. */
  #size = 0;
  #closed = false;

  /** `options` as the driver parsed them. */
  constructor(options: object, max: number) {
    this.#options = options as { host: string[]; port: number[] };
    this.#max = max;
  }

  /** Rejects when none is free in time, or none can be opened. */
  async reserve(): Promise<Lease> {
    if (this.#closed) throw new Error("The server is stopping.");
    const idle = this.#idle.pop();
    if (idle) return this.#lease(idle);
    if (this.#size < this.#max) return this.#lease(await this.#open());
    return await new Promise<Lease>((resolve, reject) => {
      const waiter: Waiter = {
        resolve: (lease) => (clearTimeout(timer), resolve(lease)),
        reject: (error) => (clearTimeout(timer), reject(error)),
      };
      const timer = setTimeout(() => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        reject(new Error(`No connection to the database became free in ${WAIT_MS / 1000} s.`));
      }, WAIT_MS);
      this.#waiters.push(waiter);
    });
  }

  /** Resolves when a connection answers. */
  async ping(): Promise<void> {
    const lease = await this.reserve();
    try {
      await lease.unsafe("select 1");
    } finally {
      lease.release();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(new Error("The server is stopping."));
    await Promise.all(this.#idle.splice(0).map((slot) => slot.client.end({ timeout: 0 })));
  }

  async #open(): Promise<Slot> {
    this.#size++;
    const slot = { lost: false, fault: lost, allowance: MOST_BYTES, pending: new Set() } as unknown as Slot;
    slot.client = postgres({
      ...this.#options,
      socket: () => this.#connect(slot),
      max: 1,
      idle_timeout: null,
      max_lifetime: null,
      onclose: () => this.#lose(slot),
    } as never);
    try {
      slot.connection = await slot.client.reserve();
    } catch (error) {
      this.#discard(slot);
      throw error;
    }
    return slot;
  }

  /** A connected socket that breaks when a statement answers more than it may; Postgres then ends the statement. */
  #connect(slot: Slot): Promise<Socket> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      const socket = connect({ host: host[0]!, port: port[0]! });
      socket.once("error", reject).once("connect", () => (socket.off("error", reject), resolve(socket)));
      socket.on("data", (chunk: Uint8Array) => {
        slot.allowance -= chunk.byteLength;
        if (slot.allowance >= 0) return;
        slot.fault = tooLarge;
        this.#lose(slot);
        socket.destroy();
      });
    });
  }

  #lease(slot: Slot): Lease {
    let held = true;
    return {
      unsafe: (text, parameters) =>
        new Promise((resolve, reject) => {
          if (!held || slot.lost) return reject(slot.fault());
          slot.allowance = MOST_BYTES;
          const done = (settle: () => void) => (slot.pending.delete(reject), settle());
          slot.pending.add(reject);
          slot.connection.unsafe(text, parameters as never).then(
            (rows) => done(() => resolve(rows)),
            (error: Error) => {
              // Ahead of the event that says so: until it comes, nobody else may be given this connection.
              if (isOver(error)) slot.lost = true;
              done(() => reject(error));
            },
          );
        }),
      release: () => {
        if (!held) return;
        held = false;
        this.#giveBack(slot);
      },
    };
  }

  #giveBack(slot: Slot): void {
    if (slot.lost || this.#closed) return this.#discard(slot);
    const waiter = this.#waiters.shift();
    if (waiter) waiter.resolve(this.#lease(slot));
    else this.#idle.push(slot);
  }

  #lose(slot: Slot): void {
    slot.lost = true;
    for (const reject of slot.pending) reject(slot.fault());
    slot.pending.clear();
    const at = this.#idle.indexOf(slot);
    if (at < 0) return;
    this.#idle.splice(at, 1);
    this.#discard(slot);
  }

  /** Ends what is left of it; who waits longest has another one opened. */
  #discard(slot: Slot): void {
    this.#size--;
    void slot.client.end({ timeout: 0 }).catch(() => {});
    const waiter = this.#closed ? undefined : this.#waiters.shift();
    if (waiter) this.#open().then((opened) => waiter.resolve(this.#lease(opened)), waiter.reject);
  }
}

/** In the form in which a function in SQL chooses PostgREST's answer (raise sqlstate 'PGRST'). */
const tooLarge = () => {
  const answer = {
    code: "54000",
    message: `The answer is larger than ${MOST_BYTES / 1e6} MB.`,
    hint: "Ask for fewer rows or columns.",
  };
  const detail = JSON.stringify({ status: 413, headers: {} });
  return Object.assign(new Error(JSON.stringify(answer)), { code: "PGRST", detail });
};

const lost = () => new Error("The connection to the database was lost.");

/** Postgres ends the connection with these; every other fault of a statement is an ERROR. What is not from Postgres is the connection's. */
const isOver = (error: Error & { severity?: string }) => error.severity !== "ERROR";
