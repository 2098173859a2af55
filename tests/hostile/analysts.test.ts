import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { testKernel } from "../support/kernel.ts";
import { neighbours } from "./neighbours.ts";

// An analyst of an empty team asks the planner about fifty others. EXPLAIN is every login's right: what an analyst can name must be
// something of which the planner knows nothing.

const t = testKernel();
const role = `analyst_${crypto.randomUUID().slice(0, 8)}`;
const notices: postgres.Notice[] = [];
let teams: string[];
let sql: postgres.Sql;

beforeAll(async () => {
  ({ teams } = await neighbours(t.sql));
  const password = crypto.randomUUID();
  await t.sql.unsafe(`create role ${role} login password '${password}'`);
  await t.sql`select kernel.add_analyst(${role}, ${(await t.tenant()).id})`;
  const url = Object.assign(new URL(t.env.SUPABASE_DB_URL!), { username: role, password });
  sql = postgres(url.href, { max: 1, onnotice: (notice) => void notices.push(notice) });
});
afterAll(async () => {
  await sql?.end();
  await t.sql`delete from kernel.analysts where role_name = ${role}`;
  await t.sql.unsafe(`drop role ${role}`);
});

describe("what analysts can name", () => {
  test("an analyst names the views of the schema analytics and nothing else, and each is a function's rows", async () => {
    const rows = await t.sql<{ name: string; scans: string[] }[]>`
      select n.nspname || '.' || c.relname as name,
        array(select distinct coalesce(d.refclassid::regclass::text || ' ' || r.relname, d.refclassid::regclass::text) from pg_rewrite w join pg_depend d on d.objid = w.oid and d.classid = 'pg_rewrite'::regclass
          left join pg_class r on d.refclassid = 'pg_class'::regclass and r.oid = d.refobjid
          where w.ev_class = c.oid and d.refobjid <> c.oid order by 1) as scans
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and c.relkind in ('r', 'p', 'v', 'm', 'f')
        and has_any_column_privilege('overture_analyst', c.oid, 'SELECT') and has_schema_privilege('overture_analyst', n.oid, 'USAGE') order by 1`;
    expect(rows).toEqual(
      ["campaigns", "contacts", "daily", "events", "messages"].map((name) => ({
        name: `analytics.${name}`,
        scans: ["pg_proc"],
      })),
    );
  });

  test("what analysts' views run belongs to a role that policies hold, and prints no plan", async () => {
    const rows = await t.sql`
      select p.proname as name, p.proowner::regrole::text as owner, p.prosecdef as definer, p.pronargs::int as arguments, p.prorows as rows, l.lanname as language,
        p.proconfig @> array['debug_print_plan=off'] as quiet
      from pg_proc p join pg_language l on l.oid = p.prolang where p.pronamespace = 'private'::regnamespace and p.proname like 'analyst\\_%' order by 1`;
    const owned = {
      owner: "overture_analytics",
      definer: true,
      arguments: 0,
      rows: 10_000,
      language: "plpgsql",
      quiet: true,
    };
    expect(rows).toEqual(
      ["campaigns", "contacts", "daily", "events", "messages"].map((name) => ({ name: `analyst_${name}`, ...owned })),
    );
  });
});

describe("an analyst's login", () => {
  /** The table behind a view of analysts, and a value of a type that nobody has. */
  const TABLES: Record<string, string> = {
    contacts: "contacts",
    campaigns: "campaigns",
    messages: "messages",
    events: "message_events",
    daily:
      "(select bucket::date as day, substr(metric, 7) as kind, scope_id as campaign_id, n, tenant_id from public.counters where metric like 'daily%' and scope = 'campaign')",
  };
  const NOBODYS: Record<string, string> = {
    text: "nobody has this",
    uuid: crypto.randomUUID(),
    "timestamp with time zone": "1999-01-01T00:00:00Z",
    date: "1999-01-01",
    integer: "-12345",
    bigint: "-12345",
    boolean: "true",
    jsonb: '{"nobody": "has this"}',
    "text[]": "{nobody}",
  };
  const FORMS = ["explain", "explain analyze", "explain (format json)", "explain (analyze, verbose, format json)"];

  /** A plan without the question's own value and without times. */
  const shapeOf = (rows: readonly object[]) =>
    JSON.stringify(rows.map((row) => Object.values(row)))
      .replace(/Filter: [^\]]*/g, "Filter")
      .replace(/"Filter":"(\\.|[^"\\])*"/g, "Filter")
      .replace(/actual time=\S+|"Actual (Startup|Total) Time":[\d.]+|(Planning|Execution) Time"?: ?[\d.]+/g, "time");

  test("is told the same by EXPLAIN of all it can select from, whether others have the value or not", async () => {
    const columns = await sql<{ view: string; name: string; type: string }[]>`
      select c.relname as view, a.attname as name, format_type(a.atttypid, null) as type
      from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
      where c.relkind in ('r', 'p', 'v', 'm', 'f') and has_column_privilege(c.oid, a.attnum, 'SELECT')
        and c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)' and has_schema_privilege(c.relnamespace, 'USAGE') order by 1, a.attnum`;
    expect([...new Set(columns.map((c) => c.view))].toSorted()).toEqual(Object.keys(TABLES).toSorted());
    let asked = 0;
    const told: string[] = [];
    for (const { view, name, type } of columns) {
      const from = TABLES[view]!.startsWith("(") ? TABLES[view]! : `public.${TABLES[view]}`;
      const [theirs] = await t.sql.unsafe<{ value: string }[]>(
        `select x."${name}"::text as value from ${from} x where x.tenant_id = any($1) and x."${name}" is not null group by 1 order by count(*) desc, 1 limit 1`,
        [teams as never],
      );
      if (!theirs) continue;
      expect(NOBODYS[type], `${view}.${name} is ${type}`).toBeDefined();
      // Without wildcards: what a pattern alone makes of the estimate is the asker's own.
      const texts = /[%_]/.test(theirs.value) ? ["=", "<"] : ["=", "<", "like"];
      for (const operator of type === "text" ? texts : type === "boolean" ? ["="] : ["=", "<"]) {
        for (const form of FORMS) {
          const plan = async (value: string) =>
            shapeOf(
              await sql.unsafe(
                `${form} select * from analytics.${view} where "${name}" ${operator} '${value.replaceAll("'", "''")}'::${type} order by 1 limit 10`,
              ),
            );
          const [a, b] = [await plan(theirs.value), await plan(NOBODYS[type]!)];
          asked++;
          if (a !== b || !a.includes("Function Scan")) told.push(`${form} ${view}.${name} ${operator}: ${a} | ${b}`);
        }
      }
    }
    expect(told).toEqual([]);
    expect(asked).toBeGreaterThan(200);
  });

  test("explains no table, with and without rows, and not by a detour", async () => {
    const tables = await t.sql<
      { name: string }[]
    >`select oid::regclass::text as name from pg_class where relnamespace::regnamespace::text in ('public', 'private', 'kernel', 'pgmq') and relkind in ('r', 'p')`;
    expect(tables.length).toBeGreaterThan(30);
    for (const { name } of tables) {
      const table = name.includes(".") ? name : `public.${name}`;
      await expect(sql.unsafe(`explain select from ${table}`), table).rejects.toMatchObject({ code: "42501" });
    }
    await expect(sql.unsafe("do $$ begin execute 'explain select from public.contacts'; end $$")).rejects.toMatchObject(
      { code: "42501" },
    );
    await expect(sql.unsafe("select private.analyst_contacts()")).rejects.toMatchObject({ code: "42501" });
  });

  test("does not have the plan printed of what a view runs inside, nor of a table it is refused only afterwards", async () => {
    const tables = await t.sql<
      { name: string }[]
    >`select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')`;
    notices.length = 0;
    await sql.unsafe("set client_min_messages = log; set debug_print_plan = on");
    for (const view of Object.keys(TABLES)) await sql.unsafe(`select count(*) from analytics.${view}`);
    for (const { name } of tables) {
      const key = name === "tenants" ? "id" : "tenant_id";
      await expect(
        sql.unsafe(`select count(*) from public.${name} where ${key} < '${teams[7]}'`),
        name,
      ).rejects.toMatchObject({ code: "42501" });
    }
    await sql.unsafe("reset debug_print_plan; reset client_min_messages");
    const printed = notices.map((n) => `${n.message} ${n.detail}`).filter((n) => n.includes("PLANNEDSTMT"));
    expect(printed.length).toBeGreaterThanOrEqual(Object.keys(TABLES).length);
    expect(printed.filter((n) => /\{(SEQ|INDEX|INDEXONLY|BITMAPHEAP|TID)SCAN/.test(n))).toEqual([]);
  });

  test("reads no statistics of values, and no statement of others", async () => {
    for (const view of ["pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"])
      expect(
        await sql.unsafe(`select * from ${view} where schemaname not in ('pg_catalog', 'information_schema')`),
        view,
      ).toEqual([]);
    for (const table of ["pg_statistic", "pg_statistic_ext_data"])
      await expect(sql.unsafe(`select 1 from ${table}`), table).rejects.toMatchObject({ code: "42501" });
    const others = await sql<{ query: string | null }[]>`
      select distinct query from pg_stat_activity where usename is distinct from current_user`;
    expect(others.map((o) => o.query)).toContain("<insufficient privilege>");
    expect(others.filter((o) => o.query && o.query !== "<insufficient privilege>")).toEqual([]);
    expect(
      await sql`select nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where relname = 'pg_stat_statements' and has_table_privilege(c.oid, 'SELECT')`,
    ).toEqual([]);
  });
});
