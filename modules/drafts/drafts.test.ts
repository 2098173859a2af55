import { describe, expect, test } from "vitest";
import { evaluate, readCases, CASES } from "../../bench/eval.ts";
import { testKernel } from "../../tests/support/kernel.ts";
import { ground } from "./checker/ground.ts";
import { checkDraft } from "./checker/check.ts";
import { Rules } from "./checker/style.ts";

const t = testKernel();
const finding = {
  id: "f1",
  subject: "Northlake",
  kind: "news",
  statement: "Northlake opened a plant in Leeds in March 2026.",
  fetched_at: "2026-06-01T00:00:00Z",
};
const contact = { first_name: "Anna", company_name: "Northlake" };

describe("POST /drafts/check", () => {
  test("maps a backed sentence to its finding and blocks one that nothing backs", async () => {
    const mine = await t.tenant();
    const body = {
      language: "en",
      contact,
      findings: [finding],
      draft: {
        subject: "Leeds",
        sentences: [
          { text: "Hi Anna," },
          { text: "You opened a plant in Leeds in March.", cites: ["f1"] },
          { text: "You closed a plant in York.", cites: ["f1"] },
        ],
      },
    };
    const got = await mine.api("POST", "/drafts/check", body);
    expect(got.status).toBe(200);
    expect(got.body).toMatchObject({
      verdict: "block",
      sentences: [
        { kind: "greeting", verdict: "ok" },
        { kind: "claim", verdict: "ok", mapped: ["f1"] },
        { verdict: "unmapped", mapped: [] },
      ],
    });
    const plain = await mine.api("POST", "/drafts/check", {
      ...body,
      draft: { text: "Hi Anna,\nYou opened a plant in Leeds. You raised $4M." },
    });
    expect((plain.body as { sentences: { verdict: string }[] }).sentences.map((s) => s.verdict)).toEqual([
      "ok",
      "ok",
      "unmapped",
    ]);
  });

  test("403 for a viewer; 422 that names the field for a draft in both forms, two findings of one id and a text that is too long", async () => {
    const mine = await t.tenant();
    const good = { language: "en", findings: [finding], draft: { text: "Hello." } };
    expect((await (await mine.member("viewer")).api("POST", "/drafts/check", good)).status).toBe(403);
    for (const [bad, field] of [
      [{ ...good, draft: { text: "Hello.", sentences: [{ text: "Hello." }] } }, "/draft"],
      [{ ...good, draft: {} }, "/draft"],
      [{ ...good, findings: [finding, finding] }, "/findings"],
      [{ ...good, draft: { text: "a".repeat(10_001) } }, "/draft/text"],
      [{ ...good, language: "xx" }, "/language"],
    ] as const) {
      const got = await mine.api("POST", "/drafts/check", bad);
      expect(got.status).toBe(422);
      expect(JSON.stringify(got.body)).toContain(field);
    }
  });
});

describe("the form of a draft", () => {
  const rules = Rules.parse({ min_words: 5, max_words: 12, min_quality: 0, min_reading_ease: 0 });
  const check = (text: string, language = "en", subject = "") => {
    const { checks, verdict } = checkDraft({
      language,
      contact,
      findings: [],
      tenant_facts: [],
      subject,
      sentences: [{ text, cites: [] }],
      rules,
    });
    return { verdict, failed: checks.filter((c) => !c.ok).map((c) => c.check) };
  };
  test.each([
    ["Hi Anna, would you be open to a short call?", []],
    ["Would you talk?", ["length"]],
    ["Hi Anna, I hope that you are very well.", ["call_to_action"]],
    ["Hi {{first_name}}, would you be open to a call?", ["slots"]],
    ["Hi [Name], would you be open to a call?", ["slots"]],
    ["Act now, would you be open to a short call?", ["spam"]],
    ["You must answer: would you be open to a call?", ["tone"]],
    ["Hätten Sie am Montag Zeit für ein kurzes Gespräch mit uns?", ["call_to_action", "language"]],
  ])("%s", (text, failed) => expect(check(text).failed).toEqual(failed));

  test("an unfilled slot blocks, a fault of form asks for a rewrite", () => {
    expect(check("Hi {{first_name}}, would you be open to a call?").verdict).toBe("block");
    expect(check("Would you talk?").verdict).toBe("rewrite");
    expect(check("Hi Anna, would you be open to a short call?").verdict).toBe("pass");
  });
});

describe("hostile input", () => {
  const units: [string, string][] = [
    ["numbers", "1 2 3 4 5 6 7 8 9 "],
    ["number words", "fünfundzwanzigtausendzweihundert"],
    ["commas", "a,b,"],
    ["conjunctions", "and opened and closed "],
    ["names", "Acme Beta Gamma "],
    ["dates", "12 March 2026 "],
    ["quotes", '"“„«'],
    ["dots", "a.b. "],
    ["brackets", "{{[<%"],
    ["one word", "a"],
  ];
  test.each(units)("is bounded work: %s, in every sentence and every source", (_, unit) => {
    const fill = (n: number) => unit.repeat(Math.ceil(n / unit.length)).slice(0, n);
    const findings = Array.from({ length: 50 }, (_, i) => ({
      id: `f${i}`,
      subject: fill(300),
      kind: "x",
      statement: fill(1000),
      quote: fill(2000),
      url: fill(2000),
      fetched_at: "2026-01-01",
    }));
    // Of full length, and just short enough to be compared word by word.
    const sentences = Array.from({ length: 60 }, (_, i) => ({ text: fill(i % 2 ? 1000 : 220), cites: [] }));
    const started = performance.now();
    for (const language of ["en", "de"])
      ground({ language, contact: { company_name: fill(500) }, findings, tenant_facts: [], sentences });
    // Both take under two seconds on a quiet machine.
    expect(performance.now() - started).toBeLessThan(15_000);
  });
});

/** docs/concepts/drafts.md names them too. */
const PUBLISHED = { unmapped_claims_passed: 1, correct_blocked: 0.458, accuracy: 0.9 };

describe("the evaluation", () => {
  test("is no worse than its published figures", () => {
    const { figures } = evaluate(readCases(CASES));
    expect(figures.cases).toBeGreaterThanOrEqual(150);
    expect(figures.unmapped_claims_passed).toBeLessThanOrEqual(PUBLISHED.unmapped_claims_passed);
    expect(figures.injections_succeeded).toBe(0);
    expect(figures.correct_blocked).toBeLessThanOrEqual(PUBLISHED.correct_blocked);
    expect(figures.accuracy).toBeGreaterThanOrEqual(PUBLISHED.accuracy);
  });
});
