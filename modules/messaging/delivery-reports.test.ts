import { describe, expect, test } from "vitest";
import { settlePlans } from "../../tests/support/campaigns.ts";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { email, hours, story } from "../../tests/support/sequences.ts";
import type { InboundMessage } from "../kernel/provider.ts";
import { parsePostmarkEvent } from "../providers/email/postmark/events.ts";
import { receive } from "./inbound.ts";

/** What mail servers report, as Postmark hands it on: it belongs to the message it names, and condemns only a dead address. */

const t = testKernel();

type Report = {
  text?: string;
  /** Parts by content type. */
  parts?: [type: string, text: string][];
  headers?: Record<string, string>;
  from?: string;
  to?: string;
};

/** Postmark's JSON of a report. */
function posted({
  text = "",
  parts = [],
  headers = {},
  from = "MAILER-DAEMON@mx.example.net",
  to = "sam@us.test",
}: Report) {
  const all = {
    "Message-ID": `<${crypto.randomUUID()}@mx.example.net>`,
    "Content-Type": "multipart/report; report-type=delivery-status; boundary=x",
    "Auto-Submitted": "auto-replied",
    ...headers,
  };
  return {
    FromFull: { Email: from, Name: "Mail Delivery System" },
    ToFull: [{ Email: to, Name: "" }],
    Subject: "Undelivered Mail Returned to Sender",
    MessageID: crypto.randomUUID(),
    Date: "Mon, 30 Nov 2026 10:00:00 +0000",
    TextBody: text,
    Headers: Object.entries(all).map(([Name, Value]) => ({ Name, Value })),
    Attachments: parts.map(([ContentType, part]) => ({
      Name: "",
      ContentType,
      Content: Buffer.from(part).toString("base64"),
    })),
  };
}
async function arrives(team: TestTenant, connectionId: string, report: Report) {
  const [event] = parsePostmarkEvent(new TextEncoder().encode(JSON.stringify(posted(report))));
  const { message } = event as { message: InboundMessage };
  await team.run((ctx) => receive(ctx, connectionId, "email", message));
  await settlePlans(t, team);
}

const TO = "ada@acme.test";
async function start(people = [TO]) {
  const team = await t.tenant();
  const k = await story(t, team, [email("A"), hours(24), email("B")], people);
  await k.go();
  const mail = (await k.messages()).find((m) => m.to_address === TO)!;
  /** What is true afterwards. */
  const state = async () => {
    const [row] = await t.sql`
      select m.bounced_at is not null as bounced, m.replied_at is not null as replied,
        array(select e.kind from public.message_events e where e.message_id = m.id and e.kind <> 'sent' order by e.kind) as events
      from public.messages m where m.id = ${mail.id}`;
    const suppressed = (await team.api("GET", "/suppressions")).body.data.map((s: { address: string }) => s.address);
    return {
      bounced: row!.bounced,
      events: row!.events,
      suppressed,
      lead: (await k.lead(TO)).status,
      replied: row!.replied,
    };
  };
  return { team, k, mail, state };
}
const DEAD = { bounced: true, suppressed: [TO], lead: "bounced", replied: false };
const BLOCKED = { bounced: true, suppressed: [], lead: "bounced", replied: false };
const NOTED = { bounced: false, suppressed: [], lead: "waiting", replied: false, events: ["deferred"] };
const IGNORED = { bounced: false, suppressed: [], lead: "waiting", replied: false, events: [] };

const fields = (status: string, over: { action?: string; to?: string; diagnostic?: string; original?: string } = {}) =>
  [
    "Reporting-MTA: dns; mx.example.net",
    "",
    ...(over.original ? [`Original-Recipient: rfc822;${over.original}`] : []),
    `Final-Recipient: rfc822; ${over.to ?? TO}`,
    `Action: ${over.action ?? "failed"}`,
    `Status: ${status}`,
    `Diagnostic-Code: smtp; ${over.diagnostic ?? `550 ${status} refused`}`,
    "",
  ].join("\n");
const status = (text: string): [string, string][] => [["message/delivery-status", text]];

describe("a report that names our message", () => {
  test.each<[string, Report, object]>([
    ["5.1.1 in the text", { text: `This is the mail system.\n\n${fields("5.1.1")}` }, DEAD],
    ["5.1.1 in a part of its own", { text: "Sorry.", parts: status(fields("5.1.1")) }, DEAD],
    ["5.1.2, a domain that does not exist", { parts: status(fields("5.1.2")) }, DEAD],
    ["5.1.10 of a domain without mail", { parts: status(fields("5.1.10")) }, DEAD],
    [
      "5.0.0 with the server's own code in the diagnostic",
      { parts: status(fields("5.0.0", { diagnostic: "550 5.1.1 User unknown" })) },
      DEAD,
    ],
    ["5.7.1, a policy", { parts: status(fields("5.7.1")) }, BLOCKED],
    ["5.7.26, a signature that is missing", { parts: status(fields("5.7.26")) }, BLOCKED],
    ["5.2.2, a full mailbox", { parts: status(fields("5.2.2")) }, BLOCKED],
    ["5.1.8, our own address", { parts: status(fields("5.1.8")) }, BLOCKED],
    ["5.0.0 that says no more", { parts: status(fields("5.0.0", { diagnostic: "554 no" })) }, BLOCKED],
    ["4.2.2", { parts: status(fields("4.2.2")) }, NOTED],
    ["4.4.7, given up", { parts: status(fields("4.4.7")) }, NOTED],
    ["delayed, whatever the status", { parts: status(fields("5.1.1", { action: "delayed" })) }, NOTED],
    ["delivered", { parts: status(fields("2.0.0", { action: "delivered" })) }, IGNORED],
    ["nothing that can be read", { text: "Something happened to your mail." }, IGNORED],
    [
      "two recipients, one of them ours",
      { parts: status(`${fields("5.7.1", { to: "other@acme.test" })}\n${fields("5.1.1")}`) },
      DEAD,
    ],
    [
      "two recipients, none of them ours",
      { parts: status(`${fields("5.1.1", { to: "x@acme.test" })}\n${fields("5.1.1", { to: "y@acme.test" })}`) },
      IGNORED,
    ],
    ["an address behind a forwarding", { parts: status(fields("5.1.1", { to: "ada@inside.test" })) }, BLOCKED],
    [
      "… that keeps the original one",
      { parts: status(fields("5.1.1", { to: "ada@inside.test", original: TO })) },
      DEAD,
    ],
  ])("%s", async (_, report, expected) => {
    const { team, k, mail, state } = await start();
    await arrives(team, k.connectionId, { ...report, headers: { "In-Reply-To": mail.rfc_message_id } });
    expect(await state()).toMatchObject(expected);
  });

  test("told twice is one bounce, and no answer", async () => {
    const { team, k, mail, state } = await start();
    const headers = { "In-Reply-To": mail.rfc_message_id, "Message-ID": "<one@mx.example.net>" };
    for (let i = 0; i < 2; i++) await arrives(team, k.connectionId, { parts: status(fields("5.1.1")), headers });
    expect(await state()).toMatchObject({ ...DEAD, events: ["bounced"] });
  });
});

describe("forms of mail programs", () => {
  const exchange = (rfc: string, code: string) => `Delivery has failed to these recipients or groups:

${TO}
The email address you entered couldn't be found. Please check the address and try again.

Diagnostic information for administrators:

Generating server: EXCH01.acme.test

${TO}
Remote Server returned '550 ${code} RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup'

Original message headers:

Received: from us.test
Message-ID: ${rfc}
Subject: A
`;
  const gmail = (code: string) => `** Address not found **

Your message wasn't delivered to ${TO} because the address couldn't be found, or is unable to receive mail.

The response from the remote server was:

550 ${code} <${TO}>: Recipient address rejected: User unknown
`;
  const qmail = (rfc: string, code: string) => `Hi. This is the qmail-send program at mx.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<${TO}>:
Sorry, no mailbox here by that name. (#${code})

--- Below this line is a copy of the message.

Return-Path: <sam@us.test>
Message-ID: ${rfc}
Subject: A
`;
  const cases: [string, (rfc: string, code: string) => Report][] = [
    ["Exchange", (rfc, code) => ({ text: exchange(rfc, code), from: "postmaster@acme.test" })],
    [
      "Gmail",
      (rfc, code) => ({
        text: gmail(code),
        from: "mailer-daemon@googlemail.com",
        headers: { "X-Failed-Recipients": TO, References: rfc },
      }),
    ],
    ["qmail", (rfc, code) => ({ text: qmail(rfc, code), headers: { "Content-Type": "text/plain" } })],
    [
      "Postfix, with the headers of the returned message",
      (rfc, code) => ({
        parts: [
          ...status(fields(code)),
          ["text/rfc822-headers", `Received: by us.test\nMessage-ID: ${rfc}\nSubject: A\n`],
        ],
      }),
    ],
  ];
  test.each(cases)("%s: a dead address is one, a policy is none", async (_, form) => {
    for (const [code, expected] of [
      ["5.1.1", DEAD],
      ["5.7.1", BLOCKED],
    ] as const) {
      const { team, k, mail, state } = await start();
      await arrives(team, k.connectionId, form(mail.rfc_message_id, code));
      expect(await state()).toMatchObject(expected);
    }
  });
});

describe("a report that names no message of ours", () => {
  test("counts where one message alone can be meant, and condemns no address, because anybody could have written it", async () => {
    const { team, k, state } = await start();
    await arrives(team, k.connectionId, { parts: status(fields("5.1.1")) });
    expect(await state()).toMatchObject(BLOCKED);
  });
  test("is only kept where several can, where it came to another address of ours, and where it is another's recipient", async () => {
    const { team, k, mail, state } = await start();
    await arrives(team, k.connectionId, { parts: status(fields("5.1.1")), to: "kim@us.test" });
    await arrives(team, k.connectionId, { parts: status(fields("5.1.1", { to: "eve@acme.test" })) });
    expect(await state()).toMatchObject(IGNORED);
    await t.sql`
      insert into public.messages (tenant_id, direction, channel, action, status, from_address, to_address, thread_id, sent_at, created_at)
      values (${team.id}, 'out', 'email', 'email.send', 'sent', 'sam@us.test', ${TO}, kernel.uuid7(), now(), now() - interval '1 hour')`;
    await arrives(team, k.connectionId, { parts: status(fields("5.1.1")) });
    expect(await state()).toMatchObject(IGNORED);
    const [row] =
      await t.sql`select count(*)::int as n from public.messages where tenant_id = ${team.id} and direction = 'in'`;
    expect(row!.n).toBe(3);
    void mail;
  });
  test("in a person's own mail is text", async () => {
    const { team, k, mail, state } = await start();
    await arrives(team, k.connectionId, {
      text: fields("5.1.1"),
      from: TO,
      headers: { "Content-Type": "text/plain", "Auto-Submitted": "no", "In-Reply-To": mail.rfc_message_id },
    });
    expect(await state()).toMatchObject({ bounced: false, suppressed: [], lead: "replied" });
  });
});

test.each([
  ["fields", "Final-Recipient: rfc822; a@b.test\nAction: failed\nStatus: 5.1.1\n\n".repeat(5000)],
  ["one field", `Diagnostic-Code: ${"5.1.".repeat(100_000)}`],
  ["folded lines", `Status: 5.1.1\n${" x\n".repeat(100_000)}`],
  ["addresses", `${"a@b.test\n".repeat(50_000)}`],
  ["digits", "1".repeat(200_000)],
])("a hostile report is read in time: %s", (_, text) => {
  const started = performance.now();
  const [event] = parsePostmarkEvent(new TextEncoder().encode(JSON.stringify(posted({ text, parts: status(text) }))));
  t.kernel.registry.channels.get("email")!.readInbound((event as { message: InboundMessage }).message);
  expect(performance.now() - started).toBeLessThan(1500);
});
