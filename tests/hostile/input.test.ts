import { beforeAll, expect, test } from "vitest";
import { testKernel, type TestTenant } from "../support/kernel.ts";

// What the one door to all operations refuses, whatever stands behind it.

const t = testKernel();
let team: TestTenant;
beforeAll(async () => {
  team = await t.tenant();
});

const json = { "content-type": "application/json" };
const lists = async () =>
  (await t.sql<{ name: string }[]>`select name from public.lists where tenant_id = ${team.id} order by name`).map(
    (r) => r.name,
  );

test("a body has the fields of the request and no others: neither a misspelled one nor a prototype", async () => {
  for (const body of [
    '{"__proto__":{"name":"smuggled"}}',
    '{"constructor":{"prototype":{"name":"smuggled"}}}',
    '{"__proto__":{"name":"smuggled"},"description":"x"}',
  ])
    expect((await team.api("POST", "/lists", body, json)).status, body).toBe(422);
  expect(await lists()).toEqual([]);
  expect(({} as { name?: string }).name).toBeUndefined();
  for (const [body, pointer] of [
    ['{"__proto__":{"description":"smuggled"},"name":"Own"}', "/__proto__"],
    ['{"name":"Own","descripton":"misspelled"}', "/descripton"],
  ] as const) {
    const refused = await team.api("POST", "/lists", body, json);
    expect([refused.status, refused.body.errors], body).toEqual([
      422,
      [{ pointer, detail: "is not a field of this request" }],
    ]);
    expect(refused.body.suggestion).toBe("The fields are: name, description.");
  }
  expect(await lists()).toEqual([]);
});

test("the same key in two teams is two keys, in one team and for another person of it the first answer", async () => {
  const other = await t.tenant();
  const colleague = await team.member("member");
  const key = { "idempotency-key": crypto.randomUUID() };
  const first = await team.api("POST", "/lists", { name: "Keyed" }, key);
  expect(first.status).toBe(201);
  const again = await colleague.api("POST", "/lists", { name: "Keyed" }, key);
  expect([again.body.id, again.headers.get("idempotency-replayed")]).toEqual([first.body.id, "true"]);
  const elsewhere = await other.api("POST", "/lists", { name: "Keyed" }, key);
  expect([elsewhere.status, elsewhere.headers.get("idempotency-replayed")]).toEqual([201, null]);
  expect(elsewhere.body.id).not.toBe(first.body.id);
  // Permission comes before any kept answer: who may not ask does not learn what the others were told.
  const viewer = await team.member("viewer");
  expect((await viewer.api("POST", "/lists", { name: "Keyed" }, key)).status).toBe(403);
});

test("what the database cannot store is refused at the door, by the field that holds it", async () => {
  for (const [text, what] of [
    ['{"name":"a\\u0000b"}', /U\+0000/],
    ['{"name":"half \\ud800 of one"}', /surrogate/],
    ['{"name":"x","\\u0000":1}', /U\+0000/],
  ] as const) {
    const answer = await team.api("POST", "/lists", text, json);
    expect([answer.status, answer.body.code], text).toEqual([422, "invalid"]);
    expect(answer.body.detail, text).toMatch(what);
    expect(answer.body.errors[0].pointer, text).toMatch(/^\//);
  }
});

test("a body that is no UTF-8 is refused for what it is, before anybody parses it", async () => {
  const encode = (text: string) => new TextEncoder().encode(text);
  for (const bad of [
    [0xff, 0xfe],
    [0xc3, 0x28],
    [0xc0, 0xaf],
    [0xed, 0xa0, 0x80],
    [0xf5, 0x80, 0x80, 0x80],
  ]) {
    // A JSON text apart from these bytes: read leniently it would be stored with signs of replacement.
    const body = new Uint8Array([...encode('{"name":"a'), ...bad, ...encode('b"}')]);
    const answer = await team.api("POST", "/lists", body, json);
    expect([answer.status, answer.body.detail], bad.join()).toEqual([400, "The body is not valid UTF-8."]);
  }
});
