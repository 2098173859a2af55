import type { LookupFunction } from "node:net";
import { lookup as dnsLookup } from "node:dns";
import http from "node:http";
import https from "node:https";
import ipaddr from "ipaddr.js";
import { AppError } from "../errors.ts";

/**
 * The only way out of the process. Every call has a deadline and a size limit, and no address of a private
 * network is reachable unless the installation lists it: tenants choose base URLs, so a URL is untrusted input.
 * The address is checked at connect time, in the socket's own lookup, so a name cannot be re-bound in between.
 */

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
};

export type HttpResponse = {
  status: number;
  headers: Headers;
  body: Uint8Array;
  text(): string;
  /** Parsed JSON; throws HttpError kind `bad_answer` when it is not JSON. */
  json(): unknown;
};

/**
 * Why no answer came. `sent` says whether the request may have reached the peer: false means it surely did not,
 * so repeating it is safe.
 */
export class HttpError extends Error {
  readonly kind: "blocked" | "dns" | "connect" | "timeout" | "reset" | "too_large" | "bad_answer" | "tls";
  readonly sent: boolean;
  constructor(kind: HttpError["kind"], detail: string, sent: boolean, cause?: unknown) {
    super(detail, { cause });
    this.name = "HttpError";
    this.kind = kind;
    this.sent = sent;
  }
}

export type HttpClient = {
  request(request: HttpRequest): Promise<HttpResponse>;
  /** JSON in, JSON out; status is left to the caller, who knows what the provider means by it. */
  json(request: Omit<HttpRequest, "body"> & { body?: unknown }): Promise<HttpResponse>;
  /** For protocols that are not HTTP (SMTP): a lookup that refuses private addresses just the same, for that port. */
  lookupFor(port: number): LookupFunction;
  /** Throws HttpError `blocked` when host:port may not be reached; for literal addresses, which skip the lookup. */
  assertAllowed(host: string, port: number): void;
};

/** Special-purpose ranges by IANA: everything that is not plain unicast is refused. */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  let parsed = ipaddr.parse(address);
  if (parsed.kind() === "ipv6") {
    const v6 = parsed as ipaddr.IPv6;
    if (v6.isIPv4MappedAddress()) parsed = v6.toIPv4Address();
    // Only 2000::/3 is handed out for the internet; the rest holds old ways to write an IPv4 address, such as ::127.0.0.1.
    else if ((v6.parts[0]! & 0xe000) !== 0x2000) return false;
  }
  return parsed.range() === "unicast";
}

/** Resolves a name to all its addresses, as node:dns does with `all`. */
export type Lookup = (
  host: string,
  options: { all: true; family?: number | "IPv4" | "IPv6"; hints?: number },
  callback: (error: Error | null, addresses: { address: string; family: number }[]) => void,
) => void;

const bare = (host: string) => host.replace(/^\[|\]$/g, "").toLowerCase();

export function createHttpClient(options: {
  allowPrivateHosts: readonly string[];
  userAgent: string;
  lookup?: Lookup;
}): HttpClient {
  const resolve: Lookup = options.lookup ?? dnsLookup;
  const allowed = new Set(options.allowPrivateHosts.map((h) => h.toLowerCase()));
  const mayBePrivate = (host: string, port: number) => allowed.has(bare(host)) || allowed.has(`${bare(host)}:${port}`);

  const blocked = (host: string) =>
    new HttpError(
      "blocked",
      `${host} is a private or special address. List it in OVERTURE_ALLOW_PRIVATE_HOSTS if it is yours.`,
      false,
    );

  const assertAllowed = (host: string, port: number) => {
    const name = bare(host);
    if (ipaddr.isValid(name) && !isPublicAddress(name) && !mayBePrivate(name, port)) throw blocked(name);
  };

  const guardedLookup =
    (port: number): LookupFunction =>
    (host, opts, callback) => {
      resolve(host, { ...opts, all: true }, (error, list) => {
        if (error) return callback(error, []);
        if (!mayBePrivate(host, port) && list.some((a) => !isPublicAddress(a.address))) {
          return callback(Object.assign(blocked(host), { code: "EBLOCKED" }), []);
        }
        if ((opts as { all?: boolean }).all) callback(null, list);
        else callback(null, list[0]!.address, list[0]!.family);
      });
    };

  function once(request: HttpRequest, url: URL): Promise<HttpResponse> {
    const port = Number(url.port || (url.protocol === "https:" ? 443 : 80));
    if (!request.own) assertAllowed(url.hostname, port);
    const maxBytes = request.maxBytes ?? 5 * 1024 * 1024;
    const body = typeof request.body === "string" ? new TextEncoder().encode(request.body) : request.body;
    return new Promise((resolve, reject) => {
      let connected = false;
      const fail = (error: unknown) => {
        clearTimeout(timer);
        req.destroy();
        reject(error instanceof HttpError ? error : classify(error, connected));
      };
      const req = (url.protocol === "https:" ? https : http).request(
        url,
        {
          method: request.method,
          agent: agentFor(url.protocol, request.method),
          ...(request.own ? {} : { lookup: guardedLookup(port) }),
          headers: {
            "user-agent": options.userAgent,
            ...request.headers,
            ...(body ? { "content-length": String(body.byteLength) } : {}),
          },
        },
        (res) => {
          const chunks: Uint8Array[] = [];
          let size = 0;
          res.on("data", (chunk: Uint8Array) => {
            size += chunk.byteLength;
            if (size > maxBytes) fail(new HttpError("too_large", `The answer is larger than ${maxBytes} bytes.`, true));
            else chunks.push(chunk);
          });
          res.on("end", () => {
            clearTimeout(timer);
            resolve(toResponse(res, chunks, size));
          });
          res.on("error", fail);
          res.on("aborted", () => fail(new HttpError("reset", "The peer closed the connection in mid-answer.", true)));
        },
      );
      const timer = setTimeout(
        () => fail(new HttpError("timeout", `No answer within ${request.timeoutMs ?? 15_000} ms.`, connected)),
        request.timeoutMs ?? 15_000,
      );
      // A reused socket is connected already; what is written to it may arrive.
      req.on("socket", (socket) => {
        if (!socket.connecting) connected = true;
        else socket.once("connect", () => (connected = true));
      });
      req.on("error", fail);
      if (body) req.write(body);
      req.end();
    });
  }

  async function request(input: HttpRequest): Promise<HttpResponse> {
    let url = parseUrl(input.url);
    for (let hop = 0; ; hop++) {
      const response = await once(input, url);
      const location = response.headers.get("location");
      if (response.status < 300 || response.status >= 400 || !location || hop >= (input.redirects ?? 0))
        return response;
      url = parseUrl(new URL(location, url).href);
    }
  }

  return {
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
    lookupFor: guardedLookup,
    assertAllowed,
  };
}

/**
 * Only reads share connections. Deno's node:http repeats a request by itself when a reused connection breaks, even a
 * POST whose body had arrived: that would be a second e-mail nobody knows of. A fresh connection is never repeated.
 */
const reading = { keepAlive: true, maxSockets: 64, timeout: 60_000 };
const writing = { keepAlive: false, maxSockets: 64 };
const agents = {
  "http:": { reading: new http.Agent(reading), writing: new http.Agent(writing) },
  "https:": { reading: new https.Agent(reading), writing: new https.Agent(writing) },
};
const agentFor = (protocol: string, method: HttpRequest["method"]) =>
  agents[protocol === "https:" ? "https:" : "http:"][method === "GET" || method === "HEAD" ? "reading" : "writing"];

function parseUrl(raw: string): URL {
  let url: URL;
  try {
    url = new URL(raw);
  } catch {
    throw new AppError("invalid", `${JSON.stringify(raw)} is not a URL.`);
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw new HttpError("blocked", `Only http and https URLs are allowed, not ${url.protocol}`, false);
  }
  return url;
}

function toResponse(res: http.IncomingMessage, chunks: Uint8Array[], size: number): HttpResponse {
  const body = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.byteLength;
  }
  const headers = new Headers();
  for (const [name, value] of Object.entries(res.headers)) {
    for (const item of Array.isArray(value) ? value : [value ?? ""]) headers.append(name, item);
  }
  const text = () => new TextDecoder().decode(body);
  return {
    status: res.statusCode ?? 0,
    headers,
    body,
    text,
    json: () => {
      try {
        return JSON.parse(text());
      } catch (cause) {
        throw new HttpError("bad_answer", `Status ${res.statusCode} with a body that is not JSON.`, true, cause);
      }
    },
  };
}

function classify(error: unknown, connected: boolean): HttpError {
  const code = String((error as { code?: unknown } | null)?.code ?? "");
  const text = error instanceof Error ? error.message : String(error);
  if (code === "EBLOCKED") return new HttpError("blocked", text, false, error);
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return new HttpError("dns", text, false, error);
  if (/CERT|TLS|SSL/.test(code)) return new HttpError("tls", text, false, error);
  if (!connected) return new HttpError("connect", text, false, error);
  return new HttpError("reset", text, true, error);
}
