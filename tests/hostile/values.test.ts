import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createApp } from "../../functions/api/app.ts";
import { uuid7 } from "../../modules/kernel/database/ids.ts";
import { type AnyOperation, pathParams } from "../../modules/kernel/operations/operation.ts";
import { fillTenant, type Ids } from "../isolation/rows.ts";
import { testKernel, type TestTenant } from "../support/kernel.ts";
import { CURSOR_TEXTS, CURSOR_TIMES, CURSOR_WHOLES, DATES, REAL_TIMES, toJson, ZONES } from "./payloads.ts";
import { idFor, places, seeded, seedOf, validInput, withValue } from "./shape.ts";

// Cursors, dates and zones, at every route of the registry that takes one. New operations are covered the moment they are registered.

const logged: string[] = [];
const t = testKernel({ OVERTURE_API_RATE: "100000", OVERTURE_API_BURST: "1000000" }, [], {
  writeLog: (line) => logged.push(line),
});
const app = createApp(t.kernel);
const operations = t.kernel.registry.operations.filter((o) => o.auth !== "public");
const propertiesOf = (op: AnyOperation) =>
  (z.toJSONSchema(op.input, { io: "input", unrepresentable: "any" }) as { properties?: Record<string, unknown> })
    .properties ?? {};

let team: TestTenant;
let ids: Ids;
beforeAll(async () => {
  team = await t.tenant();
  ids = await fillTenant(t.sql, team.id);
});

type Answer = { status: number; pointers: string[]; text: string };
async function send(op: AnyOperation, input: Record<string, unknown>): Promise<Answer> {
  const params = pathParams(op.path);
  const path = op.path.replace(/\{(\w+)\}/g, (_, p: string) => idFor(op, p, ids));
  const rest = Object.entries(input).filter(([name]) => !params.includes(name));
  const queried = op.method === "GET" || op.body === "binary";
  const query = queried
    ? `?${rest.map(([k, v]) => `${encodeURIComponent(k)}=${encodeURIComponent((typeof v === "string" ? v : toJson(v)).toWellFormed())}`).join("&")}`
    : "";
  // Who calls without a team is limited for themselves.
  const token = op.auth === "tenant" ? team.owner.token : await t.sign(uuid7(), `${uuid7()}@example.com`);
  const response = await app.request(`http://api.test/api/v1${path}${query}`, {
    method: op.method,
    headers: {
      authorization: `Bearer ${token}`,
      "x-tenant-id": team.id,
      ...(queried ? {} : { "content-type": "application/json" }),
    },
    ...(queried ? {} : { body: toJson(Object.fromEntries(rest)) }),
  });
  const text = await response.text();
  const body = (response.headers.get("content-type") ?? "").includes("json") && text !== "" ? JSON.parse(text) : {};
  return { status: response.status, text, pointers: (body.errors ?? []).map((e: { pointer: string }) => e.pointer) };
}

/** A field's refusal: 422 that names it. Some values are wrong only for one reader and right for another: `mayPass`. */
function fault(answer: Answer, at: string, mayPass = false): string | null {
  if (mayPass && answer.status < 300) return null;
  if (answer.status !== 422) return `${answer.status} ${answer.text.slice(0, 150)}`;
  const named = answer.pointers.some((p) => p === at || p.startsWith(`${at}/`));
  return named ? null : `names ${answer.pointers.join(", ") || "nothing"} instead of ${at}`;
}

const encoded = (value: unknown): string =>
  btoa(
    Array.from(new TextEncoder().encode(typeof value === "string" ? value : toJson(value)), (b) =>
      String.fromCharCode(b),
    ).join(""),
  )
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");

const ID = "0193b5a8-0000-7000-8000-000000000002";
const TIME = "2026-01-01 00:00:00.123456+00";
/** Every form a list's cursor has, each with the query it belongs to. An operation's own is the one that it takes. */
const FORMS: { key: unknown[]; query?: Record<string, string> }[] = [
  { key: [ID] },
  { key: [TIME, ID] },
  { key: ["text"] },
  { key: ["text", ID] },
  { key: ["created_at:desc", TIME, ID] },
  { key: ["created_at:asc", TIME, ID], query: { order: "asc" } },
  { key: ["email:asc", "text", ID], query: { sort: "email" } },
  { key: ["last_name:desc", "text", ID], query: { sort: "last_name", order: "desc" } },
];

/** Who lists contacts in a body says which. */
const everybody = (op: AnyOperation) =>
  op.method !== "GET" && "filter" in propertiesOf(op) ? { filter: { all: [] } } : {};

describe("a cursor made by hand", () => {
  const lists = operations.filter((op) => "cursor" in propertiesOf(op));

  test.each(lists.map((op) => [op.id, op] as const))(
    "at %s is 422 that names it, or a place in the list",
    async (_, op) => {
      const wrong: string[] = [];
      let taken = 0;
      for (const { key, query = {} } of FORMS) {
        if (!Object.keys(query).every((name) => name in propertiesOf(op))) continue;
        const ask = (cursor: string) => send(op, { ...query, ...everybody(op), cursor });
        if ((await ask(encoded(key))).status >= 300) continue;
        taken++;
        for (const [i, part] of key.entries()) {
          const isTime = part === TIME;
          // To a list whose key is a text, an id or a time is a text too.
          const isText = (await ask(encoded(key.with(i, "any other text")))).status < 300;
          for (const [name, value] of Object.entries({ ...CURSOR_TIMES, ...CURSOR_TEXTS })) {
            const answer = await ask(encoded(key.with(i, value)));
            const found = fault(
              answer,
              "/cursor",
              isText && typeof value === "string" && value.isWellFormed() && !value.includes("\u0000"),
            );
            if (found) wrong.push(`[${key.join()}] with ${name} at ${i}: ${found}`);
          }
          if (isTime)
            for (const time of REAL_TIMES) {
              const answer = await ask(encoded(key.with(i, time.replace("T", " "))));
              if (answer.status !== 200) wrong.push(`${time}: ${answer.status} ${answer.text.slice(0, 150)}`);
            }
        }
        for (const [name, value] of [
          ["one more", [...key, "x"]],
          ["one less", key.slice(1)],
          ["in a list", [key]],
        ] as const) {
          const found = fault(await ask(encoded(value)), "/cursor");
          if (found) wrong.push(`[${key.join()}] ${name}: ${found}`);
        }
      }
      for (const [name, cursor] of Object.entries(CURSOR_WHOLES)) {
        const found = fault(await send(op, { ...everybody(op), cursor }), "/cursor");
        if (found) wrong.push(`${name}: ${found}`);
      }
      expect(wrong.slice(0, 20), `${wrong.length} findings`).toEqual([]);
      expect(taken, "no form was taken: the list's own must be among FORMS").toBeGreaterThan(0);
    },
  );
});

/** Fields by their names and formats, in inputs made from the operations' own schemas. */
function fieldsOf(op: AnyOperation, wanted: (name: string, value: unknown) => boolean) {
  const found = new Map<string, { input: Record<string, unknown>; at: (string | number)[] }>();
  // Optional fields are there in some of the inputs only.
  for (let seed = 0; seed < 12; seed++) {
    const input = validInput(op, ids, seeded(seedOf(op.id) + seed));
    for (const at of places(input)) {
      const value = at.reduce<unknown>((v, k) => (v as Record<string | number, unknown>)[k], input);
      if (wanted(String(at.findLast((k) => typeof k === "string")), value) && !found.has(at.join("/")))
        found.set(at.join("/"), { input, at });
    }
  }
  return [...found.values()];
}

async function attack(op: AnyOperation, fields: ReturnType<typeof fieldsOf>, values: Record<string, unknown>) {
  const wrong: string[] = [];
  for (const { input, at } of fields)
    for (const [name, value] of Object.entries(values)) {
      const answer = await send(op, withValue(input, at, value) as Record<string, unknown>);
      const found = fault(answer, `/${at.join("/")}`);
      if (found) wrong.push(`${op.id}, ${name} at /${at.join("/")}: ${found}`);
    }
  return wrong;
}

test("a date that does not exist, or that is read in two ways, is 422 that names the field", async () => {
  const isDate = (name: string, value: unknown) =>
    typeof value === "string" &&
    (/^2030-01-01/.test(value) || /(_at|_date|^at|^before|^after|^since|^until)$/.test(name));
  const wrong: string[] = [];
  const tried = new Set<string>();
  for (const op of operations) {
    const fields = fieldsOf(op, isDate);
    for (const { at } of fields) tried.add(`${op.id} ${at.filter((k) => typeof k === "string").join(".")}`);
    wrong.push(...(await attack(op, fields, DATES)));
  }
  expect(wrong.slice(0, 20), `${wrong.length} findings`).toEqual([]);
  expect([...tried]).toEqual(expect.arrayContaining(["api_keys.create expires_at", "tasks.update due_at"]));
});

test("a zone that Postgres or the runtime does not know is 422 that names the field", async () => {
  const wrong: string[] = [];
  const tried = new Set<string>();
  for (const op of operations) {
    const fields = fieldsOf(op, (name) => name === "time_zone");
    if (fields.length > 0) tried.add(op.id);
    wrong.push(...(await attack(op, fields, ZONES)));
  }
  expect(wrong.slice(0, 20), `${wrong.length} findings`).toEqual([]);
  expect([...tried]).toEqual(expect.arrayContaining(["senders.create", "campaigns.create", "contacts.create"]));
});

/** What some operations need beside a filter. */
const BESIDE = { name: "Filtered", action: "add_tag", value: "x" };
const besideOf = (op: AnyOperation) =>
  Object.fromEntries(Object.entries(BESIDE).filter(([name]) => name in propertiesOf(op)));

describe("a filter with a date that does not exist, or text that cannot be stored,", () => {
  const inQuery = operations.filter((op) => op.method === "GET" && "filter" in propertiesOf(op));
  const inBody = operations.filter((op) => op.method !== "GET" && "filter" in propertiesOf(op));

  test("is 422 that names its place, at every route that takes one", async () => {
    await t.sql`insert into public.custom_fields (tenant_id, key, label, type) values (${team.id}, 'day', 'Day', 'date'), (${team.id}, 'word', 'Word', 'text')`;
    const wrong: string[] = [];
    const bad: [string, string, unknown][] = [
      ...Object.entries(DATES).flatMap(([name, value]) =>
        (["created_at", "last_interaction_at", "custom.day"] as const).map(
          (field) => [`${field} ${name}`, field, value] as [string, string, unknown],
        ),
      ),
      ...["email", "title", "tag", "custom.word", "company.name", "country"].flatMap((field) =>
        (["U+0000", "lone surrogate"] as const).map(
          (name) => [`${field} ${name}`, field, CURSOR_TEXTS[name]] as [string, string, unknown],
        ),
      ),
    ];
    for (const op of [...inQuery, ...inBody])
      for (const [name, field, value] of bad) {
        const dated = /_at$|day$/.test(field);
        const filter = { all: [{ field, op: dated ? "after" : "eq", value }] };
        const input = op.method === "GET" ? { filter: toJson(filter) } : { ...besideOf(op), filter };
        const found = fault(await send(op, input), "/filter");
        if (found) wrong.push(`${op.id}, ${name}: ${found}`);
      }
    expect(wrong.slice(0, 20), `${wrong.length} findings`).toEqual([]);
    expect(inQuery.map((op) => op.id)).toEqual(expect.arrayContaining(["contacts.list", "contacts.export"]));
    expect(inBody.length).toBeGreaterThan(0);
  });

  test("a date that exists is read, whatever its offset", async () => {
    const list = operations.find((op) => op.id === "contacts.list")!;
    for (const value of REAL_TIMES) {
      const answer = await send(list, { filter: JSON.stringify({ field: "created_at", op: "after", value }) });
      expect(answer.status, `${value}: ${answer.text.slice(0, 200)}`).toBe(200);
    }
  });
});

test("none of it is an error in the operator's log", () => {
  expect(logged.filter((line) => (JSON.parse(line) as { level: string }).level === "error")).toEqual([]);
});
