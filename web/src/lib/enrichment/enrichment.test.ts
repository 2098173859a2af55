import { describe, expect, test } from "vitest";
import type { EnrichmentSource } from "../api/types.ts";
import { dollarsOf, microsOf, money } from "../format.ts";
import { moved, toDraft, toOrder, toWritten } from "./order.ts";
import { dailySpending } from "./spending.ts";
import { byField, isWeb, valueText } from "./values.ts";

describe("money", () => {
  test("shows fractions of a cent, and no more digits than say something", () => {
    expect([0, 4000, 150_000, 12_500, 1_234_567, 12_340_000, 1].map(money)).toEqual([
      "$0",
      "$0.004",
      "$0.15",
      "$0.0125",
      "$1.23",
      "$12.34",
      "$0.000001",
    ]);
    expect(money(null)).toBe("–");
  });
  test("what is written in dollars becomes whole millionths, and nothing is not nought", () => {
    expect(microsOf("0.1")).toBe(100_000);
    expect(microsOf(1.005)).toBe(1_005_000);
    expect(microsOf("0")).toBe(0);
    expect([microsOf(""), microsOf(null), microsOf(undefined), microsOf("-1"), microsOf("much")]).toEqual(
      Array(5).fill(null),
    );
    expect(microsOf(dollarsOf(4000))).toBe(4000);
  });
});

describe("values", () => {
  const catalogue = { entry: (name: string, value: string) => ({ value, label: `${name}:${value}` }) };
  test("codes are read as words, lists are joined, choices have the catalogue's words", () => {
    expect(valueText(catalogue, "country", "DE")).toBe("Germany");
    expect(valueText(catalogue, "country", "Elsewhere")).toBe("Elsewhere");
    expect(valueText(catalogue, "company_technologies", ["React", "Nginx"])).toBe("React, Nginx");
    expect(valueText(catalogue, "seniority", "c_level")).toBe("enrichment.seniority:c_level");
    expect(valueText(catalogue, "company_founded", 1999)).toBe("1999");
    expect(valueText(catalogue, "linkedin_url", "https://www.linkedin.com/in/ada/")).toBe("linkedin.com/in/ada");
  });
  test("a script in place of a profile is no link", () => {
    expect(isWeb("https://www.linkedin.com/in/ada")).toBe(true);
    expect(isWeb("javascript:alert(1)")).toBe(false);
    expect(isWeb(7)).toBe(false);
  });
  test("a field is one line, the surest source first", () => {
    const value = (field: string, provider: string, confidence: number) => ({
      field,
      provider,
      confidence,
      value: "x",
    });
    const lines = byField([value("title", "a", 60), value("title", "b", 90), value("city", "a", 70)]);
    expect(lines.map((l) => [l.field, l.best.provider, l.sources.length])).toEqual([
      ["title", "b", 2],
      ["city", "a", 1],
    ]);
  });
});

describe("the order of providers", () => {
  const source = (kind: string, position: number, over: object = {}) =>
    ({
      kind,
      position,
      connection_id: `${kind}-${position}`,
      connection_name: "One",
      connection_status: "active",
      provider: "one",
      is_enabled: true,
      fields: null,
      gives: ["title"],
      unit_micros: null,
      list_unit_micros: 4000,
      units: 1,
      ...over,
    }) as EnrichmentSource;

  test("comes back as it was read, kinds without providers included", () => {
    const order = toOrder(
      ["person", "company", "email"],
      [source("person", 2, { unit_micros: 12_500, fields: ["title"] }), source("person", 1)],
    );
    expect(toWritten(order)).toEqual({
      person: [
        { connection_id: "person-1", is_enabled: true, fields: null, unit_micros: null },
        { connection_id: "person-2", is_enabled: true, fields: ["title"], unit_micros: 12_500 },
      ],
      company: [],
      email: [],
    });
  });
  test("a row moves by one and stays at the ends", () => {
    expect(moved(["a", "b", "c"], 2, -1)).toEqual(["a", "c", "b"]);
    expect(moved(["a", "b"], 0, -1)).toEqual(["a", "b"]);
    expect(moved(["a", "b"], 1, 1)).toEqual(["a", "b"]);
  });
  test("an added connection is asked for everything, at its list price", () => {
    const draft = toDraft({ kind: "person", connection_id: "new", connection_name: "New", provider: "one" });
    expect(toWritten({ person: [draft] }).person).toEqual([
      { connection_id: "new", is_enabled: true, fields: null, unit_micros: null },
    ]);
  });
});

test("days on which nothing was spent are days of the plot", () => {
  const now = new Date("2026-03-02T01:00:00Z");
  expect(dailySpending([{ key: "2026-03-01", amount_micros: 1_500_000 }], 3, now)).toEqual([
    { at: "2026-02-28", spent: 0 },
    { at: "2026-03-01", spent: 1.5 },
    { at: "2026-03-02", spent: 0 },
  ]);
});
