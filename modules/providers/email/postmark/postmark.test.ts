import { Models } from "postmark";
import { describe, expect, test } from "vitest";
import { createHttpClient } from "../../../kernel/http/client.ts";
import type { HttpClient, HttpRequest } from "../../../kernel/http/client.ts";
import { createSandbox } from "../../../sandbox/server.ts";
import { emailSend } from "../../conformance/email.ts";
import { conformance } from "../../conformance/suite.ts";
import { bytesOf, NOT_A_DELIVERY } from "../../conformance/webhook.ts";
import { exampleEmail } from "../fixtures.ts";
import { postmark } from "./adapter.ts";
import { emulation } from "./emulation.ts";
import { BOUNCE_TYPES } from "./events.ts";

const auth = { webhook_username: "overture", webhook_password: "correct horse battery staple" };
const message = "0193b5a8-0000-7000-8000-000000000002";
const common = {
  MessageID: "883953f4-6105-42a2-a16a-77a8eac79483",
  MessageStream: "outbound",
  ServerID: 23,
  Tag: "",
  Metadata: { overture_message_id: message },
};
const bounce = (Type: string, ID: number, extra: object = {}) => ({
  RecordType: "Bounce",
  ...common,
  ID,
  Type,
  TypeCode: 1,
  Name: Type,
  Description: "The server was unable to deliver your message.",
  Details: "smtp;550 5.1.1",
  Email: "reader@example.com",
  From: "sales@sandbox.test",
  BouncedAt: "2026-11-20T10:00:00Z",
  DumpAvailable: false,
  Inactive: Type === "HardBounce",
  CanActivate: true,
  Subject: "Hello",
  ...extra,
});
const change = (Origin: string, SuppressSending: boolean, SuppressionReason: string | null, ChangedAt: string) => ({
  RecordType: "SubscriptionChange",
  ...common,
  Recipient: "reader@example.com",
  ChangedAt,
  Origin,
  SuppressSending,
  SuppressionReason,
});
const inbound = {
  FromName: "Rita Reader",
  MessageStream: "inbound",
  From: "rita@example.com",
  FromFull: { Email: "rita@example.com", Name: "Rita Reader", MailboxHash: "" },
  To: "451d9b70+ahoy@inbound.postmarkapp.com",
  ToFull: [{ Email: "451d9b70+ahoy@inbound.postmarkapp.com", Name: "", MailboxHash: "ahoy" }],
  Cc: "",
  CcFull: [],
  OriginalRecipient: "451d9b70+ahoy@inbound.postmarkapp.com",
  Subject: "Re: Hello",
  MessageID: "22c74902-a0c1-4511-804f-341342852c90",
  MailboxHash: "ahoy",
  Date: "Thu, 20 Nov 2026 12:59:01 +0200",
  TextBody: "Sounds good",
  HtmlBody: "<p>Sounds good</p>",
  StrippedTextReply: "Sounds good",
  Headers: [
    { Name: "Message-ID", Value: "<abc@example.com>" },
    { Name: "In-Reply-To", Value: "<first@sandbox.test>" },
    { Name: "Received", Value: "one" },
    { Name: "Received", Value: "two" },
  ],
  Attachments: [],
};

conformance(postmark, emulation, {
  check: { bad: [{ server_token: "00000000-0000-0000-0000-000000000000" }, { server_token: "nonsense" }] },
  send: {
    ...emailSend(),
    refused: () => exampleEmail({ to: { address: "not an address" } }),
    givesItsId: true,
    saysHowLong: true,
    serverError: { outcome: "unknown", accepted: true },
  },
  webhook: {
    credentials: { server_token: "x", ...auth },
    wrongCredentials: { server_token: "x", ...auth, webhook_password: "correct horse battery stapler" },
    proves: { body: false, time: false, url: false },
    malformed: NOT_A_DELIVERY,
    sign: async (_body, _now, c) =>
      new Headers({ authorization: `Basic ${btoa(`${c.webhook_username}:${c.webhook_password}`)}` }),
    payloads: [
      {
        name: "delivery",
        body: {
          RecordType: "Delivery",
          ...common,
          Recipient: "reader@example.com",
          DeliveredAt: "2026-11-20T09:59:00Z",
          Details: "ok",
        },
        kinds: ["delivered"],
      },
      { name: "hard bounce", body: bounce("HardBounce", 1), kinds: ["bounced"] },
      { name: "soft bounce", body: bounce("SoftBounce", 2), kinds: ["bounced"] },
      { name: "blocked", body: bounce("Blocked", 3), kinds: ["bounced"] },
      { name: "transient", body: bounce("Transient", 4), kinds: ["deferred"] },
      { name: "auto-responder", body: bounce("AutoResponder", 5), kinds: [] },
      { name: "spam notification", body: bounce("SpamNotification", 6), kinds: ["bounced"] },
      { name: "template failure", body: bounce("TemplateRenderingFailed", 7), kinds: ["failed"] },
      {
        name: "spam complaint",
        body: { ...bounce("SpamComplaint", 8), RecordType: "SpamComplaint" },
        kinds: ["complained"],
      },
      {
        name: "open",
        body: {
          RecordType: "Open",
          ...common,
          FirstOpen: true,
          Recipient: "reader@example.com",
          ReceivedAt: "2026-11-20T10:05:00Z",
          UserAgent: "Mozilla/5.0",
        },
        kinds: ["opened"],
      },
      {
        name: "click",
        body: {
          RecordType: "Click",
          ...common,
          OriginalLink: "https://example.com/a",
          ClickLocation: "HTML",
          Recipient: "reader@example.com",
          ReceivedAt: "2026-11-20T10:06:00Z",
        },
        kinds: ["clicked"],
      },
      {
        name: "unsubscribed by the recipient",
        body: change("Recipient", true, "ManualSuppression", "2026-11-20T10:07:00Z"),
        kinds: ["unsubscribed"],
      },
      {
        name: "suppressed by a bounce",
        body: change("Recipient", true, "HardBounce", "2026-11-20T10:08:00Z"),
        kinds: [],
      },
      {
        name: "suppressed by us",
        body: change("Customer", true, "ManualSuppression", "2026-11-20T10:09:00Z"),
        kinds: [],
      },
      { name: "reactivated", body: change("Recipient", false, null, "2026-11-20T10:10:00Z"), kinds: [] },
      { name: "inbound", body: inbound, kinds: ["inbound"] },
      { name: "something new", body: { RecordType: "Tomorrow", ...common }, kinds: [] },
    ],
  },
});

describe("postmark", () => {
  test("another stream: sent there, found there; a stream that is missing fails the check by name", async () => {
    const sandbox = await createSandbox({ emulations: [emulation], speed: 0.001 });
    try {
      const http = createHttpClient({ allowPrivateHosts: ["127.0.0.1"], userAgent: "test" });
      const at = (message_stream: string) => ({
        id: "c",
        credentials: { server_token: "6ba7b810-9dad-11d1-80b4-00c04fd430c8" },
        settings: { message_stream },
        base_url: sandbox.baseUrl("postmark"),
        webhook_url: null,
      });
      const email = exampleEmail();
      expect(await postmark.send!.send([email], at("broadcast"), http)).toMatchObject([{ outcome: "sent" }]);
      expect(await postmark.send!.find!(email.id, at("broadcast"), http)).not.toBeNull();
      expect(await postmark.send!.find!(email.id, at("outbound"), http)).toBeNull();
      expect(await postmark.check(at("newsletter"), http)).toMatchObject({
        ok: false,
        detail: expect.stringContaining("newsletter"),
      });
      expect(await postmark.send!.send([email], at("newsletter"), http)).toMatchObject([
        { outcome: "broken", code: "postmark_1235" },
      ]);
    } finally {
      await sandbox.close();
    }
  });

  /** A peer that answers as told; nothing leaves the process. */
  const peer = (
    answer: (request: HttpRequest) => { status: number; body: unknown; headers?: Record<string, string> },
  ): HttpClient => {
    const request = async (r: HttpRequest) => {
      const { status, body, headers } = answer(r);
      const text = typeof body === "string" ? body : JSON.stringify(body);
      return {
        status,
        headers: new Headers(headers),
        body: new TextEncoder().encode(text),
        text: () => text,
        json: () => JSON.parse(text) as unknown,
      };
    };
    return {
      ...createHttpClient({ allowPrivateHosts: [], userAgent: "test" }),
      request,
      json: (r) => request({ ...r, body: JSON.stringify(r.body) }),
    };
  };
  const connection = { id: "c", credentials: { server_token: "t" }, settings: {}, base_url: null, webhook_url: null };
  const outcomes = async (answer: Parameters<typeof peer>[0], count = 1) =>
    postmark.send!.send(
      Array.from({ length: count }, () => exampleEmail()),
      connection,
      peer(answer),
    );

  test("a batch refused as a whole is cut in two until the guilty message stands alone", async () => {
    let calls = 0;
    const sent = await outcomes(({ body }) => {
      calls++;
      const items = JSON.parse(String(body)) as { Subject: string; Metadata: { overture_message_id: string } }[];
      if (items.length > 1 && calls <= 2) return { status: 422, body: { ErrorCode: 300, Message: "one of them" } };
      if (calls === 3) return { status: 422, body: { ErrorCode: 300, Message: "this one" } };
      return {
        status: 200,
        body: items.map((i) => ({ ErrorCode: 0, Message: "OK", MessageID: i.Metadata.overture_message_id })),
      };
    }, 4);
    expect(sent.map((o) => o.outcome)).toEqual(["rejected", "sent", "sent", "sent"]);
  });

  test("what each answer means for exactly-once", async () => {
    const of = async (status: number, body: unknown, headers?: Record<string, string>) =>
      (await outcomes(() => ({ status, body, ...(headers ? { headers } : {}) })))[0];
    expect(await of(200, [{ ErrorCode: 406, Message: "inactive" }])).toMatchObject({
      outcome: "rejected",
      code: "inactive_recipient",
      recipient: "gone",
    });
    expect(await of(200, [{ ErrorCode: 300, Message: "Invalid 'To' address." }])).toEqual({
      outcome: "rejected",
      code: "postmark_300",
      detail: "Invalid 'To' address.",
    });
    expect(await of(200, [{ ErrorCode: 405, Message: "credits" }])).toMatchObject({ outcome: "broken" });
    expect(await of(200, [{ ErrorCode: 0, Message: "OK" }])).toMatchObject({ outcome: "unknown" });
    expect(await of(200, [])).toMatchObject({ outcome: "unknown" });
    expect(await of(200, "<html>a proxy's page</html>")).toMatchObject({ outcome: "unknown" });
    expect(await of(500, "oops")).toMatchObject({ outcome: "unknown" });
    expect(await of(504, "")).toMatchObject({ outcome: "unknown" });
    expect(await of(503, { ErrorCode: 100, Message: "maintenance" })).toMatchObject({ outcome: "retry" });
    expect(await of(503, "<html>a proxy's page</html>")).toMatchObject({ outcome: "unknown", code: "http_503" });
    expect(await of(503, { error: "upstream connect error" })).toMatchObject({ outcome: "unknown" });
    expect(await of(429, {}, { "retry-after": "30" })).toMatchObject({ outcome: "retry", after_seconds: 30 });
    expect(await of(401, { ErrorCode: 10, Message: "token" })).toMatchObject({ outcome: "broken" });
  });

  test("a search that ignored the filter proves nothing", async () => {
    const found = { TotalCount: 1, Messages: [{ MessageID: "x", Metadata: { overture_message_id: "another" } }] };
    await expect(
      postmark.send!.find!(
        "mine",
        connection,
        peer(() => ({ status: 200, body: found })),
      ),
    ).rejects.toThrow(/filter/);
    await expect(
      postmark.send!.find!(
        "mine",
        connection,
        peer(() => ({ status: 500, body: "" })),
      ),
    ).rejects.toMatchObject({ code: "upstream" });
  });

  // The types of Postmark's documentation and of its SDK, with what each says.
  const MEANT: Record<string, string | null> = {
    HardBounce: "bounced permanent",
    BadEmailAddress: "bounced permanent",
    SpamNotification: "bounced block",
    Blocked: "bounced block",
    DMARCPolicy: "bounced block",
    VirusNotification: "bounced block",
    ManuallyDeactivated: "bounced block",
    SoftBounce: "bounced transient",
    Unknown: "bounced transient",
    Transient: "deferred",
    DnsError: "deferred",
    SpamComplaint: "complained",
    Unsubscribe: "unsubscribed",
    SMTPApiError: "failed block",
    TemplateRenderingFailed: "failed block",
    AutoResponder: null,
    AddressChange: null,
    ChallengeVerification: null,
    OpenRelayTest: null,
    Subscribe: null,
    InboundError: null,
    Unconfirmed: null,
  };
  const meant = (type: string, extra: object = {}) => {
    const [event] = postmark.webhook!.parse(bytesOf(bounce(type, 99, extra)), {});
    return event ? `${event.kind}${"bounce" in event ? ` ${event.bounce}` : ""}` : null;
  };
  test("every documented bounce type is one of the table, and the other way round", () => {
    expect(Object.keys(MEANT).sort()).toEqual(Object.values(Models.BounceType).sort());
    expect(Object.keys(BOUNCE_TYPES).sort()).toEqual(Object.keys(MEANT).sort());
  });
  test.each(Object.entries(MEANT))("bounce type %s: %s", (type, expected) => expect(meant(type)).toBe(expected));
  test("a type nobody knows condemns the address only where Postmark writes to it no more", () => {
    expect(meant("SomethingNew")).toBe("bounced transient");
    expect(meant("SomethingNew", { Inactive: true })).toBe("bounced permanent");
    expect(meant("constructor")).toBe("bounced transient");
  });

  test("inbound mail keeps sender, headers and the Message-ID it answers", () => {
    const [event] = postmark.webhook!.parse(bytesOf(inbound), {});
    expect(event).toMatchObject({
      kind: "inbound",
      at: "2026-11-20T10:59:01.000Z",
      message: {
        from: { address: "rita@example.com", name: "Rita Reader" },
        text: "Sounds good",
        details: {
          rfc_message_id: "<abc@example.com>",
          headers: { "in-reply-to": "<first@sandbox.test>", received: "one\ntwo" },
        },
      },
    });
  });
});
