import { SignJWT } from "jose";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../../tests/support/until.ts";
import { createRestTurns, limitQuery } from "./rest-limits.ts";
import type { Stack } from "./stack.ts";
import { fixtureStack } from "./testing.ts";

// Who may ask the REST server anything can stop nobody else by what they ask.

let stack: Stack;
let admin: postgres.Sql;
const ask = (query: string, headers: Record<string, string> = {}) =>
  fetch(`${stack.url}/rest/v1/${query}`, { headers: { apikey: stack.env.SUPABASE_PUBLISHABLE_KEY!, ...headers } });

beforeAll(async () => {
  stack = await fixtureStack(`
    create table public.parents (id int primary key, title text);
    create table public.children (id int primary key, parent int references public.parents, body text);
    create index on public.children (parent);
    grant select on public.parents, public.children to anon;
    insert into public.parents select n, repeat('a', 30) || n from generate_series(1, 300) n;
    insert into public.children select n, 1 + n % 2, 'x' from generate_series(1, 600) n;
    create function public.large(mb int) returns setof text language sql as $$ select repeat('x', 1000000) from generate_series(1, mb) $$;
    create function public.slow() returns int language plpgsql as 'begin perform pg_sleep(0.3); return 1; end';
    create function public.allowed() returns text language sql as $$ select current_setting('statement_timeout') $$;
    grant execute on function public.slow(), public.allowed(), public.large(int) to anon, authenticated;
  `);
  admin = postgres(stack.adminDbUrl, { max: 1, onnotice: () => {} });
});
afterAll(async () => {
  await admin?.end();
  await stack?.stop();
});

test.each([
  "parents?title=match.^(a%2B)%2B%24",
  "parents?title=not.imatch.^(a%2B)%2B%24",
  "parents?title=match(any).{a,b}",
  "parents?or=(id.eq.1,title.match.^(a%2B)%2B%24)",
  "parents?not.and=(title.not.imatch.a)",
  "parents?select=id,children(body)&children.body=match.a",
  "parents?and=(+id.match.x)",
  "parents?and=(id.eq.1,++title+.imatch.x)",
  'parents?or=("title".not.match(any).{a})',
  "parents?or=(id.eq.1,not.and(id.gt.1,or+(title.match.x)))",
  "parents?or=(title(x).match.a)",
  "parents?or=(title[(].match.a))",
  "parents?or=der.match.x",
  "parents?title->>a.limit=match.x",
])("a regular expression is refused with the way out: %s", async (query) => {
  const response = await ask(query);
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ code: "PGRST100", hint: expect.stringContaining("ilike") });
});

test.each([
  "parents?title=eq.match.com",
  "parents?title=like.*match.*",
  "parents?order=id&limit=1&select=id,title",
  "parents?or=(title.eq.www.match.com,title.like.*match.*)",
  "parents?and=(id.gt.1,or(title.eq.a,title.eq.match.b))",
  "parents?select=id,children(id)&children.order=id&children.limit=1",
])("what only looks like one is answered: %s", async (query) => expect((await ask(query)).status).toBe(200));

test("embeds are few, not nested, and bounded on both levels", async () => {
  expect((await ask("parents?select=id,children(id,parents(id,children(id)))")).status).toBe(400);
  for (const select of ["id)", "id)),children(id)", "a(x),b(x),c(x),d(x)", "a(x)),b(x"])
    expect(limitQuery(new URL(`http://x/rest/v1/parents?select=${select}`)), select).not.toBeInstanceOf(URL);
  const rows = (await (await ask("parents?select=id,children(id)&order=id")).json()) as { children: unknown[] }[];
  expect(rows).toHaveLength(100);
  expect(rows[0]!.children).toHaveLength(100);
  const limits = limitQuery(new URL("http://x/rest/v1/a?select=id,two:b!fk(id),c.sum(),...d(n)&limit=5&two.limit=9"));
  expect(Object.fromEntries((limits as URL).searchParams)).toMatchObject({
    limit: "5",
    "two.limit": "9",
    "d.limit": "100",
  });
});

test("a statement runs under the limit of its login, which changing the role does not lift", async () => {
  expect(await (await ask("rpc/allowed")).json()).toBe("8s");
});

test("an answer of more bytes than fit is refused, and the next request is answered", async () => {
  const fits = await ask("rpc/large?mb=20");
  expect(fits.status).toBe(200);
  expect((await fits.text()).length).toBeGreaterThan(20_000_000);
  for (let n = 0; n < 12; n++) {
    const response = await ask("rpc/large?mb=60");
    expect(await response.json()).toMatchObject({ message: expect.stringContaining("larger than 32 MB") });
    expect(response.status).toBe(413);
  }
  expect((await ask("parents?limit=1")).status).toBe(200);
});

test("a caller is a user with whichever token, else the address; nobody uses up another's rate with a forged token", async () => {
  const secret = "a secret of at least thirty-two characters";
  const token = (sub: string, n: number, key = secret) =>
    new SignJWT({ sub, n }).setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(key));
  const turns = createRestTurns(secret, { now: () => 0 });
  let answered = 0;
  const call = async (authorization?: string, address = "192.0.2.1") =>
    await turns(new Request("http://x/", authorization ? { headers: { authorization } } : {}), address, async () => {
      answered++;
      return new Response();
    });
  for (let n = 0; n < 1_000; n++) await call(`Bearer ${await token("ann", n % 3)}`);
  expect(answered).toBe(1_000);
  const refused = await call(`Bearer ${await token("ann", 4)}`);
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);
  expect((await call(`Bearer ${await token("bob", 1)}`)).status).toBe(200);
  expect((await call(`Bearer ${await token("ann", 1, "another secret of that many characters")}`)).status).toBe(200);
  for (let n = 0; n < 1_000; n++) await call();
  expect((await call()).status).toBe(429);
  expect((await call(undefined, "192.0.2.2")).status).toBe(200);
});

test("the callers of one team leave the other teams connections, however many they are", async () => {
  const secret = "a secret of at least thirty-two characters";
  const turns = createRestTurns(secret, { teamOf: async (caller) => (caller.startsWith("a") ? "A" : "B") });
  const running = { a: 0, b: 0 };
  const { promise, resolve } = Promise.withResolvers<void>();
  const ask = async (sub: string) => {
    const token = await new SignJWT({ sub })
      .setProtectedHeader({ alg: "HS256" })
      .sign(new TextEncoder().encode(secret));
    const request = new Request("http://x/", { headers: { authorization: `Bearer ${token}` } });
    return await turns(request, "192.0.2.1", async () => {
      running[sub[0] as "a" | "b"]++;
      await promise;
      return new Response();
    });
  };
  const all = ["a1", "a2", "a3", "b1"].flatMap((sub) => Array.from({ length: 6 }, () => ask(sub)));
  await until(() => running.a === 7 && running.b === 4);
  resolve();
  expect((await Promise.all(all)).map((r) => r.status)).toEqual(all.map(() => 200));
});

test("one caller's slow requests wait for each other and leave the others their connections", async () => {
  const person = async (email: string) => {
    const response = await fetch(`${stack.url}/auth/v1/signup`, {
      method: "POST",
      headers: { apikey: stack.env.SUPABASE_PUBLISHABLE_KEY!, "content-type": "application/json" },
      body: JSON.stringify({ email, password: "correct horse battery" }),
    });
    return { authorization: `Bearer ${((await response.json()) as { access_token: string }).access_token}` };
  };
  const [one, other] = [await person("one@example.com"), await person("other@example.com")];
  // More than may wait are told so at once, and nobody pays for them.
  const crowd = await Promise.all(Array.from({ length: 70 }, () => ask("rpc/slow", one)));
  const refused = crowd.filter((r) => r.status === 429);
  expect(refused).toHaveLength(70 - 54);
  expect(refused[0]!.headers.get("retry-after")).toBe("5");
  let finished = 0;
  const slow = Array.from({ length: 12 }, () => ask("rpc/slow", one).finally(() => finished++));
  await until(async () => {
    const [row] = await admin<{ n: number }[]>`
      select count(*)::int as n from pg_stat_activity where usename = 'embedded_api' and wait_event = 'PgSleep'`;
    return row!.n > 0;
  });
  expect((await ask("rpc/allowed", other)).status).toBe(200);
  expect(finished).toBeLessThanOrEqual(4);
  const [row] = await admin<{ n: number }[]>`
    select count(*)::int as n from pg_stat_activity where usename = 'embedded_api' and wait_event = 'PgSleep'`;
  expect(row!.n).toBeLessThanOrEqual(4);
  expect((await Promise.all(slow)).map((r) => r.status)).toEqual(slow.map(() => 200));
});
