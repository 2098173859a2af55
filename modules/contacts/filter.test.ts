import { beforeAll, describe, expect, it } from "vitest";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import type { Tx } from "../kernel/database/db.ts";
import { FIELD_KINDS, filterFaults, type Kind, KIND_OPS, MAX_CONDITIONS, type Op } from "./filter.ts";
import { escapeLike, prepare, searchPatterns } from "./filter-sql.ts";

const say = (filter: unknown) => filterFaults(filter).map((f) => `/${f.path.join("/")} ${f.detail}`);
const deep = (n: number): unknown => (n === 0 ? { field: "email", op: "is_empty" } : { not: deep(n - 1) });

describe("what is a filter", () => {
  it.each([
    [{ all: [] }],
    [{ field: "email", op: "eq", value: "a@b.co" }],
    [
      {
        any: [{ field: "tag", op: "in", value: ["a", "b"] }, { not: { field: "warmth_score", op: "gte", value: 50 } }],
      },
    ],
    [{ field: "created_at", op: "after", value: "2026-01-31" }],
    [{ field: "last_interaction_at", op: "within_days", value: 30 }],
    [{ field: "custom.plan", op: "eq", value: "pro" }],
    [deep(4)],
  ])("%j is one", (filter) => expect(say(filter)).toEqual([]));

  it.each([
    [null, "/ must be {all"],
    ["email = 1", "/ must be {all"],
    [{ all: [], any: [] }, "/any cannot be combined with all"],
    [{ all: {} }, "/all must be a list"],
    [{ field: "password", op: "eq", value: "x" }, "/field is not a field; use one of email, first_name"],
    [{ field: "__proto__", op: "eq", value: "x" }, "/field is not a field"],
    [{ field: "constructor", op: "eq", value: "x" }, "/field is not a field"],
    [{ field: "email; drop table contacts", op: "eq", value: "x" }, "/field is not a field"],
    [{ field: "email", op: "like", value: "x" }, "/op is not an operator; use one of eq"],
    [{ field: "email", op: "gt", value: "x" }, "/op gt cannot be used with email; use one of eq"],
    [{ field: "email", op: "eq", value: 1 }, "/value must be text"],
    [{ field: "email", op: "eq" }, "/value must be text"],
    [{ field: "email", op: "is_empty", value: "x" }, "/value is_empty does not take a value"],
    [{ field: "email", op: "in", value: [] }, "/value must be a list of 1 to"],
    [{ field: "email", op: "eq", value: "x", extra: 1 }, "/extra is not a key"],
    [{ field: "warmth_score", op: "gt", value: "1 or 1=1" }, "/value must be a number"],
    [{ field: "created_at", op: "before", value: "2026-02-31" }, "/value must be a date"],
    [{ field: "created_at", op: "before", value: "2026-02-31T00:00:00Z" }, "/value must be a date"],
    [{ field: "created_at", op: "before", value: "0000-01-01" }, "/value must be a date"],
    [{ field: "created_at", op: "before", value: "2026-01-01T00:00:00+23:00" }, "/value must be a date"],
    [{ field: "created_at", op: "within_days", value: 0.5 }, "/value must be a whole number"],
    [{ field: "list", op: "eq", value: "x' or true --" }, "/value must be the id of a list"],
    [{ field: "status", op: "eq", value: "happy" }, "/value is not a status"],
    [{ all: [{ any: [{ field: "nope", op: "eq", value: "x" }] }] }, "/all/0/any/0/field is not a field"],
  ])("%j is none: %s", (filter, fault) => expect(say(filter)[0]).toContain(fault));

  it("has limits on depth and size", () => {
    expect(say(deep(5))[0]).toContain("nested deeper");
    const many = (n: number) => Array.from({ length: n }, () => ({ field: "email", op: "is_empty" }));
    expect(say({ all: many(MAX_CONDITIONS) })).toEqual([]);
    expect(say({ all: many(MAX_CONDITIONS + 1) })[0]).toContain("more than");
    expect(say({ all: [{ all: many(30) }, { all: many(30) }] })[0]).toContain("one condition too many");
  });
});

/** A stand-in for postgres.js that writes down the SQL text and the parameters, the way the real one keeps them apart. */
type Recorded = { text: string; values: unknown[] };
function recorder(): Tx {
  const tag = (first: unknown, ...values: unknown[]): unknown => {
    if (!Array.isArray(first)) return { identifier: String(first) };
    if (String(first).includes("private.probe_contacts")) return Promise.resolve([]);
    if (String(first).includes("public.custom_fields")) return Promise.resolve(customRows);
    const out: Recorded = { text: "", values: [] };
    first.forEach((part: string, i: number) => {
      out.text += part;
      if (i >= values.length) return;
      const value = values[i] as Partial<Recorded> & { identifier?: string };
      if (value && typeof value === "object" && "identifier" in value) out.text += `"${value.identifier}"`;
      else if (value && typeof value === "object" && "text" in value) {
        out.text += value.text;
        out.values.push(...value.values!);
      } else {
        out.text += "$";
        out.values.push(value);
      }
    });
    return out;
  };
  return tag as unknown as Tx;
}
const customRows = (["text", "number", "date", "boolean", "select", "url"] as const).map((type) => ({
  key: type,
  label: type,
  type,
  options: ["x"],
}));

const HOSTILE = [
  "' or 1=1 --",
  "'; drop table public.contacts; --",
  "\\'; select pg_sleep(9) --",
  "$1",
  "${x}",
  "%",
  "_",
  "\\",
  '"',
  "a\nb",
  "/* */",
  "☃' or ''='",
  "x'::text) or (true",
];

/** Every field with every operator it takes, with a value of its kind. */
function* everyCondition(text: string): Generator<{ field: string; op: Op; value?: unknown }> {
  const kinds: [string, Kind][] = [
    ...Object.entries(FIELD_KINDS),
    ["custom.text", "text"],
    ["custom.number", "number"],
    ["custom.date", "date"],
    ["custom.boolean", "boolean"],
    ["custom.select", "text"],
    ["custom.url", "text"],
  ];
  for (const [field, kind] of kinds) {
    if (field === "status") continue;
    for (const op of KIND_OPS[kind]) {
      if (op.startsWith("is_")) yield { field, op };
      else if (op === "within_days") yield { field, op, value: 7 };
      else {
        const value = {
          text,
          tag: text,
          number: 7,
          time: "2026-01-31T10:00:00Z",
          date: "2026-01-31",
          boolean: true,
          list: "01900000-0000-7000-8000-000000000000",
        }[kind];
        yield { field, op, value: op === "in" ? [value] : value };
      }
    }
  }
}

it("nothing a person writes becomes part of the SQL text, whatever field, operator or value", async () => {
  const plain = new Map<string, string>();
  const compile = async (condition: unknown) => {
    const compiler = await prepare(recorder(), "t", { filters: [{ filter: condition, pointer: "/filter" }] });
    return compiler.filter(condition as never) as unknown as Recorded;
  };
  for (const c of everyCondition("harmless")) plain.set(`${c.field} ${c.op}`, (await compile(c)).text);
  expect(plain.size).toBeGreaterThan(150);
  for (const text of HOSTILE) {
    for (const c of everyCondition(text)) {
      const { text: sql, values } = await compile(c);
      // The same SQL as for a harmless value: the value can only be among the parameters.
      expect(sql).toBe(plain.get(`${c.field} ${c.op}`));
      if (typeof c.value === "string" && c.value === text)
        expect(values.some((v) => String(v).includes(escapeLike(text)) || String(v).includes(text))).toBe(true);
    }
  }
});

describe("search words", () => {
  it("escapes the wildcards", () => expect(searchPatterns("50%_off a\\b")).toEqual(["%50\\%\\_off%", "%a\\\\b%"]));
  it("matches short words at word beginnings only", () => expect(searchPatterns(" ab  c ")).toEqual(["% ab%", "% c%"]));
});

describe("against Postgres", () => {
  const t = testKernel();
  let team: TestTenant;
  let ids: Record<string, string>;
  beforeAll(async () => {
    team = await t.tenant();
    for (const field of [
      { key: "plan", label: "Plan", type: "select", options: ["free", "pro"] },
      { key: "seats", label: "Seats", type: "number" },
      { key: "renewal", label: "Renewal", type: "date" },
      { key: "vip", label: "VIP", type: "boolean" },
    ])
      expect((await team.api("POST", "/custom-fields", field)).status).toBe(201);
    const list = (await team.api("POST", "/lists", { name: "Leads" })).body.id;
    const people = [
      {
        email: "ada@acme.com",
        first_name: "Ada",
        last_name: "Lovelace",
        title: "CEO",
        company_name: "Acme",
        company_domain: "acme.com",
        tags: ["vip", "math"],
        lists: [list],
        custom: { plan: "pro", seats: 10, renewal: "2026-03-01", vip: true },
      },
      {
        email: "bob@other.org",
        first_name: "Bob",
        last_name: "O'Brien",
        title: "100% Sales_Rep",
        company_name: "Other & Sons",
        tags: ["math"],
        country: "Ireland",
        custom: { plan: "free", seats: 2, vip: false },
      },
      {
        email: "zoe@acme.com",
        first_name: "Zoë",
        last_name: "Ångström",
        company_domain: "acme.com",
        custom: { seats: 10.5 },
        lists: [list],
      },
      { first_name: "Nomail", phone: "+4930901820" },
    ];
    const { body } = await team.api("POST", "/contacts/bulk", { contacts: people });
    expect(body.data.map((d: { outcome: string }) => d.outcome)).toEqual(Array(4).fill("created"));
    ids = { list, ada: body.data[0].id, bob: body.data[1].id, zoe: body.data[2].id, nomail: body.data[3].id };
  });

  const names = async (filter: unknown) => {
    const answer = await team.api("POST", "/contacts/select", { filter });
    expect(answer.body.detail ?? "").toBe("");
    return answer.body.data.map((c: { first_name: string }) => c.first_name).sort();
  };
  const on = (field: string, op: string, value?: unknown) => ({ field, op, ...(value === undefined ? {} : { value }) });

  it.each([
    [{ all: [] }, ["Ada", "Bob", "Nomail", "Zoë"]],
    [{ any: [] }, []],
    [on("email", "eq", "ADA@acme.com"), ["Ada"]],
    [on("email", "ends_with", "@ACME.com"), ["Ada", "Zoë"]],
    [on("email", "neq", "ada@acme.com"), ["Bob", "Nomail", "Zoë"]],
    [on("email", "in", ["Ada@acme.com", "bob@other.org"]), ["Ada", "Bob"]],
    [on("email", "is_empty"), ["Nomail"]],
    [on("last_name", "contains", "o'b"), ["Bob"]],
    [on("last_name", "starts_with", "ÅNG"), ["Zoë"]],
    [on("full_name", "contains", "ada love"), ["Ada"]],
    [on("title", "contains", "100%"), ["Bob"]],
    [on("title", "contains", "0% s"), ["Bob"]],
    [on("title", "contains", "s_r"), ["Bob"]],
    [on("title", "contains", "C_O"), []],
    [on("title", "is_empty"), ["Nomail", "Zoë"]],
    [on("tag", "eq", "math"), ["Ada", "Bob"]],
    [on("tag", "in", ["vip", "nope"]), ["Ada"]],
    [on("tag", "neq", "vip"), ["Bob", "Nomail", "Zoë"]],
    [on("tag", "is_empty"), ["Nomail", "Zoë"]],
    [on("company.name", "contains", "acm"), ["Ada", "Zoë"]],
    [on("company.domain", "eq", "acme.com"), ["Ada", "Zoë"]],
    [on("company.name", "is_empty"), ["Nomail"]],
    [on("company.name", "neq", "Acme"), ["Bob", "Nomail"]],
    [on("country", "eq", "ie"), ["Bob"]],
    [on("custom.plan", "eq", "PRO"), ["Ada"]],
    [on("custom.seats", "gte", 10), ["Ada", "Zoë"]],
    [on("custom.seats", "eq", 10), ["Ada"]],
    [on("custom.seats", "in", [2, 10.5]), ["Bob", "Zoë"]],
    [on("custom.seats", "is_empty"), ["Nomail"]],
    [on("custom.vip", "eq", true), ["Ada"]],
    [on("custom.vip", "neq", true), ["Bob", "Nomail", "Zoë"]],
    [on("custom.renewal", "before", "2026-03-02"), ["Ada"]],
    [on("custom.renewal", "eq", "2026-03-01"), ["Ada"]],
    [on("warmth_score", "lte", 0), ["Ada", "Bob", "Nomail", "Zoë"]],
    [on("created_at", "within_days", 1), ["Ada", "Bob", "Nomail", "Zoë"]],
    [on("created_at", "before", "2020-01-01"), []],
    [on("last_interaction_at", "is_empty"), ["Ada", "Bob", "Nomail", "Zoë"]],
    [{ not: on("email", "contains", "acme") }, ["Bob", "Nomail"]],
    [{ not: on("custom.vip", "eq", true) }, ["Bob", "Nomail", "Zoë"]],
    [
      { all: [on("tag", "eq", "math"), { any: [on("custom.plan", "eq", "free"), on("title", "eq", "ceo")] }] },
      ["Ada", "Bob"],
    ],
  ])("%j selects %j", async (filter, expected) => expect(await names(filter)).toEqual(expected));

  it("selects by list", async () => {
    expect(await names(on("list", "eq", ids.list))).toEqual(["Ada", "Zoë"]);
    expect(await names(on("list", "neq", ids.list))).toEqual(["Bob", "Nomail"]);
    expect(await names(on("list", "is_empty"))).toEqual(["Bob", "Nomail"]);
  });

  it("hostile values select nobody and harm nothing", async () => {
    for (const value of HOSTILE.filter((v) => !["%", "_"].includes(v))) {
      for (const filter of [
        on("email", "eq", value),
        on("title", "contains", value),
        on("tag", "eq", value),
        on("company.name", "starts_with", value),
        on("custom.plan", "eq", value),
      ]) {
        expect(await names(filter), JSON.stringify(filter)).toEqual([]);
      }
    }
    expect(await names({ all: [] })).toHaveLength(4);
  });

  it("names the team's fields when a custom field is unknown, and the operators when one does not fit", async () => {
    const unknown = await team.api("POST", "/contacts/select", { filter: on("custom.nope", "eq", "x") });
    expect(unknown.status).toBe(422);
    expect(unknown.body.errors[0]).toMatchObject({
      pointer: "/filter/field",
      detail: expect.stringContaining("custom.plan, custom.renewal"),
    });
    const unfit = await team.api("POST", "/segments/preview", {
      filter: { all: [on("custom.seats", "contains", "1")] },
    });
    expect(unfit.body.errors[0]).toMatchObject({
      pointer: "/filter/all/0/op",
      detail: expect.stringContaining("eq, neq, gt"),
    });
    const field = await team.api("POST", "/segments", { name: "Bad", filter: { field: "nope", op: "eq", value: 1 } });
    expect(field.status).toBe(422);
    expect(field.body.errors[0]).toMatchObject({
      pointer: "/filter/field",
      detail: expect.stringContaining("use one of email"),
    });
  });

  it("another team's contacts are never selected", async () => {
    const other = await t.tenant();
    expect((await other.api("POST", "/contacts/select", { filter: { all: [] } })).body.data).toEqual([]);
    expect((await other.api("GET", "/contacts?search=ada")).body.data).toEqual([]);
    const probed = await other.run(
      ({ db }) => db`select ids from private.probe_contacts('[{"n":0,"like":["%ada%"]}]', 10)`,
    );
    expect(probed[0]!.ids).toEqual([]);
  });
});
