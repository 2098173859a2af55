import twilioSdk from "twilio";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createHttpClient, type HttpClient } from "../../../kernel/http/client.ts";
import type { Connection } from "../../../kernel/provider.ts";
import { createSandbox, type RunningSandbox } from "../../../sandbox/server.ts";
import { smsSend } from "../../conformance/sms.ts";
import { conformance } from "../../conformance/suite.ts";
import { bytesOf, NOT_A_DELIVERY } from "../../conformance/webhook.ts";
import { exampleSms } from "../fixtures.ts";
import { twilio } from "./adapter.ts";
import { emulation } from "./emulation.ts";

const ours = "0193b5a8-0000-7000-8000-000000000001";
const account_sid = `AC${"0123456789abcdef".repeat(2)}`;
const credentials = { account_sid, auth_token: "a".repeat(32) };
const context = { at: "2026-11-20T10:00:05.123Z", message_id: ours };

const form = (fields: Record<string, string>) => new URLSearchParams(fields).toString();
/** A status callback as Twilio documents it; each of another message, as event ids hold the SID. */
const status = (n: number, MessageStatus: string, extra: Record<string, string> = {}) =>
  form({
    AccountSid: account_sid,
    ApiVersion: "2010-04-01",
    From: "+15005550006",
    MessageSid: `SM${String(n).padStart(32, "0")}`,
    MessageStatus,
    SmsSid: `SM${String(n).padStart(32, "0")}`,
    SmsStatus: MessageStatus,
    To: "+447700900010",
    ...extra,
  });
const incoming = (n: number, Body: string, extra: Record<string, string> = {}) =>
  form({
    AccountSid: account_sid,
    ApiVersion: "2010-04-01",
    Body,
    From: "+447700900010",
    FromCity: "",
    MessageSid: `SM${String(n).padStart(32, "f")}`,
    NumMedia: "0",
    NumSegments: "1",
    SmsStatus: "received",
    To: "+15005550006",
    ...extra,
  });
/** The fields as the SDK takes them. */
const fieldsOf = (body: Uint8Array) => Object.fromEntries(new URLSearchParams(new TextDecoder().decode(body)));

conformance(twilio, emulation, {
  check: { bad: [{ account_sid, auth_token: "b".repeat(32) }] },
  send: {
    ...smsSend(),
    refused: () => exampleSms({ to: { address: "+15005550009" } }),
    givesItsId: true,
    saysHowLong: false,
    serverError: { outcome: "unknown", accepted: true },
  },
  webhook: {
    credentials,
    wrongCredentials: { account_sid, auth_token: "c".repeat(32) },
    proves: { body: true, time: false, url: true },
    malformed: [
      ...NOT_A_DELIVERY,
      "MessageSid=SM1&MessageStatus=sent",
      "From=%2B447700900010&Body=Hi",
      status(90, "sent"),
    ],
    // The official SDK's own words are the second witness.
    sign: async (body, _now, { auth_token }, url) =>
      new Headers({ "X-Twilio-Signature": twilioSdk.getExpectedTwilioSignature(auth_token, url, fieldsOf(body)) }),
    payloads: [
      { name: "sent", body: status(1, "sent"), context, kinds: ["sent"] },
      { name: "queued", body: status(2, "queued"), context, kinds: ["sent"] },
      {
        name: "delivered",
        body: status(1, "delivered", { RawDlrDoneDate: "2611201000" }),
        context,
        kinds: ["delivered"],
      },
      { name: "read", body: status(1, "read"), context, kinds: ["opened"] },
      { name: "unknown number", body: status(3, "undelivered", { ErrorCode: "30005" }), context, kinds: ["bounced"] },
      { name: "switched off", body: status(4, "undelivered", { ErrorCode: "30003" }), context, kinds: ["bounced"] },
      { name: "filtered", body: status(5, "undelivered", { ErrorCode: "30007" }), context, kinds: ["failed"] },
      {
        name: "opted out",
        body: status(6, "failed", { ErrorCode: "21610" }),
        context,
        kinds: ["failed", "unsubscribed"],
      },
      { name: "canceled", body: status(7, "canceled"), context, kinds: ["failed"] },
      { name: "a status of the future", body: status(8, "teleported"), context, kinds: [] },
      { name: "received", body: incoming(1, "Sounds good"), context: { at: context.at }, kinds: ["inbound"] },
      {
        name: "received through a service",
        body: incoming(2, "Stopp", { OptOutType: "STOP" }),
        context: { at: context.at },
        kinds: ["inbound"],
      },
    ],
  },
});

describe("twilio events", () => {
  const only = (body: string, given: Record<string, string> = context) =>
    twilio.webhook!.parse(bytesOf(body), given)[0]!;

  test("events carry our own id out of the signed address, Twilio's SID, the number and the time of arrival", () => {
    expect(only(status(1, "delivered"))).toEqual({
      kind: "delivered",
      event_id: `delivered:SM${"1".padStart(32, "0")}`,
      provider_message_id: `SM${"1".padStart(32, "0")}`,
      message_id: ours,
      recipient: "+447700900010",
      at: context.at,
    });
  });

  test.each([
    ["30005", "bounced", "permanent"],
    ["30006", "bounced", "permanent"],
    ["21614", "bounced", "permanent"],
    ["30003", "bounced", "transient"],
    ["30001", "failed", "transient"],
    ["30008", "failed", "transient"],
    ["", "failed", "transient"],
    ["30004", "failed", "block"],
    ["30007", "failed", "block"],
    ["30034", "failed", "block"],
    ["99999", "failed", "block"],
  ])("error %s is %s, %s: only a dead number condemns the number", (ErrorCode, kind, bounce) => {
    expect(only(status(1, "undelivered", ErrorCode ? { ErrorCode } : {}))).toMatchObject({
      kind,
      bounce,
      detail: expect.stringContaining(ErrorCode),
    });
  });

  test("an incoming message keeps its text, its pictures as links, and what Advanced Opt-Out made of it", () => {
    const read = (body: string) => {
      const event = only(body);
      return event.kind === "inbound" ? event.message : null;
    };
    expect(read(incoming(1, "Ja & nein, 50 %"))).toEqual({
      provider_inbound_id: `SM${"1".padStart(32, "f")}`,
      from: { address: "+447700900010", name: null },
      to: ["+15005550006"],
      text: "Ja & nein, 50 %",
      details: { opt_out: null, segments: 1 },
    });
    for (const [type, opt_out] of [
      ["STOP", "stop"],
      ["START", "start"],
      ["HELP", "help"],
      ["OTHER", null],
    ] as const)
      expect(read(incoming(1, "x", { OptOutType: type }))!.details).toMatchObject({ opt_out });
    expect(read(incoming(1, "", { NumMedia: "1", MediaUrl0: "https://api.twilio.com/m/ME1" }))!.text).toBe(
      "Attachment: https://api.twilio.com/m/ME1",
    );
  });
});

describe("twilio signatures", () => {
  const body = bytesOf(status(1, "delivered", { ErrorMessage: "Ümlaut & +", Aa: "1", aA: "2" }));
  const request = (url: string, signedUrl = url, token = credentials.auth_token) => ({
    headers: new Headers({
      "x-twilio-signature": twilioSdk.getExpectedTwilioSignature(token, signedUrl, fieldsOf(body)),
    }),
    body,
    url,
    now: new Date(context.at),
  });
  const connection: Connection<typeof credentials> = {
    id: "c",
    credentials,
    settings: {},
    base_url: null,
    webhook_url: null,
  };
  const verify = (r: ReturnType<typeof request>) => twilio.webhook!.verify(r, connection);
  const url = `https://us.example/webhooks/twilio/c?message_id=${ours}`;

  test("the context holds our message id and when it came", async () => {
    expect((await verify(request(url))).context).toEqual(context);
    expect((await verify(request("https://us.example/webhooks/twilio/c"))).context).toEqual({ at: context.at });
  });
  test("Twilio may sign the address with the standard port, or without the one we have", async () => {
    await verify(request(url, url.replace("us.example", "us.example:443")));
    await verify(request(url.replace("us.example", "us.example:8443"), url));
    await expect(verify(request(url, url.replace("us.example", "us.example:80")))).rejects.toMatchObject({
      code: "unauthenticated",
    });
  });
  test("another message's id in the address is refused", async () => {
    await expect(verify(request(url, url.replace("0001", "0002")))).rejects.toMatchObject({ code: "unauthenticated" });
  });
  test("a repeated field is signed once for each value, in order", async () => {
    const twice = bytesOf("MessageSid=SM1&Tag=b&Tag=a&Tag=b");
    const signature = twilioSdk.getExpectedTwilioSignature(credentials.auth_token, url, {
      MessageSid: "SM1",
      Tag: ["b", "a", "b"],
    });
    await verify({ headers: new Headers({ "x-twilio-signature": signature }), body: twice, url, now: new Date() });
  });
});

describe("what each answer means for exactly-once", () => {
  const of = async (code: number, answer: unknown, headers: Record<string, string> = {}) => {
    const text = typeof answer === "string" ? answer : JSON.stringify(answer);
    const request: HttpClient["request"] = async () => ({
      status: code,
      headers: new Headers(headers),
      body: new TextEncoder().encode(text),
      text: () => text,
      json: () => JSON.parse(text) as unknown,
    });
    const http: HttpClient = {
      ...createHttpClient({ allowPrivateHosts: [], userAgent: "test" }),
      request,
      json: request as never,
    };
    const connection = { id: "c", credentials, settings: {}, base_url: null, webhook_url: null };
    return (await twilio.send!.send([exampleSms()], connection, http))[0];
  };
  const error = (code: number) => ({ code, message: `Error ${code}`, more_info: "", status: 400 });

  test("accepted, and accepted without a SID", async () => {
    expect(await of(201, { sid: "SM1", status: "queued" })).toEqual({ outcome: "sent", provider_message_id: "SM1" });
    expect(await of(201, {})).toMatchObject({ outcome: "unknown" });
    expect(await of(201, "<html>")).toMatchObject({ outcome: "unknown" });
  });
  test.each([
    [21211, "gone"],
    [21408, undefined],
    [21608, undefined],
    [21610, "opted_out"],
    [21612, undefined],
    [21614, "gone"],
    [21617, undefined],
  ])("%i concerns this message: rejected, and of the recipient it says %s", async (code, recipient) => {
    expect(await of(400, error(code))).toEqual({
      outcome: "rejected",
      code: `twilio_${code}`,
      detail: `Error ${code}`,
      ...(recipient ? { recipient } : {}),
    });
  });
  test.each([21212, 21603, 21606, 21659, 21704, 21705])(
    "%i concerns the sender or the service: broken",
    async (code) => {
      expect(await of(400, error(code))).toMatchObject({ outcome: "broken", code: `twilio_${code}` });
    },
  );
  test("no access is broken, too much a retry, and a server error is nobody's word", async () => {
    expect(await of(401, error(20003))).toMatchObject({ outcome: "broken" });
    expect(await of(403, error(20403))).toMatchObject({ outcome: "broken" });
    expect(await of(404, error(20404))).toMatchObject({ outcome: "broken" });
    expect(await of(429, error(20429))).toEqual({ outcome: "retry", code: "twilio_20429", detail: "Error 20429" });
    expect(await of(429, error(20429), { "retry-after": "3" })).toMatchObject({ after_seconds: 3 });
    expect(await of(400, error(21611))).toMatchObject({ outcome: "retry", after_seconds: 60 });
    for (const code of [500, 502, 503, 408]) expect(await of(code, "<html>")).toMatchObject({ outcome: "unknown" });
    expect(await of(400, "<html>")).toMatchObject({ outcome: "rejected", code: "http_400" });
  });
});

describe("against the sandbox", () => {
  let sandbox: RunningSandbox;
  beforeAll(async () => {
    sandbox = await createSandbox({ emulations: [emulation], speed: 0.001 });
  });
  afterAll(() => sandbox.close());
  const http = createHttpClient({ allowPrivateHosts: ["127.0.0.1"], userAgent: "test" });

  /** The official SDK; its hosts are fixed, so the sandbox takes their place. */
  class ToSandbox extends twilioSdk.RequestClient {
    override async request(options: Parameters<twilioSdk.RequestClient["request"]>[0]): Promise<never> {
      const uri = options.uri.replace(/^https:\/\/(api|messaging)\.twilio\.com/, `${sandbox.url}/twilio`);
      return (await super.request({ ...options, uri })) as never;
    }
  }
  const open = (own: Record<string, unknown> = {}) => {
    const { credentials: given } = emulation.example() as unknown as { credentials: typeof credentials };
    const connection: Connection<typeof credentials> = {
      id: "c",
      credentials: { ...given, ...own },
      settings: {},
      base_url: `${sandbox.url}/twilio`,
      webhook_url: "http://127.0.0.1:9/webhooks/twilio/c",
    };
    return { connection, sdk: twilioSdk(given.account_sid, given.auth_token, { httpClient: new ToSandbox() }), given };
  };

  test("the SDK sends, reads back, lists and reads the account", async () => {
    const { sdk, given } = open();
    const sent = await sdk.messages.create({ to: "+447700900001", from: "+15005550006", body: "Grüße 😀" });
    expect(sent).toMatchObject({
      sid: expect.stringMatching(/^SM[0-9a-f]{32}$/),
      status: "queued",
      numSegments: "1",
      accountSid: given.account_sid,
    });
    expect(sent.dateCreated).toBeInstanceOf(Date);
    expect(await sdk.messages(sent.sid).fetch()).toMatchObject({
      body: "Grüße 😀",
      to: "+447700900001",
      errorCode: null,
    });
    await sdk.messages.create({ to: "+447700900002", from: "+15005550006", body: "Two" });
    expect((await sdk.messages.list({ to: "+447700900002" })).map((m) => m.body)).toEqual(["Two"]);
    expect((await sdk.messages.list({ pageSize: 1 })).map((m) => m.body)).toEqual(["Two", "Grüße 😀"]);
    expect(await sdk.api.v2010.accounts(given.account_sid).fetch()).toMatchObject({ status: "active" });
  });

  test("the SDK makes a Messaging Service, and sends through it once it has a number", async () => {
    const { sdk } = open();
    const service = await sdk.messaging.v1.services.create({ friendlyName: "Sales" });
    const send = () => sdk.messages.create({ to: "+447700900001", messagingServiceSid: service.sid, body: "Hi" });
    await expect(send()).rejects.toMatchObject({ code: 21704, status: 400 });
    const [number] = await sdk.incomingPhoneNumbers.list({ phoneNumber: "+15005550016" });
    await sdk.messaging.v1.services(service.sid).phoneNumbers.create({ phoneNumberSid: number!.sid });
    expect(await send()).toMatchObject({ status: "accepted", messagingServiceSid: service.sid, from: "+15005550016" });
    expect((await sdk.messaging.v1.services.list()).map((s) => s.friendlyName)).toEqual(["Sales"]);
  });

  test("mistakes are named as Twilio names them", async () => {
    const { sdk, given } = open();
    const send = (fields: object) =>
      sdk.messages.create({ to: "+447700900001", from: "+15005550006", body: "Hi", ...fields });
    for (const [fields, code] of [
      [{ to: "+15005550001" }, 21211],
      [{ to: "+15005550002" }, 21612],
      [{ to: "+15005550003" }, 21408],
      [{ to: "+15005550004" }, 21610],
      [{ to: "+15005550009" }, 21614],
      [{ to: "0770" }, 21211],
      [{ from: "+15005550001" }, 21212],
      [{ from: "+15005550007" }, 21606],
      [{ from: "+15005550008" }, 21611],
      [{ from: "+15005559999" }, 21659],
      [{ from: undefined }, 21603],
      [{ body: "" }, 21602],
      [{ body: "x".repeat(1601) }, 21617],
      [{ statusCallback: "not a URL" }, 21609],
      [{ messagingServiceSid: `MG${"0".repeat(32)}` }, 21705],
      [{ maxPrice: 1 }, 20001],
    ] as const)
      await expect(send(fields), JSON.stringify(fields)).rejects.toMatchObject({ code, status: 400 });
    await expect(sdk.messages(`SM${"0".repeat(32)}`).fetch()).rejects.toMatchObject({ code: 20404, status: 404 });
    const wrong = twilioSdk(given.account_sid, "d".repeat(32), { httpClient: new ToSandbox() });
    await expect(wrong.messages.list()).rejects.toMatchObject({ code: 20003, status: 401 });
  });

  test("who answered STOP gets nothing more from that number until they write START", async () => {
    const { connection, given } = open();
    const send = async () =>
      (await twilio.send!.send([exampleSms({ to: { address: "+447700900001" } })], connection, http))[0];
    const write = async (text: string) => {
      const init = { method: "POST", headers: { "content-type": "application/json" } };
      const mail = { account: given.account_sid, from: "+447700900001", to: "+15005550006", text };
      expect((await fetch(`${sandbox.url}/_sandbox/deliver`, { ...init, body: JSON.stringify(mail) })).status).toBe(
        201,
      );
    };
    expect(await send()).toMatchObject({ outcome: "sent" });
    await write("stop");
    expect(await send()).toMatchObject({ outcome: "rejected", code: "twilio_21610" });
    await write("Please do not");
    expect(await send()).toMatchObject({ outcome: "rejected" });
    await write("START");
    expect(await send()).toMatchObject({ outcome: "sent" });
  });

  test("an API key sends though it may not read the account; half a key and a wrong one are told", async () => {
    const { given } = open();
    const key = { api_key_sid: `SK${given.account_sid.slice(2)}`, api_key_secret: given.auth_token };
    const checked = async (own: Record<string, unknown>) => {
      const { connection } = open();
      return await twilio.check({ ...connection, credentials: { ...given, ...own } }, http);
    };
    expect(await checked(key)).toMatchObject({ ok: true });
    expect(await checked({ api_key_sid: key.api_key_sid })).toMatchObject({ ok: false, code: "api_key_incomplete" });
    expect(await checked({ ...key, api_key_secret: "wrong" })).toMatchObject({ ok: false, code: "twilio_20003" });
    expect(await checked({ ...key, auth_token: "e".repeat(32) })).toMatchObject({ ok: false, code: "twilio_20003" });
  });

  test("registering takes numbers that answer to nobody, and leaves another application's alone", async () => {
    const { connection, sdk } = open();
    const [, second] = await sdk.incomingPhoneNumbers.list();
    await sdk.incomingPhoneNumbers(second!.sid).update({ smsUrl: "https://other.example/sms" });
    const { detail } = await twilio.webhook!.register!(connection.webhook_url!, connection, http);
    expect(detail).toContain("another application receives their replies: +15005550016");
    expect((await sdk.incomingPhoneNumbers.list()).map((n) => n.smsUrl)).toEqual([
      `${connection.webhook_url}#rc=5&rp=all`,
      "https://other.example/sms",
      `${connection.webhook_url}#rc=5&rp=all`,
    ]);
  });

  test("with a Messaging Service its webhook is set, the check knows it, and the chosen sender stays", async () => {
    const { connection, sdk } = open();
    const service = await sdk.messaging.v1.services.create({ friendlyName: "Sales", useInboundWebhookOnNumber: true });
    const through = { ...connection, settings: { messaging_service_sid: service.sid } };
    expect(await twilio.check(through, http)).toMatchObject({ ok: true });
    const other = { ...connection, settings: { messaging_service_sid: `MG${"0".repeat(32)}` } };
    expect(await twilio.check(other, http)).toMatchObject({ ok: false, code: "twilio_20404" });
    await twilio.webhook!.register!(connection.webhook_url!, through, http);
    expect(await sdk.messaging.v1.services(service.sid).fetch()).toMatchObject({
      inboundRequestUrl: `${connection.webhook_url}#rc=5&rp=all`,
      useInboundWebhookOnNumber: false,
    });
    const [outcome] = await twilio.send!.send([exampleSms({ from: { address: "+15005550016" } })], through, http);
    expect(outcome).toMatchObject({ outcome: "sent" });
    const [message] = await sdk.messages.list();
    expect(message).toMatchObject({ from: "+15005550016", messagingServiceSid: service.sid });
    const [itself] = await twilio.send!.send([exampleSms({ from: { address: service.sid } })], connection, http);
    expect(itself).toMatchObject({ outcome: "broken", code: "twilio_21704" });
  });
});
