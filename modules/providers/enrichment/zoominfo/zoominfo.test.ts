import { afterEach, describe, expect, test, vi } from "vitest";
import { type HttpClient, HttpError } from "../../../kernel/http/client.ts";
import { setStage } from "../../conformance/stage.ts";
import { conformance } from "../../conformance/suite.ts";
import type { Question } from "../vocabulary.ts";
import { zoominfo } from "./adapter.ts";
import { emulation } from "./emulation.ts";

const ada = { email: "ada.lovelace@famous.com" };

conformance(zoominfo, emulation, {
  check: { bad: [{ username: "ada", password: "wrong" }] },
  lookup: {
    person: {
      known: ada,
      expects: {
        first_name: "Ada",
        phone: "+44205558801",
        department: "finance",
        company_domain: "www.famous.com",
        company_revenue: 53_400_000,
        company_linkedin_url: "http://www.linkedin.com/company/famous",
      },
      units: { found: 1, miss: 0 },
      unknown: { email: "nobody@acme.com" },
      refused: { email: "not an address" },
    },
    company: {
      known: { domain: "famous.com" },
      expects: { company_name: "Famous", company_revenue: 53_400_000, company_founded: "1961" },
      units: { found: 1, miss: 0 },
      unknown: { domain: "unknown.example" },
    },
  },
});

describe("zoominfo's own", () => {
  const stage = setStage(zoominfo, emulation);
  /** The client with the paths it was asked for. */
  const watched = () => {
    const paths: string[] = [];
    const json: HttpClient["json"] = (request) => {
      paths.push(request.url.slice(request.url.indexOf("/zoominfo") + "/zoominfo".length));
      return stage.http().json(request);
    };
    return { paths, http: { ...stage.http(), json } };
  };
  const named = (prefix: string) => {
    const username = `${prefix}${crypto.randomUUID().replaceAll("-", "")}`;
    return stage.open({ username, password: `pw-${username}` });
  };
  const ask = (kind: string, questions: Question[], connection = stage.fresh().connection, http = stage.http()) =>
    zoominfo.lookup!.lookup(kind, questions, connection, http);
  const one = async (local: string) => (await ask("person", [{ email: `${local}@famous.com` }]))[0]!;
  const minutes = (n: number) => vi.setSystemTime(Date.now() + n * 60_000);
  afterEach(() => void vi.useRealTimers());

  test("a connection's token serves all its calls, side by side too, until 55 minutes have passed", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { paths, http } = watched();
    const { connection } = stage.fresh();
    const authentications = () => paths.filter((path) => path === "/authenticate").length;
    await Promise.all([1, 2, 3].map(() => ask("person", [ada], connection, http)));
    minutes(54);
    expect(await ask("company", [{ domain: "famous.com" }], connection, http)).toMatchObject([{ outcome: "found" }]);
    expect(authentications()).toBe(1);
    minutes(2);
    expect(await ask("person", [ada], connection, http)).toMatchObject([{ outcome: "found" }]);
    expect(authentications()).toBe(2);
  });

  test("another connection, and the same one with another password, has a token of its own", async () => {
    const { connection } = stage.fresh();
    expect(await ask("person", [ada], connection)).toMatchObject([{ outcome: "found" }]);
    const changed = { ...connection, credentials: { ...connection.credentials, password: "wrong" } };
    expect(await ask("person", [ada], changed)).toMatchObject([{ outcome: "broken", code: "http_401" }]);
    const { paths, http } = watched();
    await ask("person", [ada], { ...connection, id: crypto.randomUUID() }, http);
    expect(paths).toContain("/authenticate");
  });

  test("a token that is refused before its time is replaced once, and the question asked again", async () => {
    const { paths, http } = watched();
    const { connection } = stage.fresh();
    await ask("person", [ada], connection, http);
    let refusals = 0;
    const json: HttpClient["json"] = async (request) => {
      const revoked = request.url.endsWith("/enrich/contact") && refusals++ === 0;
      return http.json(revoked ? { ...request, headers: { authorization: "Bearer a.b.c" } } : request);
    };
    expect(await ask("person", [ada], connection, { ...http, json })).toMatchObject([{ outcome: "found" }]);
    expect(paths.filter((path) => path === "/authenticate")).toHaveLength(2);
  });

  test("a token that cannot be had, or fields that cannot be read yet, mean that nothing was asked", async () => {
    const lost: HttpClient["json"] = (request) =>
      request.url.endsWith("/authenticate")
        ? Promise.reject(new HttpError("timeout", "No answer came.", true))
        : stage.http().json(request);
    const renamed: HttpClient["json"] = async (request) => {
      const response = await stage.http().json(request);
      return request.url.endsWith("/authenticate") ? { ...response, json: () => ({ token: "renamed" }) } : response;
    };
    for (const json of [lost, renamed])
      expect(await ask("person", [ada], undefined, { ...stage.http(), json })).toMatchObject([
        { outcome: "retry", code: "no_token" },
      ]);
    const busy = named("busy");
    expect(await ask("person", [ada], busy)).toMatchObject([{ outcome: "retry", code: "rate_limited" }]);
    expect(await ask("person", [ada], busy)).toMatchObject([{ outcome: "found" }]);
  });

  test("fields outside of the subscription are left out; where ZoomInfo does not say which, its refusal is the account's", async () => {
    const [person] = await ask("person", [ada], named("limited"));
    expect(person).toMatchObject({ outcome: "found", found: { values: { first_name: "Ada", phone: "+44205558801" } } });
    expect(person).not.toHaveProperty("found.values.company_revenue", expect.any(Number));
    expect(await ask("person", [ada], named("silent"))).toMatchObject([
      { outcome: "broken", detail: "There are fields that are not allowed under your subscription" },
    ]);
  });

  test("an account without credits is told in words only", async () => {
    expect(await ask("person", [ada, ada], named("spent"))).toMatchObject([
      { outcome: "broken", detail: expect.stringMatching(/max limit/) },
      { outcome: "broken" },
    ]);
  });

  test("each of a batch has a status of its own", async () => {
    const locals = ["optout", "invalid", "limit", "flaky", "nobody", "ada.lovelace"];
    const outcomes = await ask(
      "person",
      locals.map((local) => ({ email: `${local}@famous.com` })),
    );
    expect(outcomes.map((o) => o.outcome)).toEqual(["refused", "refused", "broken", "retry", "miss", "found"]);
    expect(outcomes[0]).toMatchObject({ forget: true });
    expect(outcomes[1]).not.toHaveProperty("forget");
  });

  test("who has moved on, or was matched without the company, is less sure; a number not to be called is not given", async () => {
    expect(await ask("person", [ada])).toMatchObject([{ found: { confidence: 0.95 } }]);
    expect(await one("moved")).toMatchObject({ found: { confidence: 0.4 } });
    expect(await one("elsewhere")).toMatchObject({ found: { confidence: expect.closeTo(0.665) } });
    expect(await one("donotcall")).not.toHaveProperty("found.values.phone", expect.any(String));
  });

  test("more than 25 are refused, and a failure with a status of 200 is no answer", async () => {
    const many = await ask(
      "person",
      Array.from({ length: 26 }, () => ada),
    );
    expect(many).toHaveLength(26);
    expect(many[0]).toMatchObject({ outcome: "refused" });
    expect(await one("outage")).toMatchObject({ outcome: "unknown", code: "bad_answer" });
  });

  test("names with the company's name, or a LinkedIn profile, are enough", async () => {
    for (const q of [
      { first_name: "Ada", last_name: "Lovelace", company_name: "Famous" },
      { linkedin_url: "https://www.linkedin.com/in/ada-lovelace-at-famous-com" },
    ])
      expect(await ask("person", [q])).toMatchObject([{ found: { values: { email: ada.email } } }]);
  });
});
