import type { z } from "zod";
import type { Ctx, ManualCtx } from "../context.ts";

/** What became of one message: finished, again in so many seconds, or never. Silence (a throw) counts as failure. */
export type Outcome =
  { kind: "done" } | { kind: "retry"; inSeconds?: number; reason?: string } | { kind: "dead"; reason: string };

export const done = (): Outcome => ({ kind: "done" });
/** Without seconds the kernel backs off: 2^n s with jitter. With them (a Retry-After) they win. */
export const retry = (inSeconds?: number, reason?: string): Outcome => ({ kind: "retry", inSeconds, reason });
export const dead = (reason: string): Outcome => ({ kind: "dead", reason });

export const DEFAULT_BATCH = 10;

type Base<P extends { tenant_id: string }> = {
  /** Queue name, one consumer each: `[a-z][a-z0-9_]*`. */
  queue: string;
  /** Parsed on enqueue and again on dequeue. Every message names its tenant. */
  payload: z.ZodType<P>;
  /** How long a message stays hidden while it is handled; comment the number with its reason. */
  visibilitySeconds: number;
  /** Deliveries before a message is a dead letter. */
  maxAttempts: number;
  /** Messages read at once; default DEFAULT_BATCH. */
  batch?: number;
  /** Batches handled at once per worker; default 1. */
  concurrency?: number;
  /** Milliseconds a worker lets messages gather after a batch that was not full; default 0. The first after a silence never waits. */
  gatherMs?: number;
};

/** Handler and acknowledgement commit together: a consumer that only writes to the database acts exactly once. */
type TxConsumer<P extends { tenant_id: string } = { tenant_id: string }> = Base<P> & {
  transaction: "one";
  handle(ctx: Ctx, payload: P): Promise<Outcome>;
  /** All messages of one tenant in a batch, in one transaction; outcomes in the same order. */
  handleBatch?(ctx: Ctx, payloads: P[]): Promise<Outcome[]>;
};

/** For work that calls the outside; acknowledged after the handler returns, so it must be idempotent. */
type ManualConsumer<P extends { tenant_id: string } = { tenant_id: string }> = Base<P> & {
  transaction: "manual";
  handle(ctx: ManualCtx, payload: P): Promise<Outcome>;
};

/** Handlers are methods, compared both ways, so that a registry may hold consumers of every payload. */
export type AnyConsumer<P extends { tenant_id: string } = { tenant_id: string }> = TxConsumer<P> | ManualConsumer<P>;

export const defineConsumer = <P extends { tenant_id: string }>(
  def: Omit<TxConsumer<P>, "transaction">,
): AnyConsumer<P> => ({
  ...def,
  transaction: "one",
});

export const defineManualConsumer = <P extends { tenant_id: string }>(
  def: Omit<ManualConsumer<P>, "transaction">,
): AnyConsumer<P> => ({ ...def, transaction: "manual" });

/** `2^n` seconds, n = deliveries so far, at most an hour, plus up to a quarter of jitter so that failures spread out. */
export const backoffSeconds = (deliveries: number, random: () => number = Math.random): number =>
  Math.min(2 ** deliveries, 3600) * (1 + random() * 0.25);
