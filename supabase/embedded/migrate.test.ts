import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ROOT } from "./home.ts";
import { migrate } from "./migrate.ts";
import type { Stack } from "./stack.ts";
import { fixtureStack } from "./testing.ts";

// The real Supabase CLI is the judge of what is recorded.

const fixture = `-- breaking: no
-- comment; with 'quote
create table public.a (id int, t text default 'x;''y'); /* c; /* n */ */
create function public.f() returns int language plpgsql as $fn$ begin -- ;
 return 1; end $fn$;
create function public.g(a int) returns int language sql begin atomic select case when a > 1 then 2 else 3 end; select 1; end;
insert into public.a values (1, E'it\\'s;'), (2, '$$;');;
-- the end
`;

let stack: Stack;
const project = mkdtempSync(join(tmpdir(), "overture-cli-"));
const database = (name: string) => stack.dbUrl.replace(/postgres$/, name);
const cli = async (...args: string[]) => {
  const { stdout, stderr } = await promisify(execFile)(
    join(ROOT, "node_modules", ".bin", "supabase"),
    [...args, "--workdir", project],
    {
      env: { ...process.env, DO_NOT_TRACK: "1", SUPABASE_TELEMETRY_DISABLED: "1" },
    },
  );
  return stdout + stderr;
};
const push = (name: string) =>
  cli("db", "push", "--remote", `${database(name)}?sslmode=disable`, "--yes", "--skip-vault");
const recorded = async (name: string) => {
  const sql = postgres(database(name), { max: 1, onnotice: () => {} });
  const rows = await sql`select version, name, statements from supabase_migrations.schema_migrations order by version`;
  await sql.end();
  return [...rows];
};

beforeAll(async () => {
  mkdirSync(join(project, "supabase", "migrations"), { recursive: true });
  cpSync(join(ROOT, "supabase", "config.toml"), join(project, "supabase", "config.toml"));
  writeFileSync(join(project, "supabase", "migrations", "20260102000000_syntax.sql"), fixture);
  stack = await fixtureStack("select 1;", { gateway: false });
  const admin = postgres(stack.adminDbUrl, { max: 1 });
  await admin`create database ours owner postgres`;
  await admin`create database theirs owner postgres`;
  await admin.end();
});
afterAll(async () => {
  await stack?.stop();
  rmSync(project, { recursive: true, force: true });
});

test("what we record is what the CLI records, and each accepts the other's work", async () => {
  const folder = join(project, "supabase", "migrations");
  expect((await migrate({ url: database("ours"), folder })).map(({ name }) => name)).toEqual(["syntax"]);
  expect(await push("theirs")).toContain("Applying migration 20260102000000_syntax.sql");
  expect(await recorded("ours")).toEqual(await recorded("theirs"));
  expect(await push("ours")).toContain("Remote database is up to date");
  expect(await migrate({ url: database("theirs"), folder })).toEqual([]);
});
