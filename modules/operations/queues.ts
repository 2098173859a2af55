import { z } from "zod";
import { decodeCursor, pageOf, pageParams, toPage } from "../kernel/operations/cursor.ts";
import { defineOperation } from "../kernel/operations/operation.ts";

const isoOf = (d: Date) => d.toISOString();

/** Depth and age are the installation's, since tenants share queues; dead letters are the team's own. */
export const listQueues = defineOperation({
  id: "queues.list",
  method: "GET",
  path: "/queues",
  summary: "List the queues with their number of messages and their age",
  permission: "operations:read",
  input: z.object({}),
  output: z.object({
    data: z.array(
      z
        .object({
          queue: z.string(),
          waiting: z.number().int().describe("All messages, including messages being handled or waiting for a retry."),
          visible: z.number().int().describe("Messages a worker may take now."),
          oldest_seconds: z.number().int(),
          total: z.number().int().describe("All messages sent to the queue since it was created."),
          dead: z.number().int().describe("The tenant's dead letters, counted up to 10,000."),
          exact: z
            .boolean()
            .describe("False above 10,000 messages: `waiting` and `visible` are then the database's estimates."),
        })
        .meta({ id: "Queue" }),
    ),
  }),
  async handle(ctx) {
    const rows = await ctx.db<
      {
        queue: string;
        waiting: number;
        visible: number;
        oldest_seconds: number;
        total: number;
        dead: number;
        exact: boolean;
      }[]
    >`
      select q.queue, q.waiting, q.visible, q.oldest_seconds, q.total, coalesce(d.dead, 0) as dead, q.exact
      from kernel.queue_metrics() q left join private.dead_letter_counts() d using (queue) order by q.queue`;
    return { data: [...rows] };
  },
});

const DeadLetter = z
  .object({
    id: z.uuid(),
    queue: z.string(),
    message: z.record(z.string(), z.unknown()),
    reason: z.string(),
    attempts: z.number().int(),
    enqueued_at: z.iso.datetime(),
    died_at: z.iso.datetime(),
  })
  .meta({ id: "DeadLetter" });

type DeadLetterRow = {
  id: string;
  queue: string;
  message: Record<string, unknown>;
  reason: string;
  attempts: number;
  enqueued_at: Date;
  died_at: Date;
};

export const listDeadLetters = defineOperation({
  id: "dead_letters.list",
  method: "GET",
  path: "/dead-letters",
  summary: "List dead letters with their reasons, newest first",
  permission: "operations:read",
  input: z.object({ ...pageParams, queue: z.string().max(47).optional() }),
  output: pageOf(DeadLetter),
  async handle(ctx, { queue, cursor, limit }) {
    const before = decodeCursor(cursor, z.tuple([z.uuid()]))?.[0] ?? null;
    const rows = await ctx.db<DeadLetterRow[]>`
      select id, queue_name as queue, message, reason, attempts, enqueued_at, died_at
      from kernel.list_dead_letters(${queue ?? null}, ${before}, ${limit + 1})`;
    return toPage(
      rows,
      limit,
      (r) => [r.id],
      (r) => ({ ...r, enqueued_at: isoOf(r.enqueued_at), died_at: isoOf(r.died_at) }),
    );
  },
});

/** As many as a page shows several times over; a bigger clean-up repeats the call. */
const Ids = z.array(z.uuid()).min(1, "name at least one id").max(500);

export const requeueDeadLetters = defineOperation({
  id: "dead_letters.requeue",
  method: "POST",
  path: "/dead-letters/requeue",
  summary: "Put dead letters back on their queues",
  description: "Ids that no longer exist are skipped; the response has the number of messages that were moved.",
  permission: "operations:write",
  input: z.object({ ids: Ids }),
  output: z.object({ requeued: z.number().int() }),
  async handle(ctx, { ids }) {
    const [row] = await ctx.db<{ n: number }[]>`select kernel.requeue_dead_letters(${ids}::uuid[]) as n`;
    ctx.audit({ requeued: row!.n });
    return { requeued: row!.n };
  },
});

export const purgeDeadLetters = defineOperation({
  id: "dead_letters.purge",
  method: "POST",
  path: "/dead-letters/purge",
  summary: "Delete dead letters permanently",
  destructive: true,
  permission: "operations:write",
  input: z.object({ ids: Ids }),
  output: z.object({ purged: z.number().int() }),
  async handle(ctx, { ids }) {
    const [row] = await ctx.db<{ n: number }[]>`select kernel.purge_dead_letters(${ids}::uuid[]) as n`;
    ctx.audit({ purged: row!.n });
    return { purged: row!.n };
  },
});
