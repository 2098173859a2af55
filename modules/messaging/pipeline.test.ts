import { expect, test } from "vitest";
import { settlePlans, startedCampaign } from "../../tests/support/campaigns.ts";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import type { OutboundMessage, SendOutcome } from "../kernel/provider.ts";
import type { Opened } from "./call.ts";
import { sendDue, type Turn } from "./pipeline.ts";

/** The way of one connection's messages through a worker. The provider is the test's own: it records calls and answers as told. */

const t = testKernel();

async function planned(size: number) {
  const tenant = await t.tenant();
  const people = Array.from({ length: size }, (_, i) => ({ email: `p${i}-${crypto.randomUUID()}@example.com` }));
  const campaign = await startedCampaign(t, tenant, people);
  await settlePlans(t, tenant);
  return { tenant, campaign };
}
type Planned = Awaited<ReturnType<typeof planned>>;

type Limits = { per_second: number; batch: number; parallel: number };

/** Runs a pipeline to its end. `answer` is asked for each message of a call, once all of them were recorded. */
async function send(
  { tenant, campaign }: Planned,
  { per_second, batch, parallel }: Limits,
  answer: (message: OutboundMessage<unknown>, nth: number) => SendOutcome | Promise<SendOutcome>,
  signal = new AbortController().signal,
  turn: Turn = { end: performance.now() + 60_000 },
) {
  const calls: string[][] = [];
  let [now, most] = [0, 0];
  const known = t.kernel.registry.providers.find((p) => p.id === "postmark")!;
  const opened: Opened = {
    provider: known,
    connection: { id: campaign.connectionId, credentials: {}, settings: {}, base_url: null, webhook_url: null },
    channel: t.kernel.registry.channels.get("email")!,
    send: {
      per_second,
      batch,
      call_seconds: 10,
      parallel: () => parallel,
      reconcile: { by: "none" },
      async send(messages) {
        most = Math.max(most, ++now);
        const nth = calls.push(messages.map((m) => m.id));
        try {
          return await Promise.all(messages.map((m) => answer(m, nth)));
        } finally {
          now--;
        }
      },
    },
  };
  const ctx = { ...t.kernel.manual({ actor: { kind: "job", name: "test" }, tenantId: tenant.id }), signal };
  const left = await sendDue(ctx, opened, turn);
  return { left, calls, most, ids: calls.flat() };
}

const sent = (m: { id: string }): SendOutcome => ({ outcome: "sent", provider_message_id: `p-${m.id}` });

async function states({ tenant }: { tenant: TestTenant }): Promise<Record<string, number>> {
  const rows = await t.sql<{ status: string; n: number }[]>`
    select status, count(*)::int as n from public.messages where tenant_id = ${tenant.id} group by 1`;
  return Object.fromEntries(rows.map((r) => [r.status, r.n]));
}
/** Attempts, those without an outcome, and places taken under the limits. */
async function traces({ tenant }: { tenant: TestTenant }) {
  const [row] = await t.sql`
    select (select count(*)::int from public.attempts where tenant_id = ${tenant.id}) as attempts,
      (select count(*)::int from public.attempts where tenant_id = ${tenant.id} and outcome is null) as open,
      (select coalesce(sum(day_reserved), 0)::int from public.sender_usage where tenant_id = ${tenant.id}) as places`;
  return row;
}

test("everything due leaves once, in calls of the provider's size, and never in more of them at once than it bears", async () => {
  const single = await planned(320);
  const one = await send(single, { per_second: 10_000, batch: 1, parallel: 7 }, sent);
  expect(new Set(one.ids).size).toBe(320);
  expect([one.ids.length, one.most <= 7, one.left]).toEqual([320, true, false]);
  expect(await states(single)).toEqual({ sent: 320 });
  expect(await traces(single)).toEqual({ attempts: 320, open: 0, places: 320 });

  const batches = await planned(95);
  const many = await send(batches, { per_second: 100, batch: 20, parallel: 2 }, sent);
  expect(new Set(many.ids).size).toBe(95);
  expect(many.calls.every((c) => c.length <= 20)).toBe(true);
  expect(await states(batches)).toEqual({ sent: 95 });
});

test("a worker that stops puts back what no call was made with: due at once, without an attempt and without a place", async () => {
  const all = await planned(60);
  const stop = new AbortController();
  const { ids, left } = await send(
    all,
    { per_second: 10_000, batch: 1, parallel: 3 },
    async (m, nth) => {
      if (nth === 20) stop.abort();
      return sent(m);
    },
    stop.signal,
  );
  expect(ids.length).toBeLessThan(30);
  expect(left).toBe(true);
  expect(await states(all)).toEqual({ sent: ids.length, queued: 60 - ids.length });
  expect(await traces(all)).toEqual({ attempts: ids.length, open: 0, places: ids.length });
  expect(
    await t.sql`select 1 from public.messages where tenant_id = ${all.tenant.id} and status = 'queued' and due_at > kernel.now()`,
  ).toHaveLength(0);

  const rest = await send(all, { per_second: 10_000, batch: 1, parallel: 3 }, sent);
  expect(new Set([...ids, ...rest.ids]).size).toBe(60);
  expect(ids.length + rest.ids.length).toBe(60);
});

test.each([
  ["broken", { outcome: "broken", code: "key", detail: "The key is not valid." }],
  ["too fast", { outcome: "retry", code: "429", detail: "Too fast.", after_seconds: 600 }],
] as const)(
  "an answer that ends all calls (%s) lets no other begin, and what was announced goes back",
  async (_, end) => {
    const all = await planned(200);
    const { ids } = await send(all, { per_second: 10_000, batch: 1, parallel: 4 }, (m, nth) =>
      nth < 30 ? sent(m) : end,
    );
    // Those that were under way with the first such answer, and no more.
    expect(ids.length).toBeLessThanOrEqual(30 + 4);
    const { sent: gone = 0, queued = 0, ...others } = await states(all);
    expect([gone, gone + queued, others]).toEqual([29, 200, {}]);
    expect(await traces(all)).toEqual({ attempts: ids.length, open: 0, places: 29 });
  },
);

test("a lease that runs out while the message is still held in memory: whoever has it then sends it, once", async () => {
  const all = await planned(120);
  let lapsed = 0;
  const { ids } = await send(all, { per_second: 10_000, batch: 1, parallel: 2 }, async (m) => {
    if (lapsed === 0) {
      await t.sql`
        update public.messages m set lease_until = kernel.slow_clock() - interval '1 second'
        where tenant_id = ${all.tenant.id} and status = 'sending' and not exists (
          select from public.attempts a where a.tenant_id = m.tenant_id and a.message_id = m.id)`;
      await t.sql`select private.expire_leases()`;
      // What was being handed over at this moment is not among them.
      const rows = await t.sql`
        select 1 from public.messages where tenant_id = ${all.tenant.id} and status = 'queued' and attempts > 0`;
      lapsed = rows.length;
    }
    return sent(m);
  });
  expect(lapsed).toBeGreaterThan(0);
  expect(ids.length).toBe(120);
  expect(new Set(ids).size).toBe(120);
  expect(await states(all)).toEqual({ sent: 120 });
  expect(await traces(all)).toEqual({ attempts: 120, open: 0, places: 120 });
});

test("an outcome that cannot be stored leaves none of those beside it in doubt, and is kept without the provider's words", async () => {
  const all = await planned(40);
  const { ids } = await send(all, { per_second: 10_000, batch: 1, parallel: 8 }, (m, nth) =>
    // Out of the range of any interval.
    nth === 17 ? { outcome: "retry", code: "later", detail: "Later.", after_seconds: -1e300 } : sent(m),
  );
  expect(ids.length).toBe(40);
  expect(await states(all)).toEqual({ sent: 39, queued: 1 });
  expect(await traces(all)).toEqual({ attempts: 40, open: 0, places: 39 });
  expect(
    await t.sql`select error_code from public.messages where tenant_id = ${all.tenant.id} and status = 'queued'`,
  ).toEqual([{ error_code: "unstorable" }]);
});

test("a message that was settled by somebody else meanwhile stays as it is", async () => {
  const all = await planned(10);
  await send(all, { per_second: 10_000, batch: 10, parallel: 1 }, async (m) => {
    await all.tenant.run(
      (ctx) =>
        ctx.db`select private.settle_messages(${ctx.db.json([{ id: m.id, outcome: "sent", provider_message_id: "first" }])})`,
    );
    return { outcome: "unknown", code: "timeout", detail: "No answer." };
  });
  expect(await states(all)).toEqual({ sent: 10 });
});

test("a turn that is brought to its end claims no more: what was claimed leaves, the rest stays due, and more is said to be left", async () => {
  const p = await planned(40);
  const turn: Turn = { end: performance.now() + 60_000 };
  const { left, ids } = await send(
    p,
    { per_second: 2, batch: 1, parallel: 1 },
    (m) => {
      turn.end = performance.now();
      return sent(m);
    },
    undefined,
    turn,
  );
  expect(left).toBe(true);
  expect(ids.length).toBeGreaterThan(0);
  expect(ids.length).toBeLessThan(20);
  expect(await states(p)).toEqual({ sent: ids.length, queued: 40 - ids.length });
});

test("others wait where a message of another tenant is there to be read, and not where only one's own is, or a hidden one", async () => {
  const [mine, other] = [await t.tenant(), await t.tenant()];
  const queue = `test_${crypto.randomUUID().slice(0, 8)}`;
  await t.sql`select kernel.create_queue(${queue})`;
  const wait = () =>
    mine.run(async ({ db }) => (await db<{ yes: boolean }[]>`select kernel.others_wait(${queue}) as yes`)[0]!.yes);
  const enqueue = (tenant: TestTenant, delay: number) =>
    t.sql`select kernel.enqueue(${queue}, array[jsonb_build_object('tenant_id', ${tenant.id}::uuid)], ${delay})`;
  expect(await wait()).toBe(false);
  await enqueue(mine, 0);
  await enqueue(other, 600);
  expect(await wait()).toBe(false);
  await enqueue(other, 0);
  expect(await wait()).toBe(true);
  await t.sql`delete from kernel.queues where name = ${queue}`;
  await t.sql`select pgmq.drop_queue(${queue})`;
});
