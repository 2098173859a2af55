import { expect, test } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";
import { addContacts, connect, setOrder } from "./fixtures.ts";

const t = testKernel();

test("a contact of nothing but an address gets what the providers know, each value with its source and its price", async () => {
  const team = await t.tenant();
  const pdl = await connect(t, team);
  await setOrder(team, { person: [pdl.id], company: [pdl.id] });
  const [contact] = await addContacts(team, [{ email: "ada.lovelace@famous.com" }]);
  const { status, body } = await team.api("POST", "/leads/enrich", { contact_id: contact });
  expect(status, JSON.stringify(body)).toBe(200);
  expect(body.cost_micros).toBe(8000);
  expect(body.filled).toEqual(
    expect.arrayContaining(["first_name", "last_name", "title", "company_name", "company_size"]),
  );
  expect(body.values).toContainEqual(
    expect.objectContaining({
      field: "first_name",
      value: "Ada",
      provider: "people_data_labs",
      state: "used",
      confidence: 90,
    }),
  );
  const read = await team.api("GET", `/contacts/${contact}`);
  expect(read.body).toMatchObject({
    first_name: "Ada",
    last_name: "Lovelace",
    status: "enriched",
    company: { name: "Famous", domain: "famous.com" },
  });
  expect((await pdl.charged()).units).toBe(2);
  const costs = await team.api("GET", `/costs?run_id=${body.run_id}`);
  expect(costs.body.data.map((c: any) => [c.state, c.outcome, c.amount_micros])).toEqual([
    ["settled", "found", 4000],
    ["settled", "found", 4000],
  ]);
});

test("a second time, and for another contact of the company, the cache answers and nothing is charged", async () => {
  const team = await t.tenant();
  const pdl = await connect(t, team);
  await setOrder(team, { person: [pdl.id], company: [pdl.id] });
  const [ada, bob] = await addContacts(team, [{ email: "ada.byron@famous.com" }, { email: "bob.stone@famous.com" }]);
  await team.api("POST", "/leads/enrich", { contact_id: ada });
  const before = await pdl.charged();
  const { body: second } = await team.api("POST", "/leads/enrich", { contact_id: bob });
  // The person is new, the company is not.
  expect((await pdl.charged()).units).toBe(before.units + 1);
  expect(second.cost_micros).toBe(4000);
  const { body: again } = await team.api("POST", "/leads/enrich", { contact_id: ada, fields: ["phone"] });
  expect(again).toMatchObject({ cost_micros: 0, saved_micros: 4000, outcome: "nothing", missing: ["phone"] });
  expect(again.calls).toEqual([expect.objectContaining({ cached: true, status: "found" })]);
});

test("a person nobody knows costs nothing here, and is not asked about again for a week", async () => {
  const team = await t.tenant();
  const pdl = await connect(t, team);
  await setOrder(team, { person: [pdl.id] });
  const { body } = await team.api("POST", "/leads/enrich", { contact: { email: "nobody@unknown.example" } });
  expect(body).toMatchObject({ outcome: "nothing", cost_micros: 0, calls: [{ status: "miss", cached: false }] });
  const { body: again } = await team.api("POST", "/leads/enrich", { contact_id: body.contact_id });
  expect(again.calls).toEqual([expect.objectContaining({ status: "miss", cached: true })]);
  expect((await pdl.charged()).total).toBe(1);
});

test("what a person entered stays; the other value is offered, and used when somebody accepts it", async () => {
  const team = await t.tenant();
  const pdl = await connect(t, team);
  await setOrder(team, { person: [pdl.id] });
  const [contact] = await addContacts(team, [{ email: "carla.moss@famous.com", first_name: "Karla" }]);
  const { body } = await team.api("POST", "/leads/enrich", { contact_id: contact, refresh: true });
  expect(body.filled).not.toContain("first_name");
  expect((await team.api("GET", `/contacts/${contact}`)).body.first_name).toBe("Karla");
  const offered = body.values.find((v: any) => v.field === "first_name");
  expect(offered).toMatchObject({ value: "Carla", state: "offered" });
  const accepted = await team.api("POST", `/contacts/${contact}/enrichment/${offered.id}/accept`);
  expect(accepted.body.data.find((v: any) => v.field === "first_name").state).toBe("used");
  expect((await team.api("GET", `/contacts/${contact}`)).body.first_name).toBe("Carla");
});

test("what was rejected is not offered again", async () => {
  const team = await t.tenant();
  const pdl = await connect(t, team);
  await setOrder(team, { person: [pdl.id] });
  const [contact] = await addContacts(team, [{ email: "dora.field@famous.com", first_name: "Theodora" }]);
  const { body } = await team.api("POST", "/leads/enrich", { contact_id: contact, refresh: true });
  const offered = body.values.find((v: any) => v.field === "first_name");
  await team.api("POST", `/contacts/${contact}/enrichment/${offered.id}/reject`);
  const { body: again } = await team.api("POST", "/leads/enrich", { contact_id: contact, refresh: true });
  expect(again.values.find((v: any) => v.field === "first_name").state).toBe("rejected");
});

test("a failing provider falls through to the next, and the values say who gave them", async () => {
  const team = await t.tenant();
  const [first, second] = [await connect(t, team), await connect(t, team)];
  await setOrder(team, { person: [first.id, second.id] });
  await first.fault({ kind: "server_error" });
  const { body } = await team.api("POST", "/leads/enrich", { contact: { email: "emil.hart@famous.com" } });
  expect(body.calls.map((c: any) => c.status)).toEqual(["retry", "found"]);
  expect(body.filled).toContain("title");
  expect((await first.charged()).total).toBe(0);
});

test("an answer that was lost counts as spent, because it may have been charged", async () => {
  const team = await t.tenant();
  const pdl = await connect(t, team);
  await setOrder(team, { person: [pdl.id] });
  await pdl.fault({ kind: "reset", accepted: true });
  const { body } = await team.api("POST", "/leads/enrich", { contact: { email: "finn.lake@famous.com" } });
  expect(body).toMatchObject({ outcome: "nothing", reason: "provider", cost_micros: 4000 });
  const { body: costs } = await team.api("GET", `/costs?run_id=${body.run_id}`);
  expect(costs.data).toEqual([expect.objectContaining({ state: "unknown", amount_micros: 4000 })]);
});

test("no call is made that the contact's limit, the day's budget or the month's has no room for", async () => {
  const team = await t.tenant();
  const pdl = await connect(t, team);
  await setOrder(team, { person: [pdl.id] });
  const capped = await team.api("POST", "/leads/enrich", {
    contact: { email: "gina.wood@famous.com" },
    cap_micros: 3999,
  });
  expect(capped.body).toMatchObject({ reason: "contact_cap", calls: [], cost_micros: 0 });
  for (const scope of ["day", "month"]) {
    expect((await team.api("PUT", "/budgets", { scope, cap_micros: 3999 })).status).toBe(200);
    const { body } = await team.api("POST", "/leads/enrich", { contact: { email: "gina.wood@famous.com" } });
    expect(body).toMatchObject({ reason: "budget", cost_micros: 0, calls: [{ status: "budget", detail: scope }] });
    await team.api("PUT", "/budgets", { scope, cap_micros: null });
  }
  expect((await pdl.charged()).total).toBe(0);
});

test("twenty at once against a budget for ten spend at most the budget", async () => {
  const team = await t.tenant();
  const pdl = await connect(t, team);
  await setOrder(team, { person: [{ connection_id: pdl.id, unit_micros: 10_000 }] });
  await t.sql`update public.connections set settings = settings || '{"per_second":1000}' where id = ${pdl.id}`;
  await team.api("PUT", "/budgets", { scope: "day", cap_micros: 100_000 });
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      team.api("POST", "/leads/enrich", { contact: { email: `race${"abcdefghijklmnopqrst"[i]}.jones@famous.com` } }),
    ),
  );
  expect(answers.filter((a) => a.body.cost_micros === 10_000)).toHaveLength(10);
  expect(answers.filter((a) => a.body.reason === "budget")).toHaveLength(10);
  expect((await pdl.charged()).units).toBe(10);
  const { body } = await team.api("GET", "/budgets");
  expect(body.data.find((b: any) => b.scope === "day").spent_micros).toBe(100_000);
});

test("what is asked for in vain is refused with the field and the way out", async () => {
  const team = await t.tenant();
  const nobody = await team.api("POST", "/leads/enrich", { contact: { email: "a@b.co" } });
  expect([nobody.status, nobody.body.suggestion]).toEqual([409, expect.stringContaining("/enrichment/sources")]);
  const pdl = await connect(t, team);
  await setOrder(team, { person: [pdl.id] });
  const none = await team.api("POST", "/leads/enrich", {});
  expect([none.status, none.body.errors[0].pointer]).toEqual([422, "/contact_id"]);
  const bad = await team.api("POST", "/leads/enrich", { contact: { email: "not an address" } });
  expect([bad.status, bad.body.errors[0].pointer]).toEqual([422, "/contact/email"]);
  const order = await team.api("PUT", "/enrichment/sources", { order: { email: [{ connection_id: pdl.id }] } });
  expect([order.status, order.body.errors[0].pointer]).toEqual([422, "/order/email/0/connection_id"]);
  expect((await team.api("GET", "/contacts/count")).body.count).toBe(0);
});
