import { addContacts, connectSandbox, contextFor, expect, test, toast, type Account } from "./support.ts";
import { until } from "../support/until.ts";

/** Messages that wait for a person: looked at one by one, by keyboard, changed, rejected, released; and nothing leaves before. */

const PEOPLE = ["Ann", "Ben", "Cleo", "Dora", "Emil"];

/** A running campaign whose first messages wait. */
async function waitingCampaign(account: Account, settings: object = { approval: "every" }) {
  const list = await account.api("POST", "/lists", { name: "Leads" });
  await addContacts(
    account,
    PEOPLE.map((name) => ({
      email: `silent+${name.toLowerCase()}@example.com`,
      first_name: name,
      last_name: "Lead",
      title: "CFO",
      company_name: "Acme",
      lists: [list.id],
    })),
  );
  const { senderId } = await connectSandbox(account);
  const campaign = await account.api("POST", "/campaigns", {
    name: "Careful",
    sender_ids: [senderId],
    list_id: list.id,
    settings,
    steps: [{ kind: "email", subject: "Hello {{firstName}}", body: "Dear {{firstName}}, see https://us.test/a" }],
  });
  await account.api("POST", `/campaigns/${campaign.id}/start`);
  await until(async () => (await account.api("GET", "/approvals")).data.length === PEOPLE.length, {
    what: "all messages to wait",
    timeoutMs: 60_000,
    everyMs: 300,
  });
  return campaign;
}

test("a queue by keyboard: edit, approve, reject, approve similar; only what was approved leaves", async ({
  page,
  account,
}) => {
  test.setTimeout(180_000);
  const campaign = await waitingCampaign(account);
  const queue = page.getByRole("region", { name: "Queue" });
  const card = page.getByRole("article");
  const names = (await account.api("GET", "/approvals")).data.map(
    (r: { contact: { full_name: string } }) => r.contact.full_name,
  );

  await test.step("the campaign says how many wait, and leads there", async () => {
    await page.goto(`/campaigns/${campaign.id}`);
    await page.getByRole("link", { name: /5 messages wait for approval/ }).click();
    await expect(queue.getByRole("button")).toHaveCount(5);
    await expect(card.getByRole("heading", { name: names[0] })).toBeVisible();
    await expect(card.getByRole("region", { name: "Why it waits" })).toContainText("Every message");
    await expect(card.getByRole("region", { name: "Why it waits" })).toContainText("Step 1, Email");
    await expect(card.getByRole("region", { name: "Message" })).toContainText(
      `Dear ${names[0].split(" ")[0]}, see https://us.test/a`,
    );
  });

  await test.step("j and k move", async () => {
    await page.keyboard.press("j");
    await expect(card.getByRole("heading", { name: names[1] })).toBeVisible();
    await page.keyboard.press("k");
    await expect(card.getByRole("heading", { name: names[0] })).toBeVisible();
  });

  await test.step("e edits: a fault stands at its field, the change is shown with the original", async () => {
    await page.keyboard.press("e");
    const dialog = page.getByRole("dialog", { name: "Edit the message" });
    await dialog.getByLabel("Subject").fill("For {{firstName}}");
    await dialog.getByLabel("Message").fill("Short and kind, {{firstName}}: https://us.test/b");
    await dialog.getByRole("button", { name: "Save the change" }).click();
    await expect(toast(page, "Message changed")).toBeVisible();
    await expect(card.getByRole("region", { name: "Message" })).toContainText("Short and kind");
    await card.getByText("Show the original").click();
    await expect(card.getByRole("region", { name: "Message" })).toContainText("see https://us.test/a");
  });

  await test.step("a approves and goes on to the next", async () => {
    await page.keyboard.press("a");
    await expect(card.getByRole("heading", { name: names[1] })).toBeVisible();
    await expect(queue.getByRole("button")).toHaveCount(4);
  });

  await test.step("r rejects with a reason; letters in it decide nothing", async () => {
    await page.keyboard.press("r");
    const dialog = page.getByRole("dialog", { name: "Reject the message" });
    await dialog.getByLabel("Reason").pressSequentially("a bad fit");
    await dialog.getByRole("button", { name: "Reject" }).click();
    await expect(card.getByRole("heading", { name: names[2] })).toBeVisible();
    await expect(queue.getByRole("button")).toHaveCount(3);
    await page.getByLabel("State").selectOption("rejected");
    await expect(card).toContainText("a bad fit");
    await page.getByLabel("State").selectOption("pending");
  });

  await test.step("g a goes to the campaigns and approves nothing", async () => {
    await expect(queue.getByRole("button")).toHaveCount(3);
    await page.keyboard.press("g");
    await page.keyboard.press("a");
    await expect(page.getByRole("heading", { name: "Campaigns" })).toBeVisible();
    expect((await account.api("GET", "/approvals")).data).toHaveLength(3);
    await page.goto("/approvals");
  });

  await test.step("s approves the similar ones after a question", async () => {
    await expect(card.getByRole("button", { name: /Approve 3 similar messages/ })).toBeVisible();
    await page.keyboard.press("j");
    await page.keyboard.press("k");
    await expect(card.getByRole("button", { name: /Approve 3 similar messages/ })).toBeVisible();
    await page.keyboard.press("s");
    await page.getByRole("alertdialog").getByRole("button", { name: "Approve all" }).click();
    await expect(page.getByRole("heading", { name: "Nothing waits for approval" })).toBeVisible();
  });

  await test.step("what was approved leaves, as it was changed, and nothing else", async () => {
    const sent = await until(
      async () => {
        const { data } = await account.api("GET", `/messages?campaign_id=${campaign.id}&direction=out`);
        return data.filter((m: { sent_at: string | null }) => m.sent_at).length === 4 ? data : null;
      },
      { what: "four messages to leave", timeoutMs: 60_000, everyMs: 300 },
    );
    const of = (status: string) => sent.filter((m: { status: string }) => m.status === status);
    expect(of("sent")).toHaveLength(4);
    expect(of("cancelled")).toHaveLength(1);
    expect(sent.map((m: { subject: string }) => m.subject)).toContain(`For ${names[0].split(" ")[0]}`);
  });
});

test("another approver's decision shows at once, and a delayed message can be stopped", async ({
  page,
  account,
  watch,
}) => {
  test.setTimeout(120_000);
  await waitingCampaign(account, { approval: "delayed", approval_minutes: 600 });
  await page.goto("/approvals");
  const queue = page.getByRole("region", { name: "Queue" });
  const card = page.getByRole("article");
  await expect(queue.getByRole("button")).toHaveCount(5);
  await card.getByRole("button", { name: "Stop it" }).click();
  await expect(toast(page, /it waits for a decision/)).toBeVisible();
  await expect(card.getByRole("button", { name: "Stop it" })).toHaveCount(0);

  const { data } = await account.api("GET", "/approvals");
  await account.api("POST", `/approvals/${data[4].id}/approve`);
  await expect(queue.getByRole("button")).toHaveCount(4);
  // Both at once: the second is told who was faster.
  await queue.getByRole("button").first().click();
  await page.route("**/approve", async (route) => {
    await account.api("POST", `/approvals/${data[0].id}/reject`, { reason: "Not now" });
    await route.continue();
  });
  watch.allowed.push(/status of 409/);
  await card.getByRole("button", { name: /^Approve a/ }).click();
  await expect(page.getByText(/was faster/)).toBeVisible();
});

test("the editor and the settings say what waits, and the queue fits a phone", async ({ page, account, browser }) => {
  test.setTimeout(120_000);
  const campaign = await waitingCampaign(account);
  await page.goto(`/campaigns/${campaign.id}/edit`);
  const mode = page.getByLabel("Before a message leaves");
  await expect(mode).toHaveValue("every");
  await mode.selectOption("delayed");
  await page.getByLabel("Minutes until a message leaves on its own").fill("15");
  await page.keyboard.press("Control+s");
  await expect(page.getByText("Saved", { exact: true })).toBeVisible();
  expect((await account.api("GET", `/campaigns/${campaign.id}`)).settings).toMatchObject({
    approval: "delayed",
    approval_minutes: 15,
  });

  await page.goto("/settings?tab=workspace");
  await page.getByLabel("Risk of at least").fill("7");
  await page.getByLabel("Phrases that always need a person").fill("legal advice\nrefund");
  await page.getByLabel("Messages to high-value contacts").click();
  await page.getByRole("button", { name: "Save rules" }).click();
  await expect(toast(page, "Approval rules saved")).toBeVisible();
  expect((await account.api("GET", "/tenant")).settings).toMatchObject({
    approval_risk: 7,
    approval_phrases: ["legal advice", "refund"],
    approval_high_value: true,
  });
  await page.getByLabel("Risk of at least").fill("");
  await page.getByRole("button", { name: "Save rules" }).click();
  await expect.poll(async () => "approval_risk" in (await account.api("GET", "/tenant")).settings).toBe(false);

  const phone = await contextFor(browser, account, { viewport: { width: 390, height: 844 } });
  const narrow = await phone.newPage();
  await narrow.goto("/approvals");
  await expect(narrow.getByRole("article")).toBeVisible();
  expect(await narrow.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
  await phone.close();
});
