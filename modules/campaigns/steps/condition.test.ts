import { expect, it } from "vitest";
import {
  enrollmentsOf,
  giveList,
  messagesOf,
  sendAll,
  settlePlans,
  startedCampaign,
  wakePlanner,
} from "../../../tests/support/campaigns.ts";
import { testKernel } from "../../../tests/support/kernel.ts";
import { uuid7 } from "../../kernel/database/ids.ts";

const t = testKernel();
const PEOPLE = [
  { email: "ada@acme.test", first_name: "Ada" },
  { email: "bob@acme.test", first_name: "Bob" },
  { email: "cy@acme.test", first_name: "Cy" },
];
type Rule = Record<string, unknown>;

const sequence = (condition: { match?: string; rules: Rule[] }) => [
  { subject: "First", body: "b" },
  { kind: "wait", days: 1 },
  {
    kind: "condition",
    ...condition,
    branches: { yes: [{ kind: "task", title: "Yes" }], no: [{ kind: "task", title: "No" }] },
  },
];

/** People who got the first e-mail and wait before the condition; `ask` lets the wait pass and tells who went where. */
async function atCondition(
  condition: { match?: string; rules: Rule[] },
  prepare: (tenantId: string) => Promise<unknown> = () => Promise.resolve(),
) {
  const tenant = await t.tenant();
  await prepare(tenant.id);
  const campaign = await startedCampaign(t, tenant, PEOPLE, {
    steps: sequence(condition),
    settings: { stop_on_reply: false },
  });
  await settlePlans(t, tenant);
  expect(await sendAll(tenant, campaign.connectionId)).toBe(3);
  await settlePlans(t, tenant);
  // As if all of it had happened forty days ago.
  await t.sql`update public.enrollments set started_at = started_at - interval '40 days', entered_at = entered_at - interval '40 days' where campaign_id = ${campaign.id}`;
  const happened = (name: string, what: "opened" | "clicked" | "replied" | "delivered", daysAgo: number) =>
    t.sql`update public.messages set ${t.sql(`${what}_at`)} = kernel.now() - make_interval(days => ${daysAgo}) where campaign_id = ${campaign.id} and to_address = ${`${name}@acme.test`}`;
  const ask = async () => {
    await t.sql`update public.enrollments set next_at = kernel.now() where campaign_id = ${campaign.id} and status = 'waiting'`;
    await wakePlanner(t, tenant);
    const { data } = (await tenant.api("GET", `/tasks?campaign_id=${campaign.id}`)).body;
    const wayOf = new Map(data.map((x: { contact: { email: string }; title: string }) => [x.contact.email, x.title]));
    return PEOPLE.map((p) => wayOf.get(p.email) ?? null);
  };
  return { tenant, ...campaign, happened, ask };
}

const EVENTS = ["opened", "clicked", "replied", "delivered"] as const;

it.each(EVENTS)("%s within so many days", async (what) => {
  const { happened, ask } = await atCondition({ rules: [{ if: what, within_days: 7 }] });
  await happened("ada", what, 2);
  await happened("bob", what, 12);
  expect(await ask()).toEqual(["Yes", "No", "No"]);
});

it.each(EVENTS)("%s at any time since the person came in", async (what) => {
  const { happened, ask } = await atCondition({ rules: [{ if: what }] });
  await happened("ada", what, 2);
  await happened("bob", what, 12);
  // Of an earlier time through the sequence.
  await happened("cy", what, 60);
  expect(await ask()).toEqual(["Yes", "Yes", "No"]);
});

it("the condition is asked after the wait, with what is true then", async () => {
  const { happened, ask, id } = await atCondition({ rules: [{ if: "opened" }] });
  expect((await enrollmentsOf(t, id)).map((e) => e.kind)).toEqual(["wait", "wait", "wait"]);
  await happened("bob", "opened", 0);
  expect(await ask()).toEqual(["No", "Yes", "No"]);
  // What becomes true later changes no way that was taken.
  await happened("ada", "opened", 0);
  expect(await ask()).toEqual(["No", "Yes", "No"]);
});

it("a rule can mean one step's message alone", async () => {
  const { tenant, id, steps, happened, ask } = await atCondition({ rules: [{ if: "opened" }] });
  const rule = { if: "opened", step_id: crypto.randomUUID() };
  const put = (step_id: string) =>
    tenant.api("PUT", `/campaigns/${id}/steps`, {
      steps: [steps[0], steps[1], { ...steps[2], rules: [{ ...rule, step_id }] }],
    });
  await happened("ada", "opened", 1);
  await happened("bob", "opened", 1);
  // Bob opened the message of another step.
  await t.sql`update public.messages set step_id = ${steps[1]!.id} where campaign_id = ${id} and to_address = 'bob@acme.test'`;
  expect((await put(steps[0]!.id)).status).toBe(200);
  await settlePlans(t, tenant);
  expect(await ask()).toEqual(["Yes", "No", "No"]);
});

it("has_address: of that channel, and one that is alive", async () => {
  const { contactIds, ask } = await atCondition({ rules: [{ if: "has_address", channel: "sms" }] });
  await t.sql`update public.contacts set phone = '+4915735990001' where id = ${contactIds[0]!}`;
  await t.sql`update public.contacts set phone = '+4915735990002' where id = ${contactIds[1]!}`;
  await t.sql`update public.contact_addresses set state = 'invalid' where contact_id = ${contactIds[1]!} and channel = 'sms'`;
  expect(await ask()).toEqual(["Yes", "No", "No"]);
});

const CEOS = { field: "title", op: "eq", value: "CEO" };

it("matches: who the person is at that moment", async () => {
  const { contactIds, ask } = await atCondition({ rules: [{ if: "matches", filter: CEOS }] });
  await t.sql`update public.contacts set title = 'CEO' where id = ${contactIds[1]!}`;
  expect(await ask()).toEqual(["No", "Yes", "No"]);
});

it("in_segment: whom the segment contains at that moment; one that was deleted contains nobody", async () => {
  const [segmentId, deletedId] = [uuid7(), uuid7()];
  const { contactIds, ask } = await atCondition(
    {
      match: "any",
      rules: [
        { if: "in_segment", segment_id: segmentId },
        { if: "in_segment", segment_id: deletedId },
      ],
    },
    (tenantId) => t.sql`
      insert into public.segments (tenant_id, id, name, filter)
      select ${tenantId}::uuid, s.id, s.name, ${t.sql.json(CEOS)} from (values (${segmentId}::uuid, 'CEOs'), (${deletedId}::uuid, 'Deleted')) s (id, name)`,
  );
  await t.sql`delete from public.segments where id = ${deletedId}`;
  await t.sql`update public.contacts set title = 'CEO' where id = ${contactIds[2]!}`;
  expect(await ask()).toEqual(["No", "No", "Yes"]);
});

it.each([
  ["all", ["Yes", "No", "No"]],
  ["any", ["Yes", "Yes", "No"]],
] as const)("of several rules %s must hold", async (match, ways) => {
  const { contactIds, happened, ask } = await atCondition({
    match,
    rules: [{ if: "opened" }, { if: "matches", filter: CEOS }],
  });
  await happened("ada", "opened", 1);
  await t.sql`update public.contacts set title = 'CEO' where id = any(${contactIds.slice(0, 2)}::uuid[])`;
  expect(await ask()).toEqual(ways);
});

it("a condition on a field that was removed holds back who stands there, with the fault, and nobody else of the team", async () => {
  const tenant = await t.tenant();
  await t.sql`insert into public.custom_fields (tenant_id, key, label, type) values (${tenant.id}, 'plan', 'Plan', 'text')`;
  const { id, connectionId } = await startedCampaign(t, tenant, PEOPLE, {
    steps: sequence({ rules: [{ if: "matches", filter: { field: "custom.plan", op: "eq", value: "pro" } }] }),
  });
  await settlePlans(t, tenant);
  expect(await sendAll(tenant, connectionId)).toBe(3);
  await settlePlans(t, tenant);
  await t.sql`delete from public.custom_fields where tenant_id = ${tenant.id}`;
  await t.sql`update public.enrollments set next_at = kernel.now(), entered_at = entered_at - interval '9 days' where campaign_id = ${id}`;
  const { contactIds } = await giveList(t, tenant, [{ email: "new@acme.test" }]);
  expect((await tenant.api("POST", `/campaigns/${id}/leads`, { contact_ids: contactIds })).body.added).toBe(1);
  await settlePlans(t, tenant);
  expect((await enrollmentsOf(t, id)).map((e) => [e.email, e.status, e.reason])).toEqual([
    ["ada@acme.test", "blocked", "condition_fault"],
    ["bob@acme.test", "blocked", "condition_fault"],
    ["cy@acme.test", "blocked", "condition_fault"],
    ["new@acme.test", "sending", null],
  ]);
  expect((await messagesOf(t, id)).filter((m) => m.status === "queued").map((m) => m.to_address)).toEqual([
    "new@acme.test",
  ]);
  // Once the field is there again they go on.
  await t.sql`insert into public.custom_fields (tenant_id, key, label, type) values (${tenant.id}, 'plan', 'Plan', 'text')`;
  expect((await tenant.api("POST", `/campaigns/${id}/leads/retry-blocked`)).body.retried).toBe(3);
  await settlePlans(t, tenant);
  expect((await tenant.api("GET", `/tasks?campaign_id=${id}`)).body.data).toHaveLength(3);
});
