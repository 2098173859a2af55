import { addContacts, expect, pick, test, toast } from "./support.ts";

/** From an empty team to a first answer, the way a person does it. */
test("a provider is connected, a sequence is written, checked, launched, watched and put to rest", async ({
  page,
  account,
}) => {
  test.setTimeout(300_000);
  const list = await account.api("POST", "/lists", { name: "Finance leads" });
  const [first] = await addContacts(account, [
    { email: "reply+anna@example.com", first_name: "Anna", last_name: "Berg", company_name: "Acme", lists: [list.id] },
    { email: "open+bob@example.com", first_name: "Bob", last_name: "Cole", company_name: "Acme", lists: [list.id] },
    { email: "bounce+cid@example.com", first_name: "Cid", last_name: "Dorn", lists: [list.id] },
    { email: "silent+dan@example.com", last_name: "Eck", lists: [list.id] },
  ]);

  await test.step("the connection: a form made from the API, a check, activation, the webhook", async () => {
    await page.goto("/providers?tab=catalogue");
    await page.getByRole("listitem").filter({ hasText: "Postmark" }).getByRole("button", { name: "Connect" }).click();
    const form = page.getByRole("dialog", { name: "Connect Postmark" });
    const { data } = await account.api("GET", "/providers");
    const fields = data.find((p: { id: string }) => p.id === "postmark").credentials_form as {
      title: string;
      secret: boolean;
      required: boolean;
    }[];
    for (const field of fields) await expect(form.getByLabel(field.title).first()).toBeVisible();
    await form.getByLabel("Name", { exact: true }).fill("Postmark, sandboxed");
    for (const field of fields.filter((f) => f.secret))
      await expect(form.getByLabel(field.title).first()).toHaveAttribute("type", "password");
    await form.getByLabel(fields.find((f) => f.required)!.title).fill(crypto.randomUUID());
    await form.getByText("Advanced").click();
    await form.getByLabel(/Address of the provider/).fill(`${process.env.E2E_SANDBOX_URL}/postmark`);
    await form.getByRole("button", { name: "Save and continue" }).click();

    const panel = page.getByRole("dialog", { name: "Postmark, sandboxed" });
    await expect(panel.getByRole("button", { name: "Activate" })).toBeDisabled();
    // What is optional can be set and taken out again.
    const perSecond = async () => (await account.api("GET", "/connections")).data[0].settings.per_second;
    for (const [written, stored] of [
      ["5", 5],
      ["", undefined],
    ] as const) {
      await panel.getByRole("button", { name: "Edit" }).click();
      await panel.getByLabel("Calls per second").fill(written);
      await panel.getByRole("button", { name: "Save" }).click();
      await expect(panel.getByRole("button", { name: "Check" })).toBeVisible();
      expect(await perSecond()).toBe(stored);
    }
    await panel.getByRole("button", { name: "Check" }).click();
    await expect(panel.getByText("Tested")).toBeVisible();
    await panel.getByRole("button", { name: "Activate" }).click();
    await expect(panel.getByText("Active", { exact: true })).toBeVisible();
    await panel.getByRole("button", { name: "Register with the provider" }).click();
    await expect(panel.getByText(/^Registered with the provider/)).toBeVisible();
    await expect(panel.getByText("stored, encrypted").first()).toBeVisible();
    await page.keyboard.press("Escape");
  });

  await test.step("a sender, which may be paused", async () => {
    await page.getByRole("navigation", { name: "Providers" }).getByRole("link", { name: "Senders" }).click();
    await page.getByRole("button", { name: "New sender" }).click();
    const dialog = page.getByRole("dialog", { name: "New sender" });
    await dialog.getByLabel("Address", { exact: true }).fill("sam@outreach.example");
    await dialog.getByLabel("Name that recipients see").fill("Sam");
    await dialog.getByRole("button", { name: "Save" }).click();
    await page.getByRole("button", { name: "Pause sam@outreach.example" }).click();
    const row = page.getByRole("row", { name: /sam@outreach\.example/ });
    await expect(row.getByText("Paused")).toBeVisible();
  });

  await test.step("the sequence, with variables, fallbacks and a short wait", async () => {
    await page.getByRole("link", { name: "Campaigns" }).click();
    await page.getByRole("button", { name: "New campaign" }).first().click();
    await page.getByRole("dialog").getByLabel("Name").fill("Autumn <b>outreach</b>");
    await page.getByRole("button", { name: "Create", exact: true }).click();
    await expect(page.getByRole("heading", { level: 1 })).toHaveText("Autumn <b>outreach</b>");
    await pick(page.getByRole("combobox", { name: "To", exact: true }), "finance", "List: Finance leads");
    await page.getByRole("checkbox", { name: "Only on certain days and hours" }).click();

    const add = async (kind: string) => {
      await page.getByRole("button", { name: "Add a step to the sequence" }).click();
      await page.getByRole("menuitem", { name: kind, exact: true }).click();
    };
    await add("Email");
    await pick(page.getByRole("combobox", { name: "From, Email" }), "outreach.ex", "Sam <sam@outreach.example>");
    const one = page.getByRole("region", { name: "Step 1: Email" });
    await one.getByLabel("Subject").fill("Hello {{firstName|there}}");
    await one.getByRole("textbox", { name: "Message of step 1" }).fill("How is {{companyName}} doing?\n\n");
    await one.getByRole("button", { name: "Insert a variable into step 1" }).click();
    await page.getByRole("menuitem", { name: /Sender’s name/ }).click();
    await expect(one.getByRole("textbox", { name: "Message of step 1" })).toHaveValue(/\{\{senderName\}\}$/);
    await add("Wait");
    await page.getByLabel("Unit of the wait of step 2").selectOption("minutes");
    await page.getByLabel("How long step 2 waits").fill("1");
    await add("Email");
    await page.getByRole("textbox", { name: "Message of step 3" }).fill("Did you see my note, {{firstName|friend}}?");
    await page.keyboard.press("Control+s");
    await expect(page.getByText("Saved", { exact: true })).toBeVisible();
    await page.reload();
    await expect(page.getByLabel("Unit of the wait of step 2")).toHaveValue("minutes");
    await expect(page.getByLabel("How long step 2 waits")).toHaveValue("1");
  });

  await test.step("the preview shows what a person gets, and what is missing", async () => {
    const preview = page.getByRole("region", { name: /sees it/ });
    const person = preview.getByRole("combobox", { name: "Preview for another contact" });
    await pick(person, "anna", /Anna Berg/);
    await expect(preview.getByText("Hello Anna", { exact: true })).toBeVisible();
    await expect(preview.getByText(/How is Acme doing\?\s+Sam/)).toBeVisible();
    await pick(person, "eck", /Eck/);
    await expect(preview.getByText("Hello there", { exact: true })).toBeVisible();
    await expect(preview.getByText(/companyName has no value/)).toBeVisible();
  });

  await test.step("the launch check names the fault; once it is put right, the launch is open", async () => {
    await page.getByRole("button", { name: "Check and launch" }).click();
    await expect(page.getByRole("heading", { name: "1 problem to fix first" })).toBeVisible();
    await expect(page.getByText("The sender sam@outreach.example is paused.")).toBeVisible();
    await expect(page.getByText(/2 contacts have no companyName/)).toBeVisible();
    await expect(page.getByRole("button", { name: "Launch", exact: true })).toBeDisabled();
    await page.getByRole("link", { name: "Providers" }).click();
    await page.getByRole("navigation", { name: "Providers" }).getByRole("link", { name: "Senders" }).click();
    await page.getByRole("button", { name: "Resume sam@outreach.example" }).click();
    await expect(page.getByRole("button", { name: "Pause sam@outreach.example" })).toBeVisible();
    await page.getByRole("link", { name: "Campaigns" }).click();
    await page.getByRole("link", { name: "Autumn <b>outreach</b>" }).click();
    await page.getByRole("button", { name: "Check and launch" }).click();
    await expect(page.getByRole("heading", { name: "Ready to launch" })).toBeVisible();
    await page.getByRole("button", { name: "Launch", exact: true }).click();
    await page.getByRole("alertdialog").getByRole("button", { name: "Launch" }).click();
    await expect(page.getByRole("button", { name: "Pause" })).toBeVisible();
  });

  const stage = (label: string) =>
    page
      .getByRole("region", { name: "From sent to replied" })
      .locator("dt", { hasText: label })
      .locator("xpath=following-sibling::dd[2]");
  await test.step("sent, delivered, opened and replied arrive live", async () => {
    for (const label of ["Sent", "Delivered", "Opened", "Replied"])
      await expect(stage(label), label).toContainText(/[1-9]/, { timeout: 40_000 });
  });

  await test.step("who lacks a value is blocked, is filled in, and goes on", async () => {
    await page.getByRole("link", { name: /2 contacts are blocked/ }).click();
    await expect(page.getByRole("row", { name: /Eck/ })).toContainText("Blocked");
    const { data } = await account.api("GET", "/contacts?search=eck");
    await account.api("PATCH", `/contacts/${data[0].id}`, { company_name: "Filled in" });
    await page.getByRole("button", { name: "Try 2 blocked contacts again" }).click();
    await expect(toast(page, "2 contacts tried again")).toBeVisible();
    await page.getByLabel("Status", { exact: true }).selectOption("");
    await expect(page.getByRole("row", { name: /Eck/ })).not.toContainText("Blocked");
  });

  await test.step("somebody is added while it runs", async () => {
    await addContacts(account, [
      { email: "silent+eve@example.com", first_name: "Eve", last_name: "Late", company_name: "Acme" },
    ]);
    await page.getByRole("button", { name: "Add contacts" }).click();
    const dialog = page.getByRole("dialog", { name: "Add contacts" });
    await dialog.getByLabel("Who").selectOption("people");
    await pick(dialog.getByRole("combobox", { name: "Contact" }), "eve", /Eve Late/);
    await expect(dialog.getByRole("list", { name: "Chosen" })).toContainText("Eve Late");
    await dialog.getByRole("button", { name: "Add them" }).click();
    await expect(toast(page, "1 contact added")).toBeVisible();
    await expect(page.getByRole("row", { name: /Eve Late/ })).toBeVisible();
  });

  await test.step("a message and its events; the answer in the inbox, as text", async () => {
    await page.getByRole("navigation", { name: "Campaign" }).getByRole("link", { name: "Messages" }).click();
    await page
      .getByRole("row", { name: /Anna Berg/ })
      .getByRole("button", { name: "Hello Anna", exact: true })
      .click();
    const panel = page.getByRole("dialog", { name: "Hello Anna" });
    await expect(panel.getByRole("heading", { name: "Events" })).toBeVisible();
    await expect(panel.getByRole("heading", { name: "Attempts" })).toBeVisible();
    await page.keyboard.press("Escape");

    const { data } = await account.api("GET", `/messages?contact_id=${first}`);
    expect(
      data.some((m: { direction: string }) => m.direction === "in"),
      "the reply became a message",
    ).toBe(true);
    await page.getByRole("link", { name: "Inbox" }).click();
    // The page left behind names her too.
    await expect(page).toHaveURL(/\/inbox/);
    await page
      .getByRole("link", { name: /Anna Berg/ })
      .first()
      .click();

    await expect(page.getByRole("article").getByText(/ wrote$/)).toBeVisible();
  });

  await test.step("pause, resume, stop, clone, archive", async () => {
    await page.getByRole("link", { name: "Campaigns" }).click();
    await page.getByRole("link", { name: "Autumn <b>outreach</b>" }).click();
    await page.getByRole("button", { name: "Pause" }).click();
    await expect(toast(page, "Paused")).toBeVisible();
    // Said only if a provider has messages already.
    const held = page.getByRole("dialog", { name: "Paused" });
    if (await held.isVisible()) await held.getByRole("button", { name: "Understood" }).click();
    await expect(page.getByRole("button", { name: "Resume" })).toBeVisible();
    await page.getByRole("button", { name: "Resume" }).click();
    await expect(page.getByRole("button", { name: "Pause" })).toBeVisible();
    await page.getByRole("button", { name: "More actions" }).click();
    await page.getByRole("menuitem", { name: "Stop permanently" }).click();
    await page.getByRole("alertdialog").getByRole("button", { name: "Stop" }).click();
    await expect(page.getByRole("banner").or(page.locator("header")).first()).toContainText("Stopped");
    await page.getByRole("button", { name: "More actions" }).click();
    await page.getByRole("menuitem", { name: "Archive" }).click();
    await expect(page.locator("header").first()).toContainText("Archived");
    await page.getByRole("button", { name: "More actions" }).click();
    await page.getByRole("menuitem", { name: "Clone" }).click();
    await expect(page).toHaveURL(/\/edit$/);
    await expect(page.getByRole("textbox", { name: "Message of step 1" })).toHaveValue(/companyName/);
    await expect(page.locator("header").first()).toContainText("Draft");
  });
});
