import postgres from "postgres";
import { z } from "zod";
import { defineConsumer, done } from "../modules/kernel/queues/consumer.ts";
import { drainOnce } from "../modules/kernel/queues/drain.ts";
import { defineModule } from "../modules/kernel/module.ts";
import { type Figure, median, ratioFigure, seconds } from "./figure.ts";
import { inWorld, type World } from "./world.ts";

/** Draining a queue through a consumer, against reading and deleting with nothing around it. */

const BATCH = 100;
export const benchConsumer = defineConsumer({
  queue: "bench_drain",
  payload: z.object({ tenant_id: z.uuid(), n: z.number() }),
  visibilitySeconds: 60, // nothing here takes time
  maxAttempts: 3,
  batch: BATCH,
  handle: () => Promise.resolve(done()),
  handleBatch: (_ctx, payloads) => Promise.resolve(payloads.map(done)),
});
export const benchModule = defineModule({ name: "bench", needs: [], consumers: [benchConsumer] });

/** By the owner of the other queues: kernel.settle works with that role's rights. */
export async function makeQueue({ stack }: World): Promise<void> {
  const owner = postgres(stack.dbUrl, { max: 1, onnotice: () => {} });
  await owner`select kernel.create_queue('bench_drain')`;
  await owner.end();
}

export async function fillQueue({ admin }: World, tenantId: string, messages: number): Promise<void> {
  await admin`select pgmq.send_batch('bench_drain', array(select jsonb_build_object('tenant_id', ${tenantId}::text, 'n', n) from generate_series(1, ${messages}) n))`;
  await admin`vacuum analyze pgmq.q_bench_drain`;
}

export const queue = (messages = 20_000): Promise<Figure[]> =>
  inWorld(
    {},
    async (world) => {
      const { kernel, admin } = world;
      const { id } = await world.team("Queue");
      await makeQueue(world);
      const bare = async () => {
        for (;;) {
          const rows = await admin<
            { msg_id: string }[]
          >`select msg_id, message from pgmq.read('bench_drain', 60, ${BATCH})`;
          if (rows.length === 0) return;
          await admin`select pgmq.delete('bench_drain', ${rows.map((r) => r.msg_id)}::bigint[])`;
        }
      };
      const ours = async () => {
        while ((await drainOnce(kernel, benchConsumer)) > 0);
      };
      const times = { bare: [] as number[], ours: [] as number[] };
      // The first round warms both up and counts for neither; then they take turns.
      for (let round = 0; round < 8; round++) {
        for (const [name, run] of Object.entries({ bare, ours }) as [keyof typeof times, () => Promise<void>][]) {
          await fillQueue(world, id, messages);
          const took = await seconds(run);
          if (round > 0) times[name].push(took);
        }
      }
      const [left] = await admin<{ n: number }[]>`select count(*)::int as n from pgmq.q_bench_drain`;
      if (left!.n !== 0) throw new Error(`${left!.n} messages are left on the queue.`);
      const perSecond = (name: keyof typeof times) => Math.round(messages / median(times[name]));
      return [
        ratioFigure("queue", median(times.bare) / median(times.ours), ">= 0.7", {
          messages,
          batch: BATCH,
          ours_per_s: perSecond("ours"),
          bare_pgmq_per_s: perSecond("bare"),
        }),
      ];
    },
    [benchModule],
  );
