import { addContacts, connectSandbox, expect, test } from "./support.ts";
import { until } from "../support/until.ts";

const IMAGE = "<img src=x onerror=alert(1)>";
const SCRIPT = "<script>alert(2)</script>";

test("markup in a name, a company, a subject and a reply is shown as the text it is", async ({ page, account }) => {
  test.setTimeout(120_000);
  const list = await account.api("POST", "/lists", { name: `List ${IMAGE}` });
  const { senderId } = await connectSandbox(account);
  const [id] = await addContacts(account, [
    {
      email: "open+mallory@example.com",
      first_name: IMAGE,
      last_name: SCRIPT,
      title: '"><svg onload=alert(3)>',
      company_name: `Evil ${IMAGE}`,
      linkedin_url: "https://www.linkedin.com/in/mallory",
      tags: ["<b>bold</b>"],
      lists: [list.id],
    },
  ]);
  const campaign = await account.api("POST", "/campaigns", {
    name: `Campaign ${SCRIPT}`,
    sender_ids: [senderId],
    list_id: list.id,
    settings: { time_zone: "UTC", track_opens: true, track_clicks: true, stop_on_reply: false },
    steps: [
      { kind: "email", subject: "Hello {{firstName}}", body: "Dear {{fullName}}" },
      { kind: "task", title: `Call ${IMAGE}`, note: SCRIPT },
    ],
  });
  await account.api("POST", `/campaigns/${campaign.id}/start`);
  await until(
    async () =>
      (await account.api("GET", `/messages?campaign_id=${campaign.id}`)).data.find((m: any) => m.status === "sent"),
    { what: "the message to be sent", timeoutMs: 30_000, everyMs: 250 },
  );

  // The reply a stranger writes: nothing but markup, in both of its parts.
  const { messages } = await (
    await fetch(
      `${process.env.E2E_SANDBOX_URL}/_sandbox/messages?to=${encodeURIComponent("open+mallory@example.com")}&limit=1`,
    )
  ).json();
  const original = messages[0];
  const delivered = await fetch(`${process.env.E2E_SANDBOX_URL}/_sandbox/deliver`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      account: original.account,
      from: "open+mallory@example.com",
      from_name: IMAGE,
      to: original.reply_to ?? "sam@outreach.example",
      subject: `Re: ${SCRIPT}`,
      text: `Yes ${SCRIPT} please ${IMAGE}`,
      html: `<p>Yes</p>${SCRIPT}${IMAGE}`,
      headers: original.rfc_message_id
        ? { "In-Reply-To": original.rfc_message_id, References: original.rfc_message_id }
        : {},
    }),
  });
  expect(delivered.status, await delivered.text()).toBe(201);

  await page.goto("/inbox");
  await expect(page.getByRole("navigation", { name: "Threads" }).getByRole("link").first()).toBeVisible({
    timeout: 30_000,
  });
  await page.getByRole("navigation", { name: "Threads" }).getByRole("link").first().click();
  await expect(page.getByText(`Yes ${SCRIPT} please ${IMAGE}`).last()).toBeVisible();

  for (const path of [
    "/",
    "/contacts",
    `/contacts/${id}`,
    "/companies",
    "/lists",
    "/campaigns",
    `/campaigns/${campaign.id}`,
    `/campaigns/${campaign.id}?tab=people`,
    `/campaigns/${campaign.id}?tab=messages`,
    "/inbox?tab=messages",
    "/tasks",
  ]) {
    await page.goto(path);
    await expect(
      page
        .getByText(/<img src=x onerror|<script>alert/)
        .filter({ visible: true })
        .first(),
      `${path} shows the markup as text`,
    ).toBeVisible();
    expect(
      await page.locator("img[src=x], script:not([src]):text('alert'), svg[onload]").count(),
      `${path} made no element of it`,
    ).toBe(0);
  }
});
