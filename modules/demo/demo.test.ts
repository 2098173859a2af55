import { expect, test } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";
import { prepareTeam } from "./demo.ts";

const t = testKernel();

test("one demo team per person, however often they ask at once; it sends to its people when the queue has run", async () => {
  const userId = crypto.randomUUID();
  const call = t.call(await t.sign(userId, `demo-${userId}@example.com`));
  const answers = await Promise.all([1, 2, 3].map(() => call("POST", "/demo", {})));
  expect(answers.map((a) => a.status)).toEqual([201, 201, 201]);
  const [team, ...others] = new Set(answers.map((a) => a.body.tenant_id as string));
  expect(others).toEqual([]);

  const requests = answers.map((a) => a.headers.get("x-request-id"));
  const made =
    await t.sql`select request_id from public.audit_log where tenant_id = ${team!} and action = 'tenants.create'`;
  expect(made).toHaveLength(1);
  expect(requests, "the audit row names the request that made the team").toContain(made[0]!.request_id);

  // Not what other suites asked for: hundreds of messages each, which every suite that sends would have to send along.
  await t.sql`delete from pgmq.q_demo_prepare where message ->> 'tenant_id' <> ${team!}`;
  await t.drain(prepareTeam.queue);
  const mine = t.call(await t.sign(userId, `demo-${userId}@example.com`), team);
  expect((await mine("GET", "/campaigns")).body.data).toMatchObject([{ status: "running" }]);
  const [people] = await t.sql`select count(*)::int as n from public.contacts where tenant_id = ${team!}`;
  expect(people!.n).toBe(240);
  expect((await mine("GET", "/enrichment/runs")).body.data).toMatchObject([
    { name: "Demo audience", status: "preparing" },
  ]);
});
