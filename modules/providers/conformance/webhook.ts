import { expect, test } from "vitest";
import type { z } from "zod";
import type { DeliveryContext, ProviderEvent, WebhookRequest } from "../../kernel/provider.ts";
import type { Stage } from "./stage.ts";

/** A recorded delivery: an object is sent as JSON, a text as it stands. */
export type Recorded = {
  name: string;
  body: object | string;
  context?: DeliveryContext;
  kinds: ProviderEvent["kind"][];
};

export type WebhookSpec<C extends z.ZodObject> = {
  credentials: z.infer<C>;
  wrongCredentials: z.infer<C>;
  sign(body: Uint8Array, now: Date, credentials: z.infer<C>, url: string): Promise<Headers>;
  /** What the proof covers: Basic auth covers none of these. */
  proves: { body: boolean; time: boolean; url: boolean };
  payloads: Recorded[];
  /** Bodies that are no delivery of this provider. */
  malformed: string[];
};

export const bytesOf = (body: object | string): Uint8Array =>
  new TextEncoder().encode(typeof body === "string" ? body : JSON.stringify(body));

const URL_GIVEN = "https://example.com/webhooks/provider/connection?from=us";

export function webhookConformance<C extends z.ZodObject, Content>(
  stage: Stage<C, Content>,
  spec: WebhookSpec<C>,
): void {
  const webhook = stage.provider.webhook!;
  const body = bytesOf(spec.payloads[0]!.body);
  const now = new Date();
  const refused = expect.objectContaining({ code: "unauthenticated" });
  const sign = (credentials = spec.credentials) => spec.sign(body, now, credentials, URL_GIVEN);
  const verify = (request: Partial<WebhookRequest> & { headers: Headers }, credentials = spec.credentials) =>
    webhook.verify({ body, url: URL_GIVEN, now, ...request }, { ...stage.open(credentials), base_url: null });

  test("webhook: a good delivery verifies, and its id is the same when it comes again", async () => {
    const first = await verify({ headers: await sign() });
    const second = await verify({ headers: await sign() });
    expect(first.delivery_id).toMatch(/\S{8,}/);
    expect(second).toEqual(first);
  });

  test("webhook: missing proof, wrong secret, no secret are refused", async () => {
    const headers = await sign();
    await expect(verify({ headers: new Headers() })).rejects.toEqual(refused);
    await expect(verify({ headers }, spec.wrongCredentials)).rejects.toEqual(refused);
    await expect(verify({ headers }, stage.fresh().connection.credentials)).rejects.toEqual(refused);
  });

  if (spec.proves.body) {
    test("webhook: one flipped byte is refused", async () => {
      const headers = await sign();
      for (const at of [0, body.byteLength >> 1, body.byteLength - 1]) {
        const flipped = new Uint8Array(body);
        flipped[at]! ^= 1;
        await expect(verify({ headers, body: flipped })).rejects.toEqual(refused);
      }
    });
  }

  if (spec.proves.time) {
    test("webhook: a stale or a future timestamp is refused", async () => {
      const headers = await sign();
      await expect(verify({ headers, now: new Date(now.getTime() + 301_000) })).rejects.toEqual(refused);
      await expect(verify({ headers, now: new Date(now.getTime() - 301_000) })).rejects.toEqual(refused);
    });
  }

  if (spec.proves.url) {
    test("webhook: another address or another query is refused", async () => {
      const headers = await sign();
      for (const url of [URL_GIVEN.replace("from=us", "from=them"), URL_GIVEN.replace("example.com", "example.org")])
        await expect(verify({ headers, url })).rejects.toEqual(refused);
    });
  }

  test("webhook: every recorded payload maps to the stated kinds, twice to the same event ids", () => {
    const eventIds: string[] = [];
    for (const { name, body: recorded, context = {}, kinds } of spec.payloads) {
      const events = webhook.parse(bytesOf(recorded), context);
      expect(
        events.map((e) => e.kind),
        name,
      ).toEqual(kinds);
      const again = webhook.parse(bytesOf(recorded), context);
      expect(
        again.map((e) => e.event_id),
        name,
      ).toEqual(events.map((e) => e.event_id));
      for (const { event_id, at } of events) {
        eventIds.push(event_id);
        expect(new Date(at).toISOString(), name).toBe(at);
      }
    }
    expect(eventIds.length).toBeGreaterThan(0);
    expect(new Set(eventIds).size, "different events share an id").toBe(eventIds.length);
  });

  test("webhook: a malformed body is `invalid`, not a crash", () => {
    for (const bad of [...spec.malformed.map(bytesOf), new Uint8Array([0xff, 0xfe, 0x00])]) {
      expect(() => webhook.parse(bad, {}), new TextDecoder().decode(bad)).toThrow(
        expect.objectContaining({ code: "invalid" }),
      );
    }
  });

  if (webhook.register) {
    test("webhook: registering twice keeps one secret, which the check accepts", async () => {
      const { connection } = stage.fresh();
      const url = connection.webhook_url!;
      const first = await webhook.register!(url, connection, stage.http());
      const credentials = { ...connection.credentials, ...first.credentials };
      expect(stage.provider.credentials.safeParse(credentials).success).toBe(true);
      const second = await webhook.register!(url, { ...connection, credentials }, stage.http());
      expect({ ...credentials, ...second.credentials }).toEqual(credentials);
      expect(first.detail).toMatch(/\w/);
    });
  }
}

/** Texts that are JSON, or not even that, and no delivery. */
export const NOT_A_DELIVERY = ["null", "1", '"x"', "[]", '{"type":1}', "{"];
