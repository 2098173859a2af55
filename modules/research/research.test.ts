import { expect, test } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";
import { connect } from "../enrichment/fixtures.ts";
import { emulation as brave } from "../providers/search/brave/emulation.ts";
import { emulation as searxng } from "../providers/search/searxng/emulation.ts";
import { companyAt } from "../sandbox/directory.ts";
import { addCompany, fetched, findingsOf, researchNow, sitesEnv } from "./fixtures.ts";
import { JOBS } from "../sandbox/site-pages.ts";

const t = testKernel(sitesEnv());

test("a website gives facts, products, open positions, technologies and news, each with a quote from the page it names", async () => {
  const team = await t.tenant();
  const company = await addCompany(team);
  const known = companyAt(company.host)!;
  const told = await researchNow(team, company.id);
  expect(told).toMatchObject({ outcome: "found", reason: null, pages: 6, cost_micros: 0 });
  const { data } = await findingsOf(team, company.id);
  expect(told.findings).toBe(data.length);
  const said = (kind: string) => data.filter((f) => f.kind === kind).map((f) => f.statement);
  expect(said("fact")).toEqual(
    expect.arrayContaining([
      `${company.name} was founded in ${known.founded}.`,
      `${company.name} says it has ${known.employees} people.`,
      `${company.name} has an office in ${known.city}, ${known.country}.`,
    ]),
  );
  expect(data.some((f) => f.statement.includes("50000") || f.statement.includes("50,000"))).toBe(false);
  expect(said("hiring")).toEqual(
    expect.arrayContaining([
      `${company.name} lists 3 open positions.`,
      ...JOBS.map((j) => `${company.name} is hiring: ${j}`),
    ]),
  );
  expect(said("technology").sort()).toEqual(
    ["Cloudflare", "HubSpot", "WordPress"].map((n) => `The website of ${company.name} uses ${n}.`),
  );
  expect(said("product")).toHaveLength(2);
  expect(data.find((f) => f.kind === "funding")).toMatchObject({
    provider: "feed",
    data: { amount: 12_000_000, currency: "EUR" },
    url: expect.stringMatching(/^https:/),
  });
  expect(said("leadership")).toHaveLength(1);
  // What is planned, and what a customer did, is no signal.
  expect(said("funding")).toHaveLength(1);
  for (const f of data) expect([f.quote, new URL(f.url).protocol]).toEqual([expect.stringMatching(/\S/), "https:"]);
});

test("only the pages of a kind are fetched, robots.txt first, each once, and what it forbids never", async () => {
  const team = await t.tenant();
  const company = await addCompany(team);
  await researchNow(team, company.id);
  const asked = await fetched(t, company.host);
  expect(asked[0]).toBe("/robots.txt");
  expect(asked.toSorted()).toEqual(["/", "/about", "/careers", "/feed.xml", "/news", "/products", "/robots.txt"]);
});

test("what robots.txt forbids is left out, and a file that forbids all or cannot be read stops before the first page", async () => {
  const team = await t.tenant();
  const some = await addCompany(team, "forbidding");
  await researchNow(team, some.id);
  expect(await fetched(t, some.host)).not.toEqual(expect.arrayContaining(["/about"]));
  expect(await fetched(t, some.host)).not.toEqual(expect.arrayContaining(["/news"]));
  for (const part of ["closed", "broken"]) {
    const company = await addCompany(team, part);
    expect(await researchNow(team, company.id)).toMatchObject({ outcome: "skipped", reason: "robots", pages: 0 });
    expect(await fetched(t, company.host)).toEqual(["/robots.txt"]);
  }
  const patient = await addCompany(team, "patient");
  expect(await researchNow(team, patient.id)).toMatchObject({ outcome: "skipped", reason: "delay", pages: 0 });
});

test("a pace that robots.txt asks for is kept, and the answer comes within ten seconds with what was read by then", async () => {
  const team = await t.tenant();
  const company = await addCompany(team, "steady");
  const started = performance.now();
  const told = await researchNow(team, company.id);
  expect(performance.now() - started).toBeLessThan(10_000);
  expect(told).toMatchObject({ outcome: "found", reason: "time", pages: 2 });
  expect((await findingsOf(team, company.id)).data.length).toBe(told.findings);
  // What ended early is read again by the next run.
  expect((await team.api("GET", `/companies/${company.id}/research`)).body).toMatchObject({
    why: "time",
    researched_at: null,
  });
}, 20_000);

test("a second research stores nothing twice, and says when it saw it again", async () => {
  const team = await t.tenant();
  const company = await addCompany(team);
  const first = await researchNow(team, company.id);
  const before = await findingsOf(team, company.id);
  expect(await researchNow(team, company.id)).toMatchObject({ outcome: "nothing", findings: 0 });
  const after = await findingsOf(team, company.id);
  expect(after.data.length).toBe(first.findings);
  expect(after.data.map((f) => f.statement).toSorted()).toEqual(before.data.map((f) => f.statement).toSorted());
});

test("a CAPTCHA ends the reading: one task for a person with the reason, and nothing is fetched until a member opens the site", async () => {
  const team = await t.tenant();
  for (const part of ["captcha", "robot"]) {
    const company = await addCompany(team, part);
    const { body: contact } = await team.api("POST", "/contacts", {
      email: `ada@${company.host}`,
      company_domain: company.host,
    });
    expect(await researchNow(team, company.id)).toMatchObject({ outcome: "waits", reason: "captcha" });
    const asked = await fetched(t, company.host);
    expect(await researchNow(team, company.id)).toMatchObject({ outcome: "waits", pages: 0 });
    expect(await fetched(t, company.host)).toEqual(asked);
    const { body: site } = await team.api("GET", `/companies/${company.id}/research`);
    expect(site).toMatchObject({ state: "waits", why: "captcha", url: expect.stringContaining(company.host) });
    const { body: tasks } = await team.api("GET", `/tasks?contact_id=${contact.id}`);
    expect(tasks.data).toEqual([
      expect.objectContaining({ id: site.task_id, note: expect.stringContaining("CAPTCHA") }),
    ]);
    const { body: waiting } = await team.api("GET", "/research/sites?state=waits");
    expect(waiting.data.map((s: any) => s.company_id)).toContain(company.id);
    expect((await team.api("PATCH", `/companies/${company.id}/research`, { state: "open" })).body.state).toBe("open");
    await researchNow(team, company.id);
    expect((await fetched(t, company.host)).length).toBeGreaterThan(asked.length);
    // The task is still open: there is no second one.
    expect((await team.api("GET", `/tasks?contact_id=${contact.id}`)).body.data).toHaveLength(1);
  }
});

test("a site that asks for a pause gets it, from every team", async () => {
  const [one, other] = [await t.tenant(), await t.tenant()];
  const company = await addCompany(one, "busy");
  expect(await researchNow(one, company.id)).toMatchObject({ outcome: "failed", reason: "busy" });
  const asked = await fetched(t, company.host);
  const { body: same } = await other.api("POST", "/companies", { name: "Same", domain: company.host });
  expect(await researchNow(other, same.id)).toMatchObject({ reason: "time" });
  expect(await fetched(t, company.host)).toEqual(asked);
});

test("search news cost what the ledger says, name the company, and LinkedIn is no source", async () => {
  const team = await t.tenant();
  const account = await connect(t, team, brave);
  const before = (await account.charged()).units;
  const company = await addCompany(team);
  const told = await researchNow(team, company.id);
  expect(told.cost_micros).toBe(5000);
  expect((await account.charged()).units - before).toBe(1);
  const { body: costs } = await team.api("GET", `/costs?run_id=${told.run_id}`);
  expect(costs.data).toEqual([
    expect.objectContaining({ kind: "search", provider: "brave", amount_micros: 5000, outcome: "found" }),
  ]);
  const { data } = await findingsOf(team, company.id);
  const searched = data.filter((f) => f.provider === "brave");
  expect(searched.length).toBeGreaterThan(0);
  expect(data.some((f) => f.url.includes("linkedin"))).toBe(false);
  // The feed told the same headline: it stands there once.
  expect(data.filter((f) => f.statement === `${company.name} raises €12 million to expand in Europe`)).toHaveLength(1);
});

test("a budget without room for the search leaves it out; the website is read all the same", async () => {
  const team = await t.tenant();
  const account = await connect(t, team, brave);
  const before = (await account.charged()).units;
  await t.sql`insert into public.budgets (tenant_id, scope, cap_micros) values (${team.id}, 'day', 4999)`;
  const company = await addCompany(team);
  expect(await researchNow(team, company.id)).toMatchObject({ outcome: "found", reason: "budget", cost_micros: 0 });
  expect((await account.charged()).units).toBe(before);
});

test("the next search provider is asked when one cannot answer", async () => {
  const team = await t.tenant();
  const first = await connect(t, team, brave);
  await connect(t, team, searxng);
  await first.fault({ kind: "server_error" });
  const company = await addCompany(team);
  await researchNow(team, company.id);
  const { data } = await findingsOf(team, company.id);
  expect(data.some((f) => f.provider === "searxng")).toBe(true);
});

test("a contact is told what its company's pages say of it, and has its company's score with its own acts", async () => {
  const team = await t.tenant();
  const company = await addCompany(team);
  const { body: ada } = await team.api("POST", "/contacts", {
    email: `ada@${company.host}`,
    first_name: "Ada",
    last_name: "Lovelace",
    company_domain: company.host,
  });
  await researchNow(team, company.id);
  const { data, intent } = await findingsOf(team, ada.id, "contacts");
  expect(data.filter((f) => f.about === "contact")).toEqual([
    expect.objectContaining({
      kind: "mention",
      quote: "Ada Lovelace is our head of finance and speaks at conferences.",
    }),
  ]);
  const ofCompany = (await findingsOf(team, company.id)).intent;
  expect(intent).toEqual(ofCompany);
  expect(intent.parts.map((p: any) => p.kind)).toEqual(expect.arrayContaining(["funding", "hiring"]));
  await t.sql`insert into public.interactions (tenant_id, contact_id, kind, channel, direction, at)
    values (${team.id}, ${ada.id}, 'email_reply', 'email', 'in', now())`;
  const after = (await findingsOf(team, ada.id, "contacts")).intent;
  expect(after.score).toBeGreaterThan(intent.score);
  expect(after.parts[0].kind).toBe("reply");
});

test("a feed that the team names is read on its own host, and tells only of the company", async () => {
  const team = await t.tenant();
  const company = await addCompany(team);
  const other = await addCompany(team);
  const refused = await team.api("PATCH", `/companies/${company.id}/research`, {
    feeds: ["https://www.linkedin.com/feed.xml"],
  });
  expect([refused.status, refused.body.errors?.[0]?.pointer]).toEqual([422, "/feeds/0"]);
  const set = await team.api("PATCH", `/companies/${company.id}/research`, {
    feeds: [`https://${other.host}/feed.xml`],
  });
  expect(set.status, JSON.stringify(set.body)).toBe(200);
  await researchNow(team, company.id);
  expect(await fetched(t, other.host)).toEqual(["/robots.txt", "/feed.xml"]);
  const { data } = await findingsOf(team, company.id);
  expect(data.some((f) => f.statement.includes(other.name))).toBe(false);
});
