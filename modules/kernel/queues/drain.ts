import { type AnyConsumer, backoffSeconds, DEFAULT_BATCH, type Outcome } from "./consumer.ts";
import type { Ctx } from "../context.ts";
import { AppError, toAppError } from "../errors.ts";
import type { Kernel } from "../kernel.ts";
import { plain } from "../text.ts";

/**
 * One round of a consumer: read a batch, handle it, settle it. A consumer that only writes to the database settles in the
 * transaction of its writes. A message that throws is retried by itself, so a poisoned one never holds back its batch.
 */

type Row = { msg_id: number; read_ct: number; message: unknown; held: string };
type Parsed = Row & { payload: { tenant_id: string } };
type Settled = { msg_id: number; read_ct: number } & (
  { kind: "done" } | { kind: "back" } | { kind: "retry"; in: number } | { kind: "dead"; reason: string }
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
      select msg_id, read_ct, message, vt::text as held
      from kernel.dequeue(${consumer.queue}, ${consumer.visibilitySeconds}, ${consumer.batch ?? DEFAULT_BATCH})`,
  );
  if (rows.length === 0) return 0;
  const hold = holdHidden(kernel, consumer, rows);
  try {
    await handleRows(kernel, consumer, rows, hold, signal);
  } finally {
    hold.end();
  }
  await kernel.refreshStatistics();
  return rows.length;
}

async function handleRows(
  kernel: Kernel,
  consumer: AnyConsumer,
  rows: readonly Row[],
  hold: Hold,
  signal: AbortSignal,
): Promise<void> {
  const groups = new Map<string, Parsed[]>();
  const refused: Settled[] = [];
  // As they were put on the queue: reading returns them in any order.
  for (const row of [...rows].sort((a, b) => a.msg_id - b.msg_id)) {
    const parsed = consumer.payload.safeParse(row.message);
    if (!parsed.success) {
      const why = parsed.error.issues.map((i) => `${i.path.join(".")}: ${i.message}`).join("; ");
      refused.push({
        ...read(row),
        kind: "dead",
        reason: plain(`The payload does not match its schema: ${why}`, 1000),
      });
    } else {
      const key = parsed.data.tenant_id;
      const message = { ...row, payload: parsed.data };
      const group = groups.get(key);
      if (group) group.push(message);
      else groups.set(key, [message]);
    }
  }
  if (refused.length > 0) await settle(kernel, consumer.queue, refused, hold);

  for (const [tenantId, batch] of groups) {
    // Stopping: what is not begun goes back at once instead of waiting for its visibility to lapse.
    if (signal.aborted) await settle(kernel, consumer.queue, batch.map(putBack), hold);
    else await handleGroup(kernel, consumer, tenantId, batch, hold, signal);
  }
}

/** What names this read of a message: a later one has a higher read_ct. */
const read = ({ msg_id, read_ct }: Row) => ({ msg_id, read_ct });
/** Not begun: a shutdown must not use up the deliveries a failing message has. */
const putBack = (m: Row): Settled => ({ ...read(m), kind: "back" });

async function handleGroup(
  kernel: Kernel,
  consumer: AnyConsumer,
  tenantId: string,
  batch: Parsed[],
  hold: Hold,
  signal: AbortSignal,
): Promise<void> {
  const scope = { actor: { kind: "job", name: consumer.queue } as const, tenantId, action: consumer.queue, signal };
  const started = performance.now();
  try {
    if (consumer.transaction === "manual") {
      for (const m of batch) {
        if (signal.aborted) {
          await settle(kernel, consumer.queue, [putBack(m)], hold);
          continue;
        }
        // What it does outside cannot be rolled back, so it is not begun for a message that somebody else has by now.
        if (!(await hold.isOurs(m))) {
          lost(kernel, consumer.queue, m.msg_id);
          continue;
        }
        const outcome = await attempt(kernel, consumer, m, () => consumer.handle(kernel.manual(scope), m.payload));
        await settle(kernel, consumer.queue, [settled(consumer, m, outcome)], hold);
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
        hold.release(batch);
      } catch (error) {
        // Nothing was committed. One by one, so that only the guilty message pays.
        kernel.log.warn("a batch failed; its messages are handled one by one", {
          queue: consumer.queue,
          size: batch.length,
          error,
        });
        for (const m of batch) await one(kernel, consumer, scope, m, hold);
      }
    } else {
      for (const m of batch) await one(kernel, consumer, scope, m, hold);
    }
  } finally {
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
  hold: Hold,
): Promise<void> {
  try {
    await kernel.run(scope, async (ctx) => {
      const outcome = consumer.handleBatch
        ? (await consumer.handleBatch(ctx, [m.payload]))[0]!
        : await consumer.handle(ctx, m.payload);
      await settleIn(ctx, consumer.queue, [settled(consumer, m, outcome)]);
    });
    hold.release([m]);
  } catch (error) {
    if (isLost(error)) {
      // Rolled back: the reader that has it now does the work.
      hold.release([m]);
      lost(kernel, consumer.queue, m.msg_id);
      return;
    }
    const outcome = await attempt(kernel, consumer, m, () => Promise.reject(error));
    await settle(kernel, consumer.queue, [settled(consumer, m, outcome)], hold);
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
        ...read(m),
        kind: "dead",
        reason: plain(`Gave up after ${m.read_ct} deliveries. ${outcome.reason ?? ""}`.trim(), 1000),
      };
    }
    return { ...read(m), kind: "retry", in: outcome.inSeconds ?? backoffSeconds(m.read_ct) };
  }
  return outcome.kind === "dead"
    ? { ...read(m), kind: "dead", reason: plain(outcome.reason, 1000) }
    : { ...read(m), kind: "done" };
}

const settleIn = (ctx: Pick<Ctx, "db">, queue: string, outcomes: Settled[]) =>
  ctx.db`select kernel.settle(${queue}, ${ctx.db.json(outcomes)})`;

/** SQLSTATE of kernel.settle: a message is gone or was read again by somebody else. */
const isLost = (error: unknown): boolean => (error as { code?: unknown } | null)?.code === "OV001";

const lost = (kernel: Kernel, queue: string, msg_id: number) => {
  kernel.log.warn("a message was read by another worker before it was settled", { queue, msg_id });
  kernel.metrics.count("overture_queue_lost_total", "Messages that another worker read before they were settled", {
    queue,
  });
};

/**
 * Settles outside a handler's transaction, which needs the worker role but no tenant. A lost message is not settled; the others
 * are, one by one.
 */
async function settle(kernel: Kernel, queue: string, outcomes: Settled[], hold: Hold): Promise<void> {
  hold.release(outcomes);
  try {
    await kernel.database.tx(noTenant, (tx) => settleIn({ db: tx }, queue, outcomes));
  } catch (error) {
    if (!isLost(error)) throw error;
    if (outcomes.length === 1) lost(kernel, queue, outcomes[0]!.msg_id);
    else for (const outcome of outcomes) await settle(kernel, queue, [outcome], hold);
  }
}

/** Keeps a batch hidden as long as it is worked on, so that no second reader takes what waits for its turn. */
type Hold = {
  /** Whether the message still belongs to this reader; asks the database when its visibility may have run out. */
  isOurs(m: Row): Promise<boolean>;
  /** Settled: hidden no longer on our account. */
  release(messages: readonly { msg_id: number }[]): void;
  end(): void;
};

function holdHidden(kernel: Kernel, consumer: AnyConsumer, rows: readonly Row[]): Hold {
  const visibilityMs = consumer.visibilitySeconds * 1000;
  /** What is not settled: until when it is hidden, as the database said, and when that was asked for. */
  const open = new Map(rows.map((m) => [m.msg_id, { ...read(m), held: m.held, askedAt: performance.now() }]));

  const extend = async () => {
    const asked = [...open.values()];
    if (asked.length === 0) return;
    const askedAt = performance.now();
    const extended = await kernel.database.tx(
      noTenant,
      (tx) => tx<{ msg_id: number; held: string }[]>`
        select msg_id, vt::text as held from kernel.extend_visibility(${consumer.queue},
          ${asked.map((m) => m.msg_id)}::bigint[], ${asked.map((m) => m.read_ct)}::int[],
          ${asked.map((m) => m.held)}::text[]::timestamptz[], ${consumer.visibilitySeconds})`,
    );
    const held = new Map(extended.map((m) => [m.msg_id, m.held]));
    for (const m of asked) {
      const until = held.get(m.msg_id);
      if (until === undefined) open.delete(m.msg_id);
      else Object.assign(m, { held: until, askedAt });
    }
  };
  // One at a time: the second would name what the first has just changed.
  let under: Promise<void> = Promise.resolve();
  const next = () => (under = under.catch(() => {}).then(extend));
  const timer = setInterval(
    () =>
      next().catch((error) =>
        kernel.log.warn("the visibility timeout could not be extended", { queue: consumer.queue, error }),
      ),
    visibilityMs / 2,
  );
  return {
    async isOurs({ msg_id }) {
      const m = open.get(msg_id);
      if (m && performance.now() - m.askedAt >= visibilityMs) await next();
      return open.has(msg_id);
    },
    release: (messages) => messages.forEach((m) => open.delete(m.msg_id)),
    end: () => clearInterval(timer),
  };
}

/**
 * The consumers that WORKER_TYPE asks for, each once: `all`, or a comma list of modules (all queues each of them reads) and queues.
 * Throws `invalid` for a name that is neither, and for a module that reads no queue.
 */
export function chooseConsumers({ config, registry }: Pick<Kernel, "config" | "registry">): AnyConsumer[] {
  if (config.workerType === "all") return registry.consumers;
  const chosen = new Set<AnyConsumer>();
  for (const name of config.workerType.split(",").map((n) => n.trim())) {
    const module = registry.modules.find((m) => m.name === name);
    const found = module
      ? [...(module.consumers ?? []), ...(module.hears ?? []).map((h) => h.consumer)]
      : registry.consumers.filter((c) => c.queue === name);
    if (found.length === 0) {
      const queues = registry.consumers.map((c) => c.queue).join(", ");
      const what = module
        ? `the module ${name}, which reads no queue`
        : `${name || "nothing"}, which is no module or queue`;
      throw new AppError("invalid", `WORKER_TYPE names ${what}. Queues: ${queues}`);
    }
    for (const consumer of found) chosen.add(consumer);
  }
  return [...chosen];
}
