import type { LookupFunction } from "node:net";
import { AppError } from "../errors.ts";
import { createAddressGuard, type Lookup } from "./addresses.ts";
import { HttpError } from "./errors.ts";
import { createTransport, type Transport } from "./exchange.ts";
import { call, type Called, createFetch, DEFAULT_LIMITS, type HttpLimits, parseUrl } from "./fetch.ts";
import { toOutgoing } from "./outgoing.ts";

// What users of the client need besides it.
export { isPublicAddress, type Lookup } from "./addresses.ts";
export { HttpError, httpErrorIn } from "./errors.ts";
export type { HttpLimits } from "./fetch.ts";

/**
 * The only way out of the process. Every call has deadlines and a size limit, and no address of a private network is
 * reachable unless the installation lists it: tenants choose base URLs, so a URL is untrusted input.
 * `fetch` is for official SDKs, `request` and `json` for adapters; both stand on the same exchange.
 */
export type HttpClient = {
  /** As the standard has it, bodies streamed both ways. Rejects with HttpError, or with the reason of an aborted signal. */
  fetch: typeof fetch;
  /** Rejects with HttpError. */
  request(request: HttpRequest): Promise<HttpResponse>;
  /** JSON in, JSON out; status is left to the caller, who knows what the provider means by it. */
  json(request: Omit<HttpRequest, "body"> & { body?: unknown }): Promise<HttpResponse>;
  /** The same client with other limits for its `fetch`, and as defaults of its requests. */
  with(limits: Partial<HttpLimits>): HttpClient;
  /** For protocols that are not HTTP (SMTP): a lookup that refuses private addresses just the same, for that port. */
  lookupFor(port: number): LookupFunction;
  /** Throws HttpError `blocked` when host:port may not be reached; for literal addresses, which skip the lookup. */
  assertAllowed(host: string, port: number): void;
};

export type HttpRequest = {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD";
  url: string;
  headers?: Record<string, string>;
  body?: Uint8Array | string;
  /** Milliseconds for the whole exchange; default 15 000. */
  timeoutMs?: number;
  /** Bytes of answer accepted; default 5 MiB. */
  maxBytes?: number;
  /** Redirects followed, each re-checked; default 0, because an API that redirects is misconfigured. */
  redirects?: number;
  /** The address is the installation's own configuration, not a tenant's: it may be private. */
  own?: boolean;
  /** Ends the request; it then rejects with HttpError `aborted`. */
  signal?: AbortSignal;
};

export type HttpResponse = {
  status: number;
  headers: Headers;
  body: Uint8Array;
  text(): string;
  /** Parsed JSON; throws HttpError kind `bad_answer` when it is not JSON. */
  json(): unknown;
};

/** Bytes of an answer's headers. */
const MAX_HEADER_BYTES = 32 * 1024;
/** A request is short unless its caller says otherwise. */
const REQUEST_MS = 15_000;

type HttpClientOptions = {
  /** `host` or `host:port` of private addresses that may be reached all the same. */
  allowPrivateHosts: readonly string[];
  userAgent: string;
  lookup?: Lookup | undefined;
};

export function createHttpClient(options: HttpClientOptions): HttpClient {
  const guard = createAddressGuard(options.allowPrivateHosts, options.lookup);
  const transport = createTransport(guard, MAX_HEADER_BYTES);
  const build = (limits: Partial<HttpLimits>): HttpClient => {
    const request = (input: HttpRequest) => buffered(transport, options.userAgent, limits, input);
    return {
      fetch: createFetch(transport, options.userAgent, { ...DEFAULT_LIMITS, ...limits }),
      request,
      json: ({ body, headers, ...rest }) =>
        request({
          ...rest,
          headers: {
            accept: "application/json",
            ...(body === undefined ? {} : { "content-type": "application/json" }),
            ...headers,
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        }),
      with: (more) => build({ ...limits, ...more }),
      lookupFor: guard.lookupFor,
      assertAllowed: guard.assertAllowed,
    };
  };
  return build({});
}

/** One call whose answer is read to its end. */
async function buffered(
  transport: Transport,
  userAgent: string,
  limits: Partial<HttpLimits>,
  input: HttpRequest,
): Promise<HttpResponse> {
  const totalMs = input.timeoutMs ?? limits.totalMs ?? REQUEST_MS;
  const called = await call(transport, userAgent, {
    method: input.method,
    url: requestUrl(input.url),
    headers: new Headers(input.headers),
    body: toOutgoing(input.body === undefined ? null : (input.body as BodyInit)),
    own: input.own ?? false,
    signal: input.signal,
    limits: {
      ...DEFAULT_LIMITS,
      headersMs: totalMs,
      idleMs: totalMs,
      ...limits,
      totalMs,
      maxBytes: input.maxBytes ?? limits.maxBytes ?? DEFAULT_LIMITS.maxBytes,
      redirects: input.redirects ?? 0,
    },
    beyond: "answer",
  });
  return toHttpResponse(called, await readAll(called.body, input.signal));
}

function requestUrl(raw: string): URL {
  try {
    return parseUrl(raw);
  } catch (error) {
    if (error instanceof HttpError) throw error;
    throw new AppError("invalid", (error as Error).message);
  }
}

async function readAll(stream: Called["body"], signal: AbortSignal | undefined): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    const reader = stream?.getReader();
    for (;;) {
      const piece = (await reader?.read())?.value;
      if (!piece) break;
      chunks.push(piece);
      size += piece.byteLength;
    }
  } catch (error) {
    if (error instanceof HttpError || !signal?.aborted) throw error;
    throw new HttpError("aborted", "The caller cancelled the request.", true, error);
  }
  const body = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.byteLength;
  }
  return body;
}

function toHttpResponse({ status, headers }: Called, body: Uint8Array): HttpResponse {
  const text = () => new TextDecoder().decode(body);
  return {
    status,
    headers,
    body,
    text,
    json: () => {
      try {
        return JSON.parse(text());
      } catch (cause) {
        throw new HttpError("bad_answer", `Status ${status} with a body that is not JSON.`, true, cause);
      }
    },
  };
}
