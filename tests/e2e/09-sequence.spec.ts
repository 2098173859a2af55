import { addContacts, connectSandbox, expect, pick, test, toast } from "./support.ts";

/** A sequence with branches: written by keyboard, followed by two people, answered for by a person, and changed while it runs. */
test("e-mail, wait, condition and task: everybody goes their way and the console says why", async ({
  page,
  account,
  watch,
}) => {
  test.setTimeout(180_000);
  const list = await account.api("POST", "/lists", { name: "Two leads" });
  await addContacts(account, [
    { email: "open+olga@example.com", first_name: "Olga", last_name: "Open", lists: [list.id] },
    { email: "silent+ned@example.com", first_name: "Ned", last_name: "Quiet", lists: [list.id] },
  ]);
  await connectSandbox(account);
  const campaign = await account.api("POST", "/campaigns", { name: "Branches", list_id: list.id });
  const step = (name: string) => page.getByRole("region", { name, exact: true });
  const add = async (where: string, kind: string) => {
    await page.getByRole("button", { name: `Add a step to ${where}`, exact: true }).press("Enter");
    await page.getByRole("menuitem", { name: kind, exact: true }).press("Enter");
  };

  await test.step("the tree, without a mouse", async () => {
    await page.goto(`/campaigns/${campaign.id}/edit`);
    await add("the sequence", "Email");
    await pick(page.getByRole("combobox", { name: "From, Email" }), "sam", "Sam <sam@outreach.example>");
    await step("Step 1: Email").getByLabel("Subject").fill("Hello {{firstName}}");
    await page.getByLabel("Message of step 1").fill("How are you?");
    await add("the sequence", "Condition");
    await expect(step("Step 2: Condition").getByLabel("Rule 1 of step 2", { exact: true })).toHaveValue("opened");
    await add("Yes, after step 2", "Manual task");
    await page.getByLabel("Possible outcomes").fill("Reached, no answer");
    await add("No, after step 2", "End");
    await step("Step 4: End").getByLabel("Goal").fill("Stayed quiet");
    // Between two steps.
    await page.getByRole("button", { name: "Insert a step before step 2" }).press("Enter");
    await page.getByRole("menuitem", { name: "Wait", exact: true }).press("Enter");
    await page.getByLabel("Unit of the wait of step 2").selectOption("hours");
    await page.getByLabel("How long step 2 waits").fill("0.008");
    await expect(step("Step 4: Manual task")).toBeVisible();
  });

  await test.step("steps move and vanish by keyboard, in a branch too", async () => {
    await add("No, after step 3", "SMS");
    await page.getByLabel("Message of step 6").fill(`Hi {{firstName|there}}${" and more".repeat(20)}`);
    // Counted by the server while it is written, before anything is saved.
    await expect(step("Step 6: SMS")).toContainText(/2 segments/);
    await expect(page.getByRole("combobox", { name: "From, SMS" })).toBeVisible();
    await page.getByRole("button", { name: "Move step 6 up" }).press("Enter");
    await expect(step("Step 5: SMS")).toBeVisible();
    await expect(page.getByRole("button", { name: "Move step 5 down" })).toBeFocused();
    await page.keyboard.press("Alt+ArrowDown");
    await expect(step("Step 6: SMS")).toBeVisible();
    await page.getByRole("button", { name: "Remove step 6" }).press("Enter");
    await expect(step("Step 6: SMS")).toHaveCount(0);
    await expect(step("Step 5: End")).toBeFocused();
  });

  await test.step("a fault stands at its step", async () => {
    watch.allowed.push(/status of 422/);
    await page.keyboard.press("Control+s");
    await expect(step("Step 4: Manual task").getByText("must not be empty")).toBeVisible();
    await expect(step("Step 4: Manual task")).toBeFocused();
    await step("Step 4: Manual task").getByLabel("What to do").fill("Call them");
    await page.keyboard.press("Control+s");
    await expect(page.getByText("Saved", { exact: true })).toBeVisible();
    await page.reload();
    await expect(step("Step 4: Manual task").getByLabel("Possible outcomes")).toHaveValue("reached, no_answer");
    const stored = await account.api("GET", `/campaigns/${campaign.id}`);
    expect(stored.steps.map((s: { kind: string }) => s.kind)).toEqual(["email", "wait", "condition"]);
    expect(stored.steps[2].branches.yes[0]).toMatchObject({ kind: "task", title: "Call them" });
  });

  await test.step("it is launched; who opened comes to the task, which waits on the dashboard", async () => {
    await page.getByRole("button", { name: "Check and launch" }).click();
    await page.getByRole("button", { name: "Launch", exact: true }).click();
    await page.getByRole("alertdialog").getByRole("button", { name: "Launch" }).click();
    await expect(page.getByRole("button", { name: "Pause" })).toBeVisible();
    await page.getByRole("link", { name: "Tasks", exact: true }).click();
    await expect(page.getByRole("button", { name: "Call them" })).toBeVisible({ timeout: 90_000 });
    await page.getByRole("link", { name: "Dashboard" }).click();
    await page.getByRole("link", { name: /1 task waits for a member/ }).click();
    await expect(page.getByRole("row", { name: /Call them/ })).toContainText("Olga Open");
  });

  await test.step("the steps change while somebody is on the way: they go on in the new version", async () => {
    await page.goto(`/campaigns/${campaign.id}/edit`);
    await step("Step 4: Manual task").getByLabel("Note").fill("Ask about the budget.");
    await page.keyboard.press("Control+s");
    const dialog = page.getByRole("dialog", { name: "What happens to the active contacts?" });
    await expect(dialog.getByRole("radio", { name: /continue in the new version/ })).toBeChecked();
    await dialog.getByRole("button", { name: "Save the new version" }).click();
    await expect(page.getByText(/has started with version 2/)).toBeVisible();
    await expect(page.getByText(/Contacts are being enrolled or moved/)).toHaveCount(0, { timeout: 30_000 });
  });

  await test.step("the task is finished with an outcome and a note, from the keyboard", async () => {
    await page.goto("/tasks");
    await page.getByRole("button", { name: "Call them" }).press("Enter");
    const panel = page.getByRole("dialog", { name: "Call them" });
    await pick(panel.getByRole("combobox", { name: "Assignee" }), "ada", /Ada Lovelace/);
    await expect(toast(page, "Assignee changed")).toBeVisible();
    await expect(page.getByRole("row", { name: /Call them/, includeHidden: true })).toContainText("Ada Lovelace");
    await panel.getByLabel("What happened").fill("Wants to see a demo.");
    await panel.getByRole("button", { name: "Reached" }).press("Enter");
    await expect(toast(page, "Task done: the sequence continues")).toBeVisible();
    await expect(page.getByRole("heading", { name: "No open tasks" })).toBeVisible();
    await page.getByLabel("Status", { exact: true }).selectOption("done");
    await expect(page.getByRole("row", { name: /Call them/ })).toContainText("Reached: Wants to see a demo.");
  });

  await test.step("why each is where they are", async () => {
    await page.goto(`/campaigns/${campaign.id}?tab=people`);
    await page.getByRole("button", { name: "Why Olga Open is here" }).click();
    const olga = page.getByRole("dialog", { name: "Why Olga Open is here" });
    const told = olga.getByRole("listitem");
    await expect(told.filter({ hasText: "Email" }).first()).toContainText("Sent");
    await expect(told.filter({ hasText: "Condition" }).first()).toContainText("Yes");
    await expect(told.filter({ hasText: "Manual task" }).last()).toContainText("Reached");
    await expect(olga.getByRole("region", { name: "Now" })).toContainText("Finished");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Why Ned Quiet is here" }).click();
    const ned = page.getByRole("dialog", { name: "Why Ned Quiet is here" }).getByRole("listitem");
    await expect(ned.filter({ hasText: "Condition" }).first()).toContainText("No");
    await expect(ned.filter({ hasText: "End" }).first()).toContainText("Goal");
  });
});

test("two people edit the steps: who saves second is told, keeps what they wrote, and reloads when they say so", async ({
  page,
  account,
  watch,
}) => {
  watch.allowed.push(/status of 409/);
  const first = { kind: "email", subject: "Hello", body: "How are you?" };
  const campaign = await account.api("POST", "/campaigns", { name: "Shared", steps: [first] });
  const subject = page.getByRole("region", { name: "Step 1: Email", exact: true }).getByLabel("Subject");
  const second = page.getByRole("region", { name: "Step 2: Email", exact: true });
  const stored = async () =>
    (await account.api("GET", `/campaigns/${campaign.id}`)).steps.map((s: { subject: string }) => s.subject);
  await page.goto(`/campaigns/${campaign.id}/edit`);
  await subject.fill("Mine");
  const theirs = { kind: "email", subject: "Theirs", body: "Still there?" };
  await account.api("PATCH", `/campaigns/${campaign.id}`, { steps: [...campaign.steps, theirs] });
  await page.keyboard.press("Control+s");
  await expect(page.getByRole("alert")).toContainText(`The steps were changed meanwhile by ${account.email}.`);
  await expect(subject).toHaveValue("Mine");
  expect(await stored()).toEqual(["Hello", "Theirs"]);
  await expect(page.getByRole("link", { name: "Open the saved steps in a new tab" })).toBeVisible();

  const question = page.getByRole("alertdialog");
  await page.getByRole("button", { name: "Reload", exact: true }).click();
  await question.getByRole("button", { name: "Cancel" }).click();
  await expect(subject).toHaveValue("Mine");
  await page.getByRole("button", { name: "Reload", exact: true }).click();
  await question.getByRole("button", { name: "Discard and reload" }).click();
  await expect(subject).toHaveValue("Hello");
  await expect(second.getByLabel("Subject")).toHaveValue("Theirs");
  await expect(page.getByRole("alert")).toHaveCount(0);

  await subject.fill("Mine");
  await page.keyboard.press("Control+s");
  await expect(page.getByText("Saved", { exact: true })).toBeVisible();
  expect(await stored()).toEqual(["Mine", "Theirs"]);
  // What was saved last is the version that the next save is compared with.
  await subject.fill("Mine again");
  await page.keyboard.press("Control+s");
  await expect(page.getByText("Saved", { exact: true })).toBeVisible();
  expect(await stored()).toEqual(["Mine again", "Theirs"]);
});

test("consent is recorded and withdrawn with where it comes from", async ({ page, account }) => {
  const [id] = await addContacts(account, [{ email: "anna@example.com", first_name: "Anna", phone: "+4915112345678" }]);
  await page.goto(`/contacts/${id}`);
  const consent = page.getByRole("region", { name: "Consent" });
  await consent.getByRole("button", { name: "Grant consent for SMS" }).click();
  const dialog = page.getByRole("dialog", { name: "Record consent for SMS" });
  await expect(dialog.getByRole("button", { name: "Record" })).toBeDisabled();
  await dialog.getByLabel("Where it comes from").fill("Form on the website");
  await dialog.getByRole("button", { name: "Record" }).click();
  await expect(consent.getByRole("listitem").filter({ hasText: "SMS" })).toContainText(/Granted.*Form on the website/);
  await consent.getByRole("button", { name: "Withdraw consent for SMS" }).click();
  await page.getByLabel("Where it comes from").fill("On the phone");
  await page.getByRole("dialog").getByRole("button", { name: "Withdraw" }).click();
  await expect(consent.getByRole("listitem").filter({ hasText: "SMS" })).toContainText(/Withdrawn.*On the phone/);
  expect((await account.api("GET", `/contacts/${id}/consents`)).data).toMatchObject([
    { channel: "sms", state: "withdrawn", source: "On the phone" },
  ]);
});

test("consent is recorded for everybody who is selected, with where it comes from", async ({ page, account }) => {
  const ids = await addContacts(account, [
    { email: "anna@example.com", first_name: "Anna", phone: "+4915112345678" },
    { email: "bert@example.com", first_name: "Bert", phone: "+4915112345679" },
  ]);
  await page.goto("/contacts");
  await page.getByRole("checkbox", { name: "Select all loaded" }).click();
  await page.getByRole("button", { name: "Consent", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Record consent" });
  await expect(dialog.getByRole("button", { name: "Record" })).toBeDisabled();
  await dialog.getByLabel("Channel").selectOption({ label: "SMS" });
  await dialog.getByLabel("Where it comes from").fill("Trade fair");
  await dialog.getByRole("button", { name: "Record" }).click();
  await expect(toast(page, "Consent of 2 contacts recorded")).toBeVisible();
  for (const id of ids)
    expect((await account.api("GET", `/contacts/${id}/consents`)).data).toMatchObject([
      { channel: "sms", state: "granted", source: "Trade fair" },
    ]);
});
