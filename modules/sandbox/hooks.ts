import type { Clock } from "./clock.ts";
import type { Faults } from "./faults.ts";
import { hash } from "./personas.ts";
import type { Reach } from "./reach.ts";

/** Sends webhooks as a provider does: asynchronously, at least once, retried until the receiver says 2xx. */

export type Delivery = {
  account: string;
  /** Stays the same across retries and duplicates. */
  id: string;
  url: string;
  body: string;
  /** Made for every attempt, because a signature covers the moment of sending. */
  headers: () => Promise<Record<string, string>>;
  /** Statuses that end the retries for good. */
  stopOn: readonly number[];
};

/** Seconds between attempts; the real ones take hours. */
const SCHEDULE = [1, 2, 4, 8, 15, 30, 60, 120];
const CONCURRENT = 16;

export type HookStats = {
  delivered: number;
  attempts: number;
  failed: number;
  dropped: number;
  duplicated: number;
  waiting: number;
};
export type Hooks = ReturnType<typeof createHooks>;

export function createHooks({ clock, faults, reach }: { clock: Clock; faults: Faults; reach: Reach }) {
  const queue: { delivery: Delivery; attempt: number }[] = [];
  const stats = { delivered: 0, attempts: 0, failed: 0, dropped: 0, duplicated: 0 };
  let active = 0;

  async function attempt(delivery: Delivery, number: number) {
    stats.attempts++;
    let status = 0;
    try {
      const headers = {
        "content-type": "application/json",
        "user-agent": "sandbox-webhooks/1.0",
        ...(await delivery.headers()),
      };
      status = (await reach(delivery.url, { method: "POST", headers, body: delivery.body })).status;
    } catch {
      status = 0;
    }
    if (status >= 200 && status < 300) return void stats.delivered++;
    const wait = SCHEDULE[number];
    if (wait === undefined || delivery.stopOn.includes(status)) return void stats.failed++;
    clock.after(wait, () => push(delivery, number + 1));
  }

  function pump() {
    while (active < CONCURRENT && queue.length > 0) {
      const { delivery, attempt: number } = queue.shift()!;
      active++;
      clock.after(0, async () => {
        try {
          await attempt(delivery, number);
        } finally {
          active--;
          pump();
        }
      });
    }
  }

  function push(delivery: Delivery, number: number) {
    queue.push({ delivery, attempt: number });
    pump();
  }

  return {
    send(delivery: Delivery) {
      if (faults.take(["drop_webhooks"], delivery.account)) return void stats.dropped++;
      // Held back for up to 4 s, so that what was sent after it arrives before it.
      if (faults.take(["reorder_webhooks"], delivery.account)) {
        clock.after(1 + (hash(delivery.id) % 3000) / 1000, () => push(delivery, 0));
      } else push(delivery, 0);
      if (faults.take(["duplicate_webhooks"], delivery.account)) {
        stats.duplicated++;
        clock.after(0.5, () => push(delivery, 0));
      }
    },
    stats: (): HookStats => ({ ...stats, waiting: queue.length + active }),
    clear() {
      queue.length = 0;
    },
  };
}
