import { connect } from "node:net";
import { drainOnce } from "../modules/kernel/queues/drain.ts";
import { type Figure, median, ratioFigure, seconds } from "./figure.ts";
import { benchConsumer, benchModule, fillQueue, makeQueue } from "./queue.ts";
import { inWorld } from "./world.ts";

/** Draining a queue through a consumer, against a BullMQ worker on Redis. Only where both are present. */

type Bull = {
  Queue: new (
    name: string,
    options: object,
  ) => { addBulk(jobs: object[]): Promise<unknown>; obliterate(o: object): Promise<void>; close(): Promise<void> };
  Worker: new (
    name: string,
    handler: () => Promise<void>,
    options: object,
  ) => { on(event: string, fn: () => void): void; run(): Promise<void>; close(): Promise<void> };
};

/** As the worker's busiest consumers, whose batches hold a hundred; BullMQ handles as many at once in one process. */
const LOOPS = 2;
const CONCURRENCY = 100;

const skipped = (why: string): Figure[] => [
  { bench: "bullmq", unit: "ratio", target: ">= 1.5", ok: true, detail: { skipped: why } },
];

export async function bullmq(messages = 20_000): Promise<Figure[]> {
  const { hostname: host, port } = new URL(process.env.REDIS_URL ?? "redis://127.0.0.1:6379");
  const connection = { host, port: Number(port || 6379) };
  if (!(await answers(connection))) return skipped(`no Redis at ${host}:${connection.port}; name one with REDIS_URL`);
  // No dependency of the product: only who compares needs it.
  const name = "bullmq";
  const bull = (await import(name).catch(() => null)) as Bull | null;
  if (!bull) return skipped("a Redis is present, bullmq is not: npm install --no-save bullmq");
  return await inWorld(
    {},
    async (world) => {
      const { id } = await world.team("Queue");
      await makeQueue(world);
      const times = { ours: [] as number[], theirs: [] as number[] };
      for (let round = 0; round < 4; round++) {
        await fillQueue(world, id, messages);
        const drain = async () => {
          while ((await drainOnce(world.kernel, benchConsumer)) > 0);
        };
        const ours = await seconds(() => Promise.all(Array.from({ length: LOOPS }, drain)));
        const theirs = await drainBull(bull, connection, id, messages);
        if (round === 0) continue;
        times.ours.push(ours);
        times.theirs.push(theirs);
      }
      const perSecond = (name: keyof typeof times) => Math.round(messages / median(times[name]));
      return [
        ratioFigure("bullmq", median(times.theirs) / median(times.ours), ">= 1.5", {
          messages,
          loops: LOOPS,
          bullmq_concurrency: CONCURRENCY,
          ours_per_s: perSecond("ours"),
          bullmq_per_s: perSecond("theirs"),
        }),
      ];
    },
    [benchModule],
  );
}

async function drainBull(bull: Bull, connection: object, tenantId: string, messages: number): Promise<number> {
  const queue = new bull.Queue("overture-bench", { connection });
  for (let n = 0; n < messages; n += 1000) {
    await queue.addBulk(
      Array.from({ length: 1000 }, (_, i) => ({
        name: "drain",
        data: { tenant_id: tenantId, n: n + i },
        opts: { removeOnComplete: true },
      })),
    );
  }
  let left = messages;
  const worker = new bull.Worker("overture-bench", () => Promise.resolve(), {
    connection,
    concurrency: CONCURRENCY,
    autorun: false,
  });
  const took = await seconds(
    () =>
      new Promise<void>((resolve) => {
        worker.on("completed", () => --left === 0 && resolve());
        void worker.run();
      }),
  );
  await worker.close();
  await queue.obliterate({ force: true });
  await queue.close();
  return took;
}

const answers = (at: { host: string; port: number }) =>
  new Promise<boolean>((resolve) => {
    const socket = connect({ ...at, timeout: 1000 });
    const end = (ok: boolean) => (socket.destroy(), resolve(ok));
    socket.once("connect", () => end(true));
    socket.once("timeout", () => end(false));
    socket.once("error", () => end(false));
  });
