import { type Context as HonoContext, Hono } from "hono";
import {
  type Authenticator,
  callerAddress,
  createAuthenticator,
  credentialOf,
  type RateLimit,
  sessionEnded,
} from "./auth.ts";
import { authorise, callerId } from "./authorise.ts";
import type { Actor } from "../context.ts";
import { AppError, toAppError, toProblem } from "../errors.ts";
import { uuid7 } from "../database/ids.ts";
import { readInput } from "./input.ts";
import type { Kernel } from "../kernel.ts";
import { measureRequest } from "../observability/measure.ts";
import type { AnyOperation } from "./operation.ts";
import type { Reply } from "./reply.ts";
import { type Caller, perform } from "./run.ts";

/** Turns operations into HTTP: who calls, how often they may, reading the request, `perform` (run.ts), the response. */

type Env = { Variables: { requestId: string } };
export type Api = Hono<Env>;

/** Adds a route per operation to `app`, below its base path. */
export function mountOperations(app: Api, kernel: Kernel): Api {
  const authenticator = createAuthenticator(kernel);
  for (const op of kernel.registry.operations) {
    app.on(op.method, op.path.replace(/\{(\w+)\}/g, ":$1"), async (c) => {
      const started = performance.now();
      const headers = { "x-request-id": c.get("requestId"), "cache-control": "no-store" };
      let status = 500;
      try {
        const response = await answer(kernel, authenticator, op, c, headers);
        status = response.status;
        return response;
      } catch (thrown) {
        const response = problemResponse(kernel, thrown, c.get("requestId"), headers);
        status = response.status;
        return response;
      } finally {
        measureRequest(kernel, {
          operation: op.id,
          method: op.method,
          route: op.path,
          status,
          seconds: (performance.now() - started) / 1000,
          left: c.req.raw.signal.aborted,
        });
      }
    });
  }
  return app;
}

/** Any thrown thing as problem+json; what is ours alone goes to the log under the request id. */
export function problemResponse(
  kernel: Pick<Kernel, "log">,
  thrown: unknown,
  requestId: string,
  known: Record<string, string> = {},
): Response {
  const error = toAppError(thrown);
  if (error.status >= 500) kernel.log.error("a request failed", { request_id: requestId, error: error.cause ?? error });
  const headers = new Headers({
    ...known,
    "content-type": "application/problem+json",
    "x-content-type-options": "nosniff",
    "x-request-id": requestId,
    "cache-control": "no-store",
  });
  if (error.retryAfter !== undefined) headers.set("retry-after", String(Math.ceil(error.retryAfter)));
  if (error.status === 401) headers.set("www-authenticate", "Bearer");
  return new Response(JSON.stringify(toProblem(error, requestId)), { status: error.status, headers });
}

/** One request from its credential to its response. `headers` is filled as things become known, for problems too. */
async function answer(
  kernel: Kernel,
  authenticator: Authenticator,
  op: AnyOperation,
  c: HonoContext<Env>,
  headers: Record<string, string>,
): Promise<Response> {
  const request = c.req.raw;
  const entered =
    op.auth === "tenant"
      ? await enterTeam(authenticator, request, headers)
      : await enterAlone(kernel, authenticator, op, request);
  const caller: Caller = {
    ...entered,
    requestId: c.get("requestId"),
    signal: request.signal,
    idempotencyKey: request.headers.get("idempotency-key"),
    request,
  };
  const reply = await perform(kernel, op, caller, () => readInput(op, c, kernel.config.bodyTimeoutMs));
  return respond(reply, headers);
}

type Entered = Pick<Caller, "actor" | "tenantId" | "now">;

/** Into a team, by a session or an API key. Takes a token of its rate limits; throws `rate_limited` when there is none. */
async function enterTeam(
  authenticator: Authenticator,
  request: Request,
  headers: Record<string, string>,
): Promise<Entered> {
  const { actor, tenantId, now, rate } = await authenticator.enter(request.headers);
  Object.assign(headers, rateHeaders(rate));
  if (rate.retryAfter > 0) {
    const who = rate.policy === "key" ? "This API key" : "Your workspace";
    throw new AppError("rate_limited", `${who} sends requests too fast.`, { retryAfter: rate.retryAfter });
  }
  return { actor, tenantId, now };
}

function rateHeaders({ policy, limit, perSecond, remaining, retryAfter }: RateLimit): Record<string, string> {
  return {
    "ratelimit-policy": `"${policy}";q=${limit};w=${Math.ceil(limit / perSecond)}`,
    ratelimit: `"${policy}";r=${remaining};t=${retryAfter || Math.ceil((limit - remaining) / perSecond)}`,
  };
}

/** Without a team: a person, or nobody in particular, limited by who or where they are. */
async function enterAlone(
  kernel: Kernel,
  authenticator: Authenticator,
  op: AnyOperation,
  request: Request,
): Promise<Entered> {
  let actor: Actor = { kind: "anonymous", address: callerAddress(request.headers) };
  const credential = credentialOf(request.headers);
  if (credential?.kind === "jwt") {
    // Who signs in again still carries the old, expired token: for a public operation it just counts for nothing.
    const person = await authenticator.person(credential.value).catch((error) => {
      if (op.auth === "user") throw error;
      return null;
    });
    if (person) actor = { kind: "user", ...person, role: null };
  }
  authorise(kernel.registry, op, actor);
  if (await limitCaller(kernel, actor)) return { actor, tenantId: null };
  // As with an expired token: good for nothing, and no obstacle where nobody needs to be signed in.
  if (op.auth === "user") throw sessionEnded();
  return { actor: { kind: "anonymous", address: callerAddress(request.headers) }, tenantId: null };
}

/** Takes a token of the caller's limit; whether the session of the caller's token still stands. */
async function limitCaller(kernel: Kernel, actor: Actor): Promise<boolean> {
  const session = actor.kind === "user" ? (actor.sessionId ?? null) : null;
  const [row] = await kernel.database.tx(
    { role: "overture_worker", tenantId: null, request: true },
    (tx) =>
      tx<
        { taken: boolean; retry_after: number; open: boolean }[]
      >`select taken, retry_after, kernel.session_open(${session}) as open from kernel.take_tokens(${`open:${callerId(actor)}`}, 60, 5)`,
  );
  if (row && !row.taken)
    throw new AppError("rate_limited", "Too many requests.", {
      retryAfter: Math.max(1, row.retry_after),
    });
  return row!.open;
}

function respond(reply: Reply, headers: Record<string, string>): Response {
  if (reply instanceof Response) {
    for (const [name, value] of Object.entries(headers)) if (!reply.headers.has(name)) reply.headers.set(name, value);
    return reply;
  }
  const all = { ...headers, ...(reply.replayed ? { "idempotency-replayed": "true" } : {}) };
  if (reply.status === 204) return new Response(null, { status: 204, headers: all });
  return new Response(JSON.stringify(reply.body), {
    status: reply.status,
    headers: { ...all, "content-type": "application/json" },
  });
}

export const newRequestId = (given: string | null | undefined): string =>
  given && /^[\w-]{8,64}$/.test(given) ? given : uuid7();
