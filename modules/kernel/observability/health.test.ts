import { beforeAll, expect, test } from "vitest";
import { testKernel } from "../../../tests/support/kernel.ts";
import { createKernel } from "../kernel.ts";
import { ready } from "./health.ts";

const t = testKernel();
const QUEUE = "probe_ready";

type Answer = { status: string; checks: { name: string; ok: boolean; detail: string }[] };
const ask = async () => {
  const response = await ready(t.kernel);
  const answer = (await response.json()) as Answer;
  return { status: response.status, answer, queues: answer.checks.find((c) => c.name === "queues")!.detail };
};

beforeAll(async () => {
  await t.sql`select kernel.create_queue(${QUEUE})`;
});

test("a queue that nobody takes from is named, and the process stays in service", async () => {
  const put = (age: string, delay: string) => t.sql`
    insert into pgmq.q_probe_ready (enqueued_at, vt, message) values (now() - ${age}::interval, now() + ${delay}::interval, '{}')`;
  await put("1 hour", "10 minutes");
  expect((await ask()).queues, "an old message that waits for its retry is not stuck").not.toContain(QUEUE);
  await put("1 hour", "-16 minutes");
  const stuck = await ask();
  expect(stuck).toMatchObject({ status: 200, answer: { status: "degraded" } });
  expect(stuck.queues).toContain(QUEUE);
  await t.sql`delete from pgmq.q_probe_ready`;
  expect((await ask()).queues).not.toContain(QUEUE);
});

test("a database that does not answer takes the process out of service, with one word about it", async () => {
  const kernel = createKernel(
    { ...t.env, OVERTURE_DB_URL: "postgres://nobody@127.0.0.1:1/none", LOG_LEVEL: "silent" },
    [],
  );
  const response = await ready(kernel);
  expect(response.status).toBe(503);
  expect(await response.json()).toEqual({
    status: "down",
    checks: [{ name: "database", ok: false, detail: "does not respond" }],
  });
  await kernel.close();
});

test("a question about the queues that fails behind a connection that works is put to the queues", async () => {
  const { database } = t.kernel;
  const tx: typeof database.tx = (scope, fn) =>
    database.tx(scope, async (sql, now) => {
      // After a failure Postgres answers nothing more in this transaction.
      await sql`select 1 / 0`.catch(() => {});
      return await fn(sql, now);
    });
  const response = await ready({ ...t.kernel, database: { ...database, tx } });
  expect(response.status).toBe(503);
  expect(((await response.json()) as Answer).checks).toEqual([
    { name: "database", ok: true, detail: "answers" },
    { name: "queues", ok: false, detail: "does not respond" },
  ]);
});
