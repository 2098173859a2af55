import { addContacts, contextFor, expect, register, test, toast, Watch } from "./support.ts";

test("a viewer joins by a link, sees everything and is offered nothing to change", async ({
  page,
  account,
  browser,
}) => {
  test.setTimeout(240_000);
  await addContacts(account, [{ email: "anna@example.com", first_name: "Anna", last_name: "Berg" }]);
  await account.api("POST", "/lists", { name: "Leads" });
  await account.api("POST", "/campaigns", {
    name: "Quiet",
    steps: [{ kind: "email", subject: "Hi", body: "Hello" }],
  });
  const link = await test.step("the invitation", async () => {
    await page.goto("/settings");
    await page.getByRole("button", { name: "Invite someone" }).click();
    const dialog = page.getByRole("dialog", { name: "Invite someone" });
    await dialog.getByLabel("Email").fill("viewer@people.example");
    await dialog.getByLabel("Role").selectOption("viewer");
    await dialog.getByRole("button", { name: "Make the link" }).click();
    const url = await dialog.getByRole("code").innerText();
    await dialog.getByRole("button", { name: "Done" }).click();
    await expect(page.getByText("viewer@people.example")).toBeVisible();
    return url;
  });

  const other = await browser.newContext({ baseURL: process.env.E2E_URL!, viewport: { width: 1360, height: 900 } });
  const watch = new Watch(other);
  const viewer = await other.newPage();
  await test.step("is accepted in another browser", async () => {
    await viewer.goto(link);
    await expect(viewer.getByRole("heading", { name: "Join Analytical Engines" })).toBeVisible();
    await expect(viewer.getByLabel("Email")).toHaveValue("viewer@people.example");
    await viewer.getByLabel("Your name").fill("Vera Viewer");
    await viewer.getByLabel("Password").fill("a long enough password");
    await viewer.getByRole("button", { name: "Create account and join" }).click();
    await expect(viewer.getByRole("heading", { name: "Dashboard" })).toBeVisible();
  });

  await test.step("and offers no way to write", async () => {
    const writes =
      /^(new|enrich|use|import|export csv|invite|edit|delete|save|connect|suppress|add|launch|check and launch|pause|resume|stop|requeue|throw away|rename|revoke|lift|withdraw)\b/i;
    const nav = viewer.getByRole("navigation", { name: "Main" });
    await expect(nav.getByRole("link", { name: "Operations" })).toHaveCount(0);
    const { data } = await account.api("GET", "/campaigns");
    for (const path of [
      "/",
      "/contacts",
      "/companies",
      "/lists",
      "/lists?tab=segments",
      "/lists?tab=fields",
      "/campaigns",
      `/campaigns/${data[0].id}`,
      "/providers",
      "/providers?tab=catalogue",
      "/providers?tab=senders",
      "/inbox",
      "/tasks",
      "/enrichment",
      "/enrichment?tab=providers",
      "/enrichment?tab=costs",
      "/settings",
      "/settings?tab=suppressions",
      "/settings?tab=workspace",
    ]) {
      await viewer.goto(path);
      await expect(viewer.getByRole("heading", { level: 1 })).toBeVisible();
      await expect(viewer.locator("main [role=status][aria-label=Loading]")).toHaveCount(0);
      await expect(
        viewer.locator("main").getByRole("button", { name: writes }),
        `${path} offers no button`,
      ).toHaveCount(0);
      await expect(
        viewer.locator("main").getByRole("link", { name: /^(import|new|edit|check and launch|connect)\b/i }),
        `${path} offers no link`,
      ).toHaveCount(0);
    }
    await viewer.goto("/queues");
    await expect(viewer.getByRole("heading", { name: "Your role does not include operations" })).toBeVisible();
  });

  await test.step("until the role changes; what it no longer allows vanishes when the API refuses it", async () => {
    await page.reload();
    await page.getByLabel("Role of Vera Viewer").selectOption("member");
    await expect(toast(page, "Role changed")).toBeVisible();
    await viewer.goto("/contacts");
    await viewer.getByRole("button", { name: "New contact" }).click();
    const form = viewer.getByRole("dialog", { name: "New contact" });
    await form.getByLabel("First name").fill("Too late");
    await page.getByLabel("Role of Vera Viewer").selectOption("viewer");
    await expect(page.getByLabel("Role of Vera Viewer")).toHaveValue("viewer");
    watch.allowed.push(/status of 40[13]/);
    await expect(async () => {
      await form.getByRole("button", { name: "Add contact" }).click();
      await expect(form.getByRole("alert")).toBeVisible({ timeout: 1000 });
    }).toPass();
    await expect(viewer.getByRole("button", { name: "New contact", includeHidden: true })).toHaveCount(0);
  });

  await test.step("an admin changes members; owners are changed by owners alone", async () => {
    await page.getByLabel("Role of Vera Viewer").selectOption("admin");
    await expect(page.getByLabel("Role of Vera Viewer")).toHaveValue("admin");
    const colleague = await register("Otto Second", "His own");
    const { url } = await account.api("POST", "/invitations", { email: colleague.email, role: "viewer" });
    await colleague.api("POST", "/auth/invitation/accept", { token: new URL(url).searchParams.get("token") });
    await viewer.goto("/settings");
    const role = viewer.getByLabel("Role of Otto Second");
    await expect(role.getByRole("option")).toHaveText(["Admin", "Member", "Approver", "Viewer"]);
    await expect(viewer.getByRole("button", { name: "Remove Otto Second" })).toBeVisible();
    await expect(viewer.getByRole("row", { name: /Ada Lovelace/ })).toContainText("Owner");
    await expect(viewer.getByLabel("Role of Ada Lovelace")).toHaveCount(0);
    await expect(viewer.getByRole("button", { name: "Remove Ada Lovelace" })).toHaveCount(0);
  });

  await test.step("the link works once; a removed member is out", async () => {
    await page.getByRole("button", { name: "Remove Vera Viewer" }).click();
    await page.getByRole("alertdialog").getByRole("button", { name: "Remove" }).click();
    await expect(toast(page, "Member removed")).toBeVisible();
    await viewer.goto("/contacts");
    await expect(viewer.getByRole("heading", { name: "You are not a member of a workspace" })).toBeVisible();
    await viewer.goto(link);
    await expect(viewer.getByRole("heading", { name: "This invitation no longer works" })).toBeVisible();
  });
  await watch.check();
  await other.close();
});

test("an API key works with its scopes until it is revoked", async ({ page }) => {
  await page.goto("/settings?tab=keys");
  await page.getByRole("button", { name: "New key" }).click();
  const dialog = page.getByRole("dialog", { name: "New API key" });
  await dialog.getByLabel("Name").fill("CRM sync");
  const contacts = dialog.locator("fieldset div", { has: page.getByText("contacts", { exact: true }) }).last();
  await contacts.getByRole("checkbox", { name: "read" }).click();
  // Only what a scope can be: no permission of its own, such as to launch.
  await expect(contacts.getByRole("checkbox", { name: "write" })).toBeVisible();
  await expect(dialog.getByRole("checkbox", { name: /launch|delete|leave/ })).toHaveCount(0);
  await dialog.getByRole("button", { name: "Create the key" }).click();
  const key = await dialog.getByRole("code").innerText();
  expect(key).toMatch(/^ovk_/);
  await dialog.getByRole("button", { name: "Done" }).click();

  const call = (method: string, path: string) =>
    fetch(`${process.env.E2E_URL}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      ...(method === "POST" ? { body: JSON.stringify({ email: "x@example.com" }) } : {}),
    });
  expect((await call("GET", "/contacts")).status).toBe(200);
  expect((await call("POST", "/contacts")).status).toBe(403);
  await page.reload();
  await expect(page.getByRole("row", { name: /CRM sync/ })).toContainText(/just now|sec/);
  await page.getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Revoke" }).click();
  await expect(page.getByRole("heading", { name: "No API keys" })).toBeVisible();
  expect((await call("GET", "/contacts")).status).toBe(401);
  await page.goto("/settings?tab=audit");
  await expect(
    page
      .getByRole("cell", { name: "api_keys.revoke" })
      .or(page.getByRole("cell", { name: "api_keys.delete" }))
      .first(),
  ).toBeVisible();
});

test("signing out and in; every workspace keeps its own", async ({ page, account, watch }) => {
  await addContacts(account, [{ email: "first@example.com", first_name: "First", last_name: "Team" }]);
  await page.goto("/contacts?search=first");
  await expect(page.getByText("1 loaded")).toBeVisible();

  await page.getByRole("button", { name: /Switch workspace/ }).click();
  await page.getByRole("menuitem", { name: "New workspace" }).click();
  await page.getByRole("dialog").getByLabel("Name").fill("Second team");
  await page.getByRole("dialog").getByRole("button", { name: "Create" }).click();
  await expect(page.getByRole("button", { name: /now Second team/ })).toBeVisible();
  await page.getByRole("link", { name: "Contacts", exact: true }).click();
  await expect(page.getByRole("heading", { name: "No contacts yet" })).toBeVisible();

  await page.getByRole("button", { name: "Your account" }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
  await page.goto("/campaigns");
  await expect(page).toHaveURL(/\/login\?next=%2Fcampaigns/);
  watch.allowed.push(/status of 40[01]/);
  await page.getByLabel("Email").fill(account.email);
  await page.getByLabel("Password").fill("not my password");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("alert")).toBeVisible();
  await page.getByLabel("Password").fill(account.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { name: "Campaigns", level: 1 })).toBeVisible();
  await expect(page.getByRole("button", { name: /now Second team/ })).toBeVisible();
});

test("suppressions go in by the handful, and tracking is switched off for the whole team", async ({
  page,
  account,
}) => {
  await page.goto("/settings?tab=suppressions");
  await page.getByRole("button", { name: "Suppress addresses" }).click();
  const dialog = page.getByRole("dialog", { name: "Suppress addresses" });
  await dialog
    .getByLabel("Addresses", { exact: true })
    .fill("one@example.com, TWO@example.com;\n<three@example.com>\nnot-an-address");
  await dialog.getByRole("button", { name: "Suppress" }).click();
  await expect(toast(page, "3 addresses suppressed")).toBeVisible();
  await expect(dialog.getByRole("alert")).toContainText(/not-an-address is not .*address/);
  await expect(dialog.getByLabel("Addresses", { exact: true })).toHaveValue("not-an-address");
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await page.getByLabel("Search addresses").fill("two");
  await expect(page.getByRole("table", { name: "Suppressions" }).getByRole("row")).toHaveCount(2);

  await page.getByRole("link", { name: "Workspace", exact: true }).click();
  await page.getByRole("checkbox", { name: /Track opens/ }).click();
  await expect(toast(page, "Changed for all campaigns")).toBeVisible();
  await page.reload();
  await expect(page.getByRole("checkbox", { name: /Track opens/ })).not.toBeChecked();
  await expect(page.getByRole("checkbox", { name: /Track clicks/ })).toBeChecked();
  expect((await account.api("GET", "/tenant")).settings).toMatchObject({ track_opens: false });
});

test("another team's pages answer as if they did not exist", async ({ page, account, browser }) => {
  const [id] = await addContacts(account, [{ email: "mine@example.com", first_name: "Mine" }]);
  const stranger = await register("Stan Stranger", "Elsewhere");
  const context = await contextFor(browser, stranger);
  const outside = new Watch(context);
  outside.allowed.push(/status of 404/);
  const theirs = await context.newPage();
  await theirs.goto(`/contacts/${id}`);
  await expect(theirs.getByRole("alert")).toBeVisible();
  await expect(theirs.getByText("mine@example.com")).toHaveCount(0);
  await outside.check();
  await context.close();
  await page.goto(`/contacts/${id}`);
  await expect(page.getByText("mine@example.com")).toBeVisible();
});
