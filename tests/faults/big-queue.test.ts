import { expect, test } from "vitest";
import { metricsText, ready } from "../../modules/kernel/observability/health.ts";
import { until } from "../support/until.ts";
import { startWorld, verdict } from "./support.ts";

/**
 * A queue with a million messages waiting: half of them hidden (as after a million failures), and those in front. What is read
 * is counted by the server, not measured by a clock.
 */

const world = await startWorld({ gateway: false });
const { sql, kernel } = world;
const QUEUE = "webhooks_in";
const MESSAGES = 1_000_000;

/** Pages of 8 kB a statement touched, in memory or not. */
async function pages(statement: string): Promise<number> {
  const [row] = await sql.unsafe(`explain (analyze, buffers, format json) ${statement}`);
  const plan = row!["QUERY PLAN"][0].Plan;
  return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"];
}

/** Rows of the queue's table anybody has read so far, and by how many scans. */
async function rowsRead() {
  const [row] = await sql<{ rows: number; scans: number }[]>`
    select (seq_tup_read + idx_tup_fetch)::float8 as rows, (seq_scan + idx_scan)::float8 as scans
    from pg_stat_all_tables where schemaname = 'pgmq' and relname = ${`q_${QUEUE}`}`;
  return row!;
}

test(
  "a queue with 1,000,000 messages: reads, settlements and metrics stay small, other queues are served, a campaign goes through",
  { timeout: 120_000 },
  async () => {
    const noisy = await world.tenant();
    await sql`
      insert into ${sql(`pgmq.q_${QUEUE}`)} (vt, message)
      select clock_timestamp() + case when n <= ${MESSAGES / 2}::int then interval '1 hour' else '0' end,
        jsonb_build_object('tenant_id', ${noisy.id}::uuid, 'id', gen_random_uuid())
      from generate_series(1, ${MESSAGES}::int) n`;

    // Reading: the hidden ones in front are not looked at, and neither are those behind.
    await pages(`select * from kernel.dequeue('${QUEUE}', 60, 10)`);
    expect(await pages(`select * from kernel.dequeue('${QUEUE}', 60, 10)`)).toBeLessThan(1000);
    const read = await sql<
      { msg_id: string; held: string }[]
    >`select msg_id, vt::text as held from kernel.dequeue(${QUEUE}, 60, 100)`;
    const ids = read.map((r) => Number(r.msg_id));
    expect(ids).toHaveLength(100);
    expect(Math.min(...ids), "what became visible first comes first").toBe(MESSAGES / 2 + 21);

    // Keeping, settling in every way, archiving.
    expect(
      await pages(`select count(*) from kernel.extend_visibility('${QUEUE}', array[${ids.join(",")}]::bigint[],
        array_fill(1, array[100]), '{${read.map((r) => `"${r.held}"`).join(",")}}', 60)`),
    ).toBeLessThan(3000);
    const outcomes = ids.slice(0, 60).map((msg_id, i) => ({
      msg_id,
      read_ct: 1,
      ...[{ kind: "done" }, { kind: "retry", in: 3600 }, { kind: "dead", reason: "no such contact" }][i % 3]!,
    }));
    expect(await pages(`select kernel.settle('${QUEUE}', '${JSON.stringify(outcomes)}')`)).toBeLessThan(3000);
    expect(await pages(`select pgmq.archive('${QUEUE}', array[${ids.slice(60).join(",")}]::bigint[])`)).toBeLessThan(
      3000,
    );

    // What people and machines look at every few seconds.
    expect(await pages("select * from kernel.queue_metrics()")).toBeLessThan(40_000);
    const before = await rowsRead();
    const { body } = await noisy.api("GET", "/queues");
    const big = body.data.find((q: { queue: string }) => q.queue === QUEUE);
    expect(big).toMatchObject({ exact: false, total: MESSAGES, dead: 20 });
    expect(big.waiting).toBeGreaterThan(MESSAGES * 0.9);
    expect(big.waiting).toBeLessThan(MESSAGES * 1.1);
    expect(big.visible).toBeGreaterThan(10_000);
    expect(big.visible).toBeLessThanOrEqual(big.waiting);
    expect(body.data.find((q: { queue: string }) => q.queue === "messaging_send")).toMatchObject({
      exact: true,
      waiting: 0,
    });
    expect((await ready(kernel)).status).toBe(200);
    const text = await (await metricsText(kernel, new Headers({ "x-forwarded-for": "127.0.0.1" }))).text();
    expect(text).toContain(`overture_queue_waiting{queue="${QUEUE}"} ${big.waiting}`);
    // Three looks, each at no more than 10,000 messages twice. The server publishes its counts when a connection rests.
    const after = await until(
      async () => {
        const now = await rowsRead();
        return now.scans >= before.scans + 9 ? now : null;
      },
      { what: "the server's counts of the three looks", timeoutMs: 30_000 },
    );
    expect(after.rows - before.rows).toBeLessThan(150_000);

    const m = await world.mailing("postmark", 500);
    await world.worker();
    await world.settle(m);
    const [left] = await sql<{ n: number }[]>`
      select count(*)::int as n from (select from ${sql(`pgmq.q_${QUEUE}`)} where vt <= clock_timestamp() limit 1000) x`;
    expect(left!.n, "the big queue still has work for the same workers").toBe(1000);
    await world.stopWorkers();
    await verdict(world, m);
  },
);
