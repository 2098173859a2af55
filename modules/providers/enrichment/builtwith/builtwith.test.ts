import { describe, expect, test } from "vitest";
import type { HttpClient } from "../../../kernel/http/client.ts";
import { conformance } from "../../conformance/suite.ts";
import { setStage } from "../../conformance/stage.ts";
import { companyAt } from "../../../sandbox/directory.ts";
import { builtWith } from "./adapter.ts";
import { emulation } from "./emulation.ts";

const technologies = companyAt("famous.com")!.technologies;

conformance(builtWith, emulation, {
  check: { bad: [{ api_key: "not-a-key" }] },
  lookup: {
    company: {
      known: { domain: "famous.com" },
      expects: { company_technologies: technologies },
      units: { found: 1, miss: 1 },
      unknown: { domain: "unknown.example" },
      refused: { domain: "famous.com/about" },
    },
  },
});

describe("errors with status 200", () => {
  const stage = setStage(builtWith, emulation);
  const { lookup } = builtWith.lookup!;
  const famous = { domain: "famous.com" };

  /** An answer of status 200 with these errors. */
  const answering = (...Errors: object[]): HttpClient => {
    const body = { Results: [], Errors };
    const text = JSON.stringify(body);
    const answer = { status: 200, headers: new Headers(), body: new TextEncoder().encode(text), text: () => text };
    return { ...stage.http(), json: () => Promise.resolve({ ...answer, json: () => body }) };
  };

  test.each([
    [-2, "broken"],
    [-3, "broken"],
    [-5, "broken"],
    [-8, "refused"],
    [-99, "retry"],
    [-1, "unknown"],
  ])("error %i is %s, never a miss", async (Code, outcome) => {
    const http = answering({ Code, Message: "Words of BuiltWith" });
    expect(await lookup("company", [famous], stage.fresh().connection, http)).toEqual([
      { outcome, code: `builtwith_${Code}`, detail: "Words of BuiltWith" },
    ]);
  });

  test("the check reads them too", async () => {
    const http = answering({ Code: -3, Message: "Out of credits" });
    expect(await builtWith.check(stage.fresh().connection, http)).toMatchObject({ ok: false, code: "builtwith_-3" });
  });

  test("an error about one domain leaves the others of the call alone", async () => {
    const outcomes = await lookup(
      "company",
      [famous, { domain: "a/b" }, famous],
      stage.fresh().connection,
      stage.http(),
    );
    expect(outcomes).toMatchObject([
      { outcome: "found", units: 1 },
      { outcome: "refused", code: "builtwith_-8" },
      { outcome: "found", units: 0 },
    ]);
  });

  test("answers are told apart by their domain, in whatever order they come, and say when they were seen", async () => {
    const many = Array.from({ length: 16 }, (_, n) => ({ domain: `d${n}.famous.com` }));
    const outcomes = await lookup("company", many, stage.fresh().connection, stage.http());
    for (const [n, outcome] of outcomes.entries()) {
      const own = companyAt(`d${n}.famous.com`)!.technologies;
      if (own.length === 0) expect(outcome).toEqual({ outcome: "miss", units: 1 });
      else
        expect(outcome).toMatchObject({
          found: { values: { company_technologies: own }, seen_at: "2026-09-01T00:00:00.000Z" },
        });
    }
  });

  test("the key never stands in an address", async () => {
    const { connection } = stage.fresh();
    const urls: string[] = [];
    const http: HttpClient = {
      ...stage.http(),
      json(request) {
        urls.push(request.url);
        return stage.http().json(request);
      },
    };
    await builtWith.check(connection, http);
    await lookup("company", [famous], connection, http);
    expect(urls).toHaveLength(2);
    expect(urls.join(" ")).not.toContain(connection.credentials.api_key);
  });
});
