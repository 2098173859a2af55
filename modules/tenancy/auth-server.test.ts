import { afterAll, afterEach, describe, expect, test } from "vitest";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { until } from "../../tests/support/until.ts";
import { fakeAuthServer } from "./testing.ts";

const auth = await fakeAuthServer();
/** Fewer connections than callers: whoever kept one while waiting would shut the others out. */
const t = testKernel({ SUPABASE_URL: auth.url, OVERTURE_DB_POOL: "2" });
afterAll(() => auth.close());
afterEach(() => {
  auth.release();
  auth.loseAnswers(false);
});

const address = () => `2001:db8::${crypto.randomUUID().slice(0, 4)}:${crypto.randomUUID().slice(0, 4)}`;
/** Each call from an address of its own, so that limits by address do not count here. */
const post = (path: string, body: unknown, token: string | null = null) =>
  t.call(token)("POST", path, body, { "x-forwarded-for": address() });
const person = () => ({ email: `s-${crypto.randomUUID()}@example.com`, password: "correct horse battery" });
const registration = () => ({ ...person(), name: "N", tenant_name: "Slow" });
const inviteTo = async (tenant: TestTenant, email: string) => {
  const { status, body } = await tenant.api("POST", "/invitations", { email, role: "member" });
  expect(status).toBe(201);
  return new URL(body.url).searchParams.get("token")!;
};
const teamsOf = (email: string) => t.sql`select tenant_id from public.members where email = ${email}`;
const statuses = async (calls: Promise<{ status: number }>[]) =>
  (await Promise.all(calls)).map((answer) => answer.status).sort();

describe("while the auth server is slow", () => {
  test("who waits for it holds no database connection: everybody else is answered", async () => {
    const tenant = await t.tenant();
    const known = registration();
    const { refresh_token } = (await post("/auth/register", known)).body;
    const [invited, guest] = [person(), person()];
    const [byPassword, bySession] = [await inviteTo(tenant, invited.email), await inviteTo(tenant, guest.email)];
    const session = await t.sign(crypto.randomUUID(), guest.email);
    const nobody = await t.sign(crypto.randomUUID(), "nobody@example.com");

    auth.hold();
    let answered = 0;
    const calls = [
      post("/auth/register", registration()),
      post("/auth/signup", registration()),
      post("/auth/login", { email: known.email, password: known.password }),
      post("/auth/login", { email: known.email, password: "not the password" }),
      post("/auth/refresh", { refresh_token }),
      post("/auth/invitation/accept", { token: byPassword, password: invited.password }),
      post("/auth/invitation/accept", { token: bySession }, session),
      t.call(nobody)("GET", "/auth/me"),
      t.call(nobody)("POST", "/tenants", { name: "Slow" }),
      post("/auth/logout", undefined, nobody),
    ].map((call) => call.finally(() => answered++));
    await until(() => auth.waiting() === calls.length, { what: "all calls to stand at the auth server" });

    expect((await tenant.api("GET", "/members")).status).toBe(200);
    expect((await tenant.api("PATCH", "/tenant", { name: "Renamed meanwhile" })).status).toBe(200);
    expect((await t.call(null)("GET", "/auth/options")).status).toBe(200);
    expect(answered).toBe(0);

    auth.release();
    const answers = await Promise.all(calls);
    expect(answers.map((a) => a.status)).toEqual([201, 201, 200, 401, 200, 200, 200, 200, 201, 204]);
    const team = (await tenant.api("GET", "/members")).body.data as { email: string; name: string }[];
    expect(team.map((m) => m.email)).toEqual(expect.arrayContaining([invited.email, guest.email]));
    expect(team.find((m) => m.email === guest.email)!.name).toBe("Known there");
  });

  test("registering twice at once makes one account and one team", async () => {
    const mine = registration();
    auth.hold();
    const calls = [1, 2, 3].map(() => post("/auth/register", mine));
    await until(() => auth.waiting() === 3, { what: "all three to have found no account" });
    auth.release();
    expect(await statuses(calls)).toEqual([201, 409, 409]);
    expect(await teamsOf(mine.email)).toHaveLength(1);
  });

  test("an invitation that all found good lets one in; the others get 410", async () => {
    const tenant = await t.tenant();
    const { email, password } = person();
    const token = await inviteTo(tenant, email);
    const session = await t.sign(crypto.randomUUID(), email);
    auth.hold();
    const calls = [
      ...[1, 2, 3].map(() => post("/auth/invitation/accept", { token, password })),
      post("/auth/invitation/accept", { token }, session),
    ];
    await until(() => auth.waiting() === calls.length, { what: "all to have found the invitation good" });
    auth.release();
    expect(await statuses(calls)).toEqual([200, 410, 410, 410]);
    expect(await teamsOf(email)).toEqual([{ tenant_id: tenant.id }]);
  });

  test("an invitation taken back in the meantime lets nobody in", async () => {
    const tenant = await t.tenant();
    const { email, password } = person();
    const token = await inviteTo(tenant, email);
    auth.hold();
    const call = post("/auth/invitation/accept", { token, password });
    await until(() => auth.waiting() === 1, { what: "the call to stand at the auth server" });
    const [{ id }] = (await tenant.api("GET", "/invitations")).body.data;
    expect((await tenant.api("DELETE", `/invitations/${id}`)).status).toBe(204);
    auth.release();
    expect((await call).status).toBe(410);
    expect(await teamsOf(email)).toHaveLength(0);
  });
});

describe("when the answer is lost after the account was made", () => {
  test("registering again goes on and makes the team", async () => {
    const mine = registration();
    auth.loseAnswers(true);
    const lost = await post("/auth/register", mine);
    expect(lost.status).toBe(503);
    expect(lost.body.code).toBe("unavailable");
    expect(await teamsOf(mine.email)).toHaveLength(0);
    auth.loseAnswers(false);
    expect((await post("/auth/register", mine)).status).toBe(201);
    expect(await teamsOf(mine.email)).toHaveLength(1);
  });

  test("registering again twice at once makes one team", async () => {
    const mine = registration();
    auth.loseAnswers(true);
    expect((await post("/auth/register", mine)).status).toBe(503);
    auth.loseAnswers(false);
    // Nobody can write a team until both have come to where they would.
    const calls = await t.sql.begin(async (tx) => {
      await tx`lock table public.tenants in share mode`;
      const both = [1, 2].map(() => post("/auth/register", mine));
      await until(
        async () => {
          const [row] = await tx`
            select count(*)::int as n from pg_locks
            where not granted and (relation = 'public.tenants'::regclass or locktype = 'advisory')`;
          return row!.n >= 2;
        },
        { what: "both to wait" },
      );
      return { both };
    });
    expect(await statuses(calls.both)).toEqual([201, 409]);
    expect(await teamsOf(mine.email)).toHaveLength(1);
  });

  test("the invitation is still good, and accepting again goes through", async () => {
    const tenant = await t.tenant();
    const { email, password } = person();
    const token = await inviteTo(tenant, email);
    auth.loseAnswers(true);
    expect((await post("/auth/invitation/accept", { token, password })).status).toBe(503);
    auth.loseAnswers(false);
    expect((await t.call(null)("GET", `/auth/invitation?token=${token}`)).body.valid).toBe(true);
    expect((await post("/auth/invitation/accept", { token, password })).status).toBe(200);
    expect(await teamsOf(email)).toEqual([{ tenant_id: tenant.id }]);
  });

  test("the attempts stay counted", async () => {
    const { email, password } = person();
    auth.loseAnswers(true);
    const seen: number[] = [];
    for (let i = 0; i < 17; i++) seen.push((await post("/auth/login", { email, password })).status);
    expect(seen.slice(0, 15)).toEqual(Array(15).fill(503));
    expect(seen.at(-1)).toBe(429);
  });
});
