import { describe, expect, test } from "vitest";
import { splitSql } from "./split-sql.ts";

describe("splitSql", () => {
  test("splits at semicolons outside of quotes, comments and bodies", () => {
    const script = `
      -- a comment; with 'quote
      create table a (t text default 'x;''y');
      /* c; /* nested; */ */ select 1;
      insert into a values (E'it\\'s;'), ('$$;'), ("b;""c");;
      create function f() returns int language plpgsql as $fn$ begin; $$ x; end $fn$;
      create function g(a int) returns int begin atomic select case when a > 1 then 2 else 3 end; select 1; end;
      select price$1; select $1`;
    expect(splitSql(script).map((statement) => statement.replace(/\s+/g, " "))).toEqual([
      "-- a comment; with 'quote create table a (t text default 'x;''y')",
      "/* c; /* nested; */ */ select 1",
      `insert into a values (E'it\\'s;'), ('$$;'), ("b;""c")`,
      "create function f() returns int language plpgsql as $fn$ begin; $$ x; end $fn$",
      "create function g(a int) returns int begin atomic select case when a > 1 then 2 else 3 end; select 1; end",
      "select price$1",
      "select $1",
    ]);
  });

  test("keeps an unfinished quote in one piece instead of losing text", () => {
    expect(splitSql("select 'open; select 2;")).toEqual(["select 'open; select 2;"]);
  });
});
