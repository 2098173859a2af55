import { ServerClient } from "postmark";
import { Resend } from "resend";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadEmulations } from "./emulations.ts";
import { createSandbox } from "./server.ts";
import type { RunningSandbox } from "./server.ts";

/** The official SDKs as second witness: what they accept from the real API they must accept from the sandbox. */

let sandbox: RunningSandbox;
beforeAll(async () => {
  sandbox = await createSandbox({ emulations: await loadEmulations(), speed: 0.001 });
});
afterAll(() => sandbox.close());

const mail = {
  from: "Ada <ada@sandbox.test>",
  to: ["silent+1@example.com"],
  subject: "Hi",
  html: "<p>Hi</p>",
  text: "Hi",
};

describe("resend SDK", () => {
  const client = (key = `re_${crypto.randomUUID()}`) => new Resend(key, { baseUrl: `${sandbox.url}/resend` });

  test("sends, reads back, lists", async () => {
    const resend = client();
    const sent = await resend.emails.send({ ...mail, tags: [{ name: "overture_message_id", value: "m1" }] });
    expect(sent.error).toBeNull();
    const read = await resend.emails.get(sent.data!.id);
    expect(read.data).toMatchObject({
      object: "email",
      subject: "Hi",
      to: mail.to,
      tags: [{ name: "overture_message_id", value: "m1" }],
    });
    expect(read.data!.message_id).toMatch(/amazonses\.com>$/);
    expect((await resend.emails.list()).data!.data.map((e) => e.id)).toEqual([sent.data!.id]);
    expect((await resend.domains.list()).data!.data.every((d) => d.status === "verified")).toBe(true);
  });

  test("an idempotency key gives the first answer again, and 409 for another body", async () => {
    const resend = client();
    const [a, b] = [
      await resend.emails.send(mail, { idempotencyKey: "k1" }),
      await resend.emails.send(mail, { idempotencyKey: "k1" }),
    ];
    expect(b.data).toEqual(a.data);
    const other = await resend.emails.send({ ...mail, subject: "Other" }, { idempotencyKey: "k1" });
    expect(other.error).toMatchObject({ statusCode: 409, name: "invalid_idempotent_request" });
    expect((await resend.emails.send(mail, { idempotencyKey: "k".repeat(257) })).error).toMatchObject({
      statusCode: 400,
      name: "invalid_idempotency_key",
    });
  });

  test("batches: all or nothing by default, partial when permissive", async () => {
    const resend = client();
    const good = await resend.batch.send([mail, { ...mail, to: ["silent+2@example.com"] }], { idempotencyKey: "b1" });
    expect(good.data!.data).toHaveLength(2);
    expect(
      (await resend.batch.send([mail, { ...mail, to: ["silent+2@example.com"] }], { idempotencyKey: "b1" })).data!.data,
    ).toEqual(good.data!.data);
    const bad = [mail, { ...mail, from: "nobody" }];
    expect((await resend.batch.send(bad)).error).toMatchObject({ statusCode: 422, name: "validation_error" });
    const partial = await resend.batch.send(bad, { batchValidation: "permissive" });
    expect(partial.data).toMatchObject({ data: [{ id: expect.any(String) }], errors: [{ index: 1 }] });
    expect((await resend.emails.list()).data!.data).toHaveLength(3);
  });

  test("webhooks: create, get with its secret, list, update, remove; the SDK verifies what we sign", async () => {
    const resend = client();
    const made = await resend.webhooks.create({ endpoint: "http://127.0.0.1:9/hook", events: ["email.delivered"] });
    expect(made.data!.signing_secret).toMatch(/^whsec_/);
    expect((await resend.webhooks.get(made.data!.id)).data).toMatchObject({
      endpoint: "http://127.0.0.1:9/hook",
      signing_secret: made.data!.signing_secret,
    });
    expect((await resend.webhooks.list()).data!.data).toHaveLength(1);
    expect((await resend.webhooks.update(made.data!.id, { events: ["email.bounced"] })).error).toBeNull();
    expect((await resend.webhooks.remove(made.data!.id)).data).toMatchObject({ deleted: true });
  });

  test("mistakes are named as Resend names them", async () => {
    const resend = client();
    expect((await resend.emails.send({ ...mail, subject: "" })).error).toMatchObject({
      statusCode: 422,
      name: "missing_required_field",
    });
    expect((await resend.emails.send({ ...mail, from: "a@unverified.example.com" })).error).toMatchObject({
      statusCode: 403,
      name: "validation_error",
    });
    expect((await resend.emails.send({ ...mail, tags: [{ name: "a b", value: "c" }] })).error).toMatchObject({
      name: "validation_error",
    });
    expect((await resend.emails.get(crypto.randomUUID())).error).toMatchObject({ statusCode: 404, name: "not_found" });
    expect((await client("re_invalid_key").domains.list()).error).toMatchObject({ name: "invalid_api_key" });
    expect((await client("re_send_only").domains.list()).error).toMatchObject({
      statusCode: 401,
      name: "restricted_api_key",
    });
    expect((await client("re_send_only").emails.send(mail)).error).toBeNull();
  });

  test("a field, a type or an id that Resend does not know is refused in its own shape", async () => {
    const post = async (body: unknown) => {
      const response = await fetch(`${sandbox.url}/resend/emails`, {
        method: "POST",
        headers: { authorization: `Bearer re_${crypto.randomUUID()}`, "content-type": "application/json" },
        body: typeof body === "string" ? body : JSON.stringify(body),
      });
      return { status: response.status, body: await response.json() };
    };
    const refused = { status: 422, body: { statusCode: 422, name: "validation_error" } };
    expect(await post({ ...mail, subjekt: "Hi" })).toMatchObject(refused);
    expect(await post({ ...mail, headers: [] })).toMatchObject(refused);
    expect(await post("{")).toMatchObject(refused);
    expect(await post([])).toMatchObject({ status: 422 });
  });

  test("accounts do not see each other", async () => {
    const sent = await client().emails.send(mail);
    expect((await client().emails.get(sent.data!.id)).error).toMatchObject({ name: "not_found" });
  });
});

describe("postmark SDK", () => {
  const client = (token: string = crypto.randomUUID()) => {
    const { port } = sandbox;
    // The SDK builds https://host/path; only the origin is replaced.
    const toSandbox = ((input: string | URL, init?: RequestInit) =>
      fetch(String(input).replace(/^https?:\/\/[^/]+/, `http://127.0.0.1:${port}/postmark`), init)) as typeof fetch;
    return new ServerClient(token, { fetch: toSandbox as never });
  };
  const message = {
    From: "ada@sandbox.test",
    To: "silent+1@example.com",
    Subject: "Hi",
    TextBody: "Hi",
    HtmlBody: "<p>Hi</p>",
  };

  test("sends one and a batch with an outcome for each", async () => {
    const postmark = client();
    expect(await postmark.sendEmail(message)).toMatchObject({ ErrorCode: 0, Message: "OK", To: message.To });
    const results = await postmark.sendEmailBatch([
      message,
      { ...message, To: "nobody" },
      { ...message, MessageStream: "missing" },
    ]);
    expect(results.map((r) => r.ErrorCode)).toEqual([0, 300, 1235]);
    await expect(postmark.sendEmailBatch(Array.from({ length: 501 }, () => message))).rejects.toMatchObject({
      code: 410,
      statusCode: 422,
    });
  });

  test("finds messages by metadata, in their own stream only", async () => {
    const postmark = client();
    const sent = await postmark.sendEmail({
      ...message,
      Metadata: { overture_message_id: "m1" },
      MessageStream: "broadcast",
    });
    await postmark.sendEmail(message);
    const search = (extra: object) => postmark.getOutboundMessages({ count: 10, offset: 0, ...extra } as never);
    expect((await search({ metadata_overture_message_id: "m1", messagestream: "broadcast" })).Messages).toMatchObject([
      { MessageID: sent.MessageID, Metadata: { overture_message_id: "m1" } },
    ]);
    expect((await search({ metadata_overture_message_id: "m1" })).TotalCount).toBe(0);
    expect((await search({})).TotalCount).toBe(1);
  });

  test("server and webhooks", async () => {
    const postmark = client();
    expect(await postmark.editServer({ InboundHookUrl: "http://u:p@127.0.0.1:9/in" })).toMatchObject({
      InboundHookUrl: "http://u:p@127.0.0.1:9/in",
    });
    expect((await postmark.getServer()).InboundHookUrl).toContain("127.0.0.1");
    const hook = await postmark.createWebhook({
      Url: "http://127.0.0.1:9/hook",
      Triggers: { Delivery: { Enabled: true } },
      HttpAuth: { Username: "u", Password: "p" },
    });
    expect(hook).toMatchObject({
      MessageStream: "outbound",
      Triggers: { Delivery: { Enabled: true }, Bounce: { Enabled: false } },
    });
    expect((await postmark.getWebhooks()).Webhooks).toHaveLength(1);
    expect((await postmark.deleteWebhook(hook.ID)).ErrorCode).toBe(0);
  });

  test("a field or a type that Postmark does not know, or a missing header, is refused in its own shape", async () => {
    const call = async (path: string, body: object, headers: Record<string, string> = {}) => {
      const response = await fetch(`${sandbox.url}/postmark${path}`, {
        method: path === "/server" ? "PUT" : "POST",
        headers: {
          "x-postmark-server-token": crypto.randomUUID(),
          accept: "application/json",
          "content-type": "application/json",
          ...headers,
        },
        body: JSON.stringify(body),
      });
      return { status: response.status, code: ((await response.json()) as { ErrorCode: number }).ErrorCode };
    };
    expect(await call("/email", { ...message, Betreff: "Hi" })).toEqual({ status: 422, code: 403 });
    expect(await call("/email", { ...message, TrackOpens: "yes" })).toEqual({ status: 422, code: 403 });
    expect(await call("/server", { Colour: "blue" })).toEqual({ status: 422, code: 403 });
    expect(await call("/webhooks", { Url: "http://127.0.0.1:9/hook", Trigger: {} })).toEqual({
      status: 422,
      code: 403,
    });
    expect(await call("/email", message, { "content-type": "text/plain" })).toEqual({ status: 415, code: 415 });
    expect(await call("/email", message, { accept: "text/html" })).toEqual({ status: 406, code: 406 });
  });

  test("a wrong token and limits are named as Postmark names them", async () => {
    await expect(client("nonsense").getServer()).rejects.toMatchObject({ code: 10, statusCode: 401 });
    const postmark = client();
    await expect(
      postmark.sendEmail({ ...message, Metadata: { "a-name-of-over-twenty-characters": "x" } }),
    ).rejects.toMatchObject({ code: 300 });
    await expect(postmark.sendEmail({ ...message, From: "a@unverified.example.com" })).rejects.toMatchObject({
      code: 400,
    });
    await expect(
      postmark.sendEmail({ From: message.From, To: message.To, Subject: "x" } as never),
    ).rejects.toMatchObject({ code: 300 });
  });
});
