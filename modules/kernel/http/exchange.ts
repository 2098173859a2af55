import { Agent, Client, type Dispatcher } from "undici";
import type { AddressGuard } from "./addresses.ts";
import { createConnector } from "./connect.ts";
import { HttpError } from "./errors.ts";
import type { Outgoing, Source } from "./outgoing.ts";

/** One request and its answer, without redirects. */
export type Exchange = {
  method: string;
  url: URL;
  headers: Headers;
  body: Outgoing | null;
  /** The address is the installation's own configuration: it may be private. */
  own: boolean;
  /** Ends the exchange in any of its phases, whose promise or stream then fails with the signal's reason as `cause`. */
  signal: AbortSignal;
  /** Milliseconds until the head of the answer; waiting for the caller's own stream does not count. */
  headersMs: number;
  /** Milliseconds between two pieces of the answer's body, while somebody reads it. */
  idleMs: number;
};

export type Answer = {
  status: number;
  statusText: string;
  headers: Headers;
  /** As it came over the wire; null where HTTP allows none. Nothing is read ahead of its reader but one socket buffer. */
  body: ReadableStream<Uint8Array> | null;
};

export type Transport = (exchange: Exchange) => Promise<Answer>;

/** Why a connection is closed whose exchange is over. Made once: taking a stack on each call would cost more than the rest of closing. */
const OVER = new HttpError("reset", "The exchange is over.", true);

/** Our own deadlines replace undici's; one exchange a connection at a time. HTTP/2 would share a connection among writes. */
const options = { headersTimeout: 0, bodyTimeout: 0, pipelining: 1, allowH2: false } as const;

/**
 * Carries exchanges over HTTP/1.1. Only reads share connections: a peer closes a quiet connection at any moment, and a write
 * that was just put on it would be one nobody knows the outcome of. undici repeats nothing that was begun.
 */
export function createTransport(guard: AddressGuard, maxHeaderBytes: number): Transport {
  const shared = (own: boolean) =>
    new Agent({ ...options, connections: 64, maxHeaderSize: maxHeaderBytes, connect: createConnector(guard, own) });
  let agents: { strangers: Agent; own: Agent } | undefined;

  return (exchange) => {
    if (exchange.method === "GET" || exchange.method === "HEAD") {
      agents ??= { strangers: shared(false), own: shared(true) };
      return carry(exchange, exchange.own ? agents.own : agents.strangers, () => {});
    }
    const over = new AbortController();
    const client = new Client(exchange.url.origin, {
      ...options,
      maxHeaderSize: maxHeaderBytes,
      connect: createConnector(guard, exchange.own, over.signal),
    });
    return carry(exchange, client, (error) => {
      over.abort(error ?? OVER);
      void client.destroy(error ?? OVER).catch(() => {});
    });
  };
}

function carry(exchange: Exchange, dispatcher: Dispatcher, release: (error?: HttpError) => void): Promise<Answer> {
  return new Promise((answer, refuse) => {
    const { signal } = exchange;
    let controller: Dispatcher.DispatchController | undefined;
    let stream: ReadableStreamDefaultController<Uint8Array> | undefined;
    let source: Source | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    /** From here on bytes of the request may have left. */
    let started = false;
    let over = false;

    const patience = (ms: number, what: string) => {
      clearTimeout(timer);
      timer = setTimeout(() => fail(new HttpError("timeout", `${what} within ${ms} ms.`, started)), ms);
    };
    const awaitHead = () => patience(exchange.headersMs, "No response");
    const settle = (error?: HttpError) => {
      over = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", aborted);
      if (error) void source?.cancel(error.cause ?? error).catch(() => {});
      release(error);
    };
    const fail = (error: HttpError) => {
      if (over) return;
      settle(error);
      controller?.abort(error);
      if (stream) stream.error(error);
      else refuse(error);
    };
    const aborted = () => {
      const { reason } = signal;
      fail(
        reason instanceof HttpError
          ? new HttpError(reason.kind, reason.message, started)
          : new HttpError("aborted", "The caller cancelled the request.", started, reason),
      );
    };

    async function* pieces(from: Source) {
      for (;;) {
        // The caller's stream may pause as long as it likes; the deadline is the peer's.
        if (!stream) clearTimeout(timer);
        let piece: Uint8Array | null;
        try {
          piece = await from.next();
        } catch (cause) {
          fail(new HttpError("aborted", "The request's body could not be read.", started, cause));
          throw cause;
        }
        if (over) return;
        if (!stream) awaitHead();
        if (piece === null) return;
        if (piece.byteLength > 0) yield piece;
      }
    }

    const body = exchange.body?.open() ?? null;
    if (body !== null && !(body instanceof Uint8Array)) source = body;
    if (signal.aborted) return aborted();
    signal.addEventListener("abort", aborted);
    awaitHead();

    const handler: Dispatcher.DispatchHandler = {
      onRequestStart(c) {
        controller = c;
        if (over) c.abort(new HttpError("aborted", "The exchange is over.", false));
        else started = true;
      },
      onResponseStart(c, status, _, statusText) {
        if (over || status < 200) return;
        let headers: Headers;
        try {
          headers = headersOf(c.rawHeaders as Uint8Array[]);
        } catch (cause) {
          return fail(new HttpError("bad_answer", "The response has an invalid header.", true, cause));
        }
        clearTimeout(timer);
        const bodiless = exchange.method === "HEAD" || status === 204 || status === 205 || status === 304;
        if (!bodiless) c.pause();
        const readable = new ReadableStream<Uint8Array>(
          {
            start: (s) => void (stream = s),
            pull() {
              if (over) return;
              patience(exchange.idleMs, "Nothing more of the answer came");
              c.resume();
            },
            cancel: (reason) => {
              const error = new HttpError("aborted", "The reader of the response cancelled it.", true, reason);
              if (over) return;
              settle(error);
              c.abort(error);
            },
          },
          { highWaterMark: 0 },
        );
        answer({ status, statusText: statusText ?? "", headers, body: bodiless ? null : readable });
      },
      onResponseData(c, chunk) {
        // Resuming the parser can report an empty piece, which is no progress: it would be asked for another at once, for ever.
        if (over || chunk.byteLength === 0) return;
        clearTimeout(timer);
        // undici reuses no buffer, so the chunk is given on as it is.
        stream?.enqueue(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
        if ((stream?.desiredSize ?? 0) <= 0) c.pause();
      },
      onResponseEnd() {
        if (over) return;
        settle();
        stream?.close();
      },
      onResponseError(_, error) {
        fail(classify(error, started));
      },
    };

    try {
      dispatcher.dispatch(
        {
          origin: exchange.url.origin,
          path: exchange.url.pathname + exchange.url.search,
          method: exchange.method as Dispatcher.HttpMethod,
          headers: Object.fromEntries(exchange.headers),
          body: (source ? pieces(source) : body) as never,
        },
        handler,
      );
    } catch (cause) {
      fail(classify(cause, started));
    }
  });
}

function headersOf(raw: readonly Uint8Array[]): Headers {
  const headers = new Headers();
  for (let i = 0; i + 1 < raw.length; i += 2) headers.append(byteString(raw[i]!), byteString(raw[i + 1]!));
  return headers;
}

/** One character a byte: TextDecoder's latin1 is windows-1252, whose characters `Headers` refuses. */
const byteString = (bytes: Uint8Array) => {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
};

function classify(error: unknown, started: boolean): HttpError {
  if (error instanceof HttpError) return error;
  const code = String((error as { code?: unknown } | null)?.code ?? "");
  const text = error instanceof Error ? error.message : String(error);
  // Deno 2.1 reports a bad certificate at the first write, which it then does not make.
  if (/CERT|TLS|SSL/.test(code) || /invalid peer certificate/.test(text))
    return new HttpError("tls", text, false, error);
  if (code === "UND_ERR_HEADERS_OVERFLOW")
    return new HttpError("too_large", "The response's headers are larger than the limit.", true, error);
  if (code.startsWith("HPE_")) return new HttpError("bad_answer", `The response is not HTTP: ${text}`, true, error);
  return started ? new HttpError("reset", text, true, error) : new HttpError("connect", text, false, error);
}
