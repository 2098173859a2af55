import postgres from "postgres";
import { addContacts, connectSandbox, expect, pick, test, toast } from "./support.ts";

/** What is longer than a page is whole all the same: a conversation, a team. */

/** A conversation with as many messages as asked, one a minute, every other one theirs; the last one now. */
async function converse(tenantId: string, contactId: string, messages: number): Promise<string> {
  const sql = postgres(process.env.E2E_DB_URL!, { max: 1, onnotice: () => {} });
  const id = crypto.randomUUID();
  await sql.begin(async (tx) => {
    await tx`
      insert into public.threads (tenant_id, id, channel, contact_id, external_key, subject, last_message_at)
      values (${tenantId}, ${id}, 'email', ${contactId}, 'anna@example.com', 'The offer', now())`;
    await tx`
      insert into public.messages (tenant_id, direction, channel, action, status, contact_id, from_address, from_name, to_address,
        subject, body_text, thread_id, sent_at, created_at)
      select ${tenantId}, case when n % 2 = 0 then 'in' else 'out' end, 'email', 'email.send',
        case when n % 2 = 0 then 'received' else 'sent' end, ${contactId},
        case when n % 2 = 0 then 'anna@example.com' else 'sam@outreach.example' end, case when n % 2 = 0 then 'Anna Berg' else 'Sam' end,
        case when n % 2 = 0 then 'sam@outreach.example' else 'anna@example.com' end, 'The offer',
        'This is message number ' || n || ' of what we wrote.' || E'\n\nIt has a second paragraph, as letters have.', ${id},
        case when n % 2 = 1 then at end, at
      from (select n, now() - make_interval(mins => ${messages} - n) as at from generate_series(1, ${messages}) n) x`;
  });
  await sql.end();
  return id;
}

test("a long conversation opens at its newest message; earlier ones come when asked for, in place", async ({
  page,
  account,
}) => {
  const [anna] = await addContacts(account, [
    { email: "anna@example.com", first_name: "Anna", last_name: "Berg", company_name: "Acme" },
  ]);
  const id = await converse(account.tenantId, anna!, 60);
  await page.goto("/inbox");
  await page
    .getByRole("link", { name: /Anna Berg/ })
    .first()
    .click();
  const article = page.getByRole("article");
  const texts = article.getByRole("listitem").getByText(/message number \d+ /);
  const numbers = async () => (await texts.allInnerTexts()).map((t) => Number(/number (\d+)/.exec(t)![1]));
  const upTo60 = (first: number) => Array.from({ length: 61 - first }, (_, i) => first + i);
  await expect(texts).toHaveCount(25);
  expect(await numbers()).toEqual(upTo60(36));
  await expect(texts.last()).toBeInViewport();
  await expect(texts.first()).not.toBeInViewport();

  const earlier = article.getByRole("button", { name: "Earlier messages" });
  await earlier.scrollIntoViewIfNeeded();
  const was = (await texts.first().boundingBox())!.y;
  await earlier.click();
  await expect(texts).toHaveCount(50);
  const now = (await texts.filter({ hasText: "number 36 " }).boundingBox())!.y;
  expect(Math.abs(now - was), "what one reads stays where it is").toBeLessThan(60);
  await earlier.click();
  await expect(texts).toHaveCount(60);
  expect(await numbers()).toEqual(upTo60(1));
  await expect(earlier).toHaveCount(0);

  // Reached by a link of its own, whatever its list shows.
  await page.goto(`/inbox?thread=${id}&status=closed`);
  await article.getByRole("button", { name: "Close" }).click();
  await expect(toast(page, "Thread closed")).toBeVisible();
  await expect(article.getByRole("button", { name: "Reopen" })).toBeVisible();
  await expect(article.getByText("Closed", { exact: true })).toBeVisible();
});

test("of a large team, anybody can be given a task", async ({ page, account }) => {
  const sql = postgres(process.env.E2E_DB_URL!, { max: 1, onnotice: () => {} });
  await sql`
    insert into public.members (tenant_id, user_id, role, email, name)
    select ${account.tenantId}, gen_random_uuid(), 'member', 'm' || n || '@people.example', 'Member No. ' || n from generate_series(1, 130) n`;
  await sql.end();
  await connectSandbox(account);
  const campaign = await account.api("POST", "/campaigns", {
    name: "Calls",
    steps: [{ kind: "task", title: "Call them" }],
  });
  const saved = async () => account.api("GET", `/campaigns/${campaign.id}`);
  await page.goto(`/campaigns/${campaign.id}/edit`);
  const assignee = page.getByRole("combobox", { name: "Assignee" });
  await pick(assignee, "no. 127", /Member No\. 127/);
  // A channel's options appear with its first step.
  await expect(page.getByRole("checkbox", { name: "Track clicks" })).toHaveCount(0);
  await page.getByRole("button", { name: "Add a step to the sequence" }).click();
  await page.getByRole("menuitem", { name: "Email", exact: true }).click();
  await page.getByLabel("Subject").fill("Hello");
  await page.getByLabel("Message of step 2").fill("I could not reach you.");
  await expect(page.getByRole("group", { name: "Email" }).getByRole("checkbox", { name: "Track opens" })).toBeChecked();
  await page.getByRole("checkbox", { name: "Track clicks" }).click();
  await page.keyboard.press("Control+s");
  await expect(page.getByText("Saved", { exact: true })).toBeVisible();
  expect((await saved()).settings).toMatchObject({ track_opens: true, track_clicks: false });
  await page.reload();
  await expect(assignee).toHaveValue("Member No. 127");
  await expect(page.getByRole("checkbox", { name: "Track clicks" })).not.toBeChecked();

  // Oneself comes first, and a choice can be taken back.
  await assignee.click();
  await expect(page.getByRole("listbox").getByRole("option").first()).toContainText("Ada Lovelace (you)");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Clear Assignee" }).click();
  await page.keyboard.press("Control+s");
  await expect.poll(async () => (await saved()).steps[0].assignee_id).toBeNull();
});
