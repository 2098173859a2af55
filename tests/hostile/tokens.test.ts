import { SignJWT, generateKeyPair } from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { createApp as createLinks } from "../../functions/links/app.ts";
import { uuid7 } from "../../modules/kernel/database/ids.ts";
import { sha256Hex } from "../../modules/kernel/secrets/signatures.ts";
import { linkToken } from "../../modules/channels/email/tokens.ts";
import { Guard } from "../../supabase/embedded/guard.ts";
import { testKernel, type TestTenant } from "../support/kernel.ts";
import { leakIn, stateReader } from "./watch.ts";

// Tokens that are forged, borrowed, used again, or meant for something else.

const t = testKernel({ OVERTURE_API_RATE: "1000", OVERTURE_API_BURST: "10000" });
let team: TestTenant;
let state: (tenantId: string) => Promise<string>;
beforeAll(async () => {
  [team, state] = [await t.tenant(), await stateReader(t)];
});

const anonymous = () => {
  const address = `2001:db8::${crypto.randomUUID().slice(0, 4)}`;
  const call = t.call(null);
  return (method: string, path: string, body?: unknown) => call(method, path, body, { "x-forwarded-for": address });
};

describe("access tokens", () => {
  const encode = (value: object) =>
    btoa(JSON.stringify(value)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const claims = () => ({
    sub: team.owner.userId,
    email: team.owner.email,
    role: "authenticated",
    aud: "authenticated",
    iat: now(),
    exp: now() + 3600,
  });
  const now = () => Math.floor(Date.now() / 1000);
  const hs256 = (payload: Record<string, unknown>, secret = t.env.SUPABASE_JWT_SECRET!) =>
    new SignJWT(payload).setProtectedHeader({ alg: "HS256", typ: "JWT" }).sign(new TextEncoder().encode(secret));
  const without = (name: string) => Object.fromEntries(Object.entries(claims()).filter(([k]) => k !== name));

  test("are taken only as Supabase Auth signs them for a person", async () => {
    const { privateKey } = await generateKeyPair("ES256");
    const tokens: Record<string, string> = {
      "alg none": `${encode({ alg: "none", typ: "JWT" })}.${encode(claims())}.`,
      "alg None with a signature": `${encode({ alg: "None" })}.${encode(claims())}.${"A".repeat(43)}`,
      "no signature": (await hs256(claims())).split(".").slice(0, 2).join("."),
      "signed with the publishable key": await hs256(claims(), t.env.SUPABASE_PUBLISHABLE_KEY!),
      "signed with an empty key's stand-in": await hs256(claims(), "\0".repeat(32)),
      "signed with the secret key": await hs256(claims(), t.env.SUPABASE_SECRET_KEY!),
      "a key pair of the attacker's": await new SignJWT(claims())
        .setProtectedHeader({ alg: "ES256", kid: "x" })
        .sign(privateKey),
      "pointing to the attacker's keys": await new SignJWT(claims())
        .setProtectedHeader({ alg: "ES256", jku: "https://evil.example/jwks.json", kid: "../../../../dev/null" })
        .sign(privateKey),
      "claiming RS256 over an HMAC": `${encode({ alg: "RS256" })}.${(await hs256(claims())).split(".").slice(1).join(".")}`,
      HS512: await new SignJWT(claims())
        .setProtectedHeader({ alg: "HS512" })
        .sign(new TextEncoder().encode(t.env.SUPABASE_JWT_SECRET)),
      service_role: await hs256({ ...claims(), role: "service_role" }),
      anon: await hs256({ ...claims(), role: "anon" }),
      "no role": await hs256(without("role")),
      "a role as a list": await hs256({ ...claims(), role: ["authenticated"] }),
      "another audience": await hs256({ ...claims(), aud: "https://other.example" }),
      "no audience": await hs256(without("aud")),
      expired: await hs256({ ...claims(), exp: now() - 60 }),
      "without an end": await hs256(without("exp")),
      "not yet valid": await hs256({ ...claims(), nbf: now() + 3600 }),
      "without a person": await hs256(without("sub")),
      "a person that is SQL": await hs256({ ...claims(), sub: "' or 1=1 --" }),
      "a payload of another": (await hs256(claims())).replace(
        /\.[^.]+\./,
        `.${encode({ ...claims(), sub: uuid7() })}.`,
      ),
      "very long": `${await hs256(claims())}${"A".repeat(100_000)}`,
      "no JWT": "x.y.z",
      dots: "....",
    };
    for (const [name, token] of Object.entries(tokens)) {
      const answer = await t.call(token, team.id)("GET", "/tenant");
      expect([name, answer.status, answer.body.code]).toEqual([name, 401, "unauthenticated"]);
      expect(leakIn(JSON.stringify(answer.body), t.env), name).toBeNull();
    }
    expect((await t.call(await hs256(claims()), team.id)("GET", "/tenant")).status).toBe(200);
  });

  test("and keys of other kinds do not stand in for each other", async () => {
    const { body } = await team.api("POST", "/api-keys", { name: "k", scopes: ["contacts:read"] });
    const key = body.key as string;
    expect((await t.call(key)("GET", "/contacts")).status).toBe(200);
    for (const bad of [
      `${key}x`,
      key.slice(0, -1),
      key.toUpperCase(),
      `ovk_${"a".repeat(43)}`,
      "ovk_",
      t.env.SUPABASE_SECRET_KEY!,
      t.env.SUPABASE_PUBLISHABLE_KEY!,
    ]) {
      expect((await t.call(bad)("GET", "/contacts")).status, bad.slice(0, 12)).toBe(401);
      expect((await t.call(null)("GET", "/contacts", undefined, { "x-api-key": bad })).status, bad.slice(0, 12)).toBe(
        401,
      );
    }
    expect((await t.call(null)("GET", "/contacts", undefined, { "x-api-key": team.owner.token })).status).toBe(401);
    // A person's acts are not open to a program.
    expect((await t.call(key)("GET", "/tenants")).status).toBe(401);
    expect((await t.call(key)("GET", "/auth/me")).status).toBe(401);
  });

  test("the database's own door does not take forged ones either", async () => {
    const rest = (token: string) =>
      fetch(`${t.env.SUPABASE_URL}/rest/v1/contacts?select=id`, {
        headers: { apikey: t.env.SUPABASE_PUBLISHABLE_KEY!, authorization: `Bearer ${token}` },
      });
    const service = { ...claims(), role: "service_role" };
    for (const token of [
      await hs256(service, t.env.SUPABASE_PUBLISHABLE_KEY!),
      `${encode({ alg: "none" })}.${encode(service)}.`,
      await hs256({ ...service, exp: now() - 60 }),
    ]) {
      const answer = await rest(token);
      expect(answer.status).toBe(401);
      await answer.body?.cancel();
    }
  });
});

describe("tokens in links", () => {
  const links = createLinks(t.kernel);
  async function message(by: TestTenant) {
    const [id, contact] = [uuid7(), uuid7()];
    await t.sql`insert into public.contacts (tenant_id, id, email) values (${by.id}, ${contact}, ${`${contact}@example.com`})`;
    await t.sql`insert into public.messages (tenant_id, id, direction, channel, action, status, contact_id, from_address, to_address, subject, thread_id, sent_at)
      values (${by.id}, ${id}, 'out', 'email', 'email.send', 'sent', ${contact}, 'me@us.example', ${`${contact}@example.com`}, 'x', ${id}, now())`;
    await t.sql`insert into public.tracked_links (tenant_id, message_id, number, url) values (${by.id}, ${id}, 1, 'https://example.com/')`;
    return id;
  }
  const make = (purpose: "open" | "click" | "unsubscribe", tenantId: string, messageId: string, number = 0) =>
    linkToken(t.kernel.vault, purpose, { tenantId, messageId, number });

  test("do one thing each: none opens another door, and no single changed character passes", async () => {
    const id = await message(team);
    const before = await state(team.id);
    const doors = { o: "open", c: "click", u: "unsubscribe" } as const;
    for (const [door, right] of Object.entries(doors)) {
      for (const purpose of Object.values(doors).filter((p) => p !== right)) {
        const token = await make(purpose, team.id, id, purpose === "click" ? 1 : 0);
        for (const method of door === "u" ? ["GET", "POST"] : ["GET"])
          expect((await links.request(`/links/${door}/${token}`, { method })).status, `${purpose} at ${door}`).toBe(
            404,
          );
      }
    }
    const good = await make("unsubscribe", team.id, id);
    for (let i = 0; i < good.length; i += 3) {
      const changed = `${good.slice(0, i)}${good[i] === "A" ? "B" : "A"}${good.slice(i + 1)}`;
      expect((await links.request(`/links/u/${changed}`, { method: "POST" })).status).toBe(404);
    }
    for (const odd of [
      good.slice(0, -1),
      `${good}A`,
      encodeURIComponent(`${good}\0`),
      "A".repeat(88),
      "%ff",
      "__proto__",
    ]) {
      expect((await links.request(`/links/u/${odd}`, { method: "POST" })).status, odd.slice(0, 20)).toBe(404);
    }
    expect(await state(team.id)).toBe(before);
  });

  test("that name a message of another team, though well signed, reach nothing there", async () => {
    const other = await t.tenant();
    const theirs = await message(other);
    const before = await state(other.id);
    const status = async (door: string, token: string, method = "GET") =>
      (
        await links.request(`/links/${door}/${token}`, {
          method,
          headers: { "user-agent": "Mozilla/5.0 (X11) Firefox/140.0" },
        })
      ).status;
    expect(await status("c", await make("click", team.id, theirs, 1))).toBe(410);
    expect(await status("u", await make("unsubscribe", team.id, theirs))).toBe(410);
    await status("u", await make("unsubscribe", team.id, theirs), "POST");
    await status("o", await make("open", team.id, theirs));
    expect(await state(other.id)).toBe(before);
    expect((await t.sql`select 1 from public.suppressions where tenant_id in (${team.id}, ${other.id})`).length).toBe(
      0,
    );
  });

  test("an invitation is no claim, a claim no invitation, and neither works twice or for two", async () => {
    const email = `${uuid7()}@example.com`;
    const invited = await team.api("POST", "/invitations", { email, role: "viewer" });
    const token = new URL(invited.body.url as string).searchParams.get("token")!;
    const account = { password: "a long enough password", name: "New" };
    const claim = await anonymous()("POST", "/auth/claim", {
      token,
      email: `${uuid7()}@example.com`,
      tenant_name: "Mine",
      ...account,
    });
    expect(claim.status).toBe(410);
    expect((await anonymous()("GET", `/auth/claim?token=${token}`)).body).toEqual({ valid: false });
    for (const odd of [
      token.toUpperCase(),
      token.slice(0, -1),
      token.replace("ovi_", "ovc_"),
      `${token}\u200b`,
      "' or true --",
    ]) {
      expect(
        (await anonymous()("POST", "/auth/invitation/accept", { token: odd, ...account })).status,
        odd.slice(0, 8),
      ).toBe(410);
    }
    expect((await anonymous()("POST", "/auth/invitation/accept", { token, ...account })).status).toBe(200);
    expect((await anonymous()("POST", "/auth/invitation/accept", { token, ...account })).status).toBe(410);
    expect((await anonymous()("GET", `/auth/invitation?token=${token}`)).body).toEqual({
      valid: false,
      email: null,
      tenant_name: null,
      role: null,
    });
    const members = await t.sql<
      { email: string; role: string }[]
    >`select email, role from public.members where tenant_id = ${team.id} and email = ${email}`;
    expect(members.map((m) => m.role)).toEqual(["viewer"]);
  });

  test("an invitation is for its e-mail and one person, whatever the API in front of it has checked", async () => {
    const email = `${uuid7()}@example.com`;
    const invited = await team.api("POST", "/invitations", { email, role: "viewer" });
    const hash = await sha256Hex(new URL(invited.body.url as string).searchParams.get("token")!);
    const accept = async (userId: string, as: string) =>
      (await t.sql<{ id: string | null }[]>`select (private.accept_invitation(${hash}, ${userId}, ${as}, 'X')).id`)[0]!
        .id;
    expect(await accept(uuid7(), `not-${email}`)).toBeNull();
    expect(await accept(uuid7(), email.toUpperCase())).toBe(team.id);
    expect(await accept(uuid7(), email)).toBeNull();
    expect(
      await t.sql`select 1 from public.members where tenant_id = ${team.id} and email like ${`%${email}`}`,
    ).toHaveLength(1);
  });

  test("a refresh token is no access token, and its use replaces it", async () => {
    const email = `${uuid7()}@example.com`;
    const session = (
      await anonymous()("POST", "/auth/register", {
        email,
        password: "a long enough password",
        name: "R",
        tenant_name: "R",
      })
    ).body;
    expect((await t.call(session.refresh_token as string)("GET", "/tenants")).status).toBe(401);
    const next = await anonymous()("POST", "/auth/refresh", { refresh_token: session.refresh_token });
    expect(next.status).toBe(200);
    expect(next.body.refresh_token).not.toBe(session.refresh_token);
  });
});

describe("guessing passwords past the API, at the auth server itself", () => {
  test("is limited per e-mail, whatever addresses it comes from", async () => {
    const email = `${uuid7()}@example.com`;
    const guess = (to: string) =>
      fetch(`${t.env.SUPABASE_URL}/auth/v1/token?grant_type=password`, {
        method: "POST",
        headers: {
          apikey: t.env.SUPABASE_PUBLISHABLE_KEY!,
          "content-type": "application/json",
          "x-forwarded-for": `2001:db8::${crypto.randomUUID().slice(0, 4)}`,
        },
        body: JSON.stringify({ email: to, password: "guess guess" }),
      }).then(async (r) => (await r.body?.cancel(), r));
    const statuses = (
      await Promise.all(Array.from({ length: 40 }, (_, i) => guess(i % 2 ? email : email.toUpperCase())))
    ).map((r) => r.status);
    expect(statuses.filter((s) => s === 429).length).toBeGreaterThan(3);
    expect((await guess(email)).headers.get("retry-after")).toMatch(/^\d+$/);
    expect((await guess(`${uuid7()}@example.com`)).status).toBe(400);
  });

  test("and per address; attempts come back with time; refreshing is not guessing", async () => {
    let now = 0;
    const guard = new Guard({ now: () => now });
    const attempt = async (path: string, peer = "203.0.113.9", headers = {}) => {
      const admitted = await guard.admit(
        new Request(`http://x${path}`, {
          method: "POST",
          headers,
          body: JSON.stringify({ email: `${uuid7()}@x.example` }),
        }),
        peer,
      );
      return admitted instanceof Response ? admitted.status : 200;
    };
    const token = "/auth/v1/token?grant_type=password";
    for (let i = 0; i < 120; i++) expect(await attempt(token)).toBe(200);
    expect(await attempt(token)).toBe(429);
    // What a stranger claims about others counts for nothing; only a proxy on this machine is believed.
    expect(await attempt(token, "203.0.113.9", { "x-forwarded-for": "198.51.100.1" })).toBe(429);
    expect(await attempt(token, "203.0.113.10")).toBe(200);
    expect(await attempt("/auth/v1/token?grant_type=refresh_token")).toBe(200);
    now += 1000;
    expect([await attempt(token), await attempt(token), await attempt(token)]).toEqual([200, 200, 429]);
  });
});
