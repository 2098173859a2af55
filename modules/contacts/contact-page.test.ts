import { beforeAll, describe, expect, it } from "vitest";
import { type Answer, testKernel, type TestTenant } from "../../tests/support/kernel.ts";

/**
 * A page is found in one of several ways, depending on how many people match and where they stand in the list. Whatever the
 * way, the pages together must be exactly the people that a plain reading of the filter selects, in order, each once.
 */
const t = testKernel({ OVERTURE_API_RATE: "100000", OVERTURE_API_BURST: "100000" });

const PEOPLE = 6000;
type Person = {
  id: string;
  first_name: string;
  title: string;
  email: string;
  tags: string[];
  status: string;
  country: string | null;
  company_id: string | null;
  plan: string;
  seen: number;
};

let team: TestTenant;
let people: Person[];
let lists: Record<"rare" | "old" | "half", Set<string>>;
let listIds: Record<keyof typeof lists, string>;
const order: Record<string, string[]> = {};

beforeAll(async () => {
  team = await t.tenant();
  const neighbour = await t.tenant();
  await team.api("POST", "/custom-fields", { key: "plan", label: "Plan", type: "text" });
  for (const { id } of [team, neighbour]) {
    await t.sql`
      with made as (
        insert into public.companies (tenant_id, name, domain) select ${id}, 'Acme ' || n, 'c' || n || '.com' from generate_series(0, 99) n returning id, domain
      )
      insert into public.contacts (tenant_id, email, first_name, last_name, title, country, status, company_id, tags, custom, created_at)
      select ${id}, 'p' || n || '@example.com',
        -- Everybody, every twentieth, every hundredth, the oldest quarter, the newest few, one person.
        'Every' || case when n % 20 = 0 then ' Twentieth' else '' end || case when n % 100 = 7 then ' Hundredth' else '' end
          || case when n > ${PEOPLE} * 0.75 then ' Oldie' else '' end || case when n < 40 then ' Newbie' else '' end || case when n = 4321 then ' Unicorn' else '' end,
        -- Many have the same: the id decides among them.
        'Name' || n % 7, case when n > 5950 then 'Everyday ' else '' end || case when n % 2 = 0 then '100%' else 'Under_score' end, case when n % 3 = 0 then 'DE' end, case when n % 50 = 0 then 'customer' else 'new' end,
        (select m.id from made m where m.domain = 'c' || n % 100 || '.com'),
        array['t' || n % 2] || case when n > 5900 then array['ancient'] else '{}' end || case when n % 500 = 0 then array['rare'] else '{}' end,
        jsonb_build_object('plan', 'p' || n % 300), '2026-01-01'::timestamptz - make_interval(mins => n / 3)
      from generate_series(1, ${PEOPLE}::int) n`;
  }
  people = await t.sql<Person[]>`
    select id, first_name, title, email, tags, status, country, company_id, custom ->> 'plan' as plan, substr(email, 2, position('@' in email) - 2)::int as seen
    from public.contacts where tenant_id = ${team.id}`;
  for (const [sort, column] of Object.entries({
    created_at: "created_at",
    email: "email_sort",
    last_name: "last_name_sort",
  })) {
    const rows = await t.sql<
      { id: string }[]
    >`select id from public.contacts where tenant_id = ${team.id} order by ${t.sql(column)}, id`;
    order[sort] = rows.map((r) => r.id);
  }
  const pick = (wanted: (n: number) => boolean) => new Set(people.filter((p) => wanted(p.seen)).map((p) => p.id));
  lists = { rare: pick((n) => n % 400 === 0), old: pick((n) => n > 5500), half: pick((n) => n % 2 === 1) };
  listIds = {} as typeof listIds;
  for (const [name, members] of Object.entries(lists)) {
    const id = (await team.api("POST", "/lists", { name })).body.id as string;
    listIds[name as keyof typeof lists] = id;
    await t.sql`insert into public.list_contacts (tenant_id, list_id, contact_id) select ${team.id}, ${id}, x from unnest(${[...members]}::uuid[]) x`;
  }
  await t.sql`analyze public.contacts, public.companies, public.list_contacts`;
});

/** A query and the same said in plain words. */
type Part = { query: Record<string, string>; says: (p: Person) => boolean; tree?: object };

const word = (text: string): Part => ({
  query: { search: text },
  says: (p) =>
    text
      .toLowerCase()
      .split(" ")
      .every((w) => {
        const all = ` ${p.first_name} name${p.seen % 7} ${p.email} ${p.title}`.toLowerCase();
        return all.includes(w.length < 3 ? ` ${w}` : w);
      }),
});
const tagged = (tag: string): Part => ({ query: { tag }, says: (p) => p.tags.includes(tag) });
const where = (field: string, op: string, value: unknown, says: Part["says"]): Part => ({
  query: {},
  says,
  tree: { field, op, value },
});

const parts = (): Part[] => [
  ...[
    "every",
    "twentieth",
    "hundredth",
    "oldie",
    "newbie",
    "unicorn",
    "nobody",
    "100%",
    "under_score",
    "every oldie",
  ].map(word),
  ...["un", "p5", "every p59", "twentieth hundredth", "p4321@ex"].map(word),
  ...["t1", "ancient", "rare", "none"].map(tagged),
  ...(["rare", "old", "half"] as const).map((name): Part => ({
    query: { list_id: listIds[name] },
    says: (p) => lists[name].has(p.id),
  })),
  { query: { status: "customer" }, says: (p) => p.status === "customer" },
  { query: { company_id: people[17]!.company_id! }, says: (p) => p.company_id === people[17]!.company_id },
  where("country", "eq", "DE", (p) => p.country === "DE"),
  where("tag", "eq", "ancient", (p) => p.tags.includes("ancient")),
  where("title", "contains", "OLDIE", () => false),
  // Everybody has the word, and only the last of the list have it there.
  where("title", "contains", "every", (p) => p.title.includes("Every")),
  where("first_name", "contains", "Oldie", (p) => p.first_name.includes("Oldie")),
  where("company.domain", "eq", "c7.com", (p) => p.seen % 100 === 7),
  where("company.name", "starts_with", "acme 4", (p) =>
    [4, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49].includes(p.seen % 100),
  ),
  where("custom.plan", "eq", "P77", (p) => p.plan === "p77"),
  where("list", "eq", listIds.old, (p) => lists.old.has(p.id)),
  {
    query: {},
    says: (p) => p.tags.includes("rare") || p.first_name.includes("Unicorn"),
    tree: {
      any: [
        { field: "tag", op: "eq", value: "rare" },
        { field: "first_name", op: "contains", value: "unicorn" },
      ],
    },
  },
];

async function pagesOf(query: Record<string, string>, limit: number): Promise<string[]> {
  const seen: string[] = [];
  for (let cursor = ""; ;) {
    const params = new URLSearchParams({ ...query, limit: String(limit), ...(cursor && { cursor }) });
    const { status, body } = await team.api("GET", `/contacts?${params}`);
    expect(status, JSON.stringify(body)).toBe(200);
    seen.push(...body.data.map((c: { id: string }) => c.id));
    if (!body.has_more) return seen;
    expect(body.data).toHaveLength(limit);
    cursor = body.next_cursor;
  }
}

async function check(chosen: Part[], sort: string, direction: "asc" | "desc", limit: number): Promise<void> {
  const trees = chosen.flatMap((p) => (p.tree ? [p.tree] : []));
  const query = Object.assign(
    { sort, order: direction },
    ...chosen.map((p) => p.query),
    trees.length > 0 ? { filter: JSON.stringify({ all: trees }) } : {},
  ) as Record<string, string>;
  const byId = new Map(people.map((p) => [p.id, p]));
  const inOrder = direction === "asc" ? order[sort]! : [...order[sort]!].reverse();
  const selected = inOrder.filter((id) => chosen.every((p) => p.says(byId.get(id)!)));
  const said = JSON.stringify({ ...query, limit });
  // A page a little longer than the selection would cost hundreds of requests: long ones are read in longer pages.
  expect(await pagesOf(query, selected.length > 600 ? 100 : limit), said).toEqual(selected);
  const { sort: _s, order: _o, ...filters } = query;
  const { body } = await team.api("GET", `/contacts/count?${new URLSearchParams(filters)}`);
  expect(body, said).toEqual({ count: selected.length, exact: true });
}

describe("pages are exactly the people that a filter selects, in order", () => {
  it("each condition alone, in each order", async () => {
    for (const [n, part] of parts().entries()) {
      await check([part], "created_at", "desc", 20 + (n % 60));
      await check([part], ["created_at", "email", "last_name"][n % 3]!, n % 2 ? "asc" : "desc", 20 + (n % 60));
    }
  }, 120_000);

  it("any two or three together", async () => {
    // The same sequence every time: a failure can be repeated.
    let state = 12345;
    const random = (n: number) => (state = (state * 1103515245 + 12345) % 2147483648) % n;
    for (let round = 0; round < 80; round++) {
      const all = parts();
      const chosen = Array.from({ length: 2 + random(2) }, () => all[random(all.length)]!);
      // A parameter given twice is one: the last.
      const keys = chosen.flatMap((p) => Object.keys(p.query));
      if (new Set(keys).size < keys.length) continue;
      const sort = ["created_at", "email", "last_name"][random(3)]!;
      await check(chosen, sort, random(2) === 0 ? "asc" : "desc", 5 + random(95));
    }
  }, 120_000);
});

it("pages of companies are exactly those whose name is like it or who have the domain", async () => {
  const other = await t.tenant();
  await t.sql`
    insert into public.companies (tenant_id, name, domain)
    select ${other.id}, case when n > 2900 then 'Zeta ' else 'Alpha ' end || case when n % 500 = 0 then 'Rare ' else '' end || n % 50, 'd' || n || '.com' from generate_series(1, 3000) n`;
  const all = await t.sql<{ id: string; name: string; domain: string }[]>`
    select id, name, domain from public.companies where tenant_id = ${other.id} order by name_sort, id`;
  for (const search of [
    "alpha",
    "zeta",
    "rare",
    "a r",
    "nobody",
    "d77.com",
    "D77.com",
    "zeta rare",
    "7",
    "%",
    "zeta 4",
  ]) {
    const expected = all.filter(
      (c) => c.name.toLowerCase().includes(search.toLowerCase()) || c.domain === search.toLowerCase(),
    );
    const seen: string[] = [];
    for (let cursor: string | null = ""; cursor !== null;) {
      const params: URLSearchParams = new URLSearchParams({ search, limit: "37", ...(cursor && { cursor }) });
      const { body }: Answer = await other.api("GET", `/companies?${params}`);
      seen.push(...body.data.map((c: { id: string }) => c.id));
      cursor = body.next_cursor;
    }
    expect(seen, search).toEqual(expected.map((c) => c.id));
  }
}, 60_000);
