import { z } from "zod";
import { AppError } from "../kernel/errors.ts";
import { HttpError } from "../kernel/http/client.ts";
import type { HttpClient, HttpResponse } from "../kernel/http/client.ts";
import { isRealTime } from "../kernel/operations/time.ts";
import type { SendOutcome } from "../kernel/provider.ts";

/** What every adapter over HTTP needs: calls with base URL and authentication bound, and answers read without guessing. */

/** Nobody waits longer than a day for an answer's word. */
const MAX_WAIT = 86_400;

/** Seconds to wait, a day at most: `Retry-After` (seconds or date), else the rate limit's reset. Undefined when neither is there. */
export function retryAfterSeconds(headers: Headers, now = new Date()): number | undefined {
  const value = headers.get("retry-after");
  if (value !== null) {
    const seconds = Number(value);
    if (Number.isFinite(seconds) && seconds >= 0) return Math.min(MAX_WAIT, Math.ceil(seconds));
    const date = Date.parse(value);
    if (!Number.isNaN(date)) return Math.min(MAX_WAIT, Math.max(0, Math.ceil((date - now.getTime()) / 1000)));
  }
  const reset = Number(headers.get("ratelimit-reset") ?? Number.NaN);
  return Number.isFinite(reset) && reset >= 0 ? Math.min(MAX_WAIT, Math.ceil(reset)) : undefined;
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

/** A webhook's body as text. Throws `invalid` when it is not UTF-8. */
export function textBody(body: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch {
    throw new AppError("invalid", "The body is not UTF-8 text.");
  }
}

/** A webhook's body as JSON. Throws `invalid` when it is none. */
export function jsonBody(body: Uint8Array): unknown {
  const text = textBody(body);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError("invalid", `The body is not JSON: ${(error as Error).message}`);
  }
}

/** The value in the schema's shape. Throws `invalid` that says what it should have been, such as `Resend webhook`. */
export function shaped<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (!result.success) throw new AppError("invalid", `Not a ${what}: ${z.prettifyError(result.error)}`);
  return result.data;
}

export const joinUrl = (base: string, path: string) => `${base.replace(/\/+$/, "")}${path}`;

/** As ISO 8601 in UTC; null for what is no date, and for years that Postgres or four digits cannot hold. */
export const isoDate = (value: string): string | null => {
  const time = Date.parse(value.slice(0, 100));
  const iso = Number.isNaN(time) ? "" : new Date(time).toISOString();
  return isRealTime(iso) ? iso : null;
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
