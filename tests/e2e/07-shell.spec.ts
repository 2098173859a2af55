import { addContacts, contextFor, expect, test, Watch } from "./support.ts";

test("everything can be reached by keyboard", async ({ page, account, watch }) => {
  await addContacts(account, [{ email: "anna@example.com", first_name: "Anna", last_name: "Berg" }]);
  await page.goto("/");
  await expect(page.getByRole("heading", { name: "Dashboard" })).toBeVisible();

  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to content" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.locator("#main")).toBeFocused();

  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keyboard shortcuts" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);

  await page.keyboard.press("Control+k");
  await page.keyboard.type("anna");
  await expect(page.getByRole("option", { name: /Anna Berg/ })).toBeVisible();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 1, name: "Anna Berg" })).toBeVisible();

  await page.keyboard.press("g");
  await page.keyboard.press("q");
  await expect(page.getByRole("heading", { level: 1, name: "Operations" })).toBeVisible();
  await page.keyboard.press("g");
  await page.keyboard.press("c");
  await expect(page.getByRole("heading", { level: 1, name: "Contacts" })).toBeVisible();
  await page.keyboard.press("c");
  const form = page.getByRole("dialog", { name: "New contact" });
  watch.allowed.push(/status of 409/);
  await form.getByLabel("Email").fill("anna@example.com");
  await page.keyboard.press("Enter");
  await expect(
    form
      .getByRole("alert")
      .or(form.getByText(/already|exists|taken/i))
      .first(),
  ).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page).toHaveURL(/\/contacts$/);
});

test("the dark scheme is chosen, kept, and there before the first paint", async ({ page }) => {
  await page.goto("/");
  await page.getByRole("button", { name: "Your account" }).click();
  await page.getByRole("menuitem", { name: "Dark" }).click();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await page.reload({ waitUntil: "commit" });
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  const background = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  expect(Number(/^lab\(([\d.]+)/.exec(background)?.[1] ?? 100), background).toBeLessThan(20);
});

test("on a narrow screen nothing is cut off and the navigation opens", async ({ browser, account }) => {
  test.setTimeout(120_000);
  await addContacts(account, [
    {
      email: "a.rather.long.address.of.somebody@a-long-domain-name.example",
      first_name: "Maximiliane",
      last_name: "von Hohenstein-Rosenberg",
      title: "Director of International Partnerships",
    },
  ]);
  await account.api("POST", "/campaigns", {
    name: "A campaign with quite a long name that goes on",
    steps: [
      { kind: "email", subject: "Hi", body: "Hello" },
      {
        kind: "condition",
        rules: [{ if: "opened" }],
        branches: { yes: [{ kind: "task", title: "Call", outcomes: ["reached", "no_answer"] }], no: [{ kind: "end" }] },
      },
    ],
  });
  const { data } = await account.api("GET", "/campaigns");
  const context = await contextFor(browser, account, {
    viewport: { width: 390, height: 844 },
    hasTouch: true,
    isMobile: true,
  });
  const watch = new Watch(context);
  const page = await context.newPage();
  for (const path of [
    "/",
    "/contacts",
    "/companies",
    "/lists",
    "/lists/segments/new",
    "/campaigns",
    `/campaigns/${data[0].id}`,
    `/campaigns/${data[0].id}/edit`,
    `/campaigns/${data[0].id}/check`,
    "/inbox",
    "/tasks",
    "/providers?tab=senders",
    "/providers",
    "/providers?tab=catalogue",
    "/queues",
    "/settings",
    "/settings?tab=keys",
    "/settings/account",
    "/contacts/import",
  ]) {
    await page.goto(path);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await expect(page.locator("main [role=status][aria-label^=Loading]")).toHaveCount(0);
    expect(
      await page.evaluate(() => document.documentElement.scrollWidth),
      `${path} does not scroll sideways`,
    ).toBeLessThanOrEqual(390);
  }
  await page.getByRole("button", { name: "Open navigation" }).click();
  await page.getByRole("dialog").getByRole("link", { name: "Campaigns" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Campaigns" })).toBeVisible();
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await watch.check();
  await context.close();
});

test("when the server fails, the page says so and tries again", async ({ page, account, watch }) => {
  await addContacts(account, [{ email: "anna@example.com", first_name: "Anna", last_name: "Berg" }]);
  watch.allowed.push(/Failed to load resource|net::ERR/);
  const problem = {
    status: 503,
    contentType: "application/problem+json",
    body: JSON.stringify({
      title: "The database is not reachable",
      status: 503,
      code: "unavailable",
      detail: "It did not answer in time.",
      suggestion: "Try again in a moment.",
      request_id: "req-1",
    }),
  };

  await test.step("a refused list names the fault and the request", async () => {
    await page.route("**/api/v1/contacts?*", (route) => route.fulfill(problem));
    await page.goto("/contacts");
    const alert = page.getByRole("alert");
    await expect(alert).toContainText("The database is not reachable");
    await expect(alert).toContainText("Request req-1");
    await page.unroute("**/api/v1/contacts?*");
    // The page tries again by itself too: on a slow machine the button may be gone before it is pressed.
    await alert
      .getByRole("button", { name: "Try again" })
      .click({ timeout: 5_000 })
      .catch(() => {});
    await expect(page.getByText("1 loaded")).toBeVisible();
  });

  await test.step("a write that fails keeps what was typed", async () => {
    await page.route("**/api/v1/contacts", (route) =>
      route.request().method() === "POST" ? route.abort() : route.fallback(),
    );
    await page.getByRole("button", { name: "New contact" }).click();
    const form = page.getByRole("dialog", { name: "New contact" });
    await form.getByLabel("First name").fill("Berta");
    await form.getByRole("button", { name: "Add contact" }).click();
    await expect(form.getByRole("alert")).toContainText("The server did not respond");
    await expect(form.getByLabel("First name")).toHaveValue("Berta");
    await page.unroute("**/api/v1/contacts");
    await form.getByRole("button", { name: "Add contact" }).click();
    await expect(page.getByRole("dialog", { name: "Berta" })).toBeVisible();
    await page.keyboard.press("Escape");
  });

  await test.step("without any server the console says that, and recovers", async () => {
    await page.route("**/api/v1/**", (route) => route.abort());
    await page.goto("/");
    await expect(page.getByRole("alert")).toContainText("No connection");
    await page.unroute("**/api/v1/**");
    await page.getByRole("button", { name: "Try again" }).click();
    await expect(page.getByRole("heading", { name: "Dashboard" })).toBeVisible();
  });

  await test.step("a page that does not exist", async () => {
    await page.goto("/nowhere");
    await expect(page.getByRole("heading", { name: "Page not found" })).toBeVisible();
    await page.goto("/contacts/00000000-0000-7000-8000-000000000000");
    await expect(page.getByRole("alert")).toBeVisible();
  });
});
