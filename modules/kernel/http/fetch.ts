import { ACCEPT_ENCODING, decodeBody, decodersFor, limitBody } from "./decode.ts";
import { HttpError } from "./errors.ts";
import type { Answer, Transport } from "./exchange.ts";
import { type BodyInput, type Outgoing, toOutgoing } from "./outgoing.ts";

/** How long and how much. A client has them for all its calls; `HttpClient.with` makes another client with other ones. */
export type HttpLimits = {
  /** Milliseconds until the head of the answer, for each redirect anew; default 15 000. */
  headersMs: number;
  /** Milliseconds between two pieces of the answer's body while it is read; default 15 000. */
  idleMs: number;
  /** Milliseconds for everything, redirects and the whole body included; default 300 000. */
  totalMs: number;
  /** Bytes of the answer's body, as sent and as decompressed; default 5 MiB. */
  maxBytes: number;
  /** Redirects followed; default 5. */
  redirects: number;
};

export const DEFAULT_LIMITS: HttpLimits = {
  headersMs: 15_000,
  idleMs: 15_000,
  totalMs: 300_000,
  maxBytes: 5 * 1024 * 1024,
  redirects: 5,
};

export type Call = {
  method: string;
  url: URL;
  headers: Headers;
  body: Outgoing | null;
  own: boolean;
  signal?: AbortSignal | undefined;
  limits: HttpLimits;
  /** What a redirect beyond the limit is: an answer like any other, or an error. */
  beyond: "answer" | "error";
};

export type Called = Answer & { url: URL; redirected: boolean };

/** Throws TypeError for text that is no URL, HttpError `blocked` for schemes other than http and https. */
export function parseUrl(raw: string, base?: URL): URL {
  let url: URL;
  try {
    url = new URL(raw, base);
  } catch {
    throw new TypeError(`${JSON.stringify(raw)} is not a URL.`);
  }
  if (url.protocol !== "https:" && url.protocol !== "http:")
    throw new HttpError("blocked", `Only http and https URLs are allowed, not ${url.protocol}`, false);
  return url;
}

/** These belong to the connection or follow from the URL and the body; a caller's own would contradict them. */
const OF_THE_CONNECTION = [
  ...["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te", "trailer", "expect"],
  ...["host", "content-length"],
];

/**
 * What may go along to another origin. Everything else stays: a header is a secret unless we know it is none, for every
 * provider names its keys as it likes (x-api-key, x-postmark-server-token, xi-api-key).
 */
const HARMLESS = new Set(["accept", "accept-encoding", "accept-language", "content-type", "range", "user-agent"]);

/** One call: redirects followed, the answer's body decompressed and limited. Rejects with HttpError. */
export async function call(transport: Transport, userAgent: string, input: Call): Promise<Called> {
  const { limits } = input;
  let { method, body } = input;
  let url = new URL(input.url);
  const headers = new Headers(input.headers);
  for (const name of OF_THE_CONNECTION) headers.delete(name);
  if (!headers.has("user-agent")) headers.set("user-agent", userAgent);
  if (!headers.has("accept-encoding"))
    headers.set("accept-encoding", headers.has("range") ? "identity" : ACCEPT_ENCODING);
  if (body?.type && !headers.has("content-type")) headers.set("content-type", body.type);
  basicAuth(url, headers);
  const ended = new AbortController();
  const late = setTimeout(
    () => ended.abort(new HttpError("timeout", `No complete response within ${limits.totalMs} ms.`, true)),
    limits.totalMs,
  );
  const signal = input.signal ? AbortSignal.any([input.signal, ended.signal]) : ended.signal;

  try {
    for (let hop = 0; ; hop++) {
      const sent = new Headers(headers);
      if (body && body.length !== null) sent.set("content-length", String(body.length));
      const answer = await transport({
        ...input,
        ...limits,
        method,
        url,
        headers: sent,
        body,
        signal,
        own: input.own && url.origin === input.url.origin,
      });
      const location = [301, 302, 303, 307, 308].includes(answer.status) ? answer.headers.get("location") : null;
      if (location === null || (input.beyond === "answer" && hop >= limits.redirects))
        return { ...readable(answer, limits.maxBytes, () => clearTimeout(late)), url, redirected: hop > 0 };

      // Another connection is made for what follows; whatever this one still says is of no use.
      await answer.body?.cancel().catch(() => {});
      if (hop >= limits.redirects) throw new HttpError("redirect", `More than ${limits.redirects} redirects.`, true);
      const next = redirectTarget(location, url);
      if (
        (answer.status === 303 && method !== "HEAD" && method !== "GET") ||
        (answer.status < 303 && method === "POST")
      ) {
        method = "GET";
        body = null;
        for (const name of [...headers.keys()]) if (name.startsWith("content-")) headers.delete(name);
      } else if (body && !body.replayable)
        throw new HttpError(
          "redirect",
          "The response is a redirect, and the request's body was a stream that cannot be sent twice.",
          true,
        );
      if (next.origin !== url.origin)
        for (const name of [...headers.keys()]) if (!HARMLESS.has(name)) headers.delete(name);
      url = next;
    }
  } catch (error) {
    clearTimeout(late);
    throw error;
  }
}

function redirectTarget(location: string, from: URL): URL {
  let to: URL;
  try {
    to = parseUrl(location, from);
  } catch (error) {
    if (error instanceof HttpError) throw new HttpError("blocked", error.message, true);
    throw new HttpError("bad_answer", "The response redirects to an invalid URL.", true, error);
  }
  if (from.protocol === "https:" && to.protocol === "http:")
    throw new HttpError("redirect", "The response redirects from https to unencrypted http.", true);
  if (!to.hash) to.hash = from.hash;
  to.username = to.password = "";
  return to;
}

/** Name and password of a URL go into a header, and nowhere else. */
function basicAuth(url: URL, headers: Headers) {
  if (!url.username && !url.password) return;
  let pair: string;
  try {
    pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  } catch (cause) {
    throw new TypeError("The URL's user name or password is not percent-encoded UTF-8.", { cause });
  }
  const bytes = new TextEncoder().encode(pair);
  if (!headers.has("authorization")) headers.set("authorization", `Basic ${btoa(String.fromCharCode(...bytes))}`);
  url.username = url.password = "";
}

/** The body decompressed and limited; `done` is called once it has ended, failed or been cancelled. */
function readable(answer: Answer, maxBytes: number, done: () => void): Answer {
  if (!answer.body) {
    done();
    return answer;
  }
  const decoders = decodersFor(answer.headers.get("content-encoding"));
  if (!decoders || decoders.length === 0) return { ...answer, body: guarded(answer.body, maxBytes, done) };
  let { body } = answer;
  for (const decoder of decoders) body = decodeBody(limitBody(body, maxBytes), decoder);
  // They speak of bytes that nobody sees any more.
  answer.headers.delete("content-encoding");
  answer.headers.delete("content-length");
  return { ...answer, body: guarded(body, maxBytes, done) };
}

/** The same body, limited; a failure is told as its caller knows it. */
const guarded = (source: ReadableStream<Uint8Array>, maxBytes: number, done: () => void) =>
  limitBody(source, maxBytes, { done, outward });

/** The caller's own reason, where the caller ended it: `fetch` rejects with what `abort()` was given. */
const outward = (error: unknown): unknown =>
  error instanceof HttpError && error.kind === "aborted" && error.cause !== undefined ? error.cause : error;

/** A WHATWG `fetch` over the transport. */
export function createFetch(transport: Transport, userAgent: string, limits: HttpLimits): typeof fetch {
  return async (input, init = {}) => {
    const given = typeof input === "object" && "method" in input ? input : null;
    const method = normalMethod(init.method ?? given?.method ?? "GET");
    const body = "body" in init && init.body !== undefined ? (init.body as BodyInput) : given?.body;
    if (body !== null && body !== undefined && (method === "GET" || method === "HEAD"))
      throw new TypeError(`A ${method} request has no body.`);
    const redirect = init.redirect ?? given?.redirect ?? "follow";
    const signal = init.signal === undefined ? given?.signal : (init.signal ?? undefined);
    const headers = new Headers(init.headers ?? given?.headers);
    if (!headers.has("accept")) headers.set("accept", "*/*");
    const url = parseUrl(given ? given.url : String(input));
    signal?.throwIfAborted();
    try {
      const called = await call(transport, userAgent, {
        method,
        url,
        headers,
        body: toOutgoing(body),
        own: false,
        signal,
        limits: redirect === "follow" ? limits : { ...limits, redirects: 0 },
        beyond: redirect === "manual" ? "answer" : "error",
      });
      return toResponse(called);
    } catch (error) {
      throw outward(error);
    }
  };
}

function normalMethod(raw: string): string {
  const method = raw.toUpperCase();
  if (!/^[A-Z-]+$/.test(method) || ["CONNECT", "TRACE", "TRACK"].includes(method))
    throw new TypeError(`${JSON.stringify(raw)} is not a method that may be sent.`);
  return method;
}

function toResponse({ status, statusText, headers, body, url, redirected }: Called): Response {
  // A Response refuses status codes outside 200 to 599, and reason phrases beyond latin-1.
  if (status > 599) {
    void body?.cancel().catch(() => {});
    throw new HttpError("bad_answer", `The response has the status ${status}.`, true);
  }
  const text = /^[\t\x20-\x7e\x80-\xff]*$/.test(statusText) ? statusText : "";
  const dressed = (response: Response): Response =>
    Object.defineProperties(response, {
      url: { value: url.href.replace(/#.*$/, "") },
      redirected: { value: redirected },
      clone: { value: () => dressed(Response.prototype.clone.call(response) as Response) },
    });
  return dressed(new Response(body, { status, statusText: text, headers }));
}
