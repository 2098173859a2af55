import { addressParser } from "postal-mime";
import { HttpError } from "../../kernel/http/client.ts";
import type { HttpClient, HttpResponse } from "../../kernel/http/client.ts";
import type { EmailAddress, SendOutcome } from "../../kernel/provider.ts";

/** The tag or metadata key under which every provider carries our message id. Postmark allows 20 characters. */
export const MESSAGE_ID_KEY = "overture_message_id";

/** RFC 5322 address; control characters are dropped so that a name can never add a header. */
export function formatAddress({ email, name }: EmailAddress): string {
  const clean = (name ?? "").replace(/[\u0000-\u001f\u007f]+/g, " ").trim();
  return clean ? `"${clean.replace(/(["\\])/g, "\\$1")}" <${email}>` : email;
}

export function parseAddress(raw: string): EmailAddress {
  const first = addressParser(raw, { flatten: true })[0];
  return { email: (first?.address ?? raw).trim(), name: first?.name || null };
}

/** Seconds to wait: `Retry-After` (seconds or date), else the rate limit's reset. Undefined when neither is there. */
export function retryAfterSeconds(headers: Headers, now = new Date()): number | undefined {
  const value = headers.get("retry-after");
  if (value !== null) {
    const seconds = Number(value);
    if (Number.isFinite(seconds) && seconds >= 0) return Math.ceil(seconds);
    const date = Date.parse(value);
    if (!Number.isNaN(date)) return Math.max(0, Math.ceil((date - now.getTime()) / 1000));
  }
  const reset = Number(headers.get("ratelimit-reset") ?? Number.NaN);
  return Number.isFinite(reset) && reset >= 0 ? Math.ceil(reset) : undefined;
}

export const retry = (code: string, detail: string, after?: number): SendOutcome =>
  after === undefined ? { outcome: "retry", code, detail } : { outcome: "retry", code, detail, after_seconds: after };

/** A call that got no usable answer. Only a request that surely did not leave may be repeated. */
export function outcomeOfError(error: unknown): SendOutcome {
  if (!(error instanceof HttpError)) throw error;
  if (error.sent) return { outcome: "unknown", code: error.kind, detail: error.message };
  if (error.kind === "blocked") return { outcome: "broken", code: error.kind, detail: error.message };
  return retry(error.kind, error.message);
}

/** The answer's JSON, or null: an error page of a proxy is HTML. */
export function jsonOrNull(response: HttpResponse): unknown {
  try {
    return response.json();
  } catch {
    return null;
  }
}

export const joinUrl = (base: string, path: string) => `${base.replace(/\/+$/, "")}${path}`;

/** Header names are case-insensitive and may repeat. */
export function headerMap(pairs: Iterable<readonly [string, string]>): Record<string, string> {
  const map: Record<string, string> = {};
  for (const [rawName, value] of pairs) {
    const name = rawName.toLowerCase();
    map[name] = name in map ? `${map[name]}\n${value}` : value;
  }
  return map;
}

export const isoDate = (value: string): string | null => {
  const time = Date.parse(value);
  return Number.isNaN(time) ? null : new Date(time).toISOString();
};

export type Caller = (
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<HttpResponse>;

/** Binds base URL and authentication once. */
export const caller =
  (http: HttpClient, base: string, auth: Record<string, string>): Caller =>
  (method, path, body, headers = {}) =>
    http.json({
      method,
      url: joinUrl(base, path),
      headers: { ...auth, ...headers },
      ...(body === undefined ? {} : { body }),
    });
