/** How much one client, one address and all of them may take. Sockets need no account: without bounds one address fills the memory. */
export interface RealtimeLimits {
  /** Open sockets of all addresses. */
  sockets: number;
  socketsPerAddress: number;
  /** Channels on one topic. A tenant's consoles share one topic, so this is also the bound per tenant. */
  membersPerTopic: number;
  /** Channels joined by one socket. */
  channels: number;
  /** Messages of one socket that wait while an earlier one is handled. */
  frames: number;
  /** Bytes of one socket that wait to be handled, and as many that wait until the client reads them. */
  bytes: number;
  /** The same for all sockets of one address. */
  bytesPerAddress: number;
  /** Milliseconds for which a socket may be open without a channel. */
  joinMs: number;
}

const KEYS = {
  sockets: ["OVERTURE_REALTIME_SOCKETS", 2_000],
  socketsPerAddress: ["OVERTURE_REALTIME_SOCKETS_PER_ADDRESS", 100],
  membersPerTopic: ["OVERTURE_REALTIME_SOCKETS_PER_TENANT", 500],
  // Supabase's own default.
  channels: ["OVERTURE_REALTIME_CHANNELS", 100],
  frames: ["OVERTURE_REALTIME_FRAMES", 500],
  // One message of the largest size (3 MB) fits.
  bytes: ["OVERTURE_REALTIME_BYTES", 4_000_000],
  bytesPerAddress: ["OVERTURE_REALTIME_BYTES_PER_ADDRESS", 32_000_000],
  joinSeconds: ["OVERTURE_REALTIME_JOIN_SECONDS", 30],
} as const;

/** Reads the limits from the environment; an empty or missing value is the default. Throws an error that names every bad key. */
export function realtimeLimits(env: Record<string, string | undefined> = {}): RealtimeLimits {
  const faults: string[] = [];
  const read = (name: keyof typeof KEYS): number => {
    const [key, standard] = KEYS[name];
    const value = env[key] ? Number(env[key]) : standard;
    if (!Number.isSafeInteger(value) || value < 1) faults.push(`${key} must be a whole number above 0.`);
    return value;
  };
  const { joinSeconds, ...rest } = Object.fromEntries(
    Object.keys(KEYS).map((name) => [name, read(name as keyof typeof KEYS)]),
  ) as Record<keyof typeof KEYS, number>;
  if (faults.length > 0) throw new Error(faults.join(" "));
  return { ...rest, joinMs: joinSeconds * 1000 };
}

/** A socket as far as memory is concerned. */
export interface Held {
  /** Bytes sent to it that its client has not read, also after it was cut off. */
  readonly unsent: number;
}

/** Sockets and bytes of one address. */
export class Account {
  readonly sockets = new Set<Held>();
  readonly #maxBytes: number;
  #waiting = 0;
  /** At least what is unsent: counted up with every message, measured only when it reaches the bound. */
  #unsent = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Whether so many bytes more may wait to be handled; true counts them. */
  take(size: number): boolean {
    if (this.#waiting + size > this.#maxBytes) return false;
    this.#waiting += size;
    return true;
  }

  give(size: number): void {
    this.#waiting -= size;
  }

  /** Whether so many bytes more may be sent to its sockets. */
  maySend(size: number): boolean {
    this.#unsent += size;
    if (this.#unsent <= this.#maxBytes) return true;
    this.#unsent = size;
    for (const socket of this.sockets) this.#unsent += socket.unsent;
    return this.#unsent <= this.#maxBytes;
  }
}

/** Who is connected from where. */
export class Accounts {
  readonly #limits: RealtimeLimits;
  readonly #byAddress = new Map<string, Account>();
  #sockets = 0;

  constructor(limits: RealtimeLimits) {
    this.#limits = limits;
  }

  /** The account of an address; kept while it has sockets. */
  of(address: string): Account {
    return this.#byAddress.get(address) ?? new Account(this.#limits.bytesPerAddress);
  }

  /** The answer that refuses one socket more of this account, or null. */
  refusal(account: Account): { status: number; error: string } | null {
    if (account.sockets.size >= this.#limits.socketsPerAddress)
      return { status: 429, error: "ConnectionRateLimitReached: Too many connections from this address" };
    if (this.#sockets >= this.#limits.sockets)
      return { status: 503, error: "ConnectionRateLimitReached: Too many connections" };
    return null;
  }

  /** Counts the socket until the returned function is called. */
  enter(address: string, account: Account, socket: Held): () => void {
    this.#byAddress.set(address, account);
    account.sockets.add(socket);
    this.#sockets++;
    return () => {
      account.sockets.delete(socket);
      this.#sockets--;
      if (account.sockets.size === 0) this.#byAddress.delete(address);
    };
  }
}

/** What one socket sent and what is not handled yet: done in order, bounded in number and bytes. */
export class Inbox {
  readonly #limits: Pick<RealtimeLimits, "frames" | "bytes">;
  readonly #account: Account;
  #work: Promise<void> = Promise.resolve();
  #frames = 0;
  #bytes = 0;

  constructor(limits: Pick<RealtimeLimits, "frames" | "bytes">, account: Account) {
    this.#limits = limits;
    this.#account = account;
  }

  /** Has `work`, which handles its own errors, run after what came before. Returns why it is refused, or null. */
  add(size: number, work: () => Promise<void>): string | null {
    if (this.#frames >= this.#limits.frames || this.#bytes + size > this.#limits.bytes)
      return "Too many messages wait to be handled";
    if (!this.#account.take(size)) return "Too many messages of this address wait to be handled";
    this.#frames++;
    this.#bytes += size;
    this.#work = this.#work.then(work).finally(() => {
      this.#frames--;
      this.#bytes -= size;
      this.#account.give(size);
    });
    return null;
  }
}
