import { randomBytes } from "node:crypto";
import { type Account, addContacts, contextFor, expect, pick, register, test, toast, Watch } from "./support.ts";

/** Enrichment as a person does it: connect a data provider, say when it is asked, see the price, watch the run, decide what differs. */

const sandbox = () => `${process.env.E2E_SANDBOX_URL}/people_data_labs`;
const key = () => randomBytes(32).toString("hex");

/** People whom every provider of the sandbox knows. */
const known = (count: number, over: object = {}) =>
  Array.from({ length: count }, (_, n) => ({
    email: `ada.person${String.fromCharCode(97 + Math.floor(n / 26))}${String.fromCharCode(97 + (n % 26))}@famous.com`,
    ...over,
  }));

/** A connection that can be asked, in the order of people and companies. */
async function connect(account: Account, name = "People Data Labs"): Promise<string> {
  const { id } = await account.api("POST", "/connections", {
    provider: "people_data_labs",
    name,
    credentials: { api_key: key() },
    base_url: sandbox(),
  });
  await account.api("POST", `/connections/${id}/check`);
  await account.api("POST", `/connections/${id}/activate`);
  return id;
}
const order = (account: Account, ids: string[]) =>
  account.api("PUT", "/enrichment/sources", {
    order: Object.fromEntries(["person", "company"].map((k) => [k, ids.map((connection_id) => ({ connection_id }))])),
  });

test("from the first connection to a list whose contacts are known, with the source of every value", async ({
  page,
  account,
}) => {
  test.setTimeout(150_000);
  const list = await account.api("POST", "/lists", { name: "Leads" });
  await addContacts(account, known(3, { lists: [list.id] }));

  await test.step("without a provider the page says what to do", async () => {
    await page.goto("/");
    await page.getByRole("link", { name: "Enrichment" }).click();
    await expect(page.getByRole("heading", { name: "Nothing was enriched yet" })).toBeVisible();
    await page.getByRole("link", { name: "Providers & order" }).click();
    await expect(page.getByRole("heading", { name: "No data provider is connected" })).toBeVisible();
    await page.getByRole("link", { name: "Connect a provider" }).click();
  });

  await test.step("a data provider is connected like any other, and needs no sender", async () => {
    const entry = page.getByRole("listitem").filter({ hasText: "People Data Labs" });
    await expect(entry).toContainText("Answers questions, sends nothing");
    await entry.getByRole("button", { name: "Connect" }).click();
    const form = page.getByRole("dialog", { name: "Connect People Data Labs" });
    await form.getByLabel("API key").fill(key());
    await form.getByText("Advanced").click();
    await form.getByLabel("Address of the provider's API").fill(sandbox());
    await form.getByRole("button", { name: "Save and continue" }).click();
    const panel = page.getByRole("dialog", { name: "People Data Labs", exact: true });
    await panel.getByRole("button", { name: "Check" }).click();
    await expect(panel.getByText("Connected.")).toBeVisible();
    await panel.getByRole("button", { name: "Activate" }).click();
    await expect(panel.getByRole("button", { name: "Pause" })).toBeVisible();
    await expect(panel.getByText("Questions")).toBeVisible();
    await panel.getByRole("link", { name: "order of providers" }).click();
  });

  await test.step("it is put into the order, at the team's own price", async () => {
    const people = page.getByRole("region", { name: "Contacts" });
    await expect(people.getByText("Nobody is asked.")).toBeVisible();
    await page.getByRole("button", { name: "Add People Data Labs to Contacts" }).click();
    await page.getByRole("button", { name: "Add People Data Labs to Companies" }).click();
    await people.getByLabel("Price in $ of a unit at People Data Labs").fill("0.02");
    await page.getByRole("button", { name: "Save the order" }).click();
    await expect(toast(page, "Order saved")).toBeVisible();
    await page.reload();
    await expect(people.getByLabel("Price in $ of a unit at People Data Labs")).toHaveValue("0.02");
    const { data } = await account.api("GET", "/enrichment/sources");
    expect(data.map((s: any) => [s.kind, s.unit_micros]).sort()).toEqual([
      ["company", null],
      ["person", 20_000],
    ]);
  });

  await test.step("the price is seen before anything is asked", async () => {
    await page.goto("/lists");
    await page.getByRole("button", { name: "Enrich Leads" }).click();
    const dialog = page.getByRole("dialog", { name: "Enrich the list “Leads”" });
    const estimate = dialog.getByRole("region", { name: "Estimate" });
    await expect(estimate.getByText("Most it can cost")).toBeVisible();
    // 3 contacts, at most $0.02 and $0.004 each.
    await expect(estimate.getByText("$0.072")).toBeVisible();
    await expect(estimate.getByRole("row", { name: /People Data Labs Contacts/ })).toContainText("$0.02");
    expect((await account.api("GET", "/costs")).data).toEqual([]);
    await dialog.getByLabel("Limit for the run").fill("1");
    await dialog.getByRole("button", { name: "Start" }).click();
    await expect(page).toHaveURL(/\/enrichment\/runs\/[0-9a-f-]+$/);
  });

  await test.step("the run fills its contacts live, each value with who gave it", async () => {
    await expect(page.getByRole("heading", { name: "Leads" })).toBeVisible();
    await expect(page.getByText("3 of 3 contacts done")).toBeVisible();
    const rows = page.getByRole("table", { name: "Contacts of this run" });
    await expect(rows.getByRole("columnheader", { name: "Job title" })).toBeVisible();
    await expect(rows.getByText(/^People Data Labs, \d+%/).first()).toBeVisible();
    await expect(page.getByText(/at most \$1\.00/)).toBeVisible();
    await page.getByLabel("Outcome").selectOption("failed");
    await expect(page).toHaveURL(/outcome=failed/);
    await expect(page.getByRole("heading", { name: "No contact has this outcome" })).toBeVisible();
    await page.getByRole("button", { name: "Show all outcomes" }).click();
    await expect(rows.getByRole("link")).toHaveCount(3);
  });

  await test.step("the contact's page names the source, also of what stands in no column", async () => {
    await page.getByRole("table", { name: "Contacts of this run" }).getByRole("link").first().click();
    const section = page.getByRole("region", { name: "Enrichment" });
    await expect(section.getByText("Seniority")).toBeVisible();
    await expect(section.getByText(/^People Data Labs, \d+%/).first()).toBeVisible();
    await section.getByRole("button", { name: "Enrich now" }).click();
    await expect(section.getByRole("status")).toContainText(/Filled|Nothing new/);
  });

  await test.step("costs and coverage add it up", async () => {
    await page.goto("/enrichment?tab=costs");
    const totals = page.getByRole("region", { name: "Totals" });
    const { total } = await account.api("GET", "/costs/summary");
    expect(total.amount_micros).toBeGreaterThan(0);
    await expect(totals.getByText(`$${(total.amount_micros / 1e6).toFixed(3).replace(/0$/, "")}`)).toBeVisible();
    await expect(page.getByRole("table", { name: "Costs by provider" }).getByText("People Data Labs")).toBeVisible();
    await expect(page.getByRole("table", { name: "Ledger" }).getByText("Found").first()).toBeVisible();
    await page.goto("/enrichment?tab=coverage");
    const people = page.getByRole("region", { name: "Of 3 contacts" });
    await expect(people.getByText("Job title")).toContainText("People Data Labs: 3");
  });
});

test("what a person entered stays until a person takes the offered value", async ({ page, account }) => {
  await order(account, [await connect(account)]);
  const [id] = await addContacts(account, [
    { email: "ada.lovelace@famous.com", first_name: "Ada", last_name: "Lovelace", title: "Countess" },
  ]);
  await page.goto(`/contacts/${id}`);
  const section = page.getByRole("region", { name: "Enrichment" });
  await expect(section.getByText("No data provider was asked about this contact yet.")).toBeVisible();
  await section.getByRole("button", { name: "Enrich now" }).click();
  const offered = section.getByRole("list", { name: "Offered values" });
  await expect(offered.getByText("Job title")).toBeVisible();
  expect((await account.api("GET", `/contacts/${id}`)).title).toBe("Countess");
  const title = (await account.api("GET", `/contacts/${id}/enrichment`)).data.find((v: any) => v.field === "title");
  await section.getByRole("button", { name: `Use for Job title: ${title.value}` }).click();
  await expect(toast(page, "Value used")).toBeVisible();
  await expect(offered).toHaveCount(0);
  await expect(page.getByRole("definition").filter({ hasText: title.value }).first()).toBeVisible();
  expect((await account.api("GET", `/contacts/${id}`)).title).toBe(title.value);

  await test.step("contacts that are selected in the table are enriched together", async () => {
    await page.goto("/contacts");
    await page.getByRole("checkbox", { name: "Select Ada Lovelace" }).click();
    await page.getByRole("region", { name: "Selection" }).getByRole("button", { name: "Enrich" }).click();
    const dialog = page.getByRole("dialog", { name: "Enrich 1 contact" });
    const start = dialog.getByRole("button", { name: "Start" });
    await expect(start).toBeEnabled();
    await dialog.getByText("Fields: ").click();
    await dialog.getByRole("checkbox", { name: "All that your providers give" }).click();
    await dialog.getByRole("checkbox", { name: "Phone", exact: true }).click();
    await expect(dialog.getByText("23 chosen")).toBeVisible();
    await expect(start).toBeEnabled();
    await start.click();
    await expect(page.getByText("1 of 1 contact done")).toBeVisible();
    const [run] = (await account.api("GET", "/enrichment/runs")).data;
    expect(run.fields).not.toContain("phone");
    expect(run.fields).toContain("title");
  });
});

test("the order is changed by keyboard, presets name what is not connected, and others only read it", async ({
  page,
  browser,
  account,
}) => {
  test.setTimeout(120_000);
  await order(account, [await connect(account, "First"), await connect(account, "Second")]);
  await page.goto("/enrichment?tab=providers");
  const people = page.getByRole("region", { name: "Contacts" });
  const names = people.getByRole("listitem").getByRole("link");
  await expect(names).toHaveText(["First", "Second"]);
  await page.getByRole("button", { name: "Move First down" }).first().focus();
  await page.keyboard.press("Enter");
  await expect(names).toHaveText(["Second", "First"]);
  // At the end its button down is disabled: the keyboard goes on at the other one.
  await expect(people.getByRole("button", { name: "Move First up" })).toBeFocused();
  await page.keyboard.press("Alt+ArrowUp");
  await expect(names).toHaveText(["First", "Second"]);
  await page.keyboard.press("Alt+ArrowDown");
  await people.getByRole("button", { name: "Fields taken from First: all fields" }).click();
  const fields = page.getByRole("dialog", { name: "Fields taken from First" });
  await fields.getByRole("checkbox", { name: "Phone", exact: true }).click();
  await fields.getByRole("button", { name: "Done" }).click();
  await page.getByRole("button", { name: "Save the order" }).click();
  await expect(toast(page, "Order saved")).toBeVisible();
  const { data } = await account.api("GET", "/enrichment/sources");
  const saved = data.filter((s: any) => s.kind === "person");
  expect(saved.map((s: any) => s.connection_name)).toEqual(["Second", "First"]);
  expect(saved[1].fields).not.toContain("phone");
  expect(saved[0].fields).toBeNull();

  await page.getByRole("button", { name: "Use the preset Most found" }).click();
  await expect(page.getByText(/^Not connected: .*Hunter/i)).toBeVisible();

  await test.step("who may not change the order reads it", async () => {
    const colleague = await register("Mia Member", "Elsewhere");
    const { url } = await account.api("POST", "/invitations", { email: colleague.email, role: "member" });
    await colleague.api("POST", "/auth/invitation/accept", { token: new URL(url).searchParams.get("token") });
    const context = await contextFor(browser, { ...colleague, tenantId: account.tenantId });
    const watch = new Watch(context);
    const member = await context.newPage();
    await member.goto("/enrichment?tab=providers");
    const read = member.getByRole("region", { name: "Contacts" });
    await expect(read.getByRole("listitem").getByRole("link")).toHaveText(["Second", "First"]);
    await expect(read.getByRole("button")).toHaveCount(0);
    await expect(read.getByRole("spinbutton")).toHaveCount(0);
    await member.goto("/enrichment?tab=costs");
    await expect(member.getByText("$0 of no limit")).toHaveCount(2);
    await expect(member.getByRole("button", { name: /the budget:/ })).toHaveCount(0);
    await watch.check();
    await context.close();
  });
});

test("a run that is stopped asks nobody any more; budgets stand where costs are", async ({ page, account }) => {
  test.setTimeout(120_000);
  await order(account, [await connect(account)]);
  const list = await account.api("POST", "/lists", { name: "Many" });
  // Of as many companies, which are asked about one by one: it takes minutes.
  const people = Array.from({ length: 300 }, (_, n) => ({ email: `ada.berg@company${n}.com`, lists: [list.id] }));
  await addContacts(account, people);

  await test.step("budgets for the day and the month", async () => {
    await page.goto("/enrichment?tab=costs");
    const budgets = page.getByRole("region", { name: "Budgets" });
    await expect(budgets.getByText("$0 of no limit")).toHaveCount(2);
    await budgets.getByRole("button", { name: "Set the budget: today" }).click();
    await page.getByRole("dialog").getByLabel("Limit in dollars").fill("25");
    await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
    await expect(toast(page, "Budget saved")).toBeVisible();
    await expect(budgets.getByText("$0 of $25.00")).toBeVisible();
    await expect(budgets.getByRole("progressbar", { name: "Spent: today" })).toBeVisible();
  });

  await page.goto("/enrichment?new=1");
  const dialog = page.getByRole("dialog", { name: "Enrich contacts" });
  await pick(dialog.getByRole("combobox", { name: "List or segment" }), "Man", "List: Many");
  await dialog.getByRole("button", { name: "Start" }).click();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Stop the run" }).click();
  await expect(page.getByText("A member stopped it.")).toBeVisible();
  await expect(page.getByRole("button", { name: "Stop" })).toHaveCount(0);
  const id = /runs\/(.+)$/.exec(page.url())![1];
  const run = await account.api("GET", `/enrichment/runs/${id}`);
  expect(run).toMatchObject({ status: "stopped", stop_reason: "member" });
  expect(run.counts.complete + run.counts.partial).toBeLessThan(300);
  await page.goto("/enrichment");
  await expect(page.getByRole("row", { name: /Many/ })).toContainText("Stopped");
});
