import { describe, expect, test } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";
import { addContacts } from "../enrichment/fixtures.ts";
import { complete } from "./complete.ts";
import { about, connectVendors, jobOf, setModels, teamWithModels } from "./fixtures.ts";
import { costOf, listPrice, mostOf } from "./prices.ts";
import { DEFAULT_POLICY, employeesOf, type Facts, routeOf } from "./route.ts";
import { factsOf } from "./routing.ts";

const t = testKernel();

describe("the product's rules", () => {
  test.each<[Facts, string, string]>([
    [{ company_employees: 1000 }, "standard", "default"],
    [{ company_employees: 1001 }, "premium", "company_employees"],
    [{ deal_value: 50_000 }, "standard", "default"],
    [{ deal_value: 50_000.01 }, "premium", "deal_value"],
    [{ campaign_tier: "Enterprise" }, "premium", "campaign_tier"],
    [{ campaign_tier: "standard", company_employees: 1000, deal_value: 50_000 }, "standard", "default"],
    [{ company_employees: null, deal_value: null, campaign_tier: null }, "standard", "default"],
    [{}, "standard", "default"],
  ])("%j: %s because of %s", (facts, alias, because) => {
    const route = routeOf(DEFAULT_POLICY, facts);
    expect(route).toEqual({ alias, because, cache: alias === "premium" });
  });

  test.each([
    ["1001-5000", 1001],
    ["501-1000", 501],
    ["1000+", 1001],
    ["1,200", 1200],
    ["10.001 - 20.000", 10_001],
    ["many", null],
    ["", null],
    [null, null],
  ])("a size of %j is at least %s", (size, least) => expect(employeesOf(size)).toBe(least));
});

test("the facts are those of the contact, its company and the campaign, to the cent", async () => {
  const team = await t.tenant();
  const [at, over] = await addContacts(team, [
    { email: "a@famous.com", deal_value: 50_000, company_name: "Small", company_domain: "small.example" },
    { email: "b@famous.com", deal_value: 50_000.01, company_name: "Big", company_domain: "big.example" },
  ]);
  await team.run(
    (tx) => tx.db`
      update public.companies set size = case domain when 'big.example' then '1001-5000' else '501-1000' end
      where tenant_id = (select kernel.tenant())`,
  );
  const facts = (contact: string) => team.run((tx) => factsOf(tx, contact, null));
  expect(await facts(at!)).toEqual({ company_employees: 501, deal_value: 50_000, campaign_tier: null });
  expect(await facts(over!)).toEqual({ company_employees: 1001, deal_value: 50_000.01, campaign_tier: null });
  expect(routeOf(DEFAULT_POLICY, await facts(at!)).alias).toBe("standard");
  expect(routeOf(DEFAULT_POLICY, await facts(over!)).alias).toBe("premium");
  expect(await team.run((tx) => factsOf(tx, null, null))).toEqual({
    company_employees: null,
    deal_value: null,
    campaign_tier: null,
  });
});

test("a team's own rules replace the product's, and the first that holds decides", async () => {
  const { team, ctx } = await teamWithModels(t, [
    ["cheap", "openai", "gpt-4o-mini"],
    ["best", "anthropic", "claude-sonnet-5-5"],
    ["good", "openai", "gpt-4o"],
  ]);
  expect((await team.api("GET", "/models/routing")).body).toMatchObject({ is_own: false, default_alias: "standard" });
  const { status, body } = await team.api("PUT", "/models/routing", {
    rules: [
      { fact: "deal_value", above: 99.99, alias: "best" },
      { fact: "campaign_tier", equals: "gold", alias: "good", cache: false },
    ],
    default_alias: "cheap",
  });
  expect(status, JSON.stringify(body)).toBe(200);
  const alias = async (facts: Facts) => (await complete(ctx, about(JSON.stringify(facts), { facts }))).route;
  expect(await alias({ deal_value: 100, campaign_tier: "gold" })).toEqual({
    alias: "best",
    cache: true,
    because: "deal_value",
  });
  expect(await alias({ deal_value: 99.99, campaign_tier: "gold" })).toEqual({
    alias: "good",
    cache: false,
    because: "campaign_tier",
  });
  expect(await alias({ company_employees: 90_000 })).toEqual({ alias: "cheap", cache: false, because: "default" });
  const { body: read } = await team.api("GET", "/models/routing");
  expect(read).toMatchObject({
    is_own: true,
    rules: [
      { above: 99.99, equals: null },
      { above: null, equals: "gold" },
    ],
  });
});

test("an alias that has no model falls back to the default; rules that do not hold together are refused by field", async () => {
  const { team, ctx } = await teamWithModels(t, [["standard", "openai", "gpt-4o-mini"]]);
  const done = await complete(ctx, about("Big.", { facts: { company_employees: 5000 } }));
  expect(done).toMatchObject({ ok: true, route: { alias: "standard", because: "alias_missing" } });
  const put = async (body: object) =>
    (await team.api("PUT", "/models/routing", { rules: [], default_alias: "standard", ...body })).body;
  const pointer = async (body: object) => (await put(body)).errors?.[0]?.pointer;
  expect(await pointer({ default_alias: "nothing" })).toBe("/default_alias");
  expect(await pointer({ rules: [{ fact: "deal_value", above: 1, alias: "nothing" }] })).toBe("/rules/0/alias");
  expect(await pointer({ rules: [{ fact: "deal_value", equals: "x", alias: "standard" }] })).toBe("/rules/0/above");
  expect(await pointer({ rules: [{ fact: "campaign_tier", equals: "x", above: 1, alias: "standard" }] })).toBe(
    "/rules/0/above",
  );
  expect(await put({})).toMatchObject({ is_own: true, rules: [] });
});

test("rules send no more than the team's share elsewhere; what is chosen by name does not count", async () => {
  const { team, ctx } = await teamWithModels(t);
  const { rules } = (await team.api("GET", "/models/routing")).body;
  await team.api("PUT", "/models/routing", { rules, default_alias: "standard", share_cap: 50 });
  const reasons: string[] = [];
  for (let i = 0; i < 6; i++)
    reasons.push((await complete(ctx, about(`Share ${i}.`, { facts: { company_employees: 5000 } }))).route.because);
  expect(reasons).toEqual([
    "share_cap",
    "company_employees",
    "share_cap",
    "company_employees",
    "share_cap",
    "company_employees",
  ]);
  expect((await complete(ctx, about("Chosen.", { alias: "premium" }))).route.because).toBe("chosen");
});

describe("prices", () => {
  const prices = {
    input_micros: 3_000_000,
    output_micros: 15_000_000,
    cached_micros: 300_000,
    written_micros: 3_750_000,
  };
  test("are per million tokens, each kind at its own, rounded up", () => {
    expect(costOf(prices, { input: 1000, cached: 0, written: 0, output: 500 })).toBe(10_500);
    expect(costOf(prices, { input: 1000, cached: 900, written: 0, output: 0 })).toBe(570);
    expect(costOf(prices, { input: 1000, cached: 0, written: 1000, output: 0 })).toBe(3750);
    expect(costOf(prices, { input: 1, cached: 1, written: 0, output: 0 })).toBe(1);
    expect(mostOf(prices, 1000, 500)).toBe(11_250);
  });

  test("a list fills in what a team does not say, and a model that is not in it needs them", async () => {
    expect(listPrice("gpt-4o-mini-2024-07-18")).toEqual(listPrice("gpt-4o-mini"));
    expect(listPrice("gpt-4o-mini-of-mine")).toBeNull();
    const team = await t.tenant();
    const vendors = await connectVendors(t, team);
    const put = (model: object) =>
      team.api("PUT", "/models", { models: [{ alias: "standard", connection_id: vendors.openai.id, ...model }] });
    const { body } = await put({ model: "gpt-4o-mini", output_micros: 7 });
    expect(body.data[0]).toMatchObject({ input_micros: 150_000, output_micros: 7, cached_micros: 75_000 });
    expect((await put({ model: "llama" })).body.errors[0].pointer).toBe("/models/0/input_micros");
    const own = await put({ model: "llama", input_micros: 0, output_micros: 0 });
    expect(own.body.data[0]).toMatchObject({ cached_micros: 0, written_micros: 0 });
    const other = await t.tenant();
    const foreign = await other.api("PUT", "/models", {
      models: [{ alias: "standard", connection_id: vendors.openai.id, model: "gpt-4o" }],
    });
    expect([foreign.status, foreign.body.errors[0].pointer]).toEqual([422, "/models/0/connection_id"]);
    const twice = { alias: "standard", connection_id: vendors.openai.id, model: "gpt-4o" };
    expect((await team.api("PUT", "/models", { models: [twice, twice] })).body.errors[0].pointer).toBe("/models/1");
  });
});

test("whoever sets models up can try a prompt through the rules; others cannot, and a refusal says why", async () => {
  const team = await t.tenant();
  const none = await team.api("POST", "/models/try", { prompt: "Hello?" });
  expect([none.status, none.body.detail]).toEqual([409, expect.stringMatching(/PUT \/models/)]);
  await setModels(team, await connectVendors(t, team));
  const [contact_id] = await addContacts(team, [{ email: "c@famous.com", deal_value: 60_000 }]);
  const { status, body } = await team.api("POST", "/models/try", { prompt: "Say hello to Ada.", contact_id });
  expect(status, JSON.stringify(body)).toBe(200);
  expect(body).toMatchObject({
    text: expect.stringMatching(/sandbox/),
    alias: "premium",
    route: "deal_value",
    model: "claude-sonnet-5-5",
  });
  const cut = await team.api("POST", "/models/try", { prompt: "Say hello.", alias: "standard", max_output_tokens: 3 });
  expect(cut.body).toMatchObject({ is_cut: true, route: "chosen", provider: "openai" });
  const { body: calls } = await team.api("GET", "/models/calls?node=try&limit=1");
  expect(calls).toMatchObject({ has_more: true, data: [{ model: "gpt-4o-mini" }] });
  const next = await team.api("GET", `/models/calls?node=try&limit=1&cursor=${calls.next_cursor}`);
  expect(next.body).toMatchObject({ has_more: false, data: [{ run_id: body.run_id, cost_micros: body.cost_micros }] });
  const member = await team.member("member");
  expect((await member.api("POST", "/models/try", { prompt: "Hello?" })).status).toBe(403);
  expect((await member.api("GET", "/models/usage")).status).toBe(200);
  await team.api("PUT", "/budgets", { scope: "month", cap_micros: 0 });
  const broke = await team.api("POST", "/models/try", { prompt: "Again?" });
  expect([broke.status, broke.body.detail]).toEqual([409, expect.stringMatching(/budget of the month/)]);
});

test("a member who may not set models up can still have them write", async () => {
  const { team } = await teamWithModels(t);
  const { userId, email } = await team.member("member");
  const actor = { kind: "user" as const, userId, email, role: "member" as const };
  const ctx = t.kernel.manual({ actor, tenantId: team.id, action: "test" });
  expect(await complete(ctx, about("Member."))).toMatchObject({ ok: true, cached: false });
  expect(await complete(ctx, about("Member."))).toMatchObject({ ok: true, cached: true });
  expect(jobOf(t, team).tenantId).toBe(team.id);
});
