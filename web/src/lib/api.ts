import createClient from "openapi-fetch";
import type { paths } from "./api/schema.d.ts";
import type { Answer, Body, Operation, Path, Query } from "./api/types.ts";
import { ApiError, toApiError, type Problem } from "./errors.ts";

export const API_BASE = "/api/v1";

/** What the API client needs from the session; set once by session.svelte.ts so that neither imports the other. */
type Credentials = {
  token: () => Promise<string | null>;
  tenantId: () => string | null;
  /** Called on a 401 with a token: true when a fresh token is at hand and the call is worth repeating. */
  renew: () => Promise<boolean>;
  /** Called on a 403. */
  refused: () => void;
};
let credentials: Credentials = {
  token: async () => null,
  tenantId: () => null,
  renew: async () => false,
  refused: () => undefined,
};
export function useCredentials(given: Credentials): void {
  credentials = given;
}

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
/** The documented paths that have this method. */
export type PathsWith<M extends Lowercase<Method>> = {
  [P in keyof paths]: paths[P] extends Record<M, unknown> ? P : never;
}[keyof paths] &
  string;

export type Options<O> = {
  query?: Query<O>;
  body?: Body<O>;
  signal?: AbortSignal;
  /** Reuse the same key when a person repeats the same intent, e.g. pressing Save again after a timeout. */
  idempotencyKey?: string;
} & ([Path<O>] extends [never] ? { path?: undefined } : { path: Path<O> });
export type Rest<O> = [Path<O>] extends [never] ? [options?: Options<O>] : [options: Options<O>];
type AnyOptions = { path?: object; query?: object; body?: unknown; signal?: AbortSignal; idempotencyKey?: string };

/** Headers every call carries; also for calls that fetch() cannot make (upload progress, downloads). */
async function authHeaders(): Promise<Record<string, string>> {
  const headers: Record<string, string> = {};
  const token = await credentials.token();
  if (token) headers["authorization"] = `Bearer ${token}`;
  const tenant = credentials.tenantId();
  if (tenant) headers["x-tenant-id"] = tenant;
  return headers;
}

const client = createClient<paths>({ baseUrl: API_BASE });
client.use({
  async onRequest({ request }) {
    for (const [name, value] of Object.entries(await authHeaders())) request.headers.set(name, value);
    return request;
  },
});

async function call<T>(method: Method, path: string, options: AnyOptions = {}): Promise<T> {
  const headers: Record<string, string> = {};
  if (method !== "GET") headers["idempotency-key"] = options.idempotencyKey ?? crypto.randomUUID();
  const query = Object.fromEntries(
    Object.entries(options.query ?? {}).filter(([, v]) => v !== undefined && v !== null && v !== ""),
  );
  const init = { params: { path: options.path ?? {}, query }, body: options.body, headers, signal: options.signal };
  const send = () =>
    (
      client.request as unknown as (
        m: string,
        p: string,
        i: unknown,
      ) => Promise<{ data?: T; error?: unknown; response: Response }>
    )(method.toLowerCase(), path, init);
  try {
    let result = await send();
    if (result.response.status === 401 && (await credentials.token()) && (await credentials.renew()))
      result = await send();
    // Asking who we are must not ask who we are.
    if (result.response.status === 403 && path !== "/auth/me") credentials.refused();
    if (!result.response.ok) throw problemFrom(result.response, result.error);
    return result.data as T;
  } catch (thrown) {
    if (thrown instanceof DOMException && thrown.name === "AbortError") throw thrown;
    throw toApiError(thrown);
  }
}

/** Builds the typed error of a refused response; HTML or empty bodies still give a readable one. */
export function problemFrom(response: Response, body: unknown): ApiError {
  const problem: Problem =
    body && typeof body === "object"
      ? (body as Problem)
      : { detail: `The server responded with ${response.status} ${response.statusText}`.trim() + "." };
  const after = Number(response.headers.get("retry-after"));
  return new ApiError(response.status, problem, Number.isFinite(after) && after > 0 ? after : null);
}

/** Every call is checked against the API document: path, path parameters, query names, body and answer. */
export const api = {
  get: <P extends PathsWith<"get">>(path: P, ...[options]: Rest<Operation<P, "get">>) =>
    call<Answer<Operation<P, "get">>>("GET", path, options),
  post: <P extends PathsWith<"post">>(path: P, ...[options]: Rest<Operation<P, "post">>) =>
    call<Answer<Operation<P, "post">>>("POST", path, options),
  put: <P extends PathsWith<"put">>(path: P, ...[options]: Rest<Operation<P, "put">>) =>
    call<Answer<Operation<P, "put">>>("PUT", path, options),
  patch: <P extends PathsWith<"patch">>(path: P, ...[options]: Rest<Operation<P, "patch">>) =>
    call<Answer<Operation<P, "patch">>>("PATCH", path, options),
  delete: <P extends PathsWith<"delete">>(path: P, ...[options]: Rest<Operation<P, "delete">>) =>
    call<Answer<Operation<P, "delete">>>("DELETE", path, options),
};

/** Streams a file with upload progress, which fetch cannot report. `onProgress` gets 0..1. */
export async function upload<T>(
  path: string,
  file: File,
  onProgress: (share: number) => void,
  signal?: AbortSignal,
): Promise<T> {
  const headers = await authHeaders();
  return new Promise<T>((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `${API_BASE}${path}`);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.setRequestHeader("content-type", "text/csv");
    request.upload.onprogress = (e) => e.lengthComputable && onProgress(e.loaded / e.total);
    request.onerror = () => reject(toApiError(new TypeError("network")));
    request.onabort = () => reject(new DOMException("The upload was cancelled.", "AbortError"));
    request.onload = () => {
      let body: unknown = null;
      try {
        body = JSON.parse(request.responseText);
      } catch {
        /* answered below by status */
      }
      if (request.status >= 200 && request.status < 300) resolve(body as T);
      else
        reject(
          problemFrom(new Response(null, { status: request.status || 500, statusText: request.statusText }), body),
        );
    };
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.send(file);
  });
}

/** Downloads an authorised file under a name; a plain link could not carry the token. */
export async function download(path: string, fileName: string): Promise<void> {
  let response: Response;
  try {
    response = await fetch(`${API_BASE}${path}`, { headers: await authHeaders() });
  } catch (thrown) {
    throw toApiError(thrown);
  }
  if (!response.ok) throw problemFrom(response, await response.json().catch(() => null));
  const url = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = fileName;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
