import { counter, expect, test } from "./support.ts";

/** What a newcomer lives in the first two minutes. */

test("the claim link makes the owner's account once, and the demo moves live without a reload", async ({
  signedOut: page,
}) => {
  test.setTimeout(90_000);
  const claim = process.env.E2E_CLAIM_URL!;

  await test.step("a link with a wrong token makes nothing", async () => {
    await page.goto("/claim?token=wrong");
    await expect(page.getByRole("heading", { name: "This link no longer works" })).toBeVisible();
  });

  await test.step("the account", async () => {
    await page.goto(claim);
    await page.getByLabel("Your name").fill("Grace Hopper");
    await page.getByRole("textbox", { name: "Workspace" }).fill("Compilers & Co");
    await page.getByLabel("Email").fill("grace@people.example");
    await page.getByLabel("Password").fill("short");
    await page.getByRole("button", { name: "Create the owner account" }).click();
    // The browser itself holds back a password that is too short.
    await expect(page).toHaveURL(/\/claim/);
    await page.getByLabel("Password").fill("a long enough password");
    await expect(page.getByRole("checkbox", { name: /demo campaign/ })).toBeChecked();
    await page.getByRole("button", { name: "Create the owner account" }).click();
  });

  await test.step("the demo team's counters move by themselves", async () => {
    await expect(page.getByRole("heading", { name: "Dashboard" })).toBeVisible();
    await expect(page.getByRole("button", { name: /Switch workspace, now Demo workspace/ })).toBeVisible();
    const counters = page.getByRole("region", { name: "Counters" });
    await expect(counters).toBeVisible();
    // Every state the counters pass through, kept in the document itself: a reload would lose them.
    // The whole page is watched: the counters may be made anew when the team changes.
    await page.evaluate(() => {
      const read = () => document.querySelector("[aria-label=Counters]")?.textContent ?? "";
      const states: string[] = ((globalThis as any).states = [read()]);
      const note = () => read() !== states.at(-1) && states.push(read());
      new MutationObserver(note).observe(document.body, { subtree: true, childList: true, characterData: true });
    });
    await expect.poll(() => counter(page, "Contacts"), { timeout: 30_000 }).toBe(240);
    for (const label of ["Sent today", "Delivered", "Opened", "Replied"])
      await expect.poll(() => counter(page, label), { timeout: 40_000, message: label }).toBeGreaterThan(0);
    await expect
      .poll(() => page.evaluate(() => (globalThis as any).states.length), { timeout: 30_000 })
      .toBeGreaterThan(2);
    await expect(page.getByRole("region", { name: "Activity" }).getByRole("listitem").first()).toBeVisible();
    await expect(page.getByText("Live", { exact: true })).toBeVisible();
  });

  await test.step("the person's own team is there as well", async () => {
    await page.getByRole("button", { name: /Switch workspace/ }).click();
    await page.getByRole("menuitem", { name: "Compilers & Co" }).click();
    await expect(page.getByRole("button", { name: /now Compilers & Co/ })).toBeVisible();
    await expect(page.getByRole("heading", { name: "Steps to the first reply" })).toBeVisible();
    expect(await counter(page, "Sent today")).toBe(0);
  });

  await test.step("the link is gone", async () => {
    await page.goto(claim);
    await expect(page.getByRole("heading", { name: "This link no longer works" })).toBeVisible();
  });
});
