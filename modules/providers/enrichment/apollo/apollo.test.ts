import { describe, expect, test } from "vitest";
import { setStage } from "../../conformance/stage.ts";
import { conformance } from "../../conformance/suite.ts";
import type { Question } from "../vocabulary.ts";
import { apollo } from "./adapter.ts";
import { emulation } from "./emulation.ts";

const ada = { email: "ada.lovelace@famous.com" };
const names = { first_name: "Grace", last_name: "Hopper" };

conformance(apollo, emulation, {
  check: { bad: [{ api_key: "not-a-key" }] },
  lookup: {
    person: {
      known: ada,
      expects: { first_name: "Ada", email_status: "valid", department: "finance", company_domain: "famous.com" },
      units: { found: 1, miss: 0 },
      unknown: { email: "nobody@acme.com" },
      refused: { ...names, domain: "www.famous.com" },
    },
    company: {
      known: { domain: "famous.com" },
      expects: { company_name: "Famous", company_employees: 1556, company_phone: "+44205555365" },
      units: { found: 1, miss: 0 },
      unknown: { domain: "unknown.example" },
    },
  },
});

describe("apollo's own", () => {
  const stage = setStage(apollo, emulation);
  const ask = (kind: string, questions: Question[], connection = stage.fresh().connection) =>
    apollo.lookup!.lookup(kind, questions, connection, stage.http());

  test("names with a company's name are enough, and a company is known by its name with less confidence", async () => {
    expect(await ask("person", [{ ...names, company_name: "Famous" }])).toMatchObject([
      { outcome: "found", found: { values: { email: "grace.hopper@famous.com" } } },
    ]);
    expect(await ask("company", [{ company_name: "Famous" }])).toMatchObject([{ found: { confidence: 0.6 } }]);
  });

  test("ten people are one call, charged what Apollo says: nothing for those the team has already", async () => {
    const { connection, key } = stage.fresh();
    const ten = Array.from({ length: 10 }, (_, n) => ({ email: `person.${"abcdefghij"[n]}x@famous.com` }));
    await ask("person", [ten[0]!], connection);
    const outcomes = await ask("person", ten, connection);
    expect(outcomes.every((o) => o.outcome === "found")).toBe(true);
    const units = outcomes.reduce((sum, o) => sum + (o.outcome === "found" ? o.units : 0), 0);
    const charged = await stage.control<{ units: number }>(`/charges?account=${key}`);
    expect({ units, charged: charged.units }).toEqual({ units: 9, charged: 10 });
  });

  test("more than ten in one call are refused, each of them", async () => {
    const outcomes = await ask(
      "person",
      Array.from({ length: 11 }, () => ada),
    );
    expect(outcomes).toHaveLength(11);
    expect(outcomes[0]).toMatchObject({ outcome: "refused", code: "http_400" });
  });

  test("a key that Apollo does not know is told in plain text; one without credits, or limited to other endpoints, is no bad question", async () => {
    const bad = await apollo.check(stage.open({ api_key: "nope" }), stage.http());
    expect(bad).toMatchObject({ ok: false, code: "http_401", detail: "Invalid access credentials." });
    expect(await ask("person", [ada], stage.open({ api_key: "nothing".padEnd(22, "x") }))).toMatchObject([
      { outcome: "broken", detail: expect.stringMatching(/credits/) },
    ]);
    const limited = stage.open({ api_key: "limited".padEnd(22, "x") });
    expect(await apollo.check(limited, stage.http())).toMatchObject({
      ok: true,
      detail: expect.stringMatching(/limited/),
    });
  });
});
