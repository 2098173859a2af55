import { beforeAll, describe, expect, test } from "vitest";
import { createApp } from "../../functions/webhooks/app.ts";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { type SentMessage, sentMessage } from "../../tests/support/sent-message.ts";
import { until } from "../../tests/support/until.ts";
import { signWebhook } from "../kernel/secrets/signatures.ts";

const k = testKernel();
const app = createApp(k.kernel);
const encoder = new TextEncoder();
const PASSWORD = "correct horse battery staple";
const SECRET = `whsec_${btoa("0123456789abcdef01234567")}`;

let t: TestTenant;
let postmark: string;
let resend: string;
const resendKey = `re_${crypto.randomUUID().replaceAll("-", "")}`;

beforeAll(async () => {
  t = await k.tenant();
  const make = async (body: object) => (await t.api("POST", "/connections", body)).body.id as string;
  postmark = await make({
    provider: "postmark",
    name: "Postmark",
    credentials: { server_token: "token-123456", webhook_username: "hook", webhook_password: PASSWORD },
  });
  resend = await make({
    provider: "resend",
    name: "Resend",
    credentials: { api_key: resendKey, webhook_secret: SECRET },
    base_url: `${k.env.OVERTURE_SANDBOX_URL}/resend`,
  });
});

const basic = (password = PASSWORD) => ({ authorization: `Basic ${btoa(`hook:${password}`)}` });
const post = (path: string, body: string, headers: Record<string, string>) =>
  Promise.resolve(app.request(`/webhooks/${path}`, { method: "POST", body, headers }));

const send = async (
  event: object | string,
  connection = postmark,
): Promise<{ accepted: boolean; duplicate: boolean }> => {
  const response = await post(
    `postmark/${connection}`,
    typeof event === "string" ? event : JSON.stringify(event),
    basic(),
  );
  expect(response.status).toBe(200);
  return (await response.json()) as { accepted: boolean; duplicate: boolean };
};

const sendResend = async (event: object, id = `msg_${crypto.randomUUID()}`) => {
  const body = JSON.stringify(event);
  const now = Math.floor(Date.now() / 1000);
  const signature = await signWebhook(SECRET, id, now, encoder.encode(body));
  const response = await post(`resend/${resend}`, body, {
    "svix-id": id,
    "svix-timestamp": String(now),
    "svix-signature": signature,
  });
  expect(response.status).toBe(200);
};

const ref = (m: SentMessage) => ({
  MessageID: m.providerMessageId,
  Metadata: { overture_message_id: m.id },
  Recipient: m.email,
});
const delivery = (m: SentMessage, DeliveredAt = "2026-11-20T10:00:00Z") => ({
  RecordType: "Delivery",
  ...ref(m),
  DeliveredAt,
});
let bounceId = 1;
const bounce = (m: SentMessage, Type = "HardBounce") => ({
  RecordType: "Bounce",
  ...ref(m),
  ID: Date.now() * 1000 + bounceId++,
  Type,
  Email: m.email,
  BouncedAt: "2026-11-20T10:00:00Z",
  Details: "smtp;550 5.1.1",
  Inactive: Type === "HardBounce",
});
const inbound = (
  m: SentMessage,
  over: { from?: string; text?: string; subject?: string; headers?: Record<string, string> } = {},
) => ({
  FromFull: { Email: over.from ?? m.email, Name: "Pat" },
  ToFull: [{ Email: "in@inbound.postmarkapp.com", Name: "" }],
  Subject: over.subject ?? "Re: Hello",
  MessageID: crypto.randomUUID(),
  Date: "Thu, 20 Nov 2026 12:59:01 +0200",
  TextBody: over.text ?? "Sounds good",
  Headers: Object.entries({
    "Message-ID": `<${crypto.randomUUID()}@example.com>`,
    "In-Reply-To": m.rfcMessageId,
    ...over.headers,
  }).map(([Name, Value]) => ({
    Name,
    Value,
  })),
});

const deliveries = (connection = postmark) => k.sql<
  { id: string; processed_at: Date | null; attempts: number; error: string | null }[]
>`
  select id, processed_at, attempts, error from public.webhook_deliveries where connection_id = ${connection} order by id`;

/** Works the queues until nothing of this team waits, however far in the future its retries lie. */
async function settle(): Promise<void> {
  await until(
    async () => {
      await k.drain("webhooks_in", "providers_inbound", "campaigns_message_facts");
      const [row] = await k.sql<{ n: number }[]>`
        with due as (
          update pgmq.q_webhooks_in set vt = now() where message ->> 'tenant_id' = ${t.id} and read_ct > 0 and vt > now() + interval '200 milliseconds' returning 1
        ) select (select count(*)::int from pgmq.q_webhooks_in where message ->> 'tenant_id' = ${t.id})
              + (select count(*)::int from pgmq.q_providers_inbound where message ->> 'tenant_id' = ${t.id})
              + (select count(*)::int from pgmq.q_campaigns_message_facts where message ->> 'tenant_id' = ${t.id}) + (select count(*)::int * 0 from due) as n`;
      return row!.n === 0;
    },
    { what: "the queues to settle" },
  );
}

/** One round without bringing retries forward. */
const round = () => k.drain("webhooks_in", "providers_inbound");

const message = async (m: SentMessage) => (await k.sql`select * from public.messages where id = ${m.id}`)[0]!;
const enrollment = async (m: SentMessage) =>
  (await k.sql`select * from public.enrollments where id = ${m.enrollmentId}`)[0]!;
const events = (m: SentMessage) =>
  k.sql`select kind, is_bot, event_key, detail from public.message_events where message_id = ${m.id} order by kind`;
const suppression = async (email: string) =>
  (await k.sql`select reason from public.suppressions where tenant_id = ${t.id} and address = ${email}`)[0];

describe("the gate", () => {
  test("a wrong signature is 401 and writes nothing", async () => {
    const m = await sentMessage(k, t, postmark);
    const before = await deliveries();
    const headersOf = [
      basic("wrong password, long"),
      {},
      { authorization: "Basic !!!" },
      { authorization: `Basic ${btoa(":")}` },
    ];
    for (const headers of headersOf) {
      const response = await post(
        `postmark/${postmark}`,
        JSON.stringify(delivery(m)),
        headers as Record<string, string>,
      );
      expect(response.status).toBe(401);
      expect(response.headers.get("content-type")).toBe("application/problem+json");
    }
    const signed = await signWebhook(SECRET, "msg_1", Math.floor(Date.now() / 1000), encoder.encode("{}"));
    const tampered = await post(`resend/${resend}`, "{ }", {
      "svix-id": "msg_1",
      "svix-timestamp": String(Math.floor(Date.now() / 1000)),
      "svix-signature": signed,
    });
    expect(tampered.status).toBe(401);
    expect(await deliveries()).toEqual(before);
    const [queued] =
      await k.sql`select count(*)::int as n from pgmq.q_webhooks_in where message ->> 'tenant_id' = ${t.id}`;
    expect(queued!.n).toBe(0);
  });

  test("404 looks the same for an unknown connection, another provider's, no uuid and a provider without webhooks", async () => {
    const bodies = [];
    for (const path of [
      `postmark/${crypto.randomUUID()}`,
      `resend/${postmark}`,
      "postmark/nope",
      `pigeon/${postmark}`,
      `smtp/${postmark}`,
    ]) {
      const response = await post(path, "{}", basic());
      expect([path, response.status]).toEqual([path, 404]);
      bodies.push({ ...((await response.json()) as object), request_id: "" });
    }
    for (const body of bodies) expect(body).toEqual(bodies[0]);
  });

  test("a delivery is stored before anything is done about it, and twice is once", async () => {
    const m = await sentMessage(k, t, postmark);
    const before = (await deliveries()).length;
    const event = delivery(m);
    expect(await send(event)).toEqual({ accepted: true, duplicate: false });
    expect((await message(m)).delivered_at).toBeNull();
    const again = await Promise.all([send(event), send(event), send(event)]);
    expect(again.map((a) => a.duplicate)).toEqual([true, true, true]);
    expect((await deliveries()).length).toBe(before + 1);
    await settle();
    expect((await message(m)).delivered_at).not.toBeNull();
    expect((await events(m)).map((e) => e.kind)).toEqual(["delivered"]);
  });

  test("ten deliveries of one event at the same moment make one row", async () => {
    const m = await sentMessage(k, t, postmark);
    const answers = await Promise.all(Array.from({ length: 10 }, () => send(delivery(m, "2026-11-20T11:00:00Z"))));
    expect(answers.filter((a) => !a.duplicate)).toHaveLength(1);
    await settle();
  });
});

describe("events", () => {
  test("delivered before the send is recorded is kept, and the send's own record completes it", async () => {
    const m = await sentMessage(k, t, postmark, { status: "sending" });
    await send(delivery(m));
    await round();
    expect(await message(m)).toMatchObject({ status: "sending", delivered_at: expect.any(Date) });
    const settled = JSON.stringify([{ id: m.id, outcome: "sent", provider_message_id: m.providerMessageId }]);
    await t.run((ctx) => ctx.db`select private.settle_messages(${settled}::text::jsonb)`);
    expect(await message(m)).toMatchObject({
      status: "sent",
      provider_message_id: m.providerMessageId,
      delivered_at: expect.any(Date),
    });
    await settle();
  });

  test("an event that knows only the provider's id waits until the send is recorded", async () => {
    const m = await sentMessage(k, t, postmark);
    await k.sql`update public.messages set provider_message_id = null where id = ${m.id}`;
    await send({ ...delivery(m), Metadata: {} });
    await round();
    const waiting = (await deliveries()).at(-1)!;
    expect(waiting).toMatchObject({ processed_at: null, attempts: 1 });
    await k.sql`update public.messages set provider_message_id = ${m.providerMessageId} where id = ${m.id}`;
    await settle();
    expect((await message(m)).delivered_at).not.toBeNull();
    expect((await deliveries()).find((d) => d.id === waiting.id)).toMatchObject({
      processed_at: expect.any(Date),
      error: null,
    });
  });

  test("an event of mail that is not ours ends with a note, not as a dead letter", async () => {
    const dead = () => k.sql`select count(*)::int as n from kernel.dead_letters where tenant_id = ${t.id}`;
    const [before] = await dead();
    await send({
      RecordType: "Delivery",
      MessageID: crypto.randomUUID(),
      Recipient: "x@example.com",
      DeliveredAt: "2026-11-20T10:00:00Z",
    });
    await settle();
    expect((await deliveries()).at(-1)).toMatchObject({
      processed_at: expect.any(Date),
      attempts: 5,
      error: expect.stringContaining("No message"),
    });
    expect((await dead())[0]).toEqual(before);
  });

  test("a hard bounce suppresses the address and ends the sequence", async () => {
    const m = await sentMessage(k, t, postmark);
    await send(bounce(m));
    await settle();
    expect(await suppression(m.email)).toEqual({ reason: "bounce" });
    expect(await enrollment(m)).toMatchObject({ status: "bounced", next_at: null });
    expect((await events(m))[0]).toMatchObject({
      kind: "bounced",
      event_key: expect.stringMatching(/^postmark:Bounce:/),
    });
  });

  test("a soft bounce is noted, ends nothing and leaves the address alone", async () => {
    const m = await sentMessage(k, t, postmark);
    const before = (await enrollment(m)).status;
    await send(bounce(m, "SoftBounce"));
    await settle();
    expect((await message(m)).bounced_at).not.toBeNull();
    expect(await suppression(m.email)).toBeUndefined();
    expect((await enrollment(m)).status).toBe(before);
  });

  test("an address on the provider's own list of dead ones is suppressed, also where the message is not ours", async () => {
    const m = await sentMessage(k, t, resend);
    const stranger = `${crypto.randomUUID()}@example.com`;
    const listed = (email_id: string, to: string) => ({
      type: "email.suppressed",
      created_at: "2026-11-20T10:00:00Z",
      data: {
        email_id,
        created_at: "2026-11-20T10:00:00Z",
        from: m.senderEmail,
        to: [to],
        subject: "Hello",
        suppressed: { type: "OnAccountSuppressionList", message: "previous bounce" },
      },
    });
    await sendResend(listed(m.providerMessageId, m.email));
    await sendResend(listed(crypto.randomUUID(), stranger));
    await settle();
    expect(await suppression(m.email)).toEqual({ reason: "bounce" });
    expect(await suppression(stranger)).toEqual({ reason: "bounce" });
    expect(await enrollment(m)).toMatchObject({ status: "bounced" });
  });

  test("a complaint suppresses; what comes twice in two deliveries counts once", async () => {
    const m = await sentMessage(k, t, postmark);
    const complaint = {
      RecordType: "SpamComplaint",
      ...ref(m),
      ID: 77_000_000 + bounceId++,
      Type: "SpamComplaint",
      Email: m.email,
      BouncedAt: "2026-11-20T10:00:00Z",
    };
    await send(complaint);
    await send({ ...complaint, Extra: "other bytes" });
    await settle();
    expect(await suppression(m.email)).toEqual({ reason: "complaint" });
    expect((await events(m)).map((e) => e.kind)).toEqual(["complained"]);
  });

  test("someone who unsubscribes from the account without naming a message is suppressed", async () => {
    const email = `${crypto.randomUUID()}@example.com`;
    await sendResend({
      type: "contact.updated",
      created_at: "2026-11-20T10:00:00Z",
      data: {
        id: crypto.randomUUID(),
        email: email.toUpperCase(),
        unsubscribed: true,
        updated_at: "2026-11-20T10:00:00Z",
      },
    });
    await settle();
    expect(await suppression(email)).toEqual({ reason: "unsubscribe" });
  });

  test("a scanner's click is kept and labelled, a person's counts; a link of any length fits", async () => {
    const m = await sentMessage(k, t, postmark);
    const click = (UserAgent: string, url: string) => ({
      RecordType: "Click",
      ...ref(m),
      ReceivedAt: "2026-11-20T10:00:00Z",
      UserAgent,
      OriginalLink: url,
    });
    await send(click("python-requests/2.31", "https://example.com/a"));
    await settle();
    expect(await events(m)).toMatchObject([{ kind: "clicked", is_bot: true }]);
    expect((await message(m)).clicked_at).toBeNull();
    await send(
      click(
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        `https://example.com/${"long/".repeat(400)}`,
      ),
    );
    await settle();
    expect((await message(m)).clicked_at).not.toBeNull();
    expect(await events(m)).toHaveLength(2);
  });

  test("a batch with unreadable bodies: they become dead letters with a reason, the others are done", async () => {
    const m = await sentMessage(k, t, postmark);
    await send("this is not json");
    await send(`{"RecordType":"Delivery","MessageID":"x","DeliveredAt":"never ${crypto.randomUUID()}"}`);
    await send({ ...bounce(m), Details: "a\u0000b\ud800" });
    await settle();
    const last = (await deliveries()).slice(-3);
    expect(last[0]).toMatchObject({ processed_at: expect.any(Date), error: expect.stringContaining("not JSON") });
    expect(last[1]!.error).toContain("is not a date");
    expect(last[2]!.error).toBeNull();
    const letters =
      await k.sql`select reason from kernel.dead_letters where tenant_id = ${t.id} and queue = 'webhooks_in'`;
    expect(letters.map((l) => l.reason)).toEqual(expect.arrayContaining([expect.stringContaining("not JSON")]));
    expect((await enrollment(m)).status).toBe("bounced");
  });

  test("an event cannot reach a message of another team, nor of another connection", async () => {
    const other = await k.tenant();
    const made = await other.api("POST", "/connections", {
      provider: "postmark",
      name: "P",
      credentials: { server_token: "token-123456" },
    });
    const theirs = await sentMessage(k, other, made.body.id);
    const elsewhere = await sentMessage(k, t, resend);
    await send(bounce(theirs));
    await send(bounce(elsewhere));
    await settle();
    expect((await message(theirs)).bounced_at).toBeNull();
    expect((await k.sql`select count(*)::int as n from public.suppressions where tenant_id = ${other.id}`)[0]!.n).toBe(
      0,
    );
    expect((await message(elsewhere)).bounced_at).toBeNull();
  });
});

describe("replies", () => {
  const inbox = (m: SentMessage) => k.sql`
    select i.*, d.in_reply_to, d.headers from public.messages i join public.messages o on o.tenant_id = i.tenant_id and o.thread_id = i.thread_id
    left join public.email_details d on d.tenant_id = i.tenant_id and d.message_id = i.id
    where o.id = ${m.id} and i.direction = 'in'`;

  test("an answer joins the thread, is cut to what is new, and stops the sequence", async () => {
    const m = await sentMessage(k, t, postmark);
    await send(
      inbound(m, {
        text: "Thursday works.\n\nOn Thu, Nov 19, 2026 at 10:00 AM Sales <s@sandbox.test> wrote:\n> Free?",
      }),
    );
    await settle();
    const [mail] = await inbox(m);
    expect(mail).toMatchObject({
      body_text: "Thursday works.",
      contact_id: m.contactId,
      is_auto_reply: false,
      in_reply_to: m.rfcMessageId,
    });
    expect(mail!.headers.full_text).toContain("> Free?");
    expect(await enrollment(m)).toMatchObject({ status: "replied", next_at: null });
    expect((await message(m)).replied_at).not.toBeNull();
  });

  test("an absence note is kept and stops nothing", async () => {
    const m = await sentMessage(k, t, postmark);
    await send(inbound(m, { subject: "Automatic reply: Hello", headers: { "Auto-Submitted": "auto-replied" } }));
    await settle();
    expect(await inbox(m)).toMatchObject([{ is_auto_reply: true }]);
    expect((await enrollment(m)).status).toBe("waiting");
    expect((await message(m)).replied_at).toBeNull();
    expect((await events(m)).map((e) => e.kind)).toEqual(["auto_replied"]);
  });

  test("a delivery report is no answer", async () => {
    const m = await sentMessage(k, t, postmark);
    await send(inbound(m, { from: "mailer-daemon@mx.example.com", subject: "Undelivered Mail Returned to Sender" }));
    await settle();
    expect((await enrollment(m)).status).toBe("waiting");
  });

  test("our own mail coming back is no answer", async () => {
    const m = await sentMessage(k, t, postmark);
    await send(inbound(m, { from: m.senderEmail.toUpperCase() }));
    await settle();
    expect(await inbox(m)).toHaveLength(0);
    expect((await enrollment(m)).status).toBe("waiting");
  });

  test("the same mail delivered twice with other bytes is stored once", async () => {
    const m = await sentMessage(k, t, postmark);
    const mail = inbound(m);
    await send(mail);
    await send({ ...mail, Tag: "again" });
    await settle();
    expect(await inbox(m)).toHaveLength(1);
  });

  test("a header that claims to break lines cannot stop the batch", async () => {
    const m = await sentMessage(k, t, postmark);
    await send(inbound(m, { subject: "Re: Hello\r\nBcc: x@example.com" }));
    await settle();
    expect((await inbox(m))[0]!.subject).toBe("Re: Hello Bcc: x@example.com");
  });

  test("an announced mail is fetched from the provider and stops the sequence", async () => {
    const m = await sentMessage(k, t, resend);
    // The check makes the account known to the sandbox, where the mail then lies; the webhook carries its id alone.
    expect((await t.api("POST", `/connections/${resend}/check`)).body.ok).toBe(true);
    const delivered = await fetch(`${k.env.OVERTURE_SANDBOX_URL}/_sandbox/deliver`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        account: resendKey,
        from: m.email,
        to: "sales@sandbox.test",
        subject: "Re: Hello",
        text: "Yes",
        headers: { References: `<x@y> ${m.rfcMessageId}` },
      }),
    });
    expect(delivered.status).toBe(201);
    const { id } = (await delivered.json()) as { id: string };
    await sendResend({ type: "email.received", created_at: "2026-11-20T10:00:00Z", data: { email_id: id } });
    await settle();
    expect(await inbox(m)).toMatchObject([{ body_text: "Yes", provider_message_id: id, contact_id: m.contactId }]);
    expect((await enrollment(m)).status).toBe("replied");
  });
});

test("deliveries older than thirty days are pruned, younger ones stay", async () => {
  const [old] = await k.sql`
    insert into public.webhook_deliveries (tenant_id, connection_id, delivery_id, body, received_at)
    values (${t.id}, ${postmark}, ${crypto.randomUUID()}, '\\x00', now() - interval '31 days') returning id`;
  const before = await deliveries();
  await k.sql`select private.prune_webhooks()`;
  expect((await deliveries()).map((d) => d.id)).toEqual(before.map((d) => d.id).filter((id) => id !== old!.id));
});
