import { describe, expect, test } from "vitest";
import { conformance } from "../../conformance/suite.ts";
import { setStage } from "../../conformance/stage.ts";
import { fullContact } from "./adapter.ts";
import { emulation } from "./emulation.ts";

conformance(fullContact, emulation, {
  check: { bad: [{ api_key: "not-a-key" }] },
  lookup: {
    person: {
      known: { email: "ada.lovelace@famous.com" },
      expects: { first_name: "Ada", last_name: "Lovelace", company_name: "Famous", company_domain: "famous.com" },
      units: { found: 1, miss: 0 },
      unknown: { email: "nobody@acme.com" },
      refused: { email: "not an address" },
    },
    company: {
      known: { domain: "famous.com" },
      expects: { company_name: "Famous", company_domain: "https://www.famous.com" },
      units: { found: 1, miss: 0 },
      unknown: { domain: "unknown.example" },
      refused: { domain: "https://acme.com/about" },
    },
  },
});

describe("FullContact", () => {
  const stage = setStage(fullContact, emulation);
  const { lookup } = fullContact.lookup!;

  test.each([
    ["person", { email: "pending@famous.com" }],
    ["company", { domain: "pending.famous.com" }],
  ])("202 for a %s is an answer that comes later, and is asked again for it", async (kind, question) => {
    const { connection } = stage.fresh();
    expect(await lookup(kind, [question], connection, stage.http())).toEqual([
      { outcome: "later", after_seconds: 120, detail: expect.stringContaining("searching") },
    ]);
    expect(await lookup(kind, [question], connection, stage.http())).toMatchObject([{ outcome: "found", units: 1 }]);
  });

  test("the level that was asked for is the confidence of the answer", async () => {
    const { connection } = stage.fresh();
    const ask = (settings: object) =>
      lookup(
        "person",
        [{ email: "ada.lovelace@famous.com" }],
        { ...connection, settings: { ...settings } },
        stage.http(),
      );
    expect(await ask({})).toMatchObject([{ found: { confidence: 0.95, seen_at: "2026-08-01T00:00:00.000Z" } }]);
    expect(await ask({ confidence: "MED" })).toMatchObject([{ found: { confidence: 0.8 } }]);
  });

  test("a person is found by the LinkedIn profile, with the present job and not a former one", async () => {
    const linkedin_url = "https://www.linkedin.com/in/ada-lovelace-at-famous-com";
    expect(await lookup("person", [{ linkedin_url }], stage.fresh().connection, stage.http())).toMatchObject([
      {
        outcome: "found",
        found: { values: { company_name: "Famous", title: expect.not.stringContaining("Trainee") } },
      },
    ]);
  });
});
