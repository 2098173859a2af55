import postgres from "postgres";
import { connectSandbox, expect, test, toast } from "./support.ts";
import { until } from "../support/until.ts";

test("a message no retry can help becomes a dead letter, is read, tried again and thrown away", async ({
  page,
  account,
}) => {
  const sql = postgres(process.env.E2E_DB_URL!, { max: 1, onnotice: () => {} });
  try {
    // It names no import, so the worker can only put it aside.
    const payload = { tenant_id: account.tenantId, import_id: "not an import" };
    const enqueue = () => sql`select pgmq.send('contacts_import', ${sql.json(payload)})`;
    const dead = async () => (await account.api("GET", "/dead-letters")).data as { id: string; died_at: string }[];
    await enqueue();
    const one = await until(async () => (await dead())[0], {
      what: "the dead letter",
      timeoutMs: 30_000,
      everyMs: 200,
    });

    await page.goto("/queues");
    await expect(
      page.getByRole("table", { name: "Queues" }).getByRole("row", { name: /contacts_import/ }),
    ).toBeVisible();
    await page
      .getByRole("row", { name: /contacts_import/ })
      .getByRole("link", { name: "1" })
      .click();
    const table = page.getByRole("table", { name: "Dead letters" });
    await expect(table.getByRole("row")).toHaveCount(2);
    await table.getByRole("row").nth(1).getByRole("button").click();
    const drawer = page.getByRole("dialog", { name: "Dead letter in contacts_import" });
    await expect(drawer.getByText("not an import")).toBeVisible();
    await drawer.getByRole("button", { name: "Requeue" }).click();
    await expect(toast(page, "1 message returned to the queue")).toBeVisible();

    // Tried again, it fails again and comes back under another id.
    await until(async () => (await dead()).some((d) => d.id !== one.id), {
      what: "the second death",
      timeoutMs: 30_000,
      everyMs: 200,
    });
    await enqueue();
    await until(async () => (await dead()).length === 2, { what: "two dead letters", timeoutMs: 30_000, everyMs: 200 });
    await page.reload();
    await expect(table.getByRole("row")).toHaveCount(3);
    await table.getByRole("checkbox", { name: "Select all" }).click();
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("alertdialog").getByRole("button", { name: "Delete" }).click();
    await expect(page.getByRole("heading", { name: "No dead letters" })).toBeVisible();
    expect(await dead()).toEqual([]);

    await page.getByRole("link", { name: "Schedules" }).click();
    await expect(page.getByRole("table", { name: "Schedules" }).getByRole("row").nth(1)).toBeVisible();
  } finally {
    await sql.end();
  }
});

test("an alert appears by itself, leads to its cause, and closes by itself; the service level counts what we do", async ({
  page,
  account,
}) => {
  const sql = postgres(process.env.E2E_DB_URL!, { max: 1, onnotice: () => {} });
  try {
    await page.goto("/queues?tab=alerts");
    await expect(page.getByRole("heading", { name: "No alerts" })).toBeVisible();
    await sql`insert into kernel.dead_letters (queue, tenant_id, message, reason, attempts, enqueued_at)
      values ('contacts_import', ${account.tenantId}, ${sql.json({ tenant_id: account.tenantId })}, 'broken', 3, now())`;
    await sql`select private.evaluate_alerts()`;
    const table = page.getByRole("table", { name: "Alerts" });
    const row = table.getByRole("row", { name: /1 message of the queue contacts_import failed permanently/ });
    await expect(row.getByText("Warning")).toBeVisible();
    await row.getByRole("link").click();
    await expect(page.getByRole("table", { name: "Dead letters" }).getByRole("row", { name: /broken/ })).toBeVisible();

    await sql`delete from kernel.dead_letters where tenant_id = ${account.tenantId}`;
    await sql`select private.evaluate_alerts()`;
    await sql`update public.alerts set clear_since = clear_since - interval '3 minutes' where tenant_id = ${account.tenantId}`;
    await page.getByRole("link", { name: "Alerts" }).click();
    await expect(row.getByText("Warning")).toBeVisible();
    await sql`select private.evaluate_alerts()`;
    await expect(row.getByText("Resolved")).toBeVisible();

    // A campaign that should send and does not says so itself.
    const { senderId } = await connectSandbox(account);
    const campaign = await account.api("POST", "/campaigns", {
      name: "Quiet",
      sender_ids: [senderId],
      steps: [{ kind: "email", subject: "Hello", body: "Hi" }],
    });
    await sql`insert into public.alerts (tenant_id, kind, subject, scope, severity, summary, value, threshold, status, opened_at, href)
      values (${account.tenantId}, 'campaign_stalled', ${campaign.id}, 'team', 'critical', 'Quiet sends nothing.', 15, 15, 'open', now(), ${`/campaigns/${campaign.id}`})`;
    await page.goto(`/campaigns/${campaign.id}`);
    await expect(page.getByRole("status").getByText("Quiet sends nothing.")).toBeVisible();

    await page.goto("/queues");
    await page.getByRole("link", { name: "Service level" }).click();
    const figures = page.getByRole("region", { name: "Service level" });
    await expect(figures.getByText("Objective 99.9%")).toBeVisible();
    await expect(page.getByRole("table", { name: "Route groups" }).getByRole("row", { name: /^queues / })).toBeVisible({
      timeout: 30_000,
    });
    await page.getByRole("combobox", { name: "Window" }).selectOption("Last 30 days");
    await expect(page).toHaveURL(/window=30d/);
    await expect(page.getByRole("table", { name: "Route groups" })).toBeVisible();
  } finally {
    await sql.end();
  }
});
