import { type Figure, percentile, ratioFigure, tenth, valueFigure } from "./figure.ts";
import { seedTenant } from "./seed.ts";
import { inWorld, type Team, type World } from "./world.ts";

/** What the people page does, for a team with a million people and for one with ten thousand, on the same database. */

export type Question = [name: string, path: (page: Page) => string];
export type Page = { n: number; cursor: string };

export const filter = (tree: unknown) => `/contacts?limit=50&filter=${encodeURIComponent(JSON.stringify(tree))}`;
export const letters = (n: number) => (n * 7919).toString(16).padStart(4, "0").slice(0, 4);

export const QUESTIONS: Record<"list" | "filter" | "search", Question[]> = {
  list: [
    ["first page", () => "/contacts?limit=50"],
    ["by e-mail", () => "/contacts?limit=50&sort=email"],
    ["further page", ({ cursor }) => `/contacts?limit=50&cursor=${encodeURIComponent(cursor)}`],
  ],
  filter: [
    ["by status", () => "/contacts?limit=50&status=customer"],
    ["by country", () => filter({ field: "country", op: "eq", value: "DE" })],
    ["by rare tag", () => "/contacts?limit=50&tag=vip"],
    [
      "by company domain",
      ({ n }) => filter({ field: "company.domain", op: "eq", value: `c${1 + (n % 400)}.example.com` }),
    ],
  ],
  search: [
    ["address", ({ n }) => `/contacts?limit=50&search=p${1 + n * 37}%40c`],
    ["part of a name", ({ n }) => `/contacts?limit=50&search=${letters(n)}`],
    ["common word", () => "/contacts?limit=50&search=sales"],
    ["nobody", () => "/contacts?limit=50&search=zzzzqqq"],
  ],
};

export const contacts = (many = 1_000_000, few = 10_000, rounds = 40): Promise<Figure[]> =>
  inWorld({}, async (world) => {
    const small = await world.team("Small");
    const large = await world.team("Large");
    await seedTenant(world.admin, small.id, { contacts: few });
    const seeded = await seedTenant(world.admin, large.id, { contacts: many });
    const figures: Figure[] = [];
    for (const [kind, questions] of Object.entries(QUESTIONS)) {
      const detail: Record<string, { p95_large_ms: number; p95_small_ms: number }> = {};
      const all = { large: [] as number[], small: [] as number[] };
      for (const [name, path] of questions) {
        const s = await measure(world, small, path, rounds);
        const l = await measure(world, large, path, rounds);
        all.small.push(...s);
        all.large.push(...l);
        detail[name] = { p95_large_ms: tenth(percentile(l, 0.95)), p95_small_ms: tenth(percentile(s, 0.95)) };
      }
      const [l, s] = [percentile(all.large, 0.95), percentile(all.small, 0.95)];
      figures.push(
        valueFigure(`contacts_${kind}`, l, "ms p95", "< 50", { people: many, seeded_in_s: seeded.seconds, ...detail }),
      );
      figures.push(
        ratioFigure(`contacts_${kind}_growth`, l / s, "<= 2", {
          p95_large_ms: tenth(l),
          p95_small_ms: tenth(s),
          people: [many, few],
        }),
      );
    }
    figures.push(...(await everyOrder(world, large, many, Math.ceil(rounds / 4))));
    return figures;
  });

/**
 * Each condition in each order, the first and the hundredth page: with an order that finds the people of a condition at once there is
 * always another that has them last.
 */
async function everyOrder(world: World, team: Team, people: number, rounds: number): Promise<Figure[]> {
  const lists = await makeLists(world, team, people);
  const conditions: Record<"lists" | "filters", Record<string, string>> = {
    lists: Object.fromEntries(Object.entries(lists).map(([name, id]) => [name, `list_id=${id}`])),
    filters: {
      "one company": `filter=${encodeURIComponent('{"field":"company.domain","op":"eq","value":"c7.example.com"}')}`,
      "a tenth by status": "status=customer",
      "a tenth by country": `filter=${encodeURIComponent('{"field":"country","op":"eq","value":"DE"}')}`,
      "a thousandth by tag": "tag=vip",
      "the oldest fiftieth by tag": "tag=early",
      "the oldest fiftieth by a word": "search=pioneer",
      "half a percent by a custom field": `filter=${encodeURIComponent('{"field":"custom.plan","op":"eq","value":"p7"}')}`,
    },
  };
  const figures: Figure[] = [];
  for (const [kind, named] of Object.entries(conditions)) {
    const found: { question: string; p95_ms: number }[] = [];
    for (const [name, condition] of Object.entries(named)) {
      for (const sort of ["created_at", "email", "last_name"]) {
        const first = `/contacts?limit=50&sort=${sort}&${condition}`;
        const hundredth = await cursorAfter(world, team, first, 99);
        for (const [page, cursor] of [["first page", ""] as const, ["hundredth page", hundredth] as const]) {
          if (cursor === null) continue;
          const path = cursor ? `${first}&cursor=${encodeURIComponent(cursor)}` : first;
          const times = await measure(world, team, () => path, rounds);
          found.push({ question: `${name}, by ${sort}, ${page}`, p95_ms: tenth(percentile(times, 0.95)) });
        }
      }
    }
    found.sort((a, b) => b.p95_ms - a.p95_ms);
    const target = kind === "lists" ? "< 20" : "< 50";
    figures.push(
      valueFigure(`contacts_${kind}_every_order`, found[0]!.p95_ms, "ms p95 of the slowest", target, {
        people,
        questions: found.length,
        slowest: found.slice(0, 5),
      }),
    );
  }
  return figures;
}

/** Lists of a fiftieth of the people each: where they stand in the order of contacts differs. */
async function makeLists({ admin, call }: World, team: Team, people: number): Promise<Record<string, string>> {
  const size = Math.ceil(people / 50);
  const members = { newest: `n > ${people - size}`, oldest: `n <= ${size}`, scattered: "n % 50 = 3" };
  const ids: Record<string, string> = {};
  for (const [name, condition] of Object.entries(members)) {
    ids[`the ${name}`] = (await call(team, "POST", "/lists", { name: `The ${name}` })).id as string;
    await admin.unsafe(
      `insert into public.list_contacts (tenant_id, list_id, contact_id)
      select c.tenant_id, '${ids[`the ${name}`]}', c.id
      from (select tenant_id, id, row_number() over (order by created_at) as n from public.contacts where tenant_id = '${team.id}') c where ${condition}`,
    );
  }
  await admin`analyze public.list_contacts`;
  return ids;
}

/** The cursor after so many pages; null when there are not so many. */
async function cursorAfter({ call }: World, team: Team, first: string, pages: number): Promise<string | null> {
  let cursor: string | null = "";
  for (let n = 0; n < pages && cursor !== null; n++)
    cursor = (await call(team, "GET", cursor ? `${first}&cursor=${encodeURIComponent(cursor)}` : first)).next_cursor;
  return cursor;
}

export const percentile95 = (times: readonly number[]) => percentile(times, 0.95);

/** Milliseconds of each request: the whole way through the API in this process, without the network. */
export async function measure(
  { call }: World,
  team: Team,
  path: (page: Page) => string,
  rounds: number,
): Promise<number[]> {
  let cursor = (await call(team, "GET", "/contacts?limit=50")).next_cursor as string;
  const times: number[] = [];
  for (let n = -5; n < rounds; n++) {
    const at = path({ n: Math.abs(n), cursor });
    const started = performance.now();
    const page = await call(team, "GET", at);
    // The first five warm up.
    if (n >= 0) times.push(performance.now() - started);
    if (at.includes("cursor=")) cursor = page.next_cursor;
  }
  return times;
}
