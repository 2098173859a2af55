import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../../tests/support/until.ts";
import type { Stack } from "./stack.ts";
import { fixtureStack } from "./testing.ts";

// The REST and auth server's connections to the database: lost ones are replaced, and sign-in has its own.

/** Hashing passwords takes its time on a busy machine. */
const SLOW = { timeout: 90_000 };

let stack: Stack;
let sql: Sql;
beforeAll(async () => {
  stack = await fixtureStack(`
    create table public.notes (id int primary key);
    insert into public.notes values (1);
    grant select on public.notes to anon;
  `);
  sql = postgres(stack.adminDbUrl, { max: 2, onnotice: () => {} });
  for (const email of PEOPLE) expect(await auth("signup", email)).toBe(200);
  await rest();
}, 120_000);
afterAll(async () => {
  await sql?.end();
  await stack?.stop();
});

const headers = () => ({ apikey: stack.env.SUPABASE_PUBLISHABLE_KEY!, "content-type": "application/json" });
const auth = async (path: string, email: string) => {
  const body = JSON.stringify({ email, password: "correct horse" });
  const answer = await fetch(`${stack.url}/auth/v1/${path}`, { method: "POST", headers: headers(), body });
  await answer.body?.cancel();
  return answer.status;
};
/** Of different people, because the attempts of one are limited. */
const PEOPLE = ["ann@example.com", "bob@example.com", "kim@example.com"];
let turn = 0;
const signIn = () => auth("token?grant_type=password", PEOPLE[turn++ % PEOPLE.length]!);
let callers = 0;
/** Each from another address, because one has few requests under way at once. */
const rest = async () => {
  const answer = await fetch(`${stack.url}/rest/v1/notes?select=id`, {
    headers: { ...headers(), "x-forwarded-for": `198.51.100.${callers++ % 250}` },
  });
  await answer.body?.cancel();
  return answer.status;
};

/** Connections of the REST and auth server that wait for a lock. */
const waiting = async () =>
  (await sql`select from pg_stat_activity where usename = 'embedded_api' and wait_event_type = 'Lock'`).length;

/** Has `count` requests wait for a lock on the table, does `fn`, and lets go. Resolves with the requests' statuses. */
async function whileWaiting(
  table: string,
  request: () => Promise<number>,
  count: number,
  atLeast: number,
  fn: () => Promise<void>,
): Promise<number[]> {
  let requests: Promise<number>[] = [];
  await sql.begin(async (tx) => {
    await tx.unsafe(`lock table ${table} in access exclusive mode`);
    requests = Array.from({ length: count }, () => request().catch(() => 0));
    await until(async () => (await waiting()) >= atLeast, { what: "the requests to wait" });
    await fn();
  });
  return await Promise.all(requests);
}

test(
  "connections that are lost in mid-request are replaced: the next sign-in and the next read work",
  SLOW,
  async () => {
    const cut = async () => {
      await sql`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'embedded_api'`;
    };
    for (const status of await whileWaiting("auth.users", signIn, 7, 3, cut)) expect([200, 500, 503]).toContain(status);
    expect(await Promise.all(Array.from({ length: 7 }, signIn))).toEqual(Array(7).fill(200));
    await whileWaiting("public.notes", rest, 20, 8, cut);
    expect(await Promise.all(Array.from({ length: 12 }, rest))).toEqual(Array(12).fill(200));
  },
);

test("idle connections that are lost are replaced", SLOW, async () => {
  await Promise.all(Array.from({ length: 7 }, signIn));
  await sql`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'embedded_api'`;
  await until(async () => (await sql`select from pg_stat_activity where usename = 'embedded_api'`).length === 0, {
    what: "the connections to end",
  });
  expect(await Promise.all(Array.from({ length: 7 }, signIn))).toEqual(Array(7).fill(200));
});

test("people sign in while every connection of REST is busy", SLOW, async () => {
  const read = await whileWaiting("public.notes", rest, 15, 10, async () => {
    expect(await signIn()).toBe(200);
  });
  expect(read).toEqual(Array(15).fill(200));
});
