import { describe, expect, test } from "vitest";
import { createHttpClient, type HttpClient } from "../../../kernel/http/client.ts";
import { signWebhook } from "../../../kernel/secrets/signatures.ts";
import { emailSend } from "../../conformance/email.ts";
import { conformance } from "../../conformance/suite.ts";
import { bytesOf, NOT_A_DELIVERY } from "../../conformance/webhook.ts";
import { exampleEmail } from "../fixtures.ts";
import { resend } from "./adapter.ts";
import { emulation } from "./emulation.ts";

const secret = `whsec_${btoa("0123456789abcdef01234567")}`;
const message = "0193b5a8-0000-7000-8000-000000000001";

const data = {
  email_id: "56761188-7520-42d8-8898-ff6fc54ce618",
  message_id: "<0102abc-000000@eu-west-1.amazonses.com>",
  created_at: "2026-11-20T10:00:00.000Z",
  from: "Ada <sales@sandbox.test>",
  to: ["reader@example.com"],
  subject: "Hello",
  tags: { overture_message_id: message },
};
const hook = (type: string, extra: object = {}, created_at = "2026-11-20T10:00:05.123Z") => ({
  type,
  created_at,
  data: { ...data, ...extra },
});
const bounce = (type: string, subType: string) =>
  hook(
    "email.bounced",
    { bounce: { type, subType, message: `${type} ${subType}` } },
    `2026-11-20T10:00:0${subType.length % 10}.${type.length}Z`,
  );

conformance(resend, emulation, {
  check: { bad: [{ api_key: "re_invalid_1" }] },
  send: {
    ...emailSend(["References"]),
    refused: () => exampleEmail({ to: { address: "not an address" } }),
    givesItsId: true,
    saysHowLong: true,
    serverError: { outcome: "unknown", accepted: true },
  },
  inbound: {
    delivered: { from: "rita@example.com", to: "sales@sandbox.test", subject: "Re: Hello", text: "Sounds good" },
    details: { subject: "Re: Hello", html: null, headers: { date: expect.any(String) } },
  },
  webhook: {
    credentials: { api_key: "re_x", webhook_secret: secret },
    wrongCredentials: { api_key: "re_x", webhook_secret: `whsec_${btoa("another-secret-0123456789")}` },
    proves: { body: true, time: true, url: false },
    malformed: NOT_A_DELIVERY,
    async sign(body, now, credentials) {
      const timestamp = Math.floor(now.getTime() / 1000);
      const signature = await signWebhook(
        credentials.webhook_secret!,
        "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
        timestamp,
        body,
      );
      return new Headers({
        "svix-id": "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
        "svix-timestamp": String(timestamp),
        // A rotating secret signs with both keys.
        "svix-signature": `v1,${btoa("old-signature-of-a-retired-key!!")} ${signature}`,
      });
    },
    payloads: [
      { name: "delivered", body: hook("email.delivered"), kinds: ["delivered"] },
      { name: "sent", body: hook("email.sent"), kinds: [] },
      { name: "delayed", body: hook("email.delivery_delayed"), kinds: ["deferred"] },
      { name: "hard bounce", body: bounce("Permanent", "NoEmail"), kinds: ["bounced"] },
      { name: "soft bounce", body: bounce("Transient", "MailboxFull"), kinds: ["bounced"] },
      { name: "content refused", body: bounce("Transient", "ContentRejected"), kinds: ["bounced"] },
      { name: "complained", body: hook("email.complained"), kinds: ["complained"] },
      { name: "opened", body: hook("email.opened"), kinds: ["opened"] },
      {
        name: "clicked",
        body: hook("email.clicked", {
          click: {
            link: "https://example.com/a",
            ipAddress: "192.0.2.1",
            userAgent: "Mozilla/5.0",
            timestamp: data.created_at,
          },
        }),
        kinds: ["clicked"],
      },
      { name: "failed", body: hook("email.failed", { failed: { reason: "reached_daily_quota" } }), kinds: ["failed"] },
      {
        name: "suppressed",
        body: hook("email.suppressed", {
          suppressed: { type: "OnAccountSuppressionList", message: "previous bounce" },
        }),
        kinds: ["failed"],
      },
      {
        name: "received",
        body: hook("email.received", {
          email_id: "9e9b3d52-1111-4222-8333-944455566677",
          cc: [],
          bcc: [],
          attachments: [],
        }),
        kinds: ["inbound_ref"],
      },
      {
        name: "contact left",
        body: {
          type: "contact.updated",
          created_at: data.created_at,
          data: { id: "c1", email: "reader@example.com", unsubscribed: true },
        },
        kinds: ["unsubscribed"],
      },
      {
        name: "contact renamed",
        body: {
          type: "contact.updated",
          created_at: data.created_at,
          data: { id: "c1", email: "reader@example.com", unsubscribed: false },
        },
        kinds: [],
      },
      { name: "domain", body: { type: "domain.created", created_at: data.created_at, data: { id: "d1" } }, kinds: [] },
    ],
  },
});

describe("resend", () => {
  const meant = (type: string, subType?: string, diagnosticCode?: string[]) => {
    const body = hook("email.bounced", { bounce: { type, subType, message: "no", diagnosticCode } });
    const [event] = resend.webhook!.parse(bytesOf(body), {});
    return event?.kind === "bounced" ? event.bounce : null;
  };
  // The types and subtypes of Resend's documentation, with what each says of the address.
  test.each([
    ["Permanent", "General", "permanent"],
    ["Permanent", "NoEmail", "permanent"],
    ["Permanent", "Suppressed", "permanent"],
    ["Permanent", "OnAccountSuppressionList", "permanent"],
    ["Permanent", "MailboxFull", "transient"],
    ["Permanent", "MessageTooLarge", "block"],
    ["Permanent", "ContentRejected", "block"],
    ["Permanent", "AttachmentRejected", "block"],
    ["Transient", "General", "transient"],
    ["Transient", "MailboxFull", "transient"],
    ["Transient", "MessageTooLarge", "block"],
    ["Transient", "ContentRejected", "block"],
    ["Transient", "AttachmentRejected", "block"],
    ["Undetermined", "Undetermined", "transient"],
    ["Undetermined", "General", "transient"],
    ["Permanent", "SomethingNew", "permanent"],
    ["SomethingNew", "General", "transient"],
    ["constructor", "name", "transient"],
  ])("bounce %s %s: %s", (type, subType, expected) => expect(meant(type, subType)).toBe(expected));
  test("a permanent refusal for a policy is none of the address", () => {
    expect(meant("Permanent", "General", ["smtp; 550 5.7.1 Message rejected due to policy"])).toBe("block");
    expect(meant("Permanent", "General", ["smtp; 550-5.7.26 unauthenticated"])).toBe("block");
    expect(meant("Permanent", "General", ["smtp; 550 5.1.1 user unknown"])).toBe("permanent");
    expect(meant("Permanent", undefined, ["smtp; 550 15.7.1"])).toBe("permanent");
  });

  test("events carry our own id, Resend's id and Resend's Message-ID, which replies name", () => {
    expect(resend.webhook!.parse(bytesOf(hook("email.delivered")), {})[0]).toMatchObject({
      message_id: message,
      provider_message_id: data.email_id,
      recipient: "reader@example.com",
      rfc_message_id: data.message_id,
    });
  });

  test("what each answer means for exactly-once", async () => {
    const of = async (status: number, body: unknown, headers: Record<string, string> = {}) => {
      const text = JSON.stringify(body);
      const json: HttpClient["json"] = async () => ({
        status,
        headers: new Headers(headers),
        body: new TextEncoder().encode(text),
        text: () => text,
        json: () => JSON.parse(text) as unknown,
      });
      const http: HttpClient = {
        ...createHttpClient({ allowPrivateHosts: [], userAgent: "test" }),
        json,
        request: json,
      };
      const connection = { id: "c", credentials: { api_key: "re_x" }, settings: {}, base_url: null, webhook_url: null };
      return (await resend.send!.send([exampleEmail()], connection, http))[0];
    };
    const error = (name: string) => ({ name, message: name, statusCode: 0 });
    expect(await of(200, { id: "a" })).toEqual({ outcome: "sent", provider_message_id: "a" });
    expect(await of(200, {})).toMatchObject({ outcome: "unknown" });
    expect(await of(422, error("validation_error"))).toMatchObject({ outcome: "rejected" });
    expect(await of(403, error("validation_error"))).toMatchObject({ outcome: "broken" });
    expect(await of(401, error("restricted_api_key"))).toMatchObject({ outcome: "broken" });
    expect(await of(409, error("concurrent_idempotent_requests"))).toMatchObject({ outcome: "unknown" });
    expect(await of(409, error("invalid_idempotent_request"))).toMatchObject({ outcome: "unknown" });
    expect(await of(500, error("internal_server_error"))).toMatchObject({ outcome: "unknown" });
    expect(await of(429, error("rate_limit_exceeded"), { "ratelimit-reset": "3" })).toMatchObject({
      outcome: "retry",
      after_seconds: 3,
    });
    expect(await of(429, error("daily_quota_exceeded"))).toMatchObject({ outcome: "retry", after_seconds: 3600 });
    expect(await of(429, error("monthly_quota_exceeded"))).toMatchObject({ outcome: "broken" });
  });
});
