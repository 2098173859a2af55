import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { migrationFaults, refreshed, releaseLines } from "./migration-blocks.ts";
import { objectsIn } from "./sql-homes.ts";

// Homes in modules/*/sql and generated blocks in migrations, in a repository of the test's own.

const HEADER = "-- x: a subject\n-- owner: x   breaking: no   locks: none\n";
const BLOCK = "-- generated from modules/*/sql\n-- end of generated\n";
const TICK = "-- Why.\ncreate or replace function private.tick(n int) returns int language sql as 'select 1';\n";
const TOCK = "create or replace function private.tock() returns int language sql as 'select 2';\n";
let root: string;

const put = (path: string, text: string) => {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
};
const get = (path: string) => readFileSync(join(root, path), "utf8");
const refresh = () => {
  for (const [name, text] of refreshed(root)) put(`migrations/${name}`, text);
};
const release = () => put("supabase/released-migrations.txt", releaseLines(root));
const FIRST = "migrations/20270101000000_first.sql";
const SECOND = "migrations/20270102000000_second.sql";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "overture-homes-"));
  mkdirSync(join(root, "modules/kernel"), { recursive: true });
  put("modules/clocks/sql/clocks.sql", `${TICK}\n${TOCK}`);
  put(FIRST, `${HEADER}\ncreate table public.x (id int);\n\n${BLOCK}`);
  refresh();
});
afterEach(() => rmSync(root, { recursive: true }));

test("refreshing writes every object with its identity and comment, below the table changes, and once is enough", () => {
  expect(get(FIRST)).toMatch(
    /create table public\.x[^]*-- object function private\.tick\(int4\) sha256:\w{16}\n-- Why\.\n[^]*private\.tock\(\)/,
  );
  expect(migrationFaults(root)).toEqual([]);
  const before = get(FIRST);
  refresh();
  expect(get(FIRST)).toBe(before);
});

test("a home that changed, and a block that was changed by hand, are told until refreshed", () => {
  put("modules/clocks/sql/clocks.sql", `${TICK}\n${TOCK.replace("select 2", "select 3")}`);
  expect(migrationFaults(root)).toEqual([expect.stringContaining("npm run migration -- --refresh")]);
  refresh();
  expect(migrationFaults(root)).toEqual([]);
  put(FIRST, get(FIRST).replace("select 3", "select 4"));
  expect(migrationFaults(root)).toEqual([expect.stringContaining("differs from modules/*/sql")]);
});

test("after a release the next migration holds only what changed; what is gone is dropped", () => {
  release();
  put("modules/clocks/sql/clocks.sql", TOCK.replace("select 2", "select 3"));
  expect(migrationFaults(root)).toEqual([expect.stringContaining("no unreleased migration holds it")]);
  put(SECOND, `${HEADER}\n${BLOCK}`);
  refresh();
  expect(migrationFaults(root)).toEqual([]);
  const text = get(SECOND);
  expect(text).toContain("-- dropped function private.tick(int4)\ndrop function if exists private.tick(int4);");
  expect(text).toContain("select 3");
  expect(text).not.toContain("before it is replaced");
  // Back to what was released: nothing is left to do.
  put("modules/clocks/sql/clocks.sql", `${TICK}\n${TOCK}`);
  refresh();
  expect(get(SECOND)).toBe(`${HEADER}\n${BLOCK}`);
});

test("another result drops the function first, other grants are taken back first, and both survive the next release", () => {
  release();
  put(
    "modules/clocks/sql/clocks.sql",
    `${TICK.replace("returns int", "returns bigint")}\n${TOCK}grant execute on function private.tock() to overture_user;\n`,
  );
  put(SECOND, `${HEADER}\n${BLOCK}`);
  refresh();
  expect(get(SECOND)).toContain("drop function if exists private.tick(int4); -- before it is replaced\n-- Why.");
  expect(get(SECOND)).toMatch(/revoke all on function private\.tock\(\) from .*-- before it is replaced\ncreate or/);
  release();
  expect(migrationFaults(root)).toEqual([]);
  put("migrations/20270103000000_third.sql", `${HEADER}\n${BLOCK}`);
  refresh();
  expect(get("migrations/20270103000000_third.sql")).toBe(`${HEADER}\n${BLOCK}`);
});

test("a released migration never changes, none goes, and none is added before it", () => {
  release();
  put(FIRST, get(FIRST).replace("id int", "id bigint"));
  expect(migrationFaults(root)).toEqual([expect.stringContaining("was released and must stay as it was")]);
  put("migrations/20260101000000_older.sql", HEADER);
  expect(migrationFaults(root)).toContainEqual(expect.stringContaining("older than the newest released one"));
  rmSync(join(root, FIRST));
  expect(migrationFaults(root)).toContainEqual(expect.stringContaining("20270101000000 is gone"));
});

test.each([
  ["a function", "create or replace function private.x() returns int language sql as 'select 1';"],
  ["a view", "create view private.x as select 1;"],
  ["a policy", "create policy x on public.x using (true);"],
  ["a trigger", "create trigger x after insert on public.x execute function private.x();"],
  [
    "a function in a do block",
    "do $$ begin execute 'create function private.x() returns int language sql as ''select 1'''; end $$;",
  ],
])("%s made by hand in a migration is told by file and line", (_, statement) => {
  put(FIRST, `${get(FIRST)}\n-- Below.\n${statement}\n`);
  const line = get(FIRST).split("\n").indexOf(statement) + 1;
  expect(migrationFaults(root)).toEqual([
    `${FIRST}:${line}: functions, views, policies and triggers stand in modules/*/sql, not in a migration`,
  ]);
});

test("a home holds no table, nothing twice, and no syntax error", () => {
  put("modules/clocks/sql/tables.sql", "\n-- x\ncreate table public.y (id int);\n");
  expect(migrationFaults(root)).toEqual([
    expect.stringMatching(/^modules\/clocks\/sql\/tables\.sql:3: only functions/),
  ]);
  put("modules/clocks/sql/tables.sql", TOCK);
  expect(migrationFaults(root)).toEqual([
    expect.stringMatching(/function private\.tock\(\) stands in modules\/clocks\/sql\/clocks\.sql:\d+ too/),
  ]);
  put("modules/clocks/sql/tables.sql", "create function");
  expect(migrationFaults(root)).toEqual([expect.stringContaining("syntax error")]);
});

test("identities name argument types, whatever they are called and whatever is returned", () => {
  const [a] = objectsIn(
    "create function private.f(a integer, b text[] default '{}', out c int) returns int language sql as '';",
    "modules/x/sql/f.sql",
  );
  expect(a!.id).toBe("function private.f(int4,text[])");
});

test("the command makes the next file with a place for table changes, and refuses other words", () => {
  const run = (...args: string[]) =>
    execFileSync(process.execPath, [join(import.meta.dirname, "migration.ts"), ...args], {
      encoding: "utf8",
      stdio: "pipe",
    });
  expect(() => run()).toThrow(/npm run migration/);
  expect(() => run("--no")).toThrow(/npm run migration/);
  expect(() => run("Some Subject")).toThrow(/is not a valid subject/);
});
