import type { Locator } from "@playwright/test";
import jsqr from "jsqr";
import postgres from "postgres";
import { codeAt } from "../../modules/tenancy/totp.ts";
import { until } from "../support/until.ts";
import { type Account, connectSandbox, expect, test, toast } from "./support.ts";

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
    // Its button is gone: the keyboard goes on from the list's heading.
    await expect(page.getByRole("heading", { name: "Sessions" })).toBeFocused();
    await other.getByRole("link", { name: "Contacts", exact: true }).click();
    await expect(other.getByRole("heading", { name: "Sign in" })).toBeVisible();
  });

  const next = `another ${crypto.randomUUID()}`;
  const form = page.getByRole("region", { name: "Password" });
  await test.step("a wrong current password is said at its field", async () => {
    await form.getByLabel("Current password").fill("not my password");
    await form.getByLabel("New password").fill(next);
    await page.keyboard.press("Enter");
    await expect(form.getByText("This is not your current password.")).toHaveCount(1);
    await expect(form.getByLabel("Current password")).toHaveAttribute("aria-invalid", "true");
    await expect(form.getByLabel("Current password")).toBeFocused();
  });

  await test.step("the right one changes it, and this browser stays signed in", async () => {
    await form.getByLabel("Current password").fill(account.password);
    await form.getByRole("button", { name: "Change password" }).focus();
    await page.keyboard.press("Enter");
    await expect(toast(page, /Password changed/)).toBeVisible();
    await expect(form.getByLabel("Current password")).toHaveValue("");
    await expect(form.getByRole("button", { name: "Change password" })).toBeFocused();
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

/** Makes this person's workspace the one that runs the installation, with the sender that mails about accounts come from. */
async function operate(account: Account): Promise<void> {
  const { connectionId } = await connectSandbox(account);
  await account.api("POST", "/senders", { connection_id: connectionId, address: "accounts@operators.example" });
  const sql = postgres(process.env.E2E_DB_URL!, { max: 1, onnotice: () => {} });
  await sql`insert into kernel.settings (key, value) values ('operator_tenant', to_jsonb(${account.tenantId}::text))
    on conflict (key) do update set value = excluded.value`;
  await sql.end();
}

/** The link in the latest mail to an address whose subject has these words. */
const linkTo = (address: string, words: string) =>
  until(
    async () => {
      const url = `${process.env.E2E_SANDBOX_URL}/_sandbox/messages?to=${encodeURIComponent(address)}`;
      const { messages } = (await (await fetch(url)).json()) as { messages: { subject: string; text: string }[] };
      const found = messages.find((m) => m.subject.includes(words));
      return /https?:\S+#token=\S+/.exec(found?.text ?? "")?.[0] ?? null;
    },
    { what: `a mail to ${address}`, timeoutMs: 60_000, everyMs: 250 },
  );

test("a forgotten password is replaced, and another address confirmed, through links in mails", async ({
  page,
  account,
  signedOut,
  watch,
}) => {
  test.setTimeout(180_000);
  // A browser whose session has ended learns it by being refused.
  watch.allowed.push(/status of 40[13]/);
  await operate(account);
  const password = `forgotten ${crypto.randomUUID()}`;
  await test.step("the link is asked for at the sign-in page, and opens once", async () => {
    await signedOut.goto("/login");
    await signedOut.getByRole("link", { name: "Forgot your password?" }).click();
    await signedOut.getByLabel("Email").fill(account.email);
    await signedOut.keyboard.press("Enter");
    await expect(signedOut.getByRole("heading", { name: "Check your email" })).toBeVisible();
    await signedOut.goto(await linkTo(account.email, "choose a new password"));
    await signedOut.getByLabel("New password").fill(password);
    await signedOut.getByRole("button", { name: "Change password" }).click();
    await expect(signedOut.getByRole("heading", { name: "Dashboard" })).toBeVisible();
  });
  await test.step("the browser that was signed in before is not any more", async () => {
    await page.goto("/contacts");
    await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
  });
  const next = `next-${crypto.randomUUID().slice(0, 8)}@people.example`;
  await test.step("another address takes the password, and a link in its mailbox", async () => {
    await signedOut.goto("/settings/account");
    const form = signedOut.getByRole("region", { name: "Email address" });
    await form.getByLabel("New email address").fill(next);
    await form.getByLabel("Current password").fill(password);
    await signedOut.getByRole("button", { name: "Send a link to the new address" }).click();
    await expect(signedOut.getByRole("status").getByText(next)).toBeVisible();
    await signedOut.goto(await linkTo(next, "confirm your new email address"));
    await signedOut.getByRole("button", { name: "Confirm the address" }).click();
    await expect(signedOut.getByRole("heading", { name: "Address changed" })).toBeVisible();
    await signedOut.getByRole("link", { name: "Go to the dashboard" }).click();
    await signedOut.getByRole("button", { name: "Your account" }).click();
    await expect(signedOut.getByRole("menu").getByText(next)).toBeVisible();
  });
  await test.step("only the new address signs in", async () => {
    await page.getByLabel("Email").fill(next);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByRole("heading", { name: "Contacts", level: 1 })).toBeVisible();
  });
});

// The module is the function itself; its types put it one level down.
const decodeQr = jsqr as unknown as (typeof jsqr)["default"];

/** What a camera reads on the screen. */
async function scan(code: Locator): Promise<string | undefined> {
  const png = (await code.screenshot()).toString("base64");
  const reader = await code.page().context().newPage();
  const { data, width, height } = await reader.evaluate(async (source) => {
    const image = new Image();
    image.src = source;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d")!;
    canvas.drawImage(image, 0, 0);
    const { data, width, height } = canvas.getImageData(0, 0, image.width, image.height);
    return { data: [...data], width, height };
  }, `data:image/png;base64,${png}`);
  await reader.close();
  return decodeQr(Uint8ClampedArray.from(data), width, height)?.data;
}

test("an authenticator app is added, asked for at the sign-in, and removed with a recovery code", async ({
  page,
  account,
  browser,
  watch,
}) => {
  test.setTimeout(120_000);
  watch.allowed.push(/status of 422/);
  const section = page.getByRole("region", { name: /^Second factor/ });
  const codeNow = (key: string, steps = 0) => codeAt(key, Math.floor(Date.now() / 30_000) + steps);
  const [key, recovery] = await test.step("it is added with the password and a code", async () => {
    await account.api("POST", "/auth/login", { email: account.email, password: account.password });
    await page.goto("/settings/account");
    await expect(page.getByRole("list", { name: "Sessions" }).getByRole("listitem")).toHaveCount(2);
    await page.evaluate(() => (document.documentElement.dataset.theme = "dark"));
    await section.getByRole("button", { name: "Add an app" }).click();
    const dialog = page.getByRole("dialog");
    await expect(dialog.getByLabel("Current password")).toBeFocused();
    await page.keyboard.type(account.password);
    await page.keyboard.press("Enter");
    await expect(dialog.getByLabel("Code", { exact: true })).toBeFocused();
    const shown = (await dialog.getByRole("code").innerText()).replaceAll(/\s/g, "");
    const link = await dialog.getByRole("link", { name: "open an app on this device" }).getAttribute("href");
    expect(new URL(link!).searchParams.get("secret")).toBe(shown);
    expect(await scan(dialog.getByRole("img", { name: /QR code/ }))).toBe(link);
    await dialog.getByLabel("Code", { exact: true }).fill("000000");
    await dialog.getByRole("button", { name: "Confirm" }).click();
    await expect(dialog.getByLabel("Code", { exact: true })).toHaveAttribute("aria-invalid", "true");
    // The code of the step before: the one of now stays for signing in.
    await dialog.getByLabel("Code", { exact: true }).fill(await codeNow(shown, -1));
    await dialog.getByRole("button", { name: "Confirm" }).click();
    await expect(dialog.getByRole("heading", { name: "Keep your recovery codes" })).toBeVisible();
    // They are shown once: no key closes them by mistake.
    await page.keyboard.press("Escape");
    const codes = (await dialog.getByRole("code").innerText()).split(/\s+/);
    expect(codes).toHaveLength(10);
    await dialog.getByRole("button", { name: "I have stored them" }).click();
    await expect(section.getByText("On", { exact: true })).toBeVisible();
    await expect(section.getByRole("button", { name: "Remove" })).toBeFocused();
    // The list is read again: the session that the password alone had made has ended.
    await expect(page.getByRole("list", { name: "Sessions" }).getByRole("listitem")).toHaveCount(1);
    return [shown, codes[0]!];
  });
  await test.step("signing in asks for a code", async () => {
    const elsewhere = await browser.newContext({ baseURL: process.env.E2E_URL! });
    const other = await elsewhere.newPage();
    await other.goto("/login");
    await other.getByLabel("Email").fill(account.email);
    await other.getByLabel("Password").fill(account.password);
    await other.getByRole("button", { name: "Sign in" }).click();
    await expect(other.getByLabel("Code", { exact: true })).toBeFocused();
    await expect(other.getByRole("alert")).toHaveCount(0);
    await other.getByLabel("Code", { exact: true }).fill(await codeNow(key));
    await other.keyboard.press("Enter");
    await expect(other.getByRole("heading", { name: "Dashboard" })).toBeVisible();
    await elsewhere.close();
  });
  await test.step("a recovery code removes it", async () => {
    await section.getByRole("button", { name: "Remove" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Current password").fill(account.password);
    await dialog.getByLabel("Code", { exact: true }).fill(recovery);
    await dialog.getByRole("button", { name: "Remove" }).click();
    await expect(toast(page, "Second factor removed")).toBeVisible();
    await expect(section.getByRole("button", { name: "Add an app" })).toBeVisible();
  });
});
