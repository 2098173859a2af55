import { describe, expect, test } from "vitest";
import { HttpError, type HttpClient } from "../../../kernel/http/client.ts";
import { conformance } from "../../conformance/suite.ts";
import { setStage } from "../../conformance/stage.ts";
import { explorium } from "./adapter.ts";
import { emulation } from "./emulation.ts";

conformance(explorium, emulation, {
  check: { bad: [{ api_key: "not-a-key" }] },
  lookup: {
    person: {
      known: { email: "ada.lovelace@famous.com" },
      expects: { first_name: "Ada", last_name: "Lovelace", company_name: "Famous", email: "ada.lovelace@famous.com" },
      units: { found: 6, miss: 0 },
      unknown: { email: "nobody@acme.com" },
      refused: { linkedin_url: "not a URL" },
    },
    company: {
      known: { domain: "famous.com" },
      expects: { company_name: "Famous", company_domain: "https://famous.com" },
      units: { found: 1, miss: 0 },
      unknown: { domain: "unknown.example" },
    },
  },
});

describe("match, then enrich", () => {
  const stage = setStage(explorium, emulation);
  const { lookup } = explorium.lookup!;
  const ada = { email: "ada.lovelace@famous.com" };
  const bob = { email: "bob.berg@famous.com" };
  const charged = async (key: string) =>
    (await stage.control<{ units: number }>(`/charges?account=${encodeURIComponent(key)}`)).units;

  /** The same client, where calls whose address ends so go another way. */
  const detour = (end: string, instead: (http: HttpClient) => ReturnType<HttpClient["json"]>): HttpClient => ({
    ...stage.http(),
    json: (request) => (request.url.endsWith(end) ? instead(stage.http()) : stage.http().json(request)),
  });
  const lost = () => Promise.reject(new HttpError("timeout", "No answer.", true));

  test("nothing matched is nothing asked: no second call, no charge", async () => {
    const { connection, key } = stage.fresh();
    const http = detour("bulk_enrich", () => Promise.reject(new Error("must not be called")));
    expect(await lookup("person", [{ email: "nobody@acme.com" }], connection, http)).toEqual([
      { outcome: "miss", units: 0 },
    ]);
    expect(await charged(key)).toBe(0);
  });

  test("who is asked about twice in a batch is charged once", async () => {
    const { connection, key } = stage.fresh();
    const outcomes = await lookup("person", [ada, bob, ada], connection, stage.http());
    expect(outcomes).toMatchObject([
      { outcome: "found", units: 6, found: { values: { first_name: "Ada" } } },
      { outcome: "found", units: 6, found: { values: { first_name: "Bob" } } },
      { outcome: "found", units: 0, found: { values: { first_name: "Ada" } } },
    ]);
    expect(await charged(key)).toBe(12);
  });

  test("a match that gets no answer cost nothing and may be repeated", async () => {
    expect(await lookup("person", [ada], stage.fresh().connection, detour("/match", lost))).toMatchObject([
      { outcome: "retry", code: "timeout" },
    ]);
  });

  test("contact data that get lost do not lose the profile that was paid for; they may have been charged too", async () => {
    const http = detour("contacts_information/bulk_enrich", lost);
    const [outcome] = await lookup("person", [ada], stage.fresh().connection, http);
    expect(outcome).toMatchObject({ outcome: "found", units: 6, found: { values: { first_name: "Ada" } } });
    expect(outcome).not.toMatchObject({ found: { values: { email: expect.anything() } } });
  });

  test("contact data that are refused were not charged", async () => {
    const { connection, key } = stage.fresh();
    await lookup("person", [{ email: "nobody@acme.com" }], connection, stage.http());
    let calls = 0;
    // The fault is armed when the profile has been answered.
    const http: HttpClient = {
      ...stage.http(),
      json: async (request) => {
        if (request.url.endsWith("contacts_information/bulk_enrich") && calls++ === 0)
          await stage.control("/faults", { account: key, kind: "rate_limit" });
        return stage.http().json(request);
      },
    };
    expect(await lookup("person", [ada], connection, http)).toMatchObject([{ outcome: "found", units: 1 }]);
    expect(await charged(key)).toBe(1);
  });

  test("without contact data a person costs one credit", async () => {
    const { connection, key } = stage.fresh();
    const settings = { contacts: false };
    expect(await lookup("person", [ada], { ...connection, settings }, stage.http())).toMatchObject([
      { outcome: "found", units: 1 },
    ]);
    expect(await charged(key)).toBe(1);
  });

  test("a name goes with the company's name only, as the match demands", async () => {
    const question = { first_name: "Ada", last_name: "Lovelace", company_name: "Famous" };
    expect(await lookup("person", [question], stage.fresh().connection, stage.http())).toMatchObject([
      { outcome: "found", found: { values: { email: "ada.lovelace@famous.com" } } },
    ]);
  });

  test("fifty go into one call", async () => {
    const many = Array.from({ length: 50 }, (_, n) => ({ domain: `d${n}.famous.com` }));
    const outcomes = await lookup("company", many, stage.fresh().connection, stage.http());
    expect(outcomes.map((o) => o.outcome)).toEqual(many.map(() => "found"));
  });
});
