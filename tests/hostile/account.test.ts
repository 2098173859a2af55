import { afterAll, describe, expect, test } from "vitest";
import postgres from "postgres";
import { REFUSED_MS } from "../../supabase/embedded/auth-rules.ts";
import { testKernel } from "../support/kernel.ts";

// An account as somebody uses it who has copied one of its tokens, or guesses its password: it stays its owner's.

const t = testKernel({ OVERTURE_API_RATE: "1000", OVERTURE_API_BURST: "10000" });
const admin = postgres(t.env.SUPABASE_ADMIN_DB_URL!, { max: 1, onnotice: () => {} });
afterAll(() => admin.end());

const PASSWORD = "a long enough password";
const OTHER = "quite another password";
type Session = { access_token: string; refresh_token: string; user: { id: string; email: string } };

/** An address of the documentation's networks, another each time. */
const somewhere = () => `203.0.${100 + Math.floor(Math.random() * 100)}.${1 + Math.floor(Math.random() * 250)}`;
const api = (
  token: string | null,
  method: string,
  path: string,
  body?: unknown,
  from = somewhere(),
  agent = "Test/1",
) => t.call(token)(method, path, body, { "x-forwarded-for": from, "user-agent": agent });

async function raw(method: string, path: string, body?: unknown, token?: string, from = somewhere()) {
  const response = await fetch(`${t.env.SUPABASE_URL}/auth/v1${path}`, {
    method,
    headers: {
      apikey: t.env.SUPABASE_PUBLISHABLE_KEY!,
      "content-type": "application/json",
      "x-forwarded-for": from,
      ...(token ? { authorization: `Bearer ${token}` } : {}),
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    redirect: "manual",
  });
  const text = await response.text();
  return { status: response.status, body: /^[{[]/.test(text) ? JSON.parse(text) : text };
}

async function person() {
  const email = `${crypto.randomUUID()}@example.com`;
  const home = somewhere();
  const input = { email, password: PASSWORD, name: "Ada", tenant_name: "Ada" };
  const made = await api(null, "POST", "/auth/register", input, home);
  expect(made.status).toBe(201);
  const signIn = async (password = PASSWORD, from = home, agent?: string) =>
    await api(null, "POST", "/auth/login", { email, password }, from, agent);
  return { email, home, tenantId: made.body.tenant.id as string, session: made.body as Session, signIn };
}

const works = async (session: Session) => {
  const me = await api(session.access_token, "GET", "/auth/me");
  const team = await api(session.access_token, "GET", "/members");
  const rest = await fetch(`${t.env.SUPABASE_URL}/rest/v1/members?select=user_id`, {
    headers: { apikey: t.env.SUPABASE_PUBLISHABLE_KEY!, authorization: `Bearer ${session.access_token}` },
  });
  return [me.status, team.status, ((await rest.json()) as unknown[]).length];
};
const OPEN = [200, 200, 1];
const ENDED = [401, 401, 0];

describe("a stolen access token", () => {
  test("changes neither password nor address, at the API or at the auth server", async () => {
    const { email, session, signIn } = await person();
    const { access_token: stolen } = session;
    const change = await api(stolen, "POST", "/auth/password", {
      current_password: "a guess of mine",
      password: OTHER,
    });
    expect([change.status, change.body.errors?.[0].pointer]).toEqual([422, "/current_password"]);
    for (const current of [undefined, null, "", OTHER, 7, [PASSWORD], { $ne: "" }, true]) {
      const answer = await raw("PUT", "/user", { password: OTHER, current_password: current }, stolen);
      expect([current, answer.status, answer.body.error_code]).toEqual([current, 400, "current_password_mismatch"]);
    }
    for (const body of [
      { email: "thief@example.com" },
      { email: "thief@example.com", password: PASSWORD, current_password: PASSWORD },
      { email: "" },
      { email: null },
      { data: { a: 1 }, email: "thief@example.com" },
      { phone: "+15550100" },
    ]) {
      const answer = await raw("PUT", "/user", body, stolen);
      expect([body, answer.status, answer.body.error_code]).toEqual([body, 403, "email_change_needs_confirmation"]);
    }
    // Other spellings of the same request.
    for (const [method, path, body] of [
      ["PUT", "/user/", { password: OTHER }],
      ["PUT", "//user", { password: OTHER }],
      ["PUT", "/USER", { password: OTHER }],
      ["POST", "/user", { password: OTHER }],
      ["PATCH", "/user", { password: OTHER }],
      ["PUT", "/user?password=x", `\uFEFF{"password":"${OTHER}"}`],
      ["PUT", "/user", `{"password":"${PASSWORD}","password":"${OTHER}"}`],
      ["PUT", "/user", `{"data":{},"p\\u0061ssword":"${OTHER}"}`],
      ["PUT", "/admin/users/x", { password: OTHER }],
    ] as const) {
      const answer = await raw(method, path, body, stolen);
      expect([path, body, answer.status >= 400]).toEqual([path, body, true]);
    }
    expect((await signIn(OTHER)).status).toBe(401);
    expect((await signIn()).status).toBe(200);
    expect((await raw("GET", "/user", undefined, stolen)).body).toMatchObject({ email });
    // What is no credential may still be changed, and an address that is no part of it stays.
    expect((await raw("PUT", "/user", { data: { name: "Ada L." } }, stolen)).status).toBe(200);
  });

  test("asks for no code that would do instead of a password, and no code is taken", async () => {
    const { email, session } = await person();
    for (const [method, path, body] of [
      ["POST", "/recover", { email }],
      ["POST", "/otp", { email }],
      ["POST", "/magiclink", { email }],
      ["POST", "/resend", { type: "email_change", email }],
      ["GET", "/reauthenticate", undefined],
      ["POST", "/verify", { type: "recovery", email, token: "123456" }],
      ["GET", "/verify?type=recovery&token=123456", undefined],
      ["PUT", "/recover", { email }],
    ] as const) {
      const answer = await raw(method, path, body, session.access_token);
      expect([path, answer.status, answer.body.error_code]).toEqual([path, 403, "email_provider_disabled"]);
    }
    const [row] = await admin`select recovery_token, reauthentication_token from auth.users where email = ${email}`;
    expect(row).toEqual({ recovery_token: null, reauthentication_token: null });
  });

  test("guesses the password a few times; the owner's other session is not held up by it", async () => {
    const { session, signIn } = await person();
    const own = (await signIn()).body as Session;
    const guess = (i: number) => ({ current_password: `guess number ${i}`, password: OTHER });
    // All at once: one after the other they would take so long that some come back.
    const many = (times: number, send: (i: number) => Promise<{ status: number }>) =>
      Promise.all(Array.from({ length: times }, async (_, i) => (await send(i)).status));
    expect(await many(40, (i) => raw("PUT", "/user", guess(i), session.access_token))).toContain(429);
    const statuses = await many(20, (i) => api(session.access_token, "POST", "/auth/password", guess(i)));
    expect(new Set(statuses)).toEqual(new Set([422, 429]));
    const input = { current_password: PASSWORD, password: OTHER };
    expect((await api(own.access_token, "POST", "/auth/password", input)).status).toBe(200);
  });
});

describe("a changed password", () => {
  test("ends every other session at once: refresh tokens, access tokens, and what the database shows", async () => {
    const { session, signIn, home } = await person();
    const thief = (await signIn(PASSWORD, somewhere())).body as Session;
    expect(await works(thief)).toEqual(OPEN);
    const input = { current_password: PASSWORD, password: OTHER };
    const changed = await api(session.access_token, "POST", "/auth/password", input, home);
    expect(changed.status).toBe(200);
    for (const old of [thief, session]) {
      expect(await works(old)).toEqual(ENDED);
      expect((await api(null, "POST", "/auth/refresh", { refresh_token: old.refresh_token })).status).toBe(401);
      const { refresh_token } = old;
      expect((await raw("POST", "/token?grant_type=refresh_token", { refresh_token })).status).toBe(400);
    }
    expect(await works(changed.body)).toEqual(OPEN);
    expect((await api(null, "POST", "/auth/refresh", { refresh_token: changed.body.refresh_token })).status).toBe(200);
    expect((await signIn(PASSWORD)).status).toBe(401);
    expect((await signIn(OTHER)).status).toBe(200);
  });

  test("also when it is changed at the auth server, and a refused change ends nothing", async () => {
    const { session, signIn } = await person();
    const other = (await signIn()).body as Session;
    const put = (password: string) =>
      raw("PUT", "/user", { password, current_password: PASSWORD }, session.access_token);
    expect([(await put("short")).status, (await put(PASSWORD)).status]).toEqual([422, 422]);
    const same = { current_password: PASSWORD, password: PASSWORD };
    const refused = await api(session.access_token, "POST", "/auth/password", same);
    expect([refused.status, refused.body.errors?.[0].pointer]).toEqual([422, "/password"]);
    expect(await works(session)).toEqual(OPEN);
    expect(await works(other)).toEqual(OPEN);
    expect((await put(OTHER)).status).toBe(200);
    expect(await works(other)).toEqual(ENDED);
    expect((await signIn(OTHER)).status).toBe(200);
  });
});

describe("the list of sessions", () => {
  test("says where one is signed in, and ends one or all others at once", async () => {
    const { session, signIn, home } = await person();
    const elsewhere = somewhere();
    const phone = (await signIn(PASSWORD, elsewhere, "Phone/2 \u00ff<b>")).body as Session;
    const third = (await signIn()).body as Session;
    const listed = await api(session.access_token, "GET", "/auth/sessions");
    expect(listed.status).toBe(200);
    const rows = listed.body.data as { id: string; current: boolean; address: string; user_agent: string }[];
    expect(rows.map((row) => row.current).toSorted()).toEqual([false, false, true]);
    const current = rows.find((row) => row.current)!;
    expect(current).toMatchObject({ address: home, user_agent: "Test/1" });
    const found = rows.find((row) => row.address === elsewhere)!;
    expect(found.user_agent).toBe("Phone/2 <b>");

    expect((await api(session.access_token, "DELETE", `/auth/sessions/${found.id}`)).status).toBe(204);
    expect(await works(phone)).toEqual(ENDED);
    expect((await api(null, "POST", "/auth/refresh", { refresh_token: phone.refresh_token })).status).toBe(401);
    expect((await api(session.access_token, "DELETE", `/auth/sessions/${found.id}`)).status).toBe(404);
    expect(await works(third)).toEqual(OPEN);
    expect((await api(session.access_token, "DELETE", "/auth/sessions")).status).toBe(204);
    expect(await works(third)).toEqual(ENDED);
    expect(await works(session)).toEqual(OPEN);
    expect((await api(session.access_token, "GET", "/auth/sessions")).body.data).toHaveLength(1);
  });

  test("is one's own: a stranger's session cannot be seen, nor ended", async () => {
    const [ada, eve] = [await person(), await person()];
    const [{ id }] = (await api(ada.session.access_token, "GET", "/auth/sessions")).body.data;
    expect((await api(eve.session.access_token, "DELETE", `/auth/sessions/${id}`)).status).toBe(404);
    const theirs = (await api(eve.session.access_token, "GET", "/auth/sessions")).body.data as { id: string }[];
    expect(theirs.map((row) => row.id)).not.toContain(id);
    expect((await api(eve.session.access_token, "DELETE", "/auth/sessions")).status).toBe(204);
    expect(await works(ada.session)).toEqual(OPEN);
    for (const none of [null, "x.y.z"]) expect((await api(none, "GET", "/auth/sessions")).status).toBe(401);
  });

  test("signing out ends the access token as well, everywhere", async () => {
    const { session } = await person();
    expect((await api(session.access_token, "POST", "/auth/logout", {})).status).toBe(204);
    expect(await works(session)).toEqual(ENDED);
    // It is no obstacle to signing in again, as an expired one is none.
    const again = { email: session.user.email, password: PASSWORD };
    expect((await api(session.access_token, "POST", "/auth/login", again)).status).toBe(200);
  });
});

describe("a refresh token one step behind", () => {
  const old = (token: string) =>
    admin`update auth.refresh_tokens set updated_at = now() - interval '11 seconds' where token = ${token}`;
  const refreshes = {
    "at the API": async (refresh_token: string) => await api(null, "POST", "/auth/refresh", { refresh_token }),
    "at the auth server": async (refresh_token: string) =>
      await raw("POST", "/token?grant_type=refresh_token", { refresh_token }),
  };

  test.each(Object.entries(refreshes))(
    "that is used again %s is a theft: the session ends for thief and owner",
    async (_where, refresh) => {
      const { session, signIn } = await person();
      const elsewhere = (await signIn()).body as Session;
      const next = (await refresh(session.refresh_token)).body as Session;
      await old(session.refresh_token);
      expect((await refresh(session.refresh_token)).status).toBeGreaterThanOrEqual(400);
      expect(await works(next)).toEqual(ENDED);
      for (const token of [session.refresh_token, next.refresh_token])
        for (const use of Object.values(refreshes)) expect((await use(token)).status).toBeGreaterThanOrEqual(400);
      // Of the account's other sessions the thief has nothing.
      expect(await works(elsewhere)).toEqual(OPEN);
    },
  );

  test.each(Object.entries(refreshes))(
    "that is repeated within seconds %s gets the answer that was lost",
    async (_where, refresh) => {
      const { session } = await person();
      const next = (await refresh(session.refresh_token)).body as Session;
      const again = await refresh(session.refresh_token);
      expect([again.status, again.body.refresh_token]).toEqual([200, next.refresh_token]);
      expect(await works(next)).toEqual(OPEN);
    },
  );

  test("is noticed under any name of the grant, and where the thief was first", async () => {
    const { session } = await person();
    const thief = (await raw("POST", "/token?grant_type=refresh_token", { refresh_token: session.refresh_token })).body;
    await old(session.refresh_token);
    const body = { refresh_token: session.refresh_token };
    expect((await raw("POST", "/token?grant_type=refresh_token&grant_type=password", body)).status).toBe(400);
    expect(await works(thief)).toEqual(ENDED);
  });
});

describe("guesses of strangers", () => {
  // All at once: one after the other they would take so long that some come back.
  const guesses = (email: string, times: number, send: (email: string, password: string) => Promise<number>) =>
    Promise.all(Array.from({ length: times }, (_, i) => send(email, `guess number ${i}`)));
  const throughApi = async (email: string, password: string) =>
    (await api(null, "POST", "/auth/login", { email, password })).status;
  const straight = async (email: string, password: string) =>
    (await raw("POST", "/token?grant_type=password", { email, password })).status;

  test("from many addresses are limited together, and do not lock the owner out where they signed in before", async () => {
    const { email, home, signIn } = await person();
    expect(await guesses(email, 20, throughApi)).toContain(429);
    expect(await guesses(email, 45, straight)).toContain(429);
    expect((await signIn()).status).toBe(200);
    const mistyped = await api(null, "POST", "/auth/login", { email, password: OTHER }, home);
    expect(mistyped.status).toBe(401);
    expect(
      (await raw("POST", "/token?grant_type=password", { email, password: PASSWORD }, undefined, home)).status,
    ).toBe(200);
    // From a new address even the right password has to wait: it cannot be told from a guess. (One attempt may have come back by now.)
    const anew = [];
    for (let i = 0; i < 3; i++) anew.push(await throughApi(email, OTHER));
    expect(anew).toContain(429);
  });

  test("from an address that the owner uses have their limit as well, and leave the other addresses theirs", async () => {
    const { email, signIn } = await person();
    const office = "2001:db8:1:2::7";
    expect((await signIn(PASSWORD, office)).status).toBe(200);
    const fromHome = async (_: string, password: string) => (await signIn(password)).status;
    expect(await guesses(email, 20, fromHome)).toContain(429);
    // The device has another address of the same network by now.
    expect((await signIn(PASSWORD, "2001:db8:1:2:aaaa:bbbb:cccc:dddd")).status).toBe(200);
    expect((await signIn(PASSWORD, "2001:db8:1:3::7")).status).toBe(200);
  });

  test("take the same least time whether or not there is such an account, under any name of the grant", async () => {
    const { email } = await person();
    const nobody = `${crypto.randomUUID()}@example.com`;
    const token =
      (grant: string, more: object = {}) =>
      (as: string) =>
        raw("POST", `/token?grant_type=${grant}`, { email: as, password: OTHER, ...more });
    for (const guess of [
      (as: string) => api(null, "POST", "/auth/login", { email: as, password: OTHER }),
      token("password"),
      token("password", { refresh_token: "none" }),
      token("password&grant_type=refresh_token"),
      token("refresh_token&grant_type=password"),
    ])
      for (const as of [email, nobody]) {
        const begun = performance.now();
        const { status } = await guess(as);
        expect([400, 401]).toContain(status);
        expect(performance.now() - begun, `${guess} ${as}`).toBeGreaterThanOrEqual(REFUSED_MS);
      }
  });

  test("make no address known: that takes the password", async () => {
    const { email } = await person();
    const thief = somewhere();
    const fromThere = async (as: string, password: string) =>
      (await api(null, "POST", "/auth/login", { email: as, password }, thief)).status;
    expect(await guesses(email, 20, fromThere)).toContain(429);
    // An account of one's own makes the address known for that account alone.
    const { email: own } = await person();
    expect((await api(null, "POST", "/auth/login", { email: own, password: PASSWORD }, thief)).status).toBe(200);
    const after = [];
    for (let i = 0; i < 3; i++)
      after.push((await api(null, "POST", "/auth/login", { email, password: OTHER }, thief)).status);
    expect(after).toContain(429);
  });
});
