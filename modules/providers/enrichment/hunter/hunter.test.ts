import { describe, expect, test } from "vitest";
import { setStage } from "../../conformance/stage.ts";
import { conformance } from "../../conformance/suite.ts";
import type { Question } from "../vocabulary.ts";
import { hunter } from "./adapter.ts";
import { emulation } from "./emulation.ts";

const ada = { first_name: "Ada", last_name: "Lovelace", domain: "famous.com" };

conformance(hunter, emulation, {
  check: { bad: [{ api_key: "not-a-key" }] },
  lookup: {
    person: {
      known: ada,
      expects: { email: "ada.lovelace@famous.com", email_status: "valid", company_name: "Famous" },
      units: { found: 10, miss: 0 },
      unknown: { first_name: "Ada", last_name: "Nobody", domain: "acme.com" },
      refused: { email: "not an address" },
    },
    company: {
      known: { domain: "famous.com" },
      expects: { company_name: "Famous", company_linkedin_url: "https://www.linkedin.com/company/famous" },
      units: { found: 2, miss: 0 },
      unknown: { domain: "unknown.example" },
    },
    email: {
      known: { email: "ada.lovelace@famous.com" },
      expects: { email_status: "valid" },
      units: { found: 5, miss: 0 },
      unknown: { email: "nobody@acme.com" },
      refused: { email: "not an address" },
    },
  },
});

describe("hunter's own", () => {
  const stage = setStage(hunter, emulation);
  const ask = async (kind: string, question: Question, { connection } = stage.fresh()) =>
    (await hunter.lookup!.lookup(kind, [question], connection, stage.http()))[0]!;

  test("a profile by address and one by LinkedIn cost a fifth of an address found", async () => {
    const values = {
      first_name: expect.stringMatching(/^ada$/i),
      last_name: expect.stringMatching(/^lovelace$/i),
      company_domain: "famous.com",
      department: "finance",
    };
    for (const q of [
      { email: "ada.lovelace@famous.com" },
      { linkedin_url: "https://www.linkedin.com/in/ada-lovelace-at-famous-com" },
    ])
      expect(await ask("person", q)).toMatchObject({ outcome: "found", units: 2, found: { values } });
  });

  test("the address is looked for by company name where no domain is known", async () => {
    const { domain: _, ...names } = ada;
    expect(await ask("person", { ...names, company_name: "Famous" })).toMatchObject({
      outcome: "found",
      units: 10,
      found: { confidence: 0.96, seen_at: "2026-09-30T00:00:00.000Z" },
    });
  });

  test.each([
    ["email", { email: "slow@famous.com" }],
    ["person", { ...ada, last_name: "Slow" }],
  ])("%s: 202 is in progress, and the same question is answered later", async (kind, question) => {
    const account = stage.fresh();
    expect(await ask(kind, question, account)).toMatchObject({ outcome: "later", after_seconds: expect.any(Number) });
    expect(await ask(kind, question, account)).toMatchObject({ outcome: "found" });
  });

  test("a mail server that answers oddly is asked again, and a person who asked not to be processed never", async () => {
    expect(await ask("email", { email: "greylisted@famous.com" })).toMatchObject({ outcome: "retry" });
    for (const [kind, question] of [
      ["email", { email: "claimed@famous.com" }],
      ["person", { email: "claimed@famous.com" }],
      ["person", { ...ada, last_name: "Claimed" }],
    ] as const)
      expect(await ask(kind, question)).toMatchObject({ outcome: "refused", forget: true });
  });

  test("429 is a plan that is used up, which no waiting mends", async () => {
    const connection = stage.open({ api_key: "0".repeat(40) });
    expect(await ask("person", ada, { connection, key: "" })).toMatchObject({ outcome: "broken", code: "http_429" });
  });
});
