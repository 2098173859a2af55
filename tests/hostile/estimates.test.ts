import { request as httpRequest } from "node:http";
import { beforeAll, describe, expect, test } from "vitest";
import { testKernel, type TestTenant } from "../support/kernel.ts";
import { type Neighbours, neighbours, TEAMS } from "./neighbours.ts";

// Somebody of an empty team asks the planner about fifty others, in every way REST offers. No answer may depend on whether a value
// exists elsewhere.

const t = testKernel();
const rest = `${t.env.SUPABASE_URL}/rest/v1`;

let empty: TestTenant;
let others: Neighbours;
beforeAll(async () => {
  empty = await t.tenant();
  others = await neighbours(t.sql);
});

type Asked = { status: number; range: string | null; text: string };

/** Asks REST as the owner of the empty team. Several values of a header go as several headers. */
async function ask(method: string, path: string, headers: Record<string, string | string[]> = {}): Promise<Asked> {
  return await new Promise((done, failed) => {
    const request = httpRequest(
      `${rest}/${path}`,
      {
        method,
        headers: {
          apikey: t.env.SUPABASE_PUBLISHABLE_KEY!,
          authorization: `Bearer ${empty.owner.token}`,
          ...headers,
        },
      },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("end", () =>
          done({ status: response.statusCode!, range: response.headers["content-range"] ?? null, text }),
        );
      },
    );
    request.on("error", failed).end();
  });
}

/** Questions about a value, each of which an estimate would answer. */
function questions(): [path: string, exists: string, missing: string][] {
  const all: [string, string, string][] = [];
  const about = (path: string, [exists, missing]: readonly [string, string]) => all.push([path, exists, missing]);
  for (const [column, values] of Object.entries(others.values)) {
    for (const operator of ["eq.", "neq.", "lt.", "lte.", "gt.", "gte.", "like.", "not.eq."])
      about(`contacts?select=created_at&${column}=${operator}VALUE`, values);
    about(`contacts?select=created_at&${column}=in.("VALUE")`, values);
    about(`contacts?select=created_at&or=(${column}.eq."VALUE",${column}.lt."VALUE")`, values);
    about(`contacts?select=created_at&${column}=lt.VALUE&order=${column}.desc&limit=1`, values);
    about(`contacts?select=created_at&${column}=gte.VALUE&order=${column}.asc&offset=3&limit=2`, values);
  }
  about("companies?select=id&name=eq.VALUE", others.company);
  about("contacts?select=id,companies(name)&companies.name=eq.VALUE", others.company);
  about("contacts?select=id,companies!inner(name)&companies.name=lt.VALUE", others.company);
  about("tenants?select=id&id=eq.VALUE", [others.teams[6]!, crypto.randomUUID()]);
  about("contacts?select=id&tenant_id=eq.VALUE", [others.teams[6]!, crypto.randomUUID()]);
  return all;
}

const addressed = (path: string, value: string) => path.replaceAll("VALUE", encodeURIComponent(value));

/** Ways to ask for an estimate or a plan; the REST server understands some, and may understand others one day. */
const ESTIMATES: Record<string, Record<string, string | string[]>> = {
  planned: { prefer: "count=planned" },
  estimated: { prefer: "count=estimated" },
  "written otherwise": { prefer: "Count = PLANNED" },
  "behind another preference": { prefer: "return=representation, count=planned" },
  "before an exact one": { prefer: "count=planned, count=exact" },
  "in the first of two headers": { prefer: ["count=planned", "return=minimal"] },
  "in the second of two headers": { prefer: ["return=minimal", "count=estimated"] },
  "a plan": { accept: "application/vnd.pgrst.plan" },
  "a plan with its options": {
    accept: 'application/vnd.pgrst.plan+json; for="application/json"; options=analyze|verbose',
  },
  "a plan beside JSON": { accept: "application/json, application/vnd.pgrst.plan+text" },
};

describe("over REST", () => {
  test.each(Object.keys(ESTIMATES))("an estimate is refused, with what to ask instead: %s", async (how) => {
    const headers = ESTIMATES[how]!;
    for (const method of ["GET", "HEAD"]) {
      const answers = [];
      for (const value of others.values.title)
        answers.push(await ask(method, addressed("contacts?select=created_at&title=lt.VALUE", value), headers));
      expect(answers[0]).toEqual(answers[1]);
      expect(answers[0]).toMatchObject({ status: 403, range: null });
      if (method === "GET") {
        const { code, hint } = JSON.parse(answers[0]!.text) as { code: string; hint: string };
        expect([code, hint]).toEqual(["42501", expect.stringContaining("count=exact")]);
      }
    }
    // Before the database hears of it: there it would be a table that does not exist.
    expect((await ask("GET", "nothing_of_this_name?select=id", headers)).status).toBe(403);
    expect((await ask("POST", "rpc/nothing_of_this_name", headers)).status).toBe(403);
  });

  test.each<[string, Record<string, string>]>([
    ["without a count", {}],
    ["with an exact count", { prefer: "count=exact" }],
    ["with an exact count of a range", { prefer: "count=exact", range: "0-0" }],
    ["with a planned count", { prefer: "count=planned" }],
    ["with an estimated count", { prefer: "count=estimated" }],
  ])("the answer is the same for what other teams have and for what nobody has: %s", async (_, headers) => {
    const told: string[] = [];
    for (const [path, exists, missing] of questions()) {
      const asked = ["HEAD", "GET"].map(async (method) => {
        const [theirs, nobodys] = await Promise.all(
          [exists, missing].map((value) => ask(method, addressed(path, value), headers)),
        );
        if (JSON.stringify(theirs) !== JSON.stringify(nobodys))
          told.push(`${method} ${path}: ${theirs!.range} ${nobodys!.range}`);
      });
      await Promise.all(asked);
    }
    expect(told).toEqual([]);
  });

  test("a binary search over titles finds nothing, and an empty team sees that it is empty", async () => {
    for (const prefer of ["count=exact", "count=planned", "count=estimated"]) {
      const seen = new Set<string>();
      for (let n = 0; n <= TEAMS + 1; n++) {
        const path = addressed("contacts?select=created_at&title=lt.VALUE", others.title(n));
        const answer = await ask("HEAD", path, { prefer });
        seen.add(`${answer.status} ${answer.range}`);
      }
      expect([...seen], prefer).toEqual([prefer === "count=exact" ? "200 */0" : "403 null"]);
    }
  });

  test("what says «explain» is a value like any other", async () => {
    const answer = await ask("GET", "contacts?select=id&title=eq.explain%20plan", { prefer: "count=exact" });
    expect([answer.status, answer.text]).toEqual([200, "[]"]);
  });

  test("no database function is offered", async () => {
    const offered = await t.sql`
      select p.oid::regprocedure::text as name from pg_proc p where p.pronamespace = 'public'::regnamespace
        and (has_function_privilege('authenticated', p.oid, 'EXECUTE') or has_function_privilege('anon', p.oid, 'EXECUTE'))`;
    expect(offered).toEqual([]);
    for (const name of ["refuse_plans", "estimate_contacts", "analyst_contacts"])
      expect((await ask("POST", `rpc/${name}`)).status, name).toBe(404);
  });
});

describe("the database itself, for a REST server that explains", () => {
  /** What PostgREST sends for a count: one transaction, the role and claims first, values as parameters. */
  const asRest = (text: string, values: string[], prepare: boolean) =>
    t.sql.begin(async (tx) => {
      const claims = JSON.stringify({ sub: empty.owner.userId, role: "authenticated" });
      await tx`select set_config('role', 'authenticated', true), set_config('request.jwt.claims', ${claims}, true)`;
      return await tx.unsafe(text, values, { prepare });
    });
  const source =
    "WITH pgrst_source AS (SELECT c.created_at FROM public.contacts c WHERE c.title < $1) SELECT * FROM pgrst_source";

  test.each([
    ["of a count", `EXPLAIN (FORMAT JSON) ${source}`],
    ["of a plan", `EXPLAIN (FORMAT TEXT, ANALYZE, VERBOSE, BUFFERS) ${source}`],
    ["behind a comment", `/* trace */ explain ${source}`],
    [
      "that would execute nothing",
      "EXPLAIN SELECT 1 FROM public.contacts c JOIN public.companies x USING (tenant_id) WHERE c.title = $1 AND false",
    ],
  ])("refuses the statement %s, prepared or not, also when its like was planned before", async (_, text) => {
    for (const prepare of [true, false]) {
      expect(await asRest(source, ["explain"], prepare)).toEqual([]);
      for (let times = 0; times < 7; times++) {
        await expect(asRest(text, [others.values.title[0]], prepare)).rejects.toMatchObject({
          code: "42501",
          message: expect.stringContaining("Plans and estimates are not shown"),
        });
      }
    }
  });
});

test("the number of a team's contacts says nothing of other teams' either", async () => {
  // More than are counted, of a team that the last analysis has not seen.
  const big = await t.tenant();
  await t.sql.begin(async (tx) => {
    await tx`insert into public.contacts (tenant_id, title) select ${big.id}, 'x' from generate_series(1, 10001)`;
    await tx`select pg_stat_force_next_flush()`;
  });
  const { body } = await big.api("GET", "/contacts/count");
  expect(body.exact).toBe(false);
  expect(body.count).toBeGreaterThan(10_000);
  expect(body.count).toBeLessThan(10_100);
});
