import { expect, test, toast } from "./support.ts";

test("a person changes their password and sees, and ends, where they are signed in", async ({
  page,
  account,
  browser,
  watch,
}) => {
  test.setTimeout(120_000);
  // A wrong password on purpose.
  watch.allowed.push(/status of 422/);
  const elsewhere = await browser.newContext({
    baseURL: process.env.E2E_URL!,
    userAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
  });
  const other = await elsewhere.newPage();
  await test.step("signs in in another browser", async () => {
    await other.goto("/login");
    await other.getByLabel("Email").fill(account.email);
    await other.getByLabel("Password").fill(account.password);
    await other.getByRole("button", { name: "Sign in" }).click();
    await expect(other.getByRole("heading", { name: "Dashboard" })).toBeVisible();
  });

  await test.step("the account page is in the menu, and lists both", async () => {
    await page.goto("/");
    await page.getByRole("button", { name: "Your account" }).click();
    await page.getByRole("menuitem", { name: "Your account" }).click();
    await expect(page.getByRole("heading", { name: "Your account", level: 1 })).toBeVisible();
    const rows = page.getByRole("list", { name: "Sessions" }).getByRole("listitem");
    await expect(rows).toHaveCount(2);
    await expect(rows.filter({ hasText: "This session" })).toHaveCount(1);
    await expect(rows.filter({ hasText: "Firefox on Linux" })).toHaveCount(1);
  });

  await test.step("one is ended, by keyboard, and its browser is signed out", async () => {
    await page.getByRole("button", { name: /^End the session of Firefox on Linux/ }).focus();
    await page.keyboard.press("Enter");
    await expect(toast(page, "Session ended")).toBeVisible();
    await expect(page.getByRole("list", { name: "Sessions" }).getByRole("listitem")).toHaveCount(1);
    await expect(page.getByRole("button", { name: "End all others" })).toHaveCount(0);
    await other.getByRole("link", { name: "Contacts", exact: true }).click();
    await expect(other.getByRole("heading", { name: "Sign in" })).toBeVisible();
  });

  const next = `another ${crypto.randomUUID()}`;
  await test.step("a wrong current password is said at its field", async () => {
    await page.getByLabel("Current password").fill("not my password");
    await page.getByLabel("New password").fill(next);
    await page.getByRole("button", { name: "Change password" }).click();
    await expect(page.getByText("This is not your current password.").first()).toBeVisible();
    await expect(page.getByLabel("Current password")).toHaveAttribute("aria-invalid", "true");
  });

  await test.step("the right one changes it, and this browser stays signed in", async () => {
    await page.getByLabel("Current password").fill(account.password);
    await page.getByRole("button", { name: "Change password" }).click();
    await expect(toast(page, /Password changed/)).toBeVisible();
    await expect(page.getByLabel("Current password")).toHaveValue("");
    await page.reload();
    await expect(page.getByRole("list", { name: "Sessions" }).getByRole("listitem")).toHaveCount(1);
  });

  await test.step("only the new one signs in", async () => {
    await other.goto("/login");
    await other.getByLabel("Email").fill(account.email);
    await other.getByLabel("Password").fill(account.password);
    await other.getByRole("button", { name: "Sign in" }).click();
    await expect(other.getByRole("alert")).toBeVisible();
    await other.getByLabel("Password").fill(next);
    await other.getByRole("button", { name: "Sign in" }).click();
    await expect(other.getByRole("heading", { name: "Dashboard" })).toBeVisible();
  });
  await elsewhere.close();
});

test("the account page says when the list of sessions cannot be read, and asks again", async ({ page, watch }) => {
  watch.allowed.push(/status of 503/);
  let broken = true;
  await page.route("**/api/v1/auth/sessions", (route) =>
    broken && route.request().method() === "GET"
      ? route.fulfill({
          status: 503,
          contentType: "application/problem+json",
          body: JSON.stringify({
            title: "Unavailable",
            status: 503,
            code: "unavailable",
            detail: "The database does not respond.",
          }),
        })
      : route.fallback(),
  );
  await page.goto("/settings/account");
  await expect(page.getByText("The database does not respond.")).toBeVisible({ timeout: 30_000 });
  broken = false;
  await page.getByRole("button", { name: /again/i }).click();
  await expect(page.getByText("This session")).toBeVisible();
});
