import { beforeAll, describe, expect, test } from "vitest";
import { createApp as createLinks } from "../../functions/links/app.ts";
import { createApp as createWebhooks } from "../../functions/webhooks/app.ts";
import { uuid7 } from "../../modules/kernel/database/ids.ts";
import { linkToken } from "../../modules/channels/email/tokens.ts";
import { enrollmentsOf, messagesOf, settlePlans } from "../support/campaigns.ts";
import { testKernel, type TestTenant } from "../support/kernel.ts";
import { until } from "../support/until.ts";

// Markup and header lines in everything people write or receive, followed to where they come out: mails, pages, JSON.

const t = testKernel();
const HTML = `<img src=x onerror=alert(1)><script>alert(2)</script>`;
const HEADER = "\r\nBcc: everybody@evil.example\r\nX-Injected: 1";
const UNICODE_BREAKS = "\u2028X-Injected: 2\u0085X-Injected: 3";

type Sandboxed = {
  from: { address: string; name: string | null };
  to: { address: string }[];
  reply_to: string | null;
  subject: string;
  html: string;
  text: string;
  headers: [string, string][];
};

const accepted = async (to: string): Promise<Sandboxed[]> => {
  const response = await fetch(`${t.env.OVERTURE_SANDBOX_URL}/_sandbox/messages?to=${encodeURIComponent(to)}`);
  return ((await response.json()) as { messages: Sandboxed[] }).messages;
};

let team: TestTenant;
beforeAll(async () => {
  team = await t.tenant(`Team ${HTML}`);
});

async function connectionTo(
  provider: "postmark" | "resend" | "smtp",
): Promise<{ id: string; hook: Record<string, string> }> {
  const [username, password] = ["hook", `pw-${crypto.randomUUID()}`];
  const credentials = {
    postmark: { server_token: crypto.randomUUID(), webhook_username: username, webhook_password: password },
    resend: { api_key: `re_${crypto.randomUUID().replaceAll("-", "")}` },
    smtp: { username: crypto.randomUUID(), password: "x" },
  }[provider];
  const made = await team.api("POST", "/connections", {
    provider,
    name: `${crypto.randomUUID()} ${HTML}`.slice(0, 80),
    credentials,
    ...(provider === "smtp" ? { settings: { host: "127.0.0.1" } } : {}),
    base_url:
      provider === "smtp" ? `smtp://${t.env.OVERTURE_SANDBOX_SMTP}` : `${t.env.OVERTURE_SANDBOX_URL}/${provider}`,
  });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  const checked = await team.api("POST", `/connections/${made.body.id}/check`);
  expect(checked.body.ok, JSON.stringify(checked.body)).toBe(true);
  // SMTP has no webhooks; of the others a mailing wants them, and here nobody waits for one.
  await t.sql`update public.connections set status = 'active', webhook_registered = true where id = ${made.body.id as string}`;
  return { id: made.body.id as string, hook: { authorization: `Basic ${btoa(`${username}:${password}`)}` } };
}

describe.each(["postmark", "resend", "smtp"] as const)("a mail that leaves through %s", (provider) => {
  test("has no header, recipient or markup that a name, a field, a subject or a sender smuggled in", async () => {
    const { id: connectionId } = await connectionTo(provider);
    const sender = (display_name: string) =>
      team.api("POST", "/senders", { connection_id: connectionId, address: `sam-${uuid7()}@us.example`, display_name });
    // Two walls: the API's, and the table's own for whatever comes by another way.
    expect((await sender(`Sam${HEADER}`)).status).toBe(422);
    const direct = t.sql`insert into public.senders (tenant_id, channel, connection_id, address, display_name) values (${team.id}, 'email', ${connectionId}, 'x@us.example', ${`Sam${HEADER}`})`;
    await expect(direct).rejects.toThrow(/display_name/);
    const made = await sender(`Sam" <evil@evil.example>, "`);
    expect(made.status, JSON.stringify(made.body)).toBe(201);
    const senderId = made.body.id as string;
    const to = `silent+${uuid7()}@example.com`;
    const [listId, contactId, companyId] = [uuid7(), uuid7(), uuid7()];
    await t.sql`insert into public.lists (tenant_id, id, name) values (${team.id}, ${listId}, ${`L ${listId}`})`;
    await t.sql`insert into public.companies (tenant_id, id, name) values (${team.id}, ${companyId}, ${`${HTML}${companyId}`})`;
    await t.sql`insert into public.contacts (tenant_id, id, email, first_name, last_name, title, company_id)
      values (${team.id}, ${contactId}, ${to}, ${HTML}, ${`Last${HEADER}`}, ${`javascript:alert(1)//${UNICODE_BREAKS}`}, ${companyId})`;
    await t.sql`insert into public.list_contacts (tenant_id, list_id, contact_id) values (${team.id}, ${listId}, ${contactId})`;
    const campaign = (body: string) =>
      team.api("POST", "/campaigns", {
        name: `C ${HTML}`,
        sender_ids: [senderId],
        list_id: listId,
        settings: { time_zone: "UTC", track_opens: true, track_clicks: true, exclusive: false },
        steps: [{ subject: `Hello {{lastName|x}} and {{jobTitle|y}}${HEADER}`, body }],
      });
    const text = "Dear {{firstName|you}} of {{companyName|z}}, {{lastName|x}}";
    const written = await campaign(`${text}\n\n[there](https://us.example/?q={{jobTitle|y}})\n\n${HTML}`);
    expect(written.status, JSON.stringify(written.body)).toBe(201);
    expect((await campaign(`${text} [no](javascript:alert(4))`)).status).toBe(422);
    const id = written.body.id as string;
    const started = await team.api("POST", `/campaigns/${id}/start`);
    expect(started.status, JSON.stringify(started.body)).toBe(200);
    await settlePlans(t, team);
    await until(
      async () => {
        await t.sql`select private.wake_sending()`;
        await t.drain("messaging_send");
        const [message] = await messagesOf(t, id);
        if (message && ["failed", "unknown"].includes(message.status))
          expect.fail(`${message.status}: ${message.error}`);
        return message?.status === "sent";
      },
      { what: "the mail to leave", timeoutMs: 20_000 },
    );

    const [mail, ...more] = await accepted(to);
    expect(more).toEqual([]);
    expect(mail!.to.map((a) => a.address)).toEqual([to]);
    expect(mail!.from.address).toMatch(/^sam-.*@us\.example$/);
    for (const text of [mail!.subject, mail!.from.name ?? "", mail!.reply_to ?? "", ...mail!.headers.flat()])
      expect(text).not.toMatch(/[\r\n\u0085\u2028]/);
    const names = mail!.headers.map(([name]) => name.toLowerCase());
    for (const name of ["bcc", "cc", "x-injected"]) expect(names).not.toContain(name);
    expect(mail!.html).not.toMatch(/<script|<img src=x|onerror=alert\(1\)>|href="javascript:/i);
    expect(mail!.html).toContain("&lt;");
    expect(mail!.html).toContain("unsubscribe");

    // A field that becomes a whole address must be a web address, or the person gets no mail.
    const linked = await campaign(`${text} [here]({{jobTitle|https://us.example}})`);
    expect(linked.status, JSON.stringify(linked.body)).toBe(201);
    expect((await team.api("POST", `/campaigns/${linked.body.id}/start`)).status).toBe(200);
    await settlePlans(t, team);
    expect(await enrollmentsOf(t, linked.body.id as string)).toMatchObject([
      { status: "blocked", reason: "missing_value", reason_detail: expect.stringContaining("is not a web address") },
    ]);
    expect(await accepted(to)).toHaveLength(1);
  });
});

test("the API gives markup back as data, in JSON no browser takes for a page", async () => {
  const made = await team.api("POST", "/contacts", {
    email: `${uuid7()}@example.com`,
    first_name: HTML,
    company_name: HTML,
    tags: [HTML.slice(0, 40)],
  });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  const read = await team.api("GET", `/contacts/${made.body.id}`);
  expect(read.body.first_name).toBe(HTML);
  expect(read.headers.get("content-type")).toBe("application/json");
  expect(read.headers.get("x-content-type-options")).toBe("nosniff");
});

test("an answer full of markup is kept as text; its HTML is never given out", async () => {
  const { id, hook } = await connectionTo("postmark");
  const unique = uuid7();
  const body = {
    FromFull: { Email: `evil-${unique}@example.com`, Name: HTML },
    ToFull: [{ Email: "in@us.example", Name: "" }],
    Subject: `${HTML}${HEADER}`,
    MessageID: unique,
    Date: "Thu, 20 Nov 2026 12:59:01 +0200",
    TextBody: `Sounds good ${HTML} ${unique}`,
    HtmlBody: `<p>Sounds good</p>${HTML}`,
    Headers: [
      { Name: "Message-ID", Value: `<${unique}@example.com>` },
      { Name: "X-Evil", Value: HEADER },
    ],
  };
  const answer = await createWebhooks(t.kernel).request(`/webhooks/postmark/${id}`, {
    method: "POST",
    body: JSON.stringify(body),
    headers: hook,
  });
  expect(answer.status, await answer.text()).toBe(200);
  const [row] = await until(
    async () => {
      await t.drain("webhooks_in", "providers_inbound");
      const rows = await t.sql<
        { id: string; subject: string; from_name: string }[]
      >`select id, subject, from_name from public.messages where tenant_id = ${team.id} and direction = 'in' and from_address = ${`evil-${unique}@example.com`}`;
      return rows.length > 0 ? rows : null;
    },
    { what: "the answer to arrive" },
  );
  expect(row!.subject).not.toMatch(/[\r\n]/);
  const read = await team.api("GET", `/messages/${row!.id}`);
  expect(read.status).toBe(200);
  expect(read.headers.get("content-type")).toBe("application/json");
  expect(read.body.body_text).toContain("Sounds good");
  expect(JSON.stringify(read.body)).not.toContain("<p>Sounds good</p>");
});

test("the unsubscribe page shows a hostile team's name and address as text, runs nothing, and fits in no frame", async () => {
  const links = createLinks(t.kernel);
  const [messageId, contactId] = [uuid7(), uuid7()];
  const to = `"><script>alert(3)</script>-${messageId}@example.com`;
  await t.sql`insert into public.contacts (tenant_id, id, email) values (${team.id}, ${contactId}, ${to})`;
  await t.sql`insert into public.messages (tenant_id, id, direction, channel, action, status, contact_id, from_address, to_address, subject, thread_id, sent_at)
    values (${team.id}, ${messageId}, 'out', 'email', 'email.send', 'sent', ${contactId}, 'me@us.example', ${to}, 'x', ${messageId}, now())`;
  const token = await linkToken(t.kernel.vault, "unsubscribe", { tenantId: team.id, messageId, number: 0 });
  for (const method of ["GET", "POST"]) {
    const page = await links.request(`/links/u/${token}`, { method });
    const text = await page.text();
    expect(page.status).toBe(200);
    expect(text).not.toMatch(/<script|<img|onerror=alert\(1\)>/i);
    if (method === "GET") expect(text).toContain("&lt;img");
    const policy = page.headers.get("content-security-policy")!;
    for (const rule of ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"])
      expect(policy).toContain(rule);
  }
});
