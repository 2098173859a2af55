import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import Anthropic from "@anthropic-ai/sdk";
import { SendEmailCommand, SESv2Client } from "@aws-sdk/client-sesv2";
import OpenAI from "openai";
import twilio from "twilio";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createHttpClient, type HttpClient, httpErrorIn } from "./client.ts";

// Official SDKs over the guarded client, against a server that speaks each provider's documented wire format.

type Seen = { path: string; headers: http.IncomingHttpHeaders; body: string };
let seen: Seen[] = [];
let port = 0;
/** Set: everything is redirected there. */
let moved: string | null = null;
let hungUp: Promise<unknown> = Promise.resolve();

const completion = (extra: object) => ({ id: "chatcmpl-1", created: 1, model: "gpt-4o-mini", ...extra });
const delta = (content: string) =>
  completion({ object: "chat.completion.chunk", choices: [{ index: 0, delta: { content }, finish_reason: null }] });
const message = {
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "a-model",
  content: [{ type: "text", text: "Hello there" }],
  stop_reason: "end_turn",
  stop_sequence: null,
  usage: { input_tokens: 5, output_tokens: 2 },
};
const events: [string, object][] = [
  ["message_start", { message: { ...message, content: [], stop_reason: null } }],
  ["content_block_start", { index: 0, content_block: { type: "text", text: "" } }],
  ["content_block_delta", { index: 0, delta: { type: "text_delta", text: "Hello " } }],
  ["content_block_delta", { index: 0, delta: { type: "text_delta", text: "there" } }],
  ["content_block_stop", { index: 0 }],
  ["message_delta", { delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 2 } }],
  ["message_stop", {}],
];

const server = http.createServer((req, res) => {
  let body = "";
  req.on("data", (c: Buffer) => (body += c.toString()));
  req.on("end", () => {
    const path = req.url ?? "";
    seen.push({ path, headers: req.headers, body });
    hungUp = once(res, "close");
    const json = (status: number, value: object) =>
      res.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    if (moved && !path.startsWith("/elsewhere")) return void res.writeHead(307, { location: moved }).end();
    const streamed = body.startsWith("{") && (JSON.parse(body) as { stream?: boolean }).stream;
    if (streamed) res.writeHead(200, { "content-type": "text/event-stream" });
    if (path === "/v1/chat/completions") {
      if (!streamed) {
        const choices = [{ index: 0, message: { role: "assistant", content: "Hello there" }, finish_reason: "stop" }];
        return void json(200, completion({ object: "chat.completion", choices }));
      }
      // It goes on until the caller hangs up.
      const timer = setInterval(() => res.write(`data: ${JSON.stringify(delta("x"))}\n\n`), 5);
      return void res.on("close", () => clearInterval(timer));
    }
    if (path === "/v1/messages") {
      if (!streamed) return void json(200, message);
      for (const [type, data] of events) res.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
      return void res.end();
    }
    if (path === "/2010-04-01/Accounts/AC0/Messages.json") return void json(201, { sid: "SM1", status: "queued" });
    if (path === "/v2/email/outbound-emails") return void json(200, { MessageId: "ses-1" });
    json(404, { error: { message: "not here" } });
  });
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  seen = [];
  moved = null;
});

const base = () => `http://127.0.0.1:${port}`;
const open = () => createHttpClient({ allowPrivateHosts: ["127.0.0.1", "localhost"], userAgent: "t" });
const closed = () => createHttpClient({ allowPrivateHosts: [], userAgent: "t" });

/** twilio's RequestClient over `fetch`; its API host is fixed, so the test's server takes its place. */
class TwilioClient extends twilio.RequestClient {
  readonly http: HttpClient;
  constructor(http: HttpClient) {
    super();
    this.http = http;
  }
  override async request<T>(options: Parameters<twilio.RequestClient["request"]>[0]): Promise<never> {
    const { method, uri, username, password, data, headers } = options as typeof options & {
      data?: Record<string, string>;
    };
    const response = await this.http.fetch(uri.replace("https://api.twilio.com", base()), {
      method: method.toUpperCase(),
      headers: {
        ...(headers as Record<string, string>),
        authorization: `Basic ${btoa(`${username}:${password}`)}`,
      },
      ...(data ? { body: new URLSearchParams(data) } : {}),
    });
    const answer = { statusCode: response.status, body: await response.json(), headers: response.headers };
    return answer as T as never;
  }
}

type SmithyRequest = {
  method: string;
  protocol: string;
  hostname: string;
  port?: number;
  path: string;
  query?: Record<string, string>;
  headers: Record<string, string>;
  body?: BodyInit;
};

/** The AWS SDK's request handler over `fetch`. */
const smithyHandler = (http: HttpClient) => ({
  async handle(request: SmithyRequest, { abortSignal }: { abortSignal?: unknown } = {}) {
    const { protocol, hostname, method, headers, body } = request;
    const query = String(new URLSearchParams(request.query ?? {}));
    const url = `${protocol}//${hostname}${request.port ? `:${request.port}` : ""}${request.path}${query && `?${query}`}`;
    const response = await http.fetch(url, {
      method,
      headers,
      ...(method === "GET" || method === "HEAD" ? {} : { body: body ?? null }),
      ...(abortSignal ? { signal: abortSignal as AbortSignal } : {}),
    });
    return {
      response: {
        statusCode: response.status,
        headers: Object.fromEntries(response.headers),
        body: response.body,
      },
    };
  },
});

const openai = (h: HttpClient) =>
  new OpenAI({ apiKey: "sk-1", baseURL: `${base()}/v1`, fetch: h.fetch, maxRetries: 0 });
const anthropic = (h: HttpClient) => new Anthropic({ apiKey: "sk-2", baseURL: base(), fetch: h.fetch, maxRetries: 0 });
const ses = (h: HttpClient) =>
  new SESv2Client({
    region: "eu-central-1",
    endpoint: base(),
    credentials: { accessKeyId: "AK", secretAccessKey: "SK" },
    requestHandler: smithyHandler(h) as never,
    maxAttempts: 1,
  });

const ASKED = { model: "gpt-4o-mini", messages: [{ role: "user" as const, content: "Hi" }] };
const PROMPT = { model: "a-model", max_tokens: 10, messages: [{ role: "user" as const, content: "Hi" }] };
const MAIL = {
  FromEmailAddress: "a@example.com",
  Destination: { ToAddresses: ["b@example.com"] },
  Content: { Simple: { Subject: { Data: "Hi" }, Body: { Text: { Data: "There" } } } },
};

/** One plain call with each SDK. */
const CALLS: [name: string, path: string, call: (http: HttpClient) => Promise<unknown>, result: unknown][] = [
  [
    "openai",
    "/v1/chat/completions",
    async (h) => (await openai(h).chat.completions.create(ASKED)).choices[0]!.message.content,
    "Hello there",
  ],
  ["anthropic", "/v1/messages", async (h) => (await anthropic(h).messages.create(PROMPT)).content, message.content],
  [
    "twilio",
    "/2010-04-01/Accounts/AC0/Messages.json",
    async (h) => {
      const client = twilio("AC0", "token", { httpClient: new TwilioClient(h) });
      return (await client.messages.create({ to: "+4930123456", from: "+15005550006", body: "Hi & bye" })).sid;
    },
    "SM1",
  ],
  ["ses", "/v2/email/outbound-emails", async (h) => (await ses(h).send(new SendEmailCommand(MAIL))).MessageId, "ses-1"],
];

describe.each(CALLS)("%s", (name, path, call, result) => {
  test("makes a call, with its credentials", async () => {
    expect(await call(open())).toEqual(result);
    expect(seen.map((s) => s.path.split("?")[0])).toEqual([path]);
    expect(seen[0]!.headers.authorization ?? seen[0]!.headers["x-api-key"]).toMatch(/sk-|Basic|AWS4-HMAC-SHA256/);
    expect(seen[0]!.body).toMatch(name === "twilio" ? /Body=Hi\+%26\+bye/ : /^\{/);
  });

  test("reaches no private address that is not listed, and its error says that nothing was sent", async () => {
    const error = await call(closed()).then(
      () => expect.fail("it was let through"),
      (e: unknown) => e,
    );
    expect(httpErrorIn(error)).toMatchObject({ kind: "blocked", sent: false });
    expect(seen).toEqual([]);
  });

  test("that is redirected to another host takes no credentials there", async () => {
    moved = `http://localhost:${port}/elsewhere`;
    await call(open()).catch(() => {});
    expect(seen.map((s) => s.path.split("?")[0])).toEqual([path, "/elsewhere"]);
    const { headers } = seen[1]!;
    expect(Object.keys(headers).filter((h) => /auth|key|token|^x-amz/.test(h))).toEqual([]);
  });
});

describe("a streamed answer", () => {
  test("of openai arrives piece by piece, and aborting in the middle hangs up", async () => {
    const stream = await openai(open()).chat.completions.create({ ...ASKED, stream: true });
    let text = "";
    for await (const chunk of stream) {
      text += chunk.choices[0]!.delta.content;
      if (text.length === 3) stream.controller.abort();
      if (text.length > 50) expect.fail("it went on");
    }
    expect(text).toMatch(/^x{3,}$/);
    await hungUp;
  });

  test("of anthropic is put together by the SDK", async () => {
    const stream = anthropic(open()).messages.stream(PROMPT);
    const pieces: string[] = [];
    stream.on("text", (piece) => void pieces.push(piece));
    expect((await stream.finalMessage()).content).toMatchObject(message.content);
    expect(pieces).toEqual(["Hello ", "there"]);
  });
});
