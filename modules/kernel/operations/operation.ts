import type { z } from "zod";
import type { Ctx, ManualCtx, OpenCtx, OpenManualCtx } from "../context.ts";

/**
 * An operation: one thing the product does for a caller. Declared once, it is an HTTP route, a row in the OpenAPI
 * document and an audited act. The kernel adds authentication, permission, parsing, the transaction,
 * Idempotency-Key, audit and rate limits, so an author cannot forget one.
 */

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

type Base<I extends z.ZodObject, O extends z.ZodType> = {
  /** `campaigns.start`: audit action, operationId, log field. */
  id: string;
  method: Method;
  /** Below /api/v1, with `{param}` segments, e.g. `/campaigns/{id}/start`. */
  path: `/${string}`;
  summary: string;
  /** Longer text for the documentation. */
  description?: string;
  /** Path, query and JSON body in one object; the kernel splits them by the path's params and the method. */
  input: I;
  output: O;
  /** Success status; default 200. */
  status?: 200 | 201 | 202 | 204;
  /** `binary`: the body is not parsed and reaches the handler as `request`. */
  body?: "json" | "binary";
  /** The media type of a binary body or of a `Response` answer. */
  mediaType?: string;
};

export type TenantOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodType = z.ZodType> = Base<I, O> & {
  auth: "tenant";
  /** A key of some module's `permissions`. */
  permission: string;
  transaction: "one";
  /** Only reads, and may answer from a replica that is seconds behind: dashboards and statistics, never what one just wrote. */
  replica?: true;
  handle(ctx: Ctx, input: z.output<I>, request: Request): Promise<z.input<O> | Response>;
};

/** Opens its own transactions, because it calls the outside in between. Idempotency-Key is not replayed here. */
export type ManualOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodType = z.ZodType> = Base<I, O> & {
  auth: "tenant";
  permission: string;
  transaction: "manual";
  handle(ctx: ManualCtx, input: z.output<I>, request: Request): Promise<z.input<O> | Response>;
};

/** `user`: signed in, no tenant needed. `public`: anybody; limited by address. */
export type OpenOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodType = z.ZodType> = Base<I, O> & {
  auth: "user" | "public";
  transaction: "one";
  handle(ctx: OpenCtx, input: z.output<I>, request: Request): Promise<z.input<O> | Response>;
};

/** Opens its own transactions: signing in waits for the auth server, and a connection must not wait with it. */
export type OpenManualOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodType = z.ZodType> = Base<I, O> & {
  auth: "user" | "public";
  transaction: "manual";
  handle(ctx: OpenManualCtx, input: z.output<I>, request: Request): Promise<z.input<O> | Response>;
};

export type AnyOperation = TenantOperation | ManualOperation | OpenOperation | OpenManualOperation;

/** The usual operation: inside a tenant, one transaction. */
export const defineOperation = <I extends z.ZodObject, O extends z.ZodType>(
  def: Omit<TenantOperation<I, O>, "auth" | "transaction">,
): AnyOperation => ({ ...def, auth: "tenant", transaction: "one" }) as unknown as AnyOperation;

/** For operations that call the outside: the handler opens transactions itself with `ctx.tx`. */
export const defineManualOperation = <I extends z.ZodObject, O extends z.ZodType>(
  def: Omit<ManualOperation<I, O>, "auth" | "transaction">,
): AnyOperation => ({ ...def, auth: "tenant", transaction: "manual" }) as unknown as AnyOperation;

/** For callers without a tenant. */
export const defineOpenOperation = <I extends z.ZodObject, O extends z.ZodType>(
  def: Omit<OpenOperation<I, O>, "transaction">,
): AnyOperation => ({ ...def, transaction: "one" }) as unknown as AnyOperation;

/** For callers without a tenant whose call goes on to the outside. */
export const defineOpenManualOperation = <I extends z.ZodObject, O extends z.ZodType>(
  def: Omit<OpenManualOperation<I, O>, "transaction">,
): AnyOperation => ({ ...def, transaction: "manual" }) as unknown as AnyOperation;

/** Names of `{param}` segments. */
export const pathParams = (path: string): string[] => [...path.matchAll(/\{(\w+)\}/g)].map((m) => m[1]!);

/** Whether the operation changes nothing: decides scopes of API keys, audit rows and idempotency. */
export const isRead = (op: Pick<AnyOperation, "method">): boolean => op.method === "GET";

/** Whether an Idempotency-Key is kept: only where the effect and the answer share one transaction and a known caller. */
export const replays = (op: AnyOperation): boolean => !isRead(op) && op.transaction === "one" && op.auth !== "public";

/** Runs an operation from inside another act, in the caller's transaction: the same input rules, no second permission check. */
export async function invoke<T>(op: AnyOperation, ctx: Ctx, input: unknown): Promise<T> {
  if (op.auth !== "tenant" || op.transaction !== "one")
    throw new Error(`${op.id} opens its own transactions; use invokeManual`);
  return (await op.handle(ctx, op.input.parse(input) as never, new Request("http://internal/"))) as T;
}

/** The same for operations that call the outside. */
export async function invokeManual<T>(op: AnyOperation, ctx: ManualCtx, input: unknown): Promise<T> {
  if (op.auth !== "tenant" || op.transaction !== "manual")
    throw new Error(`${op.id} wants an open transaction; use invoke`);
  return (await op.handle(ctx, op.input.parse(input) as never, new Request("http://internal/"))) as T;
}
