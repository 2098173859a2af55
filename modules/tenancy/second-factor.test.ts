import { describe, expect, test } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";
import { codeAt } from "./totp.ts";

const t = testKernel();
const PASSWORD = "a long enough password";
const OTHER = "quite another password";
type Session = { access_token: string; refresh_token: string; user: { id: string } };

const somewhere = () => `203.0.${Math.floor(Math.random() * 250)}.${Math.floor(Math.random() * 250)}`;
const api = (token: string | null, method: string, path: string, body?: unknown, from = somewhere()) =>
  t.call(token)(method, path, body, { "x-forwarded-for": from });
const pointer = (answer: { body: { errors?: { pointer: string }[] } }) => answer.body.errors?.[0]?.pointer;

/** A person with an authenticator app; `code(n)` is the app's code n steps from now. Without a team: made at the auth server. */
async function person({ team = true } = {}) {
  const email = `f-${crypto.randomUUID()}@example.com`;
  const input = { email, password: PASSWORD, name: "F", tenant_name: "F" };
  const session = (
    team ? (await api(null, "POST", "/auth/register", input)).body : await (await raws(email, "signup")).json()
  ) as Session;
  const begun = await api(session.access_token, "POST", "/auth/second-factor", { current_password: PASSWORD });
  expect(begun.status).toBe(200);
  const key: string = begun.body.key;
  const code = (steps = 0) => codeAt(key, Math.floor(Date.now() / 30_000) + steps);
  const signIn = (code?: string, password = PASSWORD, from = somewhere()) =>
    api(null, "POST", "/auth/login", { email, password, ...(code === undefined ? {} : { code }) }, from);
  /** As if a minute had passed: the codes of now count again. */
  const later = () =>
    t.sql`update private.second_factors set last_step = last_step - 3 where person = ${session.user.id}`;
  const confirm = async () => {
    const confirmed = await api(session.access_token, "POST", "/auth/second-factor/confirm", { code: code() });
    expect(confirmed.status).toBe(200);
    await later();
    return confirmed.body.recovery_codes as string[];
  };
  return { email, session, begun: begun.body as { key: string; uri: string }, code, signIn, later, confirm };
}
/** A session straight from the auth server, which knows no second factor. */
const raws = (email: string, how = "token?grant_type=password") =>
  fetch(`${t.env.SUPABASE_URL}/auth/v1/${how}`, {
    method: "POST",
    headers: { apikey: t.env.SUPABASE_PUBLISHABLE_KEY!, "content-type": "application/json" },
    body: JSON.stringify({ email, password: PASSWORD }),
  });
const works = async (session: Session) => {
  const me = await api(session.access_token, "GET", "/auth/me");
  const rest = await fetch(`${t.env.SUPABASE_URL}/rest/v1/members?select=user_id`, {
    headers: { apikey: t.env.SUPABASE_PUBLISHABLE_KEY!, authorization: `Bearer ${session.access_token}` },
  });
  return [me.status, ((await rest.json()) as unknown[]).length];
};

describe("a second factor", () => {
  test("is added with the password and a code, and then signing in takes one", async () => {
    const { session, begun, code, signIn, confirm } = await person();
    expect(begun.uri).toContain(`secret=${begun.key}`);
    // Until it is confirmed nothing has changed.
    const other = (await signIn()).body as Session;
    expect(await works(other)).toEqual([200, 1]);
    const wrong = await api(session.access_token, "POST", "/auth/second-factor/confirm", { code: code(9) });
    expect([wrong.status, pointer(wrong)]).toEqual([422, "/code"]);
    expect(await confirm()).toHaveLength(10);
    expect(await works(session)).toEqual([200, 1]);
    expect(await works(other)).toEqual([401, 0]);
    expect((await api(session.access_token, "GET", "/auth/second-factor")).body).toEqual({
      enabled: true,
      recovery_codes: 10,
    });
    const without = await signIn();
    expect([without.status, pointer(without)]).toEqual([422, "/code"]);
    // Without the password nobody learns that there is a second factor.
    expect((await signIn(undefined, OTHER)).status).toBe(401);
    expect((await signIn(code(), OTHER)).status).toBe(401);
    const signed = await signIn(code());
    expect(signed.status).toBe(200);
    expect(await works(signed.body)).toEqual([200, 1]);
    const fresh = await api(null, "POST", "/auth/refresh", { refresh_token: signed.body.refresh_token });
    expect(await works(fresh.body)).toEqual([200, 1]);
    const [stored] = await t.sql`select secret from private.second_factors where person = ${session.user.id}`;
    expect(stored!.secret).toMatch(/^v1\./);
    expect(stored!.secret).not.toContain(begun.key);
  });

  test("cannot be walked around at the auth server: a session made with the password alone counts for nothing", async () => {
    const { email, confirm } = await person();
    await confirm();
    const raw = await raws(email);
    expect(raw.status).toBe(200);
    const session = (await raw.json()) as Session;
    expect(await works(session)).toEqual([401, 0]);
    const fresh = await api(null, "POST", "/auth/refresh", { refresh_token: session.refresh_token });
    expect(fresh.status).toBe(422);
    for (const [method, path, body] of [
      ["POST", "/auth/password", { current_password: PASSWORD, password: OTHER }],
      ["POST", "/auth/second-factor/remove", { current_password: PASSWORD, code: "000000" }],
      ["GET", "/auth/second-factor", undefined],
      ["DELETE", "/auth/sessions", {}],
      ["POST", "/tenants", { name: "Mine" }],
    ] as const)
      expect((await api(session.access_token, method, path, body)).status, path).toBe(401);
    const put = await fetch(`${t.env.SUPABASE_URL}/auth/v1/user`, {
      method: "PUT",
      headers: {
        apikey: t.env.SUPABASE_PUBLISHABLE_KEY!,
        "content-type": "application/json",
        authorization: `Bearer ${((await (await raws(email)).json()) as Session).access_token}`,
      },
      body: JSON.stringify({ password: OTHER, current_password: PASSWORD }),
    });
    expect([put.status, ((await put.json()) as { error_code: string }).error_code]).toEqual([403, "insufficient_aal"]);
    const again = { email, password: PASSWORD, name: "F", tenant_name: "F" };
    expect((await api(null, "POST", "/auth/register", again)).status).toBe(409);
  });

  test("is asked for before an invitation is accepted, with the password or with a session made by it alone", async () => {
    const [{ email, code, confirm }, host] = [await person(), await t.tenant()];
    const [recovery] = await confirm();
    const invited = await host.api("POST", "/invitations", { email, role: "viewer" });
    const token = new URL(invited.body.url).searchParams.get("token")!;
    const open = async () => (await api(null, "GET", `/auth/invitation?token=${token}`)).body.valid as boolean;
    const accept = (given: object, bearer: string | null = null) =>
      api(bearer, "POST", "/auth/invitation/accept", { token, ...given });
    const { access_token } = (await (await raws(email)).json()) as Session;
    // Neither the session nor what is sent with it.
    for (const given of [{}, { password: PASSWORD }, { code: code() }, { password: PASSWORD, code: code() }])
      expect([(await accept(given, access_token)).status, await open()]).toEqual([401, true]);
    for (const given of [{}, { code: "000000" }, { code: code(9) }, { code: "AAAA-AAAA-AAAA-AAAA" }]) {
      const answer = await accept({ password: PASSWORD, ...given });
      expect([answer.status, pointer(answer), await open()]).toEqual([422, "/code", true]);
    }
    expect((await accept({ password: OTHER, code: code() })).status).toBe(409);
    expect(await t.sql`select 1 from public.members where tenant_id = ${host.id} and email = ${email}`).toEqual([]);
    const joined = await accept({ password: PASSWORD, code: recovery! });
    expect([joined.status, joined.body.tenant.id]).toEqual([200, host.id]);
    expect(await works(joined.body)).toEqual([200, 3]);
  });

  test("is asked for before a registration makes a workspace", async () => {
    const { email, code, confirm, later } = await person({ team: false });
    await confirm();
    const register = (given: object) =>
      api(null, "POST", "/auth/register", { email, password: PASSWORD, name: "F", tenant_name: "Late", ...given });
    const teams = () => t.sql`select 1 from public.members where email = ${email}`;
    for (const given of [{}, { code: "000000" }, { code: code(9) }]) {
      const answer = await register(given);
      expect([answer.status, pointer(answer), await teams()]).toEqual([422, "/code", []]);
    }
    const made = await register({ code: code() });
    expect(made.status).toBe(201);
    expect(await works(made.body)).toEqual([200, 1]);
    expect(await teams()).toHaveLength(1);
    await later();
    // Whoever has a team already is told so, and the code is not used up.
    const given = code();
    expect((await register({ code: given })).status).toBe(409);
    expect((await api(null, "POST", "/auth/login", { email, password: PASSWORD, code: given })).status).toBe(200);
  });

  test("cannot be walked around to end the owner's sessions: one without it ends itself alone", async () => {
    const { email, session, confirm } = await person();
    await confirm();
    const { access_token } = (await (await raws(email)).json()) as Session;
    const ask = async (method: string, path: string, token: string, body: unknown = {}) => {
      const response = await fetch(`${t.env.SUPABASE_URL}/auth/v1${path}`, {
        method,
        headers: {
          apikey: t.env.SUPABASE_PUBLISHABLE_KEY!,
          "content-type": "application/json",
          authorization: `Bearer ${token}`,
        },
        body: JSON.stringify(body),
      });
      const text = await response.text();
      return [response.status, text === "" ? "" : (JSON.parse(text) as { error_code?: string }).error_code];
    };
    for (const [method, path, body] of [
      ["POST", "/logout?scope=others", {}],
      ["POST", "/logout?scope=global", {}],
      ["POST", "/logout?scope=local&scope=global", {}],
      ["POST", "/logout?sc%6Fpe=global", {}],
      ["POST", "/logout", { scope: "global" }],
      ["POST", "/logout?scope=local", { scope: "others" }],
      ["PUT", "/user", { data: { name: "Thief" } }],
      ["PUT", "/user", {}],
    ] as const)
      expect([path, ...(await ask(method, path, access_token, body))]).toEqual([path, 403, "insufficient_aal"]);
    expect(await works(session)).toEqual([200, 1]);
    expect(await ask("POST", "/logout?scope=local", access_token)).toEqual([204, ""]);
    expect(await works(session)).toEqual([200, 1]);
    // What was made with it may do both.
    expect((await raws(email)).status).toBe(200);
    expect((await api(session.access_token, "GET", "/auth/sessions")).body.data).toHaveLength(2);
    expect((await ask("PUT", "/user", session.access_token, { data: { name: "Ada L." } }))[0]).toBe(200);
    expect((await ask("POST", "/logout?scope=others", session.access_token))[0]).toBe(204);
    expect((await api(session.access_token, "GET", "/auth/sessions")).body.data).toHaveLength(1);
    expect(await works(session)).toEqual([200, 1]);
  });

  test("a code counts once, also for two who use it at once, and an older one not after it", async () => {
    const { code, signIn, confirm } = await person();
    await confirm();
    const [now, before] = [code(), code(-1)];
    const both = await Promise.all([signIn(now), signIn(now)]);
    expect(both.map((answer) => answer.status).toSorted()).toEqual([200, 422]);
    expect((await signIn(now)).status).toBe(422);
    expect((await signIn(before)).status).toBe(422);
  });

  test("its guesses are limited, and strangers' do not hold up the owner where they signed in before", async () => {
    const { code, signIn, confirm, later } = await person();
    await confirm();
    const home = "198.51.100.7";
    expect((await signIn(code(), PASSWORD, home)).status).toBe(200);
    await later();
    const statuses = [];
    for (let i = 0; i < 12; i++) statuses.push((await signIn(String(100_000 + i))).status);
    expect(statuses.filter((status) => status === 422).length).toBeLessThanOrEqual(10);
    expect([statuses[0], statuses.at(-1)]).toEqual([422, 429]);
    expect((await signIn(code())).status).toBe(429);
    expect((await signIn(code(), PASSWORD, home)).status).toBe(200);
  });

  test("a recovery code stands for it once; odd codes stand for nothing", async () => {
    const { signIn, confirm, session } = await person();
    const [first, second] = await confirm();
    expect(first).toMatch(/^[A-Z2-7]{4}(-[A-Z2-7]{4}){3}$/);
    expect((await signIn(first!.toLowerCase().replaceAll("-", " "))).status).toBe(200);
    expect((await signIn(first)).status).toBe(422);
    expect((await api(session.access_token, "GET", "/auth/second-factor")).body.recovery_codes).toBe(9);
    for (const odd of ["-", "' or true --"]) expect((await signIn(odd)).status, odd).toBe(422);
    expect((await signIn(second)).status).toBe(200);
  });

  test("stays with a changed password, and is removed with the password and a code", async () => {
    const { session, code, signIn, confirm, later } = await person();
    await confirm();
    const change = { current_password: PASSWORD, password: OTHER };
    const changed = await api(session.access_token, "POST", "/auth/password", change);
    expect(changed.status).toBe(200);
    expect(await works(changed.body)).toEqual([200, 1]);
    expect((await signIn(undefined, OTHER)).status).toBe(422);
    const { access_token } = changed.body as Session;
    expect((await api(access_token, "POST", "/auth/second-factor", { current_password: OTHER })).status).toBe(409);
    const remove = (current_password: string, given: string) =>
      api(access_token, "POST", "/auth/second-factor/remove", { current_password, code: given });
    expect(pointer(await remove(PASSWORD, code()))).toBe("/current_password");
    expect(pointer(await remove(OTHER, "123456"))).toBe("/code");
    await later();
    expect((await remove(OTHER, code())).status).toBe(204);
    expect((await signIn(undefined, OTHER)).status).toBe(200);
  });
});
