import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { addContacts, connectSandbox, expect, test } from "./support.ts";
import { until } from "../support/until.ts";

/** Serious and critical findings of axe (WCAG 2.2 A and AA), one line each. */
async function faults(page: Page, rules?: string[]): Promise<string[]> {
  const axe = new AxeBuilder({ page });
  const { violations } = await (
    rules ? axe.withRules(rules) : axe.withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"])
  ).analyze();
  return violations
    .filter((v) => v.impact === "serious" || v.impact === "critical")
    .flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target.join(" ")} ${n.any[0]?.message ?? v.help}`));
}

/** The faults of these pages, light and dark. */
async function sweep(page: Page, pages: string[]): Promise<string[]> {
  // Panels slide in; what is half transparent has no fair contrast.
  await page.emulateMedia({ reducedMotion: "reduce" });
  const found: string[] = [];
  for (const path of pages) {
    await page.goto(path);
    await expect(page.getByRole("heading").first()).toBeVisible();
    await expect(page.locator("[role=status][aria-label^=Loading]")).toHaveCount(0);
    found.push(...(await faults(page)).map((f) => `light ${path}: ${f}`));
    // Only colours change with the scheme.
    await page.evaluate(async () => {
      document.documentElement.dataset.theme = "dark";
      // Two frames: what is looked at is what is painted.
      for (let i = 0; i < 2; i++) await new Promise((resolve) => requestAnimationFrame(resolve));
    });
    found.push(...(await faults(page, ["color-contrast", "link-in-text-block"])).map((f) => `dark ${path}: ${f}`));
  }
  return found;
}

test("the main pages have no serious accessibility faults, light and dark", async ({ page, account }) => {
  test.setTimeout(600_000);
  const list = await account.api("POST", "/lists", { name: "Leads" });
  const [id] = await addContacts(account, [
    {
      email: "open+anna@example.com",
      first_name: "Anna",
      last_name: "Berg",
      title: "CFO",
      company_name: "Acme",
      tags: ["vip"],
      lists: [list.id],
    },
    { email: "bounce+bob@example.com", first_name: "Bob", last_name: "Cole", lists: [list.id] },
  ]);
  const { senderId } = await connectSandbox(account);
  await account.api("POST", "/suppressions", { channel: "email", address: "gone@example.com", reason: "manual" });
  const campaign = await account.api("POST", "/campaigns", {
    name: "Spring",
    sender_ids: [senderId],
    list_id: list.id,
    settings: { time_zone: "UTC", track_opens: true, track_clicks: true, stop_on_reply: true, approval: "every" },
    steps: [
      { kind: "task", title: "Look at the profile", outcomes: ["fits", "does_not_fit"] },
      { kind: "email", subject: "Hello {{firstName}}", body: "Hi" },
      { kind: "wait", business_days: 2, until: { time: "09:00" } },
      {
        kind: "condition",
        rules: [{ if: "opened" }, { if: "has_address", channel: "sms" }],
        branches: { yes: [{ kind: "email", body: "Hello" }], no: [{ kind: "end", goal: "Quiet" }] },
      },
    ],
  });
  const draft = await account.api("POST", `/campaigns/${campaign.id}/clone`);
  await account.api("POST", `/campaigns/${campaign.id}/start`);

  // The first step is a task, so that everybody waits at one.
  const waiting = await until(
    async () => {
      const { data } = await account.api("GET", "/tasks");
      return data.length === 2 ? data : null;
    },
    { what: "the tasks", timeoutMs: 30_000, everyMs: 250 },
  );
  await account.api("POST", `/tasks/${waiting[1].id}/finish`, { outcome: "fits" });

  await until(async () => (await account.api("GET", "/approvals")).data.length === 1, {
    what: "the message to wait for approval",
    timeoutMs: 30_000,
    everyMs: 250,
  });

  const pages = [
    "/",
    "/contacts",
    `/contacts?panel=${id}`,
    "/contacts?panel=new",
    `/contacts/${id}`,
    "/contacts/import",
    "/companies",
    "/lists",
    "/lists/segments/new",
    "/campaigns",
    `/campaigns/${campaign.id}`,
    `/campaigns/${campaign.id}?tab=people`,
    `/campaigns/${campaign.id}?tab=people&why=${waiting[0].enrollment_id}`,
    `/campaigns/${draft.id}/edit`,
    "/approvals",
    "/approvals?state=rejected",
    "/tasks",
    `/tasks?task=${waiting[0].id}`,
    "/tasks?status=done",
    "/tasks?status=cancelled",
    `/campaigns/${draft.id}/check`,
    "/inbox",
    "/inbox?tab=messages",
    "/providers",
    "/providers?tab=senders",
    "/providers?tab=catalogue",
    "/providers?new=postmark&tab=catalogue",
    "/queues",
    "/queues?tab=schedules",
    "/queues?tab=service",
    "/queues?tab=alerts",
    "/settings",
    "/settings?tab=keys",
    "/settings?tab=suppressions",
    "/settings?tab=audit",
    "/settings?tab=workspace",
    "/settings/account",
  ];
  expect(await sweep(page, pages)).toEqual([]);
});

test("the pages of enrichment have no serious accessibility faults, light and dark", async ({ page, account }) => {
  test.setTimeout(200_000);
  const list = await account.api("POST", "/lists", { name: "Leads" });
  const [id] = await addContacts(account, [
    { email: "ada.lovelace@famous.com", title: "Countess", lists: [list.id] },
    { email: "nobody@unknown.com", lists: [list.id] },
  ]);
  const data = await account.api("POST", "/connections", {
    provider: "people_data_labs",
    name: "People Data Labs",
    credentials: { api_key: "a".repeat(64) },
    base_url: `${process.env.E2E_SANDBOX_URL}/people_data_labs`,
  });
  await account.api("POST", `/connections/${data.id}/check`);
  await account.api("POST", `/connections/${data.id}/activate`);
  const entry = { connection_id: data.id };
  await account.api("PUT", "/enrichment/sources", { order: { person: [entry], company: [entry] } });
  await account.api("PUT", "/budgets", { scope: "day", cap_micros: 5_000_000 });
  const run = await account.api("POST", "/enrichment/runs", { list_id: list.id });
  await until(async () => (await account.api("GET", `/enrichment/runs/${run.id}`)).status === "done", {
    what: "the enrichment run",
    timeoutMs: 30_000,
    everyMs: 250,
  });

  expect(
    await sweep(page, [
      "/enrichment",
      "/enrichment?new=1",
      `/enrichment/runs/${run.id}`,
      "/enrichment?tab=providers",
      "/enrichment?tab=coverage",
      "/enrichment?tab=costs",
      `/contacts/${id}`,
      `/providers?connection=${data.id}`,
    ]),
  ).toEqual([]);
});

test("the doors have no serious accessibility faults", async ({ signedOut: page }) => {
  for (const path of [
    "/login",
    "/register",
    "/claim?token=wrong",
    "/invite?token=wrong",
    "/reset",
    "/reset#token=x",
    "/confirm-address",
  ]) {
    await page.goto(path);
    await expect(page.getByRole("heading").first()).toBeVisible();
    expect(await faults(page), path).toEqual([]);
  }
});
