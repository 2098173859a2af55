import { beforeAll, describe, expect, it } from "vitest";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { until } from "../../tests/support/until.ts";
import type { Ctx } from "../kernel/context.ts";
import { pageOfContacts, SORTS } from "./contact-page.ts";
import { type ContactFilters, whereContacts } from "./contact-query.ts";
import type { Fragment } from "./filter-sql.ts";

/**
 * Under row-level security an operator that is not leakproof cannot be an index condition. These tests hold the line: as a
 * signed-in person, with enough rows for the planner to care, each query must name the index that serves it.
 */
const t = testKernel();
let team: TestTenant;
beforeAll(async () => {
  team = await t.tenant();
  await t.sql`
    with made as (
      insert into public.companies (tenant_id, name, domain) select ${team.id}, 'Company ' || md5(n::text), 'c' || n || '.com' from generate_series(1, 2000) n
      returning id
    ), numbered as (select id, row_number() over () as n from made)
    insert into public.contacts (tenant_id, email, first_name, last_name, title, country, company_id, tags, custom, created_at)
    select ${team.id}, 'p' || g.n || '@example.com', 'First' || n, 'Last' || n, md5(n::text), case when n % 100 = 0 then 'DE' end,
      (select id from numbered k where k.n = 1 + g.n % 2000), array['t' || n % 500], jsonb_build_object('plan', 'p' || n % 500), kernel.now() - make_interval(mins => n)
    from generate_series(1, 12000) as g(n)`;
  await t.sql`
    with list as (insert into public.lists (tenant_id, name) values (${team.id}, 'Everybody') returning id)
    insert into public.list_contacts (tenant_id, list_id, contact_id)
    select ${team.id}, list.id, c.id from list, public.contacts c where c.tenant_id = ${team.id}`;
  // So many that reading all of them is never as cheap as the index.
  await t.sql`
    insert into public.companies (tenant_id, name, domain) select ${team.id}, 'Other ' || md5('o' || n), 'o' || n || '.com' from generate_series(1, 20000) n`;
  // Fresh rows wait in a list beside a GIN index until vacuum sorts them in; the planner charges for reading that list.
  await t.sql`select gin_clean_pending_list(i::regclass) from unnest(array['public.contacts_search', 'public.companies_search']) i`;
  await t.sql`analyze public.contacts, public.companies, public.list_contacts`;
});

const plan = (filters: ContactFilters & { tree?: unknown }, more: (ctx: Ctx) => Fragment) =>
  team.run(
    async (ctx) => {
      const { where } = await whereContacts(ctx, filters);
      const rows = await ctx.db`explain (costs off) select c.id from public.contacts c where ${where} ${more(ctx)}`;
      return rows.map((r) => r["QUERY PLAN"] as string).join("\n");
    },
    { kind: "user", userId: team.owner.userId, email: team.owner.email, role: "owner" },
  );

const someId = "01900000-0000-7000-8000-000000000000";

it("a search that almost everybody matches pages in list order and finds everybody once", async () => {
  const seen = new Set<string>();
  let cursor = "";
  for (let page = 0; page < 3; page++) {
    const { status, body } = await team.api("GET", `/contacts?search=first&limit=100${cursor && `&cursor=${cursor}`}`);
    expect(status).toBe(200);
    expect(body.data.map((c: { email: string }) => c.email)).toEqual(
      Array.from({ length: 100 }, (_, i) => `p${page * 100 + i + 1}@example.com`),
    );
    for (const { id } of body.data) seen.add(id);
    cursor = body.next_cursor;
  }
  expect(seen.size).toBe(300);
  expect((await team.api("GET", "/contacts/count?search=first")).body).toEqual({ count: 10_000, exact: false });
});

describe("index conditions under row-level security", () => {
  it.each([
    ["created_at", "contacts_by_created", "2026-01-01"],
    ["email_sort", "contacts_by_email_sort", "m"],
    ["last_name_sort", "contacts_by_last_name", "m"],
  ])("a page by %s begins where the cursor says", async (column, index, key) => {
    const text = await plan({}, ({ db }) => {
      const value = column === "created_at" ? db`${key}::text::timestamptz` : db`${key}::text`;
      return db`and (c.${db(column)}, c.id) > (${value}, ${someId}::uuid) order by c.${db(column)}, c.id limit 51`;
    });
    expect(text).toContain(`using ${index}`);
    expect(text).toMatch(new RegExp(`Index Cond: .*ROW\\(${column}, id\\) >`));
    expect(text).not.toContain("Sort");
  });

  it.each([
    ["contacts_by_email", { tree: { field: "email", op: "eq", value: "a@b.co" } }, /Index Cond: .*email = /],
    ["contacts_by_country", { tree: { field: "country", op: "eq", value: "Germany" } }, /Index Cond: .*country = ANY/],
    ["contacts_by_status", { status: "customer" as const }, /Index Cond: .*status = /],
    [
      "companies_by_domain",
      { tree: { field: "company.domain", op: "eq", value: "acme.com" } },
      /Index Cond: .*domain = /,
    ],
    ["list_contacts", { list_id: someId }, /Index.* on list_contacts|using list_contacts/],
  ])("%s serves %j", async (index, filters, condition) => {
    const text = await plan(filters, ({ db }) => db``);
    expect(text).toContain(index);
    expect(text).toMatch(condition);
  });

  it.each([
    ["contacts_search", { like: ["%c4ca42%"] }],
    ["contacts_search", { like: ["%Ć4ça42%"] }],
    ["contacts_by_tag", { tags: ["t7"] }],
    ["contacts_by_custom", { custom: { plan: "P7" } }],
    ["companies_search", { company_like: "%c4ca42%" }],
    ["companies_search", { company_like: "%Ć4CÄ42%" }],
  ] as [string, object][])("%s serves the probe %j", async (index, probe) => {
    const [found, scans] = await t.sql.begin(async (sql) => {
      await sql`select set_config('app.tenant_id', ${team.id}, true)`;
      const [row] =
        await sql`select cardinality(ids) as n from private.probe_contacts(${JSON.stringify([{ n: 0, ...probe }])}::text::jsonb, 100)`;
      const [stat] = await sql`select pg_stat_get_xact_numscans(${`public.${index}`}::text::regclass)::int as n`;
      return [row!.n as number, stat!.n as number];
    });
    expect(found).toBeGreaterThan(0);
    expect(scans).toBeGreaterThan(0);
  });
});

describe("a page of a list reads that list alone, however many people stand before its own", () => {
  const member = () => ({ kind: "user", userId: team.owner.userId, email: team.owner.email, role: "owner" }) as const;
  let oldest: string;
  beforeAll(async () => {
    oldest = (await team.api("POST", "/lists", { name: "The oldest" })).body.id;
    await t.sql`
      insert into public.list_contacts (tenant_id, list_id, contact_id)
      select ${team.id}, ${oldest}, c.id from public.contacts c where c.tenant_id = ${team.id} order by c.created_at limit 3000`;
    await t.sql`analyze public.list_contacts`;
  });

  it.each(SORTS.flatMap((sort) => [[sort, "asc"] as const, [sort, "desc"] as const]))(
    "by %s, %s",
    async (sort, order) => {
      const read = await team.run(async (ctx) => {
        /** Entries of the indexes that this connection has read so far. */
        const entries = async (table: string) => {
          const [row] = await ctx.db<{ n: number }[]>`
            select sum(pg_stat_get_xact_tuples_returned(indexrelid))::int as n from pg_index where indrelid = ${table}::text::regclass`;
          return row!.n;
        };
        const before = { contacts: await entries("public.contacts"), members: await entries("public.list_contacts") };
        const selected = await whereContacts(ctx, { list_id: oldest });
        const first = await pageOfContacts(ctx, selected, { sort, order, limit: 50 });
        const second = await pageOfContacts(ctx, selected, { sort, order, limit: 50, cursor: first.next_cursor! });
        expect(new Set([...first.data, ...second.data].map((c) => c.id)).size).toBe(100);
        return {
          contacts: (await entries("public.contacts")) - before.contacts,
          members: (await entries("public.list_contacts")) - before.members,
        };
      }, member());
      expect(read).toEqual({ contacts: 102, members: 102 });
    },
  );
});

it("a contact that is renamed while it joins a list stands there under its new name", async () => {
  const list = (await team.api("POST", "/lists", { name: "Who joins meanwhile" })).body.id as string;
  const contact = (await team.api("POST", "/contacts", { email: "before@list.test" })).body.id as string;
  const join = async () => {
    await t.sql`insert into public.list_contacts (tenant_id, list_id, contact_id) values (${team.id}, ${list}, ${contact})`;
  };
  let joined: Promise<void> | undefined;
  await t.sql.begin(async (sql) => {
    await sql`update public.contacts set email = 'after@list.test' where tenant_id = ${team.id} and id = ${contact}`;
    joined = join();
    const waits = until(
      async () =>
        (
          await t.sql`select from pg_stat_activity where wait_event_type = 'Lock' and query ~ 'into public.list_contacts'`
        ).length > 0,
      { what: "the joining to wait" },
    );
    // It waits for the new name, or has taken the old one.
    await Promise.race([joined, waits]);
  });
  await joined;
  const [row] =
    await t.sql`select contact_email from public.list_contacts where tenant_id = ${team.id} and list_id = ${list}`;
  expect(row).toEqual({ contact_email: "after@list.test" });
});

it("a contact's place in the pages of its lists follows its name and address", async () => {
  const list = (await team.api("POST", "/lists", { name: "Who is renamed" })).body.id as string;
  const made = await Promise.all(
    ["aa@list.test", "bb@list.test", "cc@list.test"].map(
      async (email) =>
        (await team.api("POST", "/contacts", { email, last_name: email, lists: [list] })).body.id as string,
    ),
  );
  /** In pages of one: each begins where the list's own row says. */
  const page = async (sort: string) => {
    const seen: number[] = [];
    for (let cursor = ""; ;) {
      const { body } = await team.api(
        "GET",
        `/contacts?list_id=${list}&sort=${sort}&limit=1${cursor && `&cursor=${cursor}`}`,
      );
      seen.push(...body.data.map((c: { id: string }) => made.indexOf(c.id)));
      if (!body.has_more) return seen;
      cursor = body.next_cursor;
    }
  };
  expect(await page("email")).toEqual([0, 1, 2]);
  await team.api("PATCH", `/contacts/${made[0]}`, { email: "zz@list.test" });
  await team.api("PATCH", `/contacts/${made[2]}`, { last_name: "Aardvark" });
  expect(await page("email")).toEqual([1, 2, 0]);
  expect(await page("last_name")).toEqual([0, 2, 1]);
});
