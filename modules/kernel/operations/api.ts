import { type Context as HonoContext, Hono } from "hono";
import { z } from "zod";
import { type Authenticator, callerAddress, createAuthenticator, credentialOf } from "./auth.ts";
import type { Actor, OpenCtx } from "../context.ts";
import { AppError, toAppError, toProblem } from "../errors.ts";
import { idempotencyKey, keep, replay } from "./idempotency.ts";
import { uuid7 } from "../database/ids.ts";
import { parseInput, readInput } from "./input.ts";
import type { Kernel, RunScope } from "../kernel.ts";
import { measureRequest } from "../observability/measure.ts";
import { type AnyOperation, isRead, pathParams, replays } from "./operation.ts";
import { roleAllows, scopesAllow } from "../registry.ts";
import { sha256Hex } from "../secrets/signatures.ts";

/** Turns operations into HTTP: authentication, rate limit, permission, parsing, transaction, idempotency, audit, problems. */

type Env = { Variables: { requestId: string } };
export type Api = Hono<Env>;

/** Adds a route per operation to `app`, below its base path. */
export function mountOperations(app: Api, kernel: Kernel): Api {
  const authenticator = createAuthenticator(kernel);
  for (const op of kernel.registry.operations) {
    app.on(op.method, op.path.replace(/\{(\w+)\}/g, ":$1"), async (c) => {
      const started = performance.now();
      let status = 500;
      try {
        const response = await answer(kernel, authenticator, op, c);
        status = response.status;
        return response;
      } catch (thrown) {
        const response = problemResponse(kernel, thrown, c.get("requestId"));
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
export function problemResponse(kernel: Pick<Kernel, "log">, thrown: unknown, requestId: string): Response {
  const error = toAppError(thrown);
  if (error.status >= 500) kernel.log.error("a request failed", { request_id: requestId, error: error.cause ?? error });
  const headers = new Headers({
    "content-type": "application/problem+json",
    "x-content-type-options": "nosniff",
    "x-request-id": requestId,
    "cache-control": "no-store",
  });
  if (error.retryAfter !== undefined) headers.set("retry-after", String(Math.ceil(error.retryAfter)));
  if (error.status === 401) headers.set("www-authenticate", "Bearer");
  return new Response(JSON.stringify(toProblem(error, requestId)), { status: error.status, headers });
}

async function answer(
  kernel: Kernel,
  authenticator: Authenticator,
  op: AnyOperation,
  c: HonoContext<Env>,
): Promise<Response> {
  const requestId = c.get("requestId");
  const request = c.req.raw;
  const headers: Record<string, string> = { "x-request-id": requestId, "cache-control": "no-store" };

  let actor: Actor = { kind: "anonymous", address: callerAddress(request.headers) };
  let tenantId: string | null = null;
  let now: Date | undefined;
  if (op.auth === "tenant") {
    const entered = await authenticator.enter(request.headers);
    ({ actor, tenantId, now } = entered);
    const { policy, limit, perSecond, remaining, retryAfter } = entered.rate;
    headers["ratelimit-policy"] = `"${policy}";q=${limit};w=${Math.ceil(limit / perSecond)}`;
    headers["ratelimit"] = `"${policy}";r=${remaining};t=${retryAfter || Math.ceil((limit - remaining) / perSecond)}`;
    if (retryAfter > 0) {
      const who = policy === "key" ? "This API key" : "Your team";
      const refused = problemResponse(
        kernel,
        new AppError("rate_limited", `${who} sends requests too fast.`, { retryAfter }),
        requestId,
      );
      for (const name of ["ratelimit", "ratelimit-policy"]) refused.headers.set(name, headers[name]!);
      return refused;
    }
    requirePermission(kernel, actor, op.permission);
  } else {
    const credential = credentialOf(request.headers);
    if (credential?.kind === "jwt") {
      // Who signs in again still carries the old, expired token: for a public operation it just counts for nothing.
      const person = await authenticator.person(credential.value).catch((error) => {
        if (op.auth === "user") throw error;
        return null;
      });
      if (person) actor = { kind: "user", ...person, role: null };
    }
    if (op.auth === "user" && actor.kind !== "user") throw new AppError("unauthenticated", "Sign in first.");
    await limitCaller(kernel, actor);
  }

  const raw = await readInput(op, c, kernel.config.bodyTimeoutMs);
  const input = parseInput(op, raw);
  const scope: RunScope = { actor, tenantId: tenantId ?? "", requestId, action: op.id, signal: request.signal };

  if (op.auth === "tenant" && op.transaction === "manual") {
    const ctx = kernel.manual(scope);
    const result = await op.handle(ctx, input, request);
    if (!isRead(op)) await kernel.run(scope, async (inner) => inner.audit({ input }, targetOf(op, input)));
    return respond(op, result, headers);
  }

  const key = replays(op) ? idempotencyKey(request.headers) : null;
  const idempotency =
    key === null
      ? null
      : {
          scope: tenantId ?? callerId(actor),
          key,
          hash: await sha256Hex(`${op.id}\n${JSON.stringify(raw)}`),
        };

  if (op.auth === "tenant") {
    return await kernel.run({ ...scope, now, replica: op.replica === true && isRead(op) }, async (ctx) => {
      const replayed = idempotency && (await replay(ctx.db, op, idempotency, headers));
      if (replayed) return replayed;
      const result = await op.handle(ctx, input, request);
      // The audit row of every act, with its input; handlers may add facts of their own.
      if (!isRead(op)) ctx.audit({ input }, targetOf(op, input));
      const response = respond(op, result, headers);
      if (idempotency) await keep(ctx.db, op, idempotency, response);
      return response;
    });
  }

  const open = <T>(fn: (ctx: OpenCtx) => Promise<T>): Promise<T> =>
    kernel.database.tx({ role: "overture_worker", tenantId: null }, (db, now) => fn({ ...outside, db, now }));
  const outside: Omit<OpenCtx, "db" | "now"> = {
    config: kernel.config,
    configOf: kernel.configOf,
    http: kernel.http,
    vault: kernel.vault,
    log: kernel.log,
    metrics: kernel.metrics,
    registry: kernel.registry,
    actor,
    requestId,
    // Without a tenant there is no audit table to write to; the log keeps the act.
    audit: (detail, target) => kernel.log.info(op.id, { request_id: requestId, target, ...detail }),
  };
  if (op.transaction === "manual")
    return respond(op, await op.handle({ ...outside, tx: open }, input, request), headers);
  return await open(async (ctx) => {
    const replayed = idempotency && (await replay(ctx.db, op, idempotency, headers));
    if (replayed) return replayed;
    const response = respond(op, await op.handle(ctx, input, request), headers);
    if (idempotency) await keep(ctx.db, op, idempotency, response);
    return response;
  });
}

function requirePermission(kernel: Kernel, actor: Actor, permission: string): void {
  if (actor.kind === "user") {
    if (actor.role && roleAllows(kernel.registry, actor.role, permission)) return;
    const least = kernel.registry.permissions.get(permission);
    throw new AppError("forbidden", `Your role (${actor.role ?? "none"}) does not have ${permission}.`, {
      suggestion: `Ask for the role ${least} or above.`,
    });
  }
  if (actor.kind === "api_key" && scopesAllow(actor.scopes, permission)) return;
  throw new AppError("forbidden", `The API key lacks a scope for ${permission}.`, {
    suggestion: "Make a key with that scope.",
  });
}

const callerId = (actor: Actor): string =>
  actor.kind === "user" ? `user:${actor.userId}` : actor.kind === "anonymous" ? `address:${actor.address}` : "other";

async function limitCaller(kernel: Kernel, actor: Actor): Promise<void> {
  const [row] = await kernel.database.tx(
    { role: "overture_worker", tenantId: null },
    (tx) =>
      tx<
        { taken: boolean; retry_after: number }[]
      >`select taken, retry_after from kernel.take_tokens(${`open:${callerId(actor)}`}, 60, 5)`,
  );
  if (row && !row.taken)
    throw new AppError("rate_limited", "Too many requests from your address.", {
      retryAfter: Math.max(1, row.retry_after),
    });
}

function respond(op: AnyOperation, result: unknown, headers: Record<string, string>): Response {
  if (result instanceof Response) {
    for (const [name, value] of Object.entries(headers)) if (!result.headers.has(name)) result.headers.set(name, value);
    return result;
  }
  const status = op.status ?? 200;
  if (status === 204) return new Response(null, { status, headers });
  // What leaves matches what the document promises; a mismatch is our fault, not the caller's.
  const output = op.output.safeParse(result);
  if (!output.success)
    throw new AppError("internal", "The answer does not fit its own schema.", {
      cause: new Error(`${op.id}: ${z.prettifyError(output.error)}`),
    });
  return new Response(JSON.stringify(output.data), {
    status,
    headers: { ...headers, "content-type": "application/json" },
  });
}

const targetOf = (op: AnyOperation, input: unknown): string | undefined => {
  const first = pathParams(op.path)[0];
  return first ? String((input as Record<string, unknown>)[first]) : undefined;
};

export const newRequestId = (given: string | null | undefined): string =>
  given && /^[\w-]{8,64}$/.test(given) ? given : uuid7();
