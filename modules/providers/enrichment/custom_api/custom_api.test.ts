import { describe, expect, test } from "vitest";
import { createHttpClient } from "../../../kernel/http/client.ts";
import { conformance } from "../../conformance/suite.ts";
import { setStage } from "../../conformance/stage.ts";
import { customApi } from "./adapter.ts";
import { emulation } from "./emulation.ts";

conformance(customApi, emulation, {
  settings: { header_name: "x-team-key" },
  check: { bad: [{ api_key: "not-a-key" }, {}] },
  lookup: {
    person: {
      known: { email: "ada.lovelace@famous.com" },
      expects: { first_name: "Ada", last_name: "Lovelace", company_domain: "famous.com" },
      units: { found: 1, miss: 0 },
      unknown: { email: "nobody@acme.com" },
    },
    company: {
      known: { domain: "famous.com" },
      expects: { company_name: "Famous", company_domain: "famous.com" },
      units: { found: 1, miss: 0 },
      unknown: { domain: "unknown.example" },
    },
    email: {
      known: { email: "ada.lovelace@famous.com" },
      expects: { email_status: expect.any(String) },
      units: { found: 1, miss: 0 },
      unknown: { email: "nobody@acme.com" },
    },
  },
});

describe("the contract of your own API", () => {
  const stage = setStage(customApi, emulation);

  /** An endpoint that answers this, whatever it is asked. */
  const endpoint = (body: unknown) => {
    const text = JSON.stringify(body);
    const answer = {
      status: 200,
      headers: new Headers(),
      body: new TextEncoder().encode(text),
      text: () => text,
      json: () => body,
    };
    return { ...createHttpClient({ allowPrivateHosts: [], userAgent: "test" }), json: () => Promise.resolve(answer) };
  };
  const ask = (body: unknown, count = 1) =>
    customApi.lookup!.lookup(
      "company",
      Array.from({ length: count }, () => ({ domain: "acme.com" })),
      stage.fresh().connection,
      endpoint(body),
    );

  test("a field outside the vocabulary is refused by its name, and takes only its own question with it", async () => {
    const outcomes = await customApi.lookup!.lookup(
      "person",
      [{ email: "typo@famous.com" }, { email: "ada.lovelace@famous.com" }],
      stage.fresh().connection,
      stage.http(),
    );
    expect(outcomes).toEqual([
      { outcome: "unknown", code: "bad_answer", detail: expect.stringContaining("shoe_size") },
      expect.objectContaining({ outcome: "found" }),
    ]);
  });

  test("a company's answer has no fields of a person", async () => {
    expect(await ask({ answers: [{ outcome: "found", values: { email: "a@acme.com" }, confidence: 1 }] })).toEqual([
      { outcome: "unknown", code: "bad_answer", detail: expect.stringContaining("email") },
    ]);
  });

  test.each([
    ["a confidence above 1", { outcome: "found", values: {}, confidence: 1.5 }],
    ["no confidence", { outcome: "found", values: {} }],
    ["more units than were reserved", { outcome: "miss", units: 7 }],
    ["an outcome of its own", { outcome: "perhaps" }],
    ["a value that is an object", { outcome: "found", values: { company_name: { text: "Acme" } }, confidence: 1 }],
  ])("%s is a bad answer", async (_what, answer) => {
    expect(await ask({ answers: [answer] })).toEqual([
      expect.objectContaining({ outcome: "unknown", code: "bad_answer" }),
    ]);
  });

  test("as many answers as questions, else none is believed", async () => {
    const outcomes = await ask({ answers: [{ outcome: "miss" }] }, 2);
    expect(outcomes.map((o) => o.outcome)).toEqual(["unknown", "unknown"]);
  });

  test("found is charged 1 and a miss 0, unless the answer says otherwise", async () => {
    const answers = [
      { outcome: "found", values: { company_name: "Acme" }, confidence: 0.5 },
      { outcome: "miss" },
      { outcome: "found", values: { company_name: "Acme" }, confidence: 0.5, units: 0 },
      { outcome: "miss", units: 1 },
    ];
    expect(await ask({ answers }, 4)).toMatchObject([{ units: 1 }, { units: 0 }, { units: 0 }, { units: 1 }]);
  });

  test("without a base URL there is nobody to ask: the connection is broken and says why", async () => {
    const connection = { ...stage.fresh().connection, base_url: null };
    expect(await customApi.check(connection, stage.http())).toMatchObject({ ok: false, code: "no_base_url" });
    expect(await customApi.lookup!.lookup("company", [{ domain: "acme.com" }], connection, stage.http())).toMatchObject(
      [{ outcome: "broken", code: "no_base_url" }],
    );
  });

  test("the check wants the form of an answer, not only status 200", async () => {
    expect(await customApi.check(stage.fresh().connection, endpoint({ hello: "world" }))).toMatchObject({
      ok: false,
      code: "bad_answer",
    });
  });
});
