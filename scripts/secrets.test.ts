import { expect, test } from "vitest";
import { secretsIn } from "./secrets.ts";

// Put together here, so that this file itself holds none.
const random = (n: number) => "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAcCeFiGlJoLrOuRwTzXb".slice(0, n);

test.each([
  ["Anthropic", ["sk-", "ant-", "api03-", random(30)]],
  ["AWS", ["AK", "IA", "ABCDEFGHIJ234567"]],
  ["GitHub", ["gh", "p_", random(36)]],
  ["Supabase", ["sb_", "secret_", random(30)]],
  ["private", ["-----BEGIN EC PRIVATE", " KEY-----\n", random(50)]],
])("a real key is found in a test as well: %s", (_, parts) => {
  expect(secretsIn(`const x = 1;\nconst key = "${parts.join("")}";`, { test: true }).length).toBeGreaterThan(0);
});

test("in the product's own files also what tests may make up, and anything random", () => {
  for (const parts of [
    ["whsec", "_", random(32)],
    ["ovk", "_", random(43)],
    ["k1", ":", random(43), "="],
    ["postgresql://u:", "hunter22", "@db.example.com/x"],
    [random(48)],
  ]) {
    const line = `const key = "${parts.join("")}";`;
    expect(secretsIn(line, { test: false }), line.slice(0, 24)).toMatchObject([{ line: 1 }]);
    expect(secretsIn(line, { test: true })).toEqual([]);
  }
});

test("words, digests in hex and ids are no secrets", () => {
  for (const text of [
    "overture_http_request_seconds_and_then_some_more",
    "0123456789abcdef".repeat(4),
    "01a1fb02-07e5-7588-b926-a8df757ca2b4",
    "ALongCamelCaseNameThatSomebodyThoughtWasGood1",
  ]) {
    expect(secretsIn(`"${text}"`, { test: false }), text).toEqual([]);
  }
});
