import type { Sql } from "postgres";
import { claimsOf, type Keys } from "./realtime-access.ts";
import { RealtimeHttp } from "./realtime-http.ts";
import { RealtimeHub } from "./realtime-hub.ts";
import { RealtimeSocket } from "./realtime-socket.ts";
import type { Version } from "./realtime-frames.ts";

export interface RealtimeOptions {
  /** A connection that may insert into realtime.messages and change to the API roles. */
  sql: Sql;
  keys: Keys;
  /** Answers a request with a WebSocket of the host. */
  upgrade: (request: Request) => { socket: WebSocket; response: Response };
  log: (message: string) => void;
}

/** Realtime's `/realtime/v1`: Phoenix channels over WebSocket, and broadcasts over HTTP. */
export class Realtime {
  readonly #options: RealtimeOptions;
  readonly #hub: RealtimeHub;
  readonly #http: RealtimeHttp;
  readonly #sockets = new Set<RealtimeSocket>();
  #pruning: ReturnType<typeof setInterval> | undefined;
  #unlisten: (() => Promise<void>) | undefined;

  constructor(options: RealtimeOptions) {
    this.#options = options;
    this.#hub = new RealtimeHub(options.sql, options.log);
    this.#http = new RealtimeHttp(options.sql, options.keys, this.#hub);
  }

  /** Starts listening to the database. */
  async start(): Promise<void> {
    const { sql, log } = this.#options;
    const listening = await sql.listen("realtime_messages", (payload) => this.#hub.announce(payload));
    // "<topic>": who may hear it has changed. After a lost connection any of them may have.
    const rights = await sql.listen(
      "realtime_access",
      (topic) => this.#recheck(topic),
      () => this.#recheck(null),
    );
    this.#unlisten = () => Promise.all([listening.unlisten(), rights.unlisten()]).then(() => {});
    // As on Supabase messages are kept for three days.
    const prune = () =>
      sql`delete from realtime.messages where inserted_at < now() - interval '3 days'`.catch((error: Error) =>
        log(`realtime: pruning failed: ${error.message}`),
      );
    await prune();
    this.#pruning = setInterval(prune, 3_600_000);
  }

  #recheck(topic: string | null): void {
    this.#hub.accessChanges++;
    for (const socket of this.#sockets) socket.recheck(topic);
  }

  /** Handles a request whose path starts with /realtime/v1. */
  async fetch(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname.startsWith("/realtime/v1/api/broadcast")) return await this.#http.fetch(request);
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
    const { socket, response } = this.#options.upgrade(request);
    const client = new RealtimeSocket({
      socket,
      version: version as Version,
      claims,
      hub: this.#hub,
      sql: this.#options.sql,
      keys: this.#options.keys,
      log: this.#options.log,
    });
    this.#sockets.add(client);
    socket.addEventListener("close", () => this.#sockets.delete(client));
    return response;
  }

  /** Says goodbye to every client (they reconnect) and stops listening. */
  async close(): Promise<void> {
    clearInterval(this.#pruning);
    for (const socket of this.#sockets) socket.close();
    await this.#unlisten?.().catch(() => {});
  }
}
