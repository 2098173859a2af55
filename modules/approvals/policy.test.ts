import { describe, expect, test } from "vitest";
import {
  giveList,
  giveSender,
  messagesOf,
  sendAll,
  settlePlans,
  startedCampaign,
} from "../../tests/support/campaigns.ts";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { uuid7 } from "../kernel/database/ids.ts";
import { queueMessages, type QueuedMessage } from "../messaging/queue.ts";

/** Which messages wait: campaign and team rules at their boundaries, the risk, and what deciding costs. */

const t = testKernel();

const person = () => ({ email: `p-${crypto.randomUUID()}@example.com`, first_name: "Pat" });
const people = (n: number) => Array.from({ length: n }, person);

const set = async (tenant: TestTenant, settings: object) =>
  expect((await tenant.api("PATCH", "/tenant", { settings })).status).toBe(200);
const rulesOf = async (campaignId: string) =>
  (
    await t.sql<{ rule: string | null }[]>`
      select a.rule from public.messages m left join public.approvals a on a.message_id = m.id where m.campaign_id = ${campaignId} order by m.id`
  ).map((r) => r.rule);

async function campaignOf(
  tenant: TestTenant,
  count: number,
  settings: object = {},
  before?: (ids: string[]) => Promise<unknown>,
) {
  const campaign = await startedCampaign(t, tenant, people(count), { settings });
  await before?.(campaign.contactIds);
  await settlePlans(t, tenant);
  return campaign;
}

test("without a rule nothing waits, and the first message of each contact alone where only it should", async () => {
  const tenant = await t.tenant();
  expect(await rulesOf((await campaignOf(tenant, 2)).id)).toEqual([null, null]);
  const steps = ["One", "Two"].map((subject) => ({ kind: "email", subject, body: "Text" }));
  const campaign = await startedCampaign(t, tenant, people(1), { settings: { approval: "first" }, steps });
  await settlePlans(t, tenant);
  expect(await rulesOf(campaign.id)).toEqual(["first"]);
  const [request] = (await tenant.api("GET", "/approvals")).body.data;
  await tenant.api("POST", `/approvals/${request.id}/approve`);
  expect(await sendAll(tenant, campaign.connectionId)).toBe(1);
  await settlePlans(t, tenant);
  expect(await rulesOf(campaign.id)).toEqual(["first", null]);
});

test("more recipients than the threshold wait, and not as many", async () => {
  const tenant = await t.tenant();
  await set(tenant, { approval_recipients: 3 });
  expect(await rulesOf((await campaignOf(tenant, 3)).id)).toEqual([null, null, null]);
  expect(await rulesOf((await campaignOf(tenant, 4)).id)).toEqual(Array(4).fill("recipients"));
});

test("high-value contacts wait: strictly above 50,000 or 1,000 employees", async () => {
  const tenant = await t.tenant();
  await set(tenant, { approval_high_value: true });
  const campaign = await campaignOf(tenant, 4, {}, async ([a, b, c, d]) => {
    await t.sql`update public.contacts set deal_value = 50000 where id = ${a!}`;
    await t.sql`update public.contacts set deal_value = 50000.01 where id = ${b!}`;
    for (const [id, size] of [
      [c!, "501-1,000"],
      [d!, "1,001-5,000"],
    ] as const) {
      const [company] = await t.sql<{ id: string }[]>`
        insert into public.companies (tenant_id, name, size) values (${tenant.id}, ${`Firm ${size}`}, ${size}) returning id`;
      await t.sql`update public.contacts set company_id = ${company!.id} where id = ${id}`;
    }
  });
  const held = await t.sql<{ contact_id: string; rule: string }[]>`
    select contact_id, rule from public.approvals where campaign_id = ${campaign.id} order by contact_id`;
  const [, b, , d] = campaign.contactIds;
  expect([...held]).toEqual([b!, d!].sort().map((contact_id) => ({ contact_id, rule: "high_value" })));
});

test.each([
  ["1000", 1000],
  ["1,001-5,000", 1001],
  ["1.001–5.000", 1001],
  ["51-200", 51],
  ["10k+", 10001],
  ["1000+", 1001],
  ["1k-5k", 1000],
  ["large", null],
  ["", null],
])("a company's size as written, %s, names at least %s employees", async (size, employees) => {
  const [row] = await t.sql<{ n: string | null }[]>`select private.company_employees(${size}) as n`;
  expect(row!.n === null ? null : Number(row!.n)).toBe(employees);
});

test("the first campaign of a team waits, and the second does not", async () => {
  const tenant = await t.tenant();
  await set(tenant, { approval_first_campaign: true });
  expect(await rulesOf((await campaignOf(tenant, 1)).id)).toEqual(["first_campaign"]);
  expect(await rulesOf((await campaignOf(tenant, 1)).id)).toEqual([null]);
});

test("phrases wait in any case, over line ends, and before every other rule", async () => {
  const tenant = await t.tenant();
  await set(tenant, { approval_phrases: ["legal  advice", "RÉSUMÉ"], approval_recipients: 0 });
  const at = async (body: string) => {
    const campaign = await startedCampaign(t, tenant, people(1), { steps: [{ kind: "email", subject: "Hi", body }] });
    await settlePlans(t, tenant);
    const [row] = await t.sql<
      { rules: string[] }[]
    >`select rules from public.approvals where campaign_id = ${campaign.id}`;
    return row!.rules;
  };
  expect(await at("We give Legal\nAdvice here.")).toEqual(["phrase", "recipients"]);
  expect(await at("Send your resume.")).toEqual(["phrase", "recipients"]);
  expect(await at("Paralegal advisers")).toEqual(["recipients"]);
});

test("no more leave without a person than the daily cap, counted over campaigns", async () => {
  const tenant = await t.tenant();
  await set(tenant, { approval_daily_cap: 5 });
  expect(await rulesOf((await campaignOf(tenant, 3)).id)).toEqual([null, null, null]);
  const rules = await rulesOf((await campaignOf(tenant, 4, { approval: "delayed" })).id);
  expect(rules.sort()).toEqual(["daily_cap", "daily_cap", "delayed", "delayed"]);
  const [day] = await t.sql<
    { automatic: number }[]
  >`select automatic from public.approval_days where tenant_id = ${tenant.id}`;
  expect(day!.automatic).toBe(5);
});

describe("the risk", () => {
  const NONE = { recipients: 100, spam: 0, links: 3, warmth: 50, consented: true, first: false, age: "14 days" };
  const partsOf = async (change: Partial<typeof NONE>) => {
    const r = { ...NONE, ...change };
    const [row] = await t.sql<{ parts: Record<string, number>; risk: number }[]>`
      select p as parts, private.risk_of(p) as risk from private.risk_parts(${r.recipients}, ${r.spam}, ${r.links}, ${r.warmth}, ${r.consented}, ${r.first},
        ${r.age}::interval) p`;
    const { parts, risk } = row!;
    expect(Object.values(parts).reduce((sum, n) => sum + n, 0)).toBe(risk);
    return risk;
  };

  test.each<[string, Partial<typeof NONE>, number]>([
    ["nothing", {}, 0],
    ["101 recipients", { recipients: 101 }, 1],
    ["1,000 recipients", { recipients: 1000 }, 1],
    ["1,001 recipients", { recipients: 1001 }, 2],
    ["one spam word", { spam: 1 }, 1],
    ["two", { spam: 2 }, 2],
    ["nine", { spam: 9 }, 2],
    ["four links", { links: 4 }, 1],
    ["a warmth of 49", { warmth: 49 }, 1],
    ["of 20", { warmth: 20 }, 1],
    ["of 19", { warmth: 19 }, 2],
    ["no consent", { consented: false }, 1],
    ["a first campaign", { first: true }, 1],
    ["a sender of 13 days", { age: "13 days 23:59:59" }, 1],
    [
      "everything",
      { recipients: 5000, spam: 5, links: 9, warmth: 0, consented: false, first: true, age: "0 days" },
      10,
    ],
  ])("of %s", async (_, change, risk) => {
    expect(await partsOf(change)).toBe(risk);
  });

  test("holds at the threshold and above, with its parts", async () => {
    const tenant = await t.tenant();
    // A cold contact 2, no consent 1, the first campaign 1, a new sender 1.
    await set(tenant, { approval_risk: 5 });
    const first = await campaignOf(tenant, 1);
    const [held] = await t.sql<{ rule: string; risk: number; risk_parts: object }[]>`
      select rule, risk, risk_parts from public.approvals where campaign_id = ${first.id}`;
    expect(held).toEqual({
      rule: "risk",
      risk: 5,
      risk_parts: { recipients: 0, spam_words: 0, links: 0, warmth: 2, consent: 1, first_campaign: 1, sender_age: 1 },
    });
    // The second campaign is one less.
    expect(await rulesOf((await campaignOf(tenant, 1)).id)).toEqual([null]);
    await set(tenant, { approval_risk: 4 });
    expect(await rulesOf((await campaignOf(tenant, 1)).id)).toEqual(["risk"]);
  });
});

test("1,000 planned messages are decided in one statement", async () => {
  const tenant = await t.tenant();
  await set(tenant, { approval_high_value: true, approval_risk: 9, approval_daily_cap: 400 });
  const { senderId, connectionId } = await giveSender(t, tenant);
  const { contactIds } = await giveList(t, tenant, people(1000));
  const messages = contactIds.map((contact_id): QueuedMessage => ({
    id: uuid7(),
    channel: "email",
    action: "email.send",
    contact_id,
    campaign_id: null,
    enrollment_id: null,
    step_id: null,
    step_run_id: null,
    sender_id: senderId,
    connection_id: connectionId,
    from_address: "sam@us.test",
    from_name: "Sam",
    to_address: `${contact_id}@example.com`,
    thread_id: uuid7(),
    requires_consent: false,
    due_at: null,
    prepared: { subject: "Hi", text: "Hello", content: {}, email: null, links: [] },
  }));
  const statements: string[] = [];
  await tenant.run(async (ctx) => {
    const db = new Proxy(ctx.db, {
      apply(target, that, args) {
        const [first] = args as [unknown];
        if (Array.isArray(first) && "raw" in first) statements.push(first.join("?").trim().slice(0, 60));
        return Reflect.apply(target as never, that, args);
      },
    });
    await queueMessages({ ...ctx, db }, messages);
  });
  expect(statements.filter((s) => s.includes("hold_messages"))).toHaveLength(1);
  expect(statements.length).toBeLessThanOrEqual(3);
  const [counts] = await t.sql<{ held: number; free: number }[]>`
    select count(*) filter (where approval = 'pending' and status = 'held')::int as held, count(*) filter (where status = 'queued')::int as free
    from public.messages where tenant_id = ${tenant.id}`;
  expect(counts).toEqual({ held: 600, free: 400 });
  expect(await messagesOf(t, uuid7())).toHaveLength(0);
});
