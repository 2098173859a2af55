import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import { equalSecrets, randomToken, sha256Hex, signWebhook, verifyBasicAuth, verifyWebhook } from "./signatures.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const secret = `whsec_${btoa("0123456789abcdef01234567")}`;
const now = new Date("2026-11-20T12:00:00Z");
const seconds = now.getTime() / 1000;
const refused = expect.objectContaining({ code: "unauthenticated" });

const signed = async (body: Uint8Array, at = seconds, names = "svix") =>
  new Headers({
    [`${names}-id`]: "msg_1",
    [`${names}-timestamp`]: String(at),
    [`${names}-signature`]: await signWebhook(secret, "msg_1", at, body),
  });

describe("Standard Webhooks signatures", () => {
  test("the official library agrees with ours, in both directions", async () => {
    const body = '{"type":"email.delivered","text":"Grüße"}';
    const theirs = new Webhook(secret);
    expect(await signWebhook(secret, "msg_1", seconds, bytes(body))).toBe(theirs.sign("msg_1", now, body));
    const fresh = new Date();
    const headers = {
      "webhook-id": "m",
      "webhook-timestamp": String(Math.floor(fresh.getTime() / 1000)),
      "webhook-signature": theirs.sign("m", fresh, body),
    };
    expect(await verifyWebhook({ headers: new Headers(headers), body: bytes(body), now: fresh }, secret)).toEqual({
      delivery_id: "m",
    });
  });

  test("the known vector of the Svix documentation", async () => {
    const body = bytes('{"test": 2432232314}');
    const signature = await signWebhook(
      "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
      "msg_p5jXN8AQM9LWM0D4loKWxJek",
      1614265330,
      body,
    );
    expect(signature).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  });

  test("raw bytes are signed, so bytes that are no UTF-8 count too", async () => {
    const body = new Uint8Array([0xff, 0x00, 0xfe]);
    const headers = await signed(body);
    await expect(verifyWebhook({ headers, body, now }, secret)).resolves.toEqual({ delivery_id: "msg_1" });
    await expect(verifyWebhook({ headers, body: new Uint8Array([0xfe, 0x00, 0xff]), now }, secret)).rejects.toEqual(
      refused,
    );
  });

  test("a changed id or timestamp, an old version, an empty list are refused", async () => {
    const body = bytes("{}");
    const headers = await signed(body);
    for (const [name, value] of [
      ["svix-id", "msg_2"],
      ["svix-timestamp", String(seconds + 1)],
      ["svix-timestamp", "soon"],
      ["svix-timestamp", `${seconds}.0`],
      ["svix-signature", ""],
      ["svix-signature", "v1,"],
      ["svix-signature", (headers.get("svix-signature") ?? "").replace("v1,", "v2,")],
    ] as const) {
      const changed = new Headers(headers);
      changed.set(name, value);
      await expect(verifyWebhook({ headers: changed, body, now }, secret), `${name}: ${value}`).rejects.toEqual(
        refused,
      );
    }
  });

  test("no secret, an empty one or a short one verifies nothing, even a matching signature", async () => {
    const body = bytes("{}");
    const headers = await signed(body);
    for (const bad of [undefined, "", "whsec_", `whsec_${btoa("short")}`, "whsec_***"]) {
      await expect(verifyWebhook({ headers, body, now }, bad), String(bad)).rejects.toEqual(refused);
    }
  });

  test("300 seconds of tolerance, both ways, and not one more", async () => {
    const body = bytes("{}");
    for (const [offset, good] of [
      [300, true],
      [301, false],
      [-300, true],
      [-301, false],
    ] as const) {
      const verdict = verifyWebhook(
        { headers: await signed(body, seconds + offset, "webhook"), body, now },
        secret,
      ).then(
        () => true,
        () => false,
      );
      expect(await verdict, `${offset} s`).toBe(good);
    }
  });
});

describe("Basic auth and secrets", () => {
  const headers = (text: string) => new Headers({ authorization: `Basic ${btoa(text)}` });
  const expected = { username: "overture", password: "s3cret:with:colons" };

  test("only the exact pair passes", async () => {
    await expect(verifyBasicAuth(headers("overture:s3cret:with:colons"), expected)).resolves.toBeUndefined();
    for (const bad of ["overture:s3cret", "overture:", ":", "", "Overture:s3cret:with:colons"]) {
      await expect(verifyBasicAuth(headers(bad), expected), bad).rejects.toEqual(refused);
    }
    await expect(verifyBasicAuth(new Headers({ authorization: "Basic %%%" }), expected)).rejects.toEqual(refused);
    await expect(verifyBasicAuth(new Headers(), expected)).rejects.toEqual(refused);
  });

  test("nothing stored refuses everybody, also an empty pair", async () => {
    await expect(verifyBasicAuth(headers(":"), { username: "", password: "" })).rejects.toEqual(refused);
    await expect(
      verifyBasicAuth(headers("undefined:undefined"), { username: undefined, password: undefined }),
    ).rejects.toEqual(refused);
  });

  test("secrets of different lengths compare without an error", async () => {
    expect(await equalSecrets("a", "aa")).toBe(false);
    expect(await equalSecrets("ä", "ä")).toBe(true);
  });

  test("SHA-256 and random tokens", async () => {
    expect(await sha256Hex(bytes("abc"))).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const tokens = new Set(Array.from({ length: 50 }, () => randomToken()));
    expect(tokens.size).toBe(50);
    for (const token of tokens) expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
  });
});
