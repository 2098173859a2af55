import { z } from "zod";
import type { Ctx } from "../context.ts";
import { type AnyConsumer, defineConsumer, done } from "./consumer.ts";

/**
 * What happened, told from module to module: emitted in the transaction of the change, heard by whoever subscribed. The emitter
 * knows no subscriber, and a subscriber that fails holds back neither the emitter nor another subscriber.
 */
type Fact<Name extends string = string, P extends object = object> = {
  /** `message.sent`: a noun and what became of it. Unique in the installation. */
  name: Name;
  /** One item, of JSON values; items are emitted and heard in lists. Without the tenant, whom the message names. */
  payload: z.ZodType<P>;
};

// deno-lint-ignore no-explicit-any
export type AnyFact = Fact<string, any>;

export const defineFact = <Name extends string, S extends z.ZodObject>(def: {
  name: Name;
  payload: S;
}): Fact<Name, z.infer<S>> => def as never;

/** One heard item with the name of its fact: a union to switch on where a hearing has several. */
export type Heard<F> = F extends Fact<infer Name, infer P> ? { fact: Name; payload: P } : never;

/** A subscription: facts that arrive on a queue of the subscriber's own. */
export type Hearing = {
  facts: readonly AnyFact[];
  /** Boots also where the module that emits is switched off. */
  optional: boolean;
  consumer: AnyConsumer;
};

/** Items a queue message carries at most; as in kernel.emit. */
const MOST_ITEMS = 500;

/**
 * Subscribes a module to facts. `handle` gets what a batch holds for one tenant, in the order it was emitted, in one transaction
 * with the acknowledgement: what it writes is written once. Between batches there is no order (a retry, a second worker), so it
 * goes by what the tables say. A throw is tried again; an AppError's `retryAfter` says when.
 */
export const hear = <const F extends AnyFact>(
  facts: F | readonly F[],
  def: {
    /** Of this subscriber alone, made by its migration: `campaigns_message_facts`. */
    queue: string;
    handle(ctx: Ctx, items: Heard<F>[]): Promise<void>;
    /** The emitting module may be switched off; default false: then boot says so. */
    optional?: boolean;
    /** Queue messages (of up to 500 items) handled at once; default DEFAULT_BATCH. */
    batch?: number;
    /** Batches handled at once per worker; default 1. */
    concurrency?: number;
    /** How long a message stays hidden while it is handled; default 60 s. */
    visibilitySeconds?: number;
    /** Deliveries before a message is a dead letter; default 10, some twenty minutes of retries. */
    maxAttempts?: number;
  },
): Hearing => {
  const list: readonly F[] = Array.isArray(facts) ? facts : [facts as F];
  const message = z.discriminatedUnion(
    "fact",
    list.map((fact) =>
      z.object({
        tenant_id: z.uuid(),
        fact: z.literal(fact.name),
        items: z.array(fact.payload).min(1).max(MOST_ITEMS),
      }),
    ) as never,
  ) as unknown as z.ZodType<Message>;
  const handleBatch = async (ctx: Ctx, messages: readonly Message[]) => {
    const items = messages.flatMap((m) => m.items.map((payload) => ({ fact: m.fact, payload }) as Heard<F>));
    await def.handle(ctx, items);
    return messages.map(done);
  };
  return {
    facts: list,
    optional: def.optional ?? false,
    consumer: defineConsumer<Message>({
      queue: def.queue,
      payload: message,
      visibilitySeconds: def.visibilitySeconds ?? 60, // statements over a few thousand rows; kept hidden when they take longer
      maxAttempts: def.maxAttempts ?? 10, // some twenty minutes: an emitter's change is not told twice
      batch: def.batch,
      concurrency: def.concurrency,
      handle: async (ctx, m) => (await handleBatch(ctx, [m]))[0]!,
      handleBatch,
    }),
  };
};

type Message = { tenant_id: string; fact: string; items: object[] };
