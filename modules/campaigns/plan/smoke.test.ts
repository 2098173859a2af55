import { expect, it } from "vitest";
import { enrollmentsOf, messagesOf, sendAll, settlePlans, startedCampaign, wakePlanner } from "../../../tests/support/campaigns.ts";
import { testKernel } from "../../../tests/support/kernel.ts";
const t = testKernel({ LOG_LEVEL: "error" }, [], { writeLog: (l) => console.log(l.slice(0, 1500)) });
const TWO = [
  { email: "ada@acme.test", first_name: "Ada" },
  { email: "bob@acme.test", first_name: "Bob" },
];
const letWaitsPass = (campaignId: string) =>
  t.sql`update public.enrollments set next_at = kernel.now(), entered_at = entered_at - interval '30 days' where campaign_id = ${campaignId} and status = 'waiting'`;
it("plans", async () => {
  const tenant = await t.tenant();
  const { id, connectionId } = await startedCampaign(t, tenant, [...TWO, { email: null, first_name: "Nobody" }]);
  await settlePlans(t, tenant);
  const dead = await t.sql`select queue, reason from kernel.dead_letters where tenant_id = ${tenant.id}`;
  expect(dead.map((d) => d.reason)).toEqual([]);
  console.log(await enrollmentsOf(t, id).then((r) => r.map((e) => [e.email, e.status, e.kind, e.reason])));
  const messages = await messagesOf(t, id);
  expect(messages.map((m) => [m.to_address, m.subject, m.status, m.nth])).toEqual([
    ["ada@acme.test", "Hello Ada", "queued", 1],
    ["bob@acme.test", "Hello Bob", "queued", 1],
  ]);
  expect(await sendAll(tenant, connectionId)).toBe(2);
  await wakePlanner(t, tenant);
  console.log(await enrollmentsOf(t, id).then((r) => r.map((e) => [e.email, e.status, e.kind, e.next_at])));
  await letWaitsPass(id);
  await wakePlanner(t, tenant);
  console.log(await enrollmentsOf(t, id).then((r) => r.map((e) => [e.email, e.status, e.kind, e.next_at])));
  expect(await sendAll(tenant, connectionId)).toBe(2);
  await settlePlans(t, tenant);
  console.log(await enrollmentsOf(t, id).then((r) => r.map((e) => [e.email, e.status, e.kind, e.next_at])));
  const leads = await tenant.api("GET", `/campaigns/${id}/leads`);
  console.log(JSON.stringify(leads.body, null, 1).slice(0, 1500));
  const why = await tenant.api("GET", `/campaigns/${id}/leads/${leads.body.data[0].id}/why`);
  console.log(why.status, JSON.stringify(why.body, null, 1).slice(0, 3000));
  await t.sql`select private.finish_campaigns()`;
  const k = await tenant.api("GET", `/campaigns/${id}`);
  console.log(k.status, JSON.stringify(k.body).slice(0, 1500));
  console.log(await t.sql`select prosrc from pg_proc where proname = 'guards'`);
});
