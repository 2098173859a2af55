import { createHash } from "node:crypto";
import { createClient } from "@supabase/supabase-js";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { defineConsumer, done } from "../../modules/kernel/queues/consumer.ts";
import { defineModule } from "../../modules/kernel/module.ts";
import { startWorker } from "../../modules/kernel/queues/worker.ts";
import { testKernel, type TestTenant } from "../support/kernel.ts";
import { until } from "../support/until.ts";

// LISTEN and NOTIFY need no right in Postgres: every login hears every channel and may send on it.

const CHANNELS = ["realtime_messages", "realtime_access", "kernel_queue", "net_http_request", "cron_job_changed"];
const QUEUE = "probe_notified";

const t = testKernel();
let mine: TestTenant;
let theirs: TestTenant;
let analyst: postgres.Sql;
const role = `analyst_${crypto.randomUUID().slice(0, 8)}`;

beforeAll(async () => {
  [mine, theirs] = [await t.tenant("Eavesdroppers"), await t.tenant("Overheard")];
  await t.sql`select kernel.create_queue(${QUEUE})`;
  const url = new URL(t.env.SUPABASE_DB_URL!);
  [url.username, url.password] = [role, crypto.randomUUID()];
  await t.sql.unsafe(`create role ${role} login password '${url.password}'`);
  await t.sql`select kernel.add_analyst(${role}, ${mine.id})`;
  analyst = postgres(url.href, { max: 1, onnotice: () => {} });
});
afterAll(async () => {
  await analyst?.end({ timeout: 5 });
  await t.sql`delete from kernel.analysts where role_name = ${role}`;
  await t.sql.unsafe(`drop role if exists ${role}`);
});

/** What a member hears on the team's topic, and how to stop. */
async function member(tenant: TestTenant) {
  const client = createClient(t.env.SUPABASE_URL!, t.env.SUPABASE_PUBLISHABLE_KEY!, {
    auth: { persistSession: false, autoRefreshToken: false },
  });
  await client.realtime.setAuth(tenant.owner.token);
  const heard: { event: string; payload: { n?: number }; meta?: { id: string } }[] = [];
  const channel = client.channel(`tenant:${tenant.id}`, { config: { private: true } });
  channel.on("broadcast", { event: "*" }, (message) => void heard.push(message as never));
  expect(await new Promise((joined) => channel.subscribe((status) => joined(status)))).toBe("SUBSCRIBED");
  return { heard, stop: () => client.realtime.disconnect() };
}
const send = (tenant: TestTenant, n: number) =>
  t.sql`select realtime.send(${t.sql.json({ n })}, 'numbered', ${`tenant:${tenant.id}`}, true)`;

test("an analyst who listens hears that something happened in the installation, and of whom nothing", async () => {
  const heard: { channel: string; payload: string }[] = [];
  for (const channel of CHANNELS) await analyst.listen(channel, (payload) => void heard.push({ channel, payload }));
  await theirs.api("POST", "/contacts", { email: "overheard@example.com" });
  await t.sql`select kernel.enqueue(${QUEUE}, array[${t.sql.json({ tenant_id: theirs.id })}]::jsonb[])`;
  const { userId } = await theirs.member("viewer");
  await theirs.api("DELETE", `/members/${userId}`);
  const loud = ["realtime_messages", "realtime_access", "kernel_queue"];
  await until(() => loud.every((c) => heard.some((h) => h.channel === c)), { what: "the notifications" });
  const queues = (await t.sql<{ name: string }[]>`select name from kernel.queues`).map((q) => q.name);
  const told = heard.filter(
    ({ channel, payload }) =>
      payload !== "" &&
      !(channel === "kernel_queue" && queues.includes(payload)) &&
      // A digest, which names nobody to who does not know the topic.
      !(channel === "realtime_access" && /^[0-9a-f]{64}$/.test(payload)),
  );
  expect(JSON.stringify(heard)).not.toContain(theirs.id);
  expect(told).toEqual([]);
});

describe("a notification that an analyst forges", () => {
  test("on realtime_messages loses nobody a message, repeats none and delivers none", async () => {
    const listening = await member(theirs);
    await send(theirs, 0);
    await until(() => listening.heard.length === 1, { what: "the first message" });
    const topic = `tenant:${theirs.id}`;
    const forged = [
      `not-an-id t ${topic}`,
      `${listening.heard[0]!.meta!.id} t ${topic}`,
      `${crypto.randomUUID()} t ${topic}`,
      "'; drop table realtime.messages; --",
      "x".repeat(7_999),
      "",
    ];
    for (let n = 1; n <= 20; n++) {
      for (const payload of forged) await analyst`select pg_notify('realtime_messages', ${payload})`;
      await send(theirs, n);
    }
    await until(() => listening.heard.some((m) => m.payload.n === 20), { what: "the last true message" });
    listening.stop();
    expect(listening.heard.map((m) => m.payload.n)).toEqual(Array.from({ length: 21 }, (_, n) => n));
  });

  test("on realtime_access shows nobody out and holds nothing up for long, however many there are", async () => {
    const listening = await member(theirs);
    const digest = createHash("sha256").update(`tenant:${theirs.id}`).digest("hex");
    for (let n = 1; n <= 20; n++) {
      await analyst`select pg_notify('realtime_access', p) from unnest(${[digest, "", "*", "x".repeat(7_999)]}::text[]) p, generate_series(1, 25)`;
      await send(theirs, n);
    }
    await until(() => listening.heard.some((m) => m.payload.n === 20), { what: "the last true message" });
    listening.stop();
    expect(listening.heard.map((m) => m.payload.n)).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
  });

  test("on kernel_queue keeps no worker from its work, whatever it names", async () => {
    const handled: string[] = [];
    const payload = z.object({ tenant_id: z.string(), name: z.string() });
    const consumer = defineConsumer<z.infer<typeof payload>>({
      queue: QUEUE,
      payload,
      visibilitySeconds: 30,
      maxAttempts: 2,
      handle: async (_ctx, { name }) => (handled.push(name), done()),
    });
    const worker = await startWorker(workers([consumer]).kernel);
    try {
      for (const name of ["no_such_queue", "x".repeat(7_999), "__proto__", "", "'; select 1"])
        await analyst`select pg_notify('kernel_queue', ${name})`;
      await t.sql`select kernel.enqueue(${QUEUE}, array[${t.sql.json({ tenant_id: theirs.id, name: "after" })}]::jsonb[])`;
      await until(() => handled.includes("after"), { what: "the message after the forged notifications" });
    } finally {
      await worker.stop();
    }
  });
});
const workers = (consumers: any[]) =>
  testKernel({ WORKER_TYPE: QUEUE }, [defineModule({ name: "notified", needs: [], consumers })]);
