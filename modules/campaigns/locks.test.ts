import { expect, test } from "vitest";
import { startedCampaign } from "../../tests/support/campaigns.ts";
import { testKernel } from "../../tests/support/kernel.ts";
import { until } from "../../tests/support/until.ts";

const t = testKernel();

test("a pause that waits for a planner comes before the planners after it, however they overlap", async () => {
  const tenant = await t.tenant();
  const { id } = await startedCampaign(t, tenant, [{ email: "ada@acme.test", first_name: "Ada" }]);
  const end = Promise.withResolvers<void>();
  const began = Promise.withResolvers<void>();
  /** As takeDue does before it plans; returns what it found. */
  const planner = (until: Promise<void>, shared?: () => void) =>
    tenant.run(async ({ db }) => {
      await db`select private.share_campaigns(array[${id}]::uuid[])`;
      const [found] = await db<{ status: string }[]>`select status from public.campaigns where id = ${id} for share`;
      shared?.();
      await until;
      return found!.status;
    });
  const first = planner(end.promise, began.resolve);
  await began.promise;
  const pause = tenant.api("POST", `/campaigns/${id}/pause`);
  const waiting = (n: number) =>
    until(
      async () =>
        (
          await t.sql`
            select 1 from pg_stat_activity where wait_event_type = 'Lock'
              and (query ~ 'hold_campaign|share_campaigns' or query ~ 'update public.campaigns')`
        ).length >= n,
      { what: `${n} to wait` },
    );
  await waiting(1);
  const second = planner(Promise.resolve());
  // It waits behind the pause, or has passed it.
  await Promise.race([second, waiting(2)]);
  end.resolve();
  expect((await pause).status).toBe(200);
  expect(await Promise.all([first, second])).toEqual(["running", "paused"]);
});
