import postgres from "postgres";
import { afterAll, describe, expect, test } from "vitest";
import { Guard } from "../../supabase/embedded/guard.ts";
import { testKernel } from "../support/kernel.ts";
import { sendRaw } from "./raw.ts";

// Sessions at the embedded auth server, as somebody uses them who has copied a token, and the walls around guessing.

const t = testKernel();
const auth = `${t.env.SUPABASE_URL}/auth/v1`;
const admin = postgres(t.env.SUPABASE_ADMIN_DB_URL!, { max: 1, onnotice: () => {} });
afterAll(() => admin.end());

const PASSWORD = "a long enough password";
type Session = { access_token: string; refresh_token: string };

const post = async (path: string, body: unknown, headers: Record<string, string> = {}) => {
  const response = await fetch(`${auth}${path}`, {
    method: "POST",
    headers: { apikey: t.env.SUPABASE_PUBLISHABLE_KEY!, "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === "" ? null : JSON.parse(text) };
};
const refresh = (refresh_token: string) => post("/token?grant_type=refresh_token", { refresh_token });

async function signIn(): Promise<Session> {
  const email = `${crypto.randomUUID()}@example.com`;
  expect((await post("/signup", { email, password: PASSWORD })).status).toBe(200);
  return (await post("/token?grant_type=password", { email, password: PASSWORD })).body as Session;
}

describe("a refresh token", () => {
  test("that was used up and is used again, by a thief or its owner, ends the session for both", async () => {
    const stolen = (await signIn()).refresh_token;
    const second = (await refresh(stolen)).body as Session;
    const third = (await refresh(second.refresh_token)).body as Session;
    // Within ten seconds, and for the one before the last, a second use is taken for a lost answer, as on Supabase.
    await admin`update auth.refresh_tokens set updated_at = now() - interval '1 minute' where token = ${stolen}`;
    expect((await refresh(stolen)).status).toBe(400);
    expect((await refresh(third.refresh_token)).status).toBe(400);
    expect((await refresh(second.refresh_token)).status).toBe(400);
  });

  test("is new each time, and the answer to a repeated request is the one already given", async () => {
    const first = (await signIn()).refresh_token;
    const second = ((await refresh(first)).body as Session).refresh_token;
    expect(second).not.toBe(first);
    expect(((await refresh(first)).body as Session).refresh_token).toBe(second);
  });

  test("ends with signing out, at the API and at the auth server, and so does asking who one is", async () => {
    for (const signOut of [
      (token: string) => t.call(token)("POST", "/auth/logout", {}),
      (token: string) => post("/logout?scope=local", {}, { authorization: `Bearer ${token}` }),
    ]) {
      const { access_token, refresh_token } = await signIn();
      expect((await signOut(access_token)).status).toBe(204);
      expect((await refresh(refresh_token)).status).toBe(400);
      expect((await t.call(null)("POST", "/auth/refresh", { refresh_token })).status).toBe(401);
      const who = await fetch(`${auth}/user`, {
        headers: { apikey: t.env.SUPABASE_PUBLISHABLE_KEY!, authorization: `Bearer ${access_token}` },
      });
      await who.body?.cancel();
      expect(who.status).toBe(403);
    }
  });
});

describe("the limit on attempts in front of the auth server", () => {
  const attempt = async (guard: Guard, path: string, peer: string) => {
    const body = JSON.stringify({ email: `${crypto.randomUUID()}@x.example` });
    const admitted = await guard.admit(new Request(`http://x${path}`, { method: "POST", body }), peer);
    return admitted instanceof Response ? admitted.status : 200;
  };
  const exhausted = async (guard: Guard, path: string, peer: string) => {
    for (let i = 0; i < 1000; i++) if ((await attempt(guard, path, peer)) === 429) return i;
    return Infinity;
  };

  test("cannot be avoided by spelling the address otherwise", async () => {
    for (const path of ["/auth/v1/%74oken", "/auth/v1/t%6Fken", "/auth/v1/toke%6e", "/auth/v1/%2e/token"]) {
      const answer = await sendRaw(
        t.env.SUPABASE_URL!,
        [
          `POST ${path}?grant_type=password HTTP/1.1`,
          `Host: ${new URL(auth).host}`,
          `apikey: ${t.env.SUPABASE_PUBLISHABLE_KEY}`,
          "Content-Type: application/json",
          "Content-Length: 2",
        ],
        "{}",
      );
      // As the address it means it is counted; as another one there is nothing there.
      if (!path.includes("%2e")) expect([path, answer.status]).toEqual([path, 404]);
    }
    const guard = new Guard({ now: () => 0 });
    expect(await attempt(guard, "/auth/v1/%74oken?grant_type=password", "203.0.113.1")).toBe(404);
    for (const query of [
      "grant_type=password",
      "grant_type=refresh_token&grant_type=password",
      "grant_type=password&grant_type=refresh_token",
      "grant_type=pkce",
      "",
    ])
      expect(await exhausted(new Guard({ now: () => 0 }), `/auth/v1/token?${query}`, "203.0.113.1"), query).toBe(120);
    for (const door of ["signup", "recover", "otp", "magiclink", "verify", "resend", "sso", "a-door-of-tomorrow"])
      expect(await exhausted(new Guard({ now: () => 0 }), `/auth/v1/${door}`, "203.0.113.1"), door).toBe(120);
  });

  test("counts guessing the token of a link in a mail as well", async () => {
    const guard = new Guard({ now: () => 0 });
    const follow = async () => {
      const request = new Request(`http://x/auth/v1/verify?type=recovery&token=${crypto.randomUUID()}`);
      const admitted = await guard.admit(request, "203.0.113.1");
      return admitted instanceof Response ? admitted.status : 200;
    };
    for (let i = 0; i < 120; i++) expect(await follow()).toBe(200);
    expect(await follow()).toBe(429);
  });

  test("is wide for refreshing, and there all the same: a token is not to be guessed either", async () => {
    const guard = new Guard({ now: () => 0 });
    expect(await exhausted(guard, "/auth/v1/token?grant_type=refresh_token", "203.0.113.1")).toBe(600);
    expect(await attempt(guard, "/auth/v1/token?grant_type=refresh_token", "203.0.113.2")).toBe(200);
    expect(await attempt(guard, "/auth/v1/logout", "203.0.113.1")).toBe(200);
  });
});

test("what a person stores of themselves is bounded, at once and over many requests: it is in every token of theirs", async () => {
  const email = `big-${crypto.randomUUID()}@example.com`;
  const account = { email, password: PASSWORD };
  expect((await post("/signup", { ...account, data: { name: "x".repeat(100_000) } })).status).toBe(413);
  const made = await post("/signup", { ...account, data: { name: "Ada" } });
  expect(made.status).toBe(200);
  const statuses: number[] = [];
  for (let i = 0; i < 4; i++) {
    const answer = await fetch(`${auth}/user`, {
      method: "PUT",
      headers: {
        apikey: t.env.SUPABASE_PUBLISHABLE_KEY!,
        authorization: `Bearer ${made.body.access_token}`,
        "content-type": "application/json",
      },
      body: JSON.stringify({ data: { [`k${i}`]: "x".repeat(6_000) } }),
    });
    await answer.body?.cancel();
    statuses.push(answer.status);
  }
  expect(statuses.slice(0, 2)).toEqual([200, 200]);
  expect(statuses.at(-1)).toBeGreaterThanOrEqual(400);
  const [row] =
    await admin`select octet_length(raw_user_meta_data::text) as bytes from auth.users where email = ${email}`;
  expect(row!.bytes).toBeLessThanOrEqual(16_384);
});
