import { afterAll, expect, test } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";
import { until } from "../../tests/support/until.ts";
import { randomToken, sha256Hex } from "../kernel/secrets/signatures.ts";
import { ensureClaim } from "./claim.ts";
import { fakeAuthServer } from "./testing.ts";
import { codeAt } from "./totp.ts";

const t = testKernel();
const auth = await fakeAuthServer();
const slow = testKernel({ SUPABASE_URL: auth.url, OVERTURE_DB_POOL: "2" });
afterAll(() => auth.close());
/** An address of its own, so that other suites' calls do not count for this one's limits. */
const callerAddress = `2001:db8::${crypto.randomUUID().slice(0, 4)}:${crypto.randomUUID().slice(0, 4)}`;
const call = (method: string, path: string, body?: unknown) =>
  t.call(null)(method, path, body, { "x-forwarded-for": callerAddress });
const input = (token: string) => ({
  token,
  email: `c-${crypto.randomUUID()}@example.com`,
  password: "correct horse battery",
  name: "First",
  tenant_name: "First team",
});

/** The shared database has members already, so the link is put there directly, as ensureClaim does on an empty one. */
async function openClaim(): Promise<string> {
  const token = randomToken("ovc_");
  await t.sql`
    insert into kernel.settings (key, value) values ('claim', ${t.sql.json({ token_hash: await sha256Hex(token) })})
    on conflict (key) do update set value = excluded.value`;
  return token;
}
afterAll(async () => void (await t.sql`delete from kernel.settings where key = 'claim'`));

test("only one of many who use the link at once gets the installation; afterwards it is gone", async () => {
  const token = await openClaim();
  expect((await call("GET", `/auth/claim?token=${token}`)).body).toEqual({ valid: true });
  const answers = await Promise.all([1, 2, 3, 4].map(() => call("POST", "/auth/claim", input(token))));
  expect(answers.map((a) => a.status).sort()).toEqual([201, 410, 410, 410]);
  const winner = answers.find((a) => a.status === 201)!;
  expect(winner.body.tenant.name).toBe("First team");
  expect((await t.call(winner.body.access_token)("GET", "/auth/me")).body.tenants).toMatchObject([{ role: "owner" }]);
  expect((await call("GET", `/auth/claim?token=${token}`)).body).toEqual({ valid: false });
  expect((await call("POST", "/auth/claim", input(token))).status).toBe(410);
});

test("a claim that fails leaves the link good, and the retry with the same account goes through", async () => {
  const token = await openClaim();
  const mine = input(token);
  await call("POST", "/auth/register", { ...mine, token: undefined, tenant_name: "Other" });
  expect((await call("POST", "/auth/claim", { ...mine, password: "another password" })).status).toBe(409);
  expect((await call("GET", `/auth/claim?token=${token}`)).body).toEqual({ valid: true });
  expect((await call("POST", "/auth/claim", mine)).status).toBe(201);
});

test("a second factor of the account is asked for before the link is used up", async () => {
  const mine = input(await openClaim());
  const signedUp = await fetch(`${t.env.SUPABASE_URL}/auth/v1/signup`, {
    method: "POST",
    headers: { apikey: t.env.SUPABASE_PUBLISHABLE_KEY!, "content-type": "application/json" },
    body: JSON.stringify({ email: mine.email, password: mine.password }),
  });
  const session = (await signedUp.json()) as { access_token: string; user: { id: string } };
  const own = t.call(session.access_token);
  const begun = await own("POST", "/auth/second-factor", { current_password: mine.password });
  const code = (steps = 0) => codeAt(begun.body.key, Math.floor(Date.now() / 30_000) + steps);
  expect((await own("POST", "/auth/second-factor/confirm", { code: code() })).status).toBe(200);
  await t.sql`update private.second_factors set last_step = last_step - 3 where person = ${session.user.id}`;
  for (const given of [{}, { code: "000000" }, { code: code(9) }]) {
    const answer = await call("POST", "/auth/claim", { ...mine, ...given });
    expect([answer.status, answer.body.errors?.[0].pointer]).toEqual([422, "/code"]);
    expect((await call("GET", `/auth/claim?token=${mine.token}`)).body).toEqual({ valid: true });
    expect(await t.sql`select 1 from public.members where email = ${mine.email}`).toEqual([]);
  }
  const claimed = await call("POST", "/auth/claim", { ...mine, code: code() });
  expect([claimed.status, claimed.body.tenant?.name]).toEqual([201, "First team"]);
  expect((await t.call(claimed.body.access_token)("GET", "/auth/me")).status).toBe(200);
});

test("people who all found the link good wait without a database connection, and one of them wins", async () => {
  const token = await openClaim();
  const people = [1, 2, 3, 4].map(() => input(token));
  auth.hold();
  const claims = people.map((mine) => slow.call(null)("POST", "/auth/claim", mine));
  await until(() => auth.waiting() === claims.length, { what: "all to stand at the auth server" });
  expect((await slow.call(null)("GET", `/auth/claim?token=${token}`)).body).toEqual({ valid: true });
  auth.release();
  const answers = await Promise.all(claims);
  expect(answers.map((a) => a.status).sort()).toEqual([201, 410, 410, 410]);
  const emails = people.map((p) => p.email);
  expect(await t.sql`select 1 from public.members where email = any(${emails})`).toHaveLength(1);
});

test("an account whose answer was lost leaves the link good, and claiming again goes through", async () => {
  const token = await openClaim();
  const mine = input(token);
  auth.loseAnswers(true);
  expect((await slow.call(null)("POST", "/auth/claim", mine)).status).toBe(503);
  auth.loseAnswers(false);
  expect((await call("GET", `/auth/claim?token=${token}`)).body).toEqual({ valid: true });
  expect((await slow.call(null)("POST", "/auth/claim", mine)).status).toBe(201);
});

test("a wrong token is 410 and makes no account", async () => {
  const mine = input("ovc_wrong");
  expect((await call("POST", "/auth/claim", mine)).status).toBe(410);
  expect((await call("POST", "/auth/login", { email: mine.email, password: mine.password })).status).toBe(401);
});

test("ensureClaim gives a link only while nobody has an account, stores no token, and replaces the link before", async () => {
  await t.tenant();
  expect(await t.sql.begin((tx) => ensureClaim(tx, t.kernel.config))).toBeNull();
  const undo = new Error("undo");
  await t.sql
    .begin(async (tx) => {
      // Other suites make members meanwhile.
      await tx`lock table public.members in share row exclusive mode`;
      await tx`delete from public.members`;
      const first = await ensureClaim(tx, { publicUrl: "https://example.com" });
      const second = await ensureClaim(tx, { publicUrl: "https://example.com" });
      expect(second).toMatch(/^https:\/\/example\.com\/claim\?token=ovc_[\w-]{43}$/);
      const tokenOf = (url: string | null) => new URL(url!).searchParams.get("token")!;
      const [row] = await tx`select value::text as v from kernel.settings where key = 'claim'`;
      expect(row!.v).toContain(await sha256Hex(tokenOf(second)));
      expect(row!.v).not.toContain(tokenOf(second));
      expect(row!.v).not.toContain(await sha256Hex(tokenOf(first)));
      throw undo;
    })
    .catch((error) => {
      if (error !== undo) throw error;
    });
});
