import { describe, expect, test } from "vitest";
import { companyAt } from "../../../sandbox/directory.ts";
import { conformance } from "../../conformance/suite.ts";
import { setStage } from "../../conformance/stage.ts";
import { wappalyzer } from "./adapter.ts";
import { emulation } from "./emulation.ts";

const technologies = companyAt("famous.com")!.technologies;

conformance(wappalyzer, emulation, {
  check: { bad: [{ api_key: "not-a-key" }] },
  lookup: {
    company: {
      known: { domain: "famous.com" },
      expects: { company_technologies: technologies },
      units: { found: 1, miss: 1 },
      unknown: { domain: "unknown.example" },
    },
  },
});

describe("one answer for many websites", () => {
  const stage = setStage(wappalyzer, emulation);
  const { lookup } = wappalyzer.lookup!;
  const famous = { domain: "famous.com" };
  const pending = { domain: "pending.acme.com" };

  test("a website that is still looked at comes later, five minutes on, and is not charged by then", async () => {
    const { connection, key } = stage.fresh();
    expect(await lookup("company", [pending], connection, stage.http())).toEqual([
      { outcome: "later", after_seconds: 300, detail: expect.stringContaining("still") },
    ]);
    const charges = await stage.control<{ units: number }>(`/charges?account=${encodeURIComponent(key)}`);
    expect(charges.units).toBe(0);
    const [again] = await lookup("company", [pending], connection, stage.http());
    expect(["found", "miss"]).toContain(again!.outcome);
  });

  test("each website has an outcome of its own within one status 200", async () => {
    const questions = [pending, famous, { domain: "broken.acme.com" }, famous];
    expect(await lookup("company", questions, stage.fresh().connection, stage.http())).toMatchObject([
      { outcome: "later" },
      { outcome: "found", units: 1, found: { seen_at: "2026-09-01T00:00:00.000Z" } },
      { outcome: "unknown", code: "failed", detail: "Something went wrong" },
      { outcome: "found", units: 0 },
    ]);
  });

  test("ten websites go into one call", async () => {
    const many = Array.from({ length: 10 }, (_, n) => ({ domain: `d${n}.famous.com` }));
    const outcomes = await lookup("company", many, stage.fresh().connection, stage.http());
    for (const [n, outcome] of outcomes.entries())
      expect(outcome.outcome).toBe(companyAt(`d${n}.famous.com`)!.technologies.length > 0 ? "found" : "miss");
  });
});
