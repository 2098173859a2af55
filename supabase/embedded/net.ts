import type { Sql } from "postgres";
import { oneAtATime } from "./one-at-a-time.ts";

interface Queued {
  id: string;
  method: string;
  url: string;
  headers: Record<string, string> | null;
  body: Uint8Array<ArrayBuffer> | null;
  timeout_milliseconds: number;
}

interface Outcome {
  status_code: number | null;
  content_type: string | null;
  headers: Record<string, string> | null;
  content: string | null;
  error_msg: string | null;
}

const BATCH = 50;
const MAX_IN_FLIGHT = 200;
const MAX_RESPONSE_BYTES = 5_000_000;
const KEEP_RESPONSES = "6 hours";
const POLL_MS = 5_000;
const DRAIN_MS = 5_000;

/** Sends what net.http_post and its kin queued (after their commit) and keeps the answers for six hours, as pg_net does. */
export class NetWorker {
  readonly #sql: Sql;
  readonly #log: (message: string) => void;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #abort = new AbortController();
  #timers: ReturnType<typeof setInterval>[] = [];
  #unlisten: (() => Promise<void>) | undefined;
  #stopped = false;

  constructor(sql: Sql, log: (message: string) => void) {
    this.#sql = sql;
    this.#log = log;
  }

  async start(): Promise<void> {
    const listening = await this.#sql.listen("net_http_request", () => void this.#wake());
    this.#unlisten = () => listening.unlisten();
    const prune = () =>
      this.#sql`delete from net._http_response where created < now() - ${KEEP_RESPONSES}::interval`.catch(
        (error: Error) => this.#log(`net: pruning failed: ${error.message}`),
      );
    this.#timers = [setInterval(() => void this.#wake(), POLL_MS), setInterval(() => void prune(), 300_000)];
    void this.#wake();
  }

  /** Claims nothing more, waits for answers on their way, then gives up on them. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers) clearInterval(timer);
    await this.#unlisten?.().catch(() => {});
    await this.#wake();
    const giveUp = setTimeout(() => this.#abort.abort(new Error("Server is stopping")), DRAIN_MS);
    await Promise.all(this.#inFlight);
    clearTimeout(giveUp);
  }

  readonly #wake: () => Promise<void> = oneAtATime(() =>
    this.#claim().catch((error: Error) => this.#log(`net: the queue could not be read: ${error.message}`)),
  );

  async #claim(): Promise<void> {
    while (!this.#stopped && this.#inFlight.size < MAX_IN_FLIGHT) {
      const rows = await this.#sql<Queued[]>`
        delete from net.http_request_queue where id in (
          select id from net.http_request_queue order by id limit ${BATCH} for update skip locked
        ) returning id, method, url, headers, body, timeout_milliseconds`;
      for (const row of rows) {
        const delivery = this.#deliver(row)
          .catch((error: Error) => this.#log(`net: the answer to ${row.url} could not be stored: ${error.message}`))
          .finally(() => {
            this.#inFlight.delete(delivery);
            void this.#wake();
          });
        this.#inFlight.add(delivery);
      }
      if (rows.length < BATCH) return;
    }
  }

  async #deliver(request: Queued): Promise<void> {
    const outcome = await send(request, this.#abort.signal);
    await this.#sql`insert into net._http_response (id, status_code, content_type, headers, content, error_msg)
      values (${request.id}, ${outcome.status_code}, ${outcome.content_type},
        ${outcome.headers === null ? null : this.#sql.json(outcome.headers)}, ${outcome.content}, ${outcome.error_msg})`;
  }
}

async function send(request: Queued, stop: AbortSignal): Promise<Outcome> {
  const timeout = AbortSignal.timeout(request.timeout_milliseconds);
  try {
    const response = await fetch(request.url, {
      method: request.method.toUpperCase(),
      headers: request.headers ?? {},
      body: request.body,
      signal: AbortSignal.any([timeout, stop]),
    });
    return {
      status_code: response.status,
      content_type: response.headers.get("content-type"),
      headers: Object.fromEntries(response.headers),
      content: await readText(response),
      error_msg: null,
    };
  } catch (error) {
    const error_msg = timeout.aborted
      ? `Timeout of ${request.timeout_milliseconds} ms reached.`
      : `${(error as Error).message}${(error as Error).cause ? `: ${(error as { cause: Error }).cause.message}` : ""}`;
    return { status_code: null, content_type: null, headers: null, content: null, error_msg };
  }
}

async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_RESPONSE_BYTES) throw new Error(`The answer is larger than ${MAX_RESPONSE_BYTES} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  // Postgres text cannot hold a zero byte.
  return (text + decoder.decode()).replaceAll("\0", "");
}
