import { expect, it } from "vitest";
import { giveList, giveSender, TWO_EMAILS } from "../../../tests/support/campaigns.ts";
import { testKernel } from "../../../tests/support/kernel.ts";
import { until } from "../../../tests/support/until.ts";

/** Two people edit one campaign: whoever saves second is told, and the first one's steps stay. */

const t = testKernel();
const added = (subject: string) => ({ kind: "email", subject, body: "b" });
const subjectsOf = (campaign: { steps: { subject?: string }[] }) => campaign.steps.map((s) => s.subject);

async function edited(started: boolean) {
  const tenant = await t.tenant();
  const colleague = await tenant.member("member");
  const { senderId } = await giveSender(t, tenant);
  const { listId } = await giveList(t, tenant, [{ email: "ada@acme.test", first_name: "Ada" }]);
  const made = await tenant.api("POST", "/campaigns", {
    name: "Spring",
    sender_ids: [senderId],
    list_id: listId,
    steps: TWO_EMAILS,
  });
  const url = `/campaigns/${made.body.id}`;
  if (started) expect((await tenant.api("POST", `${url}/start`)).status).toBe(200);
  const { body: read } = await tenant.api("GET", url);
  expect(read.version_id).toEqual(expect.any(String));
  return { tenant, colleague, url, read };
}

it.each([
  ["a draft", false],
  ["a campaign that runs", true],
])(
  "two people who save the steps of %s at once: one is saved, the other is told, and the first one's steps stay",
  async (_, started) => {
    const { tenant, colleague, url, read } = await edited(started);
    const { version_id } = read;
    const steps = (subject: string) => [...read.steps, added(subject)];
    // Neither may write before both have come to where they would.
    const { calls } = await t.sql.begin(async (tx) => {
      await tx`select from public.campaigns where id = ${read.id} for update`;
      const [{ mine }] = await tx<[{ mine: number }]>`select pg_backend_pid() as mine`;
      const calls = [
        tenant.api("PUT", `${url}/steps`, { steps: steps("Hers"), version_id }),
        colleague.api("PATCH", url, { name: "Renamed", steps: steps("His"), version_id }),
      ];
      await until(
        async () => {
          const [row] = await t.sql`
            with recursive waiting (pid) as (
              select pid from pg_stat_activity where ${mine} = any(pg_blocking_pids(pid))
              union select a.pid from pg_stat_activity a join waiting w on w.pid = any(pg_blocking_pids(a.pid)))
            select count(*)::int as n from waiting`;
          return row!.n >= 2;
        },
        { what: "both to wait" },
      );
      return { calls };
    });
    const [hers, his] = await Promise.all(calls);
    expect([hers!.status, his!.status].sort()).toEqual([200, 409]);
    const [won, told] = hers!.status === 200 ? [hers!, his!] : [his!, hers!];
    const { body: now } = await tenant.api("GET", url);
    expect(subjectsOf(now)).toEqual([...subjectsOf(read), won === hers ? "Hers" : "His"]);
    expect(now.name).toBe(won === hers ? "Spring" : "Renamed");
    expect(now.version_id).toBe(won.body.version_id);
    expect(now.version_id).not.toBe(version_id);
    const author = won === hers ? tenant.owner.email : colleague.email;
    expect(told.body).toMatchObject({
      code: "conflict",
      detail: `The steps were changed meanwhile by ${author}. Nothing was saved.`,
      errors: [{ pointer: "/version_id" }],
    });
    expect(told.body.suggestion).toContain("Reload the campaign");

    // The way on: with what the campaign has now.
    const again = await colleague.api("PUT", `${url}/steps`, {
      steps: [...now.steps, added("Both")],
      version_id: now.version_id,
    });
    expect(again.status, JSON.stringify(again.body)).toBe(200);
    expect(subjectsOf(again.body)).toEqual([...subjectsOf(now), "Both"]);
  },
);

it("every way to save compares the version it is given: nothing of what came too late is written", async () => {
  const { tenant, colleague, url, read } = await edited(false);
  const { version_id } = read;
  const first = await colleague.api("PUT", `${url}/steps`, { steps: [...read.steps, added("First")], version_id });
  expect(first.status).toBe(200);
  const stale = { steps: read.steps, version_id };
  const late = [
    await tenant.api("PUT", url, { name: "Late", ...stale }),
    await tenant.api("PATCH", url, { name: "Late", ...stale }),
    await tenant.api("PATCH", url, { name: "Late", version_id }),
    await tenant.api("PUT", `${url}/steps`, { ...stale, version_id: null }),
    await tenant.api("PUT", `${url}/steps`, stale),
  ];
  expect(late.map((a) => a.status)).toEqual([409, 409, 409, 409, 409]);
  const { body: now } = await tenant.api("GET", url);
  expect(now).toEqual(first.body);

  // Steps sent along untouched are no change, and without a version nothing is compared.
  const same = await tenant.api("PATCH", url, { name: "Summer", steps: now.steps, version_id: now.version_id });
  expect(same.body).toMatchObject({ name: "Summer", version_id: now.version_id });
  const forced = await tenant.api("PUT", `${url}/steps`, { steps: read.steps });
  expect(forced.body).toMatchObject({ steps: read.steps });
});

it("a campaign of which nothing is written is read with null, and whoever writes first is not overwritten", async () => {
  const tenant = await t.tenant();
  const { body: empty } = await tenant.api("POST", "/campaigns", { name: "Empty" });
  expect(empty.version_id).toBeNull();
  const put = (subject: string) =>
    tenant.api("PUT", `/campaigns/${empty.id}/steps`, { steps: [added(subject)], version_id: null });
  const first = await put("First");
  expect(first.status, JSON.stringify(first.body)).toBe(200);
  expect((await put("Second")).status).toBe(409);
  expect((await tenant.api("GET", `/campaigns/${empty.id}`)).body.steps).toMatchObject([{ subject: "First" }]);
});
