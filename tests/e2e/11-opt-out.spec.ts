import postgres from "postgres";
import { expect, test, toast } from "./support.ts";

test("a reply that may be an opt-out is decided with one click; its whole text can be unfolded", async ({
  page,
  account,
}) => {
  const sql = postgres(process.env.E2E_DB_URL!, { max: 1, onnotice: () => {} });
  const received = async (address: string, text: string) => {
    const contact = await account.api("POST", "/contacts", { email: address, first_name: address.split("@")[0]! });
    const id = crypto.randomUUID();
    const common = { tenant_id: account.tenantId, channel: "email", contact_id: contact.id, thread_id: id };
    await sql`insert into public.messages ${sql({ ...common, id, direction: "out", action: "email.send", status: "sent", from_address: "sam@us.test", to_address: address, subject: "A question", body_text: "May I ask you something?", sent_at: new Date() })}`;
    const answer = crypto.randomUUID();
    await sql`insert into public.messages ${sql({ ...common, id: answer, direction: "in", action: "email.receive", status: "received", from_address: address, to_address: "sam@us.test", body_text: text, is_answer: true, opt_out: "asked" })}`;
    await sql`insert into public.email_details (tenant_id, message_id, headers)
      values (${account.tenantId}, ${answer}, ${sql.json({ full_text: `${text}\n\n> May I ask you something?` })})`;
    await sql`insert into public.threads ${sql({ tenant_id: account.tenantId, id, channel: "email", contact_id: contact.id, external_key: address, subject: "A question" })}`;
  };
  try {
    await received("ada@people.example", "Is this spam? How did you get my address?");
    await received("bob@people.example", "My colleague wants to unsubscribe, but I am interested.");
    await page.goto("/inbox");
    const list = page.getByRole("navigation", { name: "Threads" });
    await expect(list.getByText("Opt-out?")).toHaveCount(2);
    await list.getByRole("link", { name: /ada/ }).click();
    const question = page.getByRole("group", { name: "Is this an opt-out?" });
    await page.getByText("Whole message").click();
    await expect(page.getByText("> May I ask you something?")).toBeVisible();
    await question.getByRole("button", { name: "Opt out", exact: true }).click();
    await expect(toast(page, "Contact opted out")).toBeVisible();
    await expect(question).toHaveCount(0);
    await expect(list.getByText("Opt-out?")).toHaveCount(1);
    await list.getByRole("link", { name: /bob/ }).click();
    await question.getByRole("button", { name: "Not an opt-out" }).click();
    await expect(toast(page, "Marked as not an opt-out")).toBeVisible();
    await expect(list.getByText("Opt-out?")).toHaveCount(0);
    const suppressed = await account.api("GET", "/suppressions");
    expect(suppressed.data.map((s: { address: string }) => s.address)).toEqual(["ada@people.example"]);
  } finally {
    await sql.end();
  }
});
