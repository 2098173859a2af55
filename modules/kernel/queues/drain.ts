import { type AnyConsumer, backoffSeconds, DEFAULT_BATCH, type Outcome } from "./consumer.ts";
import type { Ctx } from "../context.ts";
import { AppError, toAppError } from "../errors.ts";
import type { Kernel } from "../kernel.ts";

/**
 * One round of a consumer: read a batch, handle it, settle it. A consumer that only writes to the database settles in the
 * transaction of its writes. A message that throws is retried by itself, so a poisoned one never holds back its batch.
 */

type Row = { msg_id: number; read_ct: number; message: unknown };
type Parsed = Row & { payload: { tenant_id: string } };
type Settled = { msg_id: number } & (
  { kind: "done" } | { kind: "retry"; in: number } | { kind: "dead"; reason: string }
);

const noTenant = { role: "overture_worker", tenantId: null } as const;

/** Reads and settles one batch. Returns how many messages were read. */
export async function drainOnce(
  kernel: Kernel,
  consumer: AnyConsumer,
  signal: AbortSignal = kernel.signal,
): Promise<number> {
  // One round trip instead of four: the function checks its caller by its grant, and reads for all tenants anyway.
  const rows = await kernel.database.once(
    (sql) => sql<Row[]>`
      select msg_id, read_ct, message from kernel.dequeue(${consumer.queue}, ${consumer.visibilitySeconds}, ${consumer.batch ?? DEFAULT_BATCH})`,
  );
  if (rows.length === 0) return 0;

  const groups = new Map<string, Parsed[]>();
  const refused: Settled[] = [];
  for (const row of rows) {
    const parsed = consumer.payload.safeParse(row.message);
    if (!parsed.success) {
      const why = parsed.error.issues.map((i) => `${i.path.join(".")}: ${i.message}`).join("; ");
      refused.push({ msg_id: row.msg_id, kind: "dead", reason: `The payload does not fit: ${why}`.slice(0, 1000) });
    } else {
      const key = parsed.data.tenant_id;
      const message = { ...row, payload: parsed.data };
      const group = groups.get(key);
      if (group) group.push(message);
      else groups.set(key, [message]);
    }
  }
  if (refused.length > 0) await settle(kernel, consumer.queue, refused);

  for (const [tenantId, batch] of groups) {
    // Stopping: what is not begun goes back at once instead of waiting for its visibility to lapse.
    if (signal.aborted) {
      await settle(
        kernel,
        consumer.queue,
        batch.map((m) => ({ msg_id: m.msg_id, kind: "retry", in: 0 })),
      );
      continue;
    }
    await handleGroup(kernel, consumer, tenantId, batch, signal);
  }
  return rows.length;
}

async function handleGroup(
  kernel: Kernel,
  consumer: AnyConsumer,
  tenantId: string,
  batch: Parsed[],
  signal: AbortSignal,
): Promise<void> {
  const scope = { actor: { kind: "job", name: consumer.queue } as const, tenantId, action: consumer.queue, signal };
  const started = performance.now();
  const stopExtending = keepVisible(kernel, consumer, batch);
  try {
    if (consumer.transaction === "manual") {
      for (const m of batch) {
        if (signal.aborted) {
          await settle(kernel, consumer.queue, [{ msg_id: m.msg_id, kind: "retry", in: 0 }]);
          continue;
        }
        const outcome = await attempt(kernel, consumer, m, () => consumer.handle(kernel.manual(scope), m.payload));
        await settle(kernel, consumer.queue, [settled(consumer, m, outcome)]);
      }
    } else if (consumer.handleBatch && batch.length > 1) {
      try {
        await kernel.run(scope, async (ctx) => {
          const outcomes = await consumer.handleBatch!(
            ctx,
            batch.map((m) => m.payload),
          );
          if (outcomes.length !== batch.length)
            throw new Error(`${consumer.queue}: ${outcomes.length} outcomes for ${batch.length} messages`);
          await settleIn(
            ctx,
            consumer.queue,
            batch.map((m, i) => settled(consumer, m, outcomes[i]!)),
          );
        });
      } catch (error) {
        // Nothing was committed. One by one, so that only the guilty message pays.
        kernel.log.warn("a batch failed and is taken apart", { queue: consumer.queue, size: batch.length, error });
        for (const m of batch) await one(kernel, consumer, scope, m);
      }
    } else {
      for (const m of batch) await one(kernel, consumer, scope, m);
    }
  } finally {
    stopExtending();
    const seconds = (performance.now() - started) / 1000;
    kernel.metrics.count("overture_queue_messages_total", "Messages handled", { queue: consumer.queue }, batch.length);
    kernel.metrics.observe("overture_queue_batch_seconds", "Time to handle a batch", seconds, {
      queue: consumer.queue,
    });
  }
}

type JobScope = Parameters<Kernel["run"]>[0];

async function one(
  kernel: Kernel,
  consumer: Extract<AnyConsumer, { transaction: "one" }>,
  scope: JobScope,
  m: Parsed,
): Promise<void> {
  try {
    await kernel.run(scope, async (ctx) => {
      const outcome = consumer.handleBatch
        ? (await consumer.handleBatch(ctx, [m.payload]))[0]!
        : await consumer.handle(ctx, m.payload);
      await settleIn(ctx, consumer.queue, [settled(consumer, m, outcome)]);
    });
  } catch (error) {
    const outcome = await attempt(kernel, consumer, m, () => Promise.reject(error));
    await settle(kernel, consumer.queue, [settled(consumer, m, outcome)]);
  }
}

/** Turns a throw into an outcome: expected refusals are final, everything else is tried again. */
async function attempt(
  kernel: Kernel,
  consumer: AnyConsumer,
  m: Parsed,
  handle: () => Promise<Outcome>,
): Promise<Outcome> {
  try {
    return await handle();
  } catch (thrown) {
    const error = toAppError(thrown);
    const final = error.status < 500 && error.code !== "rate_limited" && error.code !== "conflict";
    kernel.log[final ? "warn" : "error"]("a message failed", {
      queue: consumer.queue,
      msg_id: m.msg_id,
      deliveries: m.read_ct,
      error: thrown,
    });
    if (final) return { kind: "dead", reason: `${error.code}: ${error.message}` };
    const cause = error.code === "internal" && error.cause instanceof Error ? error.cause.message : error.message;
    return { kind: "retry", inSeconds: error.retryAfter, reason: `${error.code}: ${cause}` };
  }
}

function settled(consumer: AnyConsumer, m: Row, outcome: Outcome): Settled {
  if (outcome.kind === "retry") {
    if (m.read_ct >= consumer.maxAttempts) {
      return {
        msg_id: m.msg_id,
        kind: "dead",
        reason: `Gave up after ${m.read_ct} deliveries. ${outcome.reason ?? ""}`.trim().slice(0, 1000),
      };
    }
    return { msg_id: m.msg_id, kind: "retry", in: outcome.inSeconds ?? backoffSeconds(m.read_ct) };
  }
  return outcome.kind === "dead"
    ? { msg_id: m.msg_id, kind: "dead", reason: outcome.reason.slice(0, 1000) }
    : { msg_id: m.msg_id, kind: "done" };
}

const settleIn = (ctx: Pick<Ctx, "db">, queue: string, outcomes: Settled[]) =>
  ctx.db`select kernel.settle(${queue}, ${ctx.db.json(outcomes)})`;

/** Settling outside the handler's transaction needs the worker role but no tenant. */
async function settle(kernel: Kernel, queue: string, outcomes: Settled[]): Promise<void> {
  await kernel.database.tx(noTenant, (tx) => settleIn({ db: tx }, queue, outcomes));
}

/** While a handler is slower than the visibility, its messages are kept hidden, so that no second worker takes them. */
function keepVisible(kernel: Kernel, consumer: AnyConsumer, batch: Parsed[]): () => void {
  const timer = setInterval(
    () => {
      const ids = batch.map((m) => m.msg_id);
      kernel.database
        .tx(
          noTenant,
          (tx) =>
            tx`select kernel.extend_visibility(${consumer.queue}, ${ids}::bigint[], ${consumer.visibilitySeconds})`,
        )
        .catch((error) => kernel.log.warn("visibility could not be extended", { queue: consumer.queue, error }));
    },
    (consumer.visibilitySeconds * 1000) / 2,
  );
  return () => clearInterval(timer);
}

/** Raised when a worker is configured for a queue that does not exist. */
export function chooseConsumers(kernel: Kernel): AnyConsumer[] {
  const wanted = kernel.config.workerType;
  if (wanted === "all") return kernel.registry.consumers;
  const names = wanted.split(",").map((n) => n.trim());
  return names.flatMap((name) => {
    // A module's name stands for all of its queues: WORKER_TYPE=enrichment.
    const found = kernel.registry.consumers.filter((c) => c.queue === name || c.queue.startsWith(`${name}_`));
    if (found.length === 0) {
      const all = kernel.registry.consumers.map((c) => c.queue).join(", ");
      throw new AppError("invalid", `WORKER_TYPE names ${name}, which is no queue or module. Queues: ${all}`);
    }
    return found;
  });
}
