import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { drainOnce } from "../../modules/kernel/queues/drain.ts";
import { until } from "../support/until.ts";
import { startWorld, verdict, type Mailing } from "./support.ts";

/** Two workers and a provider in every kind of trouble, each for an account of its own, all at the same time. */

const world = await startWorld();

beforeAll(async () => void (await Promise.all([world.worker(), world.worker()])));
afterAll(() => world.stopWorkers());

const fault = (m: Mailing, kind: string, more: Record<string, unknown>) =>
  world.sandbox("POST", "/faults", { kind, account: m.account, ...more });
const start = (m: Mailing) => m.tenant.api("POST", `/campaigns/${m.id}/start`);

/** Arms the faults before the campaign starts, and judges when every message has come to rest. */
async function under(
  provider: "postmark" | "resend",
  size: number,
  faults: [kind: string, more: Record<string, unknown>][],
) {
  const m = await world.mailing(provider, size, { start: false });
  for (const [kind, more] of faults) await fault(m, kind, more);
  expect((await start(m)).status).toBe(200);
  await world.settle(m);
  const { faults: left } = await world.sandbox<{ faults: { account?: string }[] }>("GET", "/faults");
  expect(
    left.filter((f) => f.account === m.account),
    "every fault struck",
  ).toEqual([]);
  await verdict(world, m);
}

describe.concurrent("0 duplicates, 0 lost, the campaign as it was, when the provider", () => {
  test("accepts a batch and never answers (found again by search)", { timeout: 120_000 }, () =>
    under("postmark", 700, [["timeout_after_accept", { times: 1 }]]),
  );

  test("accepts and never answers (asked again with the same key)", { timeout: 120_000 }, () =>
    under("resend", 120, [["timeout_after_accept", { times: 15 }]]),
  );

  test("refuses with 429 and Retry-After again and again", { timeout: 120_000 }, async () => {
    await Promise.all([
      under("postmark", 700, [["rate_limit", { times: 5, retry_after: 1 }]]),
      under("resend", 120, [["rate_limit", { times: 60, retry_after: 1 }]]),
    ]);
  });

  test("answers 500, having taken the messages or not", { timeout: 120_000 }, async () => {
    await Promise.all([
      under("postmark", 1200, [
        ["server_error", { times: 1, accepted: true }],
        ["server_error", { times: 1 }],
      ]),
      under("resend", 120, [
        ["server_error", { times: 20, accepted: true }],
        ["server_error", { times: 20 }],
      ]),
    ]);
  });

  test("hangs up, having taken the messages or not", { timeout: 120_000 }, async () => {
    await Promise.all([
      under("postmark", 1200, [
        ["reset", { times: 1, accepted: true }],
        ["reset", { times: 1 }],
      ]),
      under("resend", 120, [
        ["reset", { times: 20, accepted: true }],
        ["reset", { times: 20 }],
      ]),
    ]);
  });

  test("tells everything twice, out of order, or not at all", { timeout: 120_000 }, async () => {
    const m = await world.mailing("postmark", 300, { start: false, webhooks: true });
    await fault(m, "duplicate_webhooks", { rate: 0.5 });
    await fault(m, "reorder_webhooks", { rate: 0.5 });
    await fault(m, "drop_webhooks", { rate: 0.2 });
    // An answer that comes after the webhooks about it.
    await fault(m, "slow", { times: 1, delay_ms: 2000 });
    expect((await start(m)).status).toBe(200);
    await world.settle(m);
    const told = await until(
      async () => {
        const { pending, webhooks } = await world.sandbox<{
          pending: number;
          webhooks: { waiting: number; dropped: number; duplicated: number };
        }>("GET", "/stats");
        const [row] = await world.sql<
          { n: number }[]
        >`select count(*)::int as n from pgmq.q_webhooks_in where message ->> 'tenant_id' = ${m.tenant.id}`;
        return pending === 0 && webhooks.waiting === 0 && row!.n === 0 ? webhooks : null;
      },
      { what: "the webhooks to be worked through", timeoutMs: 60_000 },
    );
    expect(told.dropped).toBeGreaterThan(0);
    expect(told.duplicated).toBeGreaterThan(0);
    const [row] = await world.sql`
      select count(*)::int as events, count(distinct e.message_id)::int as messages,
        (select count(*)::int from public.messages m where m.tenant_id = ${m.tenant.id} and m.delivered_at is not null) as delivered
      from public.message_events e where e.tenant_id = ${m.tenant.id} and e.kind = 'delivered'`;
    expect(row).toEqual({
      events: m.size - told.dropped,
      messages: m.size - told.dropped,
      delivered: m.size - told.dropped,
    });
    await verdict(world, m);
  });
});

describe.concurrent("a campaign sends once", () => {
  test("started ten times at the same moment: one start counts, the others are told", { timeout: 60_000 }, async () => {
    const m = await world.mailing("postmark", 300, { start: false });
    const answers = await Promise.all(Array.from({ length: 10 }, () => start(m)));
    expect(answers.map((a) => a.status).toSorted()).toEqual([200, ...Array.from({ length: 9 }, () => 409)]);
    await world.settle(m);
    await verdict(world, m);
  });

  test("planned by six planners at the same time: everybody gets one message", { timeout: 60_000 }, async () => {
    const m = await world.mailing("postmark", 1000);
    const planner = world.kernel.registry.consumers.find((c) => c.queue === "campaigns_plan")!;
    const enqueue = () =>
      world.sql`select kernel.enqueue('campaigns_plan', array_fill(jsonb_build_object('tenant_id', ${m.tenant.id}::uuid), array[20]))`;
    await until(
      async () => {
        await enqueue();
        // Each takes one wake message, beside what the two workers take.
        await Promise.all(Array.from({ length: 4 }, () => drainOnce(world.kernel, { ...planner, batch: 1 })));
        const [row] = await world.sql<
          { n: number }[]
        >`select count(*)::int as n from public.messages where campaign_id = ${m.id}`;
        return row!.n >= m.size;
      },
      { what: "everybody to be planned", timeoutMs: 40_000 },
    );
    await world.settle(m);
    await verdict(world, m);
  });
});
