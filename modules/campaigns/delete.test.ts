import { expect, it } from "vitest";
import { sendAll, settlePlans, startedCampaign, TWO_EMAILS } from "../../tests/support/campaigns.ts";
import { testKernel } from "../../tests/support/kernel.ts";

const t = testKernel();

it("a campaign with many people is deleted in portions; its messages stay, without it, and what has not left is cancelled", async () => {
  const tenant = await t.tenant();
  const people = Array.from({ length: 1_050 }, (_, i) => ({ email: `p${i}@acme.test` }));
  const { id, connectionId } = await startedCampaign(t, tenant, people, { steps: [TWO_EMAILS[0]] });
  await settlePlans(t, tenant);
  expect(await sendAll(tenant, connectionId)).toBe(500);
  // As after a stop whose portions are not through yet.
  await t.sql`update public.campaigns set status = 'archived' where id = ${id}`;
  expect((await tenant.api("DELETE", `/campaigns/${id}`)).status).toBe(204);
  expect((await tenant.api("GET", `/campaigns/${id}`)).body).toMatchObject({
    status: "deleting",
    counts: { enrolled: 50 },
  });
  expect((await tenant.api("DELETE", `/campaigns/${id}`)).status).toBe(204);
  expect((await tenant.api("PATCH", `/campaigns/${id}`, { name: "No" })).status).toBe(409);
  expect((await tenant.api("GET", "/campaigns")).body.data).toEqual([]);
  await settlePlans(t, tenant);
  expect((await tenant.api("GET", `/campaigns/${id}`)).status).toBe(404);
  const left = await t.sql`
    select status, error_code, count(*)::int as n, count(campaign_id)::int + count(enrollment_id)::int as named from public.messages
    where tenant_id = ${tenant.id} group by 1, 2 order by 1`;
  expect([...left]).toEqual([
    { status: "cancelled", error_code: "campaign_stopped", n: 550, named: 0 },
    { status: "sent", error_code: null, n: 500, named: 0 },
  ]);
});
