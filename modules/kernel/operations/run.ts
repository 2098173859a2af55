import type { z } from "zod";
import type { Actor, Ctx, ManualCtx, OpenManualCtx, Services } from "../context.ts";
import { toAppError } from "../errors.ts";
import type { Kernel } from "../kernel.ts";
import { enqueue } from "../queues/enqueue.ts";
import { sha256Hex } from "../secrets/signatures.ts";
import { type AuditNote, noteInto, writeAudit } from "./audit.ts";
import { authorise, callerId } from "./authorise.ts";
import { type Idempotency, idempotencyKey, replayOr } from "./idempotency.ts";
import { parseInput } from "./input.ts";
import { type AnyOperation, isRead, type ManualOperation, replays, type TenantOperation } from "./operation.ts";
import { outputOf, type Reply, replyOf, targetOf } from "./reply.ts";
import { auditedSteps, inSteps } from "./steps.ts";

/**
 * How an operation runs, whoever calls it: authorise, parse, idempotency, the handler in its transactions, audit, answer.
 * HTTP (api.ts) is one caller of `perform`; tools are another. `invoke` runs an operation as a part of another act.
 */

export type Caller = {
  actor: Actor;
  /** Null for operations without a tenant. */
  tenantId: string | null;
  requestId: string;
  signal?: AbortSignal;
  /** The database's clock, when the caller has just read it. */
  now?: Date;
  idempotencyKey?: string | null;
  /** For handlers that read a binary body or a header of their own. */
  request?: Request;
};

/** Handlers of JSON operations do not look at it. */
const internalRequest = () => new Request("http://internal/");

/**
 * Runs an operation for a caller. `read` returns the raw input and is called only after the caller was authorised.
 * Throws AppError: unauthenticated, forbidden, invalid, idempotency_*, or what the handler throws.
 */
export async function perform(kernel: Kernel, op: AnyOperation, caller: Caller, read: () => unknown): Promise<Reply> {
  authorise(kernel.registry, op, caller.actor);
  const raw = await read();
  const input = parseInput(op, raw);
  const key = await keyOf(op, caller, raw);
  const request = caller.request ?? internalRequest();
  return op.auth === "tenant"
    ? await performInTeam(kernel, op, caller, input, request, key)
    : await performOutside(kernel, op, caller, input, request, key);
}

async function performInTeam(
  kernel: Kernel,
  op: TenantOperation | ManualOperation,
  caller: Caller,
  input: Record<string, unknown>,
  request: Request,
  key: Idempotency | null,
): Promise<Reply> {
  const { actor, tenantId, requestId, signal, now } = caller;
  if (tenantId === null) throw new Error(`${op.id} runs inside a tenant, and its caller names none`);
  const scope = { actor, tenantId, requestId, signal };
  if (op.transaction === "manual")
    return await actInSteps(op, kernel.manual(scope), input, key, async (ctx) =>
      replyOf(op, await op.handle(ctx, input, request)),
    );
  return await kernel.run({ ...scope, now, replica: op.replica === true && isRead(op) }, (ctx) =>
    replayOr(ctx.db, op, key, async () => replyOf(op, await act(op, ctx, input, request))),
  );
}

/** Without a tenant there is no audit table: the log has the caller, the operation and its result, but not the input. */
async function performOutside(
  kernel: Kernel,
  op: Exclude<AnyOperation, { auth: "tenant" }>,
  caller: Caller,
  input: Record<string, unknown>,
  request: Request,
  key: Idempotency | null,
): Promise<Reply> {
  const ctx = openContext(kernel, op.id, caller);
  const logged = async (handle: () => Promise<Reply>): Promise<Reply> => {
    if (isRead(op)) return await handle();
    const line = { action: op.id, request_id: caller.requestId };
    try {
      const reply = await handle();
      kernel.log.info("an action outside a tenant", { ...line, state: "ok" });
      return reply;
    } catch (error) {
      kernel.log.info("an action outside a tenant", { ...line, state: "failed", error_code: toAppError(error).code });
      throw error;
    }
  };
  if (op.transaction === "manual") {
    const steps = {
      tx: <T>(fn: (db: Ctx["db"]) => Promise<T>) => ctx.tx((tx) => fn(tx.db)),
      log: kernel.log,
      requestId: caller.requestId,
      key,
      audit: null,
    };
    return await inSteps(op, steps, () => logged(async () => replyOf(op, await op.handle(ctx, input, request))));
  }
  return await ctx.tx((tx) =>
    replayOr(tx.db, op, key, () => logged(async () => replyOf(op, await op.handle(tx, input, request)))),
  );
}

/**
 * Runs an operation inside another act, in its transaction and as its actor: permission, input rules and an audit row of
 * its own, as for every other caller. Throws as `perform` does; a throw undoes the whole transaction.
 */
export async function invoke<I extends z.ZodObject, O extends z.ZodType>(
  op: TenantOperation<I, O>,
  ctx: Ctx,
  input: z.input<I>,
): Promise<z.output<O>> {
  authorise(ctx.registry, op, ctx.actor);
  return outputOf(op, await act(op, ctx, parseInput(op, input), internalRequest()));
}

/** The same for operations that call other services: they open their own transactions. */
export async function invokeManual<I extends z.ZodObject, O extends z.ZodType>(
  op: ManualOperation<I, O>,
  ctx: ManualCtx,
  input: z.input<I>,
): Promise<z.output<O>> {
  authorise(ctx.registry, op, ctx.actor);
  const parsed = parseInput(op, input);
  let output: { value: z.output<O> } | undefined;
  await actInSteps(op, ctx, parsed, null, async (inner) => {
    output = { value: outputOf(op, await op.handle(inner, parsed, internalRequest())) };
    return { status: 200, body: output.value };
  });
  return output!.value;
}

/** One transaction: the handler, and the audit row beside its effect. */
async function act<I extends z.ZodObject, O extends z.ZodType>(
  op: TenantOperation<I, O>,
  ctx: Ctx,
  input: z.output<I>,
  request: Request,
): Promise<z.input<O> | Response> {
  const notes: AuditNote[] = [];
  const result = await op.handle({ ...ctx, audit: noteInto(notes) }, input, request);
  if (!isRead(op)) notes.push(inputNote(op, input));
  if (notes.length > 0) await writeAudit(ctx.db, { ...ctx, action: op.id }, notes);
  return result;
}

/** Several transactions; see steps.ts. */
async function actInSteps(
  op: AnyOperation,
  ctx: ManualCtx,
  input: Record<string, unknown>,
  key: Idempotency | null,
  handle: (ctx: ManualCtx) => Promise<Reply>,
): Promise<Reply> {
  const { inner, audit } = auditedSteps(ctx, op.id, inputNote(op, input));
  const steps = {
    tx: <T>(fn: (db: Ctx["db"]) => Promise<T>) => ctx.tx((tx) => fn(tx.db)),
    log: ctx.log,
    requestId: ctx.requestId,
    key,
    audit: isRead(op) ? null : audit,
  };
  return await inSteps(op, steps, () => handle(inner));
}

const inputNote = (op: { path: string }, input: Record<string, unknown>): AuditNote => ({
  detail: { input },
  target: targetOf(op, input) ?? null,
});

/** A key belongs to one tenant, or to one user where no tenant is given. */
async function keyOf(op: AnyOperation, caller: Caller, raw: unknown): Promise<Idempotency | null> {
  const key = replays(op) ? idempotencyKey(caller.idempotencyKey) : null;
  if (key === null) return null;
  const hash = await sha256Hex(`${op.id}\n${JSON.stringify(raw)}`);
  return { scope: caller.tenantId ?? callerId(caller.actor), key, hash };
}

function openContext(kernel: Kernel, action: string, caller: Caller): OpenManualCtx {
  const { config, configOf, http, vault, log, metrics, registry }: Services = kernel;
  const outside = {
    ...{ config, configOf, http, vault, log, metrics, registry },
    actor: caller.actor,
    requestId: caller.requestId,
    audit: (detail: Record<string, unknown>, target?: string) =>
      log.info(action, { request_id: caller.requestId, target, ...detail }),
  };
  return {
    ...outside,
    tx: (fn) =>
      kernel.database.tx({ role: "overture_worker", tenantId: null, request: true }, (db, now) =>
        fn({
          ...outside,
          ...{ db, now },
          enqueue: (consumer, payloads, options) => enqueue(db, consumer, payloads, options?.delaySeconds ?? 0),
        }),
      ),
  };
}
