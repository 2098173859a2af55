import { expect, test } from "vitest";
import { startPostgres } from "../../supabase/embedded/postgres.ts";
import { until } from "../support/until.ts";
import { startWorld, verdict, type Mailing } from "./support.ts";

/** Processes that die in the middle of a send. The database is durable here, as an installation's is. */

const world = await startWorld({ durable: true });

/** A batch of 500 every four seconds, for which a sender does not wait: who was woken once takes one, however slow the machine is. */
const ONE_BATCH = { perSecond: 0.25 };

/** The sandbox takes every message at once and answers late: whoever calls is in the middle of it for so long. */
const answerLate = (m: Mailing, delay_ms: number) =>
  world.sandbox("POST", "/faults", { kind: "slow", account: m.account, rate: 1, delay_ms });

const inFlight = (m: Mailing) =>
  until(async () => (await world.accepted(m.account)) > 0, { what: "messages in flight", timeoutMs: 30_000 });

const noneQueued = (m: Mailing) =>
  until(async () => (await world.tick(), (await world.states(m)).queued === undefined), {
    what: "the rest to be taken",
    timeoutMs: 60_000,
  });

/** One worker is in the middle of a call when it dies, a second one goes on; then the leases run out. */
async function killInTheMiddle(m: Mailing) {
  await world.planned(m);
  await answerLate(m, 4000);
  const victim = await world.worker();
  await inFlight(m);
  await world.worker();
  expect(await victim.kill("SIGKILL")).toBe("SIGKILL");
  await world.sandbox("DELETE", "/faults");
  await noneQueued(m);
  // Who leaves politely settles what it holds: what is still «sending» belongs to the dead one.
  await world.stopWorkers();
  const left = await world.states(m);
  expect(left.sending, "messages the dead worker held").toBeGreaterThan(0);
  expect(left.sent, "messages the other one sent").toBeGreaterThan(0);
  expect(await world.accepted(m.account)).toBeLessThanOrEqual(m.size);
  await world.timePasses(m);
  await Promise.all([world.worker(), world.worker()]);
  await world.settle(m);
  await world.stopWorkers();
  await verdict(world, m);
}

test(
  "kill -9 of one of two workers, 2,000 messages: 0 duplicates, 0 lost (found again by search)",
  { timeout: 120_000 },
  async () => {
    await killInTheMiddle(await world.mailing("postmark", 2000, ONE_BATCH));
  },
);

test(
  "kill -9 of one of two workers: 0 duplicates, 0 lost (asked again with the same key)",
  { timeout: 90_000 },
  async () => {
    await killInTheMiddle(await world.mailing("resend", 300, { perSecond: 60 }));
  },
);

test(
  "kill -9 of a worker that sends text messages, to a provider that neither knows a key nor finds a message: 0 duplicates, and what it cannot tell it says",
  { timeout: 120_000 },
  async () => {
    const m = await world.mailing("twilio", 100, { webhooks: true, perSecond: 20 });
    await world.planned(m);
    await answerLate(m, 4000);
    const victim = await world.worker();
    await inFlight(m);
    expect(await victim.kill("SIGKILL")).toBe("SIGKILL");
    await world.sandbox("DELETE", "/faults");
    expect((await world.states(m)).sending, "messages the dead worker held").toBeGreaterThan(0);
    await world.timePasses(m);
    await Promise.all([world.worker(), world.worker()]);
    // Callbacks settle what the provider has; what it never got stays unknown, and is not sent again.
    const ofReferee = () =>
      world.sandbox<{ accepted: number; duplicates: number; without_own_id: number; recipients: number }>(
        "GET",
        `/stats?account=${m.account}`,
      );
    await until(
      async () => {
        await world.tick();
        const { sent = 0, unknown = 0 } = await world.states(m);
        return sent + unknown === m.size && sent === (await ofReferee()).accepted;
      },
      { what: "everything accepted to be known as sent", timeoutMs: 60_000, everyMs: 100 },
    );
    await world.stopWorkers();
    const referee = await ofReferee();
    expect(referee).toMatchObject({ duplicates: 0, without_own_id: 0, recipients: referee.accepted });
    const waiting = await m.tenant.api("GET", `/campaigns/${m.id}/leads?status=sending&limit=100`);
    expect(waiting.body.data.map((l: { waits_for: string }) => l.waits_for)).toEqual(
      Array.from({ length: m.size - referee.accepted }, () => "message"),
    );
  },
);

test(
  "the database stopped at once and started again while two workers send: 0 duplicates, 0 lost",
  { timeout: 120_000 },
  async () => {
    const m = await world.mailing("postmark", 1500, ONE_BATCH);
    await world.planned(m);
    await answerLate(m, 1500);
    await Promise.all([world.worker(), world.worker()]);
    await inFlight(m);
    process.kill(world.stack.pids().postgres!, "SIGQUIT");
    const { home, ports } = world.stack;
    // Waits for the old server's end, or ends it; the data folder is there, so no password is needed.
    const database = await startPostgres({ home, port: ports.db, superuserPassword: "" });
    world.onStop(() => database.stop());
    await until(() => world.sql`select 1`, { what: "the database to answer", timeoutMs: 30_000 });
    await world.sandbox("DELETE", "/faults");
    // A process that lost its connections may end; the supervisor starts it again.
    await world.killWorkers();
    await world.timePasses(m);
    await Promise.all([world.worker(), world.worker()]);
    await world.settle(m);
    await world.stopWorkers();
    await verdict(world, m);
  },
);

test(
  "SIGTERM in the middle of a batch: it finishes what it holds, exits 0, and nothing is left «sending»",
  { timeout: 90_000 },
  async () => {
    const m = await world.mailing("postmark", 1500, ONE_BATCH);
    await world.planned(m);
    await answerLate(m, 1500);
    const first = await world.worker();
    await inFlight(m);
    expect((await world.states(m)).sending).toBeGreaterThan(0);
    expect(await first.kill("SIGTERM")).toBe(0);
    const left = await world.states(m);
    expect(left.sending).toBeUndefined();
    expect(left.unknown).toBeUndefined();
    expect(left.sent).toBe(await world.accepted(m.account));
    expect(left.queued, "messages it left to the next").toBeGreaterThan(0);
    // What it had read from the queue and not begun is there for the next one at once.
    const [hidden] = await world.sql<{ n: number }[]>`
    select count(*)::int as n from pgmq.q_messaging_send where vt > clock_timestamp() + interval '5 seconds' and message ->> 'tenant_id' = ${m.tenant.id}`;
    expect(hidden!.n).toBe(0);
    await world.sandbox("DELETE", "/faults");
    await world.worker();
    await world.settle(m);
    await world.stopWorkers();
    await verdict(world, m);
  },
);
