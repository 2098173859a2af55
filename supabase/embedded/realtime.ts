import type { Sql } from "postgres";
import { claimsOf, type Keys } from "./realtime-access.ts";
import { RealtimeHttp } from "./realtime-http.ts";
import { RealtimeHub } from "./realtime-hub.ts";
import { Accounts, type RealtimeLimits } from "./realtime-limits.ts";
import { RealtimeSocket } from "./realtime-socket.ts";
import type { Version } from "./realtime-frames.ts";

export interface RealtimeOptions {
  /** A connection that may insert into realtime.messages and change to the API roles. */
  sql: Sql;
  /** The same, for reading what is to be delivered. */
  delivery: Sql;
  keys: Keys;
  limits: RealtimeLimits;
  /** Answers a request with a WebSocket of the host. */
  upgrade: (request: Request) => { socket: WebSocket; response: Response };
  log: (message: string) => void;
}

/** A notification can be missed, for example while the database restarts. */
const POLL_MS = 5_000;
/** After the policies were asked about all sockets, further changes of rights are gathered for this long. */
const RECHECK_MS = 50;
/** Topics that are gathered; beyond, all are asked about. */
const MOST_ANNOUNCED = 100;

/** Realtime's `/realtime/v1`: Phoenix channels over WebSocket, and broadcasts over HTTP. */
export class Realtime {
  readonly #options: RealtimeOptions;
  readonly #hub: RealtimeHub;
  readonly #http: RealtimeHttp;
  readonly #sockets = new Set<RealtimeSocket>();
  readonly #accounts: Accounts;
  #timers: ReturnType<typeof setInterval>[] = [];
  /** Who waits for the next notification. */
  readonly #hearers = new Set<() => void>();
  #unlisten: (() => Promise<void>) | undefined;
  #rechecking: ReturnType<typeof setTimeout> | undefined;
  /** Digests that were announced since the policies were last asked; null for all. */
  #announced: Set<string> | null = new Set();

  constructor(options: RealtimeOptions) {
    this.#options = options;
    this.#hub = new RealtimeHub(options.delivery, options.limits.membersPerTopic, options.log);
    this.#accounts = new Accounts(options.limits);
    this.#http = new RealtimeHttp(options.sql, options.keys, this.#hub);
  }

  /** Starts listening to the database. */
  async start(): Promise<void> {
    const { sql, log } = this.#options;
    // Nobody is connected yet, so nobody waits for what was committed before.
    await sql`delete from realtime._undelivered`;
    const wake = () => void this.#hub.wake();
    const heard = () => {
      for (const hear of this.#hearers) hear();
      wake();
    };
    // Also woken when the connection is back after a loss.
    const listening = await sql.listen("realtime_messages", heard, wake);
    // Who may hear what has changed. After a lost connection anything may have.
    const rights = await sql.listen(
      "realtime_access",
      (digest) => this.#recheck(digest),
      () => this.#recheck(null),
    );
    this.#unlisten = () => Promise.all([listening.unlisten(), rights.unlisten()]).then(() => {});
    // As on Supabase messages are kept for three days.
    const prune = () =>
      sql`delete from realtime.messages where inserted_at < now() - interval '3 days'`.catch((error: Error) =>
        log(`realtime: pruning failed: ${error.message}`),
      );
    await prune();
    this.#timers = [setInterval(wake, POLL_MS), setInterval(() => void prune(), 3_600_000)];
  }

  /**
   * Asks the policies again about a topic or a session, given by its digest, or about all (null): at once, and what is announced shortly
   * after once for all of it, because any login of the database can announce as much as it likes. Until then it is held.
   */
  #recheck(digest: string | null): void {
    if (!this.#rechecking) return this.#askAgain(digest === null ? null : new Set([digest]));
    if (digest === null || this.#announced === null || this.#announced.size === MOST_ANNOUNCED) this.#announced = null;
    else this.#announced.add(digest);
    const held = this.#announced && new Set([digest!]);
    for (const socket of this.#sockets) socket.hold(held);
  }

  #askAgain(digests: ReadonlySet<string> | null): void {
    this.#hub.accessChanges++;
    for (const socket of this.#sockets) socket.recheck(digests);
    this.#rechecking = setTimeout(() => {
      this.#rechecking = undefined;
      const announced = this.#announced;
      this.#announced = new Set();
      if (announced === null || announced.size > 0) this.#askAgain(announced);
    }, RECHECK_MS);
  }

  /** Whether a notification comes through and what is committed can be read. Rejects when the database fails; waits for as long as it takes. */
  async ping(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#hearers.add(resolve);
    try {
      await this.#options.sql`select pg_notify('realtime_messages', '')`;
      await promise;
      await this.#hub.wake();
      return !this.#hub.failing;
    } finally {
      this.#hearers.delete(resolve);
    }
  }

  /** Handles a request whose path starts with /realtime/v1; `address` is who it comes from. */
  async fetch(request: Request, address: string): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname.startsWith("/realtime/v1/api/broadcast")) return await this.#http.fetch(request);
    // The gateway has asked `ping` before it passes this on.
    if (pathname === "/realtime/v1/api/ping") return Response.json({ message: "Success" });
    if (pathname !== "/realtime/v1/websocket") return Response.json({ error: "Not found" }, { status: 404 });
    if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
      return Response.json({ error: "This address expects a WebSocket" }, { status: 426 });
    }
    const version = searchParams.get("vsn") ?? "1.0.0";
    if (version !== "1.0.0" && version !== "2.0.0") {
      return Response.json({ error: `vsn "${version}" is not supported: use 1.0.0 or 2.0.0` }, { status: 400 });
    }
    const key = searchParams.get("apikey") ?? request.headers.get("x-api-key") ?? request.headers.get("apikey");
    let claims;
    try {
      claims = await claimsOf(this.#options.keys, key);
    } catch (error) {
      return Response.json({ error: (error as Error).message }, { status: 401 });
    }
    const account = this.#accounts.of(address);
    const refusal = this.#accounts.refusal(account);
    if (refusal) {
      return Response.json({ error: refusal.error }, { status: refusal.status, headers: { "retry-after": "10" } });
    }
    const { socket, response } = this.#options.upgrade(request);
    const client = new RealtimeSocket({
      socket,
      version: version as Version,
      claims,
      hub: this.#hub,
      sql: this.#options.sql,
      keys: this.#options.keys,
      limits: this.#options.limits,
      account,
      log: this.#options.log,
      onGone: () => {
        leave();
        this.#sockets.delete(client);
      },
    });
    const leave = this.#accounts.enter(address, account, client);
    this.#sockets.add(client);
    return response;
  }

  /** Says goodbye to every client (they reconnect) and stops listening. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#rechecking);
    for (const socket of this.#sockets) socket.close();
    await this.#unlisten?.().catch(() => {});
  }
}
