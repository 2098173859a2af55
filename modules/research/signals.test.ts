import { describe, expect, test } from "vitest";
import { kindOf } from "./links.ts";
import { intentScore } from "./score.ts";
import { moneyIn, signalIn } from "./signals.ts";

describe("amounts of money", () => {
  test.each([
    ["€12 million", 12_000_000, "EUR"],
    ["$1.5bn", 1_500_000_000, "USD"],
    ["12 Mio. Euro", 12_000_000, "EUR"],
    ["3,5 Millionen Euro", 3_500_000, "EUR"],
    ["1.200.000 Euro", 1_200_000, "EUR"],
    ["USD 1,200,000", 1_200_000, "USD"],
    ["5 millions d’euros", 5_000_000, "EUR"],
    ["2 millones de euros", 2_000_000, "EUR"],
    ["4 milioni di euro", 4_000_000, "EUR"],
    ["£750k", 750_000, "GBP"],
    ["CHF 8m", 8_000_000, "CHF"],
  ])("%s", (text, amount, currency) => expect(moneyIn(text)).toEqual({ amount, currency }));
  test.each(["12 million people", "the year 2024", "€", ""])("none in %j", (text) => expect(moneyIn(text)).toBeNull());
});

test.each([
  ["funding", "Acme raises €12 million in a Series A round led by Northern Ventures."],
  ["funding", "Acme sammelt 12 Mio. Euro in einer Finanzierungsrunde ein."],
  ["funding", "Acme lève 5 millions d’euros auprès d’investisseurs."],
  ["funding", "Acme cierra una ronda de 2 millones de euros."],
  ["funding", "Acme raccoglie 4 milioni di euro in un round di investimento."],
  ["funding", "Acme haalt 3 miljoen euro op bij investeerders."],
  ["leadership", "Acme appoints Grace Hopper as Chief Technology Officer."],
  ["leadership", "Grace Hopper wird neue Geschäftsführerin: Acme ernennt sie zum 1. Mai."],
  ["leadership", "Acme nomme Grace Hopper directrice générale."],
  ["leadership", "Acme nombra a Grace Hopper directora general."],
  ["launch", "Acme launches a new platform for logistics."],
  ["launch", "Acme bringt eine neue Plattform auf den Markt."],
  ["launch", "Acme lance une nouvelle plateforme."],
])("%s: %s", (kind, sentence) => expect(signalIn(sentence)?.kind).toBe(kind));

test.each([
  "Acme plans to raise €40 million in a Series B round.",
  "Acme did not raise €12 million in a funding round.",
  "Acme hat keine 12 Mio. Euro in einer Finanzierungsrunde erhalten: sie sammelt weiter.",
  "Acme reportedly raises €12 million in a Series A round.",
  "Our customer Example raised $90 million in venture funding.",
  "Could Acme raise €12 million in funding?",
  "We helped raise awareness of 12 million people.",
  "Acme will launch a new platform.",
  "Le chef n’a pas nommé de directeur général.",
])("no signal: %s", (sentence) => expect(signalIn(sentence)).toBeNull());

test("pages of interest are known by their words in several languages; calendars, files and logins are not", () => {
  const of = (path: string, text = "") => kindOf(`https://acme.com${path}`, text);
  expect([of("/ueber-uns"), of("/%C3%BCber-uns"), of("/qui-sommes-nous"), of("/x", "Über uns")]).toEqual(
    Array(4).fill("about"),
  );
  expect([of("/karriere"), of("/jobs"), of("/x", "Offene Stellen"), of("/lavora-con-noi")]).toEqual(
    Array(4).fill("careers"),
  );
  expect([of("/presse"), of("/blog"), of("/actualites"), of("/newsroom")]).toEqual(Array(4).fill("news"));
  expect([of("/produkte"), of("/solutions"), of("/team")]).toEqual(["products", "products", "team"]);
  for (const path of [
    "/calendar/2030/01",
    "/about.pdf",
    "/login",
    "/tag/news",
    "/impressum",
    `/news?q=${"x".repeat(50)}`,
    "/a/b/c/d/e/f/news",
  ])
    expect(of(path), path).toBeNull();
});

describe("the intent score", () => {
  const now = new Date("2026-11-30T00:00:00Z");
  const ago = (days: number) => new Date(now.getTime() - days * 86_400_000);

  test("halves in a half-life, counts three of a kind, and never passes 100", () => {
    const funding = (days: number) => intentScore([{ kind: "funding", confidence: 100, at: ago(days) }], now).score;
    expect([funding(0), funding(90), funding(180)]).toEqual([45, 22, 11]);
    const jobs = (n: number) =>
      intentScore(
        Array.from({ length: n }, () => ({ kind: "hiring", confidence: 100, at: now })),
        now,
      ).score;
    expect([jobs(1), jobs(3), jobs(50)]).toEqual([20, 49, 49]);
    const all = ["funding", "leadership", "hiring", "launch", "news", "reply", "click"].flatMap((kind) =>
      Array.from({ length: 9 }, () => ({ kind, confidence: 100, at: now })),
    );
    expect(intentScore(all, now).score).toBeLessThanOrEqual(100);
  });

  test("facts, products and kinds nobody knows count nothing; a date in the future is now", () => {
    expect(
      intentScore(
        [
          { kind: "fact", confidence: 100, at: now },
          { kind: "constructor", confidence: 100, at: now },
        ],
        now,
      ),
    ).toEqual({
      score: 0,
      parts: [],
    });
    expect(intentScore([{ kind: "funding", confidence: 100, at: ago(-400) }], now).score).toBe(45);
  });
});
