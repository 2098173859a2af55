import { type ContactFields, type Finding, isLanguage, type TenantFact } from "./case.ts";
import { ground, type SentenceVerdict } from "./ground.ts";
import { type Points, quality } from "./quality.ts";
import { type Check, type Rules, styleChecks } from "./style.ts";
import { sentences as split } from "./tokens.ts";

/** The whole check of a draft: what backs each sentence, its form, its quality, and one verdict. Pure: no clock, no network, no model. */

export type DraftInput = {
  language: string;
  contact: ContactFields;
  findings: readonly Finding[];
  tenant_facts: readonly TenantFact[];
  subject: string;
  sentences: readonly { text: string; cites: readonly string[] }[];
  rules: Rules;
};
export type DraftVerdict = {
  /** `block`: something is claimed that nothing backs, or a slot is unfilled. `rewrite`: its form or quality falls short. */
  verdict: "pass" | "rewrite" | "block";
  sentences: SentenceVerdict[];
  checks: Check[];
  quality: number;
  quality_points: Points[];
};

/** Sentences of a draft that came as one text; none of them cites anything. */
export const uncited = (text: string): { text: string; cites: string[] }[] =>
  split(text).map((s) => ({ text: s, cites: [] }));

export function checkDraft(input: DraftInput): DraftVerdict {
  const { language, contact, findings, tenant_facts, subject, rules } = input;
  const verdicts = ground({ language, contact, findings, tenant_facts, sentences: input.sentences });
  const title =
    subject.trim() === ""
      ? []
      : ground({ language, contact, findings, tenant_facts, sentences: [{ text: subject, cites: [] }] });
  const known = isLanguage(language) ? language : "en";
  const checks = styleChecks(subject, input.sentences.map((s) => s.text), known, rules); // prettier-ignore
  const { score, points } = quality({
    sentences: verdicts,
    checks,
    contact,
    subject,
    findings: new Set(findings.map((f) => f.id)),
  });
  const unbacked = [...verdicts, ...title].some((s) => s.verdict === "unmapped");
  const unfilled = checks.some((c) => c.check === "slots" && !c.ok);
  const short = checks.some((c) => !c.ok) || score < rules.min_quality;
  return {
    verdict: unbacked || unfilled ? "block" : short ? "rewrite" : "pass",
    sentences: verdicts,
    checks,
    quality: score,
    quality_points: points,
  };
}
