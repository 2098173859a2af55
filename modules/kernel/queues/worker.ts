import { setTimeout as sleep } from "node:timers/promises";
import { type AnyConsumer, DEFAULT_BATCH } from "./consumer.ts";
import { chooseConsumers, drainOnce } from "./drain.ts";
import type { Kernel } from "../kernel.ts";

/** The long-lived side of the queues: wakes by NOTIFY, polls as a fallback, stops by draining. */

/** How long a quiet loop sleeps: a lost notification costs at most this. */
const POLL_MS = 2_000;
/** First pause after a failing read; doubles up to the poll interval, so that a dead database is not hammered. */
const FAILURE_PAUSE_MS = 250;

export type Worker = { stop(): Promise<void> };

export async function startWorker(kernel: Kernel): Promise<Worker> {
  const stopping = new AbortController();
  const consumers = chooseConsumers(kernel);
  // Rings are counted, so that one that comes between an empty read and the pause is not missed.
  const bells = new Map(consumers.map((c) => [c.queue, { rings: 0, wakers: new Set<() => void>() }]));
  // Every login may send notifications: one for no queue of ours is nothing, and leaves nothing behind.
  const ring = (queue: string) => {
    const bell = bells.get(queue);
    if (!bell) return;
    bell.rings++;
    bell.wakers.forEach((wake) => wake());
  };
  const ringAll = () => bells.forEach((_, queue) => ring(queue));

  const listener = await kernel.database.listen("kernel_queue", (queue) => (queue === "" ? ringAll() : ring(queue)));

  const pause = (queue: string, ms: number) =>
    new Promise<void>((resolve) => {
      const { wakers } = bells.get(queue)!;
      const end = () => {
        clearTimeout(timer);
        wakers.delete(end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      wakers.add(end);
    });

  const loop = async (consumer: AnyConsumer) => {
    const bell = bells.get(consumer.queue)!;
    let failures = 0;
    while (!stopping.signal.aborted) {
      try {
        const heard = bell.rings;
        const n = await drainOnce(kernel, consumer, stopping.signal);
        failures = 0;
        if (consumer.gatherMs && n > 0 && n < (consumer.batch ?? DEFAULT_BATCH))
          await sleep(consumer.gatherMs, undefined, { signal: stopping.signal }).catch(() => {});
        if (n === 0 && !stopping.signal.aborted && heard === bell.rings) await pause(consumer.queue, POLL_MS);
      } catch (error) {
        if (stopping.signal.aborted) break;
        kernel.log.error("a queue could not be read", { queue: consumer.queue, error });
        await new Promise((r) => setTimeout(r, Math.min(POLL_MS, FAILURE_PAUSE_MS * 2 ** failures++)));
      }
    }
  };

  const loops = consumers.flatMap((c) => Array.from({ length: c.concurrency ?? 1 }, () => loop(c)));
  kernel.log.info("worker started", { queues: consumers.map((c) => c.queue) });
  return {
    async stop() {
      stopping.abort();
      ringAll();
      await Promise.all(loops);
      await listener.unlisten().catch(() => {});
    },
  };
}

/** Drains every queue for a bounded time: what pg_cron wakes where no long-lived worker runs. Returns messages handled. */
export async function drainFor(kernel: Kernel, budgetMs: number): Promise<number> {
  const end = performance.now() + budgetMs;
  const stop = AbortSignal.timeout(budgetMs);
  let total = 0;
  for (;;) {
    let round = 0;
    for (const consumer of chooseConsumers(kernel)) {
      if (performance.now() >= end) return total + round;
      round += await drainOnce(kernel, consumer, stop);
    }
    total += round;
    if (round === 0) return total;
  }
}
