import { SignJWT } from "jose";
import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startStack, type Stack } from "../../supabase/embedded/stack.ts";
import { until } from "../support/until.ts";

// What /health/ready says while one part of the installation does not work, asked of the running gateway.

let stack: Stack;
let sql: Sql;
beforeAll(async () => {
  stack = await startStack({ services: { cron: false } });
  sql = postgres(stack.adminDbUrl, { max: 2, onnotice: () => {} });
  await sql`create table public.probe_rest (id int)`;
  await sql`grant select on public.probe_rest to anon`;
}, 120_000);
afterAll(async () => {
  await sql?.end();
  await stack?.stop();
});

type Answer = { status: string; checks: { name: string; ok: boolean; detail: string }[] };
async function ready() {
  const since = performance.now();
  const response = await fetch(`${stack.url}/health/ready`);
  const text = await response.text();
  const { status, checks } = JSON.parse(text) as Answer;
  const failing = checks.filter((c) => !c.ok && c.name !== "schedules");
  return {
    status: response.status,
    word: status,
    names: checks.map((c) => c.name),
    failing,
    text,
    seconds: (performance.now() - since) / 1000,
  };
}
/** Until the parts are asked anew: an answer is used again for a second. */
const says = (failing: string[]) =>
  until(
    async () => {
      const answer = await ready();
      return JSON.stringify(answer.failing.map((c) => c.name)) === JSON.stringify(failing) ? answer : null;
    },
    { what: `readiness to name ${failing.join(", ") || "nothing"}` },
  );

const post = (path: string, body: unknown) =>
  fetch(stack.url + path, {
    method: "POST",
    headers: { apikey: stack.env.SUPABASE_PUBLISHABLE_KEY!, "content-type": "application/json" },
    body: JSON.stringify(body),
  }).then((r) => r.body?.cancel());
let callers = 0;
/** Each of another caller, because one has few requests under way at once. */
const get = async (path: string) => {
  const token = await new SignJWT({ role: "anon", caller: callers++ })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime("1h")
    .sign(new TextEncoder().encode(stack.env.SUPABASE_JWT_SECRET));
  const headers = { apikey: stack.env.SUPABASE_PUBLISHABLE_KEY!, authorization: `Bearer ${token}` };
  await (await fetch(stack.url + path, { headers })).body?.cancel();
};

/** Runs `fn` while nobody can read the table and the requests wait for it. */
async function locked(table: string, requests: () => Promise<unknown>[], fn: () => Promise<void>) {
  let open: Promise<unknown>[] = [];
  await sql.begin(async (tx) => {
    await tx.unsafe(`lock table ${table} in access exclusive mode`);
    open = requests();
    await fn();
  });
  await Promise.allSettled(open);
}

test("everything that works is named, and the answer is 200", async () => {
  const answer = await says([]);
  expect(answer).toMatchObject({
    status: 200,
    names: ["database", "queues", "schedules", "auth", "rest", "realtime"],
  });
});

describe("a part that does not answer is named, the others answer, and whoever asks waits a few seconds at most", () => {
  const fails = async (name: string) => {
    const answer = await says([name]);
    expect(answer).toMatchObject({ status: 503, word: "down", failing: [{ name, detail: "does not respond" }] });
    expect(answer.seconds).toBeLessThan(5);
    for (const secret of ["SUPABASE_SECRET_KEY", "SUPABASE_DB_URL", "SUPABASE_JWT_SECRET"])
      expect(answer.text).not.toContain(stack.env[secret]);
  };

  test("sign-in, while all its connections are held", async () => {
    const email = (n: number) => ({ email: `p${n}@example.com`, password: "correct horse" });
    const signIns = () => Array.from({ length: 6 }, (_, n) => post("/auth/v1/token?grant_type=password", email(n)));
    await locked("auth.users", signIns, () => fails("auth"));
    expect((await says([])).status).toBe(200);
  });

  test("REST, while all its connections are held", async () => {
    const reads = () => Array.from({ length: 12 }, () => get("/rest/v1/probe_rest?select=id"));
    await locked("public.probe_rest", reads, () => fails("rest"));
    expect((await says([])).status).toBe(200);
  });

  test("realtime, while what is committed cannot be read", async () => {
    await locked(
      "realtime._undelivered",
      () => [],
      () => fails("realtime"),
    );
    expect((await says([])).status).toBe(200);
  });

  test("the queues, when they cannot be asked", async () => {
    await sql`alter function kernel.queue_lags() rename to queue_lags_gone`;
    await fails("queues");
    await sql`alter function kernel.queue_lags_gone() rename to queue_lags`;
    expect((await says([])).status).toBe(200);
  });
});

test("lost connections heal: readiness says so for a moment at most, and people sign in", async () => {
  await sql`select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'`.catch(
    () => {},
  );
  expect((await says([])).status).toBe(200);
  await post("/auth/v1/signup", { email: "after@example.com", password: "correct horse" });
  const answer = await fetch(`${stack.url}/auth/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email: "after@example.com", password: "correct horse" }),
  });
  await answer.body?.cancel();
  expect(answer.status).toBe(200);
});
