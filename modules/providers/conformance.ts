import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createHttpClient } from "../kernel/http/client.ts";
import type { HttpClient } from "../kernel/http/client.ts";
import type {
  Connection,
  OutboundEmail,
  ProviderDef,
  ProviderEvent,
  SendOutcome,
  WebhookRequest,
} from "../kernel/provider.ts";
import { createSandbox } from "../sandbox/server.ts";
import type { RunningSandbox } from "../sandbox/server.ts";
import type { Message } from "../sandbox/store.ts";
import type { z } from "zod";
import { exampleEmail } from "./email/fixtures.ts";

/** What every e-mail adapter must keep, proven by driving the real adapter against the real sandbox over the network. */

export type Recorded = { name: string; body: unknown; kinds: ProviderEvent["kind"][] };

export type ConformanceSpec<C extends z.ZodObject> = {
  /** Fresh credentials: an account of their own. `key` is how the sandbox names the account. */
  account(): { credentials: z.infer<C>; key: string };
  badCredentials: z.infer<C>[];
  settings?: Record<string, unknown>;
  baseUrl(sandbox: RunningSandbox): string;
  /** A recipient or sender the provider refuses for this one message. */
  refused?: Partial<OutboundEmail>;
  /** How the refusal of one message shows. */
  refusedOutcome?: SendOutcome["outcome"];
  /** Headers this provider is known to write itself. */
  rewrites?: readonly string[];
  /** What an answered 5xx proves: `unknown` for HTTP providers, `retry` where a 4yz reply is final (SMTP). */
  afterServerError: SendOutcome["outcome"];
  /** Signed deliveries, if the provider has webhooks. */
  webhook?: {
    credentials: z.infer<C>;
    wrongCredentials: z.infer<C>;
    sign(body: Uint8Array, now: Date, credentials: z.infer<C>): Promise<Headers>;
    /** True when the body is signed; Basic auth covers only the caller. */
    signsBody: boolean;
    payloads: Recorded[];
  };
};

const SHORT_MS = 1500;

export function conformance<C extends z.ZodObject>(provider: ProviderDef<C>, spec: ConformanceSpec<C>): void {
  let sandbox: RunningSandbox;
  let http: HttpClient;

  beforeAll(async () => {
    sandbox = await createSandbox({ speed: 50 });
    const real = createHttpClient({
      allowPrivateHosts: [`127.0.0.1:${sandbox.port}`, `127.0.0.1:${sandbox.smtpPort}`],
      userAgent: "conformance/1.0",
    });
    // The same client with a shorter patience, so that a provider that never answers does not hold the tests.
    const soon = <R extends { timeoutMs?: number }>(r: R): R => ({ ...r, timeoutMs: SHORT_MS });
    http = { ...real, request: (r) => real.request(soon(r)), json: (r) => real.json(soon(r)) };
  });
  afterAll(() => sandbox.close());

  const open = (credentials = spec.account().credentials): Connection<z.infer<C>> => ({
    id: crypto.randomUUID(),
    credentials,
    settings: spec.settings ?? {},
    base_url: spec.baseUrl(sandbox),
  });
  const opened = () => {
    const { credentials, key } = spec.account();
    return { connection: open(credentials), key };
  };
  const send = (emails: OutboundEmail[], connection: Connection<z.infer<C>>) =>
    provider.send!(emails, connection, http);
  const control = async <T>(path: string, body?: unknown): Promise<T> => {
    const init =
      body === undefined
        ? {}
        : { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } };
    const response = await fetch(`${sandbox.url}/_sandbox${path}`, init);
    expect(response.ok, `${path}: ${response.status}`).toBe(true);
    return (await response.json()) as T;
  };
  const accepted = async (key: string) =>
    (await control<{ messages: Message[] }>(`/messages?account=${encodeURIComponent(key)}`)).messages;
  /** Our own id as this provider's messages carry it. */
  const ownId = (email: OutboundEmail) => (provider.id === "smtp" ? email.message_id : email.id);

  describe(`${provider.id} conformance`, () => {
    test("credentials: good ones pass the check, bad ones are refused with a reason", async () => {
      expect(await provider.check(open(), http)).toMatchObject({ ok: true });
      for (const bad of spec.badCredentials) {
        const result = await provider.check(open(bad), http);
        expect(result).toMatchObject({
          ok: false,
          code: expect.stringMatching(/\w/),
          detail: expect.stringMatching(/\w/),
        });
        const [outcome] = await send([exampleEmail()], open(bad));
        expect(outcome!.outcome).toBe("broken");
      }
    });

    test("empty credentials do not pass the schema, unless none are needed", () => {
      const fields = provider.credentials.shape as Record<string, z.ZodType>;
      const required = Object.values(fields).some((field) => !field.safeParse(undefined).success);
      expect(provider.credentials.safeParse({}).success).toBe(!required);
      for (const [name, field] of Object.entries(fields))
        expect(field.safeParse("").success, `${name} accepts ""`).toBe(false);
    });

    test("N messages give N outcomes in order, each accepted once under our own id", async () => {
      const { connection, key } = opened();
      const emails = Array.from({ length: 7 }, () => exampleEmail());
      const outcomes = await send(emails, connection);
      expect(outcomes.map((o) => o.outcome)).toEqual(emails.map(() => "sent"));
      const ids = outcomes.map((o) => (o.outcome === "sent" ? o.provider_message_id : ""));
      expect(new Set(ids).size).toBe(emails.length);
      const seen = await accepted(key);
      expect(seen).toHaveLength(emails.length);
      for (const [i, email] of emails.entries()) {
        const message = seen.find((m) => m.our_id === ownId(email))!;
        expect(message.to[0]!.email).toBe(email.to.email);
        if (provider.id !== "smtp") expect(message.id).toBe(ids[i]);
      }
    });

    test("content and headers arrive unchanged", async () => {
      const { connection, key } = opened();
      const email = exampleEmail();
      await send([email], connection);
      const message = (await accepted(key))[0]!;
      const headers = new Map(message.headers.map(([name, value]) => [name.toLowerCase(), value.replace(/\s+/g, " ")]));
      expect(message.subject).toBe(email.subject);
      expect(message.html.trim()).toBe(email.html);
      expect(message.text.trim()).toBe(email.text);
      expect(message.from).toEqual({ email: email.from.email, name: email.from.name });
      expect(message.reply_to).toBe(email.reply_to);
      for (const [name, value] of Object.entries(email.headers)) {
        if (spec.rewrites?.includes(name)) expect(headers.get(name.toLowerCase())).toContain(value);
        else expect(headers.get(name.toLowerCase()), name).toBe(value);
      }
      const thread = `${message.rfc_message_id} ${headers.get("references") ?? ""}`;
      expect(thread, "a reply must lead back to our own Message-ID").toContain(email.message_id);
    });

    test("a line break in a name cannot add a header", async () => {
      const { connection, key } = opened();
      await send(
        [exampleEmail({ from: { email: "sales@sandbox.test", name: "Ada\r\nBcc: victim@example.com" } })],
        connection,
      );
      const message = (await accepted(key))[0]!;
      expect(message.headers.map(([name]) => name.toLowerCase())).not.toContain("bcc");
      expect(message.to).toHaveLength(1);
    });

    if (spec.refused) {
      test("one refused message does not touch the others", async () => {
        const { connection, key } = opened();
        const outcomes = await send([exampleEmail(), exampleEmail(spec.refused), exampleEmail()], connection);
        expect(outcomes.map((o) => o.outcome)).toEqual(["sent", spec.refusedOutcome ?? "rejected", "sent"]);
        expect(await accepted(key)).toHaveLength(2);
      });
    }

    test("a rate limit is a retry, with the provider's own waiting time, and nothing was accepted", async () => {
      const { connection, key } = opened();
      await control("/faults", { kind: "rate_limit", account: key, retry_after: 7 });
      const [outcome] = await send([exampleEmail()], connection);
      expect(outcome!.outcome).toBe("retry");
      if (provider.id !== "smtp") expect(outcome).toMatchObject({ after_seconds: 7 });
      expect(await accepted(key)).toHaveLength(0);
    });

    test("an answered server error is never taken for a refusal", async () => {
      const { connection, key } = opened();
      await control("/faults", { kind: "server_error", account: key, accepted: provider.id !== "smtp" });
      const [outcome] = await send([exampleEmail()], connection);
      expect(outcome!.outcome).toBe(spec.afterServerError);
    });

    for (const kind of ["timeout_after_accept", "reset"] as const) {
      test(`${kind}: the outcome is unknown, and settling it leaves exactly one message at the provider`, async () => {
        const { connection, key } = opened();
        const email = exampleEmail();
        await control("/faults", { kind, account: key, ...(kind === "reset" ? { accepted: true } : {}) });
        const [outcome] = await send([email], connection);
        expect(outcome!.outcome).toBe("unknown");
        if (provider.reconcile.by === "key") {
          const [again] = await send([email], connection);
          expect(again!.outcome).toBe("sent");
        } else if (provider.reconcile.by === "search") {
          const found = await provider.findMessage!(email.id, connection, http);
          expect(found).toEqual({ provider_message_id: (await accepted(key))[0]!.id });
          expect(await provider.findMessage!(crypto.randomUUID(), connection, http)).toBeNull();
        }
        expect((await accepted(key)).filter((m) => m.our_id === ownId(email))).toHaveLength(1);
      });
    }

    test("a peer that is not there is a retry; a private address that is not listed is broken", async () => {
      const gone = { ...open(), base_url: spec.baseUrl({ ...sandbox, url: "http://127.0.0.1:1", smtpPort: 1 }) };
      const refusedByUs = await send([exampleEmail()], gone);
      expect(refusedByUs[0]).toMatchObject({ outcome: "broken", code: "blocked" });
      const listed = createHttpClient({ allowPrivateHosts: ["127.0.0.1"], userAgent: "conformance/1.0" });
      const [unreachable] = await provider.send!([exampleEmail()], gone, listed);
      expect(unreachable!.outcome).toBe("retry");
    });

    const { webhook } = spec;
    if (webhook) {
      const body = new TextEncoder().encode(JSON.stringify(webhook.payloads[0]!.body));
      const now = new Date();
      const connection = (credentials: z.infer<C>) => ({ ...open(credentials), base_url: null });
      const verify = (request: Partial<WebhookRequest> & { headers: Headers }, credentials = webhook.credentials) =>
        provider.verify!({ body, url: "https://example.com/hook", now, ...request }, connection(credentials));
      const refused = expect.objectContaining({ code: "unauthenticated" });

      test("webhooks: a good delivery verifies, and its id is the same when it comes again", async () => {
        const first = await verify({ headers: await webhook.sign(body, now, webhook.credentials) });
        const second = await verify({ headers: await webhook.sign(body, now, webhook.credentials) });
        expect(first.delivery_id).toMatch(/\S{8,}/);
        expect(second).toEqual(first);
      });

      test("webhooks: missing proof, wrong secret, no secret are refused", async () => {
        const headers = await webhook.sign(body, now, webhook.credentials);
        await expect(verify({ headers: new Headers() })).rejects.toEqual(refused);
        await expect(verify({ headers }, webhook.wrongCredentials)).rejects.toEqual(refused);
        await expect(verify({ headers }, spec.account().credentials)).rejects.toEqual(refused);
      });

      if (webhook.signsBody) {
        test("webhooks: one flipped byte, a stale or a future timestamp are refused", async () => {
          const headers = await webhook.sign(body, now, webhook.credentials);
          for (const at of [0, body.byteLength >> 1, body.byteLength - 1]) {
            const flipped = new Uint8Array(body);
            flipped[at]! ^= 1;
            await expect(verify({ headers, body: flipped })).rejects.toEqual(refused);
          }
          await expect(verify({ headers, now: new Date(now.getTime() + 301_000) })).rejects.toEqual(refused);
          await expect(verify({ headers, now: new Date(now.getTime() - 301_000) })).rejects.toEqual(refused);
        });
      }

      test("webhooks: every recorded payload maps to the stated kinds, twice to the same event ids", () => {
        let mapped = 0;
        for (const { name, body: payload, kinds } of webhook.payloads) {
          const events = provider.parseWebhook!(payload);
          expect(
            events.map((e) => e.kind),
            name,
          ).toEqual(kinds);
          expect(
            provider.parseWebhook!(structuredClone(payload)).map((e) => e.event_id),
            name,
          ).toEqual(events.map((e) => e.event_id));
          mapped += events.length;
        }
        expect(mapped).toBeGreaterThan(0);
        const ids = webhook.payloads.flatMap((p) => provider.parseWebhook!(p.body).map((e) => e.event_id));
        expect(new Set(ids).size, "different happenings share an event id").toBe(ids.length);
      });

      test("webhooks: a malformed body is `invalid`, not a crash", () => {
        for (const bad of [null, 1, "x", [], { type: 1 }]) {
          expect(() => provider.parseWebhook!(bad), JSON.stringify(bad)).toThrow(
            expect.objectContaining({ code: "invalid" }),
          );
        }
      });
    } else {
      test("without webhooks there is neither verify nor parse", () => {
        expect([provider.verify, provider.parseWebhook]).toEqual([undefined, undefined]);
      });
    }

    if (provider.id !== "smtp") {
      test("a programming error is no outcome: it throws", async () => {
        const bug = () => Promise.reject(new RangeError("bug"));
        await expect(provider.send!([exampleEmail()], open(), { ...http, request: bug, json: bug })).rejects.toThrow(
          RangeError,
        );
      });
    }
  });
}
