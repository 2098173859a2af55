import { describe, expect, test } from "vitest";
import { manifestOf, type Module } from "./manifest.ts";
import { type Exception, KERNEL, madeIn, ownershipFaults, usesIn, usesInTypeScript } from "./ownership.ts";

const people: Module = { name: "people", needs: [], owns: ["public.people", "people_import"] };
const posts: Module = { name: "posts", needs: ["people"], owns: ["public.posts"] };
const reports: Module = { name: "reports", needs: ["posts"], owns: [] };
const MODULES = [people, posts, reports];
const MADE = [...KERNEL.owns, ...people.owns, ...posts.owns];
const TABLES = new Set(["public.people", "public.posts", "kernel.settings"]);

const faults = (path: string, text: string, exceptions: Exception[] = []) =>
  ownershipFaults(MODULES, MADE, [{ path, text }], exceptions);

describe("what a script does", () => {
  test.each([
    ["insert into public.posts (id) values (1)", "write"],
    ["insert into public.posts select 1", "write"],
    ["INSERT INTO\n  public.posts as p select 1", "write"],
    ["update public.posts set x = 1", "write"],
    ["update only public.posts p set x = 1", "write"],
    ["delete from public.posts", "write"],
    ["merge into public.posts p using x on true when matched then delete", "write"],
    ["truncate table public.posts", "write"],
    ["lock table public.other, public.posts in share mode", "write"],
    ["create or replace trigger t after insert on public.posts for each row execute function private.t()", "write"],
    ["execute format('delete from public.posts where id = %L', id)", "write"],
    ["select 1 from public.posts", "read"],
    ["select 1 from x, public.posts", "read"],
    ["create policy p on public.posts for select using (true)", "read"],
    ["select 1 from public.posts p for update of p", "read"],
  ])("%s", (script, access) => {
    expect(usesIn(script, TABLES)).toMatchObject([{ table: "public.posts", access }]);
  });

  test("comments, functions and unknown tables say nothing", () => {
    expect(
      usesIn("-- delete from public.posts\nselect kernel.settings(), public.posts(1) from public.unknown", TABLES),
    ).toEqual([]);
  });

  test("bodies of functions are looked at line by line", () => {
    const script = `create function private.f() returns void language plpgsql as $$
begin
  -- not this: update public.people
  update public.posts set x = (select y
    from public.people);
end $$;`;
    expect(usesIn(script, TABLES)).toEqual([
      { table: "public.posts", access: "write", line: 4 },
      { table: "public.people", access: "read", line: 5 },
    ]);
  });

  test("so are tagged templates, those inside a placeholder too, and nothing else of TypeScript", () => {
    const source = [
      "const note = 'delete from public.people';",
      "const rows = await ctx.db<Row[]>`",
      "  select 1 from public.people",
      "  ${x ? db`where id in (select id from public.posts)` : db``}`;",
      "await tx`delete from public.posts`;",
    ].join("\n");
    expect(usesInTypeScript(source, TABLES)).toEqual([
      { table: "public.people", access: "read", line: 3 },
      { table: "public.posts", access: "read", line: 4 },
      { table: "public.posts", access: "write", line: 5 },
    ]);
  });
});

describe("who may", () => {
  test("a module writes its own tables and reads those of modules it needs, directly or through another", () => {
    expect(faults("modules/posts/sql/posts.sql", "insert into public.posts select 1 from public.people")).toEqual([]);
    expect(faults("modules/reports/x.ts", "db`select 1 from public.people, kernel.settings`")).toEqual([]);
  });

  test("writing another's table is a fault, needed or not, with file and line", () => {
    expect(faults("modules/posts/sql/posts.sql", "\nupdate public.people set x = 1")).toEqual([
      "modules/posts/sql/posts.sql:2: posts writes public.people; only people, which owns it, may: call one of its functions",
    ]);
    expect(faults("modules/posts/x.ts", "db`update kernel.settings set value = 1`")).toHaveLength(1);
  });

  test("so is reading a table of a module that is not needed; the kernel needs none", () => {
    expect(faults("modules/people/x.ts", "\n\ndb`select 1 from public.posts`")).toEqual([
      "modules/people/x.ts:3: people reads public.posts of posts, which it does not need: name it in needs",
    ]);
    expect(faults("modules/kernel/sql/x.sql", "select 1 from public.people")).toHaveLength(1);
  });

  test("every module counts what it owns: it may add deltas", () => {
    expect(faults("modules/posts/sql/counters.sql", "insert into public.counter_deltas (n) select 1")).toEqual([]);
    expect(faults("modules/posts/sql/counters.sql", "delete from public.counters")).toHaveLength(1);
  });

  test("an exception holds for one module, one table and one kind of use, and is a fault when nothing needs it", () => {
    const exception: Exception = { module: "posts", access: "write", table: "public.people", why: "x" };
    const path = "modules/posts/sql/posts.sql";
    expect(faults(path, "update public.people set x = 1", [exception])).toEqual([]);
    expect(faults(path, "select 1", [exception])).toEqual([
      "scripts/ownership-exceptions.ts: posts no longer has to write public.people: remove the line",
    ]);
    expect(faults(path, "update public.people set x = 1", [{ ...exception, access: "read" }])).toHaveLength(2);
  });

  test("what a migration makes has one owner, and what is owned is made", () => {
    const migration = `create table public.posts (id int); -- create table public.no (id int)
create unlogged table kernel.new (id int);
select kernel.create_queue('post_queue');`;
    expect(madeIn(migration)).toEqual(["public.posts", "kernel.new", "post_queue"]);
    expect(ownershipFaults(MODULES, [...MADE, "public.new"], [], [])).toEqual([
      "migrations: public.new belongs to no module: name it in the owns of its module.ts",
    ]);
    expect(
      ownershipFaults([...MODULES, { name: "twice", needs: [], owns: ["public.posts", "public.gone"] }], MADE, [], []),
    ).toEqual([
      "modules/twice/module.ts: owns public.posts, which posts owns",
      "modules/twice/module.ts: owns public.gone, which no migration makes",
    ]);
  });

  test("a manifest is read as it is written", () => {
    const text =
      'defineModule({\n  name: "posts",\n  needs: ["people"],\n  owns: [\n    "public.posts",\n    "post_queue",\n  ],\n});';
    expect(manifestOf("posts", text)).toEqual({
      name: "posts",
      needs: ["people"],
      owns: ["public.posts", "post_queue"],
    });
  });
});
