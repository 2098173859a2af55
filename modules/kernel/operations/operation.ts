import type { z } from "zod";
import type { Ctx, ManualCtx, OpenCtx, OpenManualCtx } from "../context.ts";

/**
 * An operation: one thing the product does for a caller. Declared once, it is an HTTP route, an entry of the OpenAPI
 * document, a tool (tools.ts) and an audited act. The kernel adds authentication, permission, parsing, the transaction,
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
  /** The answer shows a secret, once: it is not kept for Idempotency-Key. */
  secretAnswer?: true;
  /** Takes away what cannot be had back, so a tool asks a person first. Default: whether the method is DELETE. */
  destructive?: boolean;
};

/** Handlers are methods: their parameters are compared both ways, so that a registry may hold operations of every input. */
type TenantDef<I extends z.ZodObject, O extends z.ZodType> = Base<I, O> & {
  /** A key of some module's `permissions`. */
  permission: string;
  /** Only reads, and may answer from a replica that is seconds behind: dashboards and statistics, never what one just wrote. */
  replica?: true;
  handle(ctx: Ctx, input: z.output<I>, request: Request): Promise<z.input<O> | Response>;
};
type ManualDef<I extends z.ZodObject, O extends z.ZodType> = Base<I, O> & {
  permission: string;
  handle(ctx: ManualCtx, input: z.output<I>, request: Request): Promise<z.input<O> | Response>;
};
type OpenDef<I extends z.ZodObject, O extends z.ZodType> = Base<I, O> & {
  /** `user`: signed in, no tenant needed. `public`: anybody; limited by address. */
  auth: "user" | "public";
  handle(ctx: OpenCtx, input: z.output<I>, request: Request): Promise<z.input<O> | Response>;
};
type OpenManualDef<I extends z.ZodObject, O extends z.ZodType> = Base<I, O> & {
  auth: "user" | "public";
  handle(ctx: OpenManualCtx, input: z.output<I>, request: Request): Promise<z.input<O> | Response>;
};

export type TenantOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodType = z.ZodType> = TenantDef<I, O> & {
  auth: "tenant";
  transaction: "one";
};

/** Opens its own transactions, because it calls other services between them. */
export type ManualOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodType = z.ZodType> = ManualDef<I, O> & {
  auth: "tenant";
  transaction: "manual";
};

/** For callers without a tenant. */
type OpenOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodType = z.ZodType> = OpenDef<I, O> & {
  transaction: "one";
};

/** Opens its own transactions: signing in waits for the auth server, and a connection must not wait with it. */
type OpenManualOperation<I extends z.ZodObject = z.ZodObject, O extends z.ZodType = z.ZodType> = OpenManualDef<I, O> & {
  transaction: "manual";
};

/** An operation of any of the four kinds, with its own input and output. */
export type Operation<I extends z.ZodObject, O extends z.ZodType> =
  TenantOperation<I, O> | ManualOperation<I, O> | OpenOperation<I, O> | OpenManualOperation<I, O>;

/** Any operation, as the registry holds it. */
export type AnyOperation = Operation<z.ZodObject, z.ZodType>;

/** The usual operation: inside a tenant, one transaction. */
export const defineOperation = <I extends z.ZodObject, O extends z.ZodType>(
  def: TenantDef<I, O>,
): TenantOperation<I, O> => ({ ...def, auth: "tenant", transaction: "one" });

/** For operations that call other services: the handler opens transactions itself with `ctx.tx`. */
export const defineManualOperation = <I extends z.ZodObject, O extends z.ZodType>(
  def: ManualDef<I, O>,
): ManualOperation<I, O> => ({ ...def, auth: "tenant", transaction: "manual" });

/** For callers without a tenant. */
export const defineOpenOperation = <I extends z.ZodObject, O extends z.ZodType>(
  def: OpenDef<I, O>,
): OpenOperation<I, O> => ({ ...def, transaction: "one" });

/** For callers without a tenant, when the operation calls other services. */
export const defineOpenManualOperation = <I extends z.ZodObject, O extends z.ZodType>(
  def: OpenManualDef<I, O>,
): OpenManualOperation<I, O> => ({ ...def, transaction: "manual" });

/** Names of `{param}` segments. */
export const pathParams = (path: string): string[] => [...path.matchAll(/\{(\w+)\}/g)].map((m) => m[1]!);

/** Whether the operation changes nothing: then it writes no audit row, keeps no Idempotency-Key and takes no JSON body. */
export const isRead = (op: Pick<AnyOperation, "method">): boolean => op.method === "GET";

/** Whether the answer is JSON, not a file. */
export const answersJson = (op: Pick<AnyOperation, "mediaType" | "body">): boolean =>
  op.mediaType === undefined || op.body === "binary";

/**
 * Whether an Idempotency-Key is kept: for acts of a known caller whose answer is JSON and may be stored. Not for a binary body: it
 * is a stream that is read once, by the handler, so another file under the same key could not be told from the first.
 */
export const replays = (op: AnyOperation): boolean =>
  !isRead(op) && op.auth !== "public" && !op.secretAnswer && op.body !== "binary" && answersJson(op);
