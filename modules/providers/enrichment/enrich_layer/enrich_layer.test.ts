import { describe, expect, test } from "vitest";
import { conformance } from "../../conformance/suite.ts";
import { setStage } from "../../conformance/stage.ts";
import type { Question } from "../vocabulary.ts";
import { enrichLayer } from "./adapter.ts";
import { emulation } from "./emulation.ts";

conformance(enrichLayer, emulation, {
  check: { bad: [{ api_key: "not-a-key" }] },
  lookup: {
    person: {
      known: { linkedin_url: "https://www.linkedin.com/in/ada-lovelace-at-famous-com" },
      expects: { first_name: "Ada", last_name: "Lovelace", company_name: "Famous" },
      units: { found: 1, miss: 0 },
      unknown: { linkedin_url: "https://www.linkedin.com/in/nobody" },
    },
    company: {
      known: { domain: "famous.com" },
      expects: { company_name: "Famous", company_domain: "famous.com" },
      units: { found: 3, miss: 2 },
      unknown: { domain: "unknown.example" },
    },
  },
});

describe("a person by name", () => {
  const stage = setStage(enrichLayer, emulation);
  const ask = async (q: Question, settings = {}) => {
    const { connection, key } = stage.fresh();
    const outcomes = await enrichLayer.lookup!.lookup("person", [q], { ...connection, settings }, stage.http());
    const { units } = await stage.control<{ units: number }>(`/charges?account=${encodeURIComponent(key)}`);
    return { outcome: outcomes[0], charged: units };
  };
  const ada = { first_name: "Ada", last_name: "Lovelace", domain: "famous.com" };
  const smith = { first_name: "Jane", last_name: "Smith", domain: "acme.com" };

  test("a search that is sure of name and company is found, as sure as its weaker score, for three credits", async () => {
    const { outcome, charged } = await ask(ada);
    expect(outcome).toMatchObject({ outcome: "found", units: 3, found: { confidence: 0.92 } });
    expect(charged).toBe(3);
    expect((await ask({ first_name: "Ada", last_name: "Lovelace", company_name: "Famous" })).outcome).toMatchObject({
      outcome: "found",
    });
  });

  test("a namesake elsewhere is a miss, and was paid for", async () => {
    expect(await ask(smith)).toEqual({ outcome: { outcome: "miss", units: 3 }, charged: 3 });
  });

  test("nobody found costs the search", async () => {
    expect(await ask({ ...ada, last_name: "Nobody" })).toEqual({ outcome: { outcome: "miss", units: 2 }, charged: 2 });
  });

  test("how sure is sure enough is a setting", async () => {
    expect((await ask(ada, { min_similarity: 0.95 })).outcome).toMatchObject({ outcome: "miss" });
  });

  test("the title is that of the present job, never the headline nor a former job", async () => {
    const { outcome } = await ask(ada);
    expect(outcome).toMatchObject({ found: { values: { title: expect.not.stringMatching(/challenges|Trainee/) } } });
  });

  test("the help names the legal risk, that it is off by itself, and the end of Proxycurl", () => {
    expect(enrichLayer.setup).toMatch(/Legal risk/);
    expect(enrichLayer.setup).toMatch(/off until your team connects it/);
    expect(enrichLayer.setup).toMatch(/Proxycurl.* was retired/);
  });
});
