import { beforeAll, expect, test } from "vitest";
import { testKernel, type TestTenant } from "../support/kernel.ts";
import { until } from "../support/until.ts";

// Who asks too fast is told so, over real HTTP, and takes nobody with them.

const t = testKernel();
const api = `${t.env.SUPABASE_URL}/api/v1`;

let team: TestTenant;
let other: TestTenant;
let keys: string[];
beforeAll(async () => {
  [team, other] = [await t.tenant(), await t.tenant()];
  keys = await Promise.all(
    ["one", "two"].map(
      async (name) => (await team.api("POST", "/api-keys", { name, scopes: ["*:read"] })).body.key as string,
    ),
  );
});

type Answer = { status: number; headers: Headers };
const ask = async (headers: Record<string, string>): Promise<Answer> => {
  const response = await fetch(`${api}/lists`, { headers });
  await response.body?.cancel();
  return { status: response.status, headers: response.headers };
};
const asKey = (key: string) => ask({ "x-api-key": key });
const asPerson = (who: TestTenant) => ask({ authorization: `Bearer ${who.owner.token}`, "x-tenant-id": who.id });

/** Asks in handfuls until one is refused; the refusal. */
async function exhaust(one: () => Promise<Answer>): Promise<Answer> {
  for (let asked = 0; asked < 2000; asked += 40) {
    const refused = (await Promise.all(Array.from({ length: 40 }, one))).find((a) => a.status !== 200);
    if (refused) return refused;
  }
  throw new Error("2,000 requests at once and none was refused");
}

/** A refusal says for how long, by whose limit, and holds: asking again at once is refused too. */
function expectRefusal(answer: Answer, policy: "key" | "tenant") {
  expect([answer.status, answer.headers.get("content-type")]).toEqual([429, "application/problem+json"]);
  expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(answer.headers.get("ratelimit")).toMatch(new RegExp(`^"${policy}";r=0;t=[1-9]`));
  expect(answer.headers.get("ratelimit-policy")).toMatch(new RegExp(`^"${policy}";q=\\d+;w=\\d+$`));
}

test("a key that asks too fast is 429 with Retry-After; the team's people and its other keys are not held back", async () => {
  expectRefusal(await exhaust(() => asKey(keys[0]!)), "key");
  expect((await asPerson(team)).status).toBe(200);
  expect((await asKey(keys[1]!)).status).toBe(200);
  await until(async () => (await asKey(keys[0]!)).status === 200, { what: "the key to be let in again" });
});

test("what a key is refused costs its team nothing", async () => {
  const [key] = await t.sql<
    { id: string }[]
  >`select id from public.api_keys where tenant_id = ${team.id} and name = 'one'`;
  const left = async () => Number(/r=(\d+)/.exec((await asPerson(team)).headers.get("ratelimit")!)![1]);
  await until(async () => (await left()) > 190, { what: "the team's bucket to fill again" });
  await t.sql`select kernel.block_bucket(${`key:${key!.id}`}, 60)`;
  const before = await left();
  const answers = await Promise.all(Array.from({ length: 60 }, () => asKey(keys[0]!)));
  expect(answers.every((a) => a.status === 429)).toBe(true);
  expect(await left()).toBeGreaterThan(before - 20);
});

test("a team that asks too fast is 429 with Retry-After, whoever of it asks; another team is not held back", async () => {
  expectRefusal(await exhaust(() => asPerson(team)), "tenant");
  const [mine, byKey, theirs] = await Promise.all([
    exhaust(() => asPerson(team)),
    exhaust(() => asKey(keys[1]!)),
    asPerson(other),
  ]);
  expectRefusal(mine, "tenant");
  expect(byKey.status).toBe(429);
  expect(theirs.status).toBe(200);
});
