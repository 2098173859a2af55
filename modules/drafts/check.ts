import { z } from "zod";
import { invalidField } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { Cites, ContactFields, Finding, LanguageSchema, TenantFacts } from "./checker/case.ts";
import { checkDraft, uncited } from "./checker/check.ts";
import { REASONS } from "./checker/compare.ts";
import { KINDS } from "./checker/kinds.ts";
import { CHECKS, Rules } from "./checker/style.ts";

const Draft = z
  .object({
    subject: z.string().max(300).default(""),
    sentences: z
      .array(z.object({ text: z.string().min(1).max(1000), cites: Cites }))
      .min(1)
      .max(60)
      .optional()
      .describe("The text sentence by sentence, each with the ids of what it rests on."),
    text: z
      .string()
      .min(1)
      .max(10_000)
      .optional()
      .describe("Instead of sentences: the whole text, which cites nothing."),
  })
  .meta({ id: "DraftToCheck" });

const Verdict = z
  .object({
    verdict: z
      .enum(["pass", "rewrite", "block"])
      .describe(
        "block: a claim that nothing backs, or an unfilled slot. rewrite: its form or its quality falls short.",
      ),
    sentences: z.array(
      z.object({
        text: z.string(),
        kind: z.enum(KINDS),
        verdict: z.enum(["ok", "unmapped"]),
        mapped: z.array(z.string()).describe("Ids of findings and tenant facts; `contact` for the contact's fields."),
        reason: z.enum(REASONS).nullable(),
        misses: z.array(z.string()).describe("The words that nothing backs."),
      }),
    ),
    checks: z.array(
      z.object({
        check: z.enum(CHECKS),
        ok: z.boolean(),
        value: z.union([z.string(), z.number()]).nullable(),
        wanted: z.string(),
        found: z.array(z.string()),
      }),
    ),
    quality: z.number().describe("0 to 10."),
    quality_points: z.array(z.object({ part: z.string(), points: z.number(), of: z.number() })),
  })
  .meta({ id: "DraftVerdict" });

export const check = defineOperation({
  id: "drafts.check",
  method: "POST",
  path: "/drafts/check",
  summary: "Check a draft against its sources",
  description:
    "Maps every sentence to the finding, contact field or tenant fact that says the same, names what nothing backs, checks the form and scores the quality. Rules only: no model, no network, nothing is stored.",
  permission: "drafts:check",
  input: z.object({
    language: LanguageSchema,
    contact: ContactFields.default({}),
    findings: z.array(Finding).max(50).default([]),
    tenant_facts: TenantFacts,
    draft: Draft,
    rules: Rules.default(Rules.parse({})),
  }),
  output: Verdict,
  handle(_ctx, { draft, ...input }) {
    if ((draft.sentences === undefined) === (draft.text === undefined))
      throw invalidField("/draft", "Give either sentences or text.");
    const sources = new Set(input.findings.map((f) => f.id));
    if (sources.size < input.findings.length) throw invalidField("/findings", "Two findings have the same id.");
    return Promise.resolve(
      checkDraft({ ...input, subject: draft.subject, sentences: draft.sentences ?? uncited(draft.text!) }),
    );
  },
});
