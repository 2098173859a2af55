import http from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createHttpClient } from "../kernel/http/client.ts";
import type { Connection, InboundMessage, OutboundMessage, ProviderEvent } from "../kernel/provider.ts";
import { exampleEmail } from "../providers/email/fixtures.ts";
import { postmark } from "../providers/email/postmark/adapter.ts";
import { resend } from "../providers/email/resend/adapter.ts";
import type { EmailContent, EmailInbound } from "../channels/email/content.ts";
import { loadEmulations } from "./emulations.ts";
import { createSandbox } from "./server.ts";
import type { RunningSandbox, SandboxOptions } from "./server.ts";
import type { Message } from "./store.ts";
import { until } from "../../tests/support/until.ts";

/** The whole circle: our adapters send, the recipients act over real HTTP, the webhooks verify and parse. */

type Hit = { method: string; path: string; userAgent: string; body: string; headers: Headers; raw: Uint8Array };

let hits: Hit[] = [];
let answer = 200;
let site: string;
const server = http.createServer((req, res) => {
  const chunks: Buffer[] = [];
  req.on("data", (c: Buffer) => chunks.push(c));
  req.on("end", () => {
    const raw = new Uint8Array(Buffer.concat(chunks));
    const headers = new Headers(Object.entries(req.headers).map(([n, v]): [string, string] => [n, String(v)]));
    hits.push({
      method: req.method!,
      path: req.url!,
      userAgent: headers.get("user-agent") ?? "",
      body: new TextDecoder().decode(raw),
      headers,
      raw,
    });
    res.writeHead(req.url!.startsWith("/hook") ? answer : 200).end();
  });
});

let sandbox: RunningSandbox;
const client = () => createHttpClient({ allowPrivateHosts: ["127.0.0.1"], userAgent: "test" });
const start = async (options: Partial<SandboxOptions> = {}) =>
  (sandbox = await createSandbox({ emulations: await loadEmulations(), speed: 40, ...options }));

beforeEach(async () => {
  hits = [];
  answer = 200;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  site = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  await sandbox.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const control = async <T>(path: string, body?: unknown): Promise<T> => {
  const init =
    body === undefined
      ? {}
      : { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  return (await (await fetch(`${sandbox.url}/_sandbox${path}`, init)).json()) as T;
};

function mail(to: string) {
  const id = crypto.randomUUID();
  return exampleEmail({
    id,
    to: { address: to, name: null },
    html: `<p>Hi</p><a class="x" href="${site}/unsubscribe/${id}?a=1&amp;b=2">Unsubscribe</a><a href='${site}/click/${id}?a=1&amp;b=2'>Read</a><img src="${site}/open/${id}" width="1" height="1" alt="">`,
    headers: {
      "List-Unsubscribe": `<${site}/unsubscribe/${id}>`,
      "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    },
  });
}

/** The events that arrived, each verified as the real handler would. */
async function eventsAt(
  provider: typeof resend | typeof postmark,
  connection: Connection<never>,
): Promise<{ ids: string[]; events: ProviderEvent[] }> {
  const { verify, parse } = provider.webhook!;
  const ids: string[] = [];
  const events: ProviderEvent[] = [];
  for (const hit of hits.filter((h) => h.path.startsWith("/hook"))) {
    const request = { headers: hit.headers, body: hit.raw, url: hit.path, now: new Date() };
    ids.push((await verify(request, connection)).delivery_id);
    events.push(...parse(hit.raw, {}));
  }
  return { ids, events };
}

async function connectResend() {
  const connection = {
    id: "r",
    credentials: { api_key: `re_${crypto.randomUUID()}` },
    settings: {},
    base_url: `${sandbox.url}/resend`,
    webhook_url: null,
  };
  const { credentials } = await resend.webhook!.register!(`${site}/hook/r`, connection, client());
  return { ...connection, credentials: { ...connection.credentials, ...credentials } };
}
async function connectPostmark() {
  const connection = {
    id: "p",
    credentials: { server_token: crypto.randomUUID() },
    settings: {},
    base_url: `${sandbox.url}/postmark`,
    webhook_url: null,
  };
  const { credentials } = await postmark.webhook!.register!(`${site}/hook/p`, connection, client());
  return { ...connection, credentials: { ...connection.credentials, ...credentials } };
}

describe.each(["resend", "postmark"] as const)("through %s", (id) => {
  const adapter = id === "resend" ? resend : postmark;
  const connect = async () => (id === "resend" ? connectResend() : connectPostmark()) as Promise<Connection<never>>;
  /** In calls no larger than the adapter allows. */
  const send = async (emails: OutboundMessage<EmailContent>[], connection: Connection<never>) => {
    const { batch, send: act } = adapter.send!;
    const outcomes: { outcome: string }[] = [];
    for (let at = 0; at < emails.length; at += batch)
      outcomes.push(...(await act(emails.slice(at, at + batch), connection, client())));
    return outcomes;
  };

  test("each persona does what its name says, and we are told so in verified webhooks", async () => {
    await start();
    const connection = await connect();
    const who = ["silent", "open", "click", "reply", "ooo", "bounce", "softbounce", "unsubscribe", "complain"];
    const emails = who.map((word) => mail(`${word}+1@example.com`));
    const outcomes = await send(emails, connection);
    expect(outcomes.every((o) => o.outcome === "sent")).toBe(true);
    await until(async () => (await control<{ pending: number }>("/stats")).pending === 0, { what: "the story to end" });

    const { events } = await eventsAt(adapter, connection);
    const kinds = (word: string) => {
      const email = emails[who.indexOf(word)]!;
      return events
        .filter((e) => "message_id" in e && e.message_id === email.id)
        .map((e) => e.kind)
        .sort();
    };
    for (const word of ["silent", "open", "click", "reply", "ooo", "unsubscribe"])
      expect(kinds(word), word).toEqual(["delivered"]);
    expect(kinds("complain")).toEqual(["complained", "delivered"]);
    expect(events.find((e) => e.kind === "bounced" && e.message_id === emails[5]!.id)).toMatchObject({
      bounce: "permanent",
      recipient: "bounce+1@example.com",
    });
    expect(events.find((e) => e.kind === "bounced" && e.message_id === emails[6]!.id)).toMatchObject({
      bounce: "transient",
    });

    const at = (prefix: string, word: string) =>
      hits.filter((h) => h.path.startsWith(`/${prefix}/${emails[who.indexOf(word)]!.id}`));
    for (const word of ["open", "click", "reply", "unsubscribe", "complain"])
      expect(at("open", word), word).toMatchObject([{ method: "GET", userAgent: expect.stringMatching(/Chrome/) }]);
    for (const word of ["silent", "ooo", "bounce", "softbounce"]) expect(at("open", word), word).toEqual([]);
    expect(at("click", "click")).toMatchObject([{ path: expect.stringMatching(/\?a=1&b=2$/) }]);
    expect(at("unsubscribe", "unsubscribe")).toMatchObject([{ method: "POST", body: "List-Unsubscribe=One-Click" }]);

    const inbound: InboundMessage<EmailInbound>[] = [];
    for (const event of events) {
      if (event.kind === "inbound") inbound.push(event.message as InboundMessage<EmailInbound>);
      if (event.kind === "inbound_ref")
        inbound.push((await resend.inbound!.fetch(event.ref, connection, client())) as InboundMessage<EmailInbound>);
    }
    expect(inbound).toHaveLength(2);
    const reply = inbound.find((m) => m.from.address === "reply+1@example.com")!;
    expect(reply.details.subject).toBe(`Re: ${emails[3]!.content.subject}`);
    expect(reply.to).toEqual(["replies@sandbox.test"]);
    expect(`${reply.details.headers["in-reply-to"]} ${reply.details.headers.references}`).toContain(
      emails[3]!.content.message_id,
    );
    expect(reply.details.headers["auto-submitted"]).toBeUndefined();
    const away = inbound.find((m) => m.from.address === "ooo+1@example.com")!;
    expect(away.details.headers["auto-submitted"]).toBe("auto-replied");
  });

  test("a receiver that fails is asked again with the same delivery id; duplicates share it too", async () => {
    await start();
    const connection = await connect();
    answer = 500;
    await control("/faults", { kind: "duplicate_webhooks", times: 1 });
    await send([mail("silent+1@example.com")], connection);
    await until(() => hits.filter((h) => h.path.startsWith("/hook")).length >= 2, { what: "two attempts" });
    answer = 200;
    await until(async () => (await control<{ pending: number }>("/stats")).pending === 0, { what: "the story to end" });
    const { ids, events } = await eventsAt(adapter, connection);
    expect(ids.length).toBeGreaterThanOrEqual(3);
    expect(new Set(ids).size).toBe(1);
    expect(new Set(events.map((e) => e.event_id)).size).toBe(1);
  });

  test("webhooks can be dropped and reordered", async () => {
    await start();
    const connection = await connect();
    await control("/faults", { kind: "drop_webhooks", times: 1 });
    await control("/faults", { kind: "reorder_webhooks", times: 1 });
    await send([mail("silent+1@example.com"), mail("silent+2@example.com"), mail("silent+3@example.com")], connection);
    await until(async () => (await control<{ pending: number }>("/stats")).pending === 0, { what: "the story to end" });
    expect((await eventsAt(adapter, connection)).events).toHaveLength(2);
    expect(await control("/stats")).toMatchObject({
      accepted: 3,
      duplicates: 0,
      webhooks: { dropped: 1, delivered: 2 },
    });
  });

  test("registering twice keeps one webhook and a working secret", async () => {
    await start();
    const connection = await connect();
    const again = await adapter.webhook!.register!(`${site}/hook/${id[0]}`, connection, client());
    expect(again.credentials).toEqual(
      expect.objectContaining(
        Object.fromEntries(Object.entries(connection.credentials).filter(([n]) => n.startsWith("webhook"))),
      ),
    );
    await send([mail("silent+1@example.com")], connection);
    await until(async () => (await control<{ pending: number }>("/stats")).pending === 0, { what: "the story to end" });
    expect((await eventsAt(adapter, connection)).events).toHaveLength(1);
  });

  test("mail delivered by hand arrives as the provider would bring it", async () => {
    await start();
    const connection = await connect();
    const key = Object.values(connection.credentials as Record<string, string>)[0]!;
    await control("/deliver", {
      account: key,
      from: "stranger@example.com",
      to: "sales@sandbox.test",
      subject: "Hello",
      text: "Are you there?",
    });
    await until(() => hits.some((h) => h.path.startsWith("/hook")), { what: "the webhook" });
    const { events } = await eventsAt(adapter, connection);
    expect(events.map((e) => e.kind)).toEqual([id === "resend" ? "inbound_ref" : "inbound"]);
  });
});

test("a bounced address is refused by Postmark from then on", async () => {
  await start();
  const connection = await connectPostmark();
  await postmark.send!.send([mail("bounce+9@example.com")], connection, client());
  await until(async () => (await control<{ pending: number }>("/stats")).pending === 0, { what: "the bounce" });
  const [outcome] = await postmark.send!.send([mail("bounce+9@example.com")], connection, client());
  expect(outcome).toMatchObject({ outcome: "rejected", code: "inactive_recipient" });
});

test("the sandbox calls no stranger, whatever a mail links to", async () => {
  await start();
  const connection = await connectPostmark();
  const email = mail("open+1@example.com");
  email.content.html = '<img src="https://tracker.example.com/p.gif" width="1" height="1">';
  await postmark.send!.send([email], connection, client());
  await until(async () => (await control<{ pending: number }>("/stats")).pending === 0, { what: "the open" });
  const { messages } = await control<{ messages: Message[] }>("/messages?to=open%2B1@example.com");
  expect(messages[0]!.log.find((l) => l.what === "open")!.detail).toMatch(/not this machine/);
});

test("a restart forgets nothing: messages, idempotency keys, webhooks, and what was still to happen", async () => {
  const home = mkdtempSync(join(tmpdir(), "sandbox-"));
  try {
    const data = join(home, "world.jsonl");
    await start({ data, speed: 0.001 });
    const connection = await connectResend();
    const email = mail("silent+1@example.com");
    const [first] = await resend.send!.send([email], connection, client());
    await sandbox.close();
    await start({ data, speed: 1000 });
    const moved = { ...connection, base_url: `${sandbox.url}/resend` };
    expect((await resend.send!.send([email], moved, client()))[0]).toEqual(first);
    await until(() => hits.some((h) => h.path.startsWith("/hook")), { what: "the delivery that was pending" });
    expect(await control("/stats")).toMatchObject({ accepted: 1, duplicates: 0 });
    expect((await eventsAt(resend, moved as Connection<never>)).events.map((e) => e.kind)).toEqual(["delivered"]);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});

test("the control token guards the control API and nothing else", async () => {
  await start({ token: "let me in" });
  expect((await fetch(`${sandbox.url}/_sandbox/stats`)).status).toBe(401);
  expect(
    (await fetch(`${sandbox.url}/_sandbox/stats`, { headers: { authorization: "Bearer let me in" } })).status,
  ).toBe(200);
  expect(
    (
      await resend.check(
        {
          id: "x",
          credentials: { api_key: "re_abc" },
          settings: {},
          base_url: `${sandbox.url}/resend`,
          webhook_url: null,
        },
        client(),
      )
    ).ok,
  ).toBe(true);
});
