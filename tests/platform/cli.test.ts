import { spawnSync } from "node:child_process";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ROOT } from "../../supabase/embedded/home.ts";
import { listMigrations, migrate } from "../../supabase/embedded/migrate.ts";
import { startStack, type Stack } from "../../supabase/embedded/stack.ts";
import { migrationsFolder } from "../../supabase/embedded/testing.ts";
import { pg15Bin, type Postgres15, startPostgres15 } from "../support/postgres15.ts";

// The real Supabase CLI against real databases: what a person with a Supabase of their own types.

type Ran = { code: number | null; out: string; json: any };

function supabase(...args: string[]): Ran {
  const bin = join(ROOT, "node_modules", ".bin", "supabase");
  const ran = spawnSync(bin, [...args, "--workdir", ROOT], {
    cwd: ROOT,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1", SUPABASE_TELEMETRY_DISABLED: "1", DO_NOT_TRACK: "1" },
    timeout: 60_000,
  });
  let json: unknown;
  try {
    json = JSON.parse(ran.stdout);
  } catch {
    json = undefined;
  }
  return { code: ran.status, out: `${ran.stdout}\n${ran.stderr}`, json };
}

const push = (url: string) => supabase("db", "push", "--remote", `${url}?sslmode=disable`, "--yes", "--skip-vault");
const versions = listMigrations().map((m) => m.version);

/** An empty Postgres 17 with what a Supabase image has, and nothing of the product. */
const emptyDatabase = () => startStack({ gateway: false, install: false, migrationsFolder: migrationsFolder({}) });

/** Everything that makes up the schema, as text: two databases are alike when these are. */
async function fingerprint(url: string): Promise<string[]> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  const schemas = ["public", "kernel", "private", "analytics"];
  const rows = await sql<{ line: string }[]>`
    select line from (
      select format('function %s %s %s', p.oid::regprocedure, md5(p.prosrc), p.proacl) as line from pg_proc p where p.pronamespace::regnamespace::text = any(${schemas})
      union all select format('column %s.%s %s %s', a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull)
        from pg_attribute a join pg_class c on c.oid = a.attrelid where c.relnamespace::regnamespace::text = any(${schemas}) and a.attnum > 0 and not a.attisdropped
      union all select format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) from pg_constraint where connamespace::regnamespace::text = any(${schemas})
      union all select format('index %s', indexdef) from pg_indexes where schemaname = any(${schemas})
      union all select format('policy %s %s %s %s %s %s', tablename, policyname, cmd, roles, qual, with_check) from pg_policies where schemaname = any(${schemas})
      union all select format('trigger %s', pg_get_triggerdef(oid)) from pg_trigger where not tgisinternal
      union all select format('grant %s %s', oid::regclass, relacl) from pg_class where relnamespace::regnamespace::text = any(${schemas}) and relkind in ('r', 'v', 'p')
      union all select format('queue %s', name) from kernel.queues
    ) x order by 1`;
  await sql.end();
  return rows.map((r) => r.line);
}

/** What the advisors may say, each with the reason. Everything else fails. */
const accepted: { name: string; detail: RegExp; why: string }[] = [
  { name: "unused_index", detail: /./, why: "the database of this test has seen no query" },
  {
    name: "unindexed_foreign_keys",
    detail: /`public\.campaigns` has a foreign key `campaigns_tenant_id_(version|list|segment)_id_fkey`/,
    why: "the primary key narrows to a team's campaigns, which are few",
  },
  {
    name: "rls_enabled_no_policy",
    detail: /`private\.message_events_(\d{4}_\d{2}|default)`/,
    why: "a partition is closed to everybody: only its parent, under the parent's policies, leads to its rows",
  },
  {
    name: "function_search_path_mutable",
    detail: /`kernel\.(uuid7|tenant|fold|role_rank)`/,
    why: "their bodies were parsed when they were written, so no path decides anything; a path would keep them from being inlined",
  },
  {
    name: "unindexed_foreign_keys",
    detail: /`campaign_senders_tenant_id_connection_id_fkey`|`sequence_edges_tenant_id_to_node_fkey`/,
    why: "the primary key narrows to a team's senders in campaigns and to its sequences, which are few",
  },
  {
    name: "unindexed_foreign_keys",
    detail: /`threads_tenant_id_(campaign|sender)_id_fkey`/,
    why: "only deleting a campaign or sender looks for them, within one team's conversations",
  },
  {
    name: "unindexed_foreign_keys",
    detail: /`enrichment_sources_tenant_id_connection_id_fkey`/,
    why: "the primary key narrows to a team's data providers, which are few",
  },
  { name: "unindexed_foreign_keys", detail: /`subscriptions_queue_fkey`/, why: "a row per fact and queue of the code" },
  {
    name: "function_search_path_mutable",
    detail: /`private\.(guards|guard_[a-z_]+|in_window|next_opening|counted|counted_tags|message_counters)`/,
    why: "they run with the caller's rights and name everything in full; a path would keep the claim's planner from writing them in",
  },
  { name: "unindexed_foreign_keys", detail: /`kernel\.analysts`/, why: "a handful of rows in the whole installation" },
];

describe("the Supabase CLI on an empty Postgres 17", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await emptyDatabase();
    const sql = postgres(stack.adminDbUrl, { max: 1, onnotice: () => {} });
    // The CLI makes its own history on a database that never saw our migrator.
    await sql`drop schema supabase_migrations cascade`;
    await sql.end();
  });
  afterAll(() => stack?.stop());

  test("db push applies every migration, and a second push finds nothing to do", () => {
    const first = push(stack.dbUrl);
    expect(first.code, first.out).toBe(0);
    for (const { version, name } of listMigrations())
      expect(first.out).toContain(`Applying migration ${version}_${name}.sql`);
    const second = push(stack.dbUrl);
    expect(second.code, second.out).toBe(0);
    expect(second.out).toMatch(/up to date/i);
    expect(second.out).not.toMatch(/Applying/);
  });

  test("migration list has the same versions on both sides", () => {
    const { code, out } = supabase("migration", "list", "--remote", `${stack.dbUrl}?sslmode=disable`);
    expect(code, out).toBe(0);
    for (const version of versions)
      expect(out.match(new RegExp(version, "g"))?.length, version).toBeGreaterThanOrEqual(2);
  });

  test("our own migrator then has nothing to do", async () => {
    expect(await migrate({ url: stack.dbUrl })).toEqual([]);
  });

  test("db advisors finds nothing that is not accepted with a reason", () => {
    const { code, out, json } = supabase(
      "db",
      "advisors",
      "--remote",
      `${stack.dbUrl}?sslmode=disable`,
      "--level",
      "info",
      "--output-format",
      "json",
    );
    expect(code, out).toBe(0);
    const issues = json.results as { name: string; level: string; detail: string }[];
    // The advisors looked: an index nobody used is always there.
    expect(issues.length).toBeGreaterThan(0);
    const open = issues.filter((i) => !accepted.some((a) => a.name === i.name && a.detail.test(i.detail)));
    expect(open.map((i) => `${i.level} ${i.name}: ${i.detail}`)).toEqual([]);
    const stale = accepted.filter((a) => !issues.some((i) => a.name === i.name && a.detail.test(i.detail)));
    expect(
      stale.map((a) => `${a.name} ${a.detail}`),
      "accepted findings that are no longer found",
    ).toEqual([]);
  });

  test("db advisors would see a table without row-level security", async () => {
    const sql = postgres(stack.dbUrl, { max: 1 });
    await sql`create table public.bare (id int primary key)`;
    await sql`grant select on public.bare to anon`;
    const { json } = supabase(
      "db",
      "advisors",
      "--remote",
      `${stack.dbUrl}?sslmode=disable`,
      "--level",
      "error",
      "--output-format",
      "json",
    );
    await sql`drop table public.bare`;
    await sql.end();
    expect((json.results as { name: string }[]).map((i) => i.name)).toContain("rls_disabled_in_public");
  });

  test("both ways lead to the same schema, and db push has nothing to do after our migrator", async () => {
    const other = await emptyDatabase();
    try {
      expect((await migrate({ url: other.dbUrl })).map((m) => m.version)).toEqual(versions);
      const { code, out } = push(other.dbUrl);
      expect(code, out).toBe(0);
      expect(out).toMatch(/up to date/i);
      expect(await fingerprint(other.dbUrl)).toEqual(await fingerprint(stack.dbUrl));
    } finally {
      await other.stop();
    }
  });
});

if (!pg15Bin) console.warn("OVERTURE_TEST_PG15 is not set: the Supabase CLI is not tested on PostgreSQL 15.");

describe.runIf(pg15Bin)("the Supabase CLI on PostgreSQL 15 with the real pg_cron", () => {
  let server: Postgres15;
  beforeAll(async () => {
    server = await startPostgres15(pg15Bin!);
    const sql = postgres(server.adminDbUrl, { max: 1, onnotice: () => {} });
    // On Supabase the image's own role makes it; `postgres` may not.
    await sql`create extension if not exists plpgsql_check`;
    await sql.end();
  });
  afterAll(() => server?.stop());

  test("db push applies every migration as the role postgres; our migrator then has nothing to do", async () => {
    const { code, out } = push(server.dbUrl);
    expect(code, out).toBe(0);
    expect(out).toContain("Finished supabase db push");
    expect(await migrate({ url: server.dbUrl })).toEqual([]);
  });

  const lint = () =>
    supabase(
      "db",
      "lint",
      "--remote",
      `${server.dbUrl}?sslmode=disable`,
      "--schema",
      "public,kernel,private,analytics",
      "--level",
      "warning",
      "--output-format",
      "json",
    );

  test("db lint finds nothing in any function", () => {
    const { code, out, json } = lint();
    expect(code, out).toBe(0);
    expect(json.results).toEqual([]);
  });

  test("db lint would see a function that names a column nobody has", async () => {
    const sql = postgres(server.dbUrl, { max: 1 });
    await sql.unsafe(
      "create function private.broken() returns int language plpgsql as $$ begin return (select no_such_column from public.tenants); end $$",
    );
    const { json } = lint();
    await sql`drop function private.broken()`;
    await sql.end();
    expect(JSON.stringify(json.results)).toMatch(/private\.broken.*no_such_column/);
  });
});
