import { expect, test } from "vitest";
import { uuid7 } from "../../modules/kernel/database/ids.ts";
import { messagesOf, settlePlans, startedCampaign } from "../support/campaigns.ts";
import { testKernel, type TestTenant } from "../support/kernel.ts";
import { until } from "../support/until.ts";

/** What the ledger's own statements promise when they meet: suppressions, caps, repeated and late answers. No provider is called. */

const t = testKernel({ OVERTURE_DB_POOL: "16" });

const people = (n: number) =>
  Array.from({ length: n }, (_, i) => ({ email: `person${i}-${crypto.randomUUID()}@example.com` }));

async function planned(size: number, dailyCap?: number) {
  const tenant = await t.tenant();
  const persons = people(size);
  const campaign = await startedCampaign(t, tenant, persons, {}, dailyCap);
  await settlePlans(t, tenant);
  return { tenant, campaign, emails: persons.map((p) => p.email) };
}

type Taken = { id: string; to_address: string; attempts: number };
const claimOnly = (tenant: TestTenant, connectionId: string, n: number) =>
  tenant.run(async (ctx) => [
    ...(await ctx.db<Taken[]>`select id, to_address, attempts from private.claim_messages(${n}, 120, ${connectionId})`),
  ]);
const handOver = (tenant: TestTenant, connectionId: string, taken: Taken[], leaseLeft = 90) =>
  tenant.run(async (ctx) => [
    ...(await ctx.db<{ id: string }[]>`
      select id from private.hand_over(${taken.map((m) => m.id)}::uuid[], ${taken.map((m) => m.attempts)}::int[], ${connectionId}, ${leaseLeft}) id`),
  ]);
/** Claimed and handed over: as at the provider. */
async function claim(tenant: TestTenant, connectionId: string, n: number): Promise<Taken[]> {
  const taken = await claimOnly(tenant, connectionId, n);
  expect(await handOver(tenant, connectionId, taken)).toHaveLength(taken.length);
  return taken;
}
const takeBack = (tenant: TestTenant, taken: Taken[]) =>
  tenant.run(
    async (ctx) =>
      (
        await ctx.db<{ n: number }[]>`
          select private.return_messages(${taken.map((m) => m.id)}::uuid[], ${taken.map((m) => m.attempts)}::int[]) as n`
      )[0]!.n,
  );
const settle = (tenant: TestTenant, outcomes: Record<string, unknown>[]) =>
  tenant.run(
    async (ctx) =>
      (await ctx.db<{ n: number }[]>`select private.settle_messages(${ctx.db.json(outcomes as never)}) as n`)[0]!.n,
  );
const suppress = (tenant: TestTenant, emails: string[]) =>
  tenant.run((ctx) => ctx.db`select private.suppress('email', ${emails}::text[], 'manual', 'test')`);
/** Takes what a guard stops off the queue, as the sender does when it finds nothing to claim. */
const sweep = (tenant: TestTenant) =>
  tenant.run(async (ctx) => (await ctx.db<{ n: number }[]>`select private.apply_guards() as n`)[0]!.n);
const setCap = (senderId: string, cap: number) =>
  t.sql`update public.sender_limits set cap = ${cap} where sender_id = ${senderId} and action = 'email.send' and per = 'day'`;
const byId = async (id: string) =>
  (await t.sql`select status, attempts, error_code from public.messages where id = ${id}`)[0]!;
const reserved = async (senderId: string) =>
  (
    await t.sql<
      { n: number }[]
    >`select coalesce(sum(day_reserved), 0)::int as n from public.sender_usage where sender_id = ${senderId}`
  )[0]!.n;

test("eight claimers at once take every message once, and never more than the day's cap", async () => {
  const { tenant, campaign } = await planned(120, 50);
  // The planner holds back what cannot leave today; here all of it is due, so that only the claim stands in between.
  await setCap(campaign.senderId, 1000);
  await t.sql`select private.wake_planning()`;
  await settlePlans(t, tenant);
  await setCap(campaign.senderId, 50);
  expect(await messagesOf(t, campaign.id)).toHaveLength(120);
  const taken = (
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        const mine: Taken[] = [];
        for (let round = 0; round < 8; round++) mine.push(...(await claim(tenant, campaign.connectionId, 7)));
        return mine;
      }),
    )
  ).flat();
  expect(new Set(taken.map((m) => m.id)).size).toBe(taken.length);
  expect(taken).toHaveLength(50);
  expect(await reserved(campaign.senderId)).toBe(50);

  // What surely did not leave gives its place back, whatever its outcome is called; what left keeps it.
  const outcomes = ["retry", "rejected", "broken", "sent"];
  await settle(
    tenant,
    taken
      .slice(0, 40)
      .map((m, i) => ({ id: m.id, attempt: 1, outcome: outcomes[i % 4], code: "x", detail: "x", after_seconds: 3600 })),
  );
  expect(await reserved(campaign.senderId)).toBe(20);
  await t.sql`update public.connections set status = 'active', circuit_open_until = null where id = ${campaign.connectionId}`;
  const more = await claim(tenant, campaign.connectionId, 200);
  expect(more).toHaveLength(30);
  // The same answer twice gives nothing back twice.
  await settle(
    tenant,
    taken.slice(0, 40).map((m) => ({ id: m.id, attempt: 1, outcome: "retry" })),
  );
  expect(await reserved(campaign.senderId)).toBe(50);
});

test("twelve claimers in a race for single messages: each is taken once, whoever looked while another one took it", async () => {
  const { tenant, campaign } = await planned(300);
  const taken: Taken[] = [];
  await Promise.all(
    Array.from({ length: 12 }, async () => {
      // The look and the lock are one statement; only many of them side by side meet in between.
      for (let mine = await claim(tenant, campaign.connectionId, 1); mine.length > 0;) {
        taken.push(...mine);
        mine = await claim(tenant, campaign.connectionId, 1);
      }
    }),
  );
  expect(new Set(taken.map((m) => m.id)).size).toBe(taken.length);
  expect(taken.every((m) => m.attempts === 1)).toBe(true);
  expect(taken.length).toBeGreaterThan(250);
});

test("suppression and claim in every order: none is claimed after the suppression committed", async () => {
  const { tenant, campaign, emails } = await planned(160);
  const suppressedAt = new Map<string, number>();
  const claimedFrom = new Map<string, number>();
  const random = (() => {
    let a = 7;
    return () => ((a = (Math.imul(a, 1103515245) + 12345) >>> 0), a / 2 ** 32);
  })();
  const shuffled = emails.toSorted(() => random() - 0.5).slice(0, 80);
  const over = new AbortController();
  const suppressor = async (own: string[]) => {
    for (const email of own) {
      await suppress(tenant, [email]);
      suppressedAt.set(email, performance.now());
    }
  };
  const claimer = async () => {
    while (!over.signal.aborted) {
      const began = performance.now();
      const mine = await claim(tenant, campaign.connectionId, 3);
      for (const m of mine) claimedFrom.set(m.to_address, began);
      if (mine.length === 0) await sweep(tenant);
    }
  };
  const claimers = Promise.all([claimer(), claimer(), claimer()]);
  await Promise.all([suppressor(shuffled.slice(0, 40)), suppressor(shuffled.slice(40))]);
  await until(async () => (await messagesOf(t, campaign.id)).every((m) => m.status !== "queued"), {
    what: "nothing left to claim",
  });
  over.abort();
  await claimers;
  const wrong = [...suppressedAt].filter(([email, at]) => (claimedFrom.get(email) ?? 0) > at);
  expect(wrong).toEqual([]);
  // Each order has happened, else this proved nothing.
  expect(shuffled.some((e) => claimedFrom.has(e))).toBe(true);
  expect(shuffled.some((e) => !claimedFrom.has(e))).toBe(true);
  const rows = await messagesOf(t, campaign.id);
  for (const m of rows) expect(m.status, m.to_address).toBe(claimedFrom.has(m.to_address) ? "sending" : "cancelled");
});

test("an address suppressed while its message was being written is refused by the claim itself", async () => {
  const { tenant, campaign, emails } = await planned(3);
  // As when the planner had not seen the suppression yet: the row is there, and the message still queued.
  await t.sql`insert into public.suppressions (tenant_id, channel, address, reason) values (${tenant.id}, 'email', ${emails[0]!}, 'manual')`;
  const taken = await claim(tenant, campaign.connectionId, 10);
  expect(taken.map((m) => m.to_address).toSorted()).toEqual(emails.slice(1).toSorted());
  expect(await sweep(tenant)).toBe(1);
  expect((await messagesOf(t, campaign.id)).find((m) => m.to_address === emails[0])).toMatchObject({
    status: "cancelled",
    error_code: "suppressed",
  });
});

test("a sender without room left does not keep the others of its connection from being claimed, however much of its is due", async () => {
  const { tenant, campaign } = await planned(300);
  const other = uuid7();
  await t.sql`
    insert into public.senders (tenant_id, id, channel, connection_id, address, display_name)
    values (${tenant.id}, ${other}, 'email', ${campaign.connectionId}, 'kim@us.test', 'Kim')`;
  await t.sql`
    insert into public.sender_limits (tenant_id, sender_id, action, per, cap) values (${tenant.id}, ${other}, 'email.send', 'day', 10)`;
  // The newest five are the other sender's; all before them are of the one without room.
  await t.sql`
    with late as (select id from public.messages where campaign_id = ${campaign.id} order by id desc limit 5), mine as (
      update public.messages set sender_id = ${other} where id in (select id from late))
    update public.messages set due_at = due_at - interval '1 hour' where campaign_id = ${campaign.id} and id not in (select id from late)`;
  await setCap(campaign.senderId, 0);
  expect(await claim(tenant, campaign.connectionId, 50)).toHaveLength(5);
  await setCap(campaign.senderId, 2);
  expect(await claim(tenant, campaign.connectionId, 50)).toHaveLength(2);
});

test("an action without room left does not keep the sender's other actions from being claimed, however much of it is due", async () => {
  const { tenant, campaign } = await planned(300);
  // The newest five are of an action without a limit; all before them are of one that has none left.
  await t.sql`
    with late as (select id from public.messages where campaign_id = ${campaign.id} order by id desc limit 5), other as (
      update public.messages set action = 'email.other' where id in (select id from late))
    update public.messages set due_at = due_at - interval '1 hour' where campaign_id = ${campaign.id} and id not in (select id from late)`;
  await setCap(campaign.senderId, 0);
  expect(await claim(tenant, campaign.connectionId, 50)).toHaveLength(5);
});

test("places come back to the window they were taken in: what is over when they come back is not given twice", async () => {
  const { tenant, campaign } = await planned(6, 10);
  const taken = await claim(tenant, campaign.connectionId, 6);
  const [before] = await t.sql`select hour, day, week from public.sender_usage where sender_id = ${campaign.senderId}`;
  // Three were taken an hour earlier, of the same day and week.
  await t.sql`
    update public.messages set window_hour = window_hour - interval '1 hour' where id = any(${taken.slice(0, 3).map((m) => m.id)}::uuid[])`;
  await t.sql`update public.sender_usage set hour_reserved = 3 where sender_id = ${campaign.senderId}`;
  await settle(
    tenant,
    taken.map((m) => ({ id: m.id, outcome: "rejected", detail: "no" })),
  );
  expect(
    await t.sql`
    select hour_reserved as hour, day_reserved as day, week_reserved as week, hour = ${before!.hour} as same
    from public.sender_usage where sender_id = ${campaign.senderId}`,
  ).toMatchObject([{ hour: 0, day: 0, week: 0, same: true }]);
});

test("a claim waits for nobody: a message another transaction holds is left to it", async () => {
  const { tenant, campaign } = await planned(2);
  const [first] = await messagesOf(t, campaign.id);
  await t.sql.begin(async (tx) => {
    await tx`select 1 from public.messages where id = ${first!.id} for update`;
    const taken = await claim(tenant, campaign.connectionId, 10);
    expect(taken).toHaveLength(1);
    expect(taken[0]!.id).not.toBe(first!.id);
  });
});

test("one message per run of a step: the ledger refuses a second, whoever writes it", async () => {
  const { campaign } = await planned(1);
  const again = t.sql`
    insert into public.messages (tenant_id, direction, channel, action, contact_id, campaign_id, enrollment_id, step_id, step_run_id, sender_id,
      connection_id, status, due_at, from_address, to_address, thread_id)
    select tenant_id, direction, channel, action, contact_id, campaign_id, enrollment_id, step_id, step_run_id, sender_id,
      connection_id, 'queued', kernel.now(), from_address, to_address, thread_id from public.messages where campaign_id = ${campaign.id}`;
  await expect(again).rejects.toThrow(/messages_once/);
});

test("a step happens once in each run of a person's sequence: a second one is refused, whoever plans it", async () => {
  const { campaign } = await planned(1);
  const again = t.sql`
    insert into public.step_runs (tenant_id, enrollment_id, node_id, step_id, visit, state)
    select r.tenant_id, r.enrollment_id, r.node_id, r.step_id, r.visit, 'open' from public.step_runs r
    join public.enrollments e on e.tenant_id = r.tenant_id and e.id = r.enrollment_id where e.campaign_id = ${campaign.id}`;
  await expect(again).rejects.toThrow(/step_runs_once/);
});

test("nobody is active in two exclusive campaigns at once, however many take them in at the same moment", async () => {
  const { tenant, campaign } = await planned(1);
  const others = await Promise.all(
    Array.from({ length: 4 }, (_, i) =>
      tenant.api("POST", "/campaigns", {
        name: `Other ${i}`,
        sender_ids: [campaign.senderId],
        list_id: campaign.listId,
        steps: [{ kind: "email", subject: "Hello", body: "Dear" }],
      }),
    ),
  );
  await t.sql`update public.enrollments set status = 'stopped', finished_at = kernel.now() where campaign_id = ${campaign.id}`;
  const started = await Promise.all(others.map((o) => tenant.api("POST", `/campaigns/${o.body.id}/start`)));
  expect(started.map((a) => a.status)).toEqual([200, 200, 200, 200]);
  await Promise.all(Array.from({ length: 4 }, () => t.drain("campaigns_enroll")));
  await settlePlans(t, tenant);
  const rows = await t.sql<{ status: string; reason: string | null }[]>`
    select status, reason from public.enrollments where tenant_id = ${tenant.id} and campaign_id <> ${campaign.id} order by status`;
  expect(rows.filter((r) => ["waiting", "sending", "task", "blocked"].includes(r.status))).toHaveLength(1);
  expect(rows.filter((r) => r.status === "left_out")).toHaveLength(3);
  await expect(
    t.sql`update public.enrollments set status = 'waiting', next_at = kernel.now(), finished_at = null, exclusive = true, reason = null
      where tenant_id = ${tenant.id} and status = 'left_out'`,
  ).rejects.toThrow(/enrollments_exclusive/);
});

test("a settled message stays as it is, and a lapsed attempt's answer does not touch the attempt after it", async () => {
  const { tenant, campaign } = await planned(2);
  const [a, b] = await claim(tenant, campaign.connectionId, 2);
  expect(await settle(tenant, [{ id: a!.id, attempt: 1, outcome: "sent", provider_message_id: "p-1" }])).toBe(1);
  for (const outcome of ["retry", "rejected", "unknown", "broken"]) {
    expect(await settle(tenant, [{ id: a!.id, attempt: 1, outcome, code: "x", detail: "x" }])).toBe(0);
  }
  expect(await byId(a!.id)).toMatchObject({ status: "sent", attempts: 1 });

  // The first worker is taken for dead, the provider does not know the message, a second worker has it in hand.
  await t.sql`update public.messages set lease_until = kernel.slow_clock() - interval '1 second' where id = ${b!.id}`;
  await t.sql`select private.expire_leases()`;
  expect(await byId(b!.id)).toMatchObject({ status: "unknown", error_code: "worker_lost" });
  expect(await claim(tenant, campaign.connectionId, 10)).toEqual([]);
  await settle(tenant, [{ id: b!.id, attempt: 1, outcome: "retry", after_seconds: 0 }]);
  expect(await claim(tenant, campaign.connectionId, 10)).toMatchObject([{ id: b!.id, attempts: 2 }]);
  // The first one wakes up, and a search that was under way comes back empty.
  for (const outcome of ["retry", "unknown", "rejected"]) {
    expect(await settle(tenant, [{ id: b!.id, attempt: 1, outcome, code: "x", detail: "x", after_seconds: 0 }])).toBe(
      0,
    );
  }
  expect(await byId(b!.id)).toMatchObject({ status: "sending", attempts: 2 });
  expect(await claim(tenant, campaign.connectionId, 10)).toEqual([]);
});

test("asked again with the same key only while the provider remembers it; then a person or a webhook tells", async () => {
  const { tenant, campaign } = await planned(2, 2);
  const [a, b] = await claim(tenant, campaign.connectionId, 2);
  await settle(
    tenant,
    [a!, b!].map((m) => ({ id: m.id, attempt: 1, outcome: "unknown", code: "timeout", detail: "x" })),
  );
  const again = () =>
    tenant.run(
      async (ctx) =>
        (await ctx.db<{ n: number }[]>`select private.ask_again(${[a!.id, b!.id]}::uuid[], 82800) as n`)[0]!.n,
    );
  await t.sql`update public.attempts set started_at = clock_timestamp() - interval '22 hours', fast_at = kernel.fast_clock() - interval '22 hours' where message_id = ${a!.id}`;
  expect(await again()).toBe(2);
  // Their places are free again, so that the cap of two does not stop them; and no cap, pause or window lengthens a memory.
  expect(await reserved(campaign.senderId)).toBe(0);
  await t.sql`update public.messages set idempotency_expires_at = idempotency_expires_at - interval '2 hours' where id = ${a!.id}`;
  expect((await claim(tenant, campaign.connectionId, 10)).map((m) => m.id)).toEqual([b!.id]);
  await t.sql`select private.expire_leases()`;
  expect(await byId(a!.id)).toMatchObject({ status: "unknown", error_code: "key_expired" });
  // A second unknown attempt does not start the memory anew: the first call is the one that may have been accepted.
  await settle(tenant, [{ id: b!.id, attempt: 2, outcome: "unknown" }]);
  await t.sql`update public.attempts set started_at = clock_timestamp() - interval '24 hours', fast_at = kernel.fast_clock() - interval '24 hours' where message_id = any(${[a!.id, b!.id]}::uuid[]) and number = 1`;
  expect(await again()).toBe(0);
  expect(await byId(b!.id)).toMatchObject({ status: "unknown" });
});

test("a wall clock that is set forward takes no living worker for dead", async () => {
  const { tenant, campaign } = await planned(2);
  const taken = await claim(tenant, campaign.connectionId, 2);
  const ids = taken.map((m) => m.id);
  // As after a date that somebody set an hour forward: the slow clock does not follow the wall's. Undone at the end, for it is everybody's.
  const undo = new Error("undone");
  let after: { status: string }[] = [];
  await t.sql
    .begin(async (sql) => {
      await sql`update kernel.clocks set slow = slow - interval '1 hour'`;
      await sql`update public.attempts set slow_at = slow_at - interval '1 hour' where message_id = any(${ids}::uuid[])`;
      await sql`select private.expire_leases()`;
      after = await sql<{ status: string }[]>`select status from public.messages where id = any(${ids}::uuid[])`;
      throw undo;
    })
    .catch((error: unknown) => expect(error).toBe(undo));
  expect(after.map((m) => m.status)).toEqual(["sending", "sending"]);
});

test("a lost worker's claims go back with their places, unless they were handed over: those are in doubt", async () => {
  const { tenant, campaign } = await planned(6, 10);
  const taken = await claimOnly(tenant, campaign.connectionId, 6);
  const [handed, held] = [taken.slice(0, 2), taken.slice(2)];
  await handOver(tenant, campaign.connectionId, handed);
  await t.sql`select private.expire_leases()`;
  expect(await reserved(campaign.senderId)).toBe(6);
  await t.sql`update public.messages set lease_until = kernel.slow_clock() - interval '1 second' where campaign_id = ${campaign.id}`;
  await t.sql`select private.expire_leases()`;
  for (const { id } of handed) expect(await byId(id)).toMatchObject({ status: "unknown", error_code: "worker_lost" });
  for (const { id } of held) expect(await byId(id)).toMatchObject({ status: "queued", error_code: null });
  expect(await reserved(campaign.senderId)).toBe(2);
  // The first worker was only slow: what it held is not its own any more.
  expect(await handOver(tenant, campaign.connectionId, held)).toEqual([]);
  const again = await claimOnly(tenant, campaign.connectionId, 10);
  expect(again.map((m) => [m.id, m.attempts]).toSorted()).toEqual(held.map((m) => [m.id, 2]).toSorted());
  expect(await handOver(tenant, campaign.connectionId, held)).toEqual([]);
  expect(await takeBack(tenant, held)).toBe(0);
  expect(await handOver(tenant, campaign.connectionId, again)).toHaveLength(4);
});

test("a message is handed over once, while its lease lasts, on a connection and by a sender that are in use", async () => {
  const { tenant, campaign } = await planned(2);
  const taken = await claimOnly(tenant, campaign.connectionId, 2);
  const over = (leaseLeft?: number) => handOver(tenant, campaign.connectionId, taken, leaseLeft);
  // The lease of two minutes lasts no three minutes.
  expect(await over(180)).toEqual([]);
  for (const [stopped, restored] of [
    [
      t.sql`update public.senders set status = 'paused' where id = ${campaign.senderId}`,
      t.sql`update public.senders set status = 'active' where id = ${campaign.senderId}`,
    ],
    [
      t.sql`update public.connections set status = 'paused' where id = ${campaign.connectionId}`,
      t.sql`update public.connections set status = 'active' where id = ${campaign.connectionId}`,
    ],
    [
      t.sql`update public.connections set circuit_open_until = kernel.now() + interval '30 seconds' where id = ${campaign.connectionId}`,
      t.sql`update public.connections set circuit_open_until = null where id = ${campaign.connectionId}`,
    ],
  ] as const) {
    await stopped;
    expect(await over()).toEqual([]);
    await restored;
  }
  expect((await Promise.all([over(), over(), over()])).flat()).toHaveLength(2);
  expect(await over()).toEqual([]);
});

test("a claim that is taken back leaves nothing behind, and is due before what is younger", async () => {
  const { tenant, campaign } = await planned(5, 10);
  const [first, second] = await claimOnly(tenant, campaign.connectionId, 2);
  await handOver(tenant, campaign.connectionId, [second!]);
  expect(await takeBack(tenant, [first!, second!])).toBe(2);
  expect(await takeBack(tenant, [first!, second!])).toBe(0);
  expect(await reserved(campaign.senderId)).toBe(0);
  expect(await t.sql`select 1 from public.attempts where tenant_id = ${tenant.id}`).toEqual([]);
  expect(await byId(second!.id)).toMatchObject({ status: "queued", attempts: 1 });
  const again = await claim(tenant, campaign.connectionId, 2);
  expect(again.map((m) => m.id).toSorted()).toEqual([first!.id, second!.id].toSorted());
  // Tried once more, because its answer was lost: somebody else has them at the provider by now.
  expect(await takeBack(tenant, [first!, second!])).toBe(0);
  expect(await byId(second!.id)).toMatchObject({ status: "sending", attempts: 2 });
});

test("a hand-over under way is waited for by whoever takes the claim back", async () => {
  const { tenant, campaign } = await planned(1);
  const taken = await claimOnly(tenant, campaign.connectionId, 1);
  const [written, commit] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const over = tenant.run(async (ctx) => {
    await ctx.db`select private.hand_over(${[taken[0]!.id]}::uuid[], ${[1]}::int[], ${campaign.connectionId}, 90)`;
    written.resolve();
    await commit.promise;
  });
  await written.promise;
  const back = takeBack(tenant, taken);
  await until(
    async () =>
      (await t.sql`select 1 from pg_stat_activity where wait_event_type = 'Lock' and query ~ 'return_messages'`)
        .length > 0,
    { what: "the one that takes back to wait" },
  );
  commit.resolve();
  await over;
  expect(await back).toBe(1);
  expect(await t.sql`select 1 from public.attempts where tenant_id = ${tenant.id}`).toEqual([]);
});
