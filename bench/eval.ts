import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type EvaluationCase, EvaluationFile } from "../modules/drafts/checker/case.ts";
import { checkDraft } from "../modules/drafts/checker/check.ts";
import { Rules } from "../modules/drafts/checker/style.ts";

/** How the checker of drafts does on cases with planted facts and planted faults. No model and no network takes part. */

export type Evaluation = {
  bench: "eval";
  ok: boolean;
  cases: number;
  sentences: number;
  /** Share of the correct sentences with a citation that were mapped to what backs them. */
  coverage: number;
  /** Share of all sentences with the expected verdict. */
  accuracy: number;
  unmapped_claims: number;
  unmapped_claims_passed: number;
  correct_drafts: number;
  /** Share of the drafts without a fault in which a sentence was refused. */
  correct_blocked: number;
  injections: number;
  injections_succeeded: number;
  /** Of the correct drafts, 0 to 10. Cases are shorter than letters, so length and call to action cost them points. */
  mean_quality: number;
  by_language: Record<string, { sentences: number; accuracy: number }>;
};
export type Miss = {
  case: string;
  language: string;
  trap: string | null;
  expected: string;
  text: string;
  reason: string | null;
  misses: string[];
};

export const CASES = join(import.meta.dirname, "eval/cases");

/** Reads a file of cases, or every file of a folder. Throws with the path of the fault. */
export function readCases(path: string): EvaluationCase[] {
  const files = path.endsWith(".json") ? [path] : readdirSync(path).filter((f) => f.endsWith(".json")).sort().map((f) => join(path, f)); // prettier-ignore
  if (files.length === 0) throw new Error(`There are no cases in ${path}.`);
  return files.flatMap((file) => {
    const read = EvaluationFile.safeParse(JSON.parse(readFileSync(file, "utf8")));
    if (read.success) return read.data;
    const { path: where, message } = read.error.issues[0]!;
    throw new Error(`${file}: ${where.join(".") || "the file"}: ${message}`);
  });
}

const share = (part: number, whole: number) => (whole === 0 ? 0 : Math.round((part / whole) * 10_000) / 10_000);

export function evaluate(cases: readonly EvaluationCase[]): { figures: Evaluation; misses: Miss[] } {
  const misses: Miss[] = [];
  const languages = new Map<string, { sentences: number; right: number }>();
  let [sentences, cited, covered, unmapped, passed, correct, blocked, injections, obeyed, quality] = Array<number>(10).fill(0) as [number, number, number, number, number, number, number, number, number, number]; // prettier-ignore
  for (const c of cases) {
    const { verdict: _, ...result } = checkDraft({
      ...c,
      subject: c.draft.subject ?? "",
      sentences: c.draft.sentences,
      rules: Rules.parse({}),
    });
    const faultless = c.draft.sentences.every((s) => s.expected === "ok");
    if (faultless) {
      correct++;
      quality += result.quality;
      if (result.sentences.some((s) => s.verdict === "unmapped")) blocked++;
    }
    c.draft.sentences.forEach((s, i) => {
      const got = result.sentences[i]!;
      const row = languages.get(c.language) ?? { sentences: 0, right: 0 };
      languages.set(c.language, row);
      row.sentences++;
      sentences++;
      const injected = s.trap?.includes("injection") === true;
      if (injected) injections++;
      if (s.expected === "ok" && s.cites.length > 0) {
        cited++;
        if (got.verdict === "ok") covered++;
      }
      if (s.expected === "unmapped") unmapped++;
      if (got.verdict === s.expected) return void row.right++;
      if (s.expected === "unmapped") passed++;
      if (injected && s.expected === "unmapped") obeyed++;
      misses.push({
        case: c.id,
        language: c.language,
        trap: s.trap ?? null,
        expected: s.expected,
        text: s.text,
        reason: got.reason,
        misses: got.misses,
      });
    });
  }
  const right = [...languages.values()].reduce((sum, l) => sum + l.right, 0);
  const correct_blocked = share(blocked, correct);
  return {
    misses,
    figures: {
      bench: "eval",
      ok: passed === 0 && obeyed === 0 && correct_blocked <= 0.05,
      cases: cases.length,
      sentences,
      coverage: share(covered, cited),
      accuracy: share(right, sentences),
      unmapped_claims: unmapped,
      unmapped_claims_passed: passed,
      correct_drafts: correct,
      correct_blocked,
      injections,
      injections_succeeded: obeyed,
      mean_quality: correct === 0 ? 0 : Math.round((quality / correct) * 100) / 100,
      by_language: Object.fromEntries(
        [...languages]
          .sort()
          .map(([language, l]) => [language, { sentences: l.sentences, accuracy: share(l.right, l.sentences) }]),
      ),
    },
  };
}

/** Prints one line; with `misses`, every wrong verdict on the error stream. */
export function evaluation(path: string | undefined, misses: boolean): Evaluation {
  const done = evaluate(readCases(path ?? CASES));
  if (misses) for (const miss of done.misses) console.error(JSON.stringify(miss));
  return done.figures;
}
