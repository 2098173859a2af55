import { describe, expect, test } from "vitest";
import { type HttpClient, HttpError } from "../../../kernel/http/client.ts";
import { setStage } from "../../conformance/stage.ts";
import { conformance } from "../../conformance/suite.ts";
import type { Question } from "../vocabulary.ts";
import { clearbit } from "./adapter.ts";
import { emulation } from "./emulation.ts";

const ada = { email: "ada.lovelace@famous.com" };

conformance(clearbit, emulation, {
  check: { bad: [{ api_key: "sk_wrong" }] },
  lookup: {
    person: {
      known: ada,
      expects: {
        first_name: "Ada",
        linkedin_url: "https://www.linkedin.com/in/ada-lovelace-at-famous-com",
        country: "GB",
        company_employees: 1556,
      },
      units: { found: 1, miss: 1 },
      unknown: { email: "nobody@unknown.example" },
      refused: { email: "not an address" },
    },
    company: {
      known: { domain: "famous.com" },
      expects: { company_name: "Famous", company_linkedin_url: "https://www.linkedin.com/company/famous" },
      units: { found: 1, miss: 1 },
      unknown: { domain: "unknown.example" },
      refused: { domain: "nonsense" },
    },
  },
});

describe("clearbit's own", () => {
  const stage = setStage(clearbit, emulation);
  const ask = async (kind: string, question: Question, { connection } = stage.fresh()) =>
    (await clearbit.lookup!.lookup(kind, [question], connection, stage.http()))[0]!;

  test.each([
    ["person", { email: "slow@famous.com" }],
    ["company", { domain: "slow.famous.com" }],
  ])("%s: 202 is queued, and the same question is answered later and billed once", async (kind, question) => {
    const account = stage.fresh();
    expect(await ask(kind, question, account)).toMatchObject({ outcome: "later", after_seconds: 180 });
    expect(await ask(kind, question, account)).toMatchObject({ outcome: "found", units: 1 });
    expect((await stage.control<{ units: number }>(`/charges?account=${account.key}`)).units).toBe(1);
  });

  test("a fuzzy match is less sure, and a company without the person is an answer", async () => {
    expect(await ask("person", ada)).toMatchObject({
      found: { confidence: 0.85, seen_at: "2026-08-01T00:00:00.000Z" },
    });
    expect(await ask("person", { email: "likely@famous.com" })).toMatchObject({ found: { confidence: 0.5 } });
    const without = await ask("person", { email: "newcomer@famous.com" });
    expect(without).toMatchObject({ outcome: "found", found: { values: { company_name: "Famous" } } });
    expect(without).not.toHaveProperty("found.values.email", expect.any(String));
  });

  test("402 is a contract that is used up, which is no bad question", async () => {
    const connection = stage.open({ api_key: `sk_${"0".repeat(32)}` });
    expect(await ask("person", ada, { connection, key: "" })).toMatchObject({ outcome: "broken", code: "http_402" });
  });

  test("persons and companies are asked at their own hosts", async () => {
    const urls: string[] = [];
    const http = {
      json: (request: { url: string }) => {
        urls.push(request.url);
        return Promise.reject(new HttpError("dns", "not here", false));
      },
    } as unknown as HttpClient;
    const connection = { ...stage.fresh().connection, base_url: null };
    await clearbit.lookup!.lookup("person", [{ email: "a+b@famous.com" }], connection, http);
    await clearbit.lookup!.lookup("company", [{ domain: "famous.com" }], connection, http);
    expect(urls).toEqual([
      "https://person.clearbit.com/v2/combined/find?email=a%2Bb%40famous.com",
      "https://company.clearbit.com/v2/companies/find?domain=famous.com",
    ]);
  });
});
